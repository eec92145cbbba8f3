"""Making a stage: take up what is there, do the pieces of work that are left, and publish when all are done.

A process may do only its share of the pieces, beside others in the same folder (``ranks.Role``); who comes to the barrier when all are done
finds all marks, and publishes. What a piece is made of does not depend on who does it, so neither does the result.

Longer than others: what is taken up, done, missed and published is read as one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tallyclip.core.compiled import is_compiled
from tallyclip.errors import IncompleteError, StaleError
from tallyclip.io.files import with_infinity, write_json
from tallyclip.io.mirror import fetch_all, read_again, send, send_folder, size_of
from tallyclip.io.structs import fingerprint_of
from tallyclip.run.items import Failure, Source, StageFolder, Work, do_piece, piece_of_work, write_work
from tallyclip.run.manifest import Manifest, read_manifest
from tallyclip.run.progress import piece_of
from tallyclip.run.ranks import SAME_COMMAND
from tallyclip.run.runners.base import Advanced, Done, Failed, Task
from tallyclip.run.stage import Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.wording import plural

SHOWN_FAILURES = 10


def make(run: Workspace, stage: Stage, options: Any = None, *, accept_failed: bool = False) -> Manifest:
    """Make a stage, or take up what is there of it; of a stage that is shared with other processes, this one's part.

    Raises:
        IncompleteError: what it needs is not whole, or pieces failed and were not accepted.
        StaleError: a file changed or went after it was read.
        OptionError: others who share the folder were started with other options.
        PartDone: that was all that this process is to do.
    """
    run.role.comes_to(run, stage)
    with run.alone():
        begun = _begin(run, stage, options, accept_failed=accept_failed)
    if isinstance(begun, Manifest):
        manifest = begun
    else:
        run.role.may_make(run, stage)
        manifest = _make(*begun, stage, accept_failed=accept_failed)
    run.role.made(run, stage)
    return manifest


def _make(
    making: Making[Any, Any], fingerprint: str, inputs: dict[str, str], sources: dict[str, Source], stage: Stage, *, accept_failed: bool
) -> Manifest:
    run, making.accepts = making.run, accept_failed
    if not all(map(is_compiled, _awaited(run, stage))):
        run.progress.compiling()
    for number, section in enumerate(stage.sections):
        with run.alone():
            made = _of_another(making, stage, inputs)  # who may have found nothing to do in what is left
            if made is not None:
                return made
            work = _cut(making, section)
        if not work.items:
            continue
        _do(making, stage, section, work)
        run.role.did(making, stage, section, work)
        failing = making.failures.keys() & work.items.keys()  # those of sections before were accepted
        if failing and not (accept_failed and stage.reads_files and not number and len(failing) < len(work.items)):
            _refuse(making, stage, section, work)
        if section.said:
            run.progress.finish(section.said)
    if stage.sections:
        run.role.did_all(making, stage)
    with run.alone():
        return _of_another(making, stage, inputs) or _publish(making, fingerprint, inputs, sources, stage)


def _of_another(making: Making[Any, Any], stage: Stage, inputs: dict[str, str]) -> Manifest | None:
    """The manifest of the stage, if another who shares the folder has made it.

    Raises:
        StaleError: what was done of it was deleted; else a result would be made of nothing.
    """
    if making.run.has(making.folder.path):
        return None
    manifest = making.run.whole(stage)
    if manifest is not None and (manifest.version, manifest.inputs, manifest.options) == (stage.version, inputs, making.asked):
        return manifest
    if not making.keys:  # nothing was written of it yet
        making.folder.path.mkdir(parents=True, exist_ok=True)
        return None
    raise StaleError(f"{making.folder.path} was deleted by another process: it may have been started with other options", SAME_COMMAND)


def _publish(making: Making[Any, Any], fingerprint: str, inputs: dict[str, str], sources: dict[str, Source], stage: Stage) -> Manifest:
    """Make the result of what the pieces left, and put the stage into place."""
    run, folder = making.run, making.folder
    started = time.perf_counter()
    if not stage.sections:
        run.progress.start(stage.name, 1, 0, None)
    finished = stage.finish(making)
    run.progress.finish(finished.said)
    folder.rest()
    keys = [key for section in stage.sections for key in making.keys[section.name]]
    last = next((some for some in reversed(making.keys.values()) if some), [])  # sections may have nothing to do
    marked: set[str] = set()
    outputs: dict[str, int] = {}
    seconds = 0.0
    for key in keys:  # one after the other: a mark has a report, of a million they fill the memory
        mark = folder.mark(key)
        if mark is not None:
            marked.add(key)
            outputs |= mark.outputs
            seconds += mark.seconds
    more = [*finished.outputs, *(folder.done(key) for key in keys if key in marked)]
    outputs |= {str(path.relative_to(folder.path)): size_of(path) or path.stat().st_size for path in more}
    if stage.reads_files:
        read = making.keys[stage.sections[0].name]
        states, failed = _states([key for key in read if key in marked], sources), _states(making.failures, sources)
        fingerprint = _of_set(fingerprint, states, failed)
    manifest = Manifest(
        stage=stage.name,
        version=stage.version,
        fingerprint=fingerprint,
        inputs=inputs,
        options=making.asked,
        pieces=[key for key in last if key in marked],
        failed={key: failure.what for key, failure in making.failures.items()},
        result=with_infinity(finished.result),
        outputs={name: size for name, size in outputs.items() if name.split("/")[0] not in stage.scratch},
        command=[],
        versions={},
        finished="",
        seconds=round(seconds + time.perf_counter() - started, 2),
    )
    return run.publish(stage, folder, manifest)


def _awaited(run: Workspace, stage: Stage) -> Iterable[Any]:
    """The compiled functions that a stage waits for. Workers begin when those of all stages that warm up are there."""
    stages = [stage, *(other for other in run.stages if other.warm)] if stage.sections else [stage]
    return (function for each in stages for function in each.compiled)


def fingerprint_before_work(run: Workspace, stage: Stage, options: Any) -> str:
    """Of all that the result of a stage depends on, but for the files that its pieces read."""
    return _inputs(run, stage, with_infinity(stage.asked(run, options)))[1]


def _inputs(run: Workspace, stage: Stage, asked: dict[str, Any]) -> tuple[dict[str, str], str]:
    manifests = {name: run.required(run.stages[name]) for name in stage.needs}
    used = {name: run.whole(run.stages[name]) for name in run.stages.before(stage.name) if name not in manifests}
    manifests |= {name: manifest for name, manifest in used.items() if manifest is not None}
    direct = {name: manifest.fingerprint for name, manifest in manifests.items()}
    inputs: dict[str, str] = {}
    for manifest in manifests.values():
        inputs |= manifest.inputs
    return inputs | direct, fingerprint_of(stage=stage.name, version=stage.version, inputs=direct, options=asked)


def _states(keys: Iterable[str], sources: Mapping[str, Source]) -> dict[str, str]:
    """The states of what pieces read; where a piece is known by the content of what it reads, its key says that."""
    return {key: sources[key].fingerprint if key in sources else "" for key in keys}


def _of_set(fingerprint: str, states: Mapping[str, str], failed: Mapping[str, str]) -> str:
    return fingerprint_of(stage=fingerprint, pieces=states, failed=failed)


_Begun = tuple[Making[Any, Any], str, dict[str, str], dict[str, Source]]


def _begin(run: Workspace, stage: Stage, options: Any, *, accept_failed: bool) -> Manifest | _Begun:
    """The manifest of the stage, if it is in place for exactly this; else all that is needed to go on, and what its pieces read."""
    asked = with_infinity(stage.asked(run, options))
    inputs, fingerprint = _inputs(run, stage, asked)
    folder = stage.folder(run.under_way(stage, fingerprint))
    making: Making[Any, Any] = Making(run, folder, options, asked)
    if not stage.reads_files:
        manifest = run.in_place_or_whole(stage, fingerprint)
        if manifest is not None and (stage.is_sound is None or stage.is_sound(run.folder(stage))):
            return manifest
        _take_up(run, stage, folder, fingerprint)
        return making, fingerprint, inputs, {}
    work = stage.sections[0].cut(making)
    sources = work.sources
    in_place: StageFolder = run.folder(stage)
    before = read_manifest(in_place)
    if before is not None and (before.version, before.inputs, before.options) == (stage.version, inputs, asked):
        _changed(run, stage, in_place, sources)
        # What failed is tried again, but not by ranks, for which it was accepted at the barrier that they are behind.
        failed = before.failed if accept_failed and run.role.shares else {}
        whole = [key for key in work.items if key not in failed]
        manifest = run.in_place(stage, _of_set(fingerprint, _states(whole, sources), _states(failed, sources)))
        if manifest is not None:
            return manifest
        run.copy_of(stage, fingerprint)
    _take_up(run, stage, folder, fingerprint)
    others = {*folder.marked()} - work.items.keys()
    first = {key for key in others if (mark := folder.mark(key)) is None or not mark.barrier}
    no_longer = first | (folder.failures().keys() - work.items.keys())
    for key in dict.fromkeys([*_changed(run, stage, folder, sources), *no_longer]):  # in this order, should it be interrupted
        folder.forget(key, outputs=True)
    return making, fingerprint, inputs, sources


def _take_up(run: Workspace, stage: Stage, folder: StageFolder, fingerprint: str) -> None:
    """Begin the stage, or go on with it.

    Raises:
        OptionError: others who share the folder work on the same stage with other options.
    """
    run.refuse_others(stage, but=folder.path)
    run.begin(stage, fingerprint)


def _changed(run: Workspace, stage: Stage, folder: StageFolder, sources: Mapping[str, Source]) -> list[str]:
    """The pieces of files that changed or went after they were read, to be done again; unless that is an error, which is raised.

    It is none if another piece of the file failed, or where the stage reads again what changed. A file is known by its
    path, or by its key if it is one of the run's own pool and the run folder was moved.
    """
    now = {source.path: source.fingerprint for source in sources.values()}
    broken = {failure.source.path for failure in folder.failures().values() if failure.source is not None}
    again: list[str] = []
    marked = folder.marked()
    fetch_all(map(folder.done, marked))
    for key in marked:
        mark = folder.mark(key)
        if mark is None or mark.source is None:
            continue
        path, state = mark.source.path, mark.source.fingerprint
        if now.get(path) == state:
            continue
        own = key in sources and Path(sources[key].path).is_relative_to(run.root)
        moved = own and path not in now and sources[key].fingerprint == state
        if moved:
            continue
        if path not in broken and not stage.rereads:
            what = "changed" if path in now else "left the pool"
            hint = f"give a new --out to start afresh, or delete {folder.path} to begin this stage again"
            raise StaleError(f"{path} {what} after it was read", hint)
        again.append(key)
    return again


def _cut(making: Making[Any, Any], section: Section) -> Work:
    """The pieces of a section, written down; those of sections before are all done, or failed and were accepted."""
    work = section.cut(making)
    before = (key for keys in making.keys.values() for key in keys)
    states = {key: mark.source.fingerprint if mark.source else "" for key in before if (mark := making.folder.mark(key)) is not None}
    making.barrier = fingerprint_of(before=states)[:16] if making.keys else ""
    making.keys[section.name] = list(work.items)
    write_work(making.folder, section.name, work, making.barrier, section.unit)
    send_folder(making.folder.path)  # what else was written for the pieces
    return work


def _do(making: Making[Any, Any], stage: Stage, section: Section, work: Work) -> None:
    """Do those of this process's pieces that have no mark yet, and note those that fail.

    Raises:
        IncompleteError: a piece has neither a mark nor a failure: the runner lost it, or its mark.
    """
    folder: StageFolder = making.folder
    sources, run = work.sources, making.run
    given_up = _given_up(folder, sources)
    making.failures.update(given_up)
    mine = [key for key in work.items if run.role.has(key) and key not in given_up]
    todo = folder.left(mine, sources, making.barrier)
    tried = folder.tried()
    for key in todo:
        if key in tried:
            folder.forget(key)
    rows = {key: section.rows(work.job, work.items[key]) if section.rows else 0 for key in todo}
    total = sum(rows.values())
    run.progress.start(section.shown or stage.name, len(mine), len(mine) - len(todo), total if section.rows else None, section.unit)
    said: dict[str, int] = {}
    tasks = (Task(key, piece_of_work(section.work, folder, section.name, key, work.items[key])) for key in todo)
    for event in run.runner.map(do_piece, tasks):
        match event:
            case Advanced(key, count):
                count = min(count, rows[key] - said.get(key, 0)) if total else count  # what is estimated may be too little, or nothing
                said[key] = said.get(key, 0) + count
                run.progress.advance(count)
            case Done(key, count):
                run.progress.advance(
                    (rows[key] if total else count) - said.get(key, 0)
                )  # of a piece whose worker died the first rows were said twice
                run.progress.shard_done(key)
            case Failed(key, what, hint):
                failure = Failure(what, hint, sources.get(key))
                making.failures[key] = failure
                write_json(folder.failed(key), msgspec.to_builtins(failure))
                send([folder.failed(key)])
                run.progress.shard_failed(name := work.name_of(key), _without(name, what))
    read_again(folder.path)
    fetch_all(folder.done(key) for key in todo if key not in making.failures)
    lost = folder.left((key for key in todo if key not in making.failures), sources, making.barrier)
    if lost:
        names = ", ".join(work.name_of(key) for key in lost[:SHOWN_FAILURES])
        what = f"{stage.name}: {len(lost):,} of {len(todo):,} {piece_of(section.unit)}s ended without a mark in {folder.path}: {names}"
        raise IncompleteError(what, "run the same command again: it does these")


def _given_up(folder: StageFolder, sources: Mapping[str, Source]) -> dict[str, Failure]:
    """The pieces that could be done, but whose files could not be read in whole later, and that are as they were."""
    failures = folder.failures()
    return {key: failure for key, failure in failures.items() if failure.late and failure.source == sources.get(key)}


def _refuse(making: Making[Any, Any], stage: Stage, section: Section, work: Work) -> None:
    """The barrier: a result belongs to a set of pieces that is whole, or that was accepted without those that failed.

    Raises:
        IncompleteError: in any case.
    """
    if section.failed is not None and making.run.role.mends:
        section.failed(making)
    _raise_failures(making, stage, section, work)


def _raise_failures(making: Making[Any, Any], stage: Stage, section: Section, work: Work) -> None:
    if stage.reads_files and section is stage.sections[0]:
        failures = {work.name_of(key): failure for key, failure in making.failures.items()}
        raise IncompleteError(*failure_message(failures, len(work.items), piece_of(section.unit)))
    key, failure = next((key, failure) for key, failure in making.failures.items() if key in work.items)
    name = work.name_of(key)
    raise IncompleteError(f"{name}: {_without(name, failure.what)}", failure.hint)


def failure_message(
    failures: Mapping[str, Failure], pieces: int, piece: str = "shard", again: str = "the same command"
) -> tuple[str, str, list[str]]:
    """The message, hint and details for pieces that failed.

    Args:
        failures: by what people know the pieces by.
        pieces: how many there are.
        piece: what people call one.
        again: a command that reads the files again, and has --allow-failed-shards.
    """
    first = dict(list(failures.items())[:SHOWN_FAILURES])
    details = [f"{name}: {_without(name, failure.what)}" for name, failure in first.items()]
    details += [f"and {len(failures) - len(first):,} more"] if len(failures) > len(first) else []
    hints = dict.fromkeys(failure.hint for failure in first.values() if failure.hint)
    help_ = f"repair the files and run {again} again (finished {piece}s are kept), or skip them with its --allow-failed-shards"
    return f"{len(failures):,} of {plural(pieces, piece)} failed:", "; ".join([*hints, help_]), details


def _without(name: str, what: str) -> str:
    """What went wrong, without the name that is shown before it: where that is the path of a file, what went wrong begins with it."""
    return what.removeprefix(f"{name}: ")
