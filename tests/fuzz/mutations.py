"""Changes to the bytes of a file, drawn by hypothesis, so that an input that breaks a reader is shrunk to a minimum."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Fields = Callable[[bytes], list[tuple[int, int]]]
TOKEN = re.compile(rb"[0-9]+|[A-Za-z]+|[^\sA-Za-z0-9]")
LARGEST = 1 << 16  # bytes that a mutated file may have


def mutated(seeds: list[bytes], words: list[bytes], fields: Fields | None = None) -> st.SearchStrategy[bytes]:
    """Files like the seeds: with words of the format inserted or replacing others, parts removed, repeated and reversed, and cut short."""
    keeps_length = fields is not None
    place, size = st.integers(0, LARGEST), st.integers(1, 64)
    edit = st.one_of(
        st.tuples(st.just("field"), place, st.sampled_from(words) | st.binary(max_size=8), st.just(1)),
        st.tuples(st.just("put"), place, st.sampled_from(words), st.sampled_from([1, 1, 2, 20])),
        st.tuples(st.just("over"), place, st.sampled_from(words) | st.binary(min_size=1, max_size=8), st.just(1)),
        st.tuples(st.just("cut"), place, size, st.just(1)),
        st.tuples(st.just("again"), place, size | st.integers(64, 2048), st.sampled_from([1, 2, 30])),
        st.tuples(st.just("turn"), place, st.integers(0, 7), st.just(1)),
        st.tuples(st.just("end"), place, st.just(0), st.just(1)),
        st.tuples(st.just("append"), place, st.sampled_from(seeds + words), st.just(1)),
    )
    edits = st.lists(edit, min_size=1, max_size=8)
    return st.builds(lambda seed, edits: _apply(seed, edits, fields or _tokens, keeps_length), st.sampled_from(seeds), edits)


def _tokens(content: bytes) -> list[tuple[int, int]]:
    return [found.span() for found in TOKEN.finditer(content)]


def _apply(content: bytes, edits: list[tuple[str, int, Any, int]], fields: Fields, keeps_length: bool) -> bytes:
    for kind, place, what, times in edits:
        at = place % (len(content) + 1)
        match kind:
            case "field" if spans := fields(content):
                start, end = spans[place % len(spans)]
                word = what[: end - start].ljust(end - start, b"\0") if keeps_length else what
                content = content[:start] + word + content[end:]
            case "put":
                content = content[:at] + what * times + content[at:]
            case "over":
                content = content[:at] + what + content[at + len(what) :]
            case "cut":
                content = content[:at] + content[at + what :]
            case "again":
                content = content[: at + what] + content[at : at + what] * times + content[at + what :]
            case "turn" if at < len(content):
                content = content[:at] + bytes([content[at] ^ 1 << what]) + content[at + 1 :]
            case "end":
                content = content[:at]
            case "append":
                content += what
    return content[:LARGEST]
