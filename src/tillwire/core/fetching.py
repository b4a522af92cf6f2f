"""Terminals that fetch: what one is handed, and when it may be handed the same again.

Its driver never writes; the commit that hands a transaction out is its dispatch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tillwire.clock import Instant
from tillwire.core.changes import Changes
from tillwire.core.model import State, Transaction
from tillwire.core.moves import Keeper, Move, dispatched, expired, has_expired, noted
from tillwire.core.ports import Clock


class Fetching:
    """Hands transactions to terminals that ask for them."""

    def __init__(self, changes: Changes, clock: Clock, keeper_at: Callable[[str], Keeper]) -> None:
        """`keeper_at` says, by a terminal's id, how it is handed on."""
        self._changes = changes
        self._mirror = changes.mirror
        self._clock = clock
        self._keeper_at = keeper_at

    def offered(self, terminal_id: str) -> Transaction | None:
        """What a fetch by this terminal would hand out: the one that holds it. Touches no
        database."""
        return self._mirror.holder(terminal_id)

    async def wait_offered(self, terminal_id: str, timeout: float) -> Transaction | None:
        """The same, waiting up to `timeout` seconds until there is something."""
        end = self._clock.monotonic() + timeout
        while (offer := self.offered(terminal_id)) is None:
            left = end - self._clock.monotonic()
            if left <= 0 or not await self._mirror.news_at(terminal_id, left):
                break
        return offer or self.offered(terminal_id)

    async def fetch(
        self, terminal_id: str, peer: Mapping[str, str] | None = None
    ) -> Transaction | None:
        """Hand the terminal its transaction: the waiting one is dispatched, an unfinished one is
        handed out again under the same id. Either way there is a new `send_by` in the journal
        before this returns; None when nothing is there, or when that instant has passed.

        `peer` is remembered with a dispatch.
        """
        offer = self.offered(terminal_id)
        if offer is None:
            return None
        keeper = self._keeper_at(terminal_id)

        def hand_out(current: Transaction) -> Move | None:
            now = self._clock.now()
            if current.is_final or not current.token:
                return None
            if current.state is State.ACCEPTED:
                # The timer may be late: it does not run while the machine sleeps.
                if has_expired(current, now):
                    return expired(current, now)
                return dispatched(current, keeper, now, dict(peer or {}))
            send_by = Instant(now + round(keeper.capabilities.send_within * 1000))
            if current.send_by is not None and 2 * current.send_by > now + send_by:
                return None  # half of its time is left: a terminal that loops writes no event each
            return noted(current, "redeliver", now, send_by=send_by)

        handed = await self._changes.change(offer.id, hand_out)
        if handed.is_final:
            return await self.fetch(terminal_id, peer)
        assert handed.send_by is not None, "what is handed out has been dispatched"
        return handed if self._clock.now() <= handed.send_by else None
