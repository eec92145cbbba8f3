from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import ahocorasick
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tallyclip as tc
from tallyclip.match.kernel import BLOCK_BYTES
from tallyclip.match.reference import RULES, Mode
from tallyclip.match.spacing import BLANKS, PUNCTUATION
from tallyclip.match.words import SPREAD_2

from .strategies import entry_lists, texts

MODES: tuple[Mode, ...] = get_args(Mode)


def assert_same(found: tc.Matches, expected: tc.Matches) -> None:
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    np.testing.assert_array_equal(found.entry_ids, expected.entry_ids)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=300, deadline=None)
@given(entries=entry_lists(), captions=st.lists(st.none() | texts(), max_size=12))
def test_the_compiled_matcher_gives_what_the_rule_gives(mode: Mode, entries: list[str], captions: list[str | None]) -> None:
    metadata = tc.Metadata(entries)
    assert_same(tc.Matcher(metadata, mode).match(captions), tc.match_reference(captions, metadata, mode))


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=30, deadline=None)
@given(entries=entry_lists(), text=texts(200).filter(bool), near=st.lists(texts(3), max_size=3))
def test_a_caption_longer_than_a_block_gives_what_the_rule_gives(mode: Mode, entries: list[str], text: str, near: list[str]) -> None:
    metadata = tc.Metadata(entries)
    long = text * (BLOCK_BYTES // len(text) + 2)
    captions = [*near, long, *near, long + " a"]
    assert_same(tc.Matcher(metadata, mode).match(captions), tc.match_reference(captions, metadata, mode))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 32), repeats=st.booleans(), deep=st.booleans())
def test_captions_with_any_number_of_matches_give_what_the_rule_gives(seed: int, repeats: bool, deep: bool) -> None:
    """Up to 140, around each number at which another way of sorting begins; with phrases of three words, and without."""
    rng = np.random.default_rng(seed)
    words = [f"w{i}" for i in rng.permutation(140)]
    metadata = tc.Metadata([*words, *([" ".join(words[i : i + 3]) for i in range(0, 138, 5)] if deep else [])])
    captions: list[str | None] = [" ".join(rng.choice(words[:n], n) if repeats and n else words[:n]) for n in range(141)]
    assert_same(tc.Matcher(metadata).match([*captions, *words]), tc.match_reference([*captions, *words], metadata))


@settings(max_examples=100, deadline=None)
@given(entries=entry_lists(), captions=st.lists(texts(), max_size=8))
def test_ids_of_a_caption_ascend_and_do_not_repeat(entries: list[str], captions: list[str]) -> None:
    matches = tc.Matcher(tc.Metadata(entries)).match(captions)
    for text in range(len(matches)):
        assert (np.diff(matches[text].astype(np.int64)) > 0).all()


@pytest.mark.parametrize(
    ("entry", "text", "matched"),
    [
        ("dog", "a dog, asleep", True),
        ("dog", "hotdog", False),
        ("dog", "hot-dog", False),
        ("dog", '"dog"', False),
        ("dog", "Dog", False),
        ("dog", "dog", True),
        ("dog", "dog\tcat", True),
        ("New York", "in New York", True),
        ("New York", "New  York", False),
        ("New York", "New, York", False),
        ("New York", "New\nYork", True),
        ("a , b", "a,b", True),
        ("St. Louis", "St. Louis", False),
        ("3", "3.5", True),
        ("3.5", "3.5", False),
        ("A", "U.S.A.", True),
        (" ", "a  b", False),
        (" ", "a   b", True),
        ("\0", "a \0 b", True),
        ("a\tb", "a\tb", False),
    ],
)
def test_exact_means_the_published_rule(entry: str, text: str, matched: bool) -> None:
    metadata = tc.Metadata([entry])
    assert len(tc.Matcher(metadata).match([text]).entry_ids) == matched
    assert len(tc.match_reference([text], metadata).entry_ids) == matched


def test_spaced_entries_can_hold_marks() -> None:
    matcher = tc.Matcher(tc.Metadata(["St. Louis", "8:30", "a,b", "a , b", ".NET"]), mode="spaced-entries")
    matched = [matcher.match([text]).entry_ids.tolist() for text in ("in St. Louis", "at 8:30.", "a,b", "ASP.NET", "the .NET one")]
    assert matched == [[0], [1], [2], [], [4]]


def test_entries_that_fold_to_the_same_all_match() -> None:
    matcher = tc.Matcher(tc.Metadata(["the", "dog", "The", "STRASSE", "straße"]), mode="casefold")
    assert matcher.match(["THE Straße"]).entry_ids.tolist() == [0, 2, 3, 4]


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.dictionary(pa.int8(), pa.string())],
    ids=str,
)
def test_every_kind_of_array_gives_the_same(kind: pa.DataType) -> None:
    matcher = tc.Matcher(tc.Metadata(["a", "photo", "dog", "a photo of", "a very long entry indeed", "字"]))
    captions = ["a photo of a dog", None, "", "a very long entry indeed", "字 a", "a photo of a dog", "dog"]
    expected = matcher.match(captions)
    array = pa.array(captions).cast(kind) if not pa.types.is_dictionary(kind) else pa.array(captions).dictionary_encode()
    assert_same(matcher.match(array), expected)
    assert_same(matcher.match(pa.chunked_array([array[:3], array[3:3], array[3:]])), expected)
    assert_same(matcher.match(array[2:6]), matcher.match(captions[2:6]))


def test_a_null_matches_nothing_even_over_bytes() -> None:
    offsets = pa.py_buffer(np.array([0, 3, 6], np.int32))
    validity = pa.py_buffer(bytes([0b10]))
    hidden = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"dogdog"), validity)
    assert tc.Matcher(tc.Metadata(["dog"])).match(hidden).offsets.tolist() == [0, 0, 1]


def test_an_empty_batch_gives_no_rows() -> None:
    matcher = tc.Matcher(tc.Metadata(["dog"]))
    for nothing in ([], pa.array([], pa.string()), pa.chunked_array([], pa.string()), pa.nulls(0)):
        assert len(matcher.match(nothing)) == 0
    assert matcher.match(pa.nulls(3)).offsets.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("wrong", ["a dog", b"a dog", [1, 2], pa.array([1, 2]), ["a", 5]])
@pytest.mark.usefixtures("without_shape_checks")
def test_other_things_than_arrays_of_strings_are_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"string|text"):
        tc.Matcher(tc.Metadata(["dog"])).match(wrong)  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_shape_checks")
def test_an_unknown_mode_is_refused_with_those_there_are() -> None:
    with pytest.raises(tc.OptionError, match="exact, spaced-entries, casefold"):
        tc.Matcher(tc.Metadata(["dog"]), mode="fuzzy")  # type: ignore[arg-type]


def test_more_matches_than_bytes_make_the_output_grow() -> None:
    entries = [" ".join(["a"] * n) for n in range(1, 60)]
    metadata = tc.Metadata(entries)
    captions = [" ".join(["a"] * 100)] * 700
    matches = tc.Matcher(metadata).match(captions)
    assert len(matches.entry_ids) > sum(map(len, captions)) / 4
    assert_same(matches, tc.match_reference(captions, metadata))


@pytest.mark.parametrize("mode", MODES)
def test_half_a_million_captions_that_each_match_an_entry_have_half_a_million_matches(mode: Mode) -> None:
    matches = tc.Matcher(tc.Metadata(["a"]), mode).match(["a"] * 500_000)
    np.testing.assert_array_equal(matches.offsets, np.arange(500_001))
    assert not matches.entry_ids.any()


def phrases_within(words: str) -> list[str]:
    """Every row of neighbours among the words."""
    parts = words.split(" ")
    return [" ".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1)]


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=8, deadline=None)
@given(
    words=st.sampled_from(["a", "a b", "a a a", "b , a", "a b c d e f", "A a B b C c", " ".join("abcdefghijklmnopqrstuvwxyz")]),
    others=st.lists(texts(), max_size=4),
    long=st.booleans(),
    data=st.data(),
)
def test_the_output_grows_as_often_as_it_must(mode: Mode, words: str, others: list[str], long: bool, data: st.DataObject) -> None:
    """Up to thirty times the room guessed at first, in rows of every kind: short, deep, longer than a block, and all mixed."""
    metadata = tc.Metadata(list(dict.fromkeys(phrases_within(words))))
    different: list[str | None] = [
        words,
        f"{words} " * 40,
        None,
        *others,
        *([f"{words}." * (BLOCK_BYTES // len(words) + 2)] if long else []),
    ]
    numbers = data.draw(st.lists(st.integers(0, len(different) - 1), min_size=1, max_size=9).map(np.array))
    dense = np.zeros(400_000 // len(metadata), np.int64)
    order = np.concatenate([np.repeat(numbers, 20), dense, np.tile(numbers, 20)])
    expected = tc.match_reference(different, metadata, mode).take(order)
    assert_same(tc.Matcher(metadata, mode).match([different[i] for i in order]), expected)


def test_a_block_of_deep_phrases_does_not_outgrow_the_scratch() -> None:
    metadata = tc.Metadata([" ".join(["a"] * n) for n in range(1, 41)])
    captions = ["a b", "a " * 4000, "a a"]  # 4,000 words, each the start of 40 entries
    assert_same(tc.Matcher(metadata).match(captions), tc.match_reference(captions, metadata))


def test_a_caption_of_ten_megabytes_is_a_caption() -> None:
    metadata = tc.Metadata(["dog", "a dog", "dog a dog", "x" * 10_000_000])
    captions = ["a dog " * 1_700_000, "x" * 10_000_000, "," * 10_000_000, "dog"]
    assert [tc.Matcher(metadata).match([caption]).entry_ids.tolist() for caption in captions] == [[0, 1, 2], [3], [], [0]]


def test_words_with_the_same_hash_are_distinguished() -> None:
    first, second = colliding_words()
    captions = [f"{first} {second}", first, second]
    for entries in ([first, second], [first, f"{second} b", second]):
        metadata = tc.Metadata(entries)
        matcher = tc.Matcher(metadata)
        assert matcher._tables.sizes[1] == 1, "the words do not collide any more: this test tests nothing"
        assert_same(matcher.match(captions), tc.match_reference(captions, metadata))
    assert tc.Matcher(tc.Metadata([first])).match([second]).entry_ids.tolist() == []


def colliding_words() -> tuple[str, str]:
    """Two words of sixteen letters with the same hash under seed 0: solved for the second half of the second."""
    mask = (1 << 64) - 1

    def absorb(state: int, value: int) -> int:
        state = (state ^ value) * int(SPREAD_2) & mask
        return state ^ (state >> 32)

    letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
    heads = [bytes(letters[(i >> (6 * place)) % 64] for place in range(8)) for i in range(100_000)]
    base = absorb(16, int.from_bytes(heads[0], "little"))
    for head in heads[1:]:
        difference = (base ^ absorb(16, int.from_bytes(head, "little"))).to_bytes(8, "little")
        tail = [next((c for c in letters if c ^ d in letters), None) for d in difference]
        if None not in tail:
            first = bytes(c for c in tail if c is not None)
            second = bytes(c ^ d for c, d in zip(first, difference, strict=True))
            return (heads[0] + first).decode(), (head + second).decode()
    raise AssertionError("no colliding words found")


def test_words_whose_bucket_is_full_are_found() -> None:
    rng = np.random.default_rng(0)
    entries = list(dict.fromkeys("".join(chr(97 + c) for c in row) for row in rng.integers(0, 26, (30_000, 6))))
    matcher = tc.Matcher(tc.Metadata(entries))
    assert np.count_nonzero(matcher._tables.spill), "no bucket is full: this test tests nothing"
    matches = matcher.match(entries)
    np.testing.assert_array_equal(matches.entry_ids, np.arange(len(entries)))
    np.testing.assert_array_equal(matches.offsets, np.arange(len(entries) + 1))


@pytest.mark.parametrize("mode", MODES)
def test_a_saved_matcher_is_mapped_and_matches_the_same(mode: Mode, tmp_path: Path) -> None:
    metadata = tc.Metadata(["The dog", "the dog", "New York", "a", "St. Louis", "a very long entry indeed"])
    matcher = tc.Matcher(metadata, mode)
    matcher.save(tmp_path / "matcher")
    opened = tc.Matcher.open(tmp_path / "matcher")
    captions = ["The dog in St. Louis", "a very long entry indeed", None, "THE DOG"]
    assert_same(opened.match(captions), matcher.match(captions))
    assert (opened.mode, len(opened), opened.fingerprint) == (mode, len(metadata), matcher.fingerprint)
    assert isinstance(opened._tables.words, np.memmap)


def test_a_broken_matcher_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "matcher"
    with pytest.raises(tc.ArtifactError, match="not a saved matcher"):
        tc.Matcher.open(folder)
    tc.Matcher(tc.Metadata(["dog"])).save(folder)
    words = (folder / "words.npy").read_bytes()
    (folder / "words.npy").write_bytes(words[:-8])
    with pytest.raises(tc.ArtifactError, match="damaged matcher"):
        tc.Matcher.open(folder)
    (folder / "words.npy").unlink()
    with pytest.raises(tc.ArtifactError, match=r"words\.npy is missing"):
        tc.Matcher.open(folder)
    (folder / "words.npy").write_bytes(words)
    header = json.loads((folder / "header.json").read_text())
    (folder / "header.json").write_text(json.dumps(header | {"layout": 0}))
    with pytest.raises(tc.ArtifactError, match="layout 0"):
        tc.Matcher.open(folder)
    (folder / "header.json").write_text("{")
    with pytest.raises(tc.ArtifactError, match="damaged matcher"):
        tc.Matcher.open(folder)


@pytest.mark.parametrize("mode", MODES)
def test_a_damaged_matcher_is_refused_or_matches_as_before(mode: Mode, tmp_path: Path) -> None:
    script = Path(__file__).with_name("damage.py")
    done = subprocess.run([sys.executable, script, tmp_path, mode, "600"], capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    outcomes = json.loads(done.stdout)
    assert outcomes.keys() <= {"refused", "right"}
    assert outcomes["refused"] > 400
    assert done.stderr == ""


def test_a_matcher_without_checksums_is_refused_with_what_to_do(tmp_path: Path) -> None:
    tc.Matcher(tc.Metadata(["dog"])).save(tmp_path)
    header = json.loads((tmp_path / "header.json").read_text())
    del header["checksum"]
    (tmp_path / "header.json").write_text(json.dumps(header | {"arrays": sorted(header["arrays"])}))
    with pytest.raises(
        tc.ArtifactError, match=r"this matcher was saved by an earlier version, which wrote no checksums(.|\n)*Hint: save it again"
    ):
        tc.Matcher.open(tmp_path)


@pytest.mark.parametrize("length", [32, 8000, 1 << 24])
def test_a_word_with_the_hash_of_a_shorter_one_is_not_compared_beyond_its_end(tmp_path: Path, length: int) -> None:
    known = b"sixteen16sixteen"
    other = with_hash_of(known, length)
    tc.Matcher(tc.Metadata([known.decode()])).save(tmp_path)
    matcher = tc.Matcher.open(tmp_path)  # so that soon after its bytes no memory follows
    assert [ids.tolist() for ids in matcher.match(pa.array([other, other + b" " + known], pa.binary()))] == [[], [0]]


def with_hash_of(word: bytes, length: int) -> bytes:
    """A longer word, of a multiple of eight bytes, with the hash of a word of sixteen under seed 0."""
    mask, factor = (1 << 64) - 1, int(SPREAD_2)

    def absorb(state: int, eight: bytes) -> int:
        state = (state ^ int.from_bytes(eight, "little")) * factor & mask
        return state ^ (state >> 32)

    head, fill, tail = b"headhead", b"fillfill", b"tailtail"
    target = absorb(absorb(16, word[:8]), word[8:])
    target = (target ^ (target >> 32)) * pow(factor, -1, 1 << 64) & mask
    state = absorb(absorb(length, head), tail)
    filled = (length - 32) // 8
    for _ in range(filled):
        state = absorb(state, fill)
    for draw in range(1000):
        varied = b"%08d" % draw
        last = (absorb(state, varied) ^ target).to_bytes(8, "little")
        if not set(last) & set((PUNCTUATION + BLANKS).encode()):
            return head + fill * filled + varied + last + tail
    raise AssertionError("no such word found")


def test_threads_share_a_matcher() -> None:
    metadata = tc.Metadata(["a", "b", "a b", "b a b", "dog"])
    matcher = tc.Matcher(metadata)
    rng = np.random.default_rng(0)
    batches = [["".join(rng.choice(["a ", "b ", "dog ", ","], 30)) for _ in range(500)] for _ in range(8)]
    expected = [matcher.match(batch) for batch in batches]
    found: list[list[tc.Matches]] = [[] for _ in batches]

    def work(i: int) -> None:
        found[i] = [matcher.match(batches[i]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for many, one in zip(found, expected, strict=True):
        for matches in many:
            assert_same(matches, one)


def test_the_fingerprint_changes_with_entries_order_and_mode() -> None:
    one, other = tc.Metadata(["a", "b"]), tc.Metadata(["b", "a"])
    prints = {tc.Matcher(metadata, mode).fingerprint for metadata in (one, other) for mode in MODES}
    assert len(prints) == 2 * len(MODES)
    assert tc.Matcher(tc.Metadata(["a", "b"])).fingerprint in prints


class AhoCorasick:
    """The rule through an independent matcher."""

    def __init__(self, entries: Sequence[str]) -> None:
        write_entry, self.write_text = RULES["exact"]
        self.automaton = ahocorasick.Automaton()
        for entry_id, entry in enumerate(entries):
            self.automaton.add_word(write_entry(entry), entry_id)
        self.automaton.make_automaton()

    def match(self, captions: Sequence[str | None]) -> tc.Matches:
        found = [sorted({i for _, i in self.automaton.iter(self.write_text(text))}) if text is not None else [] for text in captions]
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in found])]).astype(np.int64)
        return tc.Matches(offsets, np.array([i for ids in found for i in ids], dtype=np.uint32))


@settings(max_examples=100, deadline=None)
@given(entries=entry_lists(), captions=st.lists(st.none() | texts(), max_size=8))
def test_the_independent_matcher_gives_what_the_rule_gives(entries: list[str], captions: list[str | None]) -> None:
    assert_same(AhoCorasick(entries).match(captions), tc.match_reference(captions, tc.Metadata(entries)))


def test_on_real_captions_the_matcher_gives_the_rules_result(shared_data: Path) -> None:
    metadata = tc.Metadata.load(str(shared_data / "derived" / "standin-metadata.json.gz"))
    assert len(metadata) == 500_000
    captions = real_captions(shared_data)
    assert len(captions) > 400_000
    other = AhoCorasick(metadata.entries)
    sample = captions[:: len(captions) // 60]
    assert_same(other.match(sample), tc.match_reference(sample, metadata))
    assert_same(tc.Matcher(metadata).match(captions), other.match(captions))


def real_captions(shared_data: Path) -> list[str | None]:
    """Every text of the folder of captions, and the alt-texts taken from real pages."""
    folder = shared_data / "captions"
    captions: list[str | None] = []
    for path in sorted(folder.glob("*.parquet")):
        captions += pq.read_table(path, columns=["TEXT"])["TEXT"].to_pylist()
    with gzip.open(folder / "coco-captions_val2017.json.gz") as file:
        captions += [annotation["caption"] for annotation in json.load(file)["annotations"]]
    for path in sorted((folder / "multi30k").glob("*.gz")):
        captions += gzip.decompress(path.read_bytes()).decode().split("\n")
    with gzip.open(shared_data / "derived" / "alttext-from-shared-pages.tsv.gz", "rt", encoding="utf-8") as file:
        captions += [line.rstrip("\n").split("\t")[3] for line in file][1:]
    return captions


def test_saving_over_a_matcher_does_not_change_one_that_is_open(tmp_path: Path) -> None:
    tc.Matcher(tc.Metadata(["photo", "dog"])).save(tmp_path / "a")
    opened = tc.Matcher.open(tmp_path / "a")
    tc.Matcher(tc.Metadata(["x", "dog"])).save(tmp_path / "a")
    assert [ids.tolist() for ids in opened.match(["a photo", "x", "dog"])] == [[0], [], [1]]
    again = tc.Matcher.open(tmp_path / "a")
    again.save(tmp_path / "a")
    for matcher in (again, tc.Matcher.open(tmp_path / "a")):
        assert [ids.tolist() for ids in matcher.match(["a photo", "x", "dog"])] == [[], [0], [1]]


def test_columns_of_pandas_and_polars_are_matched_with_their_missing_values() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    matcher = tc.Matcher(tc.Metadata(["dog", "cat"]))
    for column in (
        pandas.Series(["a dog", None, "cat"]),
        pandas.Series(["a dog", float("nan"), "cat"]),
        polars.Series(["a dog", None, "cat"]),
    ):
        assert [ids.tolist() for ids in matcher.match(column)] == [[0], [], [1]]
