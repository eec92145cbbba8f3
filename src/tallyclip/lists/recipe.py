"""A recipe: what an entry list is made of, as a TOML file says it.

Every table is optional; without one, the list lacks that source. File names may hold ``{language}`` (the wiki's code), ``{wiki}`` (the
same as dumps spell it) and ``{wordnet}`` (the code of the Open Multilingual WordNet), and are relative to the recipe's own folder or to
the one that is given for inputs.

The module is longer than others: half of it is the list of keys that there are.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.lists.languages import Language, language

SHIPPED = ("english", "worldwide")
PLACEHOLDERS = ("{language}", "{wiki}", "{wordnet}")
LARGEST = 10**15  # of any number
LARGEST_FILE = 128 << 10  # bytes; Python's reader takes quadratic time for tables within tables
# What the values of a type are called, for people.
FORMS = {
    "str": "text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list[str]": 'a list of texts, such as ["a", "b"]',
    "list[int]": "a list of whole numbers",
}


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a recipe."""


class WordNet(Part, frozen=True):
    """Entries from WordNet.

    Attributes:
        files: folders with database files (``data.noun``, ...), or tab files of the Open Multilingual WordNet.
        names: "synsets" takes the first name of each synset, as the papers do, "lemmas" all; tab files have lemmas alone.
        limit: how many entries to take at most.
        license: of the files, for the manifest.
    """

    files: list[str]
    names: Literal["synsets", "lemmas"] = "synsets"
    limit: int | None = None
    license: str | None = None


class Text(Part, frozen=True):
    """Texts whose words and phrases are counted.

    Attributes:
        files: Parquet files with a column ``text``, dumps (``pages-articles``), the output of wikiextractor, or plain text.
        license: of the texts, for the manifest.
    """

    files: list[str]
    license: str | None = None


class Unigrams(Part, frozen=True):
    """Which words become entries: the most frequent.

    Attributes:
        counts: tables of words and counts (tab separated) to add to what the texts have.
        min_count: of a word to be an entry.
        top: the share of all different words that are candidates, the most frequent.
        limit: how many entries to take at most.
        license: of ``counts``.
    """

    counts: list[str] = []
    min_count: int = 1
    top: float | None = None
    limit: int | None = None
    license: str | None = None


class Bigrams(Part, frozen=True):
    """Which pairs of words become entries: those with the best score (``ngrams/scores.py``).

    Attributes:
        counts: tables of pairs (two words with a blank between) and counts.
        score: "pmi" where ``min_pmi`` can be reached, and else "damped"; or "damped".
        min_pmi: the least PMI, with "pmi".
        min_count: of a pair to be an entry.
        per_unigram: at most so many for every entry that the words gave.
        limit: how many entries to take at most.
        license: of ``counts``.
    """

    counts: list[str] = []
    score: Literal["pmi", "damped"] = "damped"
    min_pmi: float = 30.0
    min_count: int = 1
    per_unigram: float | None = None
    limit: int | None = None
    license: str | None = None


class Titles(Part, frozen=True):
    """Which titles of articles become entries: those that are read most.

    Attributes:
        files: hourly dumps of page views, or tables of titles and views.
        project: of the rows, in hourly dumps.
        mobile: count the rows of its mobile site too.
        min_hourly_views: leave out rows with less.
        min_views: of a title over all files to be an entry.
        colons: "drop" every title with a colon, or those in "namespaces" that hold no articles.
        namespaces: names of the project's namespaces, beside the English ones.
        top: the share of all titles that are candidates, those with most views.
        limit: how many entries to take at most.
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


class Fetch(Part, frozen=True):
    """Public inputs that ``tallyclip metadata fetch`` gets; see ``sources.Wanted``.

    Attributes:
        wordnet: a version of Princeton's database files.
        omw: a wordnet of the Open Multilingual WordNet.
        wikipedia: a snapshot of the Hub's cleaned texts.
        dump: the date of a dump of articles.
        pageview_days, pageview_hours: of hourly page views; by default all hours.
    """

    wordnet: str | None = None
    omw: str | None = None
    wikipedia: str | None = None
    dump: str | None = None
    pageview_days: list[str] = []
    pageview_hours: list[int] | None = None


class Recipe(Part, frozen=True):
    """What a list is made of, in the order of its sources.

    Attributes:
        language: the wiki's code; the command line may give others.
        numerals: begin with "0" to "99".
        limit: of the whole list.
        wordnet, text, unigrams, bigrams, titles: see their classes.
        fetch: what ``tallyclip metadata fetch`` gets.
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


TABLES: dict[str, type[Part]] = {
    "wordnet": WordNet,
    "text": Text,
    "unigrams": Unigrams,
    "bigrams": Bigrams,
    "titles": Titles,
    "fetch": Fetch,
}


def read_recipe(name: str) -> tuple[Recipe, Path]:
    """A recipe, shipped (by its name) or of a file, and the folder that its file names are relative to.

    Raises:
        ArtifactError: there is no such file, it is not TOML, or it says something that no recipe can say.
    """
    if name in SHIPPED:
        content, folder = shipped_recipe(name).encode(), Path()
    else:
        path = Path(name)
        try:
            with path.open("rb") as file:
                content, folder = file.read(LARGEST_FILE + 1), path.resolve().parent
        except OSError as error:
            hint = f"{_meant(name, SHIPPED)}give a TOML file, or the name of a shipped recipe: {' or '.join(SHIPPED)}"
            raise ArtifactError(f"{name}: no recipe can be read there: {error.strerror}", hint) from error
    if len(content) > LARGEST_FILE:
        raise ArtifactError(
            f"{name}: the file is larger than {LARGEST_FILE >> 10} KiB", "name many files by a pattern, such as pages-*.bz2"
        )
    value = _parsed(name, content)
    _refuse_unknown(name, "a recipe", value, Recipe)
    for table, kind in TABLES.items():
        if isinstance(value.get(table), dict):
            _refuse_unknown(name, f"[{table}]", value[table], kind)
    try:
        recipe = msgspec.convert(value, Recipe)
    except msgspec.ValidationError as error:
        what, hint = _mistake(str(error), value)
        raise ArtifactError(f"{name}: {what}", hint) from error
    _check_values(name, recipe)
    _check_sources(name, recipe)
    return recipe, folder


def shipped_recipe(name: str) -> str:
    """The text of a shipped recipe, to make one's own of.

    Raises:
        ArtifactError: there is none of that name.
    """
    if name not in SHIPPED:
        raise ArtifactError(f"{name}: no shipped recipe", f"{_meant(name, SHIPPED)}there are {' and '.join(SHIPPED)}")
    return (resources.files("tallyclip") / "lists" / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def _parsed(name: str, content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{name}: not TOML, as it is not UTF-8: {error.reason}", "save it as UTF-8, if it is a recipe") from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{name}: not TOML: {error}", "texts stand in quotes, and the names of tables in brackets") from error


def _refuse_unknown(name: str, where: str, value: dict[str, Any], kind: type[Part]) -> None:
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for key in value:
        if key not in known:
            raise ArtifactError(f"{name}: {where} has no key '{key}'", f"{_meant(key, known)}the known ones are {', '.join(known)}")


def _meant(word: str, known: list[str] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word.lower(), known, 1)
    return f"did you mean {near[0]}? " if near else ""


def _mistake(said: str, value: dict[str, Any]) -> tuple[str, str]:
    """What msgspec says of a value of the wrong type, in the words of recipes, and what would do."""
    table, key = re.search(r"(?:`\$\.(\w+)(?:\.(\w+))?.*)?$", said).groups()  # type: ignore[union-attr]
    lacking = re.search(r"required field `(\w+)`", said)
    if lacking:
        return f"[{table}] lacks {lacking[1]}", f"it is {_form(TABLES[table], lacking[1])}"
    kind, place = (Recipe, table) if key is None else (TABLES[table], f"{table}.{key}")
    found = value[table] if key is None else value[table][key]
    return f"{place} cannot be {found!r:.60}", f"it is {_form(kind, key or table)}"


def _form(kind: type[Part], key: str) -> str:
    """What a key takes."""
    annotation = kind.__annotations__[key].removesuffix(" | None")
    if annotation.startswith("Literal"):
        return " or ".join(annotation.removeprefix("Literal[").removesuffix("]").split(", "))
    return FORMS.get(annotation, f"a table, with [{key}] above its keys")


def _values(recipe: Recipe) -> Iterator[tuple[str, str, Any]]:
    """Every key of a recipe: its place, its name and what it says."""
    for key, value in msgspec.structs.asdict(recipe).items():
        if isinstance(value, Part):
            yield from ((f"{key}.{inner}", inner, one) for inner, one in msgspec.structs.asdict(value).items())
        else:
            yield key, key, value


def _check_values(name: str, recipe: Recipe) -> None:
    """Refuse what is of the right type and cannot be."""
    for place, key, value in _values(recipe):
        what = hint = None
        if key in ("files", "counts", "project", "omw"):
            names: list[str] = value if isinstance(value, list) else [value or "-"]
            odd = next((one for one in names if not one or "{" in _without_placeholders(one)), None)
            if odd is not None:
                what, hint = f"holds '{odd}'", f"give a name; it may hold {', '.join(PLACEHOLDERS)}"
            elif key == "files" and not names:
                what, hint = "is empty", "name a file, or leave the table out to do without it"
        elif isinstance(value, int | float):
            if not abs(value) <= LARGEST:  # nor may it be no number
                what, hint = f"= {value} is out of range", "it is a number that texts can reach"
            elif key == "top" and not 0 < value <= 1:
                what, hint = f"= {value} is not a share", "it is a number from 0 to 1, such as 0.1 for a tenth"
            elif key in ("limit", "per_unigram") and value <= 0:
                what, hint = f"= {value} leaves nothing", "leave the key out for no limit, or the table to do without a source"
            elif key != "min_pmi" and value < 0:
                what, hint = f"= {value} is below 0", "it is a number of times"
        if what is not None:
            raise ArtifactError(f"{name}: {place} {what}", hint)
    try:
        language(recipe.language)
    except OptionError as error:
        raise ArtifactError(f"{name}: language: {error.what}", error.hint) from error


def _check_sources(name: str, recipe: Recipe) -> None:
    """Refuse tables that cannot be together, or lack one."""
    words, pairs = recipe.unigrams, recipe.bigrams
    if not any((recipe.wordnet, words, pairs, recipe.titles, recipe.text)):
        raise ArtifactError(f"{name}: it names no source of entries", "add [wordnet], [text] with [unigrams], or [titles]")
    if recipe.text is not None and words is None and pairs is None:
        raise ArtifactError(f"{name}: [text] is counted for [unigrams] and [bigrams], and neither is there", "add one, if only its head")
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
        OptionError: the name asks for a WordNet of a language that has none.
    """
    if "{wordnet}" in pattern and language.wordnet is None:
        what = f"{language.name} has no WordNet in the Open Multilingual WordNet"
        raise OptionError(what, "give a recipe whose file names do without {wordnet}")
    values = (language.code, language.database.replace("-", "_"), language.wordnet or "")
    for placeholder, value in zip(PLACEHOLDERS, values, strict=True):
        pattern = pattern.replace(placeholder, value)
    return pattern
