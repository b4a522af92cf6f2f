"""A MerchantAPI system that does as its script says, with one terminal that polls it.

It is written by source 004 and knows nothing of our own code for it, `Idempotency-Key` included.
`System.charged` is the truth about the money.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from tests.kit.serving import Served, serve_app
from tests.kit.virtual_loop import virtual_loop
from tillwire.net import asgi
from tillwire.net.asgi import Receive, Reply, Scope, Send

PORT: Final = 8811
URL: Final = f"http://127.0.0.1:{PORT}/pos/v1"
KEY: Final = "tioreutopert443543uiyffudh.jfyiuf.453"
LIST: Final = "/pos/v1/terminals/SUNMI-P2-lite-PL0919CQ00305/transactions"

Json = dict[str, Any]


@dataclass
class Asked:
    """A request that arrived, and when."""

    method: str
    path: str
    query: dict[str, str]
    headers: list[tuple[str, str]]
    body: bytes
    at: float

    def header(self, name: str) -> str | None:
        """The value of a header."""
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass
class Task:
    """A transaction that the system has taken."""

    id: str
    asked: Json
    at: datetime
    status: str = "CREATED"
    told: Json = field(default_factory=dict)
    """What is told beside what was asked."""
    fetched: bool = False

    @property
    def value(self) -> float:
        """Major units."""
        value: float = self.asked["amount"]["value"]
        return value

    def told_as(self) -> Json:
        """As it is told."""
        told: Json = {
            **self.asked,
            "id": self.id,
            "creation_datetime": self.at.isoformat(timespec="milliseconds")[:-6] + "Z",
            "status": self.status,
            **self.told,
        }
        return {key: value for key, value in told.items() if value is not None}


Act = Callable[["System", Asked], Awaitable[Reply]]
"""What the system does with one request."""
Behaviour = Callable[["System", Task], Awaitable[None]]
"""What the terminal does with what it has fetched."""


class System:
    """The system."""

    def __init__(self) -> None:
        self.heard: list[Asked] = []
        self.tasks: list[Task] = []
        """Oldest first."""
        self.charged: list[float] = []
        self.posts: deque[Act] = deque()
        """What it does with the next POSTs; afterwards, what is usual. The others alike."""
        self.gets: deque[Act] = deque()
        self.lists: deque[Act] = deque()
        self.deletes: deque[Act] = deque()
        self.terminal: Behaviour = approves
        self.polls = True
        """Whether the terminal does."""
        self.pauses = 4.0
        """Seconds between what its terminal has done, and the next time that it looks."""
        self.key = KEY
        self._polling: asyncio.Task[None] | None = None
        self._served: Served | None = None

    async def listen(self) -> None:
        """Be there, with its terminal."""
        self._served = await serve_app(self, port=PORT)
        self._polling = asyncio.get_running_loop().create_task(self._poll())

    async def close(self) -> None:
        """Be gone."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        if self._served is not None:
            await self._served.close()

    def of(self, method: str) -> list[Asked]:
        """The requests of this method."""
        return [each for each in self.heard if each.method == method]

    # --- the terminal ---------------------------------------------------------------------------

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.pauses)
            waiting = [each for each in self.tasks if each.status == "CREATED" and not each.fetched]
            if self.polls and waiting:
                waiting[-1].fetched = True
                await self.terminal(self, waiting[-1])

    # --- what it does ---------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            body = await asgi.read_body(scope, receive)
        except asgi.DisconnectedError:
            return
        asked = Asked(
            scope["method"],
            scope["raw_path"].decode("ascii").partition("?")[0],
            dict(parse_qsl(scope["query_string"].decode())),
            [(key.decode(), value.decode()) for key, value in scope["headers"]],
            body,
            virtual_loop().clock.monotonic(),
        )
        self.heard.append(asked)
        await (await self._reply(asked)).send(send)

    async def _reply(self, asked: Asked) -> Reply:
        if not (key := asked.header("api-key")):
            return problem(401, "Unauthorized")
        if key != self.key:
            return problem(403, "Forbidden", "Invalid API Key.")
        scripts = {
            ("POST", True): (self.posts, taken),
            ("GET", True): (self.lists, listed),
            ("GET", False): (self.gets, read),
            ("DELETE", False): (self.deletes, cancelled),
        }
        script, usual = scripts[asked.method, asked.path == LIST]
        return await (script.popleft() if script else usual)(self, asked)

    def take(self, asked: Asked) -> Task:
        """Take a transaction, in place of one that the terminal has not fetched."""
        for each in self.tasks:
            if each.status == "CREATED" and not each.fetched:
                each.status = "CANCELLED"
        task = Task(
            f"73011882044177355200918466{len(self.tasks):05d}", json.loads(asked.body), now()
        )
        self.tasks.append(task)
        return task

    def find(self, asked: Asked) -> Task | None:
        """The transaction of a path."""
        called = asked.path.rpartition("/")[2]
        return next((each for each in self.tasks if each.id == called), None)


def now() -> datetime:
    """Its own time."""
    return datetime.fromtimestamp(virtual_loop().clock.now() / 1000, UTC)


# --- what the system may do -----------------------------------------------------------------------


def problem(status: int, title: str, detail: str = "") -> Reply:
    """A refusal as source 004 has it."""
    told = {"status": status, "title": title, "detail": detail, "instance": "/"}
    headers = [(b"content-type", b"application/problem+json")]
    return Reply(status, json.dumps(told).encode(), headers)


async def taken(system: System, asked: Asked) -> Reply:
    """Take it."""
    return Reply(201, json.dumps(system.take(asked).told_as()).encode())


async def read(system: System, asked: Asked) -> Reply:
    """Tell of it."""
    task = system.find(asked)
    if task is None:
        return problem(404, "Not Found", "There is no such transaction.")
    return Reply(200, json.dumps(task.told_as()).encode())


async def listed(system: System, asked: Asked) -> Reply:
    """Tell a page, newest first."""
    entries = [each.told_as() for each in reversed(system.tasks)]
    return page_of(entries, asked)


def without(place: int) -> Act:
    """Tell a page of a list that lacks the one at this place, from the newest on."""

    async def act(system: System, asked: Asked) -> Reply:
        entries = [each.told_as() for each in reversed(system.tasks)]
        return page_of(entries[:place] + entries[place + 1 :], asked)

    return act


def page_of(entries: list[Json], asked: Asked, total: int | None = None) -> Reply:
    """The page of these entries that is asked for."""
    number, size = int(asked.query.get("page", 1)), int(asked.query.get("size", 10))
    assert size <= 100
    page = entries[(number - 1) * size : number * size]
    promised = str(len(entries) if total is None else total).encode()
    return Reply(200, json.dumps(page).encode(), [(b"x-total-count", promised), (b"link", b"")])


async def cancelled(system: System, asked: Asked) -> Reply:
    """Call it off, unless its terminal has begun."""
    task = system.find(asked)
    if task is None:
        return problem(404, "Not Found")
    if task.status != "CREATED" or task.fetched:
        return problem(409, "Conflict", "The terminal has already started this transaction.")
    task.status = "CANCELLED"
    return Reply(204, b"")


def answer(
    status: int, body: Json | list[Any] | bytes = b"", headers: Iterable[tuple[bytes, bytes]] = ()
) -> Act:
    """Answer with this, and do nothing."""

    async def act(system: System, asked: Asked) -> Reply:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Reply(status, octets, headers=list(headers))

    return act


def done_then(act: Act) -> Act:
    """Take it, and answer something else."""

    async def both(system: System, asked: Asked) -> Reply:
        system.take(asked)
        return await act(system, asked)

    return both


def changed(usual: Act, **changes: Any) -> Act:
    """As usual, but for these members."""

    async def act(system: System, asked: Asked) -> Reply:
        reply = await usual(system, asked)
        told = {**json.loads(reply.body), **changes}
        kept = {key: value for key, value in told.items() if value is not None}
        return Reply(reply.status, json.dumps(kept).encode())

    return act


async def cut(system: System, asked: Asked) -> Reply:
    """Break the connection."""
    virtual_loop().network.cut(PORT)
    await asyncio.sleep(120)
    return Reply(500)


async def silent(system: System, asked: Asked) -> Reply:
    """Say nothing for a long time."""
    await asyncio.sleep(1000)
    return Reply(500)


# --- what the terminal may do ---------------------------------------------------------------------


def processed(task: Task, **changes: Any) -> Json:
    """What an approved payment has more."""
    return {
        "transaction_datetime": now().isoformat(timespec="seconds")[:-6] + "Z",
        "system_trace_audit_number": "055890",
        "brand": "V_PAY",
        "receipt": "HARBOUR BOOKS\r\nCARD 4111111111111111\r\nPAYMENT ACCEPTED\r",
        "merchant_receipt": "MERCHANT\nPAYMENT ACCEPTED",
        "result": "APPROVED",
        "store": {"uuid": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "name": "Harbour Books"},
        **changes,
    }


async def approves(system: System, task: Task) -> None:
    """What a good terminal does: the bank says yes, and later it is cleared."""
    await asyncio.sleep(5)
    system.charged.append(task.value)
    task.told = processed(task)
    task.status = "AUTHORIZED"


def ends(status: str, result: str | None, *, after: float = 5, **changes: Any) -> Behaviour:
    """It ends so."""

    async def behave(system: System, task: Task) -> None:
        await asyncio.sleep(after)
        if result == "APPROVED" and status != "CANCELLED":
            system.charged.append(task.value)
        task.told = {**processed(task), "result": result, **changes}
        task.status = status

    return behave


async def hangs(system: System, task: Task) -> None:
    """It stays in the customer's hands."""
    await asyncio.sleep(100_000)


def older(count: int, *, apart: float = 60.0) -> list[Task]:
    """Transactions of earlier, oldest first, as other tills of the shop have made them."""
    asked = {"type": "PURCHASE", "amount": {"value": 5, "currency": "EUR"}}
    begun = now() - timedelta(seconds=apart * count)
    return [
        Task(
            f"5456485215432746823746654{number:06d}",
            {**asked, "merchant_order_reference": f"inv{number:010d}"},
            begun + timedelta(seconds=apart * number),
            "CLEARED",
            {"result": "APPROVED"},
        )
        for number in range(count)
    ]
