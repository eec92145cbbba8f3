"""The commands. Each checks its options, hands over to the pipeline, and shows what came out.

The module is longer than others: it is a list, whose options take a line each.
"""

from __future__ import annotations

import functools
import io
import os
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from tallyclip.cli import options
from tallyclip.cli.metadata import add_commands
from tallyclip.cli.names import check_unicode
from tallyclip.cli.pool import pool as pool_command
from tallyclip.cli.pool import pool_options, source_of
from tallyclip.cli.prepare import OpenRun, aim_of, choice_of, count_of, load_metadata
from tallyclip.errors import TRACEBACK, TallyclipError, shows_tracebacks
from tallyclip.escaping import printable

EPILOG = "Exit codes: 0 done · 1 done in part, or nothing kept · 2 wrong input or option, nothing started · 130 interrupted"

app = typer.Typer(
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
metadata_app = typer.Typer(help="Build entry lists, and look at them.", no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(metadata_app, name="metadata")


class SafeConsole(Console):
    """A terminal that data cannot act on: whatever is printed, only this program's own styles reach it as escapes."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text, keep="\n"))

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # which ``reports_errors`` sees to, where the original would exit in its own way


out = SafeConsole(highlight=False, emoji=False)
err = SafeConsole(stderr=True, highlight=False, emoji=False)


Command = TypeVar("Command", bound=Callable[..., None])


@app.callback()
def root(version: options.Version = False) -> None:
    """Tally the entries, clip the head: curate image-text data for CLIP-like models."""


def main() -> None:
    """Read the command line and do what it says."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # of a terminal or a file that has no ✓, or no half surrogate
    try:
        check_unicode(sys.argv[1:])
        app()
    except TallyclipError as error:  # of an option, before its command starts
        _show().fails(err, error)
        sys.exit(error.exit_code)


def reports_errors(command: Command) -> Command:
    """Say what went wrong and what would help, without a traceback, and exit with the code it deserves."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except TallyclipError as error:
            _show().fails(err, error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            err.print("\nInterrupted. What was finished is kept: the same command goes on from there.", soft_wrap=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:  # the reader of our output has gone: `tallyclip ... | head`
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.dup2(nowhere, sys.stderr.fileno())
            raise typer.Exit(1) from None
        except OSError as error:  # of the machine, where nobody knew more of it
            _show().fails(err, TallyclipError(f"{error.filename or 'the machine'}: {error.strerror or error}"))
            raise typer.Exit(1) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if shows_tracebacks():
                raise
            hint = f"this is a defect of tallyclip: please report it, with what the same command says with {TRACEBACK}=1 set before it"
            _show().fails(err, TallyclipError(f"unexpected: {type(error).__name__}: {error}", hint))
            raise typer.Exit(1) from None

    return wrapped  # type: ignore[return-value]


def _show() -> Any:
    """Modules that load the heavy libraries are imported when a command needs them: ``--help`` does not."""
    return import_module("tallyclip.cli.show")


@app.command(rich_help_panel="The whole way")
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
    duplicates: options.Duplicates = options.DuplicatesName.pair,
    languages: options.Languages = None,
    language_threshold: options.LanguageThreshold = None,
    salvage: options.Salvage = False,
    max_download: options.MaxDownload = "64G",
    caption_column: options.CaptionColumn = None,
    url_column: options.UrlColumn = None,
    uid_column: options.UidColumn = None,
    header: options.Header = None,
    delimiter: options.Delimiter = None,
    quote: options.Quote = None,
    escape: options.Escape = None,
    workers: options.WorkersCount = None,
    accept_failed: options.AcceptFailed = False,
    dry_run: options.DryRun = False,
) -> None:
    """From a pool of captions to a balanced subset and a data card, in one go.

    Matches every caption against the entry list, counts, chooses the threshold t, draws, and writes `RUN/curated/*.parquet`,
    `RUN/uids.npy`, `RUN/entry_counts.json`, `RUN/probabilities/*.parquet` and `RUN/card/card.html`. Interrupted, the same command goes
    on where it was; with other options only what they change is done again.

    Example: `tallyclip curate laion/*.parquet --size 1_000_000 --out run`
    """
    if dry_run:
        from tallyclip.core.balance import checked_seed
        from tallyclip.errors import OptionError
        from tallyclip.flows.dry_run import estimate_run

        aim_of(t, size, tail_share)
        checked_seed(seed)
        if crawl is not None or not pool:
            raise OptionError("--dry-run looks into files, so it needs a POOL", "make a pool of a small --sample to see what a crawl takes")
        choice = choice_of(caption_column, url_column, uid_column, header, delimiter, quote, escape)
        entries = load_metadata(metadata, clean=clean_metadata)
        show_text(_show().dry_run(estimate_run(pool, choice, entries, mode.value, count_of(workers))))
        return
    with OpenRun(out_folder, workers, err) as run:
        from tallyclip.flows import curate as pipeline

        aim = aim_of(t, size, tail_share)
        choice = choice_of(caption_column, url_column, uid_column, header, delimiter, quote, escape)
        source = source_of(pool, crawl, sample, kind, base_url)
        asked = pool_options(duplicates, languages, language_threshold, max_download, salvage=salvage)
        entries = load_metadata(metadata, clean=clean_metadata)
        card = pipeline.curate(
            run,
            source,
            choice,
            entries,
            aim,
            mode=mode.value,
            seed=seed,
            policy=texts.value,
            options=asked,
            accept_failed=accept_failed,
        )
    show_text(_show().summary(card, str(out_folder)))


app.command("pool", rich_help_panel="The whole way")(reports_errors(pool_command))


@app.command(rich_help_panel="Step by step")
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
    duplicates: options.Duplicates = options.DuplicatesName.pair,
    languages: options.Languages = None,
    language_threshold: options.LanguageThreshold = None,
    salvage: options.Salvage = False,
    max_download: options.MaxDownload = "64G",
    caption_column: options.CaptionColumn = None,
    url_column: options.UrlColumn = None,
    uid_column: options.UidColumn = None,
    header: options.Header = None,
    delimiter: options.Delimiter = None,
    quote: options.Quote = None,
    escape: options.Escape = None,
    workers: options.WorkersCount = None,
    accept_failed: options.AcceptFailed = False,
) -> None:
    """Match a pool against an entry list, or show what one text names.

    Examples: `tallyclip match laion/*.parquet --out run`, and `tallyclip match --text "a photo of a dog" --counts run`
    """
    from tallyclip.errors import OptionError

    if text is not None:
        if counts is not None and (metadata != "wordnet" or mode != options.ModeName.exact):
            raise OptionError("--counts takes the entry list and the mode from its run", "leave out --metadata and --mode")
        if pool or out_folder:
            raise OptionError("--text matches one text, so it takes no POOL and no --out", 'tallyclip match --text "a photo of a dog"')
        _match_text(text, counts, metadata, clean_metadata, mode.value)
        return
    if out_folder is None:
        raise OptionError("a POOL and --out RUN are needed, or --text", "see 'tallyclip match --help'")
    with OpenRun(out_folder, workers, err) as run:
        from tallyclip.flows import curate as pipeline

        choice = choice_of(caption_column, url_column, uid_column, header, delimiter, quote, escape)
        source = source_of(pool, crawl, sample, kind, base_url)
        asked = pool_options(duplicates, languages, language_threshold, max_download, salvage=salvage)
        entries = load_metadata(metadata, clean=clean_metadata)
        pipeline.match(run, source, choice, entries, mode.value, options=asked, accept_failed=accept_failed)


@app.command(rich_help_panel="Step by step")
@reports_errors
def count(run_folder: options.RunFolder) -> None:
    """Count how often each entry is named in a matched pool."""
    with OpenRun(run_folder, 1, err) as run:
        from tallyclip.stages.count import count_matches

        run.open()
        count_matches(run)


@app.command(rich_help_panel="Step by step")
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
    """Show what each threshold would keep, and the t for a wanted size or tail share, before anything is drawn."""
    with OpenRun(run_folder, workers, err) as run:
        from tallyclip.stages.plan import plan_as_json, plan_run, read_plan

        run.open()
        plan_run(run, aim_of(t, size, tail_share), texts.value)
        if as_json:
            _print_json(plan_as_json(run))
        else:
            out.print(_show().plan_table(*read_plan(run)))


@app.command(rich_help_panel="Step by step")
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
    with OpenRun(run_folder, workers, err) as run:
        from tallyclip.stages.balance import balance_run

        run.open()
        balance_run(run, aim_of(t, size, tail_share), seed=seed, policy=texts.value)


@app.command(rich_help_panel="Step by step")
@reports_errors
def card(run_folder: options.RunFolder, workers: options.WorkersCount = None) -> None:
    """Write the data card of a balanced run."""
    with OpenRun(run_folder, workers, err) as run:
        from tallyclip.stages.card import make_card, read_card

        run.open()
        make_card(run)
        show_text(_show().summary(read_card(run), str(run_folder)))


@app.command(rich_help_panel="The whole way")
@reports_errors
def status(run_folder: options.RunFolder, as_json: options.AsJson = False) -> None:
    """Show a run as a tree of its stages; also while another command works on it."""
    import msgspec

    from tallyclip.run.layout import RunLayout
    from tallyclip.run.status import read_status

    found = read_status(RunLayout(run_folder.resolve()))
    if as_json:
        _print_json(msgspec.to_builtins(found))
    else:
        out.print(_show().status_tree(found))


@app.command(rich_help_panel="The whole way")
@reports_errors
def demo(
    out_folder: options.DemoOut = Path("tallyclip-demo"),
    workers: options.WorkersCount = None,
) -> None:
    """Curate the captions that come with tallyclip: 25,014 of COCO, and 75,000 made like the web's."""
    with OpenRun(out_folder, workers, err) as run:
        from tallyclip.core.data import Metadata
        from tallyclip.demo import demo_pool
        from tallyclip.flows import curate as pipeline
        from tallyclip.readers.columns import ColumnChoice
        from tallyclip.stages.plan import Aim

        run.progress.note("the first run on a machine compiles the matcher, which takes some 20 seconds")
        pool = demo_pool(run.layout.root.parent / f"{run.layout.root.name}-pool")
        card = pipeline.curate(run, [str(pool)], ColumnChoice(), Metadata.wordnet(), Aim())
    show_text(_show().summary(card, str(out_folder)))


add_commands(metadata_app, reports_errors)


def _match_text(text: str, counts: Path | None, metadata: str, clean: bool, mode: Any) -> None:
    from tallyclip import Matcher, Metadata, entry_probability, keep_probability
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


def show_text(text: str) -> None:
    """Print a text as it is: an entry or a path may look like markup."""
    out.print(Text(text), soft_wrap=True)


def _print_json(value: Any) -> None:
    import json

    print(json.dumps(value, indent=1))
