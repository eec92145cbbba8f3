"""What is read and computed once is not read and computed again: footers, which over a network take a round trip each, and hashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tallyclip.core import uids
from tallyclip.core.data import Metadata
from tallyclip.flows.curate import curate
from tallyclip.readers import sources
from tallyclip.readers.columns import ColumnChoice
from tallyclip.run.workspace import Workspace
from tallyclip.stages.plan import Aim
from tallyclip.stages.runs import RUN
from tests.readers.conftest import Site, _serve, _WithRanges
from tests.readers.crawl.tools import image, page, write_wat
from tests.run.driver import Inline
from tests.tools import addresses, captions, manifest, write_entries, write_parquet

ROWS = 800


def made(root: Path, *pool: object) -> None:
    """Curate a pool, all in this process."""
    entries = Metadata.load(str(write_entries(root.with_suffix(".json"))))
    with Workspace(RUN, root, Inline()) as run:
        curate(run, list(map(str, pool)), ColumnChoice(), entries, Aim(t=20.0))


@pytest.fixture
def footers(tmp_path: Path) -> Iterator[tuple[Site, Counter[str]]]:
    """A web server, and how often the end of each of its files was sent."""
    read: Counter[str] = Counter()

    class Counting(_WithRanges):
        def end_headers(self) -> None:
            sent = [value for name, _, value in (line.decode().partition(": ") for line in self._headers_buffer) if name == "Content-Range"]  # type: ignore[attr-defined]
            if self.command == "GET":
                last, size = map(int, sent[0].strip().removeprefix("bytes ").partition("-")[2].split("/")) if sent else (0, 1)
                read[self.path] += last == size - 1
            super().end_headers()

    (tmp_path / "site").mkdir()
    served = _serve(Counting, tmp_path / "site")
    yield next(served), read
    next(served, None)


def test_of_each_file_the_footer_is_read_to_list_it_and_to_see_that_it_has_not_changed(
    footers: tuple[Site, Counter[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many shards a file is cut into."""
    monkeypatch.setattr(sources, "ROWS_PER_SHARD", 300)
    site, read = footers
    names = [f"{name}.parquet" for name in ("apple", "berry", "cherry")]
    for seed, name in enumerate(names):
        write_parquet(site.folder / name, {"url": addresses(ROWS, name), "caption": captions(ROWS, seed)}, rows_per_group=300)
    made(tmp_path / "run", *(f"{site.url}/{name}" for name in names))
    assert len(manifest(tmp_path / "run", "match")["pieces"]) == 3 * 3
    assert read == {f"/{name}": 2 for name in names}


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[bytes, bytes]]:
    """How often each pair of an image and a caption was hashed, whoever asked for it."""
    pairs: Counter[tuple[bytes, bytes]] = Counter()
    whole = uids._hash_pairs

    def counting(images: np.ndarray, starts: np.ndarray, valid: np.ndarray, image_of: np.ndarray, captions: np.ndarray, *more: Any) -> None:
        of_captions = more[0]
        for row, place in enumerate(image_of.tolist()):
            caption = captions[of_captions[row] : of_captions[row + 1]].tobytes()
            pairs[images[starts[place] : starts[place + 1]].tobytes(), caption] += 1
        whole(images, starts, valid, image_of, captions, *more)

    monkeypatch.setattr(uids, "_hash_pairs", counting)
    return pairs


def test_each_pair_of_a_table_is_hashed_once(hashed: Counter[tuple[bytes, bytes]], tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    known: set[tuple[bytes, bytes]] = set()
    for seed, name in enumerate(("apple", "berry")):
        urls, texts = addresses(ROWS, name), captions(ROWS, seed)
        known |= {(url.encode(), text.encode()) for url, text in zip(urls, texts, strict=True)}
        write_parquet(tmp_path / "pool" / f"{name}.parquet", {"url": urls, "caption": texts})
    made(tmp_path / "run", tmp_path / "pool")
    urls_alone = {(b"", url) for url, _ in known}  # to find those that repeat others
    assert hashed == dict.fromkeys(known | urls_alone, 1)


def test_each_pair_of_a_crawl_file_is_hashed_once(hashed: Counter[tuple[bytes, bytes]], tmp_path: Path) -> None:
    (tmp_path / "crawl").mkdir()
    known: set[tuple[bytes, bytes]] = set()
    for number in range(3):
        texts = captions(ROWS, number)
        known |= {(f"http://{n}.example/{number}.jpg".encode(), text.encode()) for n, text in enumerate(texts)}
        pages = [
            page(f"http://{n}.example/", [image(f"{number}.jpg", alt=text)], place=(f"{number}.gz", n)) for n, text in enumerate(texts)
        ]
        write_wat(tmp_path / "crawl" / f"{number}.warc.wat.gz", pages)
    made(tmp_path / "run", tmp_path / "crawl")
    assert {pair: times for pair, times in hashed.items() if pair in known} == dict.fromkeys(known, 1)
    assert set(hashed.values()) == {1}  # and so are the places of pages, which are the others
