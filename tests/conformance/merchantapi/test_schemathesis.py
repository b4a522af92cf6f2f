"""Schemathesis finds nothing: every operation, all checks, right and wrong data, and sequences of
requests, made from our OpenAPI document."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conformance.merchantapi.beyond_the_schema import is_explained
from tests.kit.sandbox_process import SandboxProcess
from tests.kit.shop_front import call

SEED = 4
HOOKS = "tests.conformance.merchantapi.beyond_the_schema"


def explore(sandbox: SandboxProcess, folder: os.PathLike[str], examples: int, within: int) -> str:
    """Let it look, with so many examples of each kind for each operation; what it says. Raises
    `AssertionError` with that when it has found something."""
    card = sandbox.card["merchantapi"]
    # It revokes the keys that it finds; its own is one that it cannot revoke.
    found = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--no-color", "run", card["openapi"]),
            *("--header", f"API-Key: {card['api_key']}"),
            *("--checks", "all", "--mode", "all", "--continue-on-failure"),
            *("--max-examples", str(examples), "--seed", str(SEED)),
            *("--generation-database", "none", "--request-timeout", "30"),
            *("--suppress-health-check", "too_slow"),  # the machine is shared
        ],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert call("GET", f"{card['url']}/stores", {"API-Key": card["api_key"]}).status == 200
    assert '"level":"error"' not in sandbox.errors, sandbox.errors
    return found.stdout


def test_it_finds_nothing(sandbox: SandboxProcess, tmp_path: os.PathLike[str]) -> None:
    said = explore(sandbox, tmp_path, examples=50, within=300)
    assert "10 selected / 10 total" in said, "every operation"


@pytest.mark.long
def test_it_finds_nothing_in_a_long_search(
    sandbox: SandboxProcess, tmp_path: os.PathLike[str]
) -> None:
    explore(sandbox, tmp_path, examples=3000, within=3600)


@pytest.mark.parametrize(
    ("sent", "detail", "explained"),
    [
        ({"amount": {"value": 1.005, "currency": "EUR"}}, "amount.value: more", True),
        ({"amount": {"value": 1.0, "currency": "JPY"}}, "amount.value: more", False),
        ({"amount": {"value": 1.005, "currency": "EUR"}}, "type: odd", False),
        ({"type": "PURCHASE", "reference": {"id": "1"}}, "reference: a PURCHASE", True),
        ({"type": "REFUND", "reference": {"id": "1"}}, "reference.id: no such", True),
        ({"type": "REFUND", "reference": None}, "reference.id: no such", False),
        ({"validity": {"until": "2001-01-01T00:00:00Z"}}, "validity.until: it ends", True),
        ({"validity": {"until": "2999-01-01T00:00:00Z"}}, "validity.until: it ends", False),
        (
            {"validity": {"from": "2999-01-01T00:00:00Z", "until": "2998-01-01T00:00:00Z"}},
            "validity.until: it ends",
            True,
        ),
        ({"label": "fine"}, "label: odd", False),
    ],
)
def test_only_what_breaks_a_rule_beyond_the_schema_is_explained(
    sent: object, detail: str, explained: bool
) -> None:
    assert is_explained(json.dumps(sent).encode(), detail) is explained
