"""A check of an entry list before it is used: entries that no caption can match, near duplicates, and other oddities.

The check changes and refuses nothing: a list can be right with all of them.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import get_args

import msgspec

from tallyclip.core.data import Metadata
from tallyclip.lists.assemble import LONGEST_ENTRY, unfit
from tallyclip.lists.classes import class_lists, packaged_lines
from tallyclip.lists.compare import Found, found, sample, sources_of, spread
from tallyclip.match.coverage import unmatchable_entries
from tallyclip.match.reference import Mode
from tallyclip.wording import plural

MODES: tuple[Mode, ...] = get_args(Mode)
JOINERS = "\u200c\u200d"  # format characters that belong to words of some scripts, and to emoji


class UnmatchableEntries(Found, kw_only=True):
    """Entries that no caption can match, and why: "the entry ``reason``"."""

    reason: str


class UnmatchableByReason(msgspec.Struct, kw_only=True):
    """How many entries no caption can match, in all and by reason."""

    count: int
    reasons: list[UnmatchableEntries]


class SourceCheck(msgspec.Struct, kw_only=True):
    """The entries of one source, and those that no caption can match, by matching mode."""

    source: str
    entries: int
    unmatchable: dict[str, UnmatchableByReason]


class Repeats(msgspec.Struct, kw_only=True):
    """Entries that equal an earlier one by some rule.

    Attributes:
        count: how many, without the first of each group.
        groups: up to 20 groups of equal entries.
    """

    count: int
    groups: list[list[str]]


class ClassNames(msgspec.Struct, kw_only=True):
    """How many different names of a list of class names are entries, how many only in another case, and which are not."""

    name: str
    names: int
    exact: int
    folded: int
    missing: Found


class Check(msgspec.Struct, kw_only=True):
    """A report on an entry list.

    Attributes:
        entries: the size of the list.
        sources: each source, in the order of the list.
        case_repeats: entries that differ from an earlier one only in case.
        nfc_repeats: entries that look like an earlier one, and differ only in their Unicode normalization.
        not_nfc: entries that are not in Unicode's normal form C; most captions are, and do not match them.
        long, marks: entries of more than 256 characters, and of only punctuation; a built list has neither.
        spaces: entries with spaces at an end, or two in a row.
        controls: entries with control or format characters, other than joiners.
        stop_words: entries that are English function words. They do no harm: the draw makes each as rare as any other entry, and
            removing them changed almost nothing (arXiv 2309.16671, appendix A.7).
        single: entries of one character.
        numerals: entries of only decimal digits.
        classes: what the list has of each list of class names.
        findings: a summary in words, the most important first.
    """

    entries: int
    sources: list[SourceCheck]
    case_repeats: Repeats
    nfc_repeats: Repeats
    not_nfc: Found
    long: Found
    marks: Found
    spaces: Found
    controls: Found
    stop_words: Found
    single: Found
    numerals: Found
    classes: list[ClassNames]
    findings: list[str]


def check(metadata: Metadata, classes: Mapping[str, Sequence[str]] | None = None) -> Check:
    """Check an entry list.

    Args:
        metadata: the list.
        classes: class names to look for, by the name of their list; the bundled ones if None.

    >>> check(Metadata(["dog", "St. Louis", "Dog"]), {}).findings[0]
    '1 of 3 entries (33.3%) can never be matched in exact mode, 1 in casefold mode; in spaced-entries mode all of them can match'
    """
    entries = metadata.entries
    folded = {entry.casefold() for entry in entries}
    stop_words = frozenset(packaged_lines("stop-words.txt"))
    report = Check(
        entries=len(metadata),
        sources=_sources(metadata),
        case_repeats=_repeats(entries, str.casefold),
        nfc_repeats=_repeats(entries, lambda entry: unicodedata.normalize("NFC", entry)),
        not_nfc=_those(metadata, lambda entry: not unicodedata.is_normalized("NFC", entry)),
        long=_those(metadata, lambda entry: len(entry) > LONGEST_ENTRY),
        marks=_those(metadata, _is_marks),
        spaces=_those(metadata, lambda entry: "  " in entry or entry != entry.strip()),
        controls=_those(metadata, _has_control),
        stop_words=_those(metadata, stop_words.__contains__),
        single=_those(metadata, lambda entry: len(entry) == 1),
        numerals=_those(metadata, str.isdecimal),
        classes=[
            _class_names(name, names, frozenset(entries), folded) for name, names in (class_lists() if classes is None else classes).items()
        ],
        findings=[],
    )
    report.findings = _findings(report)
    return report


def _those(metadata: Metadata, is_one: Callable[[str], bool]) -> Found:
    return found(metadata, [i for i, entry in enumerate(metadata.entries) if is_one(entry)])


def _sources(metadata: Metadata) -> list[SourceCheck]:
    names = sources_of(metadata)
    sources = {
        name: SourceCheck(source=name, entries=size, unmatchable={mode: UnmatchableByReason(count=0, reasons=[]) for mode in MODES})
        for name, size in Counter(names).items()
    }
    for mode in MODES:
        for reason, ids in unmatchable_entries(metadata.entries, mode).items():
            for name, group in groupby(sorted(ids, key=names.__getitem__), key=names.__getitem__):  # a stable sort: ids stay in order
                some = found(metadata, list(group))
                unmatchable = sources[name].unmatchable[mode]
                unmatchable.count += some.count
                unmatchable.reasons.append(UnmatchableEntries(reason=reason, count=some.count, samples=some.samples))
    return list(sources.values())


def _repeats(entries: Sequence[str], rule: Callable[[str], str]) -> Repeats:
    first: dict[str, int] = {}
    alike: dict[int, list[int]] = {}
    for i, entry in enumerate(entries):
        earliest = first.setdefault(rule(entry), i)
        if earliest != i:
            alike.setdefault(earliest, [earliest]).append(i)
    groups = [alike[earliest] for earliest in sorted(alike)]
    shown = [[sample(entries[i]) for i in spread(group)] for group in spread(groups)]
    return Repeats(count=sum(map(len, groups)) - len(groups), groups=shown)


def _is_marks(entry: str) -> bool:
    if entry[0].isalnum():  # true of nearly every entry
        return False
    return len(entry) <= LONGEST_ENTRY and unfit(entry) is not None


def _has_control(entry: str) -> bool:
    if entry.isprintable():  # a space is printable, but no other control, format or space character
        return False
    return any(c not in JOINERS and unicodedata.category(c) in ("Cc", "Cf") for c in entry)


def _class_names(name: str, names: Iterable[str], entries: frozenset[str], folded: set[str]) -> ClassNames:
    different = list(dict.fromkeys(names))
    absent = [one for one in different if one not in entries]
    missing = [one for one in absent if one.casefold() not in folded]
    return ClassNames(
        name=sample(name),
        names=len(different),
        exact=len(different) - len(absent),
        folded=len(absent) - len(missing),
        missing=Found(count=len(missing), samples=[sample(one) for one in spread(missing)]),
    )


def _findings(report: Check) -> list[str]:
    def of_all(count: int) -> str:
        share = count / report.entries
        return f"{count:,} of {plural(report.entries, 'entry', 'entries')} ({'under 0.1%' if share < 0.001 else f'{share:.1%}'})"

    never = {mode: sum(source.unmatchable[mode].count for source in report.sources) for mode in MODES}
    kinds = [
        (
            never["exact"],
            f"can never be matched in exact mode, {never['casefold']:,} in casefold mode; in spaced-entries mode all of them can match",
        ),
        (report.not_nfc.count, "are not in Unicode's form NFC: most captions are, and do not match them"),
        (report.controls.count, "have invisible control or format characters: only captions with the same characters match them"),
        (report.spaces.count, "have spaces at an end or two in a row: captions seldom match them"),
        (report.marks.count, "are only punctuation"),
        (report.long.count, f"are longer than {LONGEST_ENTRY} characters: captions seldom match them"),
        (report.nfc_repeats.count, "look like an earlier one, and differ only in their Unicode normalization"),
        (report.case_repeats.count, "differ from an earlier one only in case: in casefold mode the same captions match both"),
    ]
    lines = [f"{of_all(count)} {what}" for count, what in kinds if count]
    if not lines:
        lines.append("no problems: every entry can be matched in every mode, and no two are alike")
    for names in report.classes:
        other_case = f", and {names.folded:,} more in another case" if names.folded else ""
        lines.append(f"{names.exact:,} of {plural(names.names, 'class name')} of {names.name!r} are entries{other_case}")
    if report.stop_words.count:
        stop_words = plural(report.stop_words.count, "entry is an English stop word", "entries are English stop words")
        lines.append(f"{stop_words}, which does no harm: the draw makes them rare")
    return lines
