"""The cloud as an application sees it: its token, questions that may repeat, commands that may not,
and which device stands at a TID.

One `Cloud` is shared by all terminals of an application, one `Clouds` by the whole gateway. What is
kept here can be asked for again at any time: nothing of it has to survive. `NotDelivered` comes out
only where nothing was taken: before a byte was written, or behind a 401 (source 000's cloud looks
at the token first).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote
from uuid import UUID

import msgspec

from tillwire.clock import Instant
from tillwire.core.ports import Clock, HttpClient, HttpResponse, Vault
from tillwire.dialects.paymentbridge.driver.addresses import CallbackAddresses
from tillwire.dialects.paymentbridge.driver.hearing import Hearing
from tillwire.dialects.paymentbridge.driver.settings import DriverSettings
from tillwire.dialects.paymentbridge.wire import devices, errors, filters, grants, objects, tokens
from tillwire.dialects.paymentbridge.wire.filters import TransactionFilter
from tillwire.dialects.paymentbridge.wire.objects import Transaction, TransactionList
from tillwire.dialects.paymentbridge.wire.places import StoreDevice, read_stores
from tillwire.dialects.paymentbridge.wire.reading import LARGEST_ANSWER
from tillwire.errors import (
    AnswerLost,
    LocalProtocolError,
    NotDelivered,
    PeerError,
    RemoteProtocolError,
)

API_VERSION: Final = "1.2"
PAGE: Final = 100
"""Transactions of a page: as many as the cloud gives."""
MOST_PAGES: Final = 50
"""Pages of one question; what is behind them was not looked at."""
QUESTIONS: Final = 32
"""Questions at once of an application: a silent cloud must leave the others their connections."""
LONGEST_KEY: Final = 65_536
"""Octets of a private key's file."""
LONGEST_WORDS: Final = 300

Ready = Callable[[], None]


class Refused(PeerError):
    """The cloud refused the request."""

    def __init__(self, status: int, body: bytes) -> None:
        """`status` is that of HTTP."""
        told = errors.read(status, body)
        self.status = status
        self.code = told.code
        """The vendor's code; empty if there is none."""
        words = told.developer_message or told.message or ""
        super().__init__(f"{status} {self.code} {' '.join(words.split())}"[:LONGEST_WORDS].strip())


class TooManyPages(RemoteProtocolError):
    """The cloud's list is longer than what is looked at."""


class Account(NamedTuple):
    """Who we are in a cloud."""

    url: str
    application_id: str
    private_key_file: str
    audience: str


class Clouds:
    """The clouds that this gateway's terminals are reached through."""

    def __init__(self, client: HttpClient, clock: Clock, vault: Vault) -> None:
        self.addresses = CallbackAddresses(vault)
        """Where terminals call us."""
        self.hearing = Hearing(clock)
        self._client = client
        self._clock = clock
        self._clouds: dict[Account, Cloud] = {}

    def of(self, settings: DriverSettings) -> Cloud:
        """The one that the settings name, with what is known of it."""
        account = Account(
            settings.url,
            settings.application,
            settings.private_key_file,
            settings.audience or settings.url,
        )
        cloud = self._clouds.get(account)
        if cloud is None:
            cloud = self._clouds[account] = Cloud(account, self._client, self._clock)
        return cloud


class _Token(NamedTuple):
    text: str
    until: float
    """On the monotonic clock."""


class Listing(NamedTuple):
    """Transactions, and on how many pages they were."""

    transactions: list[Transaction]
    pages: int


class _Lanes(NamedTuple):
    """The devices that operated in a store, by TID."""

    found: dict[str, StoreDevice]
    at: Instant
    """When that was asked."""


class Cloud:
    """One cloud, to one application."""

    def __init__(self, account: Account, client: HttpClient, clock: Clock) -> None:
        self._account = account
        self._client = client
        self._clock = clock
        self._token: _Token | None = None
        self._renewing = asyncio.Lock()
        self._lanes: dict[tuple[str, str], _Lanes] = {}
        self._looking: dict[tuple[str, str], asyncio.Lock] = {}
        self._places = asyncio.Semaphore(QUESTIONS)

    # --- who we are -----------------------------------------------------------------------------

    async def _bearer(self, settings: DriverSettings) -> _Token:
        """A token that is good for a while. Raises `PeerError`, `NotDelivered`."""
        # Whoever waits for its turn has no more time than who has it: a silent cloud must not hold
        # up a hundred terminals one after the other.
        async with _within(settings.request_seconds), self._renewing:
            token = self._token
            if token is None or token.until <= self._clock.monotonic():
                token = self._token = await self._renewed(settings)
            return token

    async def _renewed(self, settings: DriverSettings) -> _Token:
        assertion = tokens.make_assertion(
            self._account.application_id,
            await _private_key(self._account.private_key_file),
            audience=self._account.audience,
            now=self._clock.now() // 1000,
            jti=self._request_id(),
        )
        response = await self._client.request(
            "POST",
            self._account.url + "/token",
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Api-Version": API_VERSION,
                "Poynt-Request-Id": self._request_id(),
            },
            body=grants.write_grant(grants.AssertionGrant(assertion)),
            timeout=settings.request_seconds,
            connect_within=settings.connect_seconds,
        )
        if response.status != 200:
            raise Refused(response.status, response.body)
        answer = grants.read_answer(response.body)
        ends = tokens.expiry(answer.access_token)
        told = answer.expires_in if ends is None else ends - self._clock.now() // 1000
        life = min(max(told, 0), answer.expires_in)
        return _Token(
            answer.access_token, self._clock.monotonic() + max(life - tokens.RENEW_BEFORE, 0)
        )

    def _forget(self, token: _Token) -> None:
        if self._token is token:
            self._token = None

    def _request_id(self) -> str:
        return str(UUID(int=int(self._clock.random_digits(36)), version=4))

    # --- questions and commands -----------------------------------------------------------------

    async def command(
        self,
        path: str,
        body: bytes,
        settings: DriverSettings,
        *,
        request_id: str,
        seconds: float,
        ready: Ready,
    ) -> HttpResponse:
        """Post what moves money, once; a 401 proves that it was not taken, so then it goes out
        once more with a new token. Raises `NotDelivered`, `AnswerLost`, `Refused`."""
        return await self._authorised(
            "POST", path, body, settings, request_id=request_id, seconds=seconds, ready=ready
        )

    async def ask(self, path: str, settings: DriverSettings) -> bytes:
        """What is at a path, when it is this question's turn. Raises `PeerError`."""
        async with self._places:
            return await self._answer(path, settings)

    async def _answer(self, path: str, settings: DriverSettings) -> bytes:
        response = await self._authorised(
            "GET",
            path,
            b"",
            settings,
            request_id=self._request_id(),
            seconds=settings.request_seconds,
        )
        return response.body

    async def _authorised(
        self,
        method: str,
        path: str,
        body: bytes,
        settings: DriverSettings,
        *,
        request_id: str,
        seconds: float,
        ready: Ready | None = None,
    ) -> HttpResponse:
        for last in (False, True):
            token = await self._known_here(settings)
            response = await self._client.request(
                method,
                self._account.url + path,
                headers=_headers(token.text, request_id, has_body=bool(body)),
                body=body,
                timeout=seconds,
                connect_within=settings.connect_seconds,
                limit=LARGEST_ANSWER,
                ready=ready,
            )
            if response.status == 401 and not last:
                self._forget(token)
                continue
            if 200 <= response.status < 300:
                return response
            raise Refused(response.status, response.body)
        raise AssertionError("the second answer is the last one")

    async def _known_here(self, settings: DriverSettings) -> _Token:
        try:
            return await self._bearer(settings)
        except (PeerError, LocalProtocolError) as error:
            raise NotDelivered(f"The cloud gives no token. {error}") from error

    # --- what became of it ----------------------------------------------------------------------

    async def transaction(self, transaction_id: str, settings: DriverSettings) -> Transaction:
        """One by its id. Raises `PeerError`."""
        named = quote(transaction_id, safe="")
        path = f"/businesses/{settings.business_id}/transactions/{named}"
        found = objects.read_transaction(await self.ask(path, settings))
        if (found.id or "").lower() != transaction_id.lower():
            raise RemoteProtocolError(f"Asked for {transaction_id}, it told of {found.id}.")
        return found

    async def transactions(self, since: Instant, settings: DriverSettings) -> Listing:
        """All of the store that were made since then. Raises `PeerError` unless each of them was
        read: what is not among them is not there, if the list did not change from page to page."""
        found: list[Transaction] = []
        count = 0
        async for page in self.pages(TransactionFilter(start_at=since), settings):
            if page.unreadable:
                raise RemoteProtocolError(f"{page.unreadable} of its list cannot be read.")
            found += page.transactions
            count += 1
        return Listing(found, count)

    async def pages(
        self, wanted: TransactionFilter, settings: DriverSettings, *, most: int = MOST_PAGES
    ) -> AsyncIterator[TransactionList]:
        """The pages of the store's list of such transactions, as they come. Raises `PeerError`:
        `TooManyPages` behind so many."""
        wanted = msgspec.structs.replace(wanted, store_id=settings.store_id, limit=PAGE)
        path: str | None = f"/businesses/{settings.business_id}/transactions?" + filters.write(
            wanted
        )
        seen: set[str] = set()
        while path is not None:
            if path in seen:
                raise RemoteProtocolError("Its list leads back to a page of before.")
            if len(seen) == most:
                raise TooManyPages(f"Its list has no end within {most} pages.")
            seen.add(path)
            page = objects.read_page(await self.ask(path, settings))
            yield page
            path = objects.next_page(page.links)

    # --- which device ---------------------------------------------------------------------------

    async def device(self, tid: str, settings: DriverSettings) -> StoreDevice | None:
        """The device that operates under a TID, as of now or a while ago; None if none does as of
        now. Raises `PeerError`."""
        place = settings.business_id, settings.store_id
        turn = self._looking.setdefault(place, asyncio.Lock())
        async with _within(2 * settings.request_seconds), turn:
            lanes = self._lanes.get(place)
            age = self._clock.now() - lanes.at if lanes else 0
            fresh = 0 <= age <= settings.device_cache_seconds * 1000
            if lanes is None or tid not in lanes.found or not fresh:
                lanes = self._lanes[place] = await self._look_around(settings)
            return lanes.found.get(tid)

    def forget_devices(self, settings: DriverSettings, *, asked_before: Instant) -> None:
        """What stands where may have changed since then."""
        place = settings.business_id, settings.store_id
        lanes = self._lanes.get(place)
        if lanes is not None and lanes.at <= asked_before:
            del self._lanes[place]

    async def devices(self, settings: DriverSettings) -> Sequence[StoreDevice]:
        """All that are or were in the store. Raises `PeerError`."""
        return _devices(await self.ask(_stores_path(settings), settings), settings)

    async def _look_around(self, settings: DriverSettings) -> _Lanes:
        """Who pays waits for this, so it waits for no turn; a store is looked at once at a time."""
        asked = self._clock.now()
        told = _devices(await self._answer(_stores_path(settings), settings), settings)
        return _Lanes(devices.operational(told), asked)


def _stores_path(settings: DriverSettings) -> str:
    return f"/businesses/{settings.business_id}/stores"


def _devices(body: bytes, settings: DriverSettings) -> Sequence[StoreDevice]:
    for store in read_stores(body):
        if (store.id or "").lower() == settings.store_id.lower():
            return store.store_devices or ()
    raise RemoteProtocolError(f"The business has no store {settings.store_id}.")


@contextlib.asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    """Raises `AnswerLost` after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise AnswerLost(f"Not within {seconds:g} seconds.") from None


def _headers(token: str, request_id: str, *, has_body: bool) -> dict[str, str]:
    headers = {
        "Api-Version": API_VERSION,
        "Authorization": f"Bearer {token}",
        "Poynt-Request-Id": request_id,
        "Accept": "application/json",
    }
    if has_body:
        headers["Content-Type"] = "application/json"
    return headers


async def _private_key(file: str) -> str:
    try:
        octets = await asyncio.to_thread(_read, Path(file))
        return octets.decode("ascii")
    except OSError as error:
        problem = f"private_key_file: {file} cannot be read: {error.strerror or error}."
        raise NotDelivered(problem) from None
    except UnicodeDecodeError:
        raise NotDelivered(f"private_key_file: {file} is no PEM file.") from None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LONGEST_KEY)
