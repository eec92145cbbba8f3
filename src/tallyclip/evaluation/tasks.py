"""What is asked of a model about an evaluation set: its classes, their prompts, and which metric counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.evaluation.images import EvalSet, join, lines_of, shown
from tallyclip.evaluation.metrics import GROUP_METRICS, METRICS, MIXED_METRIC
from tallyclip.evaluation.suites import SuiteTask, short_name, tasks
from tallyclip.io.streams import without_compression
from tallyclip.io.toml import meant, read_toml
from tallyclip.wording import plural

PLACES = ("{c}", "{}")  # where a template has the name of the class: as CLIP_benchmark writes it, and as open_clip does
DEFAULT_TEMPLATE = "a photo of a {c}."


class TaskFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A task of the user's own, from TOML.

    Attributes:
        name: for the results; by default the file's.
        classes: names by label; or, by the name that the set has for a class, the name for prompts.
        templates: with ``{c}`` where the class's name stands.
        prompts: instead of templates, the prompts of each class by its name.
        metric: that counts.
        group: for the metric of the worst group, the number of the group in ``npy``.
    """

    name: str = ""
    classes: list[str] | dict[str, str] | None = None
    templates: list[str] | None = None
    prompts: dict[str, list[str]] | None = None
    metric: str = "acc1"
    group: int | None = None


class EvalTask(NamedTuple):
    """What is asked.

    Attributes:
        name: in the results.
        classes: names by label; empty in retrieval.
        prompts: of each class, at least one.
        metric: that counts.
        group: for a metric of the worst group, the number of the group.
        notes: what people should know of it.
    """

    name: str
    classes: Sequence[str]
    prompts: Sequence[Sequence[str]]
    metric: str
    group: int | None = None
    notes: Sequence[str] = ()


def task_of(data: str, found: EvalSet, given: str | None, imagenet: Any) -> EvalTask:
    """The task for a set.

    Names of classes are those of the task's file, else of ``classnames.txt``, else of ImageNet if the task is on it, else of the set
    itself. Templates likewise, and else one: "a photo of a {c}."

    Args:
        data: the folder or file of the set.
        found: the set.
        given: the name of a task of a suite, or a TOML file; None to go by the folder's name.
        imagenet: open_clip's module with the names and prompts of ImageNet.

    Raises:
        OptionError: there is no such task.
        ArtifactError: its classes, prompts or metric are not sound, or do not fit the set.
    """
    file, suite = TaskFile(), tasks().get(short_name(data))
    if given is not None and given.endswith(".toml"):
        file = _task_file(Path(given))
        suite = tasks().get(file.name)
    elif given is not None:
        suite = tasks().get(short_name(given))
        if suite is None:
            known = ", ".join(sorted(tasks()))
            raise OptionError(f"no task is called {given}", f"{meant(given, list(tasks()))}known are {known}; or give a TOML file")
    name = file.name or (suite.name if suite else _plain_name(data))
    metric = file.metric if given is not None and given.endswith(".toml") else suite.metric if suite else "acc1"
    if found.is_retrieval:
        return EvalTask(name, (), (), MIXED_METRIC)
    _check_metric(name, metric, file.group if file.group is not None else suite.group if suite else None)
    classes, notes = _classes_of(data, found, file, suite, imagenet), list[str]()
    templates = file.templates or _templates_of(data, found, suite, imagenet)
    if templates is None and file.prompts is None:
        notes.append(f"no prompts were given, so it is one: {DEFAULT_TEMPLATE}")
    prompts = _prompts_of(given or data, classes, templates or [DEFAULT_TEMPLATE], file.prompts)
    if metric == "roc_auc" and len(classes) != 2:
        raise ArtifactError(f"{name}: roc_auc is of two classes, and there are {len(classes):,}", "name another metric in a task file")
    group = file.group if file.group is not None else suite.group if suite else None
    return EvalTask(name, classes, prompts, metric, group, notes)


def _plain_name(data: str) -> str:
    """The name of a folder or file, without suffixes."""
    return without_compression(data.rstrip("/").rpartition("/")[2]).removesuffix(".tar").removesuffix(".parquet")


def _task_file(path: Path) -> TaskFile:
    values = read_toml(path, "a task", "a task file is TOML with classes, templates and metric: see docs/evaluation.md")
    try:
        file = msgspec.convert(values, TaskFile)
    except msgspec.ValidationError as error:
        raise ArtifactError(f"{path}: {error}", "its keys are name, classes, templates, prompts, metric and group") from error
    if file.templates is not None and file.prompts is not None:
        raise ArtifactError(f"{path}: it has both templates and prompts", "prompts are those of each class; templates are of all")
    return msgspec.structs.replace(file, name=file.name or path.stem)


def _check_metric(name: str, metric: str, group: int | None) -> None:
    known = [*METRICS, *GROUP_METRICS]
    if metric not in known:
        raise ArtifactError(f"{name}: {metric} is not computed here", f"{meant(metric, known)}metrics are {', '.join(known)}")
    if metric in GROUP_METRICS and group is None:
        raise ArtifactError(f"{name}: {metric} is of groups, and none is named", "group = 0 in a task file names the first number of npy")


def _classes_of(data: str, found: EvalSet, file: TaskFile, suite: SuiteTask | None, imagenet: Any) -> list[str]:
    own = list(found.classes or [])
    beside = "classnames.txt" in found.texts
    if isinstance(file.classes, dict):
        missing = [name for name in own if name not in file.classes]
        if missing or not own:
            what = f"no name for {shown(missing)}" if missing else "the set has no names of its own for its classes"
            raise ArtifactError(f"{data}: {what}", "list the names in the order of the labels, or name every class of the set")
        return [file.classes[name] for name in own]
    if file.classes is not None:
        names, whose = file.classes, "the task file"
    elif suite is not None and suite.classes == "imagenet" and not beside:
        names, whose = list(imagenet.IMAGENET_CLASSNAMES), "ImageNet"
    else:
        names, whose = own if beside else [name.replace("_", " ") for name in own], "the set"
    if not names:
        hint = "write them into classnames.txt beside the shards, a line each, or into a task file"
        raise ArtifactError(f"{data}: the names of its classes are not known", hint)
    if own and len(own) != len(names):
        hint = f"those of the set begin with {shown(own)}; those of {whose} with {shown(names)}"
        raise ArtifactError(f"{data}: the set has {plural(len(own), 'class', 'classes')}, and {whose} {len(names):,}", hint)
    if any(not name.strip() for name in names):
        raise ArtifactError(f"{data}: a class has an empty name", "each class needs one")
    return names


def _templates_of(data: str, found: EvalSet, suite: SuiteTask | None, imagenet: Any) -> list[str] | None:
    name = "zeroshot_classification_templates.txt"
    if name in found.texts:
        return lines_of(found.texts[name], join(data, name))
    if suite is not None and suite.prompts == "imagenet":
        return [template(PLACES[0]) for template in imagenet.OPENAI_IMAGENET_TEMPLATES]
    return None


def _prompts_of(where: str, classes: Sequence[str], templates: Sequence[str], own: dict[str, list[str]] | None) -> list[list[str]]:
    """The prompts of each class.

    Raises:
        ArtifactError: a template has no place for the class, or a class has no prompt.
    """
    if own is not None:
        missing = [name for name in classes if not own.get(name)]
        if missing:
            raise ArtifactError(
                f"{where}: no prompts for {plural(len(missing), 'class', 'classes')}: {shown(missing)}", "each class needs one or more"
            )
        return [own[name] for name in classes]
    without = next((template for template in templates if not any(place in template for place in PLACES)), None)
    if without is not None:
        raise ArtifactError(f"{where}: a template has no place for the class: {without!r}", f"write {PLACES[0]} where its name stands")
    return [prompts_of(name, templates) for name in classes]


def prompts_of(name: str, templates: Sequence[str]) -> list[str]:
    """The prompts of a class.

    >>> prompts_of("tench", ["a photo of a {c}.", "art of the {}."])
    ['a photo of a tench.', 'art of the tench.']
    """
    return [template.replace(next(place for place in PLACES if place in template), name) for template in templates]
