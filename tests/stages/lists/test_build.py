"""Lists from inputs of every kind: what is counted, what is chosen, and that nothing else matters."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tallyclip.core.data import Metadata
from tallyclip.errors import IncompleteError, OptionError
from tallyclip.lists import choose
from tallyclip.lists.ngrams.counter import LEAST_MEMORY
from tallyclip.lists.ngrams.scores import damped, pmi
from tallyclip.stages import ngrams as counting
from tests.stages.lists.conftest import write_inputs
from tests.stages.lists.tools import (
    built,
    counts_of,
    independent_articles,
    independent_counts,
    list_bytes,
    write_articles,
)


def texts_of(folder: Path) -> list[str]:
    """All texts of the example, read by other means."""
    articles = [text for path in sorted((folder / "wiki").iterdir()) for _, text in independent_articles(path)]
    rows = [row["text"] for path in sorted((folder / "articles").iterdir()) for row in pq.read_table(path).to_pylist()]
    return [*articles, *rows, (folder / "plain.txt").read_text()]


@pytest.fixture(scope="module")
def example(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The list that everything is compared with."""
    out = tmp_path_factory.mktemp("list") / "out"
    built(recipe, out, workers=1)
    return out


def test_words_and_phrases_are_as_an_independent_counter_has_them(recipe: Path, example: Path) -> None:
    words, phrases = independent_counts(texts_of(recipe.parent))
    words.update({"New": 40, "zebra": 30, "St. Louis": 20})
    phrases.update({"hot dog": 25, "zebra crossing": 9})
    found = counts_of(example)
    assert found[0] == words
    assert found[1] == phrases


def test_titles_are_summed_over_files(example: Path) -> None:
    assert counts_of(example, "views")[0] == {"Musée d'Orsay": 50, "New York": 23, "Zebra crossing": 30}


@pytest.mark.parametrize("workers", [2, 4])
def test_the_list_does_not_depend_on_the_number_of_workers(recipe: Path, example: Path, tmp_path: Path, workers: int) -> None:
    built(recipe, tmp_path / "out", workers=workers, memory=workers * (300 << 20))
    assert list_bytes(tmp_path / "out") == list_bytes(example)


def test_the_list_does_not_depend_on_the_names_and_the_order_of_files(example: Path, tmp_path: Path) -> None:
    recipe = write_inputs(tmp_path)
    for folder in ("wiki", "articles", "views"):
        for number, path in enumerate(sorted((tmp_path / folder).iterdir(), reverse=True)):
            path.rename(path.with_name(f"a{number}-{path.name}"))
    lines = recipe.read_text().replace('"wiki/*.xml.bz2", "articles/*.parquet", "plain.txt"', '"plain.txt", "articles", "wiki"')
    recipe.write_text(lines)
    built(recipe, tmp_path / "out")
    assert list_bytes(tmp_path / "out") == list_bytes(example)


def test_how_texts_are_cut_into_files_does_not_matter(recipe: Path, example: Path, tmp_path: Path) -> None:
    again = write_inputs(tmp_path)
    rows = [row["text"] for path in sorted((tmp_path / "articles").iterdir()) for row in pq.read_table(path).to_pylist()]
    shutil.rmtree(tmp_path / "articles")
    (tmp_path / "articles").mkdir()
    for number, text in enumerate(rows[::-1]):
        write_articles(tmp_path / "articles" / f"{number:03}.parquet", [text])
    built(again, tmp_path / "out")
    assert list_bytes(tmp_path / "out") == list_bytes(example)


def test_sources_come_in_order_within_their_budgets_and_the_first_wins(recipe: Path, example: Path) -> None:
    metadata = Metadata.load(example / "metadata.parquet")
    assert metadata.sources is not None
    sources = Counter(metadata.sources)
    assert list(sources) == ["numeral", "wordnet", "unigram", "bigram", "title"]
    assert metadata.entries[:3] == ("0", "1", "2")
    assert metadata.entries[100:105] == ("entity", "hot dog", "stand on", "able", "ably")
    words, _ = independent_counts(texts_of(recipe.parent))
    words.update({"New": 40, "zebra": 30, "St. Louis": 20})
    ranked = sorted(((-times, word) for word, times in words.items() if times >= 2))
    wanted = [word for _, word in ranked if word not in metadata.entries[:105] and word not in ("+", "-")]
    assert list(metadata.entries[105 : 105 + sources["unigram"]]) == wanted[:100]
    assert sources["bigram"] == 50
    assert list(metadata.entries[-2:]) == ["Musée d'Orsay", "Zebra crossing"]  # of three titles the best two: New York is a phrase
    assert metadata.ranks is not None
    assert metadata.ranks[-2:] == (1, 2)


def test_phrases_are_ranked_by_the_damped_score(recipe: Path, example: Path) -> None:
    words, phrases = counts_of(example)
    total = sum(words.values())
    names = list(phrases)
    times = np.array([phrases[name] for name in names])
    first, second = (np.array([words.get(name.split(" ")[i], 0) for name in names]) for i in (0, 1))
    information = pmi(times, first, second, total)
    least = np.sort(information)[int(np.ceil(0.3 * len(names))) - 1]
    scores = damped(times, information, float(np.ceil(least * 1000) / 1000))
    metadata = Metadata.load(example / "metadata.parquet")
    assert metadata.sources is not None
    found = [entry for entry, source in zip(metadata.entries, metadata.sources, strict=True) if source == "bigram"]
    before = set(metadata.entries[: metadata.sources.index("bigram")])
    ranked = [name for _, name in sorted(zip(-scores, names, strict=True)) if name not in before]
    assert found == ranked[:50]


def test_the_manifest_says_what_the_list_is_made_of(recipe: Path, example: Path, tmp_path: Path) -> None:
    manifest = built(recipe, tmp_path / "out")
    assert manifest.fingerprint == Metadata.load(example / "metadata.parquet").fingerprint
    assert manifest.texts["articles"] == 40 + 20 + 1
    assert (manifest.texts["redirects"], manifest.texts["other_namespaces"]) == (2, 2)
    by_use = Counter(input_.used_for for input_ in manifest.inputs)
    assert by_use == {"wordnet": 4, "text": 5, "unigrams": 1, "bigrams": 1, "titles": 2}
    assert all(input_.checksum.startswith("sha256:") for input_ in manifest.inputs)
    titles = next(report for report in manifest.sources if report.source == "title")
    assert sum(titles.drops.values()) == 5
    unigrams = next(report for report in manifest.sources if report.source == "unigram")
    assert unigrams.matchable == unigrams.entries - 1  # but for St. Louis
    assert (tmp_path / "out" / "manifest.json").exists()


def test_with_other_limits_nothing_is_counted_again(tmp_path: Path) -> None:
    recipe = write_inputs(tmp_path)
    built(recipe, tmp_path / "out")
    before = (tmp_path / "out" / "counts" / "_manifest.json").stat().st_mtime_ns
    recipe.write_text(recipe.read_text().replace("limit = 100", "limit = 10"))
    manifest = built(recipe, tmp_path / "out")
    assert (tmp_path / "out" / "counts" / "_manifest.json").stat().st_mtime_ns == before
    assert next(report.entries for report in manifest.sources if report.source == "unigram") == 10


def test_the_same_file_twice_is_refused_because_it_would_count_twice(tmp_path: Path) -> None:
    recipe = write_inputs(tmp_path)
    shutil.copy(tmp_path / "wiki" / "wiki1.xml.bz2", tmp_path / "wiki" / "copy.xml.bz2")
    with pytest.raises(OptionError, match=r"copy\.xml\.bz2 and .*wiki1\.xml\.bz2 have the same content"):
        built(recipe, tmp_path / "out")


def test_too_little_memory_is_refused_before_any_work(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="too little for 2 workers"):
        built(recipe, tmp_path / "out", memory=100 << 20)
    assert not (tmp_path / "out").exists()


def test_an_input_that_is_missing_is_said_with_the_recipes_words_and_nothing_is_made(tmp_path: Path) -> None:
    recipe = write_inputs(tmp_path)
    recipe.write_text(recipe.read_text().replace("plain.txt", "{language}/plain.txt"))
    with pytest.raises(OptionError, match=r"text\.files = \{language\}/plain\.txt: there is no file .*en/plain\.txt"):
        built(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_many_runs_in_many_buckets_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a text that is far larger than memory, but with buckets of some thousand records."""
    monkeypatch.setattr(counting, "WORDS_AT_ONCE", 1 << 12)
    monkeypatch.setattr(counting, "PAIRS_AT_ONCE", 1 << 16)
    generator = np.random.default_rng(3)
    numbers = np.minimum(generator.zipf(1.15, 700_000), 50_000).tolist()
    texts = [" ".join(f"w{number}" for number in numbers[i : i + 1000]) for i in range(0, len(numbers), 1000)]
    for part in range(3):
        write_articles(tmp_path / f"{part}.parquet", texts[part::3], rows_per_group=100)
    (tmp_path / "recipe.toml").write_text('[text]\nfiles = ["*.parquet"]\n[unigrams]\nlimit = 100\n')
    built(tmp_path / "recipe.toml", tmp_path / "out", memory=2 * (counting.OF_A_WORKER + LEAST_MEMORY))
    assert len(list((tmp_path / "out" / "counts" / "words").iterdir())) > 4
    assert len(list((tmp_path / "out" / "counts" / "pairs").iterdir())) > 4
    assert counts_of(tmp_path / "out") == independent_counts(texts)


def test_a_folder_without_a_wordnet_is_refused(tmp_path: Path) -> None:
    recipe = write_inputs(tmp_path)
    recipe.write_text(recipe.read_text().replace('files = ["wordnet"]', 'files = ["views"]'))
    with pytest.raises(OptionError, match=r"nothing that can be read in .*views: pageviews-20180413-000000"):
        built(recipe, tmp_path / "out")


def test_of_page_views_the_hours_count_that_the_recipe_fetches(example: Path, tmp_path: Path) -> None:
    """A folder of inputs may hold those of another recipe too; and one that lacks some gives no list, rather than another."""
    recipe = write_inputs(tmp_path)
    (tmp_path / "views" / "pageviews-20180414-000000").write_text("en Another 99 0\n")
    recipe.write_text(recipe.read_text() + '\n[fetch]\npageview_days = ["2018-04-13"]\npageview_hours = [0, 1]\n')
    built(recipe, tmp_path / "out")
    assert list_bytes(tmp_path / "out") == list_bytes(example)
    (tmp_path / "views" / "pageviews-20180413-010000").unlink()
    with pytest.raises(OptionError, match=r"of the 2 hours .* 1 are not there, such as 20180413-010000"):
        built(recipe, tmp_path / "out")


def test_other_files_of_a_folder_are_passed_over_and_so_is_the_list_itself(example: Path, tmp_path: Path) -> None:
    recipe = write_inputs(tmp_path)
    for folder in ("wordnet", "wiki", "articles", "views"):
        (tmp_path / folder / "README.md").write_text("About these files.")
    (tmp_path / "wiki" / "wiki-multistream-index.txt.bz2").write_bytes(b"BZh9")
    names = {'"wiki/*.xml.bz2"': '"wiki"', '"articles/*.parquet"': '"articles"', '"views/*"': '"views"'}
    for glob, folder in names.items():
        recipe.write_text(recipe.read_text().replace(glob, folder))
    out = tmp_path / "articles" / "list"
    for _ in range(2):
        built(recipe, out)
        assert list_bytes(out) == list_bytes(example)


def test_what_wikiextractor_writes_gives_the_words_of_its_articles_in_both_forms(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('numerals = false\n[text]\nfiles = ["extracted"]\n[unigrams]\n[bigrams]\n')
    articles = [("Dog", "Dog\n\nA dog barks."), ("Cat", "Cat\n\nA cat sleeps.")]
    lists: list[bytes] = []
    for form in ("documents", "json"):
        for number, (title, text) in enumerate(articles):
            folder = tmp_path / "extracted" / f"A{number}"
            folder.mkdir(parents=True, exist_ok=True)
            url = f"https://en.wikipedia.org/wiki?curid={number}"
            row = json.dumps({"id": str(number), "url": url, "title": title, "text": text})
            document = f'<doc id="{number}" url="{url}" title="{title}">\n{text}\n\n</doc>\n'
            (folder / "wiki_00").write_text(row + "\n" if form == "json" else document)
        (tmp_path / "extracted" / "notes.log").write_text("no text")
        manifest = built(recipe, tmp_path / form)
        assert (manifest.texts["pages"], manifest.texts["articles"]) == (2, 2)
        assert Metadata.load(tmp_path / form / "metadata.parquet").entries[:7] == ("A", "Cat", "Dog", "barks", "cat", "dog", "sleeps")
        lists.append(list_bytes(tmp_path / form))
    assert lists[0] == lists[1]


def test_more_candidates_than_can_be_ranked_are_refused_and_what_is_counted_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_inputs(tmp_path)
    recipe.write_text(recipe.read_text().replace("limit = 100\n", ""))
    monkeypatch.setattr(choose, "MOST_RANKED", 150)
    with pytest.raises(OptionError, match=r"candidates of one source are no list: at most 150"):
        built(recipe, tmp_path / "out")
    assert (tmp_path / "out" / "counts" / "_manifest.json").exists()


def test_an_empty_list_says_what_was_left_out(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("Müll\nÄpfel\n".encode("latin-1"))
    (tmp_path / "recipe.toml").write_text('numerals = false\n[text]\nfiles = ["latin.txt"]\n[unigrams]\n')
    with pytest.raises(IncompleteError, match="no source gave an entry; dropped: 2 not UTF-8"):
        built(tmp_path / "recipe.toml", tmp_path / "out")
