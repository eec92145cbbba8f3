"""From a recipe to an entry list: finds and counts inputs, ranks candidates, and combines the sources."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from tallyclip.errors import SourceError
from tallyclip.flows.checksums import check_inputs
from tallyclip.lists.inputs import Input, Inputs, find_all
from tallyclip.lists.languages import Language
from tallyclip.lists.pageviews import ViewChoice
from tallyclip.lists.recipe import Recipe, filled
from tallyclip.lists.segment import parted_by
from tallyclip.lists.texts import parts_of
from tallyclip.run.engine import make
from tallyclip.run.stage import Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.entry_list import ENTRY_LIST, UNICODE, ListManifest, ListOptions, manifest_of, wordnet_names
from tallyclip.stages.ngrams import (
    TITLE_VIEWS,
    WORD_COUNTS,
    CountOptions,
    InputPart,
    TableJob,
    TextJob,
    Unreadable,
    ViewsJob,
    memory_of_a_worker,
)


def build_list(
    run: Workspace, recipe: Recipe, language: Language, folder: Path, memory: int, *, accept_failed: bool = False
) -> ListManifest:
    """Build a list, and write it with its manifest.

    Args:
        run: the build folder.
        recipe: the sources and their limits.
        language: the language of the list.
        folder: the folder that the recipe's file names are relative to.
        memory: bytes for counting, in all workers together.
        accept_failed: continue without inputs that cannot be read.

    Raises:
        OptionError: an input is missing, or the memory is too little.
        ArtifactError: a file of WordNet is broken.
        IncompleteError: inputs could not be read and this was not accepted, or the list has no entries.
    """
    share = memory_of_a_worker(memory, run.runner.count)
    if recipe.wordnet is not None and language.wordnet is None and any("{wordnet}" in name for name in recipe.wordnet.files):
        run.progress.note(f"{language.name} is not in the Open Multilingual WordNet: the list is built without WordNet")
        recipe = msgspec.structs.replace(recipe, wordnet=None)
    paths = find_all(recipe, language, folder, run.is_own)
    run.create(paths.all(), len(paths.all()))
    files = check_inputs(run, paths.all())
    if recipe.wordnet is not None:  # refuse a broken WordNet before anything is counted
        for _ in wordnet_names(recipe.wordnet, paths.wordnet, Counter()):
            pass

    def count(stage: Stage, parts: list[InputPart]) -> None:
        make(run, stage, CountOptions(parts, share), accept_failed=accept_failed)

    if recipe.unigrams is not None or recipe.bigrams is not None:
        count(WORD_COUNTS, _text_parts(paths, files, language))
    rule = recipe.titles
    if rule is not None:
        choice = ViewChoice(filled(rule.project, language), rule.mobile, rule.min_hourly_views, rule.colons, rule.namespaces)
        count(TITLE_VIEWS, [InputPart(ViewsJob(path, choice), files[path].size, files[path].checksum) for path in paths.titles])
    make(run, ENTRY_LIST, ListOptions(recipe, language, paths, files))
    return manifest_of(run)


def _text_parts(paths: Inputs, files: dict[str, Input], language: Language) -> list[InputPart]:
    """The parts of all inputs of words and phrases. A file that is not a text is a part that fails."""
    parts: list[InputPart] = []
    means = f"{parted_by(language)}, {UNICODE}"
    for path in paths.text:
        try:
            parts += [InputPart(TextJob(part, language.code), part.size, files[path].checksum, means) for part in parts_of(path)]
        except SourceError as error:
            parts.append(InputPart(Unreadable(path, error.what, error.hint), 0, files[path].checksum))
    for pairs, tables in ((False, paths.unigrams), (True, paths.bigrams)):
        parts += [InputPart(TableJob(path, pairs), files[path].size, files[path].checksum) for path in tables]
    return parts
