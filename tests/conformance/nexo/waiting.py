"""Answers that do not come at once: a payment that waits for its card for as long as a test likes,
and how a till finds out what became of one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from tests.conformance.nexo.adyen_till import ANSWERS_WITHIN, AdyenTill, Answer, Json
from tests.kit import shop_front
from tests.kit.sandbox_process import Card

AMOUNT: Final = "25.00"
IN_PROGRESS: Final = ("Failure", "InProgress")
NOT_FOUND: Final = ("Failure", "NotFound")
SETTLES_WITHIN: Final = 60.0
"""Seconds in which a till finds out what became of a payment."""
_STARTS_WITHIN: Final = 30.0
_PAUSE: Final = 0.05


@dataclass(frozen=True)
class Waiting:
    """The payment."""

    till: AdyenTill
    number: str
    reference: str
    answer: Future[Answer]

    def end(self) -> Answer:
        """Its answer."""
        return self.answer.result(ANSWERS_WITHIN)


@contextlib.contextmanager
def waiting_payment(till: AdyenTill, card: Card, reference: str) -> Iterator[Waiting]:
    """A payment that is under way until it is aborted, at the latest when the block ends."""
    script(card, till.poi_id, verdict="CANCELLED", seconds=3600)
    number = till.number()
    answer = till.begin("pay", number=number, amount=float(AMOUNT), reference=reference)
    waiting = Waiting(till, number, reference, answer)
    try:
        until_busy(till, answer)
        yield waiting
    finally:
        if not answer.done():
            till.ask("abort", aborted=number)
            waiting.end()


def until_busy(till: AdyenTill, answer: Future[Answer]) -> None:
    """Wait until the terminal is at work on what this will be the answer to."""
    end = time.monotonic() + _STARTS_WITHIN
    while till.ask("diagnosis").body["POIStatus"]["GlobalStatus"] != "Busy":
        assert not answer.done(), answer.result()
        assert time.monotonic() < end, "it does not begin"
        time.sleep(_PAUSE)


def until_known(till: AdyenTill, number: str) -> None:
    """Wait until the terminal knows of the till's payment, whatever becomes of it."""
    end = time.monotonic() + _STARTS_WITHIN
    while till.ask("status", wanted=number).result == NOT_FOUND:
        assert time.monotonic() < end, "it does not arrive"
        time.sleep(_PAUSE)


def settled(till: AdyenTill, wanted: str) -> Answer:
    """Ask what became of a payment until the answer is definite."""
    end = time.monotonic() + SETTLES_WITHIN
    while True:
        status = till.ask("status", wanted=wanted)
        if status.result != IN_PROGRESS or time.monotonic() > end:
            return status
        time.sleep(_PAUSE)


def repeated(status: Answer) -> Json:
    """Header and body of the response that a status response repeats."""
    return status.body["RepeatedMessageResponse"]


def script(card: Card, poi_id: str, **says: object) -> None:
    """What the virtual terminal does with its next transaction, whatever the amount."""
    shop_front.script(card, f"TILLWIRE-{poi_id}", **says)
