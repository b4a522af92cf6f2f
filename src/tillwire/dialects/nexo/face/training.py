"""Training: a session in which all is make-believe.

The face itself answers, with an approval whose receipts say TRAINING. Nothing becomes a
transaction, reaches a terminal or counts in any total. What was approved in training has an id of
its own kind, so that training payments can be refunded, reversed and completed in training, and
nowhere else.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tillwire.core.model import (
    Exchange,
    Outcome,
    State,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.dialects.nexo.face import orders, wanted
from tillwire.dialects.nexo.face.answers import payment_response, reversal_response
from tillwire.dialects.nexo.face.context import DIALECT, Refused, Visit
from tillwire.dialects.nexo.face.memory import answer_of, text_of
from tillwire.dialects.nexo.face.memos import memo_in
from tillwire.dialects.nexo.face.wanted import Wanted
from tillwire.dialects.nexo.wire import Body
from tillwire.dialects.nexo.wire.services import PaymentResponse, ReversalRequest
from tillwire.dialects.nexo.wire.values import ErrorCondition, PaymentType, Result
from tillwire.money import Money, from_decimal

PREFIX: Final = "TR"
"""Of the ids of what was approved in training."""
TITLE: Final = "*** TRAINING ***\nNO MONEY MOVES"

_T = TransactionType
_TYPES: Final = {
    PaymentType.NORMAL: _T.PURCHASE,
    PaymentType.REFUND: _T.REFUND,
    PaymentType.ONE_TIME_RESERVATION: _T.PREAUTH,
    PaymentType.FIRST_RESERVATION: _T.PREAUTH,
    PaymentType.UPDATE_RESERVATION: _T.INCREMENT,
    PaymentType.COMPLETION: _T.CAPTURE,
    PaymentType.CASH_ADVANCE: _T.CASH_ADVANCE,
}
_RESERVING: Final = frozenset({PaymentType.FIRST_RESERVATION, PaymentType.ONE_TIME_RESERVATION})
_PAYING: Final = frozenset({PaymentType.NORMAL, PaymentType.COMPLETION, PaymentType.CASH_ADVANCE})
_FOLLOWS: Final = {
    PaymentType.REFUND.value: _PAYING,
    PaymentType.UPDATE_RESERVATION.value: _RESERVING,
    PaymentType.COMPLETION.value: _RESERVING,
    "": _PAYING | _RESERVING | {PaymentType.REFUND},
}
"""What each payment type, and a Reversal, may follow."""


async def answer(visit: Visit, asked: Wanted) -> Body:
    """The answer, remembered with the message. Raises `Refused`, `Repeated`, `JournalError`."""
    exchange = orders.remembered(visit, asked)
    pretended = _pretended(visit, asked, await _money(visit, asked))
    make = reversal_response if isinstance(visit.body, ReversalRequest) else payment_response
    body = make(pretended, memo_in(exchange), visit.context.settings, None, TITLE)
    await visit.context.engine.begin_exchange(
        msgspec.structs.replace(
            exchange,
            transaction_id=pretended.id,
            answer=text_of(visit.header, body),
            answered_at=visit.context.clock.now(),
        )
    )
    return body


def _pretended(visit: Visit, asked: Wanted, money: Money) -> Transaction:
    """What would have been approved. It is never journaled."""
    clock, terminal = visit.context.clock, visit.terminal
    kind = _TYPES[PaymentType(asked.payment_type)] if asked.payment_type else _T.REVERSAL
    return Transaction(
        id=PREFIX + clock.transaction_id(),
        version=1,
        organisation_id=terminal.organisation_id,
        terminal_id=terminal.id,
        dialect=DIALECT,
        type=kind,
        state=State.APPROVED,
        amount=money,
        reference=asked.reference,
        heading=visit.context.engine.estate.heading(terminal),
        created_at=clock.now(),
        original_id=asked.original or None,
        terms=asked.terms,
        outcome=Outcome(
            Verdict.APPROVED,
            approved_amount=money.minor,
            at=clock.now(),
            response_code="00",
            authorisation_code="000000",
            stan="000000",
            brand="TRAINING",
            card_last4="0000",
        ),
    )


# --- what it follows --------------------------------------------------------------------------


async def _money(visit: Visit, asked: Wanted) -> Money:
    """The amount, which is at most what was approved of the original where one is reversed or
    refunded. Raises `Refused`."""
    if not asked.follows:
        assert asked.money is not None, "a payment has an amount"
        return asked.money
    approved = await _approved(visit, asked)
    money = asked.money
    if isinstance(visit.body, ReversalRequest):
        money = wanted.reversed_money(visit.body, approved.currency)
    if money is None:
        return approved
    if money.minor > approved.minor and asked.payment_type in ("", PaymentType.REFUND):
        raise Refused(
            ErrorCondition.NOT_ALLOWED, f"{money} is more than what was approved, {approved}."
        )
    return money


async def _approved(visit: Visit, asked: Wanted) -> Money:
    """What was approved of the original, in training. Raises `Refused`."""
    kinds = _FOLLOWS[asked.payment_type]
    for exchange in await _candidates(visit, asked):
        found = await answer_of(visit.context, exchange)
        if (
            exchange.organisation_id != visit.terminal.organisation_id
            or found is None
            or not isinstance(found.body, PaymentResponse)
            or found.body.response.result != Result.SUCCESS
            or memo_in(exchange).payment_type not in kinds
        ):
            continue
        result = found.body.payment_result
        assert result is not None, "what was approved has a result"
        assert result.amounts_resp is not None, "and an amount"
        amounts = result.amounts_resp
        return from_decimal(amounts.authorized_amount, amounts.currency or "")
    raise Refused(
        ErrorCondition.NOT_FOUND,
        f"There is no training payment {asked.original or asked.terms.chain} that this could "
        "follow. A session in training sees those of trainings alone.",
    )


async def _candidates(visit: Visit, asked: Wanted) -> list[Exchange]:
    engine = visit.context.engine
    if not asked.original:
        found = await engine.exchange_by_chain(visit.terminal.organisation_id, asked.terms.chain)
        return [each for each in found if (each.transaction_id or "").startswith(PREFIX)]
    if not asked.original.startswith(PREFIX):
        return []
    exchange = await engine.exchange_of(asked.original)
    return [] if exchange is None else [exchange]
