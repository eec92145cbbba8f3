"""Shared by the tests of loading: image shards with an index, made of real tars, and what an epoch gives."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import zstandard
from PIL import Image

from tallyclip.core.uids import UID, make_uids, uid_column, uid_strings
from tallyclip.train.online import OnlineBalanced
from tallyclip.train.tars import HEADER

PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress, ".bz2": bz2.compress}
TAIL = 1.0
KEPT = (TAIL, 0.5, 0.1, 0.9)  # keep probabilities, in turn: a fourth is the tail


class Shards(NamedTuple):
    """Tars and their index; by the uid of each pair in hex digits its text, keep probability and image's number; and which are curated."""

    tars: list[Path]
    index_folder: Path
    texts: dict[str, str]
    keep: dict[str, float]
    images: dict[str, int]
    curated: set[str]

    @property
    def tail(self) -> set[str]:
        return {uid for uid, keep in self.keep.items() if keep == TAIL}

    def data(self, **options: Any) -> OnlineBalanced:
        return OnlineBalanced(list(map(str, self.tars)), "run", index=self.index_folder, **options)


def picture(number: int, size: tuple[int, int] = (12, 8), kind: str = "JPEG", **options: Any) -> bytes:
    """An image file in one colour, from which its number can be told."""
    return encoded(Image.new("RGB", size, colour(number)), kind, **options)


def colour(number: int) -> tuple[int, int, int]:
    return (number % 8 * 32 + 16, number // 8 % 8 * 32 + 16, number // 64 % 8 * 32 + 16)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    with io.BytesIO() as file:
        image.save(file, kind, **options)
        return file.getvalue()


def noise(size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def write_shards(
    folder: Path,
    sizes: Sequence[int] = (40, 0, 31, 3, 60),
    *,
    bad: Mapping[int, bytes] | None = None,
    texts: Callable[[int], int] = lambda _: 1,
    keep: Sequence[float] = KEPT,
    suffix: str = "",
    pack: Callable[[bytes], bytes] = bytes,
) -> Shards:
    """Tars with so many images, and their index.

    Args:
        folder: where to write them.
        sizes: images of each tar.
        bad: of some images, by their number in all tars, other bytes.
        texts: how many pairs of the run an image has, by its number; it may be none.
        keep: keep probabilities of pairs, in turn.
        suffix: of compressed tars.
        pack: that compresses them.
    """
    folder.mkdir(exist_ok=True)
    (folder / "INDEX" / "index").mkdir(parents=True)
    made = Shards([], folder / "INDEX", {}, {}, {}, set())
    listed: list[dict[str, Any]] = []
    image = 0
    for shard, size in enumerate(sizes):
        rows: list[dict[str, Any]] = []
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as tar:
            for sample in range(size):
                data = (bad or {}).get(image) if image in (bad or {}) else picture(image)
                assert data is not None
                at = _add(tar, f"{image:06d}.jpg", data) + HEADER
                for number in range(texts(image)):
                    rows.append({"text": f"picture {image}, text {number}: ä ✓", "sample": sample, "image_at": at, "image_size": len(data)})
                    rows[-1] |= {"keep": keep[(len(made.keep) + len(rows) - 1) % len(keep)], "image": image}
                _add(tar, f"{image:06d}.json", json.dumps({"number": image}).encode())
                _add(tar, f"{image:06d}.txt", b"a text")
                image += 1
        path = folder / f"{shard:05d}.tar{suffix}"
        path.write_bytes(pack(content.getvalue()))
        made.tars.append(path)
        listed.append({"path": str(path), "key": f"{shard:05d}-key", "pairs": len(rows), "samples": len({row["sample"] for row in rows})})
        _write_rows(made, f"{shard:05d}-key", rows)
    write_list(made.index_folder, listed)
    return made


def write_list(index: Path, shards: list[dict[str, Any]], fingerprint: str = "a run") -> None:
    (index / "index" / "shards.json").write_text(
        json.dumps({"run": {"t": 20.0, "fingerprint": fingerprint}, "shards": shards, "drops": {}})
    )


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    at = tar.offset
    tar.addfile(member, io.BytesIO(data))
    return at


def _write_rows(made: Shards, key: str, rows: list[dict[str, Any]]) -> None:
    columns = {name: [row[name] for row in rows] for name in ("text", "sample", "image_at", "image_size", "keep")}
    uids = make_uids([f"http://images.example/{row['image']}.jpg" for row in rows], columns["text"])
    names: list[str] = uid_strings(uids).to_pylist()
    curated = [i % 3 == 0 for i in range(len(rows))]
    made.texts.update(zip(names, columns["text"], strict=True))
    made.keep.update(zip(names, columns["keep"], strict=True))
    made.images.update(zip(names, (row["image"] for row in rows), strict=True))
    made.curated.update(name for name, is_curated in zip(names, curated, strict=True) if is_curated)
    table = pa.table(
        {
            "uid": uid_column(uids) if rows else pa.array([], UID),
            "keep": pa.array(columns["keep"], pa.float64()),
            "curated": pa.array(curated, pa.bool_()),
            **{name: pa.array(columns[name], pa.int64()) for name in ("sample", "image_at", "image_size")},
            "suffix": pa.array(["jpg"] * len(rows)).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
            "text": pa.array(columns["text"], pa.string()),
        }
    )
    with pa.ipc.new_file(str(made.index_folder / "index" / f"{key}.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=20)


def uids_of(samples: Any) -> list[str]:
    """The uids of an epoch's samples, or of its batches."""
    found: list[str] = []
    for _, _, uid in samples:
        found += [uid] if isinstance(uid, str) else uid
    return found


def within(found: int, probabilities: Sequence[float], sigmas: float = 5) -> bool:
    """Is a number of draws as many as can be expected?"""
    p = np.array(probabilities)
    return abs(found - p.sum()) <= sigmas * np.sqrt((p * (1 - p)).sum())
