"""Plain text, JSON lines and JSON lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.pool import lines, names, reading, records
from tests.pool.tools import batches_of, hashed, json_lines, packed, read, refused, refused_option, table_of

ITEMS = [{"url": f"http://a.example/{i}", "caption": f"caption {i}", "width": i} for i in range(5)]
TEXTS = [item["caption"] for item in ITEMS]
SUFFIXES = ["", ".gz", ".zst", ".bz2"]


def write(path: Path, content: str | bytes) -> Path:
    return packed(path, content.encode() if isinstance(content, str) else content)


def as_list(items: list[Any], **options: Any) -> bytes:
    return json.dumps(items, **options).encode()


# text


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_text_file_is_a_caption_a_line(tmp_path: Path, suffix: str) -> None:
    outcome = read(write(tmp_path / f"a.txt{suffix}", "a dog\r\n\na cat"))
    assert (outcome.texts, outcome.rows) == (["a dog", "", "a cat"], [0, 1, 2])
    assert outcome.uids == hashed(None, outcome.texts)


def test_lines_that_are_not_utf8_are_dropped_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    outcome = read(write(tmp_path / "a.txt", b"a dog\ncaf\xe9\na cat\n"))
    assert (outcome.texts, outcome.rows) == (["a dog", "a cat"], [0, 2])
    assert [tuple(drop) for drop in outcome.drops] == [("not UTF-8", 1, "b'caf\\xe9'")]


def test_a_byte_order_mark_is_no_part_of_the_first_caption(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.txt", b"\xef\xbb\xbfa dog\n")).texts == ["a dog"]


def test_the_column_of_a_text_file_can_have_another_name(tmp_path: Path) -> None:
    assert table_of(write(tmp_path / "a.txt", "a dog\n"), caption="words").column_names == ["words"]
    refused_option(tmp_path / "a.txt", "no column 'link' for --url-column", url="link")


# JSON


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("form", ["lines", "list", "indented list"])
def test_json_is_an_object_a_line_or_one_list(tmp_path: Path, suffix: str, form: str) -> None:
    content = {"lines": json_lines(ITEMS), "list": as_list(ITEMS), "indented list": b"\n" + as_list(ITEMS, indent=2) + b"\n"}[form]
    for name in ("a.json", "a.jsonl", "a.ndjson"):
        outcome = read(write(tmp_path / f"{name}{suffix}", content))
        assert outcome.layouts == ["CC3M and CC12M: caption = caption, url = url"]
        assert (outcome.texts, outcome.rows, outcome.drops) == (TEXTS, [0, 1, 2, 3, 4], [])


def test_metaclips_own_form_is_read(tmp_path: Path) -> None:
    items = [
        {"uuid": "0" * 24, "url": "http://a.example/1", "texts": [["alt", "a dog"], ["title", "a cat"]]},
        {"uuid": "1" * 24, "url": "http://a.example/2", "texts": [["alt", "a bird"]]},
    ]
    outcome = read(write(tmp_path / "a.json", as_list(items)))
    assert outcome.layouts == ["MetaCLIP: caption = texts, url = url"]
    assert (outcome.texts, outcome.rows) == (["a dog", "a cat", "a bird"], [0, 0, 1])
    assert outcome.uids == hashed(["http://a.example/1", "http://a.example/1", "http://a.example/2"], outcome.texts)


def test_names_are_looked_for_in_more_than_the_first_object(tmp_path: Path) -> None:
    content = json_lines([{"width": 1}, {"text": "a dog"}, {"url": "http://a.example/1"}])
    outcome = read(write(tmp_path / "a.jsonl", content))
    assert outcome.layouts == ["COYO: caption = text, url = url"]
    assert (outcome.texts, outcome.reasons) == (["a dog"], ["no caption", "no caption"])


def test_a_column_that_a_whole_batch_lacks_is_null_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RECORDS_AT_ONCE", 2)
    content = json_lines([*ITEMS[:2], {"caption": "without"}, {"caption": "without"}, {"url": "http://a.example/5"}])
    outcome = read(write(tmp_path / "a.jsonl", content))
    assert outcome.texts == [*TEXTS[:2], "without", "without"]
    assert outcome.uids[2:] == hashed(None, ["without"] * 2)


def test_bad_lines_are_dropped_by_reason_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    bad = {
        b"": "empty line",
        b"{": "not JSON",
        b'"a dog"': "not a JSON object",
        b'{"caption": "\xff"}': "not UTF-8",
        b'{"caption": "\\ud800"}': "not UTF-8",
        b'{"caption": 5}': "caption is not text",
        b'{"caption": NaN}': "caption is not text",
        b'{"caption": "a", "url": 5}': "address is not text",
        b'{"caption": null}': "no caption",
        b"{}": "no caption",
        b"[" * 50_000: "not JSON",
    }
    content = b"".join(b'{"caption": "%d"}\n' % i + line + b"\n" for i, line in enumerate(bad))
    outcome = read(write(tmp_path / "a.jsonl", content))
    assert outcome.texts == [str(i) for i in range(len(bad))]
    assert outcome.rows == list(range(0, 2 * len(bad), 2))
    assert dict(sorted((drop.row, drop.reason) for drop in outcome.drops)) == dict(
        zip(range(1, 2 * len(bad), 2), bad.values(), strict=True)
    )
    assert all(len(drop.sample) < 1000 for drop in outcome.drops)


def test_bad_items_of_a_list_are_dropped_by_reason_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    content = b'[{"caption": "a"}, 5, {"caption": "\xff"}, {"caption": "\\ud800"}, {"caption": "b", "x": NaN}, null, {"caption": "c"}]'
    outcome = read(write(tmp_path / "a.json", content))
    assert (outcome.texts, outcome.rows) == (["a", "b", "c"], [0, 4, 6])
    assert sorted((drop.row, drop.reason) for drop in outcome.drops) == [
        (1, "not a JSON object"),
        (2, "not UTF-8"),
        (3, "not UTF-8"),
        (5, "not a JSON object"),
    ]


def test_a_caption_of_ten_megabytes_is_one(tmp_path: Path) -> None:
    large = "dog " * 2_600_000
    items = [{"caption": "before"}, {"caption": large}, {"caption": "after"}]
    for path in (
        write(tmp_path / "a.jsonl", json_lines(items)),
        write(tmp_path / "a.json", as_list(items)),
        write(tmp_path / "a.txt", f"before\n{large}\nafter\n"),
    ):
        outcome = read(path)
        assert [len(text) for text in outcome.texts] == [6, len(large), 5]
        assert outcome.rows == [0, 1, 2]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json"])
def test_batches_of_large_texts_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for module in (records, lines):
        monkeypatch.setattr(module, "BYTES_AT_ONCE", 10_000)
    texts = [f"{i} " * 1000 for i in range(50)]
    items = [{"caption": text} for text in texts]
    content = {"a.txt": "\n".join(texts).encode(), "a.jsonl": json_lines(items), "a.json": as_list(items)}[name]
    batches = batches_of(write(tmp_path / name, content))
    assert max(batch.table.nbytes for batch in batches) < 15_000
    assert [row for batch in batches for row in batch.rows] == list(range(50))


@pytest.mark.parametrize("form", ["lines", "list"])
def test_where_a_file_is_cut_into_chunks_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    items = [*ITEMS, {"caption": "\u00e9\U0001f600 \\ud83d", "x": [1.5e-3, {"a": "]}"}]}, 12345, {"caption": "end"}]
    path = write(tmp_path / "a.json", json_lines(items) if form == "lines" else as_list(items, ensure_ascii=False, indent=1))
    whole = batches_of(path)
    for chunk in range(1, 40):
        monkeypatch.setattr(reading, "CHUNK", chunk)
        parts = batches_of(path)
        assert [part.table.to_pylist() for part in parts] == [part.table.to_pylist() for part in whole]
        assert [part.drops for part in parts] == [part.drops for part in whole]


def test_reading_twice_gives_the_same_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RECORDS_AT_ONCE", 7)
    content = json_lines([{"caption": f"{i}", "x": [i, "x", None, {"a": i}][i % 4]} if i % 5 else i for i in range(50)])
    path = write(tmp_path / "a.jsonl", content)
    once, twice = batches_of(path), batches_of(path)
    assert len(once) > 5
    assert [(r.rows.tolist(), r.table.to_pylist(), r.drops) for r in once] == [
        (r.rows.tolist(), r.table.to_pylist(), r.drops) for r in twice
    ]


# names that come late

EARLY = [{"caption": f"caption {i}"} for i in range(names.LOOKED_AT)]
FORMS = {"a.jsonl": (json_lines, "line"), "a.json": (as_list, "item")}


@pytest.mark.parametrize("name", FORMS)
def test_a_column_named_by_flag_may_come_late(tmp_path: Path, name: str) -> None:
    items = [*EARLY, {"caption": "a dog", "link": "http://a"}]
    path = write(tmp_path / name, FORMS[name][0](items))
    assert read(path).uids == hashed(None, [item["caption"] for item in items])
    assert read(path, url="link").uids == [*hashed(None, [item["caption"] for item in EARLY]), *hashed(["http://a"], ["a dog"])]
    assert read(path, caption="link").texts == ["http://a"]


@pytest.mark.parametrize("name", FORMS)
def test_a_column_named_by_flag_that_never_comes_fails_the_file(tmp_path: Path, name: str) -> None:
    write_items, called = FORMS[name]
    refused(write(tmp_path / name, write_items([*EARLY, {}])), f"no {called} has the 'lnk' of --url-column", "caption", url="lnk")
    refused_option(write(tmp_path / name, write_items(EARLY[1:])), "no column 'lnk' for --url-column", url="lnk")


LATE = [("url", "url", {}), ("uid", "uid", {}), ("texts", "caption", {"url": "http://a"}), ("text", "caption", {"url": "http://a"})]


@pytest.mark.parametrize(("late", "role", "with_"), LATE, ids=[late for late, _, _ in LATE])
@pytest.mark.parametrize("name", FORMS)
def test_a_name_that_would_have_had_a_role_is_not_passed_over_when_it_comes_late(
    tmp_path: Path, name: str, late: str, role: str, with_: dict[str, Any]
) -> None:
    write_items, called = FORMS[name]
    items = [*({**item, **with_} for item in EARLY), {"caption": "a dog", "width": 5}, {"caption": "a cat", late: "x"}]
    path = write(tmp_path / name, write_items(items))
    error = refused(path, f"{called} 1,002 is the first with '{late}', which would be the {role}")
    assert f"--{role}-column {late}" in str(error.hint)
    assert len(read(path, **{role: late}).texts) == (1 if role == "caption" else len(items))
    if role == "caption":
        assert "--caption-column caption" in str(error.hint)
        assert len(read(path, caption="caption").texts) == len(items)


def test_a_name_without_a_role_may_come_at_any_time(tmp_path: Path) -> None:
    items = [*ITEMS * 201, *({"caption": "a dog", "url": "http://a", f"more {i}": i} for i in range(50)), {"alt": "a cat"}]
    outcome = read(write(tmp_path / "a.jsonl", json_lines(items)))
    assert (outcome.records, outcome.reasons) == (len(items), ["no caption"])


# what is wrong with a file


@pytest.mark.parametrize("name", ["a.txt", "a.json", "a.jsonl"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_fails_with_its_name(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"{name}{suffix}"
    refused(write(path, b""), "the file is empty")
    path.write_bytes(b"")
    refused(path, "the file is empty")


@pytest.mark.parametrize("name", ["a.txt", "a.json"])
@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_a_truncated_or_damaged_compressed_file_fails_with_its_name(tmp_path: Path, name: str, suffix: str) -> None:
    path = write(tmp_path / f"{name}{suffix}", json_lines(ITEMS * 1000))
    content = path.read_bytes()
    for length in (1, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path, "cut short or damaged")
    path.write_bytes(content + b"and more")
    refused(path)


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_compressed_files_that_were_joined_are_read_whole(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.jsonl{suffix}", json_lines(ITEMS))
    path.write_bytes(path.read_bytes() * 2)
    assert read(path).texts == TEXTS * 2


@pytest.mark.parametrize("name", ["a.txt", "a.json"])
@pytest.mark.parametrize("content", [b"<html><body>404", b"PAR1\x15\x00", b"\x1f\x8b\x08\x00", b"\xff\xfea\x00"])
def test_a_file_of_another_kind_fails_with_what_it_looks_like(tmp_path: Path, name: str, content: bytes) -> None:
    refused(write(tmp_path / name, content), "the file begins like ")


def test_a_caption_in_angle_brackets_is_no_web_page(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.txt", "<PERSON> at the gala\n<headline>\n")).texts == ["<PERSON> at the gala", "<headline>"]


@pytest.mark.parametrize("content", [b"[1, 2]", b"a dog\na cat\n", b'{\n "images": [\n  1\n ]\n}\n'])
def test_json_without_an_object_fails_with_its_name(tmp_path: Path, content: bytes) -> None:
    refused(write(tmp_path / "a.json", content), "no JSON object in it", "an object a line, or one list of objects")


@pytest.mark.parametrize("content", [b"[]", b" [\n]\n"])
def test_an_empty_list_has_no_records_as_a_table_may(tmp_path: Path, content: bytes) -> None:
    outcome = read(write(tmp_path / "a.json", content))
    assert (outcome.records, outcome.layouts) == (0, ["an empty list: caption = caption"])


def test_a_list_cut_short_anywhere_fails_with_its_place(tmp_path: Path) -> None:
    content = as_list(ITEMS)
    for length in range(len(as_list(ITEMS[:2])), len(content)):
        refused(write(tmp_path / "a.json", content[:length]), r"cut short or broken after [2345] items")


def test_a_list_that_is_broken_inside_fails_with_its_place_and_is_not_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LARGEST", 1000)
    monkeypatch.setattr(reading, "CHUNK", 100)
    content = as_list(ITEMS)[:-1] + b", {broken}, " + as_list(ITEMS * 1000)[1:]
    refused(write(tmp_path / "a.json", content), "cut short or broken after 5 items")


@pytest.mark.parametrize("more", [as_list(ITEMS), b"{}", b"x"])
def test_what_comes_after_a_list_fails_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: bytes) -> None:
    path = write(tmp_path / "a.json", as_list(ITEMS) + b"\n" + more)
    refused(path, "something after the end of its list")
    monkeypatch.setattr(reading, "CHUNK", len(as_list(ITEMS)))
    refused(path, "something after the end of its list")


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_line_larger_than_any_caption_fails_the_file_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(reading, "LARGEST", 1000)
    monkeypatch.setattr(reading, "CHUNK", 64)
    refused(write(tmp_path / name, b'{"caption": "a dog"}\n' + b"x" * 2000), "line 2 is larger")


def test_a_file_that_is_gone_fails_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"gone\.jsonl"):
        lines.json_names(str(tmp_path / "gone.jsonl"))


# laws

pieces = st.sampled_from(
    [b"{}", b'{"caption":"a"}', b'{"caption":"a","url":"u"}', b"\n", b"\r", b"\xff", b"\xc3\xa9", b'"', b"{", b"}", b"[", b"5", b" "]
)


@given(content=st.lists(pieces, max_size=30).map(b"".join), name=st.sampled_from(["a.txt", "a.jsonl"]), chunk=st.integers(1, 40))
def test_of_any_bytes_every_line_is_a_pair_or_a_drop(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str, chunk: int
) -> None:
    content = b'{"caption":"first"}\n' + content
    path = write(tmp_path_factory.mktemp("any") / name, content)
    whole = read(path)
    count = content.count(b"\n") + (not content.endswith(b"\n"))
    assert whole.records == count
    assert sorted([*whole.rows, *(drop.row for drop in whole.drops)]) == list(range(count))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK", chunk)
        assert read(path) == whole


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(st.characters(codec=None), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(st.sampled_from(["caption", "url", "key", "status", "x"]), values, max_size=4)


@given(items=st.lists(objects | values, max_size=10), form=st.sampled_from([json_lines, as_list]))
def test_of_any_json_every_value_is_a_pair_or_a_drop(tmp_path_factory: pytest.TempPathFactory, items: list[Any], form: Any) -> None:
    items = [{"caption": "first"}, *items]
    outcome = read(write(tmp_path_factory.mktemp("json") / "a.json", form(items)))
    assert outcome.records == len(items)
    assert {*outcome.rows, *(drop.row for drop in outcome.drops)} == set(range(len(items)))


def test_real_json_is_read_like_its_file_says(shared_data: Path) -> None:
    path = shared_data / "images" / "coco-mini-ccby.jsonl"
    items = [json.loads(line) for line in path.read_text().splitlines()]
    outcome = read(path, caption="captions")
    assert outcome.texts == [text for item in items for text in item["captions"]]
