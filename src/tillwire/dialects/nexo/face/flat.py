"""Binding 1: flat messages over HTTP, one resource for each kind, and polls for what takes time
(nexo Sale-to-POI 3.1, Market Pay's Local API).

Each terminal has the resources of `RESOURCES`, at `/payment` for the terminal of the setting
`poi_id`, and at `/{POIID}/payment` for any other. What is soon done answers its POST. What takes
time is accepted with 202, one at a time on each resource, and its messages are polled for with
GET, each delivered once:

| GET | what it says |
|---|---|
| 200 | the last message: the exchange is closed |
| 201 | a DisplayRequest, and nothing waits behind it |
| 206 | a DisplayRequest, and more waits: poll at once |
| 204 | nothing yet |
| 408 | nothing for longer than `answer_within`; the exchange stays open |
| 423 | nothing is under way here, or what was is closed: ask `/status` |
| 500 | it failed in the gateway, and nothing will come any more: ask `/status` |

| POST | what it says |
|---|---|
| 200 | the answer: a response or an EventNotification |
| 202 | accepted: poll. An Abort was heard; an EventNotification is there if there is news |
| 204 | done, and it has no answer |
| 400 | an EventNotification: this is no message, or not for this resource |
| 403 | something is under way on this resource or at the terminal; nothing was begun, or will be |
| 408 | the answer took longer than `answer_within` |

Errors below the protocol's own are problem documents (`over_http.py`). After a restart of the
gateway nothing is under way here (423), and `/status` tells what came of what was.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Final

import msgspec

from tillwire.core.ports import Clock
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.face.bindings import log_defect, spelling_of
from tillwire.dialects.nexo.face.context import Nowhere
from tillwire.dialects.nexo.face.over_http import (
    NOT_KNOWN_YET,
    PROBLEMS,
    awaited,
    check_origin,
    live,
)
from tillwire.dialects.nexo.face.poi import Incoming, Poi
from tillwire.dialects.nexo.face.settings import Settings
from tillwire.dialects.nexo.wire import Message
from tillwire.dialects.nexo.wire.values import MessageCategory as Category
from tillwire.dialects.nexo.wire.values import MessageType
from tillwire.net import asgi
from tillwire.net.asgi import HttpError, Receive, Reply, Scope, Send
from tillwire.net.problems import FAULT, problem
from tillwire.net.routes import Routes

DISPLAYS_KEPT: Final = 32
"""DisplayRequests that wait for a poll; the oldest give way."""
IN_USE: Final = (
    "Something is under way on this resource, or at the terminal. Nothing was begun, and nothing "
    "was declined. A new try needs a new ServiceID."
)
NOTHING: Final = "Nothing is under way here. POST /status tells what came of what was."


class Resource(msgspec.Struct, frozen=True):
    """What one path is for."""

    name: str
    categories: tuple[Category, ...]
    """Of the requests that it takes."""
    polled: bool = False
    """Whether a POST is accepted, and its messages polled for; else it is answered at once."""

    @property
    def answers_with(self) -> HTTPStatus:
        """The status of an answer to a POST."""
        return HTTPStatus.ACCEPTED if Category.ABORT in self.categories else HTTPStatus.OK

    def takes(self, incoming: Incoming) -> bool:
        """Whether the message belongs here."""
        header = incoming.header
        return (
            header is not None
            and header.message_type == MessageType.REQUEST
            and header.message_category in self.categories
        )


RESOURCES: Final = (
    # Market Pay's own.
    Resource("login", (Category.LOGIN,)),
    Resource("payment", (Category.PAYMENT,), polled=True),
    Resource("abort", (Category.ABORT, Category.ADMIN)),
    Resource("logout", (Category.LOGOUT,)),
    Resource("acquisition", (Category.CARD_ACQUISITION,), polled=True),
    Resource("status", (Category.TRANSACTION_STATUS,)),
    Resource("diagnosis", (Category.DIAGNOSIS,)),
    Resource("reversal", (Category.REVERSAL,), polled=True),
    Resource("update", (Category.ADMIN,), polled=True),
    Resource("balanceinquiry", (Category.BALANCE_INQUIRY,), polled=True),
    # tillwire's, for what else the terminals behind it can do.
    Resource("reconciliation", (Category.RECONCILIATION,), polled=True),
    Resource("totals", (Category.GET_TOTALS,)),
    Resource("enable", (Category.ENABLE_SERVICE,)),
    Resource("display", (Category.DISPLAY,)),
    Resource("print", (Category.PRINT,)),
    Resource("input", (Category.INPUT,)),
)
_ROUTES: Final = Routes(
    (method, f"{below}/{each.name}", each)
    for each in RESOURCES
    for below in ("", "/{POIID}")
    for method in (("POST", "GET") if each.polled else ("POST",))
)


Name = tuple[str, str | None, str]
"""SaleID, ServiceID and digest: by which a message that is sent again is known."""


@dataclass(eq=False, slots=True)
class Exchange:
    """What is under way on a resource of a terminal, or waits there for its last poll. The outlet
    of its message."""

    begun: float
    """When, on the clock for deadlines."""
    name: Name
    flat: bool
    """Whether its messages are written without an envelope, as it came."""
    displays: deque[Message] = field(default_factory=partial(deque, maxlen=DISPLAYS_KEPT))
    last: Message | None = None
    has_ended: bool = False
    work: asyncio.Task[None] | None = None

    def tell(self, message: Message) -> None:
        """Keep a DisplayRequest for a poll."""
        self.displays.append(message)


class FlatFace:
    """The face, as an ASGI application with a lifespan."""

    def __init__(self, poi: Poi, settings: Settings, clock: Clock) -> None:
        self._poi = poi
        self._settings = settings
        self._clock = clock
        self._spelling = spelling_of(settings)
        self._exchanges: dict[tuple[str, str], Exchange] = {}
        """By the terminal's id and the resource's name."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's life."""
        if scope["type"] == "lifespan":
            await live(receive, send, self._stop)
            return
        await asgi.serve(scope, receive, send, self._answer, PROBLEMS.tell)

    async def _stop(self) -> None:
        works = [each.work for each in self._exchanges.values() if each.work is not None]
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        await self._poi.stop()

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        resource, parameters = _ROUTES.find(scope["method"], asgi.path_of(scope))
        poi_id = parameters[0] if parameters else self._settings.poi_id
        terminal = self._poi.terminal(poi_id)
        if terminal is None:
            raise HttpError(HTTPStatus.NOT_FOUND, "There is no such terminal.")
        check_origin(scope)
        place = terminal.id, resource.name
        if scope["method"] == "GET":
            return self._polled(place, scope)
        octets = await asgi.read_body(scope, receive, self._settings.largest_message)
        incoming = self._poi.read(octets)
        if not incoming.is_rejected and not resource.takes(incoming):
            return self._misplaced(incoming, resource, octets)
        if resource.polled and not incoming.is_rejected:
            return await self._begin(place, incoming, poi_id, scope)
        work = self._poi.answer(incoming, Nowhere(), poi_id=poi_id)
        answer = await awaited(work, receive, self._settings.answer_within)
        if incoming.is_rejected:
            return self._reply(answer, HTTPStatus.BAD_REQUEST, flat=True)
        return self._reply(answer, resource.answers_with, flat=not incoming.envelope)

    def _misplaced(self, incoming: Incoming, resource: Resource, octets: bytes) -> Reply:
        taken = " or ".join(f"{each.value}Request" for each in resource.categories)
        event = self._poi.reject(incoming.header, f"This resource takes a {taken}.", octets)
        return self._reply(event, HTTPStatus.BAD_REQUEST, flat=not incoming.envelope)

    def _reply(self, message: Message | None, status: HTTPStatus, *, flat: bool) -> Reply:
        if message is None:
            return Reply(status if status is HTTPStatus.ACCEPTED else HTTPStatus.NO_CONTENT)
        return Reply(status, wire.encode(message, flat=flat, spelling=self._spelling))

    # --- what is polled for -------------------------------------------------------------------

    async def _begin(
        self, place: tuple[str, str], incoming: Incoming, poi_id: str, scope: Scope
    ) -> Reply:
        """Accept it, unless something is under way: then it is not done later, either, when a copy
        of it comes. What has ended and was never fetched gives way to another message: its till
        has gone on without it, and `/status` tells it."""
        earlier, name = self._exchanges.get(place), _name_of(incoming)
        if earlier is not None and earlier.has_ended and earlier.name == name:
            return Reply(HTTPStatus.ACCEPTED)  # it was accepted before, and that answer got lost
        if (earlier is not None and not earlier.has_ended) or self._poi.is_in_use(place[0]):
            if earlier is None or earlier.has_ended or earlier.name != name:
                await self._poi.turn_away(incoming, IN_USE, poi_id=poi_id)
            return problem(HTTPStatus.FORBIDDEN, IN_USE, scope)
        exchange = Exchange(self._clock.monotonic(), name, flat=not incoming.envelope)
        self._exchanges[place] = exchange
        exchange.work = asyncio.create_task(self._work(exchange, incoming, poi_id))
        return Reply(HTTPStatus.ACCEPTED)

    async def _work(self, exchange: Exchange, incoming: Incoming, poi_id: str) -> None:
        try:
            exchange.last = await self._poi.answer(incoming, exchange, poi_id=poi_id)
        except Exception:  # noqa: BLE001 - nobody knows what became of it, and a poll says so
            log_defect(incoming.header)
        exchange.has_ended = True

    def _polled(self, place: tuple[str, str], scope: Scope) -> Reply:
        """The next message of what is under way."""
        exchange = self._exchanges.get(place)
        if exchange is None:
            return problem(HTTPStatus.LOCKED, NOTHING, scope)
        if exchange.displays:
            shown = exchange.displays.popleft()
            more = exchange.displays or exchange.has_ended
            status = HTTPStatus.PARTIAL_CONTENT if more else HTTPStatus.CREATED
            return self._reply(shown, status, flat=exchange.flat)
        if exchange.has_ended:
            del self._exchanges[place]
            if exchange.last is None:
                return problem(HTTPStatus.INTERNAL_SERVER_ERROR, FAULT, scope)
            return self._reply(exchange.last, HTTPStatus.OK, flat=exchange.flat)
        if self._clock.monotonic() - exchange.begun > self._settings.answer_within:
            return problem(HTTPStatus.REQUEST_TIMEOUT, NOT_KNOWN_YET, scope)
        return Reply(HTTPStatus.NO_CONTENT)


def _name_of(incoming: Incoming) -> Name:
    header = incoming.header
    assert header is not None, "what is accepted has a header"
    return header.sale_id, header.service_id, incoming.digest
