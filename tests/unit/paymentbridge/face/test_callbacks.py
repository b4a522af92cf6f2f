"""A caller hears RECEIVED, STARTED and the whole Payment, each in the commit of its fact, whatever
happens to the gateway or to the network in between."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.kit.cloud import Json
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine, memory_disk
from tests.kit.runner import virtual
from tests.kit.serving import serve_app
from tests.unit.paymentbridge.face.cloud import (
    PORT,
    RECEIVER,
    Cloud,
    CloudApplication,
    Receiver,
    cloud,
    furnish,
    living,
    receiving,
)
from tillwire.core.letters import LetterState
from tillwire.core.model import State

_ALL: Final = ["RECEIVED", "STARTED", "PROCESSED"]


@virtual()
async def test_a_sale_is_told_in_three_callbacks(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = await there.application()
        order = application.order(amount=1234, tipAmount=100, orderId="o-1", notes="table 4")
        answer = await application.send(order)
        assert (answer.status, answer.body) == (202, b"")
        received, started, final = await there.receiver.until(3, order["referenceId"])
        assert received == {"referenceID": order["referenceId"], "status": "RECEIVED"}
        assert started == {"referenceID": order["referenceId"], "status": "STARTED"}
        assert final["referenceId"] == order["referenceId"]
        assert (final["status"], final["action"]) == ("PROCESSED", "SALE")
        assert (final["amount"], final["tipAmount"], final["currency"]) == (1234, 100, "EUR")
        assert (final["orderId"], final["notes"]) == ("o-1", "table 4")
        assert final["callerPackageName"] == "co.poynt.services"
        (made,) = final["transactions"]
        assert (made["action"], made["status"], made["authOnly"]) == ("SALE", "CAPTURED", False)
        assert made["amounts"] == {
            "transactionAmount": 1334,
            "orderAmount": 1234,
            "tipAmount": 100,
            "cashbackAmount": 0,
            "currency": "EUR",
        }
        assert made["references"] == [
            {"type": "CUSTOM", "customType": "referenceId", "id": order["referenceId"]}
        ]
        assert made["processorResponse"]["status"] == "Successful"
        assert len(made["fundingSource"]["card"]["numberLast4"]) == 4
        assert await there.charged() == [1334]
        # The list says the same, word for word.
        assert await application.listed() == [made]


@virtual()
async def test_a_callback_is_plain_json_with_the_callers_own_headers(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = await there.application()
        for header in ({"X-Auth": "abc"}, "X-Auth: abc"):
            order = application.order(**{"custom-http-header": header})
            await application.send(order)
            await there.receiver.final(order["referenceId"])
        for callback in there.receiver.heard:
            assert callback.headers["x-auth"] == "abc"
            assert callback.headers["content-type"] == "application/json"
            assert "content-encoding" not in callback.headers


@pytest.mark.parametrize(
    ("style", "keys"),
    [
        ("nexi", {"referenceID"}),
        ("poynt", {"referenceId"}),
        ("both", {"referenceID", "referenceId"}),
    ],
)
def test_the_references_key_is_spelled_as_set(tmp_path: Path, style: str, keys: set[str]) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path, reference_key_style=style) as there:
            application = await there.application()
            order = application.order()
            await application.send(order)
            received, started, final = await there.receiver.until(3, order["referenceId"])
            assert set(received) == set(started) == keys | {"status"}
            assert final["referenceId"] == order["referenceId"]

    play()


@virtual()
async def test_callbacks_may_be_compressed(tmp_path: Path) -> None:
    async with cloud(tmp_path, gzip=True) as there:
        application = await there.application()
        order = application.order()
        await application.send(order)
        await there.receiver.until(3, order["referenceId"])
        assert {each.headers["content-encoding"] for each in there.receiver.heard} == {"gzip"}


@virtual()
async def test_what_is_not_answered_with_200_comes_again_after_5_and_10_seconds(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        application = await there.application()
        there.receiver.statuses = [500, 202]
        order = application.order()
        await application.send(order)
        # The first tries keep their order; a later one waits for nobody.
        await there.receiver.until(5, order["referenceId"])
        tries = [each.at for each in there.receiver.heard if b"RECEIVED" in each.octets]
        again = [each.at for each in there.receiver.heard if b"STARTED" in each.octets]
        assert len(tries) == len(again) == 2
        assert tries[1] - tries[0] == pytest.approx(5, abs=0.5)
        assert again[1] - again[0] == pytest.approx(5, abs=0.5)


@virtual()
async def test_after_three_tries_a_callback_is_given_up_and_the_list_knows(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = await there.application()
        there.receiver.statuses = [503] * 9
        order = application.order()
        await application.send(order)
        await there.receiver.until(9, order["referenceId"])
        await asyncio.sleep(60)
        assert len(there.receiver.heard) == 9
        final = [each.at for each in there.receiver.heard if b"PROCESSED" in each.octets]
        assert final[1] - final[0] == pytest.approx(5, abs=0.5)
        assert final[2] - final[1] == pytest.approx(10, abs=0.5)
        (known,) = there.transactions()
        assert {each.state for each in await there.letters(known.id)} == {LetterState.GIVEN_UP}
        (listed,) = await application.listed(f"?searchKey={order['referenceId']}")
        assert listed["status"] == "CAPTURED"


@virtual()
async def test_letters_are_committed_with_what_they_tell(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = await there.application()
        order = application.order(amount=1249)
        await application.send(order)
        await there.receiver.until(2, order["referenceId"])
        (known,) = there.transactions()
        assert known.state is State.STARTED
        assert [each.kind for each in await there.letters(known.id)] == ["RECEIVED", "STARTED"]
        await there.receiver.final(order["referenceId"])
        assert [each.kind for each in await there.letters(known.id)] == [
            "RECEIVED",
            "STARTED",
            "FINAL",
        ]
        sealed = {each.sealed for each in await there.letters(known.id)}
        assert not any(there.receiver.url in each for each in sealed)


@virtual()
async def test_one_callers_dead_address_delays_nobody_else(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = await there.application()
        dead = application.order(callbackUrl="http://127.0.0.2:9/cb")
        await application.send(dead)
        begun = asyncio.get_running_loop().time()
        await application.pay(1000)
        assert asyncio.get_running_loop().time() - begun < 3


# --- mischief -----------------------------------------------------------------------------------

_MISCHIEF: dict[str, tuple[Json, list[str]]] = {
    "RECEIVED is dropped": ({"drop": ["received"]}, ["STARTED", "PROCESSED"]),
    "STARTED is dropped": ({"drop": ["started"]}, ["RECEIVED", "PROCESSED"]),
    "the last one is dropped": ({"drop": ["final"]}, ["RECEIVED", "STARTED"]),
    "the last one comes twice": ({"final_twice": True}, [*_ALL, "PROCESSED"]),
    "the order is reversed": ({"reversed_order": True}, _ALL[::-1]),
    "all are late": ({"delay": 20.0}, _ALL),
}


@pytest.mark.parametrize("how", _MISCHIEF)
def test_callbacks_can_be_made_to_misbehave(tmp_path: Path, how: str) -> None:
    mischief, words = _MISCHIEF[how]

    @virtual()
    async def play() -> None:
        async with cloud(tmp_path, mischief=mischief) as there:
            application = await there.application()
            order = application.order()
            begun = asyncio.get_running_loop().time()
            await application.send(order)
            await there.receiver.until(len(words), order["referenceId"])
            first = there.receiver.heard[0].at - begun
            assert first == pytest.approx(mischief.get("delay", 0), abs=1)
            await asyncio.sleep(60)
            assert there.receiver.words(order["referenceId"]) == words
            (listed,) = await application.listed()
            assert listed["status"] == "CAPTURED"

    play()


# --- restarts and kills -------------------------------------------------------------------------


@virtual()
async def test_a_message_that_waited_is_done_after_a_restart(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with living(tmp_path, receiver) as there:
            application = await there.application()
            slow, waiting = application.order(amount=1249), application.order(amount=1000)
            await application.send(slow)
            await application.send(waiting, ttl=300)
            await receiver.until(2, slow["referenceId"])
        assert receiver.words(waiting["referenceId"]) == []
        async with living(tmp_path, receiver) as there:
            await receiver.final(slow["referenceId"])
            await receiver.final(waiting["referenceId"])
            application = await there.application()
            assert (await application.send(waiting)).status == 202
            await asyncio.sleep(60)
            assert sorted(await there.charged()) == [1000, 1249]
            assert receiver.words(waiting["referenceId"]) == _ALL
            # What was sent when the gateway stopped may come twice.
            assert set(receiver.words(slow["referenceId"])) == set(_ALL)


@virtual()
async def test_what_was_written_and_not_sent_is_sent_after_a_restart(tmp_path: Path) -> None:
    receiver = Receiver(url=f"http://127.0.0.1:{RECEIVER}/told")
    async with living(tmp_path, receiver) as there:
        application = await there.application()
        order = application.order()
        await application.send(order)
        (known,) = there.transactions()
        await there.gateway.engine.wait(known.id, lambda each: each.is_final, 60)
    served = await serve_app(receiver, port=RECEIVER)
    async with living(tmp_path, receiver):
        await receiver.until(3, order["referenceId"])
    await served.close()
    assert sorted(receiver.words(order["referenceId"])) == sorted(_ALL)


@virtual()
async def test_the_writing_of_a_callback_is_that_of_its_acceptance(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with living(tmp_path, receiver, reference_key_style="poynt") as there:
            application = await there.application()
            slow = application.order(amount=1249)
            await application.send(slow)
            waiting = application.order(amount=1000)
            await application.send(waiting, ttl=300)
            await receiver.until(1, slow["referenceId"])
        async with living(tmp_path, receiver, reference_key_style="nexi", gzip=True):
            await receiver.final(waiting["referenceId"])
        assert "referenceId" in receiver.of(waiting["referenceId"])[0]


class Heard:
    """What the application had learned when the process died."""

    def __init__(self) -> None:
        self.accepted = False
        self.receiver = Receiver(url=f"http://127.0.0.1:{RECEIVER}/told")


_REFERENCE: Final = "94bf4cb9-e1b7-4565-849c-3c5e341635b3"


def test_killed_at_any_moment_an_accepted_order_is_done_once_and_told(tmp_path: Path) -> None:
    faces = {"paymentbridge": PORT}
    heard = Heard()

    async def pay(gateway: GatewayUnderTest) -> None:
        await gateway.engine.change_estate(furnish)
        there = Cloud(gateway, heard.receiver)
        application = await CloudApplication(there).sign_in()
        served = await serve_app(heard.receiver, port=RECEIVER)
        order = application.order(amount=1000, referenceId=_REFERENCE)
        heard.accepted = (await application.send(order)).status == 202
        await heard.receiver.until(3, _REFERENCE)
        await served.close()

    async def go_on(gateway: GatewayUnderTest) -> tuple[list[str], list[int], int]:
        receiver = Receiver(url=heard.receiver.url)
        served = await serve_app(receiver, port=RECEIVER)
        await asyncio.sleep(120)
        await served.close()
        charged = list((await gateway.charges()).values())
        return receiver.words(_REFERENCE), charged, len(gateway.transactions())

    with memory_disk() as disk:
        machine = Machine(Path(disk) / "first", faces=faces)
        moments = machine.moments(
            pay, lambda: (heard.accepted, tuple(heard.receiver.words(_REFERENCE)))
        )
        accepted = [moment for moment in moments if moment.known[0]]
        assert len(accepted) > 5
        charges: list[list[int]] = []
        for number, moment in enumerate(moments):
            after = Machine.after(moment, Path(disk) / f"after-{number}", faces=faces)
            life = after.live(go_on)
            assert life.result is not None
            words, charged, count = life.result
            said, told = moment.known
            assert count == 1 or (count == 0 and not said)
            # Either it is done once and told as a whole, at least once; or it never reached its
            # terminal, which is met with silence, as when a ttl has passed.
            assert (charged, set(told) | set(words)) in (([1000], set(_ALL)), ([], set()))
            charges.append(charged)
        assert [1000] in charges
        assert [] in charges


@virtual()
async def test_no_card_number_leaves_or_stays(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = await there.application()
        card = "4111111111111111"
        order = application.order(notes=f"card {card}", orderId=card)
        await application.send(order)
        await there.receiver.final(order["referenceId"])
        assert card not in json.dumps([each.json for each in there.receiver.heard])
        (known,) = there.transactions()
        assert card not in msgspec.json.encode(known).decode()
