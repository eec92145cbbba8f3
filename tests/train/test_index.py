"""The index of shards: what is in it, which shards are chosen, and what is said of one that is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import inf
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tallyclip as tc
from tallyclip.core.uids import uid_strings
from tallyclip.errors import ArtifactError, OptionError, StaleError
from tallyclip.train.index import ShardIndex
from tallyclip.train.online import OnlineBalanced
from tests.pictures import picture, sample, write_samples
from tests.tools import PATIENCE, write_entries, write_parquet
from tests.train.tools import Shards, write_list, write_shards


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return write_shards(tmp_path_factory.mktemp("shards") / "tars", (5, 0, 50), texts=lambda image: image % 3)


def listed(index: ShardIndex) -> list[str]:
    return [Path(shard.path).name for shard in index.shards]


def test_an_index_has_what_was_written(shards: Shards) -> None:
    index = ShardIndex.open(shards.index_folder)
    assert (index.run.t, index.run.fingerprint) == (20.0, "a run")
    assert listed(index) == ["00000.tar", "00001.tar", "00002.tar"]
    rows = [index.rows(shard) for shard in index.shards]
    assert [len(part.uids) for part in rows] == [shard.pairs for shard in index.shards]
    names = [uid for part in rows for uid in uid_strings(part.uids).to_pylist()]
    assert names == list(shards.texts)
    assert [text for part in rows for text in part.texts.to_pylist()] == list(shards.texts.values())
    assert [keep for part in rows for keep in part.keep] == list(shards.keep.values())
    assert [uid for uid, curated in zip(names, [c for part in rows for c in part.curated], strict=True) if curated] == sorted(
        shards.curated, key=names.index
    )


@pytest.mark.parametrize("given", ["folder", "glob", "paths", "one", "relative", "parts", "repeated", "path"])
def test_shards_are_chosen_by_paths_globs_and_folders(shards: Shards, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shards.tars[0].parent
    monkeypatch.chdir(folder.parent)
    choice: dict[str, Any] = {
        "folder": folder,
        "glob": f"{folder}/*.tar",
        "paths": list(reversed(shards.tars)),
        "one": str(shards.tars[2]),
        "relative": "tars",
        "parts": [f"{folder}/0000[01].tar", shards.tars[2]],
        "repeated": [folder, *shards.tars],
        "path": shards.tars[2],
    }
    chosen = ShardIndex.open(shards.index_folder).of(choice[given])
    assert listed(chosen) == (["00002.tar"] if given in ("one", "path") else ["00000.tar", "00001.tar", "00002.tar"])


def test_shards_that_were_moved_are_known_by_their_names(shards: Shards, tmp_path: Path) -> None:
    for tar in shards.tars:
        (tmp_path / tar.name).write_bytes(tar.read_bytes())
        fsspec.filesystem("memory").pipe(f"/moved/{tar.name}", tar.read_bytes())
    index = ShardIndex.open(shards.index_folder)
    for place in (str(tmp_path), "memory://moved", ["memory://moved/*.tar"]):
        moved = index.of(place)
        assert listed(moved) == listed(index)
        assert [shard.key for shard in moved.shards] == [shard.key for shard in index.shards]
        assert moved.shards[0].path == f"{tmp_path if place == str(tmp_path) else 'memory:///moved'}/00000.tar"


def test_shards_that_are_not_in_the_index_are_refused(shards: Shards, tmp_path: Path) -> None:
    index = ShardIndex.open(shards.index_folder)
    (tmp_path / "00009.tar").write_bytes(b"")
    with pytest.raises(OptionError, match=r"00009\.tar: it is not in the index"):
        index.of([shards.tars[0].parent, tmp_path])
    for nothing in ([], str(tmp_path / "none"), str(shards.index_folder)):
        with pytest.raises(OptionError, match="no tars"):
            index.of(nothing)


def test_a_name_that_two_shards_have_does_not_say_which(shards: Shards, tmp_path: Path) -> None:
    pairs = {"pairs": 1, "samples": 1}
    (tmp_path / "index").mkdir()
    write_list(tmp_path, [{"path": f"/old/{name}/0.tar", "key": name, **pairs} for name in "ab"])
    (tmp_path / "0.tar").write_bytes(b"")
    with pytest.raises(OptionError, match="2 tars in the index have this name"):
        ShardIndex.open(tmp_path).of(tmp_path / "0.tar")
    write_list(tmp_path, [{"path": "/old/a/0.tar", "key": "a", **pairs}])
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "0.tar").write_bytes(b"")
    with pytest.raises(OptionError, match="only one tar of this name"):
        ShardIndex.open(tmp_path).of([tmp_path / "0.tar", tmp_path / "b" / "0.tar"])


def test_an_index_that_is_missing_or_broken_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no index of shards") as caught:
        ShardIndex.open(tmp_path)
    assert "tallyclip export index" in str(caught.value)
    shards = write_shards(tmp_path / "tars", (5, 3))
    names = shards.index_folder / "index" / "shards.json"
    good = names.read_text()
    names.write_text(good[:-10])
    with pytest.raises(ArtifactError, match="broken"):
        ShardIndex.open(shards.index_folder)
    write_list(shards.index_folder, json.loads(good)["shards"])
    index = ShardIndex.open(shards.index_folder)
    file = shards.index_folder / "index" / f"{index.shards[0].key}.arrow"
    content = file.read_bytes()
    other = pa.table({"uid": [1]})
    with pa.BufferOutputStream() as sink, pa.ipc.new_file(sink, other.schema) as writer:
        writer.write_table(other)
    for broken, words in [
        (content[:-50], "not readable"),
        (b"", "not readable"),
        (sink.getvalue(), "another version"),
        (None, "not readable"),
    ]:
        if broken is None:
            file.unlink()
        else:
            file.write_bytes(broken)
        with pytest.raises(ArtifactError, match=words) as caught:
            index.rows(index.shards[0])
        assert file.name in str(caught.value)
    file.write_bytes((shards.index_folder / "index" / f"{index.shards[1].key}.arrow").read_bytes())
    with pytest.raises(ArtifactError, match=r"3 pairs, but shards\.json says 5"):
        index.rows(index.shards[0])


def test_a_run_keeps_the_index_of_its_shards_which_is_made_when_it_is_first_asked_for(tmp_path: Path) -> None:
    urls, texts = [f"https://a.example/{i}.jpg" for i in range(60)], [f"word{i % 7} n{i}" for i in range(60)]
    write_parquet(tmp_path / "pool.parquet", {"url": urls, "text": texts})
    write_samples(tmp_path / "00000.tar", [sample(f"{i:04d}", urls[i], texts[i], picture(i)) for i in range(30)])
    write_samples(tmp_path / "00001.tar", [sample(f"{i:04d}", urls[i], texts[i], picture(i)) for i in range(30, 60)])
    entries = write_entries(tmp_path / "entries.json")
    run = tc.curate(str(tmp_path / "pool.parquet"), out=tmp_path / "run", metadata=entries, t=inf, workers=1)
    shards = str(tmp_path / "{00000..00001}.tar")
    first = OnlineBalanced(shards, run)
    assert first.expected_length == 60
    assert {uid for _, _, uid in first} == set(uid_strings(tc.make_uids(urls, texts)).to_pylist())
    made = (first.index.folder / "index" / "shards.json").stat().st_mtime_ns
    assert first.index.folder.parent == run.path / "index"
    assert (OnlineBalanced(shards, run).index.folder / "index" / "shards.json").stat().st_mtime_ns == made
    assert tc.status(run).stages[-1].state == "done"  # a run with an index in it is one as ever

    tc.balance(run, t=2, workers=1)  # other probabilities
    again = OnlineBalanced(shards, run)
    assert again.expected_length == pytest.approx(pq.read_table(run.probabilities)["keep_probability"].to_numpy().sum())
    with pytest.raises(StaleError, match="of another run than"):
        OnlineBalanced(shards, run, index=write_shards(tmp_path / "other", (5,)).index_folder)


def test_of_ranks_that_start_at_once_one_makes_the_index(tmp_path: Path) -> None:
    urls, texts = [f"https://a.example/{i}.jpg" for i in range(40)], [f"word{i % 7} n{i}" for i in range(40)]
    write_parquet(tmp_path / "pool.parquet", {"url": urls, "text": texts})
    write_samples(tmp_path / "a.tar", [sample(f"{i:04d}", urls[i], texts[i], picture(i)) for i in range(40)])
    tc.curate(str(tmp_path / "pool.parquet"), out=tmp_path / "run", metadata=write_entries(tmp_path / "entries.json"), t=inf, workers=1)
    program = "import sys; from tallyclip.train import OnlineBalanced; print(len(list(OnlineBalanced(*sys.argv[1:]))))"
    arguments = [sys.executable, "-c", program, str(tmp_path / "a.tar"), str(tmp_path / "run")]
    ranks = [
        subprocess.Popen(arguments, env=os.environ | {"RANK": str(rank), "WORLD_SIZE": "2"}, stdout=subprocess.PIPE) for rank in (0, 1)
    ]
    assert [int(rank.communicate(timeout=PATIENCE)[0]) for rank in ranks] == [20, 20]


def test_shards_that_are_written_anew_at_the_same_place_have_another_index(tmp_path: Path) -> None:
    urls, texts = [f"https://a.example/{i}.jpg" for i in range(40)], [f"word{i % 7} n{i}" for i in range(40)]
    write_parquet(tmp_path / "pool.parquet", {"url": urls, "text": texts})
    shards = tmp_path / "shards"
    shards.mkdir()
    pictures = [picture(i, "BMP", (8, 8)) for i in range(40)]  # all of one size, so that nothing else tells them apart
    samples = [sample(f"{i:04d}", urls[i], texts[i], pictures[i]) for i in range(40)]
    write_samples(shards / "a.tar", samples[:20])
    write_samples(shards / "b.tar", samples[20:])
    tc.curate(str(tmp_path / "pool.parquet"), out=tmp_path / "run", metadata=write_entries(tmp_path / "entries.json"), t=inf, workers=1)

    def seen() -> dict[str, bytes]:
        return {text: image.tobytes() for image, text, _ in OnlineBalanced(shards, tmp_path / "run", shuffle=0)}

    first = seen()
    assert len(first) == 40
    (shards / "link.tar").symlink_to(shards / "a.tar")  # a tar under another name is the same tar
    assert seen() == first
    (shards / "link.tar").unlink()
    (shards / "a.tar").rename(shards / "c.tar")
    (shards / "b.tar").rename(shards / "a.tar")
    (shards / "c.tar").rename(shards / "b.tar")
    assert seen() == first


@pytest.mark.parametrize(("variables", "said"), [({"RANK": "x"}, "the variable RANK"), ({"RANK": "1"}, "variables RANK and WORLD_SIZE")])
def test_a_rank_that_cannot_be_is_refused(shards: Shards, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(OptionError) as refused:
        shards.data()
    assert said in f"{refused.value}"
