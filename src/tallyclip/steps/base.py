"""What a step is: something that looks at pairs and says of each whether it is kept, and why not.

Steps are applied to tables of pairs with the columns ``url`` and ``text``, in the order in which the stages name them. What a step drops is
counted by one ledger, by reason, with samples.
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
    """What a step says of N pairs.

    Attributes:
        keep: bool[N].
        drops: of those that are not kept, with their place among the N; or several as one.
        columns: N values each, that the step adds to the pairs.
    """

    keep: Bool[np.ndarray, " N"]
    drops: list[Drop] = field(default_factory=list[Drop])
    columns: Mapping[str, pa.Array] = field(default_factory=dict[str, pa.Array])


class Step(Protocol):
    """Looks at a batch of pairs; the same pairs get the same verdict, whatever batch they are in."""

    def judge(self, pairs: pa.Table) -> Verdict:
        """Of N pairs, which are kept."""
        ...


def apply(steps: Iterable[Step], pairs: pa.Table, ledger: Ledger) -> pa.Table:
    """The pairs that every step keeps, with the columns that steps add."""
    for step in steps:
        verdict = step.judge(pairs)
        for drop in verdict.drops:
            ledger.add(drop)
        for name, column in verdict.columns.items():
            pairs = pairs.append_column(name, column)
        if not verdict.keep.all():
            pairs = pairs.filter(pa.array(verdict.keep))
    return pairs
