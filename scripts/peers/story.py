"""From a pool to shards by way of the real img2dataset, beside DataComp's resharder: do uids, captions, images and counts all meet?

See README.md here. Prints a line for each comparison. If anything does not meet, nothing is stored, and the exit code is 1.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import zstandard
from scripts.peers.pictures import Web, write_pool
from tests.shards import DOWNLOADS, PEERS, TarSample, digest, read_shards

pc: Any = pyarrow.compute
HERE = Path(__file__).resolve().parent
DATACOMP = os.environ.get("DATACOMP", "https://github.com/mlfoundations/datacomp")
COMMIT = "4a8df1992566ef8334773f7152e1855b1f716162"
POOL_IMAGES, POOL_TEXTS = 240, 3  # what was downloaded has to fit into a repository
TAIL_SHARE = 0.1
PER_SHARD = 100


def command(*arguments: object, folder: Path, **variables: str) -> str:
    """Run a command in a folder and return what it prints; if it fails, show what it says."""
    words = [str(argument) for argument in arguments]
    done = subprocess.run(words, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"$ {shlex.join(words)}\n{done.stdout}{done.stderr}\nended with {done.returncode}")
    return done.stdout


def tallyclip(*arguments: object, folder: Path) -> str:
    """Run our own command, and show it."""
    print(f"$ tallyclip {shlex.join(map(str, arguments))}", flush=True)
    return command(sys.executable, "-m", "tallyclip", *arguments, folder=folder)


def environment(folder: Path, name: str) -> Path:
    """The Python of a program's own environment, which is made if it is not there."""
    python, made = folder / name / "bin" / "python", folder / name / "made"
    if not made.exists():
        command(sys.executable, "-m", "venv", "--clear", folder / name, folder=folder)
        command(python, "-m", "pip", "install", "--quiet", "--requirement", HERE / f"requirements-{name}.txt", folder=folder)
        made.touch()
    return python


def datacomp(folder: Path) -> Path:
    """DataComp's resharder, as it is at the commit."""
    repository = folder / "datacomp"
    if not repository.exists():
        command("git", "clone", "--quiet", "--no-checkout", DATACOMP, repository, folder=folder)
    command("git", "checkout", "--quiet", COMMIT, "--", "resharder.py", folder=repository)
    return repository / "resharder.py"


class Meets:
    """Compares, says what was compared, and remembers whether all met."""

    def __init__(self) -> None:
        self.all = True

    def __call__(self, what: str, first: Any, second: Any) -> None:
        same = bool(first == second)
        self.all &= same
        print(f"{'✓' if same else '✗'} {what}" + ("" if same else f": {str(first)[:300]} | {str(second)[:300]}"), flush=True)


def uids_of(path: Path) -> list[str]:
    """The uids of a uids.npy, as they are printed."""
    return [f"{high:016x}{low:016x}" for high, low in np.load(path).tolist()]


def rows_of(folder: Path, *columns: str) -> list[dict[str, Any]]:
    """The rows of all Parquet files of a folder."""
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path, columns=list(columns)).to_pylist()]


def download(rows: Path, into: Path, printed: str, python: Path, web: Web) -> dict[str, int]:
    """Download with the command that 'export downloads' prints, in small shards and without patience.

    Returns how many rows succeeded and how many failed, by what img2dataset says.
    """
    (line,) = (line for line in printed.splitlines() if "img2dataset --" in line)
    given = shlex.split(line[line.index("img2dataset --") :])[1:]
    options = dict(zip(given[::2], given[1::2], strict=True))
    options |= {"--url_list": str(rows), "--output_folder": str(into), "--number_sample_per_shard": str(PER_SHARD)}
    options |= {"--processes_count": "2", "--thread_count": "8", "--timeout": "2", "--retries": "0"}
    print(f"$ img2dataset --url_list {rows.name} ... --output_folder {into.name}", flush=True)
    words = [word for option in options.items() for word in option]
    command(python.with_name("img2dataset"), *words, folder=into.parent, **web.environment, NO_ALBUMENTATIONS_UPDATE="1")
    said = (row["error_message"] or row["status"] for row in rows_of(into, "status", "error_message"))
    return dict(sorted(Counter(re.sub(r"\d+ (?=bytes|more)", "N ", reason) for reason in said).items()))


def downloaded(images: Path) -> set[str]:
    """The addresses that img2dataset has a picture of."""
    return {row["url"] for row in rows_of(images, "url", "status") if row["status"] == "success"}


def alive(images: Path, web: Web) -> set[str]:
    """The addresses at which there is a picture, of those that img2dataset was given."""
    return {row["url"] for row in rows_of(images, "url") if web.has(row["url"])}


def balance_survivors(work: Path, images: Sequence[str], out: str, meets: Meets) -> dict[str, Any]:
    """Balance what of the run was downloaded, and compare it with a run over just these pairs of the pool.

    Returns its figures.
    """
    tallyclip("survivors", "run", *given(images), "--tail-share", TAIL_SHARE, "--out", out, folder=work)
    survived = {row["uid"] for folder in images for row in rows_of(work / folder, "uid", "status") if row["status"] == "success"}
    (curated,) = (work / "run" / "curated").glob("*.parquet")
    pool = pq.read_table(curated, columns=["url", "text", "uid"])
    alone = f"{out}-alone"
    pq.write_table(pool.filter(pc.is_in(pool["uid"], pa.array(sorted(survived)))).drop(["uid"]), work / f"{alone}.parquet")
    tallyclip("curate", f"{alone}.parquet", "--metadata", "wordnet", "--tail-share", TAIL_SHARE, "--out", alone, folder=work)
    for name in ("entry_counts.json", "entry_counts_curated.json", "uids.npy"):
        first, second = ((work / run / name).read_bytes() for run in (out, alone))
        meets(f"{name} of the survivors, and of a run over them alone", first, second)
    thresholds = [json.loads((work / run / "plan" / "plan.json").read_text())["t"] for run in (out, alone)]
    meets("t of the survivors, and of a run over them alone", *thresholds)
    uids = work / out / "uids.npy"
    return {
        "survived": len(survived),
        "t": thresholds[0],
        "uids": len(uids_of(uids)),
        "digest": hashlib.sha256(uids.read_bytes()).hexdigest(),
    }


def given(images: Sequence[str]) -> list[str]:
    """Folders of images as options of a command."""
    return [word for folder in images for word in ("--images", folder)]


def reshard(python: Path, resharder: Path, images: Path, uids: Path, into: Path) -> list[TarSample]:
    """What DataComp's resharder writes of a folder of tars, as one sequence."""
    into.mkdir()
    formats = {"--shard-format": "{:05d}.tar", "--shard-stats-format": "{:05d}_stats.json", "--output-shard-format": "{:05d}.tar"}
    options = [word for option in formats.items() for word in option]
    command(python, resharder, "-i", images, "-o", into, "-s", uids, "-j", "1", *options, folder=into, NO_ALBUMENTATIONS_UPDATE="1")
    return read_shards(into)


def first_of_each(samples: Sequence[TarSample]) -> dict[str, TarSample]:
    """The samples by their uids: of several of one uid the first."""
    return {sample.uid: sample for sample in reversed(samples)}


def store(work: Path, names: Sequence[str]) -> None:
    """Write the pool and the downloads to where the gate has them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in [path for name in names for path in ([work / name] if (work / name).is_file() else sorted((work / name).iterdir()))]:
            tar.add(path, str(path.relative_to(work)), filter=anonymous)
    parameters = zstandard.ZstdCompressionParameters.from_level(22, window_log=23)
    DOWNLOADS.write_bytes(zstandard.ZstdCompressor(compression_params=parameters).compress(packed.getvalue()))


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member of no time and nobody."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def story(folder: Path, meets: Meets) -> dict[str, Any]:
    """Go the whole way, store what was downloaded, and return the figures."""
    img2dataset, resharder = environment(folder, "img2dataset"), environment(folder, "resharder")
    script = datacomp(folder)
    work = Path(tempfile.mkdtemp(prefix="story-", dir=folder))
    rows = write_pool(work / "pool.parquet", POOL_IMAGES, POOL_TEXTS)
    tallyclip("curate", "pool.parquet", "--metadata", "wordnet", "--t", "inf", "--out", "run", folder=work)
    printed = tallyclip("export", "downloads", "run", "--out", "export", folder=work)
    asked = rows_of(work / "export" / "downloads", "uid")
    curated = uids_of(work / "run" / "uids.npy")
    meets("uids of the downloads, and of the curated set", sorted({row["uid"] for row in asked}), curated)
    with Web() as web:
        once = download(work / "export" / "downloads", work / "images", printed, img2dataset, web)
        meets("rows of img2dataset, and of the downloads", sum(once.values()), len(asked))
        survived = {"images": balance_survivors(work, ["images"], "once", meets)}
        meets("pictures of the first download, and of the web", downloaded(work / "images"), alive(work / "images", web))
        retry = rows_of(work / "once" / "retry", "uid")
        failed = [row["uid"] for row in rows_of(work / "images", "uid", "status") if row["status"] != "success"]
        meets("rows to try again, and failures", sorted(row["uid"] for row in retry), sorted(failed))
        web.is_well = True
        again = download(work / "once" / "retry", work / "again", printed, img2dataset, web)
        meets("pictures of the second download, and of the web", downloaded(work / "again"), alive(work / "again", web))
    both = ["images", "again"]
    survived["images and again"] = balance_survivors(work, both, "both", meets)

    tallyclip("export", "webdataset", "both", *given(both), "--out", "export-both", "--shard-size", PER_SHARD, folder=work)
    uids = work / "both" / "uids.npy"
    ours = read_shards(work / "export-both" / "shards")
    theirs = [sample for name in sorted(both) for sample in reshard(resharder, script, work / name, uids, work / f"resharded-{name}")]
    meets("uids of our shards, and of the survivors", sorted(sample.uid for sample in ours), uids_of(uids))
    meets("uids of our shards, and of the resharder's, in order", [s.uid for s in ours], list(dict.fromkeys(s.uid for s in theirs)))
    meets("uids, captions and images of our shards, and of the resharder's", digest(ours), digest(theirs))
    fields = first_of_each(theirs)
    meets(
        "the json's of our shards have what the resharder's have", [s.fields | fields[s.uid].fields for s in ours], [s.fields for s in ours]
    )
    sizes = json.loads((work / "export-both" / "shards" / "sizes.json").read_text())
    meets("sizes.json, and samples", sum(sizes.values()), len(ours))
    through = reshard(resharder, script, work / "export-both" / "shards", uids, work / "resharded-export")
    meets("our shards, and what the resharder makes of them", [s[1:4] for s in through], [s[1:4] for s in ours])
    tallyclip("export", "uids", "both", "--repeats", "--out", "export-both", folder=work)
    repeats = work / "export-both" / "uids.npy"
    weighted = reshard(resharder, script, work / "export-both" / "shards", repeats, work / "resharded-repeats")
    curated_again = sorted(row["uid"] for row in rows_of(work / "both" / "curated", "uid"))
    meets("uids of the curated set with repeats, and what the resharder writes", sorted(s.uid for s in weighted), curated_again)

    if meets.all:
        store(work, ["pool.parquet", *both])
    return {
        "programs": {"img2dataset": "1.47.0", "datacomp": COMMIT},
        "asked": {"tail_share": TAIL_SHARE, "shard_size": PER_SHARD},
        "pool": {"rows": rows, "curated": len(curated), "downloads": len(asked)},
        "img2dataset": {"images": once, "again": again},
        "survivors": survived,
        "shards": {"samples": len(ours), "digest": digest(ours)},
        "resharder": {"samples": len(theirs), "repeats": len(theirs) - len(fields), "digest": digest(theirs)},
    }


def main() -> int:
    """Go the way in the folder of the command line, or in a temporary one."""
    meets = Meets()
    with contextlib.ExitStack() as stack:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        results = story(folder, meets)
    if not meets.all:
        return 1
    PEERS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
