"""TransactionStatus: what became of an operation whose answer a till has lost.

Success says that the answer was found, and brings it whole; how the operation ended is in there. As
long as there is none the answer is InProgress, also when nobody knows the outcome of a payment yet,
however long that takes: NotFound would make the till pay again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from tillwire.core.model import Exchange, State
from tillwire.core.occupancy import RESOLVE
from tillwire.dialects.nexo.face import refusals
from tillwire.dialects.nexo.face.answers import SUCCESS, failure, lines, with_content
from tillwire.dialects.nexo.face.context import DIALECT, Malformed, Refused, Visit
from tillwire.dialects.nexo.face.dialogues import Dialogue
from tillwire.dialects.nexo.face.memory import answer_of, text_of
from tillwire.dialects.nexo.wire import Body, Message
from tillwire.dialects.nexo.wire.header import MessageHeader
from tillwire.dialects.nexo.wire.outputs import PaymentReceipt
from tillwire.dialects.nexo.wire.services import (
    CardAcquisitionResponse,
    PaymentResponse,
    RepeatedMessageResponse,
    RepeatedResponseMessageBody,
    ReversalResponse,
    TransactionStatusRequest,
    TransactionStatusResponse,
)
from tillwire.dialects.nexo.wire.shared import MessageReference
from tillwire.dialects.nexo.wire.values import (
    ErrorCondition,
    MessageCategory,
    MessageClass,
    MessageType,
)

REPEATABLE: Final = (
    MessageCategory.PAYMENT,
    MessageCategory.REVERSAL,
    MessageCategory.CARD_ACQUISITION,
)
"""Categories whose responses can be repeated, and of which the last one is meant without a
reference."""
_GOING_ON: Final = {
    State.ACCEPTED: "It waits for the terminal. An Abort takes it back.",
    State.SENT: "It was sent to the terminal.",
    State.STARTED: "The terminal works on it.",
    State.UNKNOWN: "The terminal's answer was lost, and nobody knows yet whether the card was "
    f"charged. Do not pay again; ask again until the outcome is here. {RESOLVE}",
}
_ACCEPTING: Final = "It is being accepted."
REPRINT: Final = "*** REPRINT ***"
"""Above each receipt that is given once more."""


async def transaction_status(visit: Visit) -> Body:
    """The response. Raises `Refused`, `JournalError`."""
    body = visit.body
    assert isinstance(body, TransactionStatusRequest)
    target = await _target(visit, body.message_reference or MessageReference())
    if isinstance(target, TransactionStatusResponse):
        return target
    answered = await answer_of(visit.context, target)
    found: Message | str = answered or await _unanswered(visit, target)
    if isinstance(found, str):
        return _in_progress(visit, target, found)
    if body.receipt_reprint_flag:
        found = _reprinted(found, body.document_qualifier)
    return TransactionStatusResponse(
        response=SUCCESS,
        message_reference=_reference(visit, target),
        repeated_message_response=RepeatedMessageResponse(
            message_header=found.header, repeated_response_message_body=_repeated(found.body)
        ),
    )


# --- which one is meant -----------------------------------------------------------------------


async def _target(visit: Visit, asked: MessageReference) -> Exchange | TransactionStatusResponse:
    """The remembered message; or the answer where there is none. Raises `Refused`."""
    engine, header = visit.context.engine, visit.header
    own = asked.service_id is not None and asked.service_id == header.service_id
    if own and visit.context.settings.strict_references:
        raise Malformed(
            "TransactionStatusRequest.MessageReference",
            "ServiceID",
            "It is the ServiceID of this message",
            "the ServiceID of the message that is asked for; this one needs another",
        )
    category = asked.message_category
    if category is not None and category not in REPEATABLE:
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            f"The response of a {category[:40]} cannot be repeated. Those of "
            f"{', '.join(REPEATABLE)} can.",
        )
    terminal = visit.terminal
    if asked.poi_id is not None and asked.poi_id != header.poi_id:
        named = visit.context.terminals.of(asked.poi_id)
        if named is None:
            return _not_found(asked)
        terminal = named
    sale_id = asked.sale_id or header.sale_id
    kinds = (category,) if category else REPEATABLE
    if asked.service_id is None:
        accepting = _being_accepted(visit, terminal.id, sale_id, kinds)
        running = await _running(visit, terminal.id, sale_id, kinds)
        if running is not None:
            return running
        last = await engine.last_exchange(terminal.id, DIALECT, sale_id, kinds)
        if accepting is not None and (last is None or last.number != accepting.number):
            return _response(ErrorCondition.IN_PROGRESS, _ACCEPTING, asked)
        return last or _not_found(asked)
    place = terminal.id, sale_id, asked.service_id
    # Looked for first: what ends while the journal is read was committed before, or comes to
    # nothing.
    dialogue = visit.context.dialogues.find(*place)
    exchange = await engine.exchange(terminal.id, DIALECT, sale_id, asked.service_id)
    if exchange is not None and exchange.kind in kinds:
        return exchange
    dialogue = dialogue or visit.context.dialogues.find(*place)
    if exchange is None and dialogue is not None and dialogue.category in kinds:
        return _response(ErrorCondition.IN_PROGRESS, _ACCEPTING, asked)
    return _not_found(asked)


async def _running(
    visit: Visit, terminal_id: str, sale_id: str, kinds: Sequence[str]
) -> Exchange | None:
    """The till's message whose transaction has not ended. It counts more than what came since and
    was refused for its sake: whoever asks for the last one must not hear that nothing was done."""
    holder = visit.context.engine.open_transaction(terminal_id)
    exchange = holder and await visit.context.engine.exchange_of(holder.id)
    if not exchange or exchange.kind not in kinds:
        return None
    is_own = (exchange.dialect, exchange.register) == (DIALECT, sale_id)
    return exchange if is_own else None


def _being_accepted(
    visit: Visit, terminal_id: str, sale_id: str, kinds: Sequence[str]
) -> Dialogue | None:
    """The till's newest message of these kinds, if it has no transaction yet."""
    for each in reversed(visit.context.dialogues.at(terminal_id)):
        if each.sale_id == sale_id and each.category in kinds:
            return each if each.transaction_id is None else None
    return None


def _not_found(asked: MessageReference) -> TransactionStatusResponse:
    which = f"No message {asked.service_id}" if asked.service_id else "No message"
    words = f"{which} of this till is remembered at this terminal: it was not received."
    return _response(ErrorCondition.NOT_FOUND, words, None)


def _response(
    condition: ErrorCondition, words: str, reference: MessageReference | None
) -> TransactionStatusResponse:
    return TransactionStatusResponse(
        response=failure(condition, words), message_reference=reference
    )


def _reference(visit: Visit, target: Exchange) -> MessageReference:
    """The target, named in full."""
    asked: MessageReference | None = getattr(visit.body, "message_reference", None)
    return MessageReference(
        message_category=target.kind,
        service_id=target.number,
        sale_id=target.register,
        poi_id=(asked.poi_id if asked else None) or visit.header.poi_id,
    )


# --- what is known of it ----------------------------------------------------------------------


async def _unanswered(visit: Visit, target: Exchange) -> Message | str:
    """What is going on, in words; or the answer to what a restart of the gateway has cut off."""
    context = visit.context
    if target.transaction_id is not None:
        transaction = await context.engine.find(target.transaction_id)
        assert transaction is not None, "an exchange names a transaction of the journal"
        if transaction.is_final:  # since it was looked at
            return await answer_of(context, target) or ""
        return _GOING_ON[transaction.state]
    place = target.terminal_id, target.register, target.number
    if context.dialogues.find(*place, target.kind) is not None:
        return "The terminal works on it."
    # Nobody does it any more: it has its answer by now, or will never have one.
    ended = await context.engine.exchange(
        target.terminal_id, DIALECT, target.register, target.number
    )
    if ended is not None and ended.id == target.id and ended.answer:
        return await answer_of(context, ended) or ""
    header = MessageHeader(
        message_class=MessageClass.SERVICE.value,
        message_category=target.kind,
        message_type=MessageType.RESPONSE.value,
        service_id=target.number,
        sale_id=target.register,
        poi_id=_reference(visit, target).poi_id or visit.header.poi_id,
    )
    said = failure(ErrorCondition.ABORTED, "The gateway was restarted meanwhile. No money moved.")
    body = refusals.body(target.kind, said, None, None, context.clock)
    assert body is not None, "what is remembered has a response"
    await context.engine.answer_exchange(target.id, text_of(header, body))
    return Message(header=header, body=body)


def _in_progress(visit: Visit, target: Exchange, words: str) -> TransactionStatusResponse:
    return _response(ErrorCondition.IN_PROGRESS, words, _reference(visit, target))


def _repeated(body: Body) -> RepeatedResponseMessageBody:
    if isinstance(body, ReversalResponse):
        return RepeatedResponseMessageBody(reversal_response=body)
    if isinstance(body, CardAcquisitionResponse):
        return RepeatedResponseMessageBody(card_acquisition_response=body)
    assert isinstance(body, PaymentResponse), "only repeatable responses are looked for"
    return RepeatedResponseMessageBody(payment_response=body)


# --- receipts ---------------------------------------------------------------------------------


def _reprinted(found: Message, wanted: Sequence[str]) -> Message:
    """The same response, with the receipts that are wanted (none said: all), marked as copies."""
    body = found.body
    if not isinstance(body, PaymentResponse | ReversalResponse):
        return found
    receipts = tuple(
        _marked(each)
        for each in body.payment_receipt
        if not wanted or each.document_qualifier in wanted
    )
    marked = msgspec.structs.replace(body, payment_receipt=receipts)
    return msgspec.structs.replace(found, body=marked)


def _marked(receipt: PaymentReceipt) -> PaymentReceipt:
    content = receipt.output_content
    text = (*lines(f"{REPRINT}\n\n").output_text, *content.output_text)
    return with_content(receipt, msgspec.structs.replace(content, output_text=text))
