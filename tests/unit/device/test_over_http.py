"""The link as terminals meet it: HTTP on a connection that may break."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.kit.runner import virtual
from tests.kit.serving import serve_app
from tests.unit.device.shop import Shop, shop_in, token_of
from tillwire.core.model import State
from tillwire.device import wire

DEVICE = wire.Device(token_of("t1"))


class Connection:
    """A terminal's own connection, kept open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, request: wire.HttpRequest) -> None:
        lines = [f"{request.method} {request.target} HTTP/1.1", "host: gateway"]
        lines += [f"{name}: {value}" for name, value in request.headers]
        lines += [f"content-length: {len(request.body)}", "", ""]
        self._writer.write("\r\n".join(lines).encode() + request.body)
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        status = int(head.split()[1])
        if "content-length: " not in head:
            return status, b""
        length = int(head.split("content-length: ")[1].split()[0])
        return status, await self._reader.readexactly(length)

    async def ask(self, request: wire.HttpRequest) -> tuple[int, bytes]:
        await self.send(request)
        return await self.answer()

    async def hang_up(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def connected(shop: Shop) -> tuple[Connection, Coroutine[Any, Any, None]]:
    """A terminal's connection to the served link, and how to end both."""
    served = await serve_app(shop.app)
    terminal = Connection(*await asyncio.open_connection(served.host, served.port))

    async def close() -> None:
        await terminal.hang_up()
        await served.close()

    return terminal, close()


@virtual()
async def test_a_day_of_one_terminal_on_one_connection(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        terminal, close = await connected(shop)
        status, body = await terminal.ask(DEVICE.configuration())
        assert wire.parse(wire.Configuration, body).terminal == "TILLWIRE-V1-t1"
        assert await terminal.ask(DEVICE.next(wire.Poll(wait=5, boot=7))) == (204, b"")
        await terminal.send(DEVICE.next(wire.Poll(wait=30, boot=7)))
        waiting = await shop.pay()
        status, body = await terminal.answer()
        offer = wire.parse(wire.Offer, body)
        assert (status, offer.id) == (200, waiting.id)
        for event in (wire.CardPresented(), wire.Approved(stan="000001")):
            status, body = await terminal.ask(DEVICE.tell(offer.id, event))
            assert status == 200
        assert wire.parse(wire.Receipt, body).state == "APPROVED"
        await close


@virtual()
async def test_a_terminal_that_hangs_up_during_a_held_poll_takes_nothing_along(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        terminal, close = await connected(shop)
        await terminal.send(DEVICE.next(wire.Poll(wait=30)))
        await asyncio.sleep(1)
        await terminal.hang_up()
        await asyncio.sleep(1)
        waiting = await shop.pay()
        await asyncio.sleep(60)
        assert (await shop.now(waiting)).state is State.ACCEPTED
        await close


@pytest.mark.parametrize("wait", [0.0, 30.0])
def test_a_lost_answer_to_a_fetch_costs_nothing(tmp_path: Path, wait: float) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            terminal, close = await connected(shop)
            waiting = await shop.pay()
            await terminal.send(DEVICE.next(wire.Poll(wait=wait)))
            await shop.until(waiting, State.SENT)
            await terminal.hang_up()
            assert (await shop.fetched()).id == waiting.id
            names = [event.name for event in await shop.events(waiting)]
            assert names.count("dispatch") == 1
            await close

    scenario()
