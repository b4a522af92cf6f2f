"""What a till wants, as a request to the engine.

The engine caps what follows an original and holds the terminal. Here is how nexo's payment types
become movements of money:

    Normal                                 PURCHASE
    Refund                                 REFUND, linked or not
    FirstReservation, OneTimeReservation   PREAUTH
    UpdateReservation                      INCREMENT by the difference between what is wanted as
                                           the new total and what is reserved
    Completion                             CAPTURE; of 0, the REVERSAL of all that is reserved
    CashAdvance                            CASH_ADVANCE
    Reversal                               REVERSAL; of a PREAUTH, of all that is reserved
"""

from __future__ import annotations

from typing import Final

import msgspec

from tillwire.core.model import Exchange, Request, TransactionType
from tillwire.dialects.nexo.face import originals, wanted
from tillwire.dialects.nexo.face.context import DIALECT, Refused, Visit
from tillwire.dialects.nexo.face.memos import memo_in, memo_of, text_of
from tillwire.dialects.nexo.face.originals import Reservation
from tillwire.dialects.nexo.face.wanted import Wanted
from tillwire.dialects.nexo.wire.services import PaymentRequest, ReversalRequest
from tillwire.dialects.nexo.wire.values import ErrorCondition, PaymentType
from tillwire.money import Money

_T = TransactionType
_SIMPLE: Final = {
    PaymentType.NORMAL: _T.PURCHASE,
    PaymentType.ONE_TIME_RESERVATION: _T.PREAUTH,
    PaymentType.FIRST_RESERVATION: _T.PREAUTH,
    PaymentType.CASH_ADVANCE: _T.CASH_ADVANCE,
}
"""Payment types that follow no other one."""


def read(visit: Visit) -> Wanted:
    """What the message asks for. Raises `Refused`."""
    body, login, settings = visit.body, visit.login, visit.context.settings
    if isinstance(body, ReversalRequest):
        return wanted.reversal(body, login, settings)
    assert isinstance(body, PaymentRequest), "only what asks for money becomes an order"
    store = visit.context.engine.estate.stores[visit.terminal.store_id]
    return wanted.payment(body, login, settings, store.currency)


async def order(visit: Visit, asked: Wanted) -> Request:
    """The request to the engine, with the message as it is to be remembered. Raises `Refused`,
    `JournalError`."""
    kind = asked.payment_type
    if isinstance(visit.body, ReversalRequest):
        return await _reversal(visit, asked, visit.body)
    if kind == PaymentType.REFUND:
        return await _refund(visit, asked)
    if kind == PaymentType.UPDATE_RESERVATION:
        return await _update(visit, asked)
    if kind == PaymentType.COMPLETION:
        return await _completion(visit, asked)
    assert asked.money is not None, "a payment has an amount"
    return _request(visit, asked, _SIMPLE[PaymentType(kind)], asked.money)


async def _refund(visit: Visit, asked: Wanted) -> Request:
    assert asked.money is not None, "a payment has an amount"
    original_id = None
    if asked.original:
        original_id = (await originals.original(visit, asked.original, _T.REFUND)).id
    elif asked.follows:
        original_id = (await originals.refundable(visit, asked.terms.chain)).id
    return _request(visit, asked, _T.REFUND, asked.money, original_id)


async def _reversal(visit: Visit, asked: Wanted, body: ReversalRequest) -> Request:
    original = await originals.original(visit, asked.original, _T.REVERSAL)
    whole = Money(original.approved_amount, original.amount.currency)
    if original.type is _T.PREAUTH and body.reversed_amount is None:
        return _release(visit, asked, await originals.reservation_of(visit, original))
    if whole.minor <= 0:
        raise Refused(
            ErrorCondition.NOT_ALLOWED,
            f"Transaction {original.id} has lowered a reservation, which cannot be reversed. Send "
            "an UpdateReservation.",
        )
    money = wanted.reversed_money(body, whole.currency) or whole
    return _request(visit, asked, _T.REVERSAL, money, original.id, reference=original.reference)


async def _update(visit: Visit, asked: Wanted) -> Request:
    assert asked.money is not None, "a payment has an amount"
    found = await _open_reservation(visit, asked, _T.INCREMENT)
    difference = asked.money.minor - found.reserved
    if not difference and not asked.terms.valid_until:
        raise Refused(
            ErrorCondition.NOT_ALLOWED,
            f"{asked.money} is reserved already, and no RequestedValidityDate is given: there is "
            "nothing to change.",
        )
    money = Money(difference, asked.money.currency)
    request = _request(visit, asked, _T.INCREMENT, money, found.preauth.id, total=asked.money.minor)
    # Another terminal may change it meanwhile: the difference would be another one then.
    return msgspec.structs.replace(request, reserved=found.reserved)


async def _completion(visit: Visit, asked: Wanted) -> Request:
    assert asked.money is not None, "a payment has an amount"
    found = await _open_reservation(visit, asked, _T.CAPTURE)
    if asked.money.minor:
        return _request(visit, asked, _T.CAPTURE, asked.money, found.preauth.id)
    return _release(visit, asked, found, total=0)


def _release(
    visit: Visit, asked: Wanted, found: Reservation, *, total: int | None = None
) -> Request:
    """All that is reserved still, given back. Raises `Refused` when that is nothing."""
    preauth = found.preauth
    released = Money(found.releasable, preauth.amount.currency)
    if released.minor <= 0:
        raise Refused(ErrorCondition.NOT_ALLOWED, f"Nothing is reserved any more by {preauth.id}.")
    request = _request(
        visit,
        asked,
        _T.REVERSAL,
        released,
        preauth.id,
        total=total,
        reference=preauth.reference,
    )
    # As with a change: what has raised it meanwhile would stay reserved.
    return msgspec.structs.replace(request, reserved=found.reserved)


async def _open_reservation(visit: Visit, asked: Wanted, kind: TransactionType) -> Reservation:
    found = await originals.reservation(visit, asked.original, asked.terms.chain, kind)
    if found.completed and (
        kind is _T.INCREMENT
        or (asked.money is not None and not asked.money.minor)
        or await _is_one_time(visit, found)
    ):
        raise Refused(
            ErrorCondition.NOT_ALLOWED,
            f"Reservation {found.preauth.id} has been completed already.",
        )
    return found


async def _is_one_time(visit: Visit, found: Reservation) -> bool:
    """Whether the reservation may be completed once only."""
    exchange = await visit.context.engine.exchange_of(found.preauth.id)
    if exchange is None or exchange.dialect != DIALECT:
        return False
    return memo_in(exchange).payment_type == PaymentType.ONE_TIME_RESERVATION


def _request(
    visit: Visit,
    asked: Wanted,
    kind: TransactionType,
    money: Money,
    original_id: str | None = None,
    *,
    total: int | None = None,
    reference: str = "",
) -> Request:
    settings = visit.context.settings
    partial = kind is _T.PURCHASE and settings.partial_approval and not asked.terms.cash_back
    return Request(
        organisation_id=visit.terminal.organisation_id,
        terminal_id=visit.terminal.id,
        dialect=DIALECT,
        type=kind,
        amount=money,
        reference=asked.reference or reference,
        original_id=original_id,
        partial_allowed=partial,
        register=visit.header.sale_id,
        expires_in=settings.expires_in,
        terms=asked.terms,
        exchange=remembered(visit, asked, total=total),
    )


def remembered(visit: Visit, asked: Wanted, *, total: int | None = None) -> Exchange:
    """The message as it is to be remembered, with what its answers must repeat."""
    assert visit.exchange is not None, "what asks for money is remembered"
    assert isinstance(visit.body, PaymentRequest | ReversalRequest)
    store = visit.context.engine.estate.stores[visit.terminal.store_id]
    memo = memo_of(visit.header, visit.body, asked, merchant=store.merchant_id, total=total)
    return msgspec.structs.replace(visit.exchange, chain=asked.terms.chain, request=text_of(memo))
