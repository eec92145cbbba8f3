"""What is found in the bytes of a record's JSON is what decoding it gives, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.strings import to_python
from tallyclip.readers.crawl.archive import read_records
from tallyclip.readers.crawl.gather import Gatherer
from tallyclip.readers.crawl.wat_json import DEEPEST
from tallyclip.readers.crawl.written import Image, WatRecord, WrittenTexts
from tallyclip.readers.wat import _decoded  # pyright: ignore[reportPrivateUsage]
from tests.readers.crawl.tools import image, wat_json

BEFORE = Image("IMG@/src", "before.png", "of an earlier page")
PIECES = ["", "a", "i.png", "é", "😀", "x" * 70, "/", "\\n", "\\/", '\\"', "\\\\", "\\u0041", "\\u00E9", "\\u2028", "\\u0000"]
ODD_PIECES = [
    "\\ud83d\\ude00",
    "\\ud800",
    "\\udc00x",
    "\\x",
    "\\u12g4",
    "\\u1",
    "\\",
    "\n",
    "\x00",
    "\x7f",
    '"',
    "\udcff",
    "\udced\udca0\udc80",
]
LINK_NAMES = ["url", "alt", "title", "data-image-title", "text", "rel", "target", "href", "", "data-image-titlx", "Links"]
ODD_NAMES = ["path", "ur\\u006c", "a\\u006ct", 'a\\"', "p\\ath", "é", "url ", "\udcff", "long name " * 9, "data-image-t\\u0069tle"]
WORDS = ["null", "true", "false", "0", "-7", "12", "[]", "{}"]
ODD_WORDS = ["1.5", "1e9", "01", "-", "+1", "nul", "NaN", "1" * 19, " 1", "1 ", "", "[1,]", "{,}", "{1:2}", "[}", '"']


def strings(odd: bool) -> st.SearchStrategy[str]:
    """JSON strings; lone surrogates stand for bytes that are not UTF-8."""
    pieces = st.sampled_from([*PIECES, *ODD_PIECES] if odd else PIECES)
    return st.lists(pieces, max_size=4).map(lambda found: f'"{"".join(found)}"')


def names(odd: bool) -> st.SearchStrategy[str]:
    return st.sampled_from([*LINK_NAMES, *(ODD_NAMES if odd else [])])


def joined(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}"


def odd_values() -> st.SearchStrategy[str]:
    """Any JSON values, and some that are none."""
    return st.recursive(
        st.one_of(strings(True), st.sampled_from([*WORDS, *ODD_WORDS])),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda found: f"[{','.join(found)}]"),
            st.lists(st.tuples(names(True), inner), max_size=3).map(joined),
        ),
        max_leaves=4,
    )


@st.composite
def records(draw: st.DrawFn, odd: bool) -> bytes:
    """WAT records, as Common Crawl writes them, or with anything that is odd in any place."""

    def rarely() -> bool:
        return odd and draw(st.integers(0, 7)) == 0

    def one(name: str, usual: str) -> tuple[str, str]:
        return (draw(names(True)) if rarely() else name, draw(odd_values()) if rarely() else usual)

    def link() -> str:
        if rarely():
            return draw(odd_values())
        kind: str = draw(st.sampled_from(['"IMG@/src"', '"IMG@/src"', '"A@/href"', '"IMG@/longdesc"', *(['"IMG@\\/src"'] if odd else [])]))
        more = draw(st.lists(st.tuples(names(odd), strings(odd)), max_size=4, unique_by=None if odd else lambda pair: pair[0]))
        return joined(draw(st.permutations([one("path", kind), one("url", draw(strings(odd))), *more])))

    def extra() -> list[tuple[str, str]]:
        return draw(
            st.lists(st.tuples(st.sampled_from(["Format", "Status", "Headers"]), odd_values() if odd else strings(odd)), max_size=2)
        )

    def mixed(*wanted: tuple[str, str]) -> str:
        return joined(draw(st.permutations([pair for pair in wanted if not rarely()] + extra())))

    links = f"[{','.join(link() for _ in range(draw(st.integers(0, 4))))}]"
    simple = strings(odd) if odd else st.sampled_from(['""', '"/a/é"'])
    head = mixed(one("Base", draw(simple)))
    html = mixed(one("Links", links), *([one("Head", head)] if draw(st.booleans()) else []))
    response = mixed(one("HTML-Metadata", html))
    payload = mixed(one("HTTP-Response-Metadata", response))
    container = mixed(one("Filename", draw(simple)), one("Offset", f'"{draw(st.integers(0, 9999))}"'))
    record = mixed(one("Envelope", mixed(one("Payload-Metadata", payload))), one("Container", container))
    content = record.encode("utf-8", "surrogateescape")
    if not odd:
        return content
    spoilt = draw(st.integers(0, 4))
    place = draw(st.integers(0, len(content)))
    if spoilt == 0:
        return content[:place]
    if spoilt == 1:
        return content[:place] + draw(st.sampled_from([b" ", b",", b'"', b"\\", b"\xff", b"{", b"]", b"\x00", b"}"])) + content[place:]
    return content


def read(content: bytes) -> tuple[WatRecord | None, WrittenTexts]:
    written = WrittenTexts()
    written.add([BEFORE])
    return written.read(content), written


def columns(written: WrittenTexts) -> tuple[list[str], list[str], list[int], int]:
    addresses, texts, fields = written.columns()
    return to_python(addresses), to_python(texts), fields.tolist(), written.characters


def check(content: bytes) -> bool:
    """Compare the two ways; returns whether the record was not odd."""
    found, written = read(content)
    gather = Gatherer()
    gather.written.add([BEFORE])
    if found is not None:
        assert found == _decoded(content, gather)
        assert not gather.drops
    assert columns(written) == columns(gather.written)
    return found is not None


@given(records(odd=True))
def test_whatever_a_record_is_it_is_read_as_it_would_be_decoded_or_odd(content: bytes) -> None:
    check(content)


@given(records(odd=False))
def test_records_as_common_crawl_writes_them_are_read_without_decoding(content: bytes) -> None:
    assert check(content)


RECORD = (
    '{"Container":{"Filename":"f.gz","Compressed":true,"Offset":"7"},"Envelope":{"Payload-Metadata":{"HTTP-Response-Metadata":{"Headers":'
    '{"x":["a",null,-1]},"HTML-Metadata":{"Head":{"Base":"/b/"},"Links":[{"path":"A@/href","url":"/","text":"\\u00e9"},{"path":"IMG@/src",'
    '"url":"1.png","alt":"a \\"dog\\""},{"data-image-title":"é","path":"IMG@/src","url":"2.png","title":"a cat"}]}}}},"Format":"WARC/1.0"}'
).encode()


@pytest.mark.parametrize("byte", [b"", *(bytes([sign]) for sign in b'"\\,:[]{} a0-u\x00\x80\xe9\xff')])
def test_with_any_one_byte_changed_left_out_or_put_in_a_record_is_read_as_it_would_be_decoded_or_odd(byte: bytes) -> None:
    assert check(RECORD)
    for place in range(len(RECORD)):
        check(RECORD[:place] + byte + RECORD[place + 1 :])
        check(RECORD[:place] + byte + RECORD[place:])


def test_a_record_may_end_anywhere() -> None:
    for end in range(len(RECORD)):
        assert not check(RECORD[:end])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"url":', b'"ur\\u006c":'),
        (b'"alt":', b'"alt": '),
        (b'"alt":"a', b'"alt":null,"x":"a'),
        (b'"title":"a cat"', b'"title":{"alt":"a"}'),
        (b'"2.png"', b'"\\ud83d\\ude00"'),
        (b"A@/href", b"A@/hr\xff"),
        (b'{"Head"', b'{"Links":[],"Head"'),
        (b'"Head":{', b'"Head":{"Base":"/c/",'),
        (b'"7"', b"7"),
        (b'"/b/"', b'"\\/b/"'),
        (b'["a"', b"[" * DEEPEST + b"]" * DEEPEST + b',"y":["a"'),
        (b"-1", b"-1.5"),
        (b"-1", b"1234567890123456789"),
        (b'"Envelope"', b'"Envelope":{},"Envelope"'),
    ],
)
def test_json_that_is_not_plain_is_left_to_the_library(old: bytes, new: bytes) -> None:
    assert RECORD.count(old) >= 1
    assert not check(RECORD.replace(old, new))


def test_of_two_texts_of_one_name_the_last_counts_and_texts_without_an_address_are_kept() -> None:
    found, written = read(RECORD.replace(b'"alt":"a', b'"alt":"b","alt":"a').replace(b'"url":"1.png",', b""))
    assert found == WatRecord(True, "/b/", "f.gz", "7", 2)
    assert columns(written)[:3] == (
        ["before.png", "", "2.png", "2.png"],
        ["of an earlier page", 'a "dog"', "a cat", "é"],
        [0, 0, 1, 2],
    )


def test_the_columns_grow_with_what_is_read() -> None:
    written = WrittenTexts()
    for number in range(400):
        assert written.read(wat_json([image(f"{number}.png", alt="x" * 10_000)]))
        written.add([BEFORE])
    addresses, texts, _, _ = columns(written)
    assert addresses == [name for number in range(400) for name in (f"{number}.png", "before.png")]
    assert set(texts) == {"x" * 10_000, "of an earlier page"}
    written.cut(1, 15)
    assert columns(written) == (["0.png"], ["x" * 10_000], [0], 15)


def test_real_records_are_read_without_decoding(shared_data: Path) -> None:
    for path in sorted((shared_data / "wat").iterdir()):
        for record in read_records(str(path), ("metadata",), lambda *_: None):
            assert check(record.content), (path, record.uri)
