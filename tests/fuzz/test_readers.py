"""Some broken files for each reader, the same each time; ``scripts/fuzz`` tries others for as long as you like."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .checking import MEMORY, TooSlowError, at_most, check
from .mutations import mutated
from .readers import Reader, all_readers

EXAMPLES = 60


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    return all_readers(tmp_path_factory.mktemp("fuzz"))


def test_seeds_are_read(readers: dict[str, Reader], tmp_path: Path) -> None:
    assert len(readers) >= 16
    for name, reader in readers.items():
        for seed in reader.seeds:
            assert check(reader, seed, tmp_path), name


def test_no_broken_file_breaks_its_reader(readers: dict[str, Reader], tmp_path: Path) -> None:
    for reader in readers.values():
        _try_some(reader, tmp_path)


def _try_some(reader: Reader, folder: Path) -> None:
    @settings(max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(mutated(reader.seeds, reader.words, reader.fields))
    def never_breaks(content: bytes) -> None:
        check(reader, content, folder)

    never_breaks()


@given(st.binary(max_size=1000))
@settings(max_examples=20, derandomize=True, suppress_health_check=list(HealthCheck))
def test_nor_does_noise(readers: dict[str, Reader], tmp_path: Path, content: bytes) -> None:
    for reader in readers.values():
        check(reader, content, tmp_path)


def test_a_reader_that_takes_too_much_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(TooSlowError), at_most(0.01):
        while True:
            pass
    greedy = Reader(".txt", [b""], [b""], lambda _: bytearray(b"x") * (MEMORY + (100 << 20)))
    if Path("/proc/self/clear_refs").exists():
        with pytest.raises(AssertionError, match="MiB more"):
            check(greedy, b"", tmp_path)
