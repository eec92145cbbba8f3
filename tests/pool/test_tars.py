"""WebDataset tars."""

from __future__ import annotations

import io
import json
import random
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tallyclip.errors import SourceError
from tallyclip.pool import names, records, tars
from tallyclip.pool.tars import member_key
from tests.pool.conftest import Site
from tests.pool.tools import batches_of, hashed, read, refused, refused_option, table_of, tar_bytes, write_tar

JPEG = b"\xff\xd8" * 700
BLOCK = 512


def sample(key: str, text: str | bytes | None = None, fields: Any = None) -> list[tuple[str, bytes]]:
    members = [(f"{key}.jpg", JPEG)]
    if text is not None:
        members.append((f"{key}.txt", text if isinstance(text, bytes) else text.encode()))
    if fields is not None:
        members.append((f"{key}.json", fields if isinstance(fields, bytes) else json.dumps(fields).encode()))
    return members


def write(path: Path, *samples: list[tuple[str, bytes]]) -> Path:
    return write_tar(path, [member for members in samples for member in members])


def test_captions_come_from_txt_members_and_the_key_stands_for_the_image(tmp_path: Path) -> None:
    outcome = read(write(tmp_path / "a.tar", sample("000", "a dog"), sample("001", "a cat")))
    assert outcome.layouts == ["WebDataset: caption = caption, key = key"]
    assert (outcome.texts, outcome.rows) == (["a dog", "a cat"], [0, 1])
    assert outcome.uids == hashed(["000", "001"], ["a dog", "a cat"], "key")


@pytest.mark.parametrize("name", ["caption", "text"])
def test_captions_come_from_json_members(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.tar", sample("000", None, {name: "a dog"}), sample("001", None, {name: "a cat"}))
    outcome = read(path)
    assert outcome.texts == ["a dog", "a cat"]
    assert outcome.uids == hashed(["000", "001"], ["a dog", "a cat"], "key")


def test_a_txt_member_goes_before_the_caption_in_json_whichever_comes_first(tmp_path: Path) -> None:
    both = sample("000", "from txt", {"caption": "from json"})
    assert read(write(tmp_path / "a.tar", both)).texts == ["from txt"]
    assert read(write(tmp_path / "b.tar", [both[0], both[2], both[1]])).texts == ["from txt"]


def test_an_address_that_comes_late_is_not_passed_over(tmp_path: Path) -> None:
    samples = [sample(f"{i:04d}", "a dog") for i in range(names.LOOKED_AT)]
    path = write(tmp_path / "a.tar", *samples, sample("9999", "a cat", {"url": "http://a"}))
    refused(path, "sample 1,001 is the first with 'url', which would be the url", "--url-column url")
    assert read(path, url="url").uids[-1] == hashed(["http://a"], ["a cat"])[0]


def test_the_tars_of_img2dataset_are_read_with_all_their_fields(tmp_path: Path) -> None:
    fields = {
        "url": "http://a.example/1",
        "key": "other",
        "status": "success",
        "uid": "0" * 32,
        "width": 640,
        "exif": "{}",
        "similarity": 0.3,
    }
    path = write(tmp_path / "00000.tar", sample("000000000", "a dog", fields | {"caption": "a dog"}))
    outcome = read(path)
    assert outcome.layouts[0].startswith("img2dataset of a pool with uids:")
    assert (outcome.texts, outcome.uids) == (["a dog"], ["0" * 32])
    assert table_of(path).to_pylist() == [fields | {"caption": "a dog", "key": "000000000"}]


def test_nan_in_json_members_is_read_as_img2dataset_writes_it(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.tar", sample("000", "a dog", b'{"similarity": NaN}'))).texts == ["a dog"]


def test_several_captions_in_json_are_all_read(tmp_path: Path) -> None:
    outcome = read(write(tmp_path / "a.tar", sample("0", None, {"texts": ["a dog", "a cat"]}), sample("1", None, {"texts": ["a bird"]})))
    assert (outcome.texts, outcome.rows) == (["a dog", "a cat", "a bird"], [0, 0, 1])


def test_bad_members_drop_their_sample_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    bad = {
        "not UTF-8": sample("1", b"caf\xe9"),
        "not JSON": sample("2", "a dog", b"{"),
        "not a JSON object": sample("3", "a dog", [1]),
        "no caption": sample("4"),
        "caption is not text": sample("5", None, {"caption": 5}),
    }
    members = [sample("0", "first"), *bad.values(), sample("6", "last")]
    outcome = read(write(tmp_path / "a.tar", *members))
    assert (outcome.texts, outcome.rows) == (["first", "last"], [0, 6])
    assert sorted((drop.row, drop.reason) for drop in outcome.drops) == list(enumerate(bad, 1))


def test_a_text_larger_than_any_caption_drops_its_sample_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tars, "LARGEST", 1000)
    outcome = read(write(tmp_path / "a.tar", sample("0", "x" * 1001), sample("1", "x" * 1000), sample("2", "a", {"x": "x" * 2000})))
    assert outcome.rows == [1]
    assert outcome.reasons == ["txt member too large", "json member too large"]


def test_a_caption_of_ten_megabytes_is_one(tmp_path: Path) -> None:
    outcome = read(write(tmp_path / "a.tar", sample("0", "dog " * 2_600_000), sample("1", "a cat")))
    assert [len(text) for text in outcome.texts] == [10_400_000, 5]


def test_batches_of_large_texts_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "BYTES_AT_ONCE", 10_000)
    path = write(tmp_path / "a.tar", *(sample(str(i), "x" * 2000) for i in range(50)))
    assert [len(batch.rows) for batch in batches_of(path)] == [5] * 10


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("000.jpg", ("000", "jpg")),
        ("000.TXT", ("000", "txt")),
        ("./000.seg.png", ("./000", "seg.png")),
        ("a/b.c/000.txt", ("a/b.c/000", "txt")),
        ("../../etc/passwd.txt", ("../../etc/passwd", "txt")),
        ("README", None),
        ("._000.jpg", None),
        ("a/.hidden", None),
    ],
)
def test_members_belong_together_by_webdatasets_rule(name: str, key: tuple[str, str] | None) -> None:
    assert member_key(name) == key


def test_folders_links_and_what_is_no_part_of_a_sample_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in [("README", b"x"), ("d/0.jpg", JPEG), ("d/._0.txt", b"x"), ("d/0.txt", b"a dog"), ("d/1.txt", b"a cat")]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
            folder = tarfile.TarInfo("d")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
            link = tarfile.TarInfo("e.txt")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
    outcome = read(path)
    assert (outcome.texts, outcome.rows) == (["a dog", "a cat"], [0, 1])
    assert outcome.uids == hashed(["d/0", "d/1"], ["a dog", "a cat"], "key")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_all_forms_with_long_names_are_read(tmp_path: Path, form: int) -> None:
    path, key = tmp_path / "a.tar", "/".join(["f" * 50] * 2 + ["0"] if form == tarfile.USTAR_FORMAT else ["\u00e9" * 90] * 3)
    with tarfile.open(path, "w", format=form) as tar:
        member = tarfile.TarInfo(f"{key}.txt")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"a dog"))
    assert read(path).uids == hashed([key], ["a dog"], "key")


def test_a_key_that_is_not_utf8_drops_its_sample(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar_bytes([*sample("0", "a dog"), ("\udcff.txt", b"a cat")]))
    outcome = read(path)
    assert (outcome.texts, outcome.reasons) == (["a dog"], ["not UTF-8"])


# what is wrong with a file


def test_a_tar_cut_short_anywhere_fails_with_its_place(tmp_path: Path) -> None:
    content = tar_bytes([member for i in range(4) for member in sample(f"{i}", f"caption {i}", {"url": f"http://a.example/{i}"})])
    end = content.rstrip(b"\0").rfind(b"}") // BLOCK * BLOCK + BLOCK  # of the last member; two blocks of zeros follow
    path = tmp_path / "a.tar"
    for length in range(0, end + BLOCK, 128):
        path.write_bytes(content[:length])
        refused(path, "empty" if length == 0 else r"at byte|unexpected end of data|truncated header")
    path.write_bytes(content[: end + BLOCK])
    assert len(read(path).texts) == 4


def test_a_broken_header_fails_the_tar_with_its_place(tmp_path: Path) -> None:
    content = bytearray(tar_bytes(sample("0", "a dog") + sample("1", "a cat")))
    place = content.index(b"1.jpg")
    content[place] ^= 1
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    refused(path, f"cut short or broken at byte {place:,}")
    (tmp_path / "b.tar").write_bytes(content[place:])  # where the first header is broken there is no tar at all
    refused(tmp_path / "b.tar", "bad checksum|invalid header")


def test_damage_anywhere_is_an_error_that_names_the_tar_or_stays_inside_a_member(tmp_path: Path) -> None:
    content = tar_bytes([member for i in range(3) for member in sample(f"{i}", f"caption {i}", {"x": i})])
    path = tmp_path / "a.tar"
    damage = random.Random(0)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[damage.randrange(len(content))] = damage.randrange(256)
        path.write_bytes(damaged)
        try:
            assert read(path).records == 3
        except SourceError as error:
            assert str(path) in error.what


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "the file is empty"),
        (b"<html>404</html>" + b" " * 600, "web page"),
        (b"\x1f\x8b\x08" + b"x" * 600, "gzip"),
        (b"x" * 2000, "header"),
    ],
)
def test_a_file_of_another_kind_fails_with_what_it_looks_like(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    refused(path, word)


def test_a_tar_without_samples_fails_with_its_name(tmp_path: Path) -> None:
    refused(write_tar(tmp_path / "a.tar", []), "no sample in it")
    refused(write_tar(tmp_path / "b.tar", [("README", b"x")]), "no sample in it")


def test_a_tar_without_captions_is_refused_with_what_it_has(tmp_path: Path) -> None:
    refused_option(
        write(tmp_path / "a.tar", sample("0", None, {"width": 5})),
        r"no column holds captions, among: key \(text: '0'\); width \(number: 5\)",
    )


def test_a_tar_in_which_no_sample_is_good_says_so(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.tar", sample("0", b"\xff")), "no sample in it that can be read; the first is not UTF-8")


def test_memory_does_not_grow_with_the_number_of_members(tmp_path: Path) -> None:
    def peak(members: int) -> int:
        path = write_tar(tmp_path / "a.tar", [(f"0.{i}.jpg", b"x") for i in range(members)] + [("0.txt", b"a dog")])
        read(path)
        tracemalloc.start()
        read(path)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(4000) < 1.5 * peak(400)


def test_a_tar_on_a_web_server_is_read_in_parts(site: Site) -> None:
    write(site.folder / "a.tar", sample("0", "a dog"), sample("1", "a cat"))
    assert read(f"{site.url}/a.tar") == read(site.folder / "a.tar")


def test_a_real_tar_of_images_is_gone_through_without_reading_them(shared_data: Path) -> None:
    refused_option(shared_data / "images" / "coco-mini-ccby.tar", "no column holds captions, among: key")
