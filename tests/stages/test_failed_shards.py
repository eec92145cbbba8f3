"""A file that cannot be read fails its shard alone, and what follows is never a mixture of with it and without it."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallyclip.errors import IncompleteError
from tests.readers.tools import tar_bytes
from tests.stages.conftest import Example, Stages
from tests.tools import (
    RESULTS,
    assert_same,
    captions,
    environment,
    fails,
    leftovers,
    manifest,
    modified,
    results,
    succeeds,
    tallyclip,
    write_entries,
    write_parquet,
)

ROOM = 3 << 29  # bytes of addresses: a process that loads all it needs takes half of it
AFTER_MATCHING = ("counts", "plan", "balance", "card", *RESULTS)


@pytest.fixture
def pool(example: Example, tmp_path: Path) -> Path:
    """A copy of the pool, of which one file is cut short."""
    shutil.copytree(example.pool, tmp_path / "pool")
    cut_short(tmp_path / "pool" / "berry.parquet")
    return tmp_path / "pool"


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def repair(path: Path, example: Example) -> None:
    shutil.copyfile(example.pool / path.name, path)


def curated(example: Example, pool: Path, run: Path, *more: object) -> tuple[object, ...]:
    return ("curate", pool, *example.arguments[2:], *more, "--out", run)


def state(run: Path, stage: str) -> dict:
    stages = json.loads(succeeds("status", run, "--json"))["stages"]
    return next(found for found in stages if found["stage"] == stage)


def flip_a_byte(path: Path, column: int, group: int) -> None:
    """Break a page of a Parquet file; its size and time stay."""
    status = path.stat()
    chunk = pq.read_metadata(path).row_group(group).column(column)
    content = bytearray(path.read_bytes())
    content[chunk.dictionary_page_offset + chunk.total_compressed_size - 10] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def failed_in_the_card(run: Path) -> list[str]:
    return list(json.loads((run / "card" / "card.json").read_text())["failed_shards"])


def test_the_others_finish_and_nothing_is_curated_until_the_file_is_repaired(
    example: Example, pool: Path, tmp_path: Path, stages: Stages
) -> None:
    run = tmp_path / "run"
    said = fails(1, *curated(example, pool, run))
    assert "1 of 5 shards failed" in said
    assert str(pool / "berry.parquet") in said
    assert "Hint: " in said
    assert "repair the files" in said
    assert "--allow-failed-shards" in said
    assert not any((run / name).exists() for name in (*RESULTS, "counts", "balance", "card"))
    found = state(run, "match")
    assert (found["state"], found["shards_done"], found["shards"]) == ("under way", 4, 5)
    assert [failure["shard"] for failure in found["failures"]] == ["berry"]
    assert "stage 'match' is not whole" in fails(1, "count", run)
    assert "1 of 5 shards failed" in fails(1, *curated(example, pool, run))

    matched = {path.name: path.stat().st_mtime_ns for path in run.glob(".work/match-*/*.arrow")}
    assert len(matched) == 4
    repair(pool / "berry.parquet", example)
    succeeds(*curated(example, pool, run))
    assert_same(run, stages.run(tmp_path / "clean", pool))
    assert state(run, "match")["failures"] == []
    assert matched.items() < {path.name: path.stat().st_mtime_ns for path in run.glob("match/*.arrow")}.items()


def test_accepted_it_is_left_out_and_said_so_everywhere(example: Example, pool: Path, tmp_path: Path, stages: Stages) -> None:
    run = tmp_path / "run"
    succeeds(*curated(example, pool, run, "--allow-failed-shards"))
    assert "berry.parquet" not in {path.name for path in (run / "curated").iterdir()}
    assert list(manifest(run, "match")["failed"]) == ["berry"]
    assert [failure["shard"] for failure in state(run, "match")["failures"]] == ["berry"]
    assert failed_in_the_card(run) == ["berry"]
    assert "berry" in (run / "card" / "card.md").read_text()
    assert "failed berry" in succeeds("status", run)

    without, made = results(run), modified(run, *AFTER_MATCHING)
    succeeds(*curated(example, pool, run, "--allow-failed-shards"))
    assert_same(run, without)
    assert modified(run, *AFTER_MATCHING) == made
    with pytest.raises(IncompleteError):  # no longer accepted
        stages.run(run, pool)
    stages.run(run, pool, accept_failed=True)
    assert modified(run, *AFTER_MATCHING) == made

    repair(pool / "berry.parquet", example)
    stages.run(run, pool, pictures=True)
    assert_same(run, stages.run(tmp_path / "clean", pool))
    assert failed_in_the_card(run) == []


def test_an_accepted_set_equals_a_run_that_never_had_the_file(example: Example, pool: Path, tmp_path: Path, stages: Stages) -> None:
    without = stages.run(tmp_path / "run", pool, accept_failed=True, pictures=True)
    (pool / "berry.parquet").unlink()
    assert stages.run(tmp_path / "clean", pool) == without
    stages.run(tmp_path / "run", pool, pictures=True)  # the file that failed may go
    assert_same(tmp_path / "run", without)
    assert failed_in_the_card(tmp_path / "run") == []


def test_a_bad_file_added_to_a_whole_run_and_accepted_is_in_the_card(example: Example, tmp_path: Path, stages: Stages) -> None:
    shutil.copytree(example.pool, tmp_path / "pool")
    run = tmp_path / "run"
    stages.run(run, tmp_path / "pool", pictures=True)
    (tmp_path / "pool" / "fig.parquet").touch()
    with pytest.raises(IncompleteError, match="1 of 6 shards failed"):
        stages.run(run, tmp_path / "pool")
    stages.run(run, tmp_path / "pool", accept_failed=True, pictures=True)
    assert failed_in_the_card(run) == ["fig"]


def test_when_every_shard_failed_there_is_nothing_to_accept(tmp_path: Path, stages: Stages) -> None:
    (tmp_path / "pool").mkdir()
    for name in ("a.parquet", "b.parquet"):
        (tmp_path / "pool" / name).write_bytes(b"PAR1 and no more")
    with pytest.raises(IncompleteError, match="2 of 2 shards failed"):
        stages.run(tmp_path / "run", tmp_path / "pool", accept_failed=True)
    assert not (tmp_path / "run" / "curated").exists()


@pytest.fixture
def broken_later(example: Example, tmp_path: Path) -> Path:
    """A copy of the pool, of which one file can be matched but not read in whole."""
    shutil.copytree(example.pool, tmp_path / "pool")
    flip_a_byte(tmp_path / "pool" / "berry.parquet", column=2, group=1)
    return tmp_path / "pool"


def test_a_file_that_breaks_after_the_barrier_can_be_repaired_too(
    example: Example, broken_later: Path, tmp_path: Path, stages: Stages
) -> None:
    run = tmp_path / "run"
    for _ in range(2):
        said = fails(1, *curated(example, broken_later, run))
        assert "1 of 5 shards failed" in said
        assert str(broken_later / "berry.parquet") in said
        assert not (run / "curated").exists()
    assert [failure["shard"] for failure in state(run, "match")["failures"]] == ["berry"]
    repair(broken_later / "berry.parquet", example)
    stages.run(run, broken_later, pictures=True)
    assert_same(run, stages.run(tmp_path / "clean", broken_later))


def test_a_file_that_breaks_after_the_barrier_can_be_given_up(example: Example, broken_later: Path, tmp_path: Path, stages: Stages) -> None:
    run = tmp_path / "run"
    with pytest.raises(IncompleteError):  # found only when its pairs were to be written
        stages.run(run, broken_later, accept_failed=True)
    without = stages.run(run, broken_later, accept_failed=True, pictures=True)
    made = modified(run, *AFTER_MATCHING)
    assert failed_in_the_card(run) == ["berry"]
    stages.run(run, broken_later, accept_failed=True, pictures=True)
    assert_same(run, without)
    assert modified(run, *AFTER_MATCHING) == made
    with pytest.raises(IncompleteError, match="1 of 5 shards failed"):  # as it is, the file can only fail again
        stages.run(run, broken_later)
    assert results(run) == without
    (broken_later / "berry.parquet").unlink()
    assert stages.run(tmp_path / "clean", broken_later) == without


def test_a_large_file_of_which_one_shard_failed_can_be_repaired(example: Example, tmp_path: Path) -> None:
    """A Parquet file of over a million rows is several shards, and repairing it changes them all."""
    (tmp_path / "pool").mkdir()
    path, rows = tmp_path / "pool" / "large.parquet", 1_600_000
    write_parquet(path, {"caption": captions(1000, 0) * (rows // 1000)}, rows_per_group=400_000)
    whole = path.read_bytes()
    flip_a_byte(path, column=0, group=3)
    command = ("match", tmp_path / "pool", "--metadata", example.entries, "--workers", 2, "--out", tmp_path / "run")
    assert "1 of 2 shards failed:\n  large" in fails(1, *command)
    path.write_bytes(whole)
    succeeds(*command)
    assert manifest(tmp_path / "run", "match")["result"]["records"] == rows
    assert leftovers(tmp_path / "run") == []


def test_a_mark_of_a_shard_that_is_no_more_says_nothing(pool: Path, tmp_path: Path, stages: Stages) -> None:
    with pytest.raises(IncompleteError, match="berry"):
        stages.run(tmp_path / "run", pool)
    (pool / "berry.parquet").unlink()
    (pool / "fig.parquet").touch()
    with pytest.raises(IncompleteError, match="fig"):
        stages.run(tmp_path / "run", pool)
    assert [failure["shard"] for failure in state(tmp_path / "run", "match")["failures"]] == ["fig"]


def test_one_command_goes_on_without_a_file_that_breaks_after_the_barrier(example: Example, broken_later: Path, tmp_path: Path) -> None:
    succeeds(*curated(example, broken_later, tmp_path / "run", "--allow-failed-shards"))
    assert failed_in_the_card(tmp_path / "run") == ["berry"]


def test_a_broken_file_that_joins_a_finished_run_leaves_its_results_usable(example: Example, tmp_path: Path) -> None:
    pool, run = tmp_path / "pool", tmp_path / "run"
    shutil.copytree(example.pool, pool)
    succeeds(*curated(example, pool, run))
    before = results(run)
    (pool / "zebra.parquet").write_bytes((example.pool / "berry.parquet").read_bytes()[:100])
    assert "1 of 6 shards failed" in fails(1, *curated(example, pool, run))
    assert results(run) == before
    succeeds("balance", run, "--seed", "5")
    assert results(run) != before
    shutil.copyfile(example.pool / "berry.parquet", pool / "zebra.parquet")
    succeeds(*curated(example, pool, run))
    succeeds(*curated(example, pool, tmp_path / "clean"))
    assert_same(run, results(tmp_path / "clean"))


def test_a_file_without_captions_fails_alone_wherever_it_stands(example: Example, tmp_path: Path) -> None:
    pool, run = tmp_path / "pool", tmp_path / "run"
    shutil.copytree(example.pool, pool)
    (pool / "aaa.csv").write_text("name,number\nx,1\n")
    assert "aaa.csv: no caption column found" in fails(1, *curated(example, pool, run))
    succeeds(*curated(example, pool, run, "--allow-failed-shards"))
    assert failed_in_the_card(run) == ["aaa"]


def matched_and_counted(example: Example, pool: Path, run: Path) -> Path:
    succeeds("match", pool, "--metadata", example.entries, "--out", run)
    succeeds("count", run)
    return run


def test_what_helps_when_balancing_fails_is_a_command_that_knows_how(example: Example, broken_later: Path, tmp_path: Path) -> None:
    run = matched_and_counted(example, broken_later, tmp_path / "run")
    said = " ".join(fails(1, "balance", run, "--t", "20").split())
    assert "1 of 5 shards failed" in said
    assert "run 'tallyclip match POOL... --out RUN' or 'tallyclip curate POOL... --out RUN' again" in said
    succeeds(*curated(example, broken_later, run, "--allow-failed-shards"))
    assert failed_in_the_card(run) == ["berry"]


def test_files_that_changed_before_balancing_are_no_failures_to_accept(example: Example, tmp_path: Path) -> None:
    shutil.copytree(example.pool, tmp_path / "pool")
    run = matched_and_counted(example, tmp_path / "pool", tmp_path / "run")
    write_parquet(tmp_path / "pool" / "berry.parquet", {"caption": captions(800, 9)})
    said = fails(2, "balance", run, "--t", "20")
    assert f"{tmp_path / 'pool' / 'berry.parquet'} changed after it was" in said
    assert "--allow-failed-shards" not in said
    assert f"delete {run / 'match'} and match everything again" in said
    shutil.rmtree(run / "match")
    matched_and_counted(example, tmp_path / "pool", run)
    succeeds("balance", run, "--t", "20")


ODD = """
import tallyclip.readers.json_lines as json_lines

def read_chunks(path, whole=json_lines.read_chunks):
    if path.endswith("odd.jsonl"):
        raise RecursionError("nobody foresaw this")
    return whole(path)

json_lines.read_chunks = read_chunks
"""


def test_a_reader_that_fails_in_a_way_nobody_foresaw_fails_its_file_alone_wherever_it_stands(example: Example, tmp_path: Path) -> None:
    """Every process of the command imports the reader that goes wrong: the driver, which looks up columns, and the workers."""
    pool, run = tmp_path / "pool", tmp_path / "run"
    shutil.copytree(example.pool, pool)
    (pool / "aaa-odd.jsonl").write_text('{"caption": "a dog"}\n')
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(ODD)
    odd = environment(PYTHONPATH=os.pathsep.join([str(tmp_path / "hooks"), os.environ.get("PYTHONPATH", "")]))
    command = (*curated(example, pool, run), "--allow-failed-shards")
    assert f"unreadable  {pool / 'aaa-odd.jsonl'}: RecursionError" in succeeds(*command, "--dry-run", env=odd)
    said = " ".join(fails(1, *curated(example, pool, run), env=odd).split())
    assert "1 of 6 shards failed" in said
    assert f"{pool / 'aaa-odd.jsonl'}: RecursionError: nobody foresaw this" in said
    succeeds(*command, env=odd)
    assert failed_in_the_card(run) == ["aaa-odd"]
    asked = tallyclip(*command, env=odd | {"TALLYCLIP_TRACEBACK": "1"})
    assert asked.stderr.strip().endswith("RecursionError: nobody foresaw this")
    assert "Traceback" in asked.stderr


def test_hostile_tars_fail_and_the_other_files_are_read(tmp_path: Path) -> None:
    pool, run = tmp_path / "pool", tmp_path / "run"
    pool.mkdir()
    write_entries(tmp_path / "entries.json", ["dog"])
    good = tar_bytes([("0.txt", b"a dog")])
    (pool / "good.tar").write_bytes(good)
    (pool / "z.jsonl").write_text('{"caption": "a dog"}\n')
    header = bytearray(good[:512])
    header[124:136] = b"-0000001000\0"
    for name, kind in (("a-negative.tar", b"0"), ("b-negative-pax.tar", b"x")):
        header[156:157] = kind
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        (pool / name).write_bytes(good[:1024] + header + good)
    command = ("curate", pool, "--metadata", tmp_path / "entries.json", "--t", "inf", "--workers", 2, "--out", run)
    said = fails(1, *command)
    assert "2 of 4 shards failed" in said
    assert all(
        f"{pool / name}: the header at byte 1,024 has an implausible size" in said for name in ("a-negative.tar", "b-negative-pax.tar")
    )
    assert "2 records" in succeeds(*command, "--allow-failed-shards")
    assert "unreadable" in succeeds(*command, "--dry-run")


def test_a_file_that_takes_more_memory_than_there_is_fails_alone_and_of_that(example: Example, tmp_path: Path, stages: Stages) -> None:
    """A small file of captions that are one and the same, and written once: read, they are 5 GB."""
    pool, run = tmp_path / "pool", tmp_path / "run"
    shutil.copytree(example.pool, pool)
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), ["word1 " * 2_800_000])
    urls = [f"https://a.example/{number}.jpg" for number in range(len(texts))]
    pq.write_table(pa.table({"url": urls, "caption": texts}), pool / "greedy.parquet", compression="zstd", store_schema=False)
    assert (pool / "greedy.parquet").stat().st_size < 1_000_000

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))

    said = fails(1, *curated(example, pool, run, "--workers", 2), preexec_fn=limit)
    assert f"  greedy: {pool}/greedy.parquet: out of memory while reading it (tried 2 times)\n" in said
    assert "Hint: try fewer --workers" in said
    match = state(run, "match")
    assert (match["shards_done"], [failure["shard"] for failure in match["failures"]]) == (match["shards"] - 1, ["greedy"])
    (pool / "greedy.parquet").unlink()
    stages.run(run, pool)
    assert_same(run, stages.run(tmp_path / "clean", pool))
