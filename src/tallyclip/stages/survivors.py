"""Matching again what was downloaded: of a run's matched pairs those that have an image.

Nothing is read or matched anew: of the matches of a run that has all, those of pairs without an image are left out. What comes of it is the
stage ``match`` of a run, so all stages after it are as of any run, and count, plan and draw as if the pool had never had the other pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace as with_fields

from tallyclip.core.counts import add_to_counts
from tallyclip.core.lookup import COMPILED, find_uids
from tallyclip.core.uids import as_columns
from tallyclip.errors import IncompleteError, OptionError
from tallyclip.io.arrays import read_arrays
from tallyclip.io.files import replacing, write_json
from tallyclip.match.matched_pairs import MatchWriter, read_matches
from tallyclip.readers.ledger import NOT_DOWNLOADED
from tallyclip.run.items import Work
from tallyclip.run.stage import Finished, Making, Section
from tallyclip.run.workspace import Workspace
from tallyclip.stages.balance import BALANCE, BalanceFolder
from tallyclip.stages.counts import load_counts
from tallyclip.stages.match import LONGEST_COUNTED, MATCH, MatchFolder, MatchReport, snapshot_of, write_shard_counts
from tallyclip.stages.samples import SAMPLES

VERSION = 1  # of what is done here; that of the result's form is that of ``MATCH``
UIDS_AT_ONCE = 1 << 22
NOT_OF_THIS_RUN = (
    "are these the images of this run? img2dataset keeps uids with --save_additional_columns '[\"uid\"]'; without, URLs and captions must "
    "be those of the run's pool"
)


@dataclass(frozen=True)
class SurvivorsOptions:
    """The run whose pairs were downloaded, to read from it."""

    run: Workspace


class SurvivorsJob(msgspec.Struct, frozen=True):
    """What all shards have in common: the run's matches, the uids that have an image, the number of entries, and are languages detected."""

    matched: str
    uids: str
    entries: int
    languages: bool


class SurvivorsItem(msgspec.Struct, frozen=True):
    """A shard of the run, and how many of its pairs match an entry."""

    key: str
    matched: int


def keep_survivors(job: SurvivorsJob, item: SurvivorsItem, folder: MatchFolder, tick: Callable[[int], None]) -> MatchReport:
    """Write the matched pairs of a shard that have an image, and how often each entry is matched by them."""
    before, key = MatchFolder(Path(job.matched)), item.key
    report = before.reports([key], MatchReport)[key]
    uids = as_columns(np.load(job.uids, mmap_mode="r"))
    counts, lengths = np.zeros(job.entries, np.int64), np.zeros(LONGEST_COUNTED + 1, np.int64)
    kept = 0
    with replacing(folder.matches(key)) as part, MatchWriter(part, with_languages=job.languages) as writer:
        for pairs in read_matches(before.matches(key)):
            survivors = pairs.take(np.flatnonzero(find_uids(uids, pairs.uids) >= 0))
            writer.write(survivors)
            add_to_counts(counts, survivors.matches)
            lengths += np.bincount(np.minimum(survivors.matches.lengths, LONGEST_COUNTED), minlength=LONGEST_COUNTED + 1)
            kept += len(survivors)
            tick(len(pairs))
    write_shard_counts(folder.counts(key), counts, read_arrays(before.counts(key))["columns"])
    lost = report.matched - kept
    return with_fields(
        report,
        texts=report.texts - lost,
        own_uids=min(report.own_uids, report.texts - lost),
        matched=kept,
        matches=int(counts.sum()),
        drops=dict(Counter(report.drops) + Counter({NOT_DOWNLOADED: lost})),
        lengths=[report.lengths[0], *lengths[1:].tolist()],
    )


def check_has_all(run: Workspace) -> None:
    """Refuse a run whose draw has left pairs out: what survives of it is no sample of its pool that could be drawn from again.

    Raises:
        OptionError: the run is balanced.
        IncompleteError: its balance is not whole.
    """
    t, largest = float(run.required(BALANCE).options["t"]), int(load_counts(run).max())
    if t < largest:
        what = (
            f"{run.root} is balanced (t = {t:,.6g}), so its images are of pairs that a draw has kept: their counts are not the pool's, and "
            "to draw of them again would keep too many, since pairs that were kept have small random numbers"
        )
        again = f"'tallyclip balance {run.root} --t inf'"
        hint = f"run {again}; if the images are not of all matched pairs, download these then, with 'tallyclip export downloads'"
        raise OptionError(what, hint)


def _asked(_: Workspace, options: SurvivorsOptions) -> dict[str, Any]:
    matched = options.run.required(MATCH)
    return matched.options | {"repeats": None, "write_dropped": False, "survivors": VERSION, "run": matched.fingerprint}


def _cut(making: Making[MatchFolder, SurvivorsOptions]) -> Work:
    run, snapshot = making.options.run, snapshot_of(making.options.run)
    job = SurvivorsJob(
        matched=str(run.folder(MATCH).path),
        uids=str(making.run.folder(SAMPLES).uids),
        entries=len(load_counts(run)),
        languages=snapshot.languages,
    )
    return Work({key: SurvivorsItem(key, shard.matched) for key, shard in snapshot.shards.items()}, job)


def _finish(making: Making[MatchFolder, SurvivorsOptions]) -> Finished:
    run, folder = making.options.run, making.folder
    before, snapshot = run.required(MATCH).result, snapshot_of(run)
    reports: dict[str, MatchReport] = making.reports(SHARDS)
    kept = sum(report.matched for report in reports.values())
    images = making.run.required(SAMPLES).result["unique_uids"]
    if not kept:
        raise IncompleteError(f"none of the {images:,} pairs with an image is a matched pair of {run.root}", NOT_OF_THIS_RUN)
    others = images - _common(making.run.folder(SAMPLES).uids, BalanceFolder(run.root).uids)
    if others:
        making.run.progress.note(f"{others:,} of the {images:,} pairs with an image are no matched pairs of {run.root}, and are left out")
    shards = {key: with_fields(shard, matched=reports[key].matched) for key, shard in snapshot.shards.items()}
    write_json(folder.snapshot_file, msgspec.to_builtins(with_fields(snapshot, shards=shards)))
    with replacing(folder.schema) as part:
        part.write_bytes(run.folder(MATCH).schema.read_bytes())
    result = before | {
        "texts": sum(report.texts for report in reports.values()),
        "own_uids": sum(report.own_uids for report in reports.values()),
        "matched": kept,
        "matches": sum(report.matches for report in reports.values()),
        "drops": dict(sorted((Counter(before["drops"]) + Counter({NOT_DOWNLOADED: before["matched"] - kept})).items())),
        "images_of_other_pairs": others,
    }
    said = f"{kept:,} of {before['matched']:,} matched pairs have an image"
    return Finished(result, said, (folder.snapshot_file, folder.schema))


def _common(some: Path, others: Path) -> int:
    """How many uids two files have in common; each has every uid once, sorted."""
    ours, theirs = (as_columns(np.load(path, mmap_mode="r")) for path in (some, others))
    starts = range(0, len(ours), UIDS_AT_ONCE)
    return sum(int(np.count_nonzero(find_uids(theirs, ours[start : start + UIDS_AT_ONCE]) >= 0)) for start in starts)


SHARDS = Section(_cut, keep_survivors, "shards", rows=lambda _, item: item.matched)
SURVIVORS = replace(
    MATCH,
    command=SAMPLES.command,
    needs=("metadata", "samples"),
    uses=(),
    sections=(SHARDS,),
    reads_files=False,
    asked=_asked,
    finish=_finish,
    compiled=COMPILED,
)
