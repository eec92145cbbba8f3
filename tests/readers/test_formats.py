"""Forms of JSON and text that people have captions in."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallyclip.io.suffixes import KINDS
from tallyclip.readers import annotations, content
from tallyclip.readers.estimate import estimate_rows
from tallyclip.readers.formats import FORMATS
from tallyclip.readers.sources import cut
from tests.forms import CAPTIONS, FORMS, NAMES, OF_IMAGE, URLS, coco, flickr, karpathy, redcaps, sbu
from tests.readers.tools import files_of, hashed, json_lines, read, refused, refused_option, table_of, write_table

JSON = {"coco": coco(), "karpathy": karpathy(), "redcaps": redcaps(), "sbu": sbu()}
some = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, what: Any) -> Path:
    path.write_bytes(what if isinstance(what, bytes) else what.encode() if isinstance(what, str) else json.dumps(what).encode())
    return path


# detection


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_detected_and_gives_its_pairs_with_what_identifies_their_images(tmp_path: Path, name: str) -> None:
    form = FORMS[name]
    outcome = read(write(tmp_path / form.name, form.content))
    assert [layout.partition(":")[0] for layout in outcome.layouts] == [form.layout]
    assert outcome.texts == form.captions
    assert outcome.uids == hashed(form.images, form.captions, form.image_kind)
    assert outcome.drops == []


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", JSON)
def test_json_over_lines_is_of_the_same_form(tmp_path: Path, name: str, indent: int | None) -> None:
    text = json.dumps(JSON[name], indent=indent)
    assert read(write(tmp_path / "a.json", text)).texts == read(write(tmp_path / "b.json", f"{text}\n\n")).texts == CAPTIONS


@pytest.mark.parametrize("name", JSON)
def test_where_the_file_is_cut_into_chunks_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = write(tmp_path / "a.json", JSON[name])
    for size in (1, 2, 7, 100):
        monkeypatch.setattr(content, "CHUNK", size)
        assert read(path, format=name).texts == CAPTIONS


@pytest.mark.parametrize("name", JSON)
def test_objects_a_line_with_such_lists_in_them_are_records_as_ever(tmp_path: Path, name: str) -> None:
    lines = json_lines([{**JSON[name], "text": "a dog"}, {**JSON[name], "text": "a cat"}])
    outcome = read(write(tmp_path / "a.jsonl", lines))
    assert outcome.texts == ["a dog", "a cat"]
    assert outcome.layouts == ["captions alone: caption = text"]


def test_a_sample_with_lists_in_it_is_a_record(tmp_path: Path) -> None:
    sample = {"caption": "a dog", "url": URLS[0], "boxes": [{"id": 1}], "images": ["a.jpg"], "annotations": [{"label": 1}]}
    assert read(write(tmp_path / "a.json", json.dumps(sample, indent=1))).texts == ["a dog"]


def test_lines_that_only_mention_images_are_captions(tmp_path: Path) -> None:
    lines = ["cat.jpg#0\ta cat", *(f"dog.jpg#{i} a dog" for i in range(20))]
    assert read(write(tmp_path / "a.txt", "\n".join(lines))).texts == lines


def test_boxes_in_the_form_of_coco_are_refused_with_what_they_have_instead_of_captions(tmp_path: Path) -> None:
    boxes = coco(annotations=[{"image_id": 70, "id": 1, "bbox": [1, 2, 3, 4]}])
    refused_option(write(tmp_path / "a.json", boxes), "no caption column found among", "bbox")


def test_files_without_annotations_have_no_records(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.json", coco(annotations=[]))).records == 0


# --format


def test_the_format_that_is_named_is_read_whatever_the_file_is_like(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", flickr())
    assert read(path, format="text").texts == flickr().splitlines()
    assert read(path, format="tsv", caption="column_1").texts == read(path, format="flickr").texts == CAPTIONS
    odd = write(tmp_path / "b.txt", "red dog#1\ta dog\n" * 3)
    assert read(odd).texts == ["red dog#1\ta dog"] * 3
    assert read(odd, format="flickr").texts == ["a dog"] * 3


@pytest.mark.parametrize("name", JSON)
def test_a_file_that_is_not_of_the_named_format_fails_or_has_no_captions(tmp_path: Path, name: str) -> None:
    refused(write(tmp_path / "a.json", [{"caption": "a dog"}]), "it is not one JSON object", format=name)
    refused(write(tmp_path / "b.json", '{"images": [5'), "cut short or broken", format=name)
    refused(write(tmp_path / "c.json", '{"images": []} 5'), "data after the end", format=name)


def test_a_format_of_another_name_or_for_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", coco())
    with pytest.raises(Exception, match="--format 'cocoa' is not known") as caught:
        read(path, format="cocoa")
    assert all(form.name in str(caught.value) for form in FORMATS)
    refused_option(write_table(tmp_path / "a.parquet", {"caption": ["a dog"]}), "files of JSON or text", format="coco")


def test_each_form_is_of_a_kind_that_suffixes_have_and_has_a_name_of_its_own() -> None:
    assert {form.kind for form in FORMATS} <= set(KINDS.values())
    assert len({form.name for form in FORMATS}) == len(FORMATS)


# what is dropped


def test_annotations_that_cannot_be_used_are_dropped_one_by_one(tmp_path: Path) -> None:
    odd = '{"image_id": 99, "caption": "no image"}, {"image_id": 70, "caption": "a" "b"}, 5, {"image_id": 70, "caption": 5}'
    odd += ', {"image_id": [1]}, {"image_id": 71, "caption": null}, {"image_id": 71, "caption": "\\ud800"}, '
    text = json.dumps(coco()).replace('"annotations": [', f'"annotations": [{odd}')
    outcome = read(write(tmp_path / "a.json", text))
    assert outcome.texts == CAPTIONS
    assert Counter(outcome.reasons) == {
        "annotation without its image": 2,
        "not JSON": 1,
        "not a JSON object": 1,
        "caption is not text": 1,
        "no caption": 1,
        "not UTF-8": 1,
    }
    assert outcome.records == len(CAPTIONS) + 7


def test_images_without_a_url_are_known_by_their_file_names(tmp_path: Path) -> None:
    images: list[Any] = [{"id": 70, "file_name": NAMES[0]}, {"id": 71, "flickr_url": URLS[1]}, {"id": 72}, {"file_name": "x"}, 5]
    outcome = read(write(tmp_path / "a.json", coco(images=images)))
    assert outcome.texts == CAPTIONS[:3]
    assert outcome.uids == hashed(NAMES[:1] * 2, CAPTIONS[:2], "key") + hashed(URLS[1:2], CAPTIONS[2:3])
    assert outcome.reasons == ["annotation without its image"] * 2


def test_of_images_with_one_id_the_first_counts(tmp_path: Path) -> None:
    images = [{"id": 70, "file_name": "first.jpg"}, {"id": 70, "file_name": "second.jpg"}]
    outcome = read(write(tmp_path / "a.json", coco(images=images)))
    assert outcome.uids == hashed(["first.jpg"] * 2, CAPTIONS[:2], "key")


def test_sentences_and_images_that_cannot_be_used_are_dropped_one_by_one(tmp_path: Path) -> None:
    data = karpathy()
    data["images"] += [
        {"filename": "x.jpg", "sentences": what} for what in (None, 5, [], [{"raw": 5}], [{"tokens": []}, {"raw": "a fox"}])
    ] + [7]
    outcome = read(write(tmp_path / "a.json", data))
    assert outcome.texts == [*CAPTIONS, "a fox"]
    assert Counter(outcome.reasons) == {"no caption": 3, "caption is not text": 2, "not a JSON object": 1}


def test_columns_of_lists_have_one_length_and_what_is_no_text_is_dropped(tmp_path: Path) -> None:
    data = sbu()
    refused(write(tmp_path / "a.json", data | {"captions": CAPTIONS[:-1]}), "different lengths", "caption: 4")
    data["captions"] = [5, *CAPTIONS[1:]]
    data["image_urls"] = [*data["image_urls"][:-1], 7]
    outcome = read(write(tmp_path / "a.json", data))
    assert outcome.texts == CAPTIONS[1:-1]
    assert sorted(outcome.reasons) == ["URL is not text", "caption is not text"]
    broken = json.dumps(sbu()).replace('"two dogs"', "two dogs")
    assert read(write(tmp_path / "a.json", broken)).reasons == ["not JSON"]


def test_lines_without_an_image_are_dropped_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    lines = [f"{NAMES[0]}#{i}\ta dog {i}".encode() for i in range(200)]
    lines[50], lines[51], lines[52], lines[53] = b"no image", b"", b"a.jpg#1\t\xff", b"a.jpg.1#3\ta\tb#4\tc\r"
    outcome = read(write(tmp_path / "a.txt", b"\n".join(lines)))
    assert [(drop.row, drop.reason) for drop in outcome.drops] == [(50, "line without an image"), (51, "empty line"), (52, "not UTF-8")]
    assert outcome.texts[50] == "a\tb#4\tc"
    assert outcome.rows == [row for row in range(200) if row not in (50, 51, 52)]


def test_other_fields_of_records_are_kept(tmp_path: Path) -> None:
    table = table_of(write(tmp_path / "a.json", karpathy()))
    assert table["split"].to_pylist() == ["train"] * 3
    assert "sentences" not in table.column_names
    assert table_of(write(tmp_path / "b.txt", flickr()))["caption_number"].to_pylist() == ["0", "1", "2", "3", "4"]
    assert table_of(write(tmp_path / "c.json", coco())).column_names == ["image_id", "id", "caption", "url", "file_name"]
    assert table_of(write(tmp_path / "d.json", sbu()))["user_id"].to_pylist() == [f"u{image}" for image in OF_IMAGE]


# bounds


@pytest.mark.parametrize("name", ["coco", "sbu"])
def test_what_is_held_is_bounded_and_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(annotations, "MOST_HELD", 100)
    refused(write(tmp_path / "a.json", JSON[name]), "must be held", "cut the file into several")


def test_the_number_of_records_is_estimated_though_captions_come_last(tmp_path: Path) -> None:
    images = [
        {"id": i, "file_name": f"{i:012d}.jpg", "coco_url": f"http://images.example/{i:012d}.jpg", "license": 4} for i in range(40_000)
    ]
    several = [{"image_id": i % 40_000, "id": i, "caption": f"{CAPTIONS[i % 5]} that looks at {i}"} for i in range(200_000)]
    (shard,) = cut(files_of(write(tmp_path / "a.json", coco(images=images, annotations=several))))
    assert shard.file.size > 8 << 20
    assert 0.4 < estimate_rows(shard) / 200_000 < 2.5


# of any content

value = st.none() | st.integers(0, 3) | st.text("ab\u00e9", max_size=3) | st.lists(st.integers(), max_size=1)


@some
@given(
    st.lists(st.fixed_dictionaries({}, optional={"id": value, "file_name": value, "coco_url": value}) | value, max_size=6),
    st.lists(st.fixed_dictionaries({}, optional={"image_id": value, "caption": value}) | value, max_size=6),
    st.booleans(),
)
def test_of_any_images_and_annotations_each_annotation_is_a_pair_or_a_drop(
    tmp_path: Path, images: list[Any], given_annotations: list[Any], images_first: bool
) -> None:
    first = {"images": [{"id": -1, "file_name": "x"}, *images]}
    last = {"annotations": [{"image_id": -1, "caption": "first"}, *given_annotations]}
    outcome = read(write(tmp_path / "a.json", first | last if images_first else last | first))
    known: dict[Any, Any] = {}
    for image in first["images"]:
        if isinstance(image, dict) and isinstance(image.get("id"), int | str):
            url, name = image.get("coco_url"), image.get("file_name")
            if isinstance(url, str | None) and isinstance(name, str | None) and (url or name):
                known.setdefault(image["id"], (url, name))
    expected = [
        (known[one["image_id"]], one["caption"])
        for one in last["annotations"]
        if isinstance(one, dict)
        and isinstance(one.get("image_id"), int | str)
        and one["image_id"] in known
        and isinstance(one.get("caption"), str)
    ]
    assert outcome.texts == [caption for _, caption in expected]
    assert outcome.uids == [
        hashed([url if url is not None else name], [caption], "url" if url is not None else "key")[0] for (url, name), caption in expected
    ]
    assert len(outcome.texts) + len(outcome.drops) == outcome.records == len(last["annotations"])


@some
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
        | st.builds("{}.jpg#{}\t{}".format, st.text("ab ", max_size=3), st.integers(0), st.text("xy\t#\r", max_size=4)),
        max_size=8,
    )
)
def test_of_any_lines_each_is_a_pair_or_a_drop(tmp_path: Path, lines: list[str]) -> None:
    text = "x.jpg#0\tfirst\n" + "".join(f"{line}\n" for line in lines)
    outcome = read(write(tmp_path / "a.txt", text), format="flickr")
    whole = text.encode().split(b"\n")[:-1]
    assert sorted(outcome.rows + [drop.row for drop in outcome.drops]) == list(range(len(whole)))
    for row, caption in zip(outcome.rows, outcome.texts, strict=True):
        image, _, rest = whole[row].decode().removesuffix("\r").partition("\t")
        assert image.rpartition("#")[2].isdigit()
        assert caption == rest


def test_real_captions_of_coco_are_read_like_their_file_says(shared_data: Path) -> None:
    outcome = read(shared_data / "captions" / "coco-captions_val2017.json.gz")
    assert (outcome.records, len(outcome.texts), outcome.drops) == (25_014, 25_014, [])
    assert len(set(outcome.uids)) > 24_900
