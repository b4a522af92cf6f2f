"""The link to one terminal: lines to it, and questions that move no money and may be repeated.

Where the terminal dials us, a line is the connection that it has opened; all else is the same.
It keeps no state that must survive: which check character the terminal wants is found out again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from tillwire.core.ports import Dialer
from tillwire.dialects.ecr17.driver.conversation import TRIES, Conversation, Refused
from tillwire.dialects.ecr17.driver.line import Line
from tillwire.dialects.ecr17.driver.settings import DriverSettings, Listens
from tillwire.dialects.ecr17.wire import (
    ANY_TID,
    LastResultRequest,
    Lrc,
    ReceiptRoutingRequest,
    ReprintRequest,
    Request,
    Result,
    Routing,
    StatusRequest,
    StatusResult,
)
from tillwire.errors import AnswerLost, NotDelivered, PeerError

R = TypeVar("R")

PROBE: Final = 0.02
"""Seconds for which a connection is listened to before a command goes over it."""
AFTER_ACK: Final = 0.1
"""The same after an ACK, behind which some terminals hang up."""


class Link:
    """Asks one terminal."""

    def __init__(self, settings: DriverSettings, dialer: Dialer) -> None:
        self.settings = settings
        self._dialer = dialer
        self._reading = settings.reading

    async def quiet_line(self) -> Line:
        """A new connection for one exchange, on which nothing comes unasked: a NAK that was left
        over would pass for a proof. Raises `NotDelivered`."""
        await self.reading()  # first: a terminal may have one connection only
        return await self._quiet_line()

    async def _quiet_line(self) -> Line:
        for _ in range(2):
            line, is_quiet = await self._dial(), False
            try:
                is_quiet = await line.is_quiet(PROBE)
            finally:
                if not is_quiet:
                    await line.close()
            if is_quiet:
                return line
        raise NotDelivered("It hangs up, or says something, before it is asked.")

    async def _dial(self) -> Line:
        settings = self.settings
        return Line(
            await self._dialer.connect(
                settings.host, settings.port, timeout=settings.connect_seconds
            )
        )

    async def conversation(self, line: Line) -> Conversation:
        """One exchange on a quiet line."""
        return Conversation(line, await self.reading(), self.settings.spelling)

    @asynccontextmanager
    async def _talk(self, reading: Lrc) -> AsyncIterator[Conversation]:
        # One that waited for us may have something on it that was for an earlier question.
        waited = self.settings.listens is Listens.TILL
        line = await (self._quiet_line() if waited else self._dial())
        try:
            yield Conversation(line, reading, self.settings.spelling)
        finally:
            await line.close()

    # --- the check character ----------------------------------------------------------------------

    async def reading(self) -> Lrc:
        """What the check character is made of. Found out, where it is to be, with a question that
        moves nothing: it is repeated in each reading until one is answered. Raises
        `NotDelivered`."""
        if self._reading is None:
            self._reading = await self._discovered()
        return self._reading

    def doubt_reading(self) -> None:
        """The terminal said NAK: where its reading was found out, another one may be right now."""
        self._reading = self.settings.reading

    async def _discovered(self) -> Lrc:
        for reading in Lrc:
            try:
                await self._asked(self._status_request(), reading, None, tries=1)
            except NotDelivered as error:
                if not isinstance(error, Refused):
                    raise
            except AnswerLost:
                pass
            else:
                return reading
        raise NotDelivered(
            "It answers no status request, with whatever check character: is its link to a till "
            "switched on, and is the terminal id (tid) right?"
        )

    # --- questions --------------------------------------------------------------------------------

    async def ask(self, request: Request, answer: type[R], seconds: float | None = None) -> R:
        """The result of a question, waited for so many seconds if they differ from the setting.
        Raises `NotDelivered` (`Refused` for a NAK), `AnswerLost`."""
        result = await self._known(request, seconds)
        if not isinstance(result, answer):
            raise AnswerLost(f"A {type(result).__name__} came instead of an answer.")
        return result

    async def last_result(self) -> Result:
        """The last result that the terminal has saved. Raises what `ask` raises."""
        request = LastResultRequest(
            tid=self.settings.tid, cash_register=self.settings.cash_register
        )
        return await self._known(request, None)

    async def state(self) -> StatusResult:
        """How the terminal is. Raises what `ask` raises."""
        return await self.ask(self._status_request(), StatusResult)

    def _status_request(self) -> StatusRequest:
        return StatusRequest(tid=self.settings.tid)

    async def _known(self, request: Request, seconds: float | None) -> Result:
        try:
            return await self._asked(request, await self.reading(), seconds, tries=TRIES)
        except Refused:
            self.doubt_reading()
            raise

    async def _asked(
        self, request: Request, reading: Lrc, seconds: float | None, *, tries: int
    ) -> Result:
        settings = self.settings
        wait = settings.answer_seconds if seconds is None else seconds
        async with self._talk(reading) as talk:
            await talk.send(request, _whenever, settings.ack_seconds, tries=tries)
            result = await talk.result(request, _unseen, wait, max(wait, settings.capped_seconds))
            await talk.acknowledge()
        if settings.tid not in (ANY_TID, result.tid):
            raise AnswerLost(f"Terminal {result.tid} answered, not {settings.tid}.")
        return result

    # --- receipts ---------------------------------------------------------------------------------

    async def route_receipts(self) -> Line | None:
        """Ask that the next receipt comes to us; the line on which the command may follow, if any.
        A terminal that refuses to prints it. Raises `NotDelivered`."""
        request = ReceiptRoutingRequest(tid=self.settings.tid, routing=Routing.ECR)
        line = await self.quiet_line()
        keeps = False
        try:
            talk = await self.conversation(line)
            await talk.send(request, _whenever, self.settings.ack_seconds)
            keeps = self.settings.receipt_connection == "same" and await line.is_quiet(AFTER_ACK)
        except Refused:
            pass
        except AnswerLost as error:
            raise NotDelivered(f"Asked for receipts, it said nothing. {error.detail}") from error
        finally:
            if not keeps:
                await line.close()
        return line if keeps else None

    async def reprint(self) -> None:
        """Have the terminal print its last receipt again, which it only acknowledges. Raises what
        `ask` raises."""
        try:
            async with self._talk(await self.reading()) as talk:
                request = ReprintRequest(tid=self.settings.tid)
                await talk.send(request, _whenever, self.settings.ack_seconds)
        except Refused:
            self.doubt_reading()
            raise

    async def reprinted(self) -> list[str]:
        """The terminal's last receipt, once more, on our side. Empty where it does not send it."""
        request = ReprintRequest(tid=self.settings.tid, on_ecr=True)
        try:
            async with self._talk(await self.reading()) as talk:
                await talk.send(request, _whenever, self.settings.ack_seconds)
                await talk.drain(self.settings.receipt_seconds)
                return talk.receipts
        except PeerError:
            return []


async def _unseen(text: str) -> None:
    """Of what a terminal shows during a question."""


def _whenever() -> None:
    """A question may be written at any time."""
