"""Inputs that are not on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import s3fs

from tallyclip.errors import OptionError
from tests.readers.conftest import bucket, reach, s3_server  # noqa: F401 - fixtures
from tests.stages.lists.conftest import write_inputs
from tests.stages.lists.tools import built, list_bytes
from tests.tools import succeeds


def test_texts_tables_and_views_may_be_in_a_bucket(tmp_path: Path, bucket: str) -> None:  # noqa: F811
    recipe = write_inputs(tmp_path)
    recipe.write_text(recipe.read_text().replace('"wiki/*.xml.bz2", ', ""))
    built(recipe, tmp_path / "local")
    for name in ("articles", "views", "plain.txt", "words.tsv", "pairs.tsv"):
        s3fs.S3FileSystem().put(str(tmp_path / name), f"{bucket}/{name}", recursive=True)
    text = recipe.read_text()
    for name in ("articles/", "views/", "plain.txt", "words.tsv", "pairs.tsv"):
        text = text.replace(f'"{name}', f'"{bucket}/{name}')
    recipe.write_text(text)
    succeeds("metadata", "build", "--recipe", recipe, "--out", tmp_path / "out")  # whose workers know how to get there
    assert list_bytes(tmp_path / "out") == list_bytes(tmp_path / "local")
    inputs = json.loads((tmp_path / "out" / "manifest.json").read_text())["inputs"]
    assert sum(each["path"].startswith("s3://") for each in inputs) == 7


@pytest.mark.parametrize(
    ("name", "table"),
    [("wiki.xml.bz2", '[text]\nfiles = ["{}/wiki.xml.bz2"]\n[unigrams]\n'), ("data.noun", '[wordnet]\nfiles = ["{}/data.noun"]\n')],
)
def test_dumps_and_wordnets_must_be_on_this_machine(tmp_path: Path, bucket: str, name: str, table: str) -> None:  # noqa: F811
    s3fs.S3FileSystem().pipe(f"{bucket}/{name}", b"BZh9")
    (tmp_path / "recipe.toml").write_text(table.format(bucket))
    with pytest.raises(OptionError, match=rf"^{bucket}/{name}: .*(local file|machine|fetch)"):
        built(tmp_path / "recipe.toml", tmp_path / "out")
