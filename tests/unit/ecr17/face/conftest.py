"""A disk for every machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.machine import memory_disk


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder that is not there yet, in memory where the system has such."""
    with memory_disk() as folder:
        yield Path(folder) / "machine"
