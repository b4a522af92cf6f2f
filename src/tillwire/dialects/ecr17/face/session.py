"""The frames of one connection: what is acknowledged, what is sent, and how often.

A connection serves one request after the other, each in a task. Its ACK goes out once the lane has
taken it, which the journal knows by then; what comes after that is progress, the result, and the
parts of a ticket, each sent until the till acknowledges it. Nothing is ever said of a transaction
whose outcome is unknown: the till is let go of without a result, and finds it by `G` later.

A till that goes away leaves its transaction running. Whoever dials, a session only needs a
`StreamConnection`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import structlog

from tillwire.core.doubts import Awaits
from tillwire.core.model import Transaction
from tillwire.core.tasks import Tasks
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.face.host_data import MOST_AT_ONCE, Announced, answer_of
from tillwire.dialects.ecr17.face.lane import Lane
from tillwire.dialects.ecr17.face.memos import Job
from tillwire.dialects.ecr17.face.orders import Order, Refused
from tillwire.dialects.ecr17.face.settings import Settings, Tags
from tillwire.dialects.ecr17.wire import (
    ACK,
    NAK,
    Ack,
    AdditionalData,
    Application,
    CaptureRequest,
    CardVerificationRequest,
    CloseSessionRequest,
    Deframer,
    ExtendedPaymentRequest,
    IncrementRequest,
    LastResultRequest,
    Nak,
    PaymentRequest,
    PreauthorisationRequest,
    ReceiptRoutingRequest,
    RefundRequest,
    ReprintRequest,
    Request,
    ReversalRequest,
    StatusRequest,
    TotalsRequest,
    Unreadable,
)
from tillwire.errors import NotFound, TillwireError, Unsupported
from tillwire.net.streams import StreamConnection

WAIT: Final = "ATTENDERE PREGO"
"""Shown at a till for which the terminal shows nothing."""
UNRESOLVED: Final = "ESITO IN VERIFICA"
"""Shown while nobody knows yet what became of it."""
NEEDS_PERSON: Final = "ESITO DA CONTROLLARE"
"""The same when asking does not help any more: somebody has to look at the terminal."""
_MOST_UNANSWERED: Final = 64
"""Frames on their way to the till of which we remember that they were sent."""

_WORDS: Final[dict[type[Any], str]] = {
    PaymentRequest: "payment",
    ExtendedPaymentRequest: "payment",
    PreauthorisationRequest: "pre-authorisation",
    IncrementRequest: "increment",
    CaptureRequest: "capture",
    ReversalRequest: "reversal",
    RefundRequest: "refund",
    CardVerificationRequest: "card verification",
    CloseSessionRequest: "closing",
    LastResultRequest: "last result",
    ReprintRequest: "reprint",
    StatusRequest: "status",
    TotalsRequest: "totals",
}
"""What is being served, for an operator."""


class LaneFace:
    """The face at one lane. Implements `net.streams.StreamFace`."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.tasks = Tasks()

    def connected(self, connection: StreamConnection) -> Session:
        """The session of a new connection."""
        return Session(self.lane, self.tasks, connection)

    async def stop(self) -> None:
        """End what goes on for any till."""
        await self.tasks.stop()
        await self.lane.stop()


class Session:
    """One connection. Implements `net.streams.StreamSession`."""

    def __init__(self, lane: Lane, tasks: Tasks, connection: StreamConnection) -> None:
        self._lane = lane
        self._tasks = tasks
        self._connection = connection
        self._host = connection.peer.rpartition(":")[0]
        self._deframer = Deframer(lane.settings.largest_frame)
        self._request: Request | None = None
        """What is being served."""
        self._task: asyncio.Task[None] | None = None
        self._taken = False
        """Whether that was acknowledged."""
        self._announced: Announced | None = None
        """The data for the host that it has announced."""
        self._unheard: bytes | None = None
        """The frame that the till has not acknowledged yet."""
        self._sent: deque[bytes] = deque(maxlen=_MOST_UNANSWERED)
        """What the till has not answered, as often as it was sent."""
        self._answered_before = False
        """Whether an answer came meanwhile that should be one to what was sent before."""
        self._heard: asyncio.Future[bool] | None = None
        self._then: Callable[[], None] | None = None
        """What to do as soon as that is acknowledged."""
        self._has_result = False
        """Whether the till has acknowledged the result of what is being served."""
        self._closing = False
        self._is_odd = False
        """Whether an answer came with a wrong check character, which the log was told."""

    @property
    def _settings(self) -> Settings:
        return self._lane.settings

    # --- what the listener says (net/streams.py) ------------------------------------------------

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun."""
        return not self._deframer.is_empty

    @property
    def busy(self) -> bool:
        """Whether a request is being served."""
        return self._task is not None

    @property
    def doing(self) -> str:
        """What that is."""
        return _WORDS.get(type(self._request), "")

    def received(self, octets: bytes) -> int:
        """Take octets; how many frames they completed."""
        frames = self._deframer.feed(octets)
        for frame in frames:
            if isinstance(frame, Application):
                self._take(frame)
            elif isinstance(frame, Ack | Nak):
                if frame.is_odd and not self._is_odd:
                    self._is_odd = True
                    self._lane.refusals.note_odd(self._connection.peer, frame)
                self._hear(acknowledged=isinstance(frame, Ack))
        return len(frames)

    def _hear(self, *, acknowledged: bool) -> None:
        # A till answers every frame, in their order: this may be for one that was sent before.
        answered = self._sent.popleft() if self._sent else self._unheard
        if answered is not self._unheard and self._then is not None:
            # Of what is acknowledged for good; of the parts of a ticket nothing hangs on it.
            self._answered_before = self._answered_before or acknowledged
        elif self._heard is not None and not self._heard.done():
            self._heard.set_result(acknowledged)
            if acknowledged:
                self._has_it()

    def _has_it(self) -> None:
        # At once: the next request may stand right behind, and be the same again.
        self._has_result, self._unheard = True, None
        if self._then is not None:
            self._then()

    def finish(self) -> None:
        """The till writes no more."""
        self._closing = True
        self._close_if_idle()

    def stop(self) -> None:
        """The gateway stops. The protocol has no word for it."""
        self.finish()

    def ended(self) -> None:
        """Wait for nothing any more. What the lane has taken goes on."""
        if self._task is not None:
            self._task.cancel()

    def _close_if_idle(self) -> None:
        if self._closing and self._task is None:
            self._connection.close()

    # --- requests -------------------------------------------------------------------------------

    def _take(self, frame: Application) -> None:
        try:
            request = self._read(frame)
            tid = self._lane.tid_for(request.tid)
        except TillwireError as error:
            self._refuse(frame.code, error)
            return
        if tid is None:
            self._refuse(frame.code, "it is for another terminal")
        elif isinstance(request, AdditionalData):
            self._take_additional_data(request)
        elif isinstance(request, ReceiptRoutingRequest):
            self._lane.arm(self._host, request.routing)
            self._connection.send(ACK)
        elif self._task is not None and not self._moves_on(request):
            self._refuse(frame.code, "another request is being served")
        elif self._task is None and self._closing:
            self._refuse(frame.code, "the connection is closing")
        elif self._task is None:
            self._begin(request, tid, frame.code)

    def _read(self, frame: Application) -> Request:
        if not frame.lrc_ok(self._settings.lrc):
            fits = ", ".join(sorted(frame.readings)) or "none"
            raise Unreadable(frame.code, f"the check character is wrong; readings it fits: {fits}")
        return wire.decode_request(frame.payload)

    def _take_additional_data(self, data: AdditionalData) -> None:
        announced = self._announced
        is_flagged = getattr(self._request, "additional_data", False)
        if announced is not None and announced.being_taken < MOST_AT_ONCE:
            announced.being_taken += 1
            self._tasks.spawn(self._hand_on(announced, data))
        elif self._taken and is_flagged and self._settings.additional_data is Tags.IGNORE:
            self._connection.send(ACK)
        else:
            self._refuse("U", "nobody has announced it")

    async def _hand_on(self, announced: Announced, data: AdditionalData) -> None:
        try:
            await announced.take(data)
        except TillwireError as error:
            self._refuse("U", error)
        else:
            self._connection.send(ACK)
            announced.came()
            if announced is self._announced:
                self._send_again()

    def _moves_on(self, request: Request) -> bool:
        """Whether something is done with a request that comes while another is served: the same is
        heard of again, and a till that has what it waited for may turn to the next one."""
        if request == self._request and not self._has_result:
            if self._taken:
                self._connection.send(ACK)
            if self._announced is None:
                self._send_again()
            return True
        if self._unheard is None and not self._has_result:
            return False
        assert self._task is not None, "something is sent by a task"
        self._task.cancel()
        self._forget(self._task)
        return True

    def _begin(self, request: Request, tid: str, code: str) -> None:
        self._request, self._taken, self._has_result = request, False, False
        if isinstance(request, Order) and request.additional_data and self._lane.hands_on:
            self._announced = Announced(self._lane)
        self._task = self._tasks.spawn(self._serve(request, tid, code))
        self._task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._free(task)
        self._close_if_idle()

    def _free(self, task: asyncio.Task[None] | None) -> None:
        """Be ready for the next request, if this is the task of what is being served."""
        if task is self._task:
            self._task = self._request = self._unheard = self._heard = self._then = None
            self._taken = self._has_result = False
            if self._announced is not None:
                self._announced.forget()
                self._announced = None

    def _refuse(self, code: str, reason: str | TillwireError) -> None:
        if isinstance(reason, NotFound) and reason.detail:
            reason = reason.detail  # it says what there is none of
        self._lane.refusals.note(self._connection.peer, code, str(reason))
        self._connection.send(NAK)

    def _accept(self) -> None:
        self._taken = True
        self._connection.send(ACK)

    async def _serve(self, request: Request, tid: str, code: str) -> None:
        try:
            await self._answer(request, tid)
        except TillwireError as error:
            if self._taken:
                self._let_go(str(error))
            else:
                # First: the till's next request may be there before this task has ended.
                self._free(asyncio.current_task())
                self._refuse(code, error)
        except Exception:  # noqa: BLE001 - nobody knows what became of it, so nothing is said
            structlog.get_logger().exception("an ECR17 request failed", code=code)
            self._connection.close()

    def _let_go(self, reason: str) -> None:
        structlog.get_logger().warning(
            "an ECR17 till was left without a result",
            terminal=self._settings.terminal,
            peer=self._connection.peer,
            reason=reason,
        )
        self._connection.close()

    async def _answer(self, request: Request, tid: str) -> None:
        is_replay = isinstance(request, LastResultRequest)
        if getattr(request, "additional_data", False) and not is_replay:
            self._lane.check_announced(request)
        if isinstance(request, Order):
            await self._pay(request, tid)
        elif isinstance(request, StatusRequest):
            await self._lane.idle()
            self._accept()
            await self._deliver(await self._lane.status(tid))
        elif isinstance(request, LastResultRequest):
            await self._replay(request)
        elif isinstance(request, TotalsRequest):
            payload = await self._lane.totals(tid)
            self._accept()
            await self._deliver(payload)
        elif isinstance(request, CloseSessionRequest):
            job, payload = await self._lane.close(request, tid, self._host)
            self._accept()
            await self._deliver(payload, job)
        elif isinstance(request, ReprintRequest):
            await self._reprint(request, tid)
        elif isinstance(request, CardVerificationRequest):
            await self._lane.check_verifies()
            self._accept()
            await self._deliver(await self._lane.verify(request, tid))
        else:
            raise Unsupported("No lane knows this message.")

    async def _pay(self, order: Order, tid: str) -> None:
        try:
            job = await self._lane.take(order, tid, self._host)
        except Refused as refusal:
            await self._accept_with_data(None)
            await self._deliver(self._lane.refusal(order, tid, refusal.detail))
            return
        await self._accept_with_data(job)
        transaction = await self._ended(job)
        if transaction is None:
            why = self._lane.engine.doubt_of(job.exchange.transaction_id or "") or "It takes long."
            self._let_go(f"the outcome is not known: {why}")
            return
        payload = self._lane.result(job, transaction)
        is_heard = await self._deliver(payload, job)
        if is_heard and await self._tell_answer(job, transaction):
            await self._print(tid, self._lane.ticket(job, transaction))

    async def _accept_with_data(self, job: Job | None) -> None:
        """Acknowledge the request, and wait for the data that it has announced: a till looks for
        their ACK before it looks for anything else."""
        self._accept()
        if self._announced is not None:
            self._announced.begun(job)
            await self._announced.wait()

    async def _tell_answer(self, job: Job, transaction: Transaction) -> bool:
        """Tell what the host handed back, if that is wanted; whether the till has it then."""
        payload = answer_of(job, transaction)
        return payload is None or await self._deliver(payload)

    async def _replay(self, request: LastResultRequest) -> None:
        job, transaction, payload = await self._lane.last_result()
        self._accept()
        # What is another till's is not acknowledged in its place.
        is_own = self._lane.is_of(job, request, self._host)
        if await self._deliver(payload, job if is_own else None) and request.additional_data:
            await self._tell_answer(job, transaction)

    async def _reprint(self, request: ReprintRequest, tid: str) -> None:
        if request.service:
            raise Unsupported("No service ticket is kept.")
        text = await self._lane.last_ticket()
        self._accept()
        if request.on_ecr:
            await self._print(tid, text)
            return
        try:
            await self._lane.reprint(text)
        except TillwireError as error:  # the till waits for nothing but the ACK
            structlog.get_logger().warning("a receipt was not printed again", reason=str(error))

    # --- what the till hears --------------------------------------------------------------------

    async def _ended(self, job: Job) -> Transaction | None:
        """Wait until it has ended, and tell the till meanwhile what is shown; None when nobody can
        tell in time."""
        transaction_id = job.exchange.transaction_id
        assert transaction_id is not None, "what was taken has a transaction"
        shown = WAIT

        def show(text: str) -> None:
            nonlocal shown
            shown = text
            self._connection.send(wire.progress(text), optional=True)

        loop, told = asyncio.get_running_loop(), self._settings
        end, unresolved = loop.time() + told.answer_within, False
        hush = self._lane.engine.listen(transaction_id, show)
        try:
            while (left := end - loop.time()) > 0:
                until = _is_settled if not unresolved else _is_final
                transaction = await self._lane.engine.wait(
                    transaction_id, until, min(left, told.progress_every)
                )
                if transaction.is_final:
                    return transaction
                if transaction.is_settled and not unresolved:
                    unresolved = True
                    end = min(end, loop.time() + told.unresolved_within)
                show(self._doubt(transaction_id) if unresolved else shown)
        finally:
            hush()
        return None

    def _doubt(self, transaction_id: str) -> str:
        doubt = self._lane.engine.doubt_of(transaction_id)
        needs_person = doubt is not None and doubt.awaits is Awaits.PERSON
        return NEEDS_PERSON if needs_person else UNRESOLVED

    def _give_up(self, payload: bytes) -> None:
        """End a connection on which the till acknowledges nothing: answers to what it was sent may
        still come there, and must not be taken for those to anything else."""
        structlog.get_logger().warning(
            "an ECR17 till acknowledges nothing",
            terminal=self._settings.terminal,
            peer=self._connection.peer,
            code=payload[9:10].decode("ascii"),
            sent=self._settings.transmissions,
        )
        self._connection.close()

    def _send_again(self) -> None:
        """What the till was sent and has not acknowledged: it may not have it."""
        if self._unheard is not None:
            self._send(self._unheard)

    def _send(self, frame: bytes) -> bool:
        """Send what is to be answered; whether there still is a connection."""
        self._sent.append(frame)
        return self._connection.send(frame)

    async def _print(self, tid: str, text: str) -> None:
        for part in wire.receipt_parts(tid, text):
            if not await self._deliver(wire.encode(part)):
                return

    async def _deliver(self, payload: bytes, job: Job | None = None) -> bool:
        """Send it until the till acknowledges it; whether it did. The till has the job's result
        then, if it is that. One that never does loses the connection."""
        loop, told = asyncio.get_running_loop(), self._settings
        frame = wire.application(payload, told.lrc)
        self._then = None if job is None else partial(self._lane.acknowledged, job, payload)
        self._answered_before = False
        try:
            for _ in range(told.transmissions):
                self._unheard = frame
                heard = self._heard = loop.create_future()
                if not self._send(frame):
                    return False
                await asyncio.wait((heard,), timeout=told.ack_within)
                if heard.done() and heard.result():
                    return True
            if self._answered_before:
                # This till answers only once what it is sent twice: the answer was for this one.
                self._sent.clear()
                self._has_it()
                return True
            self._give_up(payload)
            return False
        finally:
            if self._unheard is frame:
                self._unheard = None


def _is_settled(transaction: Transaction) -> bool:
    return transaction.is_settled


def _is_final(transaction: Transaction) -> bool:
    return transaction.is_final
