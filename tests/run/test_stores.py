"""The servers that tests of runs on object stores use, and the proxy, do what those tests take for granted.

Longer than others: each fault is seen by itself.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import s3fs
from botocore.exceptions import ClientError, ConnectionClosedError, ResponseStreamingError

from tests.run.fault_proxy import Faults
from tests.run.stores import BUCKET, FaultProxy, client, environment_for, fault_proxy, moto_server, new_bucket, reach, seaweed

__all__ = ["reach"]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module", params=["moto", "seaweed"])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each of the servers."""
    if request.param == "moto":
        yield request.getfixturevalue("moto")
    else:
        with seaweed() as endpoint:
            yield endpoint


class Way(NamedTuple):
    """To a bucket of its own: through a proxy, and straight."""

    proxy: FaultProxy
    bucket: str
    through: Any
    straight: Any

    def keys(self, to: Any) -> list[str]:
        """In the order in which a LIST has them."""
        return [found["Key"] for found in to.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def put(self, *keys: str, body: bytes = b"body") -> None:
        for key in keys:
            self.through.put_object(Bucket=self.bucket, Key=key, Body=body)


@pytest.fixture
def way(moto: str) -> Iterator[Way]:
    with fault_proxy(moto) as proxy:
        yield Way(proxy, new_bucket(moto), client(proxy.endpoint), client(moto))


def status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


def test_what_s3fs_writes_boto3_reads(moto: str, reach: Callable[[str], None]) -> None:
    reach(moto)
    s3fs.S3FileSystem().pipe(f"{BUCKET}/folder/one", b"what")
    assert client(moto).get_object(Bucket=BUCKET, Key="folder/one")["Body"].read() == b"what"


def test_a_process_finds_the_server_by_its_environment(moto: str, tmp_path: Path) -> None:
    bucket = new_bucket(moto)
    program = f"import s3fs; s3fs.S3FileSystem().pipe('{bucket}/key', b'of another process')"
    subprocess.run([sys.executable, "-c", program], env=environment_for(moto), cwd=tmp_path, check=True, timeout=60)
    assert client(moto).get_object(Bucket=bucket, Key="key")["Body"].read() == b"of another process"


def test_of_many_who_create_a_key_at_once_one_does(server: str) -> None:
    writer = client(server)

    def create(number: int, key: str) -> int:
        try:
            writer.put_object(Bucket=BUCKET, Key=key, Body=b"%d" % number, IfNoneMatch="*")
        except ClientError as error:
            return status(error)
        return 200

    with ThreadPoolExecutor(8) as pool:
        for key in map(str, range(3)):
            answers = list(pool.map(lambda number, key=key: create(number, key), range(8)))
            assert sorted(answers) == [200, *[412] * 7]
            assert writer.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"%d" % answers.index(200)


def test_a_key_is_written_over_only_if_it_is_what_it_was(server: str) -> None:
    store, there = client(server), {"Bucket": new_bucket(server), "Key": "key"}
    first = store.put_object(**there, Body=b"1")["ETag"]
    second = store.put_object(**there, Body=b"2", IfMatch=first)["ETag"]
    with pytest.raises(ClientError) as error:
        store.put_object(**there, Body=b"3", IfMatch=first)
    assert status(error.value) == 412
    with pytest.raises(ClientError) as error:
        store.get_object(**there, IfNoneMatch=second)
    assert status(error.value) == 304
    with pytest.raises(ClientError) as error:
        store.get_object(**there, IfMatch=first)
    assert status(error.value) == 412
    assert store.get_object(**there, IfMatch=second)["Body"].read() == b"2"


def test_the_tag_of_a_copy_is_that_of_what_was_copied(server: str) -> None:
    store, bucket = client(server), new_bucket(server)
    tag = store.put_object(Bucket=bucket, Key="one", Body=b"1")["ETag"]
    store.copy_object(Bucket=bucket, Key="two", CopySource=f"{bucket}/one")
    assert store.head_object(Bucket=bucket, Key="two")["ETag"] == tag


def test_a_list_comes_in_pages_and_has_folders_with_only_folders(server: str) -> None:
    """SeaweedFS has keys in the order of its folders, and S3 in that of their bytes. (S3rver, of npm, loses keys between pages.)"""
    store, bucket = client(server), new_bucket(server)
    keys = ["B/3", "a-b", "a.b", "a/b", "q/2", "x/y/z/1"]
    for key in reversed(keys):
        store.put_object(Bucket=bucket, Key=key, Body=b"")
    pages = list(store.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}))
    assert [len(page["Contents"]) for page in pages] == [2, 2, 2]
    assert sorted(found["Key"] for page in pages for found in page["Contents"]) == keys
    assert [page.get("NextContinuationToken") is None for page in pages] == [False, False, True]
    folders = store.list_objects_v2(Bucket=bucket, Delimiter="/")["CommonPrefixes"]
    assert [found["Prefix"] for found in folders] == ["B/", "a/", "q/", "x/"]
    store.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys[1:]]})
    assert [found["Key"] for found in store.list_objects_v2(Bucket=bucket)["Contents"]] == keys[:1]


def test_a_proxy_does_not_spoil_signatures(server: str, reach: Callable[[str], None]) -> None:
    """SeaweedFS looks at them."""
    with fault_proxy(server) as proxy:
        reach(proxy.endpoint)
        bucket = new_bucket(proxy.endpoint)
        files = s3fs.S3FileSystem()
        files.pipe(f"{bucket}/a b+c/key", b"0123456789" * 1_100_000, chunksize=5 << 20)
        assert files.find(bucket) == [f"{bucket}/a b+c/key"]
        assert files.cat(f"{bucket}/a b+c/key", start=10, end=20) == b"0123456789"


def test_a_proxy_without_faults_changes_nothing(way: Way, reach: Callable[[str], None]) -> None:
    """Also not names that are quoted in addresses or in XML, nor what comes in many parts, nor with checksums at its end."""
    reach(way.proxy.endpoint)
    files = s3fs.S3FileSystem()
    content = {f"{way.bucket}/a b+c%25é&<x>/{i}": bytes([i]) * i for i in range(3)} | {f"{way.bucket}/large": b"0123456789" * 1_100_000}
    for path, data in content.items():
        with files.open(path, "wb", block_size=5 << 20) as file:
            file.write(data)  # pyright: ignore[reportArgumentType]
    files.invalidate_cache()
    assert {path: files.cat(path) for path in files.find(way.bucket)} == content
    assert sorted(files.ls(way.bucket)) == [f"{way.bucket}/a b+c%25é&<x>", f"{way.bucket}/large"]
    assert way.keys(way.straight) == way.keys(way.through)
    files.rm(way.bucket + "/a b+c%25é&<x>", recursive=True)
    assert way.keys(way.straight) == ["large"]
    assert not way.proxy.injected


def test_requests_are_counted_by_kind(way: Way) -> None:
    way.put("one", "two")
    there = {"Bucket": way.bucket, "Key": "one"}
    way.through.get_object(**there)
    for _ in range(3):
        way.through.head_object(**there)
    way.through.copy_object(Bucket=way.bucket, Key="three", CopySource=f"{way.bucket}/one")
    way.keys(way.through)
    way.through.delete_object(**there)
    way.through.delete_objects(Bucket=way.bucket, Delete={"Objects": [{"Key": "two"}, {"Key": "three"}]})
    expected = Counter(PUT=2, GET=1, HEAD=3, COPY=1, LIST=1, DELETE=1, POST=1)
    assert way.proxy.requests == expected
    way.through.head_bucket(Bucket=way.bucket)
    assert way.proxy.requests - expected == Counter(HEAD=1)
    assert way.proxy.log[0][:2] == ("PUT", f"/{way.bucket}/one")
    assert way.keys(way.straight) == []


def test_a_store_that_is_asked_too_often_refuses_and_s3fs_asks_again(way: Way, reach: Callable[[str], None]) -> None:
    way.proxy.inject(Faults(refuse=1, times=1))
    with pytest.raises(ClientError, match="SlowDown") as error:
        way.put("key")
    assert status(error.value) == 503
    assert way.keys(way.straight) == []
    way.proxy.inject(Faults(refuse=1, times=1))
    with pytest.raises(ClientError) as error:
        way.through.head_object(Bucket=way.bucket, Key="key")
    assert status(error.value) == 503
    reach(way.proxy.endpoint)
    way.proxy.inject(Faults(refuse=1, times=1))
    s3fs.S3FileSystem().pipe(f"{way.bucket}/key", b"body")
    assert way.proxy.injected == Counter(refuse=3)
    assert way.keys(way.straight) == ["key"]


def test_a_slow_answer_comes_later(way: Way) -> None:
    way.proxy.inject(Faults(slow=1, slow_seconds=0.5, times=1))
    before = time.monotonic()
    way.put("key")
    assert time.monotonic() - before >= 0.5
    assert way.proxy.injected == Counter(slow=1)


def test_a_download_ends_halfway(way: Way) -> None:
    way.put("key", body=b"x" * 100_000)
    way.proxy.inject(Faults(cut_get=1, times=1))
    with pytest.raises(ResponseStreamingError):
        way.through.get_object(Bucket=way.bucket, Key="key")["Body"].read()
    assert len(way.through.get_object(Bucket=way.bucket, Key="key")["Body"].read()) == 100_000
    assert way.proxy.injected == Counter(cut_get=1)


def test_s3fs_reads_on_after_a_download_that_ended_halfway(way: Way, reach: Callable[[str], None]) -> None:
    way.put("key", body=bytes(range(250)) * 400)
    reach(way.proxy.endpoint)
    way.proxy.inject(Faults(cut_get=1, times=1))
    assert s3fs.S3FileSystem().cat(f"{way.bucket}/key") == bytes(range(250)) * 400
    assert way.proxy.injected == Counter(cut_get=1)


@pytest.mark.parametrize("size", [0, 100_000])
def test_an_upload_that_ends_halfway_stores_nothing(way: Way, size: int) -> None:
    way.proxy.inject(Faults(cut_put=1))
    with pytest.raises(ConnectionClosedError):
        way.put("key", body=b"x" * size)
    assert way.keys(way.straight) == []
    assert way.proxy.injected == Counter(cut_put=1)


def test_what_lost_its_answer_was_done(way: Way) -> None:
    """So whoever creates a key, and asks again, is told that another did."""
    way.proxy.inject(Faults(lose_answer=1))
    with pytest.raises(ConnectionClosedError):
        way.put("one")
    assert way.keys(way.straight) == ["one"]
    with pytest.raises(ConnectionClosedError):
        way.through.copy_object(Bucket=way.bucket, Key="two", CopySource=f"{way.bucket}/one")
    assert way.keys(way.straight) == ["one", "two"]
    with pytest.raises(ConnectionClosedError):
        way.through.delete_object(Bucket=way.bucket, Key="one")
    assert way.keys(way.straight) == ["two"]
    with pytest.raises(ConnectionClosedError):
        way.through.delete_objects(Bucket=way.bucket, Delete={"Objects": [{"Key": "two"}]})
    assert way.keys(way.straight) == []
    assert way.proxy.injected == Counter(lose_answer=4)


def test_a_store_may_know_no_conditions(way: Way) -> None:
    way.put("key")
    there = {"Bucket": way.bucket, "Key": "key"}
    with pytest.raises(ClientError):
        way.through.put_object(**there, Body=b"other", IfNoneMatch="*")
    way.proxy.inject(Faults(ignore_conditions=True))
    way.through.put_object(**there, Body=b"other", IfNoneMatch="*")
    assert way.straight.get_object(**there)["Body"].read() == b"other"


def test_a_late_list_lacks_what_is_new(way: Way) -> None:
    way.proxy.inject(Faults(late_list_seconds=3600))
    way.straight.put_object(Bucket=way.bucket, Key="old/a", Body=b"")
    way.put("old/new é+ &<", "new/b/c", "new/d")
    assert way.keys(way.through) == ["old/a"]
    assert way.keys(way.straight) == ["new/b/c", "new/d", "old/a", "old/new é+ &<"]
    folders = way.through.list_objects_v2(Bucket=way.bucket, Delimiter="/")
    assert [found["Prefix"] for found in folders["CommonPrefixes"]] == ["old/"]
    assert folders["KeyCount"] == 1
    assert way.through.head_object(Bucket=way.bucket, Key="new/d")["ContentLength"] == 4
    way.proxy.inject(Faults(late_list_seconds=0.001))
    assert way.keys(way.through) == way.keys(way.straight)


def test_a_late_list_has_what_is_written_over_but_not_what_was_deleted_in_between(way: Way) -> None:
    way.put("over", "one", "two")
    time.sleep(1)
    way.put("over")
    way.proxy.inject(Faults(late_list_seconds=1))
    assert way.keys(way.through) == ["one", "over", "two"]

    def without_those_deleted() -> bool:
        way.through.delete_object(Bucket=way.bucket, Key="one")
        way.through.delete_objects(Bucket=way.bucket, Delete={"Objects": [{"Key": "two"}]})
        way.put("one", "two")
        return way.keys(way.through) == ["over"]

    assert any(without_those_deleted() for _ in range(20))  # a second may pass on a busy machine


def test_content_may_come_in_pieces(way: Way) -> None:
    address = way.through.generate_presigned_url("put_object", Params={"Bucket": way.bucket, "Key": "key"})
    with closing(HTTPConnection(way.proxy.endpoint.removeprefix("http://"))) as connection:
        for content in ([b"12", b"345"], [b"6"]):  # one after the other in one connection
            target = address.removeprefix(way.proxy.endpoint)
            connection.request("PUT", target, iter(content), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
            assert way.straight.get_object(Bucket=way.bucket, Key="key")["Body"].read() == b"".join(content)


def test_a_list_may_repeat_what_it_has(way: Way) -> None:
    way.put("a", "b", "c/d")
    way.proxy.inject(Faults(repeat_list=True))
    assert way.keys(way.through) == ["a", "a", "b", "b", "c/d", "c/d"]
    folders = way.through.list_objects_v2(Bucket=way.bucket, Delimiter="/")
    assert [found["Prefix"] for found in folders["CommonPrefixes"]] == ["c/", "c/"]


def test_faults_follow_the_seed_and_the_share(way: Way) -> None:
    def refused(seed: int, keys: str = "") -> list[str]:
        way.proxy.inject(Faults(refuse=0.3, keys=keys, seed=seed))
        before = len(way.proxy.log)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: _head(way, str(number % 30)), range(60)))
        return sorted(seen.target for seen in way.proxy.log[before:] if seen.faults)

    first = refused(1)
    assert 8 <= len(first) <= 30
    assert refused(1) == first
    assert refused(2) != first
    assert refused(1, keys="/7$") == [target for target in first if target.endswith("/7")]


def _head(way: Way, key: str) -> None:
    try:
        way.through.head_object(Bucket=way.bucket, Key=key)
    except ClientError as error:
        assert status(error) in (404, 503)
