"""The pairs of an image URL and a caption in WAT files, beside those of the WARC files that these were made from.

    python benchmarks/wat_against_warc.py wat/aut-example.warc.wat.gz warc/aut-example.warc.gz [another.warc.wat.gz another.warc.gz ...]

A pair is the same if its page, its place, its URL and its caption are. Prints a line of JSON for each two files: the pairs in both and in
one alone, and what explains the latter. An explanation is tried out: the pair has to go when the page is changed so, or to become one
that the other side has too when both are compared with less care. Of several the first counts. One example of each is given.
"""

from __future__ import annotations

import argparse
import html
import re
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from record import record
from tallyclip.readers import warc
from tallyclip.readers.crawl import html as pages
from tallyclip.readers.crawl.gather import Gatherer
from tallyclip.readers.warc import read_warc
from tallyclip.readers.wat import read_wat

# From a page with a pair to one without: then the pair owes itself to what was changed.
CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "data-image-title, which WAT does not have": lambda page: re.sub(rb"(?i)data-image-title", b"data-no-title", page),
    "the URL that a script would load": lambda page: re.sub(rb"(?i)(data-src|data-lazy-src|data-original|srcset)\s*=", b"data-no=", page),
    "a tag <image>": lambda page: re.sub(rb"(?i)<image\b", b"<imagf", page),
    "behind a comment that ends in --->": lambda page: page.replace(b"--->", b"-- >"),
    "in <template>": lambda page: re.sub(rb"(?is)<template\b.*?</template", b"<p", page),
    "in <svg>": lambda page: re.sub(rb"(?is)<svg\b.*?</svg", b"<p", page),
    "in <noscript>": lambda page: re.sub(rb"(?is)<noscript\b.*?</noscript", b"<p", page),
}
# Pairs of one page that are the same but for this.
LESS_CARE: dict[str, Callable[[str, str], tuple[str, ...]]] = {
    "white space": lambda url, text: ("".join(url.split()), "".join(text.split())),
    "entities": lambda url, text: (html.unescape(url), html.unescape(text).strip()),
    "letters beyond ASCII: the charset": lambda url, text: (re.sub(r"[^!-~]+", "", url), re.sub(r"[^!-~]+", "", text)),
    "the URL": lambda _, text: (text,),
    "the caption": lambda url, _: (url,),
}


class Pair(NamedTuple):
    """A pair, and where its page is."""

    page: str
    file: str
    offset: int
    url: str
    text: str

    def with_less_care(self, care: Callable[[str, str], tuple[str, ...]]) -> tuple[object, ...]:
        return (self.file, self.offset, *care(self.url, self.text))


class Side(NamedTuple):
    """What a reader finds in a file."""

    pairs: set[Pair]
    pages: int
    images: int
    seconds: float


def read(reader: Callable, path: Path) -> Side:
    gather, started = Gatherer(), time.process_time()
    for _ in reader(str(path), gather):
        pass
    seconds = time.process_time() - started
    columns = gather.take().table.select(["page_url", "crawl_file", "offset", "url", "text"]).to_pydict().values()
    return Side({Pair(*row) for row in zip(*columns, strict=True)}, gather.counts["pages"], gather.counts["images"], seconds)


@contextmanager
def changed(change: Callable[[bytes], bytes]):
    with mock.patch.object(warc, "images_of", lambda page: pages.images_of(change(page))):
        yield


def explain(wat: set[Pair], of_warc: set[Pair], path: Path) -> dict[str, dict[str, object]]:
    """Why pairs are on one side alone, each with how many of these and an example."""
    found: dict[str, dict[str, object]] = {}

    def take(name: str, some: set[Pair], others: set[Pair]) -> None:
        wat.difference_update(some)
        of_warc.difference_update(others)
        if some or others:
            examples = {side: [min(pairs).url, min(pairs).text] for side, pairs in (("wat", some), ("warc", others)) if pairs}
            found[name] = {"wat": len(some), "warc": len(others), "example": examples}

    for name, care in LESS_CARE.items():
        if name not in ("the URL", "the caption"):
            take(name, *_alike(wat, of_warc, care))
    for name, change in CHANGES.items():
        with changed(change):
            take(name, set(), of_warc - read(read_warc, path).pairs)
    for name in ("the URL", "the caption"):
        take(name, *_alike(wat, of_warc, LESS_CARE[name]))
    take("unexplained", set(wat), set(of_warc))
    return found


def _alike(some: set[Pair], others: set[Pair], care: Callable[[str, str], tuple[str, ...]]) -> tuple[set[Pair], set[Pair]]:
    keys = {pair.with_less_care(care) for pair in some} & {pair.with_less_care(care) for pair in others}
    return tuple({pair for pair in pairs if pair.with_less_care(care) in keys} for pairs in (some, others))  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="a WAT file, the WARC file it was made from, and so on")
    files = parser.parse_args().files
    if len(files) % 2:
        parser.error("each WAT file needs its WARC file behind it")
    for wat_path, warc_path in zip(files[::2], files[1::2], strict=True):
        wat, of_warc = read(read_wat, wat_path), read(read_warc, warc_path)
        record(
            "wat against warc",
            libraries=("fastwarc", "selectolax"),
            file=warc_path.name,
            pages={"wat": wat.pages, "warc": of_warc.pages},
            images={"wat": wat.images, "warc": of_warc.images},
            seconds={"wat": round(wat.seconds, 3), "warc": round(of_warc.seconds, 3)},
            both=len(wat.pairs & of_warc.pairs),
            only_wat=len(wat.pairs - of_warc.pairs),
            only_warc=len(of_warc.pairs - wat.pairs),
            why=explain(wat.pairs - of_warc.pairs, of_warc.pairs - wat.pairs, warc_path),
        )


if __name__ == "__main__":
    main()
