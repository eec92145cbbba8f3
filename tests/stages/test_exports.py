"""What a curated set is exported to: tables for img2dataset, uids for DataComp's resharder, rows of the original tables."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest

import tallyclip as tc
from tallyclip.core.uids import as_columns
from tallyclip.flows.exports import downloads
from tallyclip.run.runners.base import Event
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages.exports import EXPORT
from tests.stages.conftest import Example
from tests.stages.test_interruptions import photographed
from tests.tools import addresses, captions, leftovers, manifest, tallyclip, write_entries, write_parquet

pc: Any = pyarrow.compute


class OddRun(NamedTuple):
    pool: Path
    run: tc.Run


def odd_pool(folder: Path) -> Path:
    """Pairs with a URL, with an empty one, with none and with another's; pairs that repeat others; images with several captions; columns
    with the names of ours; JSON whose records have other fields; a tar without URLs."""
    folder.mkdir()
    urls: list[str | None] = list(addresses(900, "apple"))
    urls[::7], urls[::11] = [None] * len(urls[::7]), [""] * len(urls[::11])
    urls[300:400] = urls[500:600]
    texts = captions(900, 1)
    texts[300:350] = texts[500:550]
    more = {"uid": [f"not-a-uid-{i}" for i in range(900)], "keep_probability": [i / 900 for i in range(900)]}
    write_parquet(folder / "apple.parquet", {"url": urls, "caption": texts, **more})
    first, second = captions(600, 2), captions(600, 3)
    records = [
        {"url": url, "texts": one if i % 3 else [["key", one], ["other", two]], **({"license": i} if i > 400 else {})}
        for i, (url, one, two) in enumerate(zip(addresses(600, "berry"), first, second, strict=True))
    ]
    (folder / "berry.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    (folder / "cherry.txt").write_text("".join(f"{caption}\n" for caption in captions(300, 4)))
    return folder


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> OddRun:
    folder = tmp_path_factory.mktemp("odd")
    pool, entries = odd_pool(folder / "pool"), write_entries(folder / "entries.json")
    return OddRun(pool, tc.curate(pool, out=folder / "run", metadata=entries, t=25, workers=2))


@pytest.fixture
def balanced(odd: OddRun, tmp_path: Path) -> tc.Run:
    """A run of its own, to change it."""
    return tc.Run(shutil.copytree(odd.run, tmp_path / "run"))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_downloads_are_the_curated_pairs_that_have_a_url_in_their_order(odd: OddRun, tmp_path: Path) -> None:
    made = tc.export_downloads(odd.run, out=tmp_path / "out", workers=2)
    written = without_url = 0
    seen: set[str] = set()
    for path in sorted(odd.run.curated.iterdir()):
        curated, table = pq.read_table(path), pq.read_table(tmp_path / "out" / "downloads" / path.name)
        assert table.schema == pa.schema([("url", pa.string()), ("caption", pa.string()), ("uid", pa.string())])
        rows = [row for row in curated.select(["url", "caption", "uid"]).to_pylist() if row["url"]]
        without_url += len(curated) - len(rows)
        fresh = [row for number, row in enumerate(rows) if row["uid"] not in seen | {other["uid"] for other in rows[:number]}]
        assert table.to_pylist() == fresh
        seen |= {row["uid"] for row in rows}
        written += len(table)
    assert set(files(tmp_path / "out" / "downloads")) == {"apple.parquet", "berry.parquet", "cherry.parquet"}
    kept = len(pq.read_table(odd.run.curated))
    assert 0 < written < kept
    repeated = sum(map(repeats, files_with_urls(tmp_path / "out" / "downloads")))
    assert repeated > 20
    drops = {"no URL": without_url, "repeats a uid": kept - without_url - written}
    assert min(drops.values()) > 0
    assert made.result == {"files": 3, "pairs": kept, "rows": written, "repeated_urls": repeated, "drops": drops}
    assert f"of {written:,} pairs in 3 files, {repeated:,} with a URL that stands before in the same file" in made.summary
    assert f"dropped     {without_url:,} no URL" in made.summary
    assert (
        f"img2dataset --url_list {tmp_path / 'out' / 'downloads'} --input_format parquet --url_col url --caption_col caption"
        in made.summary
    )


def files_with_urls(folder: Path) -> list[list[str]]:
    return [pq.read_table(path)["url"].to_pylist() for path in sorted(folder.glob("*.parquet"))]


def repeats(values: Sequence[str]) -> int:
    return len(values) - len(set(values))


def test_downloads_read_as_a_pool_have_the_uids_of_the_run(odd: OddRun, tmp_path: Path) -> None:
    tc.export_downloads(odd.run, out=tmp_path / "out", workers=2)
    again = tc.curate(tmp_path / "out", out=tmp_path / "again", metadata=odd.run.metadata, t=float("inf"), workers=2)
    exported = pa.chunked_array([pq.read_table(path)["uid"] for path in (tmp_path / "out" / "downloads").glob("*.parquet")])
    assert set(exported.to_pylist()) == set(pq.read_table(again.curated)["uid"].to_pylist())


def test_a_pool_without_urls_has_nothing_to_download(odd: OddRun, tmp_path: Path) -> None:
    run = tc.curate(odd.pool / "cherry.txt", out=tmp_path / "run", metadata=odd.run.metadata, t=25, workers=2)
    with pytest.raises(tc.OptionError, match="its pool has no URLs") as caught:
        tc.export_downloads(run, out=tmp_path / "out", workers=1)
    assert "--url-column" in str(caught.value.hint)
    assert not (tmp_path / "out").exists()


def test_a_set_whose_pairs_all_lack_a_url_has_nothing_to_download(odd: OddRun, tmp_path: Path) -> None:
    pool = write_parquet(tmp_path / "pool.parquet", {"url": ["", None] * 50, "caption": captions(100, 5)})
    run = tc.curate(pool, out=tmp_path / "run", metadata=odd.run.metadata, t=25, workers=1)
    with pytest.raises(tc.IncompleteError, match="curated pairs has a URL"):
        tc.export_downloads(run, out=tmp_path / "out", workers=1)


def test_uids_are_those_of_the_run_and_with_repeats_as_often_as_the_curated_set_has_them(odd: OddRun, tmp_path: Path) -> None:
    once = tc.export_uids(odd.run, out=tmp_path / "once", workers=2)
    assert (tmp_path / "once" / "uids.npy").read_bytes() == odd.run.uids.read_bytes()
    made = tc.export_uids(odd.run, out=tmp_path / "often", repeats=True, workers=2)
    found = np.load(tmp_path / "often" / "uids.npy")
    assert found.dtype == np.dtype("u8,u8")
    assert found.tolist() == sorted(found.tolist())
    often = Counter(tc.uid_strings(as_columns(found)).to_pylist())
    curated = pq.read_table(odd.run.curated)["uid"].to_pylist()
    assert often == Counter(curated)
    assert max(often.values()) == 2
    assert made.result == {"uids": len(often), "pairs": len(curated), "repeats": True}
    assert f"{len(curated) - len(often):,} pairs repeat one" in once.summary


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    return pq.read_table(folder / "subset" / f"{name}.parquet").to_pylist()


def test_a_subset_has_the_rows_of_the_pool_with_all_their_columns_as_they_are(odd: OddRun, tmp_path: Path) -> None:
    made = tc.export_subset(odd.run, out=tmp_path / "out", workers=2)
    curated = {path.stem: pq.read_table(path) for path in odd.run.curated.iterdir()}
    table = pq.read_table(odd.pool / "apple.parquet")
    kept = table.take(pa.array(np.rint(curated["apple"]["pool_keep_probability"].to_numpy() * 900).astype(int)))
    assert pq.read_table(tmp_path / "out" / "subset" / "apple.parquet").equals(kept)
    images = set(curated["berry"]["url"].to_pylist())
    lines = [json.loads(line) for line in (odd.pool / "berry.jsonl").read_text().splitlines()]
    wanted = [line for line in lines if line["url"] in images]
    found = rows_of(tmp_path / "out", "berry")
    assert [(row["url"], row["license"]) for row in found] == [(line["url"], line.get("license")) for line in wanted]
    texts = [line["texts"] if isinstance(line["texts"], list) else [[None, line["texts"]]] for line in wanted]
    assert [[[one["key"], one["text"]] for one in row["texts"]] for row in found] == texts
    assert [row["caption"] for row in rows_of(tmp_path / "out", "cherry")] == curated["cherry"]["caption"].to_pylist()
    uids = len(np.load(odd.run.uids))
    written = sum(len(rows_of(tmp_path / "out", name)) for name in curated)
    assert made.result == {"files": 3, "rows": 1800, "written": written, "uids": uids, "met": uids}


def test_of_other_tables_the_rows_with_curated_pairs_are_found_by_their_uids(odd: OddRun, tmp_path: Path) -> None:
    own = tc.export_subset(odd.run, out=tmp_path / "own", workers=2)
    same = tc.export_subset(odd.run, odd.pool, out=tmp_path / "same", workers=2)
    assert files(tmp_path / "same" / "subset") == files(tmp_path / "own" / "subset")
    assert same.result == own.result
    scored = pq.read_table(odd.pool / "apple.parquet").slice(100).append_column("score", pa.array(np.arange(800) / 7))
    pq.write_table(scored.rename_columns(["link", "alt_text", "uid", "keep_probability", "score"]), tmp_path / "scored.parquet")
    named: dict[str, Any] = {"url_column": "link", "caption_column": "alt_text"}
    made = tc.export_subset(odd.run, [tmp_path / "scored.parquet"], out=tmp_path / "scored", workers=1, **named)
    found = pq.read_table(tmp_path / "scored" / "subset" / "scored.parquet")
    known = set(pq.read_table(odd.run.curated)["uid"].to_pylist())
    hashed = tc.make_uids(scored["url"].combine_chunks(), scored["caption"].combine_chunks())
    wanted = pa.array([uid in known for uid in tc.uid_strings(hashed).to_pylist()])
    assert found.equals(scored.filter(wanted).rename_columns(found.column_names))
    met = len(known & set(tc.uid_strings(hashed).to_pylist()))
    assert (made.result["met"], made.result["uids"], made.result["rows"]) == (met, len(known), 800)
    assert f"{met:,} of the curated set's {len(known):,} met; {len(known) - met:,} are not in these tables" in made.summary


def test_rows_that_were_dropped_as_repeats_are_not_in_the_subset_of_the_runs_own_pool(odd: OddRun, tmp_path: Path) -> None:
    run = tc.curate(odd.pool, out=tmp_path / "run", metadata=odd.run.metadata, t=25, duplicates="pair", workers=2)
    tc.export_subset(run, out=tmp_path / "own", workers=2)
    tc.export_subset(run, odd.pool, out=tmp_path / "all", workers=2)
    own, everywhere = (rows_of(tmp_path / name, "apple") for name in ("own", "all"))
    pairs = [(row["url"], row["caption"]) for row in own]
    assert len(set(pairs)) == len(pairs) == len(pq.read_table(run.curated / "apple.parquet"))
    assert len(everywhere) > len(own)
    assert {(row["url"], row["caption"]) for row in everywhere} == set(pairs)


def test_tables_with_none_of_the_uids_are_said_to_have_none(odd: OddRun, tmp_path: Path) -> None:
    other = write_parquet(tmp_path / "other.parquet", {"url": addresses(50, "fig"), "caption": captions(50, 9)})
    with pytest.raises(tc.IncompleteError, match="none of the 50 rows has a pair") as caught:
        tc.export_subset(odd.run, other, out=tmp_path / "out", workers=1)
    assert "same URLs, captions" in str(caught.value.hint)


def test_a_table_that_changed_after_it_was_matched_is_refused_as_the_runs_own_but_read_as_another(odd: OddRun, tmp_path: Path) -> None:
    pool = Path(shutil.copytree(odd.pool, tmp_path / "pool"))
    run = tc.curate(pool, out=tmp_path / "run", metadata=odd.run.metadata, t=25, workers=2)
    write_parquet(pool / "apple.parquet", {"url": addresses(900, "apple"), "caption": captions(900, 1)})
    with pytest.raises(tc.IncompleteError, match=r"apple\.parquet changed after it was matched"):
        tc.export_subset(run, out=tmp_path / "out", workers=1)
    assert tc.export_subset(run, pool, out=tmp_path / "out", workers=1).result["met"] > 0


def test_a_table_that_cannot_be_read_fails_and_is_skipped_where_that_is_allowed(odd: OddRun, tmp_path: Path) -> None:
    pool = Path(shutil.copytree(odd.pool, tmp_path / "pool"))
    (pool / "broken.parquet").write_bytes((pool / "apple.parquet").read_bytes()[:-100])
    with pytest.raises(tc.IncompleteError, match="1 of 4 shards failed"):
        tc.export_subset(odd.run, pool, out=tmp_path / "out", workers=2)
    made = tc.export_subset(odd.run, pool, out=tmp_path / "out", allow_failed_shards=True, workers=2)
    assert made.result["met"] == made.result["uids"]
    assert "failed      1 shard, skipped as --allow-failed-shards allows" in made.summary
    assert leftovers(tmp_path / "out") == []


def test_exports_of_one_run_share_a_folder_and_are_the_same_bytes_however_many_work_on_them(odd: OddRun, tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        tc.export_downloads(odd.run, out=tmp_path / name, workers=workers)
        tc.export_uids(odd.run, out=tmp_path / name, workers=workers)
        tc.export_subset(odd.run, out=tmp_path / name, workers=workers)
    for folder in ("downloads", "subset"):
        assert len(files(tmp_path / "one" / folder)) == 3
        assert files(tmp_path / "one" / folder) == files(tmp_path / "two" / folder)
    assert (tmp_path / "one" / "uids.npy").read_bytes() == (tmp_path / "two" / "uids.npy").read_bytes()
    assert leftovers(tmp_path / "one") == []


def test_an_export_is_made_again_when_the_run_was_balanced_anew_and_only_then(balanced: tc.Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tc.export_downloads(balanced, out=out, workers=2)
    tc.export_uids(balanced, out=out, workers=2)
    before, first = files(out / "downloads"), manifest(out, "downloads")["finished"]
    tc.export_downloads(balanced, out=out, workers=2)
    assert manifest(out, "downloads")["finished"] == first
    tc.balance(balanced, t=25, seed=1, workers=2)
    tc.export_downloads(balanced, out=out, workers=2)
    changed = files(out / "downloads")
    assert changed != before
    assert manifest(out, "uids") is not None  # of the run as it was: made again when it is asked for
    tc.export_uids(balanced, out=out, workers=2)
    assert (out / "uids.npy").read_bytes() == balanced.uids.read_bytes()
    tc.balance(balanced, t=25, seed=0, workers=2)
    tc.export_downloads(balanced, out=out, workers=2)
    assert files(out / "downloads") == before


class Meddling:
    """Workers before whose work a run is balanced anew."""

    count = 1

    def __init__(self, workers: Workers, run: tc.Run) -> None:
        self._workers, self._run = workers, run

    def map(self, function: Any, tasks: Any) -> Iterator[Event]:
        tc.balance(self._run, t=25, seed=1, workers=1)
        yield from self._workers.map(function, tasks)


def test_a_run_that_is_balanced_anew_meanwhile_is_not_exported_half_and_half(balanced: tc.Run, tmp_path: Path) -> None:
    tc.export_downloads(balanced, out=tmp_path / "clean", workers=1)
    with (
        Workers(1) as workers,
        Workspace(EXPORT, tmp_path / "out", Meddling(workers, balanced)) as into,
        pytest.raises(tc.StaleError, match="was written anew while it was read"),
    ):
        downloads(into, balanced.path)
    tc.balance(balanced, t=25, seed=0, workers=1)
    tc.export_downloads(balanced, out=tmp_path / "out", workers=1)  # what was read of the other set is read again
    assert files(tmp_path / "out" / "downloads") == files(tmp_path / "clean" / "downloads")


def test_a_run_that_moved_is_the_same(balanced: tc.Run, tmp_path: Path) -> None:
    tc.export_downloads(balanced, out=tmp_path / "out", workers=1)
    before = manifest(tmp_path / "out", "downloads")
    moved = balanced.path.rename(tmp_path / "moved")
    tc.export_downloads(moved, out=tmp_path / "out", workers=1)
    assert manifest(tmp_path / "out", "downloads") == before


def test_after_a_failure_only_the_files_that_are_left_are_done(balanced: tc.Run, tmp_path: Path) -> None:
    path, out = balanced.curated / "berry.parquet", tmp_path / "out"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100] + bytes(100))
    for export in (tc.export_uids, tc.export_downloads):
        with pytest.raises(tc.IncompleteError, match="berry"):
            export(balanced, out=out, workers=2)
    marks = next((out / ".work").glob("uids-*")) / "_done"
    assert sorted(mark.stem for mark in marks.iterdir()) == ["apple", "cherry"]
    done = {mark.name: mark.read_bytes() for mark in marks.iterdir()}  # a mark has the seconds of its piece
    path.write_bytes(whole)
    for folder in (out, tmp_path / "clean"):
        tc.export_uids(balanced, out=folder, workers=2)
        tc.export_downloads(balanced, out=folder, workers=2)
    assert {name: (out / "uids" / "_done" / name).read_bytes() for name in done} == done
    assert (out / "uids.npy").read_bytes() == (tmp_path / "clean" / "uids.npy").read_bytes()
    assert files(out / "downloads") == files(tmp_path / "clean" / "downloads")


def test_an_export_that_is_killed_goes_on_to_the_same_bytes(example: Example, tmp_path: Path) -> None:
    tc.export_subset(example.run, out=tmp_path / "clean", workers=2)
    clean = files(tmp_path / "clean" / "subset")
    pictures = photographed(tmp_path, "export", "subset", example.run)
    assert len(pictures) > 10
    for picture in pictures[:: max(1, len(pictures) // 6)]:
        tc.export_subset(example.run, out=picture, workers=1)
        assert files(picture / "subset") == clean
        assert leftovers(picture) == []


def test_a_run_that_is_not_balanced_is_not_exported(odd: OddRun, tmp_path: Path) -> None:
    run = tc.match_pool(odd.pool, out=tmp_path / "run", metadata=odd.run.metadata, workers=2)
    for export in (tc.export_downloads, tc.export_uids, tc.export_subset):
        with pytest.raises(tc.IncompleteError, match="'balance' is not whole") as caught:
            export(run, out=tmp_path / "out", workers=1)
        assert caught.value.hint == f"run 'tallyclip count {run.path}' first"
        with pytest.raises(tc.ArtifactError, match="is not a run folder"):
            export(odd.pool, out=tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_none_of_exports_is_refused(odd: OddRun, tmp_path: Path) -> None:
    with pytest.raises(tc.OptionError, match="holds files but no export"):
        tc.export_downloads(odd.run, out=odd.run, workers=1)
    with pytest.raises(tc.OptionError, match="overlap"):
        tc.export_subset(odd.run, odd.pool, out=odd.pool / "out", workers=1)
    with pytest.raises(tc.OptionError, match="read as it was matched"):
        tc.export_subset(odd.run, out=tmp_path / "out", caption_column="caption", workers=1)
    assert not (tmp_path / "out").exists()


def test_of_a_folder_of_exports_the_one_that_is_a_pool_is_read(example: Example, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tc.export_uids(example.run, out=out, workers=1)
    refused = tallyclip("match", out, "--metadata", example.entries, "--out", tmp_path / "again")
    assert "is a folder of exports without shards/ or subset/ or downloads/" in refused.stderr
    tc.export_downloads(example.run, out=out, workers=2)
    again = tc.match_pool(out, out=tmp_path / "again", metadata=example.entries, workers=2)
    assert again.status.stages[1].result["records"] == manifest(out, "downloads")["result"]["rows"]
    tc.export_subset(example.run, out=out, workers=2)
    with pytest.raises(tc.OptionError, match="is a folder of exports with subset/ and downloads/") as caught:
        tc.match_pool(out, out=tmp_path / "third", metadata=example.entries, workers=1)
    assert f"{out}/subset, rows of the original tables" in str(caught.value.hint)
    assert tc.match_pool(out / "subset", out=tmp_path / "third", metadata=example.entries, workers=2).status.stages[1].state == "done"
