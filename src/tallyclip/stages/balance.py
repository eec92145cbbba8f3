"""The stage of balancing: probabilities, draws, and the results in their places."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from tallyclip.core.balance import TextsPolicy, checked_seed, entry_probability
from tallyclip.core.counts import tail_share
from tallyclip.core.plan import UNIT
from tallyclip.errors import IncompleteError, SourceError, StaleError
from tallyclip.export.entry_counts import write_entry_counts
from tallyclip.export.uids import Merged, merge_runs
from tallyclip.io.files import remove, with_infinity, write_array
from tallyclip.io.structs import fingerprint_of
from tallyclip.match.matched_pairs import LANGUAGE
from tallyclip.readers.columns import UID
from tallyclip.readers.records import unify
from tallyclip.readers.sources import PoolFile, cut, fingerprint
from tallyclip.run.folder import Run
from tallyclip.run.layout import BalanceFolder
from tallyclip.run.manifest import Manifest
from tallyclip.run.shards import failure_message, read_report, run_shards, sizes_of
from tallyclip.stages.balance_shard import BalanceJob, BalanceReport, balance_shard
from tallyclip.stages.count import add_shard
from tallyclip.stages.match import match_reports, unmatch
from tallyclip.stages.match_shard import MatchReport
from tallyclip.stages.plan import Aim, load_counts, resolve

OURS = ("uid", "entry_ids", "keep_probability")
OURS_WITH_SEVERAL = ("caption", "text_number")  # besides, where images have several texts
OURS_WITH_LANGUAGES = tuple(LANGUAGE.names)  # and where languages were asked for


def balance_run(run: Run, aim: Aim, *, seed: int = 0, policy: TextsPolicy = "pairs") -> Manifest:
    """Draw the curated set: probabilities of all matched pairs, the pairs that stay, their uids and their counts.

    Raises:
        OptionError: the aim or the seed cannot be.
        IncompleteError: counting is not whole, shards failed, or nothing was kept.
        StaleError: all shards that failed did so because their files changed.
    """
    aim.check()
    checked_seed(seed)
    counted = run.required("counts")
    matched = run.required("match")
    t, why = resolve(run, aim, policy)
    options = {"t": with_infinity(t), "why": why, "seed": seed, "texts": policy}
    stage = fingerprint_of(stage="balance 2", counts=counted.fingerprint, t=t, seed=seed, texts=policy)
    manifest = run.in_place_or_whole("balance", stage)
    if manifest is not None:
        _tidy(run)
        return manifest
    under_way = BalanceFolder(run.begin("balance", stage))
    counts = load_counts(run)
    write_array(under_way.entry_probability, entry_probability(counts, t))
    reports = _balance_shards(run, under_way, match_reports(run, matched), seed, policy)
    kept = sum(report.kept for report in reports.values())
    if kept == 0:
        raise IncompleteError(f"no pair was kept at t = {t:g}", "give a larger --t, or a --size")
    started = time.perf_counter()
    merged = _merge(run, under_way, reports)
    expected = sum(report.expected_parts for report in reports.values()) / UNIT
    run.progress.finish(f"{kept:,} pairs kept, {expected:,.0f} expected")
    manifest = run.publish(
        "balance",
        under_way,
        stage,
        inputs=counted.inputs | {"counts": counted.fingerprint},
        options=options,
        result={
            "candidates": sum(report.candidates for report in reports.values()),
            "kept": kept,
            "expected": expected,
            "unique_uids": merged.unique,
            "repeated_uids": merged.total - merged.unique,
            "tail_share": tail_share(counts, t),
            "shards": list(reports),
        },
        outputs=sizes_of(
            under_way.path,
            *(under_way.counts_curated, under_way.entry_counts_curated, under_way.uids),
            *(under_way.probabilities_of(key) for key in reports),
            *(under_way.curated_of(key) for key in reports),
        ),
        seconds=sum(report.seconds for report in reports.values()) + time.perf_counter() - started,
    )
    _tidy(run)
    return manifest


def _tidy(run: Run) -> None:
    """Delete what only the merge needed."""
    for path in (run.layout.balance.uid_runs, run.layout.balance.shard_counts, run.layout.balance.entry_probability):
        remove(path, run.layout.trash)


def _balance_shards(
    run: Run, under_way: BalanceFolder, matched: Mapping[str, MatchReport], seed: int, policy: TextsPolicy
) -> dict[str, BalanceReport]:
    frozen = run.frozen()
    shards = {shard.key: shard for shard in cut(frozen.files)}
    schema = unify([pa.ipc.read_schema(pa.py_buffer(base64.b64decode(report.schema))) for report in matched.values()])
    several = any(report.several_texts for report in matched.values())
    all_own = not several and all(report.own_uids == report.texts for report in matched.values())
    with_languages = run.required("match").options["languages"] is not None
    ours = (*OURS, *(OURS_WITH_SEVERAL if several else ()), *(OURS_WITH_LANGUAGES if with_languages else ()))
    columns_out = rename_columns(schema.names, ours, all_own)
    for folder in (under_way.probabilities, under_way.curated, under_way.uid_runs):
        folder.mkdir(exist_ok=True)
    jobs = {
        key: BalanceJob(
            shard=shards[key],
            choice=frozen.choice,
            matches=str(run.layout.match.matches(key)),
            probability=str(under_way.entry_probability),
            folder=str(under_way.path),
            seed=seed,
            policy=policy,
            schema=base64.b64encode(schema.serialize().to_pybytes()).decode(),
            columns_out=columns_out,
            several_texts=several,
            list_captions=report.several_texts,
            with_languages=with_languages,
        )
        for key, report in matched.items()
    }
    rows: Callable[[BalanceJob], int] = lambda job: matched[job.shard.key].matched  # noqa: E731
    reports, failures = run_shards(run, under_way, "balance", balance_shard, jobs, rows, BalanceReport)
    if failures:
        broken = {key: failure for key, failure in failures.items() if _is_as_it_was(shards[key].file)}
        what, hint, details = failure_message(
            failures, len(jobs), "'tallyclip match POOL... --out RUN' or 'tallyclip curate POOL... --out RUN'"
        )
        if not broken:  # --accept-failed would not help: these files can be read
            afresh = f"put the files back as they were, give a new --out, or delete {run.layout.match.path} and match everything again"
            raise StaleError(what, afresh, details)
        unmatch(run, broken)
        raise IncompleteError(what, hint, details)
    return reports


def _is_as_it_was(file: PoolFile) -> bool:
    try:
        return fingerprint(file.path) == file.fingerprint
    except SourceError:
        return False


def rename_columns(names: list[str], ours: tuple[str, ...], all_own: bool) -> dict[str, str]:
    """The pool's columns under the names they have in the curated set: those that are ours give way, as ``pool_...``.

    The pool's uid does not travel where it is the pair's uid everywhere.
    """
    taken = {*names, *ours}
    renamed: dict[str, str] = {}
    for name in names:
        if name == UID and all_own:
            continue
        new = name
        if name in ours:
            while new in taken:
                new = f"pool_{new}"
            taken.add(new)
        renamed[name] = new
    return renamed


def _merge(run: Run, under_way: BalanceFolder, reports: Mapping[str, BalanceReport]) -> Merged:
    """The results that need all shards: the curated set's counts and its sorted uids."""
    counts = np.zeros(len(run.metadata), np.int64)
    for key in reports:
        add_shard(counts, under_way.counts_of(key))
    write_array(under_way.counts_curated, counts)
    write_entry_counts(under_way.entry_counts_curated, run.metadata.entries, counts)
    runs: list[Path] = [under_way.uid_runs / name for report in reports.values() for name in report.uid_runs]
    return merge_runs(runs, under_way.uids)


def balance_reports(run: Run, manifest: Manifest) -> dict[str, BalanceReport]:
    """The reports of the shards of the curated set in place."""
    reports: dict[str, BalanceReport] = {}
    for key in manifest.result["shards"]:
        report = read_report(run.layout.balance, key, BalanceReport, moved=True)
        if report is not None:
            reports[key] = report
    return reports
