"""One sandbox for each module, with hurried cardholders; and a disk for those who need none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.machine import memory_disk
from tests.kit.sandbox_process import SandboxProcess, running_sandbox

PACE = 100.0
"""20 s of a slow cardholder become 0.2 s."""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A running sandbox, with its card."""
    with running_sandbox(tmp_path_factory.mktemp("matrix") / "sandbox", pace=PACE) as running:
        yield running


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder that is not there yet, in memory where the system has such."""
    with memory_disk() as folder:
        yield Path(folder) / "machine"
