"""Finds the files of a pool, and checks them before any work starts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.files import replacing, writing
from tallyclip.io.streams import is_url
from tallyclip.places import shown
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.others import skipped_notes
from tallyclip.readers.parquet import Footer, footer_of
from tallyclip.readers.read import Opened, notes_of, open_file
from tallyclip.readers.sources import Pool, PoolFile, find_files
from tallyclip.run.workspace import Workspace
from tallyclip.stages.match import footer_file
from tallyclip.stages.pool import POOL
from tallyclip.steps.own import OwnStep

MOST_KEPT = 256 << 20  # bytes of footers; those over this are read again


def find_pool(run: Workspace, names: Sequence[str], choice: ColumnChoice) -> Pool:
    """Find the files of a pool, and create the run folder or open an existing one.

    Raises:
        OptionError: there are no readable files, the caption column cannot be detected, or the folder cannot be used.
        StaleError: another process is working on the run.
    """
    footers = _Footers()
    files, skipped = find_files(names, choice, footers.keep)
    _refuse_overlap(run.root, names, files)
    for note in skipped_notes(skipped):
        run.progress.note(note)
    _note_columns(run, files, choice, footers)
    run.create(list(names), len(files))
    footers.write(run)
    return Pool(list(names), choice, files)


class _Footers:
    """Parquet footers that were read while finding files, saved so that matching does not read them again."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}
        self._bytes = 0

    def keep(self, file: PoolFile, footer: Footer) -> None:
        if self._bytes + len(footer.content) <= MOST_KEPT:
            self._kept[file.fingerprint] = footer.content
            self._bytes += len(footer.content)

    def of(self, file: PoolFile) -> Footer | None:
        content = self._kept.get(file.fingerprint)
        return None if content is None else footer_of(content)

    def write(self, run: Workspace) -> None:
        if not run.role.shares:  # else others may be about to read theirs, which are the same
            shutil.rmtree(run.footers, ignore_errors=True)
        with writing(run.footers):
            run.footers.mkdir(parents=True, exist_ok=True)
            for fingerprint, content in self._kept.items():
                with replacing(footer_file(str(run.footers), fingerprint)) as part:
                    part.write_bytes(content)


def own_pool(run: Workspace, names: list[str]) -> Pool:
    """The pool that the run has made from crawl files with these names."""
    footers = _Footers()
    files, _ = find_files([str(run.folder(POOL).path)], keep=footers.keep)
    footers.write(run)
    return Pool(names, ColumnChoice(), files)


def refuse_without_columns(pool: Pool, steps: Sequence[OwnStep]) -> None:
    """Refuse a pool whose first readable file says which columns it has, and lacks one that a step reads.

    Raises:
        OptionError: it lacks one.
    """
    wanted = [(step, name) for step in steps for name in step.columns]
    first = _first_opened(pool) if wanted else None
    if first is None or first[1].schema is None:
        return
    file, names = first[0], first[1].schema.names
    for step, name in wanted:
        if name not in names:
            raise OptionError(f"{file.path} has no column {name!r}, which step {step.name} reads", f"it has {', '.join(names)}")


def refuse_without_urls(pool: Pool) -> None:
    """Refuse a pool whose first readable file has no URLs.

    Raises:
        OptionError: it has none.
    """
    first = _first_opened(pool)
    if first is not None and first[1].columns.url is None:
        raise OptionError(
            f"{first[0].path} has no column of URLs, which --duplicates url needs", "name it with --url-column, or use --duplicates pair"
        )


def _first_opened(pool: Pool) -> tuple[PoolFile, Opened] | None:
    """The first file that can be read, and its columns; the shards of the others will fail, and say why."""
    for file in pool.files:
        try:
            return file, open_file(file, pool.choice)
        except (SourceError, OptionError):
            continue
    return None


def _note_columns(run: Workspace, files: Sequence[PoolFile], choice: ColumnChoice, footers: _Footers) -> None:
    """Print the columns of the first readable file. Unreadable files are reported later, as failed shards.

    Raises:
        OptionError: the columns of no file can be detected.
    """
    refusal: OptionError | None = None
    for file in files:
        try:
            columns = open_file(file, choice, footers.of(file)).columns
            if file.is_gathered:
                return
            run.progress.note(f"columns: {columns}")
            for note in notes_of(file, columns):
                run.progress.note(note)
            return
        except SourceError:
            continue
        except OptionError as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal


def _refuse_overlap(root: Path, names: Sequence[str], files: Sequence[PoolFile]) -> None:
    """Refuse a pool that contains the run folder: the next command would read the results of the run as input."""
    local = [name.removeprefix("file://") for name in names if not is_url(name.removeprefix("file://"))]
    folders = [path for name in local if (path := Path(name).expanduser().resolve()).is_dir()]
    if any(root.is_relative_to(folder) for folder in folders) or any(
        Path(file.path).is_relative_to(root) or file.path.startswith(f"{shown(str(root))}/") for file in files
    ):
        raise OptionError(f"{root} and the pool overlap", "give an --out outside the folders of the pool")
