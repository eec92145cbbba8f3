"""The languages of Wikipedia: the name and script of each, and how its words are separated.

The table is ``languages.tsv`` beside this file, by the code in the wiki's URL; where that is not the code of ISO 639 (``als``, which is
Alemannic there; ``zh-yue``; ``simple``), the latter is in the table too. Names are English. Names and scripts are those of Unicode's CLDR
(as in babel 2.18 and langcodes 3.5), except where a wiki uses another script than most of its language does, as Min Nan Chinese uses Latin
letters. Of several scripts the table has the one of most pages.

Shan, Mon, Pa'O and Tai Nüa count as languages with spaces, although they have spaces only between phrases: no dictionary knows their words,
and ICU's Burmese one splits them within syllables.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Literal, NamedTuple, cast

from tallyclip.errors import OptionError

Words = Literal["spaces", "dictionary", "syllables"]
SUGGESTED = 5
# Wikis whose URL has changed: dumps and the Hub's set of texts still have the old name.
DATABASES: Mapping[str, str] = MappingProxyType({"be-tarask": "be-x-old"})


class Language(NamedTuple):
    """A language of Wikipedia.

    Attributes:
        code: of the wiki, as in its URL and in page views.
        name: in English.
        script: its code in ISO 15924.
        words: what separates words: spaces; nothing visible, so that it takes a dictionary; or a mark after each syllable.
        wordnet: its code in the file names of the Open Multilingual WordNet, if it is in there.
    """

    code: str
    name: str
    script: str
    words: Words
    wordnet: str | None

    @property
    def database(self) -> str:
        """The wiki's code in the names of its dumps (with ``_`` for ``-``) and of its texts on the Hub."""
        return DATABASES.get(self.code, self.code)


def _read() -> dict[str, Language]:
    lines = (resources.files("tallyclip") / "lists" / "languages.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines[1:])
    return {code: Language(code, name, script, cast(Words, words), wordnet or None) for code, name, script, words, wordnet in rows}


LANGUAGES: Mapping[str, Language] = MappingProxyType(_read())


def language(code: str) -> Language:
    """The language with a code; the code of its database works too.

    >>> language("ja").script
    'Jpan'

    Raises:
        OptionError: the code is unknown; the hint suggests others.
    """
    if code in LANGUAGES:
        return LANGUAGES[code]
    for renamed, database in DATABASES.items():
        if code == database:
            return LANGUAGES[renamed]
    wanted = code.strip().replace("_", "-").casefold()
    named = [known for known, row in LANGUAGES.items() if row.name.casefold() == wanted]
    near = [wanted] if wanted in LANGUAGES else named or difflib.get_close_matches(wanted, LANGUAGES, SUGGESTED, 0.5)
    hint = ", ".join(f"{known} ({LANGUAGES[known].name})" for known in near)
    raise OptionError(
        f"{code!r:.60} is not a known Wikipedia language",
        f"did you mean {hint}?" if near else "give the code in the wiki's URL, such as en, zh or pt",
    )
