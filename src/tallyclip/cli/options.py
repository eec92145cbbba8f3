"""The options and arguments of the commands, with their help. Longer than others: it lists all of them.

``OPTIONS`` has those that are keywords of functions in ``api.py``, by these keywords: `given.py` gives each command those of its function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from tallyclip.errors import OptionError, TallyclipError
from tallyclip.flows.names import pool_name, run_folder, run_place

Value = TypeVar("Value")


def checked(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """A parser whose errors reach ``app.main`` as they are: of a ValueError, as an OptionError is one, typer would show less."""

    @functools.wraps(parse)
    def parsed(name: str) -> Value:
        try:
            return parse(name)
        except OptionError as error:
            raise TallyclipError(error.what, error.hint) from None

    return parsed


class ModeName(StrEnum):
    exact = "exact"
    spaced_entries = "spaced-entries"
    casefolded = "casefold"


class TextsName(StrEnum):
    pairs = "pairs"
    one_per_image = "one-per-image"


class DuplicatesName(StrEnum):
    pair = "pair"
    url = "url"
    report = "report"
    estimate = "estimate"
    off = "off"


class CrawlKindName(StrEnum):
    wat = "wat"
    warc = "warc"


class RunnerKind(StrEnum):
    local = "local"
    ray = "ray"


def one_of(words: type[StrEnum]) -> str:
    """What help calls the value of an option that is one of these words."""
    return "|".join(words)


def completed(*words: str) -> Callable[[], list[str]]:
    """For shells that complete the value of an option or argument: these words, or else the names of files."""
    return lambda: list(words)


WHAT, COLUMNS, HOW = "Matching and balancing", "Columns of the pool", "How to run"
RANKS = "Ranks: several processes, on one machine or many"
CRAWL, FILTERS, LANGUAGES = "Crawl files", "Filters and duplicates", "Languages"
PATH = "a path, or a URL"  # marks options whose values in a file are relative to its folder

Clean = Annotated[
    bool,
    typer.Option("--clean-metadata", help="Drop empty and duplicate entries; by default they are an error.", rich_help_panel=WHAT),
]
WorkersCount = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        help="Number of worker processes. Default: one per processor.",
        rich_help_panel=HOW,
        show_default=False,
    ),
]
RunFolder = Annotated[
    Path,
    typer.Argument(parser=checked(run_place), metavar="RUN", help="Run folder, or its URL on an object store.", show_default=False),
]
RanksFolder = Annotated[
    Path,
    typer.Argument(
        parser=checked(run_place),
        metavar="RUN",
        help="Run folder, on a file system or object store that all ranks see.",
        show_default=False,
    ),
]
AllowFailed = Annotated[
    bool,
    typer.Option(
        "--allow-failed-shards",
        help="Continue without shards that cannot be read; they are named in the end.",
        rich_help_panel=HOW,
    ),
]
Runner = Annotated[
    RunnerKind,
    typer.Option(
        "--runner",
        metavar=one_of(RunnerKind),
        help="Where the work is done: by processes on this machine, or by a Ray cluster (docs/scale.md).",
        rich_help_panel=HOW,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="HOST:PORT|auto",
        help="With --runner ray: of the cluster; auto is the one this machine belongs to. Default: one on this machine, for this command.",
        rich_help_panel=HOW,
        show_default=False,
    ),
]
ShardTimeout = Annotated[
    float | None,
    typer.Option(
        "--shard-timeout",
        metavar="SECONDS",
        help="Stop a piece of work that takes longer, and fail it if it does so twice. Default: no limit.",
        rich_help_panel=HOW,
        show_default=False,
    ),
]
OPTIONS: dict[str, Any] = {
    "pool": Annotated[
        list[str] | None,
        typer.Argument(
            parser=checked(pool_name),
            metavar="POOL",
            help="Files, folders, globs or fsspec URLs (s3://, https://, hf://): Parquet, JSON or JSONL, CSV, TSV, text, "
            "img2dataset folders, WebDataset tars, MetaCLIP's JSON, captions of COCO and Flickr; all but Parquet may be "
            "compressed (.gz, .zst, .bz2, .lz4). "
            "Or the WAT or WARC files of a crawl.",
            show_default=False,
        ),
        PATH,
    ],
    "run": RunFolder,
    "run_a": Annotated[Path, typer.Argument(parser=checked(run_place), metavar="RUN_A", help="Run folder.", show_default=False)],
    "run_b": Annotated[Path, typer.Argument(parser=checked(run_place), metavar="RUN_B", help="Run folder.", show_default=False)],
    "metrics": Annotated[
        Path | None,
        typer.Option(
            "--metrics",
            metavar="FILE",
            help="Write the same as metrics of Prometheus, for node_exporter's textfile collector, too.",
            show_default=False,
        ),
    ],
    "html": Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page, too.", show_default=False)],
    "out": Annotated[
        Path,
        typer.Option(
            "--out",
            parser=checked(run_place),
            metavar="RUN",
            help="Run folder: new, empty, or a run to continue; or its URL on an object store, such as s3://bucket/run.",
            show_default=False,
        ),
        PATH,
    ],
    "metadata": Annotated[
        str,
        typer.Option(
            "--metadata",
            metavar="wordnet|FILE",
            autocompletion=completed("wordnet"),
            help="Entry list: a JSON list, a text file, Parquet, or a folder of 'metadata build'.",
            rich_help_panel=WHAT,
        ),
        PATH,
    ],
    "clean_metadata": Clean,
    "t": Annotated[
        float | None,
        typer.Option(
            "--t",
            metavar="NUMBER",
            help="Threshold between tail and head entries. The paper's is 20000; inf keeps every matched pair.",
            rich_help_panel=WHAT,
        ),
    ],
    "size": Annotated[
        str | None,
        typer.Option(
            "--size", metavar="PAIRS", help="Instead of --t: expected number of pairs to keep, such as 1_000_000.", rich_help_panel=WHAT
        ),
    ],
    "exactly": Annotated[
        bool,
        typer.Option(
            "--exactly",
            help="With --size: keep exactly so many distinct pairs, at the smallest t whose draw does.",
            rich_help_panel=WHAT,
        ),
    ],
    "tail_share": Annotated[
        float | None,
        typer.Option(
            "--tail-share",
            metavar="SHARE",
            help="Instead of --t: share of all matches that fall on tail entries. Default without --t and --size: 0.06, as in the paper.",
            rich_help_panel=WHAT,
        ),
    ],
    "seed": Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the draw.", rich_help_panel=WHAT)],
    "mode": Annotated[
        ModeName,
        typer.Option(
            "--mode", metavar=one_of(ModeName), help="How entries match captions; 'exact' is the paper's rule.", rich_help_panel=WHAT
        ),
    ],
    "texts": Annotated[
        TextsName,
        typer.Option(
            "--texts",
            metavar=one_of(TextsName),
            help="Images with several captions: make each caption a pair, or pick one per image.",
            rich_help_panel=WHAT,
        ),
    ],
    "crawl": Annotated[
        str | None,
        typer.Option("--crawl", metavar="NAME", help="Id of a crawl by Common Crawl, such as CC-MAIN-2024-22.", rich_help_panel=CRAWL),
    ],
    "sample": Annotated[
        str | None,
        typer.Option(
            "--sample",
            metavar="SHARE",
            help="With --crawl: share of its files to read, such as 1/1000. A smaller sample is part of a larger one.",
            rich_help_panel=CRAWL,
        ),
    ],
    "kind": Annotated[
        CrawlKindName | None,
        typer.Option(
            "--kind",
            metavar=one_of(CrawlKindName),
            help="With --crawl: which of its files to read. Default: wat.",
            rich_help_panel=CRAWL,
            show_default=False,
        ),
    ],
    "base_url": Annotated[
        str | None,
        typer.Option(
            "--base-url",
            metavar="URL",
            help="With --crawl: URL or folder that has crawl-data/. Default: Common Crawl's server.",
            rich_help_panel=CRAWL,
        ),
        PATH,
    ],
    "keep_readable": Annotated[
        bool,
        typer.Option(
            "--keep-readable",
            help="Keep the readable part of damaged crawl files and count the loss; by default a damaged file fails.",
            rich_help_panel=CRAWL,
        ),
    ],
    "max_download": Annotated[
        str,
        typer.Option("--max-download", metavar="SIZE", help="Do not download larger files; they fail.", rich_help_panel=CRAWL),
    ],
    "duplicates": Annotated[
        DuplicatesName | None,
        typer.Option(
            "--duplicates",
            metavar=one_of(DuplicatesName),
            help="Keep one of equal pairs (URL and caption: 'pair'), or one caption for each URL ('url'). Or keep all, and count how many "
            "repeat others ('report'), estimate it from a sample of 1/64 ('estimate'), or do neither ('off'). Default: pair for crawl "
            "files, estimate for tables.",
            rich_help_panel=FILTERS,
            show_default=False,
        ),
    ],
    "exclude_pool": Annotated[
        list[str] | None,
        typer.Option(
            "--exclude-pool",
            metavar="RUN",
            help="Run folder of an earlier pool; pairs already in it are skipped. Can be repeated.",
            rich_help_panel=FILTERS,
            show_default=False,
        ),
        PATH,
    ],
    "step": Annotated[
        list[str] | None,
        typer.Option(
            "--step",
            metavar="MODULE:FUNCTION",
            help="A function of your own that says which pairs are kept, such as mysteps:keep: see docs/steps.md. Can be repeated.",
            rich_help_panel=FILTERS,
            show_default=False,
        ),
    ],
    "write_dropped": Annotated[
        bool,
        typer.Option("--write-dropped", help="Write the pairs that are dropped to RUN/dropped, by reason.", rich_help_panel=FILTERS),
    ],
    "max_url_length": Annotated[
        int | None,
        typer.Option("--max-url-length", metavar="N", help="Drop pairs whose URL has more characters.", rich_help_panel=FILTERS),
    ],
    "min_text_length": Annotated[
        int | None,
        typer.Option("--min-text-length", metavar="N", help="Drop captions of fewer characters.", rich_help_panel=FILTERS),
    ],
    "max_text_length": Annotated[
        int | None,
        typer.Option("--max-text-length", metavar="N", help="Drop captions of more characters.", rich_help_panel=FILTERS),
    ],
    "drop_no_letters": Annotated[
        bool,
        typer.Option("--drop-no-letters", help="Drop captions without a letter.", rich_help_panel=FILTERS),
    ],
    "drop_file_names": Annotated[
        bool,
        typer.Option("--drop-file-names", help="Drop captions that are a file name, an id, a number or a date.", rich_help_panel=FILTERS),
    ],
    "max_site_repeats": Annotated[
        int | None,
        typer.Option(
            "--max-site-repeats",
            metavar="N",
            help="Drop boilerplate: captions used with more than N distinct images on one host.",
            rich_help_panel=FILTERS,
        ),
    ],
    "blocked_domains": Annotated[
        str | None,
        typer.Option(
            "--blocked-domains",
            metavar="FILE",
            help="Drop images on these domains and their subdomains: a text file, one domain per line.",
            rich_help_panel=FILTERS,
        ),
        PATH,
    ],
    "blocked_keywords": Annotated[
        str | None,
        typer.Option(
            "--blocked-keywords",
            metavar="FILE",
            help="Drop captions that contain one of these: a text file, one word or phrase per line.",
            rich_help_panel=FILTERS,
        ),
        PATH,
    ],
    "languages": Annotated[
        str | None,
        typer.Option(
            "--languages",
            metavar="en|en,de|all",
            help="Keep captions in these languages and add a language column; 'all' only adds the column. Default: no detection.",
            rich_help_panel=LANGUAGES,
            show_default=False,
        ),
    ],
    "language_threshold": Annotated[
        float | None,
        typer.Option(
            "--language-threshold",
            metavar="SCORE",
            help="Lowest score at which a caption counts as being in a language; default 0.2.",
            rich_help_panel=LANGUAGES,
            show_default=False,
        ),
    ],
    "caption_column": Annotated[
        str | None,
        typer.Option(
            "--caption-column",
            metavar="NAME",
            help="Name of the caption column, if it cannot be detected; in a tar also a suffix, such as outputs.txt.",
            rich_help_panel=COLUMNS,
        ),
    ],
    "url_column": Annotated[
        str | None,
        typer.Option("--url-column", metavar="NAME", help="Name of the URL column, if it cannot be detected.", rich_help_panel=COLUMNS),
    ],
    "uid_column": Annotated[
        str | None,
        typer.Option(
            "--uid-column",
            metavar="NAME",
            help="Name of the column of uids (32 hex digits), if it cannot be detected.",
            rich_help_panel=COLUMNS,
        ),
    ],
    "format": Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="How files of JSON or text are read: coco, karpathy, redcaps, sbu, metaclip-v2, flickr, wit, or plainly as json, csv, tsv "
            "or text. Default: detected.",
            rich_help_panel=COLUMNS,
            show_default=False,
        ),
    ],
    "header": Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header",
            help="CSV and TSV: the first row names the columns, or is data. Default: detected.",
            rich_help_panel=COLUMNS,
            show_default=False,
        ),
    ],
    "delimiter": Annotated[
        str | None,
        typer.Option(
            "--delimiter",
            metavar="CHARACTER",
            help="CSV and TSV: what separates values: comma, tab, semicolon, pipe or another character. Default: detected.",
            rich_help_panel=COLUMNS,
            show_default=False,
        ),
    ],
    "quote": Annotated[
        str | None,
        typer.Option(
            "--quote",
            metavar="CHARACTER",
            help="CSV and TSV: what encloses values; 'none': quotation marks are ordinary characters. Default: detected.",
            rich_help_panel=COLUMNS,
            show_default=False,
        ),
    ],
    "escape": Annotated[
        str | None,
        typer.Option(
            "--escape",
            metavar="CHARACTER",
            help="CSV and TSV: what escapes quotes and delimiters, such as a backslash, or 'none'. Default: detected.",
            rich_help_panel=COLUMNS,
            show_default=False,
        ),
    ],
    "workers": WorkersCount,
    "runner": Runner,
    "ray_address": RayAddress,
    "shard_timeout": ShardTimeout,
    "rank": Annotated[
        str | None,
        typer.Option(
            "--rank",
            metavar="I|auto",
            help="Do the share of process I of N, from 0, in a folder that all see. Or auto, in a job of Slurm or torchrun.",
            rich_help_panel=RANKS,
            show_default=False,
        ),
    ],
    "ranks": Annotated[
        int | None,
        typer.Option("--ranks", metavar="N", help="How many processes there are.", rich_help_panel=RANKS, show_default=False),
    ],
    "until": Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="STAGE",
            help="The stage whose share to do. Default: the first that is not whole.",
            rich_help_panel=RANKS,
            show_default=False,
        ),
    ],
    "wait": Annotated[
        float | None,
        typer.Option(
            "--wait",
            metavar="SECONDS",
            help="Go on to the end with the other ranks, and wait so long for those that are not at work: longer than one takes to start. "
            "Default: stop when the share is done, for 'tallyclip finish'.",
            rich_help_panel=RANKS,
            show_default=False,
        ),
    ],
    "finish": Annotated[
        str | None,
        typer.Option(
            "--finish",
            metavar="STAGE",
            help="Make the stages up to this one of what ranks did, as 'tallyclip finish RUN STAGE' does; do no shard.",
            rich_help_panel=RANKS,
            show_default=False,
        ),
    ],
    "allow_failed_shards": AllowFailed,
}


Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress; errors are shown.", rich_help_panel=HOW)]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Name each piece of work that is done.", rich_help_panel=HOW)]

# What a command has in place of these, or beside them.

ExportOut = Annotated[
    Path,
    typer.Option(
        "--out",
        parser=checked(run_folder),
        metavar="DIR",
        help="Folder for exports: new, empty, or one to continue. Several exports of a run may share it.",
        show_default=False,
    ),
]
SurvivorsOut = Annotated[
    Path,
    typer.Option(
        "--out",
        parser=checked(run_place),
        metavar="RUN2",
        help="Folder of the run over what was downloaded: new, empty, or one to continue.",
        show_default=False,
    ),
]
Images = Annotated[
    list[str],
    typer.Option(
        "--images",
        parser=checked(pool_name),
        metavar="TARS",
        help="Tars of images; folders, globs or URLs of them, or ranges such as '{00000..00099}.tar'. May be given several times. Of a "
        "pair that is in several, the first by path counts.",
        show_default=False,
    ),
]
Estimate = Annotated[
    bool,
    typer.Option(
        "--estimate",
        help="If RUN was balanced before the download: estimate the counts from what its draw has kept, and go on with that draw.",
        rich_help_panel=WHAT,
    ),
]
MaybeRun = Annotated[
    Path | None,
    typer.Argument(parser=checked(run_place), metavar="RUN", help="Run folder. Default: all pairs of the shards.", show_default=False),
]
ShardSize = Annotated[int, typer.Option("--shard-size", metavar="N", help="Samples in a shard.")]
IndexOut = Annotated[
    Path,
    typer.Option("--out", parser=checked(run_folder), metavar="DIR", help="Folder of the index: new, empty, or one to continue."),
]
Repeats = Annotated[
    bool,
    typer.Option("--repeats", help="Write a uid as often as the curated set has it; the resharder then writes its sample as often."),
]
Tables = Annotated[
    list[str] | None,
    typer.Argument(
        parser=checked(pool_name),
        metavar="TABLES",
        help="Files, folders, globs or URLs, as for 'curate'. Default: the pool that the run was made from.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Only print the expected pairs, time, disk and memory.", rich_help_panel=HOW),
]
MaybePool = Annotated[
    list[str] | None, typer.Argument(parser=checked(pool_name), metavar="POOL", help="Input files, as for 'curate'.", show_default=False)
]
MaybeOut = Annotated[
    Path | None,
    typer.Option("--out", parser=checked(run_place), metavar="RUN", help="Run folder, or its URL on an object store.", show_default=False),
]
Text = Annotated[
    str | None,
    typer.Option("--text", metavar="CAPTION", help="Instead of a POOL: one caption, to show which entries it matches, or why none."),
]
OddsOf = Annotated[
    Path | None,
    typer.Option(
        "--counts", parser=checked(run_place), metavar="RUN", help="With --text: a run folder, to show counts and probabilities too."
    ),
]
DemoOut = Annotated[Path, typer.Option("--out", parser=checked(run_folder), metavar="RUN", help="Run folder.")]
EntryList = Annotated[
    str, typer.Argument(metavar="wordnet|FILE", autocompletion=completed("wordnet"), help="Entry list.", show_default=False)
]
CrawlFiles = Annotated[
    list[str] | None,
    typer.Argument(
        parser=checked(pool_name),
        metavar="CRAWL",
        help="WAT or WARC files, or folders, globs or URLs of them; plain, gzip, Zstandard or LZ4. Or give --crawl.",
        show_default=False,
    ),
]


def _say_version(wanted: bool) -> None:
    if wanted:
        from tallyclip import __version__

        print(f"tallyclip {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Show the version and exit.", callback=_say_version, is_eager=True)]
FinishedStage = Annotated[str, typer.Argument(metavar="STAGE", help="Such as match; see 'tallyclip status RUN'.", show_default=False)]
AddedPool = Annotated[
    list[str], typer.Argument(parser=checked(pool_name), metavar="POOL", help="More files, as for 'curate'.", show_default=False)
]
