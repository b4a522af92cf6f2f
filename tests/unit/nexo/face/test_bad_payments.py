"""Payments that are refused before anything is sent: what is wrong, where, and what is allowed."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.nexo.face.lanes import (
    SALE,
    SETTINGS,
    VISA,
    Json,
    desk_in,
    ended,
    payment,
    poi_id_of,
    response_in,
    reversal,
    sandbox_in,
    words,
)
from tillwire.core.estate_model import Lifecycle

AMOUNTS = "At SaleToPOIRequest.PaymentRequest.PaymentTransaction.AmountsReq, field "
SALE_ID = "At SaleToPOIRequest.PaymentRequest.SaleData.SaleTransactionID, field TransactionID"
CARD_NUMBER = "4111111111111111"
"""A well-known test number."""


def _named(name: str) -> Json:
    return {"SaleTransactionID": {**SALE, "TransactionID": name}}


def refused(folder: Path, body: Json, category: str = "Payment") -> Json:
    """The answer to a message that reaches no terminal."""
    answers: list[Json] = []

    @virtual()
    async def scenario() -> None:
        async with desk_in(folder) as desk:
            desk.driver.at_once = VISA
            lane = desk.lane()
            answers.append(response_in(await lane.send(category, body), category))
            await asyncio.sleep(60)
            assert desk.driver.ran == [], "nothing is sent"
            repeated = await lane.post(category, body, ServiceID="1")
            assert ended(response_in(repeated))[1] in ("NotAllowed", "MessageFormat")
            assert desk.driver.ran == []

    scenario()
    return answers[0]


@pytest.mark.parametrize(
    ("amounts", "field", "allowed"),
    [
        ({"RequestedAmount": 0}, "RequestedAmount", "more than 0"),
        ({"RequestedAmount": Decimal("12.505")}, "RequestedAmount", "at most 2 decimals"),
        ({"RequestedAmount": -1}, "RequestedAmount", "from 0 to"),
        ({"RequestedAmount": 100_000_000}, "RequestedAmount", "99999999.999999"),
        ({"RequestedAmount": "a lot"}, "RequestedAmount", "number"),
        ({"RequestedAmount": None}, "RequestedAmount", ""),
        ({"RequestedAmount": {"Value": 1}}, "RequestedAmount", "number"),
        ({"Currency": "EURO"}, "Currency", "three capital letters"),
        ({"Currency": "eur"}, "Currency", "three capital letters"),
        ({"Currency": "XYZ"}, "Currency", "ISO 4217"),
        ({"Currency": None}, "Currency", ""),
        ({"TipAmount": Decimal("0.001")}, "TipAmount", "at most 2 decimals"),
        ({"TipAmount": 13}, "TipAmount", "up to 12.50"),
        ({"CashBackAmount": Decimal("12.51")}, "CashBackAmount", "up to 12.50"),
        ({"CashBackAmount": 10, "TipAmount": 3}, "CashBackAmount", "up to 12.50"),
        ({"CashBackAmount": -1}, "CashBackAmount", "from 0 to"),
    ],
)
def test_a_bad_amount(tmp_path: Path, amounts: Json, field: str, allowed: str) -> None:
    answer = refused(tmp_path, payment("12.50", amounts=amounts))
    assert ended(answer) == ("Failure", "MessageFormat")
    told = words(answer)
    assert told.startswith(AMOUNTS + field)
    assert allowed in told


def test_all_of_the_amount_may_be_cash_and_tip(tmp_path: Path) -> None:
    @virtual()
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            desk.driver.at_once = VISA
            paid = await desk.lane().pay(amounts={"CashBackAmount": 10, "TipAmount": 2.5})
            assert ended(paid) == ("Success", None)

    scenario()


@pytest.mark.parametrize("kind", ["Refund", "CashAdvance", "FirstReservation"])
@pytest.mark.parametrize("part", ["CashBackAmount", "TipAmount"])
def test_parts_that_a_payment_type_does_not_have(tmp_path: Path, kind: str, part: str) -> None:
    answer = refused(tmp_path, payment("12.50", kind, amounts={part: 1}))
    assert ended(answer) == ("Failure", "MessageFormat")
    assert f"field {part}: A {kind} has none" in words(answer)


def test_another_currency_than_the_terminals(tmp_path: Path) -> None:
    answer = refused(tmp_path, payment(amounts={"Currency": "USD"}))
    assert ended(answer) == ("Failure", "UnavailableService")
    assert words(answer) == "Currency: this terminal is paid in EUR, not in USD."


# --- TransactionID ----------------------------------------------------------------------------


UUID = "0b7f5a1e-3b0e-4a0a-8d5c-4c4d3f1b9e10"


@pytest.mark.parametrize("name", [UUID, "x" * 256, "x" * 1000])
def test_a_transaction_id_of_36_characters_gets_90001(tmp_path: Path, name: str) -> None:
    """The trap of source 003: a raw UUID."""
    answer = refused(tmp_path, payment(sale=_named(name)))
    assert ended(answer) == ("Failure", "MessageFormat")
    told = words(answer)
    assert told.startswith(f"{SALE_ID}: It has {len(name)} characters (90001)")
    assert "at most 35" in told
    assert "without its hyphens" in told
    assert "Nothing was sent" in told
    assert answer["SaleData"]["SaleTransactionID"]["TransactionID"] == name


def test_a_transaction_id_of_35_characters_is_fine(tmp_path: Path) -> None:
    @virtual()
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            desk.driver.at_once = VISA
            paid = await desk.lane().pay(sale=_named("x" * 35))
            assert ended(paid) == ("Success", None)

    scenario()


def test_the_limit_is_a_setting(tmp_path: Path) -> None:
    @virtual()
    async def scenario() -> None:
        longer = msgspec.structs.replace(SETTINGS, longest_transaction_id=36)
        async with desk_in(tmp_path, longer) as desk:
            desk.driver.at_once = VISA
            assert ended(await desk.lane().pay(sale=_named("x" * 36))) == ("Success", None)
            assert "90001" in words(await desk.lane().pay(sale=_named("x" * 37), header=_number(2)))

    def _number(number: int) -> Json:
        return {"ServiceID": str(number)}

    scenario()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (CARD_NUMBER, "card number"),
        (f"T {CARD_NUMBER}", "card number"),
        ("4111 1111 1111 1111", "card number"),
        ("T\n42", "control characters"),
        ("T\u202e42", "control characters"),
        ("", "Too short"),
    ],
)
def test_a_transaction_id_that_cannot_be_kept(tmp_path: Path, name: str, problem: str) -> None:
    answer = refused(tmp_path, payment(sale=_named(name)))
    assert ended(answer) == ("Failure", "MessageFormat")
    assert words(answer).startswith(SALE_ID)
    assert problem in words(answer)


_CARD = {"TransactionID": CARD_NUMBER, "TimeStamp": SALE["TimeStamp"]}


@pytest.mark.parametrize(
    "body",
    [
        payment(sale=_named(CARD_NUMBER)),
        payment(sale={"SaleTransactionID": {**SALE, "TimeStamp": CARD_NUMBER}}),
        payment(sale={"SaleReferenceID": CARD_NUMBER}),
        payment(sale={"OperatorID": CARD_NUMBER}),
        payment(sale={"ShiftNumber": CARD_NUMBER}),
        payment(sale={"SaleTerminalData": {"TotalsGroupID": CARD_NUMBER}}),
        payment(kind="Refund", original=CARD_NUMBER),
        payment(data={"CardAcquisitionReference": _CARD}),
        payment(amounts={"Currency": "XYZ"}, sale=_named(CARD_NUMBER)),
        payment(amounts={"RequestedAmount": -1}, sale=_named(CARD_NUMBER)),
    ],
)
def test_no_card_number_is_kept_of_what_a_till_writes(tmp_path: Path, body: Json) -> None:
    answer = refused(tmp_path, body)
    assert ended(answer)[0] == "Failure"
    for file in tmp_path.iterdir():
        if file.is_file():
            assert CARD_NUMBER.encode() not in file.read_bytes(), file.name


def test_no_card_number_is_kept_of_a_reversal(tmp_path: Path) -> None:
    answer = refused(tmp_path, reversal(CARD_NUMBER), "Reversal")
    assert ended(answer) == ("Failure", "MessageFormat")
    assert all(CARD_NUMBER.encode() not in each.read_bytes() for each in tmp_path.glob("*.db*"))


def test_no_card_number_is_kept_as_the_time_of_an_original(tmp_path: Path) -> None:
    @virtual()
    async def scenario() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            lane = sandbox.lane()
            stamped = {"TransactionID": poi_id_of(await lane.pay()), "TimeStamp": CARD_NUMBER}
            body = {**reversal("1"), "OriginalPOITransaction": {"POITransactionID": stamped}}
            answer = response_in(await lane.send("Reversal", body))
            assert ended(answer) == ("Failure", "MessageFormat")
            assert "TimeStamp" in words(answer)

    scenario()
    assert all(CARD_NUMBER.encode() not in each.read_bytes() for each in tmp_path.glob("*.db*"))


# --- what is not served -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["CashDeposit", "Recurring", "Instalment", "IssuerInstalment", "PaidOut", "", "normal", "X"],
)
def test_payment_types_that_are_not_served(tmp_path: Path, kind: str) -> None:
    answer = refused(tmp_path, payment(kind=kind))
    assert ended(answer) == ("Failure", "UnavailableService")
    assert "Served: Normal, Refund" in words(answer)


_TOKEN = {
    "PaymentInstrumentType": "Card",
    "CardData": {"PaymentToken": {"TokenRequestedType": "Customer", "TokenValue": "tok-1"}},
}


@pytest.mark.parametrize(
    ("special", "member"),
    [
        ({"data": {"PaymentInstrumentData": _TOKEN}}, "PaymentInstrumentData"),
        ({"data": {"Instalment": {"InstalmentType": "EqualInstalments"}}}, "Instalment"),
        ({"data": {"CustomerOrder": {"CustomerOrderID": "o-1"}}}, "CustomerOrder"),
        ({"amounts": {"PaidAmount": 5}}, "PaidAmount"),
        (
            {"transaction": {"TransactionConditions": {"LoyaltyHandling": "Required"}}},
            "LoyaltyHandling",
        ),
        (
            {"transaction": {"TransactionConditions": {"ForceEntryMode": ["Keyed"]}}},
            "ForceEntryMode",
        ),
        (
            {
                "sale": {
                    "SponsoredMerchant": [
                        {
                            "MerchantName": "Sub",
                            "MerchantCountry": "NL",
                            "MerchantCategoryCode": "5411",
                        }
                    ]
                }
            },
            "SponsoredMerchant",
        ),
        ({"original": "P0000018841"}, "OriginalPOITransaction"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    tmp_path: Path, special: dict[str, Any], member: str
) -> None:
    answer = refused(tmp_path, payment(**special))
    assert ended(answer) == ("Failure", "UnavailableService")
    assert words(answer).startswith(member)


@pytest.mark.parametrize("kind", ["UpdateReservation", "Completion"])
def test_what_must_follow_another_payment_says_which(tmp_path: Path, kind: str) -> None:
    answer = refused(tmp_path, payment(kind=kind))
    assert ended(answer) == ("Failure", "MessageFormat")
    assert "OriginalPOITransaction: Missing" in words(answer)
    assert "SaleReferenceID" in words(answer), "the other way to say it"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "OriginalPOITransaction"),
        ({**reversal("1"), "OriginalPOITransaction": {}}, "POITransactionID: Missing"),
        ({**reversal("1"), "ReversedAmount": 0}, "ReversedAmount: It is 0"),
        ({**reversal("1"), "ReversedAmount": -1}, "ReversedAmount"),
    ],
)
def test_a_bad_reversal(tmp_path: Path, body: Json, problem: str) -> None:
    answer = refused(tmp_path, body, "Reversal")
    assert ended(answer) == ("Failure", "MessageFormat")
    assert problem in words(answer)


@virtual()
async def test_a_reversed_amount_with_too_many_decimals(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.at_once = VISA
        paid = await lane.pay()
        original = paid["POIData"]["POITransactionID"]["TransactionID"]
        answer = await lane.reverse(original, "1.005")
        assert ended(answer) == ("Failure", "MessageFormat")
        assert "at most 2 decimals" in words(answer)
        assert len(desk.driver.ran) == 1


# --- the terminal -----------------------------------------------------------------------------


@virtual()
async def test_a_terminal_that_is_not_in_service(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        terminal = desk.engine.estate.terminals["t1"]
        await desk.put(msgspec.structs.replace(terminal, lifecycle=Lifecycle.CREATED))
        answer = await desk.lane().pay()
        assert ended(answer) == ("Failure", "UnavailableDevice")
        assert "not ACTIVATED" in words(answer)


@virtual()
async def test_a_terminal_that_waits_for_its_device_has_no_poi_id(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        terminal = desk.engine.estate.terminals["t1"]
        lane = msgspec.structs.replace(terminal, id="t9", serial="", lifecycle=Lifecycle.CREATED)
        await desk.put(lane)
        for poi_id in ("V1", "V1-"):
            assert ended(await desk.lane("LANE-09", poi_id).pay())[0] == "Failure"
        assert desk.driver.ran == []


@virtual()
async def test_a_payment_that_the_terminal_cannot_do(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        capabilities = desk.driver.capabilities
        desk.driver.capabilities = msgspec.structs.replace(capabilities, types=frozenset())
        assert ended(await desk.lane().pay()) == ("Failure", "UnavailableService")
