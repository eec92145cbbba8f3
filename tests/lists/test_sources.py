"""The public inputs: found on a server that has them in the real places, and fetched from it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.web import FetchPolicy
from tallyclip.lists import servers, sources
from tallyclip.lists.sources import FetchTask, RemoteFile, Wanted, fetch_file, fetch_task, find
from tallyclip.run.runners.base import Advanced, Done, Event, Failed, Task
from tallyclip.run.runners.local import Workers
from tests.lists.tools import DATABASE, DUMP_FILES, HOUR, HUB_FILES, REVISION, TAB, Page, Site, add_inputs, entry, serving, tar_of

QUICK = FetchPolicy(tries=3, connect_timeout=2.0, read_timeout=2.0, first_wait=0.002, longest_wait=0.01)
DAY = "2018-04-13"
ALL = Wanted(language="fr", wordnet="3.0", omw="cmn", wikipedia="20231101", dump="20240501", pageview_days=[DAY], pageview_hours=[0, 23])
TREE = "/hub/api/datasets/wikimedia/wikipedia/tree/main"


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        add_inputs(site)
        yield site


def found(site: Site, wanted: Wanted) -> list[RemoteFile]:
    return find(wanted, site.hosts, QUICK)


def only(site: Site, wanted: Wanted) -> RemoteFile:
    (file,) = found(site, wanted)
    return file


def refused(site: Site, wanted: Wanted) -> SourceError:
    with pytest.raises(SourceError) as caught:
        found(site, wanted)
    return caught.value


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


# finding


def test_all_that_is_wanted_is_found_with_sizes_and_nothing_is_fetched(site: Site) -> None:
    by_target = {file.target: file for file in found(site, ALL)}
    assert list(by_target) == [
        "wordnet-3.0/WNdb-3.0.tar.gz",
        "omw/wn-data-cmn.tab",
        *(f"wikipedia/20231101.fr/{name}" for name in HUB_FILES),
        *(f"dumps/frwiki-20240501/{name}" for name in DUMP_FILES),
        "pageviews/pageviews-20180413-000000.gz",
        "pageviews/pageviews-20180413-230000.gz",
    ]
    sizes = [len(TAB), *map(len, HUB_FILES.values()), *map(len, DUMP_FILES.values()), len(HOUR), len(HOUR)]
    assert [file.size for file in by_target.values()][1:] == sizes
    assert all(file.license for file in by_target.values())
    assert site.encodings == {"identity"}  # the size of what is packed on the way is another
    assert site.fetched() == ["index.toml", "20231101.fr", "20231101.fr?cursor=Zg%3D%3D&limit=2", "dumpstatus.json", ""]
    for name, content in HUB_FILES.items():
        assert by_target[f"wikipedia/20231101.fr/{name}"].checksum == sha256(content)
    for name, content in DUMP_FILES.items():
        assert by_target[f"dumps/frwiki-20240501/{name}"].checksum == f"sha1:{hashlib.sha1(content).hexdigest()}"


def test_a_month_is_asked_for_once(site: Site) -> None:
    path = "/dumps/other/pageviews/2018/2018-04/"
    lines = site.pages[path].content
    site.pages[path] = Page(lines + b"\n" + lines.replace(b"20180413", b"20180414"))
    wanted = Wanted(pageview_days=[DAY, "2018-04-14", DAY], pageview_hours=[1, 1])
    assert [file.target[-18:-3] for file in found(site, wanted)] == ["20180413-010000", "20180414-010000"]
    assert site.asked == [("GET", path, None)]


def test_without_wanted_files_no_server_is_asked(site: Site) -> None:
    assert found(site, Wanted()) == []
    assert site.asked == []


def test_the_pages_of_a_list_stay_with_the_host_that_was_asked(site: Site) -> None:
    assert len(found(site, Wanted(language="fr", wikipedia="20231101"))) == 3  # although the server's links name another


def test_a_list_that_goes_in_circles_is_refused(site: Site) -> None:
    page = site.pages[f"{TREE}/20231101.fr"]
    site.pages[f"{TREE}/20231101.fr?cursor=Zg%3D%3D&limit=2"] = page
    assert "go in a circle" in refused(site, Wanted(language="fr", wikipedia="20231101")).what


def test_a_wordnet_is_found_by_either_of_its_names(site: Site) -> None:
    assert only(site, Wanted(omw="ita")).url.endswith(f"/omw/{REVISION}/wns/ita/wn-data-ita.tab")
    assert only(site, Wanted(omw="it")).license == "https://creativecommons.org/licenses/by/3.0/"
    assert only(site, Wanted(omw="iwn")).url.endswith("/wns/iwn/wn-data-ita.tab")
    assert only(site, Wanted(omw="cmn")).license == "WordNet license"


def test_wordnets_that_are_not_packages_of_their_own_are_found_too(site: Site) -> None:
    for code in ("eng", "en"):
        english = only(site, Wanted(omw=code))  # the index does not say where it is
        assert (english.url, english.target) == (f"{site.url}/omw/{REVISION}/wns/eng/wn-data-eng.tab", "omw/wn-data-eng.tab")
    persian = only(site, Wanted(language="fa", omw="fas"))
    assert persian.url.endswith("/wns/fas/wn-data-fas.tab")
    assert (persian.size, persian.license) == (len(TAB), "free to use")


def test_a_wiki_that_was_renamed_is_found_by_its_old_name_and_kept_under_its_own(site: Site) -> None:
    files = [entry("20231101.be-x-old/train-00000-of-00001.parquet", b"x")]
    site.pages[f"{TREE}/20231101.be-x-old"] = Page(json.dumps(files).encode())
    texts = only(site, Wanted(language="be-tarask", wikipedia="20231101"))
    assert texts.url == f"{site.url}/hub/datasets/wikimedia/wikipedia/resolve/main/20231101.be-x-old/train-00000-of-00001.parquet"
    assert texts.target == "wikipedia/20231101.be-tarask/train-00000-of-00001.parquet"
    name = "be_x_oldwiki-20240501-pages-articles-multistream.xml.bz2"
    site.pages["/dumps/be_x_oldwiki/20240501/dumpstatus.json"] = Page(status_of({name: {"size": 9}}))
    assert only(site, Wanted(language="be-tarask", dump="20240501")).target == f"dumps/be_x_oldwiki-20240501/{name}"
    site.pages[TREE] = Page(json.dumps([{"type": "directory", "path": "20220301.be-x-old"}]).encode())
    assert refused(site, Wanted(language="be-tarask", wikipedia="20240101")).hint == "snapshots of be-x-old: 20220301"


def test_a_server_that_is_busy_is_asked_again(site: Site) -> None:
    site.refusals = {f"{TREE}/20231101.fr": 2}
    assert len(found(site, Wanted(language="fr", wikipedia="20231101"))) == 3
    site.refusals = {f"{TREE}/20231101.fr": 3}
    assert "503 Service Unavailable; given up after 3 tries" in refused(site, Wanted(language="fr", wikipedia="20231101")).what


def test_a_list_that_breaks_off_is_asked_for_again(site: Site) -> None:
    site.cuts = {"/dumps/frwiki/20240501/dumpstatus.json": 30}
    assert len(found(site, Wanted(language="fr", dump="20240501"))) == 1


def test_a_server_that_is_not_there_is_given_up(site: Site) -> None:
    hosts = sources.Hosts(wordnet="http://127.0.0.1:1")
    patient = FetchPolicy(tries=8, first_wait=0.002, longest_wait=0.01)  # with files; these are small questions
    with pytest.raises(SourceError, match=r"gz: \[Errno \d+\] Connection refused; given up after 3 tries\n"):
        find(Wanted(wordnet="3.0"), hosts, patient)
    with pytest.raises(SourceError, match="given up after 2 tries"):
        find(Wanted(wordnet="3.0"), hosts, FetchPolicy(tries=2, first_wait=0.002))
    with pytest.raises(SourceError, match="No connection adapters") as caught:
        find(Wanted(wordnet="3.0"), sources.Hosts(wordnet="ftp://example"), QUICK)
    assert caught.value.hint == "check the URL"  # at once


def test_an_unknown_host_is_not_asked_again() -> None:
    hosts = sources.Hosts(wordnet="http://no-such-host.invalid")
    with pytest.raises(SourceError) as caught:
        find(Wanted(wordnet="3.0"), hosts, FetchPolicy(first_wait=1000.0, longest_wait=1000.0))  # another try would take long
    assert caught.value.what == "no-such-host.invalid: unknown host, or no network"
    assert "name a mirror with --host NAME=URL" in str(caught.value.hint)


def test_sizes_are_left_open_where_a_server_does_not_say(site: Site) -> None:
    site.pages["/wordnet/3.0/WNdb-3.0.tar.gz"] = Page(b"", 405)
    assert only(site, Wanted(wordnet="3.0")).size is None
    name = "pageviews-20180413-000000.gz"
    for said in ("48M", "1.2G", "", "-"):
        site.pages["/dumps/other/pageviews/2018/2018-04/"] = Page(f'<a href="{name}">{name}</a>  2018-04-13 01:37  {said} '.encode())
        assert only(site, Wanted(pageview_days=[DAY], pageview_hours=[0])).size is None


# what is missing


@pytest.mark.parametrize(
    ("wanted", "what", "hint"),
    [
        (Wanted(wordnet="3.1"), "404", "Debian"),
        (Wanted(omw="xyz"), "no wordnet xyz", "available: cmn, en, eng, fas, it, ita, iwn, other"),
        (Wanted(omw="cmn", omw_revision="v9"), "404", "from v1.4 on"),
        (Wanted(language="fr", wikipedia="20240101"), "no folder 20240101.fr", "snapshots of fr: 20220301, 20231101"),
        (Wanted(language="xx", wikipedia="20231101"), "no folder 20231101.xx", "languages of 20231101: fr, zh-yue"),
        (Wanted(language="xx", wikipedia="20240101"), "no folder 20240101.xx", "snapshots: 20220301, 20231101; none has xx"),
        (Wanted(language="fr", dump="20200101"), "no dump of frwiki of 20200101", "available dumps: 20240501, 20240520;"),
        (Wanted(language="fr", dump="20240520"), "not complete: in-progress", "available dumps: 20240501, 20240520;"),
        (Wanted(language="zh-yue", dump="20240501"), "no dump of zh_yuewiki", "there is no zh_yuewiki: "),
        (Wanted(pageview_days=["2014-04-13"]), "no page views of 2014-04-13", "May 2015"),
        (
            Wanted(pageview_days=[DAY], pageview_hours=[2]),
            "pageviews-20180413-020000.gz: no such file",
            "available hours of 2018-04-13: 00, 01, 23",
        ),
        (Wanted(pageview_days=["2018-04-14"]), "pageviews-20180414-000000.gz", "available hours of 2018-04-14: none"),
    ],
)
def test_an_error_for_something_missing_lists_what_exists(site: Site, wanted: Wanted, what: str, hint: str) -> None:
    error = refused(site, wanted)
    assert what in error.what
    assert hint in str(error.hint)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(language="../x", dump="20240501"),
        Wanted(language="EN"),
        Wanted(wordnet="3"),
        Wanted(omw="a/b"),
        Wanted(omw="cmn", omw_revision="../main"),
        Wanted(wikipedia="latest"),
        Wanted(dump="2024-05-01"),
        Wanted(pageview_days=["20180413"]),
        Wanted(pageview_days=["2018-02-30"]),
        Wanted(pageview_days=[DAY], pageview_hours=[24]),
    ],
)
def test_invalid_values_are_refused_before_any_request(site: Site, wanted: Wanted) -> None:
    with pytest.raises(OptionError, match=": not a valid "):
        found(site, wanted)
    assert site.asked == []


def status_of(files: dict[str, Any]) -> bytes:
    return json.dumps({"jobs": {"articlesmultistreamdump": {"status": "done", "files": files}}}).encode()


@pytest.mark.parametrize(
    ("path", "page", "wanted", "said"),
    [
        (f"{TREE}/20231101.fr", Page(b"<html>sign in</html>"), Wanted(language="fr", wikipedia="20231101"), "not the expected list"),
        (f"{TREE}/20231101.fr", Page(b'[{"path": 7}]'), Wanted(language="fr", wikipedia="20231101"), "not the expected list"),
        (f"{TREE}/20231101.fr", Page(b"[]"), Wanted(language="fr", wikipedia="20231101"), "no Parquet file"),
        (f"{TREE}/20231101.fr", Page(b"", 401), Wanted(language="fr", wikipedia="20231101"), "401 Unauthorized"),
        (f"/omw/{REVISION}/index.toml", Page(b"= ="), Wanted(omw="cmn"), "not the expected list"),
        (f"/omw/{REVISION}/index.toml", Page(b"\xff"), Wanted(omw="cmn"), "not the expected list"),
        (f"/omw/{REVISION}/index.toml", Page(b"[packages.omw-x]\nsource='../wn-data-x.tab'"), Wanted(omw="x"), "no wordnet x"),
        ("/dumps/frwiki/20240501/dumpstatus.json", Page(b"{"), Wanted(language="fr", dump="20240501"), "not the expected list"),
        ("/dumps/frwiki/20240501/dumpstatus.json", Page(b'{"jobs": {}}'), Wanted(language="fr", dump="20240501"), "not there"),
        ("/dumps/frwiki/20240501/dumpstatus.json", Page(status_of({})), Wanted(language="fr", dump="20240501"), "invalid file names"),
        (
            "/dumps/frwiki/20240501/dumpstatus.json",
            Page(status_of({"../../x": {}})),
            Wanted(language="fr", dump="20240501"),
            "invalid file names",
        ),
    ],
)
def test_an_unexpected_listing_is_refused(site: Site, path: str, page: Page, wanted: Wanted, said: str) -> None:
    site.pages[path] = page
    assert said in refused(site, wanted).what


def test_an_endless_listing_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "LARGEST_LIST", 1 << 20)
    site.pages[f"{TREE}/20231101.fr"] = Page(b" " * (2 << 20))
    assert "larger than 1 MiB" in refused(site, Wanted(language="fr", wikipedia="20231101")).what


def test_files_of_the_hub_other_than_parquet_are_skipped(site: Site) -> None:
    entries = [entry(path, b"x") for path in ("20231101.fr/a.parquet", "20231101.fr/.b.parquet", "20231101.fr/readme.md")]
    small = {"type": "file", "path": "20231101.fr/c.parquet", "size": 5, "oid": "0" * 40}
    site.pages[f"{TREE}/20231101.fr"] = Page(json.dumps([*entries, small, {"type": "directory", "path": "d.parquet"}]).encode())
    files = found(site, Wanted(language="fr", wikipedia="20231101"))
    assert [(Path(file.target).name, file.size, file.checksum) for file in files] == [
        ("a.parquet", 1, sha256(b"x")),
        ("c.parquet", 5, None),
    ]


# fetching


def test_all_that_is_found_is_fetched_and_not_again(site: Site, tmp_path: Path) -> None:
    files = found(site, ALL)
    for file in files:
        fetch_file(file, tmp_path, QUICK)
    here = files_below(tmp_path)
    assert set(here) == {file.target for file in files} | {f"wordnet-3.0/{name}" for name in DATABASE}
    assert {name: here[f"wordnet-3.0/{name}"] for name in DATABASE} == DATABASE
    assert {name: here[f"wikipedia/20231101.fr/{name}"] for name in HUB_FILES} == HUB_FILES
    assert {name: here[f"dumps/frwiki-20240501/{name}"] for name in DUMP_FILES} == DUMP_FILES
    assert here["omw/wn-data-cmn.tab"] == TAB
    asked = list(site.asked)
    for file in files:
        fetch_file(file, tmp_path, QUICK)
    assert site.asked == asked


def test_a_broken_transfer_resumes_where_it_stopped(site: Site, tmp_path: Path) -> None:
    name, content = next(iter(DUMP_FILES.items()))
    path = f"/dumps/frwiki/20240501/{name}"
    site.cuts[path] = 4000
    file = found(site, Wanted(language="fr", dump="20240501"))[0]
    fetch_file(file, tmp_path, QUICK)
    assert (tmp_path / file.target).read_bytes() == content
    assert [asked for asked in site.asked if asked[1] == path] == [("GET", path, None), ("GET", path, "bytes=4000-")]


@pytest.mark.parametrize("kind", ["sha256", "sha1", "md5"])
def test_a_file_that_is_not_what_the_list_says_is_deleted(site: Site, tmp_path: Path, kind: str) -> None:
    site.pages["/a"] = Page(b"content")
    right = f"{kind}:{hashlib.new(kind, b'content').hexdigest()}"
    fetch_file(RemoteFile(f"{site.url}/a", "x/a", 7, right, ""), tmp_path, QUICK)
    for size, checksum in [(8, right), (7, f"{kind}:{'0' * 32}"), (8, None)]:
        with pytest.raises(SourceError, match="/a: the 7 bytes received differ from the server's list"):
            fetch_file(RemoteFile(f"{site.url}/a", "x/a", size, checksum, ""), tmp_path, QUICK)
        assert files_below(tmp_path) == {}


def test_what_is_there_is_fetched_again_if_it_is_not_what_it_should_be(site: Site, tmp_path: Path) -> None:
    file = found(site, Wanted(language="fr", wikipedia="20231101"))[0]
    content = next(iter(HUB_FILES.values()))
    target = tmp_path / file.target
    target.parent.mkdir(parents=True)
    for wrong in (content[:-1], b"\xff" * len(content)):
        target.write_bytes(wrong)
        fetch_file(file, tmp_path, QUICK)
        assert target.read_bytes() == content


def test_of_wordnets_archive_only_the_database_is_unpacked_and_again_where_it_is_gone(site: Site, tmp_path: Path) -> None:
    members = {f"./WordNet-3.0/dict/{name}": content for name, content in DATABASE.items()}
    site.pages["/wordnet/3.0/WNdb-3.0.tar.gz"] = Page(
        tar_of({"../data.noun": b"evil", "/dict/data.verb": b"evil", **members, "data.adj": b""})
    )
    file = only(site, Wanted(wordnet="3.0"))
    folder = tmp_path / "inputs"
    fetch_file(file, folder, QUICK)
    (folder / "wordnet-3.0" / "data.verb").unlink()
    fetch_file(file, folder, QUICK)
    expected = {f"inputs/wordnet-3.0/{name}": content for name, content in DATABASE.items()}
    assert files_below(tmp_path) == expected | {f"inputs/{file.target}": site.pages["/wordnet/3.0/WNdb-3.0.tar.gz"].content}
    assert site.fetched() == ["WNdb-3.0.tar.gz"]


def linked() -> bytes:
    """An archive where a database file is a link to a file elsewhere."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo("dict/data.noun")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    return out.getvalue()


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        (tar_of({"dict/data.noun": b""}), "missing data.adj, data.adv, data.verb"),
        (linked(), "missing data.adj, data.adv, data.noun, data.verb"),
        (tar_of({"dict/data.noun": bytes(2 << 20)}), "dict/data.noun is larger than 1 MiB"),
        (tar_of({f"dict/{name}": content for name, content in DATABASE.items()})[:-20], "WNdb-3.0.tar.gz: "),
        (b"\x1f\x8b nothing", "WNdb-3.0.tar.gz: "),
    ],
)
def test_an_archive_that_is_not_wordnets_is_refused(
    site: Site, tmp_path: Path, archive: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LARGEST_MEMBER", 1 << 20)
    site.pages["/wordnet/3.0/WNdb-3.0.tar.gz"] = Page(archive)
    with pytest.raises(SourceError, match=said):
        fetch_file(only(site, Wanted(wordnet="3.0")), tmp_path, QUICK)
    assert not (tmp_path / "wordnet-3.0" / "WNdb-3.0.tar.gz").exists()


# by workers


def reported(events: list[Event], key: str) -> int:
    return sum(event.rows for event in events if isinstance(event, Advanced) and event.key == key)


def test_workers_fetch_in_parallel_and_report_bytes(site: Site, tmp_path: Path) -> None:
    files = [*found(site, ALL), RemoteFile(f"{site.url}/missing", "missing", None, None, "")]
    tasks = [Task(file.target, FetchTask(file, tmp_path, QUICK)) for file in files]
    with Workers(2) as workers:
        events = list(workers.map(fetch_task, tasks))
        (failed,) = [event for event in events if isinstance(event, Failed)]
        assert (failed.key, "404" in failed.what) == ("missing", True)
        assert {event.key for event in events if isinstance(event, Done)} == {file.target for file in files[:-1]}
        for file in files[:-1]:
            assert reported(events, file.target) == (tmp_path / file.target).stat().st_size
        again = list(workers.map(fetch_task, tasks[:-1]))
    assert all(reported(again, file.target) == (tmp_path / file.target).stat().st_size for file in files[:-1])


def test_bytes_are_reported_as_they_arrive_and_each_once(site: Site, tmp_path: Path) -> None:
    site.pages["/a"] = Page(bytes(1000))
    site.cuts["/a"] = 400
    ticks: list[int] = []
    fetch_task(FetchTask(RemoteFile(f"{site.url}/a", "a", 1000, None, ""), tmp_path, QUICK), ticks.append)
    assert 0 < ticks[0] <= 400  # before the transfer broke
    assert sum(ticks) == 1000
