"""Refund, void, capture and cancel over the API (source 000): without a card, but not without a
terminal.

Each runs through the engine on the terminal of its original, or on another one of the same store
where that is gone, and is answered when it has ended. What takes longer than `answer_within` goes
on, and is found under its Poynt-Request-Id, or by reading the transaction.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from tillwire.core.estate_model import Lifecycle, Merchant, Terminal
from tillwire.core.model import Request, State, Transaction, TransactionType
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import AbortResult
from tillwire.dialects.paymentbridge.face import originals, transactions
from tillwire.dialects.paymentbridge.face.context import DIALECT, Call, Context, check_may_pay
from tillwire.dialects.paymentbridge.face.refusals import Refused
from tillwire.dialects.paymentbridge.face.repeats import once
from tillwire.dialects.paymentbridge.wire import objects, reading, requests
from tillwire.dialects.paymentbridge.wire.errors import missing, wrong
from tillwire.dialects.paymentbridge.wire.objects import Amounts, Reference
from tillwire.errors import Conflict, TerminalBusy
from tillwire.money import Money
from tillwire.net.asgi import Reply

WAITS: Final = 20.0
"""Seconds for which a busy terminal is waited for."""
_T = TransactionType
_TOO_MUCH: Final = {
    _T.REFUND: "INVALID_PARAMETER",
    _T.CAPTURE: "CAPTURE_EXCEEDS_PREAUTH_BAL",
    _T.REVERSAL: "TXN_ALREADY_VOIDED",
}


async def refund(context: Context, call: Call) -> Reply:
    """POST /businesses/{business}/transactions."""
    check_may_pay(call)
    merchant = context.business(call, call.parameters[0])
    body = await call.json(requests.LARGEST, unnamed=True)
    wanted = requests.read_refund(body)

    async def work(key: str) -> Reply:
        made = await _follow(
            context,
            merchant,
            wanted.parent_id or "",
            _T.REFUND,
            amounts=wanted.amounts,
            reference=_reference(wanted.references),
            key=key,
        )
        return _shown(context, made, HTTPStatus.CREATED)

    return await once(context, call, body, work)


async def capture(context: Context, call: Call) -> Reply:
    """POST .../transactions/{transaction}/capture."""
    check_may_pay(call)
    merchant = context.business(call, call.parameters[0])
    body = await call.json(requests.LARGEST, unnamed=True)
    wanted = requests.read_capture(body)

    async def work(key: str) -> Reply:
        made = await _follow(
            context, merchant, call.parameters[1], _T.CAPTURE, amounts=wanted.amounts, key=key
        )
        if made.state is not State.APPROVED:
            raise _refusal(made)
        return _shown(context, made)

    return await once(context, call, body, work)


async def void(context: Context, call: Call) -> Reply:
    """POST .../transactions/{transaction}/void: the transaction as it is then."""
    check_may_pay(call)
    merchant = context.business(call, call.parameters[0])
    body = await call.json(requests.LARGEST, unnamed=True)

    async def work(key: str) -> Reply:
        return await _void(context, merchant, call.parameters[1], key)

    return await once(context, call, body, work)


async def cancel(context: Context, call: Call) -> Reply:
    """POST .../transactions/cancel?transaction-id=: whatever it was, no money has moved then."""
    check_may_pay(call)
    merchant = context.business(call, call.parameters[0])
    uuid = dict(call.query()).get("transaction-id", "")
    if not uuid:
        raise missing("transaction-id")
    body = await call.json(requests.LARGEST, unnamed=True)
    requests.read_cancel(body)

    async def work(key: str) -> Reply:
        known = await originals.found(context, merchant, uuid)
        if not known.is_final:
            known = await _called_off(context, known)
        if known.state is State.APPROVED and known.reversed_at is None:
            return await _void(context, merchant, uuid, key)
        return _cancelled(context, known)

    return await once(context, call, body, work)


async def _void(context: Context, merchant: Merchant, uuid: str, key: str) -> Reply:
    made = await _follow(context, merchant, uuid, _T.REVERSAL, key=key)
    if made.state is not State.APPROVED:
        raise _refusal(made)
    assert made.original_id is not None, "a void names its original"
    known = await context.engine.find(made.original_id)
    assert known is not None, "it was found before"
    return _shown(context, known)


async def _called_off(context: Context, known: Transaction) -> Transaction:
    """The open transaction as it ended. Raises `Refused` while nobody can tell."""
    result = await context.engine.abort(known.id)
    if result is AbortResult.UNKNOWN:
        raise _unknown()
    return await _ended(context, known)


def _cancelled(context: Context, known: Transaction) -> Reply:
    """What never moved money is told as voided."""
    estate, action = context.engine.estate, context.settings.purchase_action
    shown = transactions.shown(known, estate, action)
    if not transactions.is_listed(known):
        shown = transactions.voided(shown, transactions.updated_at(known))
    return Reply(HTTPStatus.OK, reading.encode(shown))


# --- what follows a transaction -----------------------------------------------------------------


async def _follow(
    context: Context,
    merchant: Merchant,
    uuid: str,
    kind: TransactionType,
    *,
    amounts: Amounts | None = None,
    reference: str = "",
    key: str,
) -> Transaction:
    """The follow-up as it ended: approved, declined, or cancelled at the terminal. Raises
    `Refused`, `JournalError`."""
    organisation_id = merchant.organisation_id
    known = None
    if key:
        known = await context.engine.journal.commit(
            lambda unit: unit.idempotent(organisation_id, key)
        )
    if known is not None:
        made = await context.engine.find(known[0])
        assert made is not None, "a key leads to a transaction"
    else:
        made = await _accepted(context, merchant, uuid, kind, amounts, reference, key)
    return await _ended(context, made)


async def _accepted(
    context: Context,
    merchant: Merchant,
    uuid: str,
    kind: TransactionType,
    amounts: Amounts | None,
    reference: str,
    key: str,
) -> Transaction:
    original = await originals.original(context, merchant, uuid, kind)
    currency = original.transaction.amount.currency
    total = amounts.transaction_amount if amounts else None
    if amounts is not None and amounts.currency not in (None, currency):
        raise wrong("amounts.currency", f"the transaction is in {currency}", currency)
    if total is not None and total > original.left:
        left = Money(original.left, currency)
        raise Refused(_TOO_MUCH[kind], f"Only {left} are left of the transaction.")
    request = Request(
        organisation_id=merchant.organisation_id,
        terminal_id=_terminal_for(context, original.transaction, kind).id,
        dialect=DIALECT,
        type=kind,
        amount=Money(original.left if total is None else total, currency),
        reference=reference,
        original_id=original.transaction.id,
        reserved=original.reserved,
        expires_in=WAITS,
        idempotency_key=key,
    )
    try:
        return await context.engine.accept(request, WhenBusy.QUEUE)
    except TerminalBusy:
        raise
    except Conflict as conflict:  # another one was quicker: what it has left says why
        await originals.original(context, merchant, uuid, kind)
        changing = original.reserved is not None
        code = "RESOURCE_MODIFIED" if changing else _TOO_MUCH[kind]
        raise Refused(code, conflict.detail) from conflict


def _terminal_for(context: Context, original: Transaction, kind: TransactionType) -> Terminal:
    """The original's terminal, or another one of its store that can do it: one that is reached
    before one that fetches, which may not come. Raises `Refused`."""
    engine = context.engine
    own = engine.estate.terminals[original.terminal_id]
    if own.lifecycle is Lifecycle.ACTIVATED:
        return own
    there = [
        (capabilities.pull, each.name, each)
        for each in engine.estate.terminals.values()
        if each.store_id == original.heading.store_id
        and each.lifecycle is Lifecycle.ACTIVATED
        and kind in (capabilities := engine.capabilities(each.id)).types
    ]
    if not there:
        detail = "The store has no terminal that could do this."
        raise Refused("STORE_DEVICE_NOT_ACTIVATED", detail)
    return min(there, key=lambda each: each[:2])[2]


async def _ended(context: Context, made: Transaction) -> Transaction:
    """The transaction, once it has ended. Raises `Refused` when it takes too long, when nobody
    can tell, and when provably nothing was done."""
    engine, within = context.engine, context.settings.answer_within
    ended = await engine.wait(made.id, lambda each: each.is_settled, within)
    if not ended.is_final:
        raise _unknown()
    return ended


def _unknown() -> Refused:
    return Refused(
        "EXTERNAL_SERVER_READ_TIMEOUT",
        "Nobody knows yet what became of it; it may still happen. Read the transaction, or ask "
        "again with the same Poynt-Request-Id.",
    )


def _refusal(made: Transaction) -> Refused:
    """Why something that is no transaction of its own there was not done."""
    if made.outcome is None:
        return Refused("SERVICE_UNAVAILABLE", "It did not reach the terminal; nothing was done.")
    return Refused("PROCESSOR_DECLINED", made.outcome.reason or f"It is {made.state}.")


def _reference(given: tuple[Reference, ...]) -> str:
    """The caller's own reference, if it gave one."""
    named = (each.id for each in given if each.custom_type == objects.REFERENCE_TYPE)
    return next((each for each in named if each), "")


def _shown(context: Context, made: Transaction, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    if not transactions.is_listed(made):
        raise _refusal(made)
    estate, action = context.engine.estate, context.settings.purchase_action
    return Reply(status, reading.encode(transactions.shown(made, estate, action)))
