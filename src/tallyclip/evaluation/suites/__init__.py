"""Suites of tasks, and the numbers of the paper for them: data beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

import msgspec

SUITES = ("metaclip-26", "datacomp-38")


class SuiteTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A task of a suite.

    Attributes:
        name: CLIP_benchmark's, without what stands before a ``/``.
        title: for people.
        metric: that counts in the average.
        data: where to get it.
        classes: "imagenet" if its classes are the thousand of ImageNet, whose names open_clip has.
        prompts: "imagenet" if its prompts are the eighty of ImageNet, which open_clip has.
        group: for the metric of the worst group, the number of the group by which it is taken.
    """

    name: str
    title: str
    metric: str
    data: str
    classes: str | None = None
    prompts: str | None = None
    group: int | None = None


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tasks in an order, and where they are from."""

    title: str
    source: str
    tasks: list[SuiteTask]


class PaperRow(msgspec.Struct, frozen=True):
    """A row of the paper's tables.

    Attributes:
        suite: its name.
        table: of the paper.
        size: of the model, such as "B/32".
        model: such as "MetaCLIP 400M".
        average: as printed, in percent.
        values: of each task of the suite by its name, in percent.
    """

    suite: str
    table: str
    size: str
    model: str
    average: float
    values: Mapping[str, float]


def _content(name: str) -> str:
    return (resources.files("tallyclip") / "evaluation" / "suites" / name).read_text(encoding="utf-8")


@cache
def suite(name: str) -> Suite:
    """A suite by its name, one of ``SUITES``."""
    return msgspec.toml.decode(_content(f"{name}.toml"), type=Suite)


@cache
def tasks() -> Mapping[str, SuiteTask]:
    """The tasks of all suites by name; one that is in several is the same in each but for where to get it, which is of the first."""
    return MappingProxyType({task.name: task for name in reversed(SUITES) for task in suite(name).tasks})


@cache
def paper_rows(name: str) -> tuple[PaperRow, ...]:
    """What the paper has for a suite, smaller models first."""
    rows: list[PaperRow] = []
    for line in _content("paper.tsv").splitlines():
        if line.startswith("#"):
            continue
        of_suite, table, size, model, average, *values = line.split("\t")
        if of_suite == name:
            names = [task.name for task in suite(name).tasks]
            by_task = dict(zip(names, map(float, values), strict=True))
            rows.append(PaperRow(of_suite, table, size, model, float(average), by_task))
    return tuple(rows)


def short_name(dataset: str) -> str:
    """The name of a task as suites have it, of a name in results: "wds/vtab/flowers", a folder "wds_vtab-flowers_test" or "flowers".

    >>> [short_name(name) for name in ("wds/vtab/flowers", "wds_vtab-flowers_test", "flowers", "wds_imagenet-a", "my-set")]
    ['flowers', 'flowers', 'flowers', 'imagenet-a', 'my-set']
    """
    name = dataset.rstrip("/").rpartition("/")[2]
    plain = name.removeprefix("wds_").removesuffix("_test")
    for prefix in ("vtab-", "wilds-", "fairness-", "retrieval-", "misc-"):
        plain = plain.removeprefix(prefix)
    return plain if plain in tasks() else name
