"""Time and memory against size on adversarial input for every reader: is each linear?

    python benchmarks/adversarial.py > lines.jsonl
    python benchmarks/adversarial.py --only tar .csv --seconds 0.1

Each input of ``nasty.py`` is made at a size at which reading it takes about ``--seconds`` of processor time, at twice that size and at
four times. A process of its own reads each file, and says how much processor time that took and how far its memory grew (the peak of its
resident set, less that before; only Linux says this). What is compiled or imported when a reader is first used is so before. The exponent
is the base-2 logarithm of the ratio of the last two times: 1 is linear, 2 quadratic. Of times below a twentieth of a second there is none.
The two larger files are read twice, and the shorter time counts: others that work on the machine slow caches down, whatever is counted.
Prints a line of JSON for each input, or with ``--table`` a row of a table in Markdown.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import tallyclip as tc
from nasty import INPUTS, Input
from record import record
from tallyclip.core.strings import Strings
from tallyclip.lists import count_tables, omw, pageviews, wordnet
from tallyclip.lists.classes import read_classes
from tallyclip.lists.recipe import read_recipe
from tallyclip.lists.texts import TextCounts, parts_of, read_texts
from tallyclip.lists.wikitext.stripper import Stripper
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.crawl.charset import to_utf8
from tallyclip.readers.crawl.gather import Gatherer
from tallyclip.readers.crawl.html import TooComplexError, images_of
from tallyclip.readers.crawl.http import decode_body, parse_response
from tallyclip.readers.ledger import Ledger
from tallyclip.readers.pairs import pairs_in_parts
from tallyclip.readers.read import columns_of, read_shard
from tallyclip.readers.sources import cut, find_files
from tallyclip.readers.warc import read_warc
from tallyclip.readers.wat import read_wat

SMALL = 2_000  # bytes, for what is compiled or imported when it is first needed
LARGEST = 8 << 20  # bytes of the smallest file
SHORTEST = 0.05  # seconds that can be compared
LONGEST = 120  # seconds that are waited


def read_pool(path: str) -> str:
    """As matching reads it."""
    choice, ledger, pairs = ColumnChoice(), Ledger(), 0
    for shard in cut(find_files([path])[0]):
        columns = columns_of(shard.file, choice)
        for records in read_shard(shard, columns, choice):
            for part in pairs_in_parts(records, columns):
                pairs += len(part.uids)
                for drop in part.drops:
                    ledger.add(drop)
    return f"{pairs:,} pairs, {ledger.counts.total():,} drops"


def read_crawl(path: str, keep_readable: bool = False) -> str:
    gather, pairs = Gatherer(), 0
    for _ in (read_wat if ".wat" in path else read_warc)(path, gather, keep_readable=keep_readable):
        if gather.is_full:
            pairs += len(gather.take().uids)
    return f"{pairs + len(gather.take().uids):,} pairs, {gather.drops.total():,} drops"


def read_html(path: str) -> str:
    try:
        return f"{len(images_of(Path(path).read_bytes())[1]):,} images"
    except TooComplexError:
        return "page too complex"


def read_http(path: str) -> str:
    body = decode_body(parse_response(Path(path).read_bytes()))
    return body.reason or "read"


def read_texts_of(path: str) -> str:
    counts = TextCounts()
    for part in parts_of(path):
        for _ in read_texts(part, counts, lambda _: None):
            pass
    return f"{counts.articles:,} articles, {sum(counts.drops.values()):,} drops"


def strip(path: str) -> str:
    content = np.frombuffer(Path(path).read_bytes(), np.uint8)
    ends = np.append(np.arange(0, len(content), 1 << 20), len(content))
    return f"{len(Stripper({6: 'File'}).strip(Strings(content, ends.astype(np.int64), None)).data):,} bytes"


def read_views(path: str) -> str:
    titles = sum(len(views) for _, views in pageviews.read_views(path, pageviews.ViewChoice("en"), Counter(), lambda _: None))
    return f"{titles:,} titles"


def read_wordnet(path: str) -> str:
    """A data file, beside three that are whole."""
    folder = Path(path).parent / "dict"
    folder.mkdir(exist_ok=True)
    for kind in ("verb", "adj", "adv"):
        (folder / f"data.{kind}").write_bytes(b"00001740 03 n 01 dog 0 000 | a dog\n")
    os.replace(path, folder / "data.noun")
    return f"{len(list(wordnet.synset_names(folder))):,} synsets"


READERS: dict[str, Callable[[str], str]] = {
    "pool": read_pool,
    "crawl": read_crawl,
    "salvage": lambda path: read_crawl(path, keep_readable=True),
    "http": read_http,
    "html": read_html,
    "charset": lambda path: f"{len(to_utf8(Path(path).read_bytes())):,} bytes",
    "texts": read_texts_of,
    "wikitext": strip,
    "views": read_views,
    "words": lambda path: f"{len(list(count_tables.read_word_counts(path, Counter(), lambda _: None))):,} batches",
    "omw": lambda path: f"{len(list(omw.lemmas(path, Counter()))):,} lemmas",
    "wordnet": read_wordnet,
    "entries": lambda path: f"{len(tc.Metadata.load(path)):,} entries",
    "classes": lambda path: f"{len(read_classes(path)):,} class names",
    "recipe": lambda path: f"for {read_recipe(path)[0].language}",
}


class Reading(NamedTuple):
    """How one file was read."""

    seconds: float
    megabytes: float
    end: str


def outcome(reader: str, path: str) -> str:
    """What was read, or the first words of the error."""
    try:
        return READERS[reader](path)
    except tc.TallyclipError as error:
        return shorten(re.sub(r"^/\S*: ", "", error.what), 60, placeholder=" …")


def peak_memory() -> int:
    """The most memory that this process had, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) << 10


def read_alone(given: Input, path: str, answer: Connection) -> None:
    """In a process of its own."""
    before, started = peak_memory(), time.process_time()
    end = outcome(given.reader, path)
    answer.send(Reading(time.process_time() - started, (peak_memory() - before) / 1e6, end))


def write(given: Input, size: int, path: str) -> None:
    Path(path).write_bytes(given.make(size))


def measure(given: Input, size: int, folder: Path) -> tuple[int, Reading]:
    """The size of the file, and how it was read."""
    path = str(folder / f"{'wiki' if given.suffix.startswith('_') else 'file'}{given.suffix}")
    processes = get_context("fork")  # what is imported and compiled here is so there
    writer = processes.Process(target=write, args=(given, size, path))  # whose memory would else be this one's, and the reader's
    writer.start()
    writer.join()
    nbytes = os.path.getsize(path)
    ours, theirs = processes.Pipe()
    process = processes.Process(target=read_alone, args=(given, path, theirs))
    process.start()
    theirs.close()
    try:
        if not ours.poll(LONGEST):
            process.kill()
        reading = ours.recv()
    except EOFError:
        process.join()
        reading = Reading(math.nan, math.nan, f"the process ended with {process.exitcode}")
    process.join()
    return nbytes, reading


def measured(given: Input, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        small = str(Path(name) / f"wiki{given.suffix}")
        write(given, SMALL, small)
        outcome(given.reader, small)
        size = given.least
        nbytes, reading = measure(given, size, Path(name))
        while reading.seconds < seconds and size < LARGEST:
            size = min(LARGEST, size * min(16, max(2, 1 << round(math.log2(seconds / max(1e-3, reading.seconds))))))
            nbytes, reading = measure(given, size, Path(name))
        both = [(nbytes, reading)]
        for factor in (2, 4):
            twice = [measure(given, factor * size, Path(name)) for _ in range(2)]
            both.append(min(twice, key=lambda one: one[1].seconds))
    times = [one.seconds for _, one in both]
    return {
        "reader": given.reader + given.suffix,
        "input": given.name,
        "megabytes": [round(nbytes / 1e6, 3) for nbytes, _ in both],
        "seconds": [round(one, 3) for one in times],
        "exponent": round(math.log2(times[2] / times[1]), 2) if times[1] >= SHORTEST else None,
        "memory_megabytes": [round(one.megabytes, 1) for _, one in both],
        "end": both[-1][1].end,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="inputs with one of these in the name of the reader, the suffix or their own")
    parser.add_argument("--seconds", type=float, default=0.1, help="for the smallest file (default: 0.1)")
    parser.add_argument("--table", action="store_true", help="print a table in place of JSON")
    options = parser.parse_args()
    pa.set_cpu_count(1)
    if options.table:
        print("| reader | input | MB | seconds | exponent | MB of memory | what came of it |\n|---|---|---:|---:|---:|---:|---|")
    for given in INPUTS:
        if options.only and not any(word in f"{given.reader}{given.suffix} {given.name}" for word in options.only):
            continue
        figures = measured(given, options.seconds)
        if options.table:
            print(row(figures), flush=True)
        else:
            record("adversarial", **figures)


def row(figures: dict[str, Any]) -> str:
    def listed(values: list[float]) -> str:
        return " / ".join(f"{value:.2g}" if value < 10 else f"{value:,.0f}" for value in values)

    cells = [figures["reader"], figures["input"], *(listed(figures[key]) for key in ("megabytes", "seconds"))]
    return (
        "| "
        + " | ".join(
            map(
                str,
                [*cells, "" if figures["exponent"] is None else figures["exponent"], listed(figures["memory_megabytes"]), figures["end"]],
            )
        )
        + " |"
    )


if __name__ == "__main__":
    sys.exit(main())
