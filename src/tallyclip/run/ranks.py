"""Which part of the work a process does in a folder: all of it; the share of a rank; or, as a step of its own, what all ranks wait for.

Ranks are processes on one machine or many that are started with the same command, ``--rank I`` and ``--ranks N``, and see the same folder.
A piece of work belongs to a rank by its key (``number_of``), so what a rank does is known from the folder alone, and N may change from one
attempt to the next. What follows when all pieces of a stage are done, its result, is made by one process: by ``finish``, or, where ranks
wait for each other, by the first that sees that all are done.

Longer than others: the three roles are read side by side.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tallyclip.errors import IncompleteError, OptionError
from tallyclip.run.items import StageFolder, Work
from tallyclip.run.presence import Seat
from tallyclip.run.progress import piece_of
from tallyclip.run.record import StageOutline, command_in
from tallyclip.wording import plural

if TYPE_CHECKING:
    from tallyclip.run.stage import Making, Section, Stage
    from tallyclip.run.workspace import Workspace

SHOWN_PIECES = 10
SECONDS_BETWEEN_LOOKS = 0.5
SAME_COMMAND = "start all ranks with the same command"

# Where the schedulers say which of how many processes one is; the first of them that is there counts.
RANK_VARIABLES = (
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
    ("SLURM_PROCID", "SLURM_NTASKS", None),
    ("RANK", "WORLD_SIZE", None),
)


class PartDone(Exception):  # noqa: N818 - it is none
    """A process has done its part; the rest is for others. It ends the command with success, and no one else catches it."""


def number_of(key: str) -> int:
    """A number that says which rank a piece of work belongs to: of its key alone, so it is the same whatever other pieces there are."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


class Role(Protocol):
    """What a process does in a folder."""

    @property
    def shares(self) -> bool:
        """Does it share the folder with others, who work in it at the same time?"""
        ...

    @property
    def mends(self) -> bool:
        """May it take back what failed pieces turn out to be made of? Not while others are at work, who stand on it."""
        ...

    @property
    def seat(self) -> Seat | None:
        """The rank that only this process may be as long as it lives, if it is one."""
        ...

    def comes_to(self, run: Workspace, stage: Stage) -> None:
        """A stage is next.

        Raises:
            PartDone: it is beyond the part of this process.
        """
        ...

    def may_make(self, run: Workspace, stage: Stage) -> None:
        """The stage is not in place.

        Raises:
            IncompleteError: another process is to make it first.
        """
        ...

    def has(self, key: str) -> bool:
        """Is a piece of work this process's to do?"""
        ...

    def did(self, making: Making[Any, Any], stage: Stage, section: Section, work: Work) -> None:
        """The pieces of a section that are this process's are done. Returns when all others are, or have failed.

        Raises:
            PartDone: that is all that this process is to do.
            IncompleteError: others are missing.
        """
        ...

    def did_all(self, making: Making[Any, Any], stage: Stage) -> None:
        """All pieces of a stage are done, and its result is next.

        Raises:
            PartDone: that is another's to make.
        """
        ...

    def made(self, run: Workspace, stage: Stage) -> None:
        """The stage is in place.

        Raises:
            PartDone: that is all that this process is to do.
        """
        ...


class Alone:
    """All of the work."""

    shares = False
    mends = True
    seat = None

    def comes_to(self, run: Workspace, stage: Stage) -> None: ...

    def may_make(self, run: Workspace, stage: Stage) -> None: ...

    def has(self, key: str) -> bool:  # noqa: ARG002 - every one
        return True

    def did(self, making: Making[Any, Any], stage: Stage, section: Section, work: Work) -> None: ...

    def did_all(self, making: Making[Any, Any], stage: Stage) -> None: ...

    def made(self, run: Workspace, stage: Stage) -> None: ...


@dataclass
class Rank:
    """A rank's share: of the first section that is not done, if it does not wait; else of all, to the end.

    Attributes:
        rank, ranks: which of how many.
        until: the stage whose share it does, or None for the first that is not whole.
        wait: for how many seconds it waits while a rank that has pieces left is not at work and none gets done; None not to wait.
    """

    rank: int
    ranks: int
    until: str | None = None
    wait: float | None = None
    shares: bool = field(default=True, init=False)
    mends: bool = field(default=False, init=False)

    @property
    def seat(self) -> Seat:
        return self.rank, self.ranks

    def comes_to(self, run: Workspace, stage: Stage) -> None:
        _stop_beyond(run, stage, self.until)

    def may_make(self, run: Workspace, stage: Stage) -> None:
        if self.wait is not None or (stage.sections and stage.name == (self.until or stage.name)):
            return
        what = f"{run.root}: the stage '{stage.name}' is not whole"
        raise IncompleteError(what, f"run '{finish_command(run, stage)}' before the ranks of what follows")

    def has(self, key: str) -> bool:
        return number_of(key) % self.ranks == self.rank

    def did(self, making: Making[Any, Any], stage: Stage, section: Section, work: Work) -> None:
        if self.wait is not None:
            self._await(making, stage, section, work, self.wait)
            return
        if not making.accepts and any(key in making.failures for key in work.items):
            return  # the barrier says so
        left = _left(making, work)
        if left:
            then = f"{plural(len(left), piece_of(section.unit))} of other ranks are left"
            self._end(making, section.shown or stage.name, work.items, section.unit, then)

    def did_all(self, making: Making[Any, Any], stage: Stage) -> None:
        if self.wait is None:
            keys = [key for some in making.keys.values() for key in some]
            self._end(making, stage.name, keys, stage.sections[0].unit, f"next: {finish_command(making.run, stage)}")

    def _end(self, making: Making[Any, Any], of: str, keys: Iterable[str], unit: str, then: str) -> None:
        mine = plural(sum(map(self.has, keys)), piece_of(unit))
        making.run.progress.note(f"rank {self.rank} of {self.ranks}: its share of {of}, {mine}, is done; {then}")
        raise PartDone

    def made(self, run: Workspace, stage: Stage) -> None:
        if stage.name == self.until:
            run.progress.note(f"rank {self.rank} of {self.ranks}: the stage '{stage.name}' is whole")
            raise PartDone

    def _await(self, making: Making[Any, Any], stage: Stage, section: Section, work: Work, wait: float) -> None:
        """Wait until all pieces are done, or have failed; what failed before this process began may be about to be tried again.

        Pieces whose ranks are all at work may take their time, but for those with a failure, which these ranks may be done with. Else they
        are waited for only until ``wait`` is over, which begins again with each piece that is done: a rank may be yet to start, or be on a
        machine to which locks do not reach.
        """
        folder: StageFolder = making.folder
        began = making.run.since
        since, known, said = time.monotonic(), -1, False
        while True:
            looked = time.monotonic()
            if not making.run.still_has(folder.path):  # another rank has put it in place
                return
            marked, failed_at = {*folder.marked()}, folder.failed_at()
            times = {key: failed_at.get(key, 0.0) for key in work.items if key not in marked}
            pending = [key for key, failed in times.items() if key not in making.failures and failed < began]
            if not pending:
                break
            settled = len(work.items) - len(pending)
            if settled > known or self._are_at_work(making.run, {number_of(key) % self.ranks for key in pending if not times[key]}):
                since, known = time.monotonic(), settled
            if time.monotonic() - since > wait:
                if all(times[key] for key in pending):
                    break
                raise _missing(making.run, stage, section, work, pending, self.ranks)
            if not said:
                making.run.progress.note(f"rank {self.rank} of {self.ranks}: waits for the others to end their share of {stage.name}")
                said = True
            time.sleep(max(SECONDS_BETWEEN_LOOKS, 10 * (time.monotonic() - looked)))  # of a great many marks the list takes a while
        with making.run.alone():  # else another rank may be about to put it in place
            _take_failures(making, work)
            if not making.run.has(folder.path):
                return
            if {*work.items} != {*(folder.snapshot(section.name) or ())}:
                what = f"{folder.path}: ranks list other {piece_of(section.unit)}s than this one: the pool changed, or is another"
                raise OptionError(what, SAME_COMMAND)
            left = _left(making, work)
            if left:
                raise _missing(making.run, stage, section, work, left, self.ranks)

    def _are_at_work(self, run: Workspace, ranks: Collection[int]) -> bool:
        """Are there any, and all of them at work? What is left of this one's own pieces was lost, for it does them once."""
        return bool(ranks) and self.rank not in ranks and all(run.is_at_work((rank, self.ranks)) for rank in ranks)


@dataclass
class Finish:
    """What ranks wait for: to make the stages up to one whose pieces of work are all done; it does none itself."""

    stage: str
    shares: bool = field(default=True, init=False)
    mends: bool = field(default=True, init=False)
    seat: None = field(default=None, init=False)

    def comes_to(self, run: Workspace, stage: Stage) -> None:
        _stop_beyond(run, stage, self.stage)

    def may_make(self, run: Workspace, stage: Stage) -> None: ...

    def has(self, key: str) -> bool:  # noqa: ARG002 - none
        return False

    def did(self, making: Making[Any, Any], stage: Stage, section: Section, work: Work) -> None:
        _take_failures(making, work)
        left = _left(making, work)
        if left:
            raise _missing(making.run, stage, section, work, left, None)

    def did_all(self, making: Making[Any, Any], stage: Stage) -> None: ...

    def made(self, run: Workspace, stage: Stage) -> None:  # noqa: ARG002 - that it is made has been said
        if stage.name == self.stage:
            raise PartDone


def role_of(given: Mapping[str, Any], stages: Sequence[StageOutline]) -> Role:
    """The role that the options of a command give its process.

    Args:
        given: the options ``rank``, ``ranks``, ``until``, ``wait`` and ``finish``, where the command has them.
        stages: that there are.

    Raises:
        OptionError: they make no sense together, or there is no such rank or stage.
    """
    rank, ranks, until, wait, finish = (given.get(name) for name in ("rank", "ranks", "until", "wait", "finish"))
    shared = [stage.name for stage in stages if stage.sections]
    if until is not None and until not in shared:
        raise OptionError(f"--until {until}: ranks share no stage of that name", f"give one of {', '.join(shared)}")
    if finish is not None and finish not in (names := [stage.name for stage in stages]):
        raise OptionError(f"there is no stage {finish!r}", f"give one of {', '.join(names)}")
    if rank is None:
        if ranks is not None or until is not None or wait is not None:
            raise OptionError(
                "--ranks, --until and --wait are for ranks", "give --rank I --ranks N, or --rank auto in a job of a scheduler"
            )
        return Alone() if finish is None else Finish(finish)
    if finish is not None:
        raise OptionError("--finish is what ranks wait for, and no rank's", "leave out --rank")
    number, ranks = _of_scheduler(ranks) if rank == "auto" else (_whole(rank), ranks)
    if ranks is None:
        raise OptionError(f"--rank {rank} of how many?", "give --ranks N, the same for every rank")
    if ranks < 1 or not 0 <= number < ranks:
        raise OptionError(
            f"--rank {number} --ranks {ranks}: ranks are numbered from 0 to N - 1", f"such as --rank 0 --ranks {max(ranks, 1)}"
        )
    if wait is not None and wait < 0:
        raise OptionError(f"--wait {wait:g} is below 0", "give seconds, such as --wait 600")
    return Rank(number, ranks, until, wait)


def _whole(rank: Any) -> int:
    try:
        return int(rank)
    except ValueError:
        raise OptionError(f"--rank {rank} is no number", "give a number from 0 to N - 1, or auto in a job of a scheduler") from None


def _of_scheduler(ranks: int | None) -> tuple[int, int | None]:
    """Which of how many processes a scheduler says that this one is.

    Raises:
        OptionError: it says nothing.
    """
    for name, count, first in RANK_VARIABLES:
        if name in os.environ:
            said = os.environ.get(count)
            number = _whole(os.environ[name]) - (_whole(os.environ.get(first, "0")) if first else 0)
            return number, ranks if ranks is not None else None if said is None else _whole(said)
    names = ", ".join(name for name, _, _ in RANK_VARIABLES)
    raise OptionError(f"--rank auto: none of {names} is set", "start it in a job of a scheduler, or give --rank I --ranks N")


def finish_command(run: Workspace, stage: Stage) -> str:
    """The command that makes a stage of what ranks have done."""
    return f"{command_in('tallyclip finish RUN', run.root)} {stage.name}"


def _stop_beyond(run: Workspace, stage: Stage, last: str | None) -> None:
    names = [stage.name for stage in run.stages]
    if last is not None and names.index(stage.name) > names.index(last):
        raise PartDone


def _take_failures(making: Making[Any, Any], work: Work) -> None:
    """Know of the pieces that failed in other processes."""
    making.failures.update({key: failure for key, failure in making.folder.failures().items() if key in work.items})


def _left(making: Making[Any, Any], work: Work) -> list[str]:
    """The pieces that are neither done nor failed."""
    return [key for key in making.folder.left(work.items, work.sources, making.barrier) if key not in making.failures]


def _missing(run: Workspace, stage: Stage, section: Section, work: Work, left: Sequence[str], ranks: int | None) -> IncompleteError:
    """The error for pieces that no rank has done; where it is known how many ranks there are, it says whose they are."""

    def named(key: str) -> str:
        return work.name_of(key) if ranks is None else f"{work.name_of(key)} (rank {number_of(key) % ranks})"

    pieces = piece_of(section.unit)
    details = [named(key) for key in left[:SHOWN_PIECES]]
    details += [f"and {len(left) - len(details):,} more"] if len(left) > len(details) else []
    what = f"{run.root}: the stage '{stage.name}' misses {len(left):,} of its {plural(len(work.items), pieces)}:"
    return IncompleteError(what, "start the ranks that have not ended again, with the same command", details)
