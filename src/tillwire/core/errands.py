"""Errands: what a terminal does for a till that moves no money.

Showing a text, printing, printing the last receipt again, asking a question, reading a card before
its payment, its balance, an update, the terminal's own totals and the last transaction that it
remembers. An errand is asked of the terminal through its driver while no transaction holds it, is
not journaled, and may be repeated. What it finds out about money (`Count`, `AskLast`) is evidence
to show, never an outcome.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tillwire.core.entries import Entry
from tillwire.core.model import EntryMode
from tillwire.core.totals import TotalsRow
from tillwire.errors import PeerError
from tillwire.money import Money


class Ability(StrEnum):
    """Which errands a driver can run."""

    SHOW = "show"
    PRINT = "print"
    ASK = "ask"
    READ_CARD = "read_card"
    BALANCE = "balance"
    UPDATE = "update"
    COUNT = "count"
    LAST = "last"
    REPRINT = "reprint"


class Question(StrEnum):
    """What kind of answer is wanted."""

    ANY_KEY = "any_key"
    CONFIRM = "confirm"
    TEXT = "text"
    DIGITS = "digits"
    DECIMAL = "decimal"
    FUNCTION_KEY = "function_key"
    CHOICE = "choice"
    PASSWORD = "password"  # noqa: S105 - a kind of question, not a secret


class Show(msgspec.Struct, frozen=True):
    """Show a text to the customer."""

    text: str
    """Lines with `\\n` between them."""
    seconds: int = 0
    """How long it must stay at least."""


class Print(msgspec.Struct, frozen=True):
    """Print on the terminal's printer."""

    text: str
    """Lines with `\\n` between them."""
    signature: bool = False
    """Whether the customer has to sign it."""


class Ask(msgspec.Struct, frozen=True):
    """Ask the customer something on the terminal's keys."""

    question: Question
    text: str
    choices: tuple[str, ...] = ()
    """Of a `CHOICE`."""
    default: str = ""
    shortest: int = 0
    longest: int = 0
    """Characters of the answer; 0 is no limit."""
    decimals: int = 0
    """Of a `DECIMAL`, at most."""
    seconds: int = 0
    """How long to wait for the answer; 0 leaves it to the terminal."""
    notice_card: bool = False
    """Whether a card that is inserted meanwhile ends the question (`Trouble.CARD_INSERTED`)."""


class ReadCard(msgspec.Struct, frozen=True):
    """Read the card now, for a payment to come."""

    amount: Money | None = None


class AskBalance(msgspec.Struct, frozen=True):
    """Read a card's balance."""

    card: str = ""
    """`CardRead.card` of a card that was read before; empty: ask for one."""


class Update(msgspec.Struct, frozen=True):
    """Load parameters or software, or what else the vendor calls by this name."""

    what: str = ""


class Count(msgspec.Struct, frozen=True):
    """The terminal's own totals, of what it did since it was closed last."""

    close: bool = False
    """Whether to reconcile with the acquirer, and begin a new period."""


class AskLast(msgspec.Struct, frozen=True):
    """The last transaction that the terminal remembers."""

    at_terminal: bool = False
    """Whether somebody is there who can act, where that tells more."""


class Reprint(msgspec.Struct, frozen=True):
    """Print the terminal's last receipt once more, on its own printer."""


Errand = Show | Print | Ask | ReadCard | AskBalance | Update | Count | AskLast | Reprint

ABILITY_OF: dict[type[Errand], Ability] = {
    Show: Ability.SHOW,
    Print: Ability.PRINT,
    Ask: Ability.ASK,
    ReadCard: Ability.READ_CARD,
    AskBalance: Ability.BALANCE,
    Update: Ability.UPDATE,
    Count: Ability.COUNT,
    AskLast: Ability.LAST,
    Reprint: Ability.REPRINT,
}
"""The ability that each errand takes."""


class Answer(msgspec.Struct, frozen=True):
    """What was answered to `Ask`."""

    confirmed: bool = False
    """To `CONFIRM` and `ANY_KEY`."""
    text: str = ""
    """To all that are typed."""
    choice: int = 0
    """To `CHOICE` and `FUNCTION_KEY`: from 1 on."""


class CardRead(msgspec.Struct, frozen=True):
    """The card that was read. No card number is here (law 7)."""

    card: str
    """What `Terms.card` names it by in the payment that follows."""
    brand: str = ""
    card_last4: str = ""
    card_bin: str = ""
    entry_mode: EntryMode | None = None


class Balance(msgspec.Struct, frozen=True):
    """What is on the card."""

    card: CardRead
    amount: Money


class Counted(msgspec.Struct, frozen=True):
    """The terminal's own totals."""

    rows: tuple[TotalsRow, ...]
    period: str = ""
    """How the terminal calls the period that they are of."""


Result = Answer | CardRead | Balance | Counted | Entry | None
"""What comes of an errand: Ask -> Answer, ReadCard -> CardRead, AskBalance -> Balance, Count ->
Counted, AskLast -> Entry or None, all others -> None."""


class Trouble(StrEnum):
    """Why an errand was not run."""

    CANCELLED = "cancelled"
    """By the customer."""
    TIMED_OUT = "timed_out"
    """The customer did nothing in time."""
    CARD_INSERTED = "card_inserted"
    """A card came instead of an answer."""
    BROKEN = "broken"
    """The device is out of order: no paper, no reader."""
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


class ErrandFailed(PeerError):
    """The terminal did not do what it was asked."""

    def __init__(self, trouble: Trouble, detail: str = "") -> None:
        super().__init__(detail)
        self.trouble = trouble
