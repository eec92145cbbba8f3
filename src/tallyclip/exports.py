"""What a curated set is exported to, as functions: ``tallyclip export`` calls them.

As the functions of ``api.py`` they take the options of their commands, make the same files, and print nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallyclip.api import COLUMNS, OpenFolder, check_types, command_of
from tallyclip.escaping import printable
from tallyclip.flows.names import run_folder, run_place

if TYPE_CHECKING:
    from tallyclip.run.manifest import Manifest
    from tallyclip.run.runners.choose import RunnerName
    from tallyclip.run.workspace import Kind

    Tables = str | PathLike[str] | Sequence[str | PathLike[str]]


@dataclass(frozen=True)
class Export:
    """An export that is made.

    Attributes:
        path: the folder that was given as ``out``.
        result: what there is to say of it: numbers of rows, drops by reason.
        summary: what the command prints at its end.
    """

    path: Path
    result: dict[str, Any]
    summary: str


def export_downloads(
    run: str | PathLike[str],
    *,
    out: str | PathLike[str],
    workers: int | None = None,
    runner: RunnerName = "local",
    ray_address: str | None = None,
    shard_timeout: float | None = None,
    progress: bool = False,
) -> Export:
    """Write URLs, captions and uids of the curated pairs as img2dataset takes them, as ``tallyclip export downloads``.

    Called again, it continues what was interrupted; it is made again if the run was balanced anew.

    Args:
        run: a balanced run.
        out: the folder of exports: new, empty, or one to continue. The files are ``OUT/downloads/*.parquet``, one for each of
            ``RUN/curated``, in the same order. Pairs without a URL are left out and counted.
        workers: the number of worker processes, or None for one per processor.
        runner, ray_address, shard_timeout: where the work is done, as the command's options.
        progress: show on standard error what the command shows.

    Raises:
        OptionError: the run's pool has no URLs, or the folder cannot be used; nothing was started.
        ArtifactError: there is no such run.
        IncompleteError: the run is not balanced, or a file of it cannot be read.
        StaleError: the run was balanced anew meanwhile.
        OutputError: the results cannot be written.
    """
    given = locals()
    with _open("downloads", export_downloads, given) as into:
        from tallyclip.flows import exports as flow
        from tallyclip.stages.downloads import downloads_summary

        return _made(out, flow.downloads(into, Path(run)), downloads_summary)


def export_uids(
    run: str | PathLike[str],
    *,
    out: str | PathLike[str],
    repeats: bool = False,
    workers: int | None = None,
    runner: RunnerName = "local",
    ray_address: str | None = None,
    shard_timeout: float | None = None,
    progress: bool = False,
) -> Export:
    """Write the uids of the curated pairs, sorted, to ``OUT/uids.npy``, as ``tallyclip export uids``. Errors: see ``export_downloads``.

    Args:
        run: a balanced run.
        out: the folder of exports.
        repeats: write a uid as often as the curated set has it, not once. DataComp's resharder writes its sample as often.
        workers: the number of worker processes, or None for one per processor.
        runner, ray_address, shard_timeout: where the work is done, as the command's options.
        progress: show on standard error what the command shows.

    Returns:
        The export; its file has dtype ``u8,u8``.
    """
    given = locals()
    with _open("uids", export_uids, given) as into:
        from tallyclip.flows import exports as flow
        from tallyclip.stages.uids import uids_summary

        return _made(out, flow.uids(into, Path(run), repeats=repeats), uids_summary)


def export_subset(
    run: str | PathLike[str],
    tables: Tables | None = None,
    *,
    out: str | PathLike[str],
    caption_column: str | None = None,
    url_column: str | None = None,
    uid_column: str | None = None,
    format: str | None = None,  # noqa: A002 - named as the option
    header: bool | None = None,
    delimiter: str | None = None,
    quote: str | None = None,
    escape: str | None = None,
    workers: int | None = None,
    runner: RunnerName = "local",
    ray_address: str | None = None,
    shard_timeout: float | None = None,
    allow_failed_shards: bool = False,
    progress: bool = False,
) -> Export:
    """Write the rows of tables whose pairs are curated, with all their columns, as ``tallyclip export subset``.

    Args:
        run: a balanced run.
        tables: files, folders, globs or URLs of anything that ``curate`` reads, or None for the pool that the run was made from. Their
            pairs are known by their uids, so URLs, captions and own uids must be those of the run's pool.
        out: the folder of exports. The files are ``OUT/subset/*.parquet``, one for each shard of the tables. A row with several captions
            is written if any of its pairs is curated.
        workers: the number of worker processes, or None for one per processor.
        runner, ray_address, shard_timeout: where the work is done, as the command's options.
        allow_failed_shards: go on without files that cannot be read.
        progress: show on standard error what the command shows.

    The other keywords say how tables are read, as for ``curate``.

    Raises:
        OptionError: the tables cannot be read, columns are named of the run's own pool, or the folder cannot be used.
        IncompleteError: the run is not balanced, shards failed, or no row has a curated pair.
        StaleError: a table changed, or the run was balanced anew meanwhile.
        OutputError: the results cannot be written.
    """
    given = locals()
    with _open("subset", export_subset, given) as into:
        from tallyclip.flows import exports as flow
        from tallyclip.flows.asked import choice_of, names_of
        from tallyclip.stages.subset import subset_summary

        names, choice = names_of(tables, "tables"), choice_of(*(given[name] for name in COLUMNS))
        return _made(out, flow.subset(into, Path(run), names, choice, accept_failed=allow_failed_shards), subset_summary)


def export_webdataset(
    run: str | PathLike[str],
    images: Tables,
    *,
    out: str | PathLike[str],
    shard_size: int = 10_000,
    workers: int | None = None,
    runner: RunnerName = "local",
    ray_address: str | None = None,
    shard_timeout: float | None = None,
    allow_failed_shards: bool = False,
    progress: bool = False,
) -> Export:
    """Write the curated pairs of tars of images as new shards, as ``tallyclip export webdataset``.

    Args:
        run: a balanced run.
        images: tars, or folders, globs, URLs or ranges such as ``{00000..00099}.tar`` of them. Their pairs are known by the uid in their
            json, or by URL and caption.
        out: the folder of exports. The shards are ``OUT/shards/00000.tar`` and so on, beside ``sizes.json``.
        shard_size: samples in a shard.
        workers: the number of worker processes, or None for one per processor.
        runner, ray_address, shard_timeout: where the work is done, as the command's options.
        allow_failed_shards: go on without tars that cannot be read.
        progress: show on standard error what the command shows.

    Raises:
        OptionError: there are no tars, or the folder cannot be used.
        IncompleteError: the run is not balanced, tars could not be read, or have none of its pairs.
        StaleError: a tar changed, or the run was balanced anew meanwhile.
        OutputError: the results cannot be written.
    """
    given = locals()
    with _open("webdataset", export_webdataset, given) as into:
        from tallyclip.flows import images as flow
        from tallyclip.flows.asked import names_of
        from tallyclip.stages.webdataset import webdataset_summary

        tars = names_of(images, "images")
        made = flow.webdataset(into, Path(run), tars, shard_size=shard_size, accept_failed=allow_failed_shards)
        return _made(out, made, webdataset_summary)


def export_index(
    run: str | PathLike[str] | None,
    images: Tables,
    *,
    out: str | PathLike[str],
    workers: int | None = None,
    runner: RunnerName = "local",
    ray_address: str | None = None,
    shard_timeout: float | None = None,
    allow_failed_shards: bool = False,
    progress: bool = False,
) -> Export:
    """Write what ``tallyclip.train.OnlineBalanced`` needs to know of shards before it reads any, as ``tallyclip export index``.

    The run's probabilities decide, so ``images`` may have all of its matched pairs. Without a run, all pairs of ``images`` are in the
    index, with probability 1. Other arguments and errors: see ``export_webdataset``; the folder is one of its own.
    """
    given = locals()
    with _open("index", export_index, given, kind=_index_kind if run is not None else _whole_index_kind) as into:
        from tallyclip.flows import images as flow
        from tallyclip.flows.asked import names_of
        from tallyclip.stages.index import index_summary

        tars = names_of(images, "images")
        if run is None:
            made = flow.index_of_all(into, tars, accept_failed=allow_failed_shards)
        else:
            made = flow.index(into, Path(run), tars, accept_failed=allow_failed_shards)
        return _made(out, made, index_summary)


def _made(out: str | PathLike[str], manifest: Manifest, summary: Callable[[Path, Manifest], list[str]]) -> Export:
    path = Path(out)
    return Export(path, manifest.result, "\n".join(map(printable, summary(path, manifest))))


def _export_kind() -> Kind:
    from tallyclip.stages.exports import EXPORT

    return EXPORT


def _index_kind() -> Kind:
    from tallyclip.stages.exports import INDEXED

    return INDEXED


def _whole_index_kind() -> Kind:
    from tallyclip.stages.exports import INDEXED_WHOLE

    return INDEXED_WHOLE


def _open(name: str, function: Callable[..., Export], given: dict[str, Any], *, kind: Callable[[], Kind] = _export_kind) -> OpenFolder:
    """Check the types of a function's arguments, and open its folder of exports. The command that asks for the same is recorded."""
    check_types(function, given)
    from tallyclip.run.record import check_folder
    from tallyclip.stages.outline import RUN_OUTLINE

    if given["run"] is not None:
        check_folder(RUN_OUTLINE, run_place(os.fspath(given["run"])).resolve())
    command = command_of(f"export {name}", function, given)
    return OpenFolder(run_folder(os.fspath(given["out"])), given, command, progress=given["progress"], kind=kind)
