"""From the images of many pages to rows of a pool, a batch at a time.

Readers hand over what they find as it is. The rule of ``links.py`` is then applied to whole columns (``columns.py``); what is not plain
goes through ``links.web_address`` itself, and the tests show both to agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute
from jaxtyping import Bool, Int32, Int64, UInt8, UInt64

from tallyclip.core.strings import Strings
from tallyclip.core.uids import make_uids
from tallyclip.readers.content import LONGEST_SAMPLE
from tallyclip.readers.crawl.columns import CAREFUL, DATA, bases_of, clean_texts, resolve_plain
from tallyclip.readers.crawl.links import DATA_ADDRESS, FIELDS, Base, base_of, web_address
from tallyclip.readers.crawl.written import Image, WrittenTexts
from tallyclip.readers.ledger import KEPT_SAMPLES, Ledger
from tallyclip.readers.records import Drop

SCHEMA = pa.schema(
    [
        ("url", pa.string()),
        ("text", pa.string()),
        ("field", pa.dictionary(pa.int8(), pa.string())),
        ("page_url", pa.dictionary(pa.int32(), pa.string())),
        ("crawl_file", pa.dictionary(pa.int32(), pa.string())),
        ("offset", pa.int64()),
    ]
)
NOT_UNICODE = "not UTF-8"
REPEATED_ON_PAGE = "duplicate on its page"
TEXTS_AT_ONCE = 65_536
CHARACTERS_AT_ONCE = 1 << 26  # for some pages have a book in every attribute
MOST_CHARACTERS = 1 << 27  # of the texts and addresses of one page: a long base stands in front of each address
TOO_COMPLEX = "page too complex"
pc: Any = pyarrow.compute


class _Page(msgspec.Struct, gc=False):  # there are a hundred thousand in a file, which Python would go through again and again
    url: str
    base: Base
    crawl_file: str
    offset: int


@dataclass(frozen=True)
class Rows:
    """N pairs of image address and text.

    Attributes:
        table: with the columns of ``SCHEMA``.
        uids: uint64[N, 2], of the pairs.
        pages: uint64[N]: a hash of the page and its place, of which page a pair was found on.
    """

    table: pa.Table
    uids: UInt64[np.ndarray, "N 2"]
    pages: UInt64[np.ndarray, " N"]


class Gatherer:
    """Takes in pages and their images, and gives out rows.

    Attributes:
        counts: what was seen: "records", "pages", "images", "texts" (that are not empty), and these by their field.
        drops: what was left out, by reason: texts, of which each goes if its image has no address; and records.
        samples: the first of each reason.
        written: the texts of images, for readers that put them in without making an ``Image`` of each.
        is_full: has enough come in since rows were last given out?
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._ledger = Ledger()
        self.drops, self.samples = self._ledger.counts, self._ledger.samples
        self.written = WrittenTexts()
        self._start()

    def _start(self) -> None:
        self.written.cut(0, 0)
        self._pages: list[_Page] = []
        self._texts_of_pages: list[int] = []
        self._texts = self._written_characters = self._characters = 0

    @property
    def is_full(self) -> bool:
        return self._texts >= TEXTS_AT_ONCE or self._characters >= CHARACTERS_AT_ONCE

    def page(self, url: str, base: str | None, crawl_file: str, offset: int, images: Iterable[Image]) -> None:
        """A page, the base of addresses if it names one, the place it was read from, and its images.

        One with more text and addresses than fits into memory many times over is dropped.
        """
        self.written_page(url, base, crawl_file, offset, self.written.add(images))

    def written_page(self, url: str, base: str | None, crawl_file: str, offset: int, images: int) -> None:
        """The same for a page of so many images whose texts were put into ``written``."""
        page = _Page(url, base_of(url, base), crawl_file, offset)
        texts, written = self.written.rows, self.written.characters
        characters = written - self._written_characters + (texts - self._texts) * len(page.base.url)
        if characters > MOST_CHARACTERS:
            self.written.cut(self._texts, self._written_characters)
            self.drop(TOO_COMPLEX, url)
            return
        self._pages.append(page)
        self._texts_of_pages.append(texts - self._texts)
        self._texts, self._written_characters = texts, written
        self._characters += characters
        self.counts["pages"] += 1
        self.counts["images"] += images

    def drop(self, reason: str, sample: str, count: int = 1) -> None:
        """Count something that is left out."""
        self._ledger.add(Drop(reason, self.counts["records"], _encodable(sample[:LONGEST_SAMPLE]), count))

    def drain(self) -> list[Drop]:
        """What was dropped since this was last asked."""
        return self._ledger.drain()

    def take(self) -> Rows:
        """The rows of all pages so far, in their order; they are then forgotten."""
        addresses, written, fields = self.written.columns()
        numbers = np.repeat(np.arange(len(self._pages)), self._texts_of_pages)
        is_unicode = np.ones(len(fields), np.bool_)
        texts = _clean(written, is_unicode)
        good = pc.not_equal(texts, "").to_numpy(zero_copy_only=False)
        self.counts["texts"] += int(np.count_nonzero(good))
        for field, count in enumerate(np.bincount(fields[good], minlength=len(FIELDS)).tolist()):
            self.counts[FIELDS[field]] += count
        urls = self._resolved(addresses, texts, numbers, good, is_unicode)
        good &= self._note(NOT_UNICODE, ~is_unicode, good, texts)
        uids = make_uids(urls, texts)
        good &= self._note(REPEATED_ON_PAGE, _repeated(numbers, uids, good), good, texts)
        rows = self._rows(urls, texts, fields, numbers, uids, np.flatnonzero(good))
        self._start()
        return rows

    def _resolved(
        self,
        written: Strings,
        texts: pa.Array,
        numbers: Int64[np.ndarray, " N"],
        good: Bool[np.ndarray, " N"],
        is_unicode: Bool[np.ndarray, " N"],
    ) -> pa.Array:
        """Addresses as ``web_address`` gives them.

        In place, ``good`` loses the texts of those that have none, and ``is_unicode`` of those with a surrogate.
        """
        bases = bases_of([page.base for page in self._pages])
        room = len(written.data) + int(np.diff(bases.folder_offsets)[numbers].sum())
        data, offsets, kinds = np.empty(room, np.uint8), np.empty(len(numbers) + 1, np.int32), np.empty(len(numbers), np.int8)
        resolve_plain(written.data, written.offsets, numbers, bases, data, offsets, kinds, is_unicode)
        urls = _arrow(data, offsets)
        good &= self._note(DATA_ADDRESS, kinds == DATA, good, texts)
        careful = (kinds == CAREFUL) & good
        if careful.any():
            found: list[str] = []
            answers: dict[tuple[int, str], tuple[str, str | None]] = {}  # images have several texts, and pages repeat images
            for i in np.flatnonzero(careful).tolist():
                address = written.data[written.offsets[i] : written.offsets[i + 1]].tobytes().decode("utf-8", "surrogatepass")
                page = int(numbers[i])
                url, reason = answers[page, address] = answers.get((page, address)) or web_address(address, self._pages[page].base)
                found.append(url)
                if reason is not None:
                    good[i] = False
                    self.drop(reason, f"{address:.80} · {texts[i].as_py()}")
            urls = pc.replace_with_mask(urls, pa.array(careful), pa.array(found, pa.string()))
        return urls

    def _note(self, reason: str, bad: Bool[np.ndarray, " N"], good: Bool[np.ndarray, " N"], texts: pa.Array) -> Bool[np.ndarray, " N"]:
        """Count the bad ones among the good; returns those that are not bad."""
        fresh = np.flatnonzero(bad & good)
        for place, i in enumerate(fresh.tolist()):
            if place == KEPT_SAMPLES:
                self.drop(reason, texts[i].as_py(), len(fresh) - KEPT_SAMPLES)
                break
            self.drop(reason, texts[i].as_py())
        return ~bad

    def _rows(
        self,
        urls: pa.Array,
        texts: pa.Array,
        fields: np.ndarray,
        numbers: Int64[np.ndarray, " N"],
        uids: UInt64[np.ndarray, "N 2"],
        places: Int64[np.ndarray, " K"],
    ) -> Rows:
        page_urls = pa.array([_encodable(page.url) for page in self._pages], pa.string())
        offsets = np.array([page.offset for page in self._pages], np.int64)
        files = pa.array([_encodable(page.crawl_file) for page in self._pages], pa.string()).dictionary_encode()
        of_pages = page_hashes(page_urls, files.cast(pa.string()), pa.array(offsets))
        chosen, pages = pa.array(places), numbers[places]
        columns = [
            urls.take(chosen),
            texts.take(chosen),
            pa.DictionaryArray.from_arrays(pa.array(fields[places]), pa.array(FIELDS)),
            pa.DictionaryArray.from_arrays(pa.array(pages.astype(np.int32)), page_urls),
            files.take(pa.array(pages)),
            pa.array(offsets[pages]),
        ]
        return Rows(pa.table(columns, schema=SCHEMA), uids[places], of_pages[pages])


def page_hashes(urls: pa.Array, crawl_files: pa.Array, offsets: pa.Array) -> UInt64[np.ndarray, " N"]:
    """A hash of each of N pages and its place in the archive."""
    places = pc.binary_join_element_wise(crawl_files, offsets.cast(pa.string()), " ")
    return make_uids(urls, places)[:, 0]


def _repeated(numbers: Int64[np.ndarray, " N"], uids: UInt64[np.ndarray, "N 2"], good: Bool[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
    """Which pairs stand on their page before?"""
    repeated = np.zeros(len(numbers), np.bool_)
    places = np.flatnonzero(good)
    keys = (numbers[places].astype(np.uint64) << np.uint64(40)) | (uids[places, 0] >> np.uint64(24))
    by_key = np.argsort(keys, kind="stable")
    order = places[by_key]
    same = _follows(order, numbers, uids)
    if ((keys[by_key[1:]] == keys[by_key[:-1]]) & ~same).any():  # a key stands for two pairs, which may be mixed
        order = places[np.lexsort((uids[places, 1], uids[places, 0], numbers[places]))]
        same = _follows(order, numbers, uids)
    repeated[order[1:][same]] = True
    return repeated


def _follows(order: Int64[np.ndarray, " K"], numbers: Int64[np.ndarray, " N"], uids: UInt64[np.ndarray, "N 2"]) -> Bool[np.ndarray, " _"]:
    """For each pair in an order but the first: is it the one before it, and on the same page?"""
    before, after = order[:-1], order[1:]
    return (numbers[after] == numbers[before]) & (uids[after, 0] == uids[before, 0]) & (uids[after, 1] == uids[before, 1])


def _clean(texts: Strings, is_unicode: Bool[np.ndarray, " N"]) -> pa.Array:
    """Texts as ``clean_text`` gives them; in place, those with a surrogate are not Unicode."""
    data, offsets = np.empty(len(texts.data), np.uint8), np.empty(len(texts.offsets), np.int32)
    clean_texts(texts.data, texts.offsets, data, offsets, is_unicode)
    return _arrow(data, offsets)


def _arrow(data: UInt8[np.ndarray, " B"], offsets: Int32[np.ndarray, " N1"]) -> pa.Array:
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data[: offsets[-1]]))


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
