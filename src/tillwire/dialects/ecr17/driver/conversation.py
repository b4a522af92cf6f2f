"""One exchange with a terminal: a request, its ACK, what is told meanwhile, and its result.

    request -> ACK -> progress ... -> result -> ACK (ours) -> receipts, data of the host

A NAK is a proof of refusal, and the one reason for which a request goes out again. To tell what a
NAK is of, the line is listened to for a moment before that: whoever says NAK twice, or ACK behind
it, is not asked again. A result without an ACK is one as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from tillwire.dialects.ecr17.driver.line import Line
from tillwire.dialects.ecr17.wire import (
    ACK,
    NAK,
    Ack,
    Application,
    Frame,
    HostData,
    Lrc,
    Nak,
    Progress,
    ReceiptPart,
    Request,
    Result,
    Spelling,
    TicketReader,
    Unreadable,
    application,
    decode_result,
    encode,
)
from tillwire.errors import AnswerLost, NotDelivered, PeerError, Proof

TRIES: Final = 3
"""How often a frame is sent at most (Nexi ECR-LAN: up to three times)."""
BEFORE_AGAIN: Final = 0.5
"""Seconds between a NAK and the same request once more."""
MORE_WITHIN: Final = 1.0
"""Seconds after one receipt in which another may begin."""
DRAIN_WITHIN: Final = 15.0
"""Seconds for all receipts of a command."""
MOST_TICKETS: Final = 4

Ready = Callable[[], None]
"""Called right before a request is written. What it raises ends the sending."""
Shown = Callable[[str], Awaitable[None]]
"""Hears that the terminal works, and the text that it shows, if any."""

_BESIDE: Final = frozenset("SU")
"""Codes of the messages that come beside a result: receipts, and data of the host."""


class Silent(AnswerLost):
    """Nothing came, so nobody can tell whether the terminal has heard it."""


class Refused(NotDelivered):
    """The terminal answered with NAK."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, Proof.REFUSED_BY_PEER)


class Conversation:
    """One exchange on a line."""

    def __init__(self, line: Line, reading: Lrc, spelling: Spelling) -> None:
        self._line = line
        self._reading = reading
        self._spelling = spelling
        self._tickets = TicketReader()
        self._taken = b""
        self.acknowledged = False
        """Whether an ACK came, and not only what follows on one."""
        self.receipts: list[str] = []
        """Those that are whole, as text."""
        self.host_data = ""

    # --- the request ----------------------------------------------------------------------------

    async def send(
        self, request: Request, ready: Ready, seconds: float, *, tries: int = TRIES
    ) -> None:
        """Send it until it is taken; each ACK is waited for so many seconds.

        Raises `Refused`, whatever `ready` raises, and for all that says nothing `AnswerLost`.
        """
        octets = application(encode(request, self._spelling), self._reading)
        for number in range(1, tries + 1):
            self._still(ready, number)
            await self._line.write(octets)
            if await self._is_taken(seconds):
                return
        raise Refused(
            f"It said NAK {tries} times: it is busy, or shows another menu, or the terminal id "
            "(tid), the check character (lrc) or the command is not what it wants."
        )

    def _still(self, ready: Ready, number: int) -> None:
        try:
            ready()
        except NotDelivered as late:
            if number == 1:
                raise
            raise Refused(f"It said NAK {number - 1} times. {late.detail}") from late

    async def _is_taken(self, seconds: float) -> bool:
        """False for a NAK after which the request may go out again. Raises `Refused` for one after
        which it may not, and `AnswerLost`."""
        frame = await self._line.frame(seconds)
        if frame is None:
            raise Silent(f"No ACK within {seconds:g} s.")
        if not isinstance(frame, Nak):
            self._keep(frame)
            return True
        try:
            after = await self._line.frame(BEFORE_AGAIN)
        except AnswerLost:
            raise Refused("It said NAK, and hung up.") from None
        if isinstance(after, Nak):
            raise Refused("It said NAK more often than it was asked.")
        if after is not None:
            self._keep(after)
        return after is not None

    def _keep(self, frame: Frame) -> None:
        if isinstance(frame, Ack):
            self.acknowledged = True
        else:
            self._line.put_back(frame)

    # --- the result -----------------------------------------------------------------------------

    async def result(self, request: Request, shown: Shown, seconds: float, capped: float) -> Result:
        """The result, whose check character is right; to be acknowledged. It is waited for so many
        seconds since the last sign of life, and `capped` in all. Raises `AnswerLost`."""
        loop, bad = asyncio.get_running_loop(), 0
        end = loop.time() + capped
        patience = loop.time() + seconds
        while True:
            left = min(end, patience) - loop.time()
            frame = await self._line.frame(left) if left > 0 else None
            if frame is None:
                raise Silent("No result came in time.")
            if isinstance(frame, Ack):
                self.acknowledged = True
            if isinstance(frame, Progress):
                patience = loop.time() + seconds
                await shown(frame.text)
            if not isinstance(frame, Application):
                continue
            if not frame.lrc_ok(self._reading):
                bad += 1
                await self._line.write(NAK)
                if bad == TRIES:
                    raise AnswerLost(f"The check character of its result is wrong, {TRIES} times.")
                continue
            heard = await self._understood(frame, request)
            if heard is not None:
                return heard

    async def _understood(self, frame: Application, request: Request) -> Result | None:
        """The result, or None for what comes beside it, which is acknowledged at once."""
        if frame.code in _BESIDE:
            await self._line.write(ACK)
            with contextlib.suppress(Unreadable):  # what is beside it must not cost the result
                self._take(frame)
            return None
        try:
            return decode_result(frame.payload, request)
        except Unreadable as error:
            await self.acknowledge()
            raise AnswerLost(f"Its result cannot be read: {error}") from error

    async def acknowledge(self) -> None:
        """Say that the result was heard. That this fails changes nothing about it."""
        with contextlib.suppress(AnswerLost):
            await self._line.write(ACK)

    # --- what follows on it ---------------------------------------------------------------------

    async def drain(
        self, seconds: float, *, receipts: bool = True, host_data: bool = False
    ) -> None:
        """Receipts and data of the host, as far as they are expected and come, in whatever order.
        Never raises."""
        with contextlib.suppress(PeerError, TimeoutError):
            async with asyncio.timeout(DRAIN_WITHIN):
                await self._drained(seconds, receipts, host_data)

    async def _drained(self, seconds: float, receipts: bool, host_data: bool) -> None:
        bad = 0
        while len(self.receipts) < MOST_TICKETS:
            missing = (receipts and not self.receipts) or (host_data and not self.host_data)
            may_end = not missing and self._tickets.is_empty
            if may_end and not receipts:
                return
            frame = await self._line.frame(min(seconds, MORE_WITHIN) if may_end else seconds)
            if frame is None:
                return
            if not isinstance(frame, Application):
                continue
            if not frame.lrc_ok(self._reading):
                bad += 1
                await self._line.write(NAK)
                if bad == TRIES:
                    return
                continue
            await self._line.write(ACK)  # a result that comes again has missed the first one
            self._take(frame)

    def _take(self, frame: Application) -> None:
        if frame.code not in _BESIDE or frame.payload == self._taken:
            return  # a part that comes again has missed our ACK
        self._taken = frame.payload
        beside = decode_result(frame.payload)
        if isinstance(beside, ReceiptPart):
            whole = self._tickets.feed(beside)
            self.receipts += whole[: MOST_TICKETS - len(self.receipts)]
        elif isinstance(beside, HostData):
            self.host_data = beside.content
