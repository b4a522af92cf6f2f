"""A sandbox, and the backend of its SoftPOS application, which nobody here wrote the JOSE of."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import npm_packages
from tests.conformance.softpos.backend import Backend
from tests.kit.sandbox_process import SandboxProcess, running_sandbox

PACE = 50.0
JOSE = Path(__file__).parent / "jose"


@pytest.fixture(scope="session")
def jose_modules() -> Path:
    """Where the library `jose` is installed."""
    try:
        return npm_packages.node_modules(JOSE, "softpos-jose")
    except npm_packages.NotInstalledError as error:
        pytest.skip(f"npm could not install jose: {error}")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A running sandbox, with its card."""
    with running_sandbox(tmp_path_factory.mktemp("softpos") / "sandbox", pace=PACE) as running:
        yield running


@pytest.fixture(scope="module")
def backend(sandbox: SandboxProcess) -> Backend:
    """The backend of the card."""
    return Backend(sandbox.card["softpos"])


@pytest.fixture
def reference() -> str:
    """A reference that no other sale has."""
    return f"T-{uuid.uuid4().hex[:12]}"
