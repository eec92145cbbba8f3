"""The commands. Each checks its options, runs stages, and prints the result.

Longer than others: it lists all commands, and every option takes a line.
"""

from __future__ import annotations

import io
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from tallyclip import api
from tallyclip.cli import options
from tallyclip.cli.console import fails, out, print_json, reports_errors, show_text
from tallyclip.cli.metadata import add_commands
from tallyclip.cli.pool import pool as pool_command
from tallyclip.errors import TallyclipError
from tallyclip.flows.names import check_unicode

EPILOG = "Exit codes: 0 success · 1 some inputs failed, or nothing was kept · 2 invalid input or option, nothing started · 130 interrupted"

app = typer.Typer(
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
metadata_app = typer.Typer(help="Build and inspect entry lists.", no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(metadata_app, name="metadata")


@app.callback()
def root(version: options.Version = False) -> None:
    """Tally the entries, clip the head: curate image-text data for CLIP-like models."""


def main() -> None:
    """Parse the command line and run the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the terminal or file may have no ✓, or refuse lone surrogates
    try:
        check_unicode(sys.argv[1:])
        app()
    except TallyclipError as error:  # raised while options are parsed, before the command starts
        fails(error)
        sys.exit(error.exit_code)


def _show() -> Any:
    """Import the module with heavy libraries only when a command needs it, so that ``--help`` is fast."""
    return import_module("tallyclip.cli.show")


@app.command(rich_help_panel="Main commands")
@reports_errors
def curate(
    pool: options.Pool = None,
    out_folder: options.Out = ...,  # type: ignore[assignment]
    metadata: options.Entries = "wordnet",
    clean_metadata: options.Clean = False,
    t: options.T = None,
    size: options.Size = None,
    tail_share: options.TailShare = None,
    seed: options.Seed = 0,
    mode: options.Mode = options.ModeName.exact,
    texts: options.Texts = options.TextsName.pairs,
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
    caption_column: options.CaptionColumn = None,
    url_column: options.UrlColumn = None,
    uid_column: options.UidColumn = None,
    file_format: options.Format = None,
    header: options.Header = None,
    delimiter: options.Delimiter = None,
    quote: options.Quote = None,
    escape: options.Escape = None,
    workers: options.WorkersCount = None,
    allow_failed_shards: options.AllowFailedShards = False,
    dry_run: options.DryRun = False,
) -> None:
    """Curate a pool of captions: from files to a balanced subset and a data card, in one command.

    Matches every caption against the entry list, counts the matches of each entry, chooses the threshold t, draws the pairs to keep,
    and writes `RUN/curated/*.parquet`, `RUN/uids.npy`, `RUN/entry_counts.json`, `RUN/probabilities/*.parquet` and
    `RUN/card/card.html`. After an interruption, run the same command again to continue. With other options, only the stages that they
    affect are run again.

    Example: `tallyclip curate laion/*.parquet --size 1_000_000 --out run`
    """
    if dry_run:
        from tallyclip.core.balance import checked_seed
        from tallyclip.errors import OptionError
        from tallyclip.flows.asked import aim_of, choice_of, load_metadata
        from tallyclip.flows.dry_run import estimate_run
        from tallyclip.run.runners.local import count_of

        aim_of(t, size, tail_share)
        checked_seed(seed)
        if crawl is not None or not pool:
            raise OptionError(
                "--dry-run reads the beginning of files, so it needs a POOL", "to estimate a crawl, make a pool of a small --sample first"
            )
        choice = choice_of(caption_column, url_column, uid_column, file_format, header, delimiter, quote, escape)
        entries = load_metadata(metadata, clean=clean_metadata)
        show_text(_show().dry_run(estimate_run(pool, choice, entries, mode.value, count_of(workers))))
        return
    found = api.curate(
        pool,
        out=out_folder,
        metadata=metadata,
        clean_metadata=clean_metadata,
        t=t,
        size=size,
        tail_share=tail_share,
        seed=seed,
        mode=mode.value,
        texts=texts.value,
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
        caption_column=caption_column,
        url_column=url_column,
        uid_column=uid_column,
        format=file_format,
        header=header,
        delimiter=delimiter,
        quote=quote,
        escape=escape,
        workers=workers,
        allow_failed_shards=allow_failed_shards,
        progress=True,
    )
    show_text(found.summary)


app.command("pool", rich_help_panel="Main commands")(reports_errors(pool_command))


@app.command(rich_help_panel="Single stages")
@reports_errors
def match(
    pool: options.MaybePool = None,
    out_folder: options.MaybeOut = None,
    text: options.Text = None,
    counts: options.OddsOf = None,
    metadata: options.Entries = "wordnet",
    clean_metadata: options.Clean = False,
    mode: options.Mode = options.ModeName.exact,
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
    caption_column: options.CaptionColumn = None,
    url_column: options.UrlColumn = None,
    uid_column: options.UidColumn = None,
    file_format: options.Format = None,
    header: options.Header = None,
    delimiter: options.Delimiter = None,
    quote: options.Quote = None,
    escape: options.Escape = None,
    workers: options.WorkersCount = None,
    allow_failed_shards: options.AllowFailedShards = False,
) -> None:
    """Match a pool against an entry list, or show which entries one caption matches.

    Examples: `tallyclip match laion/*.parquet --out run`, and `tallyclip match --text "a photo of a dog" --counts run`
    """
    from tallyclip.errors import OptionError

    if text is not None:
        if counts is not None and (metadata != "wordnet" or mode != options.ModeName.exact):
            raise OptionError("--counts takes the entry list and the mode from its run", "remove --metadata and --mode")
        if pool or out_folder:
            raise OptionError("--text matches one caption and takes no POOL or --out", 'tallyclip match --text "a photo of a dog"')
        _match_text(text, counts, metadata, clean_metadata, mode.value)
        return
    if out_folder is None:
        raise OptionError("give a POOL and --out RUN, or --text", "see 'tallyclip match --help'")
    api.match_pool(
        pool,
        out=out_folder,
        metadata=metadata,
        clean_metadata=clean_metadata,
        mode=mode.value,
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
        caption_column=caption_column,
        url_column=url_column,
        uid_column=uid_column,
        format=file_format,
        header=header,
        delimiter=delimiter,
        quote=quote,
        escape=escape,
        workers=workers,
        allow_failed_shards=allow_failed_shards,
        progress=True,
    )


@app.command(rich_help_panel="Single stages")
@reports_errors
def count(run_folder: options.RunFolder) -> None:
    """Count the matches of each entry in a matched pool."""
    api.count(run_folder, progress=True)


@app.command(rich_help_panel="Single stages")
@reports_errors
def plan(
    run_folder: options.RunFolder,
    t: options.T = None,
    size: options.Size = None,
    tail_share: options.TailShare = None,
    texts: options.Texts = options.TextsName.pairs,
    workers: options.WorkersCount = None,
    as_json: options.AsJson = False,
) -> None:
    """Show how many pairs each threshold t would keep, and find the t for a size or a tail share, without drawing."""
    found = api.plan(run_folder, t=t, size=size, tail_share=tail_share, texts=texts.value, workers=workers, progress=True).plan
    if as_json:
        import msgspec

        from tallyclip.io.files import with_infinity

        print_json(with_infinity(msgspec.to_builtins(found)))
    else:
        out.print(_show().plan_table(found))


@app.command(rich_help_panel="Single stages")
@reports_errors
def balance(
    run_folder: options.RunFolder,
    t: options.T = None,
    size: options.Size = None,
    tail_share: options.TailShare = None,
    seed: options.Seed = 0,
    texts: options.Texts = options.TextsName.pairs,
    workers: options.WorkersCount = None,
) -> None:
    """Draw the curated set of a counted pool."""
    api.balance(run_folder, t=t, size=size, tail_share=tail_share, seed=seed, texts=texts.value, workers=workers, progress=True)


@app.command(rich_help_panel="Single stages")
@reports_errors
def card(run_folder: options.RunFolder, workers: options.WorkersCount = None) -> None:
    """Write the data card of a balanced run."""
    show_text(api.card(run_folder, workers=workers, progress=True).summary)


@app.command(rich_help_panel="Main commands")
@reports_errors
def status(run_folder: options.RunFolder, as_json: options.AsJson = False) -> None:
    """Show the stages of a run and their progress, also while another command works on it."""
    import msgspec

    found = api.status(run_folder)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        out.print(_show().status_tree(found))


@app.command(rich_help_panel="Main commands")
@reports_errors
def demo(
    out_folder: options.DemoOut = Path("tallyclip-demo"),
    workers: options.WorkersCount = None,
) -> None:
    """Curate the bundled captions: 25,014 of COCO and 75,000 synthetic web-like ones."""
    with api.OpenRun(out_folder, workers, sys.argv[1:], progress=True) as run:
        from tallyclip.core.data import Metadata
        from tallyclip.demo import demo_pool
        from tallyclip.flows import curate as pipeline
        from tallyclip.readers.columns import ColumnChoice
        from tallyclip.stages.plan import Aim

        run.progress.note("the first run on a machine compiles the matcher, which takes about 20 seconds")
        pool = demo_pool(run.root.parent / f"{run.root.name}-pool")
        pipeline.curate(run, [str(pool)], ColumnChoice(), Metadata.wordnet(), Aim())
    show_text(api.Run(out_folder).summary)


add_commands(metadata_app, reports_errors)


def _match_text(text: str, counts: Path | None, metadata: str, clean: bool, mode: Any) -> None:
    from tallyclip import Matcher, Metadata, entry_probability, keep_probability
    from tallyclip.flows.asked import load_metadata
    from tallyclip.flows.text import load_odds
    from tallyclip.io.files import read_array

    odds = None
    if counts is None:
        entries = load_metadata(metadata, clean=clean)
        matcher = Matcher(entries, mode)
    else:
        odds = load_odds(counts)
        entries = Metadata.load(str(odds.entries))
        matcher = Matcher.open(odds.matcher)
    matches = matcher.match([text])
    if odds is None:
        out.print(_show().text_matches(text, entries, matches[0], None, None, None))
        return
    values = read_array(odds.counts)
    p = entry_probability(values, odds.t)
    keep = float(keep_probability(matches, p)[0])
    out.print(_show().text_matches(text, entries, matches[0], values, p, keep))
    show_text(f"(t = {odds.t:,.6g}, {odds.why})")
