"""Asks an ASGI application in process, without any HTTP in between."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tillwire.net.asgi import App, Message


class Answer(msgspec.Struct, frozen=True):
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body; its shape is for the test to know."""
        return msgspec.json.decode(self.body)


class AsgiClient:
    """A client of an application that is mounted at `root`."""

    def __init__(self, app: App, *, root: str = "", headers: dict[str, str] | None = None) -> None:
        self._app = app
        self._root = root
        self._headers = headers or {}

    async def get(self, target: str) -> Answer:
        return await self.ask("GET", target)

    async def delete(self, target: str) -> Answer:
        return await self.ask("DELETE", target)

    async def put(self, target: str, body: object) -> Answer:
        return await self.ask("PUT", target, msgspec.json.encode(body))

    async def post(self, target: str, body: object = None) -> Answer:
        return await self.ask("POST", target, b"" if body is None else msgspec.json.encode(body))

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        headers: dict[str, str | None] | None = None,
        gone: asyncio.Event | None = None,
    ) -> Answer:
        """One request. The client stays until it is answered, or until `gone` is set; then the
        status is 0 if nothing was answered. A header that is None is left out."""
        path, _, query = target.partition("?")
        given: dict[str, str | None] = {"content-type": "application/json"} if body else {}
        given |= self._headers | (headers or {})
        scope = {
            "type": "http",
            "method": method,
            "path": self._root + path,
            "raw_path": (self._root + path).encode(),
            "root_path": self._root,
            "query_string": query.encode(),
            "headers": [
                (key.encode(), value.encode()) for key, value in given.items() if value is not None
            ],
        }
        answered = asyncio.Event()
        left = gone or answered
        sent: list[Message] = []
        parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if parts:
                return parts.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            if message["type"] == "http.response.body":
                answered.set()

        await self._app(scope, receive, send)
        return _answer(sent)


def _answer(sent: list[Message]) -> Answer:
    if not sent:
        return Answer(0, {}, b"")
    start, *rest = sent
    names = [key.decode() for key, _ in start["headers"]]
    assert len(names) == len(set(names)), f"a header is given twice: {names}"
    headers = {key.decode(): value.decode() for key, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(part.get("body", b"") for part in rest))
