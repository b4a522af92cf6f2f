"""What the acquirer behind a virtual terminal has on its books of it.

A terminal that has lost its memory does not matter here: this is what was decided, and its list is
whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from tillwire.clock import Instant
from tillwire.core import entries
from tillwire.core.estate_model import Terminal
from tillwire.virtual.memory import Deed, Page
from tillwire.virtual.world import World

_AT_ONCE: Final = 500


async def listed(
    world: World, terminal: Terminal, begin: Instant, end: Instant
) -> AsyncIterator[entries.Entry]:
    """The acquirer's entries of the terminal, decided in [begin, end), oldest first."""
    await world.settle()
    after = 0
    while True:

        def look(page: Page, after: int = after) -> list[Deed]:
            return page.booked(terminal.id, begin, end, after, _AT_ONCE)

        deeds = await world.commit(look)
        for deed in deeds:
            yield entry_of(deed, terminal)
        if len(deeds) < _AT_ONCE:
            return
        after = deeds[-1].number


def entry_of(deed: Deed, terminal: Terminal) -> entries.Entry:
    """A deed as the other side has it."""
    booked, outcome = deed.entry, deed.outcome
    if booked is None:  # the acquirer was not asked
        return entries.Entry(name=deed.transaction_id, outcome=outcome, at=outcome.at)
    return entries.Entry(
        name=deed.transaction_id,
        outcome=outcome,
        type=booked.type,
        amount=booked.amount if booked.approved else booked.asked,
        currency=booked.currency,
        at=booked.at,
        reference=booked.reference,
        original=booked.original or "",
        tid=terminal.tid,
        words=outcome.reason,
    )
