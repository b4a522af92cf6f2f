"""Sales on the terminals whose TIDs the backend asks about, by the till's own face."""

from __future__ import annotations

import json
import urllib.request
from typing import Any, Final

from tests.kit.sandbox_process import Card

ANSWERS_WITHIN: Final = 30.0
TERMINALS: Final = {"30350006": "TILLWIRE-V1-0006", "30350007": "TILLWIRE-V1-0007"}


def sell(card: Card, tid: str, reference: str, cents: int) -> str:
    """Start a sale; its id."""
    sale = {
        "type": "PURCHASE",
        "merchant_order_reference": reference,
        "amount": {"value": cents / 100, "currency": "EUR"},
    }
    answer = _call(card, "POST", f"/terminals/{TERMINALS[tid]}/transactions", sale)
    return str(answer["id"])


def call_off(card: Card, tid: str, sale: str) -> None:
    """Take it back, before its card is presented."""
    _call(card, "DELETE", f"/terminals/{TERMINALS[tid]}/transactions/{sale}")


def _call(card: Card, method: str, path: str, body: Any = None) -> Any:
    member = card["merchantapi"]
    request = urllib.request.Request(
        member["url"] + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"API-Key": member["api_key"], "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=ANSWERS_WITHIN) as response:
        content = response.read()
        return json.loads(content) if content else None
