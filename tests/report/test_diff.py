"""Two curated sets compared, counted again by DuckDB; and what cannot be compared."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tallyclip as tc
from tallyclip.errors import ArtifactError
from tallyclip.io.arrays import map_array
from tests.nasties import NASTIES, acts
from tests.tools import fails, succeeds

from .test_card import Page

NAMES = ["dog", "cat", "house", "tree", "tapir", "quokka"]


def write_pool(path: Path, first: int, count: int, also: str = "") -> None:
    names = [NAMES[min(i % 11, 5) if i % 3 else 0] for i in range(first, first + count)]
    texts = [f"a photo of a {name}, number {i} {also}" for i, name in zip(range(first, first + count), names, strict=True)]
    urls = [f"http://x.example/{i}" for i in range(first, first + count)]
    pq.write_table(pa.table({"url": urls, "caption": texts}), path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of pools that overlap, with lists that overlap."""
    folder = tmp_path_factory.mktemp("diff")
    for number in range(3):
        write_pool(folder / f"{number}.parquet", 400 * number, 400)
    pools = [str(folder / f"{number}.parquet") for number in range(3)]
    one = tc.curate(pools[:2], out=folder / "a", metadata=tc.Metadata([*NAMES, "photo"]), t=60, workers=1)
    other = tc.curate(pools[1:], out=folder / "b", metadata=tc.Metadata(["house", "number", *NAMES[:2], "emu"]), t=30, workers=1)
    return one.path, other.path


def counted(run: Path) -> dict[str, int]:
    return json.loads((run / "entry_counts_curated.json").read_bytes())


def test_the_difference_is_what_duckdb_counts(runs: tuple[Path, Path]) -> None:
    found = tc.diff(*runs)
    db = duckdb.connect()
    a, b = (f"(SELECT DISTINCT uid FROM '{run}/curated/*.parquet')" for run in runs)

    def one(query: str) -> int:
        return db.execute(query).fetchall()[0][0]

    assert found.pairs.both == one(f"SELECT count(*) FROM {a} SEMI JOIN {b} USING (uid)") > 0
    assert found.pairs.only_a == one(f"SELECT count(*) FROM {a} ANTI JOIN {b} USING (uid)") > 0
    assert found.pairs.only_b == one(f"SELECT count(*) FROM {b} ANTI JOIN {a} USING (uid)") > 0
    assert (found.files.both, found.files.only_a, found.files.only_b) == (1, 1, 1)
    assert (found.lists.both, found.lists.only_a, found.lists.only_b) == (3, 4, 2)
    sizes = [one(f"SELECT count(*) FROM '{run}/curated/*.parquet'") for run in runs]
    assert [found.a.kept, found.b.kept] == sizes
    shares = [{entry: count / size for entry, count in counted(run).items()} for run, size in zip(runs, sizes, strict=True)]
    changes = {entry: shares[1][entry] - shares[0][entry] for entry in ("dog", "cat", "house")}
    assert [row.entry for row in found.gained] == sorted((e for e in changes if changes[e] > 0), key=lambda e: -changes[e])
    assert [row.entry for row in found.lost] == sorted((e for e in changes if changes[e] < 0), key=lambda e: changes[e])
    for row in [*found.gained, *found.lost]:
        assert (row.a, row.b) == (counted(runs[0])[row.entry], counted(runs[1])[row.entry])
        assert (row.share_a, row.share_b) == (shares[0][row.entry], shares[1][row.entry])
    assert [note for note in found.notes if "compared by their text: 3 are in both lists, 4 only in A's, 2 only in B's" in note]


def test_the_difference_of_swapped_runs_is_the_difference_swapped(runs: tuple[Path, Path]) -> None:
    one, other = tc.diff(*runs), tc.diff(runs[1], runs[0])
    assert (one.a, one.b) == (other.b, other.a)
    assert (one.pairs.both, one.pairs.only_a, one.pairs.only_b) == (other.pairs.both, other.pairs.only_b, other.pairs.only_a)
    assert {row.entry for row in one.gained} == {row.entry for row in other.lost}


def test_a_run_does_not_differ_from_itself(runs: tuple[Path, Path]) -> None:
    found = tc.diff(runs[0], runs[0])
    assert (found.pairs.only_a, found.pairs.only_b, found.gained, found.lost, found.only_a, found.notes) == (0, 0, [], [], [], [])
    assert all(one == other for _, one, other in found.settings)


def test_what_a_larger_t_keeps_has_all_that_a_smaller_t_keeps(runs: tuple[Path, Path], tmp_path: Path) -> None:
    pools = [str(runs[0].parent / f"{number}.parquet") for number in range(2)]
    more = tc.curate(pools, out=tmp_path / "more", metadata=tc.Metadata([*NAMES, "photo"]), t=90, workers=1)
    found = tc.diff(runs[0], more)
    assert found.pairs.only_a == 0
    assert found.pairs.only_b > 0
    assert found.notes == []


def test_the_command_shows_it_as_text_json_and_a_page(runs: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "new" / "diff.html"
    said = succeeds("diff", str(runs[0]), str(runs[1]), "--html", str(page))
    for text in ("only A", "entries of the lists", "threshold t", "a larger share of the pairs in B", str(page)):
        assert text in said
    found = json.loads(succeeds("diff", str(runs[0]), str(runs[1]), "--json"))
    assert found["pairs"]["both"] == tc.diff(*runs).pairs.both
    shown = Page(page.read_text())
    assert shown.open == []
    assert all(link.startswith("#") for link in shown.loads)
    ids = re.findall(r' id="([^"]*)"', page.read_text())
    assert len(ids) == len(set(ids))


def test_a_run_that_is_not_balanced_cannot_be_compared(runs: tuple[Path, Path], tmp_path: Path) -> None:
    pool = str(runs[0].parent / "0.parquet")
    matched = tc.match_pool(pool, out=tmp_path / "matched", metadata=tc.Metadata(NAMES), workers=1)
    with pytest.raises(tc.IncompleteError, match="the stage 'balance' is not whole") as caught:
        tc.diff(runs[0], matched)
    assert "tallyclip count" in str(caught.value.hint)
    assert "is not a run folder" in fails(2, "diff", str(runs[0]), str(tmp_path / "none"))


def test_uids_that_are_broken_are_named_and_made_again_and_nothing_else_is(runs: tuple[Path, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs[0], run)
    (run / "uids.npy").write_bytes(bytes((run / "uids.npy").stat().st_size))
    with pytest.raises(ArtifactError, match=r"run/uids\.npy: broken: ") as raised:
        tc.diff(run, runs[1])
    assert raised.value.hint == f"delete it and run 'tallyclip balance {run}' again"
    with pytest.raises(ArtifactError) as raised:
        map_array(run / "uids.npy")
    assert raised.value.hint == f"delete {run / 'uids.npy'} and run the command that made it again"  # and not the whole folder


def test_seeds_and_policies_that_differ_are_said(runs: tuple[Path, Path], tmp_path: Path) -> None:
    pools = [str(runs[0].parent / f"{number}.parquet") for number in range(2)]
    other = tc.curate(
        pools, out=tmp_path / "other", metadata=tc.Metadata([*NAMES, "photo"]), t=60, seed=1, texts="one-per-image", workers=1
    )
    notes = " ".join(tc.diff(runs[0], other).notes)
    assert "seeds differ" in notes
    assert "picks one" in notes


@pytest.mark.parametrize("text", NASTIES, ids=ascii)
def test_every_text_of_a_page_stays_text(runs: tuple[Path, Path], text: str) -> None:
    def page(shown: str) -> Any:
        found = tc.diff(runs[0], runs[0])
        found.a.run = found.a.mode = found.a.why_t = shown
        found.a.sources = [shown]
        shift = {"a": 1, "b": 2, "share_a": 0.1, "share_b": 0.2}
        found.gained = [type(row)(entry=shown, **shift) for row in tc.diff(*runs).gained]
        counts = tc.Run(runs[0]).counts_curated
        return found.as_html(counts, counts)

    nasty, plain = page(text), page("plain")
    assert not acts(nasty)
    assert len(re.findall("<", nasty)) == len(re.findall("<", plain))
    assert Page(nasty).tags == Page(plain).tags
