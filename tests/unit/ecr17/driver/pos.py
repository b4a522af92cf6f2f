"""An ECR17 terminal that does as its script says.

What it does by itself is what a good terminal does: ACK, the result, receipts if they were asked
for, and its last result again. `Pos.charged` is the truth about the money, whatever anybody hears
of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from tests.kit.network import LOOPBACK
from tests.kit.virtual_loop import virtual_loop
from tillwire.clock import local
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire import ACK, NAK, Ack, Application, HostTime, Lrc, Nak

PORT: Final = 8081
TID: Final = "12345678"
TICKET: Final = "NEXI PAYMENTS\nCOPIA CLIENTE\nEUR 42,50"


class HangUp(Exception):
    """The terminal closes the connection."""


class Wire:
    """A connection, as the terminal sees it."""

    def __init__(self, pos: Pos, writer: asyncio.StreamWriter) -> None:
        self.pos = pos
        self._writer = writer
        self.controls: asyncio.Queue[Ack | Nak] = asyncio.Queue()

    async def raw(self, octets: bytes) -> None:
        with contextlib.suppress(OSError):
            self._writer.write(octets)
            await self._writer.drain()

    async def tell(self, result: wire.Result) -> None:
        """A message, without waiting whether it is acknowledged."""
        await self.raw(self.pos.frame(result))

    async def told(self, result: wire.Result, times: int = 3) -> bool:
        """A message, until it is acknowledged."""
        for _ in range(times):
            await self.tell(result)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    if isinstance(await self.controls.get(), Ack):
                        return True
        return False


Act = Callable[[Wire, wire.Request], Awaitable[None]]
"""What the terminal does with a request."""


class Pos:
    """The terminal."""

    def __init__(self, reading: Lrc = Lrc.STX) -> None:
        self.reading = reading
        self.checks_tid = False
        self.heard: list[wire.Request] = []
        """Requests whose check character was right."""
        self.garbled = 0
        """Requests whose check character was wrong."""
        self.acks: list[Ack | Nak] = []
        self.connections = 0
        self.charged: list[str] = []
        """The STAN of each command that moved money."""
        self.stan = 123
        self.saved: wire.Result | None = None
        self.routed = False
        self.script: dict[str, deque[Act]] = defaultdict(deque)

    def will(self, code: str, *acts: Act) -> None:
        """Do this with the next requests of this code."""
        self.script[code].extend(acts)

    def of(self, code: str) -> list[Any]:
        """The requests of this code that arrived."""
        return [each for each in self.heard if wire.encode(each)[9:10].decode() == code]

    @property
    def codes(self) -> str:
        """The codes of all requests that arrived, in their order."""
        return "".join(wire.encode(each)[9:10].decode() for each in self.heard)

    def frame(self, result: wire.Result) -> bytes:
        return wire.application(wire.encode(result), self.reading)

    def charge(self, request: wire.Request, **changes: Any) -> wire.Result:
        """Do what it asks for; the result, which is saved."""
        self.stan += 1
        stan = f"{self.stan:06}"
        self.charged.append(stan)
        self.saved = approval(request, changes.pop("stan", stan), **changes)
        return self.saved

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        deframer, connection = wire.Deframer(), Wire(self, writer)
        acting: set[asyncio.Task[None]] = set()
        try:
            while octets := await reader.read(4096):
                for frame in deframer.feed(octets):
                    if isinstance(frame, Ack | Nak):
                        self.acks.append(frame)
                        connection.controls.put_nowait(frame)
                    elif isinstance(frame, Application):
                        task = asyncio.create_task(self._hear(connection, frame))
                        acting.add(task)
                        task.add_done_callback(acting.discard)
        except OSError:
            return
        finally:
            writer.close()

    async def _hear(self, connection: Wire, frame: Application) -> None:
        if not frame.lrc_ok(self.reading):
            self.garbled += 1
            await connection.raw(NAK)
            return
        request = wire.decode_request(frame.payload)
        if self.checks_tid and request.tid not in (TID, wire.ANY_TID):
            await connection.raw(NAK)
            return
        self.heard.append(request)
        script = self.script[frame.code]
        act = script.popleft() if script else USUALLY.get(frame.code, nak)
        try:
            await act(connection, request)
        except HangUp:
            connection._writer.close()


async def listen(pos: Pos, port: int = PORT) -> None:
    """Let the terminal be reached."""
    await asyncio.start_server(pos.serve, LOOPBACK, port)


# --- what it does -------------------------------------------------------------------------------


def both(*acts: Act) -> Act:
    """One after the other."""

    async def act(connection: Wire, request: wire.Request) -> None:
        for each in acts:
            await each(connection, request)

    return act


def wait(seconds: float) -> Act:
    async def act(connection: Wire, request: wire.Request) -> None:
        await asyncio.sleep(seconds)

    return act


def raw(octets: bytes) -> Act:
    async def act(connection: Wire, request: wire.Request) -> None:
        await connection.raw(octets)

    return act


def display(text: str) -> Act:
    return raw(wire.progress(text))


ack: Final = raw(ACK)
nak: Final = raw(NAK)


async def silent(connection: Wire, request: wire.Request) -> None:
    """Nothing at all."""


async def hang_up(connection: Wire, request: wire.Request) -> None:
    raise HangUp


def result(**changes: Any) -> Act:
    """The result of a command, which is done; no ACK before it."""

    async def act(connection: Wire, request: wire.Request) -> None:
        await connection.told(connection.pos.charge(request, **changes))

    return act


def refuse(code: str = "01", text: str = "", **changes: Any) -> Act:
    """A result that is no approval; nothing is charged."""

    async def act(connection: Wire, request: wire.Request) -> None:
        await connection.told(refusal(request, code, text, **changes))

    return act


def say(told: wire.Result) -> Act:
    async def act(connection: Wire, request: wire.Request) -> None:
        await connection.told(told)

    return act


async def charge_alone(connection: Wire, request: wire.Request) -> None:
    """It is done, and nobody hears of it."""
    connection.pos.charge(request)


async def receipts(connection: Wire, request: wire.Request) -> None:
    """The ticket, if it was asked for."""
    if connection.pos.routed:
        connection.pos.routed = False
        for part in wire.receipt_parts(TID, TICKET):
            await connection.told(part)


async def _route(connection: Wire, request: wire.Request) -> None:
    assert isinstance(request, wire.ReceiptRoutingRequest)
    connection.pos.routed = request.routing is wire.Routing.ECR
    await connection.raw(ACK)


async def _status(connection: Wire, request: wire.Request) -> None:
    await connection.raw(ACK)
    await connection.told(wire.StatusResult(tid=TID, state="2", release="SYS03.4 "))


async def _last(connection: Wire, request: wire.Request) -> None:
    await connection.raw(ACK)
    nothing = wire.UnassignedResult(tid=TID, result="01", error_text="NESSUNA OPERAZIONE")
    await connection.told(connection.pos.saved or nothing)


async def _reprint(connection: Wire, request: wire.Request) -> None:
    await connection.raw(ACK)
    for part in wire.receipt_parts(TID, TICKET):
        await connection.told(part)


approve: Final = both(ack, result(), receipts)
USUALLY: Final[dict[str, Act]] = {
    "s": _status,
    "G": _last,
    "E": _route,
    "R": _reprint,
    "U": ack,
    **dict.fromkeys("XpicSA", approve),
    "T": both(ack, say(wire.TotalsResult(tid=TID, result="00", terminal_total=123_456))),
    "C": both(
        ack,
        say(
            wire.CloseSessionResult(
                tid=TID, result="00", terminal_total=123_456, host_total=123_456
            )
        ),
    ),
}


# --- results ------------------------------------------------------------------------------------


def host_now() -> HostTime:
    """The host's clock, in Rome."""
    moment = local(virtual_loop().clock.now(), "Europe/Rome")
    return HostTime(moment.timetuple().tm_yday, moment.hour, moment.minute)


_RESULTS: Final[dict[type[Any], type[Any]]] = {
    wire.ExtendedPaymentRequest: wire.PaymentResult,
    wire.PreauthorisationRequest: wire.PreauthorisationResult,
    wire.IncrementRequest: wire.IncrementResult,
    wire.CaptureRequest: wire.CaptureResult,
    wire.ReversalRequest: wire.ReversalResult,
    wire.RefundRequest: wire.RefundResult,
}


def approval(request: wire.Request, stan: str, **changes: Any) -> wire.Result:
    """An approval of what was asked for."""
    kind = changes.pop("kind", _RESULTS[type(request)])
    known: dict[str, Any] = {
        "last_four": "0034",
        "transaction_type": "CLI",
        "authorisation_code": "A1B2C3",
        "host_time": host_now(),
        "acquirer": "00000000034",
        "stan": stan,
        "online_id": "000457",
        "card_type": "1",
        "action_code": "000",
        "amount": getattr(request, "amount", None),
        "preauthorisation_code": "987654321",
    }
    if kind is wire.ReversalResult:
        known["authorisation_code"] = ""
    fields = {name: each for name, each in known.items() if name in kind.__struct_fields__}
    made: wire.Result = kind(**{"tid": TID, "result": "00"} | fields | changes)
    return made


def refusal(request: wire.Request, code: str, text: str, **changes: Any) -> wire.Result:
    """No approval."""
    kind = _RESULTS[type(request)]
    made = kind(tid=TID, result=code, error_text=text)
    known: dict[str, Any] = {"stan": "000124", "card_type": "2", "action_code": "116"}
    if kind is wire.PaymentResult:
        known["amount"] = getattr(request, "amount", 0)
    fields = {name: each for name, each in known.items() if name in kind.__struct_fields__}
    changed: wire.Result = msgspec.structs.replace(made, **fields | changes)
    return changed
