"""The entries that WordNet gives, from its database files (``data.noun`` and the others, as in Debian's ``wordnet-base``).

The bundled list was made with ``python -m tallyclip.metadata.wordnet FOLDER OUT``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import zstandard

from tallyclip.data import Metadata
from tallyclip.errors import ArtefactError

PARTS = ("noun", "verb", "adj", "adv")
NUMERALS = [str(number) for number in range(100)]
MARKER = re.compile(r"\((?:a|p|ip)\)$")  # of an adjective: where it may stand
LICENCE_INDENT = "  "  # the files begin with the licence, and only its lines begin with spaces
FIRST_LEMMA = 4  # the field of a synset's line: offset, file, kind, number of lemmas, lemma


def wordnet_entries(folder: Path) -> Metadata:
    """The numerals "0" to "99" and the name of every synset: its first lemma without marker, in lower case, up to the first full stop,
    with spaces for underscores; of repeats the first stays. WordNet 3.0 gives 86,654 (Table 1 of arXiv 2309.16671).

    Args:
        folder: where ``data.noun``, ``data.verb``, ``data.adj`` and ``data.adv`` are.

    Raises:
        ArtefactError: one of the files is missing or not WordNet's.
    """
    names = [*NUMERALS, *(name for part in PARTS for name in _synset_names(folder / f"data.{part}"))]
    return Metadata(names, sources=["wordnet"] * len(names), clean=True)


def _synset_names(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if not line.startswith(LICENCE_INDENT):
                    lemma = MARKER.sub("", line.split(" ", FIRST_LEMMA + 1)[FIRST_LEMMA])
                    yield lemma.lower().split(".")[0].replace("_", " ")
    except FileNotFoundError:
        raise ArtefactError(
            f"{path}: no such file", "install Debian's wordnet-base, or unpack WordNet 3.0 and give its dict folder"
        ) from None
    except (IndexError, UnicodeDecodeError) as error:
        raise ArtefactError(f"{path}: not a data file of WordNet: {error}") from error


def main(folder: str, out: str) -> None:
    """Write the list as the package holds it."""
    text = "".join(f"{entry}\n" for entry in wordnet_entries(Path(folder)).entries)
    Path(out).write_bytes(zstandard.ZstdCompressor(level=19).compress(text.encode()))


if __name__ == "__main__":
    main(*sys.argv[1:])
