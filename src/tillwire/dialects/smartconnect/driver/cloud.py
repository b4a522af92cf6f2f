"""The cloud as a register sees it: what is asked of it, and polls with their pace.

One `Cloud` is shared by all terminals of a gateway. It remembers only when each transaction may be
polled for again (after a restart that is at once), and how many polls each cloud has on its hands.
A polling URL holds a token, so no error, event or log line has one: what the HTTP client says of a
failed poll is not repeated here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tillwire.core.ports import Clock, HttpClient, HttpResponse, Vault
from tillwire.dialects.smartconnect.driver.settings import CLOSEST_POLLS, DriverSettings
from tillwire.dialects.smartconnect.wire import envelope, forms, pairing, transactions
from tillwire.dialects.smartconnect.wire.envelope import Envelope
from tillwire.dialects.smartconnect.wire.transactions import TransactionRequest
from tillwire.errors import AnswerLost, NotDelivered, PeerError, RemoteProtocolError

Ready = Callable[[], None]

SHUT: Final = frozenset({401, 403, 404, 410})
"""Answers to a poll after which the URL is of no use any more."""
NO_PROOF: Final = frozenset({408})
"""Statuses from 400 to 499 that do not say that nothing was taken."""
SLOWER: Final = 2.0
"""By which the pause before the next poll grows."""
LONGEST_TROUBLE: Final = 10.0
"""Seconds between two polls at most while the cloud is in trouble: its token does not wait."""
MOST_PACES: Final = 10_000
POLLS: Final = 32
"""Polls at once of one cloud: a silent one must leave the others their connections."""

_HEADERS: Final = {"Accept": "application/json"}
FORM: Final = {"Content-Type": f"{forms.MEDIA_TYPE}; charset=UTF-8", **_HEADERS}


class Refused(PeerError):
    """The cloud refused the request."""

    def __init__(self, status: int, body: bytes) -> None:
        """`status` is that of HTTP."""
        self.status = status
        self.words = pairing.read_error(body)
        super().__init__(f"{status} {self.words}".rstrip())


class Shut(PeerError):
    """The polling URL is of no use any more."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        super().__init__(f"{status} {pairing.read_error(body)}".rstrip())


class Later(PeerError):
    """The poll told nothing."""


class _Pace(NamedTuple):
    not_before: float
    """On the monotonic clock."""
    pause: float
    """Seconds before that."""


class Cloud:
    """SmartConnect clouds, whichever the settings name."""

    def __init__(self, client: HttpClient, clock: Clock, vault: Vault) -> None:
        self.vault = vault
        """Seals polling URLs."""
        self._client = client
        self._clock = clock
        self._paces: dict[str, _Pace] = {}
        self._places: dict[str, asyncio.Semaphore] = {}
        """By the address of the cloud."""

    # --- what is asked --------------------------------------------------------------------------

    async def ask(
        self,
        request: TransactionRequest,
        settings: DriverSettings,
        *,
        key: str = "",
        ready: Ready | None = None,
    ) -> Envelope:
        """Post a request, once; what the cloud says of having taken it. `key` names it, for clouds
        that look at such: whatever the network doubles is done once there. Raises `NotDelivered`,
        `AnswerLost`, and `Refused` for a proof that it was not taken."""
        response = await self._client.request(
            "POST",
            settings.url + transactions.PATH,
            headers={**FORM, "Idempotency-Key": key} if key else FORM,
            body=transactions.write(request),
            timeout=settings.answer_seconds,
            connect_within=settings.connect_seconds,
            limit=envelope.LARGEST,
            ready=ready,
        )
        check_taken(response)
        if response.status != 200:
            words = pairing.read_error(response.body)
            raise AnswerLost(f"The cloud answered {response.status} {words}".rstrip() + ".")
        try:
            return envelope.read(response.body)
        except RemoteProtocolError as error:
            raise AnswerLost(f"The cloud's answer cannot be read. {error.detail}") from None

    # --- polls ----------------------------------------------------------------------------------

    def begin(self, name: str, settings: DriverSettings) -> None:
        """What has this name was taken just now: it is polled for after the usual pause."""
        self._pace(name, settings.poll_seconds)

    async def poll(
        self, name: str, url: str, settings: DriverSettings, *, patience: float | None = None
    ) -> Envelope:
        """What has become of it, as soon as it may be asked; `patience` is for how many seconds at
        most to wait until then. Raises `Shut`, and `Later` when this poll told nothing."""
        pace = self._paces.get(name, _Pace(0.0, settings.poll_seconds))
        wait = pace.not_before - self._clock.monotonic()
        if patience is not None and wait > patience:
            raise Later("The cloud wants to be asked later.")
        if wait > 0:
            await asyncio.sleep(wait)
        trouble = max(min(pace.pause * SLOWER, LONGEST_TROUBLE), settings.poll_seconds)
        async with self._places.setdefault(settings.url, asyncio.Semaphore(POLLS)):
            response = await self._polled(name, url, settings, trouble)
        return self._told(name, response, settings, pace.pause, trouble)

    async def _polled(
        self, name: str, url: str, settings: DriverSettings, trouble: float
    ) -> HttpResponse:
        self._pace(name, trouble)
        try:
            return await self._client.request(
                "GET",
                url,
                headers=_HEADERS,
                body=b"",
                timeout=settings.request_seconds,
                connect_within=settings.connect_seconds,
                limit=envelope.LARGEST,
            )
        except NotDelivered:
            self._pace(name, trouble)
            raise Later("The cloud cannot be reached.") from None
        except PeerError:
            self._pace(name, trouble)
            raise Later("The cloud gives no whole answer.") from None

    def _told(
        self,
        name: str,
        response: HttpResponse,
        settings: DriverSettings,
        pause: float,
        trouble: float,
    ) -> Envelope:
        if response.status in SHUT:
            self._pace(name, settings.poll_seconds)
            raise Shut(response.status, response.body)
        if response.status == 429:
            self._pace(name, _slower(response.headers, pause, settings))
            raise Later("The cloud wants to be asked less often.")
        self._pace(name, trouble)
        if response.status != 200:
            raise Later(f"The cloud answered {response.status}.")
        try:
            found = envelope.read(response.body)
        except RemoteProtocolError as error:
            raise Later(f"The cloud's answer cannot be read. {error.detail}") from None
        self._pace(name, settings.poll_seconds)
        return found

    def forget(self, name: str) -> None:
        """It is not polled for any more."""
        self._paces.pop(name, None)

    def _pace(self, name: str, pause: float) -> None:
        now = self._clock.monotonic()
        if name not in self._paces and len(self._paces) >= MOST_PACES:
            kept = {key: each for key, each in self._paces.items() if each.not_before > now}
            self._paces = kept if len(kept) < MOST_PACES else {}
        self._paces[name] = _Pace(now + pause, pause)


def check_taken(response: HttpResponse) -> None:
    """Raise `Refused` for an answer that proves that nothing was taken."""
    if 400 <= response.status < 500 and response.status not in NO_PROOF:
        raise Refused(response.status, response.body)


def usable(url: str, settings: DriverSettings) -> bool:
    """Whether it can be polled: absolute, and no less safe than the cloud's own address."""
    if not transactions.is_address(url):
        return False
    return url.startswith("https:") or settings.url.startswith("http:")


def _slower(headers: Sequence[tuple[str, str]], pause: float, settings: DriverSettings) -> float:
    longest = settings.longest_poll_seconds
    for name, value in headers:
        told = value.strip()
        if name.lower() == "retry-after" and told.isascii() and told.isdecimal():
            return min(max(float(told[:9]), CLOSEST_POLLS), longest)
    return max(min(pause * SLOWER, longest), CLOSEST_POLLS)
