"""What is lost, late, forged or unclear: UNKNOWN until the backend says something definite."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.softpos.driver import backend as there
from tests.unit.softpos.driver.backend import CHECK, TID
from tests.unit.softpos.driver.counter import LANE, RETURNS, Counter, at_a_counter
from tillwire.core.model import Evidence, State, Transaction
from tillwire.dialects.softpos.driver import phone
from tillwire.dialects.softpos.driver.inquiries import PURPOSE
from tillwire.dialects.softpos.driver.pace import next_after
from tillwire.dialects.softpos.wire.links import Operation
from tillwire.errors import Proof
from tillwire.net.secret_paths import SecretPaths

HOUR = 3_600
DAY = 24 * HOUR


async def lost(counter: Counter) -> tuple[Transaction, str]:
    """A payment that nobody has opened."""
    order = await counter.order()
    link = await counter.shown(order)
    return await counter.lost(order), link


# --- nothing comes ----------------------------------------------------------------------------


def test_the_backend_is_asked_soon_and_then_every_five_minutes() -> None:
    ages = [0.0]
    while len(ages) < 8:
        ages.append(next_after(ages[-1]))
    assert ages[1:] == [5, 15, 30, 60, 120, 420, 720]


@at_a_counter(horizon_seconds=HOUR)
async def test_a_payment_that_nobody_opens_is_absent_after_the_horizon(counter: Counter) -> None:
    order, _ = await lost(counter)
    await asyncio.sleep(HOUR - 300)
    assert (await counter.now(order)).state is State.UNKNOWN, "404 is no proof"
    ended = await counter.ended(order, 1_000)
    assert (ended.state, ended.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)
    assert len(counter.backend.of(CHECK)) < 300, "once in five minutes"


@at_a_counter(horizon_seconds=0)
async def test_without_a_horizon_a_person_decides(counter: Counter) -> None:
    order, _ = await lost(counter)
    await asyncio.sleep(DAY + 1_000)
    assert (await counter.now(order)).state is State.UNKNOWN
    assert counter.told(order)


@at_a_counter()
async def test_a_payment_that_is_opened_late_is_found(counter: Counter) -> None:
    order, link = await lost(counter)
    await asyncio.sleep(3_600)
    counter.backend.pay(link)
    found = await counter.ended(order, 400)
    assert (found.state, found.approved_amount) == (State.APPROVED, 1250)
    assert found.outcome is not None
    assert found.outcome.evidence is Evidence.RECOVERED


@at_a_counter()
async def test_a_phone_that_comes_back_late_is_confirmed_at_once(counter: Counter) -> None:
    order, link = await lost(counter)
    await asyncio.sleep(3_600)
    asked = len(counter.backend.of(CHECK))
    assert (await counter.come_back(link, counter.backend.pay(link))).status == 200
    assert (await counter.now(order)).state is State.APPROVED
    assert len(counter.backend.of(CHECK)) == asked + 1


@at_a_counter()
async def test_a_restart_loses_nothing(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    await counter.restart()
    assert (await counter.now(order)).state is State.UNKNOWN
    counter.backend.pay(link)
    assert (await counter.ended(order, 60)).state is State.APPROVED


@at_a_counter()
async def test_what_had_no_link_yet_was_not_sent(counter: Counter) -> None:
    counter.backend.tokens.append(there.hangs)
    order = await counter.order()
    await asyncio.sleep(1)
    await counter.restart()
    ended = await counter.ended(order, 60)
    assert (ended.state, ended.proof) == (State.FAILED, Proof.NEVER_SENT)


@at_a_counter(horizon_seconds=HOUR)
async def test_a_payment_after_the_horizon_is_a_discrepancy(counter: Counter) -> None:
    order, link = await lost(counter)
    assert (await counter.ended(order, HOUR + 1_000)).state is State.FAILED
    await counter.come_back(link, counter.backend.pay(link))
    assert (await counter.now(order)).state is State.FAILED
    assert len(counter.discrepancies()) == 1


@at_a_counter()
async def test_a_backend_that_fails_proves_nothing(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    counter.backend.pay(link)
    counter.backend.checks.extend([there.answers(400, b'{"statusCode":"400"}')] * 3)
    assert (await counter.ended(order, 100)).state is State.APPROVED


@pytest.mark.parametrize("body", [b"", b"<html>Not Found</html>", b'{"message":"Not Found"}'])
@at_a_counter(horizon_seconds=HOUR)
async def test_only_the_backend_s_own_404_says_that_it_does_not_know_it(
    counter: Counter, body: bytes
) -> None:
    order = await counter.order()
    await counter.shown(order)
    counter.backend.checks.extend([there.answers(404, body)] * 1_000)
    await asyncio.sleep(HOUR + 1_000)
    assert (await counter.now(order)).state is State.UNKNOWN, "a proxy's, or another service's"
    counter.backend.checks.clear()
    assert (await counter.ended(order, 400)).state is State.FAILED


# --- what cannot be believed ------------------------------------------------------------------


@at_a_counter(horizon_seconds=HOUR)
async def test_a_forged_return_does_not_approve(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    forged = {
        "callerTrxId": order.id,
        "operationType": "PAYMENT",
        "result": "0",
        "amount": "1250",
        "authorizationNumber": "123456",
    }
    assert (await counter.come_back(link, forged)).status == 200
    now = await counter.lost(order)
    assert '"result":0' in now.peer[phone.RETURNED].replace(" ", "")
    await asyncio.sleep(HOUR + 1_000)
    now = await counter.now(order)
    assert now.state is State.UNKNOWN, "somebody says that it was paid: no proof that it was not"
    assert counter.told(order)
    assert "tells of a payment" in counter.words(order)[-1]


@at_a_counter(horizon_seconds=HOUR)
async def test_what_the_phone_said_is_told_and_proves_nothing(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    told = {"callerTrxId": order.id, "operationType": "PAYMENT", "result": "-16", "amount": "1250"}
    await counter.come_back(link, told)
    await counter.lost(order)
    await asyncio.sleep(60)
    assert 'The phone came back with "NFC is off".' in counter.words(order)[-1]
    await asyncio.sleep(HOUR - 300)
    assert (await counter.now(order)).state is State.UNKNOWN
    assert (await counter.ended(order, 600)).state is State.FAILED


@at_a_counter()
async def test_a_forged_refusal_does_not_hide_a_payment(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    counter.backend.pay(link)
    forged = {"callerTrxId": order.id, "operationType": "PAYMENT", "result": "21", "amount": "1250"}
    await counter.come_back(link, forged)
    assert (await counter.ended(order, 20)).state is State.APPROVED


@at_a_counter()
async def test_a_forged_return_for_what_has_ended_changes_nothing(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    await counter.come_back(link, counter.backend.pay(link, status="DECLINED"))
    assert (await counter.ended(order, 20)).state is State.DECLINED
    forged = {"callerTrxId": order.id, "operationType": "PAYMENT", "result": "0", "amount": "1250"}
    assert (await counter.come_back(link, forged)).status == 200
    assert (await counter.now(order)).state is State.DECLINED
    assert not counter.discrepancies(), "nobody can open one with a link"


@pytest.mark.parametrize(
    "changes",
    [
        {"callerTrxId": "1" * 31},
        {"operationType": "REVERSAL"},
        {"operationType": "LAST_TRANSACTION"},
        {"amount": "1251"},
        {"result": ""},
    ],
)
@at_a_counter()
async def test_a_return_about_something_else(counter: Counter, changes: dict[str, str]) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    assert (await counter.come_back(link, {**counter.backend.pay(link), **changes})).status == 400
    assert phone.RETURNED not in (await counter.now(order)).peer


@at_a_counter()
async def test_strangers_learn_nothing(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    fields = counter.backend.pay(link)
    uri = counter.gateway.backends.paths.token(order.id)
    query = "?" + "&".join(f"{key}={value}" for key, value in fields.items())
    for path in ("", "/", f"/{order.id}", f"/{uri[:-1]}B", f"/inquiries/{uri}", f"/{uri}/x"):
        assert (await counter.open(RETURNS + path + query)).status == 404
    assert (await counter.open(f"{RETURNS}/{uri}{query}", "POST")).status == 404


@at_a_counter()
async def test_one_address_does_not_fill_the_journal(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    fields = {"callerTrxId": order.id, "operationType": "PAYMENT", "amount": "1250"}
    statuses = [
        (await counter.come_back(link, {**fields, "result": str(number)})).status
        for number in range(15)
    ]
    assert statuses == [200] * 10 + [429] * 5
    await asyncio.sleep(61)
    assert (await counter.come_back(link, {**fields, "result": "20"})).status == 200


# --- what says nothing definite -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "SETTLED"}, "UNMAPPED"),
        ({"status": None}, "UNMAPPED"),
        ({"esito": "DECLINED"}, "unclear"),
        ({"status": "PENDING"}, "PENDING"),
        ({"status": "ERROR"}, "ERROR"),
        ({"status": "REVERSED"}, "is reversed"),
        ({"amount": 1251}, "1251"),
        ({"amount": None}, "no amount"),
        ({"amount": 12.5}, "unclear: amount"),
        ({"importo": 1251}, "unclear: amount"),
        ({"actionCode": "000", "f39": "051"}, "unclear: action_code"),
        ({"currency": "USD"}, "USD"),
        ({"terminalId": "30001235"}, "another terminal"),
        ({"callerTrxId": "somebody-else"}, "another transaction"),
        ({"operationType": "REVERSAL"}, "REVERSAL"),
        ({"resultCode": 21}, "result 21"),
        ({"actionCode": "051"}, "051"),
        ({"status": "DECLINED", "resultCode": 0}, "codes of an approval"),
        ({"status": "CANCELLED", "actionCode": "000"}, "codes of an approval"),
        ({"status": "DECLINED", "f39": "00"}, "codes of an approval"),
        ({"status": "CANCELLED", "resultCode": "00"}, "codes of an approval"),
    ],
)
@at_a_counter()
async def test_an_answer_that_is_not_definite(
    counter: Counter, changes: dict[str, Any], words: str
) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    counter.backend.pay(link, pan="4111111111111111", **{"status": "APPROVED", **changes})
    now = await counter.lost(order)
    await asyncio.sleep(600)
    now = await counter.now(order)
    assert now.state is State.UNKNOWN
    assert words in counter.words(order)[-1]
    assert "VISA" in now.peer[phone.ANSWER], "as it came"
    assert "4111111111111111" not in now.peer[phone.ANSWER], "but for the card number"


@at_a_counter()
async def test_an_answer_that_becomes_definite(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    counter.backend.pay(link, status="PENDING")
    await counter.lost(order)
    counter.backend.known[TID, order.id]["status"] = "APPROVED"
    assert (await counter.ended(order, 400)).state is State.APPROVED


# --- two TIDs on a phone ------------------------------------------------------------------------


@at_a_counter(other_tid="30009999")
async def test_a_payment_on_the_other_tid_is_found(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    await counter.come_back(link, counter.backend.pay(link, tid="30009999"))
    paid = await counter.ended(order, 20)
    assert paid.outcome is not None
    assert paid.outcome.handle["terminal_id"] == "30009999"


@at_a_counter(horizon_seconds=HOUR)
async def test_a_payment_on_a_tid_that_is_not_ours_is_for_a_person(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    fields = counter.backend.pay(link, tid="30009999")
    await counter.come_back(link, {**fields, "result": "22", "terminalId": "30009999"})
    await counter.lost(order)
    await asyncio.sleep(HOUR + 1_000)
    assert (await counter.now(order)).state is State.UNKNOWN
    assert "30009999" in counter.words(order)[-1]
    assert (await counter.now(order)).terminal_id == LANE


@at_a_counter(other_tid="30009999")
async def test_a_payment_that_both_tids_know_is_for_a_person(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    counter.backend.pay(link)
    counter.backend.pay(link, tid="30009999")
    await counter.lost(order)
    await asyncio.sleep(600)
    assert (await counter.now(order)).state is State.UNKNOWN
    assert counter.told(order)
    assert "APPROVED on 30001234, APPROVED on 30009999" in counter.words(order)[-1]


# --- inquiries ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"result": "-41"}, 200),
        ({"operationType": "PAYMENT"}, 400),
        ({"callerTrxId": "2" * 31}, 400),
        ({"f30": "000000001251"}, 400),
    ],
)
@at_a_counter()
async def test_an_inquiry_is_answered_and_changes_nothing(
    counter: Counter, changes: dict[str, str], status: int
) -> None:
    paid = await counter.paid(1250)
    name = "1" * 31
    paths = SecretPaths(counter.gateway.vault, PURPOSE)
    link = phone.inquiry(Operation.LAST_TRANSACTION, TID, counter.driver.settings, paths, name)
    fields = {
        "callerTrxId": name,
        "operationType": "LAST_TRANSACTION",
        "result": "0",
        "amount": "000000001250",
        "f30": "000000001250",
        "f41": TID,
    }
    assert (await counter.come_back(link, {**fields, **changes})).status == status
    assert await counter.now(paid) == paid
    assert (await counter.open(f"{RETURNS}/{paths.token(name)}?x=1")).status == 404
