"""The face at which terminals tell: any order, twice, late, packed, and what strangers get."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.kit.virtual_loop import virtual_loop
from tests.unit.paymentbridge.driver import cloud as there
from tests.unit.paymentbridge.driver.cloud import Cloud, Order
from tests.unit.paymentbridge.driver.counter import CALLBACKS, FACE_PORT, Counter, at_a_counter
from tillwire.core.model import State, Transaction
from tillwire.dialects.paymentbridge.driver import callbacks
from tillwire.errors import JournalError
from tillwire.net.http_client import AiohttpClient


async def taken(counter: Counter) -> tuple[Transaction, Order]:
    """An order that the terminal has got, and has not spoken of."""
    counter.cloud.terminal = there.ignores
    transaction = await counter.order()
    await asyncio.sleep(1)
    return transaction, counter.cloud.orders[-1]


Words = tuple[str, ...]


@pytest.mark.parametrize(
    "words",
    [
        *itertools.permutations(("RECEIVED", "STARTED", "final")),
        ("final",),
        ("STARTED", "final"),
        ("RECEIVED", "RECEIVED", "STARTED", "STARTED", "final", "final"),
        ("final", "final", "final"),
        ("final", "RECEIVED", "final", "STARTED", "RECEIVED"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
@at_a_counter()
async def test_callbacks_come_in_any_order_twice_and_packed(
    counter: Counter, words: Words, packed: bool
) -> None:
    transaction, order = await taken(counter)
    entry = there.pays(counter.cloud, order)
    for word in words:
        body: dict[str, Any] = {"referenceID": order.reference, "status": word}
        if word == "final":
            body = counter.cloud.payment(order, entry)
        assert await counter.cloud.tell(order, body, packed=packed) == 200
    ended = await counter.ended(transaction, 1)
    assert (ended.state, ended.approved_amount) == (State.APPROVED, 4250)
    assert not counter.discrepancies()
    assert counter.events(transaction).count("approve") == 1


@at_a_counter()
async def test_a_sign_that_comes_again_costs_no_commit(counter: Counter) -> None:
    transaction, order = await taken(counter)
    for _ in range(3):
        await counter.cloud.sign(order, "RECEIVED")
        await counter.cloud.sign(order, "STARTED")
    now = await counter.now(transaction)
    assert now.state is State.STARTED
    assert now.peer["received"] == "callback"
    assert counter.events(transaction) == ["accept", "dispatch", "sign", "sign", "start"]


@pytest.mark.parametrize("key", ["referenceId", "referenceID", "REFERENCEID"])
@at_a_counter()
async def test_the_reference_is_spelt_in_any_way(counter: Counter, key: str) -> None:
    transaction, order = await taken(counter)
    told = {key: order.reference.upper(), "status": "started"}
    assert await counter.cloud.tell(order, told) == 200
    assert (await counter.now(transaction)).state is State.STARTED


# --- what contradicts ---------------------------------------------------------------------------


@at_a_counter()
async def test_a_late_approval_of_what_was_cancelled_is_a_discrepancy(counter: Counter) -> None:
    transaction, order = await taken(counter)
    await counter.cloud.tell(order, counter.cloud.payment(order, status="CANCELED"))
    entry = there.pays(counter.cloud, order)
    assert await counter.cloud.tell(order, counter.cloud.payment(order, entry)) == 200
    assert (await counter.now(transaction)).state is State.CANCELLED
    assert len(counter.discrepancies()) == 1
    await counter.cloud.tell(order, counter.cloud.payment(order, entry))
    assert len(counter.discrepancies()) == 1, "said once"


@at_a_counter(missing_received="always")
async def test_a_late_approval_of_what_has_failed_is_a_discrepancy(counter: Counter) -> None:
    transaction, order = await taken(counter)
    assert (await counter.ended(transaction)).state is State.FAILED
    assert await counter.cloud.sign(order, "RECEIVED") == 200
    entry = there.pays(counter.cloud, order)
    assert await counter.cloud.tell(order, counter.cloud.payment(order, entry)) == 200
    assert (await counter.now(transaction)).state is State.FAILED
    assert len(counter.discrepancies()) == 1


@at_a_counter()
async def test_an_unknown_one_is_resolved_by_a_late_callback(counter: Counter) -> None:
    transaction, order = await taken(counter)
    await counter.cloud.sign(order, "RECEIVED")
    await counter.lost(transaction)
    await asyncio.sleep(7200)  # long after a person was asked for
    entry = counter.cloud.sale(order)
    await counter.cloud.tell(order, counter.cloud.payment(order, entry))
    assert (await counter.now(transaction)).state is State.APPROVED


@at_a_counter()
async def test_more_than_was_asked_for_is_not_believed(counter: Counter) -> None:
    transaction, order = await taken(counter)
    entry = counter.cloud.sale(order, processorResponse=None)
    entry["amounts"].update(transactionAmount=9999, orderAmount=9999)
    assert await counter.cloud.tell(order, counter.cloud.payment(order, entry)) == 200
    now = await counter.now(transaction)
    assert now.state is State.SENT
    assert now.peer["received"] == "callback"


# --- who is not the terminal --------------------------------------------------------------------


async def post(path: str, body: bytes = b"{}", method: str = "POST", **headers: str) -> Any:
    client = AiohttpClient()
    try:
        return await client.request(
            method, CALLBACKS + path, headers=headers, body=body, timeout=40.0
        )
    finally:
        await client.close()


def path_of(order: Order) -> str:
    found: str = order.members["callbackUrl"]
    return found.removeprefix(CALLBACKS)


FORGERIES: list[Callable[[str], str]] = [
    lambda path: "/",
    lambda path: path[:-1],
    lambda path: path + "A",
    lambda path: path + "/",
    lambda path: path[:-1] + ("A" if path[-1] != "A" else "B"),
    lambda path: path[:32] + "A" * 43,
    lambda path: "/" + str(int(path[1:32]) + 1).zfill(31) + path[32:],
    lambda path: path.upper(),
    lambda path: "/%00" + path[1:],
    lambda path: "/x" + path,
]


@pytest.mark.parametrize("forge", FORGERIES)
@at_a_counter()
async def test_any_other_address_is_nowhere(counter: Counter, forge: Callable[[str], str]) -> None:
    transaction, order = await taken(counter)
    body = json.dumps({"referenceID": order.reference, "status": "STARTED"}).encode()
    reply = await post(forge(path_of(order)), body)
    assert (reply.status, reply.body) == (404, b"")
    assert (await counter.now(transaction)).state is State.SENT


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
@at_a_counter()
async def test_an_address_is_only_posted_to(counter: Counter, method: str) -> None:
    _, order = await taken(counter)
    reply = await post(path_of(order), b"", method)
    assert (reply.status, reply.body) == (404, b"")


@at_a_counter()
async def test_the_address_of_what_was_never_sent_is_nowhere(counter: Counter) -> None:
    token = counter.driver._clouds.addresses.token("1773480000000123456789012345678")
    assert (await post("/" + token)).status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"not json",
        b"[" * 100_000,
        b'{"status": 7}',
        b'{"status": "STARTED"}',
        b'{"status": "STARTED", "referenceId": "another"}',
        b'{"status": "STARTED", "referenceId": ["x"]}',
        b'{"status": "PROCESSED", "referenceId": "another", "transactions": []}',
    ],
)
@at_a_counter()
async def test_what_is_about_nothing_or_another_payment_is_refused(
    counter: Counter, body: bytes
) -> None:
    transaction, order = await taken(counter)
    reply = await post(path_of(order), body)
    assert (reply.status, reply.body) == (400, b"")
    assert "received" not in (await counter.now(transaction)).peer


@at_a_counter()
async def test_bodies_have_a_limit_packed_and_not(counter: Counter) -> None:
    transaction, order = await taken(counter)
    path = path_of(order)
    assert (await post(path, b" " * 300_000)).status == 413
    bomb = gzip.compress(b" " * 30_000_000)
    assert len(bomb) < 131_072
    assert (await post(path, bomb, **{"content-encoding": "gzip"})).status == 400
    assert (await post(path, b"x" * 200_000, **{"content-encoding": "gzip"})).status == 413
    assert (await post(path, b"x", **{"content-encoding": "br"})).status == 400
    assert (await counter.now(transaction)).state is State.SENT


@at_a_counter()
async def test_one_address_is_heard_so_often_and_no_more(counter: Counter) -> None:
    transaction, order = await taken(counter)
    for _ in range(callbacks.MOST_OF_ONE):
        assert await counter.cloud.sign(order, "RECEIVED") == 200
    assert await counter.cloud.sign(order, "STARTED") == 429
    await asyncio.sleep(61)
    assert await counter.cloud.sign(order, "STARTED") == 200
    assert (await counter.now(transaction)).state is State.STARTED


@at_a_counter()
async def test_too_many_at_once_are_to_come_again(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    transaction, order = await taken(counter)
    monkeypatch.setattr(callbacks, "MOST_AT_ONCE", 1)
    _, writer = await asyncio.open_connection("127.0.0.1", FACE_PORT)
    head = f"POST {path_of(order)} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
    writer.write(head.encode())  # and its body never comes
    await asyncio.sleep(1)
    assert await counter.cloud.sign(order, "STARTED") == 503
    await asyncio.sleep(40)
    assert await counter.cloud.sign(order, "STARTED") == 200
    assert (await counter.now(transaction)).state is State.STARTED
    writer.close()


@at_a_counter()
async def test_what_is_not_journaled_is_not_acknowledged(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    transaction, order = await taken(counter)
    entry = there.pays(counter.cloud, order)
    journal = counter.gateway.journal

    async def full(work: Any) -> Any:
        raise JournalError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "commit", full)
        assert await counter.cloud.tell(order, counter.cloud.payment(order, entry)) == 503
        assert (await counter.now(transaction)).state is State.SENT
    assert await counter.cloud.tell(order, counter.cloud.payment(order, entry)) == 200
    assert (await counter.now(transaction)).state is State.APPROVED


@at_a_counter()
async def test_an_address_lives_as_long_as_the_key(counter: Counter) -> None:
    transaction, order = await taken(counter)
    await counter.restart()
    assert await counter.cloud.sign(order, "STARTED") == 200
    entry = there.pays(counter.cloud, order)
    assert await counter.cloud.tell(order, counter.cloud.payment(order, entry)) == 200
    assert (await counter.ended(transaction, 1)).state is State.APPROVED


@at_a_counter()
async def test_each_transaction_has_an_address_of_its_own(counter: Counter) -> None:
    for _ in range(3):
        await counter.pay()
    urls = {each.members["callbackUrl"] for each in counter.cloud.orders}
    assert len({each[-43:] for each in urls}) == 3
    (first, second, _) = counter.cloud.orders
    told = {"referenceID": first.reference, "status": "STARTED"}
    assert await counter.cloud.tell(second, told) == 400, "of another one"


@at_a_counter()
async def test_a_receiver_that_is_down_for_a_while_costs_nothing(counter: Counter) -> None:
    """All three callbacks get lost; the cloud knows."""

    async def behave(cloud: Cloud, order: Order) -> None:
        virtual_loop().network.strike(FACE_PORT)
        await there.approves(cloud, order)

    counter.cloud.terminal = behave
    ended = await counter.pay()
    assert ended.state is State.APPROVED
    assert {status for _, status in counter.cloud.heard_by_terminals} == {0}
