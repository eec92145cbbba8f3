"""Write the tables and pictures of docs/experiment.md from stored results, and store new ones:

python docs/make_experiments.py [ladder/results.json ...]
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import msgspec

from tallyclip.experiment import plots
from tallyclip.experiment.report import data_of, points, sweeps_of
from tallyclip.experiment.results import ALL, Results, Spread
from tallyclip.report.numbers import short

HERE = Path(__file__).parent
PAGE = HERE / "experiment.md"
STORED = HERE / "experiments"
MARKS = "<!-- results of {name} -->\n{content}<!-- end -->"


def store(path: Path) -> None:
    """Keep results, without the name of the folder that they were in."""
    found = json.loads(path.read_text(encoding="utf-8"))
    found["command"] = re.sub(r"--out \S+", f"--out {found['name']}", found["command"])
    (STORED / f"{found['name']}.json").write_text(json.dumps(found, ensure_ascii=False) + "\n", encoding="utf-8")


def load(name: str) -> Results:
    """Stored results."""
    return msgspec.convert(json.loads((STORED / f"{name}.json").read_text(encoding="utf-8")), Results, strict=False)


def section(results: Results) -> str:
    """The tables and pictures of an experiment, as Markdown."""
    tests = list(results.differences)
    lines = [f"`{results.command}`, seeds {results.seeds[0]} to {results.seeds[-1]}, on {results.machine}:", ""]
    lines += [
        f"| arm | data | images | {' | '.join(f'{test}, %' for test in tests)} | head | middle | tail |",
        f"|{'---|' * (len(tests) + 6)}",
    ]
    for name, arm in results.arms.items():
        groups = [points(arm.tests[tests[0]][group].mean) for group in ("head", "middle", "tail")]
        cells = [name, data_of(arm), short(arm.drawn), *(_spread(arm.tests[test][ALL]) for test in tests), *groups]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| difference, in points | " + " | ".join(tests) + " |", f"|{'---|' * (len(tests) + 1)}"]
    for number, (lower, higher) in enumerate(results.claims):
        cells = [f"{higher} − {lower}"]
        for test in tests:
            found = results.differences[test][ALL][number]
            text = f"{points(found.mean, signed=True)} ({points(found.low, signed=True)} to {points(found.high, signed=True)})"
            cells.append(text if found.said == "not shown" else f"**{text}**")
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"![The arms of {results.name}, each seed a dot](images/{results.name}-arms.svg)", ""]
    if results.name == "ladder":
        lines += [f"![Accuracy of classes against their entry counts](images/{results.name}-classes.svg)", ""]
    if sweeps_of(results):
        lines += [f"![Accuracy against the threshold](images/{results.name}-sweep.svg)", ""]
    return "\n".join(lines)


def draw(results: Results) -> None:
    """Write the pictures of an experiment."""
    _write(f"{results.name}-arms", plots.arms_plot(results))
    if results.name == "ladder":
        _write(f"{results.name}-classes", plots.classes_plot(results, next(iter(results.classes))))
    for sweep in sweeps_of(results):
        _write(f"{results.name}-sweep", plots.thresholds_plot(results, sweep))


def _write(name: str, svg: str) -> None:
    start = svg.index(">") + 1  # a white background, for dark pages
    svg = f'{svg[:start]}<rect width="100%" height="100%" fill="white"/>{svg[start:]}'
    (HERE / "images" / f"{name}.svg").write_text(svg, encoding="utf-8")


def _spread(found: Spread) -> str:
    return f"{points(found.mean)} ({points(found.low)} to {points(found.high)})"


def page(text: str) -> str:
    """The page with the results that are stored."""
    for path in sorted(STORED.glob("*.json")):
        name = path.stem
        pattern = re.escape(MARKS).replace(r"\{name\}", re.escape(name)).replace(r"\{content\}", ".*?")
        text = re.sub(pattern, lambda _, name=name: MARKS.format(name=name, content=section(load(name))), text, flags=re.DOTALL)
    return text


def main(*given: str) -> None:
    """Store results, and write the page and its pictures anew."""
    for path in given:
        store(Path(path))
    for path in sorted(STORED.glob("*.json")):
        draw(load(path.stem))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
