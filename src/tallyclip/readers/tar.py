"""WebDataset tars: a sample is the run of members with one key; captions come from ``txt`` or from ``json``."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import islice
from sys import intern
from typing import Any, cast

import pyarrow as pa

from tallyclip.errors import SourceError
from tallyclip.io.streams import compression_of, open_stream
from tallyclip.io.suffixes import IMAGES
from tallyclip.readers.columns import ColumnChoice, Columns
from tallyclip.readers.content import BOM, LARGEST, LONGEST_SAMPLE, reading
from tallyclip.readers.field_names import FieldNames, first_field_names, watched
from tallyclip.readers.records import Bad, Records, decode_json, in_batches
from tallyclip.readers.sample_folders import END, FolderReader
from tallyclip.readers.tar_headers import FollowedTarError, Member, TarReader

READ_AT_ONCE = 16 << 10  # more than the headers and texts between two images
MOST_KEYS = 1 << 20  # of earlier samples that are remembered
LOOKED_AT = 10_000  # members, to list their suffixes
LISTED = 10  # suffixes in a message
LONGEST_SUFFIX = 40
LONG_KEY = 1000  # characters; a longer one counts as text
# Where a sample and its image are, in bytes of the tar, unpacked; the names are none that the fields of json are likely to have.
PLACES = pa.schema(
    [
        ("sample at", pa.int64()),
        ("image at", pa.int64()),
        ("image size", pa.int64()),
        ("image suffix", pa.string()),
        ("image problem", pa.string()),  # why there is no image; null if there is one
    ]
)
# How JPEG, PNG, GIF, WebP, BMP, TIFF, JPEG XL, and AVIF or HEIC begin.
SIGNATURES = re.compile(rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF.{4}WEBP|BM|II\*\0|MM\0\*|\xff\x0a|\0\0\0\x0cJXL |.{4}ftyp", re.DOTALL)
LONGEST_SIGNATURE = 12
UNPACK = {"gzip": "zcat", "zstd": "zstdcat", "bz2": "bzcat", "lz4": "lz4cat"}
REPACK = "pack it again by name: mkdir D && tar -xf TAR -C D && tar --sort=name --transform='s,^[.]/,,' -cf NEW.tar -C D ."


@contextmanager
def open_tar(path: str, first: int = 0) -> Generator[TarReader | FolderReader]:
    """Open a tar, which may be compressed, or a folder of samples; ``first`` is the place of the member to begin with.

    Raises:
        SourceError: it cannot be opened, or its headers are broken.
    """
    if path.endswith(END):
        with reading(path):
            yield FolderReader(path, first)
        return
    with reading(path), open_stream(path) as file:
        try:
            yield TarReader(io.BufferedReader(cast(Any, file), READ_AT_ONCE), first)
        except FollowedTarError as error:
            compression = compression_of(path)
            before = f"head -c {error.place} TAR" if compression is None else f"{UNPACK[compression]} TAR | head -c {error.place}"
            raise SourceError(f"{path}: {error}", f"if you do not need it, cut it off: {before} > NEW.tar") from error


def is_empty(path: str) -> bool:
    """Has a tar no members? img2dataset writes such tars where no download succeeded.

    Raises:
        SourceError: it cannot be opened, or its headers are broken.
    """
    with open_tar(path) as tar:
        return next(iter(tar), None) is None


def tar_names(path: str, choice: ColumnChoice) -> FieldNames:
    """The column names of the first samples.

    Raises:
        SourceError: there is no sample in it.
    """
    names = first_field_names(path, _samples(path, choice), "sample")
    if not names.names:
        what = f" that can be read; the first is {names.first_other.reason}" if isinstance(names.first_other, Bad) else ""
        hint = "a sample has members with one name and suffixes such as .jpg, .txt or .json"
        raise SourceError(f"{path}: no sample in it{what}", hint)
    return names


def read_records(
    path: str, columns: Columns, choice: ColumnChoice, schema: pa.Schema | None, *, with_images: bool = False
) -> Iterator[Records]:
    """Stream a tar's samples: the fields of their json, their key as ``key``, their txt as ``caption``, and members that a flag names
    by their suffix. Images are skipped; with ``with_images``, the fields of ``PLACES`` say where they are.

    Raises:
        SourceError: the tar is cut short or broken; the message says at which byte. Or the members of a sample do not follow each other,
            or a name that would change the columns appears too late.
    """
    caption = None if columns.caption in columns.from_folders else columns.caption
    samples = _samples(path, choice, caption, with_images=with_images)
    return in_batches(watched(path, samples, columns, choice, "sample"), columns, schema)


def without_column(path: str, names: list[str]) -> tuple[str, str]:
    """The message and the hint for a tar in whose first samples a column is not found.

    Args:
        path: the tar.
        names: those that its first samples have.
    """
    with open_tar(path) as tar:
        named = (member_key(member.name) for member in islice(tar, LOOKED_AT) if member.is_file)
        counted = Counter(found[1][:LONGEST_SUFFIX] for found in named if found)
    listed = ", ".join(f"{suffix} ({count:,})" for suffix, count in counted.most_common(LISTED))
    more = f" and {len(counted) - LISTED:,} more" if len(counted) > LISTED else ""
    hint = "a sample's key ends at the first dot of a name, and a flag may name the suffix after it"
    if "txt" in counted and "caption" not in names:
        hint = f"no txt member is among the first samples: {REPACK}"
    return f"its members end in: {listed}{more}", hint


def count_samples(path: str, most: int) -> tuple[int, int | None]:
    """How many samples the first members belong to, and how many bytes these members take; None if there are no more members."""
    keys: set[str] = set()
    with open_tar(path) as tar:
        for number, member in enumerate(tar):
            if named := member_key(member.name):
                keys.add(named[0][:LONG_KEY])
            if number == most:
                return len(keys), member.data + member.stored
    return len(keys), None


def member_key(name: str) -> tuple[str, str] | None:
    """The key of the sample that a member belongs to, and its suffix; None if it is not part of a sample, as in WebDataset."""
    folder, _, file = name.rpartition("/")
    stem, dot, suffix = file.partition(".")
    return (f"{folder}/{stem}" if folder else stem, suffix.lower()) if stem and dot else None


def _samples(
    path: str, choice: ColumnChoice, caption: str | None = None, *, with_images: bool = False
) -> Iterator[tuple[dict[str, Any] | Bad, int]]:
    """Samples as objects, each with the size of its text; ``Bad`` if a member cannot be read.

    With ``caption``, the name of the captions, a sample without one is ``Bad`` too if it has text under a longer suffix. With
    ``with_images``, they have the fields of ``PLACES``.
    """
    by_flag = {name.lower(): name for name in choice.named}
    keys = _SeenKeys(path)
    sample: _TarSample | None = None
    with open_tar(path) as tar:
        for member in tar:
            named = member_key(member.name) if member.is_file else None
            if named is None:
                continue
            key, suffix = named
            if sample is None or key != sample.key:
                if sample is not None:
                    yield sample.finished(caption), sample.size
                sample = _TarSample(key, member.place, with_images=with_images)
            if with_images and suffix in IMAGES and member.holes is None:
                if sample.has_image:  # another sample with the same key
                    yield sample.finished(caption), sample.size
                    sample = _TarSample(key, member.place, with_images=True)
                sample.add_image(suffix, member, tar.beginning(member, LONGEST_SIGNATURE))
            elif suffix in ("txt", "json") or suffix in by_flag:
                if suffix in sample.suffixes:  # another sample with the same key
                    yield sample.finished(caption), sample.size
                    sample = _TarSample(key, member.place, with_images=with_images)
                elif not sample.suffixes:
                    keys.note(key, suffix, member.place)
                sample.add(suffix, by_flag.get(suffix), tar, member)
            elif suffix.endswith((".txt", ".json")):
                sample.note(suffix)
    if sample is not None:
        yield sample.finished(caption), sample.size


class _TarSample:
    """A sample whose members are being read; ``place`` is where the headers of its first member begin."""

    def __init__(self, key: str, place: int, *, with_images: bool) -> None:
        self.key = key
        self._place = place
        self._with_images = with_images
        self._image: tuple[int, int, str] | None = None
        self._no_image: str | None = "no image"
        self.size = len(key) if len(key) > LONG_KEY else 0
        self.suffixes: set[str] = set()
        self._fields: dict[str, Any] = {"key": key}
        self._by_flag: dict[str, bytes] = {}
        self._problem: str | None = None
        self._longer: list[str] = []

    def add(self, suffix: str, column: str | None, tar: TarReader | FolderReader, member: Member) -> None:
        """Read a member; ``column`` is the name that a flag gives it."""
        self.suffixes.add(suffix)
        self.size += member.size
        if member.size > LARGEST:
            self._problem = f"{suffix if suffix in ('txt', 'json') else 'text'} member too large"
            return
        content = tar.content(member).removeprefix(BOM)
        if column is not None:
            self._by_flag[column] = content
        if suffix == "txt":
            self._set("caption", content)
        elif suffix == "json":
            self._add_fields(content)

    @property
    def has_image(self) -> bool:
        return self._image is not None

    def add_image(self, suffix: str, member: Member, beginning: bytes) -> None:
        """Note where the image is, and whether it begins as one: downloads that nobody decoded may be pages of HTML."""
        self._image = (member.data, member.size, suffix)
        self._no_image = "empty image" if not member.size else None if SIGNATURES.match(beginning) else "not an image"

    def note(self, suffix: str) -> None:
        """Remember a member that may be text and is not read."""
        if len(self._longer) < LISTED:
            self._longer.append(suffix[:LONGEST_SUFFIX])

    def finished(self, caption: str | None) -> dict[str, Any] | Bad:
        for column, content in self._by_flag.items():
            if column not in self._fields:  # txt and the fields of json come first
                self._set(column, content)
        if self._problem is not None:
            return Bad(self._problem, _shown(self.key))
        if caption is not None and self._longer and caption not in self._fields:
            sample = f"{_shown(self.key)}: {', '.join(map(ascii, self._longer))}"
            return Bad("no caption, but text under a longer suffix", sample[:LONGEST_SAMPLE])
        if self._with_images:
            self._fields |= dict(zip(PLACES.names, (self._place, *(self._image or (0, 0, "")), self._no_image), strict=True))
        return self._fields

    def _set(self, column: str, content: bytes) -> None:
        try:
            self._fields[column] = content.decode("utf-8")
        except UnicodeDecodeError:
            self._problem = "not UTF-8"

    def _add_fields(self, content: bytes) -> None:
        fields = decode_json(content)
        if isinstance(fields, Bad):
            self._problem = fields.reason
        elif not isinstance(fields, dict):
            self._problem = "not a JSON object"
        else:
            for name, value in cast(dict[str, Any], fields).items():
                self._fields.setdefault(name, value)


class _SeenKeys:
    """Detects a sample whose texts do not follow each other: its key appears again, beginning with another of its texts.

    A key that appears again with the same text first is another sample of that name, as in WebDataset. The first ``MOST_KEYS`` keys are
    remembered.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._greatest = ""
        self._first: dict[bytes, str] = {}  # the suffix of a sample's first text, by a hash of its key

    def note(self, key: str, suffix: str, place: int) -> None:
        """Remember the first text of a sample.

        Raises:
            SourceError: it belongs to a sample that came before.
        """
        digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key > self._greatest:
            self._greatest = key
        elif self._first.get(digest, suffix) != suffix:
            what = f"sample {_shown(key)} appears again at byte {place:,}: the members of a sample must follow each other"
            raise SourceError(f"{self._path}: {what}", REPACK)
        if len(self._first) < MOST_KEYS:
            self._first.setdefault(digest, intern(suffix))


def _shown(key: str) -> str:
    return ascii(key[:LONGEST_SAMPLE])
