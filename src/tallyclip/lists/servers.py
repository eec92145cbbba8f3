"""What servers have of the public inputs: the files, and their sizes, checksums and licenses as far as they say.

They are asked for lists alone: the Hub for that of ``wikimedia/wikipedia`` (``/api/datasets/.../tree/main/FOLDER``, JSON in pages, as
``list_repo_tree`` of huggingface_hub reads it), Wikimedia for a dump's ``dumpstatus.json`` and for the web pages that list the dates of
dumps and the hours of page views, and the Open Multilingual WordNet for its ``index.toml``. What is missing is said with what there is.
"""

from __future__ import annotations

import re
import socket
import time
import tomllib
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from tallyclip.errors import SourceError
from tallyclip.extras import load
from tallyclip.io.fetch import BUSY, LATER, MissingFileError
from tallyclip.io.web import FetchPolicy
from tallyclip.io.web import Web as Session

T = TypeVar("T")

HUB_SET = "datasets/wikimedia/wikipedia"
NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]*"  # of a file, as servers may give it: a name of theirs becomes one of ours
LARGEST_LIST = 64 << 20
TRIES = 3  # at most: someone waits for the answer
ENGLISH = "wns/eng/wn-data-eng.tab"  # in the Open Multilingual WordNet, whose index has English without a place


class RemoteFile(msgspec.Struct, frozen=True):
    """A file to fetch.

    Attributes:
        url: its address.
        target: where it goes, in the folder for inputs.
        size: in bytes, if the server says.
        checksum: "sha256:...", "sha1:..." or "md5:...", if the server says.
        license: of its content.
    """

    url: str
    target: str
    size: int | None
    checksum: str | None
    license: str


class _Lfs(msgspec.Struct):
    oid: str
    size: int


class _Entry(msgspec.Struct):
    """A file or folder of the Hub; the ``oid`` of its ``lfs`` is the SHA-256 of what it holds."""

    type: str
    path: str
    size: int = 0
    lfs: _Lfs | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class _DumpFile(msgspec.Struct):
    size: int | None = None
    sha1: str | None = None
    md5: str | None = None


class _Job(msgspec.Struct):
    status: str = "not there"
    files: dict[str, _DumpFile] = {}


class _Status(msgspec.Struct):
    jobs: dict[str, _Job]


class _Package(msgspec.Struct):
    source: str = ""
    license: str = "as its files say"


class _Index(msgspec.Struct):
    packages: dict[str, _Package]
    extra: dict[str, _Package] = {}  # those that are not released by themselves, Persian for its license


def find_wordnet(web: Web, host: str, version: str) -> RemoteFile:
    """The archive of WordNet's database files; its server publishes no checksum."""
    url = f"{host}/{version}/WNdb-{version}.tar.gz"
    try:
        size = web.ask(url, "HEAD").size
    except MissingFileError as error:
        raise SourceError(error.what, "the database files of 3.0 are also in Debian's package wordnet-base") from error
    return RemoteFile(url, f"wordnet-{version}/WNdb-{version}.tar.gz", size, None, "WordNet license")


def find_omw(web: Web, base: str, code: str) -> RemoteFile:
    """The tab file of a wordnet of the Open Multilingual WordNet, at one revision of it."""
    try:
        index, _ = web.decode(f"{base}/index.toml", lambda content: msgspec.convert(tomllib.loads(content.decode()), _Index))
    except MissingFileError as error:
        raise SourceError(error.what, "check the revision: of https://github.com/omwn/omw-data those from v1.4 on have an index") from error
    known: dict[str, tuple[str, str]] = {}
    for name, package in (*index.packages.items(), *index.extra.items()):
        tab = re.fullmatch(rf"({NAME}/)*wn-data-([a-z]+)\.tab", package.source or (ENGLISH if name == "omw-en" else ""))
        if tab:
            known.setdefault(name.removeprefix("omw-"), (tab[0], package.license))
            known.setdefault(tab[2], (tab[0], package.license))
    if code not in known:
        raise SourceError(f"{base}/index.toml: it has no wordnet {code}", f"it has {', '.join(sorted(known))}")
    source, terms = known[code]
    url, terms = f"{base}/{source}", "WordNet license" if terms == "wordnet" else terms
    return RemoteFile(url, f"omw/{url.rpartition('/')[2]}", web.ask(url, "HEAD").size, None, terms)


def find_texts(web: Web, host: str, snapshot: str, language: str, database: str) -> list[RemoteFile]:
    """The Parquet files of one Wikipedia in the Hub's set of cleaned texts, which has it by the name of its database."""
    folder, tree = f"{snapshot}.{database}", f"{host}/api/{HUB_SET}/tree/main"
    try:
        entries = web.entries(f"{tree}/{folder}")
    except MissingFileError as error:
        folders = [entry.name.partition(".") for entry in web.entries(tree) if re.fullmatch(r"[0-9]{8}\..+", entry.name)]
        snapshots = sorted({when for when, _, code in folders if code == database})
        languages = sorted({code for when, _, code in folders if when == snapshot})
        if snapshots:
            hint = f"of {database} there is {', '.join(snapshots)}"
        elif languages:
            hint = f"{snapshot} has {', '.join(languages)}"
        else:
            hint = f"there is {', '.join(sorted({when for when, _, _ in folders})) or 'no snapshot'}, and {database} in none"
        raise SourceError(f"{host}/{HUB_SET}: there is no {folder}", hint) from error
    files = [entry for entry in entries if entry.type == "file" and re.fullmatch(rf"{NAME}\.parquet", entry.name)]
    if not files:
        raise SourceError(f"{tree}/{folder}: there is no Parquet file in it")
    return [
        RemoteFile(
            f"{host}/{HUB_SET}/resolve/main/{folder}/{entry.name}",
            f"wikipedia/{snapshot}.{language}/{entry.name}",
            entry.lfs.size if entry.lfs else entry.size,
            f"sha256:{entry.lfs.oid}" if entry.lfs else None,
            "CC BY-SA and GFDL",
        )
        for entry in files
    ]


def find_dump(web: Web, host: str, wiki: str, day: str) -> list[RemoteFile]:
    """The articles of a wiki as of a day; not the indexes of their streams, which nobody here needs."""
    base = f"{host}/{wiki}/{day}"
    try:
        status, _ = web.decode(f"{base}/dumpstatus.json", lambda content: msgspec.json.decode(content, type=_Status))
    except MissingFileError as error:
        raise SourceError(f"{host}: there is no dump of {wiki} of {day}", _dates(web, host, wiki)) from error
    job = status.jobs.get("articlesmultistreamdump", _Job())
    if job.status != "done":
        raise SourceError(f"{base}: the dump is not complete: {job.status}", f"wait, or take another: {_dates(web, host, wiki)}")
    odd = [name for name in job.files if not re.fullmatch(NAME, name)]
    if odd or not job.files:
        raise SourceError(f"{base}/dumpstatus.json: its files have odd names: {odd or 'none'}")
    return [
        RemoteFile(
            f"{base}/{name}",
            f"dumps/{wiki}-{day}/{name}",
            said.size,
            f"sha1:{said.sha1}" if said.sha1 else f"md5:{said.md5}" if said.md5 else None,
            "CC BY-SA and GFDL",
        )
        for name, said in job.files.items()
        if "-multistream-index" not in name
    ]


def _dates(web: Web, host: str, wiki: str) -> str:
    try:
        page = web.ask(f"{host}/{wiki}/").content.decode("utf-8", "replace")
    except MissingFileError:
        return f"there is no {wiki} at all: language codes are those of Wikipedia's addresses"
    days = sorted(set(re.findall(r'href="([0-9]{8})/?"', page)))
    return f"there are those of {', '.join(days) or 'no day'}; old ones are deleted after some months"


def find_pageviews(web: Web, host: str, days: Sequence[str], hours: Sequence[int]) -> list[RemoteFile]:
    """By the lists of months: one question for 700 files, and they say sizes too (to the byte, if they are Wikimedia's own)."""
    found: list[RemoteFile] = []
    months: dict[str, dict[str, int | None]] = {}
    for day in dict.fromkeys(days):
        base = f"{host}/other/pageviews/{day[:4]}/{day[:7]}"
        if base not in months:
            try:
                page = web.ask(f"{base}/").content.decode("utf-8", "replace")
            except MissingFileError as error:
                raise SourceError(f"{host}: there are no page views of {day}", "they begin with May 2015, some hours late") from error
            listed = re.findall(r'href="(pageviews-[0-9]{8}-[0-9]{6}\.gz)".*?</a>(?:\s+\S+ \S+\s+([0-9]+)(?![0-9.]*[KMG]))?', page)
            months[base] = {name: int(size) if size else None for name, size in listed}
        for hour in dict.fromkeys(hours):
            name = f"pageviews-{day.replace('-', '')}-{hour:02}0000.gz"
            if name not in months[base]:
                have = sorted(other[19:21] for other in months[base] if other.startswith(name[:19]))
                raise SourceError(f"{base}/{name}: there is no such file", f"of {day} there are the hours {', '.join(have) or 'none'}")
            found.append(RemoteFile(f"{base}/{name}", f"pageviews/{name}", months[base][name], None, "CC0"))
    return found


class _LaterError(Exception):
    """An answer that may be another next time."""


class _Answer(NamedTuple):
    content: bytes
    size: int | None  # as the headers say
    following: str | None  # the address of the next page


class Web:
    """Small questions to servers, asked again where the answer may be another next time."""

    def __init__(self, policy: FetchPolicy) -> None:
        self._requests = load("requests", "requests", "metadata")
        self._session = Session(msgspec.structs.replace(policy, largest=LARGEST_LIST), "metadata")
        self._policy = policy

    def ask(self, url: str, method: str = "GET") -> _Answer:
        """A whole answer.

        Raises:
            SourceError: there is none, or none that is of use; ``MissingFileError`` if there is no such thing.
        """
        said, tries = "", min(TRIES, self._policy.tries)
        for tried in range(tries):
            if tried:
                time.sleep(min(self._policy.first_wait * 2 ** (tried - 1), self._policy.longest_wait))
            try:
                return self._ask_once(url, method)
            except _LaterError as error:
                said = " ".join(str(error).split())
        raise SourceError(f"{url}: {said}; given up after {tries} tries", "try again later")

    def _ask_once(self, url: str, method: str) -> _Answer:
        content = b""
        try:
            with self._session.request(url, method) as response:
                for piece in response.iter_content(1 << 16):
                    content += piece
                    if len(content) > LARGEST_LIST:
                        raise SourceError(f"{url}: larger than {LARGEST_LIST >> 20} MiB", "this is no list of files")
        except self._requests.RequestException as error:
            if isinstance(error, ValueError):  # an address that is none
                raise SourceError(f"{url}: {error}", "check the address") from error
            cause: BaseException = error  # requests and urllib3 wrap what they wrap in three ways
            while inner := [e for e in (cause.__cause__, getattr(cause, "reason", None), *cause.args) if isinstance(e, BaseException)]:
                cause = inner[0]
            if isinstance(cause, socket.gaierror):
                raise SourceError(f"{urlsplit(url).hostname}: no such host, or no network", "--host NAME=URL names a mirror") from error
            raise _LaterError(str(cause) or type(cause).__name__) from error
        status, said = response.status_code, f"the server answers {response.status_code} {response.reason or ''}".rstrip()
        if status in (404, 410):
            raise MissingFileError(f"{url}: {said}", "there is no such file: check the address")
        if status in BUSY or status >= 500:
            raise _LaterError(said)
        if method == "HEAD" and status in (405, 501):  # a server that knows no such question
            return _Answer(b"", None, None)
        if status != 200:
            raise SourceError(f"{url}: {said}", "check the address and your access to it")
        size = response.headers.get("Content-Length", "")
        return _Answer(content, int(size) if re.fullmatch("[0-9]{1,18}", size) else None, response.links.get("next", {}).get("url"))

    def decode(self, url: str, decode: Callable[[bytes], T]) -> tuple[T, _Answer]:
        """An answer, and what it says."""
        answer = self.ask(url)
        try:
            return decode(answer.content), answer
        except (msgspec.MsgspecError, ValueError) as error:
            raise SourceError(f"{url}: not the list that was expected: {error}", "is this the right host, or a page of another?") from error

    def entries(self, url: str) -> list[_Entry]:
        """A list of the Hub, of all its pages."""
        found: list[_Entry] = []
        asked: set[str] = set()
        page: str | None = url
        while page is not None:
            if page in asked:
                raise SourceError(f"{page}: the list comes back to where it was", LATER)
            asked.add(page)
            entries, answer = self.decode(page, lambda content: msgspec.json.decode(content, type=list[_Entry]))
            found += entries
            # Only the cursor is taken: a mirror may hand on addresses of the host that it mirrors.
            page = answer.following and urljoin(url, f"?{urlsplit(answer.following).query}")
        return found
