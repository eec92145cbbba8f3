"""The slow matcher that is obviously right; the fast one is tested against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, cast, get_args

import numpy as np
import pyarrow as pa

from tallyclip.core.data import Matches, Metadata, checked_metadata
from tallyclip.core.strings import single_text
from tallyclip.errors import OptionError
from tallyclip.match.spacing import spaced

Mode = Literal["exact", "spaced-entries", "casefold"]

# For each mode, how an entry and a caption are written before the entry is searched for in the caption.
RULES: dict[Mode, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "exact": (lambda entry: f" {entry} ", spaced),
    "spaced-entries": (spaced, spaced),
    "casefold": (lambda entry: f" {entry.casefold()} ", lambda text: spaced(text.casefold())),
}


def check_mode(mode: str) -> None:
    """Refuse what is no matching mode.

    Raises:
        OptionError: the mode is unknown.
    """
    if mode not in get_args(Mode):
        raise OptionError(f"unknown matching mode {mode!r}", f"the modes are {', '.join(get_args(Mode))}")


def match_reference(captions: Iterable[str | None] | pa.Array | pa.ChunkedArray, metadata: Metadata, mode: Mode = "exact") -> Matches:
    """Match by definition: an entry matches a caption that contains it, both written by ``RULES[mode]``.

    Takes about 50 milliseconds per caption for 500,000 entries; use ``Matcher`` for anything but a check.

    Args:
        captions: N captions, as a list or an Arrow array; None matches nothing.
        metadata: the V entries.
        mode: see ``Matcher``.

    Raises:
        OptionError: the mode is unknown.
        ArgumentTypeError: ``captions`` is a single string, or ``metadata`` is not Metadata.

    >>> match_reference(["a photo of a dog", None], Metadata(["dog", "photo of", "cat"])).entry_ids
    array([0, 1], dtype=uint32)
    """
    check_mode(mode)
    checked_metadata(metadata, "match_reference(captions, {})")
    if isinstance(captions, str | bytes):
        raise single_text(captions)
    if isinstance(captions, pa.Array | pa.ChunkedArray):
        captions = cast(Any, captions).to_pylist()
    write_entry, write_caption = RULES[mode]
    needles = [write_entry(entry) for entry in metadata.entries]
    found: list[int] = []
    offsets = [0]
    for caption in captions:
        if caption is not None:
            written = write_caption(caption)
            found += [entry_id for entry_id, needle in enumerate(needles) if needle in written]
        offsets.append(len(found))
    return Matches(np.array(offsets, dtype=np.int64), np.array(found, dtype=np.uint32))
