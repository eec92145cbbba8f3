"""Evaluation sets: what is in a folder is found out, and what is wrong with it is named."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallyclip.errors import ArtifactError, OptionError, SourceError, TallyclipError
from tallyclip.evaluation.sets import open_set
from tests.evaluation import made

PICTURE = made.picture(2)
NAMES = {"classnames.txt": "cat\ndog\n"}


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PICTURE if not name.endswith(".txt") else b"3")
    return folder


def labels(data: Path) -> dict[str, int | None]:
    return {image.name: image.label for image in open_set(str(data)).read()}


def refused(data: Path | str, kind: type[TallyclipError], *said: str) -> None:
    with pytest.raises(kind) as caught:
        list(open_set(str(data)).read())
    assert str(data) in caught.value.what
    assert all(words in str(caught.value) for words in said), str(caught.value)


def write_parquet(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_classes_are_folders_in_the_order_of_their_names(tmp_path: Path) -> None:
    data = write(tmp_path, "dog/b.png", "dog/deep/er/c.JPG", "Cat/a.webp", "dog/about.txt", ".cache/x.txt", "zebra fish/1.jpeg")
    found = open_set(str(data))
    assert (found.classes, found.images, found.is_retrieval) == (["Cat", "dog", "zebra fish"], 4, False)
    assert labels(data) == {"Cat/a.webp": 0, "dog/b.png": 1, "dog/deep/er/c.JPG": 1, "zebra fish/1.jpeg": 2}


def test_folders_above_all_classes_are_looked_through(tmp_path: Path) -> None:
    data = write(tmp_path, "set/test/dog/1.png", "set/test/cat/1.png")
    assert labels(data) == {"set/test/cat/1.png": 0, "set/test/dog/1.png": 1}


def test_files_that_are_no_images_are_counted(tmp_path: Path) -> None:
    data = write(tmp_path, "dog/1.png", "cat/1.png", "cat/1.mp4", "cat/readme.md", "cat/.hidden")
    assert open_set(str(data)).notes == ["1 file skipped that can be no image, such as cat/1.mp4"]


def test_folders_that_are_no_classes_are_refused(tmp_path: Path) -> None:
    refused(write(tmp_path / "flat", "1.png", "2.png"), OptionError, "all images are in one folder", "a folder of its own")
    refused(write(tmp_path / "one", "dog/1.png", "dog/2.png"), OptionError, "all images are in one folder")
    refused(write(tmp_path / "loose", "dog/1.png", "cat/2.png", "3.png"), OptionError, "3.png is not in the folder of a class")
    refused(write(tmp_path / "texts", "dog/1.txt"), OptionError, "no images in it")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", OptionError, "nothing in it")
    refused(tmp_path / "nowhere", OptionError, "no such file or folder")
    refused(write(tmp_path, "notes.txt") / "notes.txt", OptionError, "no tar or Parquet")


def test_a_tar_of_classes_is_read_in_its_own_order(shared_data: Path) -> None:
    found = open_set(str(shared_data / "images" / "cifar10-test-1000.tar.gz"))
    assert found.classes == ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    images = list(found.read())
    assert len(images) == found.images == 1000
    assert all(image.name.split("/")[-2] == (found.classes or [])[image.label or 0] for image in images)


def test_a_tar_without_classes_is_refused(tmp_path: Path) -> None:
    for name, content in (("0.png", PICTURE), ("0.txt", b"")):
        with tarfile.open(tmp_path / "set.tar", "w") as tar:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        refused(tmp_path / "set.tar", OptionError, "one folder" if content else "no images in it")
    (tmp_path / "cut.tar").write_bytes(b"\x00" * 100 + b"nonsense")
    refused(tmp_path / "cut.tar", SourceError)


def test_shards_are_read_in_their_order_with_the_texts_beside_them(tmp_path: Path) -> None:
    samples = [{"png": PICTURE, "cls": str(number % 2).encode(), "json": b"{}"} for number in range(25)]
    data = made.write_shards(tmp_path / "set", samples, 2, NAMES)  # 13 shards: 10 comes after 9
    found = open_set(str(data))
    assert (found.form, found.classes, found.images) == ("shards", ["cat", "dog"], 25)
    names = [image.name.rpartition(": ")[2] for image in found.read()]
    assert names == [f"s{number:07d}" for number in range(25)]
    assert open_set(str(data / "test")).classes == ["cat", "dog"]


def test_shards_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    samples = [{"png": PICTURE, "cls": b"1"}] * 6
    data = made.write_shards(tmp_path / "set", samples, 2, NAMES)
    (data / "test" / "1.tar").rename(data / "test" / "x.tar")
    refused(data, ArtifactError, "1 of 3 shards are missing, such as test/1.tar")
    (data / "test" / "nshards.txt").write_text("many")
    refused(data, ArtifactError, "has no number of shards, but 'many'")
    (data / "test" / "nshards.txt").write_text("0")
    refused(data, ArtifactError, "no shards")
    (data / "test" / "nshards.txt").unlink()
    refused(data, OptionError, "nshards.txt")
    whole = made.write_shards(tmp_path / "cut", samples, 6, NAMES)
    content = (whole / "test" / "0.tar").read_bytes()
    (whole / "test" / "0.tar").write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match="cut short"):
        list(open_set(str(whole)).read())


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("dataset_type.txt", "multilabel", "dataset_type.txt says 'multilabel'"),
        ("classnames.txt", "cat\n\ndog\n", "line 2 is empty"),
        ("classnames.txt", "", "it is empty"),
        ("classnames.txt", "caf\udce9", "not UTF-8"),
    ],
)
def test_texts_beside_shards_that_are_not_sound_are_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    data = made.write_shards(tmp_path / "set", [{"png": PICTURE, "cls": b"0"}], 2, {})
    (data / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    refused(data, ArtifactError, said)


def test_of_parquet_the_test_split_is_read_or_the_only_one(tmp_path: Path) -> None:
    image = [{"bytes": PICTURE, "path": "a.png"}]
    write_parquet(tmp_path / "set" / "data" / "train-00000-of-00001.parquet", image=image * 3, label=[0, 1, 2])
    write_parquet(tmp_path / "set" / "data" / "extra-00000-of-00001.parquet", image=image, label=[9])
    refused(tmp_path / "set", ArtifactError, "several splits", "give one of its files")
    validation = write_parquet(tmp_path / "set" / "data" / "validation-00000-of-00001.parquet", image=image * 2, label=[3, 4])
    assert [image.label for image in open_set(str(tmp_path / "set")).read()] == [3, 4]
    assert "validation-00000-of-00001.parquet are read" in open_set(str(tmp_path / "set")).notes[0]
    write_parquet(tmp_path / "set" / "data" / "test-00000-of-00001.parquet", image=image, label=[5])
    assert [image.label for image in open_set(str(tmp_path / "set")).read()] == [5]
    assert [image.label for image in open_set(str(validation)).read()] == [3, 4]


def test_columns_of_parquet_are_known_by_name_and_type(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", img=[PICTURE, PICTURE, None], fine_label=[3, None, 1], coarse=[0, 0, 0])
    found = open_set(str(path))
    assert (found.classes, found.images) == (None, 3)
    assert [(image.label, image.problem) for image in found.read()] == [(3, None), (None, "no label"), (None, "no image")]
    path = write_parquet(tmp_path / "b.parquet", image=[PICTURE] * 3, text=["a cat", " ", None])
    assert [(image.captions, image.problem) for image in open_set(str(path)).read()] == [
        (["a cat"], None),
        ([], "no caption"),
        ([], "no caption"),
    ]


def test_parquet_without_images_or_labels_is_refused(tmp_path: Path) -> None:
    refused(
        write_parquet(tmp_path / "a.parquet", text=["a"], label=[1]), ArtifactError, "no column has images; its columns are text, label"
    )
    refused(write_parquet(tmp_path / "b.parquet", image=[PICTURE], kind=["x"]), ArtifactError, "no column has labels or captions")
    (tmp_path / "c.parquet").write_bytes(b"PAR1 nonsense")
    refused(tmp_path / "c.parquet", SourceError)


def test_a_set_behind_a_url_is_read_as_on_disk(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    folders = write(tmp_path / "folders", "dog/1.png", "cat/1.png", "cat/2.png")
    samples = [{"png": PICTURE, "cls": str(number % 2).encode()} for number in range(5)]
    shards = made.write_shards(tmp_path / "shards", samples, 2, NAMES)
    parquet = write_parquet(tmp_path / "parquet" / "data" / "test-00000-of-00001.parquet", image=[PICTURE] * 3, label=[0, 1, 0]).parents[1]
    for data in (folders, shards, parquet):
        memory.put(str(data), f"/sets/{data.name}", recursive=True)
        here, there = open_set(str(data)), open_set(f"memory://sets/{data.name}")
        assert (there.form, there.classes, there.texts) == (here.form, here.classes, here.texts)
        assert there.images == (None if data is shards else here.images)  # to count a shard's is to read it
        assert [(image.label, image.content) for image in there.read()] == [(image.label, image.content) for image in here.read()]
