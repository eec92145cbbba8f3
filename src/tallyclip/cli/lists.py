"""Tables on screen: facts of entry lists; comparing, merging and checking them.

Entries may look like rich's markup, so everything from a list is put into ``Text``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest

import msgspec
import numpy as np
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tallyclip.cli.show import in_lines
from tallyclip.cli.tables import ScreenTable
from tallyclip.core.data import Metadata
from tallyclip.escaping import printable
from tallyclip.lists.check import MODES, Check, Repeats
from tallyclip.lists.compare import Difference, added
from tallyclip.match.coverage import unmatchable_entries
from tallyclip.report.numbers import percent, visible
from tallyclip.wording import plural

ROOM = 36  # cells for samples beside a table's numbers, so that a row fits in 80
LINE = 72  # cells for samples on a line of their own


class ListFacts(msgspec.Struct):
    """Facts about an entry list.

    Attributes:
        words: how many entries have so many words.
        sources: how many are from each source, if the list says so.
        unmatchable: how many no caption can match in exact mode, by reason.
    """

    list: str
    entries: int
    fingerprint: str
    words: dict[str, int]
    sources: dict[str, int] | None
    unmatchable: dict[str, int]


def facts_of(path: str, metadata: Metadata) -> ListFacts:
    """What ``metadata info`` says."""
    lengths = np.array([entry.count(" ") + 1 for entry in metadata.entries])
    words = {str(n): int(np.count_nonzero(lengths == n)) for n in (1, 2, 3)} | {"more": int(np.count_nonzero(lengths > 3))}
    named = metadata.sources
    sources = None if named is None else dict(Counter("not given" if name is None else str(name) for name in named))
    unmatchable = {reason: len(ids) for reason, ids in unmatchable_entries(metadata.entries, "exact").items()}
    return ListFacts(path, len(metadata), metadata.fingerprint, words, sources, unmatchable)


def metadata_info(facts: ListFacts, metadata: Metadata) -> str:
    """The same in lines, with examples."""
    lines = [
        f"list         {facts.list}",
        f"entries      {facts.entries:,}",
        f"fingerprint  {facts.fingerprint}",
        f"words        {', '.join(f'{count:,} with {n}' for n, count in facts.words.items())}",
        f"first        {', '.join(repr(visible(entry)) for entry in metadata.entries[:5])}",
        f"last         {', '.join(repr(visible(entry)) for entry in metadata.entries[-3:])}",
    ]
    if facts.sources is not None:
        lines.append("sources      " + ", ".join(f"{visible(name)} {count:,}" for name, count in sorted(facts.sources.items())))
    unmatchable = unmatchable_entries(metadata.entries, "exact")
    total = sum(len(ids) for ids in unmatchable.values())
    lines.append(f"unmatchable  {total:,} can never be matched in exact mode")
    for reason, ids in unmatchable.items():
        examples = ", ".join(repr(visible(metadata.entries[i])) for i in ids[:3])
        lines.append(f"             {len(ids):,}: the entry {reason}; such as {examples}")
    return in_lines(lines)


def difference_report(name_a: str, name_b: str, difference: Difference) -> RenderableType:
    """The output of ``metadata diff A B``."""
    if not difference.both:
        shared = "no entry is in both"
    else:
        order = "in the same order" if difference.same_order else "in another order"
        shared = f"{plural(difference.both, 'entry is', 'entries are')} in both, {order}"
        if difference.same_order and not difference.only_a.count and not difference.only_b.count:
            shared = f"both have the same {plural(difference.both, 'entry', 'entries')} in the same order"
    parts: list[RenderableType] = [
        Text(
            f"A  {printable(name_a)}, {plural(difference.size_a, 'entry', 'entries')}\n"
            f"B  {printable(name_b)}, {plural(difference.size_b, 'entry', 'entries')}\n{shared}"
        )
    ]
    if difference.only_a.count or difference.only_b.count:
        parts += ["", _only(difference)]
    for letter, only in (("A", difference.only_a), ("B", difference.only_b)):
        if only.count:
            parts += [Text(f"\nonly in {letter}"), _line(map(_quoted, only.samples))]
    near = difference.near_misses
    if near.count:
        pairs = [f"{_quoted(one)} ~ {_quoted(other)}" for one, other in near.samples]
        parts += [Text(f"\n{plural(near.count, 'entry of A is', 'entries of A are')} in B only in another case"), _line(pairs)]
    if difference.moved:
        table = _table("source in A -> in B", ("entries",), "examples")
        for moved in difference.moved:
            table.add_row(Text(visible(moved.change)), f"{moved.count:,}", _examples(moved.samples))
        parts += ["", table]
    return Group(*parts)


def merge_report(names: Sequence[str], lists: Sequence[Metadata], merged: Metadata) -> RenderableType:
    """The output of ``metadata merge``: the size of each list, and how many entries it adds to the lists before it."""
    table = _table("list", ("entries", "new"))
    for name, one, new in zip(names, lists, added(lists), strict=True):
        table.add_row(Text(printable(name)), f"{len(one):,}", f"{new:,}")
    table.add_row("total", "", f"{len(merged):,}", style="bold")
    lost = merged.ranks is None and any(one.ranks is not None for one in lists)
    return Group(table, Text("\nthe merged list has no ranks, since not every list has them")) if lost else table


def check_report(path: str, report: Check) -> RenderableType:
    """The output of ``metadata check``, with the findings last, just above the prompt."""
    parts: list[RenderableType] = [Text(f"{printable(path)}, {plural(report.entries, 'entry', 'entries')}\n"), _sources(report)]
    reasons = [one for source in report.sources for one in source.unmatchable["exact"].reasons]
    for reason in dict.fromkeys(one.reason for one in reasons):
        alike = [one for one in reasons if one.reason == reason]
        samples = [entry for row in zip_longest(*(one.samples for one in alike)) for entry in row if entry is not None]
        parts.append(Text(f"\n{sum(one.count for one in alike):,} can never be matched in exact mode: the entry {reason}"))
        parts.append(_line(map(_quoted, samples)))
    parts += ["", _kinds(report)]
    if report.classes:
        parts += ["", _classes(report)]
    findings = Table.grid(padding=(0, 1))
    for finding in report.findings:
        findings.add_row("-", Text(printable(finding)))
    return Group(*parts, Text("\nfindings", style="bold"), findings)


def _only(difference: Difference) -> ScreenTable:
    table = _table("source", ("only in A", "only in B"))
    counts_a, counts_b = difference.only_a.by_source, difference.only_b.by_source
    for source in dict.fromkeys([*counts_a, *counts_b]):
        table.add_row(Text(visible(source)), f"{counts_a.get(source, 0):,}", f"{counts_b.get(source, 0):,}")
    table.add_row("total", f"{difference.only_a.count:,}", f"{difference.only_b.count:,}", style="bold")
    return table


def _sources(report: Check) -> ScreenTable:
    table = _table("source", ("entries", *(f"never in {mode}" for mode in MODES)))
    for source in report.sources:
        never = [source.unmatchable[mode].count for mode in MODES]
        table.add_row(Text(visible(source.source)), f"{source.entries:,}", *(_share(count, source.entries) for count in never))
    totals = [sum(source.unmatchable[mode].count for source in report.sources) for mode in MODES]
    table.add_row("total", f"{report.entries:,}", *(_share(count, report.entries) for count in totals), style="bold")
    return table


def _kinds(report: Check) -> ScreenTable:
    table = _table("entries that", ("count",), "examples")
    for what, found, written in (
        ("repeat in other case", report.case_repeats, _quoted),
        ("repeat in other NFC form", report.nfc_repeats, ascii),  # unescaped they look the same
        ("are not in NFC", report.not_nfc, ascii),
        ("are over 256 characters", report.long, _quoted),
        ("are only punctuation", report.marks, _quoted),
        ("have odd spaces", report.spaces, _quoted),
        ("have control characters", report.controls, _quoted),
        ("are English stop words", report.stop_words, _quoted),
        ("are one character", report.single, _quoted),
        ("are numerals", report.numerals, _quoted),
    ):
        groups = found.groups if isinstance(found, Repeats) else [[entry] for entry in found.samples]
        shown = _fitting((" ~ ".join(map(written, group)) for group in groups), ROOM)
        table.add_row(what, f"{found.count:,}", shown, style="" if found.count else "dim")
    return table


def _classes(report: Check) -> ScreenTable:
    table = _table("class names", ("names", "exact", "other case", "missing"), "examples")
    for names in report.classes:
        counts = (names.names, names.exact, names.folded, names.missing.count)
        table.add_row(Text(visible(names.name)), *(f"{count:,}" for count in counts), _examples(names.missing.samples))
    return table


def _table(first: str, numbers: Sequence[str], *last: str) -> ScreenTable:
    table = ScreenTable()
    table.add_texts(first)
    table.add_numbers(*numbers)
    table.add_texts(*last)
    return table


def _share(count: int, of: int) -> str:
    return f"{count:,} ({percent(count, of)})" if count else "0"


def _quoted(entry: str) -> str:
    return f"'{visible(entry)}'"


def _examples(samples: Sequence[str]) -> Text:
    return _fitting(map(_quoted, samples), ROOM)


def _line(pieces: Iterable[str]) -> Text:
    return _fitting(pieces, LINE, "   ")


def _fitting(pieces: Iterable[str], room: int, line: str = "") -> Text:
    """As many pieces as fit, and at least the beginning of the first."""
    comma = ""
    for piece in pieces:
        if comma and cell_len(line) + cell_len(comma + piece) > room:
            break
        line, comma = line + comma + piece, ", "
    text = Text(line)
    text.truncate(room, overflow="ellipsis")
    return text
