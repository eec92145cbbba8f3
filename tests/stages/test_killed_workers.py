"""Workers that are killed while they write: their tasks are done again, and nothing half written is in what is published.

In every stage each file that a worker writes is once left half written by a worker that is then killed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.stages.conftest import Example
from tests.stages.lists.conftest import write_inputs
from tests.stages.test_crawl import write_crawl
from tests.tools import assert_same, environment, succeeds

HOOKS = Path(__file__).parent / "hooks"


def killing(at: str, marks: Path) -> dict[str, str]:
    """An environment in which workers die over the files whose paths match a pattern."""
    marks.mkdir()
    path = os.pathsep.join([str(HOOKS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return environment(PYTHONPATH=path, KILL_AT=at, KILLED=str(marks))


def killed(marks: Path) -> set[str]:
    """Over which files workers died, by their names behind the shard's."""
    return {Path(mark.read_text()).name.partition(".")[2] for mark in marks.iterdir()}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("at", "names"),
    [
        (r"/match-[^/]*/[^/]*\.(arrow|npz)$", {"arrow", "npz"}),
        (r"/balance-[^/]*/(curated|uid_runs)/", {"parquet", "0.npy"}),
        (r"/balance-[^/]*/(probabilities|shard_counts)/", {"parquet", "npz"}),
    ],
    ids=["match", "curated", "probabilities"],
)
def test_a_run_whose_workers_are_killed_over_every_file_lists_the_files_of_a_clean_run(
    example: Example, tmp_path: Path, at: str, names: set[str]
) -> None:
    succeeds(*example.arguments, "--out", tmp_path / "run", env=killing(at, tmp_path / "marks"))
    assert len(list((tmp_path / "marks").iterdir())) == 2 * 5
    assert killed(tmp_path / "marks") == names
    assert files(tmp_path / "run") == files(example.run)
    assert_same(tmp_path / "run", example.results)


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Crawl files, and the run of a pool that nothing disturbed."""
    folder = tmp_path_factory.mktemp("crawl")
    source = write_crawl(folder / "files")
    succeeds("pool", source, "--out", folder / "run", "--max-site-repeats", 3)
    return source, folder / "run"


@pytest.mark.parametrize(
    ("at", "names"),
    [
        (r"/gather-[^/]*/[^/]*\.(parquet|keys\.npy)$", {"warc.parquet", "warc.keys.npy"}),
        (r"/gather-[^/]*/[^/]*\.(repeats|sites)\.npy$", {"warc.repeats.npy", "warc.sites.npy"}),
        (r"/duplicates-[^/]*/[^/]*\.npy$", {"removed.npy", "excluded.npy"}),
        (r"/pool-[^/]*/(_index/)?[^/_][^/]*$", {"warc.parquet", "warc.npy"}),
        (r"/(gather|pool)-[^/]*/_done/", {"warc.json"}),
    ],
    ids=["gather", "keys", "duplicates", "pool", "marks"],
)
def test_a_pool_whose_workers_are_killed_over_every_file_lists_the_files_of_a_clean_one(
    crawl: tuple[Path, Path], tmp_path: Path, at: str, names: set[str]
) -> None:
    source, clean = crawl
    succeeds("pool", source, "--out", tmp_path / "run", "--max-site-repeats", 3, env=killing(at, tmp_path / "marks"))
    assert killed(tmp_path / "marks") == names
    assert files(tmp_path / "run") == files(clean)
    outputs = sorted(name for name in files(clean) if name.endswith((".npy", ".parquet")))
    assert [(tmp_path / "run" / name).read_bytes() for name in outputs] == [(clean / name).read_bytes() for name in outputs]


@pytest.mark.parametrize(
    ("at", "names"),
    [
        (r"/_runs/[^/]*\.(words|pairs)\.arrow$", {"0.words.arrow", "0.pairs.arrow"}),
        (r"/_runs/[^/]*\.places\.npy$|/(words|pairs)/[^/]*\.arrow$", {"0.places.npy", "arrow"}),
    ],
    ids=["count", "merge"],
)
def test_a_list_whose_workers_are_killed_over_every_file_lists_the_files_of_a_clean_one(tmp_path: Path, at: str, names: set[str]) -> None:
    recipe = write_inputs(tmp_path)
    succeeds("metadata", "build", "--recipe", recipe, "--out", tmp_path / "clean")
    succeeds("metadata", "build", "--recipe", recipe, "--out", tmp_path / "killed", env=killing(at, tmp_path / "marks"))
    assert killed(tmp_path / "marks") == names
    assert files(tmp_path / "killed") == files(tmp_path / "clean")
    assert (tmp_path / "killed" / "metadata.parquet").read_bytes() == (tmp_path / "clean" / "metadata.parquet").read_bytes()
