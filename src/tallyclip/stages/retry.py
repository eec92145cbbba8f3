"""The stage retry: the pairs of a run whose images were not downloaded, with the reasons, as img2dataset takes them to try again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from tallyclip.core.lookup import COMPILED, find_uids
from tallyclip.core.sorting import sort_rows
from tallyclip.core.uids import as_columns, column_uids
from tallyclip.errors import StaleError
from tallyclip.io.arrays import map_array, write_array
from tallyclip.io.files import replacing
from tallyclip.io.mirror import fetched
from tallyclip.io.tables import TableWriter
from tallyclip.readers.crawl.links import NO_URL
from tallyclip.report.card import Facts
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.balance import BALANCE
from tallyclip.stages.curated import PAIRS, CuratedFile, curated_files
from tallyclip.stages.lookup import LOOKUP
from tallyclip.stages.match import MATCH
from tallyclip.stages.merged_uids import merge_uids
from tallyclip.stages.samples import NO_SAMPLE, SAMPLES, SamplesFolder, SamplesReport, not_read
from tallyclip.wording import plural

REASON = "reason"
FAILED = "failed-"  # prefix of the keys of tars
COLUMNS = 3  # two halves of a uid, and the number of a reason
SHOWN_REASONS = 4  # in the summary


class RetryFolder(StageFolder):
    """A file for each of the curated set, with the columns ``url``, ``caption``, ``uid`` and ``reason``; and the reasons by uid."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.table = path / "reasons" / "table.npy"

    def reasons(self, key: str) -> Path:
        return self.path / "reasons" / f"{key}.npy"

    def rows(self, key: str) -> Path:
        return self.path / f"{key}.parquet"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return (self.reasons(key) if key.startswith(FAILED) else self.rows(key),)


@dataclass(frozen=True)
class RetryOptions:
    """The run whose pairs were downloaded, to read from it."""

    run: Workspace


class FailedJob(msgspec.Struct, frozen=True):
    """The samples of all tars, and all reasons for failures, in the order of their numbers."""

    samples: str
    reasons: list[str]


class FailedItem(msgspec.Struct, frozen=True):
    """A tar."""

    tar: str


class RetryJob(msgspec.Struct, frozen=True):
    """The uids that have an image, why others have none, and the lookup table of the curated set."""

    uids: str
    curated: str
    table: str
    reasons: list[str]


class RetryReport(Report):
    """``rows`` counts the curated pairs, ``with_image`` those that have one, ``retry`` the uids that can be tried again; those without an
    image by reason."""

    with_image: int
    retry: int
    reasons: dict[str, int]


def number_reasons(job: FailedJob, item: FailedItem, folder: RetryFolder, tick: Callable[[int], None]) -> Report:
    """Write the uids of a tar's pairs without an image, sorted, with the numbers of their reasons."""
    failed = pa.ipc.open_file(str(fetched(SamplesFolder(Path(job.samples)).without_image(item.tar)))).read_all()
    numbers = {reason: number for number, reason in enumerate(job.reasons)}
    codes = np.array([numbers[reason] for reason in failed["reason"].to_pylist()], np.uint64)
    uids = column_uids(failed["uid"].combine_chunks())
    write_array(folder.reasons(f"{FAILED}{item.tar}"), sort_rows(np.column_stack([uids, codes])))
    tick(len(codes))
    return Report(rows=len(codes))


def write_retry(job: RetryJob, item: CuratedFile, folder: RetryFolder, tick: Callable[[int], None]) -> RetryReport:
    """Write the pairs of a file of the curated set that have no image, but a URL to try again."""
    uids, table = as_columns(map_array(job.uids)), map_array(job.table)
    names = np.array([*job.reasons, NO_SAMPLE, NO_URL], object)
    counts, rows = np.zeros(len(names), np.int64), 0
    schema = pa.schema([*PAIRS, (REASON, pa.string())])
    with replacing(folder.rows(item.key)) as part, TableWriter(part, schema, [REASON]) as writer:
        for pairs in item.pairs(job.curated):
            lost = np.flatnonzero(find_uids(uids, pairs.uids) < 0)
            places, can_retry = find_uids(table, pairs.uids[lost]), pairs.has_url[lost]
            why = np.where(can_retry, len(job.reasons), len(job.reasons) + 1)
            why[places >= 0] = table[places[places >= 0], 2]
            counts += np.bincount(why, minlength=len(names))
            found = pairs.table.take(pa.array(lost)).append_column(REASON, pa.array(names[why], pa.string()))
            writer.write(found.filter(pa.array(can_retry & pairs.is_first[lost])))
            rows += len(pairs.table)
            tick(len(pairs.table))
    reasons = {reason: int(count) for reason, count in zip(names, counts, strict=True) if count}
    return RetryReport(rows=rows, with_image=rows - int(counts.sum()), retry=writer.rows, reasons=reasons)


def _cut_failed(making: Making[RetryFolder, RetryOptions]) -> Work:
    run = making.run
    listed: dict[str, SamplesReport] = run.reports(SAMPLES)
    reasons = sorted(set[str]().union(*(report.failed for report in listed.values())))
    return Work({f"{FAILED}{key}": FailedItem(key) for key in listed}, FailedJob(str(run.folder(SAMPLES).path), reasons))


def _cut_files(making: Making[RetryFolder, RetryOptions]) -> Work:
    folder, failed = making.folder, _cut_failed(making)
    merge_uids(making.run, [folder.reasons(key) for key in failed.items], folder.table, columns=COLUMNS)
    uids, curated = str(making.run.folder(SAMPLES).uids), str(making.run.folder(LOOKUP).table)
    return Work(curated_files(making.options.run), RetryJob(uids, curated, str(folder.table), failed.job.reasons))


def _finish(making: Making[RetryFolder, RetryOptions]) -> Finished:
    reports: dict[str, RetryReport] = making.reports(FILES)
    if making.asked != _asked(making.run, making.options):
        raise StaleError(f"{making.options.run.root} was balanced anew while its pairs were looked through", "run the same command again")
    pairs, with_image = sum(report.rows for report in reports.values()), sum(report.with_image for report in reports.values())
    reasons = Counter[str]()
    for report in reports.values():
        reasons.update(report.reasons)
    retry = sum(report.retry for report in reports.values())
    result = {"pairs": pairs, "with_image": with_image, "retry": retry, "reasons": dict(reasons.most_common())}
    return Finished(result, f"{pairs - with_image:,} of {plural(pairs, 'pair')} have no image")


class Downloads(Facts):
    """How many images were downloaded, and why others were not. ``failed`` are the tars that could not be read, with the reasons."""

    failed: dict[str, str]

    def summary(self) -> list[str]:
        first = list(self.facts.items())
        shown = ", ".join(f"{count} {reason}" for reason, count in first[1 : SHOWN_REASONS + 1])
        more = f", and {plural(len(first) - SHOWN_REASONS - 1, 'more reason')}" if len(first) > SHOWN_REASONS + 1 else ""
        return [f"images      {first[0][1]}; without: {shown or 'none'}{more}", *not_read(self.failed)]


def _card(run: Workspace) -> Downloads:
    result, listed = run.required(RETRY).result, run.required(SAMPLES)
    facts = {"pairs with an image": f"{result['with_image']:,} of {result['pairs']:,}"}
    facts |= {reason: f"{count:,}" for reason, count in result["reasons"].items()}
    facts |= {f"samples left out: {reason}": f"{count:,}" for reason, count in listed.result["drops"].items()}
    facts |= {"tars that were not read": "; ".join(listed.failed.values())} if listed.failed else {}
    drawn = run.required(MATCH).options["drawn"]
    facts |= {"entry counts": f"estimated from the pairs that a draw at t = {drawn['t']:,.6g} has kept"} if drawn else {}
    return Downloads(title="Downloaded images", facts=facts, failed=listed.failed)


def _asked(_: Workspace, options: RetryOptions) -> dict[str, Any]:
    return {"run": options.run.required(BALANCE).fingerprint}


REASONS = Section(_cut_failed, number_reasons, "reasons")
FILES = Section(_cut_files, write_retry, "files")
RETRY = Stage(
    name="retry",
    version=1,
    command=SAMPLES.command,
    needs=("samples", "lookup"),
    sections=(REASONS, FILES),
    folder=RetryFolder,
    asked=_asked,
    finish=_finish,
    scratch=("reasons",),
    card=_card,
    optional=True,
    compiled=COMPILED,
)
