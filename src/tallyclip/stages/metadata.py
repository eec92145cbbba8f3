"""The stage metadata: copies the entry list into the run, and builds the matcher's tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallyclip.core.data import Metadata
from tallyclip.errors import ArtifactError
from tallyclip.io.files import writing
from tallyclip.io.mirror import fetched
from tallyclip.match.matcher import Matcher, matcher_fingerprint
from tallyclip.match.reference import Mode
from tallyclip.match.tables import COMPILED
from tallyclip.run.items import StageFolder
from tallyclip.run.stage import Finished, Making, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.wording import plural


class MetadataFolder(StageFolder):
    """The entry list and the tables made from it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.entries = path / "entries.parquet"
        self.matcher = path / "matcher"


@dataclass(frozen=True)
class MetadataOptions:
    """An entry list, and the mode of matching."""

    metadata: Metadata
    mode: Mode


def entries_of(run: Workspace) -> Metadata:
    """The entry list of a run."""
    return run.remember(METADATA, lambda: Metadata.load(str(fetched(run.folder(METADATA).entries))))


def _asked(_: Workspace, options: MetadataOptions) -> dict[str, Any]:
    return {"mode": options.mode, "entries": matcher_fingerprint(options.metadata.fingerprint, options.mode)}


def _finish(making: Making[MetadataFolder, MetadataOptions]) -> Finished:
    folder, metadata, mode = making.folder, making.options.metadata, making.options.mode
    with writing(folder.path):
        metadata.save(str(folder.entries))
        Matcher(metadata, mode).save(folder.matcher)
    result = {"entries": len(metadata)}
    return Finished(result, f"{plural(len(metadata), 'entry', 'entries')}, mode {mode}", (folder.entries, *folder.matcher.iterdir()))


def _is_sound(folder: MetadataFolder) -> bool:
    try:
        Matcher.open(folder.matcher)
    except ArtifactError:
        return False
    return True


METADATA = Stage(
    name="metadata",
    version=1,
    command="tallyclip match POOL... --out RUN",
    folder=MetadataFolder,
    asked=_asked,
    finish=_finish,
    is_sound=_is_sound,
    compiled=COMPILED,
)
