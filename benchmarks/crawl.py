"""From WAT to a pool on one core: as multiples of the CPU time that FastWARC alone takes to read the same records.

    python benchmarks/crawl.py --wat crawl/*.warc.wat.gz --entries standin-metadata.json.gz --copies 40

The files are written one after the other into one, so many times, in each copy with other alt texts, or nearly all pairs would be repeats.
Then each step is timed in turn, in this process: its CPU time, of all threads, and the ratio to that of FastWARC in the same round. The
figures are medians of the rounds. Peak memory is that of a process of its own that makes the pool. Prints a line of JSON for each step.

If pysimdjson is installed, what cc2dataset does with a file before Spark has its rows is timed too, in a re-statement.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import hashlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urljoin

import fastwarc
import pyarrow.parquet as pq

import tallyclip as tc
from record import record
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.crawl.gather import Gatherer
from tallyclip.readers.crawl.read import CrawlReading
from tallyclip.readers.sources import Shard, find_files
from tallyclip.readers.wat import read_wat
from tallyclip.run.shards import ShardItem
from tallyclip.stages.duplicates import Removed
from tallyclip.stages.gather import GatherFolder, GatherJob, gather_shard
from tallyclip.stages.pool import PoolJob, write_pairs
from tallyclip.stages.remaining import GatheredFile, RemainingFolder
from tallyclip.steps.filters import Filters
from tallyclip.steps.languages import default_identifier


def write_copies(sources: Sequence[Path], copies: int, target: Path) -> None:
    """WAT files one after the other, so many times, the alt texts of each copy with its number."""
    with target.open("wb") as out:
        for source in sources:
            with source.open("rb") as file:
                records = fastwarc.ArchiveIterator(fastwarc.GzipReader(file), parse_http=False, stream_detect=False)
                contents = [(list(one.headers.astuples()), one.reader.read()) for one in records]
            for copy in range(copies):
                for headers, content in contents:
                    changed = re.sub(rb'"alt":"(?=[^"])', b'"alt":"%d ' % copy, content)
                    lines = [f"{name}: {len(changed) if name == 'Content-Length' else value}" for name, value in headers]
                    head = "\r\n".join(["WARC/1.0", *lines, "", ""]).encode()
                    out.write(gzip.compress(head + changed + b"\r\n\r\n", compresslevel=6, mtime=0))


def fastwarc_alone(path: Path) -> int:
    size = 0
    with path.open("rb") as file:
        records = fastwarc.ArchiveIterator(fastwarc.GzipReader(file), parse_http=False, stream_detect=False)
        for one in records:
            size += len(one.reader.read())
    return size


def as_cc2dataset(path: Path) -> int:
    """Objects of all that a record says, and for each image with an alt text its resolved URL and a hash; Spark then removes repeats."""
    import simdjson  # pyright: ignore[reportMissingImports]

    rows: list[tuple[str, ...]] = []
    with path.open("rb") as file:
        for one in fastwarc.ArchiveIterator(file, record_types=fastwarc.WarcRecordType.metadata, parse_http=False):
            record = simdjson.loads(one.reader.read())
            envelope = record["Envelope"]
            html = envelope["Payload-Metadata"].get("HTTP-Response-Metadata", {}).get("HTML-Metadata", {})
            page, source = envelope["WARC-Header-Metadata"].get("WARC-Target-URI", ""), record["Container"]["Filename"]
            base = urljoin(page, html.get("Head", {}).get("Base", ""))
            for link in html.get("Links", []):
                if link.get("path") == "IMG@/src" and link.get("alt") and "url" in link:
                    url = link["url"] if link["url"].startswith(("http://", "https://")) else urljoin(base, link["url"])
                    rows.append((hashlib.md5((link["alt"] + url).encode()).hexdigest(), url, link["alt"], source, page))
    return len(rows)


def gathered(path: Path) -> int:
    gather, rows = Gatherer(), 0
    for _ in read_wat(str(path), gather):
        if gather.is_full:
            rows += len(gather.take().uids)
    return rows + len(gather.take().uids)


def pooled(path: Path, folder: Path) -> int:
    """Both passes over one file, as ``tallyclip pool`` makes them: gathered, and what is kept written again."""
    shard, gathered, pool = Shard("wat", find_files([str(path)])[0][0]), GatherFolder(folder / "gather"), RemainingFolder(folder / "pool")
    job = GatherJob(ColumnChoice(), CrawlReading(str(folder)), "pair", Filters(), by_site=False, collapse=True, languages=None)
    report = gather_shard(job, ShardItem(shard), gathered, lambda _: None)
    into = PoolJob(str(gathered.path), removed=Removed({}), languages=None, detected=False, duplicates="pair")
    return write_pairs(into, GatheredFile("wat", 0, report.rows), pool, lambda _: None).kept


def texts_of(folder: Path) -> list[str]:
    return pq.read_table(folder / "pool" / "wat.parquet", columns=["text"])["text"].to_pylist()


def timed(step: Callable[[], object]) -> float:
    """The seconds of CPU that a step takes."""
    gc.collect()
    started = time.process_time()
    step()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wat", nargs="+", type=Path, required=True)
    parser.add_argument("--entries", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.memory_of is not None:
            pooled(options.memory_of, folder)
            record(peak_megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, benchmark="crawl, peak memory")
            return
        path = folder / "all.warc.wat.gz"
        write_copies(options.wat, options.copies, path)
        matcher = tc.Matcher(tc.Metadata.load(options.entries))
        size, pairs = fastwarc_alone(path), gathered(path)
        kept = pooled(path, folder)
        texts = texts_of(folder)
        column = pq.read_table(folder / "pool" / "wat.parquet", columns=["text"])["text"]
        matcher.match(column)
        steps: dict[str, Callable[[], object]] = {
            "FastWARC alone": lambda: fastwarc_alone(path),
            "images and texts": lambda: gathered(path),
            "pool Parquet": lambda: pooled(path, folder),
            "matching": lambda: matcher.match(column),
            "language of all": lambda: default_identifier().identify(texts),
        }
        if find_spec("simdjson") is not None:
            steps["as cc2dataset, before Spark"] = lambda: as_cc2dataset(path)
        rounds = [{step: timed(run) for step, run in steps.items()} for _ in range(options.rounds)]
        for step in steps:
            record(
                benchmark="crawl",
                step=step,
                cpu_seconds=round(statistics.median(one[step] for one in rounds), 3),
                times_fastwarc=round(statistics.median(one[step] / one["FastWARC alone"] for one in rounds), 2),
                unpacked_megabytes=size // 10**6,
                packed_megabytes=path.stat().st_size // 10**6,
                pairs=pairs,
                kept=kept,
            )
        names = ("gather/*.parquet", "gather/*.npy", "pool/*.parquet")
        parquet, keys, pool = (sum(one.stat().st_size for one in folder.glob(name)) for name in names)
        record("crawl, bytes a pair", gathered=round(parquet / pairs, 1), keys=round(keys / pairs, 1), pool=round(pool / kept, 1))
        command = [sys.executable, __file__, "--wat", *map(str, options.wat), "--entries", str(options.entries), "--memory-of", str(path)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
