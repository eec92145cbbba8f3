"""Lists from real dumps: English, and languages of other scripts."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tallyclip.core.data import Metadata
from tallyclip.match.coverage import why_unmatchable
from tests.stages.lists.tools import built, counts_of, independent_articles, independent_counts, list_bytes

WORDNET = Path("/usr/share/wordnet")

ENGLISH = """
{wordnet}
[text]
files = ["{wiki}/enwiki*.bz2", "{wiki}/dbpedia-minidumps/en.wiki.xml.bz2"]
[unigrams]
min_count = 2
[bigrams]
score = "pmi"
limit = 20_000
[titles]
files = ["{wiki}/pageviews-top-enwiki-20151010-first60.tsv", "{wiki}/enwiki-sample-link-titles.tsv.gz"]
min_views = 3
"""
WORLDWIDE = """
[wordnet]
files = ["{omw}/wn-data-{{wordnet}}.tab.gz"]
[text]
files = ["{wiki}/dbpedia-minidumps/{{language}}.wiki.xml.bz2"]
license = "CC BY-SA"
[unigrams]
top = 0.5
[bigrams]
per_unigram = 0.40
"""


@pytest.fixture(scope="module")
def wiki(shared_data: Path) -> Path:
    return shared_data / "wikipedia"


@pytest.fixture(scope="module")
def english(wiki: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("english")
    wordnet = f'[wordnet]\nfiles = ["{WORDNET}"]' if (WORDNET / "data.noun").exists() else ""
    (folder / "recipe.toml").write_text(ENGLISH.format(wiki=wiki, wordnet=wordnet))
    built(folder / "recipe.toml", folder / "out", workers=1)
    return folder


def test_words_and_phrases_of_real_dumps_are_as_an_independent_counter_has_them(english: Path, wiki: Path) -> None:
    dumps = [*sorted(wiki.glob("enwiki*.bz2")), wiki / "dbpedia-minidumps" / "en.wiki.xml.bz2"]
    articles = [article for dump in dumps for article in independent_articles(dump)]
    words, phrases = independent_counts(text for _, text in articles)
    found = counts_of(english / "out")
    assert found[0] == words
    assert found[1] == phrases
    manifest = msgspec.json.decode((english / "out" / "manifest.json").read_bytes())
    assert manifest["texts"]["articles"] == len(articles)
    assert manifest["texts"]["words"] == sum(words.values()) > 400_000


def test_titles_of_real_lists_are_those_of_a_plain_reading(english: Path, wiki: Path) -> None:
    import gzip

    rows = gzip.decompress((wiki / "enwiki-sample-link-titles.tsv.gz").read_bytes()).decode().splitlines()
    rows += (wiki / "pageviews-top-enwiki-20151010-first60.tsv").read_text().splitlines()[1:]
    sums: dict[str, int] = {}
    for row in rows:
        title, _, views = row.rpartition("\t")
        title = " ".join(title.replace("_", " ").split())
        if views.isdigit() and title and title != "-" and ":" not in title:
            sums[title] = sums.get(title, 0) + int(views)
    assert counts_of(english / "out", "views")[0] == sums


def test_a_real_list_is_the_same_on_four_workers(english: Path, tmp_path: Path) -> None:
    built(english / "recipe.toml", tmp_path / "out", workers=4, memory=2 << 30)
    assert list_bytes(tmp_path / "out") == list_bytes(english / "out")


def test_where_wordnet_is_installed_it_gives_what_the_paper_has(english: Path) -> None:
    if not (WORDNET / "data.noun").exists():
        pytest.skip("WordNet 3.0 is not installed")
    manifest = msgspec.json.decode((english / "out" / "manifest.json").read_bytes())
    assert [source["entries"] for source in manifest["sources"][:2]] == [100, 86_554]


# Of each language some words that its mini dump has more than once, as its readers would part them.
SEEN = {
    "zh": ("Hans", {"中国", "的"}, {"的中国"}),
    "ja": ("Jpan", {"日本", "の"}, set[str]()),
    "th": ("Thai", {"ใน", "และ"}, set[str]()),
    "ar": ("Arab", {"في", "من"}, set[str]()),
    "el": ("Grek", {"και", "του"}, set[str]()),
    "fr": ("Latn", {"de", "la"}, {"de la"}),
}


@pytest.mark.parametrize("code", SEEN)
def test_a_language_gets_its_own_list_with_its_code_and_script(shared_data: Path, wiki: Path, tmp_path: Path, code: str) -> None:
    script, words, _ = SEEN[code]
    (tmp_path / "recipe.toml").write_text(WORLDWIDE.format(wiki=wiki, omw=shared_data / "omw"))
    recipe = tmp_path / "recipe.toml"
    if not (shared_data / "omw" / f"wn-data-{WORDNETS.get(code)}.tab.gz").exists():
        recipe.write_text(recipe.read_text()[recipe.read_text().index("[text]") :])
    manifest = built(recipe, tmp_path / "out", code=code)
    assert (manifest.language["code"], manifest.language["script"]) == (code, script)
    metadata = Metadata.load(tmp_path / "out" / "metadata.parquet")
    assert metadata.sources is not None
    rows = list(zip(metadata.entries, metadata.sources, strict=True))
    by_source = {source: [entry for entry, its in rows if its == source] for source in set(metadata.sources)}
    assert words <= set(by_source["unigram"]) | set(by_source.get("wordnet", []))
    joined = [phrase for phrase in by_source["bigram"] if " " not in phrase]
    assert (len(joined) > len(by_source["bigram"]) / 2) == (code in ("zh", "ja", "th"))
    for source in ("unigram", "bigram"):
        assert all(why_unmatchable(entry, "exact") is None for entry in by_source[source])


WORDNETS = {"zh": "cmn", "ar": "arb", "el": "ell", "fr": "fra"}
