"""WebDataset tars."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import random
import shutil
import subprocess
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tallyclip.errors import SourceError
from tallyclip.io.streams import compression_of
from tallyclip.readers import field_names, records
from tallyclip.readers import tar as tar_module
from tallyclip.readers.estimate import estimate_rows
from tallyclip.readers.sources import Shard
from tallyclip.readers.tar import member_key
from tests.readers.conftest import Site
from tests.readers.tools import batches_of, files_of, hashed, read, refused, refused_option, table_of, tar_bytes, write_table, write_tar

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


def test_captions_come_from_txt_members_and_the_key_identifies_the_image(tmp_path: Path) -> None:
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


def test_a_txt_member_takes_precedence_over_the_caption_in_json_in_either_order(tmp_path: Path) -> None:
    both = sample("000", "from txt", {"caption": "from json"})
    assert read(write(tmp_path / "a.tar", both)).texts == ["from txt"]
    assert read(write(tmp_path / "b.tar", [both[0], both[2], both[1]])).texts == ["from txt"]


def test_a_url_that_appears_late_is_not_ignored(tmp_path: Path) -> None:
    samples = [sample(f"{i:04d}", "a dog") for i in range(field_names.LOOKED_AT)]
    path = write(tmp_path / "a.tar", *samples, sample("9999", "a cat", {"url": "http://a"}))
    refused(path, "sample 1,001 is the first with a field 'url', which would be the url column", "--url-column url")
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
    monkeypatch.setattr(tar_module, "LARGEST", 1000)
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


def test_batches_of_long_keys_are_small_and_messages_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "BYTES_AT_ONCE", 10_000)
    long = [sample(f"{i:02d}{'x' * 1998}", "a dog" if i else b"\xff") for i in range(50)]
    path = write(tmp_path / "a.tar", *long)
    assert [len(batch.rows) + len(batch.drops) for batch in batches_of(path)] == [5] * 10
    assert len(read(path).drops[0].sample) < 300
    back = refused(write(tmp_path / "b.tar", *long[1:], [(long[2][0][0].replace("jpg", "json"), b"{}")]))
    assert len(back.what) < 600


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


def test_folders_links_and_members_outside_of_samples_are_skipped(tmp_path: Path) -> None:
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


# several texts, and texts under other suffixes


def by_type(count: int, *suffixes: str) -> list[tuple[str, bytes]]:
    """Members of samples, grouped by suffix."""
    contents = {"json": b'{"url": "http://a.example/%d"}', "txt": b"caption %d", "jpg": b"%d"}
    return [(f"{i:04d}.{suffix}", contents[suffix] % i) for suffix in suffixes for i in range(count)]


@pytest.mark.parametrize("order", [("json", "txt", "jpg"), ("txt", "json"), ("jpg", "txt", "json")])
def test_a_tar_whose_texts_are_grouped_by_suffix_fails_and_says_how_to_pack_it_again(tmp_path: Path, order: tuple[str, ...]) -> None:
    path = write_tar(tmp_path / "a.tar", by_type(3, *order))
    refused(path, r"sample '0000' appears again at byte [1-9],\d{3}: the members of a sample must follow each other", "tar --sort=name")


def test_what_such_a_tar_is_to_be_packed_with_works(tmp_path: Path) -> None:
    if not shutil.which("tar") or b"GNU" not in subprocess.run(["tar", "--version"], capture_output=True, check=False).stdout:
        pytest.skip("no GNU tar on this machine")
    write_tar(tmp_path / "TAR", by_type(3, "json", "txt"))
    command = tar_module.REPACK.partition(": ")[2]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    order = write_tar(tmp_path / "ordered.tar", sorted(by_type(3, "json", "txt")))
    assert read(tmp_path / "NEW.tar") == read(order)


def test_images_may_stand_anywhere(tmp_path: Path) -> None:
    """A key that appears again without a text is a sample without a caption."""
    path = write_tar(tmp_path / "a.tar", by_type(3, "txt", "jpg"))
    outcome = read(path)
    assert outcome.texts == ["caption 0", "caption 1", "caption 2"]
    assert outcome.reasons == ["no caption"] * 3
    assert read(write_tar(tmp_path / "b.tar", by_type(3, "jpg", "txt"))).texts == outcome.texts


def test_samples_with_the_same_key_are_all_read_wherever_they_stand(tmp_path: Path) -> None:
    """As by WebDataset, which also takes them for samples of their own; so do those that follow each other, where it fails."""
    one, other = sample("0", "a dog", {"url": "http://a"}), sample("1", "a cat", {"url": "http://b"})
    again = sample("0", "a bird", {"url": "http://c"})
    for members in ([one, other, again], [one, again, other], [one, again, again, other, one]):
        outcome = read(write(tmp_path / "a.tar", *members))
        assert outcome.texts == [members[i][1][1].decode() for i in range(len(members))]
        assert outcome.drops == []


def test_of_very_many_keys_the_first_are_remembered_and_all_samples_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"{i:02d}" for i in range(50)]
    ordered = write(tmp_path / "ordered.tar", *(sample(key, "a dog") for key in keys))
    random.Random(0).shuffle(keys)
    mixed = write(tmp_path / "mixed.tar", *(sample(key, "a dog") for key in keys))
    late = write_tar(tmp_path / "late.tar", [*by_type(50, "txt"), ("0048.json", b"{}")])
    assert len(read(mixed).texts) == 50
    refused(late, "sample '0048' appears again")
    monkeypatch.setattr(tar_module, "MOST_KEYS", 20)
    assert read(mixed).texts == read(ordered).texts == ["a dog"] * 50
    assert read(late).reasons == ["no caption"]  # sample '0048' is not remembered any more
    early = write_tar(tmp_path / "early.tar", [*by_type(50, "txt"), ("0008.json", b"{}")])
    refused(early, "sample '0008' appears again")


def compound(key: str, text: str | bytes, suffix: str = "outputs.txt") -> list[tuple[str, bytes]]:
    return [(f"{key}.input.jpg", JPEG), (f"{key}.{suffix}", text if isinstance(text, bytes) else text.encode())]


def test_a_flag_may_name_captions_by_the_suffix_of_their_members(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", compound("0", "a dog"), compound("1", b"\xef\xbb\xbfa cat"), compound("2", b"\xff"), sample("3", "x"))
    outcome = read(path, caption="outputs.txt")
    assert outcome.layouts == ["named by flag: caption = outputs.txt, key = key"]
    assert outcome.texts == ["a dog", "a cat"]
    assert outcome.uids == hashed(["0", "1"], ["a dog", "a cat"], "key")
    assert outcome.reasons == ["not UTF-8", "no caption"]
    assert table_of(path, caption="outputs.txt").column_names == ["key", "outputs.txt", "caption"]


def test_urls_may_come_from_members_too_and_the_case_of_suffixes_is_ignored(tmp_path: Path) -> None:
    members = [("0.Alt.TXT", b"a dog"), ("0.URL", b"http://a"), ("1.alt.txt", b"a cat"), ("1.url", b"http://b")]
    outcome = read(write_tar(tmp_path / "a.tar", members), caption="alt.txt", url="url")
    assert outcome.uids == hashed(["http://a", "http://b"], ["a dog", "a cat"])


def test_txt_and_the_fields_of_json_go_before_members_that_a_flag_names(tmp_path: Path) -> None:
    members = [("0.caption", b"from caption"), ("0.json", b'{"caption": "from json"}'), ("1.caption", b"\xff"), ("1.txt", b"from txt")]
    path = write_tar(tmp_path / "a.tar", [*members, ("2.caption", b"from caption")])
    assert read(path, caption="caption").texts == ["from json", "from txt", "from caption"]


def test_a_member_that_a_flag_names_is_bounded_like_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_module, "LARGEST", 1000)
    outcome = read(write(tmp_path / "a.tar", compound("0", "x" * 1001), compound("1", "x" * 1000)), caption="outputs.txt")
    assert (outcome.rows, outcome.reasons) == ([1], ["text member too large"])


def test_a_tar_without_captions_says_what_its_members_end_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tar", compound("0", "a dog"), compound("1", "a cat"), sample("2"))
    error = refused_option(path, r"among: key \(text: '0'\); its members end in: input\.jpg \(2\), outputs\.txt \(2\), jpg \(1\)")
    assert "--caption-column" in str(error.hint)
    assert "first dot" in str(error.hint)
    refused_option(path, "no column 'output.txt'", r"outputs\.txt \(2\)", caption="output.txt")
    many = write_tar(tmp_path / "b.tar", [(f"{i:03d}.{i}", b"") for i in range(30)] + [("x." + "y" * 90, b"")])
    refused_option(many, r"0 \(1\), .* and 21 more")
    monkeypatch.setattr(tar_module, "LOOKED_AT", 3)
    refused_option(path, r"end in: input\.jpg \(2\), outputs\.txt \(1\)\n")


def test_captions_behind_all_images_are_found_by_a_flag_or_the_tar_packed_again(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", by_type(field_names.LOOKED_AT + 1, "jpg", "txt"))
    refused_option(path, r"jpg \(1,001\), txt \(1,001\)", "no txt member is among the first samples: pack it again by name")
    assert len(read(path, caption="caption").texts) == field_names.LOOKED_AT + 1


def test_keys_with_dots_are_neither_lost_nor_merged_without_a_word(tmp_path: Path) -> None:
    """WebDataset ends a key at the first dot of a name."""
    dotted = [(f"photo.v{i}.{suffix}", b"a dog") for i in range(3) for suffix in ("jpg", "txt")]
    refused_option(write_tar(tmp_path / "a.tar", dotted), r"v0\.jpg \(1\), v0\.txt \(1\), v1\.jpg \(1\)", "first dot of a name")
    outcome = read(write_tar(tmp_path / "b.tar", [("a.txt", b"a cat"), *dotted, ("1.5.txt", b"x"), ("z.jpg", b"x")]))
    assert outcome.texts == ["a cat"]
    assert [(drop.row, drop.reason, drop.sample) for drop in sorted(outcome.drops, key=lambda drop: drop.row)] == [
        (1, "no caption, but text under a longer suffix", "'photo': 'v0.txt', 'v1.txt', 'v2.txt'"),
        (2, "no caption, but text under a longer suffix", "'1': '5.txt'"),
        (3, "no caption", ""),
    ]


# data after the end, and compression


def test_tars_written_one_after_another_are_read_as_one(tmp_path: Path) -> None:
    tars_ = [tar_bytes(sample(f"{i}", f"caption {i}")) for i in range(3)]
    (tmp_path / "a.tar").write_bytes(b"".join(tars_))
    assert read(tmp_path / "a.tar").texts == ["caption 0", "caption 1", "caption 2"]
    assert estimate_rows(Shard("a", files_of(tmp_path / "a.tar")[0])) == 3


@pytest.mark.parametrize("rest", [b"x", b"\0" * 700 + b"GARBAGE" * 100])
@pytest.mark.parametrize(("name", "program"), [("a.tar", "head"), ("a.tar.gz", "zcat"), ("a.tgz", "zcat"), ("a.tar.bz2", "bzcat")])
def test_data_after_the_end_that_is_not_a_tar_fails_and_the_hint_cuts_it_off(tmp_path: Path, rest: bytes, name: str, program: str) -> None:
    content = tar_bytes(sample("0", "a dog"))
    path = tmp_path / name
    path.write_bytes({"head": bytes, "zcat": gzip.compress, "bzcat": bz2.compress}[program](content + rest))
    place = len(content) + rest.count(b"\0") // BLOCK * BLOCK
    error = refused(path, f"data that is not a tar follows the end of the tar at byte {place:,}")
    assert str(error.hint).startswith("if you do not need it, cut it off: ")
    if shutil.which(program) is None:
        pytest.skip(f"no {program} on this machine")
    path.rename(tmp_path / "TAR")
    subprocess.run(str(error.hint).partition(": ")[2], shell=True, check=True, cwd=tmp_path)
    assert read(tmp_path / "NEW.tar").texts == ["a dog"]


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".TGZ", ".tar.zst", ".tar.bz2", ".tar.lz4"])
def test_compressed_tars_are_read(tmp_path: Path, suffix: str) -> None:
    content = tar_bytes([member for i in range(200) for member in sample(f"{i:03d}", f"caption {i}", {"url": f"http://a.example/{i}"})])
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.tar").write_bytes(content)
    path = tmp_path / f"a{suffix}"
    with pa.output_stream(str(path), compression=compression_of(str(path))) as out:
        out.write(content)
    (file,) = files_of(path)
    assert (file.kind, file.key) == ("tar", "a")
    assert read(path) == read(tmp_path / "plain" / "a.tar")
    assert estimate_rows(Shard("a", file)) in range(1, 201)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path)


def test_an_image_dataset_with_compressed_tars_is_read_once(tmp_path: Path) -> None:
    write_table(tmp_path / "00000.parquet", {"url": ["http://a"], "caption": ["a dog"], "key": ["0"], "status": ["success"]})
    (tmp_path / "00000.tar.gz").write_bytes(gzip.compress(tar_bytes(sample("0", "a dog", {"url": "http://a"}))))
    assert read(tmp_path).texts == ["a dog"]


def test_a_compressed_tar_on_a_web_server_and_a_tar_on_one_that_gives_no_parts_are_read(site: Site, plain_site: Site) -> None:
    content = tar_bytes([member for i in range(30) for member in sample(f"{i:03d}", f"caption {i}")])
    for folder in (site.folder, plain_site.folder):
        (folder / "a.tar").write_bytes(content)
        (folder / "a.tar.gz").write_bytes(gzip.compress(content))
    expected = read(site.folder / "a.tar")
    for address in (f"{site.url}/a.tar", f"{site.url}/a.tar.gz", f"{plain_site.url}/a.tar", f"{plain_site.url}/a.tar.gz"):
        assert read(address) == expected


# what is wrong with a file


def test_a_tar_cut_short_anywhere_fails_with_its_place(tmp_path: Path) -> None:
    content = tar_bytes([member for i in range(4) for member in sample(f"{i}", f"caption {i}", {"url": f"http://a.example/{i}"})])
    end = content.rstrip(b"\0").rfind(b"}") // BLOCK * BLOCK + BLOCK  # of the last member; two blocks of zeros follow
    path = tmp_path / "a.tar"
    for length in range(0, end + BLOCK, 128):
        path.write_bytes(content[:length])
        refused(path, "empty" if length == 0 else "at byte")
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
    refused(tmp_path / "b.tar", "cut short or broken at byte 0")


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
        (b"x" * 2000, "broken at byte 0"),
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
        r"no caption column found among: key \(text: '0'\); width \(number: 5\)",
    )


def test_a_tar_without_a_readable_sample_is_refused_with_the_reason(tmp_path: Path) -> None:
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
    refused_option(shared_data / "images" / "coco-mini-ccby.tar", "no caption column found among: key")


# cases after public reports


def test_odd_tars_from_public_reports(shared_data: Path, tmp_path: Path) -> None:
    cases = shared_data / "cases"
    expected = ["a dog on the beach", "a red cat", "a tapir and a tree"]
    refused(cases / "05-tar-members-by-type" / "bytype.tar", "sample '00000' appears again")
    assert read(cases / "05-tar-members-by-type" / "sorted.tar").texts == expected
    assert read(cases / "06-tar-concatenated" / "all.tar").texts == expected
    assert read(cases / "08-tar-gz" / "shard.tar.gz").texts == expected[:1]
    compound_suffix = cases / "09-tar-compound-suffix" / "out.tar"
    refused_option(compound_suffix, r"outputs\.txt \(3\)")
    assert read(compound_suffix, caption="outputs.txt").texts == expected
    refused(cases / "31-tar-negative-size" / "neg.tar", "at byte 1,024 has an implausible size")
    refused(cases / "32-tar-odd-pax" / "a.tar", "at byte 1,024")
    (tmp_path / "rec.tar").write_bytes(gzip.decompress((cases / "32-tar-odd-pax" / "rec.tar.gz.txt").read_bytes()))
    refused(tmp_path / "rec.tar", "more than 64 headers before one member, at byte 1,024")
