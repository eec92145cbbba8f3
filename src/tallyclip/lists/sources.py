"""The public inputs of entry lists: which are wanted, on which servers, and how they are fetched.

Listings of the servers come first (``servers.py``), so that all sizes are known before any file is fetched. Files are checked against the
checksums in these listings, where there are any. ``fetch_task`` is for workers. Wikimedia asks for at most three connections at a time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import msgspec

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.fetch import fetch
from tallyclip.io.files import replacing
from tallyclip.io.web import POLITE, FetchPolicy
from tallyclip.lists.languages import DATABASES
from tallyclip.lists.servers import NAME, ListingClient, RemoteFile, find_dump, find_omw, find_pageviews, find_texts, find_wordnet
from tallyclip.readers.content import reading
from tallyclip.readers.tar import open_tar
from tallyclip.wording import plural

DATABASE = re.compile(r"(?:\./)?(?:[\w.-]+/)?dict/(data\.(?:noun|verb|adj|adv))")  # of WordNet's archive; nothing else is unpacked
DATABASE_FILES = ("data.noun", "data.verb", "data.adj", "data.adv")
LARGEST_MEMBER = 64 << 20  # bytes: data.noun has 15 million
NOT_WORDNET = "check that this is WordNet's archive"


class Hosts(msgspec.Struct, frozen=True):
    """The servers of the inputs; mirrors have the same paths."""

    hub: str = "https://huggingface.co"
    dumps: str = "https://dumps.wikimedia.org"
    wordnet: str = "https://wordnetcode.princeton.edu"
    omw: str = "https://raw.githubusercontent.com/omwn/omw-data"


class Wanted(msgspec.Struct, frozen=True):
    """What to fetch; None is not fetched.

    Args:
        language: the code of a Wikipedia, as in its URL.
        wordnet: a version of WordNet, "3.0".
        omw: a wordnet of the Open Multilingual WordNet, by the code in its file's name ("cmn") or by its own name ("iwn").
        omw_revision: a commit, tag or branch.
        wikipedia: a snapshot of the Hub's set of cleaned texts, "20231101".
        dump: the date of a dump of articles, "20240501".
        pageview_days: such as "2018-04-13".
        pageview_hours: of each of those days, as in the names of the files.
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
    """What a worker needs to fetch a file."""

    file: RemoteFile
    folder: Path
    policy: FetchPolicy = POLITE


def find(wanted: Wanted, hosts: Hosts = Hosts(), policy: FetchPolicy = POLITE) -> list[RemoteFile]:  # noqa: B008 - frozen
    """The wanted files; only listings are fetched for that.

    Raises:
        OptionError: a value is not valid, such as a date.
        SourceError: a server lacks something (the hint says what it has), or does not answer.
        MissingExtraError: requests is not installed.
    """
    _check(wanted)
    client = ListingClient(policy)
    database = DATABASES.get(wanted.language, wanted.language)
    found: list[RemoteFile] = []
    if wanted.wordnet is not None:
        found.append(find_wordnet(client, hosts.wordnet.rstrip("/"), wanted.wordnet))
    if wanted.omw is not None:
        found.append(find_omw(client, f"{hosts.omw.rstrip('/')}/{wanted.omw_revision}", wanted.omw))
    if wanted.wikipedia is not None:
        found += find_texts(client, hosts.hub.rstrip("/"), wanted.wikipedia, wanted.language, database)
    if wanted.dump is not None:
        found += find_dump(client, hosts.dumps.rstrip("/"), database.replace("-", "_") + "wiki", wanted.dump)
    return found + find_pageviews(client, hosts.dumps.rstrip("/"), wanted.pageview_days, wanted.pageview_hours)


def fetch_file(file: RemoteFile, folder: Path, policy: FetchPolicy = POLITE, tick: Callable[[int], None] | None = None) -> None:
    """Fetch a file, unless it is there; WordNet's archive is unpacked beside itself.

    Args:
        file: what to fetch.
        folder: for inputs.
        policy: how patient to be with the server.
        tick: called with the number of new bytes, in all the size of the file, also if it was there before.

    Raises:
        SourceError: it cannot be fetched, or differs from the server's listing; then it is deleted.
        StaleError, OutputError, MissingExtraError: as ``tallyclip.io.fetch.fetch``.
    """
    target = folder / file.target
    is_new = not _is_whole(target, file)
    if not is_new and tick is not None:
        tick(target.stat().st_size)
    if is_new:
        fetch(file.url, target, policy, tick)
        if not _is_whole(target, file):
            size = target.stat().st_size
            target.unlink()
            listed = f"{plural(file.size or size, 'byte')} with {file.checksum or 'no checksum'}"
            hint = "fetch it again; if the error stays, the file was changed on the server or during the transfer"
            raise SourceError(f"{file.url}: the {plural(size, 'byte')} received differ from the server's list: {listed}", hint)
    if target.name.endswith(".tar.gz") and (is_new or not all((target.parent / name).exists() for name in DATABASE_FILES)):
        try:
            _unpack(target)
        except SourceError:
            target.unlink()
            raise


def fetch_task(task: FetchTask, tick: Callable[[int], None]) -> None:
    """Fetch a file in a worker; ``tick`` as in ``fetch_file``."""
    fetch_file(*task, tick)


def _check(wanted: Wanted) -> None:
    forms = {
        "language code": (wanted.language, r"[a-z]+(-[a-z0-9]+)*", "codes are those in Wikipedia's URLs, such as en or zh-yue"),
        "WordNet version": (wanted.wordnet, r"[0-9]\.[0-9]", "the papers use 3.0"),
        "OMW wordnet": (wanted.omw, r"[a-z0-9]+", "codes look like cmn or fra"),
        "OMW revision": (wanted.omw_revision, NAME, "give a commit, a tag or a branch"),
        "snapshot": (wanted.wikipedia, "[0-9]{8}", "snapshots are named by date, such as 20231101"),
        "dump": (wanted.dump, "[0-9]{8}", "dumps are named by date, such as 20240501"),
    }
    for what, (value, form, hint) in forms.items():
        if value is not None and not re.fullmatch(form, value):
            raise OptionError(f"{value!r}: not a valid {what}", hint)
    for day in wanted.pageview_days:
        try:
            is_day = date.fromisoformat(day).isoformat() == day
        except ValueError:
            is_day = False
        if not is_day:
            raise OptionError(f"{day!r}: not a valid date", "give dates as YYYY-MM-DD, such as 2018-04-13")
    for hour in wanted.pageview_hours:
        if not 0 <= hour < 24:
            raise OptionError(f"{hour}: not a valid hour", "hours are 0 to 23")


def _is_whole(path: Path, file: RemoteFile) -> bool:
    """Is a local file the one in the server's list?"""
    if not path.is_file() or file.size not in (None, path.stat().st_size):
        return False
    if file.checksum is None:
        return True
    kind, _, digest = file.checksum.partition(":")
    with reading(str(path)), path.open("rb") as content:
        return hashlib.file_digest(content, kind).hexdigest() == digest


def _unpack(archive: Path) -> None:
    """Unpack the database files of WordNet's archive beside it, and nothing else."""
    found: set[str] = set()
    with open_tar(str(archive)) as tar:
        for member in tar:
            name = DATABASE.fullmatch(member.name)
            if name and member.is_file:
                if member.size > LARGEST_MEMBER:
                    raise SourceError(f"{archive}: {member.name} is larger than {LARGEST_MEMBER >> 20} MiB", NOT_WORDNET)
                content = tar.content(member)
                with replacing(archive.parent / name[1]) as part:
                    part.write_bytes(content)
                found.add(name[1])
    if len(found) < len(DATABASE_FILES):
        raise SourceError(f"{archive}: missing {', '.join(sorted({*DATABASE_FILES} - found))}", NOT_WORDNET)
