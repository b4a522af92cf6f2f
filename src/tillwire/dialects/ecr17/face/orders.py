"""What the engine is asked for: a till's request on a lane, as a request of the core.

A follow-up finds its original here: a reversal the terminal's last transaction by its STAN, an
increase or a capture its pre-authorisation by the code that the merchant's tills know.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from tillwire.core.engine import Engine
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Exchange, State, Transaction, TransactionType
from tillwire.dialects.ecr17.face.memos import DIALECT, Job, job_of
from tillwire.dialects.ecr17.face.results import stan_of
from tillwire.dialects.ecr17.wire import (
    NO_STAN,
    CaptureRequest,
    ExtendedPaymentRequest,
    IncrementRequest,
    PaymentRequest,
    PreauthorisationRequest,
    RefundRequest,
    ReversalRequest,
)
from tillwire.errors import TillwireError
from tillwire.money import Money

LOOKED_AT: Final = 50
"""Transactions of the terminal, newest first, among which the lane's last one is looked for."""

Order: TypeAlias = (
    PaymentRequest
    | ExtendedPaymentRequest
    | PreauthorisationRequest
    | IncrementRequest
    | CaptureRequest
    | ReversalRequest
    | RefundRequest
)
"""What moves money, or reserves it."""
KIND_OF: Final[dict[type[Any], str]] = {
    PaymentRequest: "P",
    ExtendedPaymentRequest: "X",
    PreauthorisationRequest: "p",
    IncrementRequest: "i",
    CaptureRequest: "c",
    ReversalRequest: "S",
    RefundRequest: "A",
}
TYPE_OF: Final = {
    "P": TransactionType.PURCHASE,
    "X": TransactionType.PURCHASE,
    "p": TransactionType.PREAUTH,
    "i": TransactionType.INCREMENT,
    "c": TransactionType.CAPTURE,
    "S": TransactionType.REVERSAL,
    "A": TransactionType.REFUND,
}
CLOSING: Final = "C"
KINDS: Final = (*TYPE_OF, CLOSING)
"""What is done once, by its message code."""

_REVERSIBLE: Final = frozenset(
    {TransactionType.PURCHASE, TransactionType.PREAUTH, TransactionType.CAPTURE}
)
NOTHING_TO_REVERSE: Final = "NESSUNA OPERAZIONE"
WRONG_STAN: Final = "STAN NON VALIDO"
NOT_REVERSIBLE: Final = "STORNO NON POSSIBILE"
WRONG_CODE: Final = "CODICE NON VALIDO"
NOT_ALLOWED: Final = "IMPORTO NON CONSENTITO"


class Refused(TillwireError):
    """The request was understood and is answered with a KO: nothing was begun."""


class Wanted:
    """The part of the engine's request that differs from command to command."""

    __slots__ = ("amount", "code", "original_id", "reserved")

    def __init__(
        self,
        amount: Money,
        original_id: str | None = None,
        code: str = "",
        reserved: int | None = None,
    ) -> None:
        self.amount = amount
        self.original_id = original_id
        self.code = code
        """The pre-authorisation's."""
        self.reserved = reserved
        """`Request.reserved`."""


async def wanted(engine: Engine, terminal: Terminal, order: Order) -> Wanted:
    """What the order asks for. Raises `Refused`, `JournalError`."""
    if isinstance(order, ReversalRequest):
        original = await _to_reverse(engine, terminal, order.stan)
        amount = Money(original.approved_amount, original.amount.currency)
        # `S` undoes all of it, so nothing may have been raised since, at whatever terminal.
        is_reservation = original.type is TransactionType.PREAUTH
        return Wanted(amount, original.id, reserved=amount.minor if is_reservation else None)
    amount = Money(order.amount, engine.estate.stores[terminal.store_id].currency)
    if isinstance(order, PreauthorisationRequest):
        number = await engine.number(f"ecr17 pre-authorisations {terminal.organisation_id}")
        return Wanted(amount, code=f"{number % 1_000_000_000:09d}")
    if isinstance(order, IncrementRequest | CaptureRequest):
        found = await _preauthorisation(engine, terminal, order.preauthorisation_code)
        return Wanted(amount, found.transaction_id, order.preauthorisation_code)
    return Wanted(amount)


async def _preauthorisation(engine: Engine, terminal: Terminal, code: str) -> Exchange:
    """The merchant's request that got this code. It is valid from each of his terminals."""
    estate = engine.estate

    def merchant_of(terminal_id: str) -> str:
        return estate.stores[estate.terminals[terminal_id].store_id].merchant_id

    for each in await engine.exchange_by_chain(terminal.organisation_id, code):
        is_code = (each.dialect, each.kind) == (DIALECT, "p")
        if is_code and merchant_of(each.terminal_id) == merchant_of(terminal.id):
            return each
    raise Refused(WRONG_CODE)


async def _to_reverse(engine: Engine, terminal: Terminal, stan: str) -> Transaction:
    """The terminal's last transaction, if it can be reversed. Without a STAN nothing may have been
    tried since; with one, it must be that of the last one that was approved."""
    tried = [each for each in await lately(engine, terminal) if each.is_final]
    approved = [each for each in tried if each.state is State.APPROVED]
    if not approved:
        raise Refused(NOTHING_TO_REVERSE)
    last = approved[0]
    if stan == NO_STAN:
        if last is not tried[0]:
            raise Refused(NOTHING_TO_REVERSE)
    else:
        exchange = await engine.exchange_of(last.id)
        if exchange is None or stan != stan_of(job_of(exchange), last):
            raise Refused(WRONG_STAN)
    if last.type not in _REVERSIBLE or last.reversed_at is not None:
        raise Refused(NOT_REVERSIBLE)
    if await engine.period_of(last) != await engine.open_period(terminal.id):
        raise Refused(NOT_REVERSIBLE)
    return last


async def lately(engine: Engine, terminal: Terminal) -> list[Transaction]:
    """The lane's last transactions, newest first."""
    found = await engine.newest_at(terminal.id, LOOKED_AT)
    return [each for each in found if each.dialect == DIALECT]


async def job_for(engine: Engine, transaction: Transaction) -> Job | None:
    """What asked for the transaction."""
    exchange = await engine.exchange_of(transaction.id)
    return None if exchange is None else job_of(exchange)
