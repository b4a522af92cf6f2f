"""A transaction with every field set to something that is not its default."""

from __future__ import annotations

from tillwire.clock import Instant
from tillwire.core.model import (
    Callback,
    Cause,
    Conversion,
    EntryMode,
    Evidence,
    Heading,
    Outcome,
    Receipts,
    State,
    Terms,
    Transaction,
    TransactionType,
    Verdict,
    Verification,
)
from tillwire.errors import Proof
from tillwire.money import Money


def full_transaction() -> Transaction:
    """Nonsense as a payment, complete as a row."""
    return Transaction(
        id="1700000000000123456789012345678",
        version=1,
        organisation_id="shop",
        terminal_id="t1",
        dialect="merchantapi",
        type=TransactionType.REFUND,
        state=State.APPROVED,
        amount=Money(1250, "EUR"),
        reference="sale-ü-1",
        heading=Heading(
            "s", "Shöp", "Damrak 1", "1012 LG", "Amsterdam", "NL", "Europe/Amsterdam", "T", "1"
        ),
        created_at=Instant(1),
        original_id="1700000000000000000000000000000",
        partial_allowed=True,
        register="till-4",
        terms=Terms(
            cash_back=100,
            tip=50,
            operator="Ann",
            shift="2",
            totals_group="G",
            chain="C",
            card="token",
            valid_until="2027-01-31",
            language="nl",
            collapse_key="key",
        ),
        waits=True,
        expires_at=Instant(2),
        token=3,
        sent_at=Instant(4),
        send_by=Instant(5),
        deadline=Instant(6),
        started_at=Instant(7),
        peer={"boot": "8"},
        outcome=Outcome(
            Verdict.APPROVED,
            evidence=Evidence.RECOVERED,
            approved_amount=1375,
            tip=125,
            at=Instant(9),
            reason="why",
            response_code="00",
            authorisation_code="A1B2C3",
            stan="000155",
            brand="VISA",
            card_last4="1234",
            card_bin="411111",
            application_id="A0000000031010",
            entry_mode=EntryMode.CONTACTLESS,
            verification=Verification.PIN,
            acquirer_reference="acq",
            conversion=Conversion(Money(1500, "USD"), "1.0909", "3.5"),
            receipts=Receipts("cardholder\n", "merchant\n"),
            cause=Cause.TILL,
            handle={"POITransactionID": "8"},
        ),
        proof=Proof.NEVER_SENT,
        ended_at=Instant(10),
        cleared_at=Instant(11),
        reversed_at=Instant(12),
        callback=Callback("face", "sealed", {"referenceId": "r"}),
        received_at=Instant(13),
    )
