"""The public inputs of entry lists: which are wanted, where they are, and how they come to this machine.

Servers are asked for their lists first (``servers.py``), so that all sizes are known before anything is fetched; where a list gives
checksums, files are held against them. ``fetch_task`` is for workers. Wikimedia asks for at most three connections at a time.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import NamedTuple

import msgspec

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.fetch import fetch
from tallyclip.io.files import PART, replacing
from tallyclip.io.web import POLITE, FetchPolicy
from tallyclip.lists.languages import DATABASES
from tallyclip.lists.servers import NAME, RemoteFile, Web, find_dump, find_omw, find_pageviews, find_texts, find_wordnet
from tallyclip.readers.content import reading
from tallyclip.readers.tar import open_tar

DATABASE = re.compile(r"(?:\./)?(?:[\w.-]+/)?dict/(data\.(?:noun|verb|adj|adv))")  # in WordNet's archive; nothing else is unpacked
DATABASE_FILES = ("data.noun", "data.verb", "data.adj", "data.adv")
LARGEST_MEMBER = 64 << 20  # bytes: data.noun has 15 million
SECONDS_BETWEEN_LOOKS = 0.5


class Hosts(msgspec.Struct, frozen=True):
    """Where the inputs are; mirrors have the same paths."""

    hub: str = "https://huggingface.co"
    dumps: str = "https://dumps.wikimedia.org"
    wordnet: str = "https://wordnetcode.princeton.edu"
    omw: str = "https://raw.githubusercontent.com/omwn/omw-data"


class Wanted(msgspec.Struct, frozen=True):
    """What to get; what is not named is left out.

    Args:
        language: the code of a Wikipedia, as in its address.
        wordnet: a version of WordNet, "3.0".
        omw: a wordnet of the Open Multilingual WordNet, by the code in its file's name ("cmn") or by its own name ("iwn").
        omw_revision: a commit, tag or branch.
        wikipedia: a snapshot of the Hub's set of cleaned texts, "20231101".
        dump: the date of a dump of articles, "20240501".
        pageview_days: "2018-04-13".
        pageview_hours: of each of those days, by the names of the files.
    """

    language: str = "en"
    wordnet: str | None = None
    omw: str | None = None
    omw_revision: str = "f75be19ec590da12a7a5665e361690b5badb7a25"
    wikipedia: str | None = None
    dump: str | None = None
    pageview_days: list[str] = []
    pageview_hours: list[int] = msgspec.field(default_factory=lambda: list(range(24)))


class FetchTask(NamedTuple):
    """What a worker needs to know to fetch a file."""

    file: RemoteFile
    folder: Path
    policy: FetchPolicy = POLITE


def find(wanted: Wanted, hosts: Hosts = Hosts(), policy: FetchPolicy = POLITE) -> list[RemoteFile]:  # noqa: B008 - frozen
    """The files that are wanted; nothing but lists is fetched.

    Raises:
        OptionError: something is wanted that cannot be, such as a date that is none.
        SourceError: a server lacks what is wanted (the hint says what it has), or does not answer.
        MissingExtraError: requests is not installed.
    """
    _check(wanted)
    web = Web(policy)
    database = DATABASES.get(wanted.language, wanted.language)
    found: list[RemoteFile] = []
    if wanted.wordnet is not None:
        found.append(find_wordnet(web, hosts.wordnet.rstrip("/"), wanted.wordnet))
    if wanted.omw is not None:
        found.append(find_omw(web, f"{hosts.omw.rstrip('/')}/{wanted.omw_revision}", wanted.omw))
    if wanted.wikipedia is not None:
        found += find_texts(web, hosts.hub.rstrip("/"), wanted.wikipedia, wanted.language, database)
    if wanted.dump is not None:
        found += find_dump(web, hosts.dumps.rstrip("/"), database.replace("-", "_") + "wiki", wanted.dump)
    return found + find_pageviews(web, hosts.dumps.rstrip("/"), wanted.pageview_days, wanted.pageview_hours)


def fetch_file(file: RemoteFile, folder: Path, policy: FetchPolicy = POLITE) -> None:
    """Fetch a file, unless it is there; WordNet's archive is unpacked beside itself.

    Raises:
        SourceError: it cannot be fetched, or is not what it should be; then it is deleted.
        StaleError, OutputError, MissingExtraError: as ``tallyclip.io.fetch.fetch``.
    """
    target = folder / file.target
    is_new = not _is_whole(target, file)
    if is_new:
        fetch(file.url, target, policy)
        if not _is_whole(target, file):
            size = target.stat().st_size
            target.unlink()
            said = f"{file.size or size:,} bytes with {file.checksum or 'no checksum'}"
            hint = "fetch it again; if it stays so, it was changed on the server, or on the way"
            raise SourceError(f"{file.url}: {size:,} bytes came that are not what the server's list says: {said}", hint)
    if target.name.endswith(".tar.gz") and (is_new or not all((target.parent / name).exists() for name in DATABASE_FILES)):
        try:
            _unpack(target)
        except SourceError:
            target.unlink()
            raise


def fetch_task(task: FetchTask, tick: Callable[[int], None]) -> None:
    """Fetch a file in a worker; ``tick`` is told of its bytes, as they come and all in all, also where they were there before."""
    with _ticking(task.folder / task.file.target, tick):
        fetch_file(*task)


def _check(wanted: Wanted) -> None:
    forms = {
        "language": (wanted.language, r"[a-z]+(-[a-z0-9]+)*", "codes are those of Wikipedia's addresses, such as en or zh-yue"),
        "WordNet": (wanted.wordnet, r"[0-9]\.[0-9]", "the papers use 3.0"),
        "wordnet of OMW": (wanted.omw, r"[a-z0-9]+", "codes are such as cmn or fra"),
        "revision of OMW": (wanted.omw_revision, NAME, "give a commit, a tag or a branch"),
        "snapshot": (wanted.wikipedia, "[0-9]{8}", "snapshots are named by their day, such as 20231101"),
        "dump": (wanted.dump, "[0-9]{8}", "dumps are named by their day, such as 20240501"),
    }
    for what, (value, form, hint) in forms.items():
        if value is not None and not re.fullmatch(form, value):
            raise OptionError(f"{value!r}: no {what}", hint)
    for day in wanted.pageview_days:
        try:
            is_day = date.fromisoformat(day).isoformat() == day
        except ValueError:
            is_day = False
        if not is_day:
            raise OptionError(f"{day!r}: no day", "give days as 2018-04-13")
    for hour in wanted.pageview_hours:
        if not 0 <= hour < 24:
            raise OptionError(f"{hour}: no hour", "hours are 0 to 23")


def _is_whole(path: Path, file: RemoteFile) -> bool:
    """Is a file here what the server's list says?"""
    if not path.is_file() or file.size not in (None, path.stat().st_size):
        return False
    if file.checksum is None:
        return True
    kind, _, digest = file.checksum.partition(":")
    with reading(str(path)), path.open("rb") as content:
        return hashlib.file_digest(content, kind).hexdigest() == digest


def _unpack(archive: Path) -> None:
    """The database files in WordNet's archive, beside it; whatever else is in there stays there."""
    found: set[str] = set()
    with open_tar(str(archive)) as tar:
        for member in tar:
            name = DATABASE.fullmatch(member.name)
            if name and member.is_file:
                if member.size > LARGEST_MEMBER:
                    raise SourceError(f"{archive}: {member.name} is larger than {LARGEST_MEMBER >> 20} MiB", "is this WordNet's archive?")
                content = tar.content(member)
                with replacing(archive.parent / name[1]) as part:
                    part.write_bytes(content)
                found.add(name[1])
    if len(found) < len(DATABASE_FILES):
        raise SourceError(f"{archive}: it lacks {', '.join(sorted({*DATABASE_FILES} - found))} of WordNet", "is this WordNet's archive?")


@contextmanager
def _ticking(target: Path, tick: Callable[[int], None]) -> Generator[None]:
    """Tell of a file's bytes while it is being fetched."""
    part, over, told = target.with_name(f".{target.name}{PART}fetch"), threading.Event(), 0

    def tell(path: Path) -> None:
        nonlocal told
        size = path.stat().st_size if path.exists() else 0
        if size > told:  # what is begun again counts once
            tick(size - told)
            told = size

    def watch() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            with suppress(OSError):  # it has just got its name
                tell(part)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    tell(target)
