"""One way to read any file of a pool."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.errors import TallyclipError
from tallyclip.readers import csv, parquet, tar
from tallyclip.readers import json_lines as json_lines_module
from tallyclip.readers.records import as_kind, unify
from tests.readers.tools import batches_of, files_of, hashed, json_lines, packed, read, refused, write_table, write_tar

URLS = [f"http://a.example/{i}" for i in range(3)]
TEXTS = ["a dog", "a cat, \u00e9 \U0001f600", "a bird"]


def write_everywhere(folder: Path) -> dict[str, Path]:
    """The same pairs of URLs and captions in every format."""
    objects = [{"url": url, "caption": text} for url, text in zip(URLS, TEXTS, strict=True)]
    metaclip = [{"uuid": f"{i:024x}", "url": url, "texts": [["alt", text]]} for i, (url, text) in enumerate(zip(URLS, TEXTS, strict=True))]
    several = pa.array([[text] for text in TEXTS])
    rows = list(zip(URLS, TEXTS, strict=True))
    paths = {
        "parquet": write_table(folder / "a.parquet", {"url": URLS, "caption": TEXTS}),
        "parquet with lists": write_table(folder / "lists.parquet", {"url": URLS, "texts": several}),
        "json lines": packed(folder / "a.jsonl", json_lines(objects)),
        "json list": packed(folder / "b.json.zst", json.dumps(objects).encode()),
        "metaclip": packed(folder / "c.json.gz", json.dumps(metaclip).encode()),
        "csv with a header": packed(folder / "a.csv", ("URL,TEXT\n" + "".join(f'{url},"{text}"\n' for url, text in rows)).encode()),
        "csv without a header": packed(folder / "b.csv.bz2", "".join(f'"{text}",{url}\n' for url, text in rows).encode()),
        "tsv": packed(folder / "a.tsv", "".join(f"{text}\t{url}\n" for url, text in rows).encode()),
    }
    members = [(f"{i}.{suffix}", content) for i, (url, text) in enumerate(rows) for suffix, content in (
        ("jpg", b"\xff" * 99), ("txt", text.encode()), ("json", json.dumps({"url": url}).encode())
    )]  # fmt: skip
    return paths | {"tar": write_tar(folder / "t.tar", members)}


def test_every_format_gives_the_same_pairs_with_the_same_uids(tmp_path: Path) -> None:
    outcomes = {name: read(path) for name, path in write_everywhere(tmp_path).items()}
    assert all(outcome.texts == TEXTS for outcome in outcomes.values())
    assert all(outcome.uids == hashed(URLS, TEXTS) for outcome in outcomes.values())
    assert all(outcome.rows == [0, 1, 2] for outcome in outcomes.values())
    assert all(outcome.drops == [] for outcome in outcomes.values())


def test_a_folder_of_all_formats_is_one_pool_with_one_schema(tmp_path: Path) -> None:
    paths = write_everywhere(tmp_path)
    outcome = read(tmp_path)
    assert outcome.records == len(outcome.texts) == 3 * len(paths)
    batches = [batch for path in paths.values() for batch in batches_of(path)]
    schema = unify([batch.table.schema for batch in batches])
    assert {"url", "caption", "texts", "URL", "TEXT", "uuid", "key"} <= set(schema.names)
    for batch in batches:
        for name in batch.table.column_names:
            as_kind(batch.table[name], schema.field(name).type).validate(full=True)


def test_a_second_reading_with_the_schema_of_all_files_gives_the_same_captions(tmp_path: Path) -> None:
    paths = write_everywhere(tmp_path)
    schema = unify([batch.table.schema for path in paths.values() for batch in batches_of(path)])
    for path in paths.values():
        once, again = batches_of(path), batches_of(path, schema=schema)
        for one, other in zip(once, again, strict=True):
            assert one.rows.tolist() == other.rows.tolist()
            for name in {"caption", "texts", "TEXT"} & set(one.table.column_names):
                assert one.table[name].equals(other.table[name])


def test_files_with_other_columns_are_read_each_by_its_own(tmp_path: Path) -> None:
    write_table(tmp_path / "laion.parquet", {"URL": URLS, "TEXT": TEXTS, "punsafe": [0.1, 0.2, 0.3]})
    write_table(tmp_path / "datacomp.parquet", {"uid": [f"{i:032x}" for i in range(3)], "url": URLS, "text": TEXTS})
    packed(tmp_path / "captions.txt", b"a fish\n")
    outcome = read(tmp_path)
    assert outcome.layouts == [
        "captions alone: caption = caption",
        "DataComp: caption = text, url = url, uid = uid",
        "LAION: caption = TEXT, url = URL",
    ]
    assert outcome.texts == ["a fish", *TEXTS, *TEXTS]
    assert outcome.own_uids == 3


def test_an_img2dataset_folder_gives_the_pairs_that_its_tars_give(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    status = ["success", "failed_to_download", "success"]
    keys = [f"00000{i:04d}" for i in range(3)]
    table = {"url": URLS, "caption": TEXTS, "key": keys, "status": status, "width": pa.array([640, None, 480])}
    write_table(folder / "00000.parquet", table)
    (folder / "00000_stats.json").write_text('{"successes": 2}')
    members: list[tuple[str, bytes]] = []
    for key, url, text, state in zip(keys, URLS, TEXTS, status, strict=True):
        if state == "success":
            fields = json.dumps({"url": url, "caption": text, "key": key, "status": state})
            members += [(f"{key}.jpg", b"\xff"), (f"{key}.txt", text.encode()), (f"{key}.json", fields.encode())]
    write_tar(folder / "00000.tar", members)
    by_parquet, by_tar = read(folder), read(folder / "*.tar")
    assert [Path(file.path).name for file in files_of(folder)] == ["00000.parquet"]
    assert (by_parquet.texts, by_parquet.uids) == (by_tar.texts, by_tar.uids)
    assert by_parquet.texts == [TEXTS[0], TEXTS[2]]
    assert by_parquet.reasons == ["download: failed_to_download"]


def test_a_bad_file_fails_by_itself_and_the_others_are_read(tmp_path: Path) -> None:
    write_everywhere(tmp_path)
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-100])
    good, failed = 0, []
    for file in files_of(tmp_path):
        try:
            good += len(read(file.path).texts)
        except TallyclipError as error:
            failed.append(str(error))
    assert good == 27
    (message,) = failed
    assert message.startswith(f"{tmp_path / 'cut.parquet'}: ")


@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={"caption": st.none() | st.text(), "url": st.none() | st.text(), "x": st.integers() | st.text()}
        ),
        min_size=1,
        max_size=6,
    )
)
def test_parquet_that_is_made_of_json_gives_the_same_pairs(
    tmp_path_factory: pytest.TempPathFactory, items: list[dict[str, object]]
) -> None:
    folder = tmp_path_factory.mktemp("both")
    items = [{"caption": "first", "url": "http://a.example"}, *items]
    path = packed(folder / "a.jsonl", json_lines(items))
    table = pa.concat_tables([batch.table for batch in batches_of(path)])
    pq.write_table(table, folder / "a.parquet")
    assert read(folder / "a.parquet") == read(path)


ODD = [RecursionError("too deep"), MemoryError(), ZeroDivisionError("odd"), KeyError("odd"), AssertionError()]
LOOK_UPS = {
    "a.parquet": (parquet, "footer_of"),
    "a.jsonl": (json_lines_module, "json_names"),
    "a.csv": (csv, "look_at"),
    "a.tsv": (csv, "look_at"),
    "t.tar": (tar, "tar_names"),
}
READERS = {
    "a.parquet": (parquet, "read_records"),
    "a.jsonl": (json_lines_module, "read_json"),
    "a.csv": (csv, "read_records"),
    "a.tsv": (csv, "read_records"),
    "t.tar": (tar, "read_records"),
    "a.txt": (json_lines_module, "read_text"),
}


@pytest.mark.parametrize("error", ODD)
@pytest.mark.parametrize(("name", "place"), [*LOOK_UPS.items(), *READERS.items()])
def test_an_error_of_a_reader_that_nobody_foresaw_fails_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: tuple[Any, str], error: Exception
) -> None:
    write_everywhere(tmp_path)
    packed(tmp_path / "a.txt", b"a dog\n")

    def odd(*_: object) -> Any:
        raise error

    monkeypatch.setattr(*place, odd)
    refused(tmp_path / name, "out of memory" if isinstance(error, MemoryError) else type(error).__name__)
    assert len(read(tmp_path / ("b.json.zst" if "json" not in name else "a.csv")).texts) == 3


def test_real_laion_rows_are_read(shared_data: Path) -> None:
    path = shared_data / "captions" / "img2dataset-test_10000.parquet"
    outcome = read(path)
    assert outcome.layouts == ["LAION: caption = TEXT, url = URL"]
    assert outcome.records == 10_000
    assert len(outcome.texts) + len(outcome.drops) == 10_000


def test_real_alt_texts_are_read(shared_data: Path) -> None:
    path = shared_data / "derived" / "alttext-from-shared-pages.tsv.gz"
    outcome = read(path, url="image_url")
    assert outcome.records == len(gzip.decompress(path.read_bytes()).splitlines()) - 1
    assert len(outcome.texts) == outcome.records
