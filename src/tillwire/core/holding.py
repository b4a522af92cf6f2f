"""What has its terminal now and is sent later: a till that tells in a second message what is to go
with its request has the first one journaled, and its terminal, meanwhile. And whoever got its turn
while the terminal was asked something begins when that is over.

Only a transaction that has its terminal at once can be held, and none that waits for good: whatever
has not been released when it expires, or when the gateway starts again, was never sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from tillwire.core.changes import Changes
from tillwire.core.model import ForHost, Request, State, Terms, Transaction
from tillwire.core.moves import Keeper, Move, dispatched, expired, has_expired
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Capabilities, Clock
from tillwire.errors import InvalidRequest, Unsupported

MOST_TAGS: Final = 16
"""Tags for a host with one transaction."""
LONGEST_TEXT: Final = 1000
"""Characters of all tags together, and of the text for the receipt."""


class Holding:
    """Sends what waited at its terminal."""

    def __init__(self, changes: Changes, clock: Clock, keeper_of: Callable[[str], Keeper]) -> None:
        """`keeper_of` says, by a terminal's id, how it is handed on."""
        self._changes = changes
        self._clock = clock
        self._keeper_of = keeper_of

    async def release(self, transaction_id: str, for_host: ForHost) -> Transaction:
        """Dispatch what was accepted as `Request.held`, with what goes to the host, in one commit.
        One that was released before, or has ended, stays as it is: its terms tell.

        Raises `NotFound`, `InvalidRequest`, `Unsupported`, `JournalError`; nothing was sent then.
        """

        def send(current: Transaction) -> Move | None:
            if current.state is not State.ACCEPTED or not current.token:
                return None
            now = self._clock.now()
            if has_expired(current, now):
                return expired(current, now)
            keeper = self._keeper_of(current.terminal_id)
            terms = msgspec.structs.replace(current.terms, for_host=for_host)
            check_terms(terms, keeper.capabilities)
            return dispatched(current, keeper, now, terms=terms)

        return await self._changes.change(transaction_id, send)

    async def begin(self, transaction: Transaction, over: Callable[[str], Awaitable[None]]) -> None:
        """Dispatch what got its turn while its terminal was asked something, when that is `over`
        (`Claims.over`). A terminal that fetches is handed it by itself."""
        keeper = self._keeper_of(transaction.terminal_id)
        await over(transaction.terminal_id)
        if keeper.capabilities.pull:
            return

        def send(current: Transaction) -> Move | None:
            if current.state is not State.ACCEPTED:
                return None
            now = self._clock.now()
            if has_expired(current, now):
                return expired(current, now)
            return dispatched(current, keeper, now)

        await self._changes.insist(transaction.id, send)


def check_terms(terms: Terms, capabilities: Capabilities) -> None:
    """Raise `InvalidRequest` (field `terms`) or `Unsupported` for what cannot be handed on."""
    if len(terms.receipt_text) > LONGEST_TEXT:
        raise InvalidRequest("terms", "the receipt's text is too long", f"up to {LONGEST_TEXT}")
    if terms.for_host is None:
        return
    if not capabilities.for_host:
        raise Unsupported("Nothing can be handed to the terminal's host.")
    contents = [each.content for each in terms.for_host.tags]
    if len(contents) > MOST_TAGS or sum(map(len, contents)) > LONGEST_TEXT:
        raise InvalidRequest(
            "terms", "the host's tags are too many, or too long", f"{MOST_TAGS}, {LONGEST_TEXT}"
        )


def check_held(request: Request, when_busy: WhenBusy, capabilities: Capabilities) -> None:
    """Raise `Unsupported` for what would be sent before it is released."""
    if not request.held:
        return
    assert when_busy is WhenBusy.REJECT, "what waits in a queue is sent when its turn comes"
    assert not request.waits, "what outlives a restart is sent when its turn comes"
    assert request.expires_in is not None, "what nobody releases must end"
    if capabilities.pull:
        raise Unsupported("A terminal that fetches is handed whatever waits for it.")
