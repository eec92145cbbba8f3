"""The servers that tests of runs on object stores use do what those tests take for granted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import s3fs
from botocore.exceptions import ClientError

from tests.run.stores import BUCKET, client, environment_for, moto_server, new_bucket, reach

__all__ = ["reach"]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


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


def test_of_many_who_create_a_key_at_once_one_does(moto: str) -> None:
    writer = client(moto)

    def create(number: int, key: str) -> int:
        try:
            writer.put_object(Bucket=BUCKET, Key=key, Body=b"%d" % number, IfNoneMatch="*")
        except ClientError as error:
            return status(error)
        return 200

    with ThreadPoolExecutor(8) as pool:
        for key in map(str, range(10)):
            answers = list(pool.map(lambda number, key=key: create(number, key), range(8)))
            assert sorted(answers) == [200, *[412] * 7]
            assert writer.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"%d" % answers.index(200)
