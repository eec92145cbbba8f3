"""From the images of many pages to rows of a pool, a batch at a time.

Readers hand over what they find as it is. The rule of ``links.py`` is then applied to whole columns, by Arrow, which is several times
faster than one by one; what is not plain goes through ``links.web_address`` itself, and the tests show both to agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute
from jaxtyping import Bool, Int64, UInt64

from tallyclip.core.uids import make_uids
from tallyclip.readers.content import LONGEST_SAMPLE
from tallyclip.readers.crawl.links import (
    BLANKS,
    DATA_ADDRESS,
    EDGES,
    FIELDS,
    IS_DATA,
    LINE_BREAK,
    NEEDS_CARE,
    WHOLE,
    Base,
    base_of,
    web_address,
)
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


class Image(msgspec.Struct, gc=False):
    """An image of a page, with its attributes as they stand there; ``path`` is what WAT calls the kind of a link."""

    path: str | None = None
    url: str | None = None
    alt: str | None = None
    title: str | None = None
    data_image_title: str | None = msgspec.field(default=None, name="data-image-title")


class _Page(NamedTuple):
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
        is_full: has enough come in since rows were last given out?
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._ledger = Ledger()
        self.drops, self.samples = self._ledger.counts, self._ledger.samples
        self._start()

    def _start(self) -> None:
        self._pages: list[_Page] = []
        self._addresses: list[str] = []
        self._texts: list[str] = []
        self._fields: list[int] = []
        self._page_numbers: list[int] = []
        self._characters = 0

    @property
    def is_full(self) -> bool:
        return len(self._texts) >= TEXTS_AT_ONCE or self._characters >= CHARACTERS_AT_ONCE

    def page(self, url: str, base: str | None, crawl_file: str, offset: int, images: Iterable[Image]) -> None:
        """A page, the base of addresses if it names one, the place it was read from, and its images.

        One with more text and addresses than fits into memory many times over is dropped.
        """
        number, seen, start, before = len(self._pages), 0, len(self._texts), self._characters
        page = _Page(url, base_of(url, base), crawl_file, offset)
        for image in images:
            seen += 1
            if image.alt or image.title or image.data_image_title:
                for field, text in enumerate((image.alt, image.title, image.data_image_title)):
                    if text:
                        self._addresses.append(image.url or "")
                        self._texts.append(text)
                        self._characters += len(text) + len(self._addresses[-1]) + len(page.base.url)
                        self._fields.append(field)
                        self._page_numbers.append(number)
        if self._characters - before > MOST_CHARACTERS:
            for column in (self._addresses, self._texts, self._fields, self._page_numbers):
                del column[start:]
            self._characters = before
            self.drop(TOO_COMPLEX, url)
            return
        self._pages.append(page)
        self.counts["pages"] += 1
        self.counts["images"] += seen

    def drop(self, reason: str, sample: str, count: int = 1) -> None:
        """Count something that is left out."""
        self._ledger.add(Drop(reason, self.counts["records"], _encodable(sample[:LONGEST_SAMPLE]), count))

    def drain(self) -> list[Drop]:
        """What was dropped since this was last asked."""
        return self._ledger.drain()

    def take(self) -> Rows:
        """The rows of all pages so far, in their order; they are then forgotten."""
        texts = pc.replace_substring_regex(self._column(self._texts), LINE_BREAK, " ")
        texts = pc.utf8_trim(texts, BLANKS)
        fields, numbers = np.array(self._fields, np.int8), np.array(self._page_numbers, np.int64)
        good = pc.not_equal(texts, "").to_numpy(zero_copy_only=False)
        self.counts["texts"] += int(np.count_nonzero(good))
        for field, count in enumerate(np.bincount(fields[good], minlength=len(FIELDS)).tolist()):
            self.counts[FIELDS[field]] += count
        urls = self._resolved(self._column(self._addresses), texts, numbers, good)
        good &= self._note(NOT_UNICODE, ~self._unicode(), good, texts)
        uids = make_uids(urls, texts)
        good &= self._note(REPEATED_ON_PAGE, _repeated(numbers, uids, good), good, texts)
        rows = self._rows(urls, texts, fields, numbers, uids, np.flatnonzero(good))
        self._start()
        return rows

    def _resolved(self, written: pa.Array, texts: pa.Array, numbers: Int64[np.ndarray, " N"], good: Bool[np.ndarray, " N"]) -> pa.Array:
        """Addresses as ``web_address`` gives them; in place, ``good`` loses those that have none."""
        addresses = pc.replace_substring_regex(pc.utf8_trim(written, EDGES), "[\t\n\r]", "")
        is_data = pc.match_substring_regex(addresses, IS_DATA).to_numpy(zero_copy_only=False)
        good &= self._note(DATA_ADDRESS, is_data, good, texts)
        whole = pc.match_substring_regex(addresses, WHOLE)
        schemes, origins, folders = (
            pa.array([getattr(page.base, name) for page in self._pages], pa.string()).take(pa.array(numbers))
            for name in ("scheme", "origin", "folder")
        )
        heads = pc.if_else(pc.starts_with(addresses, "//"), schemes, pc.if_else(pc.starts_with(addresses, "/"), origins, folders))
        heads = pc.if_else(whole, "", heads)
        plain = pc.and_(
            pc.is_valid(heads), pc.and_(pc.not_equal(addresses, ""), pc.invert(pc.match_substring_regex(addresses, NEEDS_CARE)))
        )
        easy = pc.or_(whole, plain).to_numpy(zero_copy_only=False)
        urls = pc.binary_join_element_wise(pc.fill_null(heads, ""), addresses, "")
        hard = np.flatnonzero(~easy & good)
        if len(hard):
            answers = [web_address(self._addresses[i], self._pages[numbers[i]].base) for i in hard.tolist()]
            for i, (_, reason) in zip(hard.tolist(), answers, strict=True):
                if reason is not None:
                    good[i] = False
                    self.drop(reason, f"{self._addresses[i]:.80} · {texts[i].as_py()}")
            found = pa.array([url for url, _ in answers], pa.string())
            urls = pc.replace_with_mask(urls, pa.array(np.isin(np.arange(len(urls)), hard)), found)
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

    def _column(self, values: list[str]) -> pa.Array:
        try:
            return pa.array(values, pa.string())
        except UnicodeEncodeError:
            return pa.array([_encodable(value) for value in values], pa.string())

    def _unicode(self) -> Bool[np.ndarray, " N"]:
        """Which rows are without lone surrogates, which JSON can write?"""
        pairs = zip(self._addresses, self._texts, strict=True)
        try:
            "".join(self._addresses).encode()
            "".join(self._texts).encode()
            return np.ones(len(self._texts), np.bool_)
        except UnicodeEncodeError:
            return np.array([_encodable(address) == address and _encodable(text) == text for address, text in pairs], np.bool_)


def page_hashes(urls: pa.Array, crawl_files: pa.Array, offsets: pa.Array) -> UInt64[np.ndarray, " N"]:
    """A hash of each of N pages and its place in the archive."""
    places = pc.binary_join_element_wise(crawl_files, offsets.cast(pa.string()), " ")
    return make_uids(urls, places)[:, 0]


def _repeated(numbers: Int64[np.ndarray, " N"], uids: UInt64[np.ndarray, "N 2"], good: Bool[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
    """Which pairs stand on their page before?"""
    repeated = np.zeros(len(numbers), np.bool_)
    places = np.flatnonzero(good)
    order = places[np.lexsort((uids[places, 1], uids[places, 0], numbers[places]))]
    same = (numbers[order[1:]] == numbers[order[:-1]]) & (uids[order[1:]] == uids[order[:-1]]).all(axis=1)
    repeated[order[1:][same]] = True
    return repeated


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
