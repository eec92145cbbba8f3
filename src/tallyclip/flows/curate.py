"""From a pool to a curated set: the order of the stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from tallyclip.core.balance import TextsPolicy, checked_seed
from tallyclip.core.data import Metadata
from tallyclip.errors import IncompleteError, OptionError
from tallyclip.extras import load
from tallyclip.flows.crawl import Crawl, crawl_files
from tallyclip.flows.find import find_pool, own_pool, refuse_without_columns, refuse_without_urls
from tallyclip.io.artifacts import check_unicode
from tallyclip.match.reference import Mode, check_mode
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.sources import Pool
from tallyclip.run.engine import make
from tallyclip.run.stage import Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.balance import BALANCE, options_for
from tallyclip.stages.card import CARD
from tallyclip.stages.counts import COUNTS
from tallyclip.stages.dropped import DROPPED
from tallyclip.stages.duplicates import DUPLICATES, earlier_pool
from tallyclip.stages.gather import GATHER, GatherOptions, PoolOptions
from tallyclip.stages.kept import KEPT
from tallyclip.stages.match import MATCH, MatchOptions
from tallyclip.stages.metadata import METADATA, MetadataOptions
from tallyclip.stages.plan import PLAN, Aim, PlanOptions
from tallyclip.stages.pool import POOL
from tallyclip.stages.repeats import REPEATS
from tallyclip.stages.samples import SAMPLES

DEFAULT_POOL = PoolOptions()  # as in the paper: only duplicate pairs are removed


def make_pool(run: Workspace, source: Sequence[str] | Crawl, options: PoolOptions, *, accept_failed: bool = False) -> None:
    """From crawl files to ``RUN/pool/*.parquet``.

    Raises:
        OptionError: the files are not crawl files, an option is invalid, or an earlier pool is not a pool.
        MissingExtraError: FastWARC is not installed.
        StaleError: a file was changed or deleted after it was read.
        IncompleteError: shards failed and this was not accepted, or no pair is kept.
    """
    pool = _find(run, source, ColumnChoice())
    if not _is_gathered(pool):
        raise OptionError(f"{pool.files[0].path} is a pool already", "give it to 'tallyclip curate'; 'pool' takes WAT and WARC files")
    if options.repeats:
        hint = "use pair, url or off, and --duplicates report with 'tallyclip curate'"
        raise OptionError(f"--duplicates {options.duplicates} counts repeats while a pool is matched, and this only makes one", hint)
    _refuse_other_kind(run, crawl=True)
    _gather(run, pool, options.of_pool(crawl=True), accept_failed=accept_failed)
    if options.write_dropped:
        make(run, DROPPED)


def match(
    run: Workspace,
    source: Sequence[str] | Crawl,
    choice: ColumnChoice,
    metadata: Metadata,
    mode: Mode = "exact",
    *,
    options: PoolOptions = DEFAULT_POOL,
    accept_failed: bool = False,
) -> None:
    """Match a pool. A pool is made from crawl files first.

    Languages are detected after matching, of fewer captions; the result is the same.
    """
    _check(metadata, mode, options)
    _match(run, _find(run, source, choice), metadata, mode, options, accept_failed=accept_failed)


def curate(
    run: Workspace,
    source: Sequence[str] | Crawl,
    choice: ColumnChoice,
    metadata: Metadata,
    aim: Aim,
    *,
    mode: Mode = "exact",
    seed: int = 0,
    policy: TextsPolicy = "pairs",
    options: PoolOptions = DEFAULT_POOL,
    accept_failed: bool = False,
) -> None:
    """Curate a pool: match, count, plan, balance, and write the card."""
    aim.check()
    checked_seed(seed)
    _check(metadata, mode, options)
    pool = _find(run, source, choice)
    for again in (False, True):
        _match(run, pool, metadata, mode, options, accept_failed=accept_failed)
        make(run, COUNTS)
        make(run, PLAN, PlanOptions(aim, policy, seed))
        try:
            balance(run, aim, seed=seed, policy=policy)
            break
        except IncompleteError:
            if again or not accept_failed or run.whole(MATCH) is not None:
                raise
            # Shards turned out to be broken when all their columns were read, and were taken out of the matches: go on without them.
    make(run, CARD)


def _check(metadata: Metadata, mode: Mode, options: PoolOptions) -> None:
    check_mode(mode)
    check_unicode("the entry list", metadata.entries)
    options.check()


def _match(run: Workspace, pool: Pool, metadata: Metadata, mode: Mode, options: PoolOptions, *, accept_failed: bool) -> None:
    crawl = _is_gathered(pool)
    _refuse_other_kind(run, crawl=crawl)
    options = options.of_pool(crawl=crawl)
    early = options.early_languages  # detected before duplicates are removed; others of what matches, which is less
    if crawl:
        pool = _gather(run, pool, replace(options, languages=early), accept_failed=accept_failed)
    else:
        _keep(run, pool, options, accept_failed=accept_failed)
    make(run, METADATA, MetadataOptions(metadata, mode))
    run.record(pool.names, len(pool.files))
    languages = None if early is not None else options.languages
    make(run, MATCH, MatchOptions(pool, languages, options.repeats, options.write_dropped, str(run.footers)), accept_failed=accept_failed)
    if options.write_dropped:
        make(run, DROPPED)
    if options.repeats:
        make(run, REPEATS)


def balance(run: Workspace, aim: Aim, *, seed: int = 0, policy: TextsPolicy = "pairs") -> None:
    """Draw the curated set of a counted pool. A size is planned first: its threshold takes passes over the matches."""
    aim.check()
    checked_seed(seed)
    if aim.size is not None:
        make(run, PLAN, PlanOptions(aim, policy, seed))
    make(run, BALANCE, options_for(run, aim, seed, policy))


def _find(run: Workspace, source: Sequence[str] | Crawl, choice: ColumnChoice) -> Pool:
    return crawl_files(run, source) if isinstance(source, Crawl) else find_pool(run, source, choice)


def _refuse_other_kind(run: Workspace, *, crawl: bool) -> None:
    """Crawl files, tables and survivors have folders of their own: one would remove what another has made, or count as what it was made of.

    Raises:
        OptionError: the run is of the other kind.
    """
    matched = run.whole(MATCH)
    if run.whole(SAMPLES) is not None:
        raise OptionError(f"{run.root} is a run over the survivors of a download", "give a new --out")
    if crawl and matched is not None and POOL.name not in matched.inputs:
        raise OptionError(f"{run.root} is a run over tables; the files given now are crawl files", "give a new --out")
    if not crawl and run.whole(POOL) is not None:
        raise OptionError(f"{run.root} holds a pool made from crawl files; the files given now are tables", "give a new --out")


def _is_gathered(pool: Pool) -> bool:
    """Whether these are crawl files, which must be gathered to a pool before matching.

    Raises:
        OptionError: some are crawl files and others are not.
    """
    gathered = [file for file in pool.files if file.is_gathered]
    if gathered and len(gathered) < len(pool.files):
        other = next(file for file in pool.files if not file.is_gathered)
        raise OptionError(
            f"the input has both crawl files and other files: {gathered[0].path} and {other.path}",
            "make a pool of the crawl files with 'tallyclip pool CRAWL... --out RUN', then give RUN/pool with the other files",
        )
    return bool(gathered)


def _keep(run: Workspace, pool: Pool, options: PoolOptions, *, accept_failed: bool) -> None:
    """Choose the pairs of tables that are matched, if any step drops some."""
    if options.keep_readable:
        raise OptionError("--keep-readable is for crawl files, and this pool is of tables", "leave it out")
    if options.keep_all:
        run.discard(GATHER)
        return
    if options.duplicates == "url":
        refuse_without_urls(pool)
    refuse_without_columns(pool, options.steps)
    _check_excluded(run, options)
    run.record(pool.names, len(pool.files))
    make(run, GATHER, GatherOptions(pool, options), accept_failed=accept_failed)
    make(run, DUPLICATES, options)
    _make_left(run, KEPT, options)


def _make_left(run: Workspace, stage: Stage, options: PoolOptions) -> None:
    """Make the stage that writes which pairs are left; if none are, what was dropped can be looked at."""
    try:
        make(run, stage, options)
    except IncompleteError:
        if options.write_dropped:
            make(run, DROPPED)
        raise


def _check_excluded(run: Workspace, options: PoolOptions) -> None:
    for folder in options.exclude:
        earlier_pool(run, Path(folder), options.key)


def _gather(run: Workspace, pool: Pool, options: PoolOptions, *, accept_failed: bool) -> Pool:
    """Make the run's own pool from crawl files."""
    options.check()
    load("fastwarc", "FastWARC", "crawl")  # fail here once, not in every shard
    refuse_without_columns(pool, options.steps)
    _check_excluded(run, options)
    run.record(pool.names, len(pool.files))
    make(run, GATHER, GatherOptions(pool, options), accept_failed=accept_failed)
    make(run, DUPLICATES, options)
    _make_left(run, POOL, options)
    return own_pool(run, pool.names)
