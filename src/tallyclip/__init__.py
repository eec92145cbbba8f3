"""tallyclip: tally the entries, clip the head.

Curates image-text data for CLIP-like models as "Demystifying CLIP Data" (MetaCLIP, arXiv 2309.16671) does. The core is a row of plain
functions, arrays in and arrays out:

    captions ─ Matcher.match ─→ Matches ─ count_entries ─→ counts ─ entry_probability ─→ p
                                   └──────── keep_probability(matches, p) ─→ keep ─ draw(keep, uids, seed) ─→ kept
"""

from tallyclip.balance import draw, entry_probability, keep_probability, pick_one
from tallyclip.counts import count_entries, tail_share, threshold_for_tail
from tallyclip.data import Matches, Metadata
from tallyclip.errors import (
    ArtefactError,
    IncompleteError,
    MissingExtraError,
    OptionError,
    OutputError,
    SourceError,
    StaleError,
    TallyclipError,
)
from tallyclip.match.matcher import Matcher
from tallyclip.match.reference import match_reference
from tallyclip.plan import expected_size, threshold_for_size
from tallyclip.uids import make_uids, parse_uids, uid_strings

__version__ = "0.1.0"

__all__ = [
    "ArtefactError",
    "IncompleteError",
    "Matcher",
    "Matches",
    "Metadata",
    "MissingExtraError",
    "OptionError",
    "OutputError",
    "SourceError",
    "StaleError",
    "TallyclipError",
    "__version__",
    "count_entries",
    "draw",
    "entry_probability",
    "expected_size",
    "keep_probability",
    "make_uids",
    "match_reference",
    "parse_uids",
    "pick_one",
    "tail_share",
    "threshold_for_size",
    "threshold_for_tail",
    "uid_strings",
]
