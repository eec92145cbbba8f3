"""The types that all stages share: the list of entries, and which captions match which of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from os import PathLike
from typing import overload

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, UInt32

from tallyclip.core.arguments import is_array, wrong_type
from tallyclip.core.compiled import as_compiled_takes
from tallyclip.core.csr import offsets_of, positions_of
from tallyclip.core.strings import from_python
from tallyclip.errors import ArtifactError, OptionError
from tallyclip.io.artifacts import EntryColumns, read_entries, write_entries
from tallyclip.wording import plural

CLEAN_HINT = "Metadata(..., clean=True), or --clean-metadata, drops empty and repeated entries (the first of equal entries is kept)"

COLUMN_HINT = "an entry is a str; column.to_pylist() gives those of an Arrow column"


class Metadata:
    """The ordered list of entries ("queries" in CLIP's paper) to match and count. An entry's id is its position.

    Args:
        entries: V strings, none empty, no two the same.
        sources: for each entry, where it comes from ("wordnet", "unigram", ...), or None, if known.
        scores: for each entry, the score it was ranked by in its source, if known.
        ranks: for each entry, its rank by that score among its source's candidates, from 1, if known.
        clean: drop empty and repeated entries instead of raising; the first of equal entries is kept.

    Raises:
        ArtifactError: the list is empty, or has an empty or repeated entry; the message gives positions.
        ArgumentTypeError: ``entries`` is no list: it has no order, or nothing in it.

    >>> metadata = Metadata(["dog", "New York"])
    >>> len(metadata), metadata.entries[1]
    (2, 'New York')
    """

    def __init__(
        self,
        entries: Iterable[str],
        sources: Sequence[str | None] | None = None,
        scores: Sequence[float | None] | None = None,
        ranks: Sequence[int] | None = None,
        *,
        clean: bool = False,
    ) -> None:
        if isinstance(entries, str):
            raise ArtifactError(f"an entry list is a list of strings, not one string: {entries!r:.60}", f"Metadata([{entries!r:.60}])")
        _check_ordered(entries)
        known = [None if column is None else list(column) for column in (sources, scores, ranks)]
        columns = EntryColumns(list(entries), *known)  # type: ignore[arg-type]
        _check_lengths(columns)
        keep = _first_positions(columns.entries)
        if len(keep) < len(columns.entries):
            if not clean:
                raise ArtifactError(_describe_unclean(columns.entries, keep), CLEAN_HINT)
            columns = EntryColumns(*(None if column is None else [column[i] for i in keep] for column in columns))  # type: ignore[arg-type]
        if not columns.entries:
            raise ArtifactError("an entry list needs at least one entry, this one is empty")
        self.entries: tuple[str, ...] = tuple(columns.entries)
        self.sources = tuple(columns.sources) if columns.sources is not None else None
        self.scores = tuple(columns.scores) if columns.scores is not None else None
        self.ranks = tuple(columns.ranks) if columns.ranks is not None else None

    @classmethod
    def wordnet(cls) -> Metadata:
        """The bundled list: numerals 0 to 99 and the synsets of WordNet 3.0, 86,654 entries (Table 1 of arXiv 2309.16671).

        >>> len(Metadata.wordnet())
        86654
        """
        with resources.as_file(resources.files("tallyclip") / "lists" / "wordnet-3.0.txt.zst") as path:
            columns = read_entries(str(path))
        return cls(columns.entries, sources=["wordnet"] * len(columns.entries))

    @classmethod
    def load(cls, path: str | PathLike[str], *, clean: bool = False) -> Metadata:
        """Read an entry list: a JSON list of strings, a ``.txt`` with one entry a line, or a Parquet file with the column ``entry``
        (and ``source``, ``score`` and ``rank``). ``path`` may be an fsspec URL, and end in ``.gz`` or ``.zst``.

        Raises:
            ArtifactError: see ``Metadata``; or the file is missing or not an entry list.
        """
        columns = read_entries(str(path))
        try:
            return cls(*columns, clean=clean)
        except ArtifactError as error:
            raise ArtifactError(f"{path}: {error.what}", error.hint) from None

    def save(self, path: str | PathLike[str]) -> None:
        """Write the list; the suffix (``.json``, ``.txt``, ``.parquet``) selects the format. Only Parquet keeps more than entries."""
        known = [None if column is None else list(column) for column in (self.sources, self.scores, self.ranks)]
        write_entries(str(path), EntryColumns(list(self.entries), *known))  # type: ignore[arg-type]

    @cached_property
    def fingerprint(self) -> str:
        """64 hex digits that change with any entry or their order: SHA-256 of the lengths and bytes of the entries."""
        strings = from_python(self.entries)
        return hashlib.sha256(strings.offsets.tobytes() + strings.data.tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"Metadata({plural(len(self), 'entry', 'entries')}, fingerprint {self.fingerprint[:12]})"


def _check_ordered(entries: object) -> None:
    if isinstance(entries, Set | Mapping | bytes) or not isinstance(entries, Iterable):
        hint = (
            "an entry's id is its position, so give a list, such as sorted(...); Metadata.load reads files, Metadata.wordnet() is bundled"
        )
        raise wrong_type("an entry list is a list of strings in an order of their own", entries, hint)


def _check_lengths(columns: EntryColumns) -> None:
    for position, entry in enumerate(columns.entries):
        if not isinstance(entry, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArtifactError(f"entry {position} is a {type(entry).__name__}, not a string: {entry!r:.60}", COLUMN_HINT)
    for name, column in zip(("sources", "scores", "ranks"), columns[1:], strict=True):
        if column is not None and len(column) != len(columns.entries):
            raise ArtifactError(f"{plural(len(columns.entries), 'entry', 'entries')} but {len(column):,} {name}")


def _first_positions(entries: list[str]) -> Sequence[int]:
    different = set(entries)
    if len(different) == len(entries) and "" not in different:  # as nearly always
        return range(len(entries))
    first: dict[str, int] = {}
    for position, entry in enumerate(entries):
        if entry:
            first.setdefault(entry, position)
    return list(first.values())


def _describe_unclean(entries: list[str], keep: Sequence[int]) -> str:
    kept = set(keep)
    bad = [position for position in range(len(entries)) if position not in kept]
    shown = ", ".join(f"{'empty' if not entries[i] else repr(entries[i])} at {i}" for i in bad[:5])
    more = f" and {len(bad) - 5:,} more" if len(bad) > 5 else ""
    return f"{len(bad):,} empty or repeated entries: {shown}{more}"


@dataclass(frozen=True, slots=True)
class Matches:
    """Which entries each of N captions matches, as compressed sparse rows: caption i matches ``entry_ids[offsets[i]:offsets[i + 1]]``.

    Attributes:
        offsets: int64[N+1], ascending from 0 to M.
        entry_ids: uint32[M]; ascending and without repeats within each caption.

    >>> matches = Matches(np.array([0, 2, 2]), np.array([4, 7], dtype=np.uint32))
    >>> len(matches), matches[0].tolist(), matches[1].tolist(), matches[1:]
    (2, [4, 7], [], Matches(offsets=array([0, 0]), entry_ids=array([], dtype=uint32)))
    """

    offsets: Int64[np.ndarray, " N1"]
    entry_ids: UInt32[np.ndarray, " M"]

    def __post_init__(self) -> None:
        """Check the offsets, since compiled code reads wherever they point.

        Raises:
            OptionError: the arrays are not compressed sparse rows.
            ArgumentTypeError: they are not arrays, or of another dtype or shape.
        """
        offsets, ids = self.offsets, self.entry_ids
        for name, given, kind, size in (("offsets", offsets, np.int64, "N+1"), ("entry_ids", ids, np.uint32, "M")):
            if not is_array(given, kind):
                expected = f"{name} of matches are {np.dtype(kind)}[{size}]"
                raise wrong_type(expected, given, f"np.array({name}, np.{np.dtype(kind)}); Matcher.match makes matches of captions")
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(ids) or (offsets[1:] < offsets[:-1]).any():
            raise OptionError(f"offsets of matches must ascend from 0 to the number of ids, {len(ids):,}")
        object.__setattr__(self, "offsets", as_compiled_takes(offsets, np.int64))
        object.__setattr__(self, "entry_ids", as_compiled_takes(ids, np.uint32))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, caption: int) -> UInt32[np.ndarray, " m"]: ...

    @overload
    def __getitem__(self, caption: slice) -> Matches: ...

    def __getitem__(self, caption: int | slice) -> UInt32[np.ndarray, " m"] | Matches:
        """The entry ids of one caption, or the matches of a slice of captions; as in lists, -1 is the last.

        Raises:
            IndexError: there is no such caption.
            ArgumentTypeError: it is neither a position nor a slice.
        """
        if isinstance(caption, slice):
            return self.take(np.arange(len(self))[caption])
        try:
            place = range(len(self))[caption]
        except TypeError:
            raise wrong_type("matches[i] takes a position or a slice", caption, "matches.take(positions) takes an array") from None
        return self.entry_ids[self.offsets[place] : self.offsets[place + 1]]

    @property
    def lengths(self) -> Int64[np.ndarray, " N"]:
        """How many entries each caption matches."""
        return np.diff(self.offsets)

    def take(self, captions: Int64[np.ndarray, " K"]) -> Matches:
        """The matches of some captions, in the given order."""
        offsets = offsets_of(self.lengths[captions])
        return Matches(offsets, self.entry_ids[positions_of(self.offsets[captions], offsets)])

    def to_arrow(self) -> pa.LargeListArray:
        """The same as an Arrow array of lists of uint32, for data frames and query engines."""
        return pa.LargeListArray.from_arrays(pa.array(self.offsets), pa.array(self.entry_ids))


def checked_matches(value: object) -> Matches:
    """Matches from outside.

    Raises:
        ArgumentTypeError: they are anything else.
    """
    if not isinstance(value, Matches):
        raise wrong_type("matches are Matches", value, "Matcher(metadata).match(captions) makes them")
    return value


def checked_metadata(value: object, use: str) -> Metadata:
    """An entry list from outside; ``use`` is how the hint writes what was called, such as "Matcher({})".

    Raises:
        ArgumentTypeError: it is anything else.
    """
    if not isinstance(value, Metadata):
        example = "Metadata.load(path)" if isinstance(value, str | PathLike) else "Metadata([...])"
        hint = f"tc.{use.format(f'tc.{example}')}; tc.Metadata.wordnet() is the bundled list"
        raise wrong_type("an entry list is Metadata", value, hint)
    return value


def check_ids(matches: Matches, size: int) -> None:
    """Check that matches belong to a list of ``size`` entries.

    Raises:
        OptionError: an entry id is not below ``size``.
    """
    if len(matches.entry_ids) and int(matches.entry_ids.max()) >= size:
        raise OptionError(f"entry id {matches.entry_ids.max()} does not belong to a list of {plural(size, 'entry', 'entries')}")


def concatenate(parts: Sequence[Matches]) -> Matches:
    """The matches of several batches of captions, one after the other."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0] + [len(part.entry_ids) for part in parts])
    offsets = [np.zeros(1, np.int64)] + [part.offsets[1:] + start for part, start in zip(parts, starts, strict=False)]
    ids = [np.zeros(0, np.uint32)] + [part.entry_ids for part in parts]
    return Matches(np.concatenate(offsets), np.concatenate(ids))
