"""Shapes and types in signatures are checked while the tests run, and what they share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

import tests.shapes  # noqa: F401 - the hook finds it by name

WITH_SHAPES = (
    *(f"core.{name}" for name in ("balance", "counts", "csr", "data", "duplicates", "hashing", "plan", "sorting", "strings", "uids")),
    *(
        "evaluation.metrics",
        "evaluation.retrieval",
        "experiment.results",
        "experiment.statistics",
        "export",
        "lists.ngrams",
        "lists.segment",
        "match",
        "readers.crawl.columns",
        "readers.crawl.gather",
        "readers.crawl.written",
        "readers.language_model",
        "steps.languages",
        "train.epoch",
        "train.index",
        "train.tars",
    ),
)
install_import_hook([f"tallyclip.{module}" for module in WITH_SHAPES], "tests.shapes.checked")

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

REAL_DATA = Path(os.environ.get("TALLYCLIP_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Packed bytes may hold the time, and workers that collect tests at different times must collect the same names."""
    return f"{len(val)} bytes" if isinstance(val, bytes) and not val.isascii() else None


@pytest.fixture(scope="session", autouse=True)
def one_version_of_each_compiled_function() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """After all that the tests call."""
    yield
    from tests.compiled_versions import complaints  # imports tallyclip, which the hook must have seen

    assert complaints() == []


@pytest.fixture
def without_shape_checks() -> Iterator[None]:
    """For tests of what our own checks say of arguments of the wrong type."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data, which only some machines have."""
    if not REAL_DATA.exists():
        pytest.skip("no real data on this machine (TALLYCLIP_TEST_DATA says where)")
    return REAL_DATA
