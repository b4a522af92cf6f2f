"""What a till must read of each ending of an amount, whatever terminal is behind the face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tests.kit.shop_front import OPEN


@dataclass(frozen=True)
class Expected:
    """How a sale of 10.xx euro ends."""

    status: str
    result: str | None
    moved: int | None
    """Minor units that the cardholder was charged; None: nothing."""
    says: tuple[str, ...] = ()
    """Words on both receipts."""

    @property
    def has_receipt(self) -> bool:
        """Whether a terminal has processed it."""
        return bool(self.says)


def _approved(moved: int, *says: str) -> Expected:
    return Expected("CLEARED", "APPROVED", moved, ("APPROVED", "Auth. code", *says))


def _declined(*says: str) -> Expected:
    return Expected("CANCELLED", "DECLINED", None, ("DECLINED", *says))


def _cancelled(*says: str) -> Expected:
    return Expected("CANCELLED", None, None, says)


PURCHASES: Final = {
    0: _approved(1000, "TOTAL EUR 10.00"),
    39: _approved(1039, "TOTAL EUR 10.39"),
    40: _declined("Response 05"),
    41: _declined("Response 51", "Insufficient funds."),
    42: _declined("Response 54", "Expired card."),
    43: _cancelled("CANCELLED"),
    44: _cancelled("CANCELLED"),
    45: _declined("Response 51"),  # this API cannot ask for partial approval
    46: _approved(1046, "TOTAL EUR 10.46"),
    47: Expected(OPEN, None, 1047),
    48: _approved(1048, "TOTAL EUR 10.48"),
    49: _approved(1049, "TOTAL EUR 10.49"),
    50: _approved(1050, "Signature", "TOTAL EUR 10.50"),
    51: _approved(1051, "CURRENCY CONVERSION", "TOTAL EUR 10.51"),
    52: _cancelled(),
    53: _declined("Response 05"),
    54: _approved(1159, "Tip EUR 1.05", "TOTAL EUR 11.59"),
    55: _approved(1055, "TOTAL EUR 10.55"),
    99: _approved(1099, "TOTAL EUR 10.99"),
}
"""Last two digits of the amount -> what becomes of a purchase."""

REFUNDS: Final = {**PURCHASES, 54: _approved(1054, "TOTAL EUR 10.54")}
"""The same of a refund: nobody tips when money comes back."""

STORE: Final = ("Tillwire Corner Shop", "Prinsengracht 100", "1015 EA Amsterdam NL")


def check(told: Any, expected: Expected) -> None:  # Any: JSON as the till reads it
    """Raise `AssertionError` unless the till reads what it should."""
    assert (told["status"], told.get("result")) == (expected.status, expected.result), told
    paid = told.get("approved_amount", told["amount"])
    if expected.result == "APPROVED":
        assert paid["value"] * 100 == expected.moved, told
    else:
        assert "approved_amount" not in told
    if not expected.has_receipt:
        assert told.keys().isdisjoint({"receipt", "merchant_receipt", "brand", "result", "store"})
        return
    assert told["store"]["name"] == STORE[0]
    assert told["transaction_datetime"].endswith("Z")
    for name, copy in (("receipt", "CARDHOLDER COPY"), ("merchant_receipt", "MERCHANT COPY")):
        text = told[name]
        assert max(map(len, text.splitlines())) <= 24, f"too wide for the paper:\n{text}"
        words = " ".join(text.split())
        amount = f"{told['amount']['value']:.2f}"
        for needed in (*STORE, "Terminal", "TID", "Date", "Time", copy, *expected.says):
            assert needed in words, f"no {needed!r} in:\n{text}"
        assert expected.result == "APPROVED" or f"Amount EUR {amount}" in words
        if expected.result:
            for needed in ("Brand", "Card ************", "AID", "Entry", "STAN"):
                assert needed in words, f"no {needed!r} in:\n{text}"
            assert told["system_trace_audit_number"] in words
