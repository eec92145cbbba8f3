"""Measurements as an experiment makes them: rarer classes are harder, balancing helps them, and a seed is good or bad for all arms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tallyclip.experiment.measured import Experiment, Measured, TestMeasured

CLAIMS = (("raw", "matched"), ("matched", "balanced"), ("balanced", "online"))
RECIPE = '# what balancing does\nname = "small"\n\n[[arms]]\nname = "matched"\nt = inf\n'


class Arm(NamedTuple):
    """How an arm is curated, its accuracy, and how much less of it a tenth of the count costs than in the raw pool."""

    t: float | None
    online: bool
    accuracy: float
    evenness: float


ARMS = {
    "raw": Arm(None, False, 0.52, 0.0),
    "matched": Arm(math.inf, False, 0.56, 0.0),
    "balanced": Arm(170.0, False, 0.60, 0.07),
    "online": Arm(170.0, True, 0.602, 0.07),
}
THRESHOLDS = {"matched": ARMS["matched"]} | {
    f"t{t}": Arm(float(t), False, 0.6 - 0.03 * math.log10(t / 160) ** 2, 0.07) for t in (5, 10, 20, 40, 80, 160, 640, 2560)
}


def measurements(
    arms: Mapping[str, Arm] = ARMS,
    claims: Sequence[tuple[str, str]] = CLAIMS,
    seeds: Sequence[int] = (0, 1, 2),
    names: Sequence[str] = tuple(f"class {place:03d}" for place in range(240)),
) -> tuple[Experiment, list[Measured]]:
    """An experiment and its measurements: all arms with the first seed, then with the next."""
    counts: dict[int, dict[str, int]] = {}
    measured: list[Measured] = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        counts[seed] = {name: max(1, int(3e4 / (place + 1) ** 1.1 * rng.lognormal(0, 0.2))) for place, name in enumerate(names)}
        of_seed = rng.normal(0, 0.02)
        for name, arm in arms.items():
            tests = {test: of_classes(rng, counts[seed], arm, of_seed + shift) for test, shift in (("seen", 0.0), ("unseen", -0.18))}
            tests["retrieval"] = TestMeasured("recall@5", float(np.clip(arm.accuracy - 0.1 + of_seed + rng.normal(0, 0.004), 0, 1)), {})
            pairs = 200_000 if arm.t is None else 120_000 if arm.online or math.isinf(arm.t) else int(30_000 + 500 * arm.t**0.7)
            drawn = 48_206.5 if arm.online else float(pairs)
            seconds = {"curate": 3.25, "train": 412.5 + 10 * rng.random(), "evaluate": 21.5}
            measured.append(Measured(name, seed, arm.t, arm.online, pairs, drawn, 1_280_000, 1.4 - arm.accuracy, seconds, tests))
    pool = {seed: {"pairs": 200_000, "matched": 120_000} for seed in seeds}
    versions = {"tallyclip": "0.1.0", "numpy": "2.4.6"}
    command = "tallyclip experiment run small.toml --out small"
    notes = ["The drawing style of the unseen test is in no picture of the training."]
    machine = "2 cores of a processor, no GPU"
    return Experiment("small", RECIPE, list(claims), list(seeds), command, versions, machine, counts, pool, notes), measured


def of_classes(rng: np.random.Generator, counts: Mapping[str, int], arm: Arm, shift: float) -> TestMeasured:
    """Accuracies of classes with 20 pictures each."""
    powers = np.log10(list(counts.values()))
    chances = np.clip(arm.accuracy + shift + (0.16 - arm.evenness) * (powers - 2.2) + rng.normal(0, 0.05, len(powers)), 0.02, 0.98)
    accuracies = rng.binomial(20, chances) / 20
    return TestMeasured("acc1", float(accuracies.mean()), dict(zip(counts, accuracies.tolist(), strict=True)))
