"""The files of a pool, their names and fingerprints, and the shards they are cut into."""

from __future__ import annotations

import os
import re
import string
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.errors import OptionError, SourceError
from tallyclip.readers import sources
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.sources import PoolFile, Shard, cut, described, find_files
from tests.readers.conftest import Site
from tests.readers.tools import Outcome, add_shard, files_of, packed, read, write_table

CAPTIONS = {"caption": ["a dog", "a cat"]}
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def write_text(path: Path, text: str = "a dog\na cat\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def fingerprint(path: str) -> str:
    """Of a file in its present state."""
    return described(path)[0].fingerprint


def refused(name: object, *words: str) -> OptionError:
    with pytest.raises(OptionError) as caught:
        find_files([str(name)])
    for word in words:
        assert word in str(caught.value)
    return caught.value


def test_files_come_in_a_fixed_order_whatever_the_order_of_the_names(tmp_path: Path) -> None:
    paths = [write_text(tmp_path / name) for name in ("b.txt", "a.txt", "c/a.txt")]
    assert files_of(*paths) == files_of(*paths[::-1])
    assert [file.path for file in files_of(tmp_path)] == sorted(map(str, paths))


def test_a_file_that_is_named_more_than_once_is_read_once(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt")
    (tmp_path / "link.txt").symlink_to(path)
    assert [file.path for file in files_of(path, tmp_path, tmp_path / "*.txt", f"file://{path}")] == [str(path)]


def test_skipped_files_are_counted_by_suffix(tmp_path: Path) -> None:
    for name in ("a.txt", "b.npz", "c.npz", "d.tar.xz", "README", "_e.txt"):
        write_text(tmp_path / name)
    files, skipped = find_files([str(tmp_path)])
    assert [Path(file.path).name for file in files] == ["a.txt"]
    assert skipped == {".npz": 2, ".tar.xz": 1, "": 1, "hidden .txt (name begins with . or _)": 1}


def test_an_img2dataset_folder_is_read_by_its_parquet_files(tmp_path: Path) -> None:
    for name in ("00000.tar", "00000_stats.json", "00001.tar", "00001_stats.json"):
        write_text(tmp_path / name)
    write_table(tmp_path / "00000.parquet", CAPTIONS)
    files, skipped = find_files([str(tmp_path)])
    assert [Path(file.path).name for file in files] == ["00000.parquet", "00001.tar"]
    assert skipped == {"*_stats.json": 2, ".tar with a .parquet of the same samples": 1}


@pytest.mark.parametrize("name", ["nosuch.parquet", "nosuch/*.parquet", "empty"])
def test_a_name_that_leads_nowhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path / name, name, "no such file, folder or glob", ".parquet, .arrow")


def test_a_folder_with_nothing_to_read_is_refused_with_what_is_in_it(tmp_path: Path) -> None:
    for name in ("a.npz", "b.parquet.gz", "README"):
        write_text(tmp_path / name)
    refused(tmp_path, "nothing that can be read among 3 files (1 without suffix, 1 .npz, 1 .parquet.gz)")


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_pool_file_that_is_not_a_regular_file_is_refused_rather_than_waited_for(tmp_path: Path, kind: str) -> None:
    write_text(tmp_path / "a.txt")
    strange = tmp_path / "b.parquet"
    if kind == "link":
        strange.symlink_to(tmp_path / "gone")
    else:
        os.mkfifo(strange)
    refused(tmp_path, f"{strange}: no regular file")
    refused(strange, f"{strange}: no regular file")


def test_a_url_of_an_unknown_kind_is_refused() -> None:
    refused("nosuch://bucket/a.parquet", "nosuch://bucket/a.parquet", "s3://")


def test_a_broken_parquet_file_is_kept_so_that_its_shard_can_say_why(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"no Parquet")
    (file,) = files_of(path)
    assert (file.rows, file.groups, file.size) == (None, None, 10)


# keys


def test_a_shard_is_called_by_its_file(tmp_path: Path) -> None:
    paths = [write_text(tmp_path / name) for name in ("a.txt", "b.jsonl.gz", "c.d.csv")]
    assert [file.key for file in files_of(*paths)] == ["a", "b", "c.d"]


def test_equal_names_in_several_folders_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for name in ("en/2024/0.txt", "en/2025/0.txt", "de/2025/0.txt"):
        write_text(tmp_path / name)
    assert [file.key for file in files_of(tmp_path)] == ["de-2025-0", "en-2024-0", "en-2025-0"]


def test_equal_names_with_several_suffixes_are_told_apart_by_them(tmp_path: Path) -> None:
    for name in ("a.txt", "a.txt.gz", "a.csv"):
        write_text(tmp_path / name)
    assert [file.key for file in files_of(tmp_path)] == ["a.csv", "a.txt", "a.txt.gz"]


names = st.text(st.sampled_from(string.ascii_letters + "._-+ é[](){}$*?#%&'\"\\:;,"), min_size=1, max_size=12)


@given(st.sets(st.lists(names, min_size=1, max_size=4).map("/".join), min_size=1, max_size=12))
def test_keys_are_unique_and_stable_and_safe_as_names_of_files(ends: set[str]) -> None:
    paths = [f"/pool/{end}.txt" for end in ends]
    keys = sources.file_keys(paths)
    assert sources.file_keys(sorted(paths)) == keys
    assert len({key.lower() for key in keys.values()}) == len(paths)  # some disks ignore case
    assert all(SAFE.fullmatch(key) and "+" not in key and len(key) < 200 for key in keys.values())


def test_a_long_url_makes_a_key_that_disks_can_hold(tmp_path: Path) -> None:
    paths = [f"https://a.example/{'x' * 300}/{i}/{'y' * 240}.txt?signature={'z' * 999}" for i in range(2)]
    keys = sources.file_keys(paths)
    assert len(set(keys.values())) == 2
    assert max(map(len, keys.values())) < 200


# fingerprints


@pytest.mark.parametrize("name", ["a.parquet", "a.txt"])
def test_a_fingerprint_changes_with_the_file_and_not_by_itself(tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    def write(caption: str) -> None:
        if name == "a.txt":
            path.write_text(caption)
        else:
            write_table(path, {"caption": [caption]})
        os.utime(path, (1, 1))  # a copy may keep the time

    write("a dog")
    (file,) = files_of(path)
    assert fingerprint(str(path)) == file.fingerprint
    os.utime(path, (2, 2))
    assert fingerprint(str(path)) != file.fingerprint
    write("a dogs" if name == "a.txt" else "a cat")  # a Parquet file is known by its footer, others by size and time
    assert fingerprint(str(path)) != file.fingerprint


def test_the_fingerprint_of_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.txt: No such file") as caught:
        fingerprint(str(tmp_path / "a.txt"))
    assert "must stay where they are" in str(caught.value.hint)


def test_captions_that_are_not_utf8_in_the_statistics_of_a_parquet_file_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, {"caption": ["\u00e9\u00e9 dog"]}, compression="none")
    path.write_bytes(path.read_bytes().replace("\u00e9\u00e9".encode(), b"\xff\xff\xff\xff"))
    assert len(files_of(path)[0].fingerprint) == 32


# shards


def write_groups(path: Path, sizes: list[int]) -> PoolFile:
    """A Parquet file with row groups of these sizes."""
    table = write_table(path.with_suffix(".whole"), {"caption": [f"caption {i}" for i in range(sum(sizes))]})
    whole = pq.read_table(table)
    with pq.ParquetWriter(path, whole.schema) as writer:
        start = 0
        for size in sizes:
            writer.write_table(whole.slice(start, size))
            start += size
    return files_of(path)[0]


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12), rows_per_shard=st.integers(1, 20))
def test_the_shards_of_a_parquet_file_are_together_the_file(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], rows_per_shard: int
) -> None:
    file = write_groups(tmp_path_factory.mktemp("cut") / "a.parquet", sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "ROWS_PER_SHARD", rows_per_shard)
        shards = cut([file])
    assert len({shard.key for shard in shards}) == len(shards)
    assert all(SAFE.fullmatch(shard.key) for shard in shards)
    parts = [add_shard(Outcome([], 0, [], [], [], 0, []), shard, ColumnChoice()) for shard in shards]
    whole = read(file.path)
    assert [text for part in parts for text in part.texts] == whole.texts == [f"caption {i}" for i in range(sum(sizes))]
    assert [row for part in parts for row in part.rows] == whole.rows == list(range(sum(sizes)))
    assert [uid for part in parts for uid in part.uids] == whole.uids
    assert [shard.rows for shard in shards] == [part.records for part in parts]


def test_only_large_parquet_files_are_cut(tmp_path: Path) -> None:
    groups = [400_000] * 10
    large = PoolFile("/pool/a.parquet", "a", "parquet", 1, "", sum(groups), groups)
    assert [(shard.groups, shard.first_row, shard.rows) for shard in cut([large])] == [
        ((0, 3), 0, 1_200_000),
        ((3, 6), 1_200_000, 1_200_000),
        ((6, 9), 2_400_000, 1_200_000),
        ((9, 10), 3_600_000, 400_000),
    ]
    small = PoolFile("/pool/b.parquet", "b", "parquet", 1, "", 1_200_000, groups[:3])
    one_group = PoolFile("/pool/c.parquet", "c", "parquet", 1, "", 9_000_000, [9_000_000])
    text = PoolFile("/pool/d.txt", "d", "text", 1 << 40, "")
    assert cut([small, one_group, text]) == [Shard("b", small), Shard("c", one_group), Shard("d", text)]


def test_no_file_can_have_the_key_of_another_files_shard(tmp_path: Path) -> None:
    groups = [1_000_000, 1_000_000]
    cut_file = PoolFile("/pool/a.parquet", "a", "parquet", 1, "", 2_000_000, groups)
    keys = set(sources.file_keys([f"/pool/{shard.key}.parquet" for shard in cut([cut_file])]).values())
    assert keys.isdisjoint(shard.key for shard in cut([cut_file]))


# URLs


def test_a_file_on_a_web_server_is_read_like_one_on_disk(site: Site) -> None:
    write_table(site.folder / "a.parquet", CAPTIONS)
    packed(site.folder / "b.jsonl.gz", b'{"caption": "a bird"}\n')
    outcome = read(f"{site.url}/a.parquet", f"{site.url}/b.jsonl.gz?download=true")
    assert outcome.texts == ["a dog", "a cat", "a bird"]
    assert [file.key for file in files_of(f"{site.url}/a.parquet", f"{site.url}/b.jsonl.gz?download=true")] == ["a", "b"]


def test_a_folder_on_a_web_server_is_read_by_its_index(site: Site) -> None:
    write_table(site.folder / "a.parquet", CAPTIONS)
    write_text(site.folder / "deep" / "b.txt", "a bird\n")
    write_text(site.folder / "notes.md")
    files, skipped = find_files([f"{site.url}/"])
    assert [file.path for file in files] == [f"{site.url}/a.parquet", f"{site.url}/deep/b.txt"]
    assert files[0].size == (site.folder / "a.parquet").stat().st_size
    assert skipped == {".md": 1}
    assert read(f"{site.url}/").texts == ["a dog", "a cat", "a bird"]


def test_a_glob_on_a_web_server_is_one(site: Site) -> None:
    for name in ("a-1.txt", "a-2.txt", "b.txt"):
        write_text(site.folder / name, f"{name}\n")
    assert read(f"{site.url}/a-*.txt").texts == ["a-1.txt", "a-2.txt"]


def test_a_change_on_a_web_server_changes_the_fingerprint(site: Site) -> None:
    path = write_text(site.folder / "a.txt", "a dog\n")
    (file,) = files_of(f"{site.url}/a.txt")
    assert fingerprint(file.path) == file.fingerprint
    path.write_text("a cat\n")
    os.utime(path, (1, 1))
    assert fingerprint(file.path) != file.fingerprint


@pytest.mark.parametrize("name", ["nosuch.parquet", "nosuch/", "nosuch/*.parquet"])
def test_a_web_url_without_a_file_is_refused(site: Site, name: str) -> None:
    refused(f"{site.url}/{name}", f"{site.url}/{name}: ")


def test_a_web_server_that_does_not_answer_is_said_to(site: Site) -> None:
    port = int(site.url.rpartition(":")[2])
    refused(f"http://127.0.0.1:{1 if port != 1 else 2}/a.parquet", "127.0.0.1", "check the URL")


def test_a_web_server_that_gives_whole_files_only_will_do_for_lines(plain_site: Site) -> None:
    write_text(plain_site.folder / "a.txt")
    assert read(f"{plain_site.url}/a.txt").texts == ["a dog", "a cat"]


def test_a_file_that_disappears_from_a_web_server_fails_with_its_name(site: Site) -> None:
    path = write_text(site.folder / "a.txt")
    (file,) = files_of(f"{site.url}/a.txt")
    path.unlink()
    with pytest.raises(SourceError, match=re.escape(f"{site.url}/a.txt: ")):
        fingerprint(file.path)
    with pytest.raises(SourceError, match=re.escape(f"{site.url}/a.txt: ")):
        add_shard(Outcome([], 0, [], [], [], 0, []), Shard("a", file), ColumnChoice())


def test_files_in_an_s3_bucket_are_read_like_those_on_disk(bucket: str, tmp_path: Path) -> None:
    import s3fs

    fs = s3fs.S3FileSystem()
    write_table(tmp_path / "a.parquet", CAPTIONS)
    fs.put(str(tmp_path / "a.parquet"), f"{bucket}/pool/a.parquet")
    fs.pipe(f"{bucket}/pool/deep/b.txt", b"a bird\n")
    fs.pipe(f"{bucket}/pool/_SUCCESS", b"")
    fs.pipe(f"{bucket}/pool/_temporary/c.txt", b"a ghost\n")
    files, skipped = find_files([f"{bucket}/pool"])
    assert [(file.path, file.key, file.kind) for file in files] == [
        (f"{bucket}/pool/a.parquet", "a", "parquet"),
        (f"{bucket}/pool/deep/b.txt", "b", "text"),
    ]
    assert (files[0].size, files[0].rows) == ((tmp_path / "a.parquet").stat().st_size, 2)
    assert skipped == {"hidden .txt (name begins with . or _)": 1}
    assert read(f"{bucket}/pool").texts == ["a dog", "a cat", "a bird"]
    assert read(f"{bucket}/pool/*.parquet").texts == ["a dog", "a cat"]
    assert read(f"{bucket}/**/b.txt").texts == ["a bird"]


def test_a_change_in_a_bucket_changes_the_fingerprint_though_listings_are_remembered(bucket: str) -> None:
    import s3fs

    other = s3fs.S3FileSystem(skip_instance_cache=True)  # another process's
    other.pipe(f"{bucket}/pool/a.txt", b"a dog\n")
    (file,) = files_of(f"{bucket}/pool")
    assert fingerprint(file.path) == file.fingerprint
    other.pipe(f"{bucket}/pool/a.txt", b"a cat\n")
    assert fingerprint(file.path) != file.fingerprint
    other.pipe(f"{bucket}/pool/b.txt", b"a bird\n")
    assert [found.key for found in files_of(f"{bucket}/pool")] == ["a", "b"]


def test_a_bucket_that_is_not_there_is_refused(bucket: str) -> None:
    refused(f"{bucket}-not/a.parquet", f"{bucket}-not/a.parquet: ", "check the URL and your access to it")


def test_s3_without_credentials_is_refused_with_what_the_store_says(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    refused(f"{bucket}/a.parquet", f"{bucket}/a.parquet: ", "redentials")


def test_files_in_memory_are_read_like_those_on_disk(memory: str) -> None:
    import fsspec

    for name, caption in {"a.txt": "a dog", "deep/b.txt": "a cat"}.items():
        with fsspec.open(f"{memory}/{name}", "wt") as file:
            file.write(f"{caption}\n")
    assert read(memory).texts == ["a dog", "a cat"]
    (file,) = files_of(f"{memory}/a.txt")
    with fsspec.open(f"{memory}/a.txt", "wt") as changed:
        changed.write("a dot\n")
    assert fingerprint(file.path) != file.fingerprint
