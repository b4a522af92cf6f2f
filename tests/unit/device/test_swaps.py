"""Devices come and go at a terminal, and may repeat themselves: no sale reaches two of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from tests.kit.runner import virtual
from tests.unit.device.shop import Shop, shop_in, token_of
from tillwire.core.model import State
from tillwire.device import wire


async def swap(shop: Shop, serial: str, token: str) -> None:
    """Another device stands at `t1` now."""
    terminal = shop.engine.estate.terminals["t1"]
    digest = wire.digest_of_bearer(f"Bearer {token}")
    other = msgspec.structs.replace(terminal, serial=serial, device_digest=digest)
    await shop.engine.change_estate(lambda unit: unit.put(other))


@virtual()
async def test_a_device_that_was_swapped_while_its_poll_was_held_gets_nothing(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        poll = asyncio.create_task(shop.terminal().post("/next?wait=30&boot=1"))
        await asyncio.sleep(1)
        await swap(shop, "new", "another secret")
        sale = await shop.pay()
        assert (await poll).status == 401
        assert (await shop.now(sale)).state is State.ACCEPTED


@virtual()
async def test_a_device_that_was_changed_while_its_poll_was_held_is_told_to_poll_again(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        poll = asyncio.create_task(shop.terminal().post("/next?wait=30"))
        await asyncio.sleep(1)
        await swap(shop, "new", token_of("t1"))
        sale = await shop.pay()
        assert (await poll).status == 409
        assert (await shop.fetched()).id == sale.id


@virtual()
async def test_what_one_device_has_fetched_is_not_handed_to_the_next_at_the_same_boot(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        sale = await shop.pay()
        assert (await shop.fetched("?boot=1")).id == sale.id
        await swap(shop, "new", token_of("t1"))
        for query in ("?boot=1", "", "?boot=1&wait=2"):
            assert (await shop.terminal().post("/next" + query)).status == 204
        assert (await shop.now(sale)).state is State.UNKNOWN
        lost = next(event for event in await shop.events(sale) if event.name == "lose")
        assert "The device t1 fetched the transaction" in lost.detail["reason"]


@virtual()
async def test_a_card_that_is_presented_over_and_over_is_written_down_once(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        sale = await shop.pay()
        await shop.fetched()
        for _ in range(20):
            assert (await shop.tell(sale.id, "card_presented")).status == 200
        names = [event.name for event in await shop.events(sale)]
        assert names == ["accept", "dispatch", "start"]
