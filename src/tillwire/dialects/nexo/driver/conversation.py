"""A conversation with the terminal: one request, and all that is said until its answer.

It drops what is not of this exchange, tells what the terminal shows, answers what the terminal
asks for meanwhile, and carries an Abort where that goes over the same line. What an answer says of
the money is the business of `reading.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from tillwire.dialects.nexo.driver.lines import Line, Ready
from tillwire.dialects.nexo.driver.receipt_texts import display_text
from tillwire.dialects.nexo.wire import (
    BadBody,
    Body,
    Message,
    MessageHeader,
    devices,
    response_header,
)
from tillwire.dialects.nexo.wire.services import EventNotification
from tillwire.dialects.nexo.wire.shared import Response
from tillwire.dialects.nexo.wire.values import (
    ErrorCondition,
    EventToNotify,
    MessageClass,
    MessageType,
    ResponseMode,
    Result,
)
from tillwire.errors import AnswerLost, RemoteProtocolError

MOST_MESSAGES: Final = 5_000
"""Messages in one conversation, whatever they are."""
MOST_UNREADABLE: Final = 100
MOST_SHOWN: Final = 500
"""Displays of one conversation that are told; the terminal is answered to all of them."""

Shown: TypeAlias = Callable[[str], Awaitable[None]]

_FAILED: Final = Response(
    result=Result.FAILURE.value,
    error_condition=ErrorCondition.UNAVAILABLE_DEVICE.value,
    additional_response="This till has no such device.",
)


class Conversation:
    """One request and its answer."""

    def __init__(self, line: Line, request: Message, shown: Shown) -> None:
        """`shown` hears what the terminal shows."""
        self._line = line
        self._request = request
        self._shown = shown
        self._told = 0
        self._begun = False
        """Whether the terminal has asked for something inside our service."""
        self._unread = 0
        self._unreadable: RemoteProtocolError | None = None
        self._aborts: dict[str, asyncio.Future[None]] = {}
        self.over = asyncio.Event()
        """Set once there is nothing more to wait for."""
        self.heard = 0
        """Messages so far, so that whoever waits knows whether it has gone quiet."""

    async def send(self, ready: Ready) -> None:
        """Send the request; `ready` is asked at the last moment. Raises as `Line.send` does."""
        await self._line.send(self._request, ready)

    async def answer(self) -> Message:
        """The answer: the response to the request, or the event that it was rejected. Raises
        `AnswerLost`, `Refused`."""
        for _ in range(MOST_MESSAGES):
            message = await self._received()
            if message is not None and await self._is_answer(message):
                return message
        raise AnswerLost(f"No answer among {MOST_MESSAGES} messages.")

    async def _received(self) -> Message | None:
        """The next message; None when it cannot be read, and so may not be for us."""
        try:
            return await self._line.receive()
        except BadBody as error:
            if self._is_ours(error.header):
                raise AnswerLost(f"The answer cannot be read. {error}") from error
            self._overhear(error)
        except RemoteProtocolError as error:
            self._overhear(error)
        except AnswerLost as error:
            if self._unreadable is None:
                raise
            why = f"{error} What came before cannot be read. {self._unreadable}"
            raise AnswerLost(why) from self._unreadable
        finally:
            self.heard += 1
        return None

    def _overhear(self, error: RemoteProtocolError) -> None:
        self._unreadable = error
        self._unread += 1
        if self._unread > MOST_UNREADABLE:
            raise AnswerLost(f"More than {MOST_UNREADABLE} messages cannot be read. {error}")

    def _is_ours(self, header: MessageHeader) -> bool:
        """Whether this is the header of the response to our request."""
        asked = self._request.header
        same_number = (
            header.service_id == asked.service_id
            if asked.device_id is None
            else header.device_id == asked.device_id
        )
        return (
            same_number
            and header.message_type == MessageType.RESPONSE
            and header.message_category == asked.message_category
            and header.sale_id == asked.sale_id
            and header.poi_id == asked.poi_id
        )

    async def _is_answer(self, message: Message) -> bool:
        if isinstance(message.body, EventNotification):
            return self._is_rejection(message.header, message.body)
        if message.header.message_type == MessageType.RESPONSE:
            return self._is_ours(message.header)
        if message.header.message_class == MessageClass.DEVICE:
            await self._serve(message)
        return False

    def _is_rejection(self, header: MessageHeader, event: EventNotification) -> bool:
        aborted = self._aborts.get(header.service_id or "")
        if event.event_to_notify not in (EventToNotify.REJECT, EventToNotify.COMPLETED):
            return False
        if aborted is not None:
            if not aborted.done():
                aborted.set_result(None)
            return False
        # One that works on our request has not rejected it, but something that we answered it.
        return event.event_to_notify == EventToNotify.REJECT and not self._begun

    # --- what the terminal asks for -----------------------------------------------------------

    async def _serve(self, message: Message) -> None:
        """Show what it shows, and answer what it asks for, if it is inside our service."""
        header, body = message.header, message.body
        if header.service_id not in (None, self._request.header.service_id):
            return
        self._begun = True
        if isinstance(body, devices.DisplayRequest):
            text = display_text(body.display_output)
            self._told += 1
            if text and self._told <= MOST_SHOWN:
                await self._shown(text)
        response = device_response(body)
        if response is not None:
            await self._line.reply(Message(header=response_header(header), body=response))

    # --- calling it off -----------------------------------------------------------------------

    async def abort(self, request: Message, seconds: float) -> bool:
        """Send an Abort over the same line. Whether the terminal said within so many seconds that
        it came too late. Raises `AnswerLost`."""
        service_id = request.header.service_id
        assert service_id is not None, "an Abort has a ServiceID"
        refused = self._aborts[service_id] = asyncio.get_running_loop().create_future()
        await self._line.reply(request)
        over = asyncio.ensure_future(self.over.wait())
        try:
            await asyncio.wait(
                {refused, over}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            over.cancel()
        return refused.done()

    async def tell(self, message: Message) -> None:
        """Send something that has no answer over the same line. Raises `AnswerLost`."""
        await self._line.reply(message)

    async def close(self) -> None:
        """Hang up."""
        self.over.set()
        await self._line.close()


def device_response(body: Body) -> Body | None:
    """What a till that only shows texts answers to a device request; None where none is due."""
    match body:
        case devices.DisplayRequest():
            outputs = body.display_output
            if all(each.response_required_flag is False for each in outputs):
                return None
            done = Response(result=Result.SUCCESS.value)
            results = tuple(
                devices.OutputResult(
                    device=each.device, info_qualify=each.info_qualify, response=done
                )
                for each in outputs
            )
            return devices.DisplayResponse(output_result=results)
        case devices.InputRequest():
            return _input_response(body)
        case devices.PrintRequest():
            qualifier = body.print_output.document_qualifier
            return devices.PrintResponse(document_qualifier=qualifier, response=_FAILED)
        case devices.SoundRequest():
            silent = body.response_mode in (None, ResponseMode.NOT_REQUIRED)
            return None if silent else devices.SoundResponse(response=_FAILED)
        case devices.PINRequest():
            return devices.PINResponse(response=_FAILED)
        case devices.CardReaderInitRequest():
            return devices.CardReaderInitResponse(response=_FAILED)
        case devices.CardReaderAPDURequest():
            return devices.CardReaderAPDUResponse(response=_FAILED)
        case devices.CardReaderPowerOffRequest():
            return devices.CardReaderPowerOffResponse(response=_FAILED)
        case devices.TransmitRequest():
            return devices.TransmitResponse(response=_FAILED)
    return None


def _input_response(body: devices.InputRequest) -> devices.InputResponse:
    asked, shown = body.input_data, body.display_output
    return devices.InputResponse(
        output_result=None
        if shown is None
        else devices.OutputResult(
            device=shown.device, info_qualify=shown.info_qualify, response=_FAILED
        ),
        input_result=devices.InputResult(
            device=asked.device, info_qualify=asked.info_qualify, response=_FAILED
        ),
    )
