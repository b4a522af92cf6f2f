"""What is remembered of tills' messages: each service under its ServiceID, with its answer.

One that asks for money is committed with its transaction, and its answer is made of that whenever
it is wanted. All others keep the answer itself, also those that were refused.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tillwire.core.model import Cause, Event, Exchange, State, Transaction, Verdict
from tillwire.dialects.nexo.face.answers import payment_response, reversal_response
from tillwire.dialects.nexo.face.context import Context
from tillwire.dialects.nexo.face.memos import Memo, memo_in
from tillwire.dialects.nexo.wire import Body, Message, cuts, decode, encode
from tillwire.dialects.nexo.wire.header import MessageHeader, response_header
from tillwire.dialects.nexo.wire.values import MessageCategory
from tillwire.errors import Proof

MONEY: Final = frozenset({MessageCategory.PAYMENT, MessageCategory.REVERSAL})
"""Categories that become transactions."""
REMEMBERED: Final = MONEY | {
    MessageCategory.CARD_ACQUISITION,
    MessageCategory.RECONCILIATION,
    MessageCategory.ADMIN,
    MessageCategory.ENABLE_SERVICE,
    MessageCategory.BALANCE_INQUIRY,
}
"""Categories that are not done twice under one ServiceID. The others ask, or may be repeated."""
_LARGEST_ANSWER: Final = 16 << 20


def text_of(header: MessageHeader, body: Body) -> str:
    """An answer as an exchange keeps it. Whatever a till has written into the request that is
    repeated here, no card number is kept."""
    message = Message(header=response_header(header), body=body)
    return cuts.asked(encode(message).decode())


async def answer_of(context: Context, exchange: Exchange) -> Message | None:
    """The response to a remembered message; None as long as there is none. Raises
    `JournalError`."""
    if exchange.answer:
        return decode(exchange.answer.encode(), limit=_LARGEST_ANSWER)
    if exchange.transaction_id is None:
        return None
    transaction = await context.engine.find(exchange.transaction_id)
    if transaction is None or not transaction.is_final:
        return None
    memo = memo_in(exchange)
    body = await rendered(context, transaction, memo)
    return Message(header=response_header(memo.header), body=body)


async def rendered(context: Context, transaction: Transaction, memo: Memo) -> Body:
    """The response's body of a final transaction: the same whenever it is asked for. Raises
    `JournalError`."""
    period = None
    if transaction.state is State.APPROVED:
        period = await context.engine.period_of(transaction)
    transaction = await _with_cause(context, transaction)
    if memo.header.message_category == MessageCategory.REVERSAL:
        return reversal_response(transaction, memo, context.settings, period)
    return payment_response(transaction, memo, context.settings, period)


async def _with_cause(context: Context, transaction: Transaction) -> Transaction:
    """A driver may not know who cancelled at its terminal, and fails what it was told to drop
    before it was sent; whether the till has asked for it is in the history."""
    outcome = transaction.outcome
    if outcome is not None:
        if outcome.verdict is not Verdict.CANCELLED or outcome.cause is not None:
            return transaction
    elif (transaction.state, transaction.proof) != (State.FAILED, Proof.NEVER_SENT):
        return transaction

    events: list[Event] = await context.engine.journal.read(
        lambda reader: reader.events(transaction.id)
    )
    if all(each.name != "abort_asked" for each in events):
        return transaction
    if outcome is None:
        return msgspec.structs.replace(transaction, state=State.CANCELLED)
    by_till = msgspec.structs.replace(outcome, cause=Cause.TILL)
    return msgspec.structs.replace(transaction, outcome=by_till)
