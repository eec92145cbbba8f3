"""Folders that tallyclip itself wrote, given as a pool: which of their folders is one, and what to name instead of others."""

from __future__ import annotations

import os
from typing import NamedTuple

from tallyclip.errors import OptionError
from tallyclip.io.streams import chain_of, exists, is_url
from tallyclip.readers.listing import Listing
from tallyclip.readers.record_names import EXPORT_RECORD, INDEX_RECORD, RUN_RECORD

LIST, LIST_MANIFEST = "metadata.parquet", "manifest.json"  # of an entry list that was built
FOLDERS_SHOWN = 3
PROBABILITIES = "probabilities"  # the only folder of results that is neither a pool nor has a manifest of its own
LOCK, STAGE_MANIFEST = ".lock", "_manifest.json"


class _Known(NamedTuple):
    """A kind of folder: the record by which it is known, what it is called, and which of its folders can be a pool, with what they are."""

    record: str
    noun: str
    pools: dict[str, str]
    otherwise: str

    def way_out(self, root: str) -> str:
        """What to name in a folder of this kind."""
        return ", or ".join([*(f"{root}/{name}, {what}" for name, what in self.pools.items()), self.otherwise])


RUN = _Known(RUN_RECORD, "run folder", {"pool": "the pool", "curated": "the curated set"}, "what it was made from")
EXPORT = _Known(
    EXPORT_RECORD,
    "folder of exports",
    {"shards": "its tars", "subset": "rows of the original tables", "downloads": "URLs and captions"},
    "what the run was made from",
)
INDEXED = _Known(INDEX_RECORD, "folder of an index of shards", {}, "the shards")


def pool_of_run(name: str, listing: Listing) -> str | None:
    """Of a run folder, or one of exports, the one of its folders that can be a pool; None if the name leads to neither.

    Args:
        name: what the user named.
        listing: what it leads to.

    Raises:
        OptionError: there are two such folders, or none; or the name leads to several runs, to a run and other files, to a stage that is no
            pool, or to the folder of a build.
    """
    for kind in (RUN, EXPORT, INDEXED):  # an index may be in the folder of its run
        roots = sorted(_roots(listing, kind.record))
        if roots:
            return _pool_within(name, listing, roots, kind)
    _refuse_build(listing)
    _refuse_stage(listing)
    return None


def _pool_within(name: str, listing: Listing, roots: list[str], kind: _Known) -> str:
    first, noun = roots[0], kind.noun
    if len(roots) > 1 or any(not path.startswith(f"{first}/") for path in listing.files):
        shown = ", ".join(roots[:FOLDERS_SHOWN]) + (f" and {len(roots) - FOLDERS_SHOWN:,} more" if len(roots) > FOLDERS_SHOWN else "")
        several = f"are {len(roots):,} {noun.replace('folder', 'folders', 1)}"
        what = f"{name}: there {f'is a {noun}' if len(roots) == 1 else several} in it: {shown}"
        raise OptionError(what, f"name the files to read, or of each folder {kind.way_out(first)}")
    found = [folder for folder in kind.pools if any(path.startswith(f"{first}/{folder}/") for path in listing.files)]
    if len(found) == 1:
        return f"{first}/{found[0]}"
    if found:
        several = " and ".join(f"{folder}/" for folder in found)
        raise OptionError(f"{name} is a {noun} with {several}", f"name {kind.way_out(first)}")
    lacking = f" without {' or '.join(f'{folder}/' for folder in kind.pools)}" if kind.pools else ", not a pool"
    raise OptionError(f"{name} is a {noun}{lacking}", f"name {kind.otherwise}")


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
        is_stage = manifest in there or (not is_url(folder) and os.path.exists(manifest))
        if not (is_stage or (name == PROBABILITIES and exists(f"{root}/{LOCK}"))):
            continue
        for kind in (RUN, EXPORT, INDEXED):
            if name not in kind.pools and exists(f"{root}/{kind.record}"):
                raise OptionError(f"{folder} is a part of a {kind.noun}, not a pool", f"name {kind.way_out(root)}")
