from __future__ import annotations

import html.parser
import json
import re
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

import tallyclip as tc
from tallyclip.readers.ledger import UNNAMED
from tallyclip.report import plots
from tallyclip.report.card import About, Facts, Part
from tallyclip.report.entries import changes, histogram
from tallyclip.run.engine import make
from tallyclip.run.runners.local import Workers
from tallyclip.run.stage import Finished, Making, Stage, Stages
from tallyclip.run.workspace import Workspace
from tallyclip.stages.card import CARD
from tallyclip.stages.runs import RUN

from .conftest import ENTRIES

VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(html.parser.HTMLParser):
    """Checks that tags are closed in order, and collects what a browser would load and the text it would show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.shown = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "data", "srcset") or name.endswith(":href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown += data


@pytest.fixture(scope="module")
def page(run_folder: Path) -> Page:
    return Page((run_folder / "card" / "card.html").read_text())


def test_the_page_is_whole_and_needs_nothing_else(page: Page) -> None:
    assert page.open == []
    assert "script" not in page.tags
    assert all(link.startswith("#") for link in page.loads)
    for name in ("card.html.jinja", "parts.html.jinja", "look.css"):
        style = (Path(plots.__file__).parent / "templates" / name).read_text()
        assert "url(" not in style
        assert "@import" not in style


def test_captions_and_entries_are_shown_as_they_are(page: Page) -> None:
    for text in ("<script>alert(1)</script>", "</table></html>", "x | y *z*", "<b>", "`", "</script>", "a|b"):
        assert text in page.shown


def test_every_row_of_a_markdown_table_has_the_cells_of_its_head(run_folder: Path) -> None:
    tables = re.findall(r"(?:^\|.*\|$\n?)+", (run_folder / "card" / "card.md").read_text(), re.MULTILINE)
    assert len(tables) >= 6
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.strip().split("\n")}
        assert len(widths) == 1, table


def test_the_figures_are_those_of_the_run(run_folder: Path) -> None:
    card = json.loads((run_folder / "card" / "card.json").read_text())
    curated, matched = pq.read_table(run_folder / "curated"), pq.read_table(run_folder / "probabilities")
    before = json.loads((run_folder / "entry_counts.json").read_text())
    after = json.loads((run_folder / "entry_counts_curated.json").read_text())
    assert card["kept"] == curated.num_rows
    assert card["matched"] == matched.num_rows
    assert card["expected"] == pytest.approx(sum(matched["keep_probability"].to_pylist()))
    assert card["matches"] == sum(before.values())
    assert card["matches_after"] == sum(after.values()) == sum(map(len, curated["entry_ids"].to_pylist()))
    assert [(row["entry"], row["before"], row["after"]) for row in card["entry_changes"]["frequent"]] == [
        (entry, count, after[entry]) for entry, count in sorted(before.items(), key=lambda item: -item[1]) if count
    ]
    assert sum(card["lengths"]) == card["texts"] == card["lengths"][0] + card["matched"]
    assert sum(counts[0] for counts in card["entry_changes"]["histogram"].values()) == len(ENTRIES)
    assert card["head_entries"] == sum(count >= card["t"] for count in before.values())
    assert card["tail_share"] == tc.tail_share(np.array(list(before.values())), card["t"])
    drops = {drop["reason"]: drop["count"] for drop in card["drops"]}
    assert drops["no caption"] == 1
    assert drops[UNNAMED] == card["texts"] - card["matched"]
    assert card["records"] == card["texts"] + drops["no caption"]


def test_entries_that_cannot_be_named_are_told_from_those_that_were_not(run_folder: Path) -> None:
    card = json.loads((run_folder / "card" / "card.json").read_text())
    assert [(group["count"], group["samples"]) for group in card["unmatchable"]] == [(1, ["St. Louis"])]
    assert card["never_matched"] == ["St. Louis", "never named"]


def test_the_command_and_fingerprints_to_do_it_again_are_there(run_folder: Path, page: Page) -> None:
    balanced = json.loads((run_folder / "balance" / "_manifest.json").read_text())
    for text in ("tallyclip curate", balanced["fingerprint"], *balanced["inputs"].values(), tc.__version__):
        assert text in page.shown
        assert text in (run_folder / "card" / "card.md").read_text()


def forms(run_folder: Path) -> dict[str, bytes]:
    return {name: (run_folder / "card" / name).read_bytes() for name in ("card.html", "card.md", "card.json")}


def test_the_same_run_gives_the_same_card(run_folder: Path, tmp_path: Path) -> None:
    again = tmp_path / run_folder.name  # which is in the title
    shutil.copytree(run_folder, again)
    shutil.rmtree(again / "card")
    with Workers(1) as workers, Workspace(RUN, again, workers) as run:
        make(run, CARD)
    assert forms(again) == forms(run_folder)


def test_a_stage_with_facts_is_shown_in_every_form_of_the_card(run_folder: Path, tmp_path: Path) -> None:
    def finish(making: Making[object, object]) -> Finished:
        return Finished({"longest": "a | dog"})

    def card(run: Workspace) -> Facts:
        return Facts(title="Captions <by length>", facts={"the longest": run.required(longest).result["longest"], "looked at": "2,020"})

    longest = Stage(name="longest", version=1, command="a test", needs=("balance",), finish=finish, card=card)
    kind = msgspec.structs.replace(RUN, stages=Stages(*RUN.stages, longest))
    again = tmp_path / "run"
    shutil.copytree(run_folder, again)
    with Workers(1) as workers, Workspace(kind, again, workers, command=["longest", "run"]) as run:
        make(run, longest)
        assert not (again / "card").exists()  # it was made without
        make(run, CARD)
    page = Page((again / "card" / "card.html").read_text())
    assert page.open == []
    for text in ("Captions <by length>", "the longest", "a | dog", "looked at", "2,020"):
        assert text in page.shown
    markdown = (again / "card" / "card.md").read_text()
    assert "\n## Captions \\<by length\\>\n\n- the longest: a \\| dog\n- looked at: 2,020\n\n" in markdown
    value = json.loads((again / "card" / "card.json").read_text())
    facts = {"title": "Captions <by length>", "facts": {"the longest": "a | dog", "looked at": "2,020"}}
    assert value.pop("longest") == facts
    before = json.loads((run_folder / "card" / "card.json").read_text())
    assert value.pop("command") == before.pop("command") + "\ntallyclip longest run"
    assert value == before, "the rest stays"


def test_no_two_parts_of_a_card_have_a_field_of_the_same_name() -> None:
    """Templates know fields by their names alone."""
    parts = [About, *(part for part in Part.__subclasses__() if part is not Facts and part.__module__.startswith("tallyclip."))]
    assert len(parts) >= 5
    names = [name for part in parts for name in part.__struct_fields__]
    assert [name for name in names if names.count(name) > 1] == []


@pytest.mark.parametrize("counts", [[1], [0, 0, 1], [5] * 4, [10**9, 1], list(range(1000))], ids=lambda counts: f"{len(counts)} entries")
def test_any_counts_can_be_drawn(counts: list[int]) -> None:
    before = np.array(counts, np.int64)
    for drawing in (
        *plots.cumulative_curves(before, before // 2, 3.0),
        plots.rank_curve(before, before // 2, 3.0),
        plots.count_histogram(before, before // 2),
        plots.two_cumulative_curves(before, before // 2),
        plots.probability_histogram({"0–10": (3, 0), "100": (2, 2)}),
        plots.length_histogram([3, 0, 5]),
    ):
        svg = plots.picture(drawing)
        assert svg.startswith("<svg")
        assert svg.rstrip().endswith("</svg>")


def test_the_histogram_loses_no_entry() -> None:
    before = np.array([0, 1, 9, 10, 99, 100, 12345])
    assert histogram(before, before // 10) == {
        "0": (1, 3),
        "1–9": (2, 2),
        "10–99": (2, 1),
        "100–999": (1, 0),
        "1k–<10k": (0, 1),
        "10k–<100k": (1, 0),
    }


def test_what_a_draw_does_to_entries_is_told_apart() -> None:
    entries = ("the", "dog", "cat", "emu", "yak", "eel")
    found = changes(entries, np.array([90, 50, 40, 30, 5, 0]), np.array([9, 10, 0, 30, 5, 0]))
    assert [(row.entry, row.stop_word) for row in found.frequent] == [("the", True), *((entry, False) for entry in entries[1:5])]
    assert [row.entry for row in found.most_downsampled] == ["the", "dog"]
    assert [(row.entry, row.rank_before, row.rank_after) for row in found.risen] == [("emu", 4, 1), ("yak", 5, 4)]
    assert ([row.entry for row in found.lost], found.lost_count, found.downsampled_count) == (["cat"], 1, 3)
    assert found.evenness.effective_before < 5
    assert found.evenness.gini_before > 0


def test_pictures_of_a_page_take_its_colors_and_say_what_they_show(run_folder: Path) -> None:
    page = (run_folder / "card" / "card.html").read_text()
    pictures = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    assert len(pictures) == 8
    for svg in pictures:
        assert re.match(r'<svg role="img" aria-label="[A-Z][^"]{20,}"', svg)
        colors = set(re.findall(r"#[0-9a-f]{6}", re.sub(r"var\(--[a-z]+, #[0-9a-f]{6}\)", "", svg)))
        assert colors <= {"#ffffff", "#000000"}, "they are as dark pages need them"
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([a-z][^"]*)"', page)) <= set(ids)


def test_a_run_folder_is_a_dataset_of_the_hub(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    loaded = datasets.load_dataset(str(run_folder), cache_dir=str(tmp_path))
    assert list(loaded) == ["train"]
    assert loaded["train"]["uid"] == pq.read_table(run_folder / "curated")["uid"].to_pylist()
    readme = (run_folder / "README.md").read_text()
    assert readme.endswith("\n---\n\n" + (run_folder / "card" / "card.md").read_text())
    assert "license" not in readme.split("---")[1]


def test_a_licence_that_is_added_stays_until_the_set_is_another(run_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    with (run / "README.md").open("a") as readme:
        readme.write("licensed")
    tc.card(run)
    assert (run / "README.md").read_text().endswith("licensed")
    tc.balance(run, t=40)
    assert not (run / "README.md").exists()
