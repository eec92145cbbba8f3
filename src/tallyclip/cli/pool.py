"""The command ``pool``: makes a pool from crawl files."""

from __future__ import annotations

from tallyclip import api
from tallyclip.cli import options
from tallyclip.cli.console import show_text


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
    found = api.make_pool(
        crawl_files,
        out=out_folder,
        crawl=crawl,
        sample=sample,
        kind=None if kind is None else kind.value,
        base_url=base_url,
        duplicates=None if duplicates is None else duplicates.value,
        exclude_pool=exclude_pool,
        languages=languages,
        language_threshold=language_threshold,
        max_url_length=max_url_length,
        min_text_length=min_text_length,
        max_text_length=max_text_length,
        drop_no_letters=drop_no_letters,
        drop_file_names=drop_file_names,
        max_site_repeats=max_site_repeats,
        blocked_domains=blocked_domains,
        blocked_keywords=blocked_keywords,
        keep_readable=keep_readable,
        max_download=max_download,
        workers=workers,
        allow_failed_shards=allow_failed_shards,
        progress=True,
    )
    show_text(found.pool_summary)
