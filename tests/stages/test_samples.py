"""What is listed of tars of images: each pair with the bytes of its image, and of those without an image why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tallyclip.core.uids import column_uids, make_uids, uid_strings
from tallyclip.errors import IncompleteError, OptionError
from tallyclip.readers.sources import find_tars
from tallyclip.run.engine import make
from tallyclip.run.workspace import Workspace
from tallyclip.stages.exports import EXPORT
from tallyclip.stages.samples import MOST_REASONS, OTHER_REASON, SAMPLES, SamplesOptions, reason_of
from tests.pictures import picture, sample, write_samples, write_tar
from tests.run.driver import Inline
from tests.tools import write_parquet


def listed(folder: Path, *names: object) -> tuple[dict[str, Any], Workspace]:
    """The result of the stage over some tars, and the folder that has it."""
    files, tables = find_tars([*map(str, names)])
    with Workspace(EXPORT, folder, Inline(), None, ["test"]) as run:
        run.create(["test"], len(files))
        return make(run, SAMPLES, SamplesOptions(["test"], files, tables)).result, run


def rows(run: Workspace, key: str) -> list[dict[str, Any]]:
    return pa.ipc.open_file(str(run.folder(SAMPLES).samples(key))).read_all().to_pylist()


def reasons(run: Workspace, key: str) -> dict[str, str]:
    table = pa.ipc.open_file(str(run.folder(SAMPLES).without_image(key))).read_all()
    return dict(zip(uid_strings(column_uids(table["uid"].combine_chunks())).to_pylist(), table["reason"].to_pylist(), strict=True))


def hex_of(uids: np.ndarray) -> list[str]:
    return uid_strings(uids).to_pylist()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_an_image_of_any_format_is_known_by_how_it_begins_whatever_its_suffix(tmp_path: Path, kind: str) -> None:
    content = picture(1, kind)
    write_samples(tmp_path / "a.tar", [sample("a", "http://a/1", "one", content)])
    result, run = listed(tmp_path / "out", tmp_path / "a.tar")
    (row,) = rows(run, "a")
    assert (tmp_path / "a.tar").read_bytes()[row["image_at"] :][: row["image_size"]] == content
    assert (row["suffix"], row["text"], row["key"], result["pairs"]) == ("jpg", "one", "a", 1)


def test_uids_are_those_of_json_else_hashes_of_url_or_key_and_caption(tmp_path: Path) -> None:
    own = "0123456789abcdef0123456789abcdef"
    with_uid = sample("a", "http://a/1", "one", picture(1), uid=own)
    write_samples(tmp_path / "own.tar", [with_uid])
    write_samples(tmp_path / "url.tar", [sample("a", "http://a/1", "one", picture(1))])
    write_tar(tmp_path / "key.tar", [("a.jpg", picture(1)), ("a.txt", b"one")])
    _, run = listed(tmp_path / "out", tmp_path)
    found = {
        key: uid_strings(column_uids(pa.array([rows(run, key)[0]["uid"]], pa.binary(16)))).to_pylist() for key in ("own", "url", "key")
    }
    assert found["own"] == [own]
    assert found["url"] == hex_of(make_uids(["http://a/1"], ["one"]))
    assert found["key"] == hex_of(make_uids(["a"], ["one"], image_kind="key"))


def test_failed_downloads_are_those_of_the_table_beside_the_tar(tmp_path: Path) -> None:
    urls = [f"http://a/{i}" for i in range(6)]
    said = [
        None,
        "HTTP Error 404: Not Found",
        "IncompleteRead(4 bytes read, 9 more expected)",
        "IncompleteRead(7 bytes read, 1 more expected)",
        None,
        None,
    ]
    status = ["success", *["failed_to_download"] * 3, "failed_to_resize", None]
    table = {"url": urls, "caption": ["one"] * 6, "key": [*map(str, range(6))], "status": status, "error_message": said}
    write_samples(tmp_path / "0.tar", [sample("0", urls[0], "one", picture(0))])
    write_parquet(tmp_path / "0.parquet", table)
    result, run = listed(tmp_path / "out", tmp_path)
    expected = ["HTTP Error 404: Not Found", "IncompleteRead", "IncompleteRead", "failed_to_resize", "no status"]
    assert reasons(run, "0") == dict(zip(hex_of(make_uids(urls[1:], ["one"] * 5)), expected, strict=True))
    assert result["failed"] == {"IncompleteRead": 2, "HTTP Error 404: Not Found": 1, "failed_to_resize": 1, "no status": 1}


def test_of_many_reasons_the_rare_are_counted_together(tmp_path: Path) -> None:
    frequent, rare = ["no route"] * 7, [f"error {chr(65 + i)}" for i in range(MOST_REASONS + 5)]
    said = [*frequent, *rare]
    urls = [f"http://a/{i}" for i in range(len(said))]
    table = {"url": urls, "caption": ["one"] * len(urls), "key": urls, "status": ["failed_to_download"] * len(urls), "error_message": said}
    write_samples(tmp_path / "0.tar", [sample("0", "http://b", "one", picture(0))])
    write_parquet(tmp_path / "0.parquet", table)
    result, _ = listed(tmp_path / "out", tmp_path)
    assert result["failed"]["no route"] == 7
    assert len(result["failed"]) == MOST_REASONS + 1
    assert result["failed"][OTHER_REASON] == 6


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("HTTP Error 404: Not Found", "HTTP Error 404: Not Found"),
        ("HTTP Error 302: The server\nThe last 30x error message was:\nFound", "HTTP Error 302: The server"),
        ("OpenCV(4.14.0) /io/loadsave.cpp:1310: error: (-215) !buf.empty() in function 'imdecode_'\n", "Image decoding error"),
        ("unknown url type: 'a b c'", "unknown url type: '…'"),
        ("URL can't contain control characters. '/jpeg/7 8' (found at least ' ')", "URL can't contain control characters. '…'"),
        (None, "failed_to_download"),
    ],
)
def test_a_reason_has_nothing_of_the_single_download(message: str | None, reason: str) -> None:
    assert reason_of("failed_to_download", message) == reason


def test_a_uid_is_listed_once_among_all_however_often_it_is_there(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_samples(tmp_path / f"{name}.tar", [sample(str(i), f"http://a/{i}", "one", picture(i)) for i in range(5)])
    result, run = listed(tmp_path / "out", tmp_path)
    assert (result["pairs"], result["unique_uids"]) == (10, 5)
    uids = np.load(run.folder(SAMPLES).uids)
    assert np.array_equal(uids, np.unique(make_uids([f"http://a/{i}" for i in range(5)], ["one"] * 5).view("u8,u8").reshape(-1)))


def test_tars_without_any_image_and_names_without_any_tar_are_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("a.txt", b"one"), ("a.json", json.dumps({"url": "http://a"}).encode())])
    with pytest.raises(IncompleteError, match="no sample with an image and a caption among 1 of 1 tar "):
        listed(tmp_path / "out", tmp_path / "a.tar")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match="there is nothing"):
        find_tars([str(tmp_path / "empty")])


def test_a_range_of_names_is_each_of_them(tmp_path: Path) -> None:
    for number in range(8, 12):
        write_samples(tmp_path / f"{number:03d}.tar", [sample("0", f"http://a/{number}", "one", picture(number))])
    files, _ = find_tars([str(tmp_path / "{009..011}.tar")])
    assert [Path(file.path).name for file in files] == ["009.tar", "010.tar", "011.tar"]
