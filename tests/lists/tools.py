"""A server with the public inputs, small but in the places and forms of the real ones."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple, cast

from tallyclip.lists.sources import Hosts

REVISION = "f75be19ec590da12a7a5665e361690b5badb7a25"
HUB_FILES = {f"train-0000{i}-of-00003.parquet": bytes([i]) * (3000 + i) for i in range(3)}
DUMP_FILES = {
    "frwiki-20240501-pages-articles-multistream1.xml-p1p306134.bz2": b"BZh9" + bytes(range(256)) * 40,
}
DATABASE = {name: f"{name} of WordNet\n".encode() * 200 for name in ("data.noun", "data.verb", "data.adj", "data.adv")}
HOUR = b"\x1f\x8b" + bytes(500)
TAB = b"# Chinese Open Wordnet\tcmn\nhttps://bond-lab.github.io/cow/\tWordNet\n00001740-n\tcmn:lemma\tx\n"


class Page(NamedTuple):
    """What is at an address.

    Args:
        content: the file.
        status: instead of 200 and 206.
        headers: beside the usual.
    """

    content: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Site(http.server.ThreadingHTTPServer):
    """Gives the pages it has, and parts of them.

    Attributes:
        pages: by path, with the query if it has one.
        cuts: where the next answer to a path breaks off, in bytes.
        refusals: how often a path is answered with 503 before it is given.
        asked: method, path and range of every request.
        encodings: that answers may come in.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.pages: dict[str, Page] = {}
        self.cuts: dict[str, int] = {}
        self.refusals: dict[str, int] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.encodings: set[str] = set()

    @property
    def hosts(self) -> Hosts:
        """All that is public, here."""
        return Hosts(hub=f"{self.url}/hub", dumps=f"{self.url}/dumps", wordnet=f"{self.url}/wordnet", omw=f"{self.url}/omw")

    def fetched(self) -> list[str]:
        """The last part of the paths of all GETs."""
        return [path.rpartition("/")[2] for method, path, _ in self.asked if method == "GET"]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any, **__: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(None)

    def _answer(self, body: bytes | None) -> None:
        site = cast(Site, self.server)
        asked = self.headers.get("Range")
        site.asked.append((self.command, self.path, asked))
        site.encodings.add(self.headers.get("Accept-Encoding", ""))
        page = site.pages.get(self.path, Page(b"not here", 404))
        if site.refusals.get(self.path, 0) > 0:
            site.refusals[self.path] -= 1
            page = Page(b"busy", 503)
        etag = f'"{hashlib.md5(page.content).hexdigest()}"'
        status, content = page.status, page.content
        if status == 200 and asked is not None and self.headers.get("If-Range") == etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            status, content = 206, content[start:]
        self.send_response(status)
        if status == 206:
            size = len(page.content)
            self.send_header("Content-Range", f"bytes {size - len(content)}-{size - 1}/{size}")
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(content)))
        for name, value in page.headers:
            self.send_header(name, value)
        self.end_headers()
        body = content if body is None else body
        sent = body[: site.cuts.pop(self.path, len(body)) if body else 0]
        self.close_connection = len(sent) < len(body)
        self.wfile.write(sent)


@contextlib.contextmanager
def serving() -> Generator[Site]:
    """A site with nothing yet."""
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.shutdown()
        thread.join()


def tar_of(members: Mapping[str, bytes]) -> bytes:
    """A packed tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def entry(path: str, content: bytes) -> dict[str, Any]:
    """A file in the Hub's list, as that is for files in large storage."""
    lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return {"type": "file", "oid": "9a" * 20, "size": len(content), "lfs": lfs, "xetHash": "5c" * 32, "path": path}


def add_inputs(site: Site) -> None:
    """All the inputs: WordNet 3.0, Chinese and others of OMW, French Wikipedia (two ways), and the page views of 2018-04-13."""
    archive = {f"dict/{name}": content for name, content in DATABASE.items()} | {"dict/index.noun": b"", "dict/../../evil": b"evil"}
    site.pages["/wordnet/3.0/WNdb-3.0.tar.gz"] = Page(tar_of(archive))

    index = """
label = "Open Multilingual Wordnet"
[packages]
[packages.omw-cmn]
language = "cmn-Hans"
license = "wordnet"
source = "wns/cow/wn-data-cmn.tab"
[packages.omw-it]
license = "https://creativecommons.org/licenses/by/3.0/"
source = "wns/ita/wn-data-ita.tab"
[packages.omw-iwn]
license = "http://opendefinition.org/licenses/odc-by/"
source = "wns/iwn/wn-data-ita.tab"
[extra]
[extra.omw-en15]
license = "WordNet 1.5 License"
[extra.omw-en]
license = "https://wordnet.princeton.edu/license-and-commercial-use"
[extra.fas]
license = "free to use"
source = "wns/fas/wn-data-fas.tab"
[extra.other]
source = "wns/ita/other/wn-data-ita.tab"
"""
    site.pages[f"/omw/{REVISION}/index.toml"] = Page(index.encode())
    for path in ("cow/wn-data-cmn.tab", "ita/wn-data-ita.tab", "iwn/wn-data-ita.tab", "eng/wn-data-eng.tab", "fas/wn-data-fas.tab"):
        site.pages[f"/omw/{REVISION}/wns/{path}"] = Page(TAB)

    tree = "/hub/api/datasets/wikimedia/wikipedia/tree/main"
    folders = [
        {"type": "directory", "oid": "0" * 40, "size": 0, "path": name} for name in ("20231101.fr", "20231101.zh-yue", "20220301.fr")
    ]
    site.pages[tree] = Page(json.dumps([*folders, {"type": "file", "oid": "1" * 40, "size": 9, "path": "README.md"}]).encode())
    files = [entry(f"20231101.fr/{name}", content) for name, content in HUB_FILES.items()]
    link = '<https://hub.example/api/datasets/wikimedia/wikipedia/tree/main/20231101.fr?cursor=Zg%3D%3D&limit=2>; rel="next"'
    site.pages[f"{tree}/20231101.fr"] = Page(json.dumps(files[:2]).encode(), headers=(("Link", link),))
    site.pages[f"{tree}/20231101.fr?cursor=Zg%3D%3D&limit=2"] = Page(json.dumps(files[2:]).encode())
    for name, content in HUB_FILES.items():
        site.pages[f"/hub/datasets/wikimedia/wikipedia/resolve/main/20231101.fr/{name}"] = Page(
            b"", 302, (("Location", f"/cdn/{name}?signed=1"),)
        )
        site.pages[f"/cdn/{name}?signed=1"] = Page(content)

    said = {
        name: {"size": len(content), "url": f"/frwiki/20240501/{name}", "md5": "0" * 32, "sha1": hashlib.sha1(content).hexdigest()}
        for name, content in DUMP_FILES.items()
    }
    said = {"frwiki-20240501-pages-articles-multistream-index1.txt.bz2": {"size": 9}, **said}  # which nobody needs
    jobs = {"articlesmultistreamdump": {"status": "done", "updated": "2024-05-02 19:01:12", "files": said}}
    jobs |= {"metahistory7zdump": {"status": "waiting", "updated": ""}}
    site.pages["/dumps/frwiki/20240501/dumpstatus.json"] = Page(json.dumps({"version": "0.8", "jobs": jobs}).encode())
    waiting = {"version": "0.8", "jobs": {"articlesmultistreamdump": {"status": "in-progress", "updated": "", "files": {}}}}
    site.pages["/dumps/frwiki/20240520/dumpstatus.json"] = Page(json.dumps(waiting).encode())
    days = "".join(f'<a href="{day}/">{day}/</a>   21-May-2024 01:02     -\n' for day in ("20240501", "20240520", "latest"))
    site.pages["/dumps/frwiki/"] = Page(f'<html><h1>Index of /frwiki/</h1><pre><a href="../">../</a>\n{days}</pre></html>'.encode())
    for name, content in DUMP_FILES.items():
        site.pages[f"/dumps/frwiki/20240501/{name}"] = Page(content)

    lines = ['<a href="../">../</a>']
    for hour in (0, 1, 23):
        name = f"pageviews-20180413-{hour:02}0000.gz"
        lines.append(f'<a href="{name}">{name}</a>      13-Apr-2018 01:37     {len(HOUR)}')
        site.pages[f"/dumps/other/pageviews/2018/2018-04/{name}"] = Page(HOUR)
    lines.append('<a href="projectviews-20180413-000000">projectviews-20180413-000000</a>    13-Apr-2018 01:37    1234')
    site.pages["/dumps/other/pageviews/2018/2018-04/"] = Page("\n".join(lines).encode())
