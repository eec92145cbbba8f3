"""Filters by URL and caption."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.errors import OptionError
from tallyclip.readers.crawl.links import base_of, web_address
from tallyclip.steps.filters import (
    CAPTION_TOO_LONG,
    CAPTION_TOO_SHORT,
    DOMAIN_BLOCKED,
    FILE_NAME_OR_ID,
    KEYWORD_BLOCKED,
    NO_LETTERS,
    URL_TOO_LONG,
    Filters,
    Phrases,
    Screen,
    host_of,
    is_name,
    words_of,
)

URL = "https://images.example/dog.jpg"
any_text = st.text(st.characters(), max_size=40)  # lone surrogates and NUL among them


def reason(text: str, url: str = URL, **options: Any) -> str | None:
    return Screen(Filters(**options)).reason(url, text)


@pytest.fixture
def listed(tmp_path: Path) -> Any:
    """A list with these lines: its path."""

    def write(*lines: str, name: str = "list.txt") -> str:
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(tmp_path / name)

    return write


# each filter


@given(any_text, any_text)
def test_without_filters_everything_is_kept(url: str, text: str) -> None:
    screen = Screen(Filters())
    assert not screen.active
    assert screen.reason(url, text) is None


def test_any_filter_makes_a_screen_active(listed: Any) -> None:
    path = listed("dog")
    options = {"max_url_length": 0, "min_text_length": 1, "max_text_length": 9, "no_letters": True, "file_names": True}
    for name, value in {**options, "blocked_domains": path, "blocked_keywords": path}.items():
        assert Screen(Filters(**{name: value})).active


def test_lengths_are_in_characters_and_the_bounds_themselves_are_kept() -> None:
    assert reason("a dog", "http://ü.example", max_url_length=16) is None
    assert reason("a dog", "http://ü.example/", max_url_length=16) == URL_TOO_LONG
    assert reason("чёрт", min_text_length=4, max_text_length=4) is None
    assert reason("чёрт", min_text_length=5) == CAPTION_TOO_SHORT
    assert reason("чёрт", max_text_length=3) == CAPTION_TOO_LONG


def test_white_space_at_the_ends_does_not_count_as_length() -> None:
    assert reason(" \n dog  ", min_text_length=4) == CAPTION_TOO_SHORT
    assert reason(" \n dog  ", max_text_length=3) is None


@pytest.mark.parametrize("text", ["", "1234", "★ 12", "🐕", "\ud800", "—"])
def test_texts_without_letters_are_dropped_if_asked(text: str) -> None:
    assert reason(text, no_letters=True) == NO_LETTERS
    assert reason(text + "é", no_letters=True) is None


def test_the_first_reason_is_given_in_the_documented_order(listed: Any) -> None:
    """Each text is dropped for one reason fewer than the one before it, from the first reason on."""
    lists = {"blocked_domains": listed("images.example", name="domains"), "blocked_keywords": listed("jpg", "12", name="keywords")}
    screen = Screen(Filters(30, 3, 8, no_letters=True, file_names=True, **lists))
    long = URL + "?" * 9
    other = "https://a.example"
    assert screen.reason(long, "1") == URL_TOO_LONG
    assert screen.reason(URL, "1") == DOMAIN_BLOCKED
    assert screen.reason(other, "1") == CAPTION_TOO_SHORT
    assert screen.reason(other, "123456789") == CAPTION_TOO_LONG
    assert screen.reason(other, "12 12") == NO_LETTERS
    assert screen.reason(other, "dog.jpg") == FILE_NAME_OR_ID
    assert screen.reason(other, "a jpg of") == KEYWORD_BLOCKED
    assert screen.reason(other, "a dog") is None


# file names and ids

NAMES = """
IMG_0042.JPG | img_0042 | IMG 0042 | IMG-20200101-WA0001 | DSC_0023.JPG | dsc00023 | DSC-0023 (2) | DSCN0001 | P1010001.JPG | MVI_0001.mov
photo.jpg | my photo.jpg | photo 2.png | Styling machine.png | Mary Schenley.jpg | dog.JPEG | логотип.png | 写真.jpg | हिन्दी भाषा.jpg
report.pdf | index.html | "dog" house.jpg | Screenshot 2020-01-02 | Screenshot_2020-01-02 | screenshot20200102.png
product-img | dog-thumb | img-dog | btn-search | header-bg | control_14ct | product_img | Cranberry_cocktail_main | a_b
3fae2b1c | 0123456789abcdef | 123e4567-e89b-12d3-a456-426614174000 | {123E4567-E89B-12D3-A456-426614174000} | MTE4018 | LM-14582.b | img0042
1234 | 12 | 0.5 | $ 9.99 | 50% | 747-400 | 2020-01-02 | 02/01/2020 10:30 | (1) | № 12 | 1 2 3 4 5 | ١٢٣ | 800x600 | 300 x 250px | 1920×1080
2 May 2013 | May 2, 2013 | 2nd May | Jan 2013 | december 24th, 1999 | 12-Sep-2012 | 24. Dec. 1999 | Sept 2013
https://images.example/a%20photo | http://a.example/dog | HTTPS://A.EXAMPLE | www.example.com/dog | /images/dog | ../dog | C:\\dogs\\dog
example.com | example.com/dog | shop.example.co.uk | data:image/png;base64,iVBORw0KGgo=
"""

OTHERS = """
a dog | dog | desk | Beach! | 東京タワー | собака | हिन्दी | मेरी हिन्दी भाषा.jpg | สุนัข | T-shirt | hot-dog | Coca-Cola | U.S.A. | e.g.
IMG 0042 of my dog | a photo img_0042 | photo of dog.jpg | Balloon flying over Cappadocia7.jpg | the img-dog here | see example.com now
iPhone6 | GX390 | R2D2 | H2O | A4omote | Euro2020 | Windows2000 | 1080p | 10000mAh | 4x4 | 20x30 | 3D | COVID-19 | F-150 | mp3 | 101st | a/b
Lot 146 | Photo 15 | Page 2 | iPhone 12 | Windows 10 | 8533 GOLDEN RIDGE COURT | Room 101 | May | March | May I | Marching 2013 | Mayday 2
deadbeef | facade | defaced | Node.js | St.Louis | Dr.No | Sam 1990 | img | image | photo | #my_tag | @my_dog | ★★★ | - | _ | | . | a.
self-image | mirror-image | www | http | https | Mother's day | my "dog" house.jpg | 2 dogs | 3 fast, brown foxes | and/or | 24/7 service
"""


def cells(table: str) -> list[str]:
    return [cell.strip() for line in table.strip().splitlines() for cell in line.split("|")]


@pytest.mark.parametrize("text", cells(NAMES))
def test_file_names_urls_ids_numbers_and_dates_are_detected(text: str) -> None:
    assert is_name(text)
    assert is_name(f" {text}\n")
    assert reason(text, file_names=True) == FILE_NAME_OR_ID


@pytest.mark.parametrize("text", cells(OTHERS))
def test_a_possible_caption_is_not_a_file_name(text: str) -> None:
    assert not is_name(text)
    assert reason(text, file_names=True) is None


@given(st.sampled_from(cells(NAMES)), st.sampled_from(["dog", "Hund,", "(собака)", "hot-dog", "dog's"]), st.integers(0, 1))
def test_two_words_of_letters_make_any_name_a_caption(name: str, word: str, place: int) -> None:
    texts = [word, word]
    texts.insert(place, name)
    assert not is_name(" ".join(texts))


def test_hardly_any_real_caption_is_a_file_name(shared_data: Path) -> None:
    texts = pq.read_table(shared_data / "captions" / "img2dataset-test_10000.parquet")["TEXT"].to_pylist()
    captions = gzip.decompress((shared_data / "captions/multi30k/val.en.gz").read_bytes()).decode().splitlines()
    assert not any(map(is_name, captions))
    names = [text for text in texts if text and is_name(text)]
    assert 50 < len(names) < 200
    assert not any(sum(word.isalpha() for word in text.split()) > 1 for text in names)


@pytest.mark.parametrize("part", ["a_b_", "a.com", "_", "-a", "a1234", "1 ", "img-", "12/", "May ", "a:", "@", "x.jpg "])
@pytest.mark.parametrize("end", ["", " x", " 1", "!"])
def test_a_long_text_is_looked_at_in_time_proportional_to_its_size(part: str, end: str) -> None:
    """The square of it would exceed the time limit of tests."""
    text = part * 200_000 + end
    is_name(text)
    host_of(text)
    words_of(text)


# domains


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://images.example/dog.jpg", "images.example"),
        ("HTTP://Images.EXAMPLE", "images.example"),
        ("//images.example:8080?a=b", "images.example"),
        ("https://me:secret@images.example:443/@b.example", "images.example"),
        ("https://b.example@images.example/", "images.example"),
        ("https://images.example./dog", "images.example"),
        ("https://images.example#//b.example", "images.example"),
        ("https:\\\\images.example\\dog", "images.example"),
        ("images.example/http://b.example", "images.example"),
        ("images.example:80/dog", "images.example"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("https://BÜCHER.example/", "xn--bcher-kva.example"),
        ("https://XN--BCHER-KVA.example/", "xn--bcher-kva.example"),
        ("https://b%C3%BCcher.example/", "xn--bcher-kva.example"),
        ("https://images。example/", "images.example"),
        ("https://straße.example/", "xn--strae-oqa.example"),
        ("https://☕.example/", "xn--53h.example"),
        ("https://[2001:DB8::1]:80/dog", "[2001:db8::1]"),
        ("https://1.2.3.4/dog", "1.2.3.4"),
        ("/dog.jpg", ""),
        ("data:image/png;base64,iVBORw0KGgo=", "data"),
        ("", ""),
    ],
)
def test_the_host_of_a_url_is_the_one_a_browser_would_ask(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    "line", ["bad.example", "BAD.example.", "*.bad.example", ".bad.example", "  bad.example  # why", "\ufeffbad.example"]
)
def test_a_domain_blocks_its_host_and_its_subdomains_and_nothing_else(line: str, listed: Any) -> None:
    screen = Screen(Filters(blocked_domains=listed(line)))
    for url in ("http://bad.example/dog", "https://a.b.bad.example:80", "http://u@bad.example./"):
        assert screen.reason(url, "a dog") == DOMAIN_BLOCKED
    for url in (
        "http://notbad.example",
        "http://example",
        "http://bad.example.com",
        "http://a.com/bad.example",
        "http://bad.example@a.com",
        "",
    ):
        assert screen.reason(url, "a dog") is None


@pytest.mark.parametrize("line", ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example"])
def test_a_domain_is_the_same_in_unicode_and_in_punycode(line: str, listed: Any) -> None:
    screen = Screen(Filters(blocked_domains=listed(line)))
    for host in ("bücher.example", "www.bücher.example", "xn--bcher-kva.example", "www.xn--bcher-kva.example"):
        assert screen.reason(f"https://{host}/", "a dog") == DOMAIN_BLOCKED
    assert screen.reason("https://bucher.example/", "a dog") is None


@pytest.mark.parametrize("line", ["straße.example", "STRASSE.example", "☕.example", "bücher.example", "xn--bcher-kva.example"])
def test_a_domain_is_blocked_however_it_is_written(line: str, listed: Any) -> None:
    screen = Screen(Filters(blocked_domains=listed(line)))
    url, reason = web_address(f"http://img.{line}/i a.png", base_of("http://a.example/", None))
    assert reason is None
    assert screen.reason(url, "a dog") == DOMAIN_BLOCKED


# keywords


@pytest.mark.parametrize(
    ("keyword", "text", "found"),
    [
        ("dog", "A DOG!", True),
        ("dog", "hot-dog", True),
        ("dog", "dogs", False),
        ("dog", "adog", False),
        ("dog", "dog_1", False),
        ("dog", "dog's", True),
        ("dog", "狗dog狗", True),
        ("hot dog", "a Hot\n dog", True),
        ("hot dog", "hot-dog", True),
        ("hot  dog", "hot dogs", False),
        ("hot dog", "hot big dog", False),
        ("hot dog", "dog hot", False),
        ("hot dog", "dog hot dog", True),
        ("hot dog", "hot", False),
        ("a b c", "a b a b c", True),
        ("straße", "STRASSE", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("cafe", "cafe\u0301", False),
        ("dog", "ＤＯＧ", True),
        ("dog", "dog️ 🐕", True),
        ("собака", "Собака.", True),
        ("नमस्ते", "नमस्ते दुनिया", True),
        ("नमस", "नमस्ते दुनिया", False),
        ("हिन्द", "हिन्दी", False),
        ("ก", "กุ ก้", False),
        ("棕色的狗", "一只棕色的狗在跑", True),
        ("棕狗", "一只棕色的狗在跑", False),
        ("犬", "茶色の犬が走る", True),
        ("สุนัข", "มีสุนัขสีน้ำตาล", True),
        ("c++", "C is a language", True),
    ],
)
def test_a_keyword_is_found_as_whole_words_in_any_case(keyword: str, text: str, found: bool, listed: Any) -> None:
    assert (reason(text, blocked_keywords=listed("other words", keyword)) == KEYWORD_BLOCKED) == found


words = st.lists(st.sampled_from(["a", "b", "ab", "é"]), min_size=1, max_size=6)


@given(st.lists(words, max_size=4), words)
def test_phrases_are_found_as_by_looking_for_each(phrases: list[list[str]], text: list[str]) -> None:
    joined = [" ".join(phrase) for phrase in phrases]
    slowly = any(f" {phrase} " in f" {' '.join(text)} " for phrase in joined)
    assert Phrases(joined).are_in("-".join(text)) == slowly


def test_a_hundred_thousand_keywords_are_not_looked_for_one_by_one() -> None:
    """That would exceed the time limit of tests."""
    text = "A brown dog runs over the wet grass in the morning, and a cat looks on"
    phrases = Phrases([f"word{i} of phrase {i}" for i in range(100_000)])
    assert not any(phrases.are_in(text) for _ in range(50_000))
    assert phrases.are_in(f"{text} at Word7 of phrase-7")


# anything


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Screen:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "domains").write_text("a.p\nü.t\n", encoding="utf-8")
    (folder / "keywords").write_text("a\né 1\n", encoding="utf-8")
    return Screen(Filters(15, 1, 15, True, True, str(folder / "domains"), str(folder / "keywords")))


@given(any_text | st.text("htp:/@.[]%#?ü。a1\\", max_size=20), any_text | st.text("aé_-.1 :/0xW", max_size=20))
def test_no_url_and_no_text_is_too_odd(everything: Screen, url: str, text: str) -> None:
    found = everything.reason(url, text)
    assert found in (None, URL_TOO_LONG, DOMAIN_BLOCKED, CAPTION_TOO_SHORT, CAPTION_TOO_LONG, NO_LETTERS, FILE_NAME_OR_ID, KEYWORD_BLOCKED)
    assert found == pickle.loads(pickle.dumps(everything)).reason(url, text)


# the lists


def test_comments_and_empty_lines_name_nothing_and_line_ends_are_of_any_kind(tmp_path: Path) -> None:
    path = tmp_path / "keywords.txt"
    path.write_bytes(b"# dog\r\n\r\n  # bird\r\ncat # and more: fish\r\n#\r\nhorse#shoe")
    screen = Screen(Filters(blocked_keywords=str(path)))
    assert [screen.reason(URL, text) for text in ("dog", "bird", "fish", "and more")] == [None] * 4
    assert [screen.reason(URL, text) for text in ("cat", "horse shoe")] == [KEYWORD_BLOCKED] * 2


def test_a_list_may_be_compressed_or_behind_a_url(tmp_path: Path) -> None:
    path = tmp_path / "domains.txt.gz"
    path.write_bytes(gzip.compress(b"bad.example\n"))
    for place in (str(path), f"file://{path}"):
        assert reason("a dog", "http://bad.example", blocked_domains=place) == DOMAIN_BLOCKED


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "there is nothing in it"),
        (b"# nothing\n\n", "the list has no domain"),
        (b"a.example\nb\xff.example\n", "line 2: not UTF-8"),
        (b"a.example\n\n0.0.0.0 b.example\n", "line 3: '0.0.0.0 b.example' is not a domain"),
        (b"https://a.example\n", "line 1: 'https://a.example' is not a domain"),
        (b"a.example/dog\n", "line 1: 'a.example/dog' is not a domain"),
        (b"*\n", "line 1: '*' is not a domain"),
        (b"a.*.example\n", "line 1: 'a.*.example' is not a domain"),
    ],
)
def test_an_invalid_list_of_domains_is_refused_with_its_place(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "domains.txt"
    path.write_bytes(content)
    with pytest.raises(OptionError) as caught:
        Filters(blocked_domains=str(path)).check()
    assert str(path) in caught.value.what
    assert words in caught.value.what


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"dog\n!!!\n", "line 2: '!!!' is not a word or phrase"),
        (b"#\n", "the list has no word or phrase"),
        (b"\xff\n", "line 1: not UTF-8"),
    ],
)
def test_an_invalid_list_of_keywords_is_refused_with_its_place(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "keywords.txt"
    path.write_bytes(content)
    with pytest.raises(OptionError) as caught:
        Filters(blocked_keywords=str(path)).check()
    assert str(path) in caught.value.what
    assert words in caught.value.what


@pytest.mark.parametrize("option", ["blocked_domains", "blocked_keywords"])
def test_a_list_that_is_not_there_is_refused(option: str, tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(OptionError, match=str(path)):
            Filters(**{option: str(path)}).check()
    with pytest.raises(OptionError, match="nothing://"):
        Filters(**{option: "nothing://list.txt"}).check()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_url_length": -1}, "--max-url-length -1"),
        ({"min_text_length": -1}, "--min-text-length -1"),
        ({"max_text_length": -2}, "--max-text-length -2"),
        ({"min_text_length": 5, "max_text_length": 4}, "--min-text-length 5 is above --max-text-length 4"),
    ],
)
def test_lengths_that_cannot_be_are_refused(options: dict[str, int], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Filters(**options).check()
    with pytest.raises(OptionError, match=words):
        Screen(Filters(**options))


def test_bounds_that_meet_and_zero_are_lengths() -> None:
    Filters(max_url_length=0, min_text_length=0, max_text_length=0).check()


# the fingerprint


def test_the_fingerprint_changes_with_every_option_and_with_what_the_lists_say(listed: Any) -> None:
    path, other = listed("dog", name="a"), listed("cat", name="b")
    filters = [
        Filters(),
        Filters(1),
        Filters(2),
        Filters(None, 1),
        Filters(None, None, 1),
        Filters(no_letters=True),
        Filters(file_names=True),
    ]
    filters += [
        Filters(blocked_domains=path),
        Filters(blocked_domains=other),
        Filters(blocked_keywords=path),
        Filters(blocked_keywords=other),
    ]
    assert len({Screen(each).fingerprint for each in filters}) == len(filters)


def test_the_fingerprint_does_not_depend_on_where_a_list_is_or_how_it_is_written(listed: Any) -> None:
    lists = [listed("dog", "hot dog", name="a"), listed("# mine", "Hot  Dog", "DOG", "dog", name="b")]
    first, second = (Screen(Filters(blocked_keywords=path)).fingerprint for path in lists)
    assert first == second
    assert len(first) == 64


def test_a_text_of_a_million_digits_takes_no_time() -> None:
    assert not is_name("img" + "1" * 1_000_000 + "!")
    assert is_name("1" * 1_000_000)
    assert is_name("img" + "1" * 900 + ".jpg")
    assert not is_name("img" + "1" * 990 + "!")
