"""What is done in an estate: transactions, their outcomes and events, and what differs.

Values only: frozen, compared by content, without behaviour beyond what follows from themselves.
Amounts are minor units; times are `Instant`s (ms since 1970, UTC). No card number can be held
here: `card_last4` and `card_bin` are all there is (law 7).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from tillwire.clock import Instant
from tillwire.errors import Proof
from tillwire.money import Money


class TransactionType(StrEnum):
    """One movement of money, or the try of one."""

    PURCHASE = "PURCHASE"
    REFUND = "REFUND"
    REVERSAL = "REVERSAL"
    PREAUTH = "PREAUTH"
    INCREMENT = "INCREMENT"
    CAPTURE = "CAPTURE"
    CASH_ADVANCE = "CASH_ADVANCE"


FOLLOW_UPS = frozenset(
    {
        TransactionType.REFUND,
        TransactionType.REVERSAL,
        TransactionType.INCREMENT,
        TransactionType.CAPTURE,
    }
)
"""Types that may name an `original`. All but REFUND must."""


class State(StrEnum):
    """Where a transaction is. `core/states.py` says how it moves."""

    ACCEPTED = "ACCEPTED"
    SENT = "SENT"
    STARTED = "STARTED"
    UNKNOWN = "UNKNOWN"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


FINAL_STATES = frozenset({State.APPROVED, State.DECLINED, State.CANCELLED, State.FAILED})
OPEN_STATES = frozenset(State) - FINAL_STATES


class Verdict(StrEnum):
    """How a transaction that reached a terminal ended."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    CANCELLED = "CANCELLED"

    @property
    def state(self) -> State:
        """The transaction's state that this verdict leads to."""
        return State(self.value)


class EntryMode(StrEnum):
    """How the card was read."""

    CONTACTLESS = "CONTACTLESS"
    CHIP = "CHIP"
    SWIPE = "SWIPE"
    MANUAL = "MANUAL"


class Verification(StrEnum):
    """How the cardholder was verified (CVM)."""

    NONE = "NONE"
    PIN = "PIN"
    SIGNATURE = "SIGNATURE"
    DEVICE = "DEVICE"


class Evidence(StrEnum):
    """How we know an outcome."""

    ANSWER = "answer"
    """The terminal answered the command."""
    REPORTED = "reported"
    """The terminal or its cloud told it unasked."""
    RECOVERED = "recovered"
    """Asked again after the answer was lost."""
    PERSON = "person"
    """A named person decided."""


class Conversion(msgspec.Struct, frozen=True, omit_defaults=True):
    """Dynamic currency conversion (DCC): what the cardholder's account was charged."""

    amount: Money
    rate: str
    """Exact decimal text: units of the cardholder's currency for one of the shop's."""
    markup: str = ""
    """Percent over the wholesale rate, exact decimal text."""


class Receipts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Receipts as the terminal wrote them, plain text with `\\n` line ends."""

    cardholder: str = ""
    merchant: str = ""


class Cause(StrEnum):
    """Who or what ended a CANCELLED transaction at its terminal."""

    CARDHOLDER = "cardholder"
    NO_CARD = "no_card"
    """None was presented in time."""
    TILL = "till"
    """It was called off."""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened to the money, with its evidence."""

    verdict: Verdict
    evidence: Evidence = Evidence.ANSWER
    approved_amount: int = 0
    """Minor units that really moved, tip included; 0 unless APPROVED."""
    tip: int = 0
    """Minor units of `approved_amount` that were added on the terminal as a tip, beyond what was
    asked for. A tip agreed at the till (`Terms.tip`) is not among them."""
    at: Instant | None = None
    """When the terminal or acquirer decided."""
    reason: str = ""
    """Why it was declined or cancelled, in words."""
    response_code: str = ""
    """ISO 8583 field 39: `00`, `05`, `51` ..."""
    authorisation_code: str = ""
    stan: str = ""
    """System trace audit number, digits with leading zeros."""
    brand: str = ""
    card_last4: str = ""
    card_bin: str = ""
    application_id: str = ""
    """EMV AID, hexadecimal."""
    entry_mode: EntryMode | None = None
    verification: Verification | None = None
    acquirer_reference: str = ""
    conversion: Conversion | None = None
    receipts: Receipts | None = None
    cause: Cause | None = None
    """Of a CANCELLED one, where it is known."""
    handle: Mapping[str, str] = {}
    """What the terminal calls it: what a follow-up must quote, in the driver's own names."""
    from_host: str = ""
    """What the host behind the terminal handed back for the till (`ForHost`), without card numbers
    (law 7)."""

    def same_money(self, other: Outcome) -> bool:
        """Whether both say the same of the money, whatever else they tell."""
        return (self.verdict, self.approved_amount) == (other.verdict, other.approved_amount)


class Heading(msgspec.Struct, frozen=True):
    """Whose receipt it is: the store as it was when the transaction was accepted."""

    store_id: str
    store: str
    address: str
    zip_code: str
    city: str
    country: str
    time_zone: str
    terminal: str
    tid: str


class HostTag(msgspec.Struct, frozen=True, omit_defaults=True):
    """One content that a till hands to the host behind its terminal, as it is."""

    content: str
    index: int = 0
    """As which the host knows it; 0 where the till does not say."""


class ForHost(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a till hands to the host behind its terminal with a sale: the contract of a card token,
    say. No card number is here (law 7)."""

    tags: tuple[HostTag, ...] = ()
    purpose: str = ""
    """Of the payment, in the host's code."""
    wanted_field: str = ""
    """The ISO 8583 field of the host's answer that is wanted back; empty: nothing is."""
    wanted_tag: str = ""
    """The tag that is wanted of it."""


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What else a till may say of a sale, for a terminal that can use it, and for totals."""

    cash_back: int = 0
    """Minor units of the amount that are paid out in cash."""
    tip: int = 0
    """Minor units of the amount that are a tip, agreed at the till."""
    operator: str = ""
    shift: str = ""
    totals_group: str = ""
    chain: str = ""
    """The till's own name for a reservation and all that follows it."""
    card: str = ""
    """A card that was read before (`errands.CardRead.card`), with which to pay."""
    valid_until: str = ""
    """How long a reservation is wanted, ISO 8601 date."""
    language: str = ""
    """Of the customer, ISO 639-1."""
    collapse_key: str = ""
    """With `WhenBusy.QUEUE`: a request of the same face and terminal under the same key that was
    not sent yet is replaced by this one. Empty: none is."""
    receipt_text: str = ""
    """Printed under the terminal's receipt."""
    for_host: ForHost | None = None
    """Only for terminals that can hand it on (`Capabilities.for_host`)."""


class Callback(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom a transaction's till wants told of it."""

    face: str
    """Whose teller writes the letters (`core/letters.py`)."""
    sealed: str
    """Address and headers, sealed by the vault: JSON `{"url": ..., "headers": {...}}`. Only the
    delivery opens it."""
    detail: Mapping[str, str] = {}
    """What letters must repeat, in the face's own names."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A till's message under the till's own number, remembered so that it is not done twice and
    can be answered again (`core/exchanges.py`)."""

    id: int = 0
    """The journal's; 0 until it is committed."""
    organisation_id: str
    terminal_id: str
    dialect: str
    register: str
    """Who sent it."""
    number: str
    """The sender's own; unique per terminal, dialect and register for as long as
    `exchanges.UNIQUE_FOR` says."""
    kind: str
    """What it asked for, in the dialect's word."""
    digest: str
    """SHA-256, hexadecimal, of what it asked for: another one under the same number is refused."""
    at: Instant
    chain: str = ""
    """`Terms.chain` of what it asked for; found by it within the organisation."""
    transaction_id: str | None = None
    """What came of it; None when it moved no money."""
    request: str = ""
    """What its answers must repeat, as text that the dialect reads."""
    answer: str = ""
    """The answer as text that the dialect reads; empty as long as there is none, and for good where
    the answer is made of the transaction."""
    answered_at: Instant | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A register's login at a terminal, in dialects that have logins."""

    terminal_id: str
    dialect: str
    register: str
    opened_at: Instant
    detail: Mapping[str, str] = {}
    """What the register said of itself, in the dialect's own names."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a till asks for, before it is a transaction."""

    organisation_id: str
    terminal_id: str
    dialect: str
    """The face through which it came."""
    type: TransactionType
    amount: Money
    reference: str
    """The till's own name for the sale. Not unique."""
    original_id: str | None = None
    """The transaction that a follow-up follows."""
    partial_allowed: bool = False
    """Whether an approval of less than `amount` is welcome."""
    register: str = ""
    waits: bool = False
    """Whether it may wait for its terminal even across a restart of the gateway."""
    expires_in: float | None = None
    """Seconds after which it is given up if it has not been sent; None: it waits for good."""
    idempotency_key: str = ""
    """Empty, or a key under which this request is accepted once per organisation."""
    terms: Terms = Terms()
    reserved: int | None = None
    """Minor units that are reserved, by the till's picture, before an INCREMENT, or a REVERSAL of a
    PREAUTH: it is refused when that is not so any more. None: whatever is reserved."""
    exchange: Exchange | None = None
    """The message that asks for it, remembered in the accepting commit with the transaction's
    id."""
    held: bool = False
    """Whether it only takes its terminal, and is not sent before it is released
    (`core/holding.py`): for tills that tell in a second message what is to go with it."""
    callback: Callback | None = None
    """Whom to tell of it."""


class Transaction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One movement of money, or the try of one."""

    id: str
    """31 decimal digits; sorts by time of acceptance."""
    version: int
    """How many events it has; the last one's sequence number."""
    organisation_id: str
    terminal_id: str
    dialect: str
    type: TransactionType
    state: State
    amount: Money
    reference: str
    heading: Heading
    created_at: Instant
    original_id: str | None = None
    partial_allowed: bool = False
    register: str = ""
    terms: Terms = Terms()
    waits: bool = False
    """Whether, not sent yet, it outlives a restart of the gateway."""
    expires_at: Instant | None = None
    """When it is given up if it has not been sent."""
    token: int = 0
    """The fencing token with which it holds its terminal; 0 while it stands in the queue."""
    sent_at: Instant | None = None
    send_by: Instant | None = None
    """No driver writes the command after this instant (law 5)."""
    deadline: Instant | None = None
    """When an outcome that has not come makes it UNKNOWN."""
    started_at: Instant | None = None
    peer: Mapping[str, str] = {}
    """What the driver must remember to find it again: a polling URL, a STAN, a ServiceID."""
    outcome: Outcome | None = None
    proof: Proof | None = None
    ended_at: Instant | None = None
    cleared_at: Instant | None = None
    """When it was known to be settled; a fact beside the state."""
    reversed_at: Instant | None = None
    """When another transaction reversed it; a fact beside the state."""
    callback: Callback | None = None
    """Whom to tell of it."""
    received_at: Instant | None = None
    """When its terminal had got it; only kept where somebody is told of it."""

    @property
    def is_final(self) -> bool:
        """Whether no event can move it any more."""
        return self.state in FINAL_STATES

    @property
    def is_settled(self) -> bool:
        """Whether waiting for its terminal is over: it is final, or nobody can tell."""
        return self.is_final or self.state is State.UNKNOWN

    @property
    def approved_amount(self) -> int:
        """Minor units that really moved; 0 unless APPROVED."""
        return self.outcome.approved_amount if self.outcome else 0


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a transaction; never changed, never removed."""

    transaction_id: str
    sequence: int
    """1 for the first event of the transaction, without gaps."""
    name: str
    """A word of `states.Event`, or of a fact beside the state."""
    state: State
    """The transaction's state after it."""
    at: Instant
    detail: Mapping[str, Any] = {}
    position: int = 0
    """Its place among all events of the journal, in commit order; 0 until it is committed."""


class Discrepancy(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that do not fit together: one that contradicts a final outcome, or a difference that a
    reconciliation found. Open until a person closes it with a reason."""

    id: int
    transaction_id: str | None
    """None: of a reconciliation, and no transaction of ours."""
    at: Instant
    known: str
    """What the journal says, in one sentence."""
    heard: str
    """What contradicts it."""
    closed_at: Instant | None = None
    closed_by: str = ""
    reason: str = ""
    kind: str = "contradiction"
    """Or the word of the reconciliation: `amount_differs`, `missing_at_till` ..."""
    key: str | None = None
    """Of a reconciliation: a digest of the facts, under which it is opened once."""
    source: str = ""
    """Of a reconciliation: the files that were compared with the journal."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A difference that a reconciliation found, before it is a discrepancy."""

    key: str
    kind: str
    transaction_id: str | None
    known: str
    heard: str
    source: str
