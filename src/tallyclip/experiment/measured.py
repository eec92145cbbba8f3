"""What an experiment measured: what was run, and each arm with each seed on each test."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class TestMeasured(msgspec.Struct, frozen=True):
    """A model on a test set.

    Attributes:
        metric: "acc1", or in retrieval "recall@5", the mean of both directions.
        value: from 0 to 1; of "acc1" the mean of the classes' accuracies.
        per_class: accuracy by the name of the class; empty in retrieval.
    """

    __test__: ClassVar[bool] = False  # pytest collects what is called Test

    metric: str
    value: float
    per_class: dict[str, float]


class Measured(msgspec.Struct, frozen=True):
    """One arm with one seed.

    Attributes:
        arm: its name.
        seed: of the pool, the model and the order.
        t: the threshold; None where nothing was matched (the raw pool), infinity where matched pairs are not balanced.
        online: are pairs drawn anew for each epoch?
        pairs: that the data has; of an online arm, matched pairs.
        drawn: pairs of an epoch, expected.
        seen_pairs: that the model was trained on, with repeats.
        loss: of the last step.
        seconds: by part: "curate", "train", "evaluate".
        tests: by name.
    """

    arm: str
    seed: int
    t: float | None
    online: bool
    pairs: int
    drawn: float
    seen_pairs: int
    loss: float | None
    seconds: dict[str, float]
    tests: dict[str, TestMeasured]


class Experiment(msgspec.Struct, frozen=True):
    """What was run.

    Attributes:
        name: of the experiment.
        recipe: its TOML text, as run.
        claims: pairs of arms, the lower one first, whose order the recipe asks about.
        seeds: in order.
        command: that repeats it.
        versions: of packages.
        machine: in words.
        counts: by seed, how many captions of the pool name each class: its entry count.
        pool: by seed, the numbers of "pairs" and of "matched" ones.
        notes: what people should know.
    """

    name: str
    recipe: str
    claims: list[tuple[str, str]]
    seeds: list[int]
    command: str
    versions: dict[str, str]
    machine: str
    counts: dict[int, dict[str, int]]
    pool: dict[int, dict[str, int]]
    notes: list[str]
