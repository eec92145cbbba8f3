"""From a curated set and tars of images to shards and to an index: which pairs, with what, and in bytes that do not depend on the split."""

from __future__ import annotations

import json
import random
import shutil
import signal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tallyclip as tc
from tallyclip.core.uids import column_uids, uid_strings
from tallyclip.stages.index import NOT_OF_THE_RUN
from tallyclip.stages.samples import NO_SAMPLE
from tests.pictures import members_of, picture, sample, write_samples, write_tar
from tests.tools import captions, eventually, fails, started, succeeds, write_entries, write_parquet

PAIRS = 240


class Downloaded(NamedTuple):
    """A run over a table of pairs, and the tars of their images, in another order and without some."""

    run: Path
    images: Path
    texts: dict[str, str]  # by the uids of the pool
    pictures: dict[str, bytes]


def uid_of(url: str, text: str) -> str:
    return uid_strings(tc.make_uids([url], [text])).to_pylist()[0]


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Downloaded:
    folder = tmp_path_factory.mktemp("downloaded")
    urls, texts = [f"https://a.example/{i}.jpg" for i in range(PAIRS)], captions(PAIRS, 7)
    (folder / "pool").mkdir()
    write_parquet(folder / "pool" / "a.parquet", {"url": urls[:100], "text": texts[:100]}, 30)
    write_parquet(folder / "pool" / "b.parquet", {"url": urls[100:], "text": texts[100:]}, 50)
    entries = write_entries(folder / "entries.json")
    tc.curate(str(folder / "pool"), out=folder / "run", metadata=entries, t=12, workers=1)
    uids = [uid_of(url, text) for url, text in zip(urls, texts, strict=True)]
    order = random.Random(3).sample(range(PAIRS), PAIRS - 20)
    (folder / "images").mkdir()
    for shard in range(4):
        some = [sample(f"{shard:05d}{i:04d}", urls[i], texts[i], picture(i), width=24) for i in order[shard::4]]
        write_samples(folder / "images" / f"{shard:05d}.tar", some)
    write_tar(folder / "images" / "00004.tar", [])  # none of its downloads succeeded
    pictures = {uids[i]: picture(i) for i in order}
    return Downloaded(folder / "run", folder / "images", dict(zip(uids, texts, strict=True)), pictures)


def curated_of(run: Path) -> dict[str, dict[str, Any]]:
    return {row["uid"]: row for row in pq.read_table(run / "curated").to_pylist()}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def samples_of(folder: Path) -> list[dict[str, Any]]:
    """The samples of shards in order: their members by suffix, and their keys."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.tar")):
        for name, content in members_of(path).items():
            key, _, suffix = name.partition(".")
            if not found or found[-1]["key"] != key:
                found.append({"key": key})
            found[-1][suffix] = content
    return found


def test_shards_have_exactly_the_curated_pairs_that_were_downloaded_with_what_the_run_says(downloaded: Downloaded, tmp_path: Path) -> None:
    made = tc.export_webdataset(downloaded.run, str(downloaded.images), out=tmp_path / "out", shard_size=17, workers=1)
    curated = curated_of(downloaded.run)
    samples = samples_of(tmp_path / "out" / "shards")
    expected = curated.keys() & downloaded.pictures.keys()
    assert 0 < len(expected) < len(curated)
    fields = [json.loads(each["json"]) for each in samples]
    assert sorted(each["uid"] for each in fields) == sorted(expected)
    for each, said in zip(samples, fields, strict=True):
        row = curated[said["uid"]]
        assert [*each] == ["key", "jpg", "json", "txt"]
        assert each["jpg"] == downloaded.pictures[said["uid"]]
        assert each["txt"].decode() == said["caption"] == row["text"]
        assert (said["entry_ids"], said["keep_probability"]) == (row["entry_ids"], row["keep_probability"])
        assert (said["url"], said["width"]) == (row["url"], 24)
    sizes = json.loads((tmp_path / "out" / "shards" / "sizes.json").read_text())
    assert list(sizes) == [f"{n:05d}.tar" for n in range(len(sizes))]
    assert [*sizes.values()][:-1] == [17] * (len(sizes) - 1)
    assert [each["key"] for each in samples] == [f"{n // 17:05d}{n % 17:02d}" for n in range(len(samples))]
    assert made.result["samples"] == len(samples) == sum(sizes.values())
    assert made.result["not_met"] == {NO_SAMPLE: len(curated) - len(expected)}
    assert made.result["others"] == len(downloaded.pictures) - len(expected)
    assert f"{len(expected):,} of {len(curated):,} uids met" in made.summary


def test_samples_keep_the_order_of_the_tars(downloaded: Downloaded, tmp_path: Path) -> None:
    tc.export_webdataset(downloaded.run, str(downloaded.images), out=tmp_path / "out", workers=1)
    before = [json.loads(each["json"])["url"] for each in samples_of(downloaded.images)]
    after = [json.loads(each["json"])["url"] for each in samples_of(tmp_path / "out" / "shards")]
    assert after == [url for url in before if url in set(after)]


@pytest.mark.parametrize("workers", [1, 2])
def test_shards_have_the_same_bytes_whoever_writes_them(downloaded: Downloaded, tmp_path: Path, workers: int) -> None:
    tc.export_webdataset(downloaded.run, str(downloaded.images), out=tmp_path / "one", shard_size=17, workers=1)
    copied = shutil.copytree(downloaded.images, tmp_path / "elsewhere")
    tc.export_webdataset(
        downloaded.run, [str(copied / "{00000..00001}.tar"), f"{copied}/*.tar"], out=tmp_path / "two", shard_size=17, workers=workers
    )
    assert bytes_of(tmp_path / "one" / "shards") == bytes_of(tmp_path / "two" / "shards")


def test_folders_of_files_give_the_same_samples_as_tars_of_them(downloaded: Downloaded, tmp_path: Path) -> None:
    tc.export_webdataset(downloaded.run, str(downloaded.images), out=tmp_path / "one", shard_size=17, workers=1)
    for tar in sorted(downloaded.images.glob("*.tar")):
        folder = tmp_path / "files" / tar.stem
        folder.mkdir(parents=True)
        for name, content in members_of(tar).items():
            (folder / name).write_bytes(content)
    tc.export_webdataset(downloaded.run, str(tmp_path / "files"), out=tmp_path / "two", shard_size=17, workers=1)
    found = [[{**each, "key": ""} for each in samples_of(tmp_path / name / "shards")] for name in ("one", "two")]
    assert sorted(found[0], key=lambda each: each["json"]) == sorted(found[1], key=lambda each: each["json"])
    assert "loaders read tars" in fails(2, "export", "index", downloaded.run, "--images", tmp_path / "files", "--out", tmp_path / "index")


def test_an_export_that_was_killed_goes_on_to_the_same_bytes(downloaded: Downloaded, tmp_path: Path) -> None:
    arguments = ("export", "webdataset", downloaded.run, "--images", downloaded.images, "--shard-size", 3, "--workers", 2)
    succeeds(*arguments, "--out", tmp_path / "clean")
    command = started(*arguments, "--out", tmp_path / "killed")
    eventually(lambda: command.poll() is not None or [*tmp_path.glob("killed/.work/webdataset-*/shards/00002.tar")], "a shard is written")
    command.send_signal(signal.SIGKILL)
    command.communicate()
    succeeds(*arguments, "--out", tmp_path / "killed")
    assert bytes_of(tmp_path / "clean" / "shards") == bytes_of(tmp_path / "killed" / "shards")
    assert not (tmp_path / "killed" / ".work").exists()


def test_of_samples_with_one_uid_the_first_is_taken(downloaded: Downloaded, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    for shard in range(4):  # img2dataset ran twice over some of the rows
        shutil.copy(downloaded.images / f"{shard:05d}.tar", again / f"{shard:05d}.tar")
        shutil.copy(downloaded.images / f"{3 - shard:05d}.tar", again / f"{shard + 4:05d}.tar")
    made = tc.export_webdataset(downloaded.run, str(again), out=tmp_path / "out", workers=1)
    once = tc.export_webdataset(downloaded.run, str(downloaded.images), out=tmp_path / "once", workers=1)
    assert bytes_of(tmp_path / "out" / "shards") == bytes_of(tmp_path / "once" / "shards")
    assert made.result["repeats"] == once.result["samples"]


def write_one(downloaded: Downloaded, path: Path, change: Any) -> dict[str, Any]:
    """A tar of five curated pairs, changed; returns what its export says."""
    path.parent.mkdir(exist_ok=True)
    rows = [row for uid, row in sorted(curated_of(downloaded.run).items()) if uid in downloaded.pictures][:5]
    members = [
        member
        for number, row in enumerate(rows)
        for member in sample(f"{number:04d}", row["url"], row["text"], downloaded.pictures[row["uid"]]).items()
    ]
    write_tar(path, change(members))
    made = tc.export_webdataset(downloaded.run, str(path.parent), out=path.parent.with_name("out"), workers=1)
    return made.result


def without(name: str) -> Any:
    return lambda members: [member for member in members if member[0] != name]


def with_content(name: str, content: bytes) -> Any:
    return lambda members: [(each, content if each == name else was) for each, was in members]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("0002.jpg"), "no image"),
        (with_content("0002.jpg", b""), "empty image"),
        (with_content("0002.jpg", b"<!DOCTYPE html><html>404</html>"), "not an image"),
    ],
)
def test_a_uid_whose_sample_has_no_image_is_said_to_be_without_one(
    downloaded: Downloaded, tmp_path: Path, change: Any, reason: str
) -> None:
    found = write_one(downloaded, tmp_path / "images" / "a.tar", change)
    assert found["samples"] == 4
    assert found["not_met"][reason] == 1
    assert sum(found["not_met"].values()) == found["curated"] - 4


def test_a_sample_without_a_caption_or_with_broken_json_is_a_counted_drop(downloaded: Downloaded, tmp_path: Path) -> None:
    found = write_one(downloaded, tmp_path / "images" / "a.tar", with_content("0001.json", b"{"))
    assert (found["samples"], found["drops"]) == (4, {"not JSON": 1})


def test_two_samples_of_one_key_are_two_samples(downloaded: Downloaded, tmp_path: Path) -> None:
    def same_key(members: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        return [(name.replace("0001", "0000").replace("0003", "0002"), content) for name, content in members]

    assert write_one(downloaded, tmp_path / "images" / "a.tar", same_key)["samples"] == 5


def test_other_members_of_a_sample_are_copied_and_of_its_json_nothing_is_lost(downloaded: Downloaded, tmp_path: Path) -> None:
    def with_more(members: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        changed = dict(members)
        said = json.loads(changed["0000.json"]) | {"uid": "not-hex", "similarity": 0.3}
        return [("0000.clip.npy", b"\x93NUMPY"), *({**changed, "0000.json": json.dumps(said).encode()}).items()]

    write_one(downloaded, tmp_path / "images" / "a.tar", with_more)
    first = samples_of(tmp_path / "out" / "shards")[0]
    said = json.loads(first["json"])
    assert first["clip.npy"] == b"\x93NUMPY"
    assert (said["pool_uid"], said["similarity"]) == ("not-hex", 0.3)
    assert said["uid"] in downloaded.pictures


def test_a_tar_cut_short_is_named_and_may_be_left_out(downloaded: Downloaded, tmp_path: Path) -> None:
    images = shutil.copytree(downloaded.images, tmp_path / "images")
    whole = (images / "00002.tar").read_bytes()
    (images / "00002.tar").write_bytes(whole[: len(whole) // 2])
    arguments = ("export", "webdataset", downloaded.run, "--images", images, "--out", tmp_path / "out")
    said = fails(1, *arguments)
    assert "00002.tar" in said
    assert "cut short at byte" in said
    printed = succeeds(*arguments, "--allow-failed-shards")
    assert "not read    1 tar" in printed
    (images / "00002.tar").write_bytes(whole)
    succeeds(*arguments)
    tc.export_webdataset(downloaded.run, str(downloaded.images), out=tmp_path / "clean")
    assert bytes_of(tmp_path / "out" / "shards") == bytes_of(tmp_path / "clean" / "shards")


def test_what_cannot_be_exported_is_refused_with_a_hint(downloaded: Downloaded, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_samples(other / "0.tar", [sample("0", "https://b.example/1.jpg", "a word1", picture(1))])
    write_tar(tmp_path / "no-captions.tar", [("a.jpg", picture(1)), ("b.jpg", picture(2))])
    for number, (images, options, code, said) in enumerate(
        [
            (other, (), 1, "--save_additional_columns"),
            (tmp_path / "no-captions.tar", (), 1, "no caption column"),
            (downloaded.run / "curated", (), 2, "no tar"),
            (tmp_path / "nothing", (), 2, "there is nothing"),
            (downloaded.images, ("--shard-size", 0), 2, "size of a shard"),
        ]
    ):
        assert said in fails(code, "export", "webdataset", downloaded.run, "--images", images, *options, "--out", tmp_path / str(number))
    assert "where the results go" in fails(
        2, "export", "webdataset", downloaded.run, "--images", downloaded.images, "--out", downloaded.images
    )


def test_a_run_that_was_balanced_anew_is_exported_anew(downloaded: Downloaded, tmp_path: Path) -> None:
    run = shutil.copytree(downloaded.run, tmp_path / "run")
    shutil.copytree(downloaded.run.parent / "pool", tmp_path / "pool")
    first = tc.export_webdataset(run, str(downloaded.images), out=tmp_path / "out", workers=1)
    tc.curate(str(downloaded.run.parent / "pool"), out=run, metadata=downloaded.run.parent / "entries.json", t=3, workers=1)
    second = tc.export_webdataset(run, str(downloaded.images), out=tmp_path / "out", workers=1)
    assert second.result["samples"] < first.result["samples"]
    assert {json.loads(each["json"])["uid"] for each in samples_of(tmp_path / "out" / "shards")} <= curated_of(run).keys()


def test_an_image_with_several_captions_has_those_that_are_curated_and_is_found_again(tmp_path: Path) -> None:
    urls = [f"https://a.example/{i}.jpg" for i in range(30)]
    texts = [captions(5, 100 + i) for i in range(30)]
    images = tmp_path / "images"
    images.mkdir()
    of_images = [
        {f"{i:04d}.jpg": picture(i), f"{i:04d}.json": json.dumps({"url": url, "texts": some}).encode()}
        for i, (url, some) in enumerate(zip(urls, texts, strict=True))
    ]
    write_samples(images / "a.tar", of_images[:13])
    write_samples(images / "b.tar", of_images[13:])
    entries = write_entries(tmp_path / "entries.json")
    run = tc.curate(str(images), out=tmp_path / "run", metadata=entries, t=5, workers=1)
    tc.export_webdataset(run, str(images), out=tmp_path / "out", shard_size=8, workers=1)
    curated = curated_of(run.path)
    seen: dict[str, str] = {}
    for each in samples_of(tmp_path / "out" / "shards"):
        said = json.loads(each["json"])
        pairs = said.get("pairs", [said])
        names = ["caption", *(f"caption_{n}" for n in range(2, len(pairs) + 1))]
        assert [said[name] for name in names] == [pair["caption"] for pair in pairs]
        assert each["txt"].decode() == pairs[0]["caption"]
        assert all(pair["keep_probability"] == curated[pair["uid"]]["keep_probability"] for pair in pairs)
        seen |= {pair["uid"]: pair["caption"] for pair in pairs}
    assert seen == {uid: row["caption"] for uid, row in curated.items()}
    assert any(len(json.loads(each["json"]).get("pairs", [])) > 1 for each in samples_of(tmp_path / "out" / "shards"))
    again = tc.export_webdataset(run, str(tmp_path / "out" / "shards"), out=tmp_path / "again", shard_size=8, workers=1)
    assert bytes_of(tmp_path / "again" / "shards") == bytes_of(tmp_path / "out" / "shards")
    assert again.result["not_met"] == {}


def test_an_index_has_for_each_pair_its_probability_and_where_its_image_is(downloaded: Downloaded, tmp_path: Path) -> None:
    made = tc.export_index(downloaded.run, str(downloaded.images), out=tmp_path / "index", workers=1)
    odds = pq.read_table(downloaded.run / "probabilities")
    uids = uid_strings(np.column_stack([odds["uid_high"].to_numpy(), odds["uid_low"].to_numpy()])).to_pylist()
    keep = dict(zip(uids, odds["keep_probability"].to_pylist(), strict=True))
    about = json.loads((tmp_path / "index" / "index" / "shards.json").read_text())
    curated = curated_of(downloaded.run)
    seen: set[str] = set()
    for shard in about["shards"]:
        table = pa.ipc.open_file(tmp_path / "index" / "index" / f"{shard['key']}.arrow").read_all()
        content = Path(shard["path"]).read_bytes()
        assert table["sample"].to_pylist() == sorted(table["sample"].to_pylist())
        for uid, row in zip(uid_strings(column_uids(table["uid"].combine_chunks())).to_pylist(), table.to_pylist(), strict=True):
            assert row["keep"] == keep[uid]
            assert row["curated"] == (uid in curated)
            assert row["text"] == downloaded.texts[uid]
            assert content[row["image_at"] :][: row["image_size"]] == downloaded.pictures[uid]
            seen.add(uid)
    assert seen == keep.keys() & downloaded.pictures.keys()
    assert made.result["drops"] == {NOT_OF_THE_RUN: len(downloaded.pictures) - len(seen)}
    assert about["run"]["t"] == 12.0


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tars of 30 images with five captions each, and ``run``, which has all of their matched pairs."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "images").mkdir()
    fields = [{"url": f"https://a.example/{i}.jpg", "texts": captions(5, 100 + i)} for i in range(30)]
    samples = [{f"{i:04d}.jpg": picture(i), f"{i:04d}.json": json.dumps(said).encode()} for i, said in enumerate(fields)]
    write_samples(folder / "images" / "a.tar", samples[:13])
    write_samples(folder / "images" / "b.tar", samples[13:])
    tc.curate(str(folder / "images"), out=folder / "run", metadata=write_entries(folder / "entries.json"), t=float("inf"), workers=1)
    return folder


def test_shards_of_shards_are_those_of_the_first_images(several: Path, tmp_path: Path) -> None:
    tc.export_webdataset(several / "run", str(several / "images"), out=tmp_path / "all", shard_size=7, workers=1)
    run = tc.survivors(several / "run", str(tmp_path / "all" / "shards"), out=tmp_path / "run2", t=4, workers=1)
    tc.export_webdataset(run, str(several / "images"), out=tmp_path / "direct", shard_size=7, workers=1)
    tc.export_webdataset(run, str(tmp_path / "all" / "shards"), out=tmp_path / "again", shard_size=7, workers=1)
    fields = [json.loads(each["json"]) for each in samples_of(tmp_path / "again" / "shards")]
    kept = {pair["uid"] for said in fields for pair in said.get("pairs", [said])}
    assert kept == curated_of(run.path).keys()
    assert bytes_of(tmp_path / "again" / "shards") == bytes_of(tmp_path / "direct" / "shards")


def test_where_one_caption_of_an_image_was_picked_its_image_counts_for_all(several: Path, tmp_path: Path) -> None:
    run = shutil.copytree(several / "run", tmp_path / "run")
    tc.balance(run, t=float("inf"), texts="one-per-image", workers=1)
    tc.export_webdataset(run, str(several / "images"), out=tmp_path / "picked", workers=1)
    made = tc.survivors(run, str(tmp_path / "picked" / "shards"), out=tmp_path / "run2", t=6, texts="one-per-image", workers=1)
    tc.balance(run, t=6, texts="one-per-image", workers=1)
    assert made.uids.read_bytes() == (run / "uids.npy").read_bytes()
    said = ("survivors", several / "run", "--images", tmp_path / "picked" / "shards", "--out", tmp_path / "run3")
    succeeds(*said, "--t", "inf")  # a run of all pairs says which of them are there
    tc.balance(run, t=float("inf"), texts="one-per-image", workers=1)
    refused = ("survivors", run, "--images", tmp_path / "picked" / "shards", "--out", tmp_path / "run4")
    assert "give --texts one-per-image" in fails(2, *refused)


def test_tars_and_tables_that_changed_are_read_again(downloaded: Downloaded, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    rows = [row for uid, row in sorted(curated_of(downloaded.run).items()) if uid in downloaded.pictures][:4]
    taken = [sample(f"{i:04d}", row["url"], row["text"], downloaded.pictures[row["uid"]]) for i, row in enumerate(rows)]
    failed = {"url": [rows[3]["url"]], "caption": [rows[3]["text"]], "key": ["3"], "status": ["failed_to_download"]}
    write_samples(images / "a.tar", taken[:2])
    write_parquet(images / "a.parquet", {**failed, "error_message": ["first"]})

    def made() -> dict[str, Any]:
        return tc.export_webdataset(downloaded.run, str(images), out=tmp_path / "out", workers=1).result

    first = made()
    assert (first["samples"], first["not_met"]["first"]) == (2, 1)
    write_parquet(images / "a.parquet", {**failed, "error_message": ["another reason"]})
    assert made()["not_met"]["another reason"] == 1
    write_samples(images / "a.tar", taken[:3])
    assert made()["samples"] == 3
    (images / "a.tar").rename(images / "b.tar")
    (images / "a.parquet").rename(images / "b.parquet")
    assert made()["samples"] == 3


@pytest.mark.parametrize("name", ["images", "images/*.tar", "images/{0..1}.tar"])
def test_reasons_are_found_however_tars_are_named(downloaded: Downloaded, tmp_path: Path, name: str) -> None:
    (tmp_path / "images").mkdir()
    for number, row in enumerate([*curated_of(downloaded.run).values()][:2]):
        failed = {"url": [row["url"]], "caption": [row["text"]], "key": ["3"], "status": ["failed_to_download"], "error_message": ["why"]}
        write_parquet(tmp_path / "images" / f"{number}.parquet", failed)
        other = [row for uid, row in sorted(curated_of(downloaded.run).items()) if uid in downloaded.pictures][5 + number]
        write_samples(tmp_path / "images" / f"{number}.tar", [sample("0", other["url"], other["text"], picture(number))])
    found = tc.export_webdataset(downloaded.run, str(tmp_path / name), out=tmp_path / "out", workers=1).result
    assert (found["samples"], found["not_met"]["why"]) == (2, 2)


def test_names_of_tars_and_members_may_be_odd(downloaded: Downloaded, tmp_path: Path) -> None:
    images = tmp_path / "images {1..2} x"
    images.mkdir()
    rows = [row for uid, row in sorted(curated_of(downloaded.run).items()) if uid in downloaded.pictures][:6]
    long_suffix = "x" * 150
    for number, name in enumerate(("a", "a.0", "a.1")):  # each begins as another with a dot
        some = [sample(f"{i:04d}", row["url"], row["text"], picture(i)) for i, row in enumerate(rows[2 * number : 2 * number + 2])]
        write_samples(images / f"{name}.tar", [{**each, f"{i:04d}.{long_suffix}": b"more"} for i, each in enumerate(some)])
    made = tc.export_webdataset(downloaded.run, str(images), out=tmp_path / "out", workers=1)
    assert (made.result["samples"], made.result["others"], made.result["repeats"]) == (6, 0, 0)
    assert all(each[long_suffix] == b"more" for each in samples_of(tmp_path / "out" / "shards"))


def test_a_field_that_only_looks_like_ours_is_the_pools(downloaded: Downloaded, tmp_path: Path) -> None:
    def with_pairs(members: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        changed = dict(members)
        said = json.loads(changed["0000.json"]) | {"pairs": [{"uid": "a" * 32, "caption": "zz"}]}
        return [*({**changed, "0000.json": json.dumps(said).encode()}).items()]

    assert write_one(downloaded, tmp_path / "images" / "a.tar", with_pairs)["samples"] == 5
    assert json.loads(samples_of(tmp_path / "out" / "shards")[0]["json"])["pool_pairs"] == [{"uid": "a" * 32, "caption": "zz"}]


def test_images_that_open_clip_skips_are_said(downloaded: Downloaded, tmp_path: Path) -> None:
    row = next(row for uid, row in sorted(curated_of(downloaded.run).items()) if uid in downloaded.pictures)
    write_tar(
        tmp_path / "a.tar", [("0.gif", picture(0, "GIF")), ("0.json", json.dumps({"url": row["url"], "caption": row["text"]}).encode())]
    )
    made = tc.export_webdataset(downloaded.run, str(tmp_path / "a.tar"), out=tmp_path / "out", workers=1)
    assert "open_clip skips 1 gif images" in made.summary
