"""The commands. Each takes the options of its function in ``api.py``, calls it, and prints the result.

Longer than others: every command has its help and its examples here.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tallyclip import api
from tallyclip.cli import options
from tallyclip.cli.config import placed, shown
from tallyclip.cli.console import choose_progress, fails, out, reports_errors, show_file, show_result, show_text
from tallyclip.cli.difference import add_diff
from tallyclip.cli.evaluation import eval_app
from tallyclip.cli.experiment import experiment_app
from tallyclip.cli.export import export_app
from tallyclip.cli.given import options_of, origins
from tallyclip.cli.help import Commands
from tallyclip.cli.metadata import add_commands
from tallyclip.cli.results import run_result
from tallyclip.cli.slurm import WITH_RANKS, add_slurm
from tallyclip.cli.train import USE, add_train
from tallyclip.errors import OptionError, TallyclipError
from tallyclip.flows.names import check_unicode

if TYPE_CHECKING:
    from tallyclip.run.record import Record

EPILOG = "Exit codes: 0 success · 1 some inputs failed, or nothing was kept · 2 invalid input or option, nothing started · 130 interrupted"

app = Commands(epilog=EPILOG, pretty_exceptions_enable=False)
metadata_app = Commands(help="Build and inspect entry lists.")
config_app = Commands(help="Show the options of a run, as a file for --config.")
app.add_typer(export_app, name="export", rich_help_panel=USE)
app.add_typer(eval_app, name="eval", rich_help_panel=USE)
app.add_typer(experiment_app, name="experiment", rich_help_panel=USE)
app.add_typer(metadata_app, name="metadata", rich_help_panel="Entry lists and options")
app.add_typer(config_app, name="config", rich_help_panel="Entry lists and options")


@app.callback()
def root(version: options.Version = False) -> None:
    """Tally the entries, clip the head: curate image-text data for CLIP-like models.

    Examples:
        tallyclip demo
        tallyclip curate laion/*.parquet --size 1_000_000 --out run
        tallyclip status run
    """


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
    finally:
        gc.freeze()  # the process ends: to look for cycles among millions of objects would only take time


def _show() -> Any:
    """Import the module with heavy libraries only when a command needs it, so that ``--help`` is fast."""
    return import_module("tallyclip.cli.show")


@app.command(rich_help_panel="Main commands")
@reports_errors
@options_of(api.curate, config=True)
def curate(*, dry_run: options.DryRun = False, as_json: options.AsJson = False, **given: Any) -> None:
    """Curate a pool of captions: from files to a balanced subset and a data card, in one command.

    Matches every caption against the entry list, counts the matches of each entry, chooses the threshold t, draws the pairs to keep,
    and writes `RUN/curated/*.parquet`, `RUN/uids.npy`, `RUN/entry_counts.json`, `RUN/probabilities/*.parquet` and
    `RUN/card/card.html`. After an interruption, run the same command again to continue. With other options, only the stages that they
    affect are run again.

    Needs for crawl files and `--languages`: crawl

    Example:
        tallyclip curate laion/*.parquet --size 1_000_000 --out run
    """
    if dry_run:
        _estimate(given, as_json)
    else:
        _show_run(api.curate(**given, progress=True), as_json)


@app.command(rich_help_panel="Main commands")
@reports_errors
@options_of(api.make_pool, config=True)
def pool(*, pool: options.CrawlFiles = None, as_json: options.AsJson = False, **given: Any) -> None:
    """Make a pool from crawl files: image URLs with their captions, each pair once.

    Reads WAT or WARC files, resolves image URLs, takes alt, title and data-image-title as captions, removes duplicate pairs across all
    files, and writes `RUN/pool/*.parquet`, which `tallyclip curate` reads. Without filters nothing else is dropped, as in the paper.

    Needs: crawl

    Examples:
        tallyclip pool crawl/*.warc.wat.gz --languages en --out run
        tallyclip pool --crawl CC-MAIN-2024-22 --sample 1/1000 --out run
    """
    made = api.make_pool(pool, **given, progress=True)
    show_result(as_json, run_result(made), lambda: show_text(made.pool_summary) if _has(made, "pool") else None)


@app.command(rich_help_panel="Single stages")
@reports_errors
@options_of(api.match_pool, config=True)
def match(
    *,
    pool: options.MaybePool = None,
    out: options.MaybeOut = None,
    text: options.Text = None,
    counts: options.OddsOf = None,
    as_json: options.AsJson = False,
    **given: Any,
) -> None:
    """Match a pool against an entry list, or show which entries one caption matches.

    Needs for crawl files and `--languages`: crawl

    Examples:
        tallyclip match laion/*.parquet --out run
        tallyclip match --text "a photo of a dog" --counts run
    """
    if text is not None:
        metadata, mode = given["metadata"], given["mode"]
        if counts is not None and (metadata != "wordnet" or mode != "exact"):
            raise OptionError("--counts takes the entry list and the mode from its run", "remove --metadata and --mode")
        if pool or out:
            raise OptionError("--text matches one caption and takes no POOL or --out", 'tallyclip match --text "a photo of a dog"')
        _match_text(text, counts, metadata, given["clean_metadata"], mode, as_json)
        return
    if out is None:
        raise OptionError("give a POOL and --out RUN, or --text", "see 'tallyclip match --help'")
    _show_made(api.match_pool(pool, out=out, **given, progress=True), as_json)


@app.command(rich_help_panel="Single stages")
@reports_errors
@options_of(api.count)
def count(*, as_json: options.AsJson = False, **given: Any) -> None:
    """Count the matches of each entry in a matched pool.

    Example:
        tallyclip count run
    """
    _show_made(api.count(**given, progress=True), as_json)


@app.command(rich_help_panel="Single stages")
@reports_errors
@options_of(api.plan)
def plan(*, as_json: options.AsJson = False, **given: Any) -> None:
    """Show how many pairs each threshold t would keep, and find the t for a size or a tail share, without drawing.

    Examples:
        tallyclip plan run
        tallyclip plan run --size 1_000_000 --json
    """
    found = api.plan(**given, progress=True).plan
    show_result(as_json, found, lambda: out.print(_show().plan_table(found)))


@app.command(rich_help_panel="Single stages")
@reports_errors
@options_of(api.balance)
def balance(*, as_json: options.AsJson = False, **given: Any) -> None:
    """Draw the curated set of a counted pool.

    Examples:
        tallyclip balance run --tail-share 0.1
        tallyclip balance run --t 20000 --seed 1
    """
    _show_made(api.balance(**given, progress=True), as_json)


@app.command(rich_help_panel="Single stages")
@reports_errors
@options_of(api.card)
def card(*, as_json: options.AsJson = False, **given: Any) -> None:
    """Write the data card of a balanced run.

    Example:
        tallyclip card run
    """
    _show_run(api.card(**given, progress=True), as_json)


@app.command(rich_help_panel="Main commands")
@reports_errors
@options_of(api.survivors)
def survivors(
    *,
    images: options.Images,
    out: options.SurvivorsOut,
    estimate: options.Estimate = False,
    as_json: options.AsJson = False,
    **given: Any,
) -> None:
    """Balance what was downloaded of a run's pairs: count again, choose the threshold anew, and draw.

    Some images are gone, which changes the counts of entries, so balancing comes last. RUN is to hold all matched pairs: curate with
    `--t inf`, download these with `tallyclip export downloads`, and give the images here. The result is a run as any other, the same as
    of a pool without the missing images. `RUN2/retry/*.parquet` lists these, with the reasons, for img2dataset to try again.

    Example:
        tallyclip survivors run --images images --out run2
    """
    made = api.survivors(images=images, out=out, estimate=estimate, **given, progress=True)
    show_result(as_json, run_result(made), lambda: show_text(f"{made.summary}\nto retry    {made.retry}/*.parquet"))


@app.command(rich_help_panel="Single stages")
@reports_errors
def finish(
    run: options.RanksFolder,
    stage: options.FinishedStage,
    allow_failed_shards: options.AllowFailed = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Make a stage of what ranks have done of it, and all before it; or name the shards that are missing, and exit with 1.

    It repeats the command that the ranks were started with, which the run has recorded, with `--finish STAGE`.

    Examples:
        tallyclip curate pool/*.parquet --out run --rank 0 --ranks 2 --until match
        tallyclip curate pool/*.parquet --out run --rank 1 --ranks 2 --until match
        tallyclip finish run match
    """
    record = api.started(run)
    if record.command[0] not in WITH_RANKS:
        raise OptionError(f"{run}: 'tallyclip {record.command[0]}' has no ranks", f"{', '.join(WITH_RANKS)} have")
    flags = {"--allow-failed-shards": allow_failed_shards, "--quiet": quiet, "--json": as_json}
    _again(record, [], ["--finish", stage], flags)


@app.command(rich_help_panel="Main commands")
@reports_errors
def add(
    run: options.RunFolder,
    pool: options.AddedPool,
    workers: options.WorkersCount = None,
    allow_failed_shards: options.AllowFailed = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    as_json: options.AsJson = False,
) -> None:
    """Add files to the pool of a run, such as a later crawl: only these are read, and what depends on all is made again.

    The result is that of curating all files at once: it repeats the command that the run was made with, for its files and these. Where
    duplicates are dropped or captions filtered, all files are matched again, but only the new ones read; docs/scale.md says how to keep
    pools of crawls apart, so that they are not.

    Example:
        tallyclip add run newer/*.parquet
    """
    record = api.started(run)
    if record.command[0] not in WITH_RANKS or "--crawl" in record.command:
        what = "was made of a crawl by its name" if "--crawl" in record.command else f"was made by 'tallyclip {record.command[0]}'"
        raise OptionError(
            f"{run} {what}, to which no files can be added", "give files to 'tallyclip curate', and later more of them to this"
        )
    flags = {"--allow-failed-shards": allow_failed_shards, "--quiet": quiet, "--verbose": verbose, "--json": as_json}
    more = [] if workers is None else ["--workers", str(workers)]
    _again(record, placed("pool", pool, os.getcwd()), more, flags)


def _again(record: Record, files: list[str], more: list[str], flags: dict[str, bool]) -> None:
    """Run the command that a run was made with again, for more files and with more options, in the folder that it was started in."""
    first, *rest = record.command
    named = next((number for number, word in enumerate(rest) if word.startswith("--")), len(rest))
    os.chdir(record.folder or ".")  # names in the command may be relative to it
    pool = dict.fromkeys([*rest[:named], *files])
    given = [flag for flag, is_given in flags.items() if is_given]
    code = app([first, *pool, *rest[named:], *more, *given], standalone_mode=False)
    raise typer.Exit(code or 0)


@app.command(rich_help_panel="Main commands")
@reports_errors
@options_of(api.status)
def status(*, as_json: options.AsJson = False, **given: Any) -> None:
    """Show the stages of a run and their progress, also while others work on it, here or on other machines: what is done, failed and
    running, on which machine and for how long, how fast it goes, and what takes long.

    Example:
        tallyclip status run
        tallyclip status run --metrics /var/lib/node_exporter/tallyclip.prom
    """
    found = api.status(**given)
    show_result(as_json, found, lambda: _show_status(found))


def _show_status(found: Any) -> None:
    out.print(_show().status_tree(found))
    if found.card is not None or found.next is not None:
        show_text(_show().status_places(found))


@app.command(rich_help_panel="Main commands")
@reports_errors
def demo(
    out_folder: options.DemoOut = Path("tallyclip-demo"),
    workers: options.WorkersCount = None,
    runner: options.Runner = options.RunnerKind.local,
    ray_address: options.RayAddress = None,
    shard_timeout: options.ShardTimeout = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    as_json: options.AsJson = False,
) -> None:
    """Curate the bundled captions: 25,014 of COCO and 75,000 synthetic web-like ones.

    Writes the captions to RUN-pool, beside the run. Delete both folders when you are done.

    Example:
        tallyclip demo --out tallyclip-demo
    """
    choose_progress(quiet=quiet, verbose=verbose)
    pool = out_folder.resolve().with_name(f"{out_folder.resolve().name}-pool")
    how = {"workers": workers, "runner": runner.value, "ray_address": ray_address, "shard_timeout": shard_timeout}
    with api.OpenFolder(out_folder, how, sys.argv[1:], progress=True) as run:
        from tallyclip.core.data import Metadata
        from tallyclip.demo import demo_pool
        from tallyclip.flows import curate as pipeline
        from tallyclip.readers.columns import ColumnChoice
        from tallyclip.stages.plan import Aim

        pipeline.curate(run, [str(demo_pool(pool))], ColumnChoice(), Metadata.wordnet(), Aim())
    made = api.Run(out_folder)
    show_result(as_json, run_result(made), lambda: show_text(f"captions    {os.path.relpath(pool)}/*.parquet\n{made.summary}"))


@config_app.command("show")
@reports_errors
@options_of(api.curate, config=True)
def show_config(*, out: options.MaybeOut = None, context: typer.Context, **given: Any) -> None:
    """Print the options that curate would run with, as TOML for `--config`, and where each is from: a flag, the file, or the default.

    Example:
        tallyclip config show laion/*.parquet --size 1_000_000 --out run > run.toml
    """
    given = {name: placed(name, value, os.getcwd()) for name, value in ({"pool": given["pool"], "out": out} | given).items()}
    show_file(shown(given, origins(context)))


add_commands(metadata_app, reports_errors)
add_train(app)
add_diff(app)
add_slurm(app)


def _show_run(run: api.Run, as_json: bool) -> None:
    show_result(as_json, run_result(run), lambda: show_text(run.summary) if _has(run, "card") else None)


def _has(run: api.Run, name: str) -> bool:
    """Is its last stage made? After the share of a rank it may not be, and progress has said what was done."""
    return any((stage.stage, stage.state) == (name, "done") for stage in run.status.stages)


def _show_made(run: api.Run, as_json: bool) -> None:
    """Of a stage that says all there is to say when it is done."""
    show_result(as_json, run_result(run), lambda: None)


def _estimate(given: dict[str, Any], as_json: bool) -> None:
    from tallyclip.core.balance import checked_seed
    from tallyclip.flows.asked import aim_of, choice_of, load_metadata, pool_options
    from tallyclip.flows.dry_run import estimate_run
    from tallyclip.run.runners.local import count_of

    aim_of(given["t"], given["size"], given["tail_share"], exactly=given["exactly"])
    checked_seed(given["seed"])
    pool_options(given)
    if given["crawl"] is not None or not given["pool"]:
        raise OptionError(
            "--dry-run reads the beginning of files, so it needs a POOL", "to estimate a crawl, make a pool of a small --sample first"
        )
    choice = choice_of(*(given[name] for name in api.COLUMNS))
    entries = load_metadata(given["metadata"], clean=given["clean_metadata"])
    found = estimate_run(given["pool"], choice, entries, given["mode"], count_of(given["workers"]))
    show_result(as_json, found, lambda: show_text(_show().dry_run(found)))


def _match_text(caption: str, counts: Path | None, metadata: str, clean: bool, mode: Any, as_json: bool) -> None:
    from tallyclip.flows.text import text_matches, text_odds

    found = text_matches(caption, metadata, clean=clean, mode=mode) if counts is None else text_odds(caption, counts)
    show_result(as_json, found, lambda: out.print(_show().text_matches(found)))
