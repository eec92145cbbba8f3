"""What the tests of building share: inputs made here, a counter by other means, and lists to compare."""

from __future__ import annotations

import bz2
import random
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tallyclip.flows.build_list import build_list
from tallyclip.lists.choose import WordList
from tallyclip.lists.languages import language
from tallyclip.lists.ngrams.buckets import NgramCounts
from tallyclip.lists.ngrams.characters import BETWEEN
from tallyclip.lists.ngrams.runs import read_pairs, split_keys
from tallyclip.lists.recipe import read_recipe
from tallyclip.lists.wikitext.reference import plain_text
from tallyclip.run.manifest import read_manifest
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages.builds import BUILD
from tallyclip.stages.entry_list import ListManifest
from tallyclip.stages.ngrams import NgramsFolder

MEMORY = 1 << 30

# Characters by their Unicode categories, as regular expressions and ``str.strip`` want them.
EVERY = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
BREAKS = ",.;:?!`\t\n\r" + "".join(c for c in EVERY if unicodedata.category(c) in ("Cc", "Zl", "Zp"))
BLANKS = "".join(c for c in EVERY if unicodedata.category(c) == "Zs")
EDGES = "".join(c for c in EVERY if unicodedata.category(c)[0] == "P" or (unicodedata.category(c) == "Cf" and c not in "\u200c\u200d"))
AT_BREAKS, AT_BLANKS = re.compile(f"[{re.escape(BREAKS)}]"), re.compile(f"[{re.escape(BLANKS)}]")


def independent_counts(texts: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """Words and phrases of texts, by regular expressions and ``str.strip``."""
    words, phrases = Counter[str](), Counter[str]()
    for text in texts:
        for stretch in AT_BREAKS.split(text):
            pieces = AT_BLANKS.split(stretch)
            stripped = [piece.strip(EDGES) for piece in pieces]
            words.update(filter(None, stripped))
            for (left, one), (right, other) in pairwise(zip(pieces, stripped, strict=True)):
                if one and other and left == left.rstrip(EDGES) and right == right.lstrip(EDGES):
                    phrases[f"{one} {other}"] += 1
    return words, phrases


def independent_articles(path: Path) -> Iterator[tuple[str, str]]:
    """Titles and texts of a dump's articles, by a real XML parser and the plain statement of the rules of markup."""
    with bz2.open(path) as file:
        tree = ElementTree.parse(file)
    names = {element.get("key"): element.text or "" for element in tree.iter() if element.tag.endswith("}namespace")}
    apart = {name.lower().encode() for key, name in names.items() if key in ("6", "14", "-2")} | {b"file", b"image", b"category", b"media"}
    for page in (element for element in tree.iter() if element.tag.endswith("}page")):
        parts = {element.tag.rpartition("}")[2]: element for element in page.iter()}
        text = parts["text"].text or ""
        redirect = "redirect" in parts or text.lstrip().upper().startswith("#REDIRECT")
        if parts["ns"].text == "0" and not redirect:
            yield parts["title"].text or "", plain_text(text.encode(), apart).decode()


def counts_of(root: Path, name: str = "counts") -> tuple[dict[str, int], dict[str, int]]:
    """The words and phrases of a folder of counts."""
    folder = NgramsFolder(root / name)
    manifest = read_manifest(folder)
    assert manifest is not None
    counts = msgspec.convert(manifest.result, NgramCounts)
    words = WordList(folder.buckets, len(counts.words))
    texts = words.texts(np.arange(len(words.counts)))
    phrases: dict[str, int] = {}
    for bucket in range(len(counts.pairs)):
        pairs = read_pairs(folder.buckets.pairs(bucket))
        first, second, between = split_keys(pairs.keys)
        for one, other, middle, times in zip(first, second, between, pairs.counts.tolist(), strict=True):
            phrases[texts[one] + BETWEEN[middle] + texts[other]] = times
    return {text: times for text, times in zip(texts, words.counts.tolist(), strict=True) if times}, phrases


def built(
    recipe: Path, out: Path, *, workers: int = 2, memory: int = MEMORY, code: str | None = None, accept_failed: bool = False
) -> ListManifest:
    """Build a list as the command does."""
    made_of, folder = read_recipe(str(recipe))
    with Workers(workers, ["tallyclip.stages.ngrams"]) as pool, Workspace(BUILD, out, pool) as into:
        return build_list(into, made_of, language(code or made_of.language), folder, memory, accept_failed=accept_failed)


def list_bytes(out: Path) -> bytes:
    return (out / "metadata.parquet").read_bytes()


# inputs

SYNSETS = {
    "noun": ["00001740 03 n 01 entity 0 000 | that which is", "00002000 03 n 02 hot_dog 0 frank 0 000 | a sausage"],
    "verb": ["00003000 29 v 01 stand_on 0 000 00 | stand"],
    "adj": ["00004000 00 a 01 able(p) 0 000 | can"],
    "adv": ["00005000 02 r 01 ably 0 000 | well"],
}


def write_wordnet(folder: Path) -> Path:
    folder.mkdir()
    for part, lines in SYNSETS.items():
        (folder / f"data.{part}").write_text("  1 This is a license.\n" + "".join(f"{line}  \n" for line in lines))
    return folder


WORDS = ["the", "New", "York", "hot", "dog", "of", "museum", "Musée", "d'Orsay", "x-ray", "naïve", "(see", "below)", "C++", "1990"]


def sentences(seed: int, count: int) -> str:
    """Text with frequent words and rare ones."""
    draw = random.Random(seed)

    def word() -> str:
        return WORDS[draw.randrange(len(WORDS))] if draw.random() < 0.7 else f"w{int(draw.paretovariate(0.4)) % 5000}"

    return "\n".join(" ".join(word() for _ in range(draw.randint(3, 15))) + draw.choice([".", "!", ", so", ""]) for _ in range(count))


def page(title: str, text: str, *, namespace: int = 0, redirect: bool = False) -> str:
    target = '<redirect title="Other" />' if redirect else ""
    return (
        f"  <page>\n    <title>{escape(title)}</title>\n    <ns>{namespace}</ns>\n    <id>1</id>{target}\n    <revision>\n"
        f'      <text bytes="{len(text)}" xml:space="preserve">{escape(text)}</text>\n    </revision>\n  </page>\n'
    )


HEAD = (
    '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="en">\n  <siteinfo>\n    <namespaces>\n'
    '      <namespace key="0" case="first-letter" />\n      <namespace key="6" case="first-letter">File</namespace>\n'
    '      <namespace key="10" case="first-letter">Template</namespace>\n    </namespaces>\n  </siteinfo>\n'
)


def write_dump(path: Path, pages: Sequence[str], pages_in_a_stream: int = 3) -> Path:
    """A dump as Wikimedia writes it: bzip2 streams one after the other, with some pages each."""
    streams = [HEAD, *("".join(pages[i : i + pages_in_a_stream]) for i in range(0, len(pages), pages_in_a_stream)), "</mediawiki>\n"]
    path.write_bytes(b"".join(bz2.compress(stream.encode()) for stream in streams))
    return path


def some_pages(seed: int, count: int) -> list[str]:
    start = "'''Page''' {{Infobox|a=[[b]]}} is [[New York|a city]].<ref>Someone</ref>"
    pages = [page(f"Page {seed} {i}", f"{start}\n\n{sentences(seed + i, 12)}") for i in range(count)]
    return [*pages, page("Template:Box", "box", namespace=10), page("Old name", "#REDIRECT [[Page]]", redirect=True)]


def write_articles(path: Path, texts: Sequence[str], rows_per_group: int = 4) -> Path:
    """Texts as the Hub's set has them."""
    rows = [{"id": str(i), "url": f"https://en.wikipedia.org/wiki/{i}", "title": f"T {i}", "text": text} for i, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=rows_per_group)
    return path
