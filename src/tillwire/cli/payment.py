"""A purchase as a careful till carries it out: what to do when replies are lost or time runs out.

A purchase is started once. When its reply is lost, it is looked up by its reference, twice and a
while apart, before it is started once more; after a second loss nothing is started any more. What
cannot be told is said to be unknown, never to be failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

from tillwire.cli.till import RefusedError, Sale, Till
from tillwire.errors import AnswerLost, NotDelivered, PeerError, RemoteProtocolError
from tillwire.money import Money

_TOO_LATE: Final = 409
_SERVER_ERRORS: Final = 500
_NOT_FOUND: Final = 404
_LOOK: Final = (
    "Look at the terminal's name, such as ACME-P2-PL1, and at the MerchantAPI's address, "
    "such as https://pay.example.com/merchantapi."
)
_NO_ANSWER_BEHIND: Final = (502, 504)
"""What a proxy says when it lost the answer itself."""


class End(StrEnum):
    """How it ended, as far as can be told."""

    APPROVED = "APPROVED"
    NOT_PAID = "NOT_PAID"
    OPEN = "OPEN"
    """Not over, or nobody can tell: it may still be paid."""
    NOT_REACHED = "NOT_REACHED"
    """The gateway was not reached, and provably nothing was started."""
    REFUSED = "REFUSED"
    """The gateway did not take the order as it was given; nothing was started."""


class Ending(msgspec.Struct, frozen=True):
    """The end of a purchase, with the reason in one sentence."""

    end: End
    words: str
    sale: Sale | None = None


class Order(msgspec.Struct, frozen=True):
    """What is to be paid, and where."""

    terminal: str
    amount: Money
    reference: str


class Patience(msgspec.Struct, frozen=True):
    """Seconds."""

    poll: float = 0.25
    """Between two questions, in the first `brisk` seconds."""
    brisk: float = 10.0
    slow_poll: float = 1.0
    settle: float = 2.0
    """Before looking up what a lost reply left behind."""
    limit: float = 300.0
    """Until it is left open."""


class Purchase:
    """One purchase. `run` it once; `stop` when the person at the till wants out."""

    def __init__(
        self, till: Till, order: Order, patience: Patience, progress: Callable[[str], None]
    ) -> None:
        """`progress` is told in words what is being waited for."""
        self._till = till
        self._order = order
        self._patience = patience
        self._progress = progress
        self._stop = asyncio.Event()
        self._leave = asyncio.Event()
        self._sale: Sale | None = None
        self._started_twice = False

    def stop(self) -> None:
        """The first time, try to cancel; the second time, leave it as it is."""
        if self._stop.is_set():
            self._leave.set()
        self._stop.set()

    async def run(self) -> Ending:
        """Carry it to its end, or as far as patience goes."""
        work = asyncio.create_task(self._carried())
        leaving = asyncio.create_task(self._leave.wait())
        try:
            await asyncio.wait(
                {work, leaving},
                timeout=self._patience.limit,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if work.done():
                return work.result()
            reason = "left" if self._leave.is_set() else "time is up"
            return self._still_open(reason)
        finally:
            for task in (work, leaving):
                task.cancel()
            await asyncio.gather(work, leaving, return_exceptions=True)

    def _still_open(self, reason: str) -> Ending:
        if self._sale is None:
            return Ending(
                End.OPEN,
                f"Unknown ({reason}): the purchase may have been started. "
                f"Look for the reference {self._order.reference} before paying again.",
            )
        return Ending(
            End.OPEN,
            f"Still open ({reason}): transaction {self._sale.id} may yet be paid. "
            "Look at it again before paying again.",
            self._sale,
        )

    async def _carried(self) -> Ending:
        self._progress("starting the payment")
        try:
            self._sale = await self._started()
        except NotDelivered as error:
            return not_reached(error)
        except RefusedError as error:
            return refused(error)
        except PeerError as error:
            return self._still_open(error.detail)
        self._progress("waiting for the card")
        return await self._watched(self._sale)

    # --- starting it --------------------------------------------------------------------------

    async def _started(self) -> Sale:
        """The sale, started at most twice, and the second time only if the first is nowhere."""
        try:
            return await self._create()
        except (AnswerLost, RemoteProtocolError):
            found = await self._looked_up()
            if found is not None:
                return found
        if self._stop.is_set():
            raise AnswerLost("stopped before it was started again")
        self._progress("starting the payment again")
        self._started_twice = True
        try:
            return await self._create()
        except NotDelivered as error:
            # Of the second try this is a proof, but the first one might still arrive.
            raise AnswerLost(error.detail) from error
        except (AnswerLost, RemoteProtocolError):
            found = await self._looked_up()
            if found is None:
                raise
            return found

    async def _create(self) -> Sale:
        order = self._order
        try:
            return await self._till.create(order.terminal, order.amount, order.reference)
        except RefusedError as error:
            if error.status < _SERVER_ERRORS:
                raise
            if error.status in _NO_ANSWER_BEHIND:
                raise AnswerLost(error.detail) from error
            # A server that fails may have started it all the same.
            found = await self._looked_up()
            if found is None:
                raise
            return found

    async def _looked_up(self) -> Sale | None:
        """What stands under our reference; None when it stands nowhere, twice. Raises `PeerError`
        when nobody answers."""
        self._progress("the reply was lost; looking the payment up")
        order = self._order
        for _ in range(2):
            await asyncio.sleep(self._patience.settle)
            try:
                found = await self._till.with_reference(order.terminal, order.reference)
            except NotDelivered as error:
                raise AnswerLost(error.detail) from error
            if found:
                return found[0]
        return None

    # --- watching it --------------------------------------------------------------------------

    async def _watched(self, sale: Sale) -> Ending:
        clock = asyncio.get_running_loop().time
        begun = clock()
        cancelling = False
        while not sale.is_over:
            if self._stop.is_set() and not cancelling:
                cancelling = True
                await self._cancel(sale)
            else:
                brisk = clock() - begun < self._patience.brisk
                pause = self._patience.poll if brisk else self._patience.slow_poll
                await self._pause(pause, wakeful=not cancelling)
            sale = self._sale = await self._news(sale)
        ending = _ending(sale)
        twins = await self._twins(sale) if self._started_twice else ""
        return msgspec.structs.replace(ending, words=ending.words + twins)

    async def _twins(self, sale: Sale) -> str:
        """A warning when the first start, given up as lost, has arrived after all."""
        order = self._order
        try:
            found = await self._till.with_reference(order.terminal, order.reference)
        except PeerError as error:
            return f" Whether it was started twice cannot be told ({error.detail})."
        others = [each for each in found if each.id != sale.id and each.status != "CANCELLED"]
        named = ", ".join(f"{each.id} ({each.status})" for each in others)
        return f" It was started twice: look at {named}, too." if others else ""

    async def _pause(self, seconds: float, *, wakeful: bool) -> None:
        if not wakeful:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    async def _news(self, sale: Sale) -> Sale:
        """The sale as it is now, or as it was if the gateway cannot be asked: it goes on."""
        try:
            return await self._till.read(self._order.terminal, sale.id)
        except PeerError as error:
            self._progress(f"the payment goes on, but the gateway does not answer ({error.detail})")
            return sale

    async def _cancel(self, sale: Sale) -> None:
        try:
            await self._till.cancel(self._order.terminal, sale.id)
        except RefusedError as error:
            if error.status == _TOO_LATE:
                self._progress("too late to cancel, waiting for the outcome (Ctrl-C again leaves)")
            else:
                self._progress(f"it cannot be cancelled ({error.detail})")
        except PeerError:
            self._progress("cancelled perhaps, asking what became of it")
        else:
            self._progress("cancelled")


def _ending(sale: Sale) -> Ending:
    if sale.is_paid:
        return Ending(End.APPROVED, "Approved.", sale)
    if sale.result == "DECLINED":
        return Ending(End.NOT_PAID, "Declined.", sale)
    return Ending(End.NOT_PAID, "Cancelled. The card was not charged.", sale)


def not_reached(error: NotDelivered) -> Ending:
    """The end where nobody was there."""
    untrusted = "CERTIFICATE_VERIFY_FAILED" in error.detail
    look = " Where the gateway's authority is your own, name it with --ca." if untrusted else ""
    return Ending(End.NOT_REACHED, f"The gateway cannot be reached. {error.detail}{look}")


def refused(error: RefusedError) -> Ending:
    """The end where the gateway did not take it."""
    wrong_order = error.status in (400, 401, 403, 404, 405, 413, 415)
    end = End.REFUSED if wrong_order else End.NOT_PAID
    look = f" {_LOOK}" if error.status == _NOT_FOUND else ""
    return Ending(end, f"Nothing was started. {error.detail}{look}")
