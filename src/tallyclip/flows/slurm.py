"""Job scripts for Slurm: an array of ranks for each stage that is shared, and between two of them the barrier as a job of its own."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tallyclip.flows import asked
from tallyclip.flows.crawl import Crawl
from tallyclip.io.files import replacing
from tallyclip.readers.sources import find_files
from tallyclip.stages.outline import RUN_OUTLINE

SUBMIT = "submit.sh"
SECTIONS = {stage.name: len(stage.sections) for stage in RUN_OUTLINE.stages}


@dataclass(frozen=True)
class Slurm:
    """What jobs are to be like.

    Attributes:
        ranks: how many there are for each stage.
        cpus: of a rank, one worker process each.
        time: the limit, in Slurm's notation, such as "4:00:00"; None for the partition's.
        max_array: the largest array that the scheduler takes; beyond that a job does several ranks, one after the other.
        more: other options of sbatch, such as "--partition=cpu".
    """

    ranks: int
    cpus: int = 1
    time: str | None = None
    max_array: int = 1000
    more: Sequence[str] = ()


@dataclass(frozen=True)
class Job:
    """A script: of ranks that share a stage, or of what they wait for."""

    number: int
    stage: str
    barrier: bool
    ranks: int

    @property
    def name(self) -> str:
        """Of the file."""
        return f"{self.number:02}-{'finish-' if self.barrier else ''}{self.stage}.sh"


def write_jobs(folder: Path, command: Sequence[str], given: Mapping[str, Any], slurm: Slurm) -> list[Path]:
    """Write the scripts for a command; the last of them submits the others.

    Args:
        folder: for the scripts, and for what jobs print; made if it is missing.
        command: the words of the command, without ``tallyclip``.
        given: its options, by their keywords in ``api.py``.
        slurm: what the jobs are to be like.

    Raises:
        OptionError: there is nothing to read, or an option is invalid.
        OutputError: the folder cannot be written.
    """
    about = {
        "command": shlex.join(["tallyclip", *command]),
        "folder": shlex.quote(os.getcwd()),
        "logs": shlex.quote(str(folder.resolve() / "logs")),
        "slurm": slurm,
    }
    jobs = [Job(number, *step) for number, step in enumerate(_steps(command[0], given, slurm.ranks), 1)]
    templates = Environment(
        loader=PackageLoader("tallyclip.flows"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    written = [_write(folder / job.name, templates.get_template("job.sh.jinja").render(about, job=job)) for job in jobs]
    return [*written, _write(folder / SUBMIT, templates.get_template("submit.sh.jinja").render(about, jobs=jobs))]


def _write(path: Path, content: str) -> Path:
    with replacing(path) as part:
        part.write_text(content, encoding="utf-8")
        part.chmod(0o755)
    return path


def _steps(command: str, given: Mapping[str, Any], ranks: int) -> list[tuple[str, bool, int]]:
    """The stages in their order, each with its ranks, and then as what these wait for."""
    steps: list[tuple[str, bool, int]] = []
    for stage in shared_stages(command, given):
        before = {"match": "metadata", "balance": "plan"}.get(stage)
        steps += [] if before is None else [(before, True, 1)]
        sampled = stage == "repeats" and given["duplicates"] != "report"
        sections = SECTIONS[stage]  # which of them have something to do is known when those before are done
        sections = sections // 2 if stage == "duplicates" and given["max_site_repeats"] is None else sections
        steps += [(stage, False, 1)] if sampled else [(stage, False, ranks)] * sections
        steps += [(stage, True, 1)]
    return [*steps, ("card", True, 1)] if command == "curate" else steps


def shared_stages(command: str, given: Mapping[str, Any]) -> list[str]:
    """The stages that a command makes of shards, in their order; a test holds it to what the command makes."""
    source, options = asked.source_of(given), asked.pool_options(given)
    crawl = isinstance(source, Crawl) or any(file.is_gathered for file in find_files(source)[0])
    options = options.of_pool(crawl=crawl)
    dropped = ["dropped"] if options.write_dropped else []
    if command == "pool":
        return ["gather", "duplicates", "pool", *dropped]
    gathered = ["gather", "duplicates", "pool" if crawl else "kept"] if crawl or not options.keep_all else []
    matched = [*gathered, "match", *dropped, *(["repeats"] if options.repeats else [])]
    return matched if command == "match" else [*matched, "balance"]
