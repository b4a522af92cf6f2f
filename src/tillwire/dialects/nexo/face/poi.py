"""What one message is led to: the whole face, whatever the binding.

A binding reads octets from a till and calls

* `Poi.read(octets)`: what they are. It never raises on a peer's account. `Incoming.header` is what
  of the header could be read; `Incoming.is_rejected` says that it is no message at all (flat HTTP
  answers such with 400), and its answer will be an EventNotification.
* `await Poi.answer(incoming, outlet, poi_id=...)`: its one answer, which comes when the operation
  is done: a response, an EventNotification (Reject, or Completed after an Abort that came too
  late), or None where the protocol has no answer (Abort, Display without one, a till's own
  responses). Meanwhile `outlet.tell` gets DisplayRequests. A payment whose outcome is not known
  is not answered as long as that lasts; a binding that does not want to wait longer cancels the
  call, as it does when the till is gone: nothing is lost by it (`context.py`).

`poi_id` names the terminal that the binding speaks for, where it speaks for one: a header that
names another one is refused. `Poi.handle` is both steps in one. Any exception that comes out of
`answer` is a defect of ours: the binding logs it and says nothing of the payment (HTTP 500,
silence on TCP).
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Final

import msgspec

from tillwire.core.engine import Engine
from tillwire.core.estate_model import Terminal
from tillwire.core.model import State
from tillwire.core.ports import Clock
from tillwire.dialects.nexo.face import events
from tillwire.dialects.nexo.face.context import (
    DIALECT,
    Context,
    Malformed,
    Outlet,
    Refused,
    Rejected,
    Visit,
)
from tillwire.dialects.nexo.face.dialogues import Dialogue, Dialogues
from tillwire.dialects.nexo.face.handlers import ALWAYS, HANDLERS
from tillwire.dialects.nexo.face.incoming import Incoming, read
from tillwire.dialects.nexo.face.logins import login_of
from tillwire.dialects.nexo.face.memory import MONEY, REMEMBERED
from tillwire.dialects.nexo.face.reception import Reception
from tillwire.dialects.nexo.face.settings import Settings
from tillwire.dialects.nexo.face.terminals import Terminals
from tillwire.dialects.nexo.face.wanted import text_of
from tillwire.dialects.nexo.wire import BadBody, Body, Message, Unreadable
from tillwire.dialects.nexo.wire.header import MessageHeader, response_header
from tillwire.dialects.nexo.wire.services import EventNotification
from tillwire.dialects.nexo.wire.values import ErrorCondition, MessageCategory, MessageType

__all__ = ["Incoming", "Poi"]

LONGEST_DETAIL: Final = 1000
"""Characters of what is said of a message that cannot be accepted."""


class Poi:
    """The face. One for each set of settings; all of a gateway share their dialogues."""

    def __init__(
        self, engine: Engine, clock: Clock, settings: Settings, dialogues: Dialogues
    ) -> None:
        terminals = Terminals(engine, settings)
        self._context = Context(engine, clock, settings, dialogues, terminals)
        self._tasks = self._context.tasks

    # --- for the bindings ---------------------------------------------------------------------

    def terminal(self, poi_id: str) -> Terminal | None:
        """The terminal of this POIID, if the face serves it."""
        return self._context.terminals.of(poi_id)

    def is_in_use(self, terminal_id: str) -> bool:
        """Whether a transaction is on its way at the terminal, or a dialogue of any till is under
        way there. What an UNKNOWN one blocks is not in use: an answer says what to do about it."""
        context = self._context
        holder = context.engine.open_transaction(terminal_id)
        is_held = holder is not None and holder.state is not State.UNKNOWN
        return is_held or bool(context.dialogues.at(terminal_id))

    def read(self, octets: bytes) -> Incoming:
        """What these octets are."""
        return read(octets, self._context.settings.largest_message)

    def reject(self, header: MessageHeader | None, detail: str, octets: bytes) -> Message:
        """The event about a message that cannot be accepted."""
        now = self._context.clock.now()
        number = self._context.dialogues.device_id(now)
        return events.rejected(header, detail[:LONGEST_DETAIL], octets, number, now)

    def shutdown(self, sale_id: str, poi_id: str) -> Message:
        """The event that tells a till that the gateway stops."""
        now = self._context.clock.now()
        number = self._context.dialogues.device_id(now)
        return events.shutdown(sale_id, poi_id, number, now)

    async def handle(
        self, octets: bytes, outlet: Outlet, *, poi_id: str | None = None
    ) -> Message | None:
        """Read and answer."""
        return await self.answer(self.read(octets), outlet, poi_id=poi_id)

    async def answer(
        self, incoming: Incoming, outlet: Outlet, *, poi_id: str | None = None
    ) -> Message | None:
        """The one answer to a message, when it is there. See the module."""
        header = incoming.header
        if header is None or isinstance(incoming.fault, Unreadable):
            assert incoming.fault is not None, "what has no header has a fault"
            return self.reject(header, incoming.fault.detail, incoming.octets)
        if header.message_type != MessageType.REQUEST:
            return None  # a till's response to what it was shown
        try:
            body = await self._lead(incoming, header, outlet, poi_id)
        except Rejected as error:
            return self.reject(header, error.detail, incoming.octets)
        if body is None:
            return None
        return Message(
            header=self._answers_header(header, body), body=body, envelope=incoming.envelope
        )

    async def turn_away(self, incoming: Incoming, detail: str, *, poi_id: str) -> None:
        """Remember a message that a binding has refused because the terminal is in use, lest a copy
        of it that comes late is done. One that is being served just now stays as it is."""
        header = incoming.header
        if header is None or incoming.message is None:
            return
        with contextlib.suppress(Refused, Rejected):
            self._check(header)
            terminal = self._terminal(header.poi_id, poi_id)
            number = header.service_id or ""
            if self._context.dialogues.find(terminal.id, header.sale_id, number) is None:
                reception = Reception(self._context, incoming, header, terminal)
                await reception.refuse(Refused(ErrorCondition.BUSY, detail))

    async def stop(self) -> None:
        """End what runs on its own. Payments go on: they are the engine's."""
        await self._tasks.stop()

    # --- leading ------------------------------------------------------------------------------

    async def _lead(
        self, incoming: Incoming, header: MessageHeader, outlet: Outlet, poi_id: str | None
    ) -> Body | None:
        """The body of the answer. Raises `Rejected`."""
        try:
            self._check(header)
            terminal = self._terminal(header.poi_id, poi_id)
        except Refused as error:  # nobody can tell under what it should be remembered
            return Reception(self._context, incoming, header).refusal(error)
        reception = Reception(self._context, incoming, header, terminal)
        if incoming.message is None:
            assert isinstance(incoming.fault, BadBody), "what has a header and no body is bad"
            fault = Refused(ErrorCondition.MESSAGE_FORMAT, incoming.fault.detail)
            return await reception.refuse(fault)
        visit = Visit(
            context=self._context,
            terminal=terminal,
            header=header,
            body=incoming.message.body,
            session=self._context.engine.session(terminal.id, DIALECT, header.sale_id),
            outlet=outlet,
            exchange=reception.draft(),
        )
        return await self._served(reception, visit)

    async def _served(self, reception: Reception, visit: Visit) -> Body | None:
        """Led to its handler. No await comes before its dialogue is under way, so that an Abort
        that follows on the same connection finds it."""
        category = visit.header.message_category
        if category not in ALWAYS:
            visit = replace(visit, dialogue=_dialogue(visit))
        if category in MONEY and visit.dialogue is not None:
            with self._context.dialogues.under_way(visit.dialogue):
                return await reception.pay(visit)
        handler = HANDLERS.get(category)
        if handler is None:
            words = f"{category} is not served here."
            return reception.refusal(Refused(ErrorCondition.UNAVAILABLE_SERVICE, words))
        if visit.dialogue is not None:
            self._context.dialogues.begin(visit.dialogue)
        answer = await self._tasks.finish(reception.serve(visit, handler))
        if isinstance(answer, Rejected):
            raise answer
        return answer

    def _check(self, header: MessageHeader) -> None:
        """Raise `Refused` for ids that nothing can be remembered under."""
        longest = self._context.settings.longest_service_id
        allowed = f"1 to {longest} letters and digits"
        for field, number in (("ServiceID", header.service_id), ("DeviceID", header.device_id)):
            if number is None:
                continue
            if len(number) > longest:
                problem = f"It has {len(number)} characters"
                raise Malformed("MessageHeader", field, problem, allowed)
            if not (number.isascii() and number.isalnum()):
                problem = "It has characters that are no letters or digits"
                raise Malformed("MessageHeader", field, problem, allowed)
        if header.service_id is None and header.message_category in REMEMBERED:
            raise Malformed("MessageHeader", "ServiceID", "Missing", allowed)
        text_of("MessageHeader", "ProtocolVersion", header.protocol_version)
        text_of("MessageHeader", "MessageClass", header.message_class)
        text_of("MessageHeader", "SaleID", header.sale_id)

    def _terminal(self, named: str, binding: str | None) -> Terminal:
        """The terminal that a message names. Raises `Refused` when the face, or the binding, does
        not speak for it."""
        terminal = self._context.terminals.of(named)
        if terminal is None:
            raise Refused(
                ErrorCondition.NOT_ALLOWED,
                f"POIID {named[:40]} names no terminal that is served here.",
            )
        if binding is not None and self._context.terminals.of(binding) is not terminal:
            raise Refused(
                ErrorCondition.NOT_ALLOWED,
                f"This address is that of POIID {binding[:40]}, not of {named[:40]}.",
            )
        return terminal

    def _answers_header(self, header: MessageHeader, body: Body) -> MessageHeader:
        """The header of the answer. A Login's names the version that was agreed on."""
        if isinstance(body, EventNotification):
            return events.event_header(header)
        answers = response_header(header)
        if header.message_category != MessageCategory.LOGIN:
            return answers
        terminal = self._context.terminals.of(header.poi_id)
        session = terminal and self._context.engine.session(terminal.id, DIALECT, header.sale_id)
        version = login_of(session or None).version or header.protocol_version
        return msgspec.structs.replace(answers, protocol_version=version)


def _dialogue(visit: Visit) -> Dialogue:
    header = visit.header
    number, beside = header.service_id, None
    if header.device_id is not None and visit.exchange is None:
        number, beside = header.device_id, header.service_id
    assert number is not None, "a message has a ServiceID or a DeviceID"
    return Dialogue(visit.terminal.id, header.sale_id, number, header.message_category, beside)
