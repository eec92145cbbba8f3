"""The commands as functions: ``curate`` and its steps, from files to files.

A function takes the options of its command as keywords, with the same defaults, and makes the same files: the command calls it. It
prints nothing, unless ``progress=True`` is given, and returns a ``Run``. It works in scripts, without a guard of ``__main__``, in notebooks
and in ``python -c``: worker processes import tallyclip, and nothing of the caller.

Longer than others: every option takes a line in the functions that have it.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallyclip.escaping import printable
from tallyclip.flows.names import check_unicode, run_place
from tallyclip.places import shown

if TYPE_CHECKING:
    from typing import Literal

    import numpy as np
    from jaxtyping import Int64

    from tallyclip.core.balance import TextsPolicy
    from tallyclip.core.data import Metadata
    from tallyclip.evaluation.results import Evaluation
    from tallyclip.match.reference import Mode
    from tallyclip.report.diff import RunDifference
    from tallyclip.run.progress import Progress
    from tallyclip.run.ranks import Role
    from tallyclip.run.record import Record
    from tallyclip.run.runners.choose import RunnerName
    from tallyclip.run.status import RunStatus
    from tallyclip.run.workspace import Kind, Workspace
    from tallyclip.stages.gather import Duplicates
    from tallyclip.stages.plan import Plan

    Steps = str | Callable[..., Any] | Sequence[str | Callable[..., Any]]
    Names = str | PathLike[str] | Sequence[str | PathLike[str]]
    CrawlKind = Literal["wat", "warc"]

# What keywords may be, by the words of their annotations; those with other words are checked where they are used.
_KINDS = {"str": str, "int": int, "float": float | int, "bool": bool, "None": type(None), "PathLike[str]": PathLike}
COLUMNS = ("caption_column", "url_column", "uid_column", "format", "header", "delimiter", "quote", "escape")
_NOT_OPTIONS = ("progress",)  # of a command, which always shows it
PART = ("rank", "ranks", "until", "wait", "finish")  # which part of the work a process does: not what is asked for
HOW_TO_RUN = {"workers": None, "runner": "local", "ray_address": None, "shard_timeout": None}  # no result depends on it
RESULTS = {  # where the properties of a run lead, in its folder
    "pool": "pool",
    "curated": "curated",
    "uids": "uids.npy",
    "entry_counts": "entry_counts.json",
    "entry_counts_curated": "entry_counts_curated.json",
    "probabilities": "probabilities",
    "dropped": "dropped",
    "retry": "retry",
    "card": "card/card.html",
}
_FLAGS = ("images",)  # of a command, though functions take them by their place


@dataclass(frozen=True)
class Run:
    """A run folder: the paths of its results, and what is in them. What is read is read when it is asked for.

    Args:
        path: the folder, as ``--out`` of a command. A Run is itself a path, for ``open``, pandas and the functions here. Of a run on an
            object store the paths of folders are those of local copies, where files are once they are used: read such folders by their URL.

    Raises:
        OptionError: the path is empty, or a URL that a run cannot be at.

    >>> from tallyclip import Run
    >>> Run("run").curated.as_posix()
    'run/curated'
    """

    path: Path

    def __init__(self, path: str | PathLike[str]) -> None:
        object.__setattr__(self, "path", run_place(os.fspath(path)))

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def curated(self) -> Path:
        """The folder of Parquet files with the pairs that are kept."""
        return self._place("curated")

    @property
    def uids(self) -> Path:
        """The uids of these, ``u8,u8[K]``, sorted, each once: ``numpy.load`` reads them."""
        return self._file("uids")

    @property
    def entry_counts(self) -> Path:
        """JSON: entry → count in the pool."""
        return self._file("entry_counts")

    @property
    def entry_counts_curated(self) -> Path:
        """JSON: entry → count in the curated set."""
        return self._file("entry_counts_curated")

    @property
    def probabilities(self) -> Path:
        """The folder of Parquet files with the keep probability of every matched pair."""
        return self._place("probabilities")

    @property
    def card(self) -> Path:
        """The data card as HTML; ``card.md`` and ``card.json`` are beside it."""
        return self._file("card")

    @property
    def dropped(self) -> Path:
        """With ``write_dropped``: the folder that has, for each reason, a folder of Parquet files with the pairs dropped for it."""
        return self._place("dropped")

    @property
    def pool(self) -> Path:
        """Of crawl files: the folder of Parquet files with the pool they became."""
        return self._place("pool")

    @property
    def retry(self) -> Path:
        """Of survivors: the folder of Parquet files with the pairs that have no image, for img2dataset, with the reasons."""
        return self._place("retry")

    @property
    def metadata(self) -> Metadata:
        """The V entries of the run.

        Raises:
            ArtifactError: the folder is not a run.
            IncompleteError: the stage that makes this is not whole; so do all that follow.
        """
        from tallyclip.stages.metadata import entries_of

        return entries_of(self._read())

    @property
    def counts(self) -> Int64[np.ndarray, " V"]:
        """How many captions of the pool match each entry."""
        from tallyclip.stages.counts import load_counts

        return load_counts(self._read())

    @property
    def counts_curated(self) -> Int64[np.ndarray, " V"]:
        """How many captions of the curated set match each entry."""
        from tallyclip.io.arrays import read_array
        from tallyclip.stages.balance import BALANCE

        run = self._read()
        run.required(BALANCE)
        return read_array(run.folder(BALANCE).counts_curated)

    @property
    def plan(self) -> Plan:
        """The planned ``t``, ``why``, and ``rows``: for each of several t its ``expected_size``, ``tail_share`` and more."""
        from tallyclip.stages.plan import PLAN, read_plan

        run = self._read()
        run.required(PLAN)
        return read_plan(run)

    @property
    def summary(self) -> str:
        """What ``tallyclip curate`` prints at its end."""
        from tallyclip.stages.card import summary_of

        uids, card = self._place("uids"), self._place("card")
        places = [f"curated     {self.curated}/*.parquet", f"uids        {uids}", f"data card   {card}"]
        return "\n".join(printable(shown(line)) for line in [*summary_of(self._read()), *places])

    @property
    def pool_summary(self) -> str:
        """What ``tallyclip pool`` prints at its end."""
        from tallyclip.stages.pool import pool_summary

        return "\n".join(printable(shown(line)) for line in [*pool_summary(self._read()), f"pool        {self.pool}/*.parquet"])

    @property
    def status(self) -> RunStatus:
        """The stages and how far each is, also while another process works on them; and the command that goes on."""
        from tallyclip.io.mirror import look_at
        from tallyclip.run.status import read_status
        from tallyclip.stages.next_command import next_command
        from tallyclip.stages.outline import RUN_OUTLINE

        look_at(self.path.resolve())
        status = read_status(RUN_OUTLINE, self.path.resolve())
        status.next = next_command(status)
        status.root = shown(status.root)
        card = shown(str(self._place("card")))
        status.card = next((card for stage in status.stages if (stage.stage, stage.state) == ("card", "done")), None)
        return status

    def _place(self, name: str) -> Path:
        return self.path / RESULTS[name]

    def _file(self, name: str) -> Path:
        """The path of a file, which is here then, also of a run on an object store."""
        from tallyclip.io.mirror import fetched

        return fetched(self._place(name))

    def _read(self) -> Workspace:
        from tallyclip.run.workspace import only_read
        from tallyclip.stages.runs import RUN

        return only_read(RUN, self.path)


def run_kind() -> Kind:
    """The kind of folder that a run is."""
    from tallyclip.stages.runs import RUN

    return RUN


class OpenFolder:
    """A context manager: an open folder with its workers, and with its progress on standard error if it is to be shown.

    What else is needed is imported inside the block: where all is still to be done, workers start meanwhile.

    Args:
        folder: a run folder, or of another kind.
        given: what was asked for; of it counts how to run: ``HOW_TO_RUN``.
        command: to be recorded in the folder.
        progress: show it.
        kind: imports what kind of folder it is.
        role: which part of the work is done here; by default all.
    """

    def __init__(
        self,
        folder: Path,
        given: Mapping[str, Any],
        command: Sequence[str],
        *,
        progress: bool,
        kind: Callable[[], Kind] = run_kind,
        role: Role | None = None,
    ) -> None:
        from tallyclip.run.runners.choose import runner_of
        from tallyclip.stages import PRELOAD

        check_unicode([*command, os.path.abspath(folder)])  # the files of a run could not record them
        self._folder, self._command, self._shows, self._kind, self._role = folder, command, progress, kind, role
        self._runner = runner_of(**{name: given[name] for name in HOW_TO_RUN}, folder=folder, preload=PRELOAD)

    def __enter__(self) -> Workspace:
        self._runner.__enter__()
        from tallyclip.run.workspace import Workspace

        self._progress = None
        if self._shows:
            from tallyclip.cli.progress import shown

            self._progress = shown()
        self._workspace = Workspace(self._kind(), self._folder, self._runner, self._progress, self._command, self._role)
        return self._workspace.__enter__()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._runner.__exit__(kind, error, trace)
        self._workspace.__exit__(kind, error, trace)  # last: it unlocks the folder for the next command


def curate(
    pool: Names | None = None,
    *,
    out: str | PathLike[str],
    metadata: Metadata | str | PathLike[str] = "wordnet",
    clean_metadata: bool = False,
    t: float | None = None,
    size: float | str | None = None,
    exactly: bool = False,
    tail_share: float | None = None,
    seed: int = 0,
    mode: Mode = "exact",
    texts: TextsPolicy = "pairs",
    crawl: str | None = None,
    sample: str | None = None,
    kind: CrawlKind | None = None,
    base_url: str | None = None,
    duplicates: Duplicates | None = None,
    exclude_pool: Names | None = None,
    step: Steps | None = None,
    write_dropped: bool = False,
    languages: str | None = None,
    language_threshold: float | None = None,
    max_url_length: int | None = None,
    min_text_length: int | None = None,
    max_text_length: int | None = None,
    drop_no_letters: bool = False,
    drop_file_names: bool = False,
    max_site_repeats: int | None = None,
    blocked_domains: str | None = None,
    blocked_keywords: str | None = None,
    keep_readable: bool = False,
    max_download: str = "64G",
    caption_column: str | None = None,
    url_column: str | None = None,
    uid_column: str | None = None,
    format: str | None = None,  # noqa: A002 - named as the option
    header: bool | None = None,
    delimiter: str | None = None,
    quote: str | None = None,
    escape: str | None = None,
    workers: int | None = None,
    runner: RunnerName = "local",
    ray_address: str | None = None,
    shard_timeout: float | None = None,
    rank: int | str | None = None,
    ranks: int | None = None,
    until: str | None = None,
    wait: float | None = None,
    finish: str | None = None,
    allow_failed_shards: bool = False,
    progress: bool = False,
) -> Run:
    """Curate a pool of captions, as ``tallyclip curate``: match, count, plan, balance, and write the card.

    Called again, it continues what was interrupted; with other options, it repeats the stages that they affect.

    Args:
        pool: files, folders, globs or URLs, one or several; or none, with ``crawl``.
        out: the run folder: new, empty, or a run to continue.
        metadata: the entry list: "wordnet", a file, the folder of a build, or Metadata.
        t, size, tail_share: at most one of them, to choose the threshold.
        exactly: with ``size``, a draw of exactly so many distinct pairs, not on average.
        languages: such as "en", "en,de" or "all".
        step: functions that say which pairs are kept, each as "module:function" or itself; see docs/steps.md.
        rank, ranks: do the share of one of several processes that are started with the same arguments; see docs/scale.md. What is
            returned is whole when all have done theirs.
        progress: show on standard error what the command shows.

    The other keywords are the command's options, which ``tallyclip curate --help`` describes.

    Returns:
        The run folder, with the paths of its results, its counts, plan and summary.

    Raises:
        OptionError: an option is invalid, or the folder cannot be used; nothing was started.
        ArgumentTypeError: an argument is of the wrong type; likewise.
        ArtifactError: the entry list is missing or damaged.
        StaleError: the pool changed, or another process works on the run.
        IncompleteError: files failed, or nothing is kept.
        OutputError: the results cannot be written.
    """
    given = locals()
    with _part(), _open("curate", curate, given) as run:
        from tallyclip.flows import asked
        from tallyclip.flows import curate as flow

        flow.curate(
            run,
            asked.source_of(given),
            asked.choice_of(*(given[name] for name in COLUMNS)),
            asked.load_metadata(metadata, clean=clean_metadata),
            asked.aim_of(t, size, tail_share, exactly=exactly),
            mode=mode,
            seed=seed,
            policy=asked.policy_of(texts),
            options=asked.pool_options(given),
            accept_failed=allow_failed_shards,
        )
    return Run(out)


def match_pool(
    pool: Names | None = None,
    *,
    out: str | PathLike[str],
    metadata: Metadata | str | PathLike[str] = "wordnet",
    clean_metadata: bool = False,
    mode: Mode = "exact",
    crawl: str | None = None,
    sample: str | None = None,
    kind: CrawlKind | None = None,
    base_url: str | None = None,
    duplicates: Duplicates | None = None,
    exclude_pool: Names | None = None,
    step: Steps | None = None,
    write_dropped: bool = False,
    languages: str | None = None,
    language_threshold: float | None = None,
    max_url_length: int | None = None,
    min_text_length: int | None = None,
    max_text_length: int | None = None,
    drop_no_letters: bool = False,
    drop_file_names: bool = False,
    max_site_repeats: int | None = None,
    blocked_domains: str | None = None,
    blocked_keywords: str | None = None,
    keep_readable: bool = False,
    max_download: str = "64G",
    caption_column: str | None = None,
    url_column: str | None = None,
    uid_column: str | None = None,
    format: str | None = None,  # noqa: A002 - named as the option
    header: bool | None = None,
    delimiter: str | None = None,
    quote: str | None = None,
    escape: str | None = None,
    workers: int | None = None,
    runner: RunnerName = "local",
    ray_address: str | None = None,
    shard_timeout: float | None = None,
    rank: int | str | None = None,
    ranks: int | None = None,
    until: str | None = None,
    wait: float | None = None,
    finish: str | None = None,
    allow_failed_shards: bool = False,
    progress: bool = False,
) -> Run:
    """Match a pool against an entry list, as ``tallyclip match``. Arguments and errors: see ``curate``."""
    given = locals()
    with _part(), _open("match", match_pool, given) as run:
        from tallyclip.flows import asked
        from tallyclip.flows import curate as flow

        entries = asked.load_metadata(metadata, clean=clean_metadata)
        flow.match(
            run,
            asked.source_of(given),
            asked.choice_of(*(given[name] for name in COLUMNS)),
            entries,
            mode,
            options=asked.pool_options(given),
            accept_failed=allow_failed_shards,
        )
    return Run(out)


def make_pool(
    pool: Names | None = None,
    *,
    out: str | PathLike[str],
    crawl: str | None = None,
    sample: str | None = None,
    kind: CrawlKind | None = None,
    base_url: str | None = None,
    duplicates: Duplicates | None = None,
    exclude_pool: Names | None = None,
    step: Steps | None = None,
    write_dropped: bool = False,
    languages: str | None = None,
    language_threshold: float | None = None,
    max_url_length: int | None = None,
    min_text_length: int | None = None,
    max_text_length: int | None = None,
    drop_no_letters: bool = False,
    drop_file_names: bool = False,
    max_site_repeats: int | None = None,
    blocked_domains: str | None = None,
    blocked_keywords: str | None = None,
    keep_readable: bool = False,
    max_download: str = "64G",
    workers: int | None = None,
    runner: RunnerName = "local",
    ray_address: str | None = None,
    shard_timeout: float | None = None,
    rank: int | str | None = None,
    ranks: int | None = None,
    until: str | None = None,
    wait: float | None = None,
    finish: str | None = None,
    allow_failed_shards: bool = False,
    progress: bool = False,
) -> Run:
    """Make a pool from crawl files, as ``tallyclip pool``; ``Run.pool`` is where it is. Arguments and errors: see ``curate``."""
    given = locals()
    with _part(), _open("pool", make_pool, given) as run:
        from tallyclip.flows import asked
        from tallyclip.flows import curate as flow

        flow.make_pool(run, asked.source_of(given), asked.pool_options(given), accept_failed=allow_failed_shards)
    return Run(out)


def count(run: str | PathLike[str], *, progress: bool = False) -> Run:
    """Count the matches of each entry in a matched pool, as ``tallyclip count``; ``Run.counts`` has them. Errors: see ``curate``."""
    with _open("count", count, locals()) as opened:
        from tallyclip.run.engine import make
        from tallyclip.stages.counts import COUNTS

        opened.open()
        make(opened, COUNTS)
    return Run(run)


def plan(
    run: str | PathLike[str],
    *,
    t: float | None = None,
    size: float | str | None = None,
    exactly: bool = False,
    tail_share: float | None = None,
    seed: int = 0,
    texts: TextsPolicy = "pairs",
    workers: int | None = None,
    runner: RunnerName = "local",
    ray_address: str | None = None,
    shard_timeout: float | None = None,
    progress: bool = False,
) -> Run:
    """Evaluate thresholds on a counted pool, as ``tallyclip plan``; ``Run.plan`` has them. Errors: see ``curate``."""
    with _open("plan", plan, locals()) as opened:
        from tallyclip.flows.asked import aim_of, policy_of
        from tallyclip.run.engine import make
        from tallyclip.stages.plan import PLAN, PlanOptions

        opened.open()
        make(opened, PLAN, PlanOptions(aim_of(t, size, tail_share, exactly=exactly), policy_of(texts), seed))
    return Run(run)


def balance(
    run: str | PathLike[str],
    *,
    t: float | None = None,
    size: float | str | None = None,
    exactly: bool = False,
    tail_share: float | None = None,
    seed: int = 0,
    texts: TextsPolicy = "pairs",
    workers: int | None = None,
    runner: RunnerName = "local",
    ray_address: str | None = None,
    shard_timeout: float | None = None,
    progress: bool = False,
) -> Run:
    """Draw the curated set of a counted pool, as ``tallyclip balance``. Errors: see ``curate``.

    Without ``t``, ``size`` and ``tail_share`` it does what was planned last (``plan``); without a plan, it takes the paper's tail share.
    """
    given = locals()
    planned = _planned(given) if (t, size, tail_share, exactly) == (None, None, None, False) else {}
    with _open("balance", balance, given | planned) as opened:
        from tallyclip.flows import asked
        from tallyclip.flows import curate as flow

        opened.open()
        if planned:
            words = command_of("balance", balance, {**given, "seed": 0, "texts": "pairs"} | HOW_TO_RUN | planned)[2:]
            opened.progress.note(f"as planned: {' '.join(words)}")
        aim = asked.aim_of(*((given | planned)[name] for name in ("t", "size", "tail_share")), exactly=(given | planned)["exactly"])
        flow.balance(opened, aim, seed=seed, policy=asked.policy_of(texts))
    return Run(run)


def _planned(given: dict[str, Any]) -> dict[str, Any]:
    """What the plan of a run was made for, as keywords; nothing, if there is no plan."""
    check_types(balance, given)
    from tallyclip.run.record import check_folder
    from tallyclip.stages.outline import RUN_OUTLINE

    folder = run_place(os.fspath(given["run"]))
    check_folder(RUN_OUTLINE, folder.resolve())
    from tallyclip.run.workspace import only_read
    from tallyclip.stages.plan import planned_aim

    aim = planned_aim(only_read(run_kind(), folder))
    return {} if aim is None else aim.given


def card(
    run: str | PathLike[str],
    *,
    workers: int | None = None,
    runner: RunnerName = "local",
    ray_address: str | None = None,
    shard_timeout: float | None = None,
    progress: bool = False,
) -> Run:
    """Write the data card of a balanced run, as ``tallyclip card``; ``Run.card`` is where it is. Errors: see ``curate``."""
    with _open("card", card, locals()) as opened:
        from tallyclip.run.engine import make
        from tallyclip.stages.card import CARD

        opened.open()
        make(opened, CARD)
    return Run(run)


def survivors(
    run: str | PathLike[str],
    images: Names,
    *,
    out: str | PathLike[str],
    t: float | None = None,
    size: float | str | None = None,
    exactly: bool = False,
    tail_share: float | None = None,
    seed: int = 0,
    texts: TextsPolicy = "pairs",
    estimate: bool = False,
    workers: int | None = None,
    runner: RunnerName = "local",
    ray_address: str | None = None,
    shard_timeout: float | None = None,
    allow_failed_shards: bool = False,
    progress: bool = False,
) -> Run:
    """Balance what was downloaded: count the entries of the pairs that have an image, solve for t anew, draw, and write the card.

    The result is that of curating a pool without the pairs whose images are missing. As ``tallyclip survivors``.

    Args:
        run: a run that has all its matched pairs: balanced with ``t=inf``; or with ``estimate`` one whose draw has left pairs out.
        images: tars of images, or folders, globs, URLs or ranges such as ``{00000..00099}.tar`` of them, one or several. Their pairs are
            known by the uid in their json, or by URL and caption. Where img2dataset's tables are beside them, they say what failed.
        out: the folder of the run to make; ``OUT/retry/*.parquet`` has the pairs without an image, with the reasons, for img2dataset.
        t, size, tail_share: at most one of them, to choose the threshold.
        estimate: if the run was balanced, estimate the counts: each pair stands for 1 / its keep probability. ``seed`` and ``texts`` must
            be the run's. The probabilities of the result are those of being kept again.
        allow_failed_shards: go on without tars that cannot be read.

    The other keywords are those of ``balance``.

    Raises:
        OptionError: the run is balanced, so a second draw would keep too many, and ``estimate`` is not given; an option is invalid, or
            there are no tars.
        ArtifactError: there is no such run.
        IncompleteError: the run is not whole, tars could not be read, or have none of its pairs.
        StaleError: a file of the run's pool changed, or another process works on the new run.
        OutputError: the results cannot be written.
    """
    with _open("survivors", survivors, locals()) as opened:
        from tallyclip.flows import survivors as flow
        from tallyclip.flows.asked import aim_of, names_of, policy_of

        flow.survivors(
            opened,
            Path(run),
            names_of(images, "images"),
            aim_of(t, size, tail_share, exactly=exactly),
            seed=seed,
            policy=policy_of(texts),
            estimate=estimate,
            accept_failed=allow_failed_shards,
        )
    return Run(out)


def started(run: str | PathLike[str]) -> Record:
    """What was asked for last in a run folder, and where: for commands that go on with it.

    Raises:
        ArtifactError: the folder is not a run, or its record is broken.
    """
    from tallyclip.run.record import read_record
    from tallyclip.stages.outline import RUN_OUTLINE

    return read_record(RUN_OUTLINE, run_place(os.fspath(run)).resolve())


def status(run: str | PathLike[str], *, metrics: str | PathLike[str] | None = None) -> RunStatus:
    """The stages of a run and how far each is, as ``tallyclip status --json``, also while others work on it, here or on other machines.

    Args:
        run: a run folder.
        metrics: a file for the same as metrics of Prometheus, for the textfile collector of node_exporter: its name ends in ``.prom``.

    Raises:
        ArtifactError: there is no such run, or its record is broken.
        OutputError: the file of metrics cannot be written.
    """
    check_types(status, locals())
    found = Run(run).status
    if metrics is not None:
        from tallyclip.run.metrics import write_metrics

        write_metrics(Path(metrics), found)
    return found


def diff(
    run_a: str | PathLike[str],
    run_b: str | PathLike[str],
    *,
    html: str | PathLike[str] | None = None,
) -> RunDifference:
    """Compare the curated sets of two runs, as ``tallyclip diff --json``: pairs, entries, pools, lists and settings.

    Args:
        run_a, run_b: balanced runs. Their lists may differ: entries are compared by their text.
        html: a file for a page that shows the difference.

    Raises:
        ArtifactError: there is no such run, or a file of it is broken.
        IncompleteError: a run is not balanced.
        StaleError: another version made it.
        OutputError: the page cannot be written.
    """
    check_types(diff, locals())
    from tallyclip.flows.diff import difference
    from tallyclip.run.workspace import only_read

    one, other = (only_read(run_kind(), run_place(os.fspath(run))) for run in (run_a, run_b))
    return difference(one, other, None if html is None else Path(html))


def evaluate(
    data: str | PathLike[str],
    *,
    model: str | PathLike[str],
    pretrained: str | PathLike[str] | None = None,
    task: str | PathLike[str] | None = None,
    out: str | PathLike[str] | None = None,
    batch_size: int = 64,
    device: str | None = None,
    precision: str = "fp32",
    workers: int | None = None,
    progress: bool = False,
) -> Evaluation:
    """Evaluate a model of open_clip zero-shot, as ``tallyclip eval``.

    Args:
        data: a folder of class folders, a tar of them, shards in CLIP_benchmark's layout, or Parquet; a path or URL.
        model: a name of open_clip, or a JSON file with a model's configuration.
        pretrained: a checkpoint, or the name of weights that open_clip can fetch.
        task: the name of a task of the suites, or a TOML file; None to go by the name of ``data``.
        out: a file for the results.
        progress: show on standard error what the command shows.

    The other keywords are the command's options, which ``tallyclip eval --help`` describes.

    Returns:
        The metrics, from 0 to 1, and what there is to know about them.

    Raises:
        OptionError: there is no such model, weights, set, task or device; nothing was started.
        ArgumentTypeError: an argument is of the wrong type; likewise.
        ArtifactError: the weights are not the model's, or classes, prompts or labels do not fit the set.
        SourceError: a file of the set cannot be read.
        IncompleteError: no image can be used.
        MissingExtraError: the packages of the extra ``train`` are not installed.
        OutputError: the results cannot be written.
    """
    check_types(evaluate, locals())
    from tallyclip.evaluation import evaluate as flow

    with progress_if(progress) as bar:
        return flow(
            os.fspath(data),
            model=os.fspath(model),
            pretrained=None if pretrained is None else os.fspath(pretrained),
            task=None if task is None else os.fspath(task),
            out=None if out is None else Path(out),
            batch_size=batch_size,
            device=device,
            precision=precision,
            workers=workers,
            progress=bar,
        )


@contextmanager
def progress_if(wanted: bool) -> Generator[Progress]:
    """Progress on standard error for the length of a block, as much as the command is to show; or none, if it is not wanted."""
    if not wanted:
        from tallyclip.run.progress import Silent

        yield Silent()
        return
    from tallyclip.cli.progress import shown

    bar = shown()
    try:
        yield bar
    finally:
        bar.stop()


def _open(name: str, function: Callable[..., Run], given: dict[str, Any]) -> OpenFolder:
    """Check the types of a function's arguments, and open its run folder. The command that asks for the same is recorded."""
    check_types(function, given)
    folder = run_place(os.fspath(given["out"] if "out" in given else given["run"]))
    if "run" in given:
        from tallyclip.run.record import check_folder
        from tallyclip.stages.outline import RUN_OUTLINE

        check_folder(RUN_OUTLINE, run_place(os.fspath(given["run"])).resolve())
    else:
        from tallyclip.readers.missing import check_there

        check_there(given["pool"])
    command = command_of(name, function, given)
    return OpenFolder(folder, HOW_TO_RUN | {"workers": 1} | given, command, progress=given["progress"], role=_role(given))


@contextmanager
def _part() -> Generator[None]:
    """A block that ends as if it were done where a rank has done its part."""
    from tallyclip.run.ranks import PartDone

    with suppress(PartDone):
        yield


def _role(given: Mapping[str, Any]) -> Role | None:
    """The part of the work that is done here; None if that is all of it."""
    if all(given.get(name) is None for name in PART):
        return None
    from tallyclip.run.ranks import role_of
    from tallyclip.stages.outline import RUN_OUTLINE

    return role_of(given, RUN_OUTLINE.stages)


def check_types(function: Callable[..., Any], given: dict[str, Any]) -> None:
    """Check the arguments of a function against its annotations, those that are plain types.

    Raises:
        ArgumentTypeError: one is of another type.
    """
    for name, annotation in function.__annotations__.items():
        words = annotation.split(" | ")
        if name in given and all(word in _KINDS for word in words) and not any(isinstance(given[name], _KINDS[word]) for word in words):
            from tallyclip.core.arguments import wrong_type

            raise wrong_type(f"{name} is {' or '.join(words)}", given[name], f"help(tc.{function.__name__}) describes it")


def command_of(name: str, function: Callable[..., Any], given: dict[str, Any]) -> list[str]:
    """The command that does the same as a function with these arguments; options that have their defaults are left to it."""
    words = name.split()
    for parameter in inspect.signature(function).parameters.values():
        value, flag = given[parameter.name], f"--{parameter.name.replace('_', '-')}"
        if (
            parameter.name in (*_NOT_OPTIONS, *PART)
            or value is parameter.default
            or (isinstance(value, type(parameter.default)) and value == parameter.default)
        ):
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY and parameter.name not in _FLAGS:
            words += map(_word, values)
        elif isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            for one in values:
                words += [flag, _word(one)]
    return words


def _word(value: Any) -> str:
    """A value as it is written in a command."""
    if callable(value):
        return f"{value.__module__}:{getattr(value, '__qualname__', value)}"
    if isinstance(value, PathLike):
        return shown(os.fspath(value))
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
