"""From a balanced run to what other tools take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tallyclip.errors import OptionError
from tallyclip.flows.find import find_pool
from tallyclip.readers.columns import ColumnChoice
from tallyclip.run.engine import make
from tallyclip.run.manifest import Manifest
from tallyclip.run.stage import Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.downloads import DOWNLOADS, check_urls
from tallyclip.stages.exported import ExportedRun, ExportOptions, exported_run, note_others
from tallyclip.stages.lookup import LOOKUP, LookupOptions
from tallyclip.stages.match import MATCH
from tallyclip.stages.subset import SUBSET, SubsetOptions
from tallyclip.stages.uids import UIDS, UidsOptions


def downloads(into: Workspace, run: Path) -> Manifest:
    """Write what img2dataset takes.

    Raises:
        OptionError: the run's pool has no URLs, or the folder cannot be used.
        IncompleteError: the run's balance is not whole.
    """
    exported = exported_run(run)
    check_urls(exported.open())
    return _make(into, DOWNLOADS, exported, ExportOptions(exported), curated=True)


def uids(into: Workspace, run: Path, *, repeats: bool) -> Manifest:
    """Write the uids; with ``repeats`` each as often as the curated set has it.

    Raises: as ``downloads``.
    """
    exported = exported_run(run)
    return _make(into, UIDS, exported, UidsOptions(exported, repeats))


def subset(into: Workspace, run: Path, tables: Sequence[str], choice: ColumnChoice, *, accept_failed: bool) -> Manifest:
    """Write the rows of tables whose pairs are in the curated set: of these, or of the run's own pool.

    Raises:
        OptionError: there are no tables that can be read, or columns are named of the run's own pool; and as ``downloads``.
        IncompleteError: shards failed and this was not accepted; none of the uids is met.
    """
    exported = exported_run(run)
    if not tables:
        if choice != ColumnChoice():
            raise OptionError("the run's own pool is read as it was matched", "leave out the options of columns, or name tables")
        return _make(into, SUBSET, exported, SubsetOptions(exported, None), accept_failed=accept_failed)
    pool = find_pool(into, tables, choice)
    crawl = next((file for file in pool.files if file.is_gathered), None)
    if crawl is not None:
        raise OptionError(f"{crawl.path} is a crawl file, not a table", "leave out the tables: those of the run's own pool are read then")
    into.record([exported.path, *pool.names], len(pool.files))
    return make(into, SUBSET, SubsetOptions(exported, pool), accept_failed=accept_failed)


def _make(into: Workspace, stage: Stage, run: ExportedRun, options: Any, *, accept_failed: bool = False, curated: bool = False) -> Manifest:
    """Make an export; with ``curated`` it needs the lookup table of the curated set."""
    files = len(run.open().required(MATCH).pieces)
    into.create([run.path], files)
    into.record([run.path], files)
    note_others(into, run)
    if curated:
        make(into, LOOKUP, LookupOptions.of(run.open(), "curated"))
    return make(into, stage, options, accept_failed=accept_failed)
