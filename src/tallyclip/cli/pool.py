"""The command ``pool``: makes a pool from crawl files."""

from __future__ import annotations

from typing import Any

from tallyclip.cli import options
from tallyclip.cli.console import err, show_text
from tallyclip.cli.names import bytes_of
from tallyclip.cli.prepare import OpenRun


def pool_options(
    duplicates: options.DuplicatesName | None,
    exclude_pool: list[str] | None,
    languages: Any,
    filters: Any,
    keep_readable: bool,
    max_site_repeats: int | None,
    max_download: str,
) -> Any:
    """The options for gathering crawl files, and for languages.

    Raises:
        OptionError: a filter, a language or a size is invalid.
    """
    from tallyclip.stages.gather import PoolOptions

    asked = PoolOptions(
        duplicates=None if duplicates is None else duplicates.value,
        exclude=list(exclude_pool or []),
        languages=languages,
        filters=filters,
        keep_readable=keep_readable,
        max_site_repeats=max_site_repeats,
        max_download=bytes_of(max_download, "--max-download"),
    )
    asked.check()
    return asked


def filters_of(
    max_url_length: int | None,
    min_text_length: int | None,
    max_text_length: int | None,
    no_letters: bool,
    file_names: bool,
    blocked_domains: str | None,
    blocked_keywords: str | None,
) -> Any:
    """The filters that options ask for."""
    from tallyclip.steps.filters import Filters

    return Filters(max_url_length, min_text_length, max_text_length, no_letters, file_names, blocked_domains, blocked_keywords)


def language_choice(languages: str | None, threshold: float | None) -> Any:
    """The languages to keep, from --languages and --language-threshold; None if no language is detected."""
    from tallyclip.errors import OptionError
    from tallyclip.steps.languages import DEFAULT_THRESHOLD, LanguageChoice

    if languages is None:
        if threshold is not None:
            raise OptionError("--language-threshold needs --languages", "such as --languages en --language-threshold 0.3")
        return None
    names = [] if languages == "all" else [name.strip() for name in languages.split(",") if name.strip()]
    if not names and languages != "all":
        raise OptionError(f"--languages {languages!r} has no language code", "such as --languages en, --languages en,de or --languages all")
    if not names and threshold is not None:
        raise OptionError("--languages all keeps every caption, whatever its score", "remove --language-threshold")
    choice = LanguageChoice(names, DEFAULT_THRESHOLD if threshold is None else threshold)
    choice.check()
    return choice


def pool(
    crawl_files: options.CrawlFiles = None,
    out_folder: options.Out = ...,  # type: ignore[assignment]
    crawl: options.CrawlName = None,
    sample: options.Sample = None,
    kind: options.CrawlKind = None,
    base_url: options.BaseUrl = None,
    duplicates: options.Duplicates = None,
    exclude_pool: options.ExcludePool = None,
    languages: options.Languages = None,
    language_threshold: options.LanguageThreshold = None,
    max_url_length: options.MaxUrlLength = None,
    min_text_length: options.MinTextLength = None,
    max_text_length: options.MaxTextLength = None,
    drop_no_letters: options.DropNoLetters = False,
    drop_file_names: options.DropFileNames = False,
    max_site_repeats: options.MaxSiteRepeats = None,
    blocked_domains: options.BlockedDomains = None,
    blocked_keywords: options.BlockedKeywords = None,
    keep_readable: options.KeepReadable = False,
    max_download: options.MaxDownload = "64G",
    workers: options.WorkersCount = None,
    allow_failed_shards: options.AllowFailedShards = False,
) -> None:
    """Make a pool from crawl files: image URLs with their captions, each pair once.

    Reads WAT or WARC files, resolves image URLs, takes alt, title and data-image-title as captions, removes duplicate pairs across all
    files, and writes `RUN/pool/*.parquet`, which `tallyclip curate` reads. Without filters nothing else is dropped, as in the paper.

    Examples: `tallyclip pool crawl/*.warc.wat.gz --languages en --out run`, and
    `tallyclip pool --crawl CC-MAIN-2024-22 --sample 1/1000 --out run`
    """
    with OpenRun(out_folder, workers, err) as run:
        from tallyclip.cli import show
        from tallyclip.flows.curate import make_pool

        source = source_of(crawl_files, crawl, sample, kind, base_url)
        filters = filters_of(
            max_url_length, min_text_length, max_text_length, drop_no_letters, drop_file_names, blocked_domains, blocked_keywords
        )
        chosen = language_choice(languages, language_threshold)
        asked = pool_options(duplicates, exclude_pool, chosen, filters, keep_readable, max_site_repeats, max_download)
        make_pool(run, source, asked, accept_failed=allow_failed_shards)
        show_text(show.pool_summary(run, str(out_folder)))


def source_of(
    files: list[str] | None, crawl: str | None, share: str | None, kind: options.CrawlKindName | None, base_url: str | None
) -> Any:
    """What to read: names of files, or a crawl.

    Raises:
        OptionError: neither is given, or both.
    """
    from tallyclip.errors import OptionError
    from tallyclip.flows.crawl import BASE_URL, Crawl

    if bool(files) == bool(crawl):
        raise OptionError("give either files or --crawl", "such as pool/*.parquet, crawl/*.warc.wat.gz, or --crawl CC-MAIN-2024-22")
    if crawl is not None:
        return Crawl.of(crawl, share or "1", "wat" if kind is None else kind.value, base_url or BASE_URL)
    if share is not None or base_url is not None or kind is not None:
        raise OptionError("--sample, --kind and --base-url need --crawl", "remove them, or give --crawl instead of files")
    return files
