"""What is read from a folder that holds more than a pool: other files, and captions that are in several files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tallyclip.errors import OptionError, SourceError
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.others import KINDS_SHOWN, counted, skipped_notes
from tallyclip.readers.sources import find_files
from tests.readers.test_sources import CAPTIONS, refused, write_text
from tests.readers.tools import files_of, packed, read, write_table, write_tar


def found(*pool: object, choice: ColumnChoice | None = None) -> tuple[list[str], dict[str, int]]:
    """The names of the files that are read, and what is skipped."""
    files, skipped = find_files([str(name) for name in pool], choice or ColumnChoice())
    return [Path(file.path).name for file in files], skipped


def write_sample(folder: Path, key: int, caption: str, in_json: str = "caption") -> None:
    """An image with its text and its JSON, as img2dataset writes them; ``in_json`` is the name of the text in the JSON."""
    write_text(folder / f"{key:09d}.jpg", "no image")
    write_text(folder / f"{key:09d}.txt", caption)
    fields = {"url": f"https://a.example/{key}.jpg", in_json: caption, "key": f"{key:09d}", "status": "success"}
    write_text(folder / f"{key:09d}.json", json.dumps(fields, indent=4))


# bookkeeping and documents


@pytest.mark.parametrize(
    "name",
    [
        "sizes.json",
        "meta.json",
        "dataset_info.json",
        "dataset_infos.json",
        "dataset_dict.json",
        "state.json",
        "SIZES.json",
        "00000_stats.json",
    ],
)
def test_bookkeeping_beside_a_pool_is_skipped_by_name(tmp_path: Path, name: str) -> None:
    write_tar(tmp_path / "00000.tar", [("0.txt", b"a dog")])
    write_text(tmp_path / "en" / name, '{"00000.tar": 3}')
    for pool in (tmp_path, tmp_path / "**" / "*"):
        names, skipped = found(pool)
        assert names == ["00000.tar"]
        assert skipped == {f"*{name[5:]}" if name[0] == "0" else name.lower(): 1}


@pytest.mark.parametrize(
    "name",
    [
        "LICENSE.txt",
        "licence.txt",
        "README.txt",
        "README_en.txt",
        "requirements.txt",
        "requirements-dev.txt",
        "SHA256SUMS.txt",
        "robots.txt",
    ],
)
def test_documents_beside_a_pool_are_skipped_by_name(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / "a.parquet", CAPTIONS)
    write_text(tmp_path / name, "Redistribution and use\n")
    assert found(tmp_path) == (["a.parquet"], {name: 1})


def test_text_files_that_are_called_nearly_like_a_document_are_read(tmp_path: Path) -> None:
    names = ["author.txt", "license_plates.txt", "mysizes.json", "news.txt", "readmes.txt", "test_requirements.txt"]
    for name in names:
        write_text(tmp_path / name)
    assert found(tmp_path) == (names, {})


@pytest.mark.parametrize("name", ["sizes.json", "LICENSE.txt", "00000_stats.json"])
def test_a_file_that_is_named_by_its_path_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = write_text(tmp_path / name, '{"caption": "a dog"}\n')
    assert found(path) == ([name], {})
    assert found(f"file://{path}") == ([name], {})
    write_table(tmp_path / "a.parquet", CAPTIONS)
    assert found(tmp_path, path) == (sorted([name, "a.parquet"]), {})


def test_bookkeeping_alone_is_not_a_pool_and_the_error_says_how_to_read_it(tmp_path: Path) -> None:
    write_text(tmp_path / "sizes.json", '{"caption": "a dog"}\n')
    refused(tmp_path, "nothing that can be read among 1 file (1 sizes.json)", "if you name it by its path")


def test_a_named_file_of_bookkeeping_that_has_no_captions_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = write_text(tmp_path / "sizes.json", '{"00000.tar": 3}\n')
    with pytest.raises(OptionError, match=r"files called sizes\.json seldom hold captions"):
        read(path)


def test_text_in_the_top_folder_of_a_data_set_above_its_tables_is_not_read(tmp_path: Path) -> None:
    write_text(tmp_path / "README.md")
    write_text(tmp_path / "classes.txt", "tench\ngoldfish\n")
    write_text(tmp_path / "data" / "more.txt", "a bird\n")
    (tmp_path / "data" / "deep").mkdir()
    write_table(tmp_path / "data" / "deep" / "a.parquet", CAPTIONS)
    assert found(tmp_path) == (["a.parquet", "more.txt"], {".md": 1, ".txt beside a README, above the tables": 1})
    assert found(tmp_path, tmp_path / "classes.txt")[0] == ["classes.txt", "a.parquet", "more.txt"]


@pytest.mark.parametrize("table", ["more.parquet", "deep/more.parquet", None])
def test_texts_in_a_folder_are_captions_where_nothing_says_otherwise(tmp_path: Path, table: str | None) -> None:
    (tmp_path / "deep").mkdir()
    write_text(tmp_path / "captions.txt", "a bird\n")
    if table is not None:
        write_table(tmp_path / table, CAPTIONS)
    if table != "deep/more.parquet":
        write_text(tmp_path / "README.md")
    assert sorted(read(tmp_path).texts) == sorted(["a bird", *(CAPTIONS["caption"] if table else [])])


# one caption in several files


def test_a_parquet_file_of_img2dataset_replaces_the_folder_of_samples_beside_it(tmp_path: Path) -> None:
    for key, caption in enumerate(CAPTIONS["caption"]):
        write_sample(tmp_path / "00000", key, caption)
    write_table(tmp_path / "00000.parquet", CAPTIONS)
    write_text(tmp_path / "00000_stats.json", '{"count": 2}')
    names, skipped = found(tmp_path)
    assert names == ["00000.parquet"]
    same = "with a .parquet of the same samples"
    assert skipped == {".jpg": 2, f".json {same}": 2, f".txt {same}": 2, "*_stats.json": 1}
    assert read(tmp_path).texts == CAPTIONS["caption"]


def test_a_tar_replaces_the_folder_that_it_was_unpacked_to(tmp_path: Path) -> None:
    write_sample(tmp_path / "00000", 0, "a dog")
    write_tar(tmp_path / "00000.tar", [("000000000.txt", b"a dog")])
    assert read(tmp_path).texts == ["a dog"]


def test_a_folder_beside_a_parquet_file_of_its_name_is_read_if_it_holds_no_samples(tmp_path: Path) -> None:
    write_table(tmp_path / "cc.parquet", CAPTIONS)
    write_text(tmp_path / "cc" / "a.txt", "a bird\n")
    (tmp_path / "cc" / "deep").mkdir()
    write_table(tmp_path / "cc" / "b.parquet", CAPTIONS)
    assert sorted(read(tmp_path).texts) == ["a bird", "a cat", "a cat", "a dog", "a dog"]


def test_of_a_samples_json_and_txt_the_json_is_read(tmp_path: Path) -> None:
    for key, caption in enumerate(CAPTIONS["caption"]):
        write_sample(tmp_path / "00000", key, caption)
    write_text(tmp_path / "00000" / "000000002.jpg")
    write_text(tmp_path / "00000" / "000000002.txt", "a bird")
    outcome = read(tmp_path)
    assert outcome.texts == ["a dog", "a cat", "a bird"]
    assert outcome.layouts[0].startswith("img2dataset: caption = caption, url = url")
    assert found(tmp_path)[1] == {".jpg": 3, ".txt with a .json of the same sample": 2}


def test_the_txt_of_a_sample_whose_json_has_no_caption_is_read(tmp_path: Path) -> None:
    for key, caption in enumerate(CAPTIONS["caption"]):
        write_sample(tmp_path, key, caption, in_json="description")
    assert read(tmp_path).texts == ["a dog", "a cat"]
    assert found(tmp_path)[1] == {".jpg": 2, ".json without a caption, of samples with .txt": 2}
    assert found(tmp_path, choice=ColumnChoice(caption="description"))[0] == ["000000000.json", "000000001.json"]


def test_texts_and_json_of_one_name_without_an_image_are_each_read(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "a dog\n")
    write_text(tmp_path / "a.json", '{"caption": "a cat"}\n')
    assert sorted(read(tmp_path).texts) == ["a cat", "a dog"]


def test_an_object_over_several_lines_is_one_record(tmp_path: Path) -> None:
    write_sample(tmp_path, 0, "a dog")
    outcome = read(tmp_path / "000000000.json")
    assert (outcome.texts, outcome.rows, outcome.drops) == (["a dog"], [0], [])


# data of other kinds


def test_folders_that_save_to_disk_wrote_are_read_and_what_was_cached_in_them_is_not(tmp_path: Path) -> None:
    import datasets

    saved, splits = tmp_path / "saved", tmp_path / "splits"
    datasets.Dataset.from_dict(CAPTIONS).save_to_disk(str(saved), num_shards=2)
    datasets.load_from_disk(str(saved)).map(lambda row: {"caption": row["caption"].upper()})
    assert len(list(saved.glob("cache-*.arrow"))) == 1
    assert read(saved).texts == CAPTIONS["caption"]
    assert found(saved)[1][".arrow that caches results of datasets"] == 1
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(CAPTIONS), "test": datasets.Dataset.from_dict(CAPTIONS)}).save_to_disk(splits)
    assert read(splits).texts == CAPTIONS["caption"] * 2
    assert read(next(saved.glob("cache-*.arrow"))).texts == [caption.upper() for caption in CAPTIONS["caption"]]


@pytest.mark.parametrize("name", ["a.parquet.gz", "a.parquet.zst", "a.parquet.xz", "a.jsonl.xz", "a.csv.zip", "a.tar.xz"])
def test_a_packed_file_is_refused_with_the_advice_to_unpack_it(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name)
    for pool in (tmp_path, tmp_path / name):
        hint = str(refused(pool, f"1 {name[1:]}").hint)
        assert hint == f"packed files: {name}: unpack them first"


@pytest.mark.parametrize("name", ["a.parquet", "b.jsonl.gz", "c.txt.zst"])
def test_no_suffix_is_advised_that_would_then_be_refused(tmp_path: Path, name: str) -> None:
    """A Parquet file that is packed as a whole, and what is packed twice."""
    packed(tmp_path / name, gzip.compress(b"a dog\n"))
    with pytest.raises(SourceError, match="begins like a gzip file: unpack it"):
        read(tmp_path / name)


def test_an_archive_is_refused_with_a_url_that_reads_it(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("deep/a.jsonl", '{"caption": "a dog"}\n')
    url = str(refused(tmp_path, "1 .zip", "archives: x.zip").hint).split("URL ")[1]
    assert read(url).texts == ["a dog"]


def test_data_of_other_kinds_beside_a_pool_is_listed_separately_from_skipped_files(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", CAPTIONS)
    for name in ("b.parquet.gz", "c.arrow.gz", "d.orc", "e.md", "f.h5"):
        write_text(tmp_path / name)
    assert skipped_notes(found(tmp_path)[1]) == [
        "not read (unpack them or convert them to Parquet first): 1 .arrow.gz, 1 .h5, 1 .orc, 1 .parquet.gz",
        "skipped: 1 .md",
    ]


def test_the_list_of_files_of_many_kinds_is_bounded(tmp_path: Path) -> None:
    for number in range(300):
        write_text(tmp_path / f"a.{number:03d}")
    assert counted({f".{number:03d}": 1 for number in range(300)}).count(",") == KINDS_SHOWN
    error = refused(tmp_path, "among 300 files", f"and {300 - KINDS_SHOWN} of {300 - KINDS_SHOWN} more kinds")
    assert len(str(error)) < 800


# the cases that people reported


@pytest.mark.parametrize(
    ("case", "pairs"),
    [
        ("01-img2dataset-files-format/pool", 3),
        ("01-img2dataset-files-format/pool/00000", 3),
        ("02-sizes-json-beside-tars/pool", 3),
        ("03-hub-snapshot-other-files/pool", 2),
        ("03-hub-snapshot-other-files/pool2", 2),
    ],
)
def test_reported_folders_give_the_pairs_of_their_tables_alone(shared_data: Path, case: str, pairs: int) -> None:
    outcome = read(shared_data / "cases" / case)
    assert len(set(outcome.texts)) == len(outcome.texts) == pairs
    assert outcome.drops == []


def test_the_reported_folder_of_arrow_files_is_read(shared_data: Path) -> None:
    outcome = read(shared_data / "cases" / "04-save-to-disk" / "pool")
    assert outcome.texts == ["a dog", "a red tree"]
    assert outcome.drops == []


def test_files_of_a_folder_come_in_a_fixed_order_whatever_is_skipped(tmp_path: Path) -> None:
    for key in range(3):
        write_sample(tmp_path, key, f"caption {key}")
    assert files_of(tmp_path) == files_of(tmp_path / "*", tmp_path)
