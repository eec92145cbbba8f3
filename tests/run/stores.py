"""Object stores on this machine, for tests: servers are processes of their own, so that no test shares its lock with them."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BUCKET = "runs"


@contextmanager
def process(command: Sequence[str | Path]) -> Generator[subprocess.Popen[str]]:
    """One that ends when its input does, also where these tests are killed."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as started:
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def server(command: Sequence[str | Path]) -> Generator[str]:
    """The endpoint of a process that says its port, with an empty bucket."""
    with process(command) as started:
        assert started.stdout is not None
        port = started.stdout.readline().strip()
        assert port, f"{command} did not start"
        endpoint = f"http://127.0.0.1:{port}"
        client(endpoint).create_bucket(Bucket=BUCKET)
        yield endpoint


@contextmanager
def moto_server() -> Generator[str]:
    """Moto's S3 server, which takes any key and secret: its endpoint, with an empty bucket."""
    with server([sys.executable, Path(__file__).with_name("moto_store.py")]) as endpoint:
        yield endpoint


def environment_for(endpoint: str) -> dict[str, str]:
    """What programs need to find such a server, and no other."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": "S3RVER",  # the only ones that s3rver knows
        "AWS_SECRET_ACCESS_KEY": "S3RVER",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client(endpoint: str) -> Any:
    """Boto3's, which tries nothing twice, so that tests see what happens."""
    import boto3
    from botocore.config import Config

    settings = environment_for(endpoint)
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        region_name=settings["AWS_DEFAULT_REGION"],
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def new_bucket(endpoint: str) -> str:
    """The name of a bucket that nobody else has."""
    name = f"runs-{uuid.uuid4().hex}"
    client(endpoint).create_bucket(Bucket=name)
    return name


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Lets this process, and those that it starts, find the server of an endpoint: ``reach(endpoint)``."""
    import s3fs

    def by_environment(endpoint: str) -> None:
        for name, value in environment_for(endpoint).items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        s3fs.S3FileSystem.clear_instance_cache()

    yield by_environment
    s3fs.S3FileSystem.clear_instance_cache()
