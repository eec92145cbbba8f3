"""What is to be said of an entry list before it is used: entries that no text can name, entries that say the same, what else stands out.

Nothing here is changed or refused: some lists are as they should be with all of it.
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

MODES: tuple[Mode, ...] = get_args(Mode)
JOINERS = "\u200c\u200d"  # format characters that words of some scripts, and emoji, are written with


class Reason(Found, kw_only=True):
    """Entries that no text can name, and why: "the entry ``reason``"."""

    reason: str


class Unmatchable(msgspec.Struct, kw_only=True):
    """How many entries no text can name, for every reason there is."""

    count: int
    reasons: list[Reason]


class Source(msgspec.Struct, kw_only=True):
    """The entries of one source, and by the mode of matching those of them that no text can name."""

    source: str
    entries: int
    unmatchable: dict[str, Unmatchable]


class Repeats(msgspec.Struct, kw_only=True):
    """Entries that are written like an earlier one by some rule.

    Attributes:
        count: how many, the first of each kind not counted.
        groups: up to 20 kinds, each with its entries.
    """

    count: int
    groups: list[list[str]]


class ClassNames(msgspec.Struct, kw_only=True):
    """How many of a list's different names are entries, how many are but for their case, and which are not."""

    name: str
    names: int
    exact: int
    folded: int
    missing: Found


class Check(msgspec.Struct, kw_only=True):
    """A report on an entry list.

    Attributes:
        entries: the size of the list.
        sources: each source of it, in the order of the list.
        case_repeats: entries that differ from an earlier one in case alone.
        nfc_repeats: entries that differ from an earlier one in nothing that can be seen, only in how Unicode writes it.
        not_nfc: entries that are not in Unicode's normal form C, as most texts are; such a text does not name them.
        long, marks: entries of more than 256 characters, and of punctuation alone; a built list has neither.
        spaces: entries with blanks at an end, or two in a row.
        controls: entries with control or format characters, those that join or part letters aside.
        stop_words: entries that are function words of English. They do no harm: the draw makes each as rare as any other, and that
            removing them changes almost nothing was tried (arXiv 2309.16671, appendix A.7).
        single: entries of one character.
        numerals: entries of decimal digits alone.
        classes: what the list has of each list of class names.
        findings: the same in plain words, what matters most first.
    """

    entries: int
    sources: list[Source]
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
    """Look through an entry list.

    Args:
        metadata: the list.
        classes: lists of names to look for, by their name; the bundled ones if None.

    >>> check(Metadata(["dog", "St. Louis", "Dog"]), {}).findings[0]
    '1 of 3 entries (33.3%) can never be matched in exact mode, 1 in casefold mode; spaced-entries mode has a use for all of them'
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


def _sources(metadata: Metadata) -> list[Source]:
    names = sources_of(metadata)
    sources = {
        name: Source(source=name, entries=size, unmatchable={mode: Unmatchable(count=0, reasons=[]) for mode in MODES})
        for name, size in Counter(names).items()
    }
    for mode in MODES:
        for reason, ids in unmatchable_entries(metadata.entries, mode).items():
            for name, group in groupby(sorted(ids, key=names.__getitem__), key=names.__getitem__):  # a sort that keeps the ids' order
                some = found(metadata, list(group))
                unmatchable = sources[name].unmatchable[mode]
                unmatchable.count += some.count
                unmatchable.reasons.append(Reason(reason=reason, count=some.count, samples=some.samples))
    return list(sources.values())


def _repeats(entries: Sequence[str], rule: Callable[[str], str]) -> Repeats:
    first: dict[str, int] = {}
    kinds: dict[int, list[int]] = {}
    for i, entry in enumerate(entries):
        earliest = first.setdefault(rule(entry), i)
        if earliest != i:
            kinds.setdefault(earliest, [earliest]).append(i)
    groups = [kinds[earliest] for earliest in sorted(kinds)]
    shown = [[sample(entries[i]) for i in spread(group)] for group in spread(groups)]
    return Repeats(count=sum(map(len, groups)) - len(groups), groups=shown)


def _is_marks(entry: str) -> bool:
    if entry[0].isalnum():  # as of nearly every entry
        return False
    return len(entry) <= LONGEST_ENTRY and unfit(entry) is not None


def _has_control(entry: str) -> bool:
    if entry.isprintable():  # which a space is, but no other control, format or blank character
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
        return f"{count:,} of {report.entries:,} entries ({'under 0.1%' if share < 0.001 else f'{share:.1%}'})"

    never = {mode: sum(source.unmatchable[mode].count for source in report.sources) for mode in MODES}
    said = [
        (
            never["exact"],
            f"can never be matched in exact mode, {never['casefold']:,} in casefold mode; spaced-entries mode has a use for all of them",
        ),
        (report.not_nfc.count, "are not in Unicode's form NFC: texts in it, as most are, do not name them"),
        (report.controls.count, "have control or format characters that cannot be seen: texts have to have the same to name them"),
        (report.spaces.count, "have spaces at an end or two in a row: texts seldom name them"),
        (report.marks.count, "are punctuation alone"),
        (report.long.count, f"are longer than {LONGEST_ENTRY} characters: texts seldom name them"),
        (report.nfc_repeats.count, "look like an earlier one, and Unicode writes them in another way"),
        (report.case_repeats.count, "differ from an earlier one in case alone: in casefold mode the same texts name both"),
    ]
    lines = [f"{of_all(count)} {what}" for count, what in said if count]
    if not lines:
        lines.append("nothing is wrong with this list: every entry can be matched in every mode, and no two say the same")
    for names in report.classes:
        but_for_case = f", and {names.folded:,} more but for their case" if names.folded else ""
        lines.append(f"{names.exact:,} of {names.names:,} class names of {names.name!r} are entries{but_for_case}")
    if report.stop_words.count:
        lines.append(f"{report.stop_words.count:,} entries are stop words of English, which does no harm: the draw makes them rare")
    return lines
