"""The images of an evaluation set, with their labels or captions, however the set is stored."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.io.streams import filesystem, is_url, open_file
from tallyclip.readers.content import reading
from tallyclip.readers.tar import member_key, open_tar
from tallyclip.wording import plural

IMAGE_SUFFIXES = frozenset(("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm", "pgm", "avif"))
LISTED = 5  # names in a message
TEXTS = ("classnames.txt", "zeroshot_classification_templates.txt", "dataset_type.txt")  # beside shards


class EvalImage(NamedTuple):
    """An image of an evaluation set.

    Attributes:
        name: where it is, for messages.
        content: of the image file.
        label: the number of its class; None in retrieval.
        captions: that belong to it, in retrieval.
        groups: numbers of groups that it is in, by which some metrics are taken.
        problem: why it cannot be used, if so; then nothing else counts.
    """

    name: str
    content: bytes
    label: int | None = None
    captions: Sequence[str] = ()
    groups: Sequence[int] = ()
    problem: str | None = None


class EvalSet(NamedTuple):
    """An evaluation set.

    Attributes:
        form: how it is stored, in a few words.
        is_retrieval: do its images have captions, rather than labels?
        classes: names of the classes by label, if the set has them.
        images: how many there are, if that is known before they are read.
        read: yields them.
        texts: the small text files beside them, by name: ``classnames.txt`` and such.
        notes: what people should know.
    """

    form: str
    is_retrieval: bool
    classes: Sequence[str] | None
    images: int | None
    read: Callable[[], Iterator[EvalImage]]
    texts: Mapping[str, str] = {}
    notes: Sequence[str] = ()


def listing(data: str) -> list[str]:
    """The names of all files below a folder, or behind a URL, relative to it and sorted; folders without files end in ``/``.

    Raises:
        OptionError: there is no such folder.
    """
    fs, root = filesystem(data)
    with reading(data):
        if not fs.exists(root):
            raise OptionError(f"{data}: no such file or folder", "--data takes a folder of classes, shards or Parquet, or a tar")
        found = cast(dict[str, Any], fs.find(root, withdirs=True, detail=True))
    base = root.rstrip("/") + "/"
    files = [path.removeprefix(base) for path, about in found.items() if about["type"] != "directory"]
    full = {parent for name in files for parent in _parents(name)}
    folders = [path.removeprefix(base) for path, about in found.items() if about["type"] == "directory" and path.rstrip("/") + "/" != base]
    return sorted(files + [f"{name}/" for name in folders if name and name not in full])


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def join(data: str, name: str) -> str:
    """The path or URL of a file below another."""
    return f"{data.rstrip('/')}/{name}"


def read_bytes(path: str) -> bytes:
    """The content of a file.

    Raises:
        SourceError: it cannot be read.
    """
    with reading(path), open_file(path) as file:
        return file.read()


def read_text(path: str) -> str:
    """The content of a small text file.

    Raises:
        SourceError: it cannot be read.
        ArtifactError: it is not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: not UTF-8: {error.reason} at byte {error.start:,}", "save it as UTF-8") from error


def is_image(name: str) -> bool:
    """Does a file have the suffix of an image?"""
    return name.rpartition(".")[2].lower() in IMAGE_SUFFIXES


def class_folders(data: str, names: Sequence[str]) -> EvalSet:
    """A folder that has, for each class, a folder of images. Classes are sorted by name, as ImageFolder of torchvision sorts them.

    Raises:
        OptionError: there are no images in folders, or all are in one.
    """
    images = [name for name in names if is_image(name)]
    empty = [name for name in names if name.endswith("/")]
    others = [name for name in names if not is_image(name) and not name.endswith("/")]
    classes, class_of = _classes(data, images, empty)
    label = {name: number for number, name in enumerate(classes)}

    def read() -> Iterator[EvalImage]:
        for name in images:
            yield EvalImage(name, read_bytes(join(data, name)), label[class_of[name]])

    return EvalSet("class folders", False, classes, len(images), read, notes=_skipped(others))


def class_tar(path: str) -> EvalSet:
    """A tar in which the folder of an image is its class.

    Raises:
        OptionError: as ``class_folders``.
        SourceError: the tar cannot be read.
    """
    with open_tar(path) as tar:
        names = [member.name for member in tar if member.is_file]
    others = [name for name in names if not is_image(name)]
    images = [name for name in names if is_image(name)]
    classes, class_of = _classes(path, images, [])
    label = {name: number for number, name in enumerate(classes)}

    def read() -> Iterator[EvalImage]:
        with open_tar(path) as tar:
            for member in tar:
                if member.is_file and is_image(member.name):
                    yield EvalImage(member.name, tar.content(member), label[class_of[member.name]])

    return EvalSet("a tar of class folders", False, classes, len(images), read, notes=_skipped(others))


def _classes(data: str, images: Sequence[str], empty: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The classes, sorted, and the class of each image: the first folder in which the names differ."""
    if not images:
        raise OptionError(f"{data}: no images in it", "a class is a folder of .jpg, .png or .webp files")
    folders = [name.split("/")[:-1] for name in [*images, *empty]]
    shared = 0
    while len({tuple(parts[: shared + 1]) for parts in folders}) == 1 and all(len(parts) > shared for parts in folders):
        shared += 1
    loose = next((name for name, parts in zip(images, folders, strict=False) if len(parts) <= shared), None)
    if loose is not None:
        is_flat = all(len(parts) == shared for parts in folders)
        what = "all images are in one folder" if is_flat else f"{loose} is not in the folder of a class"
        raise OptionError(f"{data}: {what}", "put the images of each class into a folder of its own")
    class_of = {name: parts[shared] for name, parts in zip(images, folders, strict=False)}
    return sorted({parts[shared] for parts in folders}), class_of


def _skipped(others: Sequence[str]) -> list[str]:
    shown = [name for name in others if not name.rpartition("/")[2].startswith(".") and not name.endswith((".toml", ".txt", ".md", "/"))]
    return [f"{plural(len(shown), 'file')} skipped that can be no image, such as {shown[0]}"] if shown else []


def shards(data: str, names: Sequence[str]) -> EvalSet:
    """A folder as CLIP_benchmark has it: ``test/0.tar`` and so on, with ``nshards.txt``; class names and templates beside ``test``.

    ``data`` may also be the folder of one split, with these files beside the shards or above them.

    Raises:
        ArtifactError: shards are missing, or the set is of a kind that cannot be evaluated.
    """
    split = "test/" if "test/nshards.txt" in names else ""
    texts = {name: read_text(join(data, name)) for name in TEXTS if name in names}
    if not split and not texts and not is_url(data):
        texts = _texts_above(data)
    kind = texts.get("dataset_type.txt", "classification").strip().lower()
    if kind not in ("classification", "retrieval"):
        raise ArtifactError(
            f"{data}: dataset_type.txt says {kind[:50]!r}", "sets of one label an image, and retrieval sets, can be evaluated"
        )
    counted = read_text(join(data, f"{split}nshards.txt")).strip()
    if not counted.isdigit():
        raise ArtifactError(f"{data}: {split}nshards.txt has no number of shards, but {counted[:50]!r}")
    tars = [f"{split}{number}.tar" for number in range(int(counted))]
    missing = [name for name in tars if name not in names]
    if missing or not tars:
        what = f"{len(missing):,} of {plural(len(tars), 'shard')} are missing, such as {missing[0]}" if missing else "it has no shards"
        raise ArtifactError(f"{data}: {what}, by {split}nshards.txt", "download them again")
    paths = [join(data, name) for name in tars]
    classes = None if "classnames.txt" not in texts else lines_of(texts["classnames.txt"], join(data, "classnames.txt"))

    def read() -> Iterator[EvalImage]:
        for path in paths:
            yield from _samples(path, is_retrieval=kind == "retrieval")

    images = None if is_url(data) else sum(map(_count, paths))
    return EvalSet("shards", kind == "retrieval", classes, images, read, texts)


def _texts_above(data: str) -> dict[str, str]:
    above = join(data, "..")
    here = set(listing_flat(above))
    return {
        name: read_text(join(above, name))
        for name in ("classnames.txt", "zeroshot_classification_templates.txt", "dataset_type.txt")
        if name in here
    }


def listing_flat(data: str) -> list[str]:
    """The names of the files of a folder, without those of folders in it."""
    fs, root = filesystem(data)
    with reading(data):
        return [str(about["name"]).rpartition("/")[2] for about in fs.ls(root, detail=True) if about["type"] != "directory"]


def lines_of(text: str, path: str) -> list[str]:
    """The lines of a file of names or templates.

    Raises:
        ArtifactError: a line is empty, or there are none.
    """
    lines = [line.strip() for line in text.splitlines()]
    if not lines:
        raise ArtifactError(f"{path}: it is empty", "it has a line for each")
    if "" in lines:
        raise ArtifactError(f"{path}: line {lines.index('') + 1:,} is empty", "it has a line for each")
    return lines


def _count(path: str) -> int:
    with open_tar(path) as tar:
        return len({key[0] for member in tar if member.is_file and (key := member_key(member.name))})


def _samples(path: str, *, is_retrieval: bool) -> Iterator[EvalImage]:
    """The samples of a shard: an image with ``cls``, and perhaps ``npy``, or with ``txt``, a caption a line."""
    with open_tar(path) as tar:
        key, found = "", dict[str, bytes]()
        for member in tar:
            named = member_key(member.name) if member.is_file else None
            if named is None:
                continue
            if named[0] != key and found:
                yield _sample(f"{path}: {key}", found, is_retrieval=is_retrieval)
                found = {}
            key = named[0]
            if named[1] in IMAGE_SUFFIXES or named[1] in ("cls", "npy", "txt"):
                found["image" if named[1] in IMAGE_SUFFIXES else named[1]] = tar.content(member)
        if found:
            yield _sample(f"{path}: {key}", found, is_retrieval=is_retrieval)


def _sample(name: str, found: Mapping[str, bytes], *, is_retrieval: bool) -> EvalImage:
    if "image" not in found:
        return EvalImage(name, b"", problem="no image")
    if is_retrieval:
        captions = [line for line in found.get("txt", b"").decode("utf-8", "replace").splitlines() if line.strip()]
        return EvalImage(name, found["image"], captions=captions, problem=None if captions else "no caption")
    label = found.get("cls", b"").strip()
    if not label.lstrip(b"-").isdigit():
        return EvalImage(name, b"", problem="no label" if not label else "the label is not a number")
    return EvalImage(name, found["image"], int(label), groups=_groups(found.get("npy")))


def _groups(content: bytes | None) -> list[int]:
    if content is None:
        return []
    try:
        values = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        return []
    return [int(value) for value in np.atleast_1d(values).ravel().tolist()]


def shown(names: Iterable[str]) -> str:
    """Some names, for a message."""
    names = list(names)
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
