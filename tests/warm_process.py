"""A process that has imported what commands import, and forks itself for each one that it is asked to run. ``warm.py`` starts it and asks.

To import and to load compiled code takes a command two seconds, and the process that its workers are forked from two more: most of the
time of most tests of commands. Here both are forked from this process, which is as they would be: it has imported, and done no work.
All else is as ever: a command is a process, with its folder, environment, streams, signals and exit code, and so are its workers.

A script that imports nothing of the tests, and is no module: its folder is not on the path of a command.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing import util
from types import ModuleType
from typing import Any

MODULES = (
    *("tallyclip.cli.app", "tallyclip.cli.show", "tallyclip.cli.progress", "tallyclip.report.plots", "tallyclip.report.pages"),
    *("typer._adapters", "tallyclip.stages.warm", "tallyclip.stages.ngrams", "tallyclip.flows.curate", "tallyclip.exports"),
)
LARGEST = 1 << 20
FREE = 200  # a file descriptor that none here reaches
FORK_SERVER = "from multiprocessing.forkserver import main"
Asked = dict[str, Any]


def received(asking: socket.socket) -> tuple[Asked, list[int]] | None:
    """What is asked for, and the file descriptors that come with it; None when nobody can ask any more."""
    message, descriptors, _, _ = socket.recv_fds(asking, LARGEST, 4)
    return (json.loads(message), list(descriptors)) if message else None


def become(asked: Asked, descriptors: Sequence[int], places: Sequence[int]) -> None:
    """Take on the folder, the environment and the file descriptors of a process that is started so."""
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, FREE) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, place in zip(moved, places, strict=True):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])


def asked_commands(asking: socket.socket) -> Iterator[Asked]:
    """Fork a process for each command; the iterator ends there, after the one that it is to be."""
    while (given := received(asking)) is not None:
        asked, descriptors = given
        if (pid := os.fork()) == 0:
            asking.close()
            become(asked, descriptors, (1, 2))
            yield asked
            return
        for descriptor in descriptors:
            os.close(descriptor)
        asking.send(b"%d\n" % pid)
        asking.send(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def stand_by() -> None:
    """Fork a process that becomes the fork server of this command, when it starts one, or ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if (pid := os.fork()) == 0:
        ours.close()
        given = received(theirs)
        if given is None:
            os._exit(0)
        theirs.close()
        asked, descriptors = given
        become(asked, descriptors, asked["places"])
        signal.pthread_sigmask(signal.SIG_SETMASK, asked["blocked"])
        sys.modules["__main__"] = ModuleType("__main__")
        with suppress(SystemExit):
            exec(asked["code"], {})
        os._exit(0)  # it has nothing to say or to write, and to take its modules apart would only take time
    theirs.close()
    start = util.spawnv_passfds

    def start_or_ask(path: bytes, arguments: Sequence[Any], descriptors: Sequence[int]) -> int:
        code = str(arguments[-1])
        if not code.startswith(FORK_SERVER):
            return start(path, arguments, descriptors)
        blocked = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])]
        asked = {"code": code, "places": [*descriptors], "blocked": blocked, "folder": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(ours, [json.dumps(asked).encode()], descriptors)
        ours.close()
        util.spawnv_passfds = start
        return pid

    util.spawnv_passfds = start_or_ask


def main() -> None:
    """Import, then run what is asked for."""
    sys.path[0] = os.path.dirname(sys.argv[1])
    asking = socket.socket(fileno=int(sys.argv[2]))
    for module in MODULES:
        import_module(module)
    gc.freeze()  # or else every process looks through all of it, and copies it as it does
    for asked in asked_commands(asking):
        sys.argv = asked["command"]
        stand_by()
        import_module("tallyclip.cli").main()


main()
