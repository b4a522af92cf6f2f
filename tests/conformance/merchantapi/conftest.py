"""One sandbox for each module, with hurried cardholders."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.sandbox_process import SandboxProcess, running_sandbox

PACE = 1000.0


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A running sandbox, with its card."""
    with running_sandbox(tmp_path_factory.mktemp("merchantapi") / "sandbox", pace=PACE) as running:
        yield running
