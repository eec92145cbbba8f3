"""The stages in a row."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tallyclip.core.balance import TextsPolicy, checked_seed
from tallyclip.core.data import Metadata
from tallyclip.errors import OptionError
from tallyclip.flows.crawl import Crawl, crawl_files
from tallyclip.io.artifacts import check_unicode
from tallyclip.match.reference import Mode
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.sources import are_crawl_files
from tallyclip.report.card import Card
from tallyclip.run.folder import Run
from tallyclip.stages.balance import balance_run
from tallyclip.stages.card import make_card, read_card
from tallyclip.stages.count import count_matches
from tallyclip.stages.match import match_pool, prepare_metadata, start
from tallyclip.stages.parse import PoolOptions
from tallyclip.stages.plan import Aim, plan_run
from tallyclip.stages.pool import make_pool, pool_files, refuse_columns, refuse_other_pool

DEFAULT_POOL = PoolOptions()  # the paper's: repeated pairs go, nothing else


def match(
    run: Run,
    pool: Sequence[str] | Crawl,
    choice: ColumnChoice,
    metadata: Metadata,
    mode: Mode = "exact",
    *,
    options: PoolOptions = DEFAULT_POOL,
    accept_failed: bool = False,
) -> None:
    """From a pool to its matches; of crawl files a pool is made first.

    Languages are identified after matching, which leaves fewer texts to look at; the result is the same.
    """
    check_unicode("the entry list", metadata.entries)
    if options.languages is not None:
        options.languages.check()
    frozen = crawl_files(run, pool) if isinstance(pool, Crawl) else start(run, pool, choice)
    languages = options.languages
    if are_crawl_files(frozen.files):
        refuse_columns(choice)
        refuse_other_pool(run, options)
        if options.early_languages is None:
            options = msgspec.structs.replace(options, languages=None)
        else:  # they are told with the pool, whose columns they are
            languages = None
        make_pool(run, frozen, options, accept_failed=accept_failed)
        frozen = pool_files(run, frozen.pool)
    elif options.salvage or options.duplicates != "pair":
        raise OptionError("--salvage and --duplicates are for crawl files", "this pool is of tables: leave them out")
    prepare_metadata(run, metadata, mode)
    match_pool(run, frozen, languages=languages, accept_failed=accept_failed)


def curate(
    run: Run,
    pool: Sequence[str] | Crawl,
    choice: ColumnChoice,
    metadata: Metadata,
    aim: Aim,
    *,
    mode: Mode = "exact",
    seed: int = 0,
    policy: TextsPolicy = "pairs",
    options: PoolOptions = DEFAULT_POOL,
    accept_failed: bool = False,
) -> Card:
    """From a pool to a curated set and its card."""
    aim.check()
    checked_seed(seed)
    match(run, pool, choice, metadata, mode, options=options, accept_failed=accept_failed)
    count_matches(run)
    plan_run(run, aim, policy)
    balance_run(run, aim, seed=seed, policy=policy)
    make_card(run)
    return read_card(run)
