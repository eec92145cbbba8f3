"""Entries from WordNet's database files (``data.noun`` and the others, as in Debian's ``wordnet-base``).

``scripts/wordnet-list`` made the bundled list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tallyclip.errors import ArtifactError

PARTS = ("noun", "verb", "adj", "adv")
NUMERALS = [str(number) for number in range(100)]
MARKER = re.compile(r"\((?:a|p|ip)\)$")  # of an adjective: its position in a phrase
LICENSE_INDENT = "  "  # the files begin with the license, and only its lines begin with spaces
SYNSET = re.compile(r"[0-9]{8} [0-9]{2} [nvasr] ([0-9a-f]{2}) ")  # offset, file, kind, number of lemmas
FIRST_LEMMA = 4  # its field in a synset's line; a number follows each lemma


def synset_names(folder: Path) -> Iterator[str]:
    """The name of every synset, with repeats: its first lemma in lower case, up to the first full stop.

    Raises:
        ArtifactError: a file is missing, or not WordNet's.
    """
    for first, *_ in _synsets(folder):
        name = first.lower().split(".")[0]
        if name:
            yield name


def lemmas(folder: Path) -> Iterator[str]:
    """All lemmas of every synset, as written, with repeats.

    Raises:
        ArtifactError: a file is missing, or not WordNet's.
    """
    for synset in _synsets(folder):
        yield from synset


def _synsets(folder: Path) -> Iterator[list[str]]:
    """The lemmas of each synset, without an adjective's marker and with spaces for underscores."""
    for path in (folder / f"data.{part}" for part in PARTS):
        try:
            with path.open(encoding="utf-8") as lines:
                number, synsets, line = 0, 0, ""
                for number, line in enumerate(lines, 1):
                    if not line.startswith(LICENSE_INDENT):
                        yield _lemmas_of(path, number, line)
                        synsets += 1
        except FileNotFoundError:
            raise ArtifactError(
                f"{path}: no such file", "install Debian's wordnet-base, or unpack WordNet 3.0 and give its dict folder"
            ) from None
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{path}: not a data file of WordNet: {error}") from error
        if line and not line.endswith("\n"):
            raise ArtifactError(
                f"{path}: truncated: the last line ({number:,}) does not end with a line break", "copy or download it again"
            )
        if not synsets:
            raise ArtifactError(f"{path}: not a data file of WordNet: no synset in its {number} lines")


def _lemmas_of(path: Path, number: int, line: str) -> list[str]:
    start = SYNSET.match(line)
    count = 0 if start is None else int(start[1], 16)
    fields = line.split(" ", FIRST_LEMMA + 2 * count)
    if count == 0 or len(fields) <= FIRST_LEMMA + 2 * count:
        raise ArtifactError(
            f"{path}: not a data file of WordNet: line {number:,} is {line[:60]!r}",
            "a synset begins with its offset, as in '00001740 03 n 01'",
        )
    return [MARKER.sub("", lemma).replace("_", " ") for lemma in fields[FIRST_LEMMA:-1:2]]
