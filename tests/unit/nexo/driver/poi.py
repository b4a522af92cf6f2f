"""A nexo terminal that does as its script says, behind each of the three bindings.

What it does by itself is what a good terminal does: it approves, remembers what it answered, and
repeats it. `Poi.charged` is the truth about the money, whatever anybody hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from tests.kit.network import LOOPBACK
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire import Body, Message, MessageHeader, framing, response_header
from tillwire.dialects.nexo.wire.devices import DisplayRequest
from tillwire.dialects.nexo.wire.instruments import CardData, PaymentInstrumentData
from tillwire.dialects.nexo.wire.outputs import (
    DisplayOutput,
    OutputContent,
    OutputText,
    PaymentReceipt,
)
from tillwire.dialects.nexo.wire.services import (
    AbortRequest,
    CardAcquisitionResponse,
    DiagnosisResponse,
    EventNotification,
    LoginResponse,
    PaymentRequest,
    PaymentResponse,
    PaymentResult,
    RepeatedMessageResponse,
    RepeatedResponseMessageBody,
    ReversalRequest,
    ReversalResponse,
    TransactionStatusRequest,
    TransactionStatusResponse,
)
from tillwire.dialects.nexo.wire.shared import (
    AmountsResp,
    PaymentAcquirerData,
    POIData,
    POIStatus,
    Response,
    TransactionIdentification,
)

SUCCESS: Final = Response(result="Success")
PORT: Final = 7778

Send = Callable[[Message | bytes], Awaitable[None]]
Act = Callable[["Poi", Message, Send], Awaitable[None]]
"""What the terminal does with a message: `send` goes back over the same line."""


class HangUp(Exception):
    """The terminal closes the connection."""


class Http(Exception):
    """The terminal's web server answers by itself."""

    def __init__(self, status: int, body: bytes = b"") -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class Poi:
    """The terminal."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        """Requests that arrived whole."""
        self.told: list[Message] = []
        """Responses to its own requests, and Aborts, in the order of their arrival."""
        self.charged: dict[str, int] = {}
        """ServiceID -> times that it was done."""
        self.done: dict[str, Message] = {}
        """ServiceID -> the response that it remembers."""
        self.script: dict[str, deque[Act]] = defaultdict(deque)
        """By category: what it does with the next messages; afterwards, what is usual."""
        self.flat = False

    def will(self, category: str, *acts: Act) -> Poi:
        """Do this with the next messages of the category."""
        self.script[category].extend(acts)
        return self

    def of(self, category: str) -> list[Message]:
        """The requests of this category that arrived."""
        return [each for each in self.heard if each.header.message_category == category]

    async def hear(self, octets: bytes, send: Send) -> None:
        """A message has arrived whole."""
        message = wire.decode(octets)
        if message.header.message_type == "Response":
            self.told.append(message)
            return
        if isinstance(message.body, AbortRequest):
            self.told.append(message)
        self.heard.append(message)
        category = message.header.message_category
        script = self.script[category]
        act = script.popleft() if script else USUALLY.get(category, silent)
        await act(self, message, send)

    def charge(self, message: Message) -> None:
        """Do what it asks for."""
        service_id = message.header.service_id
        assert service_id is not None
        self.charged[service_id] = self.charged.get(service_id, 0) + 1

    def keep(self, message: Message, body: Body) -> Message:
        """The response, which it remembers."""
        answer = Message(header=response_header(message.header), body=body)
        self.done[message.header.service_id or ""] = answer
        return answer


# --- what it may do -------------------------------------------------------------------------------


async def silent(poi: Poi, message: Message, send: Send) -> None:
    """Nothing."""


async def hang_up(poi: Poi, message: Message, send: Send) -> None:
    """Close the connection."""
    raise HangUp


def http(status: int, body: bytes = b"") -> Act:
    """Answer below the protocol."""

    async def act(poi: Poi, message: Message, send: Send) -> None:
        raise Http(status, body)

    return act


def approve(**changes: Any) -> Act:
    """Do it and say so; `changes` are of the response's body."""

    async def act(poi: Poi, message: Message, send: Send) -> None:
        poi.charge(message)
        body = approval(message)
        await send(poi.keep(message, msgspec.structs.replace(body, **changes)))

    return act


def amounts(result: str = "Success", **changes: Any) -> Act:
    """Do it and say so, with other amounts."""

    async def act(poi: Poi, message: Message, send: Send) -> None:
        poi.charge(message)
        body = approval(message)
        assert isinstance(body, PaymentResponse)
        assert body.payment_result is not None
        assert body.payment_result.amounts_resp is not None
        told = msgspec.structs.replace(body.payment_result.amounts_resp, **changes)
        paid = msgspec.structs.replace(body.payment_result, amounts_resp=told)
        body = msgspec.structs.replace(body, payment_result=paid, response=Response(result=result))
        await send(poi.keep(message, body))

    return act


def fail(condition: str, *, remembered: bool = True, words: str = "because") -> Act:
    """Say that it failed."""

    async def act(poi: Poi, message: Message, send: Send) -> None:
        response = Response(result="Failure", error_condition=condition, additional_response=words)
        body = failure(message, response)
        answer = Message(header=response_header(message.header), body=body)
        if remembered:
            poi.keep(message, body)
        await send(answer)

    return act


def wait(seconds: float) -> Act:
    """Let time pass."""

    async def act(poi: Poi, message: Message, send: Send) -> None:
        await asyncio.sleep(seconds)

    return act


def both(*acts: Act) -> Act:
    """One after the other."""

    async def act(poi: Poi, message: Message, send: Send) -> None:
        for each in acts:
            await each(poi, message, send)

    return act


def say(make: Callable[[Message], Message | bytes]) -> Act:
    """Send what is made of the request."""

    async def act(poi: Poi, message: Message, send: Send) -> None:
        await send(make(message))

    return act


async def do_it_and_lose_the_answer(poi: Poi, message: Message, send: Send) -> None:
    """It is done and remembered, but the answer never leaves."""
    poi.charge(message)
    poi.keep(message, approval(message))


async def repeat(poi: Poi, message: Message, send: Send) -> None:
    """Say what it remembers of a message."""
    body = message.body
    assert isinstance(body, TransactionStatusRequest)
    reference = body.message_reference
    known = poi.done.get((reference.service_id if reference else "") or "")
    if known is None:
        await fail("NotFound", remembered=False)(poi, message, send)
        return
    await send(Message(header=response_header(message.header), body=repeated(known)))


def repeated(known: Message) -> TransactionStatusResponse:
    """A response with another one in it."""
    inner = known.body
    body = RepeatedResponseMessageBody(
        payment_response=inner if isinstance(inner, PaymentResponse) else None,
        reversal_response=inner if isinstance(inner, ReversalResponse) else None,
        card_acquisition_response=inner if isinstance(inner, CardAcquisitionResponse) else None,
    )
    return TransactionStatusResponse(
        response=SUCCESS,
        repeated_message_response=RepeatedMessageResponse(
            message_header=known.header, repeated_response_message_body=body
        ),
    )


async def let_in(poi: Poi, message: Message, send: Send) -> None:
    """Open a session."""
    body = LoginResponse(response=SUCCESS)
    await send(Message(header=response_header(message.header), body=body))


async def diagnose(poi: Poi, message: Message, send: Send) -> None:
    """Say that all is well."""
    body = DiagnosisResponse(response=SUCCESS, poi_status=POIStatus(global_status="OK"))
    await send(Message(header=response_header(message.header), body=body))


USUALLY: Final[dict[str, Act]] = {
    "Payment": approve(),
    "Reversal": approve(),
    "TransactionStatus": repeat,
    "Login": let_in,
    "Diagnosis": diagnose,
    "Abort": silent,
}


# --- what it says ---------------------------------------------------------------------------------


def approval(message: Message) -> PaymentResponse | ReversalResponse:
    """The response of a terminal that did all that it was asked for."""
    body = message.body
    poi_data = POIData(
        poi_transaction_id=TransactionIdentification(
            transaction_id=f"P-{message.header.service_id}", time_stamp="2026-03-14T09:20:01Z"
        )
    )
    if isinstance(body, ReversalRequest):
        return ReversalResponse(
            response=SUCCESS, poi_data=poi_data, reversed_amount=body.reversed_amount
        )
    assert isinstance(body, PaymentRequest)
    asked = body.payment_transaction.amounts_req
    assert asked.requested_amount is not None
    return PaymentResponse(
        response=SUCCESS,
        sale_data=body.sale_data,
        poi_data=poi_data,
        payment_result=PaymentResult(
            payment_type=body.payment_data.payment_type if body.payment_data else None,
            payment_instrument_data=PaymentInstrumentData(
                payment_instrument_type="Card",
                card_data=CardData(
                    payment_brand="Testcard Debit",
                    masked_pan="999900******0017",
                    entry_mode=("Contactless",),
                ),
            ),
            amounts_resp=AmountsResp(
                currency=asked.currency,
                authorized_amount=asked.requested_amount,
                tip_amount=asked.tip_amount,
            ),
            authentication_method=("OnlinePIN",),
            payment_acquirer_data=PaymentAcquirerData(
                approval_code="7K2P19",
                acquirer_transaction_id=TransactionIdentification(
                    transaction_id="632511884210", time_stamp="2026-03-14T09:20:05Z"
                ),
            ),
        ),
        payment_receipt=(receipt("CustomerReceipt", "CUSTOMER"), receipt("CashierReceipt", "SHOP")),
    )


def failure(message: Message, response: Response) -> Body:
    """The response that it failed, to whatever it was."""
    kind = wire.KIND[message.header.message_category, "Response"]
    known: dict[str, Any] = {"response": response}
    if isinstance(message.body, PaymentRequest):
        known["sale_data"] = message.body.sale_data
    body: Body = kind(**known)
    return body


def receipt(qualifier: str, text: str) -> PaymentReceipt:
    """A receipt of one line."""
    content = OutputContent(output_format="Text", output_text=(OutputText(text=text),))
    return PaymentReceipt(document_qualifier=qualifier, output_content=content)


def display(text: str, *, wants_response: bool = False, device_id: str = "d1") -> Act:
    """Show a text to the cashier, within the service."""

    def make(message: Message) -> Message:
        output = DisplayOutput(
            device="CashierDisplay",
            info_qualify="Status",
            response_required_flag=wants_response,
            output_content=OutputContent(
                output_format="Text", output_text=(OutputText(text=text),)
            ),
        )
        return device_message(message, DisplayRequest(display_output=(output,)), device_id)

    return say(make)


def device_message(message: Message, body: Body, device_id: str = "d1") -> Message:
    """A device request within the service that `message` asks for."""
    header = msgspec.structs.replace(
        message.header,
        message_class="Device",
        message_category=type(body).__name__.removesuffix("Request"),
        device_id=device_id,
    )
    return Message(header=header, body=body)


def event(
    kind: str,
    service_id: str | None = None,
    details: str = "words",
    device_id: str | None = None,
) -> Act:
    """Tell an event; its ServiceID is the message's unless it is given."""

    def make(message: Message) -> Message:
        header = MessageHeader(
            message_class="Event",
            message_category="Event",
            message_type="Notification",
            service_id=service_id or message.header.service_id,
            device_id=device_id,
            sale_id=message.header.sale_id,
            poi_id=message.header.poi_id,
        )
        body = EventNotification(
            time_stamp="2026-03-14T09:20:00Z", event_to_notify=kind, event_details=details
        )
        return Message(header=header, body=body)

    return say(make)


# --- bindings -------------------------------------------------------------------------------------


async def listen_tcp(poi: Poi, port: int = PORT, tls: ssl.SSLContext | None = None) -> None:
    """Framed messages; each is acted upon in a task of its own, so that an Abort is heard."""
    acting: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = framing.Frames()

        async def send(said: Message | bytes) -> None:
            octets = said if isinstance(said, bytes) else framing.frame(wire.encode(said))
            with contextlib.suppress(OSError):
                writer.write(octets)

        async def act(octets: bytes) -> None:
            try:
                await poi.hear(octets, send)
            except HangUp:
                writer.close()

        try:
            while octets := await reader.read(65536):
                for each in frames.feed(octets):
                    task = asyncio.create_task(act(each))
                    acting.add(task)
                    task.add_done_callback(acting.discard)
        except OSError:
            return
        finally:
            writer.close()

    await asyncio.start_server(serve, LOOPBACK, port, ssl=tls)


Answered = tuple[int, bytes]


async def _listen_http(
    port: int,
    tls: ssl.SSLContext | None,
    answer: Callable[[str, str, bytes], Awaitable[Answered]],
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
                size = next(
                    (
                        int(line.partition(b":")[2])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length:")
                    ),
                    0,
                )
                status, body = await answer(method, path, await reader.readexactly(size))
                said = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(said.encode() + body)
        except (OSError, asyncio.IncompleteReadError, HangUp):
            return
        finally:
            writer.close()

    await asyncio.start_server(serve, LOOPBACK, port, ssl=tls)


async def listen_held(poi: Poi, port: int = PORT, tls: ssl.SSLContext | None = None) -> None:
    """One message in a POST, whose answer is the first thing that is said."""

    async def answer(method: str, path: str, body: bytes) -> Answered:
        said: asyncio.Future[Message | bytes] = asyncio.get_running_loop().create_future()

        async def send(message: Message | bytes) -> None:
            if not said.done():
                said.set_result(message)

        if (method, path) != ("POST", "/nexo/"):
            return 404, b""
        aborts = b'"AbortRequest"' in body
        try:
            await poi.hear(body, send)
            if aborts and not said.done():
                return 200, b"ok"
            words = await said
        except Http as status:
            return status.status, status.body
        return 200, words if isinstance(words, bytes) else wire.encode(words)

    await _listen_http(port, tls, answer)


class Flat:
    """Market Pay's HTTP binding: posted, and polled for."""

    SYNCHRONOUS: Final = frozenset(
        {"login", "abort", "status", "diagnosis", "logout", "display", "print", "input", "totals"}
    )

    def __init__(self, poi: Poi) -> None:
        self.poi = poi
        self.polls: list[str] = []
        """Resources that were polled."""
        self.waiting: dict[str, deque[Message | bytes | Http]] = {}
        """By resource that something runs on: what is to be polled for."""
        self.accepted: Answered = 202, b""
        """How a POST is answered that begins something."""
        self._acting: set[asyncio.Task[None]] = set()

    async def answer(self, method: str, path: str, body: bytes) -> Answered:
        """Answer one request."""
        resource = path.strip("/")
        if method == "GET":
            return self._polled(resource)
        if resource in self.SYNCHRONOUS:
            return await self._at_once(body)
        script = self.poi.script[wire.decode(body).header.message_category]
        if script and getattr(script[0], "refuses", False):
            self.poi.heard.append(wire.decode(body))
            try:
                await script.popleft()(self.poi, self.poi.heard[-1], _nowhere)
            except Http as status:
                return status.status, status.body
        if resource in self.waiting:
            return 403, b""
        waiting = self.waiting[resource] = deque()
        task = asyncio.create_task(self._act(body, waiting))
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)
        return self.accepted

    async def _act(self, body: bytes, waiting: deque[Message | bytes | Http]) -> None:
        async def send(message: Message | bytes) -> None:
            waiting.append(message)

        try:
            await self.poi.hear(body, send)
        except Http as status:
            waiting.append(status)

    async def _at_once(self, body: bytes) -> Answered:
        said: list[Message | bytes] = []

        async def send(message: Message | bytes) -> None:
            said.append(message)

        try:
            await self.poi.hear(body, send)
        except Http as status:
            return status.status, status.body
        if not said:
            return 202, b""
        words = said[0]
        return 200, words if isinstance(words, bytes) else wire.encode(words, flat=True)

    def _polled(self, resource: str) -> Answered:
        self.polls.append(resource)
        waiting = self.waiting.get(resource)
        if waiting is None:
            return 423, b""
        if not waiting:
            return 204, b""
        words = waiting.popleft()
        if isinstance(words, Http):
            return words.status, words.body
        if isinstance(words, bytes):
            return 200, words
        if words.header.message_class == "Device":
            return 206 if waiting else 201, wire.encode(words, flat=True)
        del self.waiting[resource]
        return 200, wire.encode(words, flat=True)


def refuse_post(status: int, body: bytes = b"") -> Act:
    """Answer the POST itself with a status."""
    act = http(status, body)
    act.refuses = True  # type: ignore[attr-defined]  # read by Flat alone
    return act


async def _nowhere(said: Message | bytes) -> None:
    """Nobody hears it."""


async def listen_flat(poi: Poi, port: int = PORT, tls: ssl.SSLContext | None = None) -> Flat:
    """Flat messages, posted and polled for."""
    flat = Flat(poi)
    await _listen_http(port, tls, flat.answer)
    return flat
