"""Which column has which role."""

from __future__ import annotations

import pytest

from tallyclip.errors import OptionError
from tallyclip.readers.columns import ColumnChoice, Columns, distinct, find_columns, listed

NOTHING_SAID = ColumnChoice()
# The columns of public data sets and tools, as their files have them.
KNOWN = {
    "LAION": ["SAMPLE_ID", "URL", "TEXT", "HEIGHT", "WIDTH", "LICENSE", "NSFW", "similarity"],
    "DataComp": ["uid", "url", "text", "original_width", "original_height", "clip_l14_similarity_score", "face_bboxes", "sha256"],
    "COYO": ["id", "url", "text", "width", "height", "image_phash", "clip_similarity_vitb32", "nsfw_score_opennsfw2"],
    "CC3M and CC12M": ["url", "caption"],
    "cc2dataset": ["uid", "url", "alt", "cc_filename", "page_url"],
    "img2dataset": ["url", "caption", "key", "status", "error_message", "width", "height", "exif", "sha256"],
    "img2dataset of a pool with uids": ["uid", "url", "caption", "key", "status", "error_message", "sha256"],
    "MetaCLIP": ["uuid", "url", "texts"],
    "WebDataset": ["key", "caption"],
}
ROLES = {
    "LAION": Columns("TEXT", "URL"),
    "DataComp": Columns("text", "url", uid="uid"),
    "COYO": Columns("text", "url"),
    "CC3M and CC12M": Columns("caption", "url"),
    "cc2dataset": Columns("alt", "url", uid="uid"),
    "img2dataset": Columns("caption", "url", key="key", status="status"),
    "img2dataset of a pool with uids": Columns("caption", "url", uid="uid", key="key", status="status"),
    "MetaCLIP": Columns("texts", "url"),
    "WebDataset": Columns("caption", key="key"),
}


def roles(columns: Columns) -> tuple[str | None, ...]:
    return columns.caption, columns.url, columns.uid, columns.key, columns.status


@pytest.mark.parametrize("layout", KNOWN)
def test_the_columns_of_known_datasets_are_found_and_the_layout_is_named(layout: str) -> None:
    found = find_columns(KNOWN[layout], NOTHING_SAID)
    assert roles(found) == roles(ROLES[layout])
    assert found.layout == layout


@pytest.mark.parametrize("layout", KNOWN)
def test_the_order_of_columns_does_not_matter(layout: str) -> None:
    assert find_columns(KNOWN[layout][::-1], NOTHING_SAID) == find_columns(KNOWN[layout], NOTHING_SAID)


@pytest.mark.parametrize("name", ["caption", "text", "TEXT", "texts"])
def test_captions_alone_make_a_pool(name: str) -> None:
    assert roles(find_columns([name, "width"], NOTHING_SAID)) == (name, None, None, None, None)


@pytest.mark.parametrize("names", [["URL", "TEXT", "uid"], ["text", "uid"], ["texts", "url", "uid"], ["key", "caption", "uid"]])
def test_a_column_of_uids_is_taken_with_any_layout(names: list[str]) -> None:
    assert find_columns(names, NOTHING_SAID).uid == "uid"


def test_a_named_column_of_captions_takes_precedence_over_every_layout() -> None:
    names = ["url", "text", "top_caption", "uid"]
    found = find_columns(names, ColumnChoice(caption="top_caption"))
    assert roles(found) == ("top_caption", "url", "uid", None, None)
    assert found.layout == "named by flag"


def test_columns_that_no_layout_knows_can_all_be_named() -> None:
    found = find_columns(["link", "words", "digest"], ColumnChoice(caption="words", url="link", uid="digest"))
    assert roles(found) == ("words", "link", "digest", None, None)


def test_a_named_column_of_urls_is_used_with_detected_captions() -> None:
    assert roles(find_columns(["text", "image_link"], ColumnChoice(url="image_link"))) == ("text", "image_link", None, None, None)


@pytest.mark.parametrize("role", ["caption", "url", "uid"])
def test_naming_a_column_that_is_not_there_is_refused_with_those_that_are(role: str) -> None:
    with pytest.raises(OptionError, match=rf"no column 'nosuch' for --{role}-column") as caught:
        find_columns(["url", "text"], ColumnChoice(**{role: "nosuch"}))
    assert caught.value.hint == "the columns are: url, text"


def test_columns_without_captions_are_refused_with_the_option_that_names_one() -> None:
    with pytest.raises(OptionError, match="no caption column found among: url, width") as caught:
        find_columns(["url", "width"], NOTHING_SAID)
    assert "--caption-column" in str(caught.value.hint)


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(OptionError, match="several columns are called 'url'"):
        find_columns(["url", "caption", "url"], NOTHING_SAID)


def test_columns_without_a_role_may_have_one_name() -> None:
    assert roles(find_columns(["url", "caption", "score", "score"], NOTHING_SAID)) == ("caption", "url", None, None, None)
    assert distinct(["score", "score", "score_2", "score"]) == ["score", "score_3", "score_2", "score_4"]


def test_of_two_columns_of_a_roles_name_one_is_chosen_by_flag() -> None:
    with pytest.raises(OptionError, match="several columns are called 'caption'") as caught:
        find_columns(["url", "caption", "caption"], NOTHING_SAID)
    assert "--caption-column: caption, caption_2" in str(caught.value.hint)
    for name in ("caption", "caption_2"):
        assert find_columns(["url", "caption", "caption"], ColumnChoice(caption=name)).caption == name


def test_a_message_lists_few_columns_in_characters_that_can_be_seen() -> None:
    with pytest.raises(OptionError) as caught:
        find_columns([f"\x1b[2J{i}" for i in range(8_800)], NOTHING_SAID)
    assert "\x1b" not in str(caught.value)
    assert "and 8,780 more" in caught.value.what
    assert len(listed(["x" * 10_000] * 10_000, examples=["y" * 10_000] * 10_000)) < 4_000


@pytest.mark.parametrize(
    "said",
    [
        {"delimiter": ""},
        {"delimiter": ",,"},
        {"delimiter": "\n"},
        {"quote": "''"},
        {"escape": "é"},
        {"delimiter": '"'},
        {"delimiter": ",", "escape": ","},
    ],
)
def test_a_delimiter_quote_or_escape_is_one_character_of_its_own(said: dict[str, str]) -> None:
    with pytest.raises(OptionError, match=r"is not one ASCII character|is also the"):
        ColumnChoice(**said)


def test_roles_are_shown_with_their_layout() -> None:
    assert str(find_columns(KNOWN["LAION"], NOTHING_SAID)) == "LAION: caption = TEXT, url = URL"


def test_no_column_is_read_twice() -> None:
    assert Columns("text", "url", uid="url").needed == ["text", "url"]
