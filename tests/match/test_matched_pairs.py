"""Matched pairs on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.data import Matches
from tallyclip.errors import ArtifactError
from tallyclip.match.matched_pairs import LanguageTags, MatchedPairs, MatchWriter, read_matches

UINT64 = st.integers(0, 2**64 - 1)
PAIRS = st.lists(
    st.tuples(st.integers(0, 2**62), st.integers(0, 2**30), UINT64, UINT64, st.sets(st.integers(0, 2**32 - 1), min_size=1, max_size=5)),
    max_size=20,
)


def matched_pairs(rows: list[tuple[int, int, int, int, set[int]]]) -> MatchedPairs:
    ids = [sorted(entry_ids) for *_, entry_ids in rows]
    offsets = np.cumsum([0, *map(len, ids)])
    return MatchedPairs(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int32),
        np.array([row[2:4] for row in rows], np.uint64).reshape(len(rows), 2),
        Matches(offsets, np.array([i for some in ids for i in some], np.uint32)),
    )


def written(folder: Path, batches: list[MatchedPairs]) -> Path:
    with MatchWriter(folder / "a.arrow") as writer:
        for batch in batches:
            writer.write(batch)
    return folder / "a.arrow"


def as_lists(pairs: MatchedPairs) -> list[object]:
    return [pairs.rows.tolist(), pairs.text_numbers.tolist(), pairs.uids.tolist(), [pairs.matches[i].tolist() for i in range(len(pairs))]]


@given(st.lists(PAIRS, max_size=4))
def test_what_was_written_is_read_batch_by_batch(batches: list[list[tuple[int, int, int, int, set[int]]]]) -> None:
    expected = [matched_pairs(rows) for rows in batches]
    with TemporaryDirectory() as folder:
        found = list(read_matches(written(Path(folder), expected)))
        assert [as_lists(pairs) for pairs in found] == [as_lists(pairs) for pairs in expected]


@given(PAIRS, st.lists(st.tuples(st.sampled_from(["en", "de", "und"]), st.floats(0, 1, width=32)), min_size=20, max_size=20))
def test_languages_go_along_if_there_are_any(rows: list[tuple[int, int, int, int, set[int]]], tags: list[tuple[str, float]]) -> None:
    labels, scores = zip(*tags[: len(rows)], strict=True) if rows else ((), ())
    pairs = replace(matched_pairs(rows), languages=LanguageTags(np.array(labels, np.str_), np.array(scores, np.float32)))
    with TemporaryDirectory() as folder:
        with MatchWriter(Path(folder) / "a.arrow", with_languages=True) as writer:
            writer.write(pairs)
        (found,) = read_matches(Path(folder) / "a.arrow")
    assert as_lists(found) == as_lists(pairs)
    assert found.languages is not None
    assert list(zip(found.languages.labels.tolist(), found.languages.scores.tolist(), strict=True)) == tags[: len(rows)]
    turned = found.take(np.arange(len(rows))[::-1])
    assert turned.languages is not None
    assert turned.languages.labels.tolist() == list(labels)[::-1]


@given(PAIRS.filter(bool), st.data())
def test_taking_pairs_takes_all_that_is_known_of_them(rows: list[tuple[int, int, int, int, set[int]]], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    taken = matched_pairs(rows).take(np.array(places, np.int64))
    assert as_lists(taken) == as_lists(matched_pairs([rows[place] for place in places]))


@pytest.mark.parametrize("damage", ["missing", "empty", "cut short", "of another kind"])
def test_a_file_that_is_not_whole_is_named(tmp_path: Path, damage: str) -> None:
    path = written(tmp_path, [matched_pairs([(n, 0, n, n, {n}) for n in range(1000)])])
    content = {"empty": b"", "cut short": path.read_bytes()[:-100], "of another kind": b"PAR1" * 100}.get(damage)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"a\.arrow: not readable"):
        list(read_matches(path))


def test_a_damaged_file_is_refused_or_read_but_never_read_beyond(tmp_path: Path) -> None:
    script = Path(__file__).with_name("damaged_pairs.py")
    done = subprocess.run([sys.executable, script, tmp_path, "1500"], capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    outcomes = json.loads(done.stdout)
    assert outcomes.keys() == {"read", "ArtifactError", "OptionError"}  # the last of an entry that the list lacks
    assert outcomes["ArtifactError"] > 300
