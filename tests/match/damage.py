"""Run in a process of its own: open and use a matcher after each of many damages. Every one is refused, or changes nothing."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tallyclip as tc

CAPTIONS = [
    "a photo of the DOG",
    "seventeen17sevent in St. Louis",
    "a very long entry indeed, no doubt",
    None,
    "a b a b a b c",
    "x" * 9000 + " dog",
]


def flip(content: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice([1, 1, 3, 50])):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def fill(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content))
    end = min(len(content), start + draw.choice([1, 8, 64, 4096]))
    content[start:end] = bytes([draw.choice([0, 0xFF, 0x7F])]) * (end - start)


def cut(content: bytearray, draw: random.Random) -> None:
    del content[draw.randrange(len(content)) :]


def lengthen(content: bytearray, draw: random.Random) -> None:
    content += draw.randbytes(draw.choice([1, 8, 64, 4096]))


def remove(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content))
    del content[start : start + draw.choice([1, 8, 64])]


def move(content: bytearray, draw: random.Random) -> None:
    one, other = (draw.randrange(len(content)) & -8 for _ in range(2))
    content[one : one + 8], content[other : other + 8] = content[other : other + 8], content[one : one + 8]


def exchange(content: bytearray, draw: random.Random) -> None:
    content[:] = draw.choice(OTHERS)


def retype(content: bytearray, draw: random.Random) -> None:
    for one, other in ((b"<u8", b"<i8"), (b"<u4", b"<f4"), (b"|u1", b"|i1"), (b"False", b"True "), (b"(", b"(9"), (b"'shape'", b"'shale'")):
        if draw.random() < 0.4:
            content[:] = content.replace(one, other)


def save_as_another(content: bytearray, draw: random.Random) -> None:
    """A whole ``.npy`` file, but of other numbers, length or dtype."""
    target = Path(sys.argv[1]) / "other.npy"
    kind = draw.choice([np.uint64, np.uint32, np.uint8, np.int64, np.float64])
    np.save(target, np.arange(draw.choice([0, 1, 8, 64, 1024, 99]), dtype=kind))
    content[:] = target.read_bytes()


DAMAGES: list[Callable[[bytearray, random.Random], None]] = [flip, fill, cut, lengthen, remove, move, exchange, retype, save_as_another]
OTHERS: list[bytes] = []


def main() -> None:
    root, mode, tries = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    entries = ["a", "photo of", "dog", "the dog", "The dog", "St. Louis", "a very long entry indeed", "seventeen17sevent", "a b a b", "b c"]
    matcher = tc.Matcher(tc.Metadata(entries), mode)  # type: ignore[arg-type]
    expected = matcher.match(CAPTIONS)
    matcher.save(root / "sound")
    sound = {path.name: path.read_bytes() for path in sorted((root / "sound").iterdir())}
    OTHERS.extend(sound.values())
    outcomes: Counter[str] = Counter()
    for number in range(tries):
        draw = random.Random(f"{mode} {number}")
        name = draw.choice(sorted(sound))
        content = bytearray(sound[name])
        draw.choice(DAMAGES)(content, draw)
        folder = root / "damaged"
        folder.mkdir(exist_ok=True)
        for other, whole in sound.items():
            (folder / f".{other}").write_bytes(content if other == name else whole)
            (folder / f".{other}").replace(folder / other)  # for the last one may still be mapped
        try:
            opened = tc.Matcher.open(folder)
        except tc.ArtifactError:
            outcomes["refused"] += 1
            continue
        found = opened.match(CAPTIONS)
        same = np.array_equal(found.offsets, expected.offsets) and np.array_equal(found.entry_ids, expected.entry_ids)
        known = (opened.mode, len(opened), opened.fingerprint) == (matcher.mode, len(matcher), matcher.fingerprint)
        outcomes["right" if same and known else f"wrong: {name}, try {number}"] += 1
    sys.stdout.write(json.dumps(outcomes))


main()
