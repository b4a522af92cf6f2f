"""Abort: the wish that a running operation ends. There is no response: the operation's own says how
it ended.

Who wins is decided in one place for each kind of operation. A payment is the engine's to abort: it
is stopped before the card was charged, or ends as it does. Everything else moves no money, and
stopping it means to cancel what does it. Abort is answered only where its target's answer will not
tell: `Reject` when there is no such target, `Completed` when it ended before.
"""

from __future__ import annotations

from tillwire.dialects.nexo.face import events
from tillwire.dialects.nexo.face.context import DIALECT, Rejected, Visit
from tillwire.dialects.nexo.face.dialogues import Dialogue
from tillwire.dialects.nexo.wire import Body
from tillwire.dialects.nexo.wire.services import AbortRequest, EventNotification
from tillwire.dialects.nexo.wire.shared import MessageReference
from tillwire.errors import JournalError

_PATH = "AbortRequest.MessageReference"


async def abort(visit: Visit) -> Body | None:
    """Stop the target if it can be stopped. Raises `Rejected`."""
    assert isinstance(visit.body, AbortRequest)
    reference = visit.body.message_reference
    number = _number(visit, reference)
    target = visit.terminal.id, visit.header.sale_id, number
    dialogues = visit.context.dialogues
    dialogue = dialogues.find(*target) or dialogues.find_device(*target)
    try:
        if dialogue is not None and _is_meant(reference, dialogue.category):
            await _stop(visit, dialogue)
            return None
        return await _stop_remembered(visit, reference, number)
    except JournalError as error:
        raise Rejected(f"{_PATH}: {number} was not aborted. {error}") from error


def _number(visit: Visit, reference: MessageReference) -> str:
    """The target's ServiceID, or its DeviceID if it is a device request. Raises `Rejected`."""
    header = visit.header
    number = reference.service_id or reference.device_id
    if number is None:
        raise Rejected(f"At {_PATH}, field ServiceID: Missing. Allowed: the target's.")
    if reference.sale_id is not None and reference.sale_id != header.sale_id:
        raise Rejected(f"At {_PATH}, field SaleID: Another till's operation is not yours to abort.")
    if reference.poi_id is not None and reference.poi_id != header.poi_id:
        raise Rejected(f"At {_PATH}, field POIID: It is not the POIID of the header.")
    if number == header.service_id and visit.context.settings.strict_references:
        raise Rejected(
            f"At {_PATH}, field ServiceID: An Abort needs a ServiceID of its own, in its header."
        )
    return number


def _is_meant(reference: MessageReference, category: str) -> bool:
    return reference.message_category in (None, category)


async def _stop(visit: Visit, dialogue: Dialogue) -> None:
    if dialogue.aborted:
        return  # it has been called off already
    dialogue.aborted = True
    if dialogue.transaction_id is not None:
        try:
            await visit.context.engine.abort(dialogue.transaction_id)
        except JournalError:
            dialogue.aborted = False  # the till is told, and may ask again
            raise
    elif dialogue.work is not None:
        dialogue.work.cancel()
    # Else it has only begun: it sees the mark before it sends anything.


async def _stop_remembered(
    visit: Visit, reference: MessageReference, number: str
) -> EventNotification | None:
    """A target whose till does not wait for it any more, or that has ended."""
    engine, sale_id = visit.context.engine, visit.header.sale_id
    exchange = await engine.exchange(visit.terminal.id, DIALECT, sale_id, number)
    if exchange is None or not _is_meant(reference, exchange.kind):
        raise Rejected(
            f"At {_PATH}, field ServiceID: {number} is not known here. If it is still on its way, "
            "abort it again when it is running."
        )
    if exchange.transaction_id is not None and not exchange.answer:
        transaction = await engine.find(exchange.transaction_id)
        if transaction is not None and not transaction.is_final:
            await engine.abort(transaction.id)
            return None
    return events.completed(f"{number} has ended already.", visit.context.clock.now())
