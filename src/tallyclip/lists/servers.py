"""The files of the public inputs on their servers, with their sizes, checksums and licenses where the servers give them.

Only listings are requested: of the Hub that of ``wikimedia/wikipedia`` (``/api/datasets/.../tree/main/FOLDER``, JSON in pages, as
``list_repo_tree`` of huggingface_hub reads it), of Wikimedia a dump's ``dumpstatus.json`` and the web pages that list the dates of dumps
and the hours of page views, of the Open Multilingual WordNet its ``index.toml``. If something is missing, the error lists what exists.
"""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from tallyclip.errors import SourceError
from tallyclip.io.fetch import LATER, MissingFileError, TryAgainError, check_status, persist, root_cause, size_of, web_errors
from tallyclip.io.web import FetchPolicy, Web

T = TypeVar("T")

HUB_SET = "datasets/wikimedia/wikipedia"
NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]*"  # file names accepted from servers, since they become names of our files
LARGEST_LIST = 64 << 20
TRIES = 3  # at most: someone waits for the answer
ENGLISH = "wns/eng/wn-data-eng.tab"  # the index of the Open Multilingual WordNet gives no path for English


class RemoteFile(msgspec.Struct, frozen=True):
    """A file to fetch.

    Attributes:
        url: where it is.
        target: its path in the folder for inputs.
        size: in bytes, if the server gives it.
        checksum: "sha256:...", "sha1:..." or "md5:...", if the server gives it.
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


class _HubFile(msgspec.Struct):
    """A file or folder of the Hub; the ``oid`` of its ``lfs`` is the SHA-256 of its content."""

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


class _DumpJob(msgspec.Struct):
    status: str = "not there"
    files: dict[str, _DumpFile] = {}


class _Status(msgspec.Struct):
    jobs: dict[str, _DumpJob]


class _Package(msgspec.Struct):
    source: str = ""
    license: str = "see its files"


class _Index(msgspec.Struct):
    packages: dict[str, _Package]
    extra: dict[str, _Package] = {}  # not released by themselves: Persian because of its license


def find_wordnet(client: ListingClient, host: str, version: str) -> RemoteFile:
    """The archive of WordNet's database files; its server publishes no checksum."""
    url = f"{host}/{version}/WNdb-{version}.tar.gz"
    try:
        size = client.ask(url, "HEAD").size
    except MissingFileError as error:
        raise SourceError(error.what, "Debian's package wordnet-base also has the database files of 3.0") from error
    return RemoteFile(url, f"wordnet-{version}/WNdb-{version}.tar.gz", size, None, "WordNet license")


def find_omw(client: ListingClient, base: str, code: str) -> RemoteFile:
    """The tab file of one wordnet, at one revision of the Open Multilingual WordNet."""
    try:
        index, _ = client.decode(f"{base}/index.toml", lambda content: msgspec.convert(tomllib.loads(content.decode()), _Index))
    except MissingFileError as error:
        raise SourceError(error.what, "check the revision: https://github.com/omwn/omw-data has an index from v1.4 on") from error
    known: dict[str, tuple[str, str]] = {}
    for name, package in (*index.packages.items(), *index.extra.items()):
        tab = re.fullmatch(rf"({NAME}/)*wn-data-([a-z]+)\.tab", package.source or (ENGLISH if name == "omw-en" else ""))
        if tab:
            known.setdefault(name.removeprefix("omw-"), (tab[0], package.license))
            known.setdefault(tab[2], (tab[0], package.license))
    if code not in known:
        raise SourceError(f"{base}/index.toml: no wordnet {code}", f"available: {', '.join(sorted(known))}")
    source, license_ = known[code]
    url = f"{base}/{source}"
    if license_ == "wordnet":
        license_ = "WordNet license"
    return RemoteFile(url, f"omw/{url.rpartition('/')[2]}", client.ask(url, "HEAD").size, None, license_)


def find_texts(client: ListingClient, host: str, snapshot: str, language: str, database: str) -> list[RemoteFile]:
    """The Parquet files of one Wikipedia in the Hub's set of cleaned texts, whose folders have the names of databases."""
    folder, tree = f"{snapshot}.{database}", f"{host}/api/{HUB_SET}/tree/main"
    try:
        entries = client.entries(f"{tree}/{folder}")
    except MissingFileError as error:
        folders = [entry.name.partition(".") for entry in client.entries(tree) if re.fullmatch(r"[0-9]{8}\..+", entry.name)]
        snapshots = sorted({when for when, _, code in folders if code == database})
        languages = sorted({code for when, _, code in folders if when == snapshot})
        if snapshots:
            hint = f"snapshots of {database}: {', '.join(snapshots)}"
        elif languages:
            hint = f"languages of {snapshot}: {', '.join(languages)}"
        else:
            hint = f"snapshots: {', '.join(sorted({when for when, _, _ in folders})) or 'none'}; none has {database}"
        raise SourceError(f"{host}/{HUB_SET}: no folder {folder}", hint) from error
    files = [entry for entry in entries if entry.type == "file" and re.fullmatch(rf"{NAME}\.parquet", entry.name)]
    if not files:
        raise SourceError(f"{tree}/{folder}: no Parquet file in it")
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


def find_dump(client: ListingClient, host: str, wiki: str, day: str) -> list[RemoteFile]:
    """The dump of a wiki's articles of one day, without the stream indexes, which tallyclip does not need."""
    base = f"{host}/{wiki}/{day}"
    try:
        status, _ = client.decode(f"{base}/dumpstatus.json", lambda content: msgspec.json.decode(content, type=_Status))
    except MissingFileError as error:
        raise SourceError(f"{host}: no dump of {wiki} of {day}", _dates(client, host, wiki)) from error
    job = status.jobs.get("articlesmultistreamdump", _DumpJob())
    if job.status != "done":
        raise SourceError(f"{base}: the dump is not complete: {job.status}", f"wait, or take another; {_dates(client, host, wiki)}")
    odd = [name for name in job.files if not re.fullmatch(NAME, name)]
    if odd or not job.files:
        raise SourceError(f"{base}/dumpstatus.json: invalid file names: {odd or 'none given'}")
    return [
        RemoteFile(
            f"{base}/{name}",
            f"dumps/{wiki}-{day}/{name}",
            file.size,
            f"sha1:{file.sha1}" if file.sha1 else f"md5:{file.md5}" if file.md5 else None,
            "CC BY-SA and GFDL",
        )
        for name, file in job.files.items()
        if "-multistream-index" not in name
    ]


def _dates(client: ListingClient, host: str, wiki: str) -> str:
    try:
        page = client.ask(f"{host}/{wiki}/").content.decode("utf-8", "replace")
    except MissingFileError:
        return f"there is no {wiki}: language codes are those in Wikipedia's URLs, such as en or zh-yue"
    days = sorted(set(re.findall(r'href="([0-9]{8})/?"', page)))
    return f"available dumps: {', '.join(days) or 'none'}; Wikimedia deletes old ones after some months"


def find_pageviews(client: ListingClient, host: str, days: Sequence[str], hours: Sequence[int]) -> list[RemoteFile]:
    """The hourly files, from the lists of months: one request for 700 files, with sizes (to the byte in Wikimedia's own lists)."""
    found: list[RemoteFile] = []
    months: dict[str, dict[str, int | None]] = {}
    for day in dict.fromkeys(days):
        base = f"{host}/other/pageviews/{day[:4]}/{day[:7]}"
        if base not in months:
            try:
                page = client.ask(f"{base}/").content.decode("utf-8", "replace")
            except MissingFileError as error:
                raise SourceError(f"{host}: no page views of {day}", "page views begin in May 2015, and appear some hours late") from error
            listed = re.findall(r'href="(pageviews-[0-9]{8}-[0-9]{6}\.gz)".*?</a>(?:\s+\S+ \S+\s+([0-9]+)(?![0-9.]*[KMG]))?', page)
            months[base] = {name: int(size) if size else None for name, size in listed}
        for hour in dict.fromkeys(hours):
            name = f"pageviews-{day.replace('-', '')}-{hour:02}0000.gz"
            if name not in months[base]:
                have = sorted(other[19:21] for other in months[base] if other.startswith(name[:19]))
                raise SourceError(f"{base}/{name}: no such file", f"available hours of {day}: {', '.join(have) or 'none'}")
            found.append(RemoteFile(f"{base}/{name}", f"pageviews/{name}", months[base][name], None, "CC0"))
    return found


class _Answer(NamedTuple):
    content: bytes
    size: int | None  # from the headers
    following: str | None  # URL of the next page


class ListingClient:
    """Asks servers for listings, and asks again where an answer may change."""

    def __init__(self, policy: FetchPolicy) -> None:
        self._policy = msgspec.structs.replace(policy, largest=LARGEST_LIST, tries=min(TRIES, policy.tries))
        self._web = Web(self._policy, "metadata")

    def ask(self, url: str, method: str = "GET") -> _Answer:
        """A whole answer.

        Raises:
            SourceError: there is no usable answer; ``MissingFileError`` if there is no such file.
        """
        return persist(url, lambda: self._ask_once(url, method), self._policy)

    def _ask_once(self, url: str, method: str) -> _Answer:
        content = b""
        try:
            with web_errors(url, "try again later"), self._web.request(url, method) as response:
                if method == "HEAD" and response.status_code in (405, 501):  # a server that does not know HEAD
                    return _Answer(b"", None, None)
                check_status(url, response)
                for piece in response.iter_content(1 << 16):
                    content += piece
                    if len(content) > LARGEST_LIST:
                        raise SourceError(f"{url}: larger than {LARGEST_LIST >> 20} MiB", "this is not a list of files")
        except TryAgainError as error:
            if isinstance(root_cause(error), socket.gaierror):
                what = f"{urlsplit(url).hostname}: unknown host, or no network"
                raise SourceError(what, "check the network, or name a mirror with --host NAME=URL") from error
            raise
        return _Answer(content, size_of(response), response.links.get("next", {}).get("url"))

    def decode(self, url: str, decode: Callable[[bytes], T]) -> tuple[T, _Answer]:
        """An answer, decoded and as it came."""
        answer = self.ask(url)
        try:
            return decode(answer.content), answer
        except (msgspec.MsgspecError, ValueError) as error:
            raise SourceError(f"{url}: not the expected list: {error}", "check that this is the right host") from error

    def entries(self, url: str) -> list[_HubFile]:
        """All pages of a list of the Hub."""
        found: list[_HubFile] = []
        asked: set[str] = set()
        page: str | None = url
        while page is not None:
            if page in asked:
                raise SourceError(f"{page}: the pages of the list go in a circle", LATER)
            asked.add(page)
            entries, answer = self.decode(page, lambda content: msgspec.json.decode(content, type=list[_HubFile]))
            found += entries
            # Only the cursor is used: a mirror may pass on URLs of the host that it mirrors.
            page = answer.following and urljoin(url, f"?{urlsplit(answer.following).query}")
        return found
