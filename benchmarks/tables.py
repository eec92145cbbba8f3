"""The tables of docs/benchmarks.md, written from the lines of JSON that are stored in ``benchmarks/results``.

A table stands on the page between ``<!-- table: NAME -->`` and ``<!-- end -->``. Its function here gets the lines, by the names of their
files, and gives rows of cells, the first of them the names of the columns.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Iterable
from math import floor, log10
from pathlib import Path
from typing import Any

Lines = list[dict[str, Any]]
Rows = list[list[str]]

HERE = Path(__file__).resolve().parents[1]
RESULTS = HERE / "benchmarks" / "results"
PAGE = HERE / "docs" / "benchmarks.md"
PLACE = re.compile(r"(<!-- table: ([a-z ]+) -->\n\n).*?(\n<!-- end -->)", re.DOTALL)
MATCH_STEPS = {
    "split": "split into words",
    "key": "make keys, and prefetch their cache lines",
    "look up": "look up words",
    "phrases": "find phrases",
    "collect": "collect entries",
    "sort and write": "sort the ids of each caption, drop duplicates, write; make arrays of what Arrow has, and of the result",
}
CRAWL_STEPS = {
    "FastWARC alone": "FastWARC alone",
    "images and texts": "images and captions, URLs resolved, uids",
    "pool Parquet": "**WAT to pool Parquet**, all stages",
    "matching": "matching in addition, 500,000 entries",
    "language of all": "detecting the language of every kept caption",
    "as cc2dataset, before Spark": "what cc2dataset does before Spark has its rows",
}
STAGES = {"metadata": "metadata (tables)"}


def lines_of(name: str, benchmark: str) -> Lines:
    """The stored lines of a run that are of a benchmark."""
    stored = (RESULTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, stored) if line["benchmark"] == benchmark]


def rounded(value: float) -> str:
    """A rate with the three digits that count: 5563211 is 5,560,000."""
    return f"{round(value, min(0, 2 - floor(log10(value)))):,.0f}"


def factor(value: float) -> str:
    """How many times as much."""
    return rounded(value) if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def millions(value: float) -> str:
    """Rows a second."""
    return f"{value / 1e6:.2f} million" if value < 1e6 else f"{value / 1e6:.1f} million"


def between(values: Iterable[float], form: Callable[[float], str]) -> str:
    """One value, or the lowest and the highest of several."""
    forms = list(dict.fromkeys(form(value) for value in sorted(values)))
    return forms[0] if len(forms) == 1 else f"{forms[0]} to {forms[-1]}"


def matching() -> Rows:
    """Captions a second of each method."""
    labels = {"brute force": "search every entry in every caption (`match_reference`)", "tallyclip": "**tallyclip**"}
    labels["tallyclip, splitting into words alone"] = "only tallyclip's splitting and keys"
    rows = [["method", "captions per second:", "factor of tallyclip:"]]
    for line in lines_of("match", "match"):
        method = line["method"]
        version = ".".join(line["versions"].get(method, "").split(".")[:2])
        rate = rounded(line["texts_per_second"])
        cells = [f"**{rate}**" if method == "tallyclip" else rate, factor(line["ours_is_faster_by"])]
        rows.append([labels.get(method, f"{method} {version}"), *cells])
    return rows


def steps_of_matching() -> Rows:
    """Where the matcher's time is spent, with two lists."""
    long, wordnet = (lines_of(name, "match, nanoseconds of each step")[0] for name in ("match", "match-wordnet"))
    steps = [[label, f"{long[step]:.0f}", f"{wordnet[step]:.0f}"] for step, label in MATCH_STEPS.items()]
    return [["step", "ns per caption, 500,000 entries:", "WordNet:"], *steps]


def curating() -> Rows:
    """From a pool to a curated set: seconds, rates, memory, and how long Parquet alone takes."""
    sizes = ("curate-10m", "curate-40m")
    runs = [lines_of(name, "curate") for name in sizes]
    alone = [lines_of(name, "curate, parquet alone") for name in sizes]
    of_runs: list[tuple[str, str, Callable[[float], str]]] = [
        ("seconds", "seconds", "{:.1f}".format),
        ("pairs per second", "pairs_per_second", rounded),
        ("peak memory (PSS of all processes)", "peak_pss_megabytes", lambda value: f"{value / 1000:.2f} GB"),
    ]
    of_parquet: list[tuple[str, str, Callable[[float], str]]] = [
        ("only Parquet, seconds", "seconds", "{:.1f}".format),
        ("**times Parquet alone**", "curate_takes_times_as_long", "{:.2f}".format),
    ]
    rows = [["", "10M pairs:", "40M pairs:"]]
    rows += [[label, *(between((line[key] for line in run), form) for run in runs)] for label, key, form in of_runs]
    for label, key, form in of_parquet:
        cells = [between((line[key] for line in run), form) for run in alone]
        rows.append([label, *(f"**{cell}**" if label.startswith("**") else cell for cell in cells)])
    return [
        *rows,
        ["seconds besides shards", *(between((line["seconds_besides_shards"] for line in run), "{:.1f}".format) for run in runs)],
    ]


def stages_of_curating() -> Rows:
    """The seconds of each stage, of both workers together."""
    seconds = lines_of("curate-10m", "curate")[0]["seconds_of_stages"]
    return [
        ["stage of a 10M run", "seconds of work, sum of both workers:"],
        *([STAGES.get(name, name), str(it)] for name, it in seconds.items()),
    ]


def crawling() -> Rows:
    """From WAT to a pool, beside FastWARC."""
    rows = [["step", "CPU seconds:", "times FastWARC:"]]
    for line in lines_of("crawl", "crawl"):
        times = factor(line["times_fastwarc"])
        rows.append([CRAWL_STEPS[line["step"]], f"{line['cpu_seconds']:.2f}", f"**{times}**" if line["step"] == "pool Parquet" else times])
    return rows


def duplicates() -> Rows:
    """Finding duplicates over a pool, with several splits."""
    rows = [["buckets:", "workers:", "files", "rows per second:", "peak memory, all processes:"]]
    for line in lines_of("duplicates", "duplicates"):
        order = "in order" if line["in_order"] else "shuffled" if line["workers"] > 1 else "shuffled differently"
        buckets = f"{line['buckets']} (the default)" if line["in_order"] else str(line["buckets"])
        rows.append([buckets, str(line["workers"]), order, millions(line["rows_per_second"]), f"{line['peak_pss_megabytes']:,} MB"])
    return rows


def duplicates_of_many_files() -> Rows:
    """Slices of each file, and of groups of files that are merged."""
    rows = [["files:", "buckets:", "rows of a slice:", "read from", "seconds:", "peak memory, all processes:"]]
    for line in lines_of("duplicates-files", "duplicates of many files"):
        slices = f"{line['pairs'] / (line['files'] * line['buckets']):,.0f}"
        figures = [f"{line['seconds']:.1f}", f"{line['peak_pss_megabytes']:,} MB"]
        rows.append([f"{line['files']:,}", str(line["buckets"]), slices, "groups" if line["merged"] else "each file", *figures])
    return rows


def duplicates_of_tables() -> Rows:
    """The stages that choose the pairs of a table."""
    labels = {"gather": "gather: read, hash, sort each file's keys"}
    rows = [["stage", "rows per second:", "peak memory, all processes:"]]
    for stage in ("gather", "duplicates", "kept"):
        (line,) = lines_of("duplicates-tables", f"tables: {stage}")
        rows.append([labels.get(stage, stage), millions(line["rows_per_second"]), f"{line['peak_pss_megabytes']:,} MB"])
    return rows


def loading() -> Rows:
    """Samples a second of loaders, by keep rate."""
    lines = lines_of("loader", "loader")
    versions = lines[0]["versions"]
    labels = {
        "webdataset": f"webdataset {versions['webdataset']}",
        "open_clip": f"open_clip {versions['open_clip_torch']}'s own pipeline",
        "tallyclip": "**tallyclip**",
    }
    rates = sorted({line["keep_rate"] for line in lines}, reverse=True)
    found = {(line["loader"], line["keep_rate"]): str(line["samples_per_second"]) for line in lines}
    rows = [["samples per second, at keep rate", *(f"{rate:g}:" for rate in rates)]]
    for loader, label in labels.items():
        rows.append([label, *(f"**{found[loader, rate]}**" if loader == "tallyclip" else found[loader, rate] for rate in rates)])
    return rows


def running() -> Rows:
    """Seconds of a whole curate, by who does it and the rows of the pool."""
    lines = lines_of("runners", "runners: curate")
    rows = [["a whole curate", *(f"{line['rows'] / 1e6:.1f} M rows, s:" for line in lines)]]
    return rows + [[way, *(f"{line['seconds'][way]:.1f}" for line in lines)] for way in lines[0]["seconds"]]


def dispatching() -> Rows:
    """Tasks that do nothing."""
    rows = [["runner", "tasks:", "tasks a second:", "ms a task:", "memory of the driver, MB:"]]
    for line in lines_of("runners", "runners: tasks"):
        figures = [f"{line['tasks']:,}", rounded(line["tasks_per_second"]), str(line["ms_per_task"]), str(line["driver_rss_mb"])]
        rows.append([line["runner"], *figures])
    return rows


def replaying() -> Rows:
    """A section of shards that do nothing."""
    labels = {
        "make": "all shards done and marked, until the first is missing its result",
        "status": "`status` of it",
        "resume": "the same command: all are done; the result is made",
        "again": "the same command: nothing to do",
    }
    rows = [["shards:", "step", "seconds:", "memory of the driver, MB:"]]
    for line in lines_of("replay", "replay"):
        rows.append([f"{line['shards']:,}", labels[line["step"]], f"{line['seconds']:,.0f}", f"{line['peak_MB']:,.0f}"])
    return rows


def adversarial() -> Rows:
    """Exponents of time against size, by what the input is read as."""
    kinds: dict[str, Lines] = {}
    for line in lines_of("adversarial", "adversarial"):
        kinds.setdefault(line["reader"], []).append(line)
    rows = [["read as", "inputs:", "median exponent:", "highest exponent:", "input with the highest", "peak MB at the largest size:"]]
    for kind, lines in kinds.items():
        timed = [line for line in lines if line["exponent"] is not None]
        highest = max(timed, key=lambda line: line["exponent"], default=None)
        median = f"{statistics.median(line['exponent'] for line in timed):.2f}" if timed else ""
        peak = f"{max(line['memory_megabytes'][-1] for line in lines):.0f}"
        of_highest = [f"{highest['exponent']:.2f}", highest["input"]] if highest else ["", ""]
        rows.append([kind, str(len(lines)), median, *of_highest, peak])
    return rows


TABLES: dict[str, Callable[[], Rows]] = {
    "matching": matching,
    "steps of matching": steps_of_matching,
    "curating": curating,
    "stages of curating": stages_of_curating,
    "crawling": crawling,
    "duplicates": duplicates,
    "duplicates of many files": duplicates_of_many_files,
    "duplicates of tables": duplicates_of_tables,
    "loading": loading,
    "running": running,
    "dispatching": dispatching,
    "replaying": replaying,
    "adversarial": adversarial,
}


def markdown(rows: Rows) -> str:
    """Rows as a table; a column whose name ends with a colon is one of numbers."""
    head = [name.removesuffix(":") for name in rows[0]]
    rule = "|".join("---:" if name.endswith(":") else "---" for name in rows[0])
    first, *rest = (f"| {' | '.join(row)} |\n" for row in [head, *rows[1:]])
    return f"{first}|{rule}|\n{''.join(rest)}"


def written() -> str:
    """The page, with its tables as the stored lines give them."""
    return PLACE.sub(lambda place: place[1] + markdown(TABLES[place[2]]()) + place[3], PAGE.read_text(encoding="utf-8"))
