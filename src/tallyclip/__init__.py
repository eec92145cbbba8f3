"""tallyclip: tally the entries, clip the head.

Curates image-text data for CLIP-like models as "Demystifying CLIP Data" (MetaCLIP, arXiv 2309.16671) does. The core is a row of plain
functions, arrays in and arrays out:

    captions ─ Matcher.match ─→ Matches ─ count_entries ─→ counts ─ entry_probability ─→ p
                                   └──────── keep_probability(matches, p) ─→ keep ─ draw(keep, uids, seed) ─→ kept

``curate``, and its steps ``match_pool``, ``count``, ``plan``, ``balance`` and ``card``, do this from files to files, as the commands do;
``export_downloads`` and the other exports write what comes of it for other tools.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallyclip.api import Run, balance, card, count, curate, diff, evaluate, make_pool, match_pool, plan, status, survivors
    from tallyclip.core.balance import draw, entry_probability, keep_probability, pick_one
    from tallyclip.core.counts import count_entries, tail_share, threshold_for_tail
    from tallyclip.core.data import Matches, Metadata
    from tallyclip.core.exact import threshold_for_exactly
    from tallyclip.core.plan import expected_size, threshold_for_size
    from tallyclip.core.uids import make_uids, parse_uids, uid_strings
    from tallyclip.errors import (
        ArgumentTypeError,
        ArtifactError,
        IncompleteError,
        MissingExtraError,
        OptionError,
        OutputError,
        SourceError,
        StaleError,
        TallyclipError,
    )
    from tallyclip.exports import Export, export_downloads, export_index, export_subset, export_uids, export_webdataset
    from tallyclip.match.matcher import Matcher
    from tallyclip.match.reference import match_reference

__version__ = "0.1.0"

__all__ = [
    "ArgumentTypeError",
    "ArtifactError",
    "Export",
    "IncompleteError",
    "Matcher",
    "Matches",
    "Metadata",
    "MissingExtraError",
    "OptionError",
    "OutputError",
    "Run",
    "SourceError",
    "StaleError",
    "TallyclipError",
    "__version__",
    "balance",
    "card",
    "count",
    "count_entries",
    "curate",
    "diff",
    "draw",
    "entry_probability",
    "evaluate",
    "expected_size",
    "export_downloads",
    "export_index",
    "export_subset",
    "export_uids",
    "export_webdataset",
    "keep_probability",
    "make_pool",
    "make_uids",
    "match_pool",
    "match_reference",
    "parse_uids",
    "pick_one",
    "plan",
    "status",
    "survivors",
    "tail_share",
    "threshold_for_exactly",
    "threshold_for_size",
    "threshold_for_tail",
    "uid_strings",
]

# Where each name lives. It is imported when it is first asked for: the command line needs only some of them, and some take half a second.
_HOMES = {
    "tallyclip.api": (
        "Run",
        "balance",
        "card",
        "count",
        "curate",
        "diff",
        "evaluate",
        "make_pool",
        "match_pool",
        "plan",
        "status",
        "survivors",
    ),
    "tallyclip.core.balance": ("draw", "entry_probability", "keep_probability", "pick_one"),
    "tallyclip.core.counts": ("count_entries", "tail_share", "threshold_for_tail"),
    "tallyclip.core.data": ("Matches", "Metadata"),
    "tallyclip.errors": (
        "ArgumentTypeError",
        "ArtifactError",
        "IncompleteError",
        "MissingExtraError",
        "OptionError",
        "OutputError",
        "SourceError",
        "StaleError",
        "TallyclipError",
    ),
    "tallyclip.exports": ("Export", "export_downloads", "export_index", "export_subset", "export_uids", "export_webdataset"),
    "tallyclip.match.matcher": ("Matcher",),
    "tallyclip.match.reference": ("match_reference",),
    "tallyclip.core.exact": ("threshold_for_exactly",),
    "tallyclip.core.plan": ("expected_size", "threshold_for_size"),
    "tallyclip.core.uids": ("make_uids", "parse_uids", "uid_strings"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
