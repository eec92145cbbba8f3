"""Results beside the paper's: task by task, and the average that the paper takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.evaluation.images import shown
from tallyclip.evaluation.results import Evaluation, read_evaluation
from tallyclip.evaluation.suites import SUITES, PaperRow, SuiteTask, paper_rows, short_name, suite
from tallyclip.wording import plural

# The paper's models: at 224 pixels, with either activation, or Meta CLIP 2's.
SIZE = re.compile(r"ViT-(B-32|B-16|L-14|H-14|bigG-14)(-worldwide)?(-quickgelu)?")
MEAN_OF_BOTH = "mean_acc1_acc5"  # which CLIP_benchmark's results have in two


class TableTask(msgspec.Struct, frozen=True):
    """A line of the table: a task's name, its title, and the metric that counts."""

    name: str
    title: str
    metric: str


class TableModel(msgspec.Struct, frozen=True):
    """A column of the table.

    Attributes:
        model: its name.
        weights: the file or name of its weights, or the data that a model of the paper was trained on.
        size: as the paper has it, such as "B/32"; empty if it is none of the paper's.
        source: the table of the paper, or empty.
        values: in percent by task; a task that is not there was not evaluated.
        average: over the tasks of the table that every own model has, in percent; None without such.
    """

    model: str
    weights: str
    size: str
    source: str
    values: dict[str, float]
    average: float | None


class SideBySide(msgspec.Struct, frozen=True):
    """Results beside the paper's.

    Attributes:
        suite: its title.
        tasks: those that any of the results is of, in the suite's order.
        averaged: the names of those that the averages are over.
        of: how many tasks the suite has.
        models: own ones first.
        notes: what people should know.
    """

    suite: str
    tasks: list[TableTask]
    averaged: list[str]
    of: int
    models: list[TableModel]
    notes: list[str]


def size_of(model: str) -> str:
    """The size of a model as the paper has it; empty if the paper has no such model.

    >>> size_of("ViT-B-32-quickgelu"), size_of("ViT-bigG-14"), size_of("ViT-L-14-336")
    ('B/32', 'bigG/14', '')
    """
    found = SIZE.fullmatch(model)
    return found[1].replace("-", "/") if found else ""


def side_by_side(paths: Sequence[Path], suite_name: str = SUITES[0]) -> SideBySide:
    """Results beside the paper's of models of the same sizes.

    Args:
        paths: files of ``tallyclip eval`` or of CLIP_benchmark, of one model or several.
        suite_name: one of ``SUITES``.

    Raises:
        OptionError: there is no such suite, or none of the results is of it.
        ArtifactError: a file is broken, or two are of the same model and task.
    """
    if suite_name not in SUITES:
        raise OptionError(f"no suite is called {suite_name}", f"suites are {' and '.join(SUITES)}")
    of_suite = suite(suite_name)
    by_name = {task.name: task for task in of_suite.tasks}
    others, without = list[str](), list[str]()
    own: dict[tuple[str, str], dict[str, float]] = {}
    where: dict[tuple[str, str, str], Path] = {}
    for path in paths:
        result = read_evaluation(path)
        task = by_name.get(short_name(result.dataset))
        if task is None:
            others.append(result.dataset)
            continue
        value = _value(result, task)
        if value is None:
            without.append(f"{path} has no {task.metric}")
            continue
        key = (result.model, result.pretrained, task.name)
        if key in where:
            raise ArtifactError(f"{where[key]} and {path} are of the same model and task, {task.name}", "give one of them")
        where[key] = path
        own.setdefault(key[:2], {})[task.name] = 100 * value
    if not own:
        raise OptionError(
            f"none of the results is of the {of_suite.title}: they are of {shown(others or without)}", "--suite names another"
        )
    averaged = [name for name in by_name if all(name in values for values in own.values())]
    models = [TableModel(*key, size_of(key[0]), "", values, _mean(values, averaged)) for key, values in own.items()]
    sizes = {model.size for model in models}
    papers = [_paper_model(row, averaged) for row in paper_rows(suite_name) if row.size in sizes]
    tasks = [
        TableTask(task.name, task.title, task.metric) for task in of_suite.tasks if any(task.name in values for values in own.values())
    ]
    return SideBySide(
        of_suite.title, tasks, averaged, len(by_name), models + papers, _notes(others, without, by_name, averaged, models, bool(papers))
    )


def _value(result: Evaluation, task: SuiteTask) -> float | None:
    if task.metric == MEAN_OF_BOTH and MEAN_OF_BOTH not in result.metrics:
        both = [result.metrics.get(name) for name in ("acc1", "acc5")]
        found = [value for value in both if value is not None]
        return sum(found) / 2 if len(found) == 2 else None
    return result.metrics.get(task.metric)


def _mean(values: dict[str, float], over: Sequence[str]) -> float | None:
    return sum(values[name] for name in over) / len(over) if over else None


def _paper_model(row: PaperRow, averaged: Sequence[str]) -> TableModel:
    values = dict(row.values)
    average = row.average if len(averaged) == len(values) else _mean(values, averaged)  # of all tasks, what is printed
    name, _, data = row.model.partition(" ")
    return TableModel(name, data, row.size, row.table, values, average)


def _notes(
    others: Sequence[str],
    without: Sequence[str],
    by_name: dict[str, SuiteTask],
    averaged: Sequence[str],
    own: Sequence[TableModel],
    has_papers: bool,
) -> list[str]:
    notes: list[str] = []
    missing = [task.title for name, task in by_name.items() if name not in averaged]
    if missing:
        notes.append(f"averages are over the {len(averaged):,} of {plural(len(by_name), 'task')} that all have, without {shown(missing)}")
    if others:
        notes.append(f"left out, since they are no task of this suite: {shown(others)}")
    if without:
        notes.append(f"left out: {shown(without)}")
    unknown = sorted({model.model for model in own if not model.size})
    if unknown:
        notes.append(f"the paper has no model of the size of {shown(unknown)}")
    if has_papers:
        notes.append("the paper's numbers are comparable if images, class names and prompts are the same")
    return notes
