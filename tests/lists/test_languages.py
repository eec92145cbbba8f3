from __future__ import annotations

import bz2
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

import tallyclip as tc
from tallyclip.lists.languages import DATABASES, LANGUAGES, Language, language

SYNONYMS = [  # codes of wikis, and those of ISO 639 for the same language
    *[("zh-yue", "yue"), ("zh-classical", "lzh"), ("zh-min-nan", "nan"), ("bat-smg", "sgs")],
    *[("fiu-vro", "vro"), ("roa-rup", "rup"), ("bh", "bho"), ("eml", "egl"), ("als", "gsw"), ("no", "nb")],
]


def test_a_language_has_name_script_words_and_wordnet() -> None:
    assert language("ja") == Language("ja", "Japanese", "Jpan", "dictionary", "jpn")
    assert language("bo") == Language("bo", "Tibetan", "Tibt", "syllables", None)
    assert language("cbk-zam") == Language("cbk-zam", "Zamboanga Chavacano", "Latn", "spaces", None)
    assert language("simple") == Language("simple", "Simple English", "Latn", "spaces", "eng")


def test_every_row_is_whole() -> None:
    assert len(LANGUAGES) > 340
    assert list(LANGUAGES) == sorted(LANGUAGES)
    for code, row in LANGUAGES.items():
        assert row.code == code == code.strip().lower()
        assert row.name == row.name.strip() != ""
        assert len(row.script) == 4
        assert row.script.istitle()
        assert row.words in ("spaces", "dictionary", "syllables")
        assert row.wordnet is None or len(row.wordnet) == 3


def test_codes_of_one_language_say_the_same_of_it() -> None:
    for code, other in SYNONYMS:
        assert LANGUAGES[code]._replace(code=other) == LANGUAGES[other]._replace(name=LANGUAGES[code].name)


def test_no_other_two_languages_have_one_name_or_wordnet() -> None:
    rows = [row for code, row in LANGUAGES.items() if code not in dict(SYNONYMS)]
    names = [row.name for row in rows]
    assert sorted(set(names)) == sorted(names)
    wordnets = [row.wordnet for row in rows if row.wordnet and row.code != "simple"]
    assert sorted(set(wordnets)) == sorted(wordnets)


def test_scripts_without_spaces_take_a_dictionary_or_syllables() -> None:
    words = {"Hans": "dictionary", "Hant": "dictionary", "Jpan": "dictionary", "Thai": "dictionary", "Laoo": "dictionary"}
    words |= {"Khmr": "dictionary", "Tibt": "syllables"}
    for row in LANGUAGES.values():
        if row.script != "Mymr":  # a dictionary is there for Burmese alone
            assert row.words == words.get(row.script, "spaces"), row.code
    assert [row.code for row in LANGUAGES.values() if row.script == "Mymr" and row.words == "dictionary"] == ["my", "rki"]


def test_a_wiki_that_was_renamed_is_known_by_both_names() -> None:
    row = language("be-tarask")
    assert (row.code, row.database) == ("be-tarask", "be-x-old")
    assert language("be-x-old") is row
    assert "be-x-old" not in LANGUAGES
    assert all(language(database) is LANGUAGES[code] for code, database in DATABASES.items())
    assert [code for code, row in LANGUAGES.items() if row.database != code] == list(DATABASES)


def test_als_is_alemannic_on_wikipedia_and_albanian_in_wordnet() -> None:
    assert language("als").name == "Alemannic German"
    assert language("als").wordnet is None
    assert language("sq").wordnet == "als"


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("zh_yue", r"did you mean zh-yue \(Cantonese\)\?"),
        ("German", r"did you mean de \(German\)\?"),
        ("simpel", r"simple \(Simple English\)"),
        ("", "give the code"),
    ],
)
def test_an_unknown_code_is_refused_with_those_that_are_near(code: str, hint: str) -> None:
    with pytest.raises(tc.OptionError, match=hint):
        language(code)


# The first words of their letters' names in Unicode.
LETTERS = (
    "Arab ARABIC, Armn ARMENIAN, Beng BENGALI, Cyrl CYRILLIC, Deva DEVANAGARI, Ethi ETHIOPIC, Geor GEORGIAN, "
    "Grek GREEK, Gujr GUJARATI, Guru GURMUKHI, Hans CJK, Hebr HEBREW, Jpan CJK, Knda KANNADA, Kore HANGUL, Latn LATIN, "
    "Mlym MALAYALAM, Mymr MYANMAR, Orya ORIYA, Sinh SINHALA, Taml TAMIL, Telu TELUGU, Thai THAI"
)
SCRIPTS = {pair[:4]: pair[5:] for pair in LETTERS.split(", ")}
MARKUP = re.compile(r"(?s)\{\{.*?\}\}|\[\[[\w-]+:.*?\]\]|<!--.*?-->|&\w+;|<.*?>|https?://\S+")


def test_real_pages_are_in_the_script_of_their_language(shared_data: Path) -> None:
    folder = shared_data / "wikipedia" / "dbpedia-minidumps"
    dumps = [path for path in sorted(folder.glob("*.bz2")) if not re.match("[A-Z]|wikidata|commons", path.name)]
    assert len(dumps) > 100
    for path in dumps:
        row = language(path.name.split(".")[0])
        page = bz2.decompress(path.read_bytes()).decode()
        text = MARKUP.sub(" ", " ".join(re.findall("(?s)<text[^>]*>(.*?)</text>", page)))
        scripts = Counter(unicodedata.name(letter, "?").split()[0].split("-")[0] for letter in text if letter.isalpha())
        if row.script != "Latn":
            del scripts["LATIN"]  # there is always markup, and names
        if scripts.total() > 500:
            assert scripts[SCRIPTS[row.script]] > scripts.total() / 3, (path.name, row, scripts.most_common(3))
