"""The protocol of a step: it decides for each pair whether it is kept, and gives the reason if it is not.

Steps are applied in order to tables of pairs with the columns ``url`` and ``text``. One ledger counts what they drop, by reason, with
samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from tallyclip.readers.ledger import Ledger
from tallyclip.readers.records import Drop


@dataclass(frozen=True)
class Verdict:
    """The decision of a step on N pairs.

    Attributes:
        keep: bool[N].
        drops: the dropped pairs, with their positions among the N; one drop may stand for several pairs.
        columns: columns of N values that the step adds to the pairs.
    """

    keep: Bool[np.ndarray, " N"]
    drops: list[Drop] = field(default_factory=list[Drop])
    columns: Mapping[str, pa.Array] = field(default_factory=dict[str, pa.Array])


class Step(Protocol):
    """Decides on a batch of pairs. The decision on a pair does not depend on its batch."""

    def judge(self, pairs: pa.Table) -> Verdict:
        """Decide which of N pairs are kept."""
        ...


def apply(steps: Iterable[Step], pairs: pa.Table, ledger: Ledger) -> pa.Table:
    """The pairs that all steps keep, with the columns that steps add."""
    for step in steps:
        verdict = step.judge(pairs)
        for drop in verdict.drops:
            ledger.add(drop)
        for name, column in verdict.columns.items():
            pairs = pairs.append_column(name, column)
        if not verdict.keep.all():
            pairs = pairs.filter(pa.array(verdict.keep))
    return pairs
