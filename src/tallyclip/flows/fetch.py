"""Fetches the public inputs of a recipe in parallel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tallyclip.errors import IncompleteError, OptionError
from tallyclip.io.web import POLITE
from tallyclip.lists.languages import Language
from tallyclip.lists.recipe import Recipe, filled
from tallyclip.lists.servers import RemoteFile
from tallyclip.lists.sources import FetchTask, Hosts, Wanted, fetch_task, find
from tallyclip.run.progress import Progress
from tallyclip.run.runners.base import Runner, Task, collect
from tallyclip.wording import plural


def hosts_of(choices: Sequence[str]) -> Hosts:
    """The hosts, some of them replaced by mirrors, such as "hub=https://mirror.example".

    Raises:
        OptionError: a choice has another form, or an unknown name.
    """
    known = [field.name for field in msgspec.structs.fields(Hosts)]
    chosen: dict[str, str] = {}
    for choice in choices:
        name, equals, url = choice.partition("=")
        if name not in known or not equals or not url.startswith(("http://", "https://")):
            what = "has an unknown name" if equals and name not in known else "is not of the form NAME=URL"
            raise OptionError(f"--host {choice} {what}", f"such as hub=https://mirror.example; names are {', '.join(known)}")
        chosen[name] = url
    return Hosts(**chosen)


def wanted_files(recipe: Recipe, language: Language, hosts: Hosts) -> list[RemoteFile]:
    """The files that a recipe needs, from the listings of the servers.

    Raises:
        OptionError: it needs no files, or has an invalid value.
        SourceError: a server lacks something, or does not answer.
    """
    fetch = recipe.fetch
    if fetch is None:
        raise OptionError("the recipe has no [fetch] table, so there is nothing to fetch", "see the shipped recipes, english and worldwide")
    omw = fetch.omw
    if omw is not None:
        omw = None if "{wordnet}" in omw and language.wordnet is None else filled(omw, language)
    days, hours = fetch.pageview_days, fetch.pageview_hours
    wanted = Wanted(language.code, fetch.wordnet, omw, wikipedia=fetch.wikipedia, dump=fetch.dump, pageview_days=days)
    if hours is not None:
        wanted = msgspec.structs.replace(wanted, pageview_hours=hours)
    files = find(wanted, hosts)
    if not files:
        raise OptionError("the [fetch] table of the recipe names no inputs", "see the shipped recipes, english and worldwide")
    return files


def fetch_inputs(files: Sequence[RemoteFile], folder: Path, workers: Runner, progress: Progress, *, largest: int) -> None:
    """Fetch files of at most ``largest`` bytes each. Complete files that are already there are skipped.

    Raises:
        IncompleteError: some files could not be fetched; the others were.
    """
    sizes = [file.size or 0 for file in files]
    progress.start("fetch", len(files), 0, sum(sizes) or None, "bytes")
    policy = msgspec.structs.replace(POLITE, largest=largest)
    tasks = [Task(file.target, FetchTask(file, folder, policy)) for file in files]
    _, failures = collect(workers, progress, fetch_task, tasks)
    progress.finish(f"{plural(len(files) - len(failures), 'file')} in {folder}")
    if failures:
        hint = next((failure.hint for failure in failures if failure.hint), None)
        raise IncompleteError(
            f"{len(failures):,} of {plural(len(files), 'file')} could not be fetched; the first: {failures[0].what}", hint
        )
