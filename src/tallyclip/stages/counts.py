"""The stage counts: adds the counts of all matched shards to one count for each entry. It waits for all shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from tallyclip.core.counts import COMPILED, add_to_counts
from tallyclip.core.data import Matches, Metadata
from tallyclip.errors import ArtifactError, IncompleteError
from tallyclip.export.entry_counts import write_entry_counts
from tallyclip.io.arrays import read_array, write_array
from tallyclip.match.coverage import unmatchable_entries
from tallyclip.match.matcher import Matcher
from tallyclip.report.card import SHOWN_ENTRIES, SHOWN_SAMPLES, Part, Unmatchable
from tallyclip.run.items import StageFolder
from tallyclip.run.manifest import Manifest
from tallyclip.run.stage import Finished, Making, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.match import MATCH
from tallyclip.stages.metadata import METADATA, entries_of
from tallyclip.stages.sums import sum_of_shards
from tallyclip.wording import plural


class CountsFolder(StageFolder):
    """Entry counts, as an array and as JSON; ``groups``: the sums of some hundred shards each, while they are added up."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.counts = path / "counts.npy"
        self.entry_counts = path / "entry_counts.json"
        self.groups = path / "groups"


def _finish(making: Making[CountsFolder, None]) -> Finished:
    run, folder = making.run, making.folder
    matched = run.required(MATCH)
    if matched.result["matched"] == 0:
        raise IncompleteError(*_nothing_matched(matched))
    entries = entries_of(run).entries
    counts = sum_of_shards(run, [run.folder(MATCH).counts(key) for key in matched.pieces], len(entries), folder.groups)
    write_array(folder.counts, counts)
    write_entry_counts(folder.entry_counts, entries, counts)
    matched_entries, matches = int(np.count_nonzero(counts)), int(counts.sum())
    result = {"matches": matches, "entries": len(counts), "matched_entries": matched_entries}
    return Finished(
        result,
        f"{plural(matches, 'match', 'matches')} of {matched_entries:,} of {plural(len(counts), 'entry', 'entries')}",
        (folder.counts, folder.entry_counts),
    )


def load_counts(run: Workspace) -> Int64[np.ndarray, " V"]:
    """The finished entry counts of a run.

    Raises:
        ArtifactError: their file is broken.
    """
    path, entries = run.folder(COUNTS).counts, run.required(COUNTS).result["entries"]
    counts = read_array(path)
    if counts.dtype != np.int64 or counts.shape != (entries,):
        what = f"{path}: broken, {counts.dtype}{list(counts.shape)}, not the counts of {plural(entries, 'entry', 'entries')}"
        raise ArtifactError(what, f"delete {path.parent} and run the same command again")
    return counts


def _nothing_matched(matched: Manifest) -> tuple[str, str]:
    texts, records = matched.result["texts"], matched.result["records"]
    if texts:
        hint = "check the entry list and the caption column; 'tallyclip match --text' shows what one caption matches"
        return f"none of the pool's {texts:,} captions match an entry, so there is nothing to balance", hint
    drops = ", ".join(f"{count:,} {reason}" for reason, count in matched.result["drops"].items())
    what = f"the pool has no captions: its {plural(records, 'record')} were dropped ({drops})" if records else "the pool has no records"
    return what, "check the pool and the caption column"


class CountsPart(Part):
    """The entry list, and how many of its entries are matched."""

    entries: int
    metadata_fingerprint: str
    mode: str
    matched_captions: int
    captions: int
    matches: int
    matched_entries: int
    never_matched: list[str]
    never_matched_count: int
    unmatchable: list[Unmatchable]

    @property
    def never_matchable_count(self) -> int:
        return sum(group.count for group in self.unmatchable)

    def summary(self) -> list[str]:
        each, share = self.matches / self.matched_captions, self.matched_captions / self.captions
        return [
            f"entries     {self.entries:,} ({self.mode}); {self.matched_entries:,} matched, {self.never_matched_count:,} never matched",
            f"matched     {plural(self.matched_captions, 'caption')} ({share:.1%}), {each:.2f} matches each",
        ]


def _card(run: Workspace) -> CountsPart:
    counts, metadata, matched = load_counts(run), entries_of(run), run.required(MATCH)
    mode = run.required(METADATA).options["mode"]
    never = np.flatnonzero(counts == 0)
    shown = never[np.linspace(0, len(never) - 1, min(len(never), SHOWN_ENTRIES)).astype(int)]
    entries = metadata.entries
    return CountsPart(
        entries=len(entries),
        metadata_fingerprint=metadata.fingerprint,
        mode=mode,
        matched_captions=matched.result["matched"],
        captions=matched.result["texts"],
        matches=matched.result["matches"],
        matched_entries=int(np.count_nonzero(counts)),
        never_matched=[entries[i] for i in shown],
        never_matched_count=len(never),
        unmatchable=[
            Unmatchable(reason, len(ids), [entries[i] for i in ids[:SHOWN_SAMPLES]])
            for reason, ids in unmatchable_entries(entries, mode).items()
        ],
    )


def _warm() -> None:
    matches: Matches = Matcher(Metadata(["a"])).match(["a"])
    add_to_counts(np.zeros(1, np.int64), matches)


COUNTS = Stage(
    name="counts",
    version=2,
    command="tallyclip count RUN",
    needs=("metadata", "match"),
    folder=CountsFolder,
    finish=_finish,
    results=("entry_counts.json",),
    scratch=("groups",),
    card=_card,
    warm=_warm,
    compiled=COMPILED,
)
