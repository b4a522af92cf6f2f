"""Payment and Reversal: from a till's wish to the answer that says what became of the money.

Two steps, since what may go wrong differs. `take` ends with the commit of transaction and exchange;
whatever it raises, nothing was sent and a Failure may be answered. `outcome` waits for the end of
what is in the journal now: it never fails, and a payment whose outcome is not known is not answered
before it is. Whoever waits may be cancelled at any time; the payment goes on without.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import chain, repeat
from typing import Final, TypeVar

import msgspec

from tillwire.core.model import Request, State, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.dialects.nexo.face import events, orders, training
from tillwire.dialects.nexo.face.context import DIALECT, Refused, Visit
from tillwire.dialects.nexo.face.dialogues import Dialogue
from tillwire.dialects.nexo.face.enabling import card_for, enabled
from tillwire.dialects.nexo.face.memory import rendered
from tillwire.dialects.nexo.face.memos import Memo, memo_in
from tillwire.dialects.nexo.face.wanted import Wanted
from tillwire.dialects.nexo.wire import Body
from tillwire.dialects.nexo.wire.values import ErrorCondition, ServicesEnabled
from tillwire.errors import JournalError, TerminalBusy, TillwireError

T = TypeVar("T")

_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between tries to read the journal for an answer; the last one repeats."""
DO_NOT_PAY_AGAIN: Final = (
    "The outcome of this payment is not known yet.\n"
    "Do not pay again.\n"
    "The terminal is being asked; the answer follows."
)


async def take(visit: Visit) -> tuple[Transaction, Memo] | Body:
    """Accept it; in training, its answer. Raises `Refused`, `Repeated` and what else
    `Engine.accept` does: nothing was sent then."""
    asked = orders.read(visit)
    if visit.login.training:
        return await training.answer(visit, asked)
    asked = await _with_card_ahead(visit, asked)
    request = await orders.order(visit, asked)
    dialogue = visit.dialogue
    assert dialogue is not None, "what asks for money has a dialogue"
    assert request.exchange is not None, "and is remembered"
    if dialogue.aborted:
        raise Refused(ErrorCondition.ABORTED, "It was called off before it was sent.")
    try:
        transaction = await visit.context.tasks.finish(_accepted(visit, request, dialogue))
    except TerminalBusy as busy:
        raise await in_the_way(visit, busy) from busy
    return transaction, memo_in(request.exchange)


async def _accepted(visit: Visit, request: Request, dialogue: Dialogue) -> Transaction:
    """The request, committed. It goes on when the till goes away meanwhile, and its dialogue with
    it: who asks for it just then must not hear that it never came, and an Abort must not be lost.
    """
    engine = visit.context.engine
    with visit.context.dialogues.under_way(dialogue):
        transaction = await engine.accept(request, WhenBusy.REJECT)
        dialogue.transaction_id = transaction.id
        if dialogue.aborted:  # while it was being accepted
            # It is committed: whatever goes wrong with that is no failure of the payment.
            with contextlib.suppress(TillwireError):
                await engine.abort(transaction.id)
    return transaction


async def _with_card_ahead(visit: Visit, asked: Wanted) -> Wanted:
    """The same, to be paid with the card that was read ahead, if there is one and it asks for a
    card. Reading ahead ends in any case, unless the message came before: what is read then is
    meant for the next one. Raises `Repeated`, `JournalError`."""
    if enabled(visit) is not None:
        assert visit.exchange is not None, "what asks for money is remembered"
        await visit.context.engine.check_exchange(visit.exchange)
    card = await card_for(visit, ServicesEnabled.PAYMENT)
    if card is None or asked.follows or asked.terms.card:
        return asked
    return msgspec.structs.replace(
        asked, terms=msgspec.structs.replace(asked.terms, card=card.card)
    )


async def in_the_way(visit: Visit, busy: TerminalBusy) -> Refused:
    """Why a service has to wait: another one of the same till, or somebody else's."""
    words = f"{busy} A new try needs a new ServiceID."
    if busy.unresolved:
        return Refused(ErrorCondition.BUSY, words)
    if await _is_own(visit, busy.holder):
        return Refused(ErrorCondition.NOT_ALLOWED, f"A service dialogue is in progress. {words}")
    return Refused(ErrorCondition.BUSY, words)


async def _is_own(visit: Visit, holder_id: str) -> bool:
    """Whether it is the same till that has the terminal."""
    dialogue = visit.dialogue
    if holder_id:
        holder = await visit.context.engine.find(holder_id)
        mine = (DIALECT, visit.header.sale_id)
        return holder is not None and (holder.dialect, holder.register) == mine
    first = dialogue and visit.context.dialogues.before(dialogue)
    return first is not None and first.sale_id == visit.header.sale_id


async def outcome(visit: Visit, transaction: Transaction, memo: Memo) -> Body:
    """Wait for the end of it, telling the till what the terminal shows; its response."""
    engine = visit.context.engine
    stop = engine.listen(transaction.id, partial(events.tell_status, visit))
    try:
        known = await engine.wait(transaction.id, _is_settled, None)
        if not known.is_final:
            events.tell_error(visit, DO_NOT_PAY_AGAIN)
            known = await engine.wait(transaction.id, _is_final, None)
    finally:
        stop()
    return await insisting(lambda: rendered(visit.context, known, memo))


async def insisting(read: Callable[[], Awaitable[T]]) -> T:
    """What it reads, however long the journal cannot be read: an approved payment must not be
    answered with a failure."""
    for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
        try:
            return await read()
        except JournalError:
            await asyncio.sleep(pause)
    raise AssertionError("the pauses never end")


def _is_settled(transaction: Transaction) -> bool:
    return transaction.is_final or transaction.state is State.UNKNOWN


def _is_final(transaction: Transaction) -> bool:
    return transaction.is_final
