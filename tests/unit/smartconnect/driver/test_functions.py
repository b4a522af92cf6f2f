"""What moves no money: the terminal's status, its last transaction, a receipt, a logon."""

from __future__ import annotations

import pytest

from tests.kit import scripted
from tests.kit.scripted import Asked
from tests.unit.smartconnect.driver import cloud as there
from tests.unit.smartconnect.driver.cloud import Act, Json
from tests.unit.smartconnect.driver.counter import LANE, Counter, at_a_counter
from tillwire.core.entries import Entry
from tillwire.core.errands import (
    Ability,
    AskLast,
    Errand,
    ErrandFailed,
    Reprint,
    Show,
    Trouble,
    Update,
)
from tillwire.core.model import TransactionType, Verdict
from tillwire.dialects.smartconnect.wire.stamps import read_short
from tillwire.errors import AnswerLost
from tillwire.net.asgi import Reply

WHO = b"POSRegisterID=shop7-till2&POSBusinessName=Harbour+Books&POSVendorName=TillCo"


def shown(_: str) -> None:
    """Nobody looks."""


def says(told: Json) -> Act:
    """It is taken, and done at once, with this."""

    async def act(cloud: there.Cloud, asked: Asked) -> Reply:
        task = there.Task("2c1f7a52-9d41-4e0e-8a55-0b6c1f3f9a10", asked.form, asked.at)
        task.data = told
        return await there.answer(200, there.envelope(task))(cloud, asked)

    return act


@at_a_counter()
async def test_a_terminal_says_that_it_is_ready(counter: Counter) -> None:
    status = await counter.gateway.engine.status(LANE)
    assert (status.reachable, status.detail) == (True, "It says READY.")
    assert counter.cloud.of("POST")[0].body == (
        WHO + b"&TransactionMode=ASYNC&TransactionType=Terminal.GetStatus"
    )


@at_a_counter(poll_seconds=20)
async def test_a_status_is_there_soon_however_seldom_payments_are_polled_for(
    counter: Counter,
) -> None:
    assert (await counter.gateway.engine.status(LANE)).reachable


@pytest.mark.parametrize(
    ("act", "reachable", "words"),
    [
        (there.answer(429, {"error": "device is busy"}), True, "busy"),
        (there.answer(400, {"error": "not paired"}), False, "400 not paired"),
        (there.answer(500), False, "500"),
        (scripted.cut, False, ""),
        (scripted.silent, False, ""),
        (there.without_url(), False, "polling URL"),
        (says({"TransactionResult": "CANCELLED", "Result": "FAILED-INTERFACE"}), False, "away"),
        (says({"Result": "FAILED"}), False, "away"),
        (says({}), False, "away"),
    ],
)
@at_a_counter()
async def test_a_terminal_that_is_not_there_is_told(
    counter: Counter, act: Act, *, reachable: bool, words: str
) -> None:
    counter.cloud.posts.append(act)
    status = await counter.gateway.engine.status(LANE)
    assert status.reachable is reachable
    assert words in status.detail


@pytest.mark.parametrize(
    ("errand", "kind"),
    [(Reprint(), b"Journal.ReprintReceipt"), (Update("logon"), b"Acquirer.Logon")],
)
@at_a_counter()
async def test_errands_go_the_same_way(counter: Counter, errand: Errand, kind: bytes) -> None:
    await counter.gateway.engine.perform(LANE, errand)
    assert counter.cloud.of("POST")[0].body == (
        WHO + b"&TransactionMode=ASYNC&TransactionType=" + kind
    )
    assert counter.driver.capabilities.errands == {Ability.LAST, Ability.REPRINT, Ability.UPDATE}


@at_a_counter()
async def test_the_last_transaction_is_evidence_of_nobody_s(counter: Counter) -> None:
    counter.cloud.journal = {
        "TransactionResult": "OK-ACCEPTED", "Result": "OK", "AmountTotal": "1250",
        "ReferenceId": "2c1f7a52-9d41-4e0e-8a55-0b6c1f3f9a10", "CardPan": "....4417",
        "AuthId": "417302", "AcquirerRef": "000231", "CardType": "VISA", "Receipt": "a",
    }  # fmt: skip
    seen = await counter.driver.perform(AskLast(), shown)
    assert isinstance(seen, Entry)
    assert seen.name == "2c1f7a52-9d41-4e0e-8a55-0b6c1f3f9a10"
    assert (seen.outcome.verdict, seen.outcome.approved_amount) == (Verdict.APPROVED, 1250)
    assert (seen.outcome.card_last4, seen.outcome.authorisation_code) == ("4417", "417302")
    assert "which register" in seen.outcome.reason
    assert not seen.transaction_id
    assert (seen.at, seen.type, seen.words) == (None, None, "OK-ACCEPTED")
    counter.cloud.journal |= {"Function": "card.refund", "Timestamp": "20260314151602"}
    seen = await counter.driver.perform(AskLast(), shown)
    assert isinstance(seen, Entry)
    assert seen.type is TransactionType.REFUND
    assert seen.words == "OK-ACCEPTED at 20260314151602 by its own clock"


@at_a_counter()
async def test_the_last_transaction_is_ours_by_the_cloud_s_id(counter: Counter) -> None:
    earlier, paid = await counter.pay(), await counter.pay()
    told = {
        "TransactionResult": "OK-ACCEPTED", "Result": "OK", "AmountTotal": "1250",
        "Timestamp": "20260314151602",
    }  # fmt: skip
    for one in (paid, earlier):
        name = one.peer["transaction_id"]
        counter.cloud.journal = {**told, "ReferenceId": name.upper()}
        known = await counter.gateway.engine.last_transaction(LANE)
        assert known.entry is not None
        assert known.known == one
        assert known.entry.agrees_with(one) is True
        assert known.entry.currency == one.amount.currency
        assert known.entry.at == read_short("20260314151602", one.heading.time_zone)
        assert known.entry.outcome is not None
        assert not known.entry.outcome.reason
    counter.cloud.journal = told
    known = await counter.gateway.engine.last_transaction(LANE)
    assert known.entry is not None
    assert known.known is None


@pytest.mark.parametrize(
    ("told", "verdict", "amount"),
    [
        ({"TransactionResult": "OK-DECLINED", "Result": "OK", "AmountTotal": "5"},
         Verdict.DECLINED, 0),
        ({"TransactionResult": "OK-ACCEPTED", "Result": "OK", "AmountTotal": "x"},
         Verdict.APPROVED, 0),
        ({"TransactionResult": "OK-ACCEPTED", "Result": "OK", "AmountTotal": "9" * 4000},
         Verdict.APPROVED, 0),
        ({}, None, 0),
    ],
)  # fmt: skip
@at_a_counter()
async def test_what_the_journal_does_not_say_is_not_made_up(
    counter: Counter, told: Json, verdict: Verdict | None, amount: int
) -> None:
    counter.cloud.journal = told
    seen = await counter.driver.perform(AskLast(), shown)
    assert seen is None if verdict is None else isinstance(seen, Entry)
    if isinstance(seen, Entry):
        assert (seen.outcome.verdict, seen.outcome.approved_amount) == (verdict, amount)


@pytest.mark.parametrize(
    "told",
    [
        {"TransactionResult": "OK-ACCEPTED", "Result": "FAILED"},
        {"TransactionResult": "FAILED", "Result": "OK"},
        {"TransactionResult": "OK-HELD", "Result": "OK", "ReferenceId": "2c1f7a52"},
        {"Result": "FAILED", "ReferenceId": "2c1f7a52"},
    ],
)
@at_a_counter()
async def test_a_last_transaction_of_which_nobody_can_tell_is_not_none(
    counter: Counter, told: Json
) -> None:
    counter.cloud.journal = told
    seen = await counter.driver.perform(AskLast(), shown)
    assert isinstance(seen, Entry)
    assert (seen.verdict, seen.amount, seen.name) == ("UNKNOWN", None, told.get("ReferenceId", ""))
    assert all(each in seen.words for each in (told.get("TransactionResult", ""), told["Result"]))


@pytest.mark.parametrize(
    ("act", "trouble"),
    [
        (there.answer(429, {"error": "device is busy"}), Trouble.BUSY),
        (there.answer(400, {"error": "not paired"}), Trouble.REFUSED),
        (says({"TransactionResult": "CANCELLED", "Result": "FAILED-INTERFACE"}),
         Trouble.UNREACHABLE),
        (says({"TransactionResult": "OK-DECLINED", "Result": "OK"}), Trouble.REFUSED),
        (says({}), Trouble.REFUSED),
    ],
)  # fmt: skip
@at_a_counter()
async def test_an_errand_that_is_not_run_says_why(
    counter: Counter, act: Act, trouble: Trouble
) -> None:
    counter.cloud.posts.append(act)
    with pytest.raises(ErrandFailed) as raised:
        await counter.driver.perform(Reprint(), shown)
    assert raised.value.trouble is trouble


@at_a_counter()
async def test_an_errand_that_never_ends_is_given_up(counter: Counter) -> None:
    counter.cloud.polls.extend([there.answer(500)] * 100)
    with pytest.raises(AnswerLost):
        await counter.driver.perform(Reprint(), shown)


@at_a_counter()
async def test_the_protocol_has_no_way_for_other_errands(counter: Counter) -> None:
    with pytest.raises(ErrandFailed):
        await counter.driver.perform(Show("hello"), shown)
    assert counter.cloud.heard == []
