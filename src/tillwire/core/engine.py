"""The engine: accept, dispatch, conclude. With the parts that it is composed of, the only writer
of transaction state.

Every public operation commits to the journal before it returns or sends (laws 1 and 2).

It leaves to others: who may move where (`states.py`), what belongs into one commit (`moves.py`),
how a move is decided, committed and seen (`changes.py`), who gets a terminal (`occupancy.py`), how
much may follow (`follow_ups.py`), how an UNKNOWN is resolved (`recovery.py`) and why it is not yet
(`doubts.py`), how one is called off (`aborting.py`), fetched (`fetching.py`) or sent later
(`holding.py`), and what is remembered beside transactions (`exchanges.py`, `sessions.py`,
`closings.py`, `numbers.py`), and what is on the books (`books.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec

from tillwire.clock import Instant
from tillwire.core import states
from tillwire.core.aborting import Aborting
from tillwire.core.admission import Admission, admit, check_amounts, earlier_of
from tillwire.core.books import Books
from tillwire.core.changes import TRIES, Changes
from tillwire.core.claims import Claims, run_errand
from tillwire.core.closings import Closings
from tillwire.core.displays import Displays
from tillwire.core.doubts import Awaits, Doubts
from tillwire.core.errands import ABILITY_OF, AskLast, Errand, Result
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.exchanges import Exchanges
from tillwire.core.fetching import Fetching
from tillwire.core.holding import Holding, check_held, check_terms
from tillwire.core.letters import Teller
from tillwire.core.model import (
    Evidence,
    Outcome,
    Request,
    State,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.core.moves import (
    TURN,
    Keeper,
    Move,
    check_outcome,
    contradicted,
    decided,
    dispatched,
    ended,
    expired,
    has_expired,
    moved,
    noted,
    refused,
    signed,
)
from tillwire.core.numbers import Numbers
from tillwire.core.occupancy import WhenBusy
from tillwire.core.patience import within
from tillwire.core.ports import (
    Capabilities,
    Clock,
    Driver,
    DriverOf,
    Journal,
    Sign,
    StaleError,
    TerminalStatus,
    Unit,
    Watch,
)
from tillwire.core.recovery import Recovery
from tillwire.core.sessions import Sessions
from tillwire.core.tasks import Tasks
from tillwire.errors import (
    AnswerLost,
    Conflict,
    InvalidRequest,
    JournalError,
    NotDelivered,
    NotFound,
    PeerError,
    Proof,
    RemoteProtocolError,
    TerminalBusy,
    Unsupported,
)

T = TypeVar("T")

ERRAND_WITHIN: Final = 120.0
"""Seconds that an errand may take unless its till says otherwise."""
STATUS_WITHIN: Final = 10.0
"""Seconds in which a terminal must say how it is."""
_UNREACHABLE: Final = Capabilities(types=frozenset(), pull=True)
"""Of a terminal without a driver: nothing is ever sent to it."""


def _unheard(text: str) -> None:
    """Nobody listens to what is shown."""


def _nothing() -> None:
    """There is nothing to end."""


class Engine:
    """Carries transactions from a till's request to their outcome. Implements `ports.Inbox`."""

    def __init__(
        self,
        journal: Journal,
        driver_of: DriverOf,
        clock: Clock,
        *,
        owner: str = "gateway",
        watch: Watch | None = None,
        tellers: Sequence[Teller] = (),
        posted: Callable[[], None] = _nothing,
    ) -> None:
        """`owner` names this process in the journal's holds. `tellers` write what must be told of
        each move, and `posted` is called when some of that was committed."""
        self.journal = journal
        self.clock = clock
        self._driver_of = driver_of
        self._owner = owner
        self._estate = Estate()
        self._tasks = Tasks()
        self._changes = Changes(
            journal,
            clock,
            self._tasks,
            keeper_of=self._keeper_now,
            enter=lambda terminal_id: self._claims.enter(terminal_id),
            follow=self._follow,
            watch=watch,
            tellers=tellers,
            posted=posted,
            estate=lambda: self._estate,
        )
        self.post = self._changes.post
        self._mirror = self._changes.mirror
        self._recovery = Recovery(self, self._driver_for)
        self.open_at = self._mirror.open_at
        self._claims = Claims(self._mirror, clock)
        self.errand_at = self._claims.errand_at
        self._displays = Displays()
        self._doubts = Doubts(self._mirror)
        self.doubt_of = self._doubts.of
        self.abort = Aborting(self._changes, clock, self._driver_for).abort
        fetching = Fetching(self._changes, clock, self._keeper_at)
        self.offered = fetching.offered
        self.wait_offered = fetching.wait_offered
        self.fetch = fetching.fetch
        self._holding = Holding(self._changes, clock, self._keeper_at)
        self.release = self._holding.release
        # What is remembered beside transactions, by the names under which callers know it.
        self._exchanges = exchanges = Exchanges(journal, clock)
        self.check_exchange = exchanges.check
        self.begin_exchange = exchanges.begin
        self.answer_exchange = exchanges.answer
        self.exchange = exchanges.of_number
        self.last_exchange = exchanges.last
        self.exchange_of = exchanges.of_transaction
        self.exchange_by_chain = exchanges.of_chain
        self._sessions = sessions = Sessions(journal, self._tasks)
        self.open_session = sessions.open
        self.close_session = sessions.close
        self.session = sessions.of
        self.sessions_at = sessions.at
        closings = Closings(journal, clock)
        self.open_totals = closings.open_totals
        self.open_period = closings.open_period
        self.close_period = closings.close
        self.closing = closings.closing
        self.period_of = closings.period_of
        self.number = Numbers(journal, clock).next
        books = Books(
            journal, self._mirror.newest, self.find, self._terminal, self._driver_of, self.perform
        )
        self.last_transaction = books.last_transaction
        self.transactions = books.transactions
        self.accepted_between = books.accepted_between
        self.entries = books.entries

    # --- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what the journal holds. What was on its way is UNKNOWN now, and recovery of it
        starts at once, earliest deadline first; what waits goes on waiting where it may."""
        self._estate = await self.journal.read(lambda reader: reader.estate())
        await self._sessions.load()
        self._tasks.spawn(self._exchanges.forget_old())
        remembered = await self.journal.read(lambda reader: reader.open_transactions())
        remembered.sort(key=lambda each: (each.deadline or each.created_at, each.id))
        for transaction in remembered:
            self._mirror.put(transaction)
        # The queues first: nothing that ends now may still hand a terminal on to what ends, too.
        await asyncio.gather(*(self._take_up(each) for each in remembered if not each.token))
        await asyncio.gather(*(self._take_up(each) for each in remembered if each.token))

    async def _take_up(self, transaction: Transaction) -> None:
        def after_restart(current: Transaction) -> Move | None:
            now = self.clock.now()
            if current.state in (State.SENT, State.STARTED):
                reason = "The gateway restarted while it was on its way."
                return moved(current, states.Event.LOSE, now, {"reason": reason})
            if current.state is State.ACCEPTED and not current.waits:
                detail = {"proof": Proof.NEVER_SENT, "reason": "The gateway restarted."}
                return moved(current, states.Event.ABORT, now, detail, proof=Proof.NEVER_SENT)
            if current.state is State.ACCEPTED and current.token and not has_expired(current, now):
                # It got its turn while no gateway ran: a person decided what stood before it.
                keeper = self._keeper(self._estate.terminals[current.terminal_id])
                return None if keeper.capabilities.pull else dispatched(current, keeper, now)
            return None

        current = await self._changes.change(transaction.id, after_restart)
        if current.state is State.UNKNOWN:
            self._tasks.spawn(self._recovery.resolve(current.id))
        elif current.state is State.ACCEPTED:
            self._limit_waiting(current)

    async def stop(self) -> None:
        """End all tasks. What is open stays open in the journal, for the next start."""
        await self._tasks.stop()

    # --- the estate ---------------------------------------------------------------------------

    @property
    def estate(self) -> Estate:
        """The estate as it stands; a new picture replaces it as a whole."""
        return self._estate

    async def change_estate(self, work: Callable[[Unit], T]) -> T:
        """Commit a change of the estate and see it at once."""
        result = await self.journal.commit(work)
        await self._see_estate()
        return result

    async def refresh_estate(self) -> None:
        """See what another program changed, if it did."""
        version = await self.journal.read(lambda reader: reader.estate_version())
        if version != self._estate.version:
            await self._see_estate()

    async def _see_estate(self) -> None:
        seen = await self.journal.read(lambda reader: reader.estate())
        # Of two readings at the same time the older one may end last: a key that was revoked
        # between them must stay revoked.
        if seen.version >= self._estate.version:
            self._estate = seen

    def _driver_for(self, transaction: Transaction) -> Driver:
        return self._driver_of(self._estate.terminals[transaction.terminal_id])

    def _keeper(self, terminal: Terminal) -> Keeper:
        try:
            capabilities = self._driver_of(terminal).capabilities
        except Exception:  # noqa: BLE001 - nobody reaches it any more, but its history still moves
            capabilities = _UNREACHABLE
        return Keeper(self._owner, capabilities)

    def _keeper_at(self, terminal_id: str) -> Keeper:
        return self._keeper(self._terminal(terminal_id))

    def _keeper_now(self, transaction: Transaction) -> Keeper:
        terminal_id = transaction.terminal_id
        keeper = self._keeper(self._estate.terminals[terminal_id])
        if not self._claims.errand_at(terminal_id):
            return keeper
        return msgspec.structs.replace(keeper, is_asked=True)

    # --- accept -------------------------------------------------------------------------------

    async def accept(
        self, request: Request, when_busy: WhenBusy, *, check: Callable[[], None] = lambda: None
    ) -> Transaction:
        """Journal a till's request, and send it if its terminal is free.

        Returns the transaction as committed: SENT, or ACCEPTED while it waits or is held. Raises
        `NotFound` (terminal), `InvalidRequest` (field as in `Request`), `Conflict` (`Repeated`, and
        before all others; `TerminalBusy`, too much refunded, terminal not active), `Unsupported`,
        `JournalError` (nothing was sent). `check` is called while `estate` is as it is in the
        accepting commit; it raises where the request is not meant for that.
        """
        for _ in range(TRIES):
            try:
                admission = await self._admit(request, when_busy, check)
            except StaleError:
                await self.refresh_estate()
            except TerminalBusy as busy:
                raise self._doubts.explained(busy) from None
            else:
                return self._mirror.newest(admission.transaction)
        raise JournalError(f"The estate has changed {TRIES} times meanwhile.")

    async def _admit(
        self, request: Request, when_busy: WhenBusy, check: Callable[[], None]
    ) -> Admission:
        estate = self._estate
        check()
        terminal = estate.terminals.get(request.terminal_id)
        if terminal is None or terminal.organisation_id != request.organisation_id:
            raise NotFound(f"No terminal {request.terminal_id}.")
        check_amounts(request)
        try:
            keeper = self._active(terminal, request.type)
            check_terms(request.terms, keeper.capabilities)
            check_held(request, when_busy, keeper.capabilities)
            await self._claims.clear(terminal.id, wait=when_busy is not WhenBusy.REJECT)
        except (Conflict, Unsupported):
            # Who asks again under the same key must learn that it was accepted before.
            if earlier := await self.journal.commit(partial(earlier_of, request=request)):
                return Admission(earlier, [])
            raise
        # No await from here to the commit, lest an errand takes the terminal in between.
        admit_it = partial(
            admit,
            draft=self._draft(request, terminal),
            request=request,
            when_busy=when_busy,
            keeper=keeper,
            estate_version=estate.version,
        )
        leave = self._claims.enter(terminal.id)
        return await self._changes.commit(admit_it, lambda admission: admission.moves, leave)

    def _active(self, terminal: Terminal, kind: TransactionType) -> Keeper:
        keeper = Keeper(self._owner, self._active_driver(terminal).capabilities)
        if kind not in keeper.capabilities.types:
            raise Unsupported(f"Terminal {terminal.name} cannot do a {kind}.")
        return keeper

    def _active_driver(self, terminal: Terminal) -> Driver:
        if terminal.lifecycle is not Lifecycle.ACTIVATED:
            raise Conflict(f"Terminal {terminal.name} is {terminal.lifecycle}, not ACTIVATED.")
        return self._driver_of(terminal)

    def _draft(self, request: Request, terminal: Terminal) -> Transaction:
        now = self.clock.now()
        return Transaction(
            id=self.clock.transaction_id(),
            version=1,
            organisation_id=request.organisation_id,
            terminal_id=terminal.id,
            dialect=request.dialect,
            type=request.type,
            state=states.after(None, states.Event.ACCEPT),
            amount=request.amount,
            reference=request.reference,
            heading=self._estate.heading(terminal),
            created_at=now,
            original_id=request.original_id,
            partial_allowed=request.partial_allowed,
            register=request.register,
            terms=request.terms,
            waits=request.waits,
            expires_at=None
            if request.expires_in is None
            else Instant(now + round(request.expires_in * 1000)),
            callback=request.callback,
        )

    # --- what commits ask for -----------------------------------------------------------------

    def _follow(self, move: Move) -> None:
        self._doubts.hear(move)
        if move.event.name == states.Event.DISPATCH:
            self._tasks.spawn(self._carry(move.after))
        elif move.event.name == states.Event.ACCEPT:
            self._limit_waiting(move.after)
        elif move.event.name == TURN:
            self._tasks.spawn(self._holding.begin(move.after, self._claims.over))
        if move.after.is_final:
            self._displays.forget(move.after.id)

    def _limit_waiting(self, transaction: Transaction) -> None:
        if transaction.expires_at is not None:
            self._tasks.spawn(self._expire(transaction.id, transaction.expires_at))

    async def _expire(self, transaction_id: str, at: Instant) -> None:
        await self.wait(transaction_id, _has_left_the_queue, (at - self.clock.now()) / 1000)

        def give_up(current: Transaction) -> Move | None:
            if _has_left_the_queue(current):
                return None
            return expired(current, self.clock.now())

        await self._changes.insist(transaction_id, give_up)

    # --- carrying -----------------------------------------------------------------------------

    async def _carry(self, transaction: Transaction) -> None:
        """From dispatch to the end, by whatever way; every exit but success needs a reason."""
        assert transaction.deadline is not None, "what was dispatched has a deadline"
        left = (transaction.deadline - self.clock.now()) / 1000
        reason = ""
        try:
            progress = partial(self._progress, transaction.id)
            outcome = await within(left, self._driver_for(transaction).run(transaction, progress))
            check_outcome(transaction, outcome)
            await self.conclude(transaction.id, outcome)
        except NotDelivered as refusal:
            known = await self.refuse(
                transaction.id, refusal.proof, str(refusal), send_by=transaction.send_by
            )
            reason = "" if known.is_final else "It was handed out again before it was refused."
        except TimeoutError:
            reason = f"No outcome within {left:g} seconds."
        except PeerError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, nobody can tell
            reason = f"The driver failed: {type(error).__name__}: {error}"
        if reason:
            await self._lose(transaction.id, reason)
        await self._recovery.resolve(transaction.id)

    async def _progress(self, transaction_id: str, sign: Sign) -> None:
        await self.heard_sign(transaction_id, sign)

    async def conclude(self, transaction_id: str, outcome: Outcome) -> Transaction:
        """Journal an outcome, whatever it takes. One that contradicts a final state opens a
        discrepancy."""
        return await self._changes.insist(transaction_id, partial(self._with_outcome, outcome))

    def _with_outcome(self, outcome: Outcome, current: Transaction) -> Move | None:
        now = self.clock.now()
        if current.state in (State.SENT, State.STARTED, State.UNKNOWN):
            return ended(current, outcome, now)
        return contradicted(current, outcome, now)

    async def refuse(
        self, transaction_id: str, proof: Proof, reason: str, *, send_by: Instant | None
    ) -> Transaction:
        """Journal that provably no money moved, whatever it takes. The proof speaks of what was
        sent until `send_by`: it proves nothing once the transaction was handed out again."""

        def fail(current: Transaction) -> Move | None:
            if current.is_final or current.send_by != send_by:
                return None
            return refused(current, proof, reason, self.clock.now())

        return await self._changes.insist(transaction_id, fail)

    async def _lose(self, transaction_id: str, reason: str) -> Transaction:
        return await self._changes.insist(transaction_id, partial(self._with_loss, reason))

    async def note(self, transaction_id: str, name: str, detail: str) -> Transaction:
        """Journal a fact beside the state."""

        def write_down(current: Transaction) -> Move | None:
            return noted(current, name, self.clock.now(), {"detail": detail})

        return await self._changes.insist(transaction_id, write_down)

    # --- what is heard (ports.Inbox) ----------------------------------------------------------

    async def heard_sign(self, transaction_id: str, sign: Sign) -> Transaction:
        """Journal a sign of life, or what the driver must remember; tell what is shown. Harmless
        when repeated."""
        known = self._mirror.get(transaction_id)
        if sign.display and known is not None and not known.is_final:
            self._displays.show(transaction_id, sign.display)

        def take_down(current: Transaction) -> Move | None:
            return signed(current, sign, self.clock.now())

        return await self._changes.change(transaction_id, take_down)

    async def heard_outcome(self, transaction_id: str, outcome: Outcome) -> Transaction:
        """Journal an outcome that came unasked.

        Raises `NotFound`, `RemoteProtocolError` when it cannot be of this transaction, and
        `JournalError`, upon which the teller should tell it again.
        """
        return await self._changes.change(transaction_id, partial(self._with_outcome, outcome))

    async def heard_loss(self, transaction_id: str, reason: str) -> Transaction:
        """Journal that the terminal cannot answer for it any more."""
        return await self._changes.change(transaction_id, partial(self._with_loss, reason))

    def _with_loss(self, reason: str, current: Transaction) -> Move | None:
        if current.state not in (State.SENT, State.STARTED):
            return None
        return moved(current, states.Event.LOSE, self.clock.now(), {"reason": reason})

    async def outcome_of(self, transaction_id: str) -> Outcome:
        """Wait for the outcome. Raises `AnswerLost` once the transaction is UNKNOWN, and
        `NotDelivered` when it failed with a proof."""
        current = await self.wait(transaction_id, lambda each: each.is_settled, None)
        if current.outcome is not None:
            return current.outcome
        if current.proof is not None:
            raise NotDelivered(f"Transaction {transaction_id} failed.", current.proof)
        raise AnswerLost(f"Nobody can tell about transaction {transaction_id} yet.")

    # --- asking -------------------------------------------------------------------------------

    async def find(self, transaction_id: str) -> Transaction | None:
        """The transaction as committed; from memory when it is open or ended lately."""
        return await self._changes.find(transaction_id)

    async def follow_ups(self, original_id: str) -> list[Transaction]:
        """All that follow the original, as committed, oldest first."""
        found = await self.journal.read(lambda reader: reader.follow_ups(original_id))
        return [self._mirror.newest(each) for each in found]

    async def newest_at(self, terminal_id: str, limit: int) -> list[Transaction]:
        """The newest transactions of a terminal, as committed, newest first."""
        found = await self.journal.read(lambda reader: reader.newest_at(terminal_id, limit))
        return [self._mirror.newest(each) for each in found]

    async def wait(
        self,
        transaction_id: str,
        until: Callable[[Transaction], bool],
        timeout: float | None,
    ) -> Transaction:
        """Wait, `timeout` seconds at most, until the transaction fulfils `until`; its latest
        state in either case. Raises `NotFound`."""
        return await self._changes.wait(transaction_id, until, timeout)

    def listen(self, transaction_id: str, tell: Callable[[str], None]) -> Callable[[], None]:
        """Tell what the terminal shows from now on, and at once what it shows already, as long as
        the transaction is open. The result, called, ends that."""
        if (known := self._mirror.get(transaction_id)) is None or known.is_final:
            return _nothing
        return self._displays.listen(transaction_id, tell)

    def open_transaction(self, terminal_id: str) -> Transaction | None:
        """The one that holds the terminal. Touches no database."""
        return self._mirror.holder(terminal_id)

    def open_of(self, organisation_id: str, register: str) -> list[Transaction]:
        """The open transactions that a register asked for, newest first. Takes a millisecond for
        ten thousand that are open."""
        return self._mirror.open_of(organisation_id, register)

    def open_count(self) -> Mapping[State, int]:
        """How many open transactions there are in each state."""
        return self._mirror.open_count()

    def blocked_count(self) -> Mapping[tuple[str, Awaits], int]:
        """How many terminals an UNKNOWN transaction blocks, by driver and what it awaits."""
        return self._doubts.count(self._estate)

    # --- terminals beside transactions ----------------------------------------------------------

    async def perform(
        self,
        terminal_id: str,
        errand: Errand,
        *,
        tell: Callable[[str], None] = _unheard,
        seconds: float = ERRAND_WITHIN,
    ) -> Result:
        """Have the terminal run an errand; `tell` hears what it shows meanwhile. Cancelling the
        call calls the errand off.

        Raises `NotFound`, `Conflict` (terminal not active), `Unsupported`, `TerminalBusy`,
        `ErrandFailed` (`TIMED_OUT` after so many seconds), `PeerError`.
        """
        driver = self._active_driver(self._terminal(terminal_id))
        if ABILITY_OF[type(errand)] not in driver.capabilities.errands:
            name = self._terminal(terminal_id).name
            if isinstance(errand, AskLast):
                raise Unsupported(f"Terminal {name} cannot be asked for its last transaction.")
            raise Unsupported(f"Terminal {name} cannot do this: {ABILITY_OF[type(errand)]}.")
        try:
            with self._claims.errand(terminal_id, errand):
                return await run_errand(driver, errand, tell, seconds)
        except TerminalBusy as busy:
            raise self._doubts.explained(busy) from None

    def capabilities(self, terminal_id: str) -> Capabilities:
        """What can be done with the terminal; nothing, if no driver reaches it. Raises
        `NotFound`."""
        return self._keeper(self._terminal(terminal_id)).capabilities

    async def status(self, terminal_id: str) -> TerminalStatus:
        """What the terminal says of itself, or why it says nothing. Raises `NotFound`."""
        terminal = self._terminal(terminal_id)
        try:
            return await within(STATUS_WITHIN, self._driver_of(terminal).status())
        except TimeoutError:
            return TerminalStatus(False, f"No answer within {STATUS_WITHIN:g} seconds.")
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, it was not reached
            return TerminalStatus(False, f"{type(error).__name__}: {error}")

    def _terminal(self, terminal_id: str) -> Terminal:
        terminal = self._estate.terminals.get(terminal_id)
        if terminal is None:
            raise NotFound(f"No terminal {terminal_id}.")
        return terminal

    # --- what others know ----------------------------------------------------------------------

    async def resolve(self, transaction_id: str, outcome: Outcome, source: str) -> Transaction:
        """End an UNKNOWN transaction by what an acquirer's file says; one that is not UNKNOWN (any
        more) stays as it is. `source` names the file. Raises `NotFound`, and
        `RemoteProtocolError` when the outcome cannot be of this transaction."""

        def settle(current: Transaction) -> Move | None:
            if current.state is not State.UNKNOWN:
                return None
            return ended(current, outcome, self.clock.now(), source=source)

        return await self._changes.change(transaction_id, settle)

    # --- a person's decision -------------------------------------------------------------------

    async def decide(
        self,
        transaction_id: str,
        verdict: Verdict,
        *,
        person: str,
        reason: str,
        approved_amount: int | None = None,
        tip: int = 0,
    ) -> Transaction:
        """A named person ends an UNKNOWN transaction. `approved_amount` (minor units) is the
        amount asked for, and the tip that was added on the terminal, unless given. Raises
        `InvalidRequest`, `Conflict`, `NotFound`."""
        for field, text in (("person", person), ("reason", reason)):
            if not text.strip():
                raise InvalidRequest(field, "it is empty", "a text that says who or why")

        def settle(current: Transaction) -> Move | None:
            if current.state is not State.UNKNOWN:
                raise Conflict(f"Transaction {current.id} is {current.state}, not UNKNOWN.")
            approved = current.amount.minor + tip if approved_amount is None else approved_amount
            outcome = Outcome(
                verdict,
                evidence=Evidence.PERSON,
                approved_amount=approved if verdict is Verdict.APPROVED else 0,
                tip=tip if verdict is Verdict.APPROVED else 0,
                at=self.clock.now(),
                reason=reason,
            )
            try:
                return decided(current, outcome, person, reason, self.clock.now())
            except RemoteProtocolError as error:
                raise InvalidRequest("amount", str(error)) from None

        return await self._changes.change(transaction_id, settle)


def _has_left_the_queue(transaction: Transaction) -> bool:
    return transaction.state is not State.ACCEPTED
