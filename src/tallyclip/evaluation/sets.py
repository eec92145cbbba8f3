"""How an evaluation set is stored, by what is in its folder."""

from __future__ import annotations

from tallyclip.errors import OptionError
from tallyclip.evaluation.images import EvalSet, class_folders, class_tar, listing, shards
from tallyclip.evaluation.parquet import parquet_set
from tallyclip.io.streams import filesystem, without_compression

KINDS = "--data takes a folder of classes, shards or Parquet, or a tar"


def open_set(data: str) -> EvalSet:
    """An evaluation set: class folders, a tar of them, shards as CLIP_benchmark has them, or Parquet.

    Args:
        data: a path or URL.

    Raises:
        OptionError: there is none of these.
        ArtifactError: it is not whole, or of another kind.
        SourceError: its files cannot be read.
    """
    if without_compression(data).endswith(".tar"):
        return class_tar(data)
    if data.endswith(".parquet"):
        return parquet_set(data, [])
    fs, root = filesystem(data)
    if fs.isfile(root):
        raise OptionError(f"{data}: a file, and no tar or Parquet", KINDS)
    names = listing(data)
    if not names:
        raise OptionError(f"{data}: there is nothing in it", KINDS)
    if "nshards.txt" in names or "test/nshards.txt" in names:
        return shards(data, names)
    if any(name.endswith(".parquet") for name in names):
        return parquet_set(data, [name for name in names if name.endswith(".parquet")])
    if any(name.endswith(".tar") for name in names):
        hint = "write how many there are, named 0.tar and so on, into nshards.txt beside them"
        raise OptionError(f"{data}: tars without an nshards.txt", hint)
    return class_folders(data, names)
