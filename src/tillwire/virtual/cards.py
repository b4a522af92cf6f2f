"""The test cards in the virtual cardholders' pockets, and how they are read.

Which card pays is a matter of the transaction's id alone, so that a replay shows the same one,
unless it was read before, or belongs to the transaction that this one follows. A card is known by
its brand, BIN and last four digits; there is no whole number anywhere (law 7).
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from tillwire.core.model import EntryMode, Verification
from tillwire.money import Money

CONTACTLESS_LIMIT: Final = 5000
"""Up to this many minor units a card is tapped without a PIN; above, it is inserted."""


class Card(msgspec.Struct, frozen=True):
    """A test card."""

    brand: str
    application_id: str
    """EMV AID, hexadecimal."""
    bin: str
    last4: str
    """No two cards have the same."""
    balance: Money
    """What its issuer says of it, whatever was paid with it."""


CARDS: Final = (
    Card("VISA", "A0000000031010", "476173", "0119", Money(123_456, "EUR")),
    Card("MASTERCARD", "A0000000041010", "541333", "4111", Money(250_000, "EUR")),
    Card("MAESTRO", "A0000000043060", "679999", "0019", Money(8_790, "EUR")),
    Card("V_PAY", "A0000000032020", "482571", "2283", Money(41_205, "EUR")),
    Card("AMEX", "A000000025010801", "374245", "1006", Money(500_000, "EUR")),
)
_BY_LAST4: Final = {card.last4: card for card in CARDS}


def card_for(chance: str) -> Card:
    """The card that pays the transaction of this id, or is presented for a reading of this name."""
    return CARDS[zlib.crc32(chance.encode()) % len(CARDS)]


def card_ending_in(last4: str) -> Card | None:
    """The card with these last four digits."""
    return _BY_LAST4.get(last4)


def authorisation_code(transaction_id: str) -> str:
    """Six digits that the issuer gives to an approval."""
    return f"{zlib.crc32(b'authorisation' + transaction_id.encode()) % 1_000_000:06d}"


def reading(minor: int, *, signature: bool = False) -> tuple[EntryMode, Verification]:
    """How the card is read and its holder verified, for an amount in minor units."""
    if signature:
        return EntryMode.CHIP, Verification.SIGNATURE
    if abs(minor) <= CONTACTLESS_LIMIT:
        return EntryMode.CONTACTLESS, Verification.NONE
    return EntryMode.CHIP, Verification.PIN
