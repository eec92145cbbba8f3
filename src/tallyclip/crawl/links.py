"""The rule for addresses and texts of images, so that a pair has one uid whoever read it; here it is said for one at a time.

An address loses the blanks around it, and the tabs and line breaks within, as in browsers; then it is resolved against the page (RFC
3986, as Python's ``urljoin`` has it), and otherwise stays as it is. In a text each line break becomes a space, and blanks at its ends go.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

LONGEST_BASE = 8_192  # characters: every plain address of a page gets it in front; browsers and servers have limits of this size too
FIELDS = ("alt", "title", "data-image-title")  # the attributes of an image that may say what it shows; of equal texts the first counts
ASCII_BLANKS = " \t\n\r\f"
BLANKS = ASCII_BLANKS + "\v\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
LINE_BREAK = "\r\n|\r|\n"
NO_ADDRESS = "address: none"
DATA_ADDRESS = "address: data in place of a link"
NOT_WEB = "address: not http or https"
MALFORMED = "address: malformed"
CONTROLS = r"\x00-\x1f\x7f"
# An address that is whole, and what makes one more than a piece to be written behind the page's; in the syntax of Python and of RE2.
WHOLE = rf"^https?://[^/?#:{CONTROLS}][^{CONTROLS}]*$"
NEEDS_CARE = rf"\./|.//|[:;#{CONTROLS}]|^[.?]|[.?]$|^//[/?]|^//$"
IS_DATA = "^[dD][aA][tT][aA]:"

_LINE_BREAK, _WHOLE, _NEEDS_CARE = re.compile(LINE_BREAK), re.compile(WHOLE), re.compile(NEEDS_CARE)
_STEPS = re.compile(r"(?:\.\.?/)+")
_CONTROL, _TAB_OR_BREAK = re.compile(f"[{CONTROLS}]"), re.compile("[\t\n\r]")


class Base(NamedTuple):
    """What addresses on a page are resolved against.

    Attributes:
        url: the base itself.
        scheme, origin, folder: what a plain address follows that begins with two slashes, with one, and with none; None if the base is
            not plain itself.
    """

    url: str
    scheme: str | None = None
    origin: str | None = None
    folder: str | None = None


def clean_text(text: str) -> str:
    """A text on one line, without blanks at its ends."""
    return _LINE_BREAK.sub(" ", text).strip(BLANKS)


def clean_address(address: str) -> str:
    """An address as browsers take it."""
    return _TAB_OR_BREAK.sub("", address.strip(ASCII_BLANKS))


@lru_cache(maxsize=1024)
def base_of(page: str, base: str | None) -> Base:
    """What the addresses on a page are resolved against: the page, or what it says instead (``<base href>``)."""
    url = page
    try:
        if base and clean_address(base):
            url = urljoin(page, clean_address(base))
        if len(url) > LONGEST_BASE:
            return Base("")
        parts = urlsplit(url)
    except ValueError:
        return Base(url)
    if parts.scheme not in ("http", "https") or not _WHOLE.match(url) or "/." in parts.path or ";" in parts.path:
        return Base(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    return Base(url, f"{parts.scheme}:", origin, origin + (parts.path[: parts.path.rfind("/") + 1] or "/"))


def resolve(address: str, base: Base) -> str:
    """A clean address, resolved.

    Raises:
        ValueError: it cannot be an address.
    """
    if _WHOLE.match(address):
        return address
    steps = _STEPS.match(address)
    if steps is not None and base.folder is not None:
        return _climbed(steps[0], address[steps.end() :], base.folder) or urljoin(base.url, address)
    return urljoin(base.url, address)


def _climbed(steps: str, rest: str, folder: str) -> str | None:
    """What ``urljoin`` makes of an address that begins with steps and is plain otherwise, in a tenth of its time; None if it is not.

    As above the root there is only the root, further steps stay there.
    """
    scheme, _, origin, *names = folder[:-1].split("/")
    if not rest or "" in names or _NEEDS_CARE.search(rest) or rest[0] == "/":
        return None
    kept = names[: max(0, len(names) - steps.count("../"))]
    return "/".join([scheme, "", origin, *kept, rest])


def web_address(address: str, base: Base) -> tuple[str, str | None]:
    """The address an image can be fetched from, or else the reason why there is none."""
    address = clean_address(address)
    if not address:
        return "", NO_ADDRESS
    if re.match(IS_DATA, address):
        return "", DATA_ADDRESS
    try:
        url = resolve(address, base)
    except ValueError:
        return "", MALFORMED
    scheme, _, rest = url.partition(":")
    if scheme.lower() not in ("http", "https"):
        return "", NOT_WEB
    if rest[:2] != "//" or rest[2:3] in ("", "/", "?", "#", ":") or _CONTROL.search(url):
        return "", MALFORMED
    return url, None
