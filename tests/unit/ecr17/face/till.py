"""A till at a lane, as a cash register's programmer writes it: frames out, frames in, over the
virtual network to the gateway's own listener."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine
from tillwire.core.model import State, Transaction
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire import (
    ACK,
    Ack,
    Application,
    CaptureRequest,
    CloseSessionRequest,
    Deframer,
    ExtendedPaymentRequest,
    Frame,
    IncrementRequest,
    LastResultRequest,
    Nak,
    PaymentRequest,
    PreauthorisationRequest,
    Progress,
    ReceiptPart,
    Request,
    ReversalRequest,
    StatusRequest,
    TotalsRequest,
    application,
)

T = TypeVar("T")
Scenario = Callable[[GatewayUnderTest], Coroutine[Any, Any, T]]

PORT: Final = 8804
TID: Final = "30350001"
REGISTER: Final = "00000001"
APPROVED, DECLINED, NO_CARD, LOST, RESTART, SLOW, CONVERTED, UNREACHABLE = (
    1000,
    1040,
    1044,
    1046,
    1047,
    1049,
    1051,
    1052,
)
"""Cents, of which the last two decide."""
PATIENCE: Final = 400.0
"""Virtual seconds after which a test stops listening."""


def machine(disk: Path, **settings: Any) -> Machine:
    """A gateway with one lane, that of the first virtual terminal."""
    told = {"organisation": "shop", "terminal": "TILLWIRE-V1-0001", **settings}
    return Machine(disk, faces={"ecr17": PORT}, settings={"ecr17": told})


def live(disk: Path, scenario: Scenario[T], **settings: Any) -> T:
    """Play the scenario on it."""
    return machine(disk, **settings).live(scenario).result  # type: ignore[return-value]


class Till:
    """One connection of a cash register."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.shown: list[str] = []
        """Progress, as it came."""
        self._deframer = Deframer()
        self._frames: list[Frame] = []

    @classmethod
    async def open(cls, port: int = PORT) -> Till:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def write(self, *octets: bytes) -> None:
        """Write all of it in one piece."""
        self.writer.write(b"".join(octets))

    def say(self, *requests: Request) -> None:
        """Write requests, one right behind the other."""
        self.write(*map(framed, requests))

    def acknowledge(self) -> None:
        self.write(ACK)

    async def next(self, within: float = PATIENCE) -> Frame | None:
        """The next frame; None at the end of the connection. Raises `TimeoutError`."""
        async with asyncio.timeout(within):
            while not self._frames:
                octets = await self.reader.read(65536)
                if not octets:
                    return None
                self._frames += self._deframer.feed(octets)
        return self._frames.pop(0)

    async def hear(self, within: float = PATIENCE) -> Frame | None:
        """The next frame that is no progress."""
        while isinstance(frame := await self.next(within), Progress):
            self.shown.append(frame.text)
        return frame

    async def is_acked(self) -> bool:
        """Whether the next frame is an ACK, and not a NAK."""
        frame = await self.hear()
        assert isinstance(frame, Ack | Nak), frame
        return isinstance(frame, Ack)

    async def payload(self, within: float = PATIENCE) -> bytes:
        """The next message's, as it came."""
        frame = await self.hear(within)
        assert isinstance(frame, Application), frame
        assert frame.lrc_ok(wire.Lrc.STX)
        return frame.payload

    async def asks(self, request: Request, *, acknowledges: bool = True) -> Any:
        """Send a request, and read its result; None after a NAK."""
        self.say(request)
        if not await self.is_acked():
            return None
        result = wire.decode_result(await self.payload(), request)
        if acknowledges:
            self.acknowledge()
        return result

    async def tickets(self) -> list[str]:
        """Read the parts of a ticket to its end, and acknowledge each."""
        reader = wire.TicketReader()
        while True:
            part = wire.decode_result(await self.payload())
            assert isinstance(part, ReceiptPart)
            self.acknowledge()
            if whole := reader.feed(part):
                return whole

    async def is_silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long but progress."""
        try:
            await self.hear(seconds)
        except TimeoutError:
            return True
        return False

    def hang_up(self) -> None:
        self.writer.close()

    async def __aenter__(self) -> Till:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hang_up()


def framed(request: Request) -> bytes:
    return application(wire.encode(request))


def pay(amount: int = APPROVED, **special: Any) -> ExtendedPaymentRequest:
    return ExtendedPaymentRequest(**_by(special), amount=amount)


def short_pay(amount: int = APPROVED, **special: Any) -> PaymentRequest:
    return PaymentRequest(**_by(special), amount=amount)


def reserve(amount: int = APPROVED, **special: Any) -> PreauthorisationRequest:
    return PreauthorisationRequest(**_by(special), amount=amount)


def increase(code: str, amount: int, **special: Any) -> IncrementRequest:
    return IncrementRequest(**_by(special), amount=amount, preauthorisation_code=code)


def capture(code: str, amount: int, **special: Any) -> CaptureRequest:
    return CaptureRequest(**_by(special), amount=amount, preauthorisation_code=code)


def reverse(stan: str = wire.NO_STAN, **special: Any) -> ReversalRequest:
    return ReversalRequest(**_by(special), stan=stan)


def last(**special: Any) -> LastResultRequest:
    return LastResultRequest(**_by(special))


def totals(**special: Any) -> TotalsRequest:
    return TotalsRequest(**_by(special))


def close(**special: Any) -> CloseSessionRequest:
    return CloseSessionRequest(**_by(special))


def status(tid: str = TID) -> StatusRequest:
    return StatusRequest(tid=tid)


def _by(special: dict[str, Any]) -> dict[str, Any]:
    return {"tid": TID, "cash_register": REGISTER, **special}


async def until(gateway: GatewayUnderTest, state: State, count: int = 1) -> Transaction:
    """Wait until so many transactions are in this state; the last one."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = [each for each in gateway.transactions() if each.state is state]
            if len(found) >= count:
                return found[-1]
            await asyncio.sleep(0.05)
