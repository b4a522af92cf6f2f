"""`tillwire transactions decide` beside a gateway that runs: a sandbox in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.sandbox_process import SandboxProcess, start_sandbox
from tests.kit.shop_front import Till
from tests.unit.cli.conftest import Run

WHO = ("--person", "Ada", "--reason", "seen on the bank's list")
TERMINAL = "TILLWIRE-V1-0001"
NEVER_KNOWN = 1047
PATIENCE = 30.0


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    running = start_sandbox(tmp_path / "sandbox")
    yield running
    running.stop()


def unknown(run: Run, sandbox: SandboxProcess) -> dict[str, Any]:
    """A sale whose outcome no machine can tell."""
    Till(sandbox.card, TERMINAL).start("never known", NEVER_KNOWN)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        listed = run("transactions", "list", "--data", sandbox.directory, "--json").document
        if (found := listed[0])["state"] == "UNKNOWN":
            return dict(found)
    raise AssertionError("It is known what became of it.")


def test_a_person_decides_while_the_gateway_runs(run: Run, sandbox: SandboxProcess) -> None:
    here = ("--data", sandbox.directory)
    sale = unknown(run, sandbox)
    blocked = run("transactions", "blocked", *here, "--json").document
    assert [each["transaction"]["id"] for each in blocked] == [sale["id"]]
    ran = run("transactions", "decide", sale["id"], "approved", *WHO, *here)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == f"Transaction {sale['id']} is APPROVED now, as Ada decided.\n"
    assert run("transactions", "blocked", *here, "--json").document == []
    assert run("pay", "10.00", "--card", sandbox.directory / "card.json").status == 0
    again = run("transactions", "decide", sale["id"], "declined", *WHO, *here)
    assert again.status == 1
    assert "is APPROVED, not UNKNOWN" in again.err
