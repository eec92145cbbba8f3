"""Commands that need not import anything first: run by ``warm_process.py``, which says how."""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from signal import SIGKILL

PROCESS = Path(__file__).with_name("warm_process.py")
BESIDES = {"PYTEST_CURRENT_TEST"}  # what a test may have in its environment that the process had not
_alone = threading.Lock()


class _Warm:
    """The process. It is started when first asked, and ends with this one."""

    def __init__(self, command: Path) -> None:
        self._environment = _environment()
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            place = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, PROCESS, command, str(place)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # as a command's: Python asks what its streams are as it starts
                stderr=subprocess.PIPE,
                pass_fds=[place],
            )
        atexit.register(self._end)

    def _end(self) -> None:
        self._asking.close()
        self._process.communicate()

    def can_run(self) -> bool:
        """Was it started in the environment of now, which commands may look at while they import?"""
        return self._environment == _environment()

    def run(self, command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        (out, its_out), (err, its_err) = os.pipe(), os.pipe()
        asked = {"command": command, "folder": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(self._asking, [json.dumps(asked).encode()], [its_out, its_err])
        os.close(its_out)
        os.close(its_err)
        pid = int(self._asking.recv(99))
        late = threading.Event()

        def kill() -> None:
            late.set()
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)

        timer = threading.Timer(timeout, kill)
        timer.start()
        said: dict[int, str] = {}

        def read(pipe: int) -> None:
            with open(pipe) as file:
                said[pipe] = file.read()

        reader = threading.Thread(target=read, args=(err,))
        reader.start()
        read(out)
        reader.join()
        code = int(self._asking.recv(99))
        timer.cancel()
        if late.is_set():
            raise subprocess.TimeoutExpired(command, timeout, said[out], said[err])
        return subprocess.CompletedProcess(command, code, said[out], said[err])


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in BESIDES}


@cache
def _warm(command: Path) -> _Warm:
    return _Warm(command)


def run_warm(command: Path, arguments: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str] | None:
    """Run a command to its end, and return what came of it; or None, with nothing done, where it is to be started as any other.

    So it is where it would see another environment, while another runs, and off Linux, where a process that has run compiled code had
    better not be forked.
    """
    if sys.platform != "linux" or not _alone.acquire(blocking=False):
        return None
    try:
        warm = _warm(command)
        return warm.run([str(command), *arguments], timeout) if warm.can_run() else None
    finally:
        _alone.release()
