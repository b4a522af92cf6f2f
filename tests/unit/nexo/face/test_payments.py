"""Payments: what a till sends, and what it gets, for every way in which one may end."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.core.scripted import DECLINED
from tests.unit.nexo.face.lanes import (
    PATIENCE,
    SALE,
    SETTINGS,
    VISA,
    Json,
    authorised,
    desk_in,
    ended,
    lines_of,
    log_in,
    payment,
    poi_id_of,
    response_in,
    sandbox_in,
    texts_of,
    words,
)
from tillwire.core.model import Cause, EntryMode, Outcome, TransactionType, Verdict, Verification
from tillwire.core.ports import CannotTell, Found, Sign
from tillwire.dialects.nexo.face.logins import Login
from tillwire.errors import AnswerLost, NotDelivered, Proof

_T = TransactionType


# --- the ordinary way -------------------------------------------------------------------------


@virtual()
async def test_a_payment_is_answered_with_all_that_a_till_needs(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.at_once = VISA
        answer = await lane.send("Payment", payment("12.50"))
        message = answer["SaleToPOIResponse"]
        assert message["MessageHeader"] == {
            "ProtocolVersion": "3.1",
            "MessageClass": "Service",
            "MessageCategory": "Payment",
            "MessageType": "Response",
            "ServiceID": "1",
            "SaleID": "LANE-07",
            "POIID": "V1-t1",
        }
        paid = message["PaymentResponse"]
        assert ended(paid) == ("Success", None)
        assert paid["SaleData"] == {"SaleTransactionID": SALE}, "the till's own id comes back"
        known = await desk.engine.find(poi_id_of(paid))
        assert known is not None
        assert (known.type, known.amount.minor, known.reference) == (_T.PURCHASE, 1250, "T-0042")
        assert (known.register, known.dialect) == ("LANE-07", "nexo")
        assert paid["POIData"]["POIReconciliationID"] == "1"
        result = paid["PaymentResult"]
        assert result["PaymentType"] == "Normal"
        assert result["AmountsResp"] == {"Currency": "EUR", "AuthorizedAmount": Decimal("12.50")}
        card = result["PaymentInstrumentData"]
        assert card["PaymentInstrumentType"] == "Card"
        assert card["CardData"] == {"PaymentBrand": "VISA", "MaskedPAN": "476173******0119"}
        acquirer = result["PaymentAcquirerData"]
        assert acquirer["ApprovalCode"] == "7K2P19"
        assert acquirer["MerchantID"] == "shop-m"
        assert acquirer["AcquirerTransactionID"]["TransactionID"] == "000481"


@virtual()
async def test_both_receipts_come_as_lines_of_text(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        paid = await sandbox.lane().pay("10.50")
        merchant, cardholder = paid["PaymentReceipt"]
        assert merchant["DocumentQualifier"] == "CashierReceipt"
        assert merchant["RequiredSignatureFlag"] is True, "the cardholder has to sign it"
        assert "Cardholder's signature:" in lines_of(merchant)
        assert cardholder["DocumentQualifier"] == "CustomerReceipt"
        assert cardholder["RequiredSignatureFlag"] is False
        text = lines_of(cardholder)
        assert text[0].strip() == "Corner Shop"
        assert "TOTAL          EUR 10.50" in text
        assert all(1 <= len(line) <= 24 for line in text)
        assert paid["PaymentResult"]["AuthenticationMethod"] == ["PaperSignature"]


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        (EntryMode.CONTACTLESS, "Contactless"),
        (EntryMode.CHIP, "ICC"),
        (EntryMode.SWIPE, "MagStripe"),
        (EntryMode.MANUAL, "Keyed"),
    ],
)
@pytest.mark.parametrize(
    ("verification", "method"),
    [
        (Verification.PIN, ["OnlinePIN"]),
        (Verification.SIGNATURE, ["PaperSignature"]),
        (Verification.DEVICE, ["UnknownMethod"]),
        (Verification.NONE, None),
    ],
)
def test_how_the_card_was_read_and_its_holder_verified(
    tmp_path: Path, mode: EntryMode, name: str, verification: Verification, method: list[str] | None
) -> None:
    @virtual()
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            desk.driver.at_once = Outcome(
                Verdict.APPROVED,
                approved_amount=1250,
                brand="VISA",
                entry_mode=mode,
                verification=verification,
            )
            result = (await desk.lane().pay())["PaymentResult"]
            assert result["PaymentInstrumentData"]["CardData"]["EntryMode"] == [name]
            assert result.get("AuthenticationMethod") == method

    scenario()


@virtual()
async def test_what_a_till_says_of_a_sale_goes_to_the_terminal(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.at_once = VISA
        sale = {
            "OperatorID": "op-19",
            "ShiftNumber": "2",
            "SaleReferenceID": "FOLIO-1",
            "SaleTerminalData": {"TotalsGroupID": "GRP-A"},
        }
        conditions = {"TransactionConditions": {"CustomerLanguage": "DE"}}
        paid = await desk.lane().pay(
            amounts={"TipAmount": Decimal("2.5"), "CashBackAmount": Decimal(5)},
            sale=sale,
            transaction=conditions,
        )
        terms = desk.driver.ran[0].terms
        assert (terms.operator, terms.shift, terms.totals_group) == ("op-19", "2", "GRP-A")
        assert (terms.tip, terms.cash_back, terms.language) == (250, 500, "de")
        assert paid["SaleData"]["SaleReferenceID"] == "FOLIO-1" == terms.chain
        assert paid["PaymentResult"]["AmountsResp"] == {
            "Currency": "EUR",
            "AuthorizedAmount": Decimal("12.5"),
            "TipAmount": Decimal("2.5"),
            "CashBackAmount": Decimal(5),
        }


@virtual()
async def test_a_login_sets_the_defaults_of_the_session(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        await log_in(desk.engine, lane, Login(operator="op-1", shift="3", totals_group="G"))
        desk.driver.at_once = VISA
        await lane.pay()
        await lane.pay(sale={"OperatorID": "op-2"})
        first, second = (each.terms for each in desk.driver.ran)
        assert (first.operator, first.shift, first.totals_group) == ("op-1", "3", "G")
        assert (second.operator, second.shift) == ("op-2", "3")


@virtual()
async def test_a_card_that_was_read_before_is_named_to_the_terminal(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.at_once = VISA
        reference = {"TransactionID": "card-77", "TimeStamp": SALE["TimeStamp"]}
        await desk.lane().pay(data={"CardAcquisitionReference": reference})
        assert desk.driver.ran[0].terms.card == "card-77"


@virtual()
async def test_a_cash_advance_is_one(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.at_once = VISA
        paid = await desk.lane().pay(kind="CashAdvance")
        assert desk.driver.ran[0].type is _T.CASH_ADVANCE
        assert paid["PaymentResult"]["PaymentType"] == "CashAdvance"


# --- every ending of a virtual terminal -------------------------------------------------------

_ENDINGS: dict[int, tuple[str, str | None, str | None]] = {
    40: ("Failure", "Refusal", None),
    41: ("Failure", "Refusal", None),
    42: ("Failure", "Refusal", None),
    43: ("Failure", "Cancel", None),
    44: ("Failure", "Cancel", None),
    45: ("Partial", None, "5.22"),
    46: ("Success", None, "10.46"),
    48: ("Success", None, "10.48"),
    49: ("Success", None, "10.49"),
    50: ("Success", None, "10.50"),
    51: ("Success", None, "10.51"),
    52: ("Failure", "UnavailableDevice", None),
    53: ("Failure", "Refusal", None),
    54: ("Success", None, "11.59"),
    0: ("Success", None, "10.00"),
}


@pytest.mark.parametrize("ending", _ENDINGS)
def test_every_ending_is_answered_as_it_is(tmp_path: Path, ending: int) -> None:
    @virtual()
    async def scenario() -> None:
        result, condition, amount = _ENDINGS[ending]
        async with sandbox_in(tmp_path) as sandbox:
            lane = sandbox.lane()
            paid = await lane.pay(f"10.{ending:02}")
            assert ended(paid) == (result, condition)
            charged = [minor for _, minor, approved in await sandbox.charged() if approved]
            if amount is None:
                assert charged == []
                assert "POIReconciliationID" not in paid["POIData"]
                assert "AmountsResp" not in paid.get("PaymentResult", {})
            else:
                assert authorised(paid) == Decimal(amount)
                assert charged == [int(Decimal(amount) * 100)]
            told = await lane.status("1")
            repeated = told["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
            assert repeated["PaymentResponse"] == paid, "a status repeats it whole"

    scenario()


@virtual()
async def test_a_declined_payment_keeps_its_card_and_receipts(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        declined = await sandbox.lane().pay("10.41")
        assert words(declined) == "Insufficient funds (51)."
        assert "MaskedPAN" in declined["PaymentResult"]["PaymentInstrumentData"]["CardData"]
        assert len(declined["PaymentReceipt"]) == 2
        assert any("DECLINED" in line for line in lines_of(declined["PaymentReceipt"][1]))
        assert poi_id_of(declined)


@virtual()
async def test_a_payment_that_no_terminal_processed_has_no_receipt(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        failed = await sandbox.lane().pay("10.52")
        assert words(failed) == "No money moved: the terminal refused the connection."
        assert "PaymentReceipt" not in failed
        assert "PaymentResult" not in failed
        assert poi_id_of(failed)


@virtual()
async def test_a_tip_added_on_the_terminal_is_told(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        amounts = (await sandbox.lane().pay("20.54"))["PaymentResult"]["AmountsResp"]
        assert amounts == {
            "Currency": "EUR",
            "AuthorizedAmount": Decimal("22.59"),
            "TipAmount": Decimal("2.05"),
        }


@virtual()
async def test_a_currency_conversion_is_told(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        paid = await sandbox.lane().pay("10.51")
        (conversion,) = paid["PaymentResult"]["CurrencyConversion"]
        assert conversion == {
            "CustomerApprovedFlag": True,
            "ConvertedAmount": {"AmountValue": Decimal("11.40"), "Currency": "USD"},
            "Rate": Decimal("1.0850"),
            "Markup": Decimal("3.00"),
        }
        assert authorised(paid) == Decimal("10.51"), "the shop gets its own currency"


@virtual()
async def test_a_partial_approval_is_refused_where_the_settings_do_not_want_it(
    tmp_path: Path,
) -> None:
    strict = msgspec.structs.replace(SETTINGS, partial_approval=False)
    async with sandbox_in(tmp_path, strict) as sandbox:
        assert ended(await sandbox.lane().pay("10.45")) == ("Failure", "Refusal")


@virtual()
async def test_cash_back_allows_no_partial_approval(tmp_path: Path) -> None:
    """Nobody could tell how much cash to pay out."""
    async with sandbox_in(tmp_path) as sandbox:
        paid = await sandbox.lane().pay("10.45", amounts={"CashBackAmount": Decimal(5)})
        assert ended(paid) == ("Failure", "Refusal")


@virtual()
async def test_an_outcome_that_only_a_person_can_tell_is_waited_for(tmp_path: Path) -> None:
    """Ending 47: the terminal has charged the card, and lost its memory."""
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        paying = lane.begin("Payment", payment("10.47"))
        await asyncio.sleep(60)
        assert not paying.done()
        assert ended(await lane.status("1")) == ("Failure", "InProgress")
        holder = sandbox.shop.engine.open_transaction("t1")
        assert holder is not None
        await sandbox.shop.engine.decide(
            holder.id, Verdict.APPROVED, person="Ada", reason="It is on the acquirer's list."
        )
        assert ended(response_in(await paying)) == ("Success", None)
        assert await sandbox.charged() == [("PURCHASE", 1047, True)]


# --- how an outcome becomes Result and ErrorCondition ------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "condition"),
    [
        (DECLINED, "Refusal"),
        (Outcome(Verdict.DECLINED, response_code="55"), "WrongPIN"),
        (Outcome(Verdict.DECLINED, response_code="75"), "WrongPIN"),
        (Outcome(Verdict.DECLINED, response_code="91"), "UnreachableHost"),
        (Outcome(Verdict.DECLINED, response_code="92"), "UnreachableHost"),
        (Outcome(Verdict.DECLINED, response_code="96"), "UnreachableHost"),
        (Outcome(Verdict.DECLINED), "Refusal"),
        (Outcome(Verdict.CANCELLED, cause=Cause.CARDHOLDER), "Cancel"),
        (Outcome(Verdict.CANCELLED, cause=Cause.NO_CARD), "Cancel"),
        (Outcome(Verdict.CANCELLED), "Cancel"),
        (Outcome(Verdict.CANCELLED, cause=Cause.TILL), "Aborted"),
        (NotDelivered("no", Proof.CONNECT_REFUSED), "UnavailableDevice"),
        (NotDelivered("no", Proof.REFUSED_BY_PEER), "UnavailableDevice"),
    ],
)
def test_why_a_payment_failed(tmp_path: Path, outcome: Outcome | Exception, condition: str) -> None:
    @virtual()
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            desk.driver.at_once = outcome
            paid = await desk.lane().pay()
            assert ended(paid) == ("Failure", condition)
            assert words(paid)

    scenario()


# --- while it runs ----------------------------------------------------------------------------


@virtual()
async def test_the_cashier_sees_what_the_terminal_shows(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        progress = await desk.driver.begun(transaction)
        await progress(Sign(started=True, display="Present card"))
        await progress(Sign(display="PIN\nEUR 12.50"))
        desk.driver.answer(transaction, VISA)
        assert ended(response_in(await paying)) == ("Success", None)
        assert texts_of(lane.told) == ["Present card", "PIN\nEUR 12.50"]
        header = lane.told[0]["SaleToPOIRequest"]["MessageHeader"]
        assert header["MessageClass"] == "Device"
        assert header["ServiceID"] == "1", "it is part of the payment's dialogue"
        device_ids = [each["SaleToPOIRequest"]["MessageHeader"]["DeviceID"] for each in lane.told]
        assert len(set(device_ids)) == 2
        assert all(1 <= len(each) <= 10 and each.isalnum() for each in device_ids)
        output = lane.told[0]["SaleToPOIRequest"]["DisplayRequest"]["DisplayOutput"][0]
        assert (output["Device"], output["ResponseRequiredFlag"]) == ("CashierDisplay", False)


@pytest.mark.parametrize(
    ("capabilities", "shown"),
    [
        (("CashierStatus", "PrinterReceipt"), True),
        (("CashierDisplay",), True),
        (("PrinterReceipt",), False),
        (("CashierError",), False),
        (None, True),
    ],
)
def test_a_till_is_shown_only_what_it_says_it_can_show(
    tmp_path: Path, capabilities: tuple[str, ...] | None, shown: bool
) -> None:
    @virtual()
    async def scenario() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            lane = sandbox.lane()
            await log_in(sandbox.shop.engine, lane, Login(capabilities=capabilities))
            await lane.pay("10.49")
            assert bool(texts_of(lane.told)) == shown

    scenario()


@virtual()
async def test_a_message_may_say_what_its_till_can_show(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        said = {"SaleTerminalData": {"SaleCapabilities": ["PrinterReceipt"]}}
        await lane.pay("10.49", sale=said)
        assert lane.told == []


@virtual()
async def test_an_unknown_outcome_is_not_answered_but_the_cashier_is_told(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        desk.driver.found = [CannotTell("still unknown"), CannotTell("still unknown"), Found(VISA)]
        desk.driver.answer(transaction, AnswerLost("gone"))
        await asyncio.sleep(2)
        assert not paying.done(), "nobody knows yet whether the card was charged"
        (text,) = texts_of(lane.told, "Error")
        assert "Do not pay again" in text
        assert ended(response_in(await paying)) == ("Success", None)
        assert len(texts_of(lane.told, "Error")) == 1, "once is enough"


@virtual()
async def test_a_payment_goes_on_without_its_till(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        before = len(asyncio.all_tasks())
        paying.cancel()
        await asyncio.wait({paying})
        assert len(asyncio.all_tasks()) < before, "nobody waits any more"
        assert desk.dialogues.at("t1") == []
        assert ended(await lane.status("1")) == ("Failure", "InProgress")
        desk.driver.answer(transaction, VISA)
        await desk.engine.wait(transaction.id, lambda each: each.is_final, PATIENCE)
        told = await lane.status("1")
        repeated: Json = told["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
        assert ended(repeated["PaymentResponse"]) == ("Success", None)


# --- one service dialogue at a time -----------------------------------------------------------


@virtual()
async def test_a_second_payment_of_the_same_till_is_not_allowed(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        second = await lane.pay("3.00")
        assert ended(second) == ("Failure", "NotAllowed")
        assert "dialogue is in progress" in words(second)
        desk.driver.answer(transaction, VISA)
        assert ended(response_in(await paying)) == ("Success", None)
        assert len(desk.driver.ran) == 1


@virtual()
async def test_a_payment_of_another_till_finds_the_terminal_busy(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        paying = desk.lane("LANE-07").begin("Payment", payment())
        transaction = await desk.sent()
        refused = await desk.lane("LANE-08").pay("3.00")
        assert ended(refused) == ("Failure", "Busy")
        assert "new ServiceID" in words(refused)
        desk.driver.answer(transaction, VISA)
        await paying
        desk.driver.at_once = VISA
        assert ended(await desk.lane("LANE-09").pay()) == ("Success", None)


@virtual()
async def test_an_unknown_payment_blocks_the_terminal_and_says_what_to_do(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        desk.driver.found = [CannotTell("memory lost", needs_person=True)]
        desk.driver.answer(await desk.sent(), AnswerLost("gone"))
        await asyncio.sleep(5)
        refused = await desk.lane("LANE-08").pay()
        assert ended(refused) == ("Failure", "Busy")
        assert "not known yet" in words(refused)
        assert "decide" in words(refused)
        paying.cancel()


@virtual()
async def test_two_tills_that_race_for_a_terminal_pay_once(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lanes = [sandbox.lane(f"LANE-{number}") for number in range(5)]
        answers = await asyncio.gather(*(lane.pay("10.00") for lane in lanes))
        assert sorted(map(ended, answers), key=str) == [
            *[("Failure", "Busy")] * 4,
            ("Success", None),
        ]
        assert len(await sandbox.charged()) == 1


@virtual()
async def test_a_terminal_that_fetches_is_waited_for(tmp_path: Path) -> None:
    async with desk_in(tmp_path, pull=True) as desk:
        lane = desk.lane()
        paid = await lane.pay()
        assert ended(paid) == ("Failure", "Aborted"), "it was not fetched in time"
        assert "never sent" in words(paid)
