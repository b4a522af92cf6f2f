"""Cards before their payment, balances, updates: CardAcquisition, EnableService, BalanceInquiry,
Admin."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kit.runner import virtual
from tests.unit.core.scripted import approved
from tests.unit.nexo.face.lanes import (
    PATIENCE,
    SALE,
    Desk,
    Json,
    Lane,
    desk_in,
    ended,
    payment,
    poi_id_of,
    response_in,
    sandbox_in,
    texts_of,
    words,
)
from tests.unit.nexo.face.test_desk import output
from tests.unit.nexo.face.test_logins import log_in
from tillwire.core.errands import (
    Ability,
    AskBalance,
    Balance,
    CardRead,
    ErrandFailed,
    ReadCard,
    Show,
    Trouble,
    Update,
)
from tillwire.core.model import EntryMode, TransactionType
from tillwire.core.ports import Capabilities
from tillwire.dialects.nexo.face import enabling
from tillwire.money import Money
from tillwire.virtual.memory import SetScript
from tillwire.virtual.script import Script

CARD = CardRead("c-1", "VISA", "0119", "476173", EntryMode.CONTACTLESS)


async def acquire(lane: Lane, sale: Json | None = None, **transaction: Any) -> Json:
    body = {
        "SaleData": {"SaleTransactionID": SALE, **(sale or {})},
        "CardAcquisitionTransaction": transaction,
    }
    return response_in(await lane.send("CardAcquisition", body), "CardAcquisition")


async def enable(lane: Lane, *services: str, **special: Any) -> Json:
    body = {"TransactionAction": "StartTransaction", "ServicesEnabled": list(services), **special}
    return response_in(await lane.send("EnableService", body), "EnableService")


async def disable(lane: Lane) -> Json:
    body = {"TransactionAction": "AbortTransaction"}
    return response_in(await lane.send("EnableService", body), "EnableService")


async def balance(lane: Lane, **account: Any) -> Json:
    body = {"PaymentAccountReq": account}
    return response_in(await lane.send("BalanceInquiry", body), "BalanceInquiry")


async def admin(lane: Lane, identification: str | None = None) -> Json:
    body = {"ServiceIdentification": identification}
    return response_in(await lane.send("Admin", body), "Admin")


def referring(card: Json) -> Json:
    """What refers to a card that was read."""
    return {"CardAcquisitionReference": card["POIData"]["POITransactionID"]}


# --- card acquisition -------------------------------------------------------------------------


@virtual()
async def test_a_card_is_read_and_then_pays(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        read = await acquire(lane, {"SaleReferenceID": "R-7"}, TotalAmount=Decimal("12.50"))
        assert ended(read) == ("Success", None)
        assert read["SaleData"] == {"SaleTransactionID": SALE, "SaleReferenceID": "R-7"}
        assert read["POIData"]["POITransactionID"]["TimeStamp"].endswith("Z")
        card = read["PaymentInstrumentData"]
        assert card["PaymentInstrumentType"] == "Card"
        assert card["CardData"]["EntryMode"] == ["Contactless"]
        masked = card["CardData"]["MaskedPAN"]
        assert len(masked) == 16
        assert masked[6:12] == "******"
        assert read["PaymentBrand"] == [card["CardData"]["PaymentBrand"]]
        assert texts_of(lane.told) == ["Present card"], "the cashier sees what the customer sees"

        paid = await lane.pay("12.50", data=referring(read))
        assert ended(paid) == ("Success", None)
        used = paid["PaymentResult"]["PaymentInstrumentData"]["CardData"]
        assert used["MaskedPAN"] == masked
        assert await sandbox.charged() == [("PURCHASE", 1250, True)]


@virtual()
async def test_the_terminal_is_told_the_amount_in_the_stores_currency(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.errand_end = CARD
        lane = desk.lane()
        await acquire(lane, TotalAmount=Decimal("12.5"))
        await acquire(lane)
        assert desk.driver.errands == [ReadCard(Money(1250, "EUR")), ReadCard(None)]
        wrong = await acquire(lane, TotalAmount=Decimal("12.505"))
        assert ended(wrong) == ("Failure", "MessageFormat")
        assert "CardAcquisitionTransaction, field TotalAmount" in words(wrong)


@virtual()
async def test_a_till_without_a_cashiers_display_is_told_nothing_meanwhile(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await acquire(lane, {"SaleTerminalData": {"SaleCapabilities": ["PrinterReceipt"]}})
        assert lane.told == []


@pytest.mark.parametrize(
    ("special", "condition"),
    [
        ({"ForceEntryMode": ["Contactless"]}, "UnavailableService"),
        ({"LoyaltyHandling": "Required"}, "UnavailableService"),
    ],
)
def test_what_no_terminal_can_be_told_is_refused(
    tmp_path: Path, special: Json, condition: str
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            refused = await acquire(desk.lane(), **special)
            assert ended(refused) == ("Failure", condition)
            assert next(iter(special)) in words(refused)
            assert refused["SaleData"] == {"SaleTransactionID": SALE}
            assert desk.driver.errands == []

    play()


@virtual()
async def test_a_reference_that_is_too_long_reads_no_card(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        sale = {"SaleTransactionID": {**SALE, "TransactionID": "x" * 36}}
        refused = await acquire(desk.lane(), sale)
        assert ended(refused) == ("Failure", "MessageFormat")
        assert "90001" in words(refused)
        assert desk.driver.errands == []


@pytest.mark.parametrize(
    ("trouble", "condition"),
    [(Trouble.CANCELLED, "Cancel"), (Trouble.TIMED_OUT, "Cancel"), (Trouble.BROKEN, "DeviceOut")],
)
def test_a_card_that_was_not_read_is_remembered_as_such(
    tmp_path: Path, trouble: Trouble, condition: str
) -> None:
    @virtual()
    async def play() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            lane = sandbox.lane()
            await sandbox.shop.world.set_script("t1", SetScript(Script(trouble=trouble), 1))
            failed = await acquire(lane)
            assert ended(failed) == ("Failure", condition)
            assert poi_id_of(failed)
            asked = {"MessageReference": {"MessageCategory": "CardAcquisition", "ServiceID": "1"}}
            status = response_in(await lane.send("TransactionStatus", asked))
            repeated = status["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
            assert repeated["CardAcquisitionResponse"] == failed

    play()


@virtual()
async def test_a_card_that_was_read_is_told_again_after_a_restart(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        read = await acquire(sandbox.lane())
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        lane.number = 1
        status = await lane.status()
        repeated = status["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
        assert repeated["CardAcquisitionResponse"] == read


@virtual()
async def test_an_abort_takes_the_prompt_off_the_terminal(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.errand_end = end = asyncio.get_running_loop().create_future()
        lane = desk.lane()
        reading = asyncio.ensure_future(acquire(lane))
        await asyncio.wait_for(desk.driver.errand_begun.wait(), PATIENCE)
        assert await lane.abort("1", "CardAcquisition") is None
        aborted = await asyncio.wait_for(reading, PATIENCE)
        assert ended(aborted) == ("Failure", "Aborted")
        assert end.cancelled()


# --- a card that is read ahead of its sale --------------------------------------------------------


async def ahead(
    desk: Desk, *services: str, card: CardRead | None = CARD, lane: Lane | None = None
) -> Lane:
    """A lane for which a card was read ahead; None: nobody has presented one yet."""
    desk.driver.at_once = approved()
    lane = lane or desk.lane()
    desk.driver.errand_end = asyncio.get_running_loop().create_future() if card is None else card
    assert ended(await enable(lane, *services)) == ("Success", None)
    assert desk.driver.errands == [ReadCard()]
    await asyncio.sleep(1)
    desk.driver.errand_end = CardRead("c-2", "MAESTRO")
    return lane


def cards_paid(desk: Desk) -> list[str]:
    return [each.terms.card for each in desk.driver.ran]


@virtual()
async def test_the_card_that_was_read_ahead_pays(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = await ahead(desk, "Payment")
        assert ended(await lane.pay()) == ("Success", None)
        assert ended(await lane.pay()) == ("Success", None)
        assert cards_paid(desk) == ["c-1", ""], "one customer's card pays once"


@virtual()
async def test_the_card_that_was_read_ahead_is_acquired(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = await ahead(desk, "CardAcquisition", "Payment")
        assert poi_id_of(await acquire(lane)) == "c-1"
        assert poi_id_of(await acquire(lane)) == "c-2", "the next one is read anew"
        assert desk.driver.errands == [ReadCard(), ReadCard()]


@virtual()
async def test_a_service_that_was_not_enabled_does_not_get_the_card(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = await ahead(desk, "CardAcquisition", "Loyalty")
        await lane.pay()
        assert cards_paid(desk) == [""]


@virtual()
async def test_a_payment_before_any_card_asks_for_it(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = await ahead(desk, "Payment", card=None)
        other = desk.lane("LANE-02")
        assert ended(await other.pay()) == ("Failure", "Busy"), "the terminal is the first till's"
        assert ended(await lane.pay()) == ("Success", None)
        assert cards_paid(desk) == [""]


@virtual()
async def test_a_card_of_another_till_or_of_long_ago_does_not_pay(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = await ahead(desk, "Payment")
        other = desk.lane("LANE-02")
        await other.pay()
        await asyncio.sleep(enabling.KEPT)
        await lane.pay()
        assert cards_paid(desk) == ["", ""]


@virtual()
async def test_a_card_that_the_payment_names_counts_more(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = await ahead(desk, "Payment")
        named = {"TransactionID": "c-7", "TimeStamp": SALE["TimeStamp"]}
        await lane.pay(data={"CardAcquisitionReference": named})
        assert cards_paid(desk) == ["c-7"]


@pytest.mark.parametrize("card", [CARD, None], ids=["read", "waiting"])
def test_what_follows_a_payment_needs_no_card(tmp_path: Path, card: CardRead | None) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            desk.driver.at_once = approved()
            lane = desk.lane()
            paid = await lane.pay()
            await ahead(desk, "Payment", card=card, lane=lane)
            back = await lane.pay("12.50", kind="Refund", original=poi_id_of(paid))
            assert ended(back) == ("Success", None)
            assert cards_paid(desk) == ["", ""]

    play()


@pytest.mark.parametrize("card", [CARD, None], ids=["read", "waiting"])
@pytest.mark.parametrize("end", ["disable", "log_in", "log_out", "start_again"])
def test_reading_ahead_ends_when_the_customer_is_gone(
    tmp_path: Path, end: str, card: CardRead | None
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            lane = await ahead(desk, "Payment", card=card)
            waiting = desk.engine.errand_at("t1")
            assert waiting == (card is None)
            if end == "disable":
                assert ended(await disable(lane)) == ("Success", None)
            elif end == "log_in":
                assert ended(await log_in(lane)) == ("Success", None)
            elif end == "log_out":
                assert ended(response_in(await lane.send("Logout", {}))) == ("Success", None)
            else:
                desk.driver.errand_end = ErrandFailed(Trouble.CANCELLED)
                assert ended(await enable(lane, "Payment")) == ("Failure", "Cancel")
            assert not desk.engine.errand_at("t1"), "the terminal is free again"
            assert ended(await lane.pay()) == ("Success", None)
            assert cards_paid(desk) == [""]

    play()


@pytest.mark.parametrize("steps", range(10))
def test_reading_ahead_that_is_called_off_while_it_begins_leaves_the_terminal_free(
    tmp_path: Path, steps: int
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            lane = desk.lane()
            desk.driver.errand_end = asyncio.get_running_loop().create_future()
            body = {"TransactionAction": "StartTransaction", "ServicesEnabled": ["Payment"]}
            enabling_ = lane.begin("EnableService", body)
            for _ in range(steps):
                await asyncio.sleep(0)
            await lane.abort("1", "EnableService")
            told = ended(response_in(await asyncio.wait_for(enabling_, PATIENCE)))
            if told == ("Success", None):
                assert desk.engine.errand_at("t1")
                assert ended(await disable(lane)) == ("Success", None)
            else:
                assert told == ("Failure", "Aborted")
            assert not desk.engine.errand_at("t1")

    play()


@pytest.mark.parametrize("card", [CARD, None], ids=["read", "waiting"])
def test_a_payment_that_comes_again_leaves_the_next_customers_card_alone(
    tmp_path: Path, card: CardRead | None
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            desk.driver.at_once = approved()
            lane = desk.lane()
            assert ended(await lane.pay()) == ("Success", None)
            await ahead(desk, "Payment", card=card, lane=lane)
            again = await lane.pay(header={"ServiceID": "1"})
            assert ended(again) == ("Failure", "NotAllowed")
            assert "answered before" in words(again)
            assert desk.engine.errand_at("t1") == (card is None), "it is asked for as before"
            assert ended(await lane.pay()) == ("Success", None)
            assert cards_paid(desk) == ["", card.card if card else ""]

    play()


@virtual()
async def test_a_payment_that_comes_twice_at_once_is_paid_with_the_card_that_was_read(
    tmp_path: Path,
) -> None:
    async with desk_in(tmp_path) as desk:
        lane = await ahead(desk, "Payment")
        both = [lane.begin("Payment", payment(), ServiceID="7") for _ in range(2)]
        answers = [ended(response_in(await each))[0] for each in both]
        assert sorted(answers) == ["Failure", "Success"]
        assert cards_paid(desk) == ["c-1"]


@virtual()
async def test_ending_what_never_began_is_no_error(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        assert ended(await disable(desk.lane())) == ("Success", None)


@virtual()
async def test_the_customer_is_told_first(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.errand_end = CARD
        shown = output("Welcome")
        assert ended(await enable(desk.lane(), "Payment", DisplayOutput=shown)) == (
            "Success",
            None,
        )
        assert desk.driver.errands == [Show("Welcome"), ReadCard()]


@pytest.mark.parametrize(
    ("services", "special", "condition", "said"),
    [
        ([], {}, "MessageFormat", "field ServicesEnabled: Missing"),
        (["Payment", "Dance"], {}, "MessageFormat", "field ServicesEnabled[1]"),
        (["Loyalty"], {}, "UnavailableService", "Loyalty"),
        (["Payment"], {"TransactionAction": "Wait"}, "MessageFormat", "field TransactionAction"),
    ],
)
def test_what_cannot_be_enabled_is_refused(
    tmp_path: Path, services: list[str], special: Json, condition: str, said: str
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            refused = await enable(desk.lane(), *services, **special)
            assert ended(refused) == ("Failure", condition)
            assert said in words(refused)
            assert desk.driver.errands == []

    play()


@virtual()
async def test_a_terminal_that_reads_no_card_ahead_says_so(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.capabilities = Capabilities(types=frozenset(TransactionType))
        assert ended(await enable(desk.lane(), "Payment")) == ("Failure", "UnavailableService")
        assert ended(await acquire(desk.lane("LANE-02"))) == ("Failure", "UnavailableService")


@virtual()
async def test_a_terminal_that_pays_reads_no_card_ahead(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        paying = desk.lane("LANE-01").begin("Payment", payment())
        transaction = await desk.sent()
        assert ended(await enable(desk.lane("LANE-02"), "Payment")) == ("Failure", "Busy")
        desk.driver.answer(transaction, approved())
        await asyncio.wait_for(paying, PATIENCE)


# --- balance ----------------------------------------------------------------------------------


@virtual()
async def test_a_balance_is_asked_of_a_card_that_is_read(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        found = await balance(lane)
        assert ended(found) == ("Success", None)
        status = found["PaymentAccountStatus"]
        assert status["Currency"] == "EUR"
        assert status["CurrentBalance"] > 0
        assert status["PaymentInstrumentData"]["CardData"]["MaskedPAN"][6:12] == "******"
        assert texts_of(lane.told) == ["Present card"]


@virtual()
async def test_a_balance_is_asked_of_a_card_that_was_read(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        read = await acquire(lane)
        lane.told.clear()
        found = await balance(lane, AccountType="Default", **referring(read))
        card = found["PaymentAccountStatus"]["PaymentInstrumentData"]["CardData"]
        assert card["MaskedPAN"] == read["PaymentInstrumentData"]["CardData"]["MaskedPAN"]
        assert lane.told == [], "nobody presents a card again"
        unknown = {"TransactionID": "c-none", "TimeStamp": SALE["TimeStamp"]}
        failed = await balance(lane, CardAcquisitionReference=unknown)
        assert ended(failed) == ("Failure", "NotAllowed")


@virtual()
async def test_what_is_owed_on_a_card_is_told_in_words(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.errand_end = Balance(CARD, Money(-1250, "EUR"))
        found = await balance(desk.lane())
        assert found["PaymentAccountStatus"]["CurrentBalance"] == 0
        assert words(found) == "The balance is -12.50 EUR."
        assert desk.driver.errands == [AskBalance()]


@pytest.mark.parametrize(
    "body",
    [
        {"LoyaltyAccountReq": {}},
        {"PaymentAccountReq": {"AccountType": "Savings"}},
        {"PaymentAccountReq": {"PaymentInstrumentData": {"PaymentInstrumentType": "Card"}}},
    ],
)
def test_other_accounts_are_not_served(tmp_path: Path, body: Json) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            refused = response_in(await desk.lane().send("BalanceInquiry", body))
            assert ended(refused) == ("Failure", "UnavailableService")
            assert desk.driver.errands == []

    play()


# --- administration -----------------------------------------------------------------------------

MARKET_PAY = "<Request><Action>Update</Action><Timeout>5000</Timeout></Request>"


@pytest.mark.parametrize(
    ("identification", "what"),
    [
        (None, ""),
        ("UpdateParameters", "UpdateParameters"),
        ("TG9yZW0=", "TG9yZW0="),  # Base64, of something that is no XML
        (b64encode(MARKET_PAY.encode()).decode(), "Update"),
        (b64encode(f'<?xml version="1.0"?>\n{MARKET_PAY}'.encode()).decode(), "Update"),
        (b64encode(b"<Request>\n <Action> update\n </Action></Request>").decode(), "Update"),
    ],
)
def test_an_update_is_asked_for_in_the_makers_words(
    tmp_path: Path, identification: str | None, what: str
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            assert ended(await admin(desk.lane(), identification)) == ("Success", None)
            assert desk.driver.errands == [Update(what)]

    play()


@pytest.mark.parametrize(
    ("identification", "condition", "said"),
    [
        (b64encode(b"<Request><Action>Reboot</Action></Request>").decode(), None, "Reboot"),
        (b64encode(b"<Request/>").decode(), None, "none"),
        (b64encode(b"<Action>" + b"a" * 2900).decode(), None, "none"),
        ("x" * 4097, "MessageFormat", "field ServiceIdentification"),
    ],
)
def test_what_is_no_update_is_not_done(
    tmp_path: Path, identification: str, condition: str | None, said: str
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            refused = await admin(desk.lane(), identification)
            assert ended(refused) == ("Failure", condition or "UnavailableService")
            assert said in words(refused)
            assert desk.driver.errands == []

    play()


@virtual()
async def test_a_terminal_that_cannot_be_updated_says_so(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.capabilities = Capabilities(
            types=frozenset(TransactionType), errands=frozenset(Ability) - {Ability.UPDATE}
        )
        assert ended(await admin(desk.lane(), "Update")) == ("Failure", "UnavailableService")


# --- training ---------------------------------------------------------------------------------


@virtual()
async def test_in_training_no_card_is_read_and_nothing_is_updated(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        await log_in(lane, TrainingModeFlag=True)
        read = await acquire(lane)
        assert ended(read) == ("Success", None)
        assert read["PaymentBrand"] == ["TRAINING"]
        assert ended(await lane.pay(data=referring(read))) == ("Success", None)
        assert ended(await enable(lane, "Payment")) == ("Success", None)
        assert ended(await balance(lane)) == ("Failure", "NotAllowed")
        done = await admin(lane, "Update")
        assert ended(done) == ("Success", None)
        assert "TRAINING" in words(done)
        assert desk.driver.errands == []
        assert desk.driver.ran == []
