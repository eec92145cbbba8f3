"""The stage of counting: the barrier, where a frozen set of shards becomes one vector of counts."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from tallyclip.errors import ArtifactError, IncompleteError
from tallyclip.export.entry_counts import write_entry_counts
from tallyclip.io.files import read_arrays, write_array
from tallyclip.io.structs import fingerprint_of
from tallyclip.run.folder import Run
from tallyclip.run.layout import CountsFolder
from tallyclip.run.manifest import Manifest
from tallyclip.run.shards import sizes_of
from tallyclip.stages.match import match_reports


def count_matches(run: Run) -> Manifest:
    """Add the counts of all shards of the frozen set, and write ``entry_counts.json``.

    Raises:
        IncompleteError: matching is not whole, or no text names an entry.
    """
    matched = run.required("match")
    if matched.result["matched"] == 0:
        raise IncompleteError(*_nothing_named(matched))
    fingerprint = fingerprint_of(stage="counts 1", match=matched.fingerprint)
    manifest = run.in_place_or_whole("counts", fingerprint)
    if manifest is not None:
        return manifest
    started = time.perf_counter()
    under_way = CountsFolder(run.begin("counts", fingerprint))
    reports = match_reports(run, matched)
    run.progress.start("counts", len(reports), 0, None)
    counts = np.zeros(len(run.metadata), np.int64)
    for key in reports:
        add_shard(counts, run.layout.match.counts(key))
        run.progress.shard_done(key)
    write_array(under_way.counts, counts)
    write_entry_counts(under_way.entry_counts, run.metadata.entries, counts)
    named = int(np.count_nonzero(counts))
    run.progress.finish(f"{counts.sum():,} matches of {named:,} of {len(counts):,} entries")
    return run.publish(
        "counts",
        under_way,
        fingerprint,
        inputs=matched.inputs | {"match": matched.fingerprint},
        options={},
        result={"matches": int(counts.sum()), "entries": len(counts), "named": named},
        outputs=sizes_of(under_way.path, under_way.counts, under_way.entry_counts),
        seconds=time.perf_counter() - started,
    )


def add_shard(counts: Int64[np.ndarray, " V"], path: Path) -> None:
    """Add the counts that a shard has left in a file.

    Raises:
        ArtifactError: the file is not whole.
    """
    shard = read_arrays(path)
    ids, more = shard.get("entry_ids"), shard.get("counts")
    if ids is None or more is None or len(ids) != len(more) or ids.max(initial=0) >= len(counts):
        raise ArtifactError(f"{path}: broken: not the counts of a shard", f"delete {path.parent} and run the same command again")
    counts[ids] += more


def _nothing_named(matched: Manifest) -> tuple[str, str]:
    texts, records = matched.result["texts"], matched.result["records"]
    if texts:
        hint = "is this the right entry list, and the right column of captions? see 'tallyclip match --text'"
        return f"none of the pool's {texts:,} texts names an entry: there is nothing to balance", hint
    drops = ", ".join(f"{count:,} {reason}" for reason, count in matched.result["drops"].items())
    what = f"the pool has no texts: its {records:,} records were dropped ({drops})" if records else "the pool has no records"
    return what, "is this the right pool, and the right column of captions?"
