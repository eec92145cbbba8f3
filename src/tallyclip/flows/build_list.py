"""The whole way from a recipe to an entry list."""

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

from tallyclip.core.data import Metadata
from tallyclip.errors import IncompleteError, SourceError
from tallyclip.io.artifacts import check_unicode
from tallyclip.io.files import replacing, write_json
from tallyclip.lists.assemble import EntryList, SourceCounts, least
from tallyclip.lists.languages import Language
from tallyclip.lists.omw import lemmas as omw_lemmas
from tallyclip.lists.omw import read_header
from tallyclip.lists.pageviews import ViewChoice
from tallyclip.lists.recipe import Recipe, WordNet, filled
from tallyclip.lists.segment import parted_by
from tallyclip.lists.texts import parts_of
from tallyclip.lists.wordnet import NUMERALS, lemmas, synset_names
from tallyclip.match.coverage import why_unmatchable
from tallyclip.run.build_folder import Build
from tallyclip.run.build_layout import CountsFolder
from tallyclip.run.runners.local import Failed
from tallyclip.run.versions import versions
from tallyclip.stages.choose import WordList, best_pairs, most_frequent, share_of
from tallyclip.stages.inputs import DATABASE, Input, Inputs, check_inputs, find_all
from tallyclip.stages.ngrams import Counts, Part, count, memory_of_a_worker
from tallyclip.stages.ngrams_tasks import TableJob, TextJob, ViewsJob

NOTHING: Mapping[str, Any] = MappingProxyType({})
UNICODE = f"Unicode {unicodedata.unidata_version}"


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


def build_list(build: Build, recipe: Recipe, language: Language, folder: Path, memory: int, *, accept_failed: bool = False) -> ListManifest:
    """Build a list, and write it with its manifest.

    Args:
        build: where.
        recipe: what of.
        language: of the list.
        folder: what the recipe's file names are relative to.
        memory: bytes that counting may take, over all workers.
        accept_failed: go on without inputs that cannot be read.

    Raises:
        OptionError: an input is missing, or the memory is too little.
        ArtifactError: a file of WordNet is broken.
        IncompleteError: inputs could not be read and were not accepted, or nothing is left.
    """
    share = memory_of_a_worker(memory, build.workers.count)
    if recipe.wordnet is not None and language.wordnet is None and any("{wordnet}" in name for name in recipe.wordnet.files):
        build.progress.note(f"{language.name} has no WordNet in the Open Multilingual WordNet: the list is made without")
        recipe = msgspec.structs.replace(recipe, wordnet=None)
    paths = find_all(recipe, language, folder, build.layout)
    build.take()
    files = check_inputs(build, paths.all())
    making = _Making(build, recipe, language, paths, files, share, accept_failed, EntryList(recipe.limit))
    making.take_names()
    making.take_words_and_phrases()
    making.take_titles()
    if not making.entries.entries:
        raise IncompleteError(
            f"the list is empty: no source gave an entry{making.left_out()}", "look at the recipe's limits and least counts"
        )
    metadata = making.entries.metadata()
    check_unicode("the entry list", metadata.entries)
    manifest = ListManifest(
        language._asdict(),
        len(metadata),
        metadata.fingerprint,
        making.reports,
        making.texts,
        _inputs(recipe, paths, files),
        making.failed,
        msgspec.to_builtins(recipe),
        build.command,
        versions() | {"words": parted_by(language), "characters": UNICODE},
        datetime.now(UTC).isoformat(timespec="seconds"),
    )
    _write(build, metadata, manifest)
    return manifest


@dataclass
class _Making:
    """A list on its way, source by source."""

    build: Build
    recipe: Recipe
    language: Language
    paths: Inputs
    files: dict[str, Input]
    memory: int  # of a worker
    accept_failed: bool
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
            names = _names(rule, self.paths.wordnet, drops)
            self._report(self.entries.take("wordnet", names, rule.limit), {"names": rule.names}, drops)

    def take_words_and_phrases(self) -> None:
        """The most frequent words of all texts, and the best pairs of them."""
        unigrams, bigrams = self.recipe.unigrams, self.recipe.bigrams
        if unigrams is None and bigrams is None:
            return
        folder, counts = self._count("counts", *_text_parts(self.paths, self.files, self.language))
        self.texts = {**msgspec.to_builtins(counts.texts), "words": counts.total, "drops": counts.drops}
        words = WordList(folder, len(counts.words))
        given = 0
        if unigrams is not None:
            ranked = most_frequent(words, unigrams.min_count, unigrams.top, self.entries.wanted(unigrams.limit))
            given = self._report(self.entries.take("unigram", ranked.entries, unigrams.limit), ranked.facts)
        if bigrams is not None:
            limit = least(bigrams.limit, None if bigrams.per_unigram is None else share_of(given, bigrams.per_unigram))
            ranked = best_pairs(folder, counts, words, bigrams, self.entries.wanted(limit), self.build.progress)
            self._report(self.entries.take("bigram", ranked.entries, limit), ranked.facts)

    def take_titles(self) -> None:
        """The titles with most views."""
        rule = self.recipe.titles
        if rule is None:
            return
        choice = ViewChoice(filled(rule.project, self.language), rule.mobile, rule.min_hourly_views, rule.colons, rule.namespaces)
        parts = [Part(ViewsJob(path, choice), self.files[path].size, self.files[path].checksum) for path in self.paths.titles]
        folder, views = self._count("views", parts)
        ranked = most_frequent(WordList(folder, len(views.words)), rule.min_views, rule.top, self.entries.wanted(rule.limit))
        self._report(self.entries.take("title", ranked.entries, rule.limit), ranked.facts, views.drops)

    def left_out(self) -> str:
        """What could not be used, for a message."""
        drops = Counter[str](self.texts.get("drops", {}))
        for report in self.reports:
            drops.update(report.drops)
        return f"; left out: {', '.join(f'{times:,} {reason}' for reason, times in sorted(drops.items()))}" if drops else ""

    def _count(self, name: str, parts: list[Part], unreadable: Sequence[Failed] = ()) -> tuple[CountsFolder, Counts]:
        folder, counts = count(self.build, name, parts, unreadable, self.memory, accept_failed=self.accept_failed)
        self.failed += counts.failed
        return folder, counts

    def _report(self, counted: SourceCounts, facts: Mapping[str, Any] = NOTHING, drops: Mapping[str, int] = NOTHING) -> int:
        """Write down what a source gave; returns how many entries that are."""
        taken = self.entries.entries[len(self.entries.entries) - counted.entries :]
        matchable = sum(why_unmatchable(entry.entry, "exact") is None for entry in taken)
        report = SourceReport(counted.source, counted.entries, matchable, counted.repeats, counted.unfit, dict(facts), dict(drops))
        self.reports.append(report)
        return counted.entries


def _names(rule: WordNet, paths: Sequence[str], drops: Counter[str]) -> Iterator[tuple[str, None]]:
    """The names of WordNet's files: the database folders first, in order of their paths."""
    folders = sorted({Path(path).parent for path in paths if Path(path).name in DATABASE})
    for folder in folders:
        yield from ((name, None) for name in (synset_names if rule.names == "synsets" else lemmas)(folder))
    for path in paths:
        if Path(path).name not in DATABASE:
            yield from ((name, None) for name in omw_lemmas(path, drops))


def _text_parts(paths: Inputs, files: dict[str, Input], language: Language) -> tuple[list[Part], list[Failed]]:
    """What there is to count for words and phrases, and the files that are none of texts."""
    parts: list[Part] = []
    unreadable: list[Failed] = []
    means = f"{parted_by(language)}, {UNICODE}"
    for path in paths.text:
        try:
            parts += [Part(TextJob(part, language.code), part.size, files[path].checksum, means) for part in parts_of(path)]
        except SourceError as error:
            unreadable.append(Failed(path, error.what, error.hint))
    for pairs, tables in ((False, paths.unigrams), (True, paths.bigrams)):
        parts += [Part(TableJob(path, pairs), files[path].size, files[path].checksum) for path in tables]
    return parts, unreadable


def _inputs(recipe: Recipe, paths: Inputs, files: dict[str, Input]) -> list[ListInput]:
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
            license_ = read_header(path).license if use == "wordnet" and Path(path).name not in DATABASE else table and table.license
            inputs.append(ListInput(path, files[path].size, files[path].checksum, use, license_))
    return inputs


def _write(build: Build, metadata: Metadata, manifest: ListManifest) -> None:
    """Write the list, then its manifest: where that is, the list is whole and the one that it tells of."""
    layout = build.layout
    layout.manifest.unlink(missing_ok=True)
    with replacing(layout.metadata) as part:
        whole = part.with_name(f"{part.name}.parquet")  # whose suffix says the form
        metadata.save(whole)
        whole.replace(part)
    write_json(layout.manifest, msgspec.to_builtins(manifest))
