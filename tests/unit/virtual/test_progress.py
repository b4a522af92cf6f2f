"""What the display shows while a cardholder takes time, and what it costs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.kit.runner import virtual
from tests.unit.virtual.shop import Shop, clock_of_loop, shop_in
from tillwire.core.model import State, Transaction
from tillwire.core.ports import AbortResult
from tillwire.virtual.memory import SetScript
from tillwire.virtual.script import Script

Shown = list[tuple[int, str]]
"""Milliseconds since the sale began, and the text."""


def listening(shop: Shop, sale: Transaction) -> Shown:
    """All that the sale's display shows from now on."""
    shown: Shown = []
    begun = clock_of_loop().now()
    shop.engine.listen(sale.id, lambda text: shown.append((clock_of_loop().now() - begun, text)))
    return shown


@virtual()
async def test_a_slow_cardholder_is_seen_step_by_step(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        sale = await shop.pay(10049)
        shown = listening(shop, sale)
        await shop.until_final(sale)
        assert shown == [
            (0, "Present card"),
            (15_000, "Enter PIN"),
            (20_000, "Authorising"),
            (20_500, "Remove card"),
        ]


@virtual()
async def test_a_conversion_is_chosen_before_the_pin_and_pace_divides_all(tmp_path: Path) -> None:
    async with shop_in(tmp_path, pace=10) as shop:
        await shop.world.set_script("t1", SetScript(Script(seconds=20, conversion=True), 1))
        sale = await shop.pay(10000)
        shown = listening(shop, sale)
        await shop.until_final(sale)
        assert shown == [
            (0, "Present card"),
            (1_100, "Choose currency"),
            (1_500, "Enter PIN"),
            (2_000, "Authorising"),
            (2_050, "Remove card"),
        ]


@virtual()
async def test_who_presents_no_card_is_asked_for_nothing_else(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        sale = await shop.pay(10044)
        shown = listening(shop, sale)
        await shop.until_final(sale)
        assert shown == [(0, "Present card")]


@virtual()
async def test_steps_cost_no_event_and_a_quick_sale_shows_none(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        slow = await shop.paid(10049)
        assert slow.version == 4, "accepted, sent, started, approved"
        sale = await shop.pay(10000)
        shown = listening(shop, sale)
        quick = await shop.until_final(sale)
        assert (quick.version, shown) == (3, [])


@virtual()
async def test_the_display_is_right_also_after_the_gateway_has_died(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.until(await shop.pay(10049), State.STARTED)
        assert await shop.display() == "Present card"
    await asyncio.sleep(16)
    async with shop_in(tmp_path) as shop:
        assert await shop.display() == "Enter PIN"
        await asyncio.sleep(10)
        await shop.world.settle()
        assert await shop.display() == ""


@virtual()
async def test_a_till_can_call_it_off_while_the_pin_is_entered_but_not_while_it_is_authorised(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        first = await shop.pay(10049)
        shown = listening(shop, first)
        await asyncio.sleep(17)
        assert shown[-1][1] == "Enter PIN"
        assert await shop.engine.abort(first.id) is AbortResult.ABORTED
        assert (await shop.until_final(first)).state is State.CANCELLED
        second = await shop.pay(10049)
        shown = listening(shop, second)
        await asyncio.sleep(20.2)
        assert shown[-1][1] == "Authorising"
        assert await shop.engine.abort(second.id) is AbortResult.TOO_LATE
        assert (await shop.until_final(second)).state is State.APPROVED
        assert await shop.ledger() == [("PURCHASE", 10049, True)]


@virtual()
async def test_a_gateway_that_dies_while_it_is_authorised_finds_the_outcome(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        sale = await shop.pay(1049)
        await asyncio.sleep(20.2)
        assert await shop.ledger() == [("PURCHASE", 1049, True)]
    async with shop_in(tmp_path) as shop:
        assert (await shop.until_final(sale)).state is State.APPROVED
        assert await shop.ledger() == [("PURCHASE", 1049, True)]
