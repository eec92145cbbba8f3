"""What a stage is: one declaration, from which everything else about it is derived.

A stage says in one place what it is called, what it is made from, how its work is cut into pieces, how a piece is done, what it publishes,
and what it adds to the card. The order of stages, which results are out of date, what is shown by ``status``, hints in errors and what is
cleaned up all follow from that (``Stages``). ``engine.make`` makes a stage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

import msgspec

from tallyclip.run.cost import Cost, Expected
from tallyclip.run.items import Failure, Report, StageFolder, Work
from tallyclip.run.record import StageOutline

if TYPE_CHECKING:  # a workspace knows its stages, and their programs the workspace
    from tallyclip.run.workspace import Workspace

Options = TypeVar("Options")
Folder = TypeVar("Folder", bound=StageFolder)
NAME = re.compile("[a-z][a-z0-9_]*")
PARTS_OF_THE_CARD = ("every stage that has a part on the card",)


@dataclass
class Making(Generic[Folder, Options]):
    """A stage that is being made.

    Attributes:
        run: the folder that it is made in, with its other stages.
        folder: where its files are written.
        options: what was asked for.
        asked: what of the options the result depends on.
        keys: of each section that was begun, the keys of its pieces, in order.
        failures: pieces that failed, by key.
        barrier: the fingerprint of the sections before the one that was begun last; empty for the first.
        accepts: is the result to be made without the pieces that failed?
    """

    run: Workspace
    folder: Folder
    options: Options
    asked: dict[str, Any]
    keys: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    failures: dict[str, Failure] = field(default_factory=dict[str, Failure])
    barrier: str = ""
    accepts: bool = False

    def reports(self, section: Section) -> dict[str, Any]:
        """The reports of a section's finished pieces, by key, in order."""
        return self.folder.reports(self.keys[section.name], section.report)


@dataclass(frozen=True)
class Section:
    """A part of a stage whose pieces of work can be done anywhere and in any order. Between two sections there is a barrier.

    Attributes:
        cut: says which pieces there are, from what is in the folder; the same whoever asks.
        work: ``work(job, item, folder, tick)`` does a piece: writes the files that the folder's ``outputs_of`` names, and returns a report.
            Its annotations say which types the job, the item and the report are read as.
        name: a word for the section, where a stage has several.
        rows: ``rows(job, item)`` is how many rows (or bytes) an item has, about; for the progress shown.
        unit: of these.
        shown: what the progress calls the section, if not by the stage's name.
        said: a line for the end of a section that is not the last.
        failed: what to do when pieces failed; by default the first failure is raised.
    """

    cut: Callable[[Making[Any, Any]], Work]
    work: Callable[[Any, Any, Any, Callable[[int], None]], Report]
    name: str = "items"
    rows: Callable[[Any, Any], int] | None = None
    unit: str = "rows"
    shown: str = ""
    said: str = ""
    failed: Callable[[Making[Any, Any]], None] | None = None

    @cached_property
    def report(self) -> type[Report]:
        """The type of the reports."""
        return get_type_hints(self.work)["return"]


@dataclass(frozen=True)
class Finished:
    """What a stage has to say when all its pieces are done.

    Attributes:
        result: counts in and out, drops by reason, for the manifest.
        said: a line for people.
        outputs: files besides those of the pieces.
    """

    result: dict[str, Any]
    said: str = ""
    outputs: tuple[Path, ...] = ()


def _all(_: Workspace, options: Any) -> dict[str, Any]:
    return {} if options is None else msgspec.to_builtins(options)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage.

    Attributes:
        name: of the stage and its folder.
        version: of what it does; raised with any change of its result.
        command: what makes it, for hints.
        finish: makes the result of what the pieces left: the barrier. It writes into ``making.folder``.
        needs: stages that must be whole before it.
        uses: stages that it is also made from, where they are.
        sections: its work, side by side.
        reads_files: the pieces of its first section read files from outside. Their set and states are part of its fingerprint.
        rereads: of these files, those that changed or went are read again; else that is an error, since what they gave may be in use.
        folder: names its files.
        asked: what of the options its result depends on; by default everything.
        results: files and folders that are published beside the stages' folders, the most telling last.
        scratch: names in its folder that only its own making needed; deleted when it is in place.
        optional: runs can do without it, so ``status`` lists it only where it has begun.
        is_sound: can the files in place be used? If not they are made again, and what was made from them stays.
        card: its part of the data card.
        cost: what it is expected to take of time and disk.
        warm: calls what every worker will call, so that it is compiled once.
        compiled: compiled functions that are called whenever it is made, for the progress to say so where they are to be compiled.
    """

    name: str
    version: int
    command: str
    finish: Callable[[Making[Any, Any]], Finished]
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    reads_files: bool = False
    rereads: bool = False
    folder: type[StageFolder] = StageFolder
    asked: Callable[[Workspace, Any], dict[str, Any]] = _all
    results: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    optional: bool = False
    is_sound: Callable[[Any], bool] | None = None
    card: Callable[[Workspace], Any] | None = None
    cost: Callable[[Expected], Cost] | None = None
    warm: Callable[[], None] | None = None
    compiled: tuple[Any, ...] = ()

    @property
    def outline(self) -> StageOutline:
        """What there is to say of it without making it."""
        return StageOutline(self.name, self.command, tuple(section.name for section in self.sections), self.optional)


def _twice(names: Sequence[str]) -> str | None:
    """The first name that stands there twice."""
    return next((name for name in names if names.count(name) > 1), None)


class Stages:
    """The stages of one kind of folder, in an order in which they can be made.

    Raises:
        ValueError: two have one name or write one result, one needs a stage that there is not, they need each other in a circle, or the
            sections or the name of one make no sense.
    """

    def __init__(self, *stages: Stage) -> None:
        self._stages = {stage.name: stage for stage in stages}
        for stage in stages:
            if not NAME.fullmatch(stage.name):
                raise ValueError(f"stage {stage.name!r}: a name has small letters, digits and underscores, since it names a folder")
            sections = _twice([section.name for section in stage.sections])
            if sections is not None:
                raise ValueError(f"stage {stage.name!r} has two sections called {sections!r}")
            if stage.reads_files and not stage.sections:
                raise ValueError(f"stage {stage.name!r} reads files, but has no section to read them in")
        names = _twice([stage.name for stage in stages])
        if names is not None:
            raise ValueError(f"two stages are called {names!r}")
        results = _twice([name for stage in stages for name in (stage.name, *stage.results)])
        if results is not None:
            both = " and ".join(repr(stage.name) for stage in stages if results in (stage.name, *stage.results))
            raise ValueError(f"stages {both} would both write {results!r}")
        self._before = {stage.name: self._named(stage) for stage in stages}
        self._order = self._sorted()

    def _named(self, stage: Stage) -> tuple[str, ...]:
        if stage.uses == PARTS_OF_THE_CARD:
            return (*stage.needs, *(other.name for other in self._stages.values() if other.card and other.name not in stage.needs))
        for name in (*stage.needs, *stage.uses):
            if name not in self._stages:
                raise ValueError(f"stage {stage.name!r} needs {name!r}, which is not a stage; there are {', '.join(self._stages)}")
        return (*stage.needs, *stage.uses)

    def _sorted(self) -> list[str]:
        """The names in an order in which each follows what it is made from, else as they were given."""
        order: list[str] = []
        while len(order) < len(self._stages):
            ready = [name for name in self._stages if name not in order and all(other in order for other in self._before[name])]
            if not ready:
                left = ", ".join(repr(name) for name in self._stages if name not in order)
                raise ValueError(f"stages need each other in a circle, or what is in one: {left}")
            order.append(ready[0])
        return order

    def __iter__(self) -> Iterator[Stage]:
        return (self._stages[name] for name in self._order)

    def __getitem__(self, name: str) -> Stage:
        return self._stages[name]

    def __contains__(self, name: str) -> bool:
        return name in self._stages

    def plus(self, *more: Stage) -> Stages:
        """These stages and others."""
        return Stages(*self, *more)

    def needed(self, name: str) -> list[str]:
        """A stage and all that must be whole before it, in order."""
        found = {name}
        for other in reversed(self._order):
            if other in found:
                found.update(self._stages[other].needs)
        return [other for other in self._order if other in found]

    def before(self, name: str) -> tuple[str, ...]:
        """The stages that a stage is made from, itself: those that it needs, and those that it uses where they are."""
        return self._before[name]

    def built_on(self, name: str) -> list[str]:
        """All that is made from a stage, or from what is made from it, in order."""
        found: set[str] = set()
        for later in self._order:
            if name in self._before[later] or found & {*self._before[later]}:
                found.add(later)
        return [later for later in self._order if later in found]
