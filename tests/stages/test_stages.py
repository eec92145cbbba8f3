"""A stage is declared once, and all else follows: with nothing but the declaration of ``toy_stage`` a run has a stage more."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tallyclip.core.data import Metadata
from tallyclip.errors import IncompleteError
from tallyclip.match.matched_pairs import read_matches
from tallyclip.run.engine import make
from tallyclip.run.stage import Stages
from tallyclip.run.status import StageStatus, read_status
from tallyclip.run.workspace import Kind, Workspace
from tallyclip.stages.card import CARD, summary_of
from tallyclip.stages.match import MATCH
from tallyclip.stages.metadata import METADATA, MetadataOptions
from tallyclip.stages.runs import RUN
from tests.run.driver import WITH_CROWDED, Inline
from tests.run.toy_stage import CROWDED, CrowdedOptions
from tests.stages.conftest import Example
from tests.tools import PATIENCE, assert_same, modified, results

THREE = CrowdedOptions(3)


@pytest.fixture
def run(example: Example, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of the example's run, with one more stage declared."""
    shutil.copytree(example.run, tmp_path / "run")
    with opened(tmp_path / "run") as run:
        yield run


def opened(root: Path, kind: Kind = WITH_CROWDED) -> Workspace:
    run = Workspace(kind, root, Inline())
    run.open()
    return run


def crowded(run: Workspace, least: int = 3) -> np.ndarray:
    """The same by other means."""
    pairs = [pairs for path in sorted((run.root / "match").glob("[!_]*.arrow")) for pairs in read_matches(path)]
    return np.concatenate([batch.uids[[len(batch.matches[i]) >= least for i in range(len(batch))]] for batch in pairs])


def state(run: Workspace) -> StageStatus:
    return next(stage for stage in read_status(run.kind.outline, run.root).stages if stage.stage == CROWDED.name)


def pieces_of(run: Workspace) -> list[str]:
    """The pieces that were done since this was asked last."""
    done, run.runner.done = run.runner.done, []  # type: ignore[attr-defined]
    return done


def test_it_comes_after_what_it_needs_and_before_the_card() -> None:
    order = [stage.name for stage in RUN.stages.plus(CROWDED)]
    assert order.index("match") < order.index("crowded") < order.index("card")
    assert [name for name in order if name != "crowded"] == [stage.name for stage in RUN.stages]
    stages = RUN.stages.plus(CROWDED)
    assert stages.built_on("crowded") == ["card"]
    assert {"crowded", "card"} < set(stages.built_on("match"))
    first = [stage.name for stage in Stages(CROWDED, *RUN.stages)]  # wherever it was written
    assert first.index("match") < first.index("crowded") < first.index("card")


def test_it_is_made_published_and_made_once(example: Example, run: Workspace) -> None:
    made = make(run, CROWDED, THREE)
    assert np.load(run.root / "crowded.npy").tolist() == crowded(run).tolist()
    assert len(crowded(run)) > 100
    assert made.pieces == sorted(pieces_of(run))
    assert made.inputs["match"] == run.required(MATCH).fingerprint
    before = modified(run.root, "crowded", "crowded.npy")
    assert make(run, CROWDED, THREE) == made
    assert modified(run.root, "crowded", "crowded.npy") == before
    assert pieces_of(run) == []
    assert not (run.root / "crowded" / "by_shard").exists()
    assert results(run.root) == example.results


def test_the_card_shows_it_and_is_out_of_date_until_it_does(run: Workspace) -> None:
    without = run.required(CARD)
    made = make(run, CROWDED, THREE)
    assert run.whole(CARD) is None
    card = make(run, CARD)
    assert card.inputs == without.inputs | {"crowded": made.fingerprint}
    count, folder = f"{made.result['crowded']:,}", run.root / "card"
    facts = {"match 3 entries or more": count}
    assert json.loads((folder / "card.json").read_text())["crowded"] == {"title": "Crowded captions", "facts": facts}
    assert f"## Crowded captions\n\n- match 3 entries or more: {count}\n" in (folder / "card.md").read_text()
    page = (folder / "card.html").read_text()
    assert '">Crowded captions</h2>' in page
    assert f'<tr><th scope="row">match 3 entries or more</th><td>{count}</td></tr>' in page
    assert summary_of(run) == [*without.result["summary"], f"Crowded captions match 3 entries or more: {count}"]
    make(run, CROWDED, CrowdedOptions(4))
    assert run.whole(CARD) is None


def test_status_and_hints_know_it_and_the_command_that_makes_it(run: Workspace) -> None:
    assert (state(run).state, state(run).command) == ("to do", "tallyclip crowded RUN")
    with pytest.raises(IncompleteError) as raised:
        run.required(CROWDED)
    assert (raised.value.what, raised.value.hint) == (
        f"{run.root}: the stage 'crowded' is not whole",
        f"run 'tallyclip crowded {run.root}' first",
    )
    (run.root / "match" / "cherry.npz").unlink()
    with pytest.raises(IncompleteError, match=rf"the stage 'match' is not whole\n\nHint: run 'tallyclip match POOL[.]+ --out {run.root}'"):
        make(run, CROWDED, THREE)


def test_a_piece_that_failed_is_done_again_alone(run: Workspace) -> None:
    path = run.root / "match" / "cherry.arrow"
    whole = path.read_bytes()
    path.write_bytes(b"?" * len(whole))
    with pytest.raises(IncompleteError, match=r"cherry: .*cherry.arrow: not readable"):
        make(run, CROWDED, THREE)
    assert len(pieces_of(run)) == 5
    found = state(run)
    assert (found.state, found.shards_done, found.shards, [each.shard for each in found.failures]) == ("under way", 4, 5, ["cherry"])
    path.write_bytes(whole)
    make(run, CROWDED, THREE)
    assert pieces_of(run) == ["cherry"]
    assert np.load(run.root / "crowded.npy").tolist() == crowded(run).tolist()
    assert (state(run).state, state(run).shards_done, state(run).result, state(run).failures) == (
        "done",
        5,
        {"crowded": len(crowded(run))},
        [],
    )
    assert run.attempts(CROWDED) == []


def test_a_killed_driver_leaves_pieces_that_are_not_done_again(example: Example, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(example.run, root)
    killed = subprocess.run(
        [sys.executable, "-m", "tests.run.driver", root, "crowded", example.pool, "0/1", "2"], timeout=PATIENCE, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    with opened(root) as run:
        assert (state(run).state, state(run).shards_done, state(run).shards) == ("under way", 2, 5)
        make(run, CROWDED, THREE)
        assert len(pieces_of(run)) == 3
        assert np.load(root / "crowded.npy").tolist() == crowded(run).tolist()
    assert_same(root, example.results)


def test_it_is_made_again_with_other_options_or_in_another_version(run: Workspace) -> None:
    make(run, CROWDED, THREE)
    make(run, CROWDED, CrowdedOptions(4))
    assert np.load(run.root / "crowded.npy").tolist() == crowded(run, 4).tolist()
    assert len(pieces_of(run)) == 10
    make(run, replace(CROWDED, version=2), CrowdedOptions(4))
    assert len(pieces_of(run)) == 5


def test_it_goes_when_what_it_was_made_from_changes(example: Example, run: Workspace) -> None:
    make(run, CROWDED, THREE)
    make(run, METADATA, MetadataOptions(Metadata.load(str(example.entries)), "spaced-entries"))
    assert not any((run.root / name).exists() for name in ("match", "crowded", "crowded.npy"))
    assert state(run).state == "to do"


def test_attempts_at_it_with_other_options_or_of_other_inputs_are_cleared(example: Example, run: Workspace) -> None:
    path = run.root / "match" / "cherry.arrow"
    whole = path.read_bytes()

    def fail() -> None:
        path.write_bytes(b"?" * len(whole))
        with pytest.raises(IncompleteError):
            make(run, CROWDED, CrowdedOptions(5))
        path.write_bytes(whole)
        assert run.attempts(CROWDED) != []

    fail()
    make(run, CROWDED, THREE)
    assert run.attempts(CROWDED) == []
    fail()
    make(run, METADATA, MetadataOptions(Metadata.load(str(example.entries)), "spaced-entries"))
    assert run.attempts(CROWDED) == []
