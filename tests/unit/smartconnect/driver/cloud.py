"""A SmartConnect cloud that does as its script says, with one terminal behind it.

It knows what a register's form and a cloud's answer look like, and nothing of our own code for
them. `Cloud.charged` is the truth about the money.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.kit.scripted import Asked, ScriptedServer
from tillwire.net.asgi import Reply

PORT: Final = 8795
URL: Final = f"http://127.0.0.1:{PORT}/POS"
TOKEN_SECONDS: Final = 900.0
TOKEN: Final = "0f8b2c1e-6a0d-4b53-9b8e-7f4a2d9c5e61"

Json = dict[str, Any]


@dataclass
class Task:
    """A function that the cloud has taken."""

    id: str
    form: dict[str, str]
    at: float
    data: Json | None = None
    """What came of it; None while it goes on."""
    delayed: bool = False
    polls: list[float] = field(default_factory=list)


Act = Callable[["Cloud", Asked], Awaitable[Reply]]
"""What the cloud does with one request."""
Behaviour = Callable[["Cloud", Task], Awaitable[None]]
"""What the terminal does with a function."""


class Cloud(ScriptedServer):
    """The cloud."""

    port = PORT

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, Task] = {}
        self.charged: list[int] = []
        self.posts: deque[Act] = deque()
        """What it does with the next POSTs; afterwards, what is usual."""
        self.polls: deque[Act] = deque()
        self.pairings: deque[Act] = deque()
        self.terminal: Behaviour = accepts
        self.journal: Json = {"TransactionResult": "OK-DECLINED", "Result": "OK"}
        """What the terminal tells of its last transaction."""

    def of(self, method: str) -> list[Asked]:
        """The requests of this method."""
        return [each for each in self.heard if each.method == method]

    @property
    def sales(self) -> list[Asked]:
        """The POSTs that would move money."""
        return [each for each in self.of("POST") if _moves(each.form)]

    # --- what it does ---------------------------------------------------------------------------

    async def reply(self, asked: Asked) -> Reply:
        match asked.method:
            case "PUT":
                return await (self.pairings.popleft() if self.pairings else paired)(self, asked)
            case "POST":
                assert asked.path == "/POS/Transaction"
                return await (self.posts.popleft() if self.posts else taken)(self, asked)
            case "GET":
                if self.polls:
                    return await self.polls.popleft()(self, asked)
                assert asked.query == {"merchantAccessToken": TOKEN}
                return self.polled(asked)
        raise AssertionError(asked)

    def take(self, asked: Asked) -> Task:
        """Take a function, and hand it to the terminal."""
        name = f"2c1f7a52-9d41-4e0e-8a55-{len(self.tasks):012d}"
        task = self.tasks[name] = Task(name, asked.form, asked.at)
        self.spawn(self._run(task))
        return task

    async def _run(self, task: Task) -> None:
        kind = task.form["TransactionType"]
        if kind == "Journal.GetTransResult":
            await asyncio.sleep(1)
            task.data = {"Function": kind, **self.journal}
        elif not _moves(task.form):
            await asyncio.sleep(1)
            task.data = {"Function": kind, "Result": "OK", "Status": "READY"}
        else:
            await self.terminal(self, task)

    def polled(self, asked: Asked) -> Reply:
        """What a poll is answered with as a rule."""
        task = self.tasks.get(asked.path.rpartition("/")[2])
        if task is None:
            return refusal(404, "Unknown transaction")
        if asked.at - task.at >= TOKEN_SECONDS:
            return refusal(401, "Token expired")
        too_early = bool(task.polls) and asked.at - task.polls[-1] < 2
        task.polls.append(asked.at)
        if too_early:
            return refusal(429, "Too many requests")
        return Reply(200, json.dumps(envelope(task)).encode())


def _moves(form: dict[str, str]) -> bool:
    return any(name.startswith("Amount") for name in form)


def envelope(task: Task, *, first: bool = False) -> Json:
    """What the cloud says of a function."""
    data: Json = {"Function": task.form["TransactionType"]}
    if task.data is not None:
        data |= {"RequestId": task.id, **task.data}
    elif task.delayed:
        data |= {"TransactionResult": "OK-DELAYED", "Result": "DELAYED-TRANSACTION"}
    told: Json = {
        "transactionId": task.id,
        "transactionTimeStamp": "202603140215081234",
        "merchantId": "b1d1c4f0-55aa-4a7c-9a51-2f1d0b7a6c33",
        "deviceId": "7080001234",
        "transactionStatus": "PENDING" if task.data is None else "COMPLETED",
        "data": data,
    }
    if first:
        where = f"http://127.0.0.1:{PORT}/pos/transaction/{task.id}"
        data["PollingUrl"] = f"{where}?merchantAccessToken={TOKEN}"
        told["merchantAccessToken"] = TOKEN
    return told


# --- what the cloud may do ------------------------------------------------------------------------


def refusal(status: int, words: str) -> Reply:
    """An error as the vendor has it."""
    return Reply(status, json.dumps({"error": words}).encode())


async def taken(cloud: Cloud, asked: Asked) -> Reply:
    """Take it."""
    return Reply(200, json.dumps(envelope(cloud.take(asked), first=True)).encode())


async def paired(cloud: Cloud, asked: Asked) -> Reply:
    """Link the register."""
    return Reply(200, b'{"result":"success"}')


def answer(status: int, body: Json | bytes = b"", **headers: str) -> Act:
    """Answer with this, and do nothing."""

    async def act(cloud: Cloud, asked: Asked) -> Reply:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        told = tuple(
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        )
        return Reply(status, octets, headers=told)

    return act


def done_then(act: Act) -> Act:
    """Take it, and answer something else."""

    async def both(cloud: Cloud, asked: Asked) -> Reply:
        cloud.take(asked)
        return await act(cloud, asked)

    return both


def without_url(**changes: Any) -> Act:
    """Take it, and tell no polling URL, or another one."""

    async def act(cloud: Cloud, asked: Asked) -> Reply:
        told = envelope(cloud.take(asked))
        told["data"] |= changes
        return Reply(200, json.dumps(told).encode())

    return act


# --- what the terminal may do ---------------------------------------------------------------------


def amount_of(task: Task) -> int:
    """What was asked."""
    names = ("AmountTotal", "AmountAuth", "AmountFinal")
    return int(next(task.form[name] for name in names if name in task.form))


def accepted(task: Task, **changes: Any) -> Json:
    """What an accepted payment is."""
    told = {
        "TransactionResult": "OK-ACCEPTED",
        "Result": "OK",
        "Merchant": "1",
        "AmountTotal": str(amount_of(task)),
        "AuthId": "417302",
        "AcquirerRef": "000231",
        "TerminalRef": "79801234",
        "CardPan": "....4417",
        "CardType": "VISA",
        "AccountType": "CREDIT",
        "Timestamp": "20260314151602",
        "Receipt": "HARBOUR BOOKS\nACCEPTED",
        **changes,
    }
    return {key: value for key, value in told.items() if value is not None}


async def accepts(cloud: Cloud, task: Task) -> None:
    """What a good terminal does."""
    await asyncio.sleep(5)
    cloud.charged.append(amount_of(task))
    task.data = accepted(task)


def ends(told: Json | None = None, *, after: float = 5, **changes: Any) -> Behaviour:
    """It ends so; with `changes`, it is accepted but for them."""

    async def behave(cloud: Cloud, task: Task) -> None:
        await asyncio.sleep(after)
        task.data = accepted(task, **changes) if told is None else told
        if task.data.get("TransactionResult") == "OK-ACCEPTED":
            cloud.charged.append(amount_of(task))

    return behave


def ends_as(told: str, result: str) -> Behaviour:
    """It ends with these two words."""
    return ends({"TransactionResult": told, "Result": result})


def delayed(after: float, until: float, then: Behaviour = accepts) -> Behaviour:
    """It loses its link after so many seconds, until it is back and tells what happened."""

    async def behave(cloud: Cloud, task: Task) -> None:
        await asyncio.sleep(after)
        task.delayed = True
        await asyncio.sleep(until - after)
        await then(cloud, task)

    return behave
