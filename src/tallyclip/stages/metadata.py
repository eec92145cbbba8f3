"""The stage of the entry list: a copy of it in the run, and the matcher's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tallyclip.core.data import Metadata
from tallyclip.errors import ArtefactError
from tallyclip.io.files import writing
from tallyclip.match.matcher import Matcher, matcher_fingerprint
from tallyclip.match.reference import Mode
from tallyclip.run.engine import make
from tallyclip.run.items import StageFolder
from tallyclip.run.manifest import Manifest
from tallyclip.run.stage import Finished, Making, Stage
from tallyclip.run.workspace import Workspace


class MetadataFolder(StageFolder):
    """The entry list and the tables made from it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.entries = path / "entries.parquet"
        self.matcher = path / "matcher"


class MetadataOptions:
    """An entry list, and how it is matched."""

    def __init__(self, metadata: Metadata, mode: Mode) -> None:
        self.metadata = metadata
        self.mode: Mode = mode


def make_metadata(run: Workspace, metadata: Metadata, mode: Mode) -> Manifest:
    """Make the stage; tables that are in place but damaged are made again, from the same entries, so what was made with them stays."""
    options = MetadataOptions(metadata, mode)
    manifest = make(run, METADATA, options)
    try:
        Matcher.open(run.folder(METADATA).matcher)
    except ArtefactError:
        return make(run, METADATA, options, again=True)
    return manifest


def entries_of(run: Workspace) -> Metadata:
    """The entry list in place."""
    return run.remember(METADATA.name, lambda: Metadata.load(str(run.folder(METADATA).entries)))


def _asked(_: Workspace, options: MetadataOptions) -> dict[str, Any]:
    return {"mode": options.mode, "entries": matcher_fingerprint(options.metadata.fingerprint, options.mode)}


def _finish(making: Making[MetadataFolder, MetadataOptions]) -> Finished:
    folder, metadata, mode = making.folder, making.options.metadata, making.options.mode
    with writing(folder.path):
        metadata.save(str(folder.entries))
        Matcher(metadata, mode).save(folder.matcher)
    result = {"entries": len(metadata), "fingerprint": metadata.fingerprint}
    return Finished(result, f"{len(metadata):,} entries, mode {mode}", (folder.entries, *folder.matcher.iterdir()))


def _summary(run: Workspace) -> list[str]:
    return []


METADATA = Stage(
    name="metadata",
    version=1,
    command="tallyclip match POOL... --out RUN",
    folder=MetadataFolder,
    asked=_asked,
    finish=_finish,
)
