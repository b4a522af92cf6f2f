"""Lines over HTTP: one request held until its answer is there, or one posted and polled for.

A request to the terminal leaves once; the ports see to that. A poll may be repeated. Nothing is
polled for unless the POST was answered, and not refused: what a poll finds otherwise may be another
till's, who would wait for it in vain.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from tillwire.core.ports import HttpResponse
from tillwire.dialects.nexo.driver.lines import ClosableHttpClient, Codec, Ready, Refused
from tillwire.dialects.nexo.driver.settings import DriverSettings, Resource
from tillwire.dialects.nexo.wire import Message
from tillwire.dialects.nexo.wire.values import MessageCategory
from tillwire.errors import AnswerLost, NotDelivered

RESOURCES: Final = {
    MessageCategory.LOGIN: "login",
    MessageCategory.PAYMENT: "payment",
    MessageCategory.ABORT: "abort",
    MessageCategory.LOGOUT: "logout",
    MessageCategory.CARD_ACQUISITION: "acquisition",
    MessageCategory.TRANSACTION_STATUS: "status",
    MessageCategory.DIAGNOSIS: "diagnosis",
    MessageCategory.REVERSAL: "reversal",
    MessageCategory.ADMIN: "update",
    MessageCategory.BALANCE_INQUIRY: "balanceinquiry",
}
"""Market Pay's resources."""
EXTRA_RESOURCES: Final = {
    MessageCategory.DISPLAY: Resource.DISPLAY,
    MessageCategory.PRINT: Resource.PRINT,
    MessageCategory.INPUT: Resource.INPUT,
    MessageCategory.GET_TOTALS: Resource.TOTALS,
    MessageCategory.RECONCILIATION: Resource.RECONCILIATION,
}
"""Those that a terminal may have besides."""
POLLED: Final = frozenset(
    {
        MessageCategory.PAYMENT,
        MessageCategory.CARD_ACQUISITION,
        MessageCategory.REVERSAL,
        MessageCategory.ADMIN,
        MessageCategory.BALANCE_INQUIRY,
        MessageCategory.RECONCILIATION,
    }
)
"""What is answered to a poll; all else is answered to the POST."""

_SHUT: Final = frozenset({401, 404, 405, 413, 415, 426})
"""Statuses that tell of the door, not of what is behind it."""
_NOT_TAKEN: Final = _SHUT | {400, 403, 409, 422, 423, 429}
_HEADERS: Final = {"Content-Type": "application/json"}

MOST_POLLS: Final = 100_000
MOST_LOST: Final = 3
"""Polls in a row that may get lost."""


class _HttpLine:
    def __init__(
        self, client: ClosableHttpClient, settings: DriverSettings, codec: Codec, seconds: float
    ) -> None:
        self._client = client
        self._settings = settings
        self._codec = codec
        self._seconds = seconds
        self._received: deque[bytes] = deque()

    async def _post(self, url: str, request: Message, ready: Ready, seconds: float) -> HttpResponse:
        response = await self._client.request(
            "POST",
            url,
            headers=_HEADERS,
            body=self._codec.octets(request),
            timeout=seconds,
            connect_within=self._settings.connect_seconds,
            ready=ready,
        )
        if response.status in _NOT_TAKEN and not _says_something(response):
            raise Refused(
                f"POST {url}: HTTP status {response.status}.",
                at_the_door=response.status in _SHUT,
            )
        if response.status not in _NOT_TAKEN and not 200 <= response.status < 300:
            raise AnswerLost(f"POST {url}: HTTP status {response.status}.")
        if _says_something(response):
            self._received.append(response.body)
        return response

    def _next(self) -> Message:
        return self._codec.message(self._received.popleft())

    async def reply(self, response: Message) -> None:
        """There is no way: what a terminal asks for meanwhile stays unanswered."""

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()


def _says_something(response: HttpResponse) -> bool:
    """Whether there is a message in it: an object, not the bare `ok` of some terminals."""
    return response.body.lstrip()[:1] == b"{" and b"MessageHeader" in response.body


class HeldLine(_HttpLine):
    """One request, held until its answer is there (Adyen's local binding)."""

    async def send(self, request: Message, ready: Ready) -> None:
        """Post it, and wait for the answer."""
        await self._post(self._settings.url, request, ready, self._seconds)

    async def receive(self) -> Message:
        """The answer; there is no more than one."""
        if not self._received:
            raise AnswerLost("The terminal's answer has no message in it.")
        return self._next()


class FlatLine(_HttpLine):
    """Posted to its resource, and polled for (Market Pay's HTTP binding)."""

    def __init__(
        self, client: ClosableHttpClient, settings: DriverSettings, codec: Codec, seconds: float
    ) -> None:
        super().__init__(client, settings, codec, seconds)
        self._url = ""
        self._polls = 0
        self._pause = 0.0
        """Seconds before the next poll."""

    async def send(self, request: Message, ready: Ready) -> None:
        """Post it. What is answered at once is waited for; what is polled for is only taken up."""
        category = request.header.message_category
        self._url = self._settings.url + self._resource(category)
        seconds = self._settings.answer_seconds if category in POLLED else self._seconds
        response = await self._post(self._url, request, ready, seconds)
        answered = response.status == 200 and self._received
        if category in POLLED and response.status < 300 and not answered:
            self._polls = MOST_POLLS
            self._pause = 0.0 if response.status == 206 else self._settings.poll_seconds

    def _resource(self, category: str) -> str:
        kind = MessageCategory(category)
        extra = EXTRA_RESOURCES.get(kind)
        if extra in self._settings.extra_resources:
            return str(extra)
        if kind not in RESOURCES:
            raise NotDelivered(f"The terminal has no resource for a {category}.")
        return RESOURCES[kind]

    async def receive(self) -> Message:
        """What the POST was answered with, then what polls are."""
        while not self._received:
            if not self._polls:
                raise AnswerLost("The terminal's answer has no message in it.")
            self._polls -= 1
            await asyncio.sleep(self._pause)
            self._take(await self._polled())
        return self._next()

    async def _polled(self) -> HttpResponse:
        """One poll's answer. A poll that gets lost is made again, some times: if it took the
        terminal's last word with it, the next one hears that nothing is running (423)."""
        for lost in range(MOST_LOST):
            try:
                return await self._client.request(
                    "GET", self._url, headers={}, body=b"", timeout=self._settings.answer_seconds
                )
            except (NotDelivered, AnswerLost) as error:
                if lost == MOST_LOST - 1:
                    raise AnswerLost(f"The terminal does not answer polls: {error}") from error
                await asyncio.sleep(self._settings.poll_seconds)
        raise AssertionError

    def _take(self, response: HttpResponse) -> None:
        status = response.status
        if status not in (200, 201, 204, 206):
            what = "runs nothing of ours any more" if status == 423 else "does not say how it ended"
            raise AnswerLost(f"The terminal {what}: HTTP status {status} for {self._url}.")
        if response.body.strip():
            self._received.append(response.body)
        elif status == 200:
            raise AnswerLost("The terminal's last answer has no message in it.")
        self._pause = 0.0 if status == 206 else self._settings.poll_seconds
