"""Whole messages that come twice, late, or whose answer is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.kit.messages import Fate, FaultyDialer, FaultyHttpClient, fates
from tests.kit.runner import virtual
from tests.kit.serving import serve_app
from tests.kit.virtual_loop import virtual_loop
from tillwire.core.ports import HttpResponse
from tillwire.errors import AnswerLost
from tillwire.net.dialer import AsyncioDialer
from tillwire.net.http_client import AiohttpClient


class Counter:
    """An application that writes down what it was asked, and answers how often."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        self.heard.append((virtual_loop().time(), message["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(len(self.heard)).encode()})


async def _client(counter: Counter, *script: Fate) -> tuple[FaultyHttpClient, str, AiohttpClient]:
    served = await serve_app(counter)
    inner = AiohttpClient()
    return FaultyHttpClient(inner, fates(*script)), served.url, inner


async def _post(client: FaultyHttpClient, url: str, body: bytes) -> HttpResponse:
    return await client.request("POST", url, headers={}, body=body, timeout=30)


@virtual()
async def test_a_doubled_request_arrives_twice_and_is_answered_once() -> None:
    counter = Counter()
    client, url, inner = await _client(counter, Fate(doubled_after=3))
    response = await _post(client, url, b"pay")
    assert response.body == b"1"
    await client.settle()
    assert counter.heard == [(0, b"pay"), (3, b"pay")]
    await inner.close()


@virtual()
async def test_a_late_request_is_overtaken() -> None:
    counter = Counter()
    client, url, inner = await _client(counter, Fate(late=5))
    first = asyncio.create_task(_post(client, url, b"first"))
    await asyncio.sleep(1)
    await _post(client, url, b"second")
    await first
    assert [body for _, body in counter.heard] == [b"second", b"first"]
    await inner.close()


@virtual()
async def test_a_lost_answer_was_an_answer() -> None:
    counter = Counter()
    client, url, inner = await _client(counter, Fate(answer_lost=True))
    with pytest.raises(AnswerLost):
        await _post(client, url, b"pay")
    assert len(counter.heard) == 1
    await inner.close()


@virtual()
async def test_a_doubled_connection_is_replayed_after_it_was_closed() -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.write(b"heard\n")
        writer.close()

    await asyncio.start_server(listen, "127.0.0.1", 8800)
    dialer = FaultyDialer(AsyncioDialer(), fates(Fate(doubled_after=1), Fate(answer_lost=True)))
    connection = await dialer.connect("127.0.0.1", 8800, timeout=5)
    await connection.write(b"pay\n")
    assert await connection.read() == b"heard\n"
    await connection.close()
    await dialer.settle()
    assert heard == [b"pay\n", b"pay\n"]
    connection = await dialer.connect("127.0.0.1", 8800, timeout=5)
    await connection.write(b"again\n")
    with pytest.raises(AnswerLost):
        await connection.read()
    await connection.close()
