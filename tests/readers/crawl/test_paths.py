"""The files of a crawl, and samples of them."""

from __future__ import annotations

import gzip
import math
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.web import FetchPolicy
from tallyclip.readers.crawl import paths
from tallyclip.readers.crawl.paths import BASE_URL, list_urls, parse_share, sample
from tests.io.test_fetch import Answer, Server, serving

CRAWL = "CC-MAIN-2024-22"
QUICK = FetchPolicy(tries=2, first_wait=0)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def path_of(i: int, kind: str = "wat") -> str:
    return f"crawl-data/{CRAWL}/segments/{i % 7}.{i}/{kind}/CC-MAIN-20240517233122-{i:05}.warc.{kind}.gz"


def publish(server: Server, lines: str | bytes, kind: str = "wat") -> None:
    content = lines.encode() if isinstance(lines, str) else lines
    server.by_path[f"/crawl-data/{CRAWL}/{kind}.paths.gz"] = Answer(gzip.compress(content))


def listed(server: Server, scratch: Path) -> list[str]:
    urls = list_urls(CRAWL, "wat", server.url, scratch, QUICK)
    assert list(scratch.iterdir()) == []
    return urls


# shares


@pytest.mark.parametrize(
    ("text", "share"),
    [("1/1000", Fraction(1, 1000)), ("0.001", Fraction(1, 1000)), ("1", Fraction(1)), ("1.0", Fraction(1)), (" 3/3 ", Fraction(1))],
)
def test_a_share_is_read_exactly(text: str, share: Fraction) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize(
    "text", ["0", "0.0", "0/5", "1/0", "1.01", "3/2", "-1/2", "", "all", "10%", "nan", "1e-999999999", "\u0661", "1_0/20"]
)
def test_an_invalid_share_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--sample") as caught:
        parse_share(text)
    assert "1/1000" in str(caught.value.hint)


# lists


def test_the_files_of_a_crawl_are_urls_in_the_order_of_its_list(server: Server, tmp_path: Path) -> None:
    order = [3, 1, 2]
    publish(server, "".join(f"{path_of(i)}\n" for i in order))
    publish(server, f"{path_of(9, 'warc')}\r\n\r\n", "warc")
    assert listed(server, tmp_path) == [f"{server.url}/{path_of(i)}" for i in order]
    assert list_urls(CRAWL, "warc", f"{server.url}/", tmp_path, QUICK) == [f"{server.url}/{path_of(9, 'warc')}"]


def test_a_copy_of_a_crawl_in_a_folder_is_listed_like_the_crawl(tmp_path: Path) -> None:
    (tmp_path / "crawl-data" / CRAWL).mkdir(parents=True)
    (tmp_path / "crawl-data" / CRAWL / "wat.paths.gz").write_bytes(gzip.compress(path_of(1).encode()))
    assert list_urls(CRAWL, "wat", str(tmp_path), tmp_path / "scratch") == [f"{tmp_path}/{path_of(1)}"]
    with pytest.raises(OptionError, match="there is no such crawl"):
        list_urls("CC-MAIN-1999-01", "wat", str(tmp_path), tmp_path / "scratch")


def test_a_crawl_that_there_is_not_is_refused_with_where_to_find_the_names(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=re.escape(f"CC-MAIN-1999-01: there is no such crawl at {server.url}")) as caught:
        list_urls("CC-MAIN-1999-01", "wat", server.url, tmp_path, QUICK)
    assert "collinfo.json" in str(caught.value.hint)
    assert len(server.asked) == 1


@pytest.mark.parametrize("name", ["", "..", "a/b", "../a", "a b", "a?b", "a\n", ".a", "\u00e9"])
def test_an_invalid_crawl_id_is_refused_before_any_request(server: Server, tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match="no name of a crawl"):
        list_urls(name, "wat", server.url, tmp_path, QUICK)
    assert server.asked == []


@pytest.mark.parametrize(
    "line",
    ["http://a.example/a.gz", "/etc/passwd", "a/../b", "..", "a/./b", "a//b", "a\tb", "a\x00", "a b", "a?b", "a#b", "a\\b", "\u00e9", "a/"],
)
def test_a_line_that_is_not_a_path_of_a_crawl_is_refused_with_its_number(server: Server, tmp_path: Path, line: str) -> None:
    publish(server, f"{path_of(1)}\n\n{line}\n{path_of(2)}\n")
    with pytest.raises(SourceError, match=r"wat\.paths\.gz: line 3 is no path"):
        listed(server, tmp_path)


def test_a_line_that_comes_twice_is_refused(server: Server, tmp_path: Path) -> None:
    publish(server, f"{path_of(1)}\n{path_of(2)}\n{path_of(1)}\n")
    with pytest.raises(SourceError, match="line 3 repeats crawl-data"):
        listed(server, tmp_path)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_list_is_refused(server: Server, tmp_path: Path, content: str) -> None:
    publish(server, content)
    with pytest.raises(SourceError, match="there is nothing in it"):
        listed(server, tmp_path)


def test_a_list_that_is_larger_than_any_packed_or_not_is_refused(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.LARGEST == 64 << 20
    monkeypatch.setattr(paths, "LARGEST", 1 << 20)
    publish(server, f"{path_of(1)}\n" + "\n" * ((1 << 20) - len(path_of(1)) - 1))
    assert len(listed(server, tmp_path)) == 1
    publish(server, b"\n" * ((1 << 20) + 1))
    with pytest.raises(SourceError, match="larger than 1 MiB"):
        listed(server, tmp_path)
    server.by_path[f"/crawl-data/{CRAWL}/wat.paths.gz"] = Answer(bytes((1 << 20) + 1))
    with pytest.raises(SourceError, match="larger than 1 MiB") as caught:
        listed(server, tmp_path)
    assert caught.value.hint == "is this a list of paths?"


def test_a_list_that_was_cut_short_is_refused(server: Server, tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"{path_of(i)}\n" for i in range(1000)).encode())
    for content in (whole[:-100], whole[:1000], b"\x1f\x8b no gzip"):
        server.by_path[f"/crawl-data/{CRAWL}/wat.paths.gz"] = Answer(content)
        with pytest.raises(SourceError, match=r"wat\.paths\.gz: ") as caught:
            listed(server, tmp_path)
        assert "cut short or damaged" in str(caught.value.hint)


# samples

numbers = st.lists(st.integers(0, 99_999), min_size=1, max_size=60, unique=True)
shares = st.fractions(min_value=Fraction(1, 10_000), max_value=1)


def urls_at(base: str, numbers: list[int]) -> list[str]:
    return [f"{base}/{path_of(i)}" for i in numbers]


@given(numbers, shares, shares)
def test_a_sample_has_its_share_in_the_order_of_the_list_and_is_part_of_any_larger_one(
    numbers: list[int], share: Fraction, other: Fraction
) -> None:
    urls = urls_at(BASE_URL, numbers)
    chosen = sample(urls, share)
    assert len(chosen) == math.ceil(share * len(urls)) >= 1
    assert chosen == [url for url in urls if url in set(chosen)]
    assert set(sample(urls, min(share, other))) <= set(sample(urls, max(share, other)))
    assert sample(urls, Fraction(1)) == urls


@given(numbers, shares, st.randoms(use_true_random=False))
def test_a_sample_is_the_same_in_any_order_and_from_wherever_it_is_read(numbers: list[int], share: Fraction, chance: random.Random) -> None:
    shuffled = chance.sample(numbers, len(numbers))
    chosen = set(sample(urls_at("", numbers), share))
    for base in (BASE_URL, "s3://commoncrawl", "http://127.0.0.1:8000/mirror/crawl-data", "/disk/copy"):
        assert {url.removeprefix(base) for url in sample(urls_at(base, shuffled), share)} == chosen


def test_a_sample_of_files_of_another_kind_does_not_depend_on_their_server_either() -> None:
    ends = [f"/pool/{i}.warc.gz" for i in range(50)]
    first, second = (sample([base + end for end in ends], Fraction(1, 5)) for base in ("https://a.example", "http://b.example:8000"))
    assert [url.removeprefix("https://a.example") for url in first] == [url.removeprefix("http://b.example:8000") for url in second]


def test_samples_are_spread_over_the_list() -> None:
    """Of 10,000 files a tenth of each tenth is chosen, give or take what chance allows (five standard deviations)."""
    chosen = {int(url[-17:-12]) for url in sample(urls_at(BASE_URL, list(range(10_000))), Fraction(1, 10))}
    assert len(chosen) == 1000
    assert all(abs(sum(tenth * 1000 <= i < (tenth + 1) * 1000 for i in chosen) - 100) < 50 for tenth in range(10))


def test_the_sample_of_a_list_is_fixed_for_good() -> None:
    assert sample(urls_at(BASE_URL, list(range(1000))), Fraction(1, 500)) == urls_at(BASE_URL, [87, 101])


def test_a_sample_of_nothing_is_nothing() -> None:
    assert sample([], Fraction(1, 2)) == []
