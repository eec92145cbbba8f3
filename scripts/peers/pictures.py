"""A web of pictures on the loopback interface, with dead links of every kind, and a pool of captions that points into it.

Addresses are http://pictures.example/KIND/NUMBER, and the server is used as a proxy (http_proxy), so that they do not depend on its port.
An address names what it gives: a picture of some format, an error, half a file. The same address gives the same bytes each time, so what a
downloader has written can be compared with what was served.
"""

from __future__ import annotations

import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CAPTIONS = Path(__file__).parents[2] / "src" / "tallyclip" / "demo" / "coco-captions.parquet"
SLOW = 5.0  # seconds until a slow address answers
SMALL, LARGE = (16, 33), (300, 301)  # pixels of a side: from, below
PICTURES = ("jpeg", "png", "webp", "gray", "cmyk", "alpha", "palette", "deep", "turned", "animated", "large")
STATUSES = {"403": 403, "404": 404, "410": 410, "429": 429, "500": 500, "503": 503}
CUT = ("cut", "truncated", "beginning")  # the connection ends early; half of a file; its first bytes
OTHERS = {"page": "text/html", "svg": "image/svg+xml", "empty": "image/jpeg"}
DEAD = (*STATUSES, *OTHERS, *CUT, "slow", "disallowed", "loop", "closed", "silent")
CLOSED = "http://127.0.0.1:9"  # a port at which nothing listens
SERVED = "http://pictures.example"


def picture(kind: str, number: int) -> bytes:
    """A picture: a gradient of a size and colours of its own."""
    random = np.random.default_rng([PICTURES.index(kind), number])
    height, width = random.integers(*(LARGE if kind == "large" else SMALL), 2)
    down, across = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    pixels = (255 * (down * random.random(3) + across * random.random(3)) / 2).astype(np.uint8)
    image, written = Image.fromarray(pixels), io.BytesIO()
    match kind:
        case "png":
            image.save(written, "PNG")
        case "webp":
            image.save(written, "WEBP")
        case "gray" | "cmyk":
            image.convert("L" if kind == "gray" else "CMYK").save(written, "JPEG")
        case "alpha":
            image.putalpha(Image.fromarray(pixels[:, :, 0]))
            image.save(written, "PNG")
        case "palette":
            image.quantize(16).save(written, "GIF")
        case "deep":
            Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257).save(written, "PNG")
        case "turned":
            exif = Image.Exif()
            exif[0x0112] = 6  # a viewer turns it by 90 degrees
            image.save(written, "JPEG", exif=exif)
        case "animated":
            others = [Image.fromarray(np.roll(pixels, 5 * step, axis=1)) for step in (1, 2)]
            image.save(written, "WEBP", save_all=True, append_images=others)
        case _:
            image.save(written, "JPEG")
    return written.getvalue()


def served(address: str) -> bytes:
    """The picture at an address that leads to one."""
    _, kind, number = urlsplit(address).path.split("/")
    return picture(kind if kind in PICTURES else "jpeg", int(number))


class Pictures(BaseHTTPRequestHandler):
    """Answers an address by the kind that it names."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        _, kind, number = path.split("/")
        if kind in STATUSES:
            self.answer(b"no picture", status=STATUSES[kind], kind="text/plain")
        elif kind == "flaky" and not (isinstance(self.server, Web) and self.server.is_well):
            self.answer(b"", status=503)
        elif kind in OTHERS:
            self.answer({"page": b"<!doctype html>", "svg": b"<svg/>", "empty": b""}[kind], kind=OTHERS[kind])
        elif kind in CUT:
            data = picture("jpeg", int(number))
            self.answer(data[: 20 if kind == "beginning" else len(data) // 2], length=len(data) if kind == "cut" else None)
        elif kind == "disallowed":
            self.answer(picture("jpeg", int(number)), fields={"X-Robots-Tag": "noai"})
        elif kind in ("moved", "loop"):
            self.answer(b"", status=302, fields={"Location": f"/jpeg/{number}" if kind == "moved" else path})
        elif kind == "silent":
            self.close_connection = True
        else:
            if kind == "slow":
                time.sleep(SLOW)
            self.answer(served(path))

    def answer(
        self, data: bytes, *, status: int = 200, kind: str = "image/jpeg", length: int | None = None, fields: dict[str, str] | None = None
    ) -> None:
        self.close_connection = True
        headers = {"Content-Type": kind, "Content-Length": str(len(data) if length is None else length), "Connection": "close"}
        try:
            self.send_response(status)
            for name, value in (headers | (fields or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it did not wait

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Not said."""


class Web(ThreadingHTTPServer):
    """The pictures, until the context ends; `environment` lets programs find them. The flaky ones are there only when `is_well`."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Pictures)
        self.is_well = False
        self.environment = {"http_proxy": f"http://127.0.0.1:{self.server_port}", "no_proxy": "127.0.0.1"}

    def has(self, address: str) -> bool:
        """Whether there is a picture at an address, and it is there in time."""
        kind = urlsplit(address).path.split("/")[1]
        return kind not in DEAD and (kind != "flaky" or self.is_well)

    def __enter__(self) -> Web:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.shutdown()
        self.server_close()


def address_of(image: int) -> str:
    """Where the image of this number is: three of four are there."""
    random = np.random.default_rng([7, image])
    share = random.random()
    if share < 0.55:
        kind = "jpeg"
    elif share < 0.75:
        kind = str(random.choice([*PICTURES, "moved"]))
    elif share < 0.8:
        kind = "flaky"
    else:
        kind = str(random.choice(DEAD))
    return f"{CLOSED if kind == 'closed' else SERVED}/{kind}/{image}"


def write_pool(path: Path, images: int, texts: int) -> int:
    """Captions of COCO, up to this many an image, as a Parquet file with the columns url and text. Returns how many pairs there are.

    The first pairs are there twice, and the last match no entry.
    """
    captions = pq.read_table(CAPTIONS)
    seen: dict[int, list[str]] = {}
    for image, caption in zip(captions["image_id"].to_pylist(), captions["caption"].to_pylist(), strict=True):
        if (image in seen or len(seen) < images) and len(seen.setdefault(image, [])) < texts:
            seen[image].append(caption)
    rows = [(address_of(image), caption) for image, found in enumerate(seen.values()) for caption in found]
    rows += rows[:10] + [(f"{SERVED}/jpeg/{images + i}", text) for i, text in enumerate(("qwxz", "…", "ᚠᛇᚻ"))]
    urls, texts_ = zip(*rows, strict=True)
    pq.write_table(pa.table({"url": urls, "text": texts_}), path)
    return len(rows)
