"""The small model, written once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tallyclip as tc


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run beside each other."""
    import torch  # where it is missing, the modules of tests say so

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model's configuration, and its checkpoint."""
    from tallyclip.train.weights import import_open_clip
    from tests.evaluation import made

    return made.write_model(import_open_clip(), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def evaluate(tiny: tuple[Path, Path]) -> Callable[..., Any]:
    """Evaluate the small model on a set."""

    def of(data: Path | str, **options: Any) -> Any:
        given: dict[str, Any] = {"model": tiny[0], "pretrained": tiny[1], "batch_size": 50, "workers": 2, "device": "cpu"}
        return tc.evaluate(data, **given | options)

    return of
