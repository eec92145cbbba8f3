"""Strings as bytes and offsets, which every compiled function reads. (In shapes, here and elsewhere, N1 stands for N + 1.)

Text of any origin becomes UTF-8, unchecked and unchanged. Lone surrogates, which Python strings can hold, become the three bytes
that UTF-8's rule would give them. So two texts are equal, or one contains the other, exactly when that is true of their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import NoneType
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64, UInt8

from tallyclip.core.arguments import wrong_type
from tallyclip.errors import ArgumentTypeError


@runtime_checkable
class ArrowColumn(Protocol):
    """A column of pandas, Polars or another library that exports itself as an Arrow C stream; its missing values are nulls."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...


StringArray = pa.Array | pa.ChunkedArray | ArrowColumn | Sequence[str | None]


class Strings(NamedTuple):
    """N strings: string i is ``data[offsets[i]:offsets[i + 1]]``; a null is an empty string that ``valid`` marks False."""

    data: UInt8[np.ndarray, " B"]
    offsets: Int64[np.ndarray, " N1"]
    valid: Bool[np.ndarray, " N"] | None


def from_python(texts: Sequence[str | None]) -> Strings:
    """Encode Python strings; None is a null.

    Raises:
        ArgumentTypeError: an element is neither a string nor None.
    """
    if set(map(type, texts)) <= {str, NoneType}:
        try:
            return from_arrow(pa.array(texts, pa.large_string()))
        except UnicodeEncodeError:  # a lone surrogate, which Arrow does not take
            pass
    encoded: list[bytes] = []
    for position, text in enumerate(texts):
        if text is None:
            encoded.append(b"")
        elif isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            encoded.append(text.encode("utf-8", "surrogatepass"))
        else:
            what = f"text {position} is a {type(text).__name__}, not a string: {text!r:.60}"
            raise ArgumentTypeError(what, "a text is a str, or None where it is missing")
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    nulls = np.fromiter((text is None for text in texts), dtype=np.bool_, count=len(texts))
    return Strings(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets, ~nulls if nulls.any() else None)


def from_arrow(array: pa.Array) -> Strings:
    """View an Arrow array of strings or binaries without copying its text (string views are first copied into one buffer).

    Raises:
        ArgumentTypeError: the array holds something else.
    """
    if pa.types.is_null(array.type):
        array = array.cast(pa.large_string())
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    elif pa.types.is_binary_view(array.type):
        array = array.cast(pa.large_binary())
    if pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        width = np.int32
    elif pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type):
        width = np.int64
    else:
        raise ArgumentTypeError(f"expected an array of strings, got {array.type}", "of a table, give one column, such as table['caption']")
    valid = None
    if array.null_count:
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        array = array.fill_null("" if pa.types.is_string(array.type) or pa.types.is_large_string(array.type) else b"")
    _, offset_buffer, data_buffer = array.buffers()
    count = len(array)
    if count == 0 or offset_buffer is None:
        return Strings(np.zeros(0, np.uint8), np.zeros(count + 1, np.int64), valid)
    offsets = np.frombuffer(offset_buffer, dtype=width, count=count + 1, offset=array.offset * np.dtype(width).itemsize)
    data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
    return Strings(data, offsets.astype(np.int64), valid)


def to_strings(texts: StringArray) -> list[Strings]:
    """The chunks of an array of strings of any kind.

    Raises:
        ArgumentTypeError: ``texts`` is a single string, or holds something else than strings.
    """
    if isinstance(texts, pa.ChunkedArray):
        chunks: list[pa.Array] = cast(Any, texts).chunks
        return [from_arrow(_decoded(chunk)) for chunk in chunks]
    if isinstance(texts, pa.Array):
        return [from_arrow(_decoded(texts))]
    _check_many(texts)
    if isinstance(texts, ArrowColumn):
        return to_strings(cast(Any, pa).chunked_array(texts))
    return [from_python(texts)]


def single_text(text: str | bytes) -> ArgumentTypeError:
    """The error for a single text where a list of texts is needed: its characters are not meant."""
    return ArgumentTypeError("expected many texts, got a single string: put it in a list", f"[{text!r:.60}]")


def _check_many(texts: object) -> None:
    if isinstance(texts, str | bytes):
        raise single_text(texts)
    if isinstance(texts, ArrowColumn):
        return
    if isinstance(texts, Mapping) or not hasattr(texts, "__len__") or not hasattr(texts, "__getitem__"):
        raise wrong_type("texts are a list, an Arrow array, or a column of a data frame", texts, "give a list: list(texts)")


def _decoded(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array


def concatenated(texts: StringArray) -> Strings:
    """An array of strings of any kind, as one chunk."""
    chunks = to_strings(texts)
    if len(chunks) == 1:
        return chunks[0]
    return joined(chunks)


def joined(chunks: Sequence[Strings]) -> Strings:
    """Several chunks as one."""
    data = np.concatenate([np.zeros(0, np.uint8), *(chunk.data[chunk.offsets[0] : chunk.offsets[-1]] for chunk in chunks)])
    lengths = np.concatenate([np.zeros(0, np.int64), *(np.diff(chunk.offsets) for chunk in chunks)])
    valid = None
    if any(chunk.valid is not None for chunk in chunks):
        valid = np.concatenate([np.ones(len(c.offsets) - 1, np.bool_) if c.valid is None else c.valid for c in chunks])
    return Strings(data, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)]), valid)


def to_python(strings: Strings) -> list[str]:
    """The opposite of ``from_python``; a null becomes an empty string.

    >>> to_python(from_python(["dog", None, "é"]))
    ['dog', '', 'é']
    """
    content, ends = strings.data.tobytes(), strings.offsets.tolist()
    return [content[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(ends)]
