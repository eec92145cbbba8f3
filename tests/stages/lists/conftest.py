"""Inputs of every kind for one list, in a folder with their recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stages.lists.tools import sentences, some_pages, write_articles, write_dump, write_wordnet

RECIPE = """
limit = 2000

[wordnet]
files = ["wordnet"]
license = "WordNet license"

[text]
files = ["wiki/*.xml.bz2", "articles/*.parquet", "plain.txt"]
license = "CC BY-SA"

[unigrams]
counts = ["words.tsv"]
min_count = 2
limit = 100

[bigrams]
counts = ["pairs.tsv"]
per_unigram = 0.5

[titles]
files = ["views/*"]
min_hourly_views = 10
min_views = 20
top = 0.9
"""


def write_inputs(folder: Path) -> Path:
    """Write inputs and recipe; returns the recipe's path."""
    write_wordnet(folder / "wordnet")
    for name in ("wiki", "articles", "views"):
        (folder / name).mkdir()
    for seed in (1, 2):
        write_dump(folder / "wiki" / f"wiki{seed}.xml.bz2", some_pages(100 * seed, 20))
        write_articles(folder / "articles" / f"part{seed}.parquet", [sentences(1000 * seed + i, 20) for i in range(10)])
    (folder / "plain.txt").write_text(sentences(7, 300))
    (folder / "words.tsv").write_text("word\tcount\nNew\t40\nzebra\t30\nSt. Louis\t20\n")
    (folder / "pairs.tsv").write_text("hot dog\t25\nzebra crossing\t9\n")
    hours = {
        "pageviews-20180413-000000": "de Main_Page 99 0\nen Musée_d'Orsay 50 0\nen New_York 12 0\nen Talk:New_York 90 0\nen Rare 3 0\n",
        "pageviews-20180413-010000": "en New_York 11 0\nen.m New_York 99 0\nen Zebra_crossing 30 0\nen odd line\n",
    }
    for name, lines in hours.items():
        (folder / "views" / name).write_text(lines)
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE)
    return recipe


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe, beside its inputs."""
    return write_inputs(tmp_path_factory.mktemp("inputs"))
