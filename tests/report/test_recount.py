"""Every number of a card, counted again by DuckDB from the pool and the files of the run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tallyclip as tc
from tallyclip.core.balance import TextsPolicy

WORDS = [f"word{number}" for number in range(150)]
ENTRIES = ["the", *WORDS, "word1 word2", "St. Louis", "never named", "A", "word3."]
MARKS = r"([,.;:?!`])"
SPACED = (
    rf"' ' || replace(replace(replace(regexp_replace(caption, '{MARKS}', ' \1 ', 'g'), chr(9), ' '), chr(10), ' '), chr(13), ' ') || ' '"
)
SEED, T = 3, 20.0


def captions(rng: random.Random, count: int) -> list[str | None]:
    """Captions of words whose counts fall as those of a language do; some match nothing, some are none."""
    made: list[str | None] = []
    for _ in range(count):
        words = [WORDS[min(int(rng.paretovariate(0.6)) - 1, len(WORDS) - 1)] for _ in range(rng.randint(1, 4))]
        made.append(rng.choice([" ".join(words), f"the {', '.join(words)}.", f"{words[0]}\t{words[-1]}!", "nothing here"]))
    made[5], made[6] = None, ""
    return made


def write_pool(folder: Path, *, several: bool) -> None:
    rng = random.Random(7)
    for file, size in enumerate((900, 600, 40)):
        urls = [f"http://x.example/{file}/{row}" for row in range(size)]
        texts: list[Any] = captions(rng, size)
        if several:
            texts = [[text, *captions(rng, 8)[: rng.randint(0, 3)]] for text in texts]
        else:
            urls[20:30], texts[20:30] = urls[10:20], texts[10:20]  # the same pairs again
        kind = pa.list_(pa.string()) if several else pa.string()
        pq.write_table(pa.table({"url": urls, "caption": pa.array(texts, kind)}), folder / f"{file}.parquet")


@pytest.fixture(scope="module", params=["pairs", "one-per-image"])
def recount(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The card of a run, and the same figures by DuckDB."""
    policy: TextsPolicy = request.param
    folder = tmp_path_factory.mktemp("recount")
    pool = folder / "pool"
    pool.mkdir()
    write_pool(pool, several=policy != "pairs")
    run = tc.curate(pool, out=folder / "run", metadata=tc.Metadata(ENTRIES), t=T, seed=SEED, texts=policy, duplicates="report", workers=1)
    card = json.loads((run.path / "card" / "card.json").read_bytes())
    return card, figures(pool, run.path, policy, [row["t"] for row in card["plan"]])


def figures(pool: Path, run: Path, policy: TextsPolicy, thresholds: list[float]) -> dict[str, Any]:
    """The numbers of a card by the names of its fields."""
    db = duckdb.connect()
    db.execute("CREATE TABLE entries AS SELECT unnest(?) AS entry, generate_subscripts(?, 1) - 1 AS id", [ENTRIES, ENTRIES])
    records = f"read_parquet('{pool}/*.parquet', filename=true, file_row_number=true)"
    unnested = "caption, 0 AS number" if policy == "pairs" else "unnest(caption) AS caption, generate_subscripts(caption, 1) - 1 AS number"
    db.execute(f"CREATE TABLE captions AS SELECT filename, file_row_number AS row, url, {unnested} FROM {records}")
    db.execute("CREATE TABLE texts AS SELECT row_number() OVER () AS pair, * FROM captions WHERE caption IS NOT NULL")
    db.execute(
        f"CREATE TABLE matches AS SELECT pair, filename, row, caption, id FROM (SELECT *, {SPACED} AS spaced FROM texts)"
        " JOIN entries ON contains(spaced, ' ' || entry || ' ')"
    )
    db.execute(f"CREATE TABLE curated AS SELECT * FROM '{run}/curated/*.parquet'")
    db.execute(f"CREATE TABLE probabilities AS SELECT * FROM '{run}/probabilities/*.parquet'")
    db.execute("CREATE TABLE before AS SELECT id, count(pair) AS n FROM entries LEFT JOIN matches USING (id) GROUP BY id")
    db.execute(
        "CREATE TABLE after AS SELECT id, count(drawn) AS n FROM entries"
        " LEFT JOIN (SELECT unnest(entry_ids) AS drawn FROM curated) ON id = drawn GROUP BY id"
    )
    db.execute(
        "CREATE TABLE ranked AS SELECT id, entry, b.n AS before, a.n AS after, rank() OVER (ORDER BY b.n DESC) AS rank_before,"
        " rank() OVER (ORDER BY a.n DESC) AS rank_after FROM entries JOIN before b USING (id) JOIN after a USING (id)"
    )

    def rows(query: str) -> list[dict[str, Any]]:
        found = db.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def one(query: str) -> Any:
        return db.execute(query).fetchall()[0][0]

    def keep(t: float) -> str:
        return f"SELECT 1 - product(1 - least(1, {t} / n)) AS keep FROM matches JOIN before USING (id) GROUP BY pair"

    matched = one("SELECT count(DISTINCT pair) FROM matches")
    images = one("SELECT count(DISTINCT (filename, row)) FROM matches")
    candidates = matched if policy == "pairs" else images
    described = "SELECT entry, before, after, rank_before, rank_after FROM ranked"
    leading = "(SELECT *, row_number() OVER (ORDER BY after DESC, id) AS place FROM ranked ORDER BY place LIMIT 100)"
    even = "exp(-sum(n / total * ln(n / total)) FILTER (n > 0)) FROM (SELECT n, sum(n) OVER () AS total FROM {} SEMI JOIN found USING (id))"
    gini = "avg(abs(x.n - y.n)) / (2 * avg(x.n)) FROM ({0}) x, ({0}) y"
    db.execute("CREATE TABLE found AS SELECT id FROM before WHERE n > 0")
    of = {name: f"SELECT n FROM {name} SEMI JOIN found USING (id)" for name in ("before", "after")}
    empty = one("SELECT count(*) FROM captions WHERE caption IS NULL")
    plan = [
        {
            "t": t,
            "expected_size": one(f"SELECT sum(keep) FROM ({keep(t)})"),
            "kept_share": one(f"SELECT sum(keep) / {candidates} FROM ({keep(t)})"),
            "tail_share": one(f"SELECT sum(n) FILTER (n < {t}) / sum(n) FROM before") or 0.0,
            "head_entries": one(f"SELECT count(*) FROM before WHERE n >= {t}"),
            "head_matches": one(f"SELECT coalesce(sum(n), 0) FROM before WHERE n >= {t}"),
        }
        for t in thresholds
    ]
    db.execute(
        "CREATE TABLE pairs AS SELECT printf('%016x%016x', uid_high, uid_low) AS uid, file AS filename, row, text AS number,"
        " keep_probability FROM probabilities"
    )
    example = (
        "SELECT caption, keep_probability, entries FROM pairs JOIN texts USING (filename, row, number)"
        f" JOIN (SELECT pair, list(entry ORDER BY greatest(n, {T}), id) AS entries"
        " FROM matches JOIN entries USING (id) JOIN before USING (id) GROUP BY pair)"
        " USING (pair)"
    )
    lengths = "SELECT count(id) AS entries FROM texts LEFT JOIN matches USING (pair) GROUP BY pair"
    return {
        "files": one(f"SELECT count(DISTINCT filename) FROM {records}"),
        "bytes": one(f"SELECT sum(size) FROM read_blob('{pool}/*.parquet')"),
        "shards": one(f"SELECT count(*) FROM glob('{run}/curated/*.parquet')"),
        "records": one(f"SELECT count(*) FROM {records}"),
        "texts": one("SELECT count(*) FROM texts"),
        "captions": one("SELECT count(*) FROM texts"),
        "matched": matched,
        "matched_captions": matched,
        "drops": {"matches no entry": one("SELECT count(*) FROM texts ANTI JOIN matches USING (pair)"), "no caption": empty},
        "own_uids": 0,
        "lengths": [one(f"SELECT count(*) FROM ({lengths}) WHERE least(entries, 32) = {number}") for number in range(33)],
        "entries": len(ENTRIES),
        "matches": one("SELECT count(*) FROM matches"),
        "matches_before": one("SELECT count(*) FROM matches"),
        "matches_after": one("SELECT sum(len(entry_ids)) FROM curated"),
        "matched_entries": one("SELECT count(*) FROM found"),
        "never_matched_count": one("SELECT count(*) FROM entries ANTI JOIN found USING (id)"),
        "unmatchable": one(rf"SELECT count(*) FROM entries WHERE regexp_matches(entry, '[^ ]{MARKS}|{MARKS}[^ ]')"),
        "t": T,
        "tail_share": one(f"SELECT sum(n) FILTER (n < {T}) / sum(n) FROM before"),
        "seed": SEED,
        "candidates": candidates,
        "kept": one("SELECT count(*) FROM curated"),
        "expected": one("SELECT sum(keep_probability) FROM probabilities"),
        "unique_uids": one("SELECT count(DISTINCT uid) FROM curated"),
        "repeated_uids": one("SELECT count(*) - count(DISTINCT uid) FROM curated"),
        "keep_probabilities": {
            label: (
                one(f"SELECT count(*) FROM probabilities WHERE floor(keep_probability * 10) = {tenth}"),
                one(f"SELECT count(*) FROM curated WHERE floor(keep_probability * 10) = {tenth}"),
            )
            for tenth, label in enumerate([*(f"{low}–{low + 10}" for low in range(0, 100, 10)), "100"])
        },
        "head_entries": one(f"SELECT count(*) FROM before WHERE n >= {T}"),
        "head_matches": one(f"SELECT sum(n) FROM before WHERE n >= {T}"),
        "entry_changes": {
            "frequent": rows(f"{described} WHERE before > 0 ORDER BY before DESC, id LIMIT 20"),
            "most_downsampled": rows(f"{described} WHERE 0 < after AND after < before ORDER BY after / before, before DESC, id LIMIT 10"),
            "risen": rows(
                f"SELECT entry, before, after, rank_before, rank_after FROM {leading} WHERE rank_after < rank_before AND after > 0"
                " ORDER BY rank_after - rank_before, place LIMIT 10"
            ),
            "lost": rows(f"{described} WHERE before > 0 AND after = 0 ORDER BY before DESC, id LIMIT 10"),
            "lost_count": one("SELECT count(*) FROM ranked WHERE before > 0 AND after = 0"),
            "downsampled_count": one("SELECT count(*) FROM ranked WHERE after < before"),
            "evenness": {
                "effective_before": one(f"SELECT {even.format('before')}"),
                "effective_after": one(f"SELECT {even.format('after')}"),
                "gini_before": one(f"SELECT {gini.format(of['before'])}"),
                "gini_after": one(f"SELECT {gini.format(of['after'])}"),
            },
            "histogram": {
                label: (
                    one(f"SELECT count(*) FROM before WHERE {low} <= n AND n < {high}"),
                    one(f"SELECT count(*) FROM after WHERE {low} <= n AND n < {high}"),
                )
                for label, low, high in (("0", 0, 1), ("1–9", 1, 10), ("10–99", 10, 100), ("100–999", 100, 1000), ("1k–<10k", 1000, 10_000))
                if low <= one("SELECT max(n) FROM before")
            },
        },
        "plan": plan,
        "kept_examples": rows(f"{example} SEMI JOIN curated USING (uid)"),
        "dropped_examples": rows(f"{example} ANTI JOIN curated USING (uid)"),
        "repeats": {
            "pairs": one("SELECT count(*) FROM texts"),
            "repeats": {
                "pair": {"count": one("SELECT count(*) - count(DISTINCT (url, caption)) FROM texts"), "error": 0},
                "url": {"count": one("SELECT count(*) - count(DISTINCT url) FROM texts"), "error": 0},
            },
        },
        "matched_files": one("SELECT count(DISTINCT filename) FROM texts"),
        "by_file": rows(
            "SELECT filename AS file, count(*) AS captions,"
            " (SELECT count(DISTINCT pair) FROM matches WHERE matches.filename = texts.filename) AS matched,"
            " (SELECT count(*) FROM curated WHERE split_part(url, '/', 4) || '.parquet' = parse_filename(texts.filename))"
            " AS kept FROM texts GROUP BY filename ORDER BY captions DESC"
        ),
    }


def without_texts(value: Any) -> Any:
    """The numbers of a value, by their names."""
    match value:
        case dict():
            kept = {name: without_texts(one) for name, one in value.items()}
            return {name: one for name, one in kept.items() if one is not None and one != {}}
        case list() | tuple():
            return [without_texts(one) for one in value]
        case bool() | str():
            return None
        case _:
            return value


def test_every_number_of_the_card_is_what_duckdb_counts(recount: tuple[dict[str, Any], dict[str, Any]]) -> None:
    card, again = recount
    card["drops"] = {drop["reason"]: drop["count"] for drop in card["drops"]}
    card["unmatchable"] = sum(group["count"] for group in card["unmatchable"])
    texts = {"versions", "fingerprints", "columns", "sources", "never_matched", "failed_shards", "comparisons"}  # and in the tests below
    examples = {"kept_examples", "dropped_examples"}
    again = {name: value for name, value in again.items() if name not in examples}
    numbers = without_texts({name: value for name, value in card.items() if name not in texts | examples})
    if card["texts_policy"] == "one-per-image":  # which caption is picked of an image is a hash, which SQL has not
        for place in (again, numbers):
            del place["expected"]
            for row in place["plan"]:
                del row["expected_size"], row["kept_share"]
    assert numbers.keys() == without_texts(again).keys()
    for name, value in without_texts(again).items():
        assert numbers[name] == nearly(value), name
    for kind in ("frequent", "most_downsampled", "risen", "lost"):
        assert [row["entry"] for row in card["entry_changes"][kind]] == [row["entry"] for row in again["entry_changes"][kind]]
    assert [row["file"] for row in card["by_file"]] == [row["file"] for row in again["by_file"]]


def nearly(value: Any) -> Any:
    """The same value, in which fractions need not be equal to the last bit."""
    match value:
        case dict():
            return {name: nearly(one) for name, one in value.items()}
        case list():
            return [nearly(one) for one in value]
        case float():
            return pytest.approx(value, rel=1e-9)
        case _:
            return value


def test_every_example_is_a_pair_of_its_kind(recount: tuple[dict[str, Any], dict[str, Any]]) -> None:
    card, again = recount
    for kind in ("kept_examples", "dropped_examples"):
        pairs = [(pair["caption"], pair["keep_probability"], pair["entries"]) for pair in again[kind]]
        assert len(card[kind]) == 8
        for shown in card[kind]:
            assert (shown["caption"], pytest.approx(shown["keep_probability"]), shown["entries"]) in pairs


def test_what_is_set_beside_the_paper_is_of_the_same_numbers(recount: tuple[dict[str, Any], dict[str, Any]]) -> None:
    card, again = recount
    assert [row["ours"] for row in card["comparisons"]] == [
        str(again["entries"]),
        f"{again['matched'] / again['texts']:.1%}",
        f"{again['matches'] / again['matched']:.2f}",
        f"{again['never_matched_count']} ({again['never_matched_count'] / again['entries']:.1%})",
        "20",
        f"{again['head_entries']} ({again['head_entries'] / again['entries']:.1%})",
        f"{again['head_matches'] / again['matches']:.1%}",
        f"{again['tail_share']:.2%}",
        f"{again['kept'] / again['candidates']:.1%}",
    ]
