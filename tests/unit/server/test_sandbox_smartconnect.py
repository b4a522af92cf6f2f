"""The sandbox's SmartConnect: the codes of its card pair once, and live until they do."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.kit.sandbox_process import running_sandbox

WHO = {"POSBusinessName": "Harbour Books", "POSVendorName": "TillCo"}


def form(method: str, url: str, **fields: str) -> tuple[int, Any]:
    """Status and answer."""
    body = urllib.parse.urlencode({**WHO, **fields}).encode()
    request = urllib.request.Request(url, body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_each_code_of_the_card_pairs_with_a_terminal_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "sandbox"
    with running_sandbox(folder) as sandbox:
        cloud = sandbox.card["smartconnect"]
        assert cloud["url"] == sandbox.card["base_url"] + "/smartconnect/POS"
        codes: list[str] = cloud["pairing_codes"]
        assert len(set(codes)) == 6
        assert all(len(code) == 8 and code.isdecimal() for code in codes)
        for number, code in enumerate(codes[:2]):
            told = form(
                "PUT",
                f"{cloud['url']}/Pairing/{code}",
                POSRegisterID=f"till-{number}",
                POSRegisterName="Till",
            )
            assert told == (200, {"result": "success"})
            status, envelope = form(
                "POST",
                f"{cloud['url']}/Transaction",
                POSRegisterID=f"till-{number}",
                TransactionType="Card.Purchase",
                AmountTotal=f"{1200 + number}",
            )
            assert (status, envelope["transactionStatus"]) == (200, "COMPLETED")
        with urllib.request.urlopen(sandbox.card["virtual"]["ledger"], timeout=20) as answer:
            ledger = json.loads(answer.read())
        assert [(each["terminal"], each["amount"]) for each in ledger] == [
            ("TILLWIRE-V1-0011", 1200),
            ("TILLWIRE-V1-0012", 1201),
        ]
    with running_sandbox(folder) as sandbox:
        later = sandbox.card["smartconnect"]["pairing_codes"]
    assert later[2:] == codes[2:]
    assert not set(later[:2]) & set(codes)
