"""Which transaction Check Transaction tells, and how."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.core.scripted import DECLINED, approved
from tests.unit.receipt_fixture import AT, sale
from tests.unit.softpos.face.shop import TIDS, Backend, Shop
from tillwire.clock import Instant
from tillwire.core.estate_model import Lifecycle
from tillwire.core.model import (
    Outcome,
    State,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.dialects.softpos.face.settings import Settings
from tillwire.dialects.softpos.face.shown import meant, shown, status_of
from tillwire.dialects.softpos.wire import reading
from tillwire.dialects.softpos.wire.check import Status
from tillwire.dialects.softpos.wire.errors import is_standard
from tillwire.errors import AnswerLost, NotDelivered, Proof

PLAIN = Settings()


def changed(known: Transaction, **fields: object) -> Transaction:
    return msgspec.structs.replace(known, **fields)


def test_an_approved_sale_is_told_whole() -> None:
    told = Settings(merchant_id="000000012345678", acquirer_id="00000000067", acquirer_name="NEXI")
    ended = changed(sale(), ended_at=Instant(AT + 1500))
    assert msgspec.json.decode(reading.encode(shown(ended, "30350004", told))) == {
        "terminalId": "30350004",
        "callerTrxId": "sale-1",
        "merchantId": "000000012345678",
        "transactionId": "998877",
        "operationType": "PAYMENT",
        "status": "APPROVED",
        "resultCode": 0,
        "actionCode": "000",
        "amount": 1250,
        "currency": "EUR",
        "cardType": "V_PAY",
        "pan": "************2283",
        "transactionType": "CLI",
        "acquirerId": "00000000067",
        "acquirerName": "NEXI",
        "authorizationNumber": "012345",
        "stan": "000042",
        "transactionTimestamp": "2025-11-21T13:05:09.000Z",
        "updateTimestamp": "2025-11-21T13:05:10.500Z",
    }


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.ACCEPTED, Status.PENDING),
        (State.SENT, Status.PENDING),
        (State.STARTED, Status.PENDING),
        (State.UNKNOWN, Status.PENDING),
        (State.APPROVED, Status.APPROVED),
        (State.DECLINED, Status.DECLINED),
        (State.CANCELLED, Status.CANCELLED),
        (State.FAILED, Status.ERROR),
    ],
)
def test_each_state_has_its_status(state: State, status: Status) -> None:
    assert status_of(sale(None, state=state)) is status


def test_what_is_open_has_no_result() -> None:
    told = shown(sale(None, state=State.UNKNOWN), "30350004", PLAIN)
    assert (told.status, told.result_code, told.action_code) == (Status.PENDING, None, None)
    assert (told.amount, told.pan, told.stan) == (1250, None, None)


def test_a_decline_has_its_code_in_three_digits() -> None:
    declined = sale(Outcome(Verdict.DECLINED, response_code="51"), state=State.DECLINED)
    told = shown(declined, "30350004", PLAIN)
    assert (told.result_code, told.action_code, told.amount) == (21, "051", 1250)


def test_a_reversed_sale_is_reversed_since_then() -> None:
    told = shown(changed(sale(), reversed_at=Instant(AT + 60_000)), "30350004", PLAIN)
    assert (told.status, told.update_timestamp) == (Status.REVERSED, "2025-11-21T13:06:09.000Z")


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (TransactionType.PURCHASE, "PAYMENT"),
        (TransactionType.REVERSAL, "REVERSAL"),
        (TransactionType.REFUND, "REFUND"),
        (TransactionType.PREAUTH, "PREAUTH"),
    ],
)
def test_each_type_has_its_word(kind: TransactionType, word: str) -> None:
    assert shown(changed(sale(), type=kind), "30350004", PLAIN).operation_type == word


def test_the_newest_is_meant_and_one_that_never_got_there_only_alone() -> None:
    first, second = changed(sale(), id="1"), changed(sale(), id="2")
    never = changed(sale(None, state=State.FAILED), id="3", proof=Proof.NEVER_SENT)
    assert meant([second, first]) == second
    assert meant([never, second, first]) == second
    assert meant([never]) == never
    assert meant([]) is None


@pytest.mark.parametrize("state", [State.DECLINED, State.CANCELLED])
@pytest.mark.parametrize("before", [State.APPROVED, State.UNKNOWN])
def test_what_was_or_may_have_been_paid_is_hidden_by_no_later_refusal(
    state: State, before: State
) -> None:
    first = changed(sale(None, state=before), id="1")
    later = changed(sale(None, state=state), id="2")
    assert meant([later, first]) == first


def test_what_was_taken_back_hides_nothing_that_stands() -> None:
    first = changed(sale(), id="1")
    twice = changed(sale(), id="2", reversed_at=AT)
    reversal = changed(sale(), id="3", type=TransactionType.REVERSAL, original_id="2")
    refused = changed(sale(None, state=State.DECLINED), id="0")
    assert meant([reversal, twice, first]) == first
    assert meant([reversal, twice, refused]) == twice
    assert meant([changed(reversal, state=State.DECLINED, original_id="1"), first]) == first


@pytest.mark.parametrize(
    "later",
    [
        changed(sale(None, state=State.DECLINED), id="2"),
        changed(sale(None, state=State.FAILED), id="2", proof=Proof.NEVER_SENT),
    ],
)
def test_a_reference_that_comes_again_the_next_day_is_another_sale(later: Transaction) -> None:
    def at(hours: float) -> Transaction:
        return changed(later, created_at=Instant(first.created_at + round(hours * 3_600_000)))

    first = changed(sale(), id="1")
    assert meant([at(12), first]) == first
    assert meant([at(12.1), first]) == at(12.1)
    of_it = changed(at(30), type=TransactionType.REVERSAL, original_id="1")
    assert meant([of_it, first]) == first, "whenever it is taken back"


def test_a_reversal_shows_at_its_original() -> None:
    original = changed(sale(), id="1", reversed_at=AT)
    reversal = changed(sale(), id="2", type=TransactionType.REVERSAL, original_id="1")
    assert meant([reversal, original]) == original
    assert meant([reversal]) == reversal


async def test_the_newest_under_a_reference_is_told(shop: Shop, backend: Backend) -> None:
    await shop.sell(DECLINED)
    await shop.sell(approved(900), minor=900)
    body = (await backend.check()).json()
    assert (body["status"], body["amount"]) == ("APPROVED", 900)


async def test_a_lost_answer_is_pending(shop: Shop, backend: Backend) -> None:
    sold = await shop.sell(AnswerLost("cut"))
    await shop.engine.wait(sold.id, lambda known: known.state is State.UNKNOWN, 5)
    assert (await backend.check()).json()["status"] == "PENDING"


async def test_a_sale_that_never_left_hides_none_that_did(shop: Shop, backend: Backend) -> None:
    await shop.sell(approved())
    sold = await shop.sell(NotDelivered("no route", Proof.CONNECT_REFUSED))
    await shop.engine.wait(sold.id, lambda known: known.is_final, 5)
    assert (await backend.check()).json()["status"] == "APPROVED"


async def test_another_terminal_s_sale_is_not_there(shop: Shop, backend: Backend) -> None:
    await shop.sell(approved(), terminal="t2")
    refused = await backend.check()
    assert refused.status == 404
    assert refused.json() == {
        "statusCode": "404",
        "message": "Not Found — transaction not found",
    }
    assert (await backend.check(tid=TIDS["t2"])).status == 200


async def test_another_organisation_s_sale_is_not_there(shop: Shop, backend: Backend) -> None:
    await shop.sell(approved(), terminal="x1", organisation="other", reference="theirs")
    assert (await backend.check("theirs")).status == 404


async def test_what_was_paid_under_a_tid_is_found_wherever_the_tid_is_now(
    shop: Shop, backend: Backend
) -> None:
    await shop.sell(approved())
    await change(shop, "t1", tid="30350099")
    assert (await backend.check()).json()["status"] == "APPROVED"  # no terminal has the TID
    await change(shop, "t3", tid=TIDS["t1"])
    assert (await backend.check()).json()["status"] == "APPROVED"  # one that has sold nothing
    await shop.sell(approved(900), terminal="t3", minor=900)
    assert (await backend.check()).json()["amount"] == 900  # the newest, as always
    moved = await shop.register("moved till", tids=("30350099",))
    only_there = await moved.assertion(terminal_ids=("30350099",))
    assert (await moved.check(tid="30350099", assertion=only_there)).status == 404


async def test_a_terminal_that_was_removed_hides_no_payment(shop: Shop, backend: Backend) -> None:
    await shop.sell(approved())
    await change(shop, "t1", lifecycle=Lifecycle.REMOVED)
    assert (await backend.check()).json()["status"] == "APPROVED"


async def test_what_was_paid_before_the_terminal_had_a_tid_is_its_own(
    shop: Shop, backend: Backend
) -> None:
    await change(shop, "t1", tid="")
    await shop.sell(approved())
    await change(shop, "t1", tid=TIDS["t1"])
    assert (await backend.check()).json()["status"] == "APPROVED"
    assert (await backend.check(tid=TIDS["t2"])).status == 404


async def change(shop: Shop, terminal_id: str, **fields: object) -> None:
    """Change the terminal in the estate."""
    known = shop.engine.estate.terminals[terminal_id]
    after = msgspec.structs.replace(known, **fields)
    await shop.engine.change_estate(lambda unit: unit.put(after))


async def test_without_a_reference_by_setting_the_newest_is_told(
    shop: Shop, backend: Backend
) -> None:
    await shop.sell(approved(), reference="a")
    await shop.sell(DECLINED, reference="b")
    asked = {"terminalId": TIDS["t1"]}
    refused = await backend.check(body=asked)
    assert refused.status == 400
    assert [each["field"] for each in refused.json()["fieldErrors"]] == ["callerTrxId"]
    shop.serving(without_caller_id="latest")
    assert (await backend.check(body=asked)).json()["callerTrxId"] == "b"
    none_yet = await backend.check(body={"terminalId": TIDS["t2"]})
    assert none_yet.status == 404


async def test_a_terminal_that_the_assertion_leaves_out_by_setting_is_not_there(
    shop: Shop, backend: Backend
) -> None:
    await shop.sell(approved())
    only_second = (TIDS["t2"],)
    refused = await backend.check(assertion=await backend.assertion(terminal_ids=only_second))
    assert refused.status == 400
    assert refused.json()["appVersionStatus"] == "OK"
    shop.serving(unnamed_terminal="absent", app_version_status="")
    absent = await backend.check(assertion=await backend.assertion(terminal_ids=only_second))
    assert absent.status == 404
    invalid = await backend.check(body={"terminalId": "x"})
    assert "appVersionStatus" not in invalid.json()


async def test_many_sales_under_one_reference_elsewhere_hide_none(
    shop: Shop, backend: Backend
) -> None:
    await shop.sell(approved(), reference="1")
    for _ in range(3):
        await shop.sell(approved(), reference="1", terminal="t2")
    assert (await backend.check("1")).json()["status"] == "APPROVED"


async def test_paths_and_methods_that_are_not_there(shop: Shop, backend: Backend) -> None:
    bearer: dict[str, str | None] = {"authorization": f"Bearer {await backend.bearer()}"}
    client = shop.client("till")
    assert (await client.ask("GET", "/nowhere")).status == 401
    nowhere = await client.ask("POST", "/checkTransaction", headers=bearer)
    assert nowhere.status == 404
    assert not is_standard(nowhere.body), "which would say that there is no such transaction"
    assert nowhere.headers["content-type"] == "application/problem+json"
    wrong = await client.ask("GET", "/mpos-core/app/checkTransaction", headers=bearer)
    assert (wrong.status, wrong.json()["statusCode"]) == (405, "405")
    assert (await client.ask("GET", "/softpos/appenrollment/token")).status == 405
