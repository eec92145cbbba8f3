"""What holds of the code itself: each name means one thing, imports stand where they can be seen and run one way, long modules say why."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

SRC = Path(__file__).parents[1] / "src"
LONGEST = 300  # lines of a module that needs no reason
REASON = re.compile(r"\blonger\b|\bover 300 lines\b|\bis long because\b", re.IGNORECASE)
SET = ("of the ", "than the ", "of the pool's ", "each of the ", "each of ", "any of ")
ANYTHING = "*"
# Which modules may import what inside functions, and why: modules and packages as patterns of ``fnmatch``.
LATE_IMPORTS = [
    ("tallyclip.cli*", ANYTHING, "commands start at once: the heavy libraries are loaded when one needs them"),
    ("tallyclip.api", ANYTHING, "the same: workers start while the rest is imported"),
    ("tallyclip.exports", ANYTHING, "the same"),
    ("tallyclip.train.command", ANYTHING, "the same"),
    ("tallyclip.experiment.command", ANYTHING, "the same"),
    ("tallyclip.run.runners.choose", "tallyclip.run.runners.ray", "workers on this machine start before anything heavy is loaded"),
    ("tallyclip.report.card", "tallyclip.report.plots", "start-up time: matplotlib takes half a second, and only a card needs it"),
    ("tallyclip.report.diff", "tallyclip.report.plots", "likewise"),
    ("tallyclip.stages.plan", "tallyclip.report.plots", "likewise"),
    ("tallyclip.experiment.report", "tallyclip.experiment.plots", "likewise"),
    ("tallyclip.io.mirror", "tallyclip.io.stores", "start-up time: Arrow and fsspec, and most folders are on no store"),
    ("tallyclip.io.fetch", "requests", "an extra"),
    ("tallyclip.io.fetch", "urllib3*", "an extra: it comes with requests"),
]


class Import(NamedTuple):
    """A module of ours, or a package of others, that a line imports."""

    line: int
    module: str
    is_late: bool


@cache
def sources() -> dict[str, str]:
    """All modules of the package, by name."""
    found: dict[str, str] = {}
    for path in sorted((SRC / "tallyclip").rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


@cache
def modules() -> dict[str, ast.Module]:
    """The same, parsed."""
    return {name: ast.parse(source) for name, source in sources().items()}


def imports(tree: ast.Module) -> Iterator[Import]:
    """What a module imports when it runs: not what only type checkers see."""

    def visit(node: ast.AST, *, is_late: bool) -> Iterator[Import]:
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return
            case ast.Import(names=names):
                yield from (Import(node.lineno, name.name, is_late) for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                inner = [f"{module}.{name.name}" for name in names]
                yield from (Import(node.lineno, name if name in modules() else module, is_late) for name in inner)
            case _:
                inside = is_late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                for child in ast.iter_child_nodes(node):
                    yield from visit(child, is_late=inside)

    return visit(tree, is_late=False)


def circle_of(graph: Mapping[str, set[str]]) -> list[str] | None:
    """Nodes that lead to each other in a circle, if there are any."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_no_two_classes_have_one_name() -> None:
    """Private ones neither: whoever looks for a name finds one thing."""
    found: dict[str, list[str]] = defaultdict(list)
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{module}:{node.lineno}")
    assert len(found) > 200
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_imports_stand_at_the_top_of_their_module_but_for_those_with_a_reason() -> None:
    late = {(module, found.module): found.line for module, tree in modules().items() for found in imports(tree) if found.is_late}
    allowed = {key: [rule for rule in LATE_IMPORTS if fnmatch(key[0], rule[0]) and fnmatch(key[1], rule[1])] for key in late}
    assert [f"{module}:{late[module, name]} imports {name}" for (module, name), rules in allowed.items() if not rules] == []
    unused = [rule for rule in LATE_IMPORTS if not any(rule in rules for rules in allowed.values())]
    assert unused == [], "no module needs these any more"


def test_no_modules_import_each_other_in_a_circle_not_even_inside_functions() -> None:
    graph = {name: {found.module for found in imports(tree)} & modules().keys() - {name} for name, tree in modules().items()}
    assert sum(map(len, graph.values())) > 500
    assert circle_of(graph) is None
    assert circle_of(graph | {"tallyclip.errors": {"tallyclip.flows.curate"}}) is not None


def test_a_long_module_says_why_it_is_one() -> None:
    long = {name: tree for name, tree in modules().items() if len(sources()[name].splitlines()) > LONGEST}
    assert [name for name, tree in long.items() if not REASON.search(ast.get_docstring(tree) or "")] == []


def test_the_list_of_modules_in_architecture_has_each_of_them() -> None:
    command = [sys.executable, SRC.parent / "scripts" / "tree", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


def nouns_after_numbers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Where a message has a number with its thousands separated, other than a constant's, and right after it a word that may be a noun."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        for before, number, after in zip([ast.Constant(""), *node.values], node.values, node.values[1:], strict=False):
            match number, after:
                case ast.FormattedValue(value, format_spec=ast.JoinedStr([ast.Constant(",")])), ast.Constant(str(text)):
                    is_set = isinstance(before, ast.Constant) and str(before.value).endswith(SET)
                    if not is_set and not ast.unparse(value).rpartition(".")[2].isupper():
                        yield number.lineno, text
                case _:
                    pass


def test_a_number_and_its_noun_agree() -> None:
    """A noun that some message counts with ``plural`` is counted so in all of them, but for those of a set: 'none of the 5 pairs'."""
    calls = [node for tree in modules().values() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    counted = [call.args[1:] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "plural"]
    plurals = {str(words[-1].value) + "s" * (len(words) == 1) for words in counted if words and isinstance(words[-1], ast.Constant)}
    assert len(plurals) > 30
    noun = re.compile(rf" (?:{'|'.join(sorted(map(re.escape, plurals)))})\b")
    found = [
        f"{module}:{line}:{text}" for module, tree in modules().items() for line, text in nouns_after_numbers(tree) if noun.match(text)
    ]
    assert found == []
