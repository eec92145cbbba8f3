"""Evaluation sets in Parquet, as the Hugging Face Hub has them: an image column, and a label or captions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tallyclip.errors import ArtifactError
from tallyclip.evaluation.images import EvalImage, EvalSet, join, shown
from tallyclip.io.streams import open_file
from tallyclip.readers.content import reading

ROWS = 64  # read at once: they hold images
LABELS = ("label", "labels", "fine_label", "cls")
CAPTIONS = ("caption", "captions", "text", "sentences")
SPLITS = ("test", "validation", "val")  # the first that there is


def parquet_set(data: str, names: Sequence[str]) -> EvalSet:
    """A set of Parquet files; of several splits the test split.

    Args:
        data: the folder, or a file.
        names: of the files in it; empty if ``data`` is one.

    Raises:
        ArtifactError: no column has images, or none has labels or captions.
        SourceError: a file cannot be read.
    """
    paths = [join(data, name) for name in _of_split(data, names)] if names else [data]
    schema, rows = _schema(paths[0])
    features = _features(schema)
    image = _image_column(paths[0], schema, features)
    label = _label_column(schema, features)
    captions = next((name for name in CAPTIONS if name in schema.names), None)
    if label is None and captions is None:
        what = f"{paths[0]}: no column has labels or captions; its columns are {shown(schema.names)}"
        hint = f"labels are a ClassLabel, or whole numbers in {', '.join(LABELS)}; captions are in {', '.join(CAPTIONS)}"
        raise ArtifactError(what, hint)
    classes = features.get(label or "", {}).get("names")
    total = rows + sum(_schema(path)[1] for path in paths[1:])

    def read() -> Iterator[EvalImage]:
        for path in paths:
            with reading(path), open_file(path) as file:
                number = 0
                for batch in pq.ParquetFile(file).iter_batches(ROWS, columns=[image, label or captions]):
                    for picture, value in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
                        yield _row(f"{path}: row {number:,}", picture, value, is_label=label is not None)
                        number += 1

    notes = [f"of {data}, {shown(path.rpartition('/')[2] for path in paths)} are read"] if len(paths) < len(names) else []
    return EvalSet("Parquet", label is None, classes, total, read, notes=notes)


def _of_split(data: str, names: Sequence[str]) -> list[str]:
    for split in SPLITS:
        found = [name for name in names if re.search(rf"(^|/){split}(-[0-9]|/|\.)", name)]
        if found:
            return found
    starts = {re.split(r"-[0-9]", name, maxsplit=1)[0] for name in names}
    if len(starts) > 1 and any(start.endswith("train") for start in starts):
        what = f"{data}: several splits, and none of them is test or validation: {shown(sorted(starts))}"
        raise ArtifactError(what, "give one of its files")
    return list(names)


def _schema(path: str) -> tuple[pa.Schema, int]:
    with reading(path), open_file(path) as file:
        parquet = pq.ParquetFile(file)
        return parquet.schema_arrow, parquet.metadata.num_rows


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """What ``datasets`` says of the columns."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return {name: about for name, about in features.items() if isinstance(about, dict)}


def _image_column(path: str, schema: pa.Schema, features: dict[str, dict[str, Any]]) -> str:
    named = [name for name, about in features.items() if about.get("_type") == "Image" and name in schema.names]
    like = [
        field.name
        for field in schema
        if pa.types.is_binary(field.type)
        or pa.types.is_large_binary(field.type)
        or (pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)
    ]
    found = named or like
    if not found:
        what = f"{path}: no column has images; its columns are {shown(schema.names)}"
        raise ArtifactError(what, "images are structs of bytes and path, or bytes")
    return next((name for name in found if name in ("image", "img", "jpg", "png", "webp")), found[0])


def _label_column(schema: pa.Schema, features: dict[str, dict[str, Any]]) -> str | None:
    classes = [name for name, about in features.items() if about.get("_type") == "ClassLabel" and name in schema.names]
    whole = [field.name for field in schema if pa.types.is_integer(field.type) and field.name in LABELS]
    found = classes if len(classes) == 1 else [name for name in LABELS if name in classes or name in whole]
    return found[0] if found else None


def _row(name: str, picture: Any, value: Any, *, is_label: bool) -> EvalImage:
    content = picture.get("bytes") if isinstance(picture, dict) else picture
    if content is None:
        return EvalImage(name, b"", problem="no image")
    if is_label:
        return EvalImage(name, content, value, problem="no label" if value is None else None)
    captions = [text for text in ([value] if isinstance(value, str) else value or []) if isinstance(text, str) and text.strip()]
    return EvalImage(name, content, captions=captions, problem=None if captions else "no caption")
