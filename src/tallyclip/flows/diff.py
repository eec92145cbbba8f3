"""Compares the curated sets of two runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from tallyclip.core.data import Metadata
from tallyclip.core.evenness import effective_entries, gini
from tallyclip.core.lookup import find_uids
from tallyclip.core.uids import as_columns
from tallyclip.errors import ArtifactError, OutputError
from tallyclip.io.arrays import map_array, read_array
from tallyclip.io.files import replacing
from tallyclip.report.diff import ComparedRun, EntryShift, RunDifference, Shared
from tallyclip.run.record import command_in
from tallyclip.run.workspace import Workspace
from tallyclip.stages.balance import BALANCE
from tallyclip.stages.counts import COUNTS
from tallyclip.stages.match import MATCH, match_part, snapshot_of
from tallyclip.stages.metadata import METADATA, entries_of

UIDS_AT_ONCE = 1 << 20
SHOWN = 20


def difference(a: Workspace, b: Workspace, html: Path | None = None) -> RunDifference:
    """Compare the curated sets of two runs, and write a page if ``html`` is given.

    Entries are compared by their text, so the lists may differ. Pairs are compared by their uids.

    Raises:
        IncompleteError: a run is not balanced.
        StaleError: another version made a stage of it.
        ArtifactError: a file of it is broken.
        OutputError: the page cannot be written.
    """
    counts_a, counts_b = _counts(a), _counts(b)
    list_a, list_b = entries_of(a), entries_of(b)
    ids_a, ids_b = _shared(list_a, list_b)
    one, other = _described(a, counts_a), _described(b, counts_b)
    names = tuple(list_a.entries[i] for i in ids_a.tolist())
    in_a, in_b = counts_a[ids_a], counts_b[ids_b]

    def shifts(ids: Int64[np.ndarray, " N"]) -> list[EntryShift]:
        return [
            EntryShift(entry=names[i], a=int(in_a[i]), b=int(in_b[i]), share_a=int(in_a[i]) / one.kept, share_b=int(in_b[i]) / other.kept)
            for i in ids[:SHOWN].tolist()
        ]

    change = in_b / other.kept - in_a / one.kept
    order = np.argsort(-change, kind="stable")
    only_a, only_b = np.flatnonzero((in_a > 0) & (in_b == 0)), np.flatnonzero((in_a == 0) & (in_b > 0))
    lists = Shared(both=len(ids_a), only_a=len(list_a) - len(ids_a), only_b=len(list_b) - len(ids_b))
    found = RunDifference(
        a=one,
        b=other,
        pairs=_pairs(a, b),
        files=_files(a, b),
        lists=lists,
        gained=shifts(order[change[order] > 0]),
        lost=shifts(order[::-1][change[order[::-1]] < 0]),
        only_a=shifts(only_a[np.argsort(-in_a[only_a], kind="stable")]),
        only_a_count=len(only_a),
        only_b=shifts(only_b[np.argsort(-in_b[only_b], kind="stable")]),
        only_b_count=len(only_b),
        notes=_notes(a, b, lists),
    )
    if html is not None:
        page = found.as_html(counts_a, counts_b).encode()
        try:
            html.parent.mkdir(parents=True, exist_ok=True)
            with replacing(html) as part:
                part.write_bytes(page)
        except OSError as error:
            raise OutputError(f"{html}: cannot be written: {error.strerror or error}", "give another --html") from error
    return found


def _counts(run: Workspace) -> Int64[np.ndarray, " V"]:
    run.required(BALANCE)
    return read_array(run.folder(BALANCE).counts_curated)


def _described(run: Workspace, counts: Int64[np.ndarray, " V"]) -> ComparedRun:
    balanced, counted, matched = run.required(BALANCE), run.required(COUNTS), run.required(MATCH)
    before, t = read_array(run.folder(COUNTS).counts), float(balanced.options["t"])
    read = match_part(run)
    return ComparedRun(
        run=run.place,
        kept=balanced.result["kept"],
        unique_uids=balanced.result["unique_uids"],
        candidates=balanced.result["candidates"],
        matched=matched.result["matched"],
        captions=matched.result["texts"],
        files=matched.result["files"],
        sources=read.sources,
        t=t,
        why_t=balanced.options["why"],
        tail_share=balanced.result["tail_share"],
        head_entries=int(np.count_nonzero(before >= t)),
        seed=balanced.options["seed"],
        texts_policy=balanced.options["texts"],
        mode=run.required(METADATA).options["mode"],
        languages=read.languages,
        entries=counted.result["entries"],
        metadata_fingerprint=entries_of(run).fingerprint,
        matched_entries=int(np.count_nonzero(counts)),
        effective_entries=effective_entries(counts),
        gini=gini(counts[counts > 0]),
    )


def _shared(a: Metadata, b: Metadata) -> tuple[Int64[np.ndarray, " S"], Int64[np.ndarray, " S"]]:
    """The ids in both lists of the entries that both have, in A's order."""
    if a.fingerprint == b.fingerprint:
        return np.arange(len(a)), np.arange(len(b))
    ids = {entry: number for number, entry in enumerate(b.entries)}
    places = np.fromiter((ids.get(entry, -1) for entry in a.entries), np.int64, len(a))
    there = np.flatnonzero(places >= 0)
    return there, places[there]


def _pairs(a: Workspace, b: Workspace) -> Shared:
    """Both lists of uids are sorted and mapped from their files, so it takes the same memory for sets of any size."""
    uids_a, uids_b = _uids(a), _uids(b)
    starts = range(0, len(uids_a), UIDS_AT_ONCE)
    both = sum(int(np.count_nonzero(find_uids(uids_b, uids_a[start : start + UIDS_AT_ONCE]) >= 0)) for start in starts)
    return Shared(both=both, only_a=len(uids_a) - both, only_b=len(uids_b) - both)


def _uids(run: Workspace) -> np.ndarray:
    try:
        return as_columns(map_array(run.root / "uids.npy"))
    except ArtifactError as error:
        raise ArtifactError(error.what, f"delete it and run '{command_in(BALANCE.command, run.root)}' again") from error


def _files(a: Workspace, b: Workspace) -> Shared:
    files_a, files_b = ({item.shard.file.fingerprint for item in snapshot_of(run).shards.values()} for run in (a, b))
    return Shared(both=len(files_a & files_b), only_a=len(files_a - files_b), only_b=len(files_b - files_a))


def _notes(a: Workspace, b: Workspace, lists: Shared) -> list[str]:
    notes: list[str] = []
    if lists.only_a or lists.only_b:
        notes.append(
            f"The entry lists differ, so entries are compared by their text: {lists.both:,} are in both lists,"
            f" {lists.only_a:,} only in A's, {lists.only_b:,} only in B's."
        )
    own = [run.required(MATCH).result["own_uids"] for run in (a, b)]
    if (own[0] == 0) != (own[1] == 0):
        notes.append("The uids of one set are its pool's own, those of the other are hashes: the same pair may have two uids.")
    drawn = [run.required(BALANCE).options for run in (a, b)]
    if drawn[0]["seed"] != drawn[1]["seed"]:
        notes.append("The seeds differ, so a pair of both pools is drawn with another number in each.")
    if drawn[0]["texts"] != drawn[1]["texts"]:
        notes.append("One set has every caption of an image as a pair, the other picks one.")
    return notes
