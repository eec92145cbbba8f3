"""The stage of matching: every shard of the pool by itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tallyclip.core.data import Metadata
from tallyclip.errors import ArtifactError, OptionError, SourceError
from tallyclip.io.files import write_json, writing
from tallyclip.io.streams import is_url
from tallyclip.match.matcher import Matcher, matcher_fingerprint
from tallyclip.match.reference import Mode
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.estimate import estimate_rows
from tallyclip.readers.others import skipped_notes
from tallyclip.readers.read import columns_of, folders_note
from tallyclip.readers.sources import PoolFile, Shard, are_crawl_files, cut, find_files
from tallyclip.run.folder import Frozen, Run
from tallyclip.run.frozen import FrozenStage, refuse_failures, reports_of
from tallyclip.run.layout import MatchFolder, MetadataFolder
from tallyclip.run.manifest import Manifest
from tallyclip.run.shards import ShardFailure, forget, read_failures, run_shards, sizes_of
from tallyclip.run.versions import MATCH
from tallyclip.stages.match_shard import MatchJob, MatchReport, match_shard
from tallyclip.steps.languages import LanguageChoice, asked_languages


def start(run: Run, pool: Sequence[str], choice: ColumnChoice) -> Frozen:
    """Find the pool's files and check what can be checked before any work starts.

    Raises:
        OptionError: nothing can be read under these names, captions cannot be told, or the run folder cannot be used.
        StaleError: another process is working on the run.
    """
    files, skipped = find_files(pool, choice)
    _refuse_overlap(run.layout.root, pool, files)
    for note in skipped_notes(skipped):
        run.progress.note(note)
    if not are_crawl_files(files):
        _note_columns(run, files, choice)
    frozen = Frozen(list(pool), choice, files)
    run.create(frozen)
    return frozen


def _note_columns(run: Run, files: Sequence[PoolFile], choice: ColumnChoice) -> None:
    """Say how the first file that can be read is read. The shards of those that cannot will fail and say why.

    Raises:
        OptionError: in no file are there columns as they should be.
    """
    refusal: OptionError | None = None
    for file in files:
        try:
            columns = columns_of(file, choice)
            run.progress.note(f"columns: {columns}")
            for note in (columns.example and f"{file.path}: {columns.example}", folders_note(file, columns)):
                if note is not None:
                    run.progress.note(note)
            return
        except SourceError:
            continue
        except OptionError as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal


def _refuse_overlap(root: Path, pool: Sequence[str], files: Sequence[PoolFile]) -> None:
    """A pool that holds the run folder would take in the run's own results the next time."""
    local = [name.removeprefix("file://") for name in pool if not is_url(name.removeprefix("file://"))]
    folders = [path for name in local if (path := Path(name).expanduser().resolve()).is_dir()]
    if any(root.is_relative_to(folder) for folder in folders) or any(Path(file.path).is_relative_to(root) for file in files):
        raise OptionError(f"{root} and the pool overlap", "give an --out outside of the pool's folders")


def prepare_metadata(run: Run, metadata: Metadata, mode: Mode) -> Manifest:
    """The stage of the entry list: a copy of it, and the matcher's tables."""
    run.metadata = metadata
    fingerprint = matcher_fingerprint(metadata.fingerprint, mode)
    manifest = run.in_place_or_whole("metadata", fingerprint)
    if manifest is not None and _is_sound(run.layout.metadata.matcher):
        return manifest
    started = time.perf_counter()
    under_way = MetadataFolder(run.begin("metadata", fingerprint))
    run.progress.start("metadata", 1, 0, None)
    with writing(under_way.path):
        metadata.save(str(under_way.entries))
        Matcher(metadata, mode).save(under_way.matcher)
    run.progress.finish(f"{len(metadata):,} entries, mode {mode}")
    return run.publish(
        "metadata",
        under_way,
        fingerprint,
        inputs={"entries": metadata.fingerprint},
        options={"mode": mode},
        result={"entries": len(metadata)},
        outputs=sizes_of(under_way.path, under_way.entries, *under_way.matcher.iterdir()),
        seconds=time.perf_counter() - started,
    )


def _is_sound(matcher: Path) -> bool:
    try:
        Matcher.open(matcher)
    except ArtifactError:
        return False  # it is made again, from the same entries, so what was made with it stays
    return True


def match_pool(run: Run, frozen: Frozen, *, languages: LanguageChoice | None = None, accept_failed: bool = False) -> Manifest:
    """The stage of matching: every shard that is not done yet, then the frozen set.

    With ``languages`` the language of every text that names an entry is identified, and the others' texts go.

    Raises:
        StaleError: a file changed or went after it was matched.
        IncompleteError: shards failed and were not accepted, or there is nothing to match.
    """
    shards = {shard.key: shard for shard in cut(frozen.files)}
    stage = _stage(run, frozen, languages)
    taken_up = stage.take_up(frozen, shards)
    if isinstance(taken_up, Manifest):
        return taken_up
    under_way = taken_up
    given_up = _given_up(under_way, shards) if accept_failed else {}
    matcher = str(run.layout.metadata.matcher)
    jobs = {
        key: MatchJob(shard, frozen.choice, matcher, str(under_way.path), languages) for key, shard in shards.items() if key not in given_up
    }
    reports, failures = run_shards(
        run, under_way, "match", match_shard, jobs, lambda job: estimate_rows(job.shard, job.choice), MatchReport
    )
    failures |= given_up
    refuse_failures(failures, reports, len(shards), accept_failed=accept_failed)
    result = _result(reports, failures)
    run.progress.finish(f"{result['matched']:,} of {result['texts']:,} texts name an entry")
    if len(result["columns"]) > 1:
        run.progress.note(f"columns, over all files: {'; '.join(result['columns'])}")
    if frozen.choice.uid is not None or 0 < result["own_uids"] < result["texts"]:
        run.progress.note(f"uids: {result['own_uids']:,} of {result['texts']:,} are the pool's own, 32 hex digits; the others are hashes")
    return run.publish(
        "match",
        under_way,
        stage.fingerprint(reports, failures),
        inputs=stage.inputs,
        options=stage.options,
        result=result,
        outputs=_outputs(under_way, reports),
        seconds=sum(report.seconds for report in reports.values()),
    )


def unmatch(run: Run, failures: Mapping[str, ShardFailure]) -> None:
    """Take shards that failed after the barrier back out of the frozen set, to be repaired or given up like those that failed before.

    Matching reads only the columns that it needs, so a file may turn out to be broken when all of them are read.
    """
    asked = run.required("match").options["languages"]
    languages = None if asked is None else msgspec.convert({name: asked[name] for name in ("languages", "threshold")}, LanguageChoice)
    folder = _stage(run, run.frozen(), languages).withdraw()
    for key, failure in failures.items():
        forget(folder, key)
        write_json(folder.failed(key), msgspec.to_builtins(msgspec.structs.replace(failure, late=True)))


def match_reports(run: Run, manifest: Manifest) -> dict[str, MatchReport]:
    """The reports of the frozen set of shards.

    Raises:
        IncompleteError: one is gone.
    """
    return reports_of(run.layout.match, MatchReport, manifest.result["shards"], "tallyclip match' or 'tallyclip curate")


def _stage(run: Run, frozen: Frozen, languages: LanguageChoice | None) -> FrozenStage[MatchFolder, MatchReport]:
    metadata = run.required("metadata")
    inputs = {"metadata": metadata.fingerprint}
    if frozen.made_here:
        inputs["pool"] = run.required("pool").fingerprint
    options = {"columns": msgspec.to_builtins(frozen.choice), "mode": metadata.options["mode"], "languages": asked_languages(languages)}
    return FrozenStage(run, "match", MATCH, MatchFolder, MatchReport, inputs, options)


def _given_up(folder: MatchFolder, shards: Mapping[str, Shard]) -> dict[str, ShardFailure]:
    """The shards that could be matched but not be read in whole, and whose files are as they were."""
    failures = read_failures(folder)
    return {key: failure for key, failure in failures.items() if failure.late and failure.fingerprint == shards[key].file.fingerprint}


def _outputs(folder: MatchFolder, reports: Mapping[str, MatchReport]) -> dict[str, int]:
    outputs = sizes_of(folder.path, folder.pool, *(folder.done(key) for key in reports))
    for report in reports.values():
        outputs |= report.outputs
    return outputs


def _result(reports: Mapping[str, MatchReport], failures: Mapping[str, ShardFailure]) -> dict[str, Any]:
    drops: Counter[str] = Counter()
    for report in reports.values():
        drops.update(report.drops)
    return {
        "shards": list(reports),
        "failed_shards": {key: failure.what for key, failure in failures.items()},
        "records": sum(report.rows for report in reports.values()),
        "texts": sum(report.texts for report in reports.values()),
        "matched": sum(report.matched for report in reports.values()),
        "matches": sum(report.matches for report in reports.values()),
        "drops": dict(sorted(drops.items())),
        "own_uids": sum(report.own_uids for report in reports.values()),
        "columns": sorted({report.columns for report in reports.values()}),
    }
