"""Payments that go as they should: what is asked octet by octet, and what they end in."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.kit import scripted
from tests.kit.scripted import Asked
from tests.unit.smartconnect.driver import cloud as there
from tests.unit.smartconnect.driver.cloud import TOKEN, Cloud
from tests.unit.smartconnect.driver.counter import Counter, at_a_counter
from tillwire import uuids
from tillwire.core.model import Evidence, State, Terms, TransactionType
from tillwire.core.ports import AbortResult
from tillwire.errors import Proof

_T = TransactionType
WHO = b"POSRegisterID=shop7-till2&POSBusinessName=Harbour+Books&POSVendorName=TillCo"
ASKS = WHO + b"&TransactionMode=ASYNC&TransactionType="


@at_a_counter()
async def test_a_sale_is_posted_once_and_polled_for(counter: Counter) -> None:
    paid = await counter.pay(1250)
    assert paid.state is State.APPROVED
    assert paid.outcome is not None
    assert (paid.approved_amount, paid.outcome.tip) == (1250, 0)
    assert paid.outcome.evidence is Evidence.ANSWER
    assert paid.outcome.authorisation_code == "417302"
    assert paid.outcome.acquirer_reference == "000231"
    assert (paid.outcome.brand, paid.outcome.card_last4) == ("VISA", "4417")
    assert paid.outcome.receipts is not None
    assert paid.outcome.receipts.cardholder == "HARBOUR BOOKS\nACCEPTED"
    assert paid.outcome.at == 1_773_497_762_000, "15:16:02 in Amsterdam"
    assert counter.cloud.charged == [1250]
    (post,) = counter.cloud.of("POST")
    assert post.body == ASKS + b"Card.Purchase&AmountTotal=1250"
    assert post.headers["content-type"] == "application/x-www-form-urlencoded; charset=UTF-8"
    assert post.headers["accept"] == "application/json"
    assert post.headers["idempotency-key"] == uuids.transaction_uuid(paid.id)


@at_a_counter()
async def test_polls_are_no_closer_than_the_vendor_allows(counter: Counter) -> None:
    counter.cloud.terminal = there.ends(after=60)
    await counter.pay()
    times = [each.at for each in counter.cloud.heard]
    assert len(times) > 15
    assert all(later - earlier >= 2 for earlier, later in pairwise(times))


@pytest.mark.parametrize(
    ("kind", "terms", "tail"),
    [
        (
            _T.PURCHASE,
            Terms(cash_back=250),
            b"Card.PurchasePlusCash&AmountTotal=1250&AmountCash=250",
        ),
        (_T.PURCHASE, Terms(tip=50), b"Card.Purchase&AmountTotal=1250"),
        (_T.CASH_ADVANCE, Terms(), b"Card.CashAdvance&AmountTotal=1250"),
        (_T.REFUND, Terms(), b"Card.Refund&AmountTotal=1250"),
    ],
)
@at_a_counter()
async def test_each_type_has_its_function(
    counter: Counter, kind: TransactionType, terms: Terms, tail: bytes
) -> None:
    paid = await counter.pay(1250, kind, terms=terms)
    assert (paid.state, paid.approved_amount) == (State.APPROVED, 1250)
    assert counter.cloud.of("POST")[0].body == ASKS + tail


@at_a_counter()
async def test_a_reservation_is_finalised_by_its_reference(counter: Counter) -> None:
    reserved = await counter.pay(9000, _T.PREAUTH)
    taken = await counter.pay(8000, _T.CAPTURE, original=reserved)
    reference = uuids.transaction_uuid(reserved.id).encode()
    assert (reserved.approved_amount, taken.approved_amount) == (9000, 8000)
    assert [each.body for each in counter.cloud.of("POST")] == [
        ASKS + b"Card.Authorise&AmountAuth=9000&TransactionReference=" + reference,
        ASKS + b"Card.Finalise&AmountFinal=8000&TransactionReference=" + reference,
    ]


@at_a_counter()
async def test_a_refund_of_a_sale_is_not_linked_on_the_wire(counter: Counter) -> None:
    paid = await counter.pay(1250)
    back = await counter.pay(500, _T.REFUND, original=paid)
    assert (back.state, back.approved_amount) == (State.APPROVED, 500)
    assert counter.cloud.of("POST")[-1].body == ASKS + b"Card.Refund&AmountTotal=500"


@pytest.mark.parametrize(
    ("method", "names"),
    [("qr_merchant", ["QR.Merchant.Purchase", "QR.Refund"]),
     ("qr_consumer", ["QR.Consumer.Purchase", "QR.Refund"])],
)  # fmt: skip
def test_a_terminal_may_be_for_qr_codes(method: str, names: list[str]) -> None:
    @at_a_counter(method=method)
    async def scenario(counter: Counter) -> None:
        assert counter.driver.capabilities.types == {_T.PURCHASE, _T.REFUND}
        await counter.pay(1250)
        await counter.pay(500, _T.REFUND)
        assert [each.form["TransactionType"] for each in counter.cloud.of("POST")] == names
        cash = await counter.pay(1250, terms=Terms(cash_back=250))
        assert (cash.state, cash.proof) == (State.FAILED, Proof.NEVER_SENT)

    scenario()


@at_a_counter()
async def test_what_the_terminal_adds_is_charged(counter: Counter) -> None:
    counter.cloud.terminal = there.ends(AmountTotal="1395", AmountSurcharge="25", AmountTip="120")
    paid = await counter.pay(1250)
    assert paid.outcome is not None
    assert (paid.approved_amount, paid.outcome.tip) == (1395, 145)
    assert paid.outcome.handle["surcharge"] == "25"


@at_a_counter()
async def test_a_receipt_is_kept_in_lines_that_a_printer_takes(counter: Counter) -> None:
    counter.cloud.terminal = there.ends(Receipt="  A\r\nB\x1b@\u202eC\n\nTOTAL NZ$12.50 ")
    paid = await counter.pay()
    assert paid.outcome is not None
    assert paid.outcome.receipts is not None
    assert paid.outcome.receipts.cardholder == "  A\nB @ C\n\nTOTAL NZ$12.50 "


@pytest.mark.parametrize("told", [1250, None, "1250 "])
@at_a_counter()
async def test_an_amount_is_a_number_a_text_or_what_was_asked(counter: Counter, told: Any) -> None:
    counter.cloud.terminal = there.ends(AmountTotal=told)
    assert (await counter.pay(1250)).approved_amount == 1250


@pytest.mark.parametrize(
    ("told", "result", "state", "proof"),
    [
        ("OK-DECLINED", "OK", State.DECLINED, None),
        ("ok-declined", "Ok", State.DECLINED, None),
        ("CANCELLED", "CANCELLED", State.CANCELLED, None),
        ("CANCELLED", "OK", State.CANCELLED, None),
        ("CANCELLED", "", State.CANCELLED, None),
        ("CANCELLED", "FAILED-INTERFACE", State.FAILED, Proof.REFUSED_BY_PEER),
        ("OK-UNAVAILABLE", "OK", State.FAILED, Proof.REFUSED_BY_PEER),
        ("OK-UNAVAILABLE", "FAILED", State.FAILED, Proof.REFUSED_BY_PEER),
    ],
)
@at_a_counter()
async def test_each_ending_without_money(
    counter: Counter, told: str, result: str, state: State, proof: Proof | None
) -> None:
    counter.cloud.terminal = there.ends_as(told, result)
    ended = await counter.pay()
    assert (ended.state, ended.proof, ended.approved_amount) == (state, proof, 0)
    assert counter.cloud.charged == []
    assert (await counter.pay(2000)).is_final, "the terminal is free again"


@at_a_counter()
async def test_an_answer_that_is_complete_at_once_is_the_outcome(counter: Counter) -> None:
    async def at_once(cloud: Cloud, asked: Asked) -> Any:
        task = there.Task("2c1f7a52-9d41-4e0e-8a55-000000000000", asked.form, asked.at)
        task.data = {"TransactionResult": "CANCELLED", "Result": "FAILED-INTERFACE"}
        return await there.answer(200, there.envelope(task))(cloud, asked)

    counter.cloud.posts.append(at_once)
    assert (await counter.pay()).proof is Proof.REFUSED_BY_PEER


# --- what is written down, and when -------------------------------------------------------------


@at_a_counter()
async def test_the_attempt_is_journaled_before_the_post_and_the_url_before_the_first_poll(
    counter: Counter,
) -> None:
    known: list[dict[str, str]] = []

    def look() -> None:
        known.append(dict(counter.gateway.transactions()[-1].peer))

    async def at_post(cloud: Cloud, asked: Asked) -> Any:
        look()
        return await there.taken(cloud, asked)

    async def at_poll(cloud: Cloud, asked: Asked) -> Any:
        look()
        return cloud.polled(asked)

    counter.cloud.posts.append(at_post)
    counter.cloud.polls.append(at_poll)
    await counter.pay()
    before, after = known
    assert before == {"function": "Card.Purchase"}
    url = f"http://127.0.0.1:{there.PORT}/pos/transaction/{after['transaction_id']}"
    assert counter.gateway.vault.open(after["polling_url"]) == (
        f"{url}?merchantAccessToken={TOKEN}"
    )


@at_a_counter()
async def test_the_token_is_nowhere_in_the_clear(counter: Counter) -> None:
    counter.cloud.polls.extend([there.answer(500), scripted.cut, there.answer(200, b"<html>")])
    counter.cloud.terminal = there.ends(after=400)
    order = await counter.order()
    await counter.lost(order)
    await counter.ended(order)
    told = repr((counter.gateway.transactions(), counter.gateway.events(order.id)))
    assert TOKEN not in told
    octets = b"".join(each.read_bytes() for each in counter.folder.iterdir() if each.is_file())
    assert TOKEN.encode() not in octets
    assert b"merchantAccessToken" not in octets


@at_a_counter()
async def test_without_a_key_nothing_is_sent(counter: Counter) -> None:
    (counter.folder / "journal.db.key").unlink(missing_ok=True)
    (counter.folder / "journal.db.key").mkdir()
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert counter.cloud.heard == []


@at_a_counter()
async def test_a_function_is_echoed_in_letters_of_any_case(counter: Counter) -> None:
    counter.cloud.terminal = there.ends(Function="CARD.PURCHASE")
    assert (await counter.pay(1250)).state is State.APPROVED


# --- what cannot be -----------------------------------------------------------------------------


@at_a_counter(currency="NZD")
async def test_another_currency_than_the_terminal_s_is_not_sent(counter: Counter) -> None:
    failed = await counter.pay(1250, currency="EUR")
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert counter.cloud.heard == []


@at_a_counter()
async def test_nothing_can_be_called_off_once_it_is_sent(counter: Counter) -> None:
    order = await counter.order()
    await counter.gateway.engine.wait(order.id, lambda each: "polling_url" in each.peer, 10)
    assert not counter.driver.capabilities.abort
    assert await counter.gateway.engine.abort(order.id) is AbortResult.TOO_LATE
    assert await counter.driver.abort(order) is AbortResult.TOO_LATE
    assert (await counter.ended(order)).state is State.APPROVED


@at_a_counter()
async def test_a_slow_terminal_is_told_to_the_till(counter: Counter) -> None:
    counter.cloud.terminal = there.delayed(60, 130)
    order = await counter.order()
    shown: list[str] = []
    stop = counter.gateway.engine.listen(order.id, shown.append)
    paid = await counter.ended(order)
    stop()
    assert shown == ["The terminal is slow, or out of reach: its result will come."]
    assert (paid.state, counter.cloud.charged) == (State.APPROVED, [1250])
