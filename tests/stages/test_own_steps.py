"""Steps of the user's own: what they keep does not depend on files and workers, and what goes wrong is named with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallyclip.errors import OptionError, StepError
from tallyclip.run.runners.local import Workers
from tallyclip.stages import PRELOAD
from tallyclip.steps.own import own_step
from tests.stages.test_crawl import write_crawl
from tests.stages.test_steps_for_tables import FILTERS, kept, made, matches_of, some_pairs, write_as
from tests.steps import own_steps
from tests.tools import assert_same, fails, manifest, results, write_entries

HERE = "tests.steps.own_steps"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2, PRELOAD) as some:
        yield some


def steps(*names: str) -> list[Any]:
    return [own_step(f"{HERE}:{name}") for name in names]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tar"])
def test_a_step_keeps_the_same_of_any_kind_of_file(tmp_path: Path, workers: Workers, kind: str) -> None:
    pairs = some_pairs()
    run = made(tmp_path / "run", workers, write_as("parquet", tmp_path / "a", pairs), steps=steps("no_fives"), filters=FILTERS)
    assert kept(run) == sorted(pair for pair in pairs if len(pair[1]) >= 6 and "5" not in pair[1] and matches_of(pair[1]))
    drops = manifest(run, "match")["result"]["drops"]
    assert drops["step no_fives"] == sum(len(text) >= 6 and "5" in text for _, text in pairs) > 50
    with Workers(1, PRELOAD) as one:
        other = made(tmp_path / "other", one, write_as(kind, tmp_path / "b", pairs[::-1], 2), steps=steps("no_fives"), filters=FILTERS)
    assert np.load(other / "uids.npy").tolist() == np.load(run / "uids.npy").tolist()
    assert manifest(other, "match")["result"]["drops"] == drops


def test_a_step_reads_other_columns_and_gives_reasons(tmp_path: Path, workers: Workers) -> None:
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    run = made(tmp_path / "run", workers, pool, steps=steps("by_width", "no_fives"))
    widths = pq.read_table(run / "curated")["width"].to_pylist()
    assert min(widths) == 10
    assert max(widths) == 99
    drops = manifest(run, "match")["result"]["drops"]
    assert drops["step by_width: small"] == 3 * 10
    assert drops["step by_width: large"] == 900 - 3 * 100
    shown = {drop["reason"]: drop for drop in json.loads((run / "card" / "card.json").read_text())["drops"]}
    assert shown["step by_width: small"]["count"] == 30
    assert "step by_width: small" in (run / "card" / "card.html").read_text()
    assert manifest(run, "gather")["options"]["steps"][0]["version"] == "3"


def test_a_step_sees_the_same_batches_whatever_the_workers(tmp_path: Path, workers: Workers) -> None:
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    run = made(tmp_path / "run", workers, pool, steps=steps("batches"))
    with Workers(1, PRELOAD) as one:
        assert_same(made(tmp_path / "one", one, pool, steps=steps("batches")), results(run))
    reasons = [reason for reason in manifest(run, "match")["result"]["drops"] if reason.startswith("step batches: ")]
    assert sum(int(reason.split()[-1]) for reason in reasons) > 0


def test_columns_named_as_ours_and_columns_that_records_lack_are_given_as_they_are(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd_columns.py").write_text(
        "def step(pairs):\n"
        "    assert pairs.column_names == ['url', 'text', 'row', 'field', 'uid']\n"
        "    return [row in (None, 7) for row in pairs['row'].to_pylist()]\n"
        "step.columns = ['row', 'field', 'uid']\n"
    )
    rows = [{"caption": "a photo", "row": 7, "field": "left", "uid": "x"}, {"caption": "word1"}, {"caption": "word2", "row": 8}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = made(tmp_path / "run", workers, tmp_path / "a.jsonl", steps=[own_step("odd_columns:step")])
    assert sorted(pq.read_table(run / "curated")["caption"].to_pylist()) == ["a photo", "word1"]


def test_a_changed_module_or_version_judges_again_and_another_does_not(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    source = "def keep(pairs):\n    return ['5' not in text for text in pairs['text'].to_pylist()]\n"
    (tmp_path / "changing.py").write_text(source)
    first = own_step("changing:keep")
    made(tmp_path / "run", workers, pool, steps=[first])
    before = manifest(tmp_path / "run", "gather")
    made(tmp_path / "run", workers, pool, steps=[own_step("changing:keep")])
    assert manifest(tmp_path / "run", "gather")["fingerprint"] == before["fingerprint"]
    (tmp_path / "changing.py").write_text(source + "# another\n")
    assert own_step("changing:keep").source != first.source
    with Workers(1, PRELOAD) as one:
        made(tmp_path / "run", one, pool, steps=[own_step("changing:keep")])
        assert manifest(tmp_path / "run", "gather")["fingerprint"] != before["fingerprint"]
        with pytest.raises(StepError, match="changed since the command began"):
            made(tmp_path / "other", one, pool, steps=[first])


def test_steps_of_crawl_files_see_the_place_of_a_pair(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "of_crawl.py").write_text(
        "import pyarrow.compute as pc\n"
        "def alt_only(pairs):\n    return pc.equal(pairs['field'].cast('string'), 'alt')\nalt_only.columns = ['field']\n"
    )
    run = made(tmp_path / "run", workers, write_crawl(tmp_path / "crawl"), steps=[own_step("of_crawl:alt_only")])
    assert set(pq.read_table(run / "pool")["field"].to_pylist()) == {"alt"}
    assert manifest(run, "pool")["result"]["drops"]["step alt_only"] > 5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raises", "raised KeyError: 'no such thing'"),
        ("too_few", r"returned bool\[1\] for 300 pairs, not 300 bools"),
        ("numbers", r"returned float64\[300\] for 300 pairs"),
        ("nulls", r"returned object\[300\] for 300 pairs, not 300 bools.*300 of them are null"),
        ("nothing", "returned NoneType"),
        ("many_reasons", "gave more than 50 reasons, such as reason 0"),
        ("long_reason", "not a string of up to 60 characters"),
        ("few_reasons", "neither a string nor one for each of 300 pairs"),
        ("surrogate", r"gave the reason 'x.*ud800y', not a string"),
        ("leaves", r"raised SystemExit: 3, in line \d+ of .*own_steps.py"),
        ("huge", r"raised ValueError: x{280}x*, in line"),
        ("unsayable", "raised Unsayable, in line"),
        ("odd_array", "raised TypeError: no array of me"),
        ("masked", r"returned masked bool\[300\]"),
    ],
)
def test_a_step_that_goes_wrong_stops_everything_and_is_named_with_its_place(
    tmp_path: Path, workers: Workers, name: str, said: str
) -> None:
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    with pytest.raises(StepError, match=f"(?s)step {HERE}:{name} .*{said}") as error:
        made(tmp_path / "run", workers, pool, steps=steps(name))
    assert re.search("; in .*parquet, records 0 to 299", error.value.what)
    assert error.value.exit_code == 1
    assert len(str(error.value)) < 1000
    run = made(tmp_path / "run", workers, pool, steps=steps("no_fives"))  # the folder and the workers can be used on
    assert_same(run, results(made(tmp_path / "clean", workers, pool, steps=steps("no_fives"))))


def test_what_cannot_be_imported_is_said_before_any_work(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken_step.py").write_text("import not_there_at_all\n")
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    (tmp_path / "bad_syntax.py").write_text("def step(:\n")
    for name, said in {
        "no_fives": "not the name of a module and a function",
        "nowhere:step": f"there is no module nowhere, in {tmp_path}",
        f"{HERE}:missing": "own_steps.py has no function missing",
        "broken_step.py:step": "broken_step.py is a file, not the name of a module",
        "./broken_step:step": "not the name of a module and a function",
        "leaving:step": "its module ends the program when it is imported",
        "broken_step:step": "its module needs not_there_at_all, which is not installed",
        "bad_syntax:step": "cannot be imported: SyntaxError",
        f"{HERE}:wrong_columns": "its columns are 'width', not a list of names",
    }.items():
        with pytest.raises(OptionError, match=said):
            own_step(name)
    assert own_step(own_steps.by_width).name == f"{HERE}:by_width"
    with pytest.raises(OptionError, match="workers cannot import"):
        own_step(lambda _: [True])
    with pytest.raises(OptionError, match="not a function with a name, nor the name of one"):
        own_step(3)  # type: ignore[arg-type]
    pq.write_table(pa.table({"text": ["a photo"], "height": [1]}), tmp_path / "a.parquet")
    with pytest.raises(OptionError, match=r"has no column 'width', which step .*by_width reads") as error:
        made(tmp_path / "run", workers, tmp_path / "a.parquet", steps=steps("by_width"))
    assert "it has text, height" in str(error.value)


def test_no_failure_of_a_step_is_accepted_as_a_failed_shard(tmp_path: Path) -> None:
    pool, entries = write_as("parquet", tmp_path / "pool", some_pairs()), write_entries(tmp_path / "entries.json", ["word1"])
    for name in ("raises", "leaves", "odd_array"):
        command = ("curate", pool, "--metadata", entries, "--t", "inf", "--step", f"{HERE}:{name}", "--allow-failed-shards")
        said = fails(1, *command, "--out", tmp_path / name, cwd=ROOT)
        assert f"Error: step {HERE}:{name} raised" in said
        assert not (tmp_path / name / "match").exists()


def test_a_dry_run_checks_steps_and_filters_too(tmp_path: Path) -> None:
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    for flags, said in ((("--step", "nowhere:keep"), "there is no module nowhere"), (("--min-text-length", -4), "min-text-length")):
        assert said in fails(2, "curate", pool, "--dry-run", *flags, "--out", tmp_path / "run")


def test_a_module_that_was_edited_in_a_session_is_read_anew(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    (tmp_path / "edited.py").write_text("def keep(pairs):\n    return [True] * len(pairs)\n")
    assert own_step("edited:keep").columns == ()
    source = "def keep(pairs):\n    return [width < 50 for width in pairs['width'].to_pylist()]\nkeep.columns = ['width', 'width', 'url']\n"
    (tmp_path / "edited.py").write_text(source)
    step = own_step("edited:keep")
    assert step.columns == ("width",)
    run = made(tmp_path / "run", workers, pool, steps=[step])
    assert max(pq.read_table(run / "curated")["width"].to_pylist()) == 49


def test_steps_whose_functions_have_one_name_are_told_apart(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, width in (("narrow_ones", 10), ("wide_ones", 290)):
        source = f"def keep(pairs):\n    return [w != {width} for w in pairs['width'].to_pylist()]\nkeep.columns = ['width']\n"
        (tmp_path / f"{name}.py").write_text(source)
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    run = made(tmp_path / "run", workers, pool, steps=[own_step("narrow_ones:keep"), own_step("wide_ones:keep")])
    drops = manifest(run, "match")["result"]["drops"]
    assert (drops["step narrow_ones:keep"], drops["step wide_ones:keep"]) == (3, 3)


def test_columns_that_crawl_files_lack_are_refused_before_any_work(tmp_path: Path, workers: Workers) -> None:
    with pytest.raises(OptionError, match=r"has no column 'width', which step .*by_width reads") as error:
        made(tmp_path / "run", workers, write_crawl(tmp_path / "crawl"), steps=steps("by_width"))
    assert "page_url" in str(error.value)
    assert not (tmp_path / "run" / "gather").exists()
