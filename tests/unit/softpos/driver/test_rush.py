"""Many phones at one application at once, news that comes while a question is under way, and clocks
that are set."""

from __future__ import annotations

import asyncio
import itertools

from tests.kit.scripted import Asked
from tests.unit.softpos.driver import backend as there
from tests.unit.softpos.driver.backend import CHECK, KEYS, TOKEN, Backend
from tests.unit.softpos.driver.counter import Counter, at_a_counter, set_by
from tillwire.core.model import State
from tillwire.core.recovery import ASK_WITHIN, LONGEST_PAUSE
from tillwire.net.asgi import Reply

HOUR = 3_600
DAY = 24 * HOUR


@at_a_counter()
async def test_many_questions_at_once_are_all_answered_in_their_turn(counter: Counter) -> None:
    asking = (counter.driver.check(f"nothing-known-{number}") for number in range(100))
    assert await asyncio.gather(*asking) == [None] * 100
    times = [each.at for each in counter.backend.of(CHECK)]
    assert all(later - earlier >= 0.5 for earlier, later in itertools.pairwise(times))
    assert times[-1] - times[0] < 51
    assert len(counter.backend.of(TOKEN)) == len(counter.backend.of(KEYS)) == 1


@at_a_counter()
async def test_who_gives_up_holds_up_nobody_behind_him(counter: Counter) -> None:
    assert await counter.driver.check("the-first") is None
    impatient = [asyncio.create_task(counter.driver.check(f"given-up-{n}")) for n in range(100)]
    await asyncio.sleep(0.1)
    for each in impatient:
        each.cancel()
    await asyncio.gather(*impatient, return_exceptions=True)
    begun = counter.backend.now
    assert await counter.driver.check("the-last") is None
    assert counter.backend.now - begun < 2


@at_a_counter()
async def test_a_refusal_has_each_thing_fetched_once_for_all(counter: Counter) -> None:
    assert await counter.driver.check("the-first") is None
    counter.backend.expire_tokens()
    counter.backend.keys = ["enc-2"]
    await asyncio.gather(*(counter.driver.check(f"nothing-known-{n}") for n in range(10)))
    assert len(counter.backend.of(TOKEN)) == len(counter.backend.of(KEYS)) == 2


@at_a_counter()
async def test_news_during_a_question_has_it_asked_again(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)

    async def slowly(backend: Backend, asked: Asked) -> Reply:
        reply = await there.tells(backend, asked)
        await asyncio.sleep(3)
        return reply

    counter.backend.checks.append(slowly)
    await asyncio.sleep(7)
    assert len(counter.backend.of(CHECK)) == 2, "and it was answered with 404, on its way to us"
    await counter.come_back(link, counter.backend.pay(link))
    assert (await counter.ended(order, 5)).state is State.APPROVED


@at_a_counter(horizon_seconds=HOUR)
async def test_a_clock_that_is_set_forward_proves_no_absence(counter: Counter) -> None:
    order = await counter.order()
    await counter.shown(order)
    with set_by(counter, 3 * DAY):
        await counter.lost(order)
        await asyncio.sleep(HOUR - 1_000)
        assert (await counter.now(order)).state is State.UNKNOWN
        assert (await counter.ended(order, 2_000)).state is State.FAILED


@at_a_counter()
async def test_a_clock_that_is_set_back_after_a_restart_proves_no_absence(counter: Counter) -> None:
    order = await counter.order()
    await counter.shown(order)
    await counter.lost(order)
    await counter.restart()
    with set_by(counter, -2 * DAY):
        asked = len(counter.backend.of(CHECK))
        await asyncio.sleep(3_600)
        assert len(counter.backend.of(CHECK)) - asked < 20
        assert (await counter.now(order)).state is State.UNKNOWN


@at_a_counter(other_tid="30009999")
async def test_many_phones_with_two_tids_are_all_found_out_about(counter: Counter) -> None:
    """Each is asked for on both, and recovery gives up a question after half a minute."""
    left = 64

    async def find_out(number: int) -> None:
        nonlocal left
        while True:
            try:
                async with asyncio.timeout(ASK_WITHIN):
                    await counter.driver.check(f"nothing-known-{number}")
            except TimeoutError:
                await asyncio.sleep(LONGEST_PAUSE)
            else:
                left -= 1
                return

    asking = asyncio.gather(*(find_out(number) for number in range(left)))
    await asyncio.sleep(ASK_WITHIN + 1)
    assert left < 40, "half of them, in their turn"
    await asyncio.wait_for(asking, 120)
