"""What a lane remembers of a request beside its transaction, in the request's exchange.

A till's message has no number, so the lane gives each one that does something a number of its own,
from a durable series. It is also where a STAN comes from when the terminal tells none.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec

from tillwire.core.model import Exchange
from tillwire.dialects.ecr17.wire import Request, Routing

DIALECT: Final = "ecr17"
"""The face's name in transactions and exchanges."""
NO_REGISTER: Final = "00000000"
"""A cash register that does not say which it is."""
_HIGHEST_STAN: Final = 999_999


class Memo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the result of a request must know of it."""

    tid: str
    """As which the terminal answers."""
    routing: Routing = Routing.TERMINAL
    card_present: bool = False
    text: str = ""
    """What the till wants printed under the receipt."""
    announced: bool = False
    """Whether the till was to send data for the host, without which nothing is sent."""
    period: int = 0
    """Of a close: the period that it was to close."""


@dataclass(slots=True)
class Job:
    """A request that was accepted, whoever waits for its result."""

    exchange: Exchange
    acknowledged: bool = False
    """Whether its till has its result."""

    @property
    def memo(self) -> Memo:
        """What was remembered with it."""
        return msgspec.json.decode(self.exchange.request, type=Memo)

    @property
    def stan(self) -> str:
        """For results of terminals that tell no STAN."""
        return lane_stan(int(self.exchange.number))


def lane_stan(number: int) -> str:
    """The STAN that a number of the lane makes: six digits, never all zeros."""
    return f"{(number - 1) % _HIGHEST_STAN + 1:06d}"


def job_of(exchange: Exchange) -> Job:
    """The same after it was read from the journal."""
    return Job(exchange, acknowledged=exchange.answered_at is not None)


def register_of(cash_register: str, host: str) -> str:
    """Who asks: the till's own id, or where it is when it sends none."""
    return host if cash_register == NO_REGISTER else cash_register


def digest_of(request: Request) -> str:
    """What makes two requests the same. It is of what was read, in which no card number is."""
    content = type(request).__name__.encode() + msgspec.json.encode(request)
    return hashlib.sha256(content).hexdigest()
