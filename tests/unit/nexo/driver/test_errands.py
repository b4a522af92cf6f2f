"""Errands on a nexo terminal: what is asked, what comes of it, and how it is called off."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tests.unit.nexo.driver import poi
from tests.unit.nexo.driver.poi import Act, Poi, Send, fail
from tests.unit.nexo.driver.till import Till, payment, till
from tillwire.core.entries import Entry
from tillwire.core.errands import (
    Ability,
    Answer,
    Ask,
    AskBalance,
    AskLast,
    Balance,
    CardRead,
    Count,
    Counted,
    Errand,
    ErrandFailed,
    Print,
    Question,
    ReadCard,
    Result,
    Show,
    Trouble,
    Update,
)
from tillwire.core.model import EntryMode, Terms, TransactionType, Verdict
from tillwire.core.totals import TotalsKind, TotalsRow
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire import Body, Message, services
from tillwire.dialects.nexo.wire.shared import SaleData, TransactionIdentification
from tillwire.errors import AnswerLost, NotDelivered, PeerError
from tillwire.money import Money

SUCCESS: Final = {"Result": "Success"}
ALL: Final = ["display", "print", "input", "totals", "reconciliation"]
BINDINGS: Final[dict[str, dict[str, Any]]] = {
    "tcp": {"binding": "tcp"},
    "held": {"binding": "held", "tls": False},
    "http": {"binding": "http", "extra_resources": ALL},
}
every_binding = pytest.mark.parametrize("binding", BINDINGS)
INSTRUMENT: Final = {
    "PaymentInstrumentType": "Card",
    "CardData": {"PaymentBrand": "VISA", "MaskedPAN": "411111******1111", "EntryMode": ["ICC"]},
}


def answer(**members: Any) -> Act:
    """Answer with a body of these members."""

    async def act(there: Poi, message: Message, send: Send) -> None:
        kind = wire.KIND[message.header.message_category, "Response"]
        body: Body = msgspec.convert(members, type=kind)
        await send(Message(header=wire.response_header(message.header), body=body))

    return act


def shown(**response: Any) -> Act:
    result = {"Device": "CustomerDisplay", "InfoQualify": "Display", "Response": response}
    return answer(OutputResult=[result])


def typed(**given: Any) -> Act:
    result = {"Device": "CustomerInput", "InfoQualify": "Input", "Response": SUCCESS}
    return answer(InputResult={**result, "Input": given} if given else result)


async def perform(counter: Till, errand: Errand, tell: Any = lambda text: None) -> Result:
    return await counter.driver.perform(errand, tell)


def last_sent(counter: Till) -> Any:
    """The last request, as JSON has it."""
    return msgspec.json.decode(wire.encode(counter.poi.heard[-1], flat=True))


@every_binding
@virtual()
async def test_a_text_is_shown(binding: str) -> None:
    counter = await till(**BINDINGS[binding])
    counter.poi.will("Display", shown(Result="Success"))
    assert await perform(counter, Show("Thank you\nCome again", seconds=5)) is None
    sent = last_sent(counter)
    header = sent["MessageHeader"]
    assert header["MessageClass"] == "Device"
    assert "ServiceID" not in header
    assert 1 <= len(header["DeviceID"]) <= 10
    (output,) = sent["DisplayRequest"]["DisplayOutput"]
    assert (output["Device"], output["MinimumDisplayTime"]) == ("CustomerDisplay", 5)
    lines = [each["Text"] for each in output["OutputContent"]["OutputText"]]
    assert lines == ["Thank you", "Come again"]


@virtual()
async def test_a_device_request_may_carry_both_ids() -> None:
    counter = await till(device_service_id=True)
    counter.poi.will("Display", shown(Result="Success"))
    await perform(counter, Show("Hello"))
    header = last_sent(counter)["MessageHeader"]
    assert header["ServiceID"] == header["DeviceID"]


@every_binding
@virtual()
async def test_a_text_is_printed(binding: str) -> None:
    counter = await till(**BINDINGS[binding])
    counter.poi.will("Print", answer(DocumentQualifier="Document", Response=SUCCESS))
    assert await perform(counter, Print("VOUCHER\n\nEUR 5", signature=True)) is None
    output = last_sent(counter)["PrintRequest"]["PrintOutput"]
    assert (output["ResponseMode"], output["RequiredSignatureFlag"]) == ("PrintEnd", True)
    lines = [each["Text"] for each in output["OutputContent"]["OutputText"]]
    assert lines == ["VOUCHER", " ", "EUR 5"]


@pytest.mark.parametrize(
    ("ask", "given", "result"),
    [
        (Ask(Question.ANY_KEY, "Go on?"), {}, Answer(confirmed=True)),
        (
            Ask(Question.CONFIRM, "Agreed?"),
            {"InputCommand": "GetConfirmation", "ConfirmedFlag": True},
            Answer(confirmed=True),
        ),
        (
            Ask(Question.CONFIRM, "Agreed?"),
            {"InputCommand": "GetConfirmation", "ConfirmedFlag": False},
            Answer(),
        ),
        (
            Ask(Question.TEXT, "Name?", longest=20),
            {"InputCommand": "TextString", "TextInput": "Ann"},
            Answer(text="Ann"),
        ),
        (
            Ask(Question.DIGITS, "Table?", shortest=1, longest=2),
            {"InputCommand": "DigitString", "DigitInput": "07"},
            Answer(text="07"),
        ),
        (
            Ask(Question.DECIMAL, "Litres?", decimals=2),
            {"InputCommand": "DecimalString", "DigitInput": "3.50"},
            Answer(text="3.50"),
        ),
        (
            Ask(Question.PASSWORD, "Password?"),
            {"InputCommand": "Password", "Password": "1234"},
            Answer(text="1234"),
        ),
        (
            Ask(Question.FUNCTION_KEY, "F1 or F2?"),
            {"InputCommand": "GetFunctionKey", "FunctionKey": "2"},
            Answer(choice=2, text="2"),
        ),
        (
            Ask(Question.CHOICE, "Copy?", choices=("Yes", "No")),
            {"InputCommand": "GetMenuEntry", "MenuEntryNumber": [2]},
            Answer(choice=2),
        ),
    ],
)
@virtual()
async def test_a_question_is_answered(ask: Ask, given: Any, result: Answer) -> None:
    counter = await till()
    counter.poi.will("Input", typed(**given))
    assert await perform(counter, ask) == result
    data = last_sent(counter)["InputRequest"]["InputData"]
    command = given.get("InputCommand", "GetAnyKey")
    assert (data["Device"], data["InputCommand"]) == ("CustomerInput", command)
    assert data.get("MinLength", 0) == ask.shortest
    assert data.get("MaxLength", 0) == ask.longest
    assert data.get("MaxDecimalLength", 0) == ask.decimals
    assert data.get("MaskCharactersFlag", False) is (ask.question is Question.PASSWORD)


@virtual()
async def test_a_question_carries_all_that_it_has() -> None:
    counter = await till()
    counter.poi.will("Input", typed(InputCommand="GetMenuEntry", MenuEntryNumber=[1]))
    ask = Ask(Question.CHOICE, "Tip?", ("5 %", "10 %"), default="1", seconds=30, notice_card=True)
    await perform(counter, ask)
    sent = last_sent(counter)["InputRequest"]
    assert sent["InputData"]["MaxInputTime"] == 30
    assert sent["InputData"]["NotifyCardInputFlag"] is True
    assert sent["InputData"]["DefaultInputString"] == "1"
    entries = [each["OutputText"][0]["Text"] for each in sent["DisplayOutput"]["MenuEntry"]]
    assert entries == ["5 %", "10 %"]


@pytest.mark.parametrize("number", [[], [0], [-1], [3]])
@virtual()
async def test_an_entry_that_is_not_in_the_menu_is_no_answer(number: list[int]) -> None:
    counter = await till()
    counter.poi.will("Input", typed(InputCommand="GetMenuEntry", MenuEntryNumber=number))
    with pytest.raises(ErrandFailed) as failure:
        await perform(counter, Ask(Question.CHOICE, "Copy?", choices=("Yes", "No")))
    assert failure.value.trouble is Trouble.REFUSED


# --- cards ----------------------------------------------------------------------------------------


@every_binding
@virtual()
async def test_a_card_is_read_and_pays(binding: str) -> None:
    counter = await till(**BINDINGS[binding])
    read = {"TransactionID": "C-77", "TimeStamp": "2026-03-14T09:20:00Z"}
    counter.poi.will(
        "CardAcquisition",
        poi.both(
            poi.display("Insert card"),
            poi.wait(1),
            answer(
                Response=SUCCESS,
                POIData={"POITransactionID": read},
                PaymentInstrumentData=INSTRUMENT,
            ),
        )
        if binding != "held"
        else answer(
            Response=SUCCESS, POIData={"POITransactionID": read}, PaymentInstrumentData=INSTRUMENT
        ),
    )
    texts: list[str] = []
    card = await perform(counter, ReadCard(Money(4250, "EUR")), texts.append)
    assert card == CardRead("2026-03-14T09:20:00Z@C-77", "VISA", "1111", "411111", EntryMode.CHIP)
    assert texts == ([] if binding == "held" else ["Insert card"])
    asked = last_sent(counter)["CardAcquisitionRequest"]
    assert asked["CardAcquisitionTransaction"]["TotalAmount"] == 42.5
    outcome = await counter.run(payment(4250, terms=Terms(card=card.card)))
    assert outcome.verdict is Verdict.APPROVED
    assert last_sent(counter)["PaymentRequest"]["PaymentData"]["CardAcquisitionReference"] == read


@every_binding
@virtual()
async def test_a_balance_is_read(binding: str) -> None:
    counter = await till(**BINDINGS[binding])
    status = {
        "PaymentInstrumentData": INSTRUMENT,
        "CurrentBalance": Decimal("17.05"),
        "Currency": "EUR",
    }
    counter.poi.will("BalanceInquiry", answer(Response=SUCCESS, PaymentAccountStatus=status))
    balance = await perform(counter, AskBalance("2026-03-14T09:20:00Z@C-77"))
    assert isinstance(balance, Balance)
    assert balance.amount == Money(1705, "EUR")
    assert balance.card.card_last4 == "1111"
    asked = last_sent(counter)["BalanceInquiryRequest"]["PaymentAccountReq"]
    assert asked["CardAcquisitionReference"]["TransactionID"] == "C-77"


@virtual()
async def test_a_card_of_another_terminal_is_not_asked_about() -> None:
    counter = await till()
    with pytest.raises(NotDelivered, match="read it again"):
        await perform(counter, AskBalance("virtual-17"))
    assert counter.poi.heard == []


LACKING: Final[list[tuple[Errand, str, dict[str, Any]]]] = [
    (ReadCard(), "CardAcquisition", {}),
    (AskBalance(), "BalanceInquiry", {}),
    (
        AskBalance(),
        "BalanceInquiry",
        {"PaymentAccountStatus": {"CurrentBalance": Decimal(1), "Currency": "XXX"}},
    ),
    (
        Count(),
        "GetTotals",
        {
            "TransactionTotals": [
                {
                    "PaymentInstrumentType": "Card",
                    "PaymentTotals": [
                        {
                            "TransactionType": "Debit",
                            "TransactionCount": 1,
                            "TransactionAmount": Decimal(1),
                        }
                    ],
                }
            ]
        },
    ),
]


@pytest.mark.parametrize(("errand", "category", "members"), LACKING)
@virtual()
async def test_an_answer_that_lacks_what_it_must_have_is_a_failure(
    errand: Errand, category: str, members: dict[str, Any]
) -> None:
    counter = await till()
    counter.poi.will(category, answer(Response=SUCCESS, **members))
    with pytest.raises(ErrandFailed) as failure:
        await perform(counter, errand)
    assert failure.value.trouble is Trouble.REFUSED


# --- the terminal itself --------------------------------------------------------------------------


@every_binding
@virtual()
async def test_an_update_is_the_vendors_own(binding: str) -> None:
    counter = await till(**BINDINGS[binding])
    counter.poi.will("Admin", answer(Response=SUCCESS))
    assert await perform(counter, Update("UpdateParameters")) is None
    sent = last_sent(counter)["AdminRequest"]
    assert sent == {"ServiceIdentification": "UpdateParameters"}


TOTALS: Final = [
    {
        "PaymentInstrumentType": "Card",
        "CardBrand": "VISA",
        "PaymentCurrency": "EUR",
        "SaleID": "LANE-07",
        "OperatorID": "op-19",
        "ShiftNumber": "2",
        "TotalsGroupID": "GRP-A",
        "PaymentTotals": [
            {
                "TransactionType": "Debit",
                "TransactionCount": 14,
                "TransactionAmount": Decimal("512.4"),
            },
            {
                "TransactionType": "Award",
                "TransactionCount": 3,
                "TransactionAmount": Decimal("1.5"),
            },
            {
                "TransactionType": "ReverseDebit",
                "TransactionCount": 1,
                "TransactionAmount": Decimal(42),
            },
        ],
    }
]


@every_binding
@pytest.mark.parametrize("close", [False, True])
@virtual()
async def test_totals_are_counted(binding: str, close: bool) -> None:
    counter = await till(**BINDINGS[binding])
    category = "Reconciliation" if close else "GetTotals"
    counter.poi.will(
        category, answer(Response=SUCCESS, POIReconciliationID="317", TransactionTotals=TOTALS)
    )
    named = {
        "currency": "EUR",
        "brand": "VISA",
        "register": "LANE-07",
        "operator": "op-19",
        "shift": "2",
        "totals_group": "GRP-A",
    }
    assert await perform(counter, Count(close)) == Counted(
        (
            TotalsRow(TotalsKind.DEBIT, count=14, amount=51240, **named),
            TotalsRow(TotalsKind.REVERSE_DEBIT, count=1, amount=4200, **named),
        ),
        "317",
    )
    sent = last_sent(counter)[f"{category}Request"]
    assert sent == ({"ReconciliationType": "AcquirerSynchronisation"} if close else {})


@virtual()
async def test_a_period_may_be_closed_at_the_terminal_alone() -> None:
    counter = await till(reconciliation="SaleReconciliation")
    response = {"Result": "Partial", "ErrorCondition": "UnreachableHost"}
    counter.poi.will("Reconciliation", answer(Response=response, TransactionTotals=TOTALS))
    counted = await perform(counter, Count(close=True))
    assert isinstance(counted, Counted)
    assert len(counted.rows) == 2
    sent = last_sent(counter)["ReconciliationRequest"]
    assert sent == {"ReconciliationType": "SaleReconciliation"}


# --- the last transaction -----------------------------------------------------------------------


async def last_of(there: Poi, message: Message, send: Send) -> None:
    """Repeat what was done last."""
    known = list(there.done.values())[-1]
    body = poi.repeated(known)
    await send(Message(header=wire.response_header(message.header), body=body))


@every_binding
@virtual()
async def test_the_last_transaction_is_evidence(binding: str) -> None:
    counter = await till(**BINDINGS[binding])
    transaction = payment(4250)
    await counter.run(transaction)
    counter.poi.will("TransactionStatus", last_of)
    seen = await perform(counter, AskLast())
    assert isinstance(seen, Entry)
    assert seen.name == transaction.id
    assert (seen.outcome.verdict, seen.outcome.approved_amount) == (Verdict.APPROVED, 4250)
    assert (seen.type, seen.at) == (TransactionType.PURCHASE, seen.outcome.at)
    assert seen.at is not None
    assert last_sent(counter)["TransactionStatusRequest"] == {}


@virtual()
async def test_a_result_that_nobody_knows_is_no_approval() -> None:
    counter = await till()

    async def perhaps(there: Poi, message: Message, send: Send) -> None:
        body = list(there.done.values())[-1].body
        assert isinstance(body, services.PaymentResponse)
        response = msgspec.structs.replace(body.response, result="Perhaps")
        body = msgspec.structs.replace(body, response=response)
        there.done["last"] = Message(header=headed("Payment"), body=body)
        await last_of(there, message, send)

    await counter.run(payment(4250))
    counter.poi.will("TransactionStatus", perhaps)
    seen = await perform(counter, AskLast())
    assert isinstance(seen, Entry)
    assert (seen.verdict, seen.words) == ("UNKNOWN", "Perhaps")


@virtual()
async def test_what_is_reserved_in_all_is_not_what_was_added_last() -> None:
    """The protocol tells the whole of a reservation that was raised; the journal has the step."""
    counter = await till()

    async def raised(there: Poi, message: Message, send: Send) -> None:
        body = list(there.done.values())[-1].body
        assert isinstance(body, services.PaymentResponse)
        assert body.payment_result is not None
        result = msgspec.structs.replace(body.payment_result, payment_type="UpdateReservation")
        body = msgspec.structs.replace(body, payment_result=result)
        there.done["last"] = Message(header=headed("Payment"), body=body)
        await last_of(there, message, send)

    await counter.run(payment(4250))
    counter.poi.will("TransactionStatus", raised)
    seen = await perform(counter, AskLast())
    assert isinstance(seen, Entry)
    assert (seen.verdict, seen.type, seen.amount) == ("APPROVED", TransactionType.INCREMENT, None)
    assert seen.words == "42.50 EUR are reserved in all."


@virtual()
async def test_what_was_read_of_a_card_is_no_transaction_and_hides_none() -> None:
    """A terminal may count reading a card, and repeats that then."""
    counter = await till()
    read = services.CardAcquisitionResponse(
        response=poi.SUCCESS,
        sale_data=SaleData(
            sale_transaction_id=TransactionIdentification(
                transaction_id="r1", time_stamp="2026-11-20T09:12:40.310Z"
            )
        ),
    )
    counter.poi.done["r1"] = Message(header=headed("CardAcquisition"), body=read)
    counter.poi.will("TransactionStatus", last_of)
    with pytest.raises(ErrandFailed, match="CardAcquisition") as failure:
        await perform(counter, AskLast())
    assert failure.value.trouble is Trouble.REFUSED


@pytest.mark.parametrize(
    ("amount", "words"), [(Decimal("12.00"), "Reversed 12.00."), (None, "Reversed.")]
)
@virtual()
async def test_the_last_transaction_may_be_a_reversal(amount: Decimal | None, words: str) -> None:
    counter = await till()
    reversed_ = services.ReversalResponse(response=poi.SUCCESS, reversed_amount=amount)
    counter.poi.done["r1"] = Message(header=headed("Reversal"), body=reversed_)
    counter.poi.will("TransactionStatus", last_of)
    seen = await perform(counter, AskLast())
    assert isinstance(seen, Entry)
    assert seen.name == "r1"  # a reversal does not name its sale
    assert (seen.outcome.verdict, seen.outcome.reason) == (Verdict.APPROVED, words)
    assert seen.type is TransactionType.REVERSAL


def headed(category: str) -> wire.MessageHeader:
    """The header of what was answered last."""
    return wire.MessageHeader(
        message_class="Service",
        message_category=category,
        message_type="Response",
        service_id="r1",
        sale_id="tillwire",
        poi_id="T1-7",
    )


@virtual()
async def test_the_last_transaction_may_be_a_failure_or_none() -> None:
    counter = await till()
    assert await perform(counter, AskLast()) is None
    counter.poi.will("Payment", fail("Refusal"))
    await counter.run(payment())
    counter.poi.will("TransactionStatus", last_of)
    seen = await perform(counter, AskLast())
    assert isinstance(seen, Entry)
    assert seen.outcome.verdict is Verdict.DECLINED
    counter.poi.will("Payment", fail("UnavailableDevice"))
    lost = payment()
    with pytest.raises(PeerError):
        await counter.run(lost)
    counter.poi.will("TransactionStatus", last_of)
    seen = await perform(counter, AskLast())
    assert isinstance(seen, Entry)
    assert (seen.name, seen.verdict) == (lost.id, "UNKNOWN"), "it does remember one"
    assert seen.words == "Failure UnavailableDevice"
    nothing = {"Response": SUCCESS}
    counter.poi.will("TransactionStatus", answer(**nothing))
    assert await perform(counter, AskLast()) is None


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "trouble"),
    [
        ("Cancel", Trouble.CANCELLED),
        ("Aborted", Trouble.CANCELLED),
        ("InsertedCard", Trouble.CARD_INSERTED),
        ("DeviceOut", Trouble.BROKEN),
        ("UnavailableDevice", Trouble.BROKEN),
        ("Busy", Trouble.BUSY),
        ("InProgress", Trouble.BUSY),
        ("UnreachableHost", Trouble.UNREACHABLE),
        ("UnavailableService", Trouble.REFUSED),
        ("MessageFormat", Trouble.REFUSED),
        ("Invented", Trouble.REFUSED),
    ],
)
@virtual()
async def test_a_failure_has_its_trouble_and_its_words(condition: str, trouble: Trouble) -> None:
    counter = await till()
    counter.poi.will("CardAcquisition", fail(condition, words="paper out"))
    with pytest.raises(ErrandFailed) as failure:
        await perform(counter, ReadCard())
    assert failure.value.trouble is trouble
    assert "paper out" in str(failure.value)


@virtual()
async def test_the_failure_of_an_output_or_an_input_is_inside_its_result() -> None:
    counter = await till()
    failed = {"Result": "Failure", "ErrorCondition": "DeviceOut"}
    counter.poi.will("Display", shown(**failed))
    result = {"Device": "CustomerInput", "InfoQualify": "Input", "Response": failed}
    counter.poi.will("Input", answer(InputResult=result))
    for errand in (Show("x"), Ask(Question.TEXT, "x")):
        with pytest.raises(ErrandFailed) as failure:
            await perform(counter, errand)
        assert failure.value.trouble is Trouble.BROKEN


@every_binding
@virtual()
async def test_a_rejected_errand_is_refused(binding: str) -> None:
    counter = await till(**BINDINGS[binding])
    counter.poi.will("Admin", poi.event("Reject", details="no such service"))
    with pytest.raises(ErrandFailed, match="no such service") as failure:
        await perform(counter, Update())
    assert failure.value.trouble is Trouble.REFUSED


@pytest.mark.parametrize(("status", "trouble"), [(403, Trouble.BUSY), (404, Trouble.REFUSED)])
@virtual()
async def test_a_refused_post_is_busy_or_not_there(status: int, trouble: Trouble) -> None:
    counter = await till("http")
    counter.poi.will("Admin", poi.refuse_post(status))
    with pytest.raises(ErrandFailed) as failure:
        await perform(counter, Update())
    assert failure.value.trouble is trouble


@virtual()
async def test_who_is_not_logged_in_logs_in_and_asks_again() -> None:
    counter = await till()
    counter.poi.will("Admin", fail("LoggedOut"), answer(Response=SUCCESS))
    assert await perform(counter, Update()) is None
    kinds = [each.header.message_category for each in counter.poi.heard]
    assert kinds == ["Admin", "Login", "Admin"]


@virtual()
async def test_who_asks_what_was_done_last_does_not_log_in_first() -> None:
    """A terminal that is at work on a payment of which nobody can tell may drop it for a Login."""
    counter = await till(login="first")
    counter.poi.will("Admin", answer(Response=SUCCESS))
    assert await perform(counter, AskLast()) is None
    await perform(counter, Update())
    kinds = [each.header.message_category for each in counter.poi.heard]
    assert kinds == ["TransactionStatus", "Login", "Admin"]


@pytest.mark.parametrize("condition", ["LoggedOut", "NotAllowed"])
@virtual()
async def test_a_terminal_that_wants_a_login_first_gets_it_and_is_asked_again(
    condition: str,
) -> None:
    counter = await till(login="first")
    counter.poi.will("TransactionStatus", fail(condition), fail("NotFound"), fail("NotAllowed"))
    assert await perform(counter, AskLast()) is None
    with pytest.raises(ErrandFailed):  # it is logged in to: that is not the reason
        await perform(counter, AskLast())
    kinds = [each.header.message_category for each in counter.poi.heard]
    assert kinds == ["TransactionStatus", "Login", "TransactionStatus", "TransactionStatus"]


@virtual()
async def test_a_lost_errand_is_lost() -> None:
    counter = await till()
    counter.poi.will("Admin", poi.hang_up)
    with pytest.raises(AnswerLost):
        await perform(counter, Update())


# --- calling off ----------------------------------------------------------------------------------


@every_binding
@pytest.mark.parametrize(
    ("errand", "category", "aborts"),
    [
        (ReadCard(), "CardAcquisition", True),
        (Ask(Question.TEXT, "Name?"), "Input", True),
        (Update(), "Admin", False),
    ],
)
@virtual()
async def test_a_cancelled_errand_is_called_off(
    binding: str, errand: Errand, category: str, aborts: bool
) -> None:
    counter = await till(**BINDINGS[binding])
    counter.poi.will(category, poi.wait(1000))
    running = asyncio.create_task(perform(counter, errand))
    await asyncio.sleep(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(1)
    assert virtual_loop().time() < 5
    sent = counter.poi.of(category)[0].header
    if not aborts:
        assert counter.poi.of("Abort") == []
        return
    (abort,) = counter.poi.of("Abort")
    reference = abort.body.message_reference  # type: ignore[union-attr]
    assert reference is not None
    assert reference.message_category == category
    assert (reference.service_id, reference.device_id) == (sent.service_id, sent.device_id)


@virtual()
async def test_nobody_who_acts_is_not_waited_for_for_ever() -> None:
    counter = await till(outcome_seconds=30)
    counter.poi.will("CardAcquisition", poi.silent)
    with pytest.raises(ErrandFailed) as failure:
        await perform(counter, ReadCard())
    assert failure.value.trouble is Trouble.TIMED_OUT
    assert virtual_loop().time() == 30
    await asyncio.sleep(1)
    assert len(counter.poi.of("Abort")) == 1


@pytest.mark.parametrize(
    ("settings", "abilities"),
    [
        ({"binding": "tcp"}, set(Ability) - {Ability.REPRINT}),
        ({"binding": "held"}, set(Ability) - {Ability.REPRINT}),
        (
            {"binding": "http"},
            {Ability.READ_CARD, Ability.BALANCE, Ability.UPDATE, Ability.LAST},
        ),
        ({"binding": "http", "extra_resources": ALL}, set(Ability) - {Ability.REPRINT}),
    ],
)
@virtual()
async def test_what_the_binding_has_a_way_for(
    settings: dict[str, Any], abilities: set[Ability]
) -> None:
    assert Till(Poi(), **settings).driver.capabilities.errands == abilities


@virtual()
async def test_what_the_binding_has_no_way_for_is_not_sent() -> None:
    counter = await till("http")
    with pytest.raises(NotDelivered, match="no resource for a Reconciliation"):
        await perform(counter, Count(close=True))
