"""Counting words and phrases: from a dump and from Parquet, beside wikiextractor and NLTK; and memory as the text grows.

    python benchmarks/ngrams.py speed --dump enwiki-pages-articles.xml.bz2 --repeat 12
    python benchmarks/ngrams.py memory --dump enwiki-pages-articles.xml.bz2 --memory 2G --times 1 10 100

`speed` writes the dump's pages several times, in streams of a hundred as Wikimedia does, and counts the words and phrases of the result on
one core and on two; its steps are timed by themselves. The same dump goes through wikiextractor with one process for extraction (and one
each for reading and writing), and the text that comes out through NLTK's bigram finder, which keeps both counts in dictionaries as we do
in tables. Of Parquet both start from our text. `memory` shuffles the words of the dump's text anew and anew, so that new phrases keep
coming, and builds a list with the command. Memory is the proportional set size of all processes, at its peak. Prints lines of JSON.
"""

from __future__ import annotations

import argparse
import bz2
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate import PeakMemory
from record import record
from tallyclip.core.strings import Strings, from_python, to_python
from tallyclip.lists.dump import find_parts, namespaces_of, read_pages
from tallyclip.lists.ngrams.counter import NgramCounter
from tallyclip.lists.texts import TextCounts, parts_of, read_texts
from tallyclip.lists.wikitext.stripper import Stripper
from tallyclip.run.items import Work, do_piece, piece_of_work, write_work
from tallyclip.run.progress import Silent
from tallyclip.run.runners.base import Task, collect
from tallyclip.run.runners.local import Workers
from tallyclip.stages.ngrams import CountJob, InputPart, NgramsFolder, TextJob, count_part

PAGES_IN_A_STREAM = 100
BYTES_AT_ONCE = 20 << 20  # once the text
MB = 1e6


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, function in (("speed", speed), ("memory", memory)):
        command = commands.add_parser(name)
        command.add_argument("--dump", type=Path, required=True)
        command.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="for what is written")
        command.set_defaults(function=function)
    commands.choices["speed"].add_argument("--repeat", type=int, default=12)
    commands.choices["speed"].add_argument("--without-peers", action="store_true")
    commands.choices["memory"].add_argument("--memory", default="2G")
    commands.choices["memory"].add_argument("--workers", type=int, default=2)
    commands.choices["memory"].add_argument("--times", type=int, nargs="+", default=[1, 10, 100])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        arguments.function(arguments, Path(folder))


# speed


def speed(arguments: argparse.Namespace, folder: Path) -> None:
    """XML and Parquet to words and phrases."""
    dump = folder / "enwiki-pages-articles.xml.bz2"
    size = write_repeated(arguments.dump, arguments.repeat, dump)
    texts = list(stripped(dump))
    table = folder / "articles.parquet"
    articles = [text for batch in texts for text in to_python(batch)]
    pq.write_table(pa.table({"text": articles}), table, row_group_size=1000)
    text_size = sum(len(text.encode()) for text in articles)
    count_all(parts_of(str(dump))[:1])  # compiles
    ours = {"dump": best_of(3, lambda: count_all(parts_of(str(dump)))), "parquet": best_of(3, lambda: count_all(parts_of(str(table))))}
    record("ngrams: dump, one core", mb=size / MB, mb_per_s=size / MB / ours["dump"], text_mb=text_size / MB, steps=steps(dump, texts))
    record("ngrams: parquet, one core", mb=text_size / MB, mb_per_s=text_size / MB / ours["parquet"])
    with Workers(2, ["tallyclip.stages.ngrams"]) as workers:
        count_by(workers, dump, folder)  # starts them
        two = best_of(3, lambda: count_by(workers, dump, folder))
    record("ngrams: dump, two workers", mb=size / MB, mb_per_s=size / MB / two)
    if arguments.without_peers:
        return
    before = os.times()
    extracted, extracting = wikiextractor(dump, folder / "extracted.txt")
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    counting = best_of(1, lambda: nltk_counts(extracted))
    peer = extracting + counting
    record(
        "ngrams: dump, wikiextractor and NLTK",
        libraries=("wikiextractor", "nltk"),
        mb_per_s=size / MB / peer,
        seconds_extracting=extracting,
        seconds_of_processors_extracting=busy,
        seconds_counting=counting,
        ours_on_one_core_faster_by=peer / ours["dump"],
        ours_on_two_cores_faster_by=peer / two,
        ours_takes_less_of_processors_by=(busy + counting) / ours["dump"],
    )
    text = "\n".join(articles)
    peer = best_of(1, lambda: nltk_counts(text))
    record("ngrams: parquet, NLTK", libraries=("nltk",), mb_per_s=text_size / MB / peer, ours_faster_by=peer / ours["parquet"])


def write_repeated(source: Path, times: int, target: Path) -> int:
    """The pages of a dump several times, as a multistream dump; returns the bytes of XML."""
    content = bz2.decompress(source.read_bytes())
    head, tail = content.index(b"<page>"), content.rindex(b"</page>") + len(b"</page>\n")
    pages = re.findall(rb"<page>.*?</page>\n", content[head:tail] + b"\n", re.DOTALL) * times
    streams = [
        content[:head],
        *(b"".join(pages[i : i + PAGES_IN_A_STREAM]) for i in range(0, len(pages), PAGES_IN_A_STREAM)),
        content[tail:],
    ]
    target.write_bytes(b"".join(bz2.compress(stream) for stream in streams))
    return sum(map(len, streams))


def stripped(dump: Path) -> Iterator[Strings]:
    """The texts of a dump's articles."""
    for part in parts_of(str(dump)):
        yield from read_texts(part, TextCounts(), ignore)


def count_all(parts: list) -> None:
    """Count parts in this process, in the memory of a worker."""
    counter = NgramCounter(1 << 30, ignore)
    for part in parts:
        for batch in read_texts(part, TextCounts(), ignore):
            counter.add(batch)
    counter.finish()


def count_by(workers: Workers, dump: Path, folder: Path) -> None:
    """Count a dump as the command does, to sorted runs."""
    counts = NgramsFolder(folder / "counts")
    parts = {part.key: part for part in (InputPart(TextJob(part, "en"), part.size, "") for part in parts_of(str(dump)))}
    write_work(counts, "parts", Work(parts, CountJob(400 << 20)), barrier="")
    tasks = [Task(key, piece_of_work(count_part, counts, "parts", key, part)) for key, part in parts.items()]
    _, failed = collect(workers, Silent(), do_piece, tasks)
    assert not failed, failed


def steps(dump: Path, texts: list[Strings]) -> dict[str, float]:
    """Seconds of each step by itself: one is the next without what comes before."""

    def unpack() -> None:
        content, decompressor = dump.read_bytes(), bz2.BZ2Decompressor()
        while content:
            decompressor.decompress(content)
            content, decompressor = decompressor.unused_data, bz2.BZ2Decompressor()

    def find_pages() -> list[bytes]:
        names = namespaces_of(str(dump))
        return [
            page.text
            for part in find_parts(str(dump))
            for page in read_pages(str(dump), part, names, ignore, ignore)
            if page.namespace == 0 and not page.redirect
        ]

    def count() -> None:
        counter = NgramCounter(1 << 30, ignore)
        for batch in texts:
            counter.add(batch)
        counter.finish()

    pages = from_python([page.decode("utf-8", "replace") for page in find_pages()])
    stripper = Stripper(namespaces_of(str(dump)))
    unpacked = best_of(3, unpack)
    return {
        "unpack": unpacked,
        "find pages": best_of(3, find_pages) - unpacked,
        "strip": best_of(3, lambda: stripper.strip(pages)),
        "count": best_of(3, count),
    }


def wikiextractor(dump: Path, out: Path) -> tuple[str, float]:
    """The text that wikiextractor makes of a dump, and its seconds."""
    command = [sys.executable, "-m", "wikiextractor.WikiExtractor", "--processes", "1", "--no-templates", "-q", "-o", "-", str(dump)]
    begun = time.monotonic()
    with out.open("wb") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, check=True)
    seconds = time.monotonic() - begun
    return re.sub(r"</?doc\b[^>]*>", "", out.read_text(encoding="utf-8", errors="replace")), seconds


def nltk_counts(text: str) -> None:
    """Words and pairs by NLTK's finder."""
    from nltk.collocations import BigramCollocationFinder

    BigramCollocationFinder.from_words(text.split())


# memory


def memory(arguments: argparse.Namespace, folder: Path) -> None:
    """Peak memory and seconds of the command on 1, 10, 100 times the text."""
    words = np.array(" ".join(text for batch in stripped(arguments.dump) for text in to_python(batch)).split(), dtype=object)
    for times in arguments.times:
        path = folder / "shuffled.txt"
        size = write_shuffled(words, times, path)
        command = build_command(folder, str(path), arguments.memory, arguments.workers)
        shutil.rmtree(folder / "out", ignore_errors=True)
        begun = time.monotonic()
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        peak = PeakMemory(process.pid)
        said = process.communicate()[1]
        seconds = time.monotonic() - begun
        if process.returncode:
            raise SystemExit(said)
        disk = sum(file.stat().st_size for file in (folder / "out").rglob("*") if file.is_file())
        record(
            "ngrams: memory",
            times=times,
            text_mb=size / MB,
            memory=arguments.memory,
            workers=arguments.workers,
            peak_mb=peak.stop() / MB,
            seconds=seconds,
            mb_per_s=size / MB / seconds,
            counts_mb=disk / MB,
            said=[line for line in said.splitlines() if line.startswith("✓")],
        )


def write_shuffled(words: np.ndarray, times: int, path: Path) -> int:
    """The words in other orders, so often that the text is ``times`` times 20 MB; returns its bytes."""
    generator, size = np.random.default_rng(times), 0
    with path.open("wb") as file:
        while size < times * BYTES_AT_ONCE:
            shuffled = generator.permutation(words)
            lines = [" ".join(shuffled[i : i + 1000]) for i in range(0, len(shuffled), 1000)]
            size += file.write(("\n".join(lines) + "\n").encode())
    return size


# both


def build_command(folder: Path, texts: str, memory: str, workers: int) -> list[str]:
    """The command that builds a list of some texts."""
    recipe = folder / "recipe.toml"
    recipe.write_text(f'[text]\nfiles = ["{texts}"]\n[unigrams]\nlimit = 251_465\n[bigrams]\nlimit = 100_646\n')
    tallyclip = Path(sys.executable).with_name("tallyclip")
    sizes = ["--memory", memory, "--workers", str(workers)]
    return [str(tallyclip), "metadata", "build", "--recipe", str(recipe), "--out", str(folder / "out"), *sizes]


def best_of(tries: int, function: Callable[[], object]) -> float:
    """The shortest time of some, in seconds."""
    times: list[float] = []
    for _ in range(tries):
        begun = time.monotonic()
        function()
        times.append(time.monotonic() - begun)
    return min(times)


def ignore(*_: object) -> None:
    """Take anything."""


if __name__ == "__main__":
    main()
