"""What is made of a run and tars of images: new shards of its curated pairs, and the index that a loader needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tallyclip.errors import OptionError
from tallyclip.io.streams import is_url
from tallyclip.readers.sample_folders import END
from tallyclip.readers.sources import find_tars
from tallyclip.run.engine import make
from tallyclip.run.manifest import Manifest
from tallyclip.run.workspace import Workspace
from tallyclip.stages.exported import ExportOptions, exported_run, note_others
from tallyclip.stages.index import INDEX, INDEX_OF_ALL
from tallyclip.stages.lookup import LOOKUP, LookupOptions
from tallyclip.stages.samples import SAMPLES, SamplesOptions
from tallyclip.stages.webdataset import WEBDATASET, ShardsOptions

LARGEST_SHARD = 10_000_000  # samples


def webdataset(folder: Workspace, run: Path, images: Sequence[str], *, shard_size: int, accept_failed: bool = False) -> Manifest:
    """Write the curated pairs of tars of images as new shards.

    Args:
        folder: of the export.
        run: that is exported.
        images: names of tars, or of folders of them.
        shard_size: samples in a shard.
        accept_failed: go on without tars that cannot be read.

    Raises:
        OptionError: there are no tars, they overlap with the folder, or the size of a shard is none.
        IncompleteError: the run is not balanced, tars could not be read, or have none of its pairs.
    """
    if not 1 <= shard_size <= LARGEST_SHARD:
        raise OptionError(f"--shard-size {shard_size} is no size of a shard", f"give a number from 1 to {LARGEST_SHARD:,}; 10,000 is usual")
    exported = exported_run(run)
    list_samples(folder, images, accept_failed=accept_failed)
    note_others(folder, exported)
    make(folder, LOOKUP, LookupOptions.of(exported.open(), "curated"))
    return make(folder, WEBDATASET, ShardsOptions(exported, shard_size))


def index(folder: Workspace, run: Path, shards: Sequence[str], *, accept_failed: bool = False) -> Manifest:
    """Write the index of shards for a loader that draws by a run's probabilities. Arguments and errors: see ``webdataset``."""
    exported = exported_run(run)
    list_samples(folder, shards, accept_failed=accept_failed, only_tars=True)
    make(folder, LOOKUP, LookupOptions.of(exported.open(), "probabilities"))
    return make(folder, INDEX, ExportOptions(exported))


def index_of_all(folder: Workspace, shards: Sequence[str], *, accept_failed: bool = False) -> Manifest:
    """Write the index of shards for a loader that draws from all of their pairs. Arguments and errors: see ``webdataset``."""
    list_samples(folder, shards, accept_failed=accept_failed, only_tars=True)
    return make(folder, INDEX_OF_ALL)


def list_samples(folder: Workspace, images: Sequence[str], *, accept_failed: bool = False, only_tars: bool = False) -> Manifest:
    """Find tars, create the folder or open it, and list the samples of the tars; with ``only_tars`` folders of files are refused."""
    files, tables = find_tars(images)
    loose = next((file.path for file in files if file.path.endswith(END)), None) if only_tars else None
    if loose is not None:
        raise OptionError(f"{loose} is a folder of images, and loaders read tars", "make shards with 'tallyclip export webdataset'")
    within = next((file.path for file in files if not is_url(file.path) and Path(file.path).resolve().is_relative_to(folder.root)), None)
    if within is not None:
        raise OptionError(f"{within} is in {folder.root}, where the results go", "give an --out outside the folders of the images")
    folder.create(list(images), len(files))
    return make(folder, SAMPLES, SamplesOptions(list(images), files, tables), accept_failed=accept_failed)
