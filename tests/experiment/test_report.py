from __future__ import annotations

import doctest
import html
import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import matplotlib.image
import msgspec
import numpy as np
import pytest

from tallyclip.experiment import plots, report
from tallyclip.experiment.report import data_of, findings_of, sweeps_of, table_of, write_report
from tallyclip.experiment.results import Results, results_of
from tests.nasties import NASTIES, acts
from tests.report.test_browser import browse
from tests.report.test_card import Page

from .measurements import ARMS, THRESHOLDS, measurements

SCRIPT = "<script>alert(1)</script>"


def page_of(results: Results, folder: Path) -> str:
    write_report(results, folder / "report.html")
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def four() -> Results:
    return results_of(*measurements())


@pytest.fixture(scope="module")
def sweep() -> Results:
    return results_of(*measurements(THRESHOLDS, [("matched", "t160")]))


@pytest.fixture(scope="module")
def written(four: Results, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(four, tmp_path_factory.mktemp("four"))


@pytest.fixture(scope="module")
def written_sweep(sweep: Results, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(sweep, tmp_path_factory.mktemp("sweep"))


def rows(page: str) -> list[list[str]]:
    """The cells of all rows of tables, as text."""
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)]
    return [[html.unescape(re.sub("<[^>]*>", " ", cell)).strip() for cell in row] for row in found]


def percent(value: float) -> str:
    return f"{100 * value:.1f}".replace("-0.0", "0.0").replace("-", "−")


def signed(value: float) -> str:
    text = percent(value)
    return text if text.startswith("−") or text == "0.0" else f"+{text}"


def test_the_examples_hold() -> None:
    assert doctest.testmod(report).failed == 0


def test_every_number_of_the_results_is_in_the_report(four: Results, written: str, tmp_path: Path) -> None:
    """Counted again from the file."""
    four.write(tmp_path / "results.json")
    value: dict[str, Any] = json.loads((tmp_path / "results.json").read_text())
    found = rows(written)
    for name, arm in value["arms"].items():
        spreads = [spread for groups in arm["tests"].values() for spread in groups.values()]
        (first,) = [row for row in found if row[0] == name and len(row) == 9]
        for spread in (groups["all"] for groups in arm["tests"].values()):
            assert f"{percent(spread['mean'])} {percent(spread['low'])} to {percent(spread['high'])}" in first
        assert first[-3:] == [percent(arm["tests"]["seen"][group]["mean"]) for group in ("head", "middle", "tail")]
        of_groups = [spread for test in ("seen", "unseen") for group, spread in arm["tests"][test].items() if group != "all"]
        cells = [f"{percent(spread['mean'])} {percent(spread['low'])} to {percent(spread['high'])}" for spread in of_groups]
        assert [name, *cells] in found
        for place, seed in enumerate(value["seeds"]):
            assert [name, str(seed), *(percent(spread["seeds"][place]) for spread in spreads)] in [row[:-2] for row in found]
        assert [name, *(f"{seconds:,.1f}" for seconds in arm["seconds"].values())] in [row[:-2] for row in found]
    for test, groups in value["differences"].items():
        for group, differences in groups.items():
            for one in differences:
                interval = f"{signed(one['low'])} to {signed(one['high'])}"
                names = [test, group, f"{one['higher']} − {one['lower']}"]
                assert [*names, signed(one["mean"]), interval, ", ".join(map(signed, one["seeds"])), one["said"]] in found
    for test, arms in value["classes"].items():
        for arm, one in arms.items():
            numbers = [f"{one[name]:.2f}" for name in ("pearson", "spearman")]
            by_seed = [
                f"{one[name]['mean']:.2f} {one[name]['low']:.2f} to {one[name]['high']:.2f}"
                for name in ("pearson_by_seed", "spearman_by_seed")
            ]
            cells = [str(one["points"]), numbers[0], by_seed[0], numbers[1], by_seed[1], signed(one["slope"]), percent(one["intercept"])]
            assert [test, arm, *(cell.replace("-", "−") for cell in cells)] in found
    for text in (value["command"], value["recipe"], value["machine"], *value["notes"], *map(" ".join, value["versions"].items())):
        assert text in Page(written).shown


def test_the_page_is_whole_and_needs_nothing_else(written: str, written_sweep: str) -> None:
    for text in (written, written_sweep):
        page = Page(text)
        assert page.open == []
        assert "script" not in page.tags
        assert page.tags.isdisjoint({"link", "img", "iframe", "object", "base"})
        assert all(link.startswith("#") for link in page.loads)
        assert not re.search(r"@import|url\((?!#)", text)
        targets = set(re.findall(r'<h2 id="(\w+)"', text))
        assert set(re.findall(r'href="#(\w+)">', text)) == targets, "the contents are the headings"


def test_plots_are_read_out_and_follow_the_colors_of_the_page(written_sweep: str) -> None:
    found = re.findall(r"<svg[^>]*>", written_sweep)
    assert len(found) == 6
    assert all(re.search(r'role="img" aria-label="[^"]{20,}"', tag) for tag in found)
    drawn = "".join(re.findall(r"<svg.*?</svg>", written_sweep, re.DOTALL))
    assert set(re.findall(r"(?:fill|stroke): (#\w+)", drawn)) == set(), "a color that stays as it is in the dark"
    named = set(re.findall(r"var\(--(\w+)", drawn))
    assert named == set(plots.NAMES.values())
    dark = written_sweep[written_sweep.index("prefers-color-scheme: dark") :].split("}")[0]
    assert all(f"--{name}:" in dark for name in named)


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_stands_out_in_the_light_and_in_the_dark(written: str) -> None:
    """A contrast of 4.5 or more, as WCAG 2 asks for at level AA."""
    blocks = re.findall(r":root \{(.*?)\}", written)
    colors: dict[str, str] = {}
    for block in blocks[:2]:  # in the light, and in the dark
        colors |= {name: f"#{value * 2}" if len(value) == 3 else f"#{value}" for name, value in re.findall(r"--(\w+): #(\w+)", block)}
        for text in ("ink", "soft", "mark"):
            for back in ("paper", "back"):
                bright, dark = sorted((luminance(colors[text]), luminance(colors[back])), reverse=True)
                assert (bright + 0.05) / (dark + 0.05) >= 4.5, (text, back, colors)


def test_the_same_measurements_give_the_same_page(four: Results, written: str, tmp_path: Path) -> None:
    assert page_of(results_of(*measurements()), tmp_path) == written


def test_text_from_data_stays_text(tmp_path: Path) -> None:
    def page_with(texts: list[str]) -> str:
        """Each text is an arm and stands wherever text can; the first three are tests too."""
        arms = {text: list(ARMS.values())[place % 4] for place, text in enumerate(texts)}
        experiment, measured = measurements(arms, list(itertools.pairwise(texts)), names=["dog", "cat", "yak"])
        every = "\n".join(texts)
        of_pool = {seed: dict.fromkeys(texts, 1) for seed in experiment.seeds}
        experiment = msgspec.structs.replace(experiment, versions={text: text for text in texts}, notes=texts, pool=of_pool)
        experiment = msgspec.structs.replace(experiment, name=every, recipe=every, command=every, machine=every)
        measured = [
            msgspec.structs.replace(one, tests=dict(zip(texts, one.tests.values(), strict=False)), seconds=dict.fromkeys(texts, 1.0))
            for one in measured
        ]
        return page_of(results_of(experiment, measured), tmp_path)

    page = page_with([SCRIPT, "$x^2$ \\$", '"><b onclick="x">\x1b', *NASTIES])
    assert not acts(page)
    assert Page(page).open == []
    assert Page(page).tags == Page(page_with(["one", "two", "three", "four"])).tags
    for text in (SCRIPT, "$x^2$ \\$", "{{ card }} {% if %} ${x} %s {0}", "&lt;b&gt; &amp; &#60;"):
        assert Page(page).shown.count(text) > 10


def test_a_class_called_script_is_shown_nowhere_as_a_tag_and_is_in_the_file(tmp_path: Path) -> None:
    results = results_of(*measurements(names=[SCRIPT, "dog", "cat"]))
    assert SCRIPT not in page_of(results, tmp_path)
    results.write(tmp_path / "results.json")
    assert SCRIPT in json.loads((tmp_path / "results.json").read_text())["counts"]["0"]


def test_findings_say_what_is_shown_and_what_is_not(four: Results) -> None:
    def finding(means: list[tuple[float, float, float, str]]) -> str:
        found = [
            msgspec.structs.replace(one, mean=mean, low=low, high=high, said=said)
            for one, (mean, low, high, said) in zip(four.differences["seen"]["all"], means, strict=True)
        ]
        differences = {"seen": four.differences["seen"] | {"all": found}}
        return findings_of(msgspec.structs.replace(four, differences=differences))[0]

    assert finding([(0.021, 0.012, 0.03, "higher"), (-0.02, -0.03, -0.01, "lower"), (0.003, -0.005, 0.011, "not shown")]) == (
        "On seen: matched beats raw by 2.1 points (95 % interval 1.2 to 3.0); balanced is below matched by 2.0 points (1.0 to 3.0); "
        "no difference shown between online and balanced (+0.3 points, −0.5 to 1.1) (3 seeds)."
    )
    assert len(findings_of(four)) == 3


def test_one_seed_and_no_claims_can_be_reported(tmp_path: Path) -> None:
    one_seed = results_of(*measurements(seeds=[0]))
    assert "no interval from one seed" in findings_of(one_seed)[0]
    assert "None" not in Page(page_of(one_seed, tmp_path)).shown
    no_claims = results_of(*measurements(claims=[]))
    assert "asks about no order" in findings_of(no_claims)[0]
    assert 'id="differences"' not in page_of(no_claims, tmp_path)
    no_classes = results_of(*measurements(names=["dog", "cat"]))
    assert 'id="groups"' not in page_of(no_classes, tmp_path)


def test_a_sweep_needs_three_thresholds(four: Results, sweep: Results, written: str, written_sweep: str) -> None:
    assert sweeps_of(sweep) == [[name for name in THRESHOLDS if name != "matched"]]
    assert sweeps_of(four) == []
    assert 'id="thresholds"' in written_sweep
    assert 'id="thresholds"' not in written


def test_the_paper_is_beside_arms_of_its_names(written: str, written_sweep: str) -> None:
    of_paper = {row[0]: row[2] for row in rows(written) if len(row) == 4 and row[0] in ARMS}
    assert of_paper == {"raw": "57.4", "matched": "60.8", "balanced": "65.5", "online": "66.1"}
    assert "arXiv 2309.16671" in written
    assert 'id="paper"' not in written_sweep, "one arm has no order"


def test_the_table_fits_the_terminal(four: Results) -> None:
    table = table_of(four)
    assert table[0] == ["arm", "pairs", "seen", "unseen", "retrieval"]
    assert [row[0] for row in table[1:]] == list(four.arms)
    found = four.arms["raw"].tests["seen"]["all"]
    assert found.high is not None
    assert table[1][1:3] == ["200k", f"{percent(found.mean)} ±{percent(found.high - found.mean)}"]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    assert sum(widths) + 2 * len(widths) <= 60


def test_data_are_named_in_words(four: Results) -> None:
    assert [data_of(arm) for arm in four.arms.values()] == [
        "raw pool",
        "matched, not balanced",
        "balanced, t = 170",
        "balanced online, t = 170",
    ]


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium on this machine")
    return found


@pytest.mark.parametrize(("scheme", "paper"), [(1, (0xFF, 0xFF, 0xFF)), (0, (0x1C, 0x1F, 0x29))], ids=["light", "dark"])
def test_the_page_looks_like_something(chromium: str, scheme: int, paper: tuple[int, ...], written: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(written)
    options = [f"--blink-settings=preferredColorScheme={scheme}", "--window-size=1200,3000", "--hide-scrollbars"]
    browse(chromium, tmp_path / "profile", *options, f"--screenshot={tmp_path / 'page.png'}", (tmp_path / "report.html").as_uri())
    pixels = (matplotlib.image.imread(tmp_path / "page.png")[:, :, :3] * 255).round().astype(int)
    assert (np.abs(pixels - paper).sum(axis=2) == 0).mean() > 0.3, "the panels are not the paper's color"
    dark = pixels.mean() < 128
    assert dark == (scheme == 0)


def test_a_narrow_window_does_not_scroll_sideways(chromium: str, written_sweep: str, tmp_path: Path) -> None:
    probe = "<script>document.title = document.documentElement.scrollWidth + '/' + window.innerWidth</script></body>"
    frame = f'<iframe style="width: 420px; height: 900px" srcdoc="{html.escape(written_sweep.replace("</body>", probe))}"></iframe>'
    ask = "<script>onload = () => { document.title = frames[0].document.title }</script>"
    (tmp_path / "probe.html").write_text(f"<!doctype html><title></title>{frame}{ask}")
    dom = browse(chromium, tmp_path / "profile", "--window-size=900,1000", "--dump-dom", (tmp_path / "probe.html").as_uri())
    found = re.search(r"<title>(\d+)/(\d+)</title>", dom)
    assert found is not None
    assert int(found[2]) == 420
    assert int(found[1]) <= int(found[2])
