"""An Abort asks; what the payment itself answers is how it ended."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from tests.kit.faults import Connect, Faults, scripted
from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tests.unit.nexo.driver import poi
from tests.unit.nexo.driver.poi import PORT, Poi, Send, approve, fail
from tests.unit.nexo.driver.till import Till, payment, till
from tillwire.core.model import Cause, Outcome, Verdict
from tillwire.core.ports import AbortResult
from tillwire.dialects.nexo.wire import Message
from tillwire.dialects.nexo.wire.services import AbortRequest
from tillwire.errors import AnswerLost, NotDelivered, PeerError, Proof

BINDINGS: Final[dict[str, dict[str, Any]]] = {
    "tcp": {"binding": "tcp"},
    "tcp, own": {"binding": "tcp", "abort_over": "own"},
    "held": {"binding": "held", "tls": False},
    "http": {"binding": "http"},
}
every_binding = pytest.mark.parametrize("binding", BINDINGS)


def waiting_for_a_card(there: Poi) -> asyncio.Event:
    """Let the payment wait until it is aborted."""
    aborted = asyncio.Event()

    async def wait_for_it(_: Poi, message: Message, send: Send) -> None:
        await aborted.wait()
        await fail("Aborted")(there, message, send)

    async def drop(_: Poi, message: Message, send: Send) -> None:
        aborted.set()

    there.will("Payment", wait_for_it)
    there.will("Abort", drop)
    return aborted


async def begun(counter: Till) -> asyncio.Task[Outcome]:
    """A payment that is at the terminal."""
    running = asyncio.create_task(counter.run(payment()))
    async with asyncio.timeout(5):
        while not counter.poi.of("Payment"):  # noqa: ASYNC110 - the terminal tells nobody
            await asyncio.sleep(0.01)
    return running


@every_binding
@virtual()
async def test_what_waits_for_a_card_is_dropped(binding: str) -> None:
    counter = await till(**BINDINGS[binding])
    waiting_for_a_card(counter.poi)
    running = await begun(counter)
    assert await counter.driver.abort(payment()) is AbortResult.ABORTED
    outcome = await running
    assert (outcome.verdict, outcome.cause) == (Verdict.CANCELLED, Cause.TILL)
    (abort,) = counter.poi.of("Abort")
    assert isinstance(abort.body, AbortRequest)
    reference, sent = abort.body.message_reference, counter.poi.of("Payment")[0].header
    assert (reference.message_category, reference.service_id) == ("Payment", sent.service_id)
    assert (reference.sale_id, reference.poi_id) == (sent.sale_id, sent.poi_id)
    assert abort.header.service_id not in (None, sent.service_id)
    assert abort.body.abort_reason == "MerchantAbort"
    assert counter.notes.peer["service_id"] == sent.service_id


@pytest.mark.parametrize(("binding", "connections"), [("tcp", 1), ("tcp, own", 2)])
@virtual()
async def test_an_abort_goes_over_the_connection_that_is_set(
    binding: str, connections: int
) -> None:
    counter = await till(**BINDINGS[binding])
    waiting_for_a_card(counter.poi)
    running = await begun(counter)
    await counter.driver.abort(payment())
    await running
    assert len(virtual_loop().network.links) == connections


@every_binding
@pytest.mark.parametrize("kind", ["Completed", "Reject"])
@virtual()
async def test_an_event_says_that_it_is_too_late(binding: str, kind: str) -> None:
    counter = await till(**BINDINGS[binding])
    counter.poi.will("Payment", poi.both(poi.wait(5), approve()))
    counter.poi.will("Abort", poi.event(kind))
    running = await begun(counter)
    assert await counter.driver.abort(payment()) is AbortResult.TOO_LATE
    assert (await running).verdict is Verdict.APPROVED
    assert virtual_loop().time() < 8


@every_binding
@virtual()
async def test_an_abort_that_is_ignored_leaves_the_payment_to_its_end(binding: str) -> None:
    counter = await till(**BINDINGS[binding])
    counter.poi.will("Payment", poi.both(poi.wait(1), approve()))
    running = await begun(counter)
    assert await counter.driver.abort(payment()) is AbortResult.ABORTED
    assert (await running).verdict is Verdict.APPROVED


@pytest.mark.parametrize("binding", ["held", "http"])
@pytest.mark.parametrize("status", [200, 202, 204, 206])
@pytest.mark.parametrize("body", [b"", b"ok", b"{}"])
@virtual()
async def test_whatever_an_abort_is_acknowledged_with_is_fine(
    binding: str, status: int, body: bytes
) -> None:
    counter = await till(**BINDINGS[binding])
    aborted = waiting_for_a_card(counter.poi)

    async def acknowledge(_: Poi, message: Message, send: Send) -> None:
        aborted.set()
        raise poi.Http(status, b"" if status == 204 else body)

    counter.poi.script["Abort"].clear()
    counter.poi.will("Abort", acknowledge)
    running = await begun(counter)
    assert await counter.driver.abort(payment()) is AbortResult.ABORTED
    assert (await running).cause is Cause.TILL


@pytest.mark.parametrize("binding", ["held", "http", "tcp, own"])
@virtual()
async def test_an_abort_that_does_not_arrive_fails(binding: str) -> None:
    counter = await till(**BINDINGS[binding])
    counter.poi.will("Payment", poi.both(poi.wait(5), approve()))
    running = await begun(counter)
    virtual_loop().network.faults = lambda port, number: Faults(connect=Connect.REFUSE)
    with pytest.raises(PeerError):
        await counter.driver.abort(payment())
    virtual_loop().network.faults = lambda port, number: Faults()
    assert (await running).verdict is Verdict.APPROVED


@virtual()
async def test_an_abort_waits_until_its_payment_is_sent() -> None:
    counter = await till(connect_seconds=5)
    aborted = waiting_for_a_card(counter.poi)
    virtual_loop().network.faults = lambda port, number: Faults(connect_delay=2.0)
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(1)
    assert await counter.driver.abort(payment()) is AbortResult.ABORTED
    assert aborted.is_set()
    assert (await running).cause is Cause.TILL


@virtual()
async def test_what_is_not_sent_soon_after_an_abort_is_not_sent_at_all() -> None:
    counter = await till(connect_seconds=9)
    virtual_loop().network.faults = lambda port, number: Faults(connect_delay=8.0)
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(1)
    assert await counter.driver.abort(payment()) is AbortResult.ABORTED
    assert virtual_loop().time() == 5
    with pytest.raises(NotDelivered, match="called off") as proof:
        await running
    assert proof.value.proof is Proof.NEVER_SENT
    await asyncio.sleep(60)
    assert counter.poi.heard == []


@virtual()
async def test_what_ends_before_it_is_sent_ends_the_abort() -> None:
    counter = await till()
    virtual_loop().network.faults = lambda port, number: Faults(Connect.REFUSE, 2.0)
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(1)
    assert await counter.driver.abort(payment()) is AbortResult.UNKNOWN
    assert virtual_loop().time() == 2
    with pytest.raises(NotDelivered):
        await running


@virtual()
async def test_an_abort_is_of_what_was_sent_once_more() -> None:
    counter = await till()
    counter.poi.will("Payment", fail("LoggedOut", remembered=False))
    counter.poi.will("TransactionStatus", fail("LoggedOut", remembered=False))
    last = Faults(connect_delay=2.0)
    virtual_loop().network.faults = scripted({PORT: [Faults()] * 4 + [last]})
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(1)
    waiting_for_a_card(counter.poi)
    assert await counter.driver.abort(payment()) is AbortResult.ABORTED
    assert (await running).cause is Cause.TILL
    (abort,) = counter.poi.of("Abort")
    assert isinstance(abort.body, AbortRequest)
    second = counter.poi.of("Payment")[1].header.service_id
    assert abort.body.message_reference.service_id == second
    assert virtual_loop().time() == 2


@virtual()
async def test_what_was_aborted_is_not_sent_once_more() -> None:
    counter = await till()
    counter.poi.will("Payment", fail("LoggedOut", remembered=False))
    counter.poi.will("TransactionStatus", poi.both(poi.wait(3), fail("LoggedOut")))
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(1)
    assert await counter.driver.abort(payment()) is not AbortResult.UNKNOWN
    with pytest.raises(NotDelivered):
        await running
    await asyncio.sleep(60)
    assert len(counter.poi.of("Payment")) == 1


@virtual()
async def test_what_this_process_does_not_carry_cannot_be_aborted() -> None:
    counter = await till()
    assert await counter.driver.abort(payment()) is AbortResult.UNKNOWN
    assert counter.poi.heard == []


@virtual()
async def test_a_payment_that_ends_meanwhile_ends_the_abort() -> None:
    counter = await till()
    counter.poi.will("Payment", poi.both(poi.wait(0.5), poi.hang_up))
    running = await begun(counter)
    assert await counter.driver.abort(payment()) is AbortResult.ABORTED
    assert virtual_loop().time() < 1
    with pytest.raises(AnswerLost):
        await running


@virtual()
async def test_a_rejected_abort_does_not_reject_the_payment() -> None:
    counter = await till()
    counter.poi.will("Payment", poi.both(poi.wait(2), fail("Refusal")))
    counter.poi.will("Abort", poi.both(poi.event("Reject"), poi.event("Reject")))
    running = await begun(counter)
    assert await counter.driver.abort(payment()) is AbortResult.TOO_LATE
    assert (await running).verdict is Verdict.DECLINED
    assert counter.poi.of("TransactionStatus") == []
