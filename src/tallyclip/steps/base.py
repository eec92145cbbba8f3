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
from tallyclip.steps.dropped import DroppedPairs


@dataclass(frozen=True)
class Verdict:
    """The decision of a step on N pairs.

    Attributes:
        keep: bool[N].
        drops: the dropped pairs, each with its position among the N.
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


def apply(steps: Iterable[Step], pairs: pa.Table, ledger: Ledger, dropped: DroppedPairs) -> pa.Table:
    """The pairs that all steps keep, with the columns that steps add; the others are counted, and written if that is asked for."""
    for step in steps:
        verdict = step.judge(pairs)
        for drop in verdict.drops:
            ledger.add(drop)
        dropped.add_drops(pairs, verdict.drops)
        for name, column in verdict.columns.items():
            pairs = pairs.append_column(name, column)
        if not verdict.keep.all():
            pairs = pairs.filter(pa.array(verdict.keep))
    return pairs
