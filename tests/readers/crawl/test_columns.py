"""Whole columns of addresses and texts follow the rule of ``links.py``."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from urllib.parse import urljoin

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.strings import Strings, from_python, to_python
from tallyclip.readers.crawl.columns import CAREFUL, DATA, PLAIN, bases_of, clean_texts, resolve_plain
from tallyclip.readers.crawl.gather import _repeated  # pyright: ignore[reportPrivateUsage]
from tallyclip.readers.crawl.links import BLANKS, DATA_ADDRESS, NEEDS_CARE, WHOLE, base_of, clean_text, clean_url, web_address

SIGNS = "/.?#;:a["
PIECES = [
    *SIGNS,
    "..",
    "]",
    "//",
    "http:",
    "https://",
    "data:",
    "DATA",
    " ",
    "é",
    "\t",
    "\n",
    "%",
    "@",
    "\\",
    "\ud800",
    "../",
    "=",
    "h.example",
]
PAGES = ["https://h.example/x/y.html", "http://h.example", "http://u@h:8/a/b/?q#f", "https://h.example/p;q/", "dns:a"]


def resolved(addresses: Sequence[str], page: str) -> tuple[list[int], list[str], list[bool]]:
    base, written, count = base_of(page, None), from_python(addresses), len(addresses)
    room = len(written.data) + count * len(base.folder or "")
    data, offsets, kinds = np.empty(room, np.uint8), np.empty(count + 1, np.int32), np.empty(count, np.int8)
    is_unicode = np.ones(count, np.bool_)
    resolve_plain(written.data, written.offsets, np.zeros(count, np.int64), bases_of([base]), data, offsets, kinds, is_unicode)
    return kinds.tolist(), to_python(Strings(data, offsets.astype(np.int64), None)), is_unicode.tolist()


def check(addresses: Sequence[str], page: str) -> int:
    """Compare with the rule; returns how many addresses are plain."""
    base, plain = base_of(page, None), 0
    for address, kind, url, is_unicode in zip(addresses, *resolved(addresses, page), strict=True):
        answer, reason = web_address(address, base)
        assert (kind == DATA) == (reason == DATA_ADDRESS), address
        assert is_unicode or kind == CAREFUL, address
        assert kind == DATA or is_unicode == ("\ud800" not in address), address
        if kind == PLAIN:
            cleaned = clean_url(address)
            assert (url, None) == (answer, reason), address
            assert url == (cleaned if re.match(WHOLE, cleaned) else urljoin(base.url, cleaned)), address
            plain += 1
        else:
            assert url == ""
    return plain


def test_all_short_addresses_of_signs_are_resolved_as_urljoin_does_or_left_to_it() -> None:
    addresses = ["".join(signs) for size in range(6) for signs in itertools.product(SIGNS, repeat=size)]
    assert check(addresses, PAGES[0]) > 4000


@pytest.mark.parametrize("page", PAGES)
def test_addresses_of_odd_pieces_are_resolved_as_one_by_one_or_left_to_that(page: str) -> None:
    chosen = random.Random(7)
    check(["".join(chosen.choices(PIECES, k=chosen.randint(1, 8))) for _ in range(5000)], page)


@given(st.text(st.sampled_from(SIGNS + "]@x%=~"), min_size=1, max_size=9))
def test_what_needs_care_is_one_rule_for_columns_and_for_single_addresses(address: str) -> None:
    (kind,), _, _ = resolved([address], PAGES[0])
    assert (kind == PLAIN) == (re.search(NEEDS_CARE, address) is None)


@given(
    st.lists(st.one_of(st.text(st.sampled_from([*BLANKS, "a", "é", "\u200b", "😀", "\ud800", "\udfff"]), max_size=8), st.text(max_size=8)))
)
def test_texts_are_cleaned_as_one_by_one(texts: list[str]) -> None:
    written, is_unicode = from_python(texts), np.ones(len(texts), np.bool_)
    data, offsets = np.empty(len(written.data), np.uint8), np.empty(len(texts) + 1, np.int32)
    clean_texts(written.data, written.offsets, data, offsets, is_unicode)
    found = to_python(Strings(data, offsets.astype(np.int64), None))
    assert found == [clean_text(text).encode("utf-8", "replace").decode() for text in texts]
    assert is_unicode.tolist() == [not re.search("[\ud800-\udfff]", text) for text in texts]


def test_pairs_on_one_page_are_repeats_only_if_their_whole_uids_are_equal() -> None:
    high = 5 << 40
    uids = np.array([(high, 1), (high + 1, 1), (high, 1), (high, 2), (high, 1), (high, 1), (9, 9)], np.uint64)
    pages, good = np.array([0, 0, 0, 0, 0, 1, 1]), np.array([1, 1, 1, 1, 0, 1, 1], np.bool_)
    assert _repeated(pages, uids, good).tolist() == [False, False, True, False, False, False, False]
    assert not _repeated(pages[:1], uids[:1], good[:1]).any()
