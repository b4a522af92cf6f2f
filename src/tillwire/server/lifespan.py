"""Starts and stops a mounted application by ASGI's lifespan protocol."""

from __future__ import annotations

import asyncio

from tillwire.errors import ConfigurationError
from tillwire.net.asgi import App, Message


class Lifespan:
    """The life of one mounted application. One that knows no lifespans needs none."""

    def __init__(self, app: App, name: str) -> None:
        """`name` is the face's, for messages."""
        self._app = app
        self._name = name
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._started = asyncio.Event()
        self._failure = ""
        self._supported = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when the application is ready; `ConfigurationError` when it says it cannot."""
        self._task = asyncio.create_task(self._run(), name=f"lifespan of {self._name}")
        await self._inbox.put({"type": "lifespan.startup"})
        await self._started.wait()
        if self._failure:
            raise ConfigurationError(f"The face {self._name} did not start: {self._failure}.")

    async def stop(self) -> None:
        """Returns when the application has cleaned up."""
        if self._task is not None:
            await self._inbox.put({"type": "lifespan.shutdown"})
            await self._task

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": {},
        }
        try:
            await self._app(scope, self._inbox.get, self._send)
        except Exception as error:  # noqa: BLE001 - whatever an application raises
            # ASGI: an application that raises before it answered does not know lifespans.
            if self._supported:
                self._failure = self._failure or repr(error)
        finally:
            self._started.set()

    async def _send(self, message: Message) -> None:
        self._supported = True
        if message["type"] == "lifespan.startup.failed":
            self._failure = message.get("message", "") or "no reason given"
        self._started.set()
