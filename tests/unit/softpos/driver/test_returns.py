"""What phones bring back, and what others put in its place: a hint, and no way to fill the journal
or to use up our questions."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest

from tests.kit.scripted import Asked
from tests.unit.softpos.driver.backend import CHECK, Backend, tells
from tests.unit.softpos.driver.counter import Counter, at_a_counter
from tillwire.core.model import State, Verdict
from tillwire.dialects.softpos.driver import phone
from tillwire.net.asgi import Reply

HOUR = 3_600
CARD = "4111111111111111"


@pytest.mark.parametrize("changes", [{"amount": "12,50"}, {"amount": "1400"}, {"result": "ok"}])
@at_a_counter(horizon_seconds=HOUR)
async def test_a_return_that_nobody_can_read_may_tell_of_a_payment(
    counter: Counter, changes: dict[str, str]
) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    told = {"callerTrxId": order.id, "operationType": "PAYMENT", "result": "0", "amount": "1250"}
    assert (await counter.come_back(link, {**told, **changes})).status == 400
    await counter.lost(order)
    await asyncio.sleep(HOUR + 1_000)
    assert (await counter.now(order)).state is State.UNKNOWN, "no proof that it was not paid"
    assert counter.told(order)


@at_a_counter()
async def test_a_return_that_nobody_can_read_has_the_backend_asked(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    counter.backend.pay(link)
    assert (await counter.come_back(link, {"result": "0"})).status == 400
    assert (await counter.ended(order, 3)).state is State.APPROVED


@at_a_counter()
async def test_a_bare_address_says_nothing(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    assert (await counter.come_back(link, {})).status == 400
    assert phone.UNREAD not in (await counter.now(order)).peer, "some browsers look ahead"


@at_a_counter()
async def test_a_link_from_which_a_phone_came_back_is_not_shown_again(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    told = {"callerTrxId": order.id, "operationType": "PAYMENT", "result": "0", "amount": "1250"}
    await counter.come_back(link, told)
    now = await counter.now(order)
    assert now.state is State.SENT
    assert not phone.is_shown(now, counter.driver.settings, counter.gateway.clock)


@at_a_counter()
async def test_no_card_number_that_a_phone_brings_back_is_kept(
    counter: Counter, capsys: pytest.CaptureFixture[str]
) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    told = {**counter.backend.pay(link, pan=CARD, note=[CARD, int(CARD)]), "pan": CARD}
    assert (await counter.come_back(link, told)).status == 200
    assert (await counter.come_back(link, {**told, "result": CARD})).status == 400
    paid = await counter.ended(order, 20)
    assert paid.peer[phone.ANSWER].count("************1111") == 3
    written = "".join(capsys.readouterr()) + repr(paid) + repr(counter.gateway.events(order.id))
    assert CARD not in written


@at_a_counter()
async def test_a_return_that_says_what_is_known_asks_nobody(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    told = counter.backend.pay(link)
    paid = await counter.ended(order, 20)
    asked = len(counter.backend.of(CHECK))
    assert (await counter.come_back(link, told)).status == 200
    assert len(counter.backend.of(CHECK)) == asked
    assert await counter.now(order) == paid


@at_a_counter()
async def test_old_addresses_use_up_neither_questions_nor_the_journal(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    told = counter.backend.pay(link, status="DECLINED")
    await counter.ended(order, 20)
    asked, noted = len(counter.backend.of(CHECK)), len(counter.gateway.events(order.id))
    for number in range(30):
        told["result"] = str(number % 3)
        await counter.come_back(link, told)
        await asyncio.sleep(10)
    assert len(counter.backend.of(CHECK)) == asked + 1, "once in five minutes"
    assert len(counter.gateway.events(order.id)) == noted + 1


@at_a_counter()
async def test_a_declined_payment_that_was_paid_after_all_is_a_discrepancy(
    counter: Counter,
) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    await counter.come_back(link, counter.backend.pay(link, status="DECLINED"))
    assert (await counter.ended(order, 20)).state is State.DECLINED
    await counter.come_back(link, counter.backend.pay(link))
    assert (await counter.now(order)).state is State.DECLINED, "what was told is not rewritten"
    assert len(counter.discrepancies()) == 1


@at_a_counter()
async def test_what_was_decided_and_is_paid_after_all_is_a_discrepancy_at_once(
    counter: Counter,
) -> None:
    """However lately it was asked for while it was UNKNOWN."""
    order = await counter.order()
    link = await counter.shown(order)
    await counter.lost(order)
    await asyncio.sleep(5)
    await counter.gateway.engine.decide(
        order.id, Verdict.CANCELLED, person="Ada", reason="Nobody paid."
    )
    await counter.come_back(link, counter.backend.pay(link))
    assert (await counter.now(order)).state is State.CANCELLED
    assert len(counter.discrepancies()) == 1


@at_a_counter(horizon_seconds=HOUR)
async def test_a_return_that_comes_while_the_last_question_is_asked_counts(
    counter: Counter,
) -> None:
    async def slowly(backend: Backend, asked: Asked) -> Reply:
        reply = await tells(backend, asked)
        await asyncio.sleep(4)
        return reply

    order = await counter.order()
    link = await counter.shown(order)
    await counter.lost(order)
    asked = len(counter.backend.of(CHECK))
    while counter.backend.now < HOUR + 1 or len(counter.backend.of(CHECK)) == asked:
        asked = len(counter.backend.of(CHECK))
        counter.backend.checks = deque([slowly])
        await asyncio.sleep(1)
    told = {"callerTrxId": order.id, "operationType": "PAYMENT", "result": "0", "amount": "1250"}
    assert (await counter.now(order)).state is State.UNKNOWN
    await counter.come_back(link, told)
    await asyncio.sleep(60)
    assert (await counter.now(order)).state is State.UNKNOWN, "somebody says that it was paid"


@at_a_counter()
async def test_a_phone_waits_for_a_slow_backend_so_long_and_no_longer(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    told = counter.backend.pay(link, status="PENDING")
    await counter.lost(order)
    begun = counter.backend.now
    ahead = [asyncio.create_task(counter.driver.check(f"ahead-{n}")) for n in range(100)]
    await asyncio.sleep(0)
    assert (await counter.come_back(link, told)).status == 200
    assert counter.backend.now - begun <= 21
    await asyncio.gather(*ahead)
