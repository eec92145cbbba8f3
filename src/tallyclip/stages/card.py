"""The stage card: makes the data card from the parts of the other stages."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from tallyclip.escaping import printable
from tallyclip.io.arrays import read_array
from tallyclip.io.files import replacing
from tallyclip.report import card as cards
from tallyclip.run.items import StageFolder
from tallyclip.run.manifest import Manifest
from tallyclip.run.stage import PARTS_OF_THE_CARD, Finished, Making, Stage
from tallyclip.run.versions import versions
from tallyclip.run.workspace import Workspace
from tallyclip.stages.balance import BALANCE
from tallyclip.stages.counts import load_counts


class CardFolder(StageFolder):
    """The card in three formats, and as the README.md of a dataset on the Hugging Face Hub, which is published beside the set."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.markdown = path / "card.md"
        self.json = path / "card.json"
        self.html = path / "card.html"
        self.readme = path / "README.md"


def _finish(making: Making[CardFolder, None]) -> Finished:
    run, folder = making.run, making.folder
    balanced = run.required(BALANCE)
    parts = {stage.name: stage.card(run) for stage in run.stages if stage.card is not None and run.whole(stage) is not None}
    about = cards.About(
        title=f"Data card of {run.place.rpartition('/')[2]}",
        made=balanced.finished[:10],
        command=_commands(run.required(run.stages[name]) for name in parts),
        versions=versions(),
        fingerprints=dict(balanced.inputs) | {BALANCE.name: balanced.fingerprint},
    )
    card = cards.Card(about, parts)
    pictures = cards.draw_pictures(card, load_counts(run), read_array(run.folder(BALANCE).counts_curated))
    for path, content in (
        (folder.markdown, card.as_markdown().encode()),
        (folder.json, card.as_json()),
        (folder.html, card.as_html(pictures).encode()),
        (folder.readme, card.as_readme().encode()),  # no output of the stage, for people add a licence to it
    ):
        with replacing(path) as part:
            part.write_bytes(content)
    summary = [line for part in parts.values() for line in part.summary()]
    return Finished({"summary": summary}, str(run.folder(CARD).html), (folder.markdown, folder.json, folder.html))


def summary_of(run: Workspace) -> list[str]:
    """The summary lines of the run, from all stages that have a part of the card.

    Raises:
        IncompleteError: there is no card.
    """
    return run.required(CARD).result["summary"]


def _commands(stages: Iterable[Manifest]) -> str:
    """The commands that reproduce these stages, one per line. 'curate' needs no command before it."""
    lines: list[str] = []
    for stage in stages:
        line = printable(shlex.join(["tallyclip", *stage.command]))
        lines = [line] if stage.command[:1] == ["curate"] else [*dict.fromkeys([*lines, line])]
    return "\n".join(lines)


CARD = Stage(
    name="card",
    version=4,
    command="tallyclip card RUN",
    needs=("balance",),
    uses=PARTS_OF_THE_CARD,
    folder=CardFolder,
    finish=_finish,
    results=("README.md",),
)
