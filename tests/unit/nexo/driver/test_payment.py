"""A payment in all three bindings: what is journaled first, what is said meanwhile, what counts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tests.unit.nexo.driver import poi
from tests.unit.nexo.driver.poi import amounts, approve, both, display, wait
from tests.unit.nexo.driver.till import Till, payment, till
from tillwire.core.model import (
    Cause,
    EntryMode,
    Evidence,
    Outcome,
    Receipts,
    Terms,
    Transaction,
    Verdict,
    Verification,
)
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire import devices, framing
from tillwire.dialects.nexo.wire.services import PaymentRequest, PaymentResult
from tillwire.dialects.nexo.wire.shared import Response
from tillwire.errors import AnswerLost, JournalError

BINDINGS: Final[dict[str, dict[str, Any]]] = {"tcp": {}, "held": {"tls": False}, "http": {}}
every_binding = pytest.mark.parametrize("binding", BINDINGS)


async def counter_with(binding: str, **settings: Any) -> Till:
    return await till(binding, **BINDINGS[binding], **settings)


@every_binding
@virtual()
async def test_an_approval_tells_all_that_the_terminal_told(binding: str) -> None:
    counter = await counter_with(binding)
    outcome = await counter.run(payment(4250))
    service_id = counter.notes.peer["service_id"]
    assert outcome == Outcome(
        Verdict.APPROVED,
        evidence=Evidence.ANSWER,
        approved_amount=4250,
        at=virtual_loop().clock.now() // 1000 * 1000 + 5000,
        authorisation_code="7K2P19",
        brand="Testcard Debit",
        card_last4="0017",
        card_bin="999900",
        entry_mode=EntryMode.CONTACTLESS,
        verification=Verification.PIN,
        acquirer_reference="632511884210",
        receipts=Receipts("CUSTOMER\n", "SHOP\n"),
        handle={
            "poi_transaction_id": f"P-{service_id}",
            "poi_time_stamp": "2026-03-14T09:20:01Z",
            "poi_id": "T1-7",
            "sale_id": "tillwire",
        },
    )
    assert counter.poi.charged == {service_id: 1}


@every_binding
@virtual()
async def test_the_ids_are_journaled_before_a_byte_leaves(binding: str) -> None:
    counter = await counter_with(binding)
    journaled: dict[str, str] = {}

    async def only_then(poi_: poi.Poi, message: wire.Message, send: poi.Send) -> None:
        journaled.update(counter.notes.peer)
        await approve()(poi_, message, send)

    counter.poi.will("Payment", only_then)
    transaction = payment(4250)
    await counter.run(transaction)
    sent = counter.poi.of("Payment")[0]
    assert journaled == {
        "service_id": sent.header.service_id,
        "sale_id": "tillwire",
        "poi_id": "T1-7",
        "category": "Payment",
        "requested": "4250",
        "refused": "",
    }
    assert isinstance(sent.body, PaymentRequest)
    assert sent.body.sale_data.sale_transaction_id.transaction_id == transaction.id
    assert sent.envelope is (binding != "http")


@virtual()
async def test_nothing_is_sent_when_the_ids_cannot_be_journaled() -> None:
    counter = await till()

    async def fail(_: object) -> None:
        raise JournalError("The disk is full.")

    with pytest.raises(JournalError):
        await counter.driver.run(payment(), fail)
    assert counter.poi.heard == []
    assert virtual_loop().network.links == []


@virtual()
async def test_service_ids_count_and_are_short() -> None:
    counter = await till()
    for _ in range(3):
        await counter.run(payment())
    ids = [each.header.service_id or "" for each in counter.poi.heard]
    assert [int(each, 36) - int(ids[0], 36) for each in ids] == [0, 1, 2]
    assert all(len(each) <= 10 and each.isalnum() for each in ids)


@virtual()
async def test_a_short_service_id_keeps_what_changes() -> None:
    counter = await till(longest_service_id=6)
    await counter.run(payment())
    await counter.run(payment())
    first, second = (each.header.service_id or "" for each in counter.poi.heard)
    assert (len(first), len(second)) == (6, 6)
    assert int(second, 36) == int(first, 36) + 1


# --- what the terminal says meanwhile -----------------------------------------------------------


@pytest.mark.parametrize("binding", ["tcp", "http"])
@virtual()
async def test_what_is_displayed_is_progress(binding: str) -> None:
    counter = await till(binding)
    counter.poi.will(
        "Payment",
        both(display("Waiting for card"), wait(2), display("Enter PIN"), wait(2), approve()),
    )
    outcome = await counter.run(payment())
    assert outcome.verdict is Verdict.APPROVED
    assert counter.notes.displays == ["Waiting for card", "Enter PIN"]
    assert counter.notes.started
    assert counter.poi.told == []  # no response was asked for


@virtual()
async def test_a_display_is_answered_if_that_is_asked_for() -> None:
    counter = await till()
    counter.poi.will("Payment", both(display("PIN", wants_response=True), wait(1), approve()))
    await counter.run(payment())
    (answer,) = counter.poi.told
    assert answer.header.message_type == "Response"
    assert (answer.header.device_id, answer.header.service_id) == (
        "d1",
        counter.notes.peer["service_id"],
    )
    assert answer.body == devices.DisplayResponse(
        output_result=(
            devices.OutputResult(
                device="CashierDisplay", info_qualify="Status", response=Response(result="Success")
            ),
        )
    )


@virtual()
async def test_a_journal_that_cannot_note_a_display_does_not_cost_the_answer() -> None:
    counter = await till()
    counter.poi.will("Payment", both(display("PIN"), approve()))

    async def progress(sign: Any) -> None:
        if sign.display:
            raise JournalError("The disk is full.")

    outcome = await counter.driver.run(payment(), progress)
    assert outcome.verdict is Verdict.APPROVED


ASKED: Final = {
    "Input": devices.InputRequest(
        input_data=devices.InputData(
            device="CashierInput", info_qualify="Input", input_command="GetConfirmation"
        )
    ),
    "Print": devices.PrintRequest(
        print_output=msgspec.convert(
            {
                "DocumentQualifier": "CashierReceipt",
                "ResponseMode": "PrintEnd",
                "OutputContent": {"OutputFormat": "Text", "OutputText": [{"Text": "x"}]},
            },
            type=devices.PrintOutput,
        )
    ),
    "Sound": devices.SoundRequest(sound_action="StartSound", response_mode="Immediate"),
    "CardReaderInit": devices.CardReaderInitRequest(),
    "CardReaderPowerOff": devices.CardReaderPowerOffRequest(),
    "CardReaderAPDU": devices.CardReaderAPDURequest(
        apdu_class="00", apdu_instruction="A4", apdu_par1="04", apdu_par2="00"
    ),
    "PIN": devices.PINRequest(pin_request_type="PINEnter"),
    "Transmit": devices.TransmitRequest(
        destination_address="host:1", maximum_transmit_time=5, message="AAAA"
    ),
}


@pytest.mark.parametrize("category", ASKED)
@virtual()
async def test_what_a_till_does_not_have_is_refused_and_the_payment_goes_on(category: str) -> None:
    counter = await till()
    ask = poi.say(lambda message: poi.device_message(message, ASKED[category]))
    counter.poi.will("Payment", both(ask, wait(1), approve()))
    outcome = await counter.run(payment())
    assert outcome.verdict is Verdict.APPROVED
    (answer,) = counter.poi.told
    body = answer.body
    response = body.input_result.response if category == "Input" else body.response  # type: ignore[union-attr]
    assert answer.header.message_category == category
    assert (response.result, response.error_condition) == ("Failure", "UnavailableDevice")


@virtual()
async def test_what_belongs_to_somebody_else_is_dropped() -> None:
    counter = await till()

    def of_another(message: wire.Message) -> wire.Message:
        header = msgspec.structs.replace(message.header, service_id="another")
        return wire.Message(header=wire.response_header(header), body=poi.approval(message))

    def to_another(message: wire.Message) -> wire.Message:
        header = msgspec.structs.replace(message.header, sale_id="another")
        return wire.Message(header=wire.response_header(header), body=poi.approval(message))

    def from_another(message: wire.Message) -> wire.Message:
        header = msgspec.structs.replace(message.header, poi_id="another")
        return wire.Message(header=wire.response_header(header), body=poi.approval(message))

    counter.poi.will(
        "Payment",
        both(
            *(poi.say(each) for each in (of_another, to_another, from_another)),
            poi.say(_display_of_another),
            wait(5),
            poi.fail("Refusal"),
        ),
    )
    outcome = await counter.run(payment())
    assert outcome.verdict is Verdict.DECLINED
    assert counter.notes.displays == []


def _display_of_another(message: wire.Message) -> wire.Message:
    header = msgspec.structs.replace(message.header, service_id="another")
    other = wire.Message(header=header, body=message.body)
    shown = msgspec.convert(
        {
            "DisplayOutput": [
                {
                    "Device": "CashierDisplay",
                    "InfoQualify": "Status",
                    "OutputContent": {"OutputFormat": "Text", "OutputText": [{"Text": "x"}]},
                }
            ]
        },
        type=devices.DisplayRequest,
    )
    return poi.device_message(other, shown)


@virtual()
async def test_a_terminal_that_rejects_what_a_display_was_answered_goes_on_paying() -> None:
    """One that knows only of payments that have ended would seem to know of nothing."""
    counter = await till()
    rejected = poi.event("Reject", device_id="d1")
    shown = display("PIN", wants_response=True)
    counter.poi.will("Payment", both(shown, wait(1), rejected, wait(5), approve()))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


@pytest.mark.parametrize("kind", ["CardInserted", "SaleAdmin", "Completed", "Invented"])
@virtual()
async def test_events_do_not_end_a_payment(kind: str) -> None:
    counter = await till()
    counter.poi.will("Payment", both(poi.event(kind), wait(3), approve()))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


@pytest.mark.parametrize(
    "octets", [b"{}", b"no json", b"[]", b'{"SaleToPOIResponse":{}}', b"\xff\xfe", b'{"a":1}']
)
@virtual()
async def test_what_cannot_be_read_is_waited_past(octets: bytes) -> None:
    counter = await till()
    garbage = poi.say(lambda _: framing.frame(octets))
    counter.poi.will("Payment", both(garbage, wait(3), approve()))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


@virtual()
async def test_garbage_without_an_end_is_not_listened_to_for_ever() -> None:
    counter = await till()
    garbage = poi.say(lambda _: framing.frame(b"{}") * 200)
    counter.poi.will("Payment", both(garbage, wait(3), approve()))
    with pytest.raises(AnswerLost, match="100 messages cannot be read"):
        await counter.run(payment())


@pytest.mark.parametrize("times", [100, 101])
@virtual()
async def test_a_hundred_messages_may_be_unreadable(times: int) -> None:
    counter = await till()

    def of_another_and_bad(message: wire.Message) -> bytes:
        header = msgspec.structs.replace(message.header, service_id="another")
        answer = wire.Message(header=wire.response_header(header), body=poi.approval(message))
        return framing.frame(wire.encode(answer).replace(b"42.50", b'"a lot"')) * times

    counter.poi.will("Payment", both(poi.say(of_another_and_bad), wait(3), approve()))
    if times == 100:
        assert (await counter.run(payment(4250))).verdict is Verdict.APPROVED
    else:
        with pytest.raises(AnswerLost, match="100 messages cannot be read"):
            await counter.run(payment(4250))


@pytest.mark.parametrize("binding", ["tcp", "held"])
@virtual()
async def test_what_could_not_be_read_is_told_with_the_loss(binding: str) -> None:
    counter = await counter_with(binding)
    octets = b'{"MessageHeader":{}}'
    garbage = poi.say(lambda _: framing.frame(octets) if binding == "tcp" else octets)
    counter.poi.will("Payment", both(garbage, poi.hang_up) if binding == "tcp" else garbage)
    with pytest.raises(AnswerLost, match="What came before cannot be read"):
        await counter.run(payment())


@virtual()
async def test_a_loss_of_its_own_is_told_alone() -> None:
    counter = await till()
    counter.poi.will("Payment", poi.hang_up)
    with pytest.raises(AnswerLost, match=r"has closed the connection\.\Z"):
        await counter.run(payment())


@pytest.mark.parametrize("octets", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"HTTP/1.1 200 OK\r\n\r\n"])
@virtual()
async def test_a_stream_that_is_not_nexo_loses_the_answer(octets: bytes) -> None:
    counter = await till()
    counter.poi.will("Payment", both(poi.say(lambda _: octets), wait(3), approve()))
    with pytest.raises(AnswerLost):
        await counter.run(payment())


@virtual()
async def test_an_answer_before_a_broken_frame_counts() -> None:
    counter = await till()

    def answer_and_rubbish(message: wire.Message) -> bytes:
        counter.poi.charge(message)
        answer = wire.Message(
            header=wire.response_header(message.header), body=poi.approval(message)
        )
        return framing.frame(wire.encode(answer)) + b"\0\0\0\0"

    counter.poi.will("Payment", poi.say(answer_and_rubbish))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


@virtual()
async def test_displays_without_an_end_are_told_within_limits() -> None:
    counter = await till()
    counter.poi.will("Payment", both(*(display(f"{n}") for n in range(600)), wait(1), approve()))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert len(counter.notes.displays) == 500


# --- what counts ----------------------------------------------------------------------------------


@every_binding
@pytest.mark.parametrize(
    ("condition", "verdict", "cause"),
    [
        ("Refusal", Verdict.DECLINED, None),
        ("WrongPIN", Verdict.DECLINED, None),
        ("InvalidCard", Verdict.DECLINED, None),
        ("PaymentRestriction", Verdict.DECLINED, None),
        ("Cancel", Verdict.CANCELLED, Cause.CARDHOLDER),
        ("Aborted", Verdict.CANCELLED, Cause.TILL),
    ],
)
@virtual()
async def test_an_explicit_failure_ends_it(
    binding: str, condition: str, verdict: Verdict, cause: Cause | None
) -> None:
    counter = await counter_with(binding)
    counter.poi.will("Payment", poi.fail(condition, words="Insufficient funds (51)."))
    outcome = await counter.run(payment())
    assert (outcome.verdict, outcome.cause, outcome.approved_amount) == (verdict, cause, 0)
    assert (outcome.reason, outcome.response_code) == ("Insufficient funds", "51")
    assert counter.poi.of("TransactionStatus") == []


@virtual()
async def test_what_was_approved_is_what_counts_when_it_is_less() -> None:
    counter = await till()
    counter.poi.will("Payment", amounts("Partial", authorized_amount=Decimal("30.00")))
    outcome = await counter.run(payment(4250))
    assert (outcome.verdict, outcome.approved_amount) == (Verdict.APPROVED, 3000)


@virtual()
async def test_a_tip_at_the_terminal_comes_on_top() -> None:
    counter = await till()
    counter.poi.will(
        "Payment", amounts(authorized_amount=Decimal("44.50"), tip_amount=Decimal("2.00"))
    )
    outcome = await counter.run(payment(4250))
    assert (outcome.approved_amount, outcome.tip) == (4450, 200)


@virtual()
async def test_a_tip_that_was_agreed_at_the_till_is_part_of_the_amount() -> None:
    counter = await till()
    outcome = await counter.run(payment(4250, terms=Terms(tip=250)))
    assert (outcome.approved_amount, outcome.tip) == (4250, 0)


WRONG: Final[dict[str, Any]] = {
    "more than asked": amounts(authorized_amount=Decimal("42.51")),
    "more than asked, as a tip agreed at the till": amounts(
        authorized_amount=Decimal("45.00"), tip_amount=Decimal("2.50")
    ),
    "nothing": amounts(authorized_amount=Decimal(0)),
    "another currency": amounts(currency="USD"),
    "more decimals than there are": amounts(authorized_amount=Decimal("42.505")),
    "no amount": approve(payment_result=None),
    "no amount in the result": approve(payment_result=PaymentResult(payment_type="Normal")),
    "no sale": approve(sale_data=None),
    "no result that is known": approve(response=Response(result="Maybe")),
}


@every_binding
@pytest.mark.parametrize("wrong", WRONG)
@virtual()
async def test_a_success_that_does_not_fit_is_no_outcome(binding: str, wrong: str) -> None:
    counter = await counter_with(binding)
    counter.poi.will("Payment", WRONG[wrong])
    with pytest.raises(AnswerLost):
        await counter.run(payment(4250, terms=Terms(tip=250)))


@virtual()
async def test_a_success_of_another_sale_is_no_outcome() -> None:
    counter = await till()

    async def of_another(poi_: poi.Poi, message: wire.Message, send: poi.Send) -> None:
        body = message.body
        assert isinstance(body, PaymentRequest)
        named = msgspec.structs.replace(
            body.sale_data.sale_transaction_id, transaction_id="of yesterday"
        )
        data = msgspec.structs.replace(body.sale_data, sale_transaction_id=named)
        await approve(sale_data=data)(poi_, message, send)

    counter.poi.will("Payment", of_another)
    with pytest.raises(AnswerLost, match="of yesterday"):
        await counter.run(payment())


@virtual()
async def test_an_answer_of_ours_that_cannot_be_read_is_lost_at_once() -> None:
    counter = await till()

    def with_a_bad_amount(message: wire.Message) -> bytes:
        answer = wire.Message(
            header=wire.response_header(message.header), body=poi.approval(message)
        )
        return framing.frame(wire.encode(answer).replace(b"42.50", b'"a lot"'))

    counter.poi.will("Payment", poi.say(with_a_bad_amount))
    with pytest.raises(AnswerLost, match="AuthorizedAmount"):
        await counter.run(payment(4250))
    assert virtual_loop().time() < 1


def transaction_in(currency: str, minor: int) -> Transaction:
    made = payment(minor)
    return msgspec.structs.replace(
        made, amount=msgspec.structs.replace(made.amount, currency=currency)
    )


@pytest.mark.parametrize(
    ("currency", "minor", "text"),
    [("EUR", 5, b"0.05"), ("JPY", 1200, b"1200"), ("KWD", 1001, b"1.001")],
)
@virtual()
async def test_amounts_are_exact_in_every_currency(currency: str, minor: int, text: bytes) -> None:
    counter = await till()
    outcome = await counter.run(transaction_in(currency, minor))
    assert outcome.approved_amount == minor
    sent = wire.encode(counter.poi.heard[0])
    assert b'"RequestedAmount":%b' % text in sent
