"""Files of a run are complete or absent, and errors in writing them are distinguished from others."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tallyclip.errors import ArtifactError, OutputError
from tallyclip.io.arrays import read_array, read_arrays, write_array
from tallyclip.io.files import PART, clear_parts, read_json, remove, replacing, write_json, writing


def test_a_file_appears_whole_at_the_end_of_its_block(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    with replacing(path) as part:
        part.write_text("half")
        assert not path.exists()
        part.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as part:
            part.write_text("new")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said_with_the_file_and_a_hint(tmp_path: Path, code: int) -> None:
    path = tmp_path / "file"
    with pytest.raises(OutputError) as raised, replacing(path):
        raise OSError(code, os.strerror(code))
    assert raised.value.what == f"{path}: no room to write: {os.strerror(code)}"
    assert "free some space" in str(raised.value.hint)
    assert raised.value.exit_code == 1


def test_a_folder_that_cannot_be_is_said_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_json(tmp_path / "file" / "below.json", {})


def test_an_error_in_reading_another_file_is_not_an_error_of_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), replacing(tmp_path / "file") as part:
        part.write_bytes((tmp_path / "other").read_bytes())
    assert list(tmp_path.iterdir()) == []


SHORT_OF_ROOM = """
import resource, sys
import numpy as np
from pathlib import Path
from tallyclip.errors import OutputError
from tallyclip.io.arrays import write_array

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_array(Path(sys.argv[1]), np.zeros(100_000))
except OutputError as error:
    print(error)
"""


def test_an_array_that_does_not_fit_is_an_error_of_room_although_numpy_does_not_say_so(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SHORT_OF_ROOM, tmp_path / "a.npy"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "a.npy: no room to write" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY  # of this process


def test_writing_names_the_folder_for_any_file_below_it(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written: No such file"), writing(tmp_path / "folder"):
        (tmp_path / "folder" / "file").write_text("x")


def test_half_written_files_are_cleared_here_or_everywhere(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    parts = [folder / f".name{PART}7" for folder in (tmp_path, below)]
    others = [tmp_path / "name.part-7", tmp_path / ".hidden"]
    for path in (*parts, *others):
        path.touch()
    clear_parts(tmp_path)
    assert [part.exists() for part in parts] == [False, True]
    clear_parts(tmp_path, below=True)
    assert [path.exists() for path in (*parts, *others)] == [False, False, True, True]


def test_arrays_and_objects_come_back_as_they_were(tmp_path: Path) -> None:
    write_array(tmp_path / "a.npy", np.arange(6, dtype=np.uint64).reshape(3, 2))
    assert np.load(tmp_path / "a.npy").tolist() == [[0, 1], [2, 3], [4, 5]]
    value = {"t": 0.1, "name": "Zürich 東京", "none": None}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    np.savez(tmp_path / "a.npz", one=np.arange(6))
    assert read_arrays(tmp_path / "a.npz", "one")["one"].tolist() == list(range(6))


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'"text"', b"\xff\xfe{}"])
def test_a_file_that_is_not_a_json_object_is_a_broken_artifact(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"a\.json: not"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no array", b"{}", None])
@pytest.mark.parametrize("reader", [read_array, read_arrays])
def test_a_file_that_is_not_an_array_is_broken_and_the_hint_says_what_to_delete(tmp_path: Path, reader: Any, damage: bytes | None) -> None:
    path = tmp_path / "counts" / "a.npy"
    if damage is not None:
        path.parent.mkdir()
        path.write_bytes(damage)
    with pytest.raises(ArtifactError, match="broken") as caught:
        reader(path)
    assert str(path) in caught.value.what
    assert f"delete {path} and" in str(caught.value.hint)


def test_any_damage_to_arrays_is_noticed_or_harmless(tmp_path: Path) -> None:
    path, array = tmp_path / "a.npz", np.arange(40)
    np.savez(path, a=array)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            found = read_arrays(path, "a")
        except ArtifactError:
            continue
        assert found.get("a") is None or np.array_equal(found["a"], array)


def test_files_folders_and_nothing_can_be_removed(tmp_path: Path) -> None:
    trash = tmp_path / "trash"
    folder, file = tmp_path / "folder", tmp_path / "file"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "x").touch()
    file.touch()
    for path in (folder, file, tmp_path / "nothing"):
        remove(path, trash)
        assert not path.exists()
    assert list(trash.iterdir()) == []


def test_a_linked_folder_is_removed_but_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    remove(tmp_path / "link", tmp_path / "trash")
    assert not (tmp_path / "link").exists()
    assert (tmp_path / "real" / "file").exists()


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_what_json_cannot_hold_is_not_written(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"t": number})
    assert list(tmp_path.iterdir()) == []
