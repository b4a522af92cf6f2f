"""What the cloud has on its books of one terminal: its store's list, read as a whole, of which the
rows of other terminals are left out (`sorting.py`). What rows say is in `listed.py`. Nothing is
written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.entries import Entry
from tillwire.core.estate_model import Terminal
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.core.ports import Clock, Inbox
from tillwire.dialects.paymentbridge.driver.cloud import Cloud, Refused, TooManyPages
from tillwire.dialects.paymentbridge.driver.listed import (
    Group,
    entries_of,
    is_captured,
    is_settled,
    is_voided,
)
from tillwire.dialects.paymentbridge.driver.settings import DriverSettings
from tillwire.dialects.paymentbridge.driver.sorting import (
    Known,
    Lanes,
    Sorting,
    decoded,
    handles,
    is_capture,
    may_be_at,
    may_have_done_it,
)
from tillwire.dialects.paymentbridge.wire.filters import TransactionFilter
from tillwire.dialects.paymentbridge.wire.objects import Transaction as Listed
from tillwire.errors import RemoteProtocolError

_T = TransactionType
_HOUR: Final = 3_600_000
_DAY: Final = 24 * _HOUR
LAST_WITHIN: Final = (_HOUR, _DAY, 7 * _DAY, 31 * _DAY)
"""Milliseconds in which the last transaction is looked for, one after the other."""
MOST_PAGES: Final = 20
"""Of the list of a part: few, so that it is told in good time."""
MOST_SPANS: Final = 200
"""Parts into which a long time is cut, so that the list of each has an end."""
SHORTEST_SPAN: Final = 60_000
"""Milliseconds of a part that is not cut any more."""
MOST_READINGS: Final = 3
"""Of a list of several pages, from which something may vanish while it is read."""
MOST_ORIGINALS: Final = 200
"""Rows of one part that are asked for because another one follows them."""


class CloudBooks:
    """Reads the cloud's books of one terminal."""

    def __init__(
        self,
        cloud: Cloud,
        settings: DriverSettings,
        inbox: Inbox,
        clock: Clock,
        terminal: Terminal,
    ) -> None:
        self._cloud = cloud
        self._settings = settings
        self._inbox = inbox
        self._clock = clock
        self._terminal = terminal

    async def last(self) -> Entry | None:
        """The newest of the terminal within a month, if there is one. The cloud does not say in
        which order it lists, so all are looked at. Raises `PeerError`."""
        now = self._clock.now()
        end = Instant(now + round(self._settings.clock_seconds * 1000) + 1)
        for back in LAST_WITHIN:
            begin = Instant(now - back)
            found = [each async for each in self.told(begin, end)]
            if found:
                return max(found, key=_place)
            end = begin
        return None

    async def told(self, begin: Instant, end: Instant) -> AsyncIterator[Entry]:
        """What was done at the terminal in [begin, end), by the cloud's clock. Raises
        `PeerError`."""
        lanes = Lanes(await self._cloud.devices(self._settings))
        end = min(end, Instant(self._clock.now() + _DAY))  # nobody lists what is to come
        spans, parts, unreadable = [(max(begin, Instant(0)), end)], 0, 0
        timeless: set[str] = set()
        while spans:
            first, behind = spans.pop()
            if first >= behind:
                continue
            parts += 1
            try:
                entries, lost = await self._part(lanes, first, behind)
            except TooManyPages:
                if behind - first <= SHORTEST_SPAN or parts + len(spans) >= MOST_SPANS:
                    raise
                middle = Instant(first + (behind - first) // 2)
                spans += [(middle, behind), (first, middle)]
                continue
            unreadable += lost
            for entry in entries:
                if entry.at is not None and first <= entry.at < behind:
                    yield entry
                elif entry.at is None and entry.name not in timeless:
                    timeless.add(entry.name)
                    yield entry
        if unreadable:
            raise RemoteProtocolError(f"{unreadable} of its list cannot be read.")

    async def _part(self, lanes: Lanes, begin: Instant, end: Instant) -> tuple[list[Entry], int]:
        """What the list of a time tells, and how many of its rows cannot be read. Some of what it
        tells may be of other times."""
        rows: dict[str, Listed] = {}
        unreadable = 0
        for time_type in ("createdAt", "updatedAt"):
            # What was made before may have been voided in this time.
            more, lost = await self._read(lanes, begin, end, time_type)
            rows |= more
            unreadable = max(unreadable, lost)
        known, strange = await self._known(lanes, rows, begin, end)
        originals = await self._originals(rows, known, lanes)
        sorting = Sorting(rows, originals, known, strange, lanes, self._terminal.tid)
        entries: list[Entry] = []
        for group in sorting.groups():
            entries += entries_of(await self._followed(group, sorting))
        return entries, unreadable

    async def _read(
        self, lanes: Lanes, begin: Instant, end: Instant, time_type: str
    ) -> tuple[dict[str, Listed], int]:
        """The rows that may be the terminal's, by their ids, and how many cannot be read. All that
        was tried for one payment is among them, also if that was around the begin or the end."""
        around = round(self._settings.final_within * 1000)
        wanted = TransactionFilter(
            start_at=max((begin - around) // 1000 * 1000, 0),
            end_at=-(-(end + around) // 1000) * 1000,
            time_type=time_type,
        )
        before: frozenset[str] | None = None
        for _ in range(MOST_READINGS):
            rows: dict[str, Listed] = {}
            names: set[str] = set()
            pages = unreadable = 0
            is_steady = True
            async for page in self._cloud.pages(wanted, self._settings, most=MOST_PAGES):
                pages += 1
                unreadable += page.unreadable + sum(not each.id for each in page.transactions)
                is_steady = is_steady and all(map(is_settled, page.transactions))
                names |= {each.id for each in page.transactions if each.id}
                rows |= {
                    each.id.lower(): each
                    for each in page.transactions
                    if each.id and may_be_at(self._terminal.tid, each, lanes)
                }
            if pages <= 1 or is_steady or (before is not None and before <= names):
                return rows, unreadable
            before = frozenset(names)  # what is under way may vanish, and others move up
        raise RemoteProtocolError("Its list changes while it is read.")

    async def _known(
        self, lanes: Lanes, rows: Mapping[str, Listed], begin: Instant, end: Instant
    ) -> tuple[Known, frozenset[str]]:
        """What the journal has of the terminal around a time, and of the rows; and the ids of those
        that it has at another terminal."""
        first, behind = Instant(max(begin - _DAY, 0)), Instant(end + _DAY)
        by_id: dict[str, Transaction] = {}
        async for each in self._inbox.accepted_between(self._terminal.id, first, behind):
            by_id[each.id] = each
        strange: set[str] = set()
        for row in rows.values():
            for name in decoded(row):
                if name in by_id or lanes.tid(row) not in ("", self._terminal.tid):
                    continue
                found = await self._inbox.find(name)
                if found is not None and found.terminal_id == self._terminal.id:
                    by_id[name] = found
                elif found is not None:
                    strange.add((row.id or "").lower())
        return Known(by_id), frozenset(strange)

    async def _originals(
        self, rows: Mapping[str, Listed], known: Known, lanes: Lanes
    ) -> dict[str, Listed]:
        """Rows of other times that others follow: by them it is known at which terminal a refund
        was made, and whether a capture is of a reservation."""
        found: dict[str, Listed] = {}
        wanted = {
            row.parent_id.lower(): row.parent_id
            for row in rows.values()
            if row.parent_id
            and row.parent_id.lower() not in rows
            and known.ours(row) is None
            and (not (tid := lanes.tid(row)) or (tid == self._terminal.tid and is_capture(row)))
        }
        if len(wanted) > MOST_ORIGINALS:
            raise TooManyPages(f"More than {MOST_ORIGINALS} of its list follow others of before.")
        for key, name in sorted(wanted.items()):
            try:
                found[key] = await self._cloud.transaction(name, self._settings)
            except Refused as refusal:
                if refusal.status != 404:
                    raise
        return found

    async def _followed(self, group: Group, sorting: Sorting) -> Group:
        """The group with what has followed it in its own rows."""
        voided = any(map(is_voided, group.rows))
        captured = any(map(is_captured, group.rows)) and not sorting.has_captures(group)
        if not (voided or captured) or group.ours is None:
            return msgspec.structs.replace(group, is_captured_here=captured)
        followers = await self._inbox.follow_ups(group.ours.id)
        doers = [each for each in followers if may_have_done_it(each)]
        captures = [each for each in doers if each.type is _T.CAPTURE]
        return msgspec.structs.replace(
            group,
            reversal=_likeliest([each for each in doers if each.type is _T.REVERSAL]),
            # One that has an id of its own there has a row of its own.
            is_captured_here=captured and not any(map(handles, captures)),
            capture=_likeliest(captures),
        )


def _likeliest(doers: list[Transaction]) -> Transaction | None:
    """The one that did it, else the newest that may have."""
    approved = [each for each in doers if each.state is State.APPROVED]
    return next(reversed(approved or doers), None)


def _place(entry: Entry) -> tuple[int, str, bool]:
    """Newest last. Times are of whole seconds, in which a payment may be followed by its void."""
    return entry.at or 0, entry.transaction_id, entry.type is _T.REVERSAL
