"""The floor: the least that a gateway with the same promises could be.

A bare ASGI application on the same server (uvicorn, uvloop, httptools, our connection limits). It
reads the same requests, writes the same number of rows in the same number of group commits to the
same kind of files, and answers with bodies of the same size. No routing, no keys, no validation, no
state machine, no logs.
`python -m benchmarks.floor_process DIR N`, as `gateway_process` is called.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
import uvloop

from tillwire.config import Limits
from tillwire.journal.committer import connect
from tillwire.journal.writer import Writer
from tillwire.server.process import spare_the_collector
from tillwire.server.protocol import LimitedProtocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BEFORE_SENDING = 4
"""Rows before the first byte leaves: the hold, the transaction, its two first events."""
AT_THE_TERMINAL = 3
"""Rows of the virtual world: the terminal, its memory, the acquirer's ledger."""
BEFORE_ANSWERING = 3
"""Rows before the till hears: the transaction, its event, the hold."""
_ROW = "x" * 220
_RECEIPTS = "y" * 1200


class Rows:
    """Committer of plain rows, as cheap as rows can be."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self._connection = connect(path, synchronous=synchronous)
        self._connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def unit(self) -> sqlite3.Connection:
        return self._connection

    def wrote(self, unit: sqlite3.Connection) -> bool:
        return True

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        self._connection.execute("ROLLBACK")

    def translated(self, error: Exception) -> Exception:
        return error

    def close(self) -> None:
        self._connection.close()


def _insert(count: int) -> Callable[[sqlite3.Connection], None]:
    rows = [(_ROW,)] * count

    def work(connection: sqlite3.Connection) -> None:
        connection.executemany("INSERT INTO rows (text) VALUES (?)", rows)

    return work


class Floor:
    """The application."""

    def __init__(self, directory: Path) -> None:
        self._journal = Writer(Rows(directory / "floor.db", "FULL"))
        self._world = Writer(Rows(directory / "floor-world.db", "NORMAL"), name="world")
        self._done: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            body = b""
            while True:
                message = await receive()
                body += message.get("body", b"")
                if not message.get("more_body"):
                    break
            status, answer = 201, await self._create(msgspec.json.decode(body))
        else:
            status, answer = 200, self._status(scope["path"].rsplit("/", 1)[1])
        content = msgspec.json.encode(answer)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        transaction_id = f"{self._count:031d}"
        await self._journal.commit(_insert(BEFORE_SENDING))
        self._done[transaction_id] = False
        task = asyncio.create_task(self._pay(transaction_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return {"id": transaction_id, "status": "CREATED", **request}

    async def _pay(self, transaction_id: str) -> None:
        await self._world.commit(_insert(AT_THE_TERMINAL))
        await self._journal.commit(_insert(BEFORE_ANSWERING))
        self._done[transaction_id] = True

    def _status(self, transaction_id: str) -> dict[str, Any]:
        if not self._done[transaction_id]:
            return {"id": transaction_id, "status": "CREATED"}
        return {"id": transaction_id, "status": "CLEARED", "receipt": _RECEIPTS}

    def close(self) -> None:
        self._journal.close()
        self._world.close()


async def serve(directory: Path, terminals: int) -> None:
    """Serve until SIGTERM."""
    spare_the_collector()
    floor = Floor(directory)
    config = uvicorn.Config(
        floor, port=0, lifespan="off", interface="asgi3", log_config=None, access_log=False,
        ws="none", loop="none", server_header=False,
        http=functools.partial(LimitedProtocol, limits=Limits()),  # type: ignore[arg-type]
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody when it has
        await asyncio.sleep(0.01)
    print(
        json.dumps(
            {
                "pid": os.getpid(),
                "port": server.servers[0].sockets[0].getsockname()[1],
                "path": "",
                "api_key": "none",
                "terminals": [f"TILLWIRE-V1-{number:05d}" for number in range(1, terminals + 1)],
            }
        ),
        flush=True,
    )
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: setattr(server, "should_exit", True))
    await task
    floor.close()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
