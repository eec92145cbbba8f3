"""The page on the experiment has the results that are stored, no others."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_experiments", DOCS / "make_experiments.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_those_of_stored_results(maker: Any) -> None:
    page = (DOCS / "experiment.md").read_text()
    stored = [path.stem for path in (DOCS / "experiments").glob("*.json")]
    assert "ladder" in stored
    assert all(f"<!-- results of {name} -->\n`tallyclip experiment run {name}" in page for name in stored)
    assert maker.page(page) == page
    assert maker.page(page.replace("| raw | raw pool |", "| raw | other |")) == page


def test_the_paper_s_order_is_claimed_only_where_results_show_it(maker: Any) -> None:
    ladder = maker.load("ladder")
    for test in ("seen", "unseen"):
        said = {(found.lower, found.higher): found.said for found in ladder.differences[test]["all"]}
        assert said == {("raw", "matched"): "higher", ("matched", "balanced"): "higher", ("balanced", "online"): "not shown"}


def test_stored_results_are_of_the_shipped_recipes(maker: Any) -> None:
    from tallyclip.experiment.recipe import shipped_recipe

    for path in (DOCS / "experiments").glob("*.json"):
        assert maker.load(path.stem).recipe == shipped_recipe(path.stem)
        assert "/tmp" not in path.read_text()
