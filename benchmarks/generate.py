"""Make a pool of any size with a realistic head and tail, and the entry list that fits it.

    python benchmarks/generate.py --pairs 10_000_000 --out /tmp/pool

Words are drawn by Zipf's law from a vocabulary of pseudo-words, so counts fall over six orders of magnitude as web text's do. A third
of the captions is junk that names nothing (file names, product codes, dates), and every other caption has punctuation, capitals and
words outside the entry list. Every file depends on its own number alone, so any slice of a pool can be made again, in any order.
"""

from __future__ import annotations

import argparse
import json
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ENTRIES = 500_000
PHRASES = 180_000
VOCABULARY = 800_000
ZIPF_EXPONENT = 1.05
JUNK_SHARE = 1 / 3
ROWS_PER_FILE = 500_000
ROWS_PER_BATCH = 100_000
SYLLABLES = [c + v for c in "bcdfghjklmnpqrstvwz" for v in ("a", "e", "i", "o", "u", "an", "er", "in", "os")]


def vocabulary() -> list[str]:
    """VOCABULARY distinct pseudo-words, the short ones first, as in a language the common words are the short ones."""
    rng = np.random.default_rng(7)
    words: dict[str, None] = {}
    for syllables, wanted in ((1, 171), (2, 20_000), (3, 300_000), (4, VOCABULARY)):
        while len(words) < wanted:
            picks = rng.integers(0, len(SYLLABLES), size=(100_000, syllables))
            for row in picks:
                words.setdefault("".join(SYLLABLES[i] for i in row))
                if len(words) == wanted:
                    break
    return list(words)


def entries(words: list[str]) -> list[str]:
    """Two thirds single words, spread over the whole vocabulary, and one third phrases of two or three words."""
    rng = np.random.default_rng(8)
    singles = np.sort(rng.permutation(VOCABULARY)[: ENTRIES - PHRASES - 5_000])
    found = {words[i]: None for i in range(5_000)} | {words[i]: None for i in singles}
    while len(found) < ENTRIES:
        rank = (rng.pareto(0.6, size=3) * 20).astype(np.int64) % VOCABULARY
        found.setdefault(" ".join(words[i] for i in rank[: rng.integers(2, 4)]))
    return list(found)


class Captions:
    """Draws batches of captions; holds the vocabulary as Arrow strings and Zipf's cumulative law."""

    def __init__(self) -> None:
        words = vocabulary()
        self.words = pa.array(words + [w.capitalize() for w in words])
        weights = 1.0 / np.arange(1, VOCABULARY + 1) ** ZIPF_EXPONENT
        self.law = np.cumsum(weights) / weights.sum()

    def draw(self, rng: np.random.Generator, count: int) -> pa.Array:
        lengths = rng.geometric(0.13, size=count) + 1
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        ranks = np.searchsorted(self.law, rng.random(offsets[-1]))
        ranks[offsets[:-1]] += VOCABULARY * (rng.random(count) < 0.7)
        tokens = self.words.take(pa.array(ranks))
        marks = pa.array(["", ",", ".", " -", "!"])
        which = np.searchsorted([0.88, 0.95, 0.98, 0.995], rng.random(len(ranks)))
        tokens = pc.binary_join_element_wise(tokens, marks.take(pa.array(which)), "")
        return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), tokens), " ")

    def junk(self, rng: np.random.Generator, count: int) -> pa.Array:
        numbers = pa.array(rng.integers(10_000, 10**9, size=count)).cast(pa.string())
        kinds = [
            pc.binary_join_element_wise("IMG_", numbers, ""),
            pc.binary_join_element_wise("product-img-", numbers, ""),
            pc.binary_join_element_wise("DSC", numbers, ".jpeg", ""),
            pc.binary_join_element_wise(numbers, "_thumb-220x220", ""),
        ]
        return pc.choose(pa.array(rng.integers(0, len(kinds), size=count)), *kinds)


def table(captions: Captions, file: int, rows: int) -> pa.Table:
    """One file's rows in LAION's columns."""
    rng = np.random.default_rng([9, file])
    batches = []
    for start in range(0, rows, ROWS_PER_BATCH):
        count = min(ROWS_PER_BATCH, rows - start)
        is_junk = pa.array(rng.random(count) < JUNK_SHARE)
        text = pc.if_else(is_junk, captions.junk(rng, count), captions.draw(rng, count))
        host = captions.words.take(pa.array(rng.integers(0, 40_000, size=count)))
        path = captions.words.take(pa.array(rng.integers(0, VOCABULARY, size=count)))
        number = pa.array(rng.integers(0, 2**62, size=count)).cast(pa.string())
        url = pc.binary_join_element_wise("https://", host, ".example/wp-content/uploads/", path, "-", number, ".jpg", "")
        size = rng.integers(200, 2000, size=(2, count))
        batches.append(
            pa.table(
                {
                    "URL": url,
                    "TEXT": text,
                    "WIDTH": size[0],
                    "HEIGHT": size[1],
                    "similarity": rng.normal(0.3, 0.03, size=count),
                    "NSFW": pa.array(np.array(["UNLIKELY", "UNSURE", "NSFW"])[np.searchsorted([0.93, 0.98], rng.random(count))]),
                }
            )
        )
    return pa.concat_tables(batches)


def write_files(args: tuple[Path, int, int, list[int]]) -> None:
    out, pairs, rows_per_file, files = args
    captions = Captions()
    for file in files:
        rows = min(rows_per_file, pairs - file * rows_per_file)
        pq.write_table(table(captions, file, rows), out / f"part-{file:05d}.parquet", row_group_size=ROWS_PER_BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000_000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows-per-file", type=int, default=ROWS_PER_FILE)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out.parent / f"{args.out.name}-entries.json").write_text(json.dumps(entries(vocabulary())))
    files = list(range(-(-args.pairs // args.rows_per_file)))
    jobs = [(args.out, args.pairs, args.rows_per_file, files[i :: args.workers]) for i in range(args.workers)]
    with get_context("spawn").Pool(args.workers) as pool:
        pool.map(write_files, jobs)


if __name__ == "__main__":
    main()
