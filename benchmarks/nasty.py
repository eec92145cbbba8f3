"""The nastiest files that we can think of for each reader: as many bytes of one thing, which it may be slow at, as are asked for.

``INPUTS`` has them by the reader they are for. A function that makes one takes a size in bytes, of the unpacked content where it is packed,
and keeps to it as far as what is repeated allows.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

Make = Callable[[int], bytes]


class Input(NamedTuple):
    """An adversarial input: what it is called, the reader it is for, the suffix of its file, what makes it, and the fewest bytes of it."""

    name: str
    reader: str
    suffix: str
    make: Make
    least: int = 1 << 16


def again(unit: bytes, before: bytes = b"", after: bytes = b"") -> Make:
    """One thing again and again."""
    return lambda size: before + unit * max(1, size // len(unit)) + after


def counted(form: bytes, before: bytes = b"", after: bytes = b"", between: bytes = b"") -> Make:
    """One thing again and again, with another number in each."""

    def make(size: int) -> bytes:
        each = len(form % 0) + 5 + len(between)
        return before + between.join(form % i for i in range(max(1, size // each))) + after

    return make


def packed(make: Make, pack: Callable[[bytes], bytes]) -> Make:
    return lambda size: pack(make(size))


def each_packed(unit: bytes, pack: Callable[[bytes], bytes], before: bytes = b"", after: bytes = b"") -> Make:
    """One thing again and again, each packed by itself."""
    return again(pack(unit), pack(before) if before else b"", pack(after) if after else b"")


def gz(content: bytes) -> bytes:
    return gzip.compress(content, 1, mtime=0)


def zst(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(content)


def lz4(content: bytes) -> bytes:
    target = io.BytesIO()
    with pa.CompressedOutputStream(target, "lz4") as stream:
        stream.write(content)
        stream.flush()
        return target.getvalue() + b"\0\0\0\0"


def wide_then_rows(size: int) -> bytes:
    names = ",".join(f"c{i}" for i in range(5_000)).encode()
    return b"caption," + names + b"\n" + (b"," * 5_000 + b"\n") * max(1, size // 5_001)


def widening_rows(size: int) -> bytes:
    """Rows each a value wider than the one before."""
    rows: list[bytes] = []
    while size > 0:
        rows.append(b"," * len(rows) + b"\n")
        size -= len(rows)
    return b"caption,url\n" + b"".join(rows)


def three_hundred_names(size: int) -> bytes:
    """300 names in each object that no other has."""
    rows = range(size // 3_600 + 1)
    return b'{"caption":"a"}\n' * 2_000 + b"".join(
        b'{"caption":"a",%s}\n' % b",".join(b'"%d":1' % (300 * row + i) for i in range(300)) for row in rows
    )


# Parquet


def parquet(table: pa.Table, row_group_size: int | None = None) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target, row_group_size, compression="zstd")
    return target.getvalue()


def row_groups_of_one(size: int) -> bytes:
    return parquet(pa.table({"caption": ["a dog"] * (size // 400 + 1)}), row_group_size=1)


def one_long_text(size: int) -> bytes:
    """One text of 100 KB in each row: a dictionary of one value and a few bytes more in the file."""
    rows = size // 100_000 + 1
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["a dog " * 16_667]))
    return parquet(pa.table({"caption": texts}), row_group_size=rows)


def many_columns(size: int) -> bytes:
    return parquet(pa.table({"caption": ["a dog"]} | {f"c{i}": pa.nulls(1) for i in range(size // 300 + 1)}))


def many_texts(size: int) -> bytes:
    """One image with as many texts, under a long URL."""
    texts = [{"key": "k", "text": f"text {i}"} for i in range(size // 24 + 1)]
    return parquet(pa.table({"url": ["http://x.example/" + "a" * 4_000], "texts": [texts]}))


def images_with_texts(size: int) -> bytes:
    texts = [{"key": "k", "text": f"text {i}"} for i in range(300)]
    return parquet(pa.table({"url": [f"http://x.example/{i}" for i in range(size // 7_000 + 1)], "texts": [texts] * (size // 7_000 + 1)}))


# Tars


def header(name: bytes, size: int, kind: bytes = b"0", more: bytes = b"") -> bytes:
    """A block of a tar; ``more`` is what stands from byte 345 on."""
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"00000000000\0" + b" " * 8 + kind
    block = block.ljust(257, b"\0") + b"ustar\x0000"
    block = block.ljust(345, b"\0") + more
    block = block.ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def member(name: bytes, content: bytes, kind: bytes = b"0", more: bytes = b"") -> bytes:
    return header(name, len(content), kind, more) + content.ljust(-(-len(content) // 512) * 512, b"\0")


def said(key: bytes, value: bytes) -> bytes:
    """A record of a pax header."""
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length = len(b"%d" % length) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (length, key, value)


END = b"\0" * 1024
FIRST = member(b"0.txt", b"a dog")
SAID_OFTEN = member(b"pax", said(b"path", b"1.txt") * 70_000, b"x")  # 1 MB in one header
HOLES = b"".join(said(b"GNU.sparse.offset", b"0") + said(b"GNU.sparse.numbytes", b"0") for _ in range(15_000))
SPARSE = member(b"pax", HOLES + said(b"GNU.sparse.size", b"5"), b"x")
MAPPED = (b"%d\n" % 200_000 + b"0\n" * 400_000).ljust(800_256, b"\0")


def sparse_in_data(size: int) -> bytes:
    pax = member(
        b"pax",
        b"".join(said(b"GNU.sparse." + key, value) for key, value in ((b"major", b"1"), (b"minor", b"0"), (b"realsize", b"5"))),
        b"x",
    )
    return again(pax + member(b"1.txt", MAPPED), FIRST, END)(size)


def gnu_sparse(size: int) -> bytes:
    """An old GNU map of holes with 2,000 blocks, before each of the members."""
    first = header(b"1.txt", 0, b"S", b"\0" * 41 + (b"00000000000\0" * 2) * 4 + b"\x01" + b"00000000005\0")
    block = (b"00000000000\0" * 2) * 21 + b"\x01" + b"\0" * 7
    return again(first + block * 1_999 + block[:504] + b"\0" * 8, FIRST, END)(size)


def keys_that_come_back(size: int) -> bytes:
    names = [b"%d.txt" % (i % 2) for i in range(size // 1_024)]
    return b"".join(member(name, b"a dog") for name in names) + END


def falling_keys(size: int) -> bytes:
    return b"".join(member(b"%09d.txt" % (10**9 - 1 - i), b"a") for i in range(size // 1_024 + 1)) + END


# Crawl files


def record(content: bytes, kind: bytes = b"response", more: bytes = b"") -> bytes:
    return (
        b"WARC/1.0\r\nWARC-Type: %s\r\nWARC-Target-URI: http://x.example/a/\r\n%sContent-Length: %d\r\n\r\n" % (kind, more, len(content))
        + content
        + b"\r\n\r\n"
    )


LONG_BASE = b'"Head":{"Base":"http://x.example/' + b"a" * 8_000 + b'/"},'


def wat_of(links: Make, head: bytes = b"") -> Make:
    """Links in records of at most 16 MB."""
    start = b'{"Envelope":{"Payload-Metadata":{"HTTP-Response-Metadata":{"HTML-Metadata":{' + head + b'"Links":['

    def make(size: int) -> bytes:
        most = 16 << 20
        parts = [most] * (size // most) + [size % most]
        return b"".join(record(start + links(part).rstrip(b",") + b"]}}}}}", b"metadata") for part in parts if part)

    return make


def link(url: bytes) -> bytes:
    return b'{"path":"IMG@/src","url":"%s","alt":"a dog"},' % url


def page(html: bytes, head: bytes = b"Content-Type: text/html; charset=utf-8") -> bytes:
    return record(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + html)


def damage_then_zeros(size: int) -> bytes:
    """Half of it beginnings of records, and the rest zeros, as at the end of a tape."""
    return again(b"WARC/1.0\r\n", page(b"x"), b"\0" * (size // 2))(size // 2)


def broken_members(size: int) -> bytes:
    """Gzip members each with a wrong checksum."""
    whole = gz(page(b"<img src=a alt=b>"))
    return again(whole[:-8] + b"\xff" * 8, gz(page(b"x")))(size)


def members_then_zeros(size: int) -> bytes:
    return again(gz(b"GARBAGE: is here\r\n\r\n"), gz(page(b"x")), b"\0" * (size // 2))(size // 2)


def chunked(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body


GUESSED = b"\xe9 " * 40 + b"<" + b"a" * 16_000
PAGE = page(GUESSED, b"Content-Type: text/html")
FOLDED = record(b"HTTP/1.1 200 OK\r\nX: y\r\n" + b" \n" * 125_000 + b"\r\n\r\nx")


# Wikipedia

WIKI = b'<mediawiki xml:lang="en"><siteinfo><namespaces><namespace key="6">File</namespace></namespaces></siteinfo>\n'
OF_WIKI = b"</mediawiki>\n"


def article(text: bytes) -> bytes:
    return b"<page>\n<title>A</title>\n<ns>0</ns>\n<revision>\n<text>" + text + b"</text>\n</revision>\n</page>\n"


def stripped(unit: bytes) -> Make:
    """An article of 1 MB and less, again and again."""

    def make(size: int) -> bytes:
        most = 1 << 20
        return b"\n".join(again(unit)(min(most, size)) for _ in range(max(1, size // most)))

    return make


def wordnet_line(words: int) -> bytes:
    return b"00001740 03 n %02x " % words + b"dog 0 " * words + b"000 | a dog\n"


DEEP = 400
SURROGATE = json.dumps({"caption": "\ud800"}).encode() + b"\n"
OWN = b"0123456789abcdef0123456789abcdef"

INPUTS = [
    Input("row groups of one row", "pool", ".parquet", row_groups_of_one),
    Input("one text of 100 KB in every row", "pool", ".parquet", one_long_text),
    Input("ever more columns", "pool", ".parquet", many_columns),
    Input("one image with all texts", "pool", ".parquet", many_texts),
    Input("300 texts to an image", "pool", ".parquet", images_with_texts),
    Input("names that differ in every object", "pool", ".jsonl", counted(b'{"caption":"a","k%d":1}\n', b'{"caption":"a"}\n' * 2_000)),
    Input("300 names that differ in every object", "pool", ".jsonl", three_hundred_names),
    Input(
        "one of 900 names in each object", "pool", ".jsonl", again(b"".join(b'{"caption":"a","k%d":1}\n' % i for i in range(900))), 1 << 20
    ),
    Input(
        "one object with all names", "pool", ".jsonl", counted(b'"k%d":1', b'{"caption":"a"}\n' * 200 + b'{"caption":"a",', b"}\n", b",")
    ),
    Input("deep lists", "pool", ".jsonl", again(b'{"caption":"a","b":' + b"[" * DEEP + b"]" * DEEP + b"}\n")),
    Input("too deep lists", "pool", ".jsonl", again(b"[" * 2_000 + b"\n", b'{"caption":"a"}\n')),
    Input("one broken line after another", "pool", ".jsonl", again(b"{\n", b'{"caption":"a"}\n')),
    Input("empty lines", "pool", ".jsonl", again(b"\n", b'{"caption":"a"}\n')),
    Input("lone surrogates", "pool", ".jsonl", again(SURROGATE, b'{"caption":"a"}\n')),
    Input(
        "types that alternate", "pool", ".jsonl", again(b'{"caption":"a","b":1}\n{"caption":"a","b":[1]}\n{"caption":"a","b":{"c":"d"}}\n')
    ),
    Input("numbers of 4,000 digits", "pool", ".jsonl", again(b'{"caption":"a","b":' + b"9" * 4_000 + b"}\n")),
    Input("captions that are lists", "pool", ".jsonl", again(b'{"caption":["a",["b","c"],{"text":"d"}]}\n')),
    Input("one line without an end", "pool", ".jsonl", again(b'{"a":', b'{"caption":"a"}\n')),
    Input("empty objects", "pool", ".json", again(b"{},", b'[{"caption":"a"},', b"{}]")),
    Input("numbers in place of objects", "pool", ".json", again(b"1,", b'[{"caption":"a"},', b"1]")),
    Input("broken items", "pool", ".json", again(b"{,", b'[{"caption":"a"},', b"]")),
    Input("lists never closed", "pool", ".json", again(b"[", b'[{"caption":"a"},')),
    Input("a string never closed", "pool", ".json", again(b"\\\\", b'[{"caption":"a"},{"caption":"')),
    Input("strings and brackets", "pool", ".json", again(b'"]",', b'[{"caption":"a"},', b"1]")),
    Input("one object of all names", "pool", ".json", counted(b'"k%d":1', b'[{"caption":"a"},{', b"}]", b",")),
    Input("keys without texts", "pool", ".json", counted(b'"k%d":[],', b'{"a":[["x","a dog","en"]],', b'"z":[]}')),
    Input("one key with all texts", "pool", ".json", again(b'["x","a","en"],', b'{"a":[["x","a dog","en"]],"b":[', b'["x","a","en"]]}')),
    Input(
        "keys of one name",
        "pool",
        ".json",
        again(b'"k":[["x","a","en"]],', b"{" + b"".join(b'"%d":[["x","a dog","en"]],' % i for i in range(1_000)), b'"z":[]}'),
    ),
    Input("a quote never closed", "pool", ".csv", again(b"a,b\n", b'caption,url\n"')),
    Input("quotes that alternate", "pool", ".csv", again(b'"a"b,"\n"c\n', b"caption,url\n")),
    Input("one value of quotes", "pool", ".csv", again(b'""', b'caption,url\n"', b'",b\n')),
    Input("values of a quote", "pool", ".csv", again(b'",', b"caption,url\n")),
    Input("quotes in unquoted values", "pool", ".csv", again(b'a"b,c"d\n', b"caption,url\n")),
    Input("backslashes and quotes", "pool", ".csv", again(b'"a\\"b",c\n', b"caption,url\n")),
    Input("rows with a value too few", "pool", ".csv", again(b"a\n", b"caption,url\n")),
    Input("rows that widen", "pool", ".csv", widening_rows),
    Input("5,000 columns of nothing", "pool", ".csv", wide_then_rows),
    Input("one row of delimiters", "pool", ".csv", again(b",", b"caption,url\na,b\n")),
    Input("carriage returns alone", "pool", ".csv", again(b"a,b\r", b"caption,url\r")),
    Input("rows that are not UTF-8", "pool", ".csv", again(b"\xff,b\n", b"caption,url\n")),
    Input("empty rows", "pool", ".csv", again(b"\n", b"caption,url\na,b\n")),
    Input("one value of quotes", "pool", ".tsv", again(b'""', b'caption\turl\n"', b'"\tb\n')),
    Input("values of a quote", "pool", ".tsv", again(b'"\t', b"caption\turl\n")),
    Input("quotes before line ends", "pool", ".tsv", again(b'"a\tb"\n', b"caption\turl\n")),
    Input("rows with a value too few", "pool", ".tsv", again(b"a\n", b"caption\turl\n")),
    Input("carriage returns alone", "pool", ".tsv", again(b"a\tb\r", b"caption\turl\r")),
    Input("empty lines", "pool", ".txt", again(b"\n")),
    Input("lines that are not UTF-8", "pool", ".txt", again(b"\xff\n")),
    Input("carriage returns alone", "pool", ".txt", again(b"a\r")),
    Input(
        "60 extended headers before each member",
        "pool",
        ".tar",
        again(member(b"x", said(b"path", b"1.txt"), b"x") * 60 + member(b"1.txt", b"a"), FIRST, END),
    ),
    Input("pax headers of 70,000 records", "pool", ".tar", again(SAID_OFTEN + member(b"1.txt", b"a"), FIRST, END)),
    Input("pax maps of 15,000 holes", "pool", ".tar", again(SPARSE + member(b"1.txt", b"a dog"), FIRST, END)),
    Input("maps of 200,000 holes in the data", "pool", ".tar", sparse_in_data),
    Input("GNU maps of 2,000 blocks", "pool", ".tar", gnu_sparse),
    Input("global headers", "pool", ".tar", again(member(b"x", said(b"path", b"1.txt"), b"g") * 60 + member(b"1.txt", b"a"), FIRST, END)),
    Input("keys that come back", "pool", ".tar", keys_that_come_back),
    Input("keys that fall", "pool", ".tar", falling_keys),
    Input("zeros between members", "pool", ".tar", again(END * 8 + FIRST, after=END)),
    Input("members of one sample", "pool", ".tar", again(member(b"0.a", b""), FIRST, END)),
    Input("empty members", "pool", ".tar.gz", packed(again(header(b"1.txt", 0), FIRST, END), gz)),
    Input("empty gzip members", "pool", ".jsonl.gz", each_packed(b"", gz, b'{"caption":"a"}\n')),
    Input("gzip members of one byte", "pool", ".jsonl.gz", each_packed(b"\n", gz, b'{"caption":"a"}\n')),
    Input("zeros, packed a thousandfold", "pool", ".jsonl.gz", packed(again(b"\0" * 1_000 + b"\n", b'{"caption":"a"}\n'), gz)),
    Input("Zstandard frames of one byte", "pool", ".jsonl.zst", each_packed(b"\n", zst, b'{"caption":"a"}\n')),
    Input("empty Zstandard frames", "pool", ".jsonl.zst", each_packed(b"", zst, b'{"caption":"a"}\n')),
    Input("Zstandard frames to skip", "pool", ".jsonl.zst", again(b"\x50\x2a\x4d\x18\0\0\0\0", zst(b'{"caption":"a"}\n'))),
    Input("LZ4 frames of one byte", "pool", ".jsonl.lz4", each_packed(b"\n", lz4, b'{"caption":"a"}\n')),
    Input("empty bzip2 streams", "pool", ".jsonl.bz2", each_packed(b"", bz2.compress, b'{"caption":"a"}\n')),
    Input("bzip2 streams of one byte", "pool", ".jsonl.bz2", each_packed(b"\n", bz2.compress, b'{"caption":"a"}\n')),
    Input("images", "crawl", ".wat", wat_of(counted(b'{"path":"IMG@/src","url":"%d","alt":"a"},'))),
    Input("images under a long base", "crawl", ".wat", wat_of(counted(b'{"path":"IMG@/src","url":"%d","alt":"a"},'), LONG_BASE)),
    Input("steps up in URLs", "crawl", ".wat", wat_of(again(link(b"../" * 1_000 + b"a.jpg")))),
    Input("dots in URLs", "crawl", ".wat", wat_of(again(link(b"./a/.." * 1_000)))),
    Input(
        "other scripts in hosts",
        "crawl",
        ".wat",
        wat_of(counted(b'{"path":"IMG@/src","url":"http://\xe7\x8c\xab%d.\xe7\x8c\xab/","alt":"a"},')),
    ),
    Input("long hosts in other scripts", "crawl", ".wat", wat_of(again(link(b"http://" + b"\xe7\x8c\xab" * 30_000 + b"/")))),
    Input("blanks and other scripts in paths", "crawl", ".wat", wat_of(again(link(b"http://x/" + b"\xe7\x8c\xab a" * 1_000)))),
    Input("odd links", "crawl", ".wat", wat_of(again(b'{"path":1},'))),
    Input("records of length zero", "crawl", ".wat", again(record(b"", b"metadata"))),
    Input("broken JSON", "crawl", ".wat", again(record(b"{", b"metadata"))),
    Input("lists never closed", "crawl", ".wat", again(record(b'{"a":' * 100_000, b"metadata"))),
    Input(
        "record headers by the million",
        "crawl",
        ".wat",
        again(b"X: y\r\n", record(b"{}", b"metadata") + b"WARC/1.0\r\nWARC-Type: metadata\r\n", b"Content-Length: 2\r\n\r\n{}\r\n\r\n"),
    ),
    Input("empty gzip members at the end", "crawl", ".wat.gz", each_packed(b"", gz, record(b"{}", b"metadata"))),
    Input("records of length zero", "crawl", ".warc", again(record(b""))),
    Input("bytes that are not a record, with --keep-readable", "salvage", ".warc", again(page(b"x") + b"GARBAGE: is here\r\n\r\n")),
    Input("marks of records before zeros, with --keep-readable", "salvage", ".warc", damage_then_zeros),
    Input("marks of records, with --keep-readable", "salvage", ".warc", again(b"WARC/1.0\r\n", page(b"x"))),
    Input("pages of a guessed charset", "crawl", ".warc", again(PAGE)),
    Input("folded header lines", "crawl", ".warc", again(FOLDED)),
    Input("records, each a gzip member", "crawl", ".warc.gz", each_packed(page(b"x"), gz)),
    Input("broken gzip members, with --keep-readable", "salvage", ".warc.gz", broken_members),
    Input("gzip members that are no record, before zeros, with --keep-readable", "salvage", ".warc.gz", members_then_zeros),
    Input("records, each a Zstandard frame", "crawl", ".warc.zst", each_packed(page(b"x"), zst)),
    Input("chunks of one byte", "http", ".bin", again(b"1\r\na\r\n", chunked(b""), b"0\r\n\r\n")),
    Input("line ends between chunks", "http", ".bin", again(b"\r\n", chunked(b"1\r\na"), b"0\r\n\r\n")),
    Input("extensions of chunks", "http", ".bin", again(b"1;" + b"a" * 4_090 + b"\r\na\r\n", chunked(b""), b"0\r\n\r\n")),
    Input("headers by the million", "http", ".bin", again(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\nx")),
    Input("folded header lines", "http", ".bin", again(b" \n", b"HTTP/1.1 200 OK\r\nX: y\r\n", b"\r\n\r\nx")),
    Input("carriage returns in the head", "http", ".bin", again(b"\n" + b"\r" * 100 + b"a", b"HTTP/1.1 200 OK\r\n")),
    Input(
        "a gzip body packed thousandfold",
        "http",
        ".bin",
        packed(again(b"\0"), lambda content: b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gz(content)),
    ),
    Input("empty Zstandard frames", "http", ".bin", again(zst(b""), b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\n\r\n")),
    Input("tags never closed", "html", ".html", again(b"<div>")),
    Input("tags without an end", "html", ".html", again(b"<img ")),
    Input("comments never closed", "html", ".html", again(b"<!--")),
    Input("scripts within comments", "html", ".html", again(b"<script><!--")),
    Input("svg within svg", "html", ".html", again(b"<svg><image alt=a>")),
    Input("CDATA in svg", "html", ".html", again(b"<svg><![CDATA[")),
    Input("formatting and tables", "html", ".html", again(b"<b><table><a><td><img alt=a src=b>")),
    Input("character references", "html", ".html", again(b"&#", b"<img src=a alt='", b"'>")),
    Input("quotes in tags", "html", ".html", again(b"<img alt='a\" src=\"b'>")),
    Input("attributes that differ", "html", ".html", counted(b" a%d=b", b"<img", b" alt=a>")),
    Input("image tags of 200 attributes", "html", ".html", counted(b"<img " + b" ".join(b"b%d" % i for i in range(200)) + b" a%d alt=a>")),
    Input("a srcset of commas", "html", ".html", again(b"<img alt=a srcset='" + b"a ,, " * 10_000 + b"'>")),
    Input("a srcset of brackets", "html", ".html", again(b"<img alt=a srcset='a " + b"(" * 60_000 + b"'>")),
    Input("a srcset of numbers", "html", ".html", again(b"<img alt=a srcset='a " + b"1" * 60_000 + b"'>")),
    Input("long attributes", "html", ".html", again(b"a", b"<img src=a alt='", b"'>")),
    Input("meta tags never closed", "charset", ".html", again(b'<meta "\xe9')),
    Input("letters between two tags", "charset", ".html", again(b"a", b"\xe9 " * 40 + b"<")),
    Input("letters of any charset", "charset", ".html", again(bytes(range(128, 256)))),
    Input("tags of UTF-16", "charset", ".html", packed(again(b"<img>"), lambda content: content.decode().encode("utf-16"))),
    Input("pages never closed", "texts", ".xml", again(b"<page>", WIKI)),
    Input("pages of nothing", "texts", ".xml", again(b"<page></page>", WIKI, OF_WIKI)),
    Input("titles of references", "texts", ".xml", again(article(b"x").replace(b">A<", b">" + b"&amp;" * 1_000 + b"<"), WIKI, OF_WIKI)),
    Input("texts within texts", "texts", ".xml", again(article(b"<text>" * 1_000), WIKI, OF_WIKI)),
    Input("namespaces", "texts", ".xml", counted(b'<namespace key="%d">a</namespace>', b"<mediawiki>", article(b"a dog") + OF_WIKI)),
    Input("bzip2 streams of one page", "texts", ".xml.bz2", each_packed(article(b"a dog"), bz2.compress, WIKI, OF_WIKI)),
    Input(
        "empty bzip2 streams",
        "texts",
        ".xml.bz2",
        lambda size: bz2.compress(WIKI + article(b"a dog")) + again(bz2.compress(b""))(size) + bz2.compress(OF_WIKI),
    ),
    *(
        Input(name, "wikitext", ".txt", stripped(unit))
        for name, unit in {
            "links never closed": b"[[",
            "files within links": b"[[File:a|[[b|",
            "templates never closed": b"{{",
            "parameters": b"{{{a|",
            "tables never closed": b"{|\n|\n",
            "tables in templates": b"{{\n{|\n",
            "variants never closed": b"-{zh:a;",
            "references never closed": b"<ref>",
            "attributes never closed": b'<ref name="',
            "comments never closed": b"<!--",
            "nowiki never closed": b"<nowiki>",
            "quotes of italics": b"'''''a",
            "entities": b"&#",
            "entities of entities": b"&amp;",
            "external links": b"[http://[",
            "headings": b"=",
            "angles": b"<",
            "brackets in turn": b"[[{{<[{|",
        }.items()
    ),
    Input("empty lines", "texts", ".txt", again(b"\n", b"a dog\n")),
    Input("one line", "texts", ".txt", again(b"a")),
    Input("lines that are not UTF-8", "texts", ".txt", again(b"\xff\n", b"a dog\n")),
    Input("documents never closed", "texts", "_00", again(b'<doc id="\n')),
    Input("a tag of a document on one line", "texts", "_00", again(b'<doc id="')),
    Input("broken lines of JSON", "texts", "_00", again(b'{"text":\n', b'{"id": "1", "text": "a dog"}\n', b"")),
    Input("percent signs", "views", ".txt", again(b"en " + b"%" * 1_000 + b" 100 0\n", b"en Dog 100 0\n")),
    Input("titles of colons", "views", ".txt", again(b"en " + b":" * 1_000 + b" 100 0\n", b"en Dog 100 0\n")),
    Input("underscores", "views", ".txt", again(b"en a" + b"_" * 1_000 + b"b 100 0\n", b"en Dog 100 0\n")),
    Input("one line", "views", ".txt", again(b"en ", b"en Dog 100 0\n")),
    Input("empty lines", "views", ".txt", again(b"\n", b"en Dog 100 0\n")),
    Input("long numbers", "views", ".txt", again(b"en a " + b"9" * 1_000 + b" 0\n", b"en Dog 100 0\n")),
    Input("words that differ", "words", ".tsv", counted(b"w%d\t1\n")),
    Input("broken rows", "words", ".tsv", again(b"a\n", b"dog\t5\n")),
    Input("long numbers", "words", ".tsv", again(b"a\t" + b"9" * 1_000 + b"\n", b"dog\t5\n")),
    Input("lemmas that differ", "omw", ".tab", counted(b"%08d-n\tfra:lemma\ta\n", b"# Thing\tfra\thttp://x.example/\tCC\n")),
    Input("broken rows", "omw", ".tab", again(b"\t\n", b"# Thing\tfra\thttp://x.example/\tCC\n00001740-n\tfra:lemma\tchien\n")),
    Input("255 words to a synset", "wordnet", ".noun", again(wordnet_line(255))),
    Input("comment lines", "wordnet", ".noun", again(b"  1 a\n", after=wordnet_line(1))),
    Input("entries that differ", "entries", ".json", counted(b'"%d"', b"[", b"]", b",")),
    Input("one entry again", "entries", ".json", again(b'"a",', b"[", b'"a"]')),
    Input("lists never closed", "entries", ".json", again(b"[")),
    Input("empty lines", "entries", ".txt", again(b"\n", b"dog\n")),
    Input("entries that differ", "entries", ".txt", counted(b"%d\n")),
    Input("one long entry", "entries", ".txt", again(b"a ")),
    Input("brackets never closed", "classes", ".py", again(b"[", b"a = ")),
    Input("a name again", "classes", ".py", again(b'"a",', b"a = [", b"]")),
    Input("texts that are joined", "classes", ".py", again(b'"a" ', b"a = [", b"]")),
    Input("sums", "classes", ".py", again(b"1+", b'a = ["b"]\nc = ', b"1\n")),
    Input("tables within tables", "recipe", ".toml", again(b"a.", b"[", b"a]\n")),
    Input("lists never closed", "recipe", ".toml", again(b"[", b"a = ")),
]
