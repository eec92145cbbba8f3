"""The commands for entry lists: build one, and inspect existing ones."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tallyclip.cli import options
from tallyclip.cli.console import choose_progress, out, show_result, show_text
from tallyclip.errors import OptionError
from tallyclip.flows.names import bytes_of, run_folder

SHIPPED = options.completed("english", "worldwide")
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe",
        metavar="english|worldwide|FILE",
        autocompletion=SHIPPED,
        help="The recipe: a shipped one by name, or a TOML file.",
    ),
]
ShippedName = Annotated[
    str, typer.Argument(metavar="english|worldwide", autocompletion=SHIPPED, help="Name of the recipe.", show_default=False)
]
LanguageCode = Annotated[
    str | None,
    typer.Option("--language", metavar="CODE", help="Wikipedia language code, such as th. Default: the recipe's.", show_default=False),
]
Inputs = Annotated[
    Path | None,
    typer.Option(
        "--inputs",
        metavar="DIR",
        help="Folder of the recipe's input files. Default: the recipe's own folder; for a shipped recipe, the current one.",
        show_default=False,
    ),
]
BuildOut = Annotated[
    Path,
    typer.Option(
        "--out",
        parser=options.checked(run_folder),
        metavar="DIR",
        help="Folder for the list: new, empty, or from an interrupted or earlier build.",
    ),
]
FetchOut = Annotated[Path, typer.Option("--out", parser=options.checked(run_folder), metavar="DIR", help="Folder for the fetched inputs.")]
Memory = Annotated[str, typer.Option("--memory", metavar="SIZE", help="Memory for counting, such as 4G; at least 272M per worker.")]
MaxDownload = Annotated[str, typer.Option("--max-download", metavar="SIZE", help="Refuse larger files.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print the files and sizes that would be fetched.")]
Host = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="NAME=URL", help="Mirror for hub, dumps, wordnet or omw; repeatable.", show_default=False),
]
ListFiles = Annotated[list[str], typer.Argument(metavar="wordnet|FILE...", help="Entry lists, in order.", show_default=False)]
MergedOut = Annotated[
    str, typer.Option("--out", metavar="FILE", help="Merged list to write: .parquet keeps sources, .json and .txt only the entries.")
]
Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--classes",
        metavar="FILE",
        help="More class names to look for than ImageNet's and CIFAR's: .txt, .json, or open_clip's .py; repeatable.",
        show_default=False,
    ),
]
FetchWorkers = Annotated[
    int,
    typer.Option("--workers", metavar="N", min=1, max=16, help="Files to fetch in parallel; Wikimedia asks for at most three."),
]

AllowFailedShards = Annotated[
    bool,
    typer.Option(
        "--allow-failed-shards",
        help="Build without inputs that cannot be read; the manifest lists them.",
        rich_help_panel=options.HOW,
    ),
]


class _Panel(StrEnum):
    make, look = "Build a list", "Inspect lists"


def build(
    recipe: RecipeName,
    out_folder: BuildOut,
    language: LanguageCode = None,
    inputs: Inputs = None,
    memory: Memory = "4G",
    workers: options.WorkersCount = None,
    runner: options.Runner = options.RunnerKind.local,
    ray_address: options.RayAddress = None,
    shard_timeout: options.ShardTimeout = None,
    allow_failed_shards: AllowFailedShards = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    as_json: options.AsJson = False,
) -> None:
    """Build an entry list from a recipe: from WordNet, and from the words, phrases and titles of Wikipedia.

    Writes `DIR/metadata.parquet` (entry, source, score, rank), which every command takes as `--metadata`, and `DIR/manifest.json`.
    After an interruption, run the same command again to continue. Counts are kept, so a build with other limits takes moments.

    Needs for languages without spaces between words: metadata

    Example:
        tallyclip metadata build --recipe english --inputs inputs --out lists/en
    """
    choose_progress(quiet=quiet, verbose=verbose)
    from tallyclip.cli.progress import shown
    from tallyclip.run.runners.choose import runner_of
    from tallyclip.stages import LIST_PRELOAD

    size = bytes_of(memory, "--memory")
    if inputs is not None and not inputs.is_dir():
        raise OptionError(f"--inputs {inputs}: no such folder", "fetch the inputs with 'tallyclip metadata fetch'")
    chosen_runner = runner_of(workers, runner.value, ray_address, shard_timeout, folder=out_folder, preload=LIST_PRELOAD)
    bar = shown()
    with chosen_runner as pool:
        from tallyclip.cli.built import built_of, table_1
        from tallyclip.flows.build_list import build_list
        from tallyclip.lists.languages import language as language_of
        from tallyclip.lists.recipe import read_recipe
        from tallyclip.run.workspace import Workspace
        from tallyclip.stages.builds import BUILD

        made_of, folder = read_recipe(recipe)
        chosen = language_of(made_of.language if language is None else language)
        try:
            with Workspace(BUILD, out_folder, pool, bar, sys.argv[1:]) as into:
                manifest = build_list(into, made_of, chosen, (inputs or folder).resolve(), size, accept_failed=allow_failed_shards)
        finally:
            bar.stop()

    def show() -> None:
        out.print(table_1(manifest))
        show_text(f"\n{built_of(manifest, out_folder)}")

    show_result(as_json, {"list": out_folder / "metadata.parquet", "manifest": manifest}, show)


def fetch(
    recipe: RecipeName,
    out_folder: FetchOut,
    language: LanguageCode = None,
    host: Host = None,
    max_download: MaxDownload = "64G",
    workers: FetchWorkers = 3,
    dry_run: DryRun = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    as_json: options.AsJson = False,
) -> None:
    """Fetch the public inputs of a recipe: WordNet, Wikipedia's texts, page views.

    Resumes broken transfers, checks files against the servers' checksums, and skips files that are already there.

    Needs: metadata

    Example:
        tallyclip metadata fetch --recipe english --out inputs --dry-run
    """
    choose_progress(quiet=quiet, verbose=verbose)
    from tallyclip.cli.progress import shown
    from tallyclip.run.runners.local import Workers

    bar, largest = shown(), bytes_of(max_download, "--max-download")
    with Workers(workers) as pool:
        from tallyclip.cli.built import files_table
        from tallyclip.flows.fetch import fetch_inputs, hosts_of, wanted_files
        from tallyclip.lists.languages import language as language_of
        from tallyclip.lists.recipe import read_recipe

        made_of, _ = read_recipe(recipe)
        bar.note("asking the servers for their lists of files")
        files = wanted_files(made_of, language_of(made_of.language if language is None else language), hosts_of(host or []))
        show_result(as_json, {"folder": out_folder, "files": files}, lambda: out.print(files_table(files, out_folder)))
        if dry_run:
            return
        try:
            fetch_inputs(files, out_folder, pool, bar, largest=largest)
        finally:
            bar.stop()


def recipe(name: ShippedName) -> None:
    """Print a shipped recipe, as a start for your own.

    Example:
        tallyclip metadata recipe english > mine.toml
    """
    from tallyclip.lists.recipe import shipped_recipe

    print(shipped_recipe(name), end="")


def info(path: options.EntryList, clean_metadata: options.Clean = False, as_json: options.AsJson = False) -> None:
    """Show the size, fingerprint, sources and unmatchable entries of an entry list.

    Example:
        tallyclip metadata info wordnet
    """
    from tallyclip.cli.lists import facts_of, metadata_info
    from tallyclip.flows.asked import load_metadata

    entries = load_metadata(path, clean=clean_metadata)
    facts = facts_of(path, entries)
    show_result(as_json, facts, lambda: show_text(metadata_info(facts, entries)))


def diff(
    first: options.EntryList, second: options.EntryList, clean_metadata: options.Clean = False, as_json: options.AsJson = False
) -> None:
    """Show which entries two lists share, and which only one of them has.

    Example:
        tallyclip metadata diff wordnet lists/en/metadata.parquet
    """
    from tallyclip.cli import lists
    from tallyclip.flows.asked import load_metadata
    from tallyclip.lists.compare import difference

    found = difference(load_metadata(first, clean=clean_metadata), load_metadata(second, clean=clean_metadata))
    show_result(as_json, found, lambda: out.print(lists.difference_report(first, second, found)))


def merge(files: ListFiles, to: MergedOut, clean_metadata: options.Clean = False, as_json: options.AsJson = False) -> None:
    """Merge entry lists: all entries in order, each once. With one list, convert its file format.

    Example:
        tallyclip metadata merge lists/en/metadata.parquet terms.txt --out mine.parquet
    """
    from tallyclip.cli import lists
    from tallyclip.flows.asked import load_metadata
    from tallyclip.lists.compare import added
    from tallyclip.lists.compare import merge as merged_lists

    given = [load_metadata(name, clean=clean_metadata) for name in files]
    merged = merged_lists(given)
    merged.save(to)
    new = added(given)
    found = {
        "list": to,
        "entries": len(merged),
        "has_ranks": merged.ranks is not None,
        "of": [{"list": name, "entries": len(one), "new": more} for name, one, more in zip(files, given, new, strict=True)],
    }
    show_result(as_json, found, lambda: out.print(lists.merge_report(files, given, merged)))


def check(file: options.EntryList, classes: Classes = None, clean_metadata: options.Clean = False, as_json: options.AsJson = False) -> None:
    """Check an entry list: entries that no caption can match, repeats in another case, stop words, and class names of benchmarks.

    Example:
        tallyclip metadata check lists/en/metadata.parquet
    """
    from tallyclip.cli import lists
    from tallyclip.flows.asked import load_metadata
    from tallyclip.lists.check import check as checked
    from tallyclip.lists.classes import class_lists, read_classes

    known = dict(class_lists())
    for name in classes or []:
        known |= read_classes(name)
    found = checked(load_metadata(file, clean=clean_metadata), known)
    show_result(as_json, found, lambda: out.print(lists.check_report(file, found)))


def add_commands(app: typer.Typer, reports_errors: Any) -> None:
    """Add the commands to an app, in the order of use."""
    for command in (recipe, fetch, build):
        app.command(rich_help_panel=_Panel.make.value)(reports_errors(command))
    for command in (info, check, diff, merge):
        app.command(rich_help_panel=_Panel.look.value)(reports_errors(command))
