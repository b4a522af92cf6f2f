"""A sandbox with hurried cardholders, and tills on a library that nobody here wrote."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.nexo.adyen_till import AdyenTill, Program
from tests.conformance.nexo.npm_library import NotInstalledError, node_modules
from tests.kit.sandbox_process import SandboxProcess, running_sandbox

PACE = 50.0


@pytest.fixture(scope="session")
def library() -> Path:
    """Where Adyen's library is installed."""
    try:
        return node_modules()
    except NotInstalledError as error:
        pytest.skip(f"npm could not install the client: {error}")


@pytest.fixture(scope="module")
def sandbox(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SandboxProcess]:
    """A running sandbox, with its card; at another pace for a test that names one (`indirect`)."""
    pace = getattr(request, "param", PACE)
    with running_sandbox(tmp_path_factory.mktemp("nexo") / "sandbox", pace=pace) as running:
        yield running


@pytest.fixture(scope="module")
def program(
    library: Path, sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """The Node program, for this sandbox."""
    running = Program(sandbox.card, library, tmp_path_factory.mktemp("node"))
    yield running
    running.close()


@pytest.fixture(params=["clear", "encrypted"])
def till(request: pytest.FixtureRequest, program: Program, sandbox: SandboxProcess) -> AdyenTill:
    """A till at the card's terminal, once in clear and once encrypted."""
    return AdyenTill(program, request.param, sandbox.card["nexo"]["poi_id"])


@pytest.fixture
def reference() -> str:
    """A reference that no other sale has."""
    return f"T-{uuid.uuid4().hex[:12]}"
