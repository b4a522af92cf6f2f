"""What the other tests here rely on: the library is the pinned one, and misfits are found."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.nexo.npm_library import NODE, TILL

HEADER = {
    "MessageClass": "Service",
    "MessageCategory": "Payment",
    "MessageType": "Response",
    "ServiceID": "s1",
    "SaleID": "LANE-1",
    "POIID": "V1-0003",
}
FAULTS = "console.log(JSON.stringify(require('./models.cjs').faultsOf(%s, 'TerminalApiResponse')))"


def test_the_client_is_pinned_by_version_and_hash_and_by_no_address() -> None:
    wanted = json.loads((TILL / "package.json").read_text())["dependencies"]
    lock = json.loads((TILL / "package-lock.json").read_text())
    packages = lock["packages"]
    assert packages.pop("")["dependencies"] == wanted
    assert {f"node_modules/{name}" for name in wanted} <= packages.keys()
    assert all(each["version"] and each["integrity"] for each in packages.values())
    assert not any("resolved" in each for each in packages.values())


def faults_of(library: Path, message: dict[str, Any]) -> list[str]:
    """What models.cjs finds."""
    done = subprocess.run(
        [NODE, "-e", FAULTS % json.dumps(message)],
        cwd=TILL,
        env={"NODE_PATH": str(library)},
        capture_output=True,
        timeout=60,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("response", "fault"),
    [
        ({"Response": {"Result": "Success"}}, "SaleData: missing"),
        ({"Response": {"Result": "Sucess"}, "SaleData": 1}, "Response.Result: not one of"),
        ({"Response": {"ErrorCondition": "Busy"}}, "Response.Result: missing"),
        ({"Response": {"Result": "Failure", "Reason": "?"}}, "Response.Reason: unknown"),
        ({"Response": ["Failure"]}, "Response: not an object"),
        ({"PaymentReceipt": {"DocumentQualifier": "Document"}}, "PaymentReceipt: not an array"),
        (
            {"PaymentResult": {"AmountsResp": {"AuthorizedAmount": "1.50"}}},
            "AmountsResp.AuthorizedAmount: not a number",
        ),
        (
            {"PaymentReceipt": [{"IntegratedPrintFlag": "true"}]},
            "PaymentReceipt[0].IntegratedPrintFlag: not a boolean",
        ),
    ],
)
def test_what_does_not_fit_the_models_is_found(
    library: Path, response: dict[str, Any], fault: str
) -> None:
    found = faults_of(
        library, {"SaleToPOIResponse": {"MessageHeader": HEADER, "PaymentResponse": response}}
    )
    assert any(fault in each for each in found), found


def test_what_fits_has_no_faults(library: Path) -> None:
    named = {"TransactionID": "1", "TimeStamp": "2026-11-20T08:12:41Z"}
    response = {
        "Response": {"Result": "Partial", "AdditionalResponse": "half of it"},
        "SaleData": {"SaleTransactionID": named},
        "POIData": {"POITransactionID": named},
        "PaymentResult": {"AmountsResp": {"AuthorizedAmount": 1.5, "Currency": "EUR"}},
    }
    message = {"SaleToPOIResponse": {"MessageHeader": HEADER, "PaymentResponse": response}}
    assert faults_of(library, message) == []
