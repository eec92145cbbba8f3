"""Python imports a module of this name as it starts, so a process that has this folder on its path takes pictures of a run folder,
or kills workers.

Before every rename in the folder RUN_FOLDER, by the command or by a worker of its, a copy of the folder goes to SNAPSHOTS: it is what a
process that is killed there leaves behind. With one worker, never more than one process is at work.

A worker that is about to rename a part to a path that the pattern KILL_AT is found in leaves half of the part and is killed, once for
each path: KILLED holds a file for each.
"""

import hashlib
import os
import re
import shutil
import signal
import sys

RUN_FOLDER = os.environ.get("RUN_FOLDER", "")
SNAPSHOTS = os.environ.get("SNAPSHOTS", "")
KILL_AT = os.environ.get("KILL_AT", "")
KILLED = os.environ.get("KILLED", "")


def take_picture(event: str, arguments: tuple) -> None:
    if event == "os.rename" and os.fspath(arguments[1]).startswith(RUN_FOLDER):
        shutil.copytree(RUN_FOLDER, f"{SNAPSHOTS}/{len(os.listdir(SNAPSHOTS)):03d}")


def is_worker() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def kill_worker(event: str, arguments: tuple) -> None:
    if event != "os.rename" or not is_worker():
        return
    part, path = map(os.fspath, arguments[:2])
    mark = os.path.join(KILLED, hashlib.sha256(path.encode()).hexdigest())
    if ".part-" in part and re.search(KILL_AT, path) and not os.path.exists(mark):
        with open(mark, "w") as file:
            file.write(path)
        os.truncate(part, os.path.getsize(part) // 2)
        os.kill(os.getpid(), signal.SIGKILL)


if SNAPSHOTS:
    sys.addaudithook(take_picture)
if KILL_AT:
    sys.addaudithook(kill_worker)
