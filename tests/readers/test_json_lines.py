"""Plain text, JSON lines and JSON lists."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.readers import content as content_module
from tallyclip.readers import field_names, formats, records
from tallyclip.readers import json_lines as json_lines_module
from tallyclip.readers import values as values_module
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.records import Drop, unify
from tests.readers.tools import batches_of, hashed, json_lines, packed, read, refused, refused_option, table_of

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
    assert outcome.drops == [Drop("not UTF-8", 1, "b'caf\\xe9'")]


def test_a_byte_order_mark_is_not_part_of_the_first_caption(tmp_path: Path) -> None:
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
        b'{"caption": "a", "url": 5}': "URL is not text",
        b'{"caption": null}': "no caption",
        b"{}": "no caption",
        b"[" * 50_000: "nested too deeply",
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
    for module in (records, json_lines_module):
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
        monkeypatch.setattr(content_module, "CHUNK", chunk)
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


# odd items of a list

BAD_ITEMS = {
    b"{broken}": "not JSON",
    b"undefined": "not JSON",
    b"{'caption': 'quoted otherwise'}": "not JSON",
    b'{"caption": "a raw\nline break, and a bracket ]"}': "not JSON",
    b'{"caption": "a bad \\x escape", "more": ["}", "]", "\\""]}': "not JSON",
    b'{"caption": ' + b"1" * 5000 + b"}": "not JSON",
    b'{"caption": "a dog", "x": ' + b"[" * 2000 + b"]" * 2000 + b"}": "nested too deeply",
    b"[" * 50_000 + b"]" * 50_000: "nested too deeply",
    b'{"caption": "a dog", "x": ' + b'{"x":' * 850 + b"1" + b"}" * 851: "nested too deeply",
    b'{"caption": "\xff"}': "not UTF-8",
    b"12.5e3": "not a JSON object",
    b"-Infinity": "not a JSON object",
    b'"a string, with ] and }"': "not a JSON object",
    b'["a", ["list"]]': "not a JSON object",
}


@pytest.mark.parametrize("form", ["lines", "list"])
def test_odd_items_are_dropped_by_reason_in_a_list_as_in_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    bad = {item: reason for item, reason in BAD_ITEMS.items() if form == "list" or b"\n" not in item}
    items = [part for i, item in enumerate(bad) for part in (b'{"caption": "%d"}' % i, item)]
    path = write(tmp_path / "a.json", b"\n".join(items) if form == "lines" else b"[" + b" ,\n".join(items) + b"]")
    outcomes = []
    for chunk in (8 << 20, 4096, 7, 1) if form == "list" else (8 << 20, 4096):
        monkeypatch.setattr(content_module, "CHUNK", chunk)
        outcomes.append(read(path))
    outcome = outcomes[0]
    assert outcome.texts == [str(i) for i in range(len(bad))]
    assert dict(sorted((drop.row, drop.reason) for drop in outcome.drops)) == dict(enumerate_odd(bad.values()))
    assert all(len(drop.sample) < 1000 for drop in outcome.drops)
    assert all(other == outcome for other in outcomes)


def enumerate_odd(reasons: Iterable[str]) -> Iterator[tuple[int, str]]:
    return ((2 * i + 1, reason) for i, reason in enumerate(reasons))


def test_a_number_is_one_item_wherever_a_chunk_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.json", b'[{"caption": "a"}, 12.5e-3, {"caption": "b"}]')
    for chunk in range(1, 50):
        monkeypatch.setattr(content_module, "CHUNK", chunk)
        assert read(path).rows == [0, 2]


def test_a_list_of_nothing_but_broken_items_is_read_in_steps_that_grow_with_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned = 0
    after = values_module._after

    def counted(pattern: Any, text: str, place: int) -> int:
        nonlocal scanned
        end = after(pattern, text, place)
        scanned += end - place + 1
        return end

    monkeypatch.setattr(values_module, "_after", counted)
    monkeypatch.setattr(content_module, "CHUNK", 1000)
    for item in (b"x", b"}", b'{"a": nul}', b'"' + b"\\x" * 300 + b'"', b"[" * 3000 + b"]" * 3000, b'{"a": "' + b"x" * 20_000 + b'\n"}'):
        content = b'[{"caption": "a dog"},' + (item + b",") * (100_000 // len(item)) + b'{"caption": "a cat"}]'
        scanned = 0
        assert read(write(tmp_path / "a.json", content)).texts == ["a dog", "a cat"]
        assert scanned < 6 * len(content)  # over two readings, one for the names


def test_a_list_that_is_cut_within_a_broken_item_fails(tmp_path: Path) -> None:
    for item in (b"{broken", b"[" * 2000, b'"no end', b"{'a': [1}"):
        refused(write(tmp_path / "a.json", as_list(ITEMS)[:-1] + b"," + item), "list is cut short or broken after 5 items")


# odd things that objects and lines may have


def test_odd_json_is_read_dropped_or_refused_and_never_fails_otherwise(tmp_path: Path) -> None:
    good = {
        b'{"caption": "a", "caption": "b"}': "b",  # as Python reads it
        b'{"caption": "a", "": 1}': "a",
        b'{"caption": "a", "n\\u0000ul": 1}': "a",
        b'{"caption": "a", "\\u001b[31m": 1}': "a",
        b'{"caption": "a", "x": NaN, "y": -Infinity, "z": 1e999}': "a",
        b'{"caption": "a", "x": ' + b"9" * 300 + b"}": "a",
        b'  {"caption": "a"} \r': "a",
    }
    bad = {b"\0\0\0": "not JSON", b'{"caption": "a"}{"caption": "b"}': "not JSON", b'[["alt", "a"]]': "not a JSON object"}
    content = b'\xef\xbb\xbf{"caption": "first"}\n' + b"\n".join([*good, *bad])
    outcome = read(write(tmp_path / "a.jsonl", content))
    assert outcome.texts == ["first", *good.values()]
    assert outcome.reasons == list(bad.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{\n "caption": "a dog"\n}\n{\n "caption": "a cat"\n}\n', "no line of it is a JSON object; the first is '{'"),
        (b'{"caption": "a"}{"caption": "b"}', 'no line of it is a JSON object; the first is \'{"caption": '),
        (b'[[{"caption": "a"}]]', "no item of it is a JSON object; the first is [{'caption': 'a'}]"),
    ],
)
def test_objects_in_another_form_are_refused_with_the_forms_there_are_and_a_way_out(tmp_path: Path, content: bytes, said: str) -> None:
    assert "jq -c ." in str(refused(write(tmp_path / "a.json", content), re.escape(said)).hint)


@pytest.mark.parametrize(("name", "content"), [("a.json", b"{}"), ("a.jsonl", b"{}\n{}\n"), ("b.json", b"[{}, {}]")])
def test_a_file_of_empty_objects_is_refused_as_such(tmp_path: Path, name: str, content: bytes) -> None:
    refused(write(tmp_path / name, content), "its JSON objects are empty")


def test_a_file_of_nulls_is_refused_as_such(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.json", b"[null]"), "no item of it is a JSON object; the first is None")


def test_a_file_that_is_one_object_of_columns_is_refused_with_a_way_out(tmp_path: Path) -> None:
    columns = {"url": ["http://a", "http://b"], "caption": ["a dog", "a cat"]}
    by_index = {name: dict(enumerate(values)) for name, values in columns.items()}
    for content in (columns, by_index):
        error = refused_option(
            write(tmp_path / "a.json", json.dumps(content).encode()), "the file is one object whose values are whole columns"
        )
        assert "orient='records', lines=True" in str(error.hint)


def test_columns_are_shown_with_their_kinds_and_an_example_few_of_many(tmp_path: Path) -> None:
    item = {"ids": [1, 2], "words": "a dog", "\x1b[31mred\n": 5, "meta": {"a": 1}, "x": None, **{f"n{i:03}": i for i in range(500)}}
    error = refused_option(write(tmp_path / "a.jsonl", json_lines([item, {"x": 0.5}])), "no caption column found")
    message = str(error)
    assert "ids (list: [1, 2]); words (text: 'a dog'); \\x1b[31mred\\n (number: 5); meta (object: {'a': 1}); x (number: 0.5)" in message
    assert message.count("(number: ") < 25
    assert "and 485 more" in message
    assert "\x1b" not in message


# many names


@pytest.mark.parametrize("form", ["a.jsonl", "a.json"])
@pytest.mark.parametrize("early", [True, False])
def test_more_names_than_a_table_should_have_columns_fail_the_file(tmp_path: Path, form: str, early: bool) -> None:
    items = [{"caption": "a dog"}] * (0 if early else 1500) + [{"caption": "a dog", f"k{i}": 1} for i in range(field_names.MOST_NAMES)]
    path, called = write(tmp_path / form, FORMS[form][0](items)), FORMS[form][1]
    error = refused(path, f"more than 1,000 different field names up to {called} {1000 if early else 2500:,}: caption, k0, k1, k10, k100,")
    assert len(str(error)) < 700
    assert "kept as JSON text" in str(error.hint)
    assert len(read(write(tmp_path / form, FORMS[form][0](items[:-1]))).texts) == len(items) - 1


def test_one_object_with_many_names_fails_the_file_too(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.jsonl", json_lines([{f"k{i}": "a dog" for i in range(20_000)}])), "up to line 1: ")


def test_a_nested_object_may_have_any_number_of_names(tmp_path: Path) -> None:
    items = [{"caption": "a dog", "meta": {f"k{i}": 1}} for i in range(5000)]
    assert table_of(write(tmp_path / "a.jsonl", json_lines(items))).column_names == ["caption", "meta"]


def test_a_table_has_a_bounded_number_of_cells_and_rows_keep_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.jsonl", json_lines([{"caption": f"{i}", f"k{i % 99}": i} if i % 7 else i for i in range(500)]))
    whole = batches_of(path)
    monkeypatch.setattr(records, "CELLS_AT_ONCE", 1000)
    parts = batches_of(path)
    schema = unify([part.table.schema for part in parts])
    again = batches_of(path, schema=schema)
    assert len(whole) == 1
    for found in (parts, again):
        assert max(part.table.num_rows * part.table.num_columns for part in found) <= 1000
        assert [row for part in found for row in part.rows] == whole[0].rows.tolist()
        assert [drop for part in found for drop in part.drops] == whole[0].drops
    assert [row["caption"] for part in again for row in part.table.to_pylist()] == whole[0].table["caption"].to_pylist()


def test_names_of_their_own_in_every_object_of_people_fail_their_file(shared_data: Path) -> None:
    folder = shared_data / "cases" / "33-json-many-names"
    refused(folder / "a.jsonl", "more than 1,000 different field names")
    refused(shared_data / "cases" / "35-json-odd-item" / "u2000.jsonl", "more than 1,000 different field names")
    assert len(set(read(folder / "z.jsonl").texts)) == 1


# keys and their captions, as in MetaCLIP v2

KEYED = {f"{i:024x}": [["alt", f"a dog {i}", "en"], ["title", f"ein Hund {i}", "de"]][: 1 + i % 2] for i in range(5)}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("form", ["one object", "indented", "an object a line"])
def test_an_object_of_keys_and_their_texts_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, form: str) -> None:
    objects = [{key: texts} for key, texts in KEYED.items()] if form == "an object a line" else [KEYED]
    content = b"\n".join(json.dumps(one, indent=1 if form == "indented" else None).encode() for one in objects)
    for chunk in (8 << 20, 100, 3):
        path = write(tmp_path / f"a.json{suffix}", content)
        if chunk > 100 or not suffix:
            whole = read(path)
        assert whole.layouts == ["MetaCLIP v2: caption = texts, key = uuid"]
        assert whole.texts == [text for texts in KEYED.values() for _, text, _ in texts]
        assert whole.uids == hashed([key for key, texts in KEYED.items() for _ in texts], whole.texts, "key")
        monkeypatch.setattr(content_module, "CHUNK", max(chunk, 300))  # which must hold a first key and its texts


def test_odd_members_of_keyed_texts_are_dropped_by_reason(tmp_path: Path) -> None:
    first = json.dumps(KEYED).encode()[:-1]
    more = b', "a": {broken}, "b": 5, "c": [], "d": [["alt", 5, "en"]], "e": null, 7: "x", "f": [["alt", "last"]]'
    more += b', "g": "text", "h": [["alt", "h"]]}'
    # All objects that are looked at to detect the form must be of this form.
    start = json.dumps({f"k{i}": [["alt", "a dog", None]] for i in range(formats.LOOKED_AT)}).encode()[:-1] + b","
    outcome = read(write(tmp_path / "a.json", start + first[1:] + more))
    assert outcome.texts[-2:] == ["last", "h"]
    assert Counter(outcome.reasons) == {"not JSON": 3, "caption is not text": 3, "no caption": 2}


@pytest.mark.parametrize("chunk", [8 << 20, 300, 331])
def test_a_text_among_keyed_texts_is_one_drop_and_its_neighbours_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    members = {f"k{i}": [["alt", f"caption {i}"]] for i in range(2000)}
    odd = members | {"version": "1.0", "license": 'CC0 ": ['} | {f"l{i}": [["alt", f"last {i}"]] for i in range(9)}
    path = write(tmp_path / "a.json", json.dumps(odd | {"end": "of file"}).encode())
    monkeypatch.setattr(content_module, "CHUNK", chunk)
    outcome = read(path)
    assert outcome.texts == [f"caption {i}" for i in range(2000)] + [f"last {i}" for i in range(9)]
    assert [(drop.row, drop.reason) for drop in outcome.drops] == [(row, "caption is not text") for row in (2000, 2001, 2011)]
    assert "'uuid': 'version', 'texts': '1.0'" in outcome.drops[0].sample


@pytest.mark.parametrize("cut", [10, 200, -1])
def test_an_object_of_keyed_texts_that_is_cut_short_fails(tmp_path: Path, cut: int) -> None:
    start = json.dumps({f"k{i}": [["alt", "a dog", None]] for i in range(20)}).encode()
    refused(write(tmp_path / "a.json", start[:cut] if cut > 100 or cut < 0 else start[:-cut]), "object is cut short or broken after ")


@pytest.mark.parametrize("content", [json_lines([{"texts": [["alt", "a dog"]]}]), json_lines([{"words": [["alt", "a dog"]], "n": 1}] * 3)])
def test_objects_whose_first_value_looks_like_keyed_texts_are_records_as_ever(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "a.jsonl", content)
    caption = "texts" if b"texts" in content else "words"
    assert set(read(path, caption=caption).texts) == {"a dog"}
    assert read(path, caption=caption).uids == hashed(None, read(path, caption=caption).texts)
    if caption == "words":
        refused_option(path, "no caption column found among: words ")


# names that appear late

EARLY = [{"caption": f"caption {i}"} for i in range(field_names.LOOKED_AT)]
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
    refused(write(tmp_path / name, write_items([*EARLY, {}])), rf"no {called} has a field 'lnk' \(--url-column\)", "caption", url="lnk")
    refused_option(write(tmp_path / name, write_items(EARLY[1:])), "no column 'lnk' for --url-column", url="lnk")


LATE = [("url", "url", {}), ("uid", "uid", {}), ("texts", "caption", {"url": "http://a"}), ("text", "caption", {"url": "http://a"})]


@pytest.mark.parametrize(("late", "role", "with_"), LATE, ids=[late for late, _, _ in LATE])
@pytest.mark.parametrize("name", FORMS)
def test_a_name_that_would_have_had_a_role_is_not_ignored_when_it_appears_late(
    tmp_path: Path, name: str, late: str, role: str, with_: dict[str, Any]
) -> None:
    write_items, called = FORMS[name]
    items = [*({**item, **with_} for item in EARLY), {"caption": "a dog", "width": 5}, {"caption": "a cat", late: "x"}]
    path = write(tmp_path / name, write_items(items))
    error = refused(path, f"{called} 1,002 is the first with a field '{late}', which would be the {role} column")
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


def test_a_caption_in_angle_brackets_is_not_a_web_page(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.txt", "<PERSON> at the gala\n<headline>\n")).texts == ["<PERSON> at the gala", "<headline>"]


@pytest.mark.parametrize("content", [b"[1, 2]", b"a dog\na cat\n", b'{\n "images": [\n  1\n ]\n}\n'])
def test_json_without_an_object_fails_with_its_name(tmp_path: Path, content: bytes) -> None:
    refused(write(tmp_path / "a.json", content), "is a JSON object", "one object per line, or one list of objects")


@pytest.mark.parametrize("content", [b"[]", b" [\n]\n"])
def test_an_empty_list_has_no_records_as_a_table_may(tmp_path: Path, content: bytes) -> None:
    outcome = read(write(tmp_path / "a.json", content))
    assert (outcome.records, outcome.layouts) == (0, ["an empty list: caption = caption"])


def test_a_list_cut_short_anywhere_fails_with_its_place(tmp_path: Path) -> None:
    content = as_list(ITEMS)
    for length in range(len(as_list(ITEMS[:2])), len(content)):
        refused(write(tmp_path / "a.json", content[:length]), r"cut short or broken after [2345] items")


def test_a_list_that_is_broken_inside_fails_with_its_place_and_is_not_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values_module, "LARGEST", 1000)
    monkeypatch.setattr(content_module, "CHUNK", 100)
    content = as_list(ITEMS)[:-1] + b', {"never": ["closed, ' + as_list(ITEMS * 1000)[1:]
    refused(write(tmp_path / "a.json", content), "cut short or broken after 5 items")


@pytest.mark.parametrize("more", [as_list(ITEMS), b"{}", b"x"])
def test_what_comes_after_a_list_fails_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: bytes) -> None:
    path = write(tmp_path / "a.json", as_list(ITEMS) + b"\n" + more)
    refused(path, "data after the end of the JSON list")
    monkeypatch.setattr(content_module, "CHUNK", len(as_list(ITEMS)))
    refused(path, "data after the end of the JSON list")


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_line_larger_than_any_caption_fails_the_file_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(content_module, "LARGEST", 1000)
    monkeypatch.setattr(content_module, "CHUNK", 64)
    refused(write(tmp_path / name, b'{"caption": "a dog"}\n' + b"x" * 2000), "line 2 is larger")


def test_a_file_that_is_gone_fails_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"gone\.jsonl"):
        json_lines_module.json_names(str(tmp_path / "gone.jsonl"), ColumnChoice())


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
        patch.setattr(content_module, "CHUNK", chunk)
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
