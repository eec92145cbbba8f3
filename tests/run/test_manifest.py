"""Manifests come back as they were written, and one that is broken is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.errors import ArtifactError
from tallyclip.io.structs import fingerprint_of
from tallyclip.run.items import StageFolder
from tallyclip.run.manifest import Manifest, read_manifest, write_manifest
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages.runs import RUN

MANIFEST = Manifest(
    stage="counts",
    version=2,
    fingerprint="f" * 64,
    inputs={"match": "m"},
    options={"t": 0.1, "texts": "pairs"},
    pieces=["b", "c"],
    failed={"a": "cut short"},
    result={"matches": 1 << 40, "drops": {"no caption": 1}},
    outputs={"counts.npy": 928},
    command=["count", "a run"],
    versions={"tallyclip": "0"},
    finished="2026-01-01T00:00:00+00:00",
    seconds=0.25,
)


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "counts")
    assert read_manifest(folder) is None
    write_manifest(folder, MANIFEST)
    assert read_manifest(folder) == MANIFEST


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"stage": 3}', "\0" * 100])
def test_a_broken_manifest_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    folder = StageFolder(tmp_path)
    folder.manifest.write_text(content)
    with pytest.raises(ArtifactError) as raised:
        read_manifest(folder)
    assert raised.value.what.startswith(f"{folder.manifest}: broken, or written by another version")
    assert str(raised.value.hint).startswith(f"delete {tmp_path} ")


def test_a_stage_whose_place_is_taken_by_a_file_has_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "counts").touch()
    assert read_manifest(StageFolder(tmp_path / "counts")) is None


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.integers()), max_size=4), st.text(min_size=1), st.integers())
def test_a_fingerprint_changes_with_any_part_and_not_with_their_order(parts: dict[str, object], name: str, value: int) -> None:
    changed = {**parts, name: value}
    backwards = dict(reversed(changed.items()))
    assert fingerprint_of(**changed) == fingerprint_of(**backwards)
    assert (fingerprint_of(**changed) == fingerprint_of(**parts)) == (parts.get(name) == value and name in parts)


def test_attempts_at_a_stage_are_told_from_those_at_others(tmp_path: Path) -> None:
    run, match = Workspace(RUN, tmp_path, Workers(1)), RUN.stages["match"]
    assert run.attempts(match) == []
    for stage in RUN.stages:
        run.begin(stage, "0" * 64)
    assert run.attempts(match) == [run.under_way(match, "0" * 64)]
