"""A sandbox with hurried cardholders, and an application on the SDK that its vendor wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.paymentbridge import sdk_environment
from tests.conformance.paymentbridge.application import Application
from tests.conformance.paymentbridge.listening import Listener, listening
from tests.kit.sandbox_process import SandboxProcess, running_sandbox

PACE = 50.0


@pytest.fixture(scope="session")
def sdk_python() -> Path:
    """The interpreter that has the SDK."""
    try:
        return sdk_environment.python()
    except sdk_environment.NotInstalledError as error:
        pytest.skip(f"uv could not install the SDK: {error}")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A running sandbox, with its card."""
    with running_sandbox(tmp_path_factory.mktemp("bridge") / "sandbox", pace=PACE) as running:
        yield running


@pytest.fixture(scope="module")
def application(sdk_python: Path, sandbox: SandboxProcess) -> Iterator[Application]:
    """The application of the sandbox' card."""
    running = Application(sdk_python, sandbox.card)
    yield running
    running.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """The application's own server."""
    with listening() as server:
        yield server
