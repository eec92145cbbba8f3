"""Run in a process of its own: read a file of matched pairs after each of many damages, and compute with what is read."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np

import tallyclip as tc
from tallyclip.core.balance import pick_one
from tallyclip.match.matched_pairs import LanguageTags, MatchedPairs, MatchWriter, read_matches


def main() -> None:
    path, tries = Path(sys.argv[1]) / "a.arrow", int(sys.argv[2])
    rows = np.arange(300)
    matches = tc.Matches(np.arange(301) * 3, np.tile(np.array([1, 4, 9], np.uint32), 300))
    tags = LanguageTags(np.array(["en", "de", "und"] * 100), np.linspace(0, 1, 300, dtype=np.float32))
    pairs = MatchedPairs(rows, np.zeros(300, np.int32), tc.make_uids(None, [str(row) for row in rows]), matches, tags)
    with MatchWriter(path, with_languages=True) as writer:
        writer.write(pairs)
        writer.write(pairs.take(np.arange(7)))
    sound = path.read_bytes()
    counts = np.arange(10) * 5
    outcomes: Counter[str] = Counter()
    for number in range(tries):
        draw = random.Random(number)
        content = bytearray(sound)
        for _ in range(draw.choice([1, 2, 20])):
            start = draw.randrange(len(content))
            content[start : start + 8] = draw.choice(
                [bytes(8), b"\xff" * 8, draw.randbytes(8), bytes([content[start] ^ 1]) + content[start + 1 : start + 8]]
            )
        if draw.random() < 0.2:
            del content[draw.randrange(len(content)) :]
        path.write_bytes(content)
        try:
            for found in read_matches(path):
                pick_one(found.rows, found.uids)
                tc.keep_probability(found.matches, tc.entry_probability(counts, 2))
            outcomes["read"] += 1
        except tc.TallyclipError as error:
            outcomes[type(error).__name__] += 1
    sys.stdout.write(json.dumps(outcomes))


main()
