"""Where the local copies of folders on object stores are (``io/mirror.py``), and how such a place is named to people: by its URL."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

SCHEMES = ("s3", "gs")
SCRATCH = "TALLYCLIP_SCRATCH"  # an environment variable: the folder for local copies, the same on every machine
COPIES, FILES = "tallyclip-copies", "+files"
_IN_TEXT = re.compile(rf"""/(?:[^/\s'"]+/)*?{re.escape(COPIES)}/(?:[^/\s]+/)+?{re.escape(FILES)}(?=[^\w+-]|$)""")


def place_of(url: str) -> Path:
    """Where the local copy of a folder on a store is: known from the URL alone."""
    parts = urlsplit(url.rstrip("/"))
    scratch = Path(os.environ.get(SCRATCH) or os.path.join(tempfile.gettempdir(), f"tallyclip-{os.getuid()}")).resolve()
    names = (parts.scheme, parts.netloc, *(name for name in parts.path.split("/") if name))
    return scratch.joinpath(COPIES, *(quote(name, safe="") for name in names), FILES)


def root_of(path: str) -> str | None:
    """The root of the local copy that a path is in, or None where it is in none."""
    inside = path.find(f"/{COPIES}/")
    place = path.find(f"/{FILES}/", inside) if inside >= 0 and not path.endswith(f"/{FILES}") else len(path) - len(FILES) - 1
    return path[: place + 1 + len(FILES)] if inside >= 0 and place >= 0 else None


def url_of(root: str) -> str:
    """The URL of a folder, from the root of its local copy."""
    scheme, *rest = map(unquote, root.split(f"/{COPIES}/")[-1].split("/")[:-1])
    return f"{scheme}://{'/'.join(rest)}"


def shown(text: str) -> str:
    """A message with the places in it as people know them: the URLs of objects, not the paths of their copies."""
    return _IN_TEXT.sub(lambda found: url_of(found[0]), text) if COPIES in text else text
