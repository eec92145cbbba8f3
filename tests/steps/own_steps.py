"""Steps of a user's own, for tests."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute


def no_fives(pairs: pa.Table) -> pa.ChunkedArray:
    return pc.invert(pc.match_substring(pairs["text"], "5"))


def by_width(pairs: pa.Table) -> tuple[list[bool], list[str]]:
    widths = [int(width) for width in pairs["width"].to_pylist()]
    return [10 <= width < 100 for width in widths], ["small" if width < 10 else "large" for width in widths]


by_width.columns = ["width"]  # type: ignore[attr-defined]
by_width.version = 3  # type: ignore[attr-defined]


def batches(pairs: pa.Table) -> tuple[np.ndarray, list[str]]:
    """Drops the first pair of each batch, and says how many there are: to see which batches there are."""
    return np.arange(len(pairs)) > 0, [f"{len(pairs)}"] * len(pairs)


def raises(pairs: pa.Table) -> Any:
    raise KeyError("no such thing")


def too_few(pairs: pa.Table) -> Any:
    return [True]


def numbers(pairs: pa.Table) -> Any:
    return np.ones(len(pairs))


def nulls(pairs: pa.Table) -> Any:
    return pa.array([None] * len(pairs), pa.bool_())


def nothing(pairs: pa.Table) -> Any:
    return None


def many_reasons(pairs: pa.Table) -> Any:
    return [False] * len(pairs), [f"reason {i}" for i in range(len(pairs))]


def long_reason(pairs: pa.Table) -> Any:
    return [False] * len(pairs), pairs["text"].to_pylist()[0] * 100


def few_reasons(pairs: pa.Table) -> Any:
    return [False] * len(pairs), ["one"]


def wrong_columns(pairs: pa.Table) -> Any:
    return [True] * len(pairs)


wrong_columns.columns = "width"  # type: ignore[attr-defined]


def surrogate(pairs: pa.Table) -> Any:
    return [False] * len(pairs), "x\ud800y"


def leaves(pairs: pa.Table) -> Any:
    raise SystemExit(3)


def huge(pairs: pa.Table) -> Any:
    raise ValueError("x" * 10_000_000)


class Unsayable(Exception):  # noqa: N818 - it is one
    def __str__(self) -> str:
        raise RuntimeError("no words")


def unsayable(pairs: pa.Table) -> Any:
    raise Unsayable


class OddArray:
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("no array of me")


def odd_array(pairs: pa.Table) -> Any:
    return OddArray()


def masked(pairs: pa.Table) -> Any:
    return np.ma.masked_array(np.ones(len(pairs), np.bool_), mask=True)
