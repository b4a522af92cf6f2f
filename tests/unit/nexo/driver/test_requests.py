"""What each type of transaction is as a nexo message, and what cannot be asked of a terminal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.nexo.driver.poi import Poi, Send, amounts, approval, approve
from tests.unit.nexo.driver.till import HANDLE, Till, approved, payment, till
from tillwire.core.model import Outcome, State, Terms, Transaction, TransactionType, Verdict
from tillwire.dialects.nexo.wire import Message
from tillwire.dialects.nexo.wire.services import PaymentRequest, PaymentResponse, ReversalRequest
from tillwire.errors import AnswerLost, NotDelivered, Proof

T = TransactionType


async def sent(counter: Till, transaction: Transaction) -> Any:
    """The body of the request that the transaction became, as JSON has it."""
    outcome = await counter.run(transaction)
    assert outcome.approved_amount == transaction.amount.minor
    body = counter.poi.heard[-1].body
    assert isinstance(body, PaymentRequest | ReversalRequest)
    return body


async def after(original: Transaction, *follow_ups: Transaction) -> Till:
    """A till whose journal has these."""
    counter = await till()
    counter.notes.known = [*follow_ups, original]
    return counter


def following(kind: TransactionType, minor: int, **changes: Any) -> Transaction:
    """What follows `approved()`."""
    return payment(minor, type=kind, original_id=approved().id, **changes)


def sibling(kind: TransactionType, minor: int, state: State = State.APPROVED) -> Transaction:
    """Something else that followed it."""
    outcome = Outcome(Verdict.APPROVED, approved_amount=minor)
    return following(
        kind,
        minor,
        id=f"17734500000001234567890123456{len(state)}{len(kind)}",
        state=state,
        outcome=outcome if state is State.APPROVED else None,
    )


@pytest.mark.parametrize(
    ("kind", "payment_type"),
    [
        (T.PURCHASE, "Normal"),
        (T.REFUND, "Refund"),
        (T.PREAUTH, "FirstReservation"),
        (T.CASH_ADVANCE, "CashAdvance"),
    ],
)
@virtual()
async def test_what_follows_nothing(kind: TransactionType, payment_type: str) -> None:
    counter = await till()
    transaction = payment(4250, type=kind)
    body = await sent(counter, transaction)
    assert body.payment_data.payment_type == payment_type
    assert str(body.payment_transaction.amounts_req.requested_amount) == "42.50"
    assert body.payment_transaction.amounts_req.currency == "EUR"
    assert body.payment_transaction.original_poi_transaction is None
    chain = transaction.id if kind is T.PREAUTH else None
    assert body.sale_data.sale_reference_id == chain


@virtual()
async def test_the_terms_of_a_till() -> None:
    counter = await till()
    terms = Terms(
        cash_back=1000,
        tip=250,
        operator="op-19",
        shift="2",
        totals_group="GRP-A",
        language="en",
        card="2026-03-14T09:19:00Z@C-77",
    )
    body = await sent(counter, payment(4250, terms=terms))
    asked = body.payment_transaction.amounts_req
    assert (str(asked.cash_back_amount), str(asked.tip_amount)) == ("10.00", "2.50")
    assert (body.sale_data.operator_id, body.sale_data.shift_number) == ("op-19", "2")
    assert body.sale_data.sale_terminal_data.totals_group_id == "GRP-A"
    assert body.payment_transaction.transaction_conditions.customer_language == "en"
    reference = body.payment_data.card_acquisition_reference
    assert (reference.transaction_id, reference.time_stamp) == ("C-77", "2026-03-14T09:19:00Z")


@virtual()
async def test_a_reservation_has_its_chain_and_its_validity() -> None:
    counter = await till()
    terms = Terms(chain="FOLIO-8812", valid_until="2026-03-21")
    body = await sent(counter, payment(15000, type=T.PREAUTH, terms=terms))
    assert body.sale_data.sale_reference_id == "FOLIO-8812"
    assert body.payment_data.requested_validity_date == "2026-03-21"


@virtual()
async def test_a_linked_refund_quotes_the_original_word_for_word() -> None:
    counter = await after(approved(4250))
    body = await sent(counter, following(T.REFUND, 1200))
    original = body.payment_transaction.original_poi_transaction
    assert original.poi_transaction_id.transaction_id == HANDLE["poi_transaction_id"]
    assert original.poi_transaction_id.time_stamp == HANDLE["poi_time_stamp"]
    assert (original.poi_id, original.sale_id) == ("T1-7", "tillwire")


@virtual()
async def test_an_increment_asks_for_the_new_total() -> None:
    preauth = approved(15000, type=T.PREAUTH)
    counter = await after(preauth, sibling(T.INCREMENT, 2500))
    body = await sent(counter, following(T.INCREMENT, -500))
    assert body.payment_data.payment_type == "UpdateReservation"
    assert str(body.payment_transaction.amounts_req.requested_amount) == "170.00"
    assert body.payment_transaction.original_poi_transaction.approval_code == "9QX001"
    assert body.sale_data.sale_reference_id == preauth.id
    assert counter.notes.peer["requested"] == "17000"


@virtual()
async def test_an_increment_that_was_reversed_is_not_reserved() -> None:
    raised = sibling(T.INCREMENT, 2500)
    counter = await after(approved(15000, type=T.PREAUTH), raised)
    undone = msgspec.structs.replace(sibling(T.REVERSAL, 2500), original_id=raised.id)
    counter.notes.known.insert(0, undone)
    body = await sent(counter, following(T.INCREMENT, 1000))
    assert str(body.payment_transaction.amounts_req.requested_amount) == "160.00"


@virtual()
async def test_a_capture_quotes_the_approval() -> None:
    preauth = approved(15000, type=T.PREAUTH, terms=Terms(chain="FOLIO-8812"))
    counter = await after(preauth)
    body = await sent(counter, following(T.CAPTURE, 13120))
    assert body.payment_data.payment_type == "Completion"
    assert str(body.payment_transaction.amounts_req.requested_amount) == "131.20"
    assert body.payment_transaction.original_poi_transaction.approval_code == "9QX001"
    assert body.sale_data.sale_reference_id == "FOLIO-8812"


@virtual()
async def test_a_reversal_of_the_whole_names_no_amount() -> None:
    counter = await after(approved(4250))
    body = await sent(counter, following(T.REVERSAL, 4250))
    assert isinstance(body, ReversalRequest)
    assert body.reversed_amount is None
    assert body.reversal_reason == "MerchantCancel"
    assert counter.notes.peer["category"] == "Reversal"
    assert counter.notes.peer["requested"] == "whole"


@virtual()
async def test_a_reversal_of_a_part_names_its_amount() -> None:
    counter = await after(approved(4250))
    body = await sent(counter, following(T.REVERSAL, 1000))
    assert str(body.reversed_amount) == "10.00"


@virtual()
async def test_a_reversal_of_the_rest_names_its_amount() -> None:
    counter = await after(approved(4250), sibling(T.REFUND, 250))
    body = await sent(counter, following(T.REVERSAL, 4000))
    assert str(body.reversed_amount) == "40.00"


@virtual()
async def test_a_release_of_a_raised_reservation_names_no_amount_and_expects_all_of_it() -> None:
    counter = await after(approved(6000, type=T.PREAUTH), sibling(T.INCREMENT, 2000))
    body = await sent(counter, following(T.REVERSAL, 8000))
    assert body.reversed_amount is None
    counter.poi.will("Reversal", approve(reversed_amount=Decimal("60.00")))
    with pytest.raises(AnswerLost):
        await counter.run(following(T.REVERSAL, 8000))


@pytest.mark.parametrize("minor", [6000, 7999])
@virtual()
async def test_a_release_of_a_part_of_a_raised_reservation_names_its_amount(minor: int) -> None:
    counter = await after(approved(6000, type=T.PREAUTH), sibling(T.INCREMENT, 2000))
    body = await sent(counter, following(T.REVERSAL, minor))
    assert body.reversed_amount == Decimal(minor) / 100


@virtual()
async def test_a_release_of_what_was_not_captured_names_its_amount() -> None:
    raised, captured = sibling(T.INCREMENT, 2000), sibling(T.CAPTURE, 5000)
    counter = await after(approved(6000, type=T.PREAUTH), raised, captured)
    body = await sent(counter, following(T.REVERSAL, 3000))
    assert body.reversed_amount == Decimal("30.00")


@pytest.mark.parametrize("state", [State.SENT, State.UNKNOWN])
@virtual()
async def test_a_release_while_it_is_just_being_raised_names_its_amount(state: State) -> None:
    counter = await after(approved(6000, type=T.PREAUTH), sibling(T.INCREMENT, 2000, state))
    body = await sent(counter, following(T.REVERSAL, 6000))
    assert body.reversed_amount == Decimal("60.00")


@pytest.mark.parametrize("state", [State.SENT, State.UNKNOWN])
@virtual()
async def test_a_reversal_beside_something_in_doubt_names_its_amount(state: State) -> None:
    counter = await after(approved(4250), sibling(T.REFUND, 250, state))
    body = await sent(counter, following(T.REVERSAL, 4250))
    assert str(body.reversed_amount) == "42.50"


@pytest.mark.parametrize(
    ("minor", "given"), [(1000, Decimal("9.99")), (1000, None), (4250, Decimal("42.49"))]
)
@virtual()
async def test_a_reversal_of_another_amount_is_no_outcome(
    minor: int, given: Decimal | None
) -> None:
    counter = await after(approved(4250))
    counter.poi.will("Reversal", approve(reversed_amount=given))
    with pytest.raises(AnswerLost):
        await counter.run(following(T.REVERSAL, minor))


@virtual()
async def test_an_increment_that_was_granted_in_part_is_no_outcome() -> None:
    counter = await after(approved(15000, type=T.PREAUTH))
    counter.poi.will("Payment", amounts("Partial", authorized_amount=Decimal("160.00")))
    with pytest.raises(AnswerLost):
        await counter.run(following(T.INCREMENT, 2000))


@virtual()
async def test_a_refund_that_is_answered_as_a_sale_is_no_outcome() -> None:
    counter = await till()
    counter.poi.will("Payment", as_a_sale)
    with pytest.raises(AnswerLost, match="Normal"):
        await counter.run(payment(type=T.REFUND))


async def as_a_sale(poi: Poi, message: Message, send: Send) -> None:
    """Take the money that it was to give back."""
    body = approval(message)
    assert isinstance(body, PaymentResponse)
    assert body.payment_result is not None
    result = msgspec.structs.replace(body.payment_result, payment_type="Normal")
    await approve(payment_result=result)(poi, message, send)


# --- what cannot be asked -------------------------------------------------------------------------


async def refused(counter: Till, transaction: Transaction) -> str:
    """Why it was not sent; nothing has left."""
    with pytest.raises(NotDelivered) as failure:
        await counter.run(transaction)
    assert failure.value.proof is Proof.NEVER_SENT
    assert counter.poi.heard == []
    assert counter.notes.peer == {}
    return str(failure.value)


@pytest.mark.parametrize("handle", [{}, {"poi_transaction_id": "P1"}, {"deed": "17", "boot": "3"}])
@virtual()
async def test_an_original_that_no_nexo_terminal_named_cannot_be_followed(
    handle: dict[str, str],
) -> None:
    outcome = Outcome(Verdict.APPROVED, approved_amount=4250, handle=handle)
    counter = await after(approved(4250, outcome=outcome))
    assert "POITransactionID" in await refused(counter, following(T.REFUND, 100))


@virtual()
async def test_an_original_that_is_not_in_the_journal_cannot_be_followed() -> None:
    counter = await till()
    assert "not in the journal" in await refused(counter, following(T.REFUND, 100))


@pytest.mark.parametrize("state", [State.SENT, State.STARTED, State.UNKNOWN])
@virtual()
async def test_a_reservation_whose_amount_is_not_known_is_not_changed(state: State) -> None:
    open_one = sibling(T.INCREMENT, 2500, state)
    counter = await after(approved(15000, type=T.PREAUTH), open_one)
    assert open_one.id in await refused(counter, following(T.INCREMENT, 500))


@virtual()
async def test_a_reservation_is_not_lowered_below_nothing() -> None:
    counter = await after(approved(1000, type=T.PREAUTH))
    assert "Less than nothing" in await refused(counter, following(T.INCREMENT, -1001))


@pytest.mark.parametrize("card", ["C-77", "@C-77", "2026-03-14T09:19:00Z@"])
@virtual()
async def test_a_card_that_no_nexo_terminal_has_read_cannot_pay(card: str) -> None:
    counter = await till()
    assert "read it again" in await refused(counter, payment(terms=Terms(card=card)))
