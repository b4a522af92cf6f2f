"""A sale of EUR 12.50 at a corner shop, for tests of what is printed."""

from __future__ import annotations

from datetime import UTC, datetime

from tillwire.clock import instant
from tillwire.core.model import (
    EntryMode,
    Heading,
    Outcome,
    State,
    Transaction,
    TransactionType,
    Verdict,
    Verification,
)
from tillwire.money import Money

AT = instant(datetime(2025, 11, 21, 13, 5, 9, tzinfo=UTC))

HEADING = Heading(
    store_id="3fa85f64-5717-4562-b3fc-2c963f66afa6",
    store="Corner Shop",
    address="Damrak 1",
    zip_code="1012 LG",
    city="Amsterdam",
    country="NL",
    time_zone="Europe/Amsterdam",
    terminal="TILLWIRE-V1-t1",
    tid="30350004",
)

APPROVED = Outcome(
    Verdict.APPROVED,
    approved_amount=1250,
    at=AT,
    response_code="00",
    authorisation_code="012345",
    stan="000042",
    brand="V_PAY",
    card_last4="2283",
    application_id="A0000000032020",
    entry_mode=EntryMode.CONTACTLESS,
    verification=Verification.NONE,
    acquirer_reference="998877",
)


def sale(outcome: Outcome | None = APPROVED, *, state: State = State.APPROVED) -> Transaction:
    """The sale with this outcome."""
    return Transaction(
        id="1763730309123000000000000000001",
        version=4,
        organisation_id="shop",
        terminal_id="t1",
        dialect="merchantapi",
        type=TransactionType.PURCHASE,
        state=state,
        amount=Money(1250, "EUR"),
        reference="sale-1",
        heading=HEADING,
        created_at=AT,
        outcome=outcome,
    )
