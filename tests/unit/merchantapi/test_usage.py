"""`lastUsage`: known at once, written now and then, never in the way of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.merchantapi.shop import Shop, open_shop
from tillwire.core.estate_model import ApiKey
from tillwire.dialects.merchantapi import usage
from tillwire.dialects.merchantapi.usage import KeyUsage
from tillwire.errors import JournalBusy


async def journaled(shop: Shop, key: ApiKey) -> ApiKey:
    estate = await shop.engine.journal.read(lambda reader: reader.estate())
    return estate.api_keys[key.id]


async def test_the_overview_knows_it_at_once(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        second, _ = await shop.new_key()
        first, unused = (await shop.till.get("/apikeys")).json
        assert "lastUsage" in first
        assert "lastUsage" not in unused
        await second.get("/nowhere")
        shown = (await shop.till.get("/apikeys")).json[1]
        assert shown["lastUsage"].endswith("Z")
        assert (await journaled(shop, shop.keys[0])).last_used_at is None


async def test_it_is_written_with_the_key_as_it_stands(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        noted = KeyUsage(shop.engine)
        now = shop.clock.now()
        noted.note(shop.keys[0], now)
        await shop.put(msgspec.structs.replace(shop.keys[0], label="renamed", revoked_at=now))
        await noted.write()
        written = await journaled(shop, shop.keys[0])
        assert (written.last_used_at, written.label, written.revoked_at) == (now, "renamed", now)
        assert noted.last(shop.engine.estate.api_keys[written.id]) == now


async def test_what_cannot_be_written_is_written_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(work: Callable[[Any], Any]) -> None:
        raise JournalBusy

    async with open_shop(tmp_path) as shop:
        noted = KeyUsage(shop.engine)
        now = shop.clock.now()
        noted.note(shop.keys[0], now)
        with monkeypatch.context() as broken:
            broken.setattr(shop.engine.journal, "commit", busy)
            await noted.write()
        await noted.write()
        assert (await journaled(shop, shop.keys[0])).last_used_at == now


async def test_nothing_noted_is_nothing_written(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        before = shop.engine.estate.version
        await KeyUsage(shop.engine).write()
        assert shop.engine.estate.version == before


async def test_the_faces_life_writes_it_now_and_then_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "WRITE_EVERY", 0.01)
    written, write = asyncio.Event(), KeyUsage.write

    async def write_and_tell(self: KeyUsage) -> None:
        await write(self)
        written.set()

    monkeypatch.setattr(KeyUsage, "write", write_and_tell)
    async with open_shop(tmp_path) as shop:
        told: asyncio.Queue[str] = asyncio.Queue()
        heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        async def send(message: dict[str, Any]) -> None:
            await told.put(message["type"])

        life = asyncio.create_task(shop.app({"type": "lifespan"}, heard.get, send))
        await heard.put({"type": "lifespan.startup"})
        assert await told.get() == "lifespan.startup.complete"
        await shop.till.get("/stores")
        written.clear()
        async with asyncio.timeout(30):
            await written.wait()
        assert (await journaled(shop, shop.keys[0])).last_used_at is not None
        await shop.neighbour.get("/stores")
        await heard.put({"type": "lifespan.shutdown"})
        assert await told.get() == "lifespan.shutdown.complete"
        await life
        assert (await journaled(shop, shop.keys[1])).last_used_at is not None
