"""Folders that tallyclip itself wrote, given as a pool: which of a run's folders is one, and what to name instead of others."""

from __future__ import annotations

import os

from tallyclip.errors import OptionError
from tallyclip.io.streams import chain_of, filesystem, is_url
from tallyclip.readers.listing import Listing
from tallyclip.readers.record_names import RUN_RECORD

LIST, LIST_MANIFEST = "metadata.parquet", "manifest.json"  # of an entry list that was built
RUNS_SHOWN = 3
POOL, CURATED = "pool", "curated"
POOLS = (POOL, CURATED)
PROBABILITIES = "probabilities"  # the only folder of results that is neither a pool nor has a manifest of its own
LOCK, STAGE_MANIFEST = ".lock", "_manifest.json"


def pool_of_run(name: str, listing: Listing) -> str | None:
    """Of a run folder the one of its folders that can be a pool; None if the name leads to no run.

    Args:
        name: what the user named.
        listing: what it leads to.

    Raises:
        OptionError: there are two such folders, or none; or the name leads to several runs, to a run and other files, to a stage that is no
            pool, or to the folder of a build.
    """
    runs = sorted(_roots(listing, RUN_RECORD))
    if runs:
        return _pool_within(name, listing, runs)
    _refuse_build(listing)
    _refuse_stage(listing)
    return None


def _pool_within(name: str, listing: Listing, runs: list[str]) -> str:
    if len(runs) > 1 or any(not path.startswith(f"{runs[0]}/") for path in listing.files):
        shown = ", ".join(runs[:RUNS_SHOWN]) + (f" and {len(runs) - RUNS_SHOWN:,} more" if len(runs) > RUNS_SHOWN else "")
        what = f"{name}: there {'is a run folder' if len(runs) == 1 else f'are {len(runs):,} run folders'} in it: {shown}"
        raise OptionError(what, f"name the files to read, or the pool/ or curated/ of a run, such as {runs[0]}/{CURATED}")
    found = [folder for folder in POOLS if any(path.startswith(f"{runs[0]}/{folder}/") for path in listing.files)]
    if len(found) == 1:
        return f"{runs[0]}/{found[0]}"
    if found:
        hint = f"name one: {runs[0]}/{POOL}, the pool, or {runs[0]}/{CURATED}, the curated set"
        raise OptionError(f"{name} is a run folder, with a pool and a curated set", hint)
    raise OptionError(f"{name} is a run folder without a pool or a curated set", "name what that run reads, or finish it first")


def _roots(listing: Listing, sign: str) -> set[str]:
    """The folders that hold a file with a telling name, and others that we write."""
    roots = {path.removesuffix(f"/{sign}") for path in listing.files if path.endswith(f"/{sign}")}
    there = listing.hidden | listing.files
    manifests = {os.path.dirname(os.path.dirname(path)) for path in there if os.path.basename(path) == STAGE_MANIFEST}
    return {root for root in roots if f"{root}/{LOCK}" in there or root in manifests}


def _refuse_build(listing: Listing) -> None:
    for root in sorted(_roots(listing, LIST)):
        if f"{root}/{LIST_MANIFEST}" in listing.files:
            hint = f"as an entry list it is named by --metadata {root}/{LIST}"
            raise OptionError(f"{root} is a folder of 'tallyclip metadata build', not a pool", hint)


def _refuse_stage(listing: Listing) -> None:
    """A stage is known by its manifest. At a URL only those are looked for that were listed: each other would take a request."""
    there = listing.hidden | listing.files
    for folder in sorted({os.path.dirname(path) for path in listing.files - listing.named if not chain_of(path)[2]}):
        root, name = os.path.split(folder)
        manifest = f"{folder}/{STAGE_MANIFEST}"
        is_stage = name not in POOLS and (manifest in there or (not is_url(folder) and os.path.exists(manifest)))
        if (is_stage or (name == PROBABILITIES and _exists(f"{root}/{LOCK}"))) and _exists(f"{root}/{RUN_RECORD}"):
            hint = f"name {root}/{CURATED}, the curated set, or the pool that the run was made from"
            raise OptionError(f"{folder} is a part of a run, not a pool", hint)


def _exists(path: str) -> bool:
    if not is_url(path):
        return os.path.exists(path)
    fs, inner = filesystem(path)
    return bool(fs.exists(inner))
