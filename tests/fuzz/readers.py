"""Every reader of untrusted bytes, with small files to start from and the words of its format."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

import tallyclip as tc
from tallyclip.lists import count_tables, omw, pageviews, wordnet
from tallyclip.lists.classes import read_classes
from tallyclip.lists.recipe import read_recipe
from tallyclip.lists.texts import TextCounts, parts_of, read_texts
from tallyclip.match.matched_pairs import MatchedPairs, MatchWriter, read_matches
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.crawl.charset import to_utf8
from tallyclip.readers.crawl.gather import Gatherer
from tallyclip.readers.crawl.html import images_of
from tallyclip.readers.crawl.http import decode_body, parse_response
from tallyclip.readers.pairs import pairs_of
from tallyclip.readers.read import columns_of, read_shard
from tallyclip.readers.sources import cut, find_files
from tallyclip.readers.warc import read_warc
from tallyclip.readers.wat import read_wat
from tests.forms import FORMS
from tests.readers.crawl.tools import image, packed, page, record
from tests.stages.lists.tools import some_pages, write_dump

from .mutations import Fields


class Reader(NamedTuple):
    """A reader to be fuzzed.

    Attributes:
        suffix: of the file.
        seeds: whole files, before they are packed.
        words: of the format, for mutations to put in.
        read: reads a file to its end; raises AssertionError where it breaks a promise.
        pack: what is done to a file after it is changed: it is compressed, or its checksums are made right, so that changes reach further.
        fields: where in a file its parts are, which a change may put a word in place of; without it words, numbers and signs are.
    """

    suffix: str
    seeds: list[bytes]
    words: list[bytes]
    read: Callable[[Path], object]
    pack: Callable[[bytes], bytes] = bytes
    fields: Fields | None = None


def read_pool(path: Path, form: str | None = None) -> None:
    """All of a pool file: each record is read or dropped, once, and pairs are made of UTF-8."""
    choice = ColumnChoice(format=form)
    files, _ = find_files([str(path)], choice)
    for shard in cut(files):
        columns = columns_of(shard.file, choice)
        for everything in (False, True):
            last = -1
            for records in read_shard(shard, columns, choice, everything=everything):
                numbers = np.sort(np.concatenate([records.rows, [drop.row for drop in records.drops]]).astype(np.int64))
                assert len(np.unique(numbers)) == len(numbers), "a record twice"
                assert not len(numbers) or numbers[0] > last, "records of an earlier batch"
                last = int(numbers[-1]) if len(numbers) else last
                pairs = pairs_of(records, columns)
                pairs.texts.validate(full=True)
                assert len(pairs.texts) == len(pairs.uids) == len(pairs.rows)


def read_crawl(path: Path) -> None:
    """All of a crawl file, strictly and leniently."""
    read = read_wat if ".wat" in path.name else read_warc
    for keep_readable in (False, True):
        gather = Gatherer()
        try:
            for _ in read(str(path), gather, name="file", keep_readable=keep_readable):
                if gather.is_full:
                    gather.take()
            gather.take().table.validate(full=True)
        except tc.TallyclipError:
            if keep_readable:
                raise


def read_texts_of(path: Path) -> None:
    counts = TextCounts()
    for part in parts_of(str(path)):
        for texts in read_texts(part, counts, lambda _: None):
            texts.data.tobytes().decode()


def read_views(path: Path) -> None:
    choice = pageviews.ViewChoice("en")
    for _ in pageviews.read_views(str(path), choice, Counter(), lambda _: None):
        pass


def read_wordnet(path: Path) -> None:
    """A data file, beside three sound ones."""
    folder = path.parent / "dict"
    folder.mkdir(exist_ok=True)
    for kind in ("noun", "verb", "adj", "adv"):
        (folder / f"data.{kind}").write_bytes(WORDNET)
    (folder / "data.noun").write_bytes(path.read_bytes())
    list(wordnet.synset_names(folder))
    list(wordnet.lemmas(folder))


def read_page(path: Path) -> None:
    images_of(to_utf8(path.read_bytes()))


def read_response(path: Path) -> None:
    response = parse_response(path.read_bytes())
    decode_body(response)


def read_stored_matches(path: Path) -> None:
    for pairs in read_matches(path):
        tc.count_entries(pairs.matches, 10)


def of_table(table: pa.Table, **options: object) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target, **options)
    return target.getvalue()


def of_dictionaries() -> bytes:
    """A stream of Arrow with dictionaries, lists and views."""
    captions = pa.array(CAPTIONS)
    columns = {"caption": captions.dictionary_encode(), "lists": pa.array([[caption] for caption in CAPTIONS]), "url": pa.array(URLS)}
    table = pa.table(columns | {"view": captions.cast(pa.string_view())})
    target = io.BytesIO()
    with pa.ipc.new_stream(target, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return target.getvalue()


def of_members(members: list[tuple[str, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


URLS = [f"http://x.example/{i}.jpg" for i in range(6)]
CAPTIONS = ["a dog", "a cat, asleep", 'a "big" tapir', "猫 é", "", "two\nlines"]
LINES = "".join(
    json.dumps({"url": url, "caption": caption, "width": i}) + "\n" for i, (url, caption) in enumerate(zip(URLS, CAPTIONS, strict=True))
)
LIST = json.dumps([json.loads(line) for line in LINES.splitlines()], indent=1)
CSV = "url,caption\n" + "".join(f'{url},"{caption.replace(chr(34), chr(34) * 2)}"\n' for url, caption in zip(URLS, CAPTIONS, strict=True))
TSV = "".join(f"{caption}\t{url}\n" for url, caption in zip(URLS, CAPTIONS, strict=True) if "\n" not in caption)
LONG = "a" * 150 + "/b.txt"
SAMPLES = [
    ("0.jpg", b"\xff\xd8" * 9),
    ("0.txt", b"a dog"),
    ("0.json", b'{"url": "http://x.example/0", "w": 1}'),
    ("1.txt", "猫 é".encode()),
]
PARQUET = pa.table({"url": URLS, "caption": CAPTIONS, "size": range(6), "texts": [[["a", caption]] for caption in CAPTIONS]})
WAT = [
    page("http://x.example/", [image("a.jpg", alt="a dog"), image("/b c.png", alt="猫", title="t")]),
    page("http://y.example/p/", [image("x.gif", alt="x")]),
]
HTML = """<!doctype html><html><head><meta charset="utf-8"><base href="/b/"></head><body>
<p>a <img src="x.jpg" alt="a &quot;dog&#39;s&quot;" srcset="y.jpg 2x, z.jpg 3x"><noscript><img src=q.png alt=cat></noscript>
<picture><source srcset="s.webp"><img data-src=p.png title='t'></picture></body></html>"""
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
GZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n\r\n" + gzip.compress(HTML.encode(), mtime=0)
WORDNET = b"".join(b"%08d 03 n 02 dog%d 0 hot_dog 0 001 @ 00000002 n 0000 | a dog\n" % (i, i) for i in range(4))
OMW = "# Thing\tfra\thttp://x.example/\tCC\n00001740-n\tfra:lemma\tchien\n00001740-n\tfra:lemma\thot dog\n00001740-v\tfra:def\t0\tdef\n"
VIEWS = "en Dog 12 0\nen Cat 5 0\nen.m Dog 3 0\nde Hund 4 0\nen Hot_dog%20 2 0\n"
RECIPE = """language = "en"
limit = 1000
[wordnet]
files = ["wordnet-3.0"]
names = "synsets"
[text]
files = ["*.txt"]
[unigrams]
min_count = 2
[bigrams]
score = "pmi"
min_pmi = 3
[titles]
files = ["*.gz"]
min_views = 7
[fetch]
wikipedia = "20231101"
pageview_days = ["2018-06-22"]
"""


def some_dump(folder: Path) -> bytes:
    path = folder / "dump.xml.bz2"
    write_dump(path, some_pages(1, 4))
    return bz2.decompress(path.read_bytes())


def some_matches(folder: Path) -> bytes:
    path = folder / "matches.arrow"
    matches = tc.Matcher(tc.Metadata(["dog", "cat"])).match(["a dog", "a cat"])
    uids = tc.make_uids(None, ["a dog", "a cat"])
    with MatchWriter(path) as writer:
        writer.write(MatchedPairs(np.arange(2), np.zeros(2, np.int32), uids, matches, None))
    return path.read_bytes()


def fields_of_tar(content: bytes) -> list[tuple[int, int]]:
    """Where name, size, checksum, type and prefix of each header are, and the content of the blocks between."""
    fields: list[tuple[int, int]] = []
    for place in range(0, len(content), 512):
        if content[place + 257 : place + 262] == b"ustar":
            fields += [
                (place + start, place + end) for start, end in ((0, 100), (124, 136), (124, 136), (156, 157), (156, 157), (345, 500))
            ]
        else:
            fields.append((place, place + 32))
    return fields


def with_checksums(content: bytes) -> bytes:
    """A tar with recomputed header checksums: otherwise they would stop nearly every mutation."""
    blocks = [content[place : place + 512] for place in range(0, len(content), 512)]
    for i, block in enumerate(blocks):
        if block[257:262] == b"ustar" and len(block) == 512:
            total = sum(block[:148]) + 8 * 32 + sum(block[156:])
            blocks[i] = block[:148] + b"%06o\0 " % total + block[156:]
    return b"".join(blocks)


def all_readers(folder: Path) -> dict[str, Reader]:
    """The readers by name; ``folder`` is for files that only our own writers can make."""
    json_words = [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\\u",
        b"\\ud800",
        b"1e999",
        b"NaN",
        b"null",
        b'"caption"',
        b'"url":"',
        b"[" * 500,
        b"9" * 400,
        b'{"a":' * 200,
    ]
    csv_words = [b'"', b'""', b",", b"\t", b";", b"|", b"\r", b"\n", b"\r\n", b"\\", b"\x00", b"\xef\xbb\xbf", b"http://", b"caption", b"'"]
    tar_words = [
        b"\x00" * 512,
        b"\x80" + b"\xff" * 11,
        b"\xff" * 12,
        b"-0000000512",
        b"77777777777",
        b"x",
        b"g",
        b"L",
        b"K",
        b"S",
        b"9" * 90,
        b" path=",
        b"20 size=-5\n",
        b"ustar\x0000",
        b"/",
        b".txt",
    ]
    warc_words = [
        b"\r\n",
        b"\r\n\r\n",
        b"WARC/1.0",
        b"WARC-Type: response",
        b"WARC-Type: metadata",
        b"Content-Length: ",
        b"-1",
        b"99999999999999999999",
        b"HTTP/1.1 ",
        b"chunked",
        b"gzip",
        b"\x1f\x8b",
    ]
    html_words = [
        b"<",
        b">",
        b"<img ",
        b" src=",
        b" alt=",
        b'"',
        b"'",
        b"<!--",
        b"-->",
        b"<script>",
        b"</script>",
        b"<style>",
        b"<textarea>",
        b"&#x",
        b"&#9999999999;",
        b"<base href=",
        b"<meta charset=",
        b"\x00",
        b"utf-16",
        b"srcset=",
        b"<svg>",
        b"<template>",
    ]
    xml_words = [
        b"<page>",
        b"</page>",
        b"<text>",
        b"</text>",
        b"</mediawiki>",
        b"<title>",
        b"<ns>",
        b"0",
        b"-1",
        b"9" * 30,
        b"&lt;",
        b"&#x",
        b"[[",
        b"]]",
        b"{{",
        b"}}",
        b"{|",
        b"|}",
        b"<ref",
        b"/>",
        b"'''",
        b"<!--",
        b"http://",
        b"&amp;#65;",
        b"<nowiki>",
        b"==",
    ]
    form_words = [
        b'"images":[',
        b'"annotations":[',
        b'"sentences":',
        b'"raw":',
        b'"image_id":',
        b'"id":70',
        b'"image_urls":[',
        b"]}",
        b"[]",
    ]
    gz = lambda content: gzip.compress(content, 1, mtime=0)  # noqa: E731
    zst = zstandard.ZstdCompressor().compress
    dump = some_dump(folder)
    entry_table = of_table(pa.table({"entry": ["dog", "猫"], "source": ["a", None], "score": [1.0, 2.0], "rank": [1, 2]}))
    tars = [
        of_members(SAMPLES),
        of_members([(LONG, b"a dog"), *SAMPLES], tarfile.PAX_FORMAT),
        of_members([(LONG, b"a dog"), *SAMPLES], tarfile.GNU_FORMAT),
    ]
    return {
        "parquet": Reader(
            ".parquet",
            [of_table(PARQUET), of_table(PARQUET, compression="zstd", row_group_size=2)],
            [b"PAR1", b"\xff\xff\xff\x7f", b"\x00" * 8],
            read_pool,
        ),
        "jsonl": Reader(".jsonl", [LINES.encode()], json_words, read_pool),
        "json": Reader(".json", [LIST.encode()], json_words, read_pool),
        "csv": Reader(".csv", [CSV.encode(), CSV.replace(",", ";").encode()], csv_words, read_pool),
        "tsv": Reader(".tsv", [TSV.encode(), CSV.replace(",", "\t").encode()], csv_words, read_pool),
        **{
            f"json, {name}": Reader(".json", [FORMS[name].content], [*json_words, *form_words], partial(read_pool, form=name))
            for name in ("coco", "karpathy", "redcaps", "sbu")
        },
        "json, of a form": Reader(
            ".json", [form.content for form in FORMS.values() if form.name.endswith(".json")], [*json_words, *form_words], read_pool
        ),
        "flickr": Reader(".txt", [FORMS["flickr8k"].content], [b"#", b"\t", b"\n", b"\r", b".jpg#0\t", b"\xff"], read_pool),
        "arrow": Reader(
            ".arrow",
            [FORMS["save_to_disk"].content, FORMS["arrow"].content, FORMS["feather"].content, of_dictionaries()],
            [b"ARROW1", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00" * 8, b"\x01\x00\x00\x00", b"\xff" * 8],
            read_pool,
        ),
        "text": Reader(".txt", ["\n".join(CAPTIONS).encode()], [b"\n", b"\r", b"\x00", b"\xff"], read_pool),
        "tar": Reader(".tar", tars, tar_words, read_pool, with_checksums, fields_of_tar),
        "gzip": Reader(
            ".jsonl.gz", [gz(LINES.encode()), gz(b"") + gz(LINES.encode())], [b"\x1f\x8b\x08", b"\x00" * 8, b"\xff" * 4], read_pool
        ),
        "zstandard": Reader(
            ".jsonl.zst", [zst(LINES.encode()), zst(LINES.encode()) * 2], [b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"\xff" * 4], read_pool
        ),
        "bzip2": Reader(".jsonl.bz2", [bz2.compress(LINES.encode())], [b"BZh9", b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"], read_pool),
        "wat": Reader(".wat.gz", [b"".join(WAT)], [*warc_words, *json_words], read_crawl, lambda content: packed([content])),
        "warc": Reader(
            ".warc",
            [record("response", RESPONSE + HTML.encode(), "http://x.example/") + record("response", GZIPPED, "http://y.example/")],
            [*warc_words, *html_words],
            read_crawl,
        ),
        "warc, packed": Reader(
            ".warc.gz",
            [packed([record("response", RESPONSE + HTML.encode(), "http://x.example/"), *WAT])],
            [b"\x1f\x8b\x08", b"\x00" * 8],
            read_crawl,
        ),
        "http": Reader(
            ".bin", [RESPONSE, GZIPPED], [*warc_words, b"br", b"zstd", b"deflate", b"ffffffff\r\n", b"Content-Encoding: "], read_response
        ),
        "html": Reader(".bin", [HTML.encode(), HTML.encode("utf-16")], html_words, read_page),
        "dump": Reader(".xml", [dump], xml_words, read_texts_of),
        "dump, packed": Reader(".xml.bz2", [dump], xml_words, read_texts_of, bz2.compress),
        "bzip2 streams": Reader(".xml.bz2", [bz2.compress(dump[:700]) + bz2.compress(dump[700:])], [b"BZh9", b"1AY&SY"], read_texts_of),
        "plain text": Reader(".txt", [dump, "\n".join(CAPTIONS).encode()], [b"\n", b"\xff", b"<doc id=", b"</doc>"], read_texts_of),
        "page views": Reader(
            ".txt",
            [VIEWS.encode(), b"title\tviews\nDog\t12\nCat\t3\n"],
            [b" ", b"\t", b"%", b"%FF", b"9" * 30, b"-1", b"en", b"\n"],
            read_views,
        ),
        "word counts": Reader(
            ".tsv",
            [b"word\tcount\ndog\t12\nhot\t3\n"],
            [b"\t", b"9" * 30, b"-1", b"1e5", b"\n", b"\xff"],
            lambda path: list(count_tables.read_word_counts(str(path), Counter(), lambda _: None)),
        ),
        "omw": Reader(
            ".tab", [OMW.encode()], [b"\t", b"#", b":lemma", b"\n", b"\xff"], lambda path: list(omw.lemmas(str(path), Counter()))
        ),
        "wordnet": Reader(".noun", [WORDNET], [b" ", b"ff", b"-1", b"|", b"\n", b"99999999", b"\xff"], read_wordnet),
        "entries, json": Reader(".json", [json.dumps(CAPTIONS[:4]).encode()], json_words, lambda path: tc.Metadata.load(str(path))),
        "entries, text": Reader(
            ".txt",
            ["\n".join(CAPTIONS[:4]).encode()],
            [b"\n", b"\r\n", b"\xff", b"\xef\xbb\xbf", b"\x00"],
            lambda path: tc.Metadata.load(str(path)),
        ),
        "entries, parquet": Reader(
            ".parquet", [entry_table], [b"PAR1", b"\xff\xff\xff\x7f", b"\xff", b"\x00" * 8], lambda path: tc.Metadata.load(str(path))
        ),
        "class names": Reader(
            ".py",
            [b'CLASSES = ["dog", "hot dog"]\n'],
            [b"[", b"(" * 300, b"lambda:", b'f"{x}"', b"\x00", b"\\u", b"\n "],
            lambda path: read_classes(path),
        ),
        "recipe": Reader(
            ".toml",
            [RECIPE.encode()],
            [b"[", b"]", b"=", b'"', b"9" * 30, b"-1", b"nan", b"1979-05-27", b"{", b"'''", b"[[a]]", b"true"],
            lambda path: read_recipe(str(path)),
        ),
        "stored matches": Reader(".arrow", [some_matches(folder)], [b"PAR1", b"\xff\xff\xff\x7f", b"\x00" * 8], read_stored_matches),
    }
