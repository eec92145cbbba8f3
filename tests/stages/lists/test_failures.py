"""What cannot be read fails by name, what is interrupted goes on, and either way the list is the one it would have been."""

from __future__ import annotations

import bz2
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tallyclip.core.data import Metadata
from tallyclip.errors import ArtifactError, IncompleteError, StaleError
from tallyclip.lists.ngrams.runs import CountedPairs, read_pairs, read_words, write_pairs, write_words
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages.builds import BUILD
from tests.stages.lists.conftest import write_inputs
from tests.stages.lists.tools import HEAD, built, list_bytes, page, write_dump


@pytest.fixture(scope="module")
def example(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("list") / "out"
    built(recipe, out)
    return out


def test_a_truncated_dump_fails_by_name_and_repaired_the_list_is_the_same(example: Path, tmp_path: Path) -> None:
    recipe, out = write_inputs(tmp_path), tmp_path / "out"
    dump = tmp_path / "wiki" / "wiki1.xml.bz2"
    whole = dump.read_bytes()
    dump.write_bytes(whole[:-60])
    with pytest.raises(IncompleteError, match=r"1 of \d+ parts failed:\n.*wiki1\.xml\.bz2"):
        built(recipe, out)
    assert not (out / "metadata.parquet").exists()
    counted = {path.name: path.stat().st_mtime_ns for path in out.glob(".work/counts-*/_done/*")}
    assert counted
    dump.write_bytes(whole)
    built(recipe, out)
    assert list_bytes(out) == list_bytes(example)
    assert not (out / ".work").exists()


@pytest.mark.parametrize("name", ["cut_between.xml", "cut_between_streams.xml.bz2", "cut_within.xml"])
def test_a_dump_without_its_end_fails_by_name_and_the_whole_one_gives_its_words(tmp_path: Path, name: str) -> None:
    pages = [
        page(title, text) for title, text in (("Dog", "dogs bark loudly"), ("Cat", "cats sleep all day"), ("Tapir", "tapirs swim well"))
    ]
    content = {"cut_between.xml": HEAD + "".join(pages[:2]), "cut_within.xml": HEAD + "".join(pages)[:-60]}
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'numerals = false\n[text]\nfiles = ["{name}"]\n[unigrams]\n')
    path = tmp_path / name
    if name in content:
        path.write_text(content[name])
    else:
        write_dump(path, pages, 1)
        end = len(bz2.compress(b"</mediawiki>\n"))
        path.write_bytes(path.read_bytes()[:-end])
    with pytest.raises(IncompleteError, match=rf"{re.escape(name)}: the dump is truncated"):
        built(recipe, tmp_path / "out")
    whole = HEAD + "".join(pages) + "</mediawiki>\n"
    path.write_bytes(bz2.compress(whole.encode()) if name.endswith("bz2") else whole.encode())
    built(recipe, tmp_path / "out")
    words = ("all", "bark", "cats", "day", "dogs", "loudly", "sleep", "swim", "tapirs", "well")
    assert Metadata.load(tmp_path / "out" / "metadata.parquet").entries == words


def test_dumps_and_texts_that_went_wrong_for_others_are_read_or_said_to_be_cut_short(shared_data: Path, tmp_path: Path) -> None:
    dumps, extracted = shared_data / "cases" / "16-wiki-dump-cut-short", shared_data / "cases" / "17-wikiextractor-output"
    for name in ("cut_between", "cut_between_streams", "cut_within"):
        with pytest.raises(IncompleteError, match="the dump is truncated"):
            built(dumps / f"{name}.toml", tmp_path / name)
    assert built(dumps / "whole.toml", tmp_path / "whole").entries == 10
    for name in ("a", "b"):
        built(extracted / f"{name}.toml", tmp_path / name)
        assert Metadata.load(tmp_path / name / "metadata.parquet").entries == ("A", "Cat", "Dog", "barks", "cat", "dog", "sleeps")


def test_what_failed_can_be_left_out_and_the_manifest_says_so(tmp_path: Path) -> None:
    recipe, out = write_inputs(tmp_path), tmp_path / "out"
    dump = tmp_path / "wiki" / "wiki2.xml.bz2"
    dump.write_bytes(dump.read_bytes()[:-60])
    manifest = built(recipe, out, accept_failed=True)
    assert [name in manifest.failed[0] for name in ("wiki2.xml.bz2",)] == [True]
    assert built(recipe, out, accept_failed=True).failed == manifest.failed
    with pytest.raises(IncompleteError):
        built(recipe, out)
    dump.unlink()
    shutil.rmtree(out)
    assert built(recipe, tmp_path / "without").fingerprint == manifest.fingerprint


def test_if_all_parts_fail_there_is_no_list_whatever_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "empty.xml.bz2").write_bytes(b"")
    (tmp_path / "recipe.toml").write_text('[text]\nfiles = ["empty.xml.bz2"]\n[unigrams]\n')
    with pytest.raises(IncompleteError, match=r"empty\.xml\.bz2"):
        built(tmp_path / "recipe.toml", tmp_path / "out", accept_failed=True)


def test_a_dump_without_pages_is_an_error(tmp_path: Path) -> None:
    write_dump(tmp_path / "none.xml.bz2", [])
    (tmp_path / "recipe.toml").write_text('[text]\nfiles = ["none.xml.bz2"]\n[unigrams]\n')
    with pytest.raises(IncompleteError, match=r"none\.xml\.bz2"):
        built(tmp_path / "recipe.toml", tmp_path / "out")


def test_texts_of_different_encodings_give_one_list(tmp_path: Path) -> None:
    """A dump in UTF-16, as one of the shared data is, counts like the same in UTF-8."""
    text = HEAD + page("Чай", "Чай е '''напитка'''. New York") + page("Tea", "tea of New York") + "</mediawiki>\n"
    lists: list[bytes] = []
    for encoding in ("utf-8", "utf-16"):
        folder = tmp_path / encoding
        folder.mkdir()
        (folder / "wiki.xml.bz2").write_bytes(bz2.compress(text.encode(encoding)))
        (folder / "recipe.toml").write_text('[text]\nfiles = ["wiki.xml.bz2"]\n[unigrams]\n[bigrams]\n')
        built(folder / "recipe.toml", folder / "out")
        lists.append(list_bytes(folder / "out"))
    assert lists[0] == lists[1]


def test_a_wordnet_with_a_wrong_header_is_refused_before_anything_is_counted(tmp_path: Path) -> None:
    recipe = write_inputs(tmp_path)
    (tmp_path / "wn-data-xyz.tab").write_text("no header\n00001740-n\tlemma\tentity\n")
    recipe.write_text(recipe.read_text().replace('files = ["wordnet"]', 'files = ["wn-data-xyz.tab"]'))
    with pytest.raises(ArtifactError, match=r"wn-data-xyz\.tab"):
        built(recipe, tmp_path / "out")


def test_two_cannot_build_in_one_folder(recipe: Path, tmp_path: Path) -> None:
    with Workers(1) as pool, Workspace(BUILD, tmp_path / "out", pool) as build:
        build.create([], 0)
        with pytest.raises(StaleError, match="another process"):
            built(recipe, tmp_path / "out")


def damage(path: Path) -> None:
    """Make a file of counts one of words whose bytes are elsewhere, or of pairs of words that there are not."""
    if "words" in str(path):
        words = read_words(path)
        offsets = words.words.offsets.copy()
        offsets[1:-1] = 1 << 40
        write_words(path, words._replace(words=words.words._replace(offsets=offsets)))
    else:
        pairs = read_pairs(path)
        write_pairs(path, CountedPairs(pairs.keys | np.uint64(1 << 63), pairs.counts.copy()))


@pytest.mark.parametrize("kind", ["words", "pairs", "cut short"])
@pytest.mark.parametrize("moment", ["under way", "in place"])
def test_damaged_counts_are_named_with_the_folder_to_delete_and_without_it_the_list_is_the_same(
    example: Path, tmp_path: Path, kind: str, moment: str
) -> None:
    recipe, out = write_inputs(tmp_path), tmp_path / "out"
    dump = tmp_path / "wiki" / "wiki1.xml.bz2"
    whole = dump.read_bytes()
    if moment == "under way":
        dump.write_bytes(whole[:-60])
        with pytest.raises(IncompleteError):
            built(recipe, out)
        dump.write_bytes(whole)
    else:
        built(recipe, out)
        (out / "manifest.json").unlink()
    folder = next(out.glob(".work/counts-*")) if moment == "under way" else out / "counts"
    pattern = "words" if kind == "cut short" else kind
    paths = sorted(folder.glob(f"_runs/*.{pattern}.arrow" if moment == "under way" else f"{pattern}/*.arrow"))
    path = max(paths, key=lambda path: path.stat().st_size)
    if kind == "cut short":
        path.write_bytes(path.read_bytes()[:100].ljust(path.stat().st_size, b"\0"))
    else:
        damage(path)
    with pytest.raises((ArtifactError, IncompleteError)) as caught:
        built(recipe, out)
    assert str(path) in caught.value.what
    if kind != "cut short":
        assert f"{path} is damaged: its counted words and pairs cannot be used" in caught.value.what
    assert f"delete the folder {folder} and run the same command again" in str(caught.value.hint)
    shutil.rmtree(folder)
    built(recipe, out)
    assert list_bytes(out) == list_bytes(example)
