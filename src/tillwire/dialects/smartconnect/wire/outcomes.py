"""What an answer says of the money: the vendor's two words for an ending, read together.

What contradicts itself and what no table has is UNKNOWN, though the vendor's own sample takes some
of it for an outcome: no wrong word of a cloud may cost a shop a payment, or a customer two.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from tillwire.dialects.smartconnect.wire.envelope import COMPLETED, Envelope

ACCEPTED: Final = "OK-ACCEPTED"
DECLINED: Final = "OK-DECLINED"
UNAVAILABLE: Final = "OK-UNAVAILABLE"
OK_DELAYED: Final = "OK-DELAYED"
CANCELLED: Final = "CANCELLED"
FAILED: Final = "FAILED"
FAILED_INTERFACE: Final = "FAILED-INTERFACE"
OK: Final = "OK"
DELAYED: Final = "DELAYED-TRANSACTION"
READY: Final = "READY"
"""`Status` of a terminal that can be used."""


class Ending(Enum):
    """How far it is, or how it ended."""

    PENDING = "pending"
    DELAYED = "delayed"
    """The terminal is slow, or out of reach, and may be at work."""
    ACCEPTED = "accepted"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    """At the terminal."""
    OFFLINE = "offline"
    """The terminal was away or busy: it was not handed over, and nothing moved."""
    UNAVAILABLE = "unavailable"
    """The terminal does not have the service; nothing moved."""
    UNKNOWN = "unknown"


class Reading(NamedTuple):
    """What was read."""

    ending: Ending
    reason: str = ""
    """Why it is UNKNOWN, in one sentence."""


_OK_ENDINGS: Final = {ACCEPTED: Ending.ACCEPTED, DECLINED: Ending.DECLINED}
_WORDS: Final = frozenset(
    {ACCEPTED, DECLINED, UNAVAILABLE, OK_DELAYED, CANCELLED, FAILED, FAILED_INTERFACE}
)


def of_transaction(envelope: Envelope) -> Reading:
    """What an answer says of a transaction."""
    if envelope.transaction_status != COMPLETED:
        return _open(envelope)
    if envelope.data is None:
        return Reading(Ending.UNKNOWN, "It is completed, and nothing is said of how.")
    told, result = _words(envelope)
    if told in _OK_ENDINGS:
        if result == OK:
            return Reading(_OK_ENDINGS[told])
        return _unclear(told, result, "contradict each other")
    if told == CANCELLED:
        return Reading(Ending.OFFLINE if result == FAILED_INTERFACE else Ending.CANCELLED)
    if told == UNAVAILABLE:
        return Reading(Ending.UNAVAILABLE)
    return _unclear(told, result, "do not say whether money moved")


def of_function(envelope: Envelope) -> Reading:
    """What an answer says of a function that moves no money: its `Result` alone counts where it has
    no `TransactionResult`. ACCEPTED is that it ran."""
    if envelope.transaction_status != COMPLETED:
        return _open(envelope)
    told, result = _words(envelope)
    if envelope.data is not None and not told and result == OK:
        return Reading(Ending.ACCEPTED)
    return of_transaction(envelope)


def _open(envelope: Envelope) -> Reading:
    told, result = _words(envelope)
    return Reading(Ending.DELAYED if told == OK_DELAYED or result == DELAYED else Ending.PENDING)


def _words(envelope: Envelope) -> tuple[str, str]:
    data = envelope.data
    if data is None:
        return "", ""
    return data.transaction_result.strip().upper(), data.result.strip().upper()


def _unclear(told: str, result: str, what: str) -> Reading:
    shown = told if told in _WORDS else told[:40] or "nothing"
    return Reading(
        Ending.UNKNOWN,
        f"TransactionResult {shown} and Result {result[:40] or 'nothing'} {what}.",
    )
