"""The languages that Wikipedia is written in: what each is called, its script, and how its words are told apart.

``languages.tsv`` beside this file is the table, by the code in the address of the wiki; where that is not the code of ISO 639 (``als``,
which is Alemannic there; ``zh-yue``; ``simple``), the latter is in it too. Names are English. Names and scripts are those of Unicode's
CLDR (as in babel 2.18 and langcodes 3.5), or the wiki's own where it is written in another script than the language mostly is, as Min Nan
Chinese in Latin letters. Of several scripts it is the one that most pages are in.

Shan, Mon, Pa'O and Tai Nüa stand with the languages that have spaces, though they have them between phrases only: no dictionary knows
their words, and ICU's Burmese one cuts them within syllables.
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
# Wikis whose address has changed: dumps and the Hub's set of texts still have the old name.
DATABASES: Mapping[str, str] = MappingProxyType({"be-tarask": "be-x-old"})


class Language(NamedTuple):
    """A language of Wikipedia.

    Attributes:
        code: of the wiki, as in its address and in page views.
        name: in English.
        script: by its code in ISO 15924.
        words: what parts them: spaces; nothing that can be seen, so it takes a dictionary; or a mark after each syllable.
        wordnet: its code in the Open Multilingual WordNet, where that has it: the code in the names of its files.
    """

    code: str
    name: str
    script: str
    words: Words
    wordnet: str | None

    @property
    def database(self) -> str:
        """The code of the wiki in the names of its dumps (with ``_`` for ``-`` there) and of its texts on the Hub."""
        return DATABASES.get(self.code, self.code)


def _read() -> dict[str, Language]:
    lines = (resources.files("tallyclip") / "lists" / "languages.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines[1:])
    return {code: Language(code, name, script, cast(Words, words), wordnet or None) for code, name, script, words, wordnet in rows}


LANGUAGES: Mapping[str, Language] = MappingProxyType(_read())


def language(code: str) -> Language:
    """The language with a code, which may be that of its database.

    >>> language("ja").script
    'Jpan'

    Raises:
        OptionError: there is none; the hint says what was perhaps meant.
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
        f"{code!r:.60} is no language of Wikipedia that is known here",
        f"is it {hint}?" if near else "give the code in the wiki's address, such as en, zh or pt",
    )
