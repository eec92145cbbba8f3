"""What recipes may say, and what is said of those that say something else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.lists.languages import LANGUAGES, language
from tallyclip.lists.recipe import SHIPPED, Recipe, filled, read_recipe

TEXT = '[text]\nfiles = ["a.txt"]\n[unigrams]\n'
WORDNET = '[wordnet]\nfiles = ["wordnet"]\n'
EVERYTHING = """
language = "th"
numerals = false
limit = 1_000
[wordnet]
files = ["omw/{wordnet}.tab"]
names = "lemmas"
limit = 10
license = "mine {and} yours"
[text]
files = ["{language}.parquet"]
[unigrams]
counts = ["words.tsv"]
min_count = 0
top = 1
[bigrams]
counts = ["pairs.tsv"]
score = "pmi"
min_pmi = -2
per_unigram = 0.4
[titles]
files = ["{wiki}.gz"]
colons = "namespaces"
namespaces = ["วิกิพีเดีย"]
[fetch]
omw = "{wordnet}"
pageview_hours = [0, 12]
"""


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "mine.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(folder: Path, content: str | bytes) -> Recipe:
    return read_recipe(str(write(folder, content)))[0]


def refused(folder: Path, content: str | bytes) -> tuple[str, str]:
    """What is said of a recipe behind its name, and the hint."""
    with pytest.raises(ArtifactError) as caught:
        read(folder, content)
    name = f"{folder / 'mine.toml'}: "
    assert caught.value.what.startswith(name)
    assert caught.value.hint
    return caught.value.what.removeprefix(name), caught.value.hint


# what is read


def test_every_key_is_read_and_names_are_relative_to_the_recipe(tmp_path: Path) -> None:
    path = write(tmp_path, EVERYTHING)
    recipe, folder = read_recipe(str(path))
    assert folder == tmp_path
    assert (recipe.language, recipe.numerals, recipe.limit) == ("th", False, 1000)
    assert recipe.wordnet
    assert (recipe.wordnet.names, recipe.wordnet.limit) == ("lemmas", 10)
    assert recipe.unigrams
    assert (recipe.unigrams.top, recipe.unigrams.limit) == (1.0, None)
    assert recipe.bigrams
    assert (recipe.bigrams.score, recipe.bigrams.min_pmi) == ("pmi", -2.0)
    assert recipe.titles
    assert (recipe.titles.project, recipe.titles.min_views) == ("{language}", 70)
    assert recipe.fetch
    assert recipe.fetch.pageview_hours == [0, 12]


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    recipe = read(tmp_path, EVERYTHING)
    assert msgspec.convert(msgspec.to_builtins(recipe), Recipe) == recipe


def test_a_byte_order_mark_and_the_line_ends_of_windows_do_no_harm(tmp_path: Path) -> None:
    plain = read(tmp_path, WORDNET)
    assert read(tmp_path, b"\xef\xbb\xbf" + WORDNET.replace("\n", "\r\n").encode()) == plain


# the shipped recipes


def test_the_english_recipe_has_the_budgets_of_the_paper() -> None:
    recipe, folder = read_recipe("english")
    assert folder == Path()
    assert (recipe.language, recipe.numerals, recipe.limit) == ("en", True, 500_000)
    assert recipe.wordnet
    assert recipe.wordnet.names == "synsets"
    assert recipe.wordnet.limit is None  # 86,654 with the numerals
    assert recipe.unigrams
    assert (recipe.unigrams.min_count, recipe.unigrams.limit) == (100, 251_465)
    assert recipe.bigrams
    assert (recipe.bigrams.score, recipe.bigrams.limit) == ("damped", 100_646)
    assert recipe.titles
    assert (recipe.titles.min_hourly_views, recipe.titles.min_views, recipe.titles.colons) == (50, 70, "drop")
    assert recipe.limit == 86_654 + 251_465 + 100_646 + (recipe.titles.limit or 0)


def test_the_worldwide_recipe_has_the_shares_and_caps_of_the_sequel() -> None:
    recipe, _ = read_recipe("worldwide")
    assert (recipe.numerals, recipe.limit) == (True, None)
    assert recipe.unigrams
    assert (recipe.unigrams.top, recipe.unigrams.limit) == (0.10, 251_465)
    assert recipe.bigrams
    assert (recipe.bigrams.score, recipe.bigrams.per_unigram, recipe.bigrams.limit) == ("damped", 0.40, 100_646)
    assert recipe.titles
    assert (recipe.titles.top, recipe.titles.limit) == (0.76, 61_235)


def test_the_shipped_recipes_fetch_as_many_days_as_the_papers_and_read_what_they_fetch() -> None:
    for name, days in zip(SHIPPED, (26, 40), strict=True):
        recipe, _ = read_recipe(name)
        assert recipe.fetch
        assert len(set(recipe.fetch.pageview_days)) == len(recipe.fetch.pageview_days) == days
        assert recipe.fetch.pageview_days == sorted(recipe.fetch.pageview_days)
        assert recipe.text
        assert recipe.text.files[0].startswith(f"wikipedia/{recipe.fetch.wikipedia}.")
        assert recipe.titles
        assert recipe.titles.files == ["pageviews/*.gz"]


# what is refused


def test_a_name_that_is_no_file_is_said_to_be_perhaps_a_shipped_one(tmp_path: Path) -> None:
    for name, meant in (("englsh", "did you mean english? "), ("World-Wide", "did you mean worldwide? "), ("mine.toml", "")):
        with pytest.raises(ArtifactError) as caught:
            read_recipe(name)
        assert caught.value.what == f"{name}: cannot read a recipe: No such file or directory"
        assert caught.value.hint == f"{meant}give a TOML file, or the name of a shipped recipe: english or worldwide"
    with pytest.raises(ArtifactError, match="cannot read a recipe: Is a directory"):
        read_recipe(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        ("wordnets = 3", "a recipe has no key 'wordnets'", "did you mean wordnet? the known keys are language, numerals, limit, wordnet, "),
        ("zzz = 3", "a recipe has no key 'zzz'", "the known keys are language, "),
        ("[Titles]", "a recipe has no key 'Titles'", "did you mean titles? "),
        ("[wordnet]\nfile = []", "[wordnet] has no key 'file'", "did you mean files? the known keys are files, names, limit, license"),
        ("[text]\nlicence = 'x'", "[text] has no key 'licence'", "did you mean license? the known keys are files, license"),
        ("[unigrams]\nmincount = 3", "[unigrams] has no key 'mincount'", "did you mean min_count? "),
        ("[bigrams]\nzzz = 3", "[bigrams] has no key 'zzz'", "the known keys are counts, score, min_pmi, "),
        ("[titles]\ncolon = 'drop'", "[titles] has no key 'colon'", "did you mean colons? "),
        ("[fetch]\nzzz = []", "[fetch] has no key 'zzz'", "the known keys are wordnet, omw, wikipedia, dump, pageview_days"),
    ],
)
def test_an_unknown_key_is_named_with_the_known_ones(tmp_path: Path, content: str, what: str, hint: str) -> None:
    said = refused(tmp_path, content)
    assert said[0] == what
    assert said[1].startswith(hint)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"[wordnet\n", "not TOML: Expected ']' at the end of a table declaration (at line 1, column 9)"),
        (b"language = en\n", "not TOML: Invalid value (at line 1, column 12)"),
        (b"[text]\n[text]\n", "not TOML: Cannot declare ('text',) twice (at line 2, column 6)"),
        ("language = 'en'".encode("utf-16"), "not TOML, since it is not UTF-8: invalid start byte"),
        ("language = 'en'".encode("utf-16-le"), "not TOML: "),
        (b"PAR1\x15\x04\x15\xff\x00", "not TOML, since it is not UTF-8"),
        (b"limit = " + b"[" * 100_000, "not TOML: "),
        (b"limit = " + b"9" * 5_000, "not TOML: "),
        (b"[" + b"a." * 500_000 + b"a]", "the file is larger than 128 KiB"),
    ],
)
def test_what_is_not_toml_is_refused_with_its_place(tmp_path: Path, content: bytes, what: str) -> None:
    assert refused(tmp_path, content)[0].startswith(what)


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        ("text = 3", "text cannot be 3", "give a table, with [text] above its keys"),
        ("[[text]]\nfiles = ['a']", "text cannot be [{'files': ['a']}]", "give a table, with [text] above its keys"),
        ("language = 3", "language cannot be 3", "give text in quotes"),
        ("numerals = 1", "numerals cannot be 1", "give true or false"),
        ("limit = '3'", "limit cannot be '3'", "give a whole number"),
        ("limit = 3.5", "limit cannot be 3.5", "give a whole number"),
        ("limit = true", "limit cannot be True", "give a whole number"),
        ("[wordnet]", "[wordnet] needs files", 'give a list of text in quotes, such as ["a", "b"]'),
        ("[wordnet]\nfiles = 'a'", "wordnet.files cannot be 'a'", 'give a list of text in quotes, such as ["a", "b"]'),
        ("[text]\nfiles = ['a', 3]", "text.files cannot be ['a', 3]", 'give a list of text in quotes, such as ["a", "b"]'),
        (WORDNET + "names = 'all'", "wordnet.names cannot be 'all'", 'give "synsets" or "lemmas"'),
        (TEXT + "top = 'ten'", "unigrams.top cannot be 'ten'", "give a number"),
        (TEXT + "[bigrams]\nscore = 'PMI'", "bigrams.score cannot be 'PMI'", 'give "pmi" or "damped"'),
        ("[titles]\nfiles = ['a']\nmobile = 'no'", "titles.mobile cannot be 'no'", "give true or false"),
        ("[fetch]\nwikipedia = 20231101", "fetch.wikipedia cannot be 20231101", "give text in quotes"),
        ("[fetch]\npageview_days = [2018-04-13]", "fetch.pageview_days cannot be [datetime.date(", "give a list of text in quotes"),
        ("[fetch]\npageview_hours = ['0']", "fetch.pageview_hours cannot be ['0']", "give a list of whole numbers"),
    ],
)
def test_a_value_of_the_wrong_type_is_shown_with_what_would_do(tmp_path: Path, content: str, what: str, hint: str) -> None:
    said = refused(tmp_path, content)
    assert said[0].startswith(what)
    assert said[1].startswith(hint)


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        (TEXT + "top = 0.0", "unigrams.top = 0.0 is not a share", "above 0 and up to 1"),
        (TEXT + "top = 10", "unigrams.top = 10.0 is not a share", "above 0 and up to 1"),
        (TEXT + "top = nan", "unigrams.top = nan is out of range", "a number"),
        ("[titles]\nfiles = ['a']\ntop = -0.1", "titles.top = -0.1 is not a share", "above 0 and up to 1"),
        ("limit = 0\n" + WORDNET, "limit = 0 allows no entry", "remove the key"),
        (WORDNET + "limit = -5", "wordnet.limit = -5 allows no entry", "remove the key"),
        (TEXT + "limit = 0", "unigrams.limit = 0 allows no entry", "remove the key"),
        (TEXT + "min_count = -1", "unigrams.min_count = -1 is below 0", "a number from 0 on"),
        (TEXT + "min_count = 1_000_000_000_000_000_000_000", "unigrams.min_count = 1000000000000000000000 is out of range", "can reach"),
        (TEXT + "[bigrams]\nmin_pmi = nan", "bigrams.min_pmi = nan is out of range", "a number"),
        (TEXT + "[bigrams]\nmin_pmi = -inf", "bigrams.min_pmi = -inf is out of range", "a number"),
        (TEXT + "[bigrams]\nper_unigram = 0", "bigrams.per_unigram = 0.0 allows no entry", "remove the key"),
        (TEXT + "[bigrams]\nper_unigram = inf", "bigrams.per_unigram = inf is out of range", "a number"),
        ("[titles]\nfiles = ['a']\nmin_hourly_views = -50", "titles.min_hourly_views = -50 is below 0", "a number from 0 on"),
        ("[text]\nfiles = []\n[unigrams]", "text.files is empty", "remove the table"),
        ("[titles]\nfiles = ['']", "titles.files has ''", "give a name"),
        ("[titles]\nfiles = ['{lang}/*.gz']", "titles.files has '{lang}/*.gz'", "it may have {language}, {wiki}, {wordnet}"),
        ("[titles]\nfiles = ['a{', 'b']", "titles.files has 'a{'", "it may have {language}, {wiki}, {wordnet}"),
        ("[titles]\nfiles = ['a']\nproject = '{x}'", "titles.project has '{x}'", "it may have {language}, {wiki}, {wordnet}"),
        ("[unigrams]\ncounts = ['{x}']", "unigrams.counts has '{x}'", "it may have {language}, {wiki}, {wordnet}"),
        ("language = 'Thai'\n" + WORDNET, "language: 'Thai' is not a known Wikipedia language", "did you mean th (Thai)?"),
    ],
)
def test_a_value_out_of_range_is_shown_with_what_would_do(tmp_path: Path, content: str, what: str, hint: str) -> None:
    said = refused(tmp_path, content)
    assert said[0].startswith(what)
    assert hint in said[1]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "no source of entries"),
        ("# nothing yet\n", "no source of entries"),
        ("[fetch]\nwordnet = '3.0'", "no source of entries"),
        ("[text]\nfiles = ['a']", "[text] is only used by [unigrams] or [bigrams]; neither is present"),
        ("[unigrams]", "[unigrams] has nothing to count"),
        ("[bigrams]", "[bigrams] has nothing to count"),
        ("[unigrams]\ncounts = ['a']\n[bigrams]", "[bigrams] has nothing to count"),
        ("[bigrams]\ncounts = ['a']", "the score of [bigrams] needs counts of words"),
        ("[text]\nfiles = ['a']\n[bigrams]\nper_unigram = 0.4", "bigrams.per_unigram needs [unigrams]"),
    ],
)
def test_tables_that_lack_one_another_are_refused(tmp_path: Path, content: str, what: str) -> None:
    assert refused(tmp_path, content)[0] == what


@pytest.mark.parametrize(
    "content",
    [
        WORDNET,
        TEXT,
        "[text]\nfiles = ['a']\n[bigrams]",
        "[unigrams]\ncounts = ['a']\n[bigrams]\ncounts = ['b']",
        "[titles]\nfiles = ['a']\nmin_views = 0",
    ],
)
def test_every_source_can_be_alone(tmp_path: Path, content: str) -> None:
    assert isinstance(read(tmp_path, content), Recipe)


# names of files


def test_placeholders_are_the_languages_codes() -> None:
    cantonese = LANGUAGES["zh-yue"]
    assert filled("{language}/{wiki}wiki-{wiki}.xml", cantonese) == "zh-yue/zh_yuewiki-zh_yue.xml"
    assert filled("omw/wn-data-{wordnet}.tab*", language("ja")) == "omw/wn-data-jpn.tab*"
    assert filled("plain/*.gz", cantonese) == "plain/*.gz"


def test_a_wordnet_that_a_language_lacks_is_said_to_be_lacking() -> None:
    without = next(row for row in LANGUAGES.values() if row.wordnet is None)
    assert filled("{wiki}", without)
    with pytest.raises(OptionError, match="has no WordNet in the Open Multilingual WordNet") as caught:
        filled("{wordnet}.tab", without)
    assert caught.value.what.startswith(without.name)
