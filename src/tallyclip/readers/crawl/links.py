"""The rule for URLs and texts of images, so that a pair has one uid whichever reader read it; here for one value at a time.

From a URL the spaces around it, and tabs and line breaks inside, are removed, as in browsers; then it is resolved against the page (RFC
3986, as in Python's ``urljoin``). In the result only what an HTTP request cannot carry is changed, as in browsers: spaces, controls and
non-ASCII characters are percent-encoded as UTF-8, and a non-ASCII host becomes Punycode. Printable ASCII is not changed.
In a text each line break becomes a space, and white space at its ends is removed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from tallyclip.extras import load

LONGEST_BASE = 8_192  # characters: it precedes every simple URL of a page; browsers and servers have limits of this size too
FIELDS = ("alt", "title", "data-image-title")  # the attributes of an image that may describe it; of equal texts the first counts
LONGEST_HOST = 253  # characters, by the rules of DNS
LONGEST_LABEL = 63
EDGES = "".join(map(chr, range(0x21)))  # what browsers strip from both ends of a URL: space and C0 controls
BLANKS = " \t\n\r\f\v\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
LINE_BREAK = "\r\n|\r|\n"
NO_URL = "no URL"
DATA_ADDRESS = "data URL"
NOT_WEB = "URL: not http or https"
MALFORMED = "URL: malformed"
# A URL that is complete, and signs that another is more than a piece to append to the page's.
WHOLE = r"""^https?://[!"$-.0-9;->@-~][!-~]*$"""  # the first character: printable ASCII without / ? # :
NEEDS_CARE = "|".join(
    [
        r"[^!-~]",  # all but printable ASCII
        r"^[.?#;]|[.?#;]$|\.[/?#;]|;[?#]|\?#",  # a step, or a part that is empty
        r"^[^/?#]*:",  # a scheme
        r"^[^/?#][^?#]*//|^//$|^//[/?#:]|^//.*[\[\]]",  # an empty step or host, or a bracket in one
    ]
)
IS_DATA = "^[dD][aA][tT][aA]:"

_LINE_BREAK, _WHOLE, _NEEDS_CARE = re.compile(LINE_BREAK), re.compile(WHOLE), re.compile(NEEDS_CARE)
_ABSOLUTE = re.compile("https?://[^/?#:]")
_STEPS = re.compile(r"(?:\.\.?/)+")
_TAB_OR_BREAK = re.compile("[\t\n\r]")
_UNSENDABLE = re.compile("[^!-~]+")  # runs of all but printable ASCII
_AUTHORITY = re.compile(r"([^/?#\\:]*:[/\\]*)([^/?#\\]*)")
_USER_HOST_PORT = re.compile(r"(.*@)?(.*?)(:[0-9]*)?", re.DOTALL)
_NO_HOST = re.compile(r"[\x00-\x20\x7f#%/:<>?@\[\\\]^|]")  # the URL standard's forbidden domain code points


class Base(NamedTuple):
    """What URLs on a page are resolved against.

    Attributes:
        url: the base itself.
        scheme, origin, folder: what precedes a simple URL that begins with two slashes, with one, and with none; None if the base is
            not simple itself.
    """

    url: str
    scheme: str | None = None
    origin: str | None = None
    folder: str | None = None


def clean_text(text: str) -> str:
    """A text on one line, without white space at its ends."""
    return _LINE_BREAK.sub(" ", text).strip(BLANKS)


def clean_url(url: str) -> str:
    """A URL without the characters that browsers ignore."""
    return _TAB_OR_BREAK.sub("", url.strip(EDGES))


def sendable(url: str) -> str:
    """A URL in printable ASCII, as browsers send it; one that is that already is not changed.

    The query is percent-encoded as UTF-8 too; browsers use the page's own charset there, which a WAT file does not have.

    Raises:
        ValueError: no server can have its host name.
    """
    if not _UNSENDABLE.search(url):
        return url
    start = _AUTHORITY.match(url)
    if start is None or not _UNSENDABLE.search(start[0]):
        return _quoted(url)
    parts = _USER_HOST_PORT.fullmatch(start[2])
    assert parts is not None  # every part may be empty
    user, host, port = parts[1] or "", parts[2], parts[3] or ""
    return _quoted(start[1]) + _quoted(user) + ascii_host(host) + port + _quoted(url[start.end() :])


@lru_cache(maxsize=4096)
def ascii_host(host: str) -> str:
    """A host name in ASCII, as browsers look it up: UTS #46, then Punycode; one of printable ASCII is not changed.

    Raises:
        ValueError: no host can have this name.
    """
    if not _UNSENDABLE.search(host):
        return host
    if len(host) > LONGEST_HOST:
        raise ValueError("host too long")
    # Not idna.encode: it follows IDNA 2008, without emoji and underscores, but browsers look such hosts up.
    name: str = load("idna", "idna", "crawl").uts46_remap(unquote(host), std3_rules=False)
    if len(name) > LONGEST_HOST:
        raise ValueError("host too long")
    labels = [label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in name.split(".")]
    name = ".".join(labels)
    if not name or _NO_HOST.search(name) or len(name) > LONGEST_HOST or max(map(len, labels)) > LONGEST_LABEL:
        raise ValueError("no host has this name")
    return name


def _quoted(text: str) -> str:
    return _UNSENDABLE.sub(lambda run: "%" + run[0].encode("utf-8", "replace").hex("%").upper(), text)


@lru_cache(maxsize=1024)
def base_of(page: str, base: str | None) -> Base:
    """What the URLs on a page are resolved against: the page, or its ``<base href>``."""
    url = page
    try:
        if base and clean_url(base):
            url = urljoin(page, clean_url(base))
        if len(url) > LONGEST_BASE:
            return Base("")
        url = sendable(url)
        parts = urlsplit(url)
    except ValueError:
        return Base(url)
    if len(url) > LONGEST_BASE:
        return Base("")
    if parts.scheme not in ("http", "https") or not _WHOLE.fullmatch(url) or "/." in parts.path or ";" in parts.path:
        return Base(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    return Base(url, f"{parts.scheme}:", origin, origin + (parts.path[: parts.path.rfind("/") + 1] or "/"))


def resolve(url: str, base: Base) -> str:
    """A clean URL, resolved.

    Raises:
        ValueError: it is malformed.
    """
    if _ABSOLUTE.match(url):
        return url
    steps = _STEPS.match(url)
    if steps is not None and base.folder is not None:
        return _climbed(steps[0], url[steps.end() :], base.folder) or urljoin(base.url, url)
    return urljoin(base.url, url)


def _climbed(steps: str, rest: str, folder: str) -> str | None:
    """The result of ``urljoin`` for a simple URL after steps such as ``../``, in a tenth of its time; None if the rest is not simple.

    Steps above the root stay at the root.
    """
    scheme, _, origin, *names = folder[:-1].split("/")
    if not rest or "" in names or _NEEDS_CARE.search(rest) or rest[0] == "/":
        return None
    kept = names[: max(0, len(names) - steps.count("../"))]
    return "/".join([scheme, "", origin, *kept, rest])


def web_address(address: str, base: Base) -> tuple[str, str | None]:
    """The URL an image can be fetched from, or else the reason why there is none."""
    address = clean_url(address)
    if not address:
        return "", NO_URL
    if re.match(IS_DATA, address):
        return "", DATA_ADDRESS
    try:
        url = resolve(address, base)
        scheme, _, rest = url.partition(":")
        if scheme.lower() not in ("http", "https"):
            return "", NOT_WEB
        if rest[:2] != "//" or rest[2:3] in ("", "/", "?", "#", ":"):
            return "", MALFORMED
        return sendable(url), None
    except ValueError:
        return "", MALFORMED
