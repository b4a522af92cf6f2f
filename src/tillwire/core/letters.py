"""Letters: what we must tell somebody of a transaction, committed with the fact that it tells.

A teller composes them: pure, and asked about every move inside the commit of the move. So no fact
is durable without its letters, and no letter tells what did not become durable. Who writes what
to whom is a face's knowledge; how letters travel is the delivery's (`callbacks/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from tillwire.clock import Instant
from tillwire.core.model import Transaction
from tillwire.errors import NotFound

if TYPE_CHECKING:
    from tillwire.core.estate import Estate
    from tillwire.core.ports import Unit

HOOK: Final = "hook:"
"""What the channel of a hook begins with; the hook's id follows."""
CALLBACK: Final = "callback"
"""The channel of what a till asked for with its transaction: delivered when it is answered with
200. Any other channel is content with any 2xx."""
NOTIFICATION: Final = "notification"
"""The channel of a hint that a transaction has ended, which is read elsewhere."""
MOST_BYTES: Final = 256 * 1024
"""Of one letter's body."""
MOST_AT_ONCE: Final = 100
"""Letters about one move."""
KEPT_FOR: Final = 30 * 24 * 3600
"""Seconds after which a letter is forgotten, once it was delivered or given up."""


class LetterState(StrEnum):
    """Where a letter is."""

    WAITING = "WAITING"
    DELIVERED = "DELIVERED"
    GIVEN_UP = "GIVEN_UP"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one address."""

    id: int = 0
    """The journal's; 0 until it is committed. Grows in commit order."""
    transaction_id: str | None
    organisation_id: str
    channel: str
    """`callback`, `notification`, or `hook:` and the hook's id."""
    kind: str
    """What it tells, in the dialect's word."""
    sealed: str
    """Address and headers, as in `model.Callback.sealed`."""
    body: bytes
    gzip: bool = False
    """Whether the body is compressed on its way."""
    created_at: Instant
    due_at: Instant
    """Not sent before."""
    pauses: tuple[float, ...] = ()
    """Seconds before each further try."""
    patience: float = 10.0
    """Seconds that one try may take."""
    tries: int = 0
    """How often it was sent."""
    state: LetterState = LetterState.WAITING
    settled_at: Instant | None = None
    """When it was delivered or given up."""
    trouble: str = ""
    """Why the last try failed, in words without the address."""


class Teller(Protocol):
    """Composes letters: one dialect's."""

    def letters(
        self, before: Transaction | None, after: Transaction, event: str, estate: Estate
    ) -> Sequence[Letter]:
        """What must be told of a move, in the order in which it is to be heard; mostly nothing,
        and then at once. Runs beside the event loop, so it touches nothing but its arguments."""


def is_wanted(letter: Letter, estate: Estate) -> bool:
    """Whether a letter is still to be sent: not when its hook was removed or switched off."""
    if not letter.channel.startswith(HOOK):
        return True
    hook = estate.hooks.get(letter.channel.removeprefix(HOOK))
    return hook is not None and hook.active and hook.removed_at is None


def letters_of(
    tellers: Sequence[Teller],
    before: Transaction | None,
    after: Transaction,
    event: str,
    estate: Estate,
) -> Iterator[Letter | Exception]:
    """What all tellers write about a move. A teller's failure comes out as a value: it must not
    stop a payment."""
    for teller in tellers:
        try:
            yield from _checked(teller.letters(before, after, event, estate))
        except Exception as error:  # noqa: BLE001 - whatever a teller raises
            yield error


def _checked(letters: Sequence[Letter]) -> Sequence[Letter]:
    if len(letters) > MOST_AT_ONCE:
        raise ValueError(f"{len(letters)} letters about one move; {MOST_AT_ONCE} at most.")
    for letter in letters:
        if len(letter.body) > MOST_BYTES:
            raise ValueError(f"A letter of {len(letter.body)} bytes; {MOST_BYTES} at most.")
    return letters


def send_again(unit: Unit, letter_id: int, now: Instant) -> int:
    """Put a letter into the outbox anew, in place of the old one; its new id. It goes out at once,
    by whatever gateway runs the journal, with all its tries. Raises `NotFound`."""
    letter = unit.letter(letter_id)
    if letter is None:
        raise NotFound(f"No letter {letter_id}.")
    unit.drop_letter(letter_id)
    return unit.post(
        msgspec.structs.replace(
            letter,
            id=0,
            due_at=now,
            tries=0,
            state=LetterState.WAITING,
            settled_at=None,
            trouble="",
        )
    )
