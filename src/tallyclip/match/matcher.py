"""The matcher that users have: made of entries, it turns captions into matches."""

from __future__ import annotations

import hashlib
from collections import deque
from pathlib import Path

import numpy as np

from tallyclip.core.compiled import read_only, u64
from tallyclip.core.data import Matches, Metadata, checked_metadata, concatenate
from tallyclip.core.strings import StringArray, Strings, from_python, to_strings
from tallyclip.errors import ArtifactError
from tallyclip.io.artifacts import SAVE_AGAIN, open_arrays, read_header, save_arrays
from tallyclip.match.expansion import PatternGroups, expand, group_patterns
from tallyclip.match.folding import FoldTable, build_fold_table, fold
from tallyclip.match.kernel import BLOCK_BYTES, MatchScratch, make_scratch, match_rows
from tallyclip.match.reference import Mode, check_mode
from tallyclip.match.spacing import spaced
from tallyclip.match.tables import LAYOUT, PAD, MatchTables, build_tables
from tallyclip.wording import plural

GUESSED_MATCHES_PER_BYTE = 0.25
FIRST_ROOM = 1 << 12


class Matcher:
    """Finds which entries each caption matches; exact, compiled, and safe to use from many threads at once.

    Entry e matches a caption if ``" " + e + " "`` is a substring of the spaced caption (see ``spacing.py``; arXiv 2309.16671, section 3.2).

    Modes (a run's manifest records which one was used):

    - ``exact``: the entry is not changed. This is the published rule, so "St. Louis" can never match: in a spaced caption its period is
      between spaces.
    - ``spaced-entries``: the entry is spaced like the caption, so "St. Louis" and "8:30" match if spaces, marks or the ends of the caption
      are around them.
    - ``casefold``: entry and caption are case-folded (``str.casefold``) first; all entries with the same folded form match.

    Any caption is allowed: empty, of many megabytes, with NULs or lone surrogates. A null matches nothing.

    Args:
        metadata: the V entries.
        mode: how entries and captions are compared.

    Raises:
        OptionError: the mode is unknown.
        ArgumentTypeError: ``metadata`` is not Metadata.

    >>> import tallyclip as tc
    >>> matcher = tc.Matcher(tc.Metadata(["dog", "New York", "York"]))
    >>> matcher.match(["a dog in New York", "hot-dog", None])
    Matches(offsets=array([0, 3, 3, 3]), entry_ids=array([0, 1, 2], dtype=uint32))
    """

    def __init__(self, metadata: Metadata, mode: Mode = "exact") -> None:
        check_mode(mode)
        checked_metadata(metadata, "Matcher({})")
        fold_table = build_fold_table() if mode == "casefold" else None
        patterns, groups = _patterns(metadata, mode, fold_table)
        self._set(mode, metadata.fingerprint, len(metadata), build_tables(patterns), groups, fold_table)

    def _set(
        self,
        mode: Mode,
        metadata_fingerprint: str,
        entries: int,
        tables: MatchTables,
        groups: PatternGroups | None,
        folds: FoldTable | None,
    ) -> None:
        self.mode: Mode = mode
        self.metadata_fingerprint = metadata_fingerprint
        self._entries = entries
        self._tables = MatchTables(*map(read_only, tables))
        self._groups = groups
        self._folds = folds
        self._idle: deque[MatchScratch] = deque()

    def __len__(self) -> int:
        """How many entries can be matched: V."""
        return self._entries

    def __repr__(self) -> str:
        return f"Matcher({plural(self._entries, 'entry', 'entries')}, mode {self.mode!r}, fingerprint {self.fingerprint[:12]})"

    @property
    def fingerprint(self) -> str:
        """Changes with the entries, the mode and the layout of the tables."""
        return matcher_fingerprint(self.metadata_fingerprint, self.mode)

    def match(self, captions: StringArray) -> Matches:
        """Find which entries each of N captions matches.

        Args:
            captions: an Arrow array (string, large_string, string_view, dictionary, and the same of binary) or chunked array, a column
                of pandas or Polars, or a list of strings; None and null match nothing. The bytes of Arrow text are used unchecked.

        Returns:
            Matches with N rows; the entry ids of a caption ascend and do not repeat.

        Raises:
            ArgumentTypeError: ``captions`` is a single string, or holds something else than strings.
        """
        return concatenate([self._match_chunk(chunk) for chunk in to_strings(captions)])

    def _match_chunk(self, texts: Strings) -> Matches:
        if self._folds is not None:
            texts = fold(texts, self._folds)
        scratch = self._idle.pop() if self._idle else make_scratch(int(self._tables.sizes[0]))
        matches = _run(texts, self._tables, scratch)
        self._idle.append(scratch)
        return expand(matches, self._groups) if self._groups is not None else matches

    def save(self, folder: str | Path) -> None:
        """Write the tables as plain ``.npy`` files, which ``open`` maps."""
        header = {
            "mode": self.mode,
            "metadata_fingerprint": self.metadata_fingerprint,
            "entries": self._entries,
            "layout": LAYOUT,
        }
        arrays = dict(zip(MatchTables._fields, self._tables, strict=True))
        if self._groups is not None:
            arrays |= {"group_offsets": self._groups.offsets, "group_entries": self._groups.entries}
        if self._folds is not None:
            arrays |= {"fold_offsets": self._folds.offsets, "fold_data": self._folds.data}
        save_arrays(Path(folder), header, arrays)

    @classmethod
    def open(cls, folder: str | Path) -> Matcher:
        """Map a saved matcher: nothing is copied, and processes on one machine share the memory.

        Raises:
            ArtifactError: the folder does not hold a complete matcher, its files were changed, or a version of tallyclip
                with another layout of the tables saved it.
        """
        header = read_header(Path(folder))
        if header.get("layout") != LAYOUT:
            raise ArtifactError(f"{folder}: a matcher of layout {header.get('layout')!r:.20}, this version reads {LAYOUT}", SAVE_AGAIN)
        arrays = open_arrays(Path(folder), header)
        try:
            tables = MatchTables(*(arrays[name] for name in MatchTables._fields))
            groups = PatternGroups(arrays["group_offsets"], arrays["group_entries"]) if "group_offsets" in arrays else None
            folds = FoldTable(arrays["fold_offsets"], arrays["fold_data"]) if "fold_data" in arrays else None
            matcher = cls.__new__(cls)
            matcher._set(header["mode"], header["metadata_fingerprint"], header["entries"], tables, groups, folds)
        except KeyError as error:
            raise ArtifactError(f"{folder}: a saved matcher without {error}", "save it again") from None
        return matcher


def matcher_fingerprint(metadata_fingerprint: str, mode: Mode) -> str:
    """The fingerprint of a matcher of the list with this fingerprint."""
    return hashlib.sha256(f"{metadata_fingerprint} {mode} layout {LAYOUT}".encode()).hexdigest()


def _patterns(metadata: Metadata, mode: Mode, folds: FoldTable | None) -> tuple[Strings, PatternGroups | None]:
    """What to search for: distinct patterns, and the entries of each, or None if every entry is its own pattern."""
    if mode == "exact":
        return from_python(metadata.entries), None
    written = [spaced(entry)[1:-1] for entry in metadata.entries] if mode == "spaced-entries" else metadata.entries
    strings = from_python(written)
    return group_patterns(fold(strings, folds) if folds is not None else strings)


def _run(texts: Strings, tables: MatchTables, scratch: MatchScratch) -> Matches:
    texts = _padded(texts) if np.diff(texts.offsets).max(initial=0) > BLOCK_BYTES else texts
    rows = len(texts.offsets) - 1
    size = int(texts.offsets[-1] - texts.offsets[0])
    ids = np.empty(int(size * GUESSED_MATCHES_PER_BYTE) + FIRST_ROOM, np.uint32)
    offsets = np.zeros(rows + 1, np.int64)
    data = read_only(texts.data)
    done = match_rows(data, texts.offsets, tables, scratch, u64(0), ids, offsets)
    while done < rows:
        larger = np.empty(2 * len(ids) + len(scratch.row), np.uint32)
        larger[: offsets[done]] = ids[: offsets[done]]
        ids = larger
        done = match_rows(data, texts.offsets, tables, scratch, u64(done), ids, offsets)
    return Matches(offsets, ids[: offsets[-1]].copy())


def _padded(texts: Strings) -> Strings:
    """A copy with readable bytes on both sides, which captions longer than a block need."""
    first, last = texts.offsets[0], texts.offsets[-1]
    side = np.zeros(PAD, np.uint8)
    return Strings(np.concatenate([side, texts.data[first:last], side]), texts.offsets - first + PAD, texts.valid)
