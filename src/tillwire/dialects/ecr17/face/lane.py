"""A lane: one terminal's place, shared by all tills that connect to it.

Decides what a request does at the terminal, and remembers it. The protocol has no message numbers,
so a till that repeats a request because it heard no answer cannot be told from one that wants the
same again, but by this: **the same request of the same cash register is the same one until its till
has acknowledged the result**, or `repeat_within` seconds have passed since there was one. What a
till has acknowledged is in the journal, as its request is, so this holds across restarts.

Whoever asks is one after another here; a terminal that is occupied is the engine's to refuse.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog

from tillwire.core.engine import Engine
from tillwire.core.errands import Ability, CardRead, Print, ReadCard, Reprint
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import (
    Exchange,
    ForHost,
    Request,
    Terms,
    Transaction,
    TransactionType,
)
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Clock
from tillwire.core.tasks import Tasks
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.face import orders, receipts, results
from tillwire.dialects.ecr17.face.memos import DIALECT, Job, Memo, digest_of, job_of, register_of
from tillwire.dialects.ecr17.face.orders import CLOSING, KIND_OF, KINDS, TYPE_OF, Order, Refused
from tillwire.dialects.ecr17.face.places import Places
from tillwire.dialects.ecr17.face.refusals import Refusals
from tillwire.dialects.ecr17.face.settings import Settings, Tags
from tillwire.dialects.ecr17.wire import (
    ANY_TID,
    CardVerificationRequest,
    CloseSessionRequest,
    LastResultRequest,
    ResultCode,
    Routing,
    TerminalState,
)
from tillwire.errors import (
    Conflict,
    InvalidRequest,
    JournalError,
    NotFound,
    PeerError,
    TerminalBusy,
    Unsupported,
)

REGISTERS_KEPT: Final = 256
"""Cash registers and tills' addresses of which something is remembered in memory."""
_LARGEST_TOTAL: Final = 10**16
TOO_MUCH: Final = "TOTALE NON VALIDO"


class Busy(Conflict):
    """The terminal works, or nobody knows yet what became of its last transaction."""


class Lane:
    """The place of one terminal."""

    def __init__(
        self, engine: Engine, clock: Clock, settings: Settings, places: Places | None = None
    ) -> None:
        """`places` are those of all lanes of the gateway; without them, it is the only one."""
        self.engine = engine
        self.settings = settings
        self.refusals = Refusals(clock, settings.terminal)
        self._places = Places() if places is None else places
        self._number = self._places.enter(settings)
        self._clock = clock
        self._turn = asyncio.Lock()
        self._tasks = Tasks()
        self._writing: set[asyncio.Task[None]] = set()
        self._recent: dict[str, Job] = {}
        self._armed: dict[str, tuple[Routing, float]] = {}

    async def stop(self) -> None:
        """End what goes on for no till, when what tills have acknowledged is written down."""
        await asyncio.gather(*self._writing)
        await self._tasks.stop()

    # --- the terminal -----------------------------------------------------------------------------

    @property
    def terminal(self) -> Terminal:
        """Whose place it is. Raises `NotFound`."""
        return self._places.terminal(self._number, self.engine.estate)

    def tid_for(self, asked: str) -> str | None:
        """As which the terminal answers a request for this terminal id; None when it is not for
        it. Raises `NotFound`."""
        terminal_tid = self.terminal.tid
        is_tid = len(terminal_tid) == len(ANY_TID) and terminal_tid.isascii()
        own = self.settings.tid or (terminal_tid if is_tid and terminal_tid.isdigit() else "")
        if not own:
            return asked
        return own if asked in (own, ANY_TID) or not self.settings.check_tid else None

    async def idle(self) -> Terminal:
        """The terminal, if it has nothing to do, and nobody is just giving it something. Raises
        `Busy`, `NotFound`."""
        async with self._turn:
            return self._idle()

    def _idle(self) -> Terminal:
        terminal = self.terminal
        if held := self.engine.open_transaction(terminal.id):
            why = self.engine.doubt_of(held.id) or ""
            raise Busy(f"Transaction {held.id} is {held.state}. {why}".rstrip())
        if self.engine.errand_at(terminal.id):
            raise Busy("It is in use.")
        return terminal

    async def status(self, tid: str) -> bytes:
        """The payload of the status of an idle terminal."""
        terminal = self.terminal
        zone = self.engine.estate.stores[terminal.store_id].time_zone
        state = TerminalState.OPERATIVE
        if terminal.lifecycle is not Lifecycle.ACTIVATED:
            state = TerminalState.NOT_CONFIGURED
        elif not (await self.engine.status(terminal.id)).reachable:
            state = TerminalState.NO_PARAMETERS
        return wire.encode(
            wire.StatusResult(
                tid=tid,
                terminal_time=results.local_time(self._clock.now(), zone),
                state=state,
                release=self.settings.release,
            )
        )

    # --- receipts on the till ---------------------------------------------------------------------

    def arm(self, host: str, routing: Routing) -> None:
        """Where the receipt of the next procedure of the till at this address goes."""
        self._armed.pop(host, None)
        self._armed[host] = routing, self._clock.monotonic() + self.settings.receipt_armed_for
        while len(self._armed) > REGISTERS_KEPT:
            del self._armed[next(iter(self._armed))]

    def _armed_for(self, host: str) -> Routing:
        """The same, for the procedure that is about to begin; once it has, `_armed` forgets it."""
        routing, until = self._armed.get(host, (Routing.TERMINAL, 0.0))
        return routing if self._clock.monotonic() <= until else Routing.TERMINAL

    def ticket(self, job: Job, transaction: Transaction) -> str:
        """What the till prints of it; empty when it prints nothing."""
        memo = job.memo
        copies = self.settings.receipt_copies
        return receipts.ticket(transaction, memo.routing, copies, memo.text)

    async def last_ticket(self) -> str:
        """What is printed again. Raises `Busy`, `NotFound` when there is none."""
        terminal = await self.idle()
        for each in await orders.lately(self.engine, terminal):
            job = await orders.job_for(self.engine, each)
            text = job.memo.text if job else ""
            copies = self.settings.receipt_copies
            if slip := receipts.ticket(each, Routing.ECR, copies, text):
                return slip
        raise NotFound("There is no receipt.")

    async def reprint(self, text: str) -> None:
        """Print again on the terminal, if it has a printer to be used: its own last receipt, if it
        can; else this text. Goes on when the caller is cancelled: a till may hang up now."""
        terminal = self.terminal
        errands = self.engine.capabilities(terminal.id).errands
        if Ability.REPRINT in errands:
            await self._tasks.finish(self.engine.perform(terminal.id, Reprint()))
        elif Ability.PRINT in errands:
            await self._tasks.finish(self.engine.perform(terminal.id, Print(text)))

    # --- what is done once ------------------------------------------------------------------------

    async def take(self, order: Order, tid: str, host: str) -> Job:
        """Have the terminal begin, in the journal before this returns; or find that it did.

        Goes on when the caller is cancelled. Raises `Refused` (a KO), and whatever else keeps the
        engine from accepting it, upon which nothing has begun (a NAK).
        """
        return await self._tasks.finish(self._take(order, tid, host))

    async def _take(self, order: Order, tid: str, host: str) -> Job:
        register, digest = register_of(order.cash_register, host), digest_of(order)
        async with self._turn:
            if earlier := await self._earlier(register, digest):
                return earlier
            terminal = self._idle()
            wanted = await orders.wanted(self.engine, terminal, order)
            memo = Memo(
                tid,
                routing=self._armed_for(host),
                card_present=getattr(order, "card_present", False),
                text=getattr(order, "receipt_text", ""),
                announced=order.additional_data and self.hands_on,
            )
            kind = KIND_OF[type(order)]
            exchange = await self._exchange(register, kind, digest, memo, wanted.code)
            transaction = await self._accept(terminal, exchange, wanted, memo)
            self._armed.pop(host, None)
            return self._remember(
                Job(msgspec.structs.replace(exchange, transaction_id=transaction.id))
            )

    async def _accept(
        self, terminal: Terminal, exchange: Exchange, wanted: orders.Wanted, memo: Memo
    ) -> Transaction:
        told = self.settings
        request = Request(
            organisation_id=terminal.organisation_id,
            terminal_id=terminal.id,
            dialect=DIALECT,
            type=TYPE_OF[exchange.kind],
            amount=wanted.amount,
            reference=f"{exchange.register}-{exchange.number}",
            original_id=wanted.original_id,
            register=exchange.register,
            expires_in=told.additional_data_within if memo.announced else told.expires_in,
            terms=Terms(chain=wanted.code, receipt_text=memo.text),
            reserved=wanted.reserved,
            exchange=exchange,
            held=memo.announced,
        )
        try:
            return await self.engine.accept(request, WhenBusy.REJECT)
        except (Conflict, InvalidRequest) as error:
            if wanted.original_id is None or isinstance(error, TerminalBusy):
                raise
            is_reversal = request.type is TransactionType.REVERSAL
            text = orders.NOT_REVERSIBLE if is_reversal else orders.NOT_ALLOWED
            raise Refused(text) from error

    async def _exchange(
        self, register: str, kind: str, digest: str, memo: Memo, chain: str = ""
    ) -> Exchange:
        terminal = self.terminal
        return Exchange(
            organisation_id=terminal.organisation_id,
            terminal_id=terminal.id,
            dialect=DIALECT,
            register=register,
            number=str(await self.engine.number(f"ecr17 {terminal.id}")),
            kind=kind,
            digest=digest,
            at=self._clock.now(),
            chain=chain,
            request=msgspec.json.encode(memo).decode(),
        )

    async def _earlier(self, register: str, digest: str) -> Job | None:
        """The register's last request, if this one is the same again."""
        job = self._recent.get(register)
        if job is None:
            await asyncio.gather(*self._writing)
            found = await self.engine.last_exchange(self.terminal.id, DIALECT, register, KINDS)
            job = None if found is None else self._remember(job_of(found))
        if job is None or job.acknowledged or job.exchange.digest != digest:
            return None
        known_at = job.exchange.at
        if job.exchange.transaction_id is not None:
            transaction = await self.engine.find(job.exchange.transaction_id)
            if transaction is None or not transaction.is_final:
                return job if transaction else None
            known_at = transaction.ended_at or known_at
        return job if self._clock.now() - known_at <= self.settings.repeat_within * 1000 else None

    def _remember(self, job: Job) -> Job:
        self._recent.pop(job.exchange.register, None)
        self._recent[job.exchange.register] = job
        while len(self._recent) > REGISTERS_KEPT:
            del self._recent[next(iter(self._recent))]
        return job

    def acknowledged(self, job: Job, payload: bytes) -> None:
        """The till that asked has its result: the same request is another one from now on."""
        if job.acknowledged:
            return
        job.acknowledged = True
        task = self._tasks.spawn(self._write_down(job.exchange, payload.decode("ascii")))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write_down(self, exchange: Exchange, payload: str) -> None:
        try:
            known = exchange
            if exchange.transaction_id is not None and not exchange.id:
                known = await self.engine.exchange_of(exchange.transaction_id) or exchange
            await self.engine.answer_exchange(known.id, payload)
        except (JournalError, NotFound) as error:
            structlog.get_logger().warning("an acknowledgement was not kept", error=str(error))

    # --- data for the host ------------------------------------------------------------------------

    @property
    def hands_on(self) -> bool:
        """Whether announced data are waited for, and handed on."""
        return self.settings.additional_data is Tags.HAND_ON

    def check_announced(self, request: wire.Request) -> None:
        """Raise `Unsupported` for a request that announces data that cannot be handed on, unless
        they are to be ignored. Raises `NotFound`."""
        can = self.hands_on and isinstance(request, Order)
        if can and self.engine.capabilities(self.terminal.id).for_host:
            return
        if self.settings.additional_data is not Tags.IGNORE:
            raise Unsupported("Additional data for the host cannot be handed on.")

    async def hand_on(self, job: Job, data: ForHost) -> Transaction:
        """Have the job's transaction sent with the data, in the journal before this returns. It
        stays as it is where it was sent with others, or given up. Raises what `Engine.release`
        does."""
        transaction_id = job.exchange.transaction_id
        assert transaction_id is not None, "what announces data has a transaction"
        return await self._tasks.finish(self.engine.release(transaction_id, data))

    # --- results ----------------------------------------------------------------------------------

    def result(self, job: Job, transaction: Transaction) -> bytes:
        """The payload of the result of a final transaction."""
        return job.exchange.answer.encode() or results.result_of(job, transaction, self.settings)

    def refusal(self, order: Order, tid: str, text: str) -> bytes:
        """The payload of a KO without a transaction."""
        return results.refusal(KIND_OF[type(order)], tid, text, self.settings)

    async def last_result(self) -> tuple[Job, Transaction, bytes]:
        """What ended last, and the payload of its result. Raises `Busy` while there may be a newer
        one, `NotFound` when there is none."""
        async with self._turn:
            for transaction in await orders.lately(self.engine, self._idle()):
                if saved := await orders.job_for(self.engine, transaction):
                    payload = self.result(saved, transaction)
                    recent = self._recent.get(saved.exchange.register)
                    is_recent = recent and recent.exchange.transaction_id == transaction.id
                    return recent if recent and is_recent else saved, transaction, payload
        raise NotFound("There is no result.")

    def is_of(self, job: Job, request: LastResultRequest, host: str) -> bool:
        """Whether the cash register that asks is the one whose result it is."""
        return job.exchange.register == register_of(request.cash_register, host)

    # --- beside transactions ----------------------------------------------------------------------

    async def totals(self, tid: str) -> bytes:
        """The payload of what the open period comes to. Raises `Busy`, `JournalError`."""
        terminal = await self.idle()
        rows = (await self.engine.open_totals(terminal.id)).rows
        total = results.net_of(rows, self._currency(terminal))
        if not 0 <= total < _LARGEST_TOTAL:
            return wire.encode(wire.TotalsResult(tid=tid, result=ResultCode.KO))
        return wire.encode(wire.TotalsResult(tid=tid, result=ResultCode.OK, terminal_total=total))

    async def close(self, request: CloseSessionRequest, tid: str, host: str) -> tuple[Job, bytes]:
        """Close the period, once; the payload of its result. Raises `Busy`, `JournalError`."""
        return await self._tasks.finish(self._close(request, tid, host))

    async def _close(self, request: CloseSessionRequest, tid: str, host: str) -> tuple[Job, bytes]:
        register, digest = register_of(request.cash_register, host), digest_of(request)
        async with self._turn:
            job = await self._earlier(register, digest)
            terminal = self.terminal if job else self._idle()
            if job is None:
                self._armed.pop(host, None)
                period = await self.engine.open_period(terminal.id)
                memo = Memo(tid, period=period)
                exchange = await self._exchange(register, CLOSING, digest, memo)
                job = self._remember(Job(await self.engine.begin_exchange(exchange)))
            closing = await self.engine.closing(terminal.id, job.memo.period)
            if closing is None:
                closing = await self.engine.close_period(terminal.id)
        total = results.net_of(closing.rows, self._currency(terminal))
        if not 0 <= total < _LARGEST_TOTAL:
            structlog.get_logger().warning(
                "a session was closed with a total that ECR17 cannot tell",
                terminal=terminal.name,
                period=closing.number,
            )
            total = 0
        payload = wire.encode(
            wire.CloseSessionResult(
                tid=job.memo.tid,
                result=ResultCode.OK,
                terminal_total=total,
                host_total=total,
            )
        )
        return job, payload

    def _currency(self, terminal: Terminal) -> str:
        return self.engine.estate.stores[terminal.store_id].currency

    async def check_verifies(self) -> None:
        """Raise `Busy`, `NotFound` or `Unsupported` unless the terminal can look at a card now."""
        terminal = await self.idle()
        if Ability.READ_CARD not in self.engine.capabilities(terminal.id).errands:
            raise Unsupported(f"Terminal {terminal.name} reads no card without a payment.")

    async def verify(self, request: CardVerificationRequest, tid: str) -> bytes:
        """The payload of the result of a card verification: whether there is a card that can be
        read. No bank is asked."""
        try:
            card = await self.engine.perform(self.terminal.id, ReadCard())
        except (PeerError, Conflict) as error:
            text = wire.fitted(error.detail, results.ERROR_TEXT) or results.NO_CARD
            return results.refusal("H", tid, text, self.settings)
        assert isinstance(card, CardRead), "that is what comes of it"
        terminal = self.terminal
        zone = self.engine.estate.stores[terminal.store_id].time_zone
        number = await self.engine.number(f"ecr17 {terminal.id}")
        return results.verification(card, tid, number, self._clock.now(), zone, self.settings)
