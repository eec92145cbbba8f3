"""The stage of the entry list: candidates are ranked, and sources put together within their budgets."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from tallyclip.errors import ArtifactError, IncompleteError
from tallyclip.io.artifacts import check_unicode
from tallyclip.io.files import write_json
from tallyclip.io.structs import read_struct
from tallyclip.lists.assemble import EntryList, SourceCounts, least
from tallyclip.lists.choose import WordList, best_pairs, most_frequent, share_of
from tallyclip.lists.inputs import DATABASE, Input, Inputs
from tallyclip.lists.languages import Language
from tallyclip.lists.ngrams.buckets import Buckets, NgramCounts
from tallyclip.lists.omw import lemmas as omw_lemmas
from tallyclip.lists.omw import read_header
from tallyclip.lists.recipe import Recipe, WordNet
from tallyclip.lists.segment import parted_by
from tallyclip.lists.wordnet import NUMERALS, lemmas, synset_names
from tallyclip.match.coverage import why_unmatchable
from tallyclip.readers.run_folders import LIST, LIST_MANIFEST
from tallyclip.run.items import StageFolder
from tallyclip.run.stage import Finished, Making, Stage
from tallyclip.run.versions import versions
from tallyclip.run.workspace import Workspace
from tallyclip.stages.ngrams import COMMAND, TITLE_VIEWS, WORD_COUNTS
from tallyclip.wording import plural

NOTHING: Mapping[str, Any] = MappingProxyType({})
UNICODE = f"Unicode {unicodedata.unidata_version}"


class ListFolder(StageFolder):
    """The list, and what it is made of; both are published beside the stage's folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.entries = path / LIST
        self.list_manifest = path / LIST_MANIFEST


@dataclass(frozen=True)
class ListOptions:
    """A recipe, the language of the list, the files that the recipe names, and these with their checksums."""

    recipe: Recipe
    language: Language
    paths: Inputs
    files: Mapping[str, Input]


class SourceReport(msgspec.Struct):
    """A line of the list's Table 1.

    Attributes:
        source: its name.
        entries: how many it gave.
        matchable: how many of these some text can name in exact mode.
        repeats, unfit: candidates that were passed over: in the list before, or no entries.
        facts: how its candidates came about.
        drops: records that could not be used, by reason.
    """

    source: str
    entries: int
    matchable: int
    repeats: int
    unfit: dict[str, int]
    facts: dict[str, Any]
    drops: dict[str, int]


class ListInput(msgspec.Struct):
    """A file that a list was made of."""

    path: str
    size: int
    checksum: str
    used_for: str
    license: str | None


class ListManifest(msgspec.Struct):
    """What a list is made of."""

    language: dict[str, Any]
    entries: int
    fingerprint: str
    sources: list[SourceReport]
    texts: dict[str, Any]
    inputs: list[ListInput]
    failed: list[str]
    recipe: dict[str, Any]
    command: list[str]
    versions: dict[str, str]
    finished: str


@dataclass
class _Growing:
    """A list on its way, source by source."""

    run: Workspace
    recipe: Recipe
    paths: Inputs
    entries: EntryList
    reports: list[SourceReport] = field(default_factory=list[SourceReport])
    texts: dict[str, Any] = field(default_factory=dict[str, Any])
    failed: list[str] = field(default_factory=list[str])

    def take_names(self) -> None:
        """Numerals, and the names of WordNet."""
        if self.recipe.numerals:
            self._report(self.entries.take("numeral", ((name, None) for name in NUMERALS)))
        rule = self.recipe.wordnet
        if rule is not None:
            drops = Counter[str]()
            names = wordnet_names(rule, self.paths.wordnet, drops)
            self._report(self.entries.take("wordnet", names, rule.limit), {"names": rule.names}, drops)

    def take_words_and_phrases(self) -> None:
        """The most frequent words of all texts, and the best pairs of them."""
        unigrams, bigrams = self.recipe.unigrams, self.recipe.bigrams
        if unigrams is None and bigrams is None:
            return
        buckets, counts = self._counts(WORD_COUNTS)
        self.texts = {**msgspec.to_builtins(counts.texts), "words": counts.total, "drops": counts.drops}
        words = WordList(buckets, len(counts.words))
        given = 0
        if unigrams is not None:
            ranked = most_frequent(words, unigrams.min_count, unigrams.top, self.entries.wanted(unigrams.limit))
            given = self._report(self.entries.take("unigram", ranked.entries, unigrams.limit), ranked.facts)
        if bigrams is not None:
            limit = least(bigrams.limit, None if bigrams.per_unigram is None else share_of(given, bigrams.per_unigram))
            passes = 1 if bigrams.score == "pmi" else 2
            self.run.progress.start(ENTRY_LIST.name, 0, 0, sum(counts.pairs) * passes, "pairs")
            ranked = best_pairs(buckets, counts, words, bigrams, self.entries.wanted(limit), self.run.progress.advance)
            self._report(self.entries.take("bigram", ranked.entries, limit), ranked.facts)

    def take_titles(self) -> None:
        """The titles with most views."""
        rule = self.recipe.titles
        if rule is None:
            return
        buckets, views = self._counts(TITLE_VIEWS)
        ranked = most_frequent(WordList(buckets, len(views.words)), rule.min_views, rule.top, self.entries.wanted(rule.limit))
        self._report(self.entries.take("title", ranked.entries, rule.limit), ranked.facts, views.drops)

    def dropped(self) -> str:
        """What could not be used, for a message."""
        drops = Counter[str](self.texts.get("drops", {}))
        for report in self.reports:
            drops.update(report.drops)
        return f"; dropped: {', '.join(f'{times:,} {reason}' for reason, times in sorted(drops.items()))}" if drops else ""

    def _counts(self, stage: Stage) -> tuple[Buckets, NgramCounts]:
        counted = self.run.required(stage)
        self.failed += sorted(counted.failed.values())
        return self.run.folder(stage).buckets, msgspec.convert(counted.result, NgramCounts)

    def _report(self, counted: SourceCounts, facts: Mapping[str, Any] = NOTHING, drops: Mapping[str, int] = NOTHING) -> int:
        """Write down what a source gave; returns how many entries that are."""
        taken = self.entries.entries[len(self.entries.entries) - counted.entries :]
        matchable = sum(why_unmatchable(entry.entry, "exact") is None for entry in taken)
        report = SourceReport(counted.source, counted.entries, matchable, counted.repeats, counted.unfit, dict(facts), dict(drops))
        self.reports.append(report)
        return counted.entries


def wordnet_names(rule: WordNet, paths: Sequence[str], drops: Counter[str]) -> Iterator[tuple[str, None]]:
    """The names of WordNet's files: the database folders first, in order of their paths."""
    folders = sorted({Path(path).parent for path in paths if Path(path).name in DATABASE})
    for folder in folders:
        yield from ((name, None) for name in (synset_names if rule.names == "synsets" else lemmas)(folder))
    for path in paths:
        if Path(path).name not in DATABASE:
            yield from ((name, None) for name in omw_lemmas(path, drops))


def _inputs(recipe: Recipe, paths: Inputs, files: Mapping[str, Input]) -> list[ListInput]:
    uses = (
        ("wordnet", paths.wordnet, recipe.wordnet),
        ("text", paths.text, recipe.text),
        ("unigrams", paths.unigrams, recipe.unigrams),
        ("bigrams", paths.bigrams, recipe.bigrams),
        ("titles", paths.titles, recipe.titles),
    )
    inputs: list[ListInput] = []
    for use, names, table in uses:
        for path in names:
            said = read_header(path).license if use == "wordnet" and Path(path).name not in DATABASE else table and table.license
            inputs.append(ListInput(path, files[path].size, files[path].checksum, use, said))
    return inputs


def _asked(_: Workspace, options: ListOptions) -> dict[str, Any]:
    return {
        "recipe": msgspec.to_builtins(options.recipe),
        "language": options.language._asdict(),
        "inputs": [msgspec.to_builtins(file) for file in _inputs(options.recipe, options.paths, options.files)],
        "characters": UNICODE,
    }


def _finish(making: Making[ListFolder, ListOptions]) -> Finished:
    run, folder, options = making.run, making.folder, making.options
    growing = _Growing(run, options.recipe, options.paths, EntryList(options.recipe.limit))
    growing.take_names()
    growing.take_words_and_phrases()
    growing.take_titles()
    if not growing.entries.entries:
        what = f"the list is empty: no source gave an entry{growing.dropped()}"
        raise IncompleteError(what, "look at the recipe's limits and least counts")
    metadata = growing.entries.metadata()
    check_unicode("the entry list", metadata.entries)
    manifest = ListManifest(
        options.language._asdict(),
        len(metadata),
        metadata.fingerprint,
        growing.reports,
        growing.texts,
        _inputs(options.recipe, options.paths, options.files),
        growing.failed,
        msgspec.to_builtins(options.recipe),
        run.command,
        versions() | {"words": parted_by(options.language), "characters": UNICODE},
        datetime.now(UTC).isoformat(timespec="seconds"),
    )
    metadata.save(folder.entries)
    write_json(folder.list_manifest, msgspec.to_builtins(manifest))
    return Finished({"entries": len(metadata)}, plural(len(metadata), "entry", "entries"), (folder.entries, folder.list_manifest))


def manifest_of(run: Workspace) -> ListManifest:
    """What the list in place is made of.

    Raises:
        ArtifactError: it is gone.
    """
    path = run.root / LIST_MANIFEST
    manifest = read_struct(path, ListManifest)
    if manifest is None:
        raise ArtifactError(f"{path} is gone", "run the same command again")
    return manifest


ENTRY_LIST = Stage(
    name="list",
    version=1,
    command=COMMAND,
    uses=(WORD_COUNTS.name, TITLE_VIEWS.name),
    folder=ListFolder,
    asked=_asked,
    finish=_finish,
    results=(LIST, LIST_MANIFEST),
)
