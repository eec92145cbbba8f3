"""Matching again what was downloaded: of a run's matched pairs those that have an image.

Nothing is read or matched anew: of the matches of a run that has all, those of pairs without an image are left out. What comes of it is the
stage ``match`` of a run, so all stages after it are as of any run, and count, plan and draw as if the pool had never had the other pairs.

Of a run that was balanced only the pairs can survive that its draw has kept. If it is asked for, counts are estimated from these: each pair
stands for as many as its keep probability says. The draw goes on then: a pair is kept if its number is below both probabilities.
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

from tallyclip.core.balance import TextsPolicy, draw, entry_probability, keep_probability, pick_one, whole_weights
from tallyclip.core.counts import add_to_counts
from tallyclip.core.lookup import COMPILED, find_uids
from tallyclip.core.uids import as_columns
from tallyclip.errors import IncompleteError, OptionError, StaleError
from tallyclip.io.arrays import map_array, read_array, read_arrays, write_array
from tallyclip.io.files import replacing, write_json
from tallyclip.io.mirror import fetched
from tallyclip.match.matched_pairs import MatchWriter, read_matches
from tallyclip.readers.ledger import NOT_DOWNLOADED, NOT_DRAWN
from tallyclip.run.items import Work
from tallyclip.run.stage import Finished, Making, Section
from tallyclip.run.workspace import Workspace
from tallyclip.stages.balance import BALANCE, BalanceFolder
from tallyclip.stages.counts import load_counts
from tallyclip.stages.match import LONGEST_COUNTED, MATCH, MatchFolder, MatchReport, snapshot_of, write_shard_counts
from tallyclip.stages.samples import NOT_OF_THIS_RUN, SAMPLES
from tallyclip.wording import plural

VERSION = 1  # of what is done here; that of the result's form is that of ``MATCH``
UIDS_AT_ONCE = 1 << 22


class Drawn(msgspec.Struct, frozen=True):
    """An earlier draw: its threshold, seed and policy, and the fingerprint of the balance."""

    t: float
    seed: int
    texts: TextsPolicy
    balance: str


@dataclass(frozen=True)
class SurvivorsOptions:
    """The run whose pairs were downloaded, to read from it; and its draw, if that has left pairs out."""

    run: Workspace
    drawn: Drawn | None = None


class SurvivorsJob(msgspec.Struct, frozen=True):
    """What all shards have in common: the run's matches, the uids that have an image, the number of entries, and are languages detected;
    the draw that has left pairs out, if one has, and the file of its entries' probabilities; does the image of one caption count for all
    of its captions?"""

    matched: str
    uids: str
    entries: int
    languages: bool
    drawn: Drawn | None
    before: str
    by_image: bool


class SurvivorsItem(msgspec.Struct, frozen=True):
    """A shard of the run, and how many of its pairs match an entry."""

    key: str
    matched: int


def keep_survivors(job: SurvivorsJob, item: SurvivorsItem, folder: MatchFolder, tick: Callable[[int], None]) -> MatchReport:
    """Write the matched pairs of a shard that have an image, and how often each entry is matched by them, or by those they stand for."""
    before, key, drawn = MatchFolder(Path(job.matched)), item.key, job.drawn
    report = before.reports([key], MatchReport)[key]
    uids = as_columns(map_array(job.uids))
    p = None if drawn is None else read_array(Path(job.before))
    counts, lengths = np.zeros(job.entries, np.int64), np.zeros(LONGEST_COUNTED + 1, np.int64)
    kept = left_out = matches = 0
    with replacing(folder.matches(key)) as part, MatchWriter(part, with_languages=job.languages) as writer:
        for pairs in read_matches(before.matches(key)):
            there = find_uids(uids, pairs.uids) >= 0
            if job.by_image:  # one caption of an image was downloaded for all
                there = np.isin(pairs.rows, pairs.rows[there])
            if drawn is not None and p is not None:
                keep = keep_probability(pairs.matches, p)
                is_drawn = draw(keep, pairs.uids, drawn.seed)
                if drawn.texts == "one-per-image":
                    is_drawn &= pick_one(pairs.rows, pairs.uids)
                left_out += len(pairs) - int(np.count_nonzero(is_drawn))
                there &= is_drawn
                survivors = pairs.take(np.flatnonzero(there))
                weights = np.repeat(whole_weights(keep[there], survivors.uids), survivors.matches.lengths)
                counts += np.bincount(survivors.matches.entry_ids, weights, len(counts)).astype(np.int64)
            else:
                survivors = pairs.take(np.flatnonzero(there))
                add_to_counts(counts, survivors.matches)
            writer.write(survivors)
            lengths += np.bincount(np.minimum(survivors.matches.lengths, LONGEST_COUNTED), minlength=LONGEST_COUNTED + 1)
            kept, matches = kept + len(survivors), matches + len(survivors.matches.entry_ids)
            tick(len(pairs))
    write_shard_counts(folder.counts(key), counts, read_arrays(before.counts(key), "columns")["columns"])
    lost = report.matched - kept
    return with_fields(
        report,
        texts=report.texts - lost,
        own_uids=min(report.own_uids, report.texts - lost),
        matched=kept,
        matches=matches,
        drops=dict(Counter(report.drops) + Counter({NOT_DOWNLOADED: lost - left_out, NOT_DRAWN: left_out})),
        lengths=[report.lengths[0], *lengths[1:].tolist()],
    )


def draw_of(run: Workspace, *, estimate: bool) -> Drawn | None:
    """The draw of a run, if it has left pairs out; None if the run has all its matched pairs.

    Raises:
        OptionError: it has left pairs out, and counts are not to be estimated; or the run itself is made of what a draw has kept.
        IncompleteError: the run's balance is not whole.
    """
    balanced, largest = run.required(BALANCE), int(load_counts(run).max())
    if run.required(MATCH).options.get("drawn") is not None:
        what = f"{run.root} is itself made of the pairs that an earlier draw has kept"
        raise OptionError(what, "give the run that was balanced before the download, and all folders of images")
    t, again = float(balanced.options["t"]), f"'tallyclip balance {run.root} --t inf'"
    if t >= largest:
        return None
    if not estimate:
        what = (
            f"{run.root} is balanced (t = {t:,.6g}), so its images are of pairs that a draw has kept: their counts are not the pool's, and "
            "to draw of them again would keep too many, since pairs that were kept have small random numbers"
        )
        hint = f"if the images are of all matched pairs, run {again}; else download all after that, or estimate the counts with --estimate"
        raise OptionError(what, hint)
    return Drawn(t, balanced.options["seed"], balanced.options["texts"], balanced.fingerprint)


def picks_captions(run: Workspace) -> bool:
    """Has the run's draw picked one caption of each image? Then an image that was downloaded is that of its other captions too."""
    return run.required(BALANCE).options["texts"] == "one-per-image"


def _asked(_: Workspace, options: SurvivorsOptions) -> dict[str, Any]:
    matched, drawn = options.run.required(MATCH), msgspec.to_builtins(options.drawn)
    return (
        matched.options
        | {"repeats": None, "write_dropped": False, "survivors": VERSION, "run": matched.fingerprint, "drawn": drawn}
        | {"by_image": options.drawn is None and picks_captions(options.run)}
    )


def _cut(making: Making[MatchFolder, SurvivorsOptions]) -> Work:
    run, drawn, before = making.options.run, making.options.drawn, making.folder.before
    snapshot, counts = snapshot_of(run), load_counts(run)
    if drawn is not None:
        write_array(before, entry_probability(counts, drawn.t))
    job = SurvivorsJob(
        matched=str(run.folder(MATCH).path),
        uids=str(making.run.folder(SAMPLES).uids),
        entries=len(counts),
        languages=snapshot.languages,
        drawn=drawn,
        before=str(before),
        by_image=drawn is None and picks_captions(run),
    )
    return Work({key: SurvivorsItem(key, shard.matched) for key, shard in snapshot.shards.items()}, job)


def _finish(making: Making[MatchFolder, SurvivorsOptions]) -> Finished:
    run, folder = making.options.run, making.folder
    before, snapshot = run.required(MATCH).result, snapshot_of(run)
    reports: dict[str, MatchReport] = making.reports(SHARDS)
    if run.required(MATCH).fingerprint != making.asked["run"]:
        raise StaleError(f"{run.root} was matched anew while its pairs were looked through", "run the same command again")
    kept = sum(report.matched for report in reports.values())
    images = making.run.required(SAMPLES).result["unique_uids"]
    if not kept:
        raise IncompleteError(f"none of the {images:,} pairs with an image is a matched pair of {run.root}", NOT_OF_THIS_RUN)
    others = images - _common(making.run.folder(SAMPLES).uids, BalanceFolder(run.root).uids)
    if others:
        making.run.progress.note(f"{others:,} of the {images:,} pairs with an image are no curated pairs of {run.root}, and are left out")
    shards = {key: with_fields(shard, matched=reports[key].matched) for key, shard in snapshot.shards.items()}
    write_json(folder.snapshot_file, msgspec.to_builtins(with_fields(snapshot, shards=shards)))
    with replacing(folder.schema) as part:
        part.write_bytes(fetched(run.folder(MATCH).schema).read_bytes())
    totals = {reason: sum(report.drops.get(reason, 0) for report in reports.values()) for reason in (NOT_DOWNLOADED, NOT_DRAWN)}
    left_out = {reason: count for reason, count in totals.items() if count}
    result = before | {
        "texts": sum(report.texts for report in reports.values()),
        "own_uids": sum(report.own_uids for report in reports.values()),
        "matched": kept,
        "matches": sum(report.matches for report in reports.values()),
        "drops": dict(sorted((before["drops"] | left_out).items())),
        "images_of_other_pairs": others,
    }
    drawn = [] if making.options.drawn is None else [folder.before]
    said = f"{kept:,} of {plural(before['matched'], 'matched pair')} {'were drawn and ' if drawn else ''}have an image"
    return Finished(result, said, (folder.snapshot_file, folder.schema, *drawn))


def _common(some: Path, others: Path) -> int:
    """How many uids two files have in common; each has every uid once, sorted."""
    ours, theirs = (as_columns(map_array(path)) for path in (some, others))
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
