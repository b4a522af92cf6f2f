"""A payment whose terminal does as it should: what is journaled first, what counts."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tests.unit.ecr17.driver import pos
from tests.unit.ecr17.driver.pos import TICKET, ack, both, display, raw, refuse, result, wait
from tests.unit.ecr17.driver.till import Till, approved, payment, till
from tillwire.core.model import (
    Cause,
    Conversion,
    EntryMode,
    Evidence,
    Outcome,
    Receipts,
    TransactionType,
    Verdict,
)
from tillwire.core.ports import Sign
from tillwire.dialects.ecr17 import wire
from tillwire.errors import AnswerLost, JournalError, NotDelivered
from tillwire.money import Money

APPROVED = Outcome(
    Verdict.APPROVED,
    evidence=Evidence.ANSWER,
    approved_amount=4250,
    authorisation_code="A1B2C3",
    stan="000124",
    brand="PagoBANCOMAT",
    card_last4="0034",
    entry_mode=EntryMode.CONTACTLESS,
    acquirer_reference="000457",
    handle={"stan": "000124", "tid": "12345678"},
)


@virtual()
async def test_an_approval_tells_all_that_the_terminal_told() -> None:
    counter = await till()
    transaction = payment(4250)
    outcome = await counter.run(transaction)
    assert outcome.at == transaction.sent_at
    assert outcome == Outcome(
        **{each: getattr(APPROVED, each) for each in APPROVED.__struct_fields__}
        | {"at": outcome.at}
    )
    assert counter.pos.charged == ["000124"]
    assert counter.pos.codes == "GX"
    assert counter.pos.of("X") == [
        wire.ExtendedPaymentRequest(tid="00000000", cash_register="00000001", amount=4250)
    ]
    assert len(counter.pos.acks) == 2  # of the last result, and of this one


@virtual()
async def test_the_last_stan_is_journaled_before_the_command() -> None:
    counter = await till()
    counter.pos.saved = pos.approval(
        wire.ExtendedPaymentRequest(tid=pos.TID, cash_register="00000009", amount=100), "000123"
    )
    journaled: list[dict[str, str]] = []

    async def look(connection: pos.Wire, request: wire.Request) -> None:
        journaled.append(dict(counter.notes.peer))
        await pos.approve(connection, request)

    counter.pos.will("X", look)
    await counter.run(payment())
    assert journaled == [
        {"command": "X", "last_stan": "000123", "last_approved": "yes", "outcome": ""}
    ]


@virtual()
async def test_the_outcome_is_journaled_before_it_is_acknowledged() -> None:
    counter = await till()

    async def look(connection: pos.Wire, request: wire.Request) -> None:
        await connection.raw(wire.ACK)
        await connection.tell(connection.pos.charge(request))
        await connection.controls.get()
        seen.append(counter.notes.peer["outcome"])

    seen: list[str] = []
    counter.pos.will("X", look)
    await counter.run(payment())
    await asyncio.sleep(1)
    assert '"stan":"000124"' in seen[0]


@virtual()
async def test_nothing_is_sent_that_is_not_journaled() -> None:
    counter = await till()

    async def fail(_: Sign) -> None:
        raise JournalError("The disk is full.")

    with pytest.raises(JournalError):
        await counter.driver.run(payment(), fail)
    assert counter.pos.of("X") == []


@virtual()
async def test_a_journal_that_fails_later_does_not_cost_the_outcome() -> None:
    counter = await till()
    signs: list[Sign] = []

    async def fail(sign: Sign) -> None:
        signs.append(sign)
        if len(signs) > 1:
            raise JournalError("The disk is full.")

    outcome = await counter.driver.run(payment(), fail)
    assert outcome.verdict is Verdict.APPROVED
    assert len(signs) == 3


@virtual()
async def test_what_is_shown_is_progress_and_is_never_answered() -> None:
    counter = await till()
    counter.pos.will(
        "X",
        both(ack, display("INSERIRE CARTA"), wait(20), display("DIGITARE PIN"), wait(1), result()),
    )
    await counter.run(payment())
    assert counter.notes.displays == ["INSERIRE CARTA", "DIGITARE PIN"]
    assert counter.notes.started
    assert len(counter.pos.acks) == 2


# --- refusals and odd results -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text", "verdict", "reason"),
    [
        ("01", "FONDI INSUFFICIENTI", Verdict.DECLINED, "FONDI INSUFFICIENTI"),
        ("01", "", Verdict.DECLINED, "The terminal refused it."),
        ("05", "", Verdict.DECLINED, "The card is not in the terminal."),
        ("09", "TAG", Verdict.DECLINED, "TAG"),
        ("01", "Cancelled", Verdict.CANCELLED, "Cancelled"),
    ],
)
@virtual()
async def test_refusals(code: str, text: str, verdict: Verdict, reason: str) -> None:
    counter = await till()
    counter.pos.will("X", both(ack, refuse(code, text, action_code="116")))
    outcome = await counter.run(payment())
    assert (outcome.verdict, outcome.reason, outcome.approved_amount) == (verdict, reason, 0)
    assert outcome.cause is (Cause.CARDHOLDER if verdict is Verdict.CANCELLED else None)
    assert outcome.handle["action_code"] == "116"


@pytest.mark.parametrize("code", ["91", "02", "99", "0A"])
@virtual()
async def test_a_result_that_nobody_knows_decides_nothing(code: str) -> None:
    counter = await till()
    counter.pos.will("X", both(ack, refuse(code, "X")))
    with pytest.raises(AnswerLost, match=f"result is {code}"):
        await counter.run(payment())
    assert len(counter.pos.of("X")) == 1


@pytest.mark.parametrize("amount", [4249, 4251, 0, 99_999_999])
@virtual()
async def test_another_amount_is_no_approval(amount: int) -> None:
    counter = await till()
    counter.pos.will("X", both(ack, result(amount=amount)))
    with pytest.raises(AnswerLost, match=r"asked for 42\.50 EUR"):
        await counter.run(payment(4250))
    assert counter.notes.peer["outcome"] == ""


@virtual()
async def test_a_short_result_stands_with_the_amount_that_was_asked_for() -> None:
    counter = await till()
    counter.pos.will("X", both(ack, result(amount=None, action_code="")))
    assert (await counter.run(payment(4250))).approved_amount == 4250


@virtual()
async def test_a_conversion() -> None:
    counter = await till()
    converted = {
        "kind": wire.DccPaymentResult,
        "converted": True,
        "rate": Decimal("1.0850"),
        "currency": "USD",
        "converted_amount": 1339,
        "decimals": 2,
    }
    counter.pos.will(
        "X", both(ack, result(**converted)), both(ack, result(**converted | {"decimals": 3}))
    )
    outcome = await counter.run(payment(1234))
    assert outcome.approved_amount == 1234
    assert outcome.conversion == Conversion(Money(1339, "USD"), "1.085")
    assert (await counter.run(payment(1234))).conversion is None


@virtual()
async def test_a_result_of_another_terminal_decides_nothing() -> None:
    counter = await till(tid="12345678")
    counter.pos.will("X", both(ack, result(tid="87654321")))
    with pytest.raises(AnswerLost, match="87654321"):
        await counter.run(payment())
    counter.pos.saved = None
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert counter.pos.of("X")[0].tid == "12345678"


@pytest.mark.parametrize(
    "told",
    [
        wire.StatusResult(tid=pos.TID, state="2"),
        wire.TotalsResult(tid=pos.TID, result="00", terminal_total=1),
        wire.PreauthorisationResult(
            tid=pos.TID, result="00", amount=4250, action_code="000", preauthorisation_code="1" * 9
        ),
        wire.ReversalResult(tid=pos.TID, result="00", action_code="000"),
        wire.RefundResult(tid=pos.TID, result="00"),
    ],
)
@virtual()
async def test_an_answer_to_something_else_decides_nothing(told: wire.Result) -> None:
    counter = await till()
    counter.pos.will("X", both(ack, pos.say(told)))
    with pytest.raises(AnswerLost, match="no answer to X"):
        await counter.run(payment())


@pytest.mark.parametrize("payload", [b"123456780Z00", b"1", b"1234567X0E00", b"123456780E"])
@virtual()
async def test_what_cannot_be_read_decides_nothing(payload: bytes) -> None:
    counter = await till()
    counter.pos.will("X", both(ack, raw(wire.application(payload))))
    with pytest.raises(AnswerLost):
        await counter.run(payment())


@virtual()
async def test_the_last_result_once_more_is_not_this_one() -> None:
    counter = await till()
    await counter.run(payment(4250))
    saved = counter.pos.saved
    assert saved is not None
    counter.pos.will("X", both(ack, pos.say(saved)))
    with pytest.raises(AnswerLost, match="its last result again"):
        await counter.run(payment(4250))
    counter.notes.known = [approved()]  # STAN 000123
    told = pos.approval(counter.pos.of("X")[0], "000123")
    counter.pos.will("G", *[pos.nak] * 3)
    counter.pos.will("X", both(ack, pos.say(told)))
    with pytest.raises(AnswerLost, match="its last result again"):
        await counter.run(payment(4250))


@pytest.mark.parametrize("stan", ["000124", "000125"])
@virtual()
async def test_a_refusal_without_an_ack_is_believed_if_it_is_new(stan: str) -> None:
    counter = await till()
    counter.pos.will("X", both(ack, refuse("01", "NEGATA", stan="000124")))
    assert (await counter.run(payment())).verdict is Verdict.DECLINED
    counter.pos.saved = pos.refusal(counter.pos.of("X")[0], "01", "NEGATA", stan="000124")
    counter.pos.will("X", refuse("01", "NEGATA", stan=stan), both(ack, refuse("01", stan="000124")))
    if stan == "000124":
        with pytest.raises(AnswerLost, match="its last result again"):
            await counter.run(payment())
    else:
        assert (await counter.run(payment())).verdict is Verdict.DECLINED
    assert (await counter.run(payment())).verdict is Verdict.DECLINED


@virtual()
async def test_a_flood_of_texts_ends_at_the_cap() -> None:
    counter = await till(capped_seconds=130)

    async def flood(connection: pos.Wire, request: wire.Request) -> None:
        await connection.raw(wire.ACK)
        for _ in range(2000):
            await connection.raw(wire.progress("PIN") * 20)
            await asyncio.sleep(0.1)

    counter.pos.will("X", flood)
    began = virtual_loop().time()
    with pytest.raises(AnswerLost, match="in time"):
        await counter.run(payment())
    assert 130 <= virtual_loop().time() - began < 131


# --- every command ------------------------------------------------------------------------------


@virtual()
async def test_a_reservation_and_what_follows_it() -> None:
    counter = await till(capture_zeros=12)
    outcome = await counter.run(payment(10_000, type=TransactionType.PREAUTH))
    assert outcome.handle["preauthorisation_code"] == "987654321"
    original = approved(10_000, type=TransactionType.PREAUTH, outcome=outcome)
    counter.notes.known = [original]
    more = payment(5000, type=TransactionType.INCREMENT, original_id=original.id)
    assert (await counter.run(more)).approved_amount == 5000
    capture = payment(12_500, type=TransactionType.CAPTURE, original_id=original.id)
    assert (await counter.run(capture)).approved_amount == 12_500
    assert counter.pos.of("i")[0].preauthorisation_code == "987654321"
    assert counter.pos.of("c")[0].amount == 12_500
    assert counter.pos.charged == ["000124", "000125", "000126"]


@virtual()
async def test_less_may_be_reserved_than_was_asked_for() -> None:
    counter = await till()
    counter.pos.will("p", both(ack, result(amount=8000)), both(ack, result(amount=10_001)))
    reservation = payment(10_000, type=TransactionType.PREAUTH)
    assert (await counter.run(reservation)).approved_amount == 8000
    with pytest.raises(AnswerLost):
        await counter.run(reservation)


@virtual()
async def test_a_refund_where_the_terminal_knows_one() -> None:
    counter = await till(refund=True)
    assert TransactionType.REFUND in counter.driver.capabilities.types
    outcome = await counter.run(payment(500, type=TransactionType.REFUND))
    assert (outcome.verdict, outcome.approved_amount, outcome.stan) == (Verdict.APPROVED, 500, "")
    plain = Till(pos.Pos())
    assert TransactionType.REFUND not in plain.driver.capabilities.types
    assert not plain.driver.capabilities.abort
    with pytest.raises(NotDelivered, match="knows no REFUND"):
        await plain.run(payment(500, type=TransactionType.REFUND))


@pytest.mark.parametrize("amount", [Money(100, "GBP"), Money(100_000_000, "EUR")])
@virtual()
async def test_amounts_without_a_place_are_not_tried(amount: Money) -> None:
    counter = await till()
    with pytest.raises(NotDelivered):
        await counter.run(payment(amount=amount))
    assert counter.pos.connections == 0


@virtual()
async def test_a_reservation_is_not_lowered() -> None:
    counter = await till()
    original = approved(10_000, type=TransactionType.PREAUTH)
    counter.notes.known = [original]
    with pytest.raises(NotDelivered):
        await counter.run(payment(-500, type=TransactionType.INCREMENT, original_id=original.id))
    assert counter.pos.connections == 0


@virtual()
async def test_what_the_till_asks_for_in_words() -> None:
    counter = await till(print_reference=True, payment_type="debit", cash_register="00000042")
    await counter.run(payment(reference="Tavolo 7 è"))
    (asked,) = counter.pos.of("X")
    assert asked.receipt_text == "Tavolo 7 e"
    assert asked.payment_type is wire.PaymentType.DEBIT
    assert asked.cash_register == "00000042"


# --- receipts and tags --------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["same", "own"])
@virtual()
async def test_receipts_come_to_the_till(over: str) -> None:
    counter = await till(receipts="till", receipt_connection=over)
    outcome = await counter.run(payment())
    assert outcome.receipts == Receipts(cardholder=TICKET + "\n")
    assert counter.pos.codes == "GEX"
    assert counter.pos.connections == (2 if over == "same" else 3)


@virtual()
async def test_a_terminal_may_hang_up_after_it_was_asked_for_receipts() -> None:
    counter = await till(receipts="till")

    async def route_and_go(connection: pos.Wire, request: wire.Request) -> None:
        await pos.USUALLY["E"](connection, request)
        raise pos.HangUp

    counter.pos.will("E", route_and_go)
    assert (await counter.run(payment())).receipts is not None
    assert counter.pos.connections == 3


@virtual()
async def test_a_terminal_without_receipts_is_paid_on_all_the_same() -> None:
    counter = await till(receipts="till")
    counter.pos.will("E", *[pos.nak] * 3)
    outcome = await counter.run(payment())
    assert (outcome.verdict, outcome.receipts) == (Verdict.APPROVED, None)


@virtual()
async def test_nothing_is_charged_when_the_terminal_is_silent_about_receipts() -> None:
    counter = await till(receipts="till")
    counter.pos.will("E", pos.silent)
    with pytest.raises(NotDelivered, match="Asked for receipts"):
        await counter.run(payment())
    assert counter.pos.of("X") == []


@virtual()
async def test_a_receipt_that_is_lost_does_not_cost_the_outcome() -> None:
    counter = await till(receipts="till")
    part = wire.receipt_parts(pos.TID, TICKET)[0]
    cut = wire.ReceiptPart(tid=pos.TID, octets=part.octets[:-7])
    bad = bytearray(counter.pos.frame(part))
    bad[-1] ^= 1
    for after in (
        pos.hang_up,
        pos.silent,
        both(pos.say(cut), pos.hang_up),
        raw(bytes(bad) * 3),
        raw(b"\x02garbage"),
    ):
        counter.pos.will("X", both(ack, result(), after))
        outcome = await counter.run(payment())
        assert (outcome.verdict, outcome.receipts) == (Verdict.APPROVED, None)
    began = virtual_loop().time()
    counter.pos.will("X", both(ack, result(), *[both(wait(4), pos.say(cut))] * 50))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert virtual_loop().time() - began < 20


@virtual()
async def test_whose_receipt_it_is() -> None:
    counter = await till(receipts="till")
    merchant, customer = "COPIA ESERCENTE\nEUR 1", "COPIA CLIENTE\nEUR 1"
    parts = [*wire.receipt_parts(pos.TID, merchant), *wire.receipt_parts(pos.TID, customer)]
    counter.pos.will("X", both(ack, result(), *(pos.say(each) for each in parts)))
    outcome = await counter.run(payment())
    assert outcome.receipts == Receipts(cardholder=customer + "\n", merchant=merchant + "\n")
    joint = f"{merchant}\n\n{customer}"
    counter.pos.will("X", both(ack, result(), *map(pos.say, wire.receipt_parts(pos.TID, joint))))
    assert (await counter.run(payment())).receipts == Receipts(joint + "\n", joint + "\n")
    unnamed = [part for text in ("ONE", "TWO") for part in wire.receipt_parts(pos.TID, text)]
    counter.pos.will("X", both(ack, result(), *(pos.say(each) for each in unnamed)))
    assert (await counter.run(payment())).receipts == Receipts("ONE\n", "TWO\n")


@virtual()
async def test_a_part_of_a_receipt_that_comes_again_has_missed_its_ack() -> None:
    counter = await till(receipts="till")
    ticket = "\n".join(f"LINE {number}" for number in range(50))
    first, *rest = wire.receipt_parts(pos.TID, ticket)
    assert rest
    counter.pos.will("X", both(ack, result(), *map(pos.say, [first, first, *rest])))
    assert (await counter.run(payment())).receipts == Receipts(ticket + "\n")


@virtual()
async def test_more_tickets_than_anybody_wants() -> None:
    counter = await till(receipts="till")
    part = wire.ReceiptPart(tid=pos.TID, octets=b"A\x1b" * 100)
    other = wire.ReceiptPart(tid=pos.TID, octets=b"B\x1b" * 100)
    counter.pos.will("X", both(ack, *map(pos.say, [part, other] * 5), result()))
    assert (await counter.run(payment())).receipts == Receipts("A\n", "A\n")


@virtual()
async def test_a_receipt_without_end_before_the_result_does_not_cost_it() -> None:
    counter = await till(receipts="till")
    endless = [
        pos.say(wire.ReceiptPart(tid=pos.TID, octets=bytes((65 + number % 26,)) * 200))
        for number in range(100)
    ]
    counter.pos.will("X", both(ack, *endless, pos.raw(wire.application(b"x23456780S")), result()))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


TAGS = [{"index": 5, "content": "0COF0TRK{reference}|0FNZ03"}]


@pytest.mark.parametrize("answer", [ack, pos.nak, pos.silent])
@virtual()
async def test_tags_go_to_the_host(answer: pos.Act) -> None:
    counter = await till(tags=TAGS, host_data=True)
    done = both(ack, wait(10), result(), pos.say(wire.HostData(tid=pos.TID, content="TOKEN 1")))
    counter.pos.will("X", done)
    counter.pos.will("U", answer, answer, answer)
    outcome = await counter.run(payment(reference="1666354841608"))
    assert outcome.verdict is Verdict.APPROVED
    assert outcome.from_host == "TOKEN 1"
    assert outcome.handle.get("tags") == (None if answer is ack else "not taken")
    assert counter.pos.of("X")[0].additional_data
    tags = counter.pos.of("U")[0]
    assert tags.tags == (wire.Tag("0COF0TRK1666354841608|0FNZ03", 5),)
    assert tags.back_from == "62"
