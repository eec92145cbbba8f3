"""A recipe: a TOML file that says what an entry list is made of.

Every table is optional; without it, the list lacks that source. File names may have ``{language}`` (the wiki's code), ``{wiki}`` (the same
as dumps spell it) and ``{wordnet}`` (the code in the Open Multilingual WordNet). They are relative to the recipe's own folder, or to the
folder for inputs if one is given.

The module is over 300 lines: half of it is the list of keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.io.toml import meant, parsed, read_toml, struct_of
from tallyclip.lists.languages import Language, language

SHIPPED = ("english", "worldwide")
PLACEHOLDERS = ("{language}", "{wiki}", "{wordnet}")
LARGEST = 10**15  # of any number


class RecipeTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a recipe."""


class WordNet(RecipeTable, frozen=True):
    """Entries from WordNet.

    Attributes:
        files: folders with database files (``data.noun``, ...), or tab files of the Open Multilingual WordNet.
        names: "synsets" takes the first name of each synset, as the papers do, "lemmas" all; tab files have only lemmas.
        limit: maximum number of entries.
        license: of the files, for the manifest.
    """

    files: list[str]
    names: Literal["synsets", "lemmas"] = "synsets"
    limit: int | None = None
    license: str | None = None


class Text(RecipeTable, frozen=True):
    """Texts whose words and phrases are counted.

    Attributes:
        files: Parquet files with a column ``text``, dumps (``pages-articles``), the output of wikiextractor, or plain text.
        license: of the texts, for the manifest.
    """

    files: list[str]
    license: str | None = None


class Unigrams(RecipeTable, frozen=True):
    """Which words become entries: the most frequent.

    Attributes:
        counts: tables of words and counts (separated by tabs) to add to the counts of the texts.
        min_count: minimum count of a word.
        top: share of all different words, the most frequent first, that are candidates.
        limit: maximum number of entries.
        license: of ``counts``.
    """

    counts: list[str] = []
    min_count: int = 1
    top: float | None = None
    limit: int | None = None
    license: str | None = None


class Bigrams(RecipeTable, frozen=True):
    """Which pairs of words become entries: those with the best score (``ngrams/scores.py``).

    Attributes:
        counts: tables of pairs (two words with a space between) and counts.
        score: "damped"; or "pmi", which is "damped" too where no pair can reach ``min_pmi``.
        min_pmi: minimum PMI, with "pmi".
        min_count: minimum count of a pair.
        per_unigram: maximum number of entries for each entry from [unigrams].
        limit: maximum number of entries.
        license: of ``counts``.
    """

    counts: list[str] = []
    score: Literal["pmi", "damped"] = "damped"
    min_pmi: float = 30.0
    min_count: int = 1
    per_unigram: float | None = None
    limit: int | None = None
    license: str | None = None


class Titles(RecipeTable, frozen=True):
    """Which titles of articles become entries: those with most views.

    Attributes:
        files: hourly dumps of page views, or tables of titles and views.
        project: whose rows of hourly dumps count.
        mobile: count the rows of its mobile sites too.
        min_hourly_views: minimum views of a row in hourly dumps; rows with fewer are dropped.
        min_views: minimum views of a title over all files.
        colons: "drop" drops every title with a colon, "namespaces" only those in namespaces without articles.
        namespaces: names of such namespaces of the project, in addition to the English ones.
        top: share of all titles, those with most views first, that are candidates.
        limit: maximum number of entries.
        license: of the files, for the manifest.
    """

    files: list[str]
    project: str = "{language}"
    mobile: bool = False
    min_hourly_views: int = 50
    min_views: int = 70
    colons: Literal["drop", "namespaces"] = "drop"
    namespaces: list[str] = []
    top: float | None = None
    limit: int | None = None
    license: str | None = None


class Fetch(RecipeTable, frozen=True):
    """Public inputs that ``tallyclip metadata fetch`` fetches; see ``sources.Wanted``.

    Attributes:
        wordnet: a version of Princeton's database files.
        omw: a wordnet of the Open Multilingual WordNet.
        wikipedia: a snapshot of the Hub's cleaned texts.
        dump: the date of a dump of articles.
        pageview_days, pageview_hours: which hourly page views; by default all hours of each day.
    """

    wordnet: str | None = None
    omw: str | None = None
    wikipedia: str | None = None
    dump: str | None = None
    pageview_days: list[str] = []
    pageview_hours: list[int] | None = None


class Recipe(RecipeTable, frozen=True):
    """What a list is made of; sources are in their order in the list.

    Attributes:
        language: the wiki's code; the command line can override it.
        numerals: begin with "0" to "99".
        limit: maximum number of entries of the whole list.
        wordnet, text, unigrams, bigrams, titles: see their classes.
        fetch: what ``tallyclip metadata fetch`` fetches.
    """

    language: str = "en"
    numerals: bool = True
    limit: int | None = None
    wordnet: WordNet | None = None
    text: Text | None = None
    unigrams: Unigrams | None = None
    bigrams: Bigrams | None = None
    titles: Titles | None = None
    fetch: Fetch | None = None


def read_recipe(name: str) -> tuple[Recipe, Path]:
    """A shipped recipe, by its name, or one from a file; and the folder that its file names are relative to.

    Raises:
        ArtifactError: the file is missing, not TOML, or not a valid recipe.
    """
    if name in SHIPPED:
        value, folder = parsed(name, shipped_recipe(name).encode(), "a recipe"), Path()
    else:
        hint = f"{meant(name, SHIPPED)}give a TOML file, or the name of a shipped recipe: {' or '.join(SHIPPED)}"
        value, folder = read_toml(Path(name), "a recipe", hint), Path(name).resolve().parent
    recipe = struct_of(name, "a recipe", value, Recipe)
    _check_values(name, recipe)
    _check_sources(name, recipe)
    return recipe, folder


def shipped_recipe(name: str) -> str:
    """The text of a shipped recipe, as a start for one's own.

    Raises:
        ArtifactError: the name is unknown.
    """
    if name not in SHIPPED:
        raise ArtifactError(f"{name}: not a shipped recipe", f"{meant(name, SHIPPED)}the shipped recipes are {' and '.join(SHIPPED)}")
    return (resources.files("tallyclip") / "lists" / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def _values(recipe: Recipe) -> Iterator[tuple[str, str, Any]]:
    """Every key of a recipe: its path, its name and its value."""
    for key, value in msgspec.structs.asdict(recipe).items():
        if isinstance(value, RecipeTable):
            yield from ((f"{key}.{inner}", inner, one) for inner, one in msgspec.structs.asdict(value).items())
        else:
            yield key, key, value


def _check_values(name: str, recipe: Recipe) -> None:
    """Refuse values that have the right type and are not valid."""
    for place, key, value in _values(recipe):
        what = hint = None
        if key in ("files", "counts", "project", "omw"):
            names: list[str] = value if isinstance(value, list) else [value or "-"]
            odd = next((one for one in names if not one or "{" in _without_placeholders(one)), None)
            if odd is not None:
                what, hint = f"has '{odd}'", f"give a name; it may have {', '.join(PLACEHOLDERS)}"
            elif key == "files" and not names:
                what, hint = "is empty", "name a file, or remove the table"
        elif isinstance(value, int | float):
            if not abs(value) <= LARGEST:  # also false for nan
                what, hint = f"= {value} is out of range", "give a number that texts can reach"
            elif key == "top" and not 0 < value <= 1:
                what, hint = f"= {value} is not a share", "give a number above 0 and up to 1, such as 0.1 for a tenth"
            elif key in ("limit", "per_unigram") and value <= 0:
                what, hint = f"= {value} allows no entry", "remove the key for no limit, or the table to skip its source"
            elif key != "min_pmi" and value < 0:
                what, hint = f"= {value} is below 0", "give a number from 0 on"
        if what is not None:
            raise ArtifactError(f"{name}: {place} {what}", hint)
    try:
        language(recipe.language)
    except OptionError as error:
        raise ArtifactError(f"{name}: language: {error.what}", error.hint) from error


def _check_sources(name: str, recipe: Recipe) -> None:
    """Refuse tables that need another one."""
    words, pairs = recipe.unigrams, recipe.bigrams
    if not any((recipe.wordnet, words, pairs, recipe.titles, recipe.text)):
        raise ArtifactError(f"{name}: no source of entries", "add [wordnet], [text] with [unigrams], or [titles]")
    if recipe.text is not None and words is None and pairs is None:
        what = f"{name}: [text] is only used by [unigrams] or [bigrams]; neither is present"
        raise ArtifactError(what, "add one; an empty section is enough")
    if pairs is not None and pairs.per_unigram is not None and words is None:
        raise ArtifactError(f"{name}: bigrams.per_unigram needs [unigrams]", "give bigrams.limit instead")
    if recipe.text is None and words is not None and not words.counts:
        raise ArtifactError(f"{name}: [unigrams] has nothing to count", "give [text] files, or unigrams.counts")
    if recipe.text is None and pairs is not None:
        if not pairs.counts:
            raise ArtifactError(f"{name}: [bigrams] has nothing to count", "give [text] files, or bigrams.counts")
        if words is None:
            raise ArtifactError(f"{name}: the score of [bigrams] needs counts of words", "give [unigrams] counts, or [text] files")


def _without_placeholders(pattern: str) -> str:
    return re.sub("|".join(map(re.escape, PLACEHOLDERS)), "", pattern)


def filled(pattern: str, language: Language) -> str:
    """A file name of a recipe for one language.

    Raises:
        OptionError: the name has ``{wordnet}`` and the language has no WordNet.
    """
    if "{wordnet}" in pattern and language.wordnet is None:
        what = f"{language.name} has no WordNet in the Open Multilingual WordNet"
        raise OptionError(what, "use a recipe whose file names have no {wordnet}")
    values = (language.code, language.database.replace("-", "_"), language.wordnet or "")
    for placeholder, value in zip(PLACEHOLDERS, values, strict=True):
        pattern = pattern.replace(placeholder, value)
    return pattern
