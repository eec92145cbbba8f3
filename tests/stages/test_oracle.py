"""What a run writes, against the same computed here from the records themselves, with nothing but the pure functions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tallyclip as tc
from tallyclip.core.balance import TextsPolicy, pick_one
from tallyclip.stages.plan import Aim
from tests.stages.conftest import Stages
from tests.tools import addresses, captions, kept_uids, manifest, write_entries


class Pair(NamedTuple):
    """An image with one text: the number of its record in its file, which of its texts, and the record's columns."""

    file: str
    row: int
    text_number: int
    uid: str
    text: str
    columns: dict[str, Any]


class Expected(NamedTuple):
    pairs: list[Pair]
    entry_ids: list[list[int]]
    counts: list[int]
    keep: list[float]
    kept: list[bool]


def expected(pairs: list[Pair], entries: list[str], t: float, seed: int, policy: TextsPolicy) -> Expected:
    """The whole algorithm, on the whole pool at once."""
    matches = tc.match_reference([pair.text for pair in pairs], tc.Metadata(entries))
    counts = tc.count_entries(matches, len(entries))
    keep = tc.keep_probability(matches, tc.entry_probability(counts, t))
    uids = np.array([[int(pair.uid[:16], 16), int(pair.uid[16:], 16)] for pair in pairs], np.uint64)
    kept = tc.draw(keep, uids, seed)
    if policy == "one-per-image":
        named = np.flatnonzero(matches.lengths)  # the text is picked of those that name an entry
        records = list(dict.fromkeys((pair.file, pair.row) for pair in pairs))
        images = np.array([records.index((pair.file, pair.row)) for pair in pairs])
        picked = np.zeros(len(pairs), np.bool_)
        picked[named] = pick_one(images[named], uids[named])
        kept &= picked
    return Expected(pairs, [matches[i].tolist() for i in range(len(pairs))], counts.tolist(), keep.tolist(), kept.tolist())


def uid_of(url: str | None, text: str) -> str:
    return tc.uid_strings(tc.make_uids([url], [text]))[0].as_py()


def curated_rows(run: Path) -> dict[str, list[dict[str, Any]]]:
    return {path.stem: pq.read_table(path).to_pylist() for path in sorted((run / "curated").iterdir())}


def assert_as_expected(run: Path, entries: list[str], found: Expected) -> None:
    """The counts, the probabilities of all matched pairs, and the uids of those that stay."""
    assert json.loads((run / "entry_counts.json").read_text()) == dict(zip(entries, found.counts, strict=True))
    after = np.bincount([i for ids, kept in zip(found.entry_ids, found.kept, strict=True) if kept for i in ids], minlength=len(entries))
    assert json.loads((run / "entry_counts_curated.json").read_text()) == dict(zip(entries, after.tolist(), strict=True))
    rows = pq.read_table(run / "probabilities").to_pylist()
    probabilities = {(Path(row["file"]).stem, row["row"], row["text"]): row for row in rows}
    assert len(rows) == len(probabilities)
    matched = [(pair, keep) for pair, ids, keep in zip(found.pairs, found.entry_ids, found.keep, strict=True) if ids]
    assert {(pair.file, pair.row, pair.text_number) for pair, _ in matched} == probabilities.keys()
    for pair, keep in matched:
        row = probabilities[pair.file, pair.row, pair.text_number]
        assert (f"{row['uid_high']:016x}{row['uid_low']:016x}", row["keep_probability"]) == (pair.uid, keep)
    stay = {pair.uid for pair, kept in zip(found.pairs, found.kept, strict=True) if kept}
    assert [f"{high:016x}{low:016x}" for high, low in kept_uids(run).tolist()] == sorted(stay)


ENTRIES = [*(f"word{i}" for i in range(60)), "New York", "hot dog"]


def test_a_pool_of_three_formats_and_schemas_comes_out_as_computed_at_once(tmp_path: Path, stages: Stages) -> None:
    """With columns of the pool under names that are ours, and columns that some files lack."""
    (tmp_path / "pool").mkdir()
    pairs: list[Pair] = []
    texts = captions(900, 11)
    parquet = [
        {"url": url, "caption": text, "uid": f"own {row}", "entry_ids": row, "keep_probability": "high", "width": row % 7}
        for row, (url, text) in enumerate(zip(addresses(500, "a"), texts[:500], strict=True))
    ]
    pq.write_table(pa.Table.from_pylist(parquet), tmp_path / "pool" / "a.parquet", row_group_size=120)
    pairs += [Pair("a", row, 0, uid_of(item["url"], item["caption"]), item["caption"], item) for row, item in enumerate(parquet)]
    lines: list[dict[str, Any]] = [
        {"url": url, "caption": text, "tags": [str(row), "x"], "width": row / 2}
        for row, (url, text) in enumerate(zip(addresses(250, "b"), texts[500:750], strict=True))
    ]
    (tmp_path / "pool" / "b.jsonl").write_text("".join(json.dumps(item) + "\n" for item in lines))
    pairs += [Pair("b", row, 0, uid_of(item["url"], item["caption"]), item["caption"], item) for row, item in enumerate(lines)]
    rows = [{"caption": text, "url": url} for url, text in zip(addresses(150, "c"), texts[750:], strict=True)]
    with (tmp_path / "pool" / "c.csv").open("w") as file:
        writer = csv.DictWriter(file, ["caption", "url"])
        writer.writeheader()
        writer.writerows(rows)
    pairs += [Pair("c", row, 0, uid_of(item["url"], item["caption"]), item["caption"], item) for row, item in enumerate(rows)]

    entries = write_entries(tmp_path / "entries.json", ENTRIES)
    run = tmp_path / "run"
    Stages(stages.workers, entries).run(run, tmp_path / "pool", aim=Aim(t=15.0), seed=2)
    found = expected(pairs, ENTRIES, 15.0, 2, "pairs")
    assert_as_expected(run, ENTRIES, found)
    ours = {"uid": "pool_uid", "entry_ids": "pool_entry_ids", "keep_probability": "pool_keep_probability"}
    names = [*(ours.get(name, name) for name in parquet[0]), "tags", *ours]
    stay = [(pair, ids, keep) for pair, ids, keep, kept in zip(*found[:2], found.keep, found.kept, strict=True) if kept]
    assert 200 < len(stay) < 700
    for file, items in curated_rows(run).items():
        of_file = [(pair, ids, keep) for pair, ids, keep in stay if pair.file == file]
        assert len(items) == len(of_file)
        for item, (pair, ids, keep) in zip(items, of_file, strict=True):
            theirs = dict.fromkeys(names) | {ours.get(name, name): value for name, value in pair.columns.items()}
            assert item == {**theirs, "uid": pair.uid, "entry_ids": ids, "keep_probability": keep}
            assert list(item) == names


@pytest.mark.parametrize("policy", ["pairs", "one-per-image"])
def test_several_texts_of_an_image_come_out_as_computed_at_once(tmp_path: Path, stages: Stages, policy: TextsPolicy) -> None:
    (tmp_path / "pool").mkdir()
    texts = captions(900, 12)
    records = [{"uuid": f"{row:032x}", "url": url, "texts": [["alt", text] for text in texts[3 * row : 3 * row + 1 + row % 3]]}
               for row, url in enumerate(addresses(300, "m"))]  # fmt: skip
    (tmp_path / "pool" / "m.json").write_text(json.dumps(records))
    pairs = [
        Pair("m", row, number, uid_of(record["url"], text), text, record)
        for row, record in enumerate(records)
        for number, (_, text) in enumerate(record["texts"])
    ]
    entries = write_entries(tmp_path / "entries.json", ENTRIES)
    run = tmp_path / "run"
    Stages(stages.workers, entries).run(run, tmp_path / "pool", aim=Aim(t=10.0), seed=5, policy=policy)
    found = expected(pairs, ENTRIES, 10.0, 5, policy)
    assert_as_expected(run, ENTRIES, found)
    stay = [(pair, ids, keep) for pair, ids, keep, kept in zip(*found[:2], found.keep, found.kept, strict=True) if kept]
    items = curated_rows(run)["m"]
    said = [tuple(item[name] for name in ("uid", "text_number", "caption", "url", "entry_ids", "keep_probability")) for item in items]
    assert said == [(pair.uid, pair.text_number, pair.text, pair.columns["url"], ids, keep) for pair, ids, keep in stay]
    images = [item["url"] for item in items]
    assert (len(set(images)) == len(images)) == (policy == "one-per-image")
    named = {(pair.file, pair.row) for pair, ids in zip(found.pairs, found.entry_ids, strict=True) if ids}
    per_image = manifest(run, "balance")["result"]["expected"]
    assert per_image == pytest.approx(sum(found.keep)) if policy == "pairs" else per_image <= len(named)


def test_a_pools_own_uids_are_kept(tmp_path: Path, stages: Stages) -> None:
    texts = captions(400, 13)
    own = [f"{row * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}" for row in range(1, 401)]
    columns = {"uid": own, "url": addresses(400, "d"), "text": texts}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    entries = write_entries(tmp_path / "entries.json", ENTRIES)
    run = tmp_path / "run"
    Stages(stages.workers, entries).run(run, tmp_path / "d.parquet", aim=Aim(t=10.0))
    pairs = [Pair("d", row, 0, uid, text, {}) for row, (uid, text) in enumerate(zip(own, texts, strict=True))]
    found = expected(pairs, ENTRIES, 10.0, 0, "pairs")
    assert_as_expected(run, ENTRIES, found)
    assert pq.read_schema(run / "curated" / "d.parquet").names == ["url", "text", "uid", "entry_ids", "keep_probability"]
    assert [item["uid"] for item in curated_rows(run)["d"]] == [pair.uid for pair, kept in zip(pairs, found.kept, strict=True) if kept]
