"""All that core wants from outside: drivers, the journal, the clock, the network.

Small on purpose. `Could not connect` (a proof) is never mixed with `lost the answer` (none): a
dialer or HTTP client raises `NotDelivered` only when not one byte of the request was written.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from enum import StrEnum
from typing import Protocol, TypeVar

import msgspec

from tillwire.clock import Instant
from tillwire.core.entries import Entry, Lists
from tillwire.core.errands import Ability, Errand, Result
from tillwire.core.estate import Estate
from tillwire.core.estate_model import (
    ApiKey,
    Application,
    ClientApp,
    Device,
    Hook,
    Merchant,
    Organisation,
    PairingCode,
    Register,
    SealedKey,
    Store,
    Terminal,
)
from tillwire.core.letters import Letter, LetterState
from tillwire.core.model import (
    Discrepancy,
    Event,
    Exchange,
    Finding,
    Outcome,
    Session,
    Transaction,
    TransactionType,
)
from tillwire.core.totals import Closing, Ending
from tillwire.errors import JournalError, Proof

T = TypeVar("T")


class Clock(Protocol):
    """Time and randomness."""

    def now(self) -> Instant: ...
    def monotonic(self) -> float: ...
    def random_digits(self, count: int) -> str: ...
    def token(self, size: int = 32) -> str: ...
    def transaction_id(self) -> str: ...


# --- drivers --------------------------------------------------------------------------------


class Capabilities(msgspec.Struct, frozen=True):
    """What a driver can do with its terminal: computed, shown, tested; never promised."""

    types: frozenset[TransactionType]
    pull: bool = False
    """Whether the terminal fetches its transactions: they wait as ACCEPTED until it does."""
    abort: bool = False
    """Whether a command on its way can be called back."""
    outcome_within: float = 180.0
    """Seconds from sending until a missing outcome counts as lost."""
    send_within: float = 5.0
    """Seconds from the dispatching commit in which the command may be written (law 5)."""
    errands: frozenset[Ability] = frozenset()
    """What else the terminal can do for a till."""
    lists: Lists = Lists.NONE
    """Of which transactions `Driver.transactions` tells."""
    for_host: bool = False
    """Whether what a till hands to the host (`Terms.for_host`) gets there."""


class Sign(msgspec.Struct, frozen=True):
    """A sign of life, or what must survive, during a transaction."""

    received: bool = False
    """The terminal has got it, before it works on it. Said once; `started` implies it."""
    started: bool = False
    """The terminal works on it."""
    peer: Mapping[str, str] = {}
    """Keys to journal before they are relied on."""
    display: str = ""
    """What the terminal shows, for the till: told to whoever listens, and not journaled."""


Progress = Callable[[Sign], Awaitable[None]]
"""Journals a sign; when it returns, the sign is durable."""


class Found(msgspec.Struct, frozen=True):
    """Recovery found what happened."""

    outcome: Outcome


class Absent(msgspec.Struct, frozen=True):
    """Recovery proved that the transaction never reached the terminal (law 4)."""

    detail: str
    proof: Proof = Proof.ABSENT_AT_PEER


class CannotTell(msgspec.Struct, frozen=True):
    """Recovery learned nothing definite."""

    detail: str
    needs_person: bool = False
    """Asking again will not help."""
    overdue: frozenset[str] = frozenset()
    """What it is called there, of each that waits for longer than it should, or in vain, and that
    perhaps nobody has begun: it is to be called off (`Driver.abort`)."""


class AbortResult(StrEnum):
    """How the wish to abort ended."""

    ABORTED = "ABORTED"
    TOO_LATE = "TOO_LATE"
    UNKNOWN = "UNKNOWN"


class TerminalStatus(msgspec.Struct, frozen=True):
    """Whether a terminal can be reached, and what it says of itself."""

    reachable: bool
    detail: str = ""
    boot: int | None = None


class Driver(Protocol):
    """The client side of a dialect: reaches one terminal. Keeps no state of its own."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        """Carry it to its end. Raises `NotDelivered` with a proof, or `AnswerLost`; anything else
        that is raised counts as lost, too."""

    async def recover(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """Ask what became of it. Reads only."""

    async def abort(self, transaction: Transaction) -> AbortResult:
        """Ask the terminal to drop it. Of one that is UNKNOWN only what `recover` calls overdue is
        called off, and may be so again until that was answered for each."""

    async def status(self) -> TerminalStatus:
        """Ask the terminal how it is."""

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        """Run an errand that `capabilities.errands` has; `tell` hears what the terminal shows
        meanwhile. Cancelled when the till calls it off. Raises `ErrandFailed`, `PeerError`."""

    def transactions(self, begin: Instant, end: Instant) -> AsyncIterator[Entry]:
        """What the terminal, or the cloud behind it, has on its books, done in [begin, end), each
        once, in no order; as `capabilities.lists` says. Reads only. Raises `Unsupported` where that
        is nothing, and `PeerError` when it does not tell all."""


class Inbox(Protocol):
    """Where facts go that arrive unasked: each is journaled before the call returns, and whoever
    carries the transaction, here or in another process, hears of it."""

    async def heard_sign(self, transaction_id: str, sign: Sign) -> Transaction:
        """A sign of life. Harmless when repeated or late."""

    async def heard_outcome(self, transaction_id: str, outcome: Outcome) -> Transaction:
        """An outcome. One that contradicts a final outcome opens a discrepancy."""

    async def heard_loss(self, transaction_id: str, reason: str) -> Transaction:
        """The terminal lost its memory of it: nobody can tell any more."""

    async def outcome_of(self, transaction_id: str) -> Outcome:
        """Wait until it has an outcome. Raises `NotDelivered` if it failed with proof."""

    async def find(self, transaction_id: str) -> Transaction | None:
        """A transaction as committed: the original of a follow-up, say."""

    async def follow_ups(self, original_id: str) -> list[Transaction]:
        """All that follow the original, oldest first."""

    async def newest_at(self, terminal_id: str, limit: int) -> list[Transaction]:
        """The newest transactions of a terminal, newest first."""

    def accepted_between(
        self, terminal_id: str, begin: Instant, end: Instant
    ) -> AsyncIterator[Transaction]:
        """The terminal's transactions that were accepted in [begin, end), newest first."""

    async def number(self, series: str) -> int:
        """The next number of a series: never one that was given out before, by whatever process
        on this journal. Numbers may be left out."""


class Watch(Protocol):
    """Whoever counts what happens: metrics, live pages."""

    def transition(self, before: Transaction | None, after: Transaction, event: str) -> None:
        """Called after each commit that moved a transaction. Must not block or raise."""


# --- the journal ----------------------------------------------------------------------------


class Hold(msgspec.Struct, frozen=True):
    """Who holds a terminal."""

    terminal_id: str
    transaction_id: str
    owner: str
    token: int
    deadline: Instant | None


class LanePort(msgspec.Struct, frozen=True):
    """The port that an operator gave a lane in place of the configuration's."""

    lane: str
    """The listener's name."""
    port: int
    set_at: Instant
    set_by: str
    """The user of the operating system who did."""


class StaleError(JournalError):
    """The journal has moved on since this was read."""


EstateThing = (
    Organisation
    | ApiKey
    | Merchant
    | Store
    | Terminal
    | Device
    | Application
    | Hook
    | Register
    | ClientApp
    | SealedKey
)


class Unit(Protocol):
    """One unit of work: committed as a whole, or not at all. Runs beside the event loop, so it
    touches nothing but its arguments. It may be run twice when a neighbour of its group fails."""

    def transaction(self, transaction_id: str) -> Transaction | None: ...
    def insert(self, transaction: Transaction, events: Sequence[Event]) -> None: ...
    def update(self, before: Transaction, after: Transaction, events: Sequence[Event]) -> None:
        """Write `after` over `before`. Raises `StaleError` when the journal has moved on."""

    def hold(self, terminal_id: str) -> Hold | None: ...
    def seize(
        self, terminal_id: str, transaction_id: str, owner: str, deadline: Instant | None
    ) -> int | None:
        """Hold a free terminal; the fencing token, or None when somebody holds it."""

    def pass_on(self, held: Transaction, owner: str) -> Hold | None:
        """Let go of the terminal that `held` holds, to the oldest ACCEPTED transaction in its
        queue; that one's hold, or None when the terminal is free now. Raises `StaleError` when
        `held` does not hold it with its token."""

    def queue(self, terminal_id: str) -> list[Transaction]:
        """ACCEPTED transactions of the terminal that do not hold it, oldest first."""

    def follow_ups(self, original_id: str) -> list[Transaction]:
        """Transactions that name the original, under a lock on the original's row."""

    def idempotent(self, organisation_id: str, key: str) -> tuple[str, str] | None:
        """(transaction id, fingerprint) accepted earlier under this key."""

    def remember_key(
        self, organisation_id: str, key: str, fingerprint: str, transaction_id: str, at: Instant
    ) -> None: ...

    def open_discrepancy(self, transaction_id: str, at: Instant, known: str, heard: str) -> bool:
        """Open one; False, and nothing written, when the same, or too many, are open already."""

    def report(self, finding: Finding, at: Instant) -> bool:
        """Open a discrepancy of a reconciliation; False when it was opened before, be it closed
        since or not."""

    def is_disputed(self, transaction_id: str) -> bool:
        """Whether the transaction has an open discrepancy."""

    def discrepancies(self, *, open_only: bool = True) -> list[Discrepancy]: ...
    def close_discrepancy(self, number: int, at: Instant, person: str, reason: str) -> bool:
        """Close an open one; False when there is none of this number."""

    def estate(self) -> Estate:
        """The estate as of this unit."""

    def estate_version(self) -> int:
        """Its version, which grows with every change."""

    def used_key(self, number: int, at: Instant) -> None:
        """An API key was used; no change of the estate that anybody must hear of."""

    def put(self, thing: EstateThing) -> None:
        """Create or overwrite a thing of the estate."""

    def drop_hook(self, hook_id: str) -> None:
        """Forget a hook. What waits for it is given up."""

    def saw_register(self, register_id: str, at: Instant, place: str) -> None:
        """A register was used from this place; no change of the estate that anybody must hear
        of. `register_id` is its `Register.id`."""

    def register_clashed(self, register_id: str, at: Instant, place: str) -> None:
        """It was used from this place, too, in a short time: counted once more."""

    def pairing_code(self, digest: bytes) -> PairingCode | None:
        """The code of this digest that was not used."""

    def put_pairing_code(self, code: PairingCode) -> None:
        """A new code."""

    def drop_pairing_code(self, digest: bytes) -> bool:
        """Forget a code; False when there is none of this digest."""

    def drop_pairing_codes(self, terminal_id: str, expired: Instant) -> None:
        """Forget the terminal's codes, but those that live until they are used, and all that had
        expired by `expired`."""

    def see_token(self, digest: bytes, until: Instant, now: Instant) -> bool:
        """Remember until `until` that a token of this digest was used; False when it was used
        before. Those that may be forgotten by `now` are."""

    def exchange(
        self, terminal_id: str, dialect: str, register: str, number: str
    ) -> Exchange | None:
        """The register's newest one of this number."""

    def insert_exchange(self, exchange: Exchange) -> int:
        """Remember one; its id."""

    def answer_exchange(self, exchange_id: int, answer: str, at: Instant) -> bool:
        """Remember its answer; False when there is none of this id."""

    def drop_exchanges(self, before: Instant, limit: int) -> int:
        """Forget so many of those that moved no money and are older; how many there were."""

    def put_session(self, session: Session) -> None:
        """Open a session, in place of the register's earlier one."""

    def drop_session(self, terminal_id: str, dialect: str, register: str) -> bool:
        """Close a session; False when there is none."""

    def insert_closing(self, closing: Closing) -> None:
        """End a terminal's period. Raises `StaleError` when it is not the one that is open, or
        when it does not take in all that has ended at the terminal."""

    def reserve_numbers(self, series: str, first: int, count: int) -> int:
        """Reserve `count` numbers of a series, from `first` on if it is new; the first of them."""

    def post(self, letter: Letter) -> int:
        """Put a new letter into the outbox; its id."""

    def letter(self, letter_id: int) -> Letter | None: ...
    def settle_letter(self, letter: Letter) -> bool:
        """Write what became of a letter's last try: its tries, state, next time and trouble.
        False when it is not waiting any more."""

    def drop_letter(self, letter_id: int) -> bool:
        """Forget one; False when there is none of this id."""

    def drop_letters(self, before: Instant, limit: int) -> int:
        """Forget so many of those that are older; how many there were."""

    def put_lane_port(self, lane_port: LanePort) -> None:
        """A lane's port from now on, in place of the one set before."""

    def drop_lane_port(self, lane: str) -> bool:
        """The configuration's port is the lane's again; False when none was set."""


class Reader(Protocol):
    """What can be read, beside the writer."""

    def transaction(self, transaction_id: str) -> Transaction | None: ...
    def open_transactions(self) -> list[Transaction]: ...
    def terminal_transactions(
        self,
        terminal_id: str,
        *,
        offset: int,
        limit: int,
        types: Collection[TransactionType] = tuple(TransactionType),
    ) -> tuple[int, list[Transaction]]:
        """How many of these types the terminal has, and one page of them, newest first."""

    def newest_at(self, terminal_id: str, limit: int) -> list[Transaction]:
        """The newest of the terminal, newest first. What it has beside them costs nothing."""

    def transactions_between(
        self, terminal_id: str, first: str, behind: str, limit: int
    ) -> list[Transaction]:
        """The newest of the terminal whose ids are in [first, behind), newest first. Ids sort by
        the time of acceptance."""

    def transactions_in(self, begin: Instant, end: Instant) -> Iterator[Transaction]:
        """All that were accepted in [begin, end), oldest first; to be read before the snapshot
        ends."""

    def newest_transactions(self, limit: int) -> list[Transaction]:
        """The newest of all terminals, newest first."""

    def by_reference(self, organisation_id: str, reference: str) -> list[Transaction]: ...
    def referenced_before(
        self, organisation_id: str, reference: str, behind: str, limit: int
    ) -> list[Transaction]:
        """The organisation's newest under the till's reference whose ids are before `behind`,
        newest first."""

    def newest_by_reference(
        self, organisation_id: str, reference: str, tid: str, terminal_id: str, limit: int
    ) -> list[Transaction]:
        """The newest under the till's reference and a TID, newest first; and of the terminal those
        from before it had any."""

    def ended_between(self, terminal_id: str, begin: Instant, end: Instant) -> list[Transaction]:
        """Transactions of the terminal that ended in [begin, end), oldest first."""

    def events(self, transaction_id: str) -> list[Event]: ...
    def events_after(self, position: int, limit: int) -> list[Event]:
        """Events of all transactions in commit order: follow this and none is skipped."""

    def discrepancies(self, *, open_only: bool = True) -> list[Discrepancy]: ...
    def follow_ups(self, original_id: str) -> list[Transaction]:
        """Transactions that name the original, oldest first."""

    def exchange(
        self, terminal_id: str, dialect: str, register: str, number: str
    ) -> Exchange | None:
        """The register's newest one of this number."""

    def last_exchange(
        self, terminal_id: str, dialect: str, register: str, kinds: Collection[str]
    ) -> Exchange | None:
        """The register's newest one of these kinds, of which there are eight at most."""

    def exchange_of(self, transaction_id: str) -> Exchange | None:
        """The one that asked for the transaction."""

    def exchanges_by_chain(self, organisation_id: str, chain: str, limit: int) -> list[Exchange]:
        """Those of a chain, newest first."""

    def has_old_exchanges(self, before: Instant) -> bool:
        """Whether any that moved no money is older."""

    def sessions(self) -> list[Session]:
        """All that are open, in no order."""

    def closing(self, terminal_id: str, number: int) -> Closing | None:
        """The end of a terminal's period of this number."""

    def last_closing(self, terminal_id: str) -> Closing | None:
        """The end of a terminal's newest period that has one."""

    def period_at(self, terminal_id: str, position: int) -> int:
        """The number of the terminal's period that takes in the event at this position."""

    def newest_position(self) -> int:
        """The position of the newest event; 0 when there is none."""

    def ended_where(self, transaction_id: str) -> int | None:
        """The position of the event that made a transaction final."""

    def ended_count(self, terminal_id: str) -> int:
        """How many transactions of the terminal have ended."""

    def first_accepted_at(self, terminal_id: str) -> Instant | None:
        """When the terminal's first transaction was accepted."""

    def endings(self, terminal_id: str, since: Instant, position: int) -> Iterator[Ending]:
        """The terminal's transactions that ended, by their own clock, at `since` or later, and
        whose final event stands behind `position`; to be read before the snapshot ends."""

    def lane_ports(self) -> list[LanePort]:
        """The ports that were set, by the lanes' names."""

    def waiting_letters(self, after: int, limit: int) -> list[Letter]:
        """Letters behind this id that wait, in the order in which they were committed."""

    def letter(self, letter_id: int) -> Letter | None: ...
    def letters_of(self, transaction_id: str) -> list[Letter]:
        """What is told of a transaction, in the order in which it was committed."""

    def letters_on(self, channel: str, limit: int) -> list[Letter]:
        """The channel's newest letters, newest first."""

    def letters_in(self, state: LetterState, limit: int) -> list[Letter]:
        """The newest letters in this state, newest first."""

    def count_letters(self, state: LetterState) -> int:
        """How many are in this state."""

    def pairing_code(self, digest: bytes) -> PairingCode | None:
        """The code of this digest that was not used."""

    def has_old_letters(self, before: Instant) -> bool:
        """Whether any that waits no more is older."""

    def estate(self) -> Estate: ...
    def estate_version(self) -> int:
        """A number that grows with every change of the estate, by whatever program."""


class Snapshot(Reader, Protocol):
    """The journal as it was at one moment. As long as it is kept, what is written meanwhile cannot
    be folded into the file."""

    def release(self) -> None:
        """Let go of it: nothing more is read of it. For who goes on working without it."""


class Journal(Protocol):
    """Durable truth."""

    def commit(self, work: Callable[[Unit], T]) -> Awaitable[T]:
        """Run `work(unit)` and commit it. When the wait ends, it is durable; when it raises
        `JournalError`, none of it is; when `work` raises, none of it is and that is raised."""

    async def read(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work(reader)` on a consistent snapshot."""


class Vault(Protocol):
    """Keeps secrets that must be read again: addresses with tokens in them, hooks' secrets."""

    def seal(self, text: str) -> str:
        """The text as only this vault can read it; another one each time."""

    def open(self, sealed: str) -> str:
        """What was sealed. Raises `JournalError` when another key sealed it, or it was changed."""

    def derive(self, purpose: str) -> bytes:
        """32 octets, the same ones for the same purpose as long as the key is the same."""


# --- the network ----------------------------------------------------------------------------


class HttpResponse(msgspec.Struct, frozen=True):
    """A whole HTTP response."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class HttpClient(Protocol):
    """Southbound HTTP. Follows no redirect; verifies TLS."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        connect_within: float | None = None,
        limit: int = 1 << 20,
        ready: Callable[[], None] | None = None,
    ) -> HttpResponse:
        """Raises `NotDelivered` when no byte was written, `AnswerLost` when one may have been and
        no whole response of at most `limit` bytes came within `timeout` seconds. `connect_within`
        are the seconds of these in which a new connection must be there, where they differ.
        `ready` is called right before the first byte is written; when it raises, none is."""


class Connection(Protocol):
    """An open byte stream."""

    async def read(self, limit: int = 65536) -> bytes:
        """Some bytes, or none at the end. Raises `AnswerLost` when it broke."""

    async def write(self, octets: bytes) -> None:
        """Raises `AnswerLost` when it broke: some of it may have arrived."""

    async def close(self) -> None: ...


class Dialer(Protocol):
    """Southbound TCP."""

    async def connect(self, host: str, port: int, *, timeout: float) -> Connection:
        """Raises `NotDelivered` when there is no connection within `timeout` seconds."""


DriverOf = Callable[[Terminal], Driver]
"""Builds the driver that reaches a terminal."""
