"""What there is to say of one caption: the entries that it matches or nearly matches, and its keep probability in a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import msgspec

from tallyclip.core.balance import entry_probability, keep_probability
from tallyclip.core.counts import threshold_for_tail
from tallyclip.core.data import Metadata
from tallyclip.errors import ArtifactError, IncompleteError
from tallyclip.flows.asked import load_metadata
from tallyclip.io.arrays import read_array
from tallyclip.io.mirror import fetched, is_there
from tallyclip.match.matcher import Matcher
from tallyclip.match.near import NearMiss, near_misses, unlisted_words
from tallyclip.match.reference import Mode
from tallyclip.run.manifest import read_manifest
from tallyclip.run.record import check_layout, command_in
from tallyclip.stages.balance import BALANCE
from tallyclip.stages.counts import COUNTS, CountsFolder
from tallyclip.stages.metadata import METADATA, MetadataFolder
from tallyclip.stages.plan import PAPER_TAIL_SHARE, PLAN
from tallyclip.stages.runs import RUN


class TextEntry(msgspec.Struct):
    """An entry that a caption matches; with the counts of a run, how many captions of its pool do, and the entry probability."""

    id: int
    entry: str
    count: int | None = None
    entry_probability: float | None = None


class TextMatches(msgspec.Struct):
    """What there is to say of a caption.

    Attributes:
        entries: that it matches, by id.
        near_misses: entries whose words it has and that it does not match, those with most characters first.
        unlisted: if it matches nothing: its words that no entry has.
        keep_probability: of a pair with this caption, with the counts of a run and its threshold ``t``.
        why_t: where the threshold is from.
    """

    caption: str
    mode: Mode
    entries: list[TextEntry]
    near_misses: list[NearMiss]
    unlisted: list[str]
    t: float | None = None
    why_t: str | None = None
    keep_probability: float | None = None


def text_matches(caption: str, metadata: str, *, clean: bool, mode: Mode) -> TextMatches:
    """Match one caption against an entry list.

    Raises:
        ArtifactError: the list is missing or damaged.
    """
    entries = load_metadata(metadata, clean=clean)
    return _matched(caption, entries, Matcher(entries, mode))


def text_odds(caption: str, run: Path) -> TextMatches:
    """Match one caption against the entry list of a counted run, and give its keep probability there.

    Raises:
        ArtifactError: the folder is not a run.
        IncompleteError: the run is not counted.
    """
    odds = load_odds(run)
    entries, matcher, counts = Metadata.load(str(fetched(odds.entries))), Matcher.open(odds.matcher), read_array(odds.counts)
    found = _matched(caption, entries, matcher)
    p = entry_probability(counts, odds.t)
    for entry in found.entries:
        entry.count, entry.entry_probability = int(counts[entry.id]), float(p[entry.id])
    found.t, found.why_t = odds.t, odds.why
    found.keep_probability = float(keep_probability(matcher.match([caption]), p)[0])
    return found


def _matched(caption: str, metadata: Metadata, matcher: Matcher) -> TextMatches:
    names = metadata.entries
    found = [TextEntry(i, names[i]) for i in matcher.match([caption])[0].tolist()]
    near = sorted(near_misses(caption, names, matcher.mode), key=lambda miss: (-len(miss.entry), miss.entry_id))
    return TextMatches(caption, matcher.mode, found, near, [] if found else unlisted_words(caption, names))


class Odds(NamedTuple):
    """Paths of a run's entry list, matcher tables and counts; its threshold, and the reason for it."""

    entries: Path
    matcher: Path
    counts: Path
    t: float
    why: str


def load_odds(run: Path) -> Odds:
    """The files and the threshold of a counted run: the t of its balance, or else of its plan, or else that for the paper's tail share.

    Raises:
        ArtifactError: the folder is not a run.
        IncompleteError: the run is not counted.
    """
    root = run.resolve()
    check_layout(RUN, root)
    if not is_there(root / RUN.record):
        raise ArtifactError(f"{run} is not a run folder", f"start one with '{RUN.start}'")
    metadata, counts = MetadataFolder(root / METADATA.name), CountsFolder(root / COUNTS.name)
    if read_manifest(counts) is None:
        raise IncompleteError(f"{run} has no counts yet", f"run '{command_in(COUNTS.command, root)}' first, or '{RUN.start}'")
    balanced = read_manifest(BALANCE.folder(root / BALANCE.name))
    if balanced is not None:
        t = float(balanced.options["t"])
        all_of_it = "one matched caption of every image" if balanced.options["texts"] == "one-per-image" else "every matched pair"
        why = "as in the run's balance" if math.isfinite(t) else f"as in the run, which kept {all_of_it}"
    elif (planned := read_manifest(PLAN.folder(root / PLAN.name))) is not None:
        t, why = float(planned.result["t"]), "as planned"
    else:
        t, why = threshold_for_tail(read_array(counts.counts), PAPER_TAIL_SHARE), "for the paper's tail share"
    return Odds(metadata.entries, metadata.matcher, counts.counts, t, why)
