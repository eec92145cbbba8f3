"""Commands that write a curated set for other tools. Each calls its function in ``exports.py`` with its options, and prints the summary."""

from __future__ import annotations

from typing import Any

from tallyclip import exports
from tallyclip.cli import options
from tallyclip.cli.console import reports_errors, show_result, show_text
from tallyclip.cli.given import options_of
from tallyclip.cli.help import Commands

export_app = Commands(help="Write a curated set for trainers and other tools.")


@export_app.command()
@reports_errors
@options_of(exports.export_downloads)
def downloads(*, out: options.ExportOut, as_json: options.AsJson = False, **given: Any) -> None:
    """Write the URLs of the curated pairs for img2dataset, which downloads their images.

    Writes `DIR/downloads/*.parquet` with the columns url, caption and uid, and prints the command that downloads them. That is as DataComp
    downloads: images larger than 512 pixels are reduced to that, two retries, 10,000 samples a shard. Change what you like, but keep
    `--save_additional_columns '["uid"]'`: by it the images are known again.

    Example:
        tallyclip export downloads run --out exports
    """
    _show(exports.export_downloads(out=out, **given, progress=True), as_json)


@export_app.command()
@reports_errors
@options_of(exports.export_subset)
def subset(*, tables: options.Tables = None, out: options.ExportOut, as_json: options.AsJson = False, **given: Any) -> None:
    """Write the rows of the original tables that are in the curated set, with all their columns as they are.

    Writes `DIR/subset/*.parquet`, a file for each of the tables' shards. A pair is known by its uid, so other tables than the run's own,
    such as a later version with more columns, must have the same URLs and captions, or uids of their own.

    Examples:
        tallyclip export subset run --out exports
        tallyclip export subset run scored/*.parquet --out exports
    """
    _show(exports.export_subset(tables=tables, out=out, **given, progress=True), as_json)


@export_app.command()
@reports_errors
@options_of(exports.export_uids)
def uids(*, out: options.ExportOut, repeats: options.Repeats = False, as_json: options.AsJson = False, **given: Any) -> None:
    """Write the uids of the curated pairs: DataComp's form of a subset, which its resharder reads.

    Writes `DIR/uids.npy`, of dtype u8,u8, sorted.

    Example:
        tallyclip export uids run --repeats --out exports
    """
    _show(exports.export_uids(out=out, repeats=repeats, **given, progress=True), as_json)


@export_app.command()
@reports_errors
@options_of(exports.export_webdataset)
def webdataset(
    *, images: options.Images, out: options.ExportOut, shard_size: options.ShardSize = 10_000, as_json: options.AsJson = False, **given: Any
) -> None:
    """Write the curated pairs of downloaded images as new shards, which open_clip and other trainers take as they are.

    Reads tars of images, such as img2dataset writes, knows their pairs by uid, and writes the curated ones to `DIR/shards/00000.tar` and so
    on, with `sizes.json`. Images are copied as they are; the json has the uid, the entry ids and the keep probability as well.

    Example:
        tallyclip export webdataset run --images images --out exports
    """
    _show(exports.export_webdataset(images=images, out=out, shard_size=shard_size, **given, progress=True), as_json)


@export_app.command()
@reports_errors
@options_of(exports.export_index)
def index(
    *, run: options.MaybeRun = None, images: options.Images, out: options.IndexOut, as_json: options.AsJson = False, **given: Any
) -> None:
    """Write the index of shards with which `tallyclip.train.OnlineBalanced` draws anew in each epoch.

    The shards have all matched pairs of the run, and its probabilities say how often each is drawn. Without a run, each pair of the shards
    is. Loaders and `tallyclip train` make the index themselves if it is missing; on a cluster, make it once before.

    Example:
        tallyclip export index run --images exports/shards --out index
    """
    _show(exports.export_index(run, images=images, out=out, **given, progress=True), as_json)


def _show(made: exports.Export, as_json: bool) -> None:
    show_result(as_json, {"folder": made.path.resolve(), "result": made.result}, lambda: show_text(made.summary))
