"""Tests of training compute in one thread: sums of floats depend on how many there are, and processes that are compared have one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    import torch  # where it is missing, the modules of tests say so

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
