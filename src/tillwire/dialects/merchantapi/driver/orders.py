"""What is asked of the system for a transaction, and under which name. Pure functions."""

from __future__ import annotations

import re
import string
from typing import Final

from tillwire.core.model import Transaction, TransactionType
from tillwire.dialects.merchantapi import wire
from tillwire.errors import NotDelivered

TYPES: Final = frozenset({TransactionType.PURCHASE, TransactionType.REFUND})
"""What source 004 can start."""
REFERENCE: Final = "merchant_order_reference"
"""In `Transaction.peer`, from before the request leaves: its name there."""
LIST: Final = "list"
"""In `Transaction.peer`, from then on, too: the address of the list in which it must be."""
TAKEN: Final = "taken"
"""In `Transaction.peer`: what the system calls something that it has taken, and which is not as it
was sent."""
PEER_ID: Final = "id"
"""In `Transaction.peer` and in `Outcome.handle`: what the system calls it."""

_LETTERS: Final = string.ascii_lowercase
_LENGTH: Final = 22
"""Letters that 31 digits need; the longest reference in source 004 has as many characters."""
_DIGITS: Final = 31
_NAME: Final = re.compile(rf"[a-z]{{{_LENGTH}}}")


def reference_of(transaction_id: str) -> str:
    """The name of a transaction there: unique, and of letters alone, so that it cannot pass for a
    card number, whoever looks."""
    left, letters = int(transaction_id), ""
    for _ in range(_LENGTH):
        left, place = divmod(left, len(_LETTERS))
        letters = _LETTERS[place] + letters
    assert left == 0, f"not a transaction's id: {transaction_id!r}"
    return letters


def transaction_of(reference: str) -> str:
    """Our id of the transaction that has this name there; empty if it is none of ours."""
    if not _NAME.fullmatch(reference):
        return ""
    number = 0
    for letter in reference:
        number = number * len(_LETTERS) + _LETTERS.index(letter)
    digits = f"{number:0{_DIGITS}d}"
    return digits if len(digits) == _DIGITS else ""


def request_of(transaction: Transaction, original: Transaction | None) -> wire.TransactionRequest:
    """What is asked. Raises `NotDelivered` for what the MerchantAPI cannot express."""
    if transaction.type not in TYPES:
        raise NotDelivered(f"The MerchantAPI has no {transaction.type}.")
    if transaction.terms.cash_back:
        raise NotDelivered("The MerchantAPI pays out no cash.")
    return wire.TransactionRequest(
        type=wire.TransactionType(transaction.type),
        merchant_order_reference=reference_of(transaction.id),
        amount=wire.Amount.of(transaction.amount),
        reference=None if transaction.original_id is None else _original(original),
    )


def _original(original: Transaction | None) -> wire.Reference:
    known = ""
    if original is not None:
        handle = original.outcome.handle if original.outcome is not None else {}
        known = handle.get(PEER_ID, "") or original.peer.get(PEER_ID, "")
    if not known or original is None or REFERENCE not in original.peer:
        raise NotDelivered("Its original was not paid through a MerchantAPI system.")
    return wire.Reference(known)
