"""Tables on screen: the sources of a built entry list, and the files to fetch for one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from tallyclip.cli.show import in_lines
from tallyclip.cli.tables import ScreenTable
from tallyclip.escaping import printable
from tallyclip.lists.servers import RemoteFile
from tallyclip.report.numbers import percent, size
from tallyclip.stages.entry_list import ListManifest
from tallyclip.wording import plural

NAMES = {
    "numeral": "numerals",
    "wordnet": "WordNet",
    "unigram": "unigrams",
    "bigram": "bigrams",
    "title": "titles",
}
# Table 1 of "Demystifying CLIP Data" (arXiv 2309.16671), whose 86,654 entries from WordNet include the numerals.
PAPER = {"numeral": 100, "wordnet": 86_554, "unigram": 251_465, "bigram": 100_646, "title": 61_235}


def table_1(manifest: ListManifest) -> RenderableType:
    """The entries of a list by source; for English, beside those of the paper."""
    table = ScreenTable()
    table.add_texts("source")
    table.add_numbers("entries", "share", "matchable", "distinct", "repeats")
    beside = manifest.language["code"] == "en"
    if beside:
        table.add_numbers("paper", style="dim")
    for report in manifest.sources:
        cells = (
            NAMES[report.source],
            f"{report.entries:,}",
            percent(report.entries, manifest.entries),
            f"{report.matchable:,}",
            f"{report.facts['different']:,}" if "different" in report.facts else "",
            f"{report.repeats:,}" if report.repeats else "",
        )
        table.add_row(*cells, *([f"{PAPER[report.source]:,}"] if beside else []))
    matchable = sum(report.matchable for report in manifest.sources)
    all_of_paper = [f"{sum(PAPER.values()):,}"] if beside else []
    table.add_row("total", f"{manifest.entries:,}", "", f"{matchable:,}", "", "", *all_of_paper, style="bold")
    return table


def built_of(manifest: ListManifest, folder: Path) -> str:
    """The lines below the table of a list."""
    lines = [*_texts(manifest), *_scores(manifest), *_drops(manifest)]
    empty = [NAMES[report.source] for report in manifest.sources if not report.entries]
    if empty:
        lines.append(f"no entries   from {', '.join(empty)}")
    if manifest.failed:
        lines.append(f"unreadable   {plural(len(manifest.failed), 'part')}, such as {manifest.failed[0]}")
    language = manifest.language
    lines += [
        f"language     {language['name']} ({language['code']}), script {language['script']}, words separated by {language['words']}",
        f"fingerprint  {manifest.fingerprint}",
        f"list         {folder}/metadata.parquet",
        f"inputs       {plural(len(manifest.inputs), 'file')}, see {folder}/manifest.json",
    ]
    return in_lines(lines)


def _scores(manifest: ListManifest) -> list[str]:
    """How pairs of words were ranked, and why."""
    facts = next((report.facts for report in manifest.sources if report.source == "bigram"), {})
    if "score" not in facts:
        return []
    if facts["score"] == "pmi":
        pairs, least = plural(facts["candidates"], "pair has", "pairs have"), manifest.recipe["bigrams"]["min_pmi"]
        return [f"bigrams      ranked by PMI: {pairs} a PMI of {least:g} or more"]
    return [f"bigrams      {facts.get('instead of pmi', 'ranked by the damped score')}"]


def _texts(manifest: ListManifest) -> list[str]:
    texts = manifest.texts
    if not texts:
        return []
    pages = f"{plural(texts['pages'], 'page')}, {texts['articles']:,} of them articles, with " if texts["pages"] else ""
    return [f"counted      {pages}{plural(texts['words'], 'word')}"]


def _drops(manifest: ListManifest) -> list[str]:
    """Dropped records, and candidates that cannot be entries."""
    drops = Counter[str](manifest.texts.get("drops", {}))
    unfit = Counter[str]()
    for report in manifest.sources:
        drops.update(report.drops)
        unfit.update(report.unfit)
    counts = (("dropped", drops), ("unfit", unfit))
    return [f"{what:<13}{', '.join(f'{times:,} {reason}' for reason, times in sorted(some.items()))}" for what, some in counts if some]


def files_table(files: Sequence[RemoteFile], folder: Path) -> RenderableType:
    """The files to fetch, by target folder."""
    table = ScreenTable()
    table.add_texts("folder")
    table.add_numbers("files", "size", "checksums")
    table.add_texts("license")
    groups: dict[str, list[RemoteFile]] = {}
    for file in files:
        groups.setdefault(file.target.rpartition("/")[0], []).append(file)
    for target, some in groups.items():
        checked = sum(file.checksum is not None for file in some)
        licenses = ", ".join(sorted({file.license for file in some}))
        table.add_row(Text(printable(f"{folder}/{target}")), f"{len(some):,}", _size(some), f"{checked:,}", Text(printable(licenses)))
    if len(groups) > 1:
        table.add_row("total", f"{len(files):,}", _size(files), f"{sum(file.checksum is not None for file in files):,}", style="bold")
    return table


def _size(files: Sequence[RemoteFile]) -> str:
    """The total size of files, as far as servers give it."""
    text = size(sum(file.size or 0 for file in files))
    return text if all(file.size is not None for file in files) else f"at least {text}"
