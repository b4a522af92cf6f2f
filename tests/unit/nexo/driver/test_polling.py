"""The flat binding: what a POST may be answered with, and how polls go wrong."""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.faults import Connect, Faults, Noticed
from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tests.unit.nexo.driver import poi
from tests.unit.nexo.driver.poi import Poi, Send, approve, both, display, wait
from tests.unit.nexo.driver.till import Till, payment, till
from tillwire.core.errands import ErrandFailed, Print
from tillwire.core.model import Verdict
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire import Message
from tillwire.errors import AnswerLost


async def polled(**settings: object) -> tuple[Till, poi.Flat]:
    counter = await till("http", **settings)
    assert counter.flat is not None
    return counter, counter.flat


@pytest.mark.parametrize("status", [200, 202, 204])
@virtual()
async def test_whatever_takes_a_payment_up_it_is_polled_for(status: int) -> None:
    counter, flat = await polled()
    flat.accepted = status, b""
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert flat.polls == ["payment"]
    assert virtual_loop().time() == 0.5
    assert [at for at, sign in counter.notes.signs if sign.received] == [0.0]


@pytest.mark.parametrize(("status", "seconds"), [(201, 2.0), (206, 0.0)])
@virtual()
async def test_a_display_may_come_with_the_acceptance(status: int, seconds: float) -> None:
    counter, flat = await polled(poll_seconds=2)

    async def shown_with_it(there: Poi, message: Message, send: Send) -> None:
        async def keep(said: Message | bytes) -> None:
            assert isinstance(said, Message)
            flat.accepted = status, wire.encode(said, flat=True)

        await display("Insert card")(there, message, keep)
        there.heard.pop()  # it is heard again, by the act that comes next

    shown_with_it.refuses = True  # type: ignore[attr-defined]  # it runs before the POST's answer
    counter.poi.will("Payment", shown_with_it, approve())
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert counter.notes.displays == ["Insert card"]
    assert virtual_loop().time() == seconds


@virtual()
async def test_an_answer_to_the_post_itself_counts_and_nothing_is_polled_for() -> None:
    counter, flat = await polled()

    async def at_once(there: Poi, message: Message, send: Send) -> None:
        there.charge(message)
        answer = there.keep(message, poi.approval(message))
        raise poi.Http(200, wire.encode(answer, flat=True))

    at_once.refuses = True  # type: ignore[attr-defined]  # the POST is answered by it
    counter.poi.will("Payment", at_once)
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert flat.polls == []


@virtual()
async def test_a_post_that_is_not_taken_up_in_time_is_lost() -> None:
    counter, flat = await polled()

    async def never(there: Poi, message: Message, send: Send) -> None:
        await asyncio.sleep(1000)

    never.refuses = True  # type: ignore[attr-defined]
    counter.poi.will("Payment", never)
    with pytest.raises(AnswerLost, match="not within 8 s"):
        await counter.run(payment())
    assert virtual_loop().time() == 8
    assert flat.polls == []


@virtual()
async def test_what_is_answered_at_once_may_take_its_time() -> None:
    counter, _ = await polled(extra_resources=["print"])
    counter.poi.will("Print", both(wait(60), poi.fail("DeviceOut")))
    with pytest.raises(ErrandFailed, match="DeviceOut"):
        await counter.driver.perform(Print("VOUCHER"), lambda text: None)
    assert virtual_loop().time() == 60


@virtual()
async def test_two_polls_may_get_lost_in_a_row() -> None:
    counter, _ = await polled()
    counter.poi.will("Payment", both(wait(3), approve()))
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(1.2)
    _break_for(2)
    assert (await running).verdict is Verdict.APPROVED


@virtual()
async def test_three_lost_polls_in_a_row_lose_the_answer() -> None:
    counter, flat = await polled()
    counter.poi.will("Payment", both(wait(30), approve()))
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(1.2)
    polls = len(flat.polls)
    _break_for(3)
    with pytest.raises(AnswerLost, match="does not answer polls"):
        await running
    assert len(flat.polls) == polls
    assert virtual_loop().time() == 2.5  # at 1.5, 2 and 2.5


def _break_for(connections: int) -> None:
    """Break the line, and let the next ones be refused."""
    network = virtual_loop().network
    network.links[-1].cut(Noticed.BOTH)
    tried = 0

    def policy(port: int, number: int) -> Faults:
        nonlocal tried
        tried += 1
        return Faults(Connect.REFUSE) if tried <= connections else Faults()

    network.faults = policy


@pytest.mark.parametrize(
    ("status", "words"),
    [(423, "runs nothing of ours any more"), (500, "does not say how it ended")],
)
@virtual()
async def test_why_polling_ended_is_told(status: int, words: str) -> None:
    counter, _ = await polled()
    counter.poi.will("Payment", poi.http(status))
    with pytest.raises(AnswerLost, match=words):
        await counter.run(payment())
