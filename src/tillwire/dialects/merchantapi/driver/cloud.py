"""The system as a client sees it: what is asked of it, and its lists from page to page.

One `Systems` is shared by all terminals of a gateway. It remembers only when each system wants to
be asked again, and how many questions are on their way to it. A payment goes out once; a question
may be repeated, and `Later` says that it told nothing.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from tillwire import clock as clocks
from tillwire.clock import Instant
from tillwire.core.estate_model import Terminal
from tillwire.core.ports import Clock, HttpClient, HttpResponse
from tillwire.dialects.merchantapi import wire
from tillwire.dialects.merchantapi.driver.settings import DriverSettings
from tillwire.dialects.merchantapi.wire import told
from tillwire.dialects.merchantapi.wire.told import Told
from tillwire.errors import AnswerLost, NotDelivered, PeerError, RemoteProtocolError

PAGE: Final = 50
"""Entries of a page: each may have two receipts, and all must fit into an answer."""
MOST_PAGES: Final = 200
"""Pages of one question; what is behind them was not looked at."""
NO_PROOF: Final = frozenset({408, 409, 425, 499})
"""Statuses from 400 to 499 that do not say that nothing was taken."""
QUESTIONS: Final = 32
"""Questions at once with one key: a silent system must leave the others their connections."""
LONGEST_REST: Final = 30.0
"""Seconds for which a system may have us ask nothing."""
LONGEST_KEY: Final = 4_096
"""Octets of a key's file."""

_FAULT: Final = 500
_ACCEPT: Final = {"Accept": "application/json, application/problem+json"}

Ready = Callable[[], None]


class Refused(PeerError):
    """The system refused the request."""

    def __init__(self, response: HttpResponse) -> None:
        self.status = response.status
        super().__init__(told.read_refusal(response.status, response.body))


class NoSuch(PeerError):
    """The system knows no such thing."""


class Later(PeerError):
    """The question told nothing."""

    def __init__(self, detail: str, seconds: float = 0.0) -> None:
        """`seconds` are those in which it is of no use to ask again."""
        self.seconds = seconds
        super().__init__(detail)


class Page(NamedTuple):
    """A page of a terminal's list."""

    number: int
    entries: list[Told]
    """Those that stood on no page before."""
    unreadable: int = 0
    """Those that nobody can tell what they are, and that may be of the time that is looked at."""


class _Order:
    """Whether a list is newest first so far, and has come to what is older than `begin`."""

    def __init__(self, begin: Instant) -> None:
        self._begin = begin
        self._oldest: Instant | None = None
        self._is_orderly = True

    @property
    def is_over(self) -> bool:
        """Whether what follows is older, too."""
        return self._is_orderly and self._oldest is not None and self._oldest < self._begin

    def follow(self, rows: Sequence[Told | None]) -> int:
        """The next page; how many there cannot be read, and may not be older."""
        unreadable = early = 0
        for each in rows:
            if each is None:
                unreadable += 1
                early += not self.is_over
                continue
            made = None if each.created_at is None else clocks.instant(each.created_at)
            older = made is not None and (self._oldest is None or made <= self._oldest)
            self._is_orderly = self._is_orderly and older
            self._oldest = made
        return early if self._is_orderly else unreadable


class Account:
    """What is remembered of a system, and of who we are there."""

    def __init__(self) -> None:
        self.not_before = 0.0
        """The moment, on the monotonic clock, before which it wants to hear no question."""
        self.places = asyncio.Semaphore(QUESTIONS)


class Systems:
    """MerchantAPI systems, whichever the settings name."""

    def __init__(self, client: HttpClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._accounts: dict[tuple[str, str], Account] = {}

    def at(self, terminal: Terminal, settings: DriverSettings) -> System:
        """The one of a terminal."""
        name = (settings.url, settings.api_key_file)
        account = self._accounts.setdefault(name, Account())
        return System(terminal, settings, self._client, self._clock, account)


class System:
    """A system, for one of its terminals."""

    def __init__(
        self,
        terminal: Terminal,
        settings: DriverSettings,
        client: HttpClient,
        clock: Clock,
        account: Account,
    ) -> None:
        """`account` is shared by all terminals behind the key."""
        path = wire.transactions_path(terminal.manufacturer, terminal.model, terminal.serial)
        self.list = settings.url + path
        """The address of the terminal's list."""
        self._settings = settings
        self._client = client
        self._clock = clock
        self._account = account

    def listing(self, address: str) -> System:
        """It, for the terminal whose list has this address: another device may have stood in its
        place. The key goes to no other system, so of one of those it is as it is."""
        earlier = copy.copy(self)
        if address.startswith(f"{self._settings.url}/"):
            earlier.list = address
        return earlier

    # --- what moves money, or keeps it from moving ----------------------------------------------

    async def create(self, request: wire.TransactionRequest, ready: Ready) -> Told:
        """Post a payment or refund, once; what the system says of having taken it. Systems that
        look at `Idempotency-Key` do once what the network doubles. Raises `NotDelivered`,
        `AnswerLost`, and `Refused` for an explicit refusal."""
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": request.merchant_order_reference,
        }
        response = await self._sent(
            "POST", self.list, wire.encode(request), self._settings.answer_seconds, headers, ready
        )
        if 400 <= response.status < _FAULT:
            raise Refused(response)
        if not 200 <= response.status < 300:
            words = told.read_refusal(response.status, response.body)
            raise AnswerLost(f"The system answered {words}.")
        try:
            return told.read_transaction(response.body)
        except RemoteProtocolError as error:
            raise AnswerLost(f"The system's answer cannot be read. {error.detail}") from None

    async def cancel(self, called: str) -> bool:
        """Call a transaction off; whether that was granted. It may be repeated. Raises `PeerError`
        when nobody can tell."""
        response = await self._sent(
            "DELETE", self._named(called), b"", self._settings.request_seconds
        )
        if 200 <= response.status < 300:
            return True
        if response.status == 409:
            return False
        raise Refused(response)

    # --- questions ------------------------------------------------------------------------------

    async def transaction(self, called: str) -> Told:
        """A transaction by its id there. Raises `NoSuch`, `Later`, `RemoteProtocolError`."""
        found = told.read_transaction((await self._asked(self._named(called))).body)
        if found.id != called:
            raise RemoteProtocolError(f"Asked for {called}, it told of {found.id}.")
        return found

    async def listed(self, begin: Instant) -> AsyncIterator[Page]:
        """The terminal's list, from page to page, back to what was created before `begin`.

        It ends there if the list is newest first so far, as source 004's order is taken to be, else
        when all that it was said to have was read. Raises `PeerError` unless it can be read so far:
        what was on no page is not there, if the list did not change from page to page, and nothing
        of it was unreadable.
        """
        seen: set[str] = set()
        promised, met, is_whole, order = 0, 0, True, _Order(begin)
        for number in range(1, MOST_PAGES + 1):
            rows, total = await self._page(number)
            promised = promised if number > 1 else total
            new = [each for each in rows if each is None or each.id not in seen]
            fresh = [each for each in new if each is not None]
            seen.update(each.id for each in fresh)
            is_whole = is_whole and None not in rows
            yield Page(number, fresh, order.follow(new))
            if len(seen) >= promised or order.is_over:
                return
            # One that cannot be read may be met on two pages. So where all were met, there is an
            # end when nothing new comes.
            met += len(rows)
            if not (fresh or is_whole) and met >= promised:
                return
            if not fresh and (is_whole or not rows):
                raise RemoteProtocolError(f"Its list ends after {len(seen)} of {promised} entries.")
        raise RemoteProtocolError(f"Its list has no end within {MOST_PAGES} pages.")

    async def _page(self, number: int, size: int = PAGE) -> tuple[list[Told | None], int]:
        response = await self._asked(f"{self.list}?page={number}&size={size}")
        # A page of receipts takes a while to be read: in a thread, it keeps nobody waiting.
        return await asyncio.to_thread(told.read_page, response.body, response.headers)

    async def newest(self) -> AsyncIterator[Told]:
        """The terminal's list, newest first, in whatever order it is told: as much of it as is
        taken. Raises `PeerError`."""
        seen: set[str] = set()
        for begin in (self._clock.now(), Instant(0)):
            found: list[Told] = []
            async for page in self.listed(begin):
                if page.unreadable:
                    raise RemoteProtocolError(f"{page.unreadable} of its list cannot be read.")
                found += page.entries
            for each in sorted(found, key=_made, reverse=True):
                if each.id not in seen:
                    seen.add(each.id)
                    yield each

    async def check_known(self) -> None:
        """Ask for as little as there is of the terminal's list. Raises `PeerError`."""
        await self._page(1, 1)

    def _named(self, called: str) -> str:
        return f"{self.list}/{quote(called, safe='')}"

    # --- requests -------------------------------------------------------------------------------

    async def _asked(self, url: str) -> HttpResponse:
        """The answer to a question. Raises `NoSuch`, `Later`."""
        async with self._account.places:
            return await self._answer(url)

    async def _answer(self, url: str) -> HttpResponse:
        rest = self._account.not_before - self._clock.monotonic()
        if rest > 0:
            raise Later("The system wants to be asked later.", rest)
        try:
            response = await self._sent("GET", url, b"", self._settings.request_seconds)
        except (NotDelivered, AnswerLost) as error:
            raise Later(f"The system does not answer. {error.detail}") from None
        if response.status == 200:
            return response
        words = told.read_refusal(response.status, response.body)
        if response.status == 404:
            raise NoSuch(words)
        rest = _rest(response.headers)
        if response.status in (429, 503) and rest:
            self._account.not_before = self._clock.monotonic() + rest
        raise Later(f"The system answered {words}.", rest)

    async def _sent(
        self,
        method: str,
        url: str,
        body: bytes,
        seconds: float,
        headers: Mapping[str, str] | None = None,
        ready: Ready | None = None,
    ) -> HttpResponse:
        key = await asyncio.to_thread(_key, self._settings.api_key_file)
        response = await self._client.request(
            method,
            url,
            headers={wire.KEY_HEADER: key, **_ACCEPT, **(headers or {})},
            body=body,
            timeout=seconds,
            connect_within=self._settings.connect_seconds,
            limit=told.LARGEST_ANSWER,
            ready=ready,
        )
        if 200 <= response.status < 300:
            return response
        # What it says of a refusal is written down, and some repeat the key in it.
        words = response.body.replace(key.encode("latin-1"), b"***")
        return msgspec.structs.replace(response, body=words)


def _made(each: Told) -> float:
    """When it was created; of two at once, the one that is listed first is the newer."""
    return -math.inf if each.created_at is None else clocks.instant(each.created_at)


def _rest(headers: Sequence[tuple[str, str]]) -> float:
    """The seconds of a Retry-After header, within bounds; 0 without one that tells seconds."""
    for name, value in headers:
        text = value.strip()
        if name.lower() == "retry-after" and text.isascii() and text.isdecimal():
            return min(float(text[:9]), LONGEST_REST)
    return 0.0


def _key(file: str) -> str:
    """The API key. Raises `NotDelivered` when there is none that can be used."""
    try:
        with Path(file).open("rb") as opened:
            octets = opened.read(LONGEST_KEY + 1)
    except OSError as error:
        problem = f"api_key_file: {file} cannot be read: {error.strerror or error}."
        raise NotDelivered(problem) from None
    key = octets.strip().decode("latin-1")
    if not (0 < len(key) <= LONGEST_KEY and all("!" <= each <= "~" for each in key)):
        raise NotDelivered(f"api_key_file: {file} holds no key.")
    return key
