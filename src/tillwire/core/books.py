"""What is on the books: the journal's, and those of the terminal or the cloud behind it.

What the other side says stands beside the journal as evidence (`entries.py`), for people and for
the reconciliation. Nothing here moves a transaction; `recovery.py` does, by questions of its own.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final, Protocol

import msgspec

from tillwire.clock import Instant, first_id
from tillwire.core.entries import Entry, Said, Wanted
from tillwire.core.errands import AskLast, Errand, Result
from tillwire.core.estate_model import Terminal
from tillwire.core.model import State, Transaction
from tillwire.core.patience import within
from tillwire.core.ports import DriverOf, Journal, Reader
from tillwire.errors import AnswerLost, InvalidRequest, PeerError, TillwireError

LAST_WITHIN: Final = 30.0
"""Seconds in which a terminal must say what it did last, unless the caller says otherwise."""
ENTRY_WITHIN: Final = 300.0
"""Seconds from one entry to the next: a driver may ask for many that nobody knows in between."""
MOST_ENTRIES: Final = 100_000
"""Entries of one question; who wants more asks for a shorter time."""
MOST_LISTED: Final = 10_000
"""Transactions of one listing."""
_PAGE: Final = 500
_VERDICTS: Final = frozenset({*State, *Said})
_ID: Final = re.compile(r"[0-9]{31}")


class LastKnown(msgspec.Struct, frozen=True):
    """The last transaction of a terminal."""

    journal: Transaction | None
    """The last that we accepted for it."""
    entry: Entry | None
    """The last that it, or its cloud, did: evidence."""
    known: Transaction | None = None
    """The transaction of the journal that the entry is of."""
    trouble: str = ""
    """Why there is no entry; empty where the other side has none."""


class Listing(msgspec.Struct, frozen=True):
    """Transactions of a terminal."""

    journal: list[Transaction]
    """Those that we accepted, newest first."""
    entries: list[Entry]
    """Those that it, or its cloud, did: evidence, newest first as far as times are told."""
    trouble: str = ""
    """Why there are no entries, or not all."""


class Perform(Protocol):
    """`Engine.perform`."""

    def __call__(
        self, terminal_id: str, errand: Errand, *, tell: Callable[[str], None], seconds: float
    ) -> Awaitable[Result]: ...


class Books:
    """Answers what is on the books."""

    def __init__(
        self,
        journal: Journal,
        newest: Callable[[Transaction], Transaction],
        find: Callable[[str], Awaitable[Transaction | None]],
        terminal_at: Callable[[str], Terminal],
        driver_of: DriverOf,
        perform: Perform,
    ) -> None:
        """`newest` is what is known of a transaction now, `find` looks one up, `terminal_at` a
        terminal, and `perform` runs an errand."""
        self._journal = journal
        self._newest = newest
        self._find = find
        self._terminal_at = terminal_at
        self._driver_of = driver_of
        self._perform = perform

    async def last_transaction(
        self,
        terminal_id: str,
        *,
        tell: Callable[[str], None] = lambda _: None,
        seconds: float = LAST_WITHIN,
        at_terminal: bool = False,
    ) -> LastKnown:
        """The terminal's last transaction, by the journal and by its own word; `tell` hears what it
        shows meanwhile, or wants of somebody who is there (`at_terminal`). Raises `NotFound`,
        `JournalError`."""
        self._terminal_at(terminal_id)
        entry, known, trouble = None, None, ""
        try:
            errand = AskLast(at_terminal=at_terminal)
            found = await self._perform(terminal_id, errand, tell=tell, seconds=seconds)
        except TillwireError as error:
            trouble = str(error)
        else:
            assert found is None or isinstance(found, Entry), "that is what AskLast comes to"
            if found is not None:
                entry, known = await self._identified(terminal_id, found)
        # Read behind the answer: what it tells of is in the journal by now.
        ours = await self._journal.read(lambda reader: reader.newest_at(terminal_id, 1))
        return LastKnown(self._newest(ours[0]) if ours else None, entry, known, trouble)

    async def transactions(self, terminal_id: str, wanted: Wanted, *, ask: bool = True) -> Listing:
        """The terminal's transactions, by the journal, and by the books of the other side if
        `ask`. Raises `NotFound`, `InvalidRequest`, `JournalError`."""
        self._terminal_at(terminal_id)
        check(wanted)
        entries: list[Entry] = []
        trouble = ""
        if ask:
            try:
                async for entry in self.entries(terminal_id, wanted.begin, wanted.end):
                    if wanted.takes_in_entry(entry):
                        entries.append(entry)  # noqa: PERF401 - what came before a failure stays
            except TillwireError as error:
                trouble = str(error)
            entries.sort(key=lambda each: (each.at or 0, each.name), reverse=True)
        journal: list[Transaction] = []
        async for each in self.accepted_between(terminal_id, wanted.begin, wanted.end):
            if wanted.takes_in(each):
                journal.append(each)
                if len(journal) == wanted.limit:
                    break
        return Listing(journal, entries[: wanted.limit], trouble)

    async def accepted_between(
        self, terminal_id: str, begin: Instant, end: Instant
    ) -> AsyncGenerator[Transaction, None]:
        """The terminal's transactions that were accepted in [begin, end), as committed, newest
        first: read in pages, so as many as there are. A snapshot each, since one that is kept has
        the journal's file grow."""
        first, behind = first_id(begin), first_id(end)
        while True:
            page = await self._journal.read(partial(_page, terminal_id, first, behind))
            for each in page:
                yield self._newest(each)
            if len(page) < _PAGE:
                return
            behind = page[-1].id

    async def entries(
        self, terminal_id: str, begin: Instant, end: Instant
    ) -> AsyncGenerator[Entry, None]:
        """What the other side has on its books of the terminal, done in [begin, end), in no order.

        Raises `NotFound`, `Unsupported` (it has no list), `InvalidRequest` (more than
        `MOST_ENTRIES`), `PeerError` (it does not tell all).
        """
        driver = self._driver_of(self._terminal_at(terminal_id))
        told = driver.transactions(begin, end)
        count = 0
        try:
            while (entry := await _next(told)) is not None:
                count += 1
                if count > MOST_ENTRIES:
                    raise InvalidRequest(
                        "begin, end", f"there are more than {MOST_ENTRIES:,}", "a shorter time"
                    )
                yield (await self._identified(terminal_id, entry))[0]
        finally:
            if isinstance(told, AsyncGenerator):  # whoever wanted no more has the driver let go
                await told.aclose()

    async def _identified(self, terminal_id: str, entry: Entry) -> tuple[Entry, Transaction | None]:
        """The entry, and the transaction of the terminal that it names."""
        name = entry.transaction_id or entry.name
        if not _ID.fullmatch(name):
            return entry, None
        known = await self._find(name)
        if known is None or known.terminal_id != terminal_id:
            return msgspec.structs.replace(entry, transaction_id=""), None
        # The other side may have got another name for it from us than the till's.
        reference = entry.reference or known.reference
        return msgspec.structs.replace(entry, transaction_id=name, reference=reference), known


def check(wanted: Wanted) -> None:
    """Raises `InvalidRequest` for what cannot be asked for."""
    if wanted.end <= wanted.begin:
        raise InvalidRequest("end", "it is not later than begin", "a later time")
    if strange := sorted(wanted.verdicts - _VERDICTS):
        raise InvalidRequest(
            "verdicts", f"nobody says {strange[0]!r}", ", ".join(sorted(_VERDICTS))
        )
    if not 1 <= wanted.limit <= MOST_LISTED:
        raise InvalidRequest("limit", f"{wanted.limit} is out of range", f"1 to {MOST_LISTED:,}")


async def _next(told: AsyncIterator[Entry]) -> Entry | None:
    """The driver's next entry; None when there is no more. Raises `TillwireError` alone."""

    async def following() -> Entry | None:
        return await anext(told, None)

    try:
        return await within(ENTRY_WITHIN, following())
    except TimeoutError:
        raise AnswerLost(f"Nothing more within {ENTRY_WITHIN:g} seconds.") from None
    except TillwireError:
        raise
    except Exception as error:
        raise PeerError(f"The driver failed: {type(error).__name__}: {error}") from error


def _page(terminal_id: str, first: str, behind: str, reader: Reader) -> list[Transaction]:
    return reader.transactions_between(terminal_id, first, behind, _PAGE)
