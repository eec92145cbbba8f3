"""A small file of each form that people have captions in, and the pairs in it."""

from __future__ import annotations

import io
import json
from typing import Any, NamedTuple

import pyarrow as pa

CAPTIONS = ["a dog on a bench", "two dogs", "a cat, asleep", 'a "big" bird', "a bird and a cat"]
URLS = [f"http://images.example/{i:012d}.jpg" for i in range(3)]
NAMES = [f"{i:012d}.jpg" for i in range(3)]
OF_IMAGE = [0, 0, 1, 2, 2]  # the image of each caption


class Form(NamedTuple):
    """A file, its pairs, and what is said of it.

    Attributes:
        name: of the file.
        content: of the file.
        layout: as messages call it.
        images: what identifies the image of each pair.
        captions: of each pair.
        image_kind: what that is: a URL or a key.
    """

    name: str
    content: bytes
    layout: str
    images: list[str]
    captions: list[str]
    image_kind: str


def coco(*, images_first: bool = True, **more: Any) -> dict[str, Any]:
    images = {
        "images": [
            {"license": 4, "file_name": name, "coco_url": url, "id": 70 + i} for i, (name, url) in enumerate(zip(NAMES, URLS, strict=True))
        ]
    }
    annotations = {"annotations": [{"image_id": 70 + image, "id": i, "caption": CAPTIONS[i]} for i, image in enumerate(OF_IMAGE)]}
    parts = (images, annotations) if images_first else (annotations, images)
    return {"info": {"year": 2017}, "licenses": [{"id": 1, "name": "CC0"}]} | parts[0] | parts[1] | more


def karpathy() -> dict[str, Any]:
    sentences = [
        [{"raw": CAPTIONS[i], "tokens": CAPTIONS[i].split(), "sentid": i} for i in range(5) if OF_IMAGE[i] == image] for image in range(3)
    ]
    images = [{"filename": NAMES[i], "imgid": i, "sentences": sentences[i], "split": "train", "sentids": [i]} for i in range(3)]
    return {"images": images, "dataset": "coco"}


def redcaps() -> dict[str, Any]:
    annotations = [
        {
            "image_id": f"x{i}",
            "author": "someone",
            "url": URLS[image],
            "raw_caption": CAPTIONS[i].upper(),
            "caption": CAPTIONS[i],
            "score": i,
        }
        for i, image in enumerate(OF_IMAGE)
    ]
    return {"info": {"name": "dogs"}, "annotations": annotations}


def sbu() -> dict[str, Any]:
    return {"image_urls": [URLS[image] for image in OF_IMAGE], "user_ids": [f"u{image}" for image in OF_IMAGE], "captions": CAPTIONS}


def flickr() -> str:
    return "".join(f"{NAMES[image]}#{i}\t{CAPTIONS[i]}\n" for i, image in enumerate(OF_IMAGE))


def flickr_csv() -> str:
    rows = (f"{NAMES[image]}| {i}| {CAPTIONS[i]}\n" for i, image in enumerate(OF_IMAGE))
    return "image_name| comment_number| comment\n" + "".join(rows)


def wit() -> str:
    names = ["language", "page_url", "image_url", "page_title", "caption_reference_description", "caption_alt_text_description"]
    rows = (["en", "http://en.example/", URLS[image], "Dog", CAPTIONS[i].replace('"', ""), ""] for i, image in enumerate(OF_IMAGE))
    return "".join("\t".join(row) + "\n" for row in [names, *rows])


def arrow(*, stream: bool, compression: str | None = None) -> bytes:
    table = pa.table({"url": [URLS[image] for image in OF_IMAGE], "caption": CAPTIONS, "split": ["train"] * len(CAPTIONS)})
    target = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(target, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=2)
    return target.getvalue()


def _form(name: str, content: Any, layout: str, image_kind: str, captions: list[str] = CAPTIONS) -> Form:
    images = [(URLS if image_kind == "url" else NAMES)[image] for image in OF_IMAGE]
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    return Form(name, content, layout, images, captions, image_kind)


FORMS = {
    "coco": _form("captions_val.json", coco(), "COCO captions", "url"),
    "coco, annotations first": _form("captions.json", coco(images_first=False), "COCO captions", "url"),
    "karpathy": _form("dataset_coco.json", karpathy(), "Karpathy's splits", "key"),
    "redcaps": _form("dogs_2020.json", redcaps(), "RedCaps", "url"),
    "sbu": _form("sbu-captions-all.json", sbu(), "SBU", "url"),
    "flickr8k": _form("Flickr8k.token.txt", flickr(), "Flickr8k and Flickr30k", "key"),
    "flickr30k": _form("results_20130124.token", flickr(), "Flickr8k and Flickr30k", "key"),
    "flickr30k csv": _form("results.csv", flickr_csv(), "Flickr30k", "key", [f" {caption}" for caption in CAPTIONS]),
    "wit": _form("wit_v1.train.tsv", wit(), "WIT", "url", [caption.replace('"', "") for caption in CAPTIONS]),
    "save_to_disk": _form("data-00000-of-00001.arrow", arrow(stream=True), "CC3M and CC12M", "url"),
    "arrow": _form("a.arrow", arrow(stream=False), "CC3M and CC12M", "url"),
    "feather": _form("a.feather", arrow(stream=False, compression="lz4"), "CC3M and CC12M", "url"),
}
