from __future__ import annotations

import gzip
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastwarc
import pytest
import zstandard

from tallyclip.errors import SourceError
from tallyclip.readers.crawl import archive
from tallyclip.readers.crawl.archive import CUT_SHORT, NO_RECORD, NO_TYPE, TOO_LARGE, WarcRecord, read_records

from .tools import packed, record

CONTENTS = [b"x" * size + b"\r\n\r\n" + bytes([65 + size % 26]) * 100 for size in (0, 1, 10, 1000, 40_000)]
RECORDS = [record("metadata", content, f"http://a.example/{i}") for i, content in enumerate(CONTENTS)]


def read(path: Path, *, keep_readable: bool = False) -> tuple[list[WarcRecord], Counter[str]]:
    losses: Counter[str] = Counter()
    records = list(read_records(str(path), ("metadata",), lambda reason, _: losses.update([reason]), keep_readable=keep_readable))
    return records, losses


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def lz4(content: bytes, folder: Path) -> bytes:
    with (folder / "packed.lz4").open("wb") as file:
        writer = fastwarc.Lz4Writer(file)
        writer.write(content)
        writer.close()
    return (folder / "packed.lz4").read_bytes()


@pytest.mark.parametrize("form", ["plain", "members", "one member", "zstandard", "lz4", "bare line ends"])
def test_records_come_whole_whatever_the_file_is_called_and_packed_with(tmp_path: Path, form: str) -> None:
    plain = b"".join(RECORDS)
    bare = b"".join(record("metadata", content, f"http://a.example/{i}", end=b"\n") for i, content in enumerate(CONTENTS))
    content = {
        "plain": lambda: plain,
        "members": lambda: packed(RECORDS),
        "one member": lambda: gzip.compress(plain),
        "zstandard": lambda: zstandard.compress(plain),
        "lz4": lambda: lz4(plain, tmp_path),
        "bare line ends": lambda: bare,
    }[form]()
    records, losses = read(written(tmp_path / "a.warc", content))
    assert [one.content for one in records] == CONTENTS
    assert [one.uri for one in records] == [f"http://a.example/{i}" for i in range(len(CONTENTS))]
    assert not losses


@pytest.mark.parametrize("form", [b"".join, packed])
def test_a_record_says_where_it_begins(tmp_path: Path, form: object) -> None:
    content = form(RECORDS)  # type: ignore[operator]
    places = [len(form(RECORDS[:i])) for i in range(len(RECORDS))]  # type: ignore[operator]
    records, _ = read(written(tmp_path / "a.warc", content))
    assert [one.offset for one in records] == places


@pytest.mark.parametrize("packing", [b"".join, packed])
def test_a_file_cut_anywhere_inside_a_record_is_not_taken_for_whole(tmp_path: Path, packing: object) -> None:
    content = packing(RECORDS)  # type: ignore[operator]
    ends = {len(packing(RECORDS[:i])) for i in range(len(RECORDS) + 1)}  # type: ignore[operator]
    # The four bytes after a record may be missing: then nothing is lost.
    allowed = ends | ({end - missing for end in ends for missing in range(5)} if packing is not packed else set())
    random_places = random.Random(3).sample(range(1, len(content)), 60)
    for cut in {*random_places, *range(1, 60), *(end + 5 for end in ends), *(end - 9 for end in ends)}:
        if not 0 < cut < len(content) or cut in allowed:
            continue
        path = written(tmp_path / "a.warc", content[:cut])
        with pytest.raises(SourceError) as raised:
            read(path)
        assert "a.warc" in raised.value.what
        if cut > 60:
            assert CUT_SHORT in raised.value.what or NO_RECORD in raised.value.what


@pytest.mark.parametrize("place", [0.05, 0.3, 0.5, 0.8, 0.999])
def test_a_changed_byte_in_a_gzip_member_is_noticed_and_loses_no_other_record(tmp_path: Path, place: float) -> None:
    members = [packed([one]) for one in RECORDS]
    broken = bytearray(members[3])
    broken[max(12, int(len(broken) * place))] ^= 0xFF
    path = written(tmp_path / "a.warc.gz", b"".join([*members[:3], bytes(broken), *members[4:]]))
    with pytest.raises(SourceError, match=r"a\.warc\.gz.*at byte"):
        read(path)
    records, losses = read(path, keep_readable=True)
    places = [len(packed(RECORDS[:i])) for i in (0, 1, 2, 4)]
    assert [one.content for one in records] == [CONTENTS[i] for i in (0, 1, 2, 4)]
    assert [one.offset for one in records] == places
    assert sum(losses.values()) == 1


def test_bytes_between_records_are_noticed_and_what_follows_can_be_salvaged(tmp_path: Path) -> None:
    path = written(tmp_path / "a.warc", RECORDS[0] + b"something that is no record\r\n\r\n" + b"".join(RECORDS[1:]))
    with pytest.raises(SourceError, match="--keep-readable"):
        try:
            read(path)
        except SourceError as error:
            raise SourceError(str(error)) from None
    records, losses = read(path, keep_readable=True)
    assert [one.content for one in records] == CONTENTS
    assert losses == {NO_RECORD: 1}


def test_data_after_the_last_record_is_noticed(tmp_path: Path) -> None:
    for content in (packed(RECORDS), b"".join(RECORDS)):
        with pytest.raises(SourceError, match=NO_RECORD):
            read(written(tmp_path / "a.warc", content + b"<html>an error page</html>"))


@pytest.mark.parametrize("packing", [b"".join, packed, lambda records: gzip.compress(b"".join(records))])
@pytest.mark.parametrize("zeros", [1, 7, 8, 5_000, (1 << 20) - 1, (1 << 20) + 1, (1 << 21) + 12_345])
def test_zeros_behind_the_last_record_are_padding(tmp_path: Path, packing: Callable[[list[bytes]], bytes], zeros: int) -> None:
    for keep_readable in (False, True):
        records, losses = read(written(tmp_path / "a.warc", packing(RECORDS) + bytes(zeros)), keep_readable=keep_readable)
        assert [one.content for one in records] == CONTENTS
        assert not losses


@pytest.mark.parametrize("packing", [b"".join, packed])
@pytest.mark.parametrize("behind", [bytes(500) + b"x", bytes(500) + b"x" + bytes(500), b"x" + bytes(500), b"\xff" * 500])
def test_zeros_with_other_bytes_are_not_padding(tmp_path: Path, packing: Callable[[list[bytes]], bytes], behind: bytes) -> None:
    path = written(tmp_path / "a.warc", packing(RECORDS) + behind)
    with pytest.raises(SourceError, match=NO_RECORD):
        read(path)
    records, losses = read(path, keep_readable=True)
    assert [one.content for one in records] == CONTENTS
    assert set(losses) == {NO_RECORD}


@pytest.mark.parametrize("packing", [b"".join, packed])
def test_zeros_do_not_hide_that_a_file_was_cut_short(tmp_path: Path, packing: Callable[[list[bytes]], bytes]) -> None:
    content = packing(RECORDS)
    for cut in (10, 500):
        path = written(tmp_path / "a.warc", content[:-cut] + bytes(5_000))
        with pytest.raises(SourceError):
            read(path)
        records, losses = read(path, keep_readable=True)
        assert [one.content for one in records][:-1] == CONTENTS[: len(records) - 1]
        assert len(records) < len(CONTENTS) or len(records[-1].content) == len(CONTENTS[-1])
        assert losses


@pytest.mark.timeout(30)
@pytest.mark.parametrize("pack", [lambda one: packed([one]), zstandard.compress], ids=["gzip", "zstandard"])
def test_zeros_at_the_end_are_looked_at_once_whatever_the_number_of_damages(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """If each were searched again, this would take minutes."""
    sound = pack(RECORDS[2])
    damaged = sound[:20] + bytes([sound[20] ^ 0xFF]) + sound[21:]
    path = written(tmp_path / "a.warc", (sound + damaged) * 1_000)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + (100 << 20))
    records, losses = read(path, keep_readable=True)
    assert {one.content for one in records} == {CONTENTS[2]}
    assert len(records) >= 1_000
    assert set(losses) == {NO_RECORD}


@pytest.mark.parametrize("behind", [b"junk!" * 20, b"<html>an error page</html>", b"\r\nx"])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_damage_behind_the_last_plain_record_is_placed_at_its_end_and_counted_once(tmp_path: Path, behind: bytes, end: bytes) -> None:
    whole = b"".join(record("metadata", content, "http://a.example/", end=end) for content in CONTENTS)
    path = written(tmp_path / "a.warc", whole + behind)
    place = len(whole + behind) - len(behind.lstrip())
    with pytest.raises(SourceError, match=f"{NO_RECORD}: .*, at byte {place:,}"):
        read(path)
    lost: list[tuple[str, str]] = []
    records = list(read_records(str(path), ("metadata",), lambda *loss: lost.append(loss), keep_readable=True))
    assert [one.content for one in records] == CONTENTS
    assert [(reason, where.split(":")[0]) for reason, where in lost] == [(NO_RECORD, f"a.warc from byte {place:,} on")]


def test_damage_between_plain_records_is_placed_at_the_end_of_the_first(tmp_path: Path) -> None:
    before = b"".join(RECORDS[:2])
    path = written(tmp_path / "a.warc", before + b"something that is no record\r\n\r\n" + b"".join(RECORDS[2:]))
    with pytest.raises(SourceError, match=f"at byte {len(before):,}"):
        read(path)


def skippable(content: bytes, number: int = 0) -> bytes:
    """A frame that Zstandard and LZ4 skip."""
    return (0x184D2A50 + number).to_bytes(4, "little") + len(content).to_bytes(4, "little") + content


DICTIONARY = zstandard.train_dictionary(2_000, [b"%d " % i + one[:400] for i, one in enumerate(RECORDS * 20)]).as_bytes()


@pytest.mark.parametrize("dictionary", [DICTIONARY, zstandard.compress(DICTIONARY)], ids=["plain", "compressed"])
def test_a_zstandard_file_may_begin_with_its_dictionary(tmp_path: Path, dictionary: bytes) -> None:
    compressor = zstandard.ZstdCompressor(dict_data=zstandard.ZstdCompressionDict(DICTIONARY))
    content = skippable(dictionary, 13) + b"".join(map(compressor.compress, RECORDS))
    records, losses = read(written(tmp_path / "a.warc.zst", content))
    assert [one.content for one in records] == CONTENTS
    assert [content[one.offset :][:4] for one in records] == [archive.ZSTD] * len(CONTENTS)
    assert not losses
    for damaged in (b"x" * 99, dictionary[:4], dictionary[:90], dictionary[:4] + b"x" * 99, dictionary[:20] + bytes(99)):
        with pytest.raises(SourceError, match="dictionary"):
            read(written(tmp_path / "a.warc.zst", skippable(damaged, 13) + content))


@pytest.mark.parametrize("form", ["zstandard", "lz4"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_file_may_begin_with_frames_that_are_to_be_skipped(tmp_path: Path, form: str, count: int) -> None:
    content = zstandard.compress(b"".join(RECORDS)) if form == "zstandard" else lz4(b"".join(RECORDS), tmp_path)
    frames = b"".join(skippable(b"hello" * i, i) for i in range(count))
    records, losses = read(written(tmp_path / "a.warc", frames + content))
    assert [one.content for one in records] == CONTENTS
    assert not losses


@pytest.mark.parametrize("frames", [skippable(b"") * 100_000, skippable(b"")[:-1], skippable(b"x" * 9)[:-5], skippable(b"", 13)])
def test_a_file_of_only_skippable_frames_is_not_an_archive(tmp_path: Path, frames: bytes) -> None:
    with pytest.raises(SourceError, match="not a WARC or WAT file"):
        read(written(tmp_path / "a.warc.zst", frames))


def test_behind_a_damaged_zstandard_frame_the_next_is_read(tmp_path: Path) -> None:
    frames = list(map(zstandard.compress, RECORDS))
    frames[2] = frames[2][:20] + bytes([frames[2][20] ^ 0xFF]) + frames[2][21:]
    path = written(tmp_path / "a.warc.zst", b"".join(frames))
    with pytest.raises(SourceError, match=NO_RECORD):
        read(path)
    records, losses = read(path, keep_readable=True)
    assert [one.content for one in records] == [*CONTENTS[:2], *CONTENTS[3:]]
    assert losses == {NO_RECORD: 1}
    records, losses = read(written(path, b"".join(frames[3:])[:-20]), keep_readable=True)
    assert [one.content for one in records] == CONTENTS[3:4]
    assert losses == {NO_RECORD: 1}


def test_a_record_without_a_type_is_counted_and_one_of_an_unknown_type_is_skipped(tmp_path: Path) -> None:
    bare = RECORDS[1].replace(b"WARC-Type: metadata\r\n", b"")
    empty = RECORDS[1].replace(b"WARC-Type: metadata\r\n", b"WARC-Type: \r\n")
    others = [record("request", b"GET /"), record("screenshot", b"x")]
    for packing in (b"".join, packed):
        path = written(tmp_path / "a.warc", packing([RECORDS[0], bare, *others, empty, *RECORDS[1:]]))
        records, losses = read(path)
        assert [one.content for one in records] == CONTENTS
        assert losses == {NO_TYPE: 2}


def test_the_shared_file_with_padding_is_read_as_gzip_reads_it(shared_data: Path) -> None:
    path = shared_data / "cases" / "14-gzip-padding" / "pad.warc.gz"
    losses: Counter[str] = Counter()
    records = list(read_records(str(path), ("response", "metadata", "warcinfo"), lambda reason, _: losses.update([reason])))
    assert records
    assert all(one.content in gzip.decompress(path.read_bytes()) for one in records)
    assert not losses


def test_of_a_file_cut_short_the_beginning_can_be_salvaged(tmp_path: Path) -> None:
    whole = b"".join(RECORDS)
    records, losses = read(written(tmp_path / "a.warc", whole[:-1000]), keep_readable=True)
    assert [one.content for one in records[:-1]] == CONTENTS[:-1]
    assert CONTENTS[-1].startswith(records[-1].content)
    assert losses == {CUT_SHORT: 1}


def test_an_empty_file_and_one_of_another_kind_are_refused(tmp_path: Path) -> None:
    for content, what in (
        (b"", "nothing in it"),
        (b"<!DOCTYPE html>", "not a WARC or WAT file"),
        (gzip.compress(b"PAR1 and more"), "not a WARC or WAT file"),
    ):
        with pytest.raises(SourceError, match=what):
            read(written(tmp_path / "a.warc.gz", content))


def test_a_record_larger_than_any_page_is_counted_and_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST", 10_000)
    records, losses = read(written(tmp_path / "a.warc.gz", packed(RECORDS)))
    assert [one.content for one in records] == CONTENTS[:-1]
    assert losses == {TOO_LARGE: 1}


class Counted(bytes):
    """Bytes that count how many of them are read."""

    taken = 0

    def __getitem__(self, place: Any) -> Any:
        part = super().__getitem__(place)
        self.taken += len(part)
        return part


def test_gzip_members_behind_the_last_record_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for count in (2_000, 4_000):
        content = Counted(packed([RECORDS[0], *[b""] * count]))
        archive._check_members(content, 0, len(content))  # type: ignore[arg-type]
        taken.append(content.taken)
    assert taken[1] < 2.1 * taken[0]


def test_members_that_are_not_records_are_skipped_once_and_records_after_them_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []
    iterate = archive._iterate
    monkeypatch.setattr(archive, "_iterate", lambda *given: starts.append(given[2]) or iterate(*given))
    broken = packed([b"x" * 100])[:-8] + bytes(8)
    others = [b"NO RECORD: is here\r\n\r\n"] * 300
    content = packed([RECORDS[0], *others]) + broken + packed([*others, RECORDS[1], *others]) + bytes(5000)
    records, losses = read(written(tmp_path / "a.warc.gz", content), keep_readable=True)
    assert [one.content for one in records] == CONTENTS[:2]
    assert set(losses) == {NO_RECORD}
    assert len(starts) < 10


def test_a_length_of_thousands_of_digits_is_damage(tmp_path: Path) -> None:
    content = RECORDS[0] + RECORDS[1].replace(b"Content-Length: ", b"Content-Length: " + b"9" * 5000)
    with pytest.raises(SourceError, match="at byte"):
        read(written(tmp_path / "a.warc", content))
    assert read(written(tmp_path / "a.warc", content), keep_readable=True)[0][0].content == CONTENTS[0]
