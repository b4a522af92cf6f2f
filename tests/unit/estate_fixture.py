"""A small estate for tests of the core: two organisations, a shop each, a few terminals."""

from __future__ import annotations

from tillwire.core.estate_model import (
    Lifecycle,
    Merchant,
    Organisation,
    Store,
    Terminal,
)
from tillwire.core.model import Exchange, Request, Terms, TransactionType
from tillwire.core.ports import Unit
from tillwire.money import Money


def found_shop(unit: Unit, *, terminals: int = 3, driver: str = "virtual") -> None:
    """Put the organisations `shop` and `other` with terminals `t1` ... and `x1` into the unit."""
    for organisation, prefix, count in (("shop", "t", terminals), ("other", "x", 1)):
        unit.put(Organisation(organisation, organisation.title()))
        unit.put(Merchant(f"{organisation}-m", organisation, "Merchant"))
        unit.put(
            Store(
                id=f"{organisation}-s",
                merchant_id=f"{organisation}-m",
                name="Corner Shop",
                address="Damrak 1",
                city="Amsterdam",
                zip_code="1012 LG",
                country="NL",
                time_zone="Europe/Amsterdam",
                currency="EUR",
            )
        )
        for number in range(1, count + 1):
            unit.put(
                Terminal(
                    id=f"{prefix}{number}",
                    organisation_id=organisation,
                    store_id=f"{organisation}-s",
                    manufacturer="TILLWIRE",
                    model="V1",
                    serial=f"{prefix}{number}",
                    tid="",
                    driver=driver,
                    settings={},
                    lifecycle=Lifecycle.ACTIVATED,
                )
            )


def purchase(
    minor: int = 1250,
    *,
    terminal: str = "t1",
    type: TransactionType = TransactionType.PURCHASE,  # noqa: A002 - it is the field's name
    original: str | None = None,
    currency: str = "EUR",
    reference: str = "sale-1",
    dialect: str = "merchantapi",
    waits: bool = True,
    partial_allowed: bool = False,
    expires_in: float | None = None,
    idempotency_key: str = "",
    organisation: str = "shop",
    register: str = "",
    terms: Terms | None = None,
    exchange: Exchange | None = None,
) -> Request:
    """A till's request with whatever is special about it."""
    return Request(
        organisation_id=organisation,
        terminal_id=terminal,
        dialect=dialect,
        type=type,
        amount=Money(minor, currency),
        reference=reference,
        original_id=original,
        waits=waits,
        partial_allowed=partial_allowed,
        expires_in=expires_in,
        idempotency_key=idempotency_key,
        register=register,
        terms=terms or Terms(),
        exchange=exchange,
    )
