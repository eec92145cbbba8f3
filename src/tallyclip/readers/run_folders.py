"""Folders that tallyclip itself wrote, given as a pool: which of a run's folders is one, and what to name instead of others."""

from __future__ import annotations

import os
from pathlib import Path

from tallyclip.errors import OptionError
from tallyclip.io.streams import filesystem, is_url
from tallyclip.readers.listing import Listing
from tallyclip.run.build_layout import BuildLayout
from tallyclip.run.layout import RunLayout

RUNS_SHOWN = 3
RUN, BUILD = RunLayout(Path()), BuildLayout(Path())  # whose paths are relative to the folder
STAGES = (RUN.parse, RUN.duplicates, RUN.pool, RUN.metadata, RUN.match, RUN.counts, RUN.plan, RUN.balance, RUN.card)
SIGNS = [RUN.lock, *(stage.manifest for stage in STAGES)]  # that a folder with a run.json is a run's
POOLS = (RUN.pool.path.name, RUN.curated.name)
NO_POOLS = {RUN.probabilities.name, *(stage.path.name for stage in STAGES)} - {*POOLS}


def pool_of_run(name: str, listing: Listing) -> str | None:
    """Of a run folder the one of its folders that can be a pool; None if the name leads to no run.

    Args:
        name: what the user named.
        listing: what it leads to.

    Raises:
        OptionError: there are two such folders, or none; or the name leads to several runs, to a run and other files, to a stage that is no
            pool, or to the folder of a build.
    """
    runs = sorted(_roots(listing, RUN.record, SIGNS))
    if runs:
        return _pool_within(name, listing, runs)
    _refuse_build(listing)
    _refuse_stage(listing)
    return None


def _pool_within(name: str, listing: Listing, runs: list[str]) -> str:
    if len(runs) > 1 or any(not path.startswith(f"{runs[0]}/") for path in listing.files):
        shown = ", ".join(runs[:RUNS_SHOWN]) + (f" and {len(runs) - RUNS_SHOWN:,} more" if len(runs) > RUNS_SHOWN else "")
        what = f"{name}: there {'is a run folder' if len(runs) == 1 else f'are {len(runs):,} run folders'} in it: {shown}"
        raise OptionError(what, f"name the files to read, or the pool/ or curated/ of a run, such as {runs[0]}/{RUN.curated}")
    found = [folder for folder in POOLS if any(path.startswith(f"{runs[0]}/{folder}/") for path in listing.files)]
    if len(found) == 1:
        return f"{runs[0]}/{found[0]}"
    if found:
        hint = f"name one: {runs[0]}/{RUN.pool.path}, the pool, or {runs[0]}/{RUN.curated}, the curated set"
        raise OptionError(f"{name} is a run folder, with a pool and a curated set", hint)
    raise OptionError(f"{name} is a run folder without a pool or a curated set", "name what that run reads, or finish it first")


def _roots(listing: Listing, sign: Path, others: list[Path]) -> set[str]:
    """The folders that hold a file with a telling name, and one of some others."""
    end = f"/{sign}"
    roots = {path.removesuffix(end) for path in listing.files if path.endswith(end)}
    return {root for root in roots if any(f"{root}/{other}" in listing.hidden or f"{root}/{other}" in listing.files for other in others)}


def _refuse_build(listing: Listing) -> None:
    for root in sorted(_roots(listing, BUILD.metadata, [BUILD.lock, BUILD.checksums])):
        if f"{root}/{BUILD.manifest}" in listing.files:
            hint = f"as an entry list it is named by --metadata {root}/{BUILD.metadata}"
            raise OptionError(f"{root} is a folder of 'tallyclip metadata build', no pool", hint)


def _refuse_stage(listing: Listing) -> None:
    folders = {os.path.dirname(path) for path in listing.files - listing.named}
    for folder in sorted(folder for folder in folders if os.path.basename(folder) in NO_POOLS):
        root = os.path.dirname(folder)
        if _exists(f"{root}/{RUN.record}") and any(_exists(f"{root}/{sign}") for sign in SIGNS):
            hint = f"name {root}/{RUN.curated}, the curated set, or the pool that the run was made from"
            raise OptionError(f"{folder} is a part of a run, no pool", hint)


def _exists(path: str) -> bool:
    if not is_url(path):
        return os.path.exists(path)
    fs, inner = filesystem(path)
    return bool(fs.exists(inner))
