"""A register pays through the cloud: each type, its fields, and what it is told."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.kit.runner import virtual
from tests.unit.smartconnect.face.register import (
    ACCEPTED,
    AWAY,
    DELAYED,
    LANE,
    SECOND_LANE,
    Answer,
    RegisterUnderTest,
    cloud,
    words,
)
from tillwire.core.model import Request, State, Transaction, TransactionType, Verdict
from tillwire.core.occupancy import WhenBusy

MONEY = {
    "Card.Purchase": ("AmountTotal", TransactionType.PURCHASE),
    "Card.PurchasePlusCash": ("AmountTotal", TransactionType.PURCHASE),
    "Card.CashAdvance": ("AmountTotal", TransactionType.CASH_ADVANCE),
    "Card.Refund": ("AmountTotal", TransactionType.REFUND),
    "Card.Authorise": ("AmountAuth", TransactionType.PREAUTH),
    "QR.Merchant.Purchase": ("AmountTotal", TransactionType.PURCHASE),
    "QR.Consumer.Purchase": ("AmountTotal", TransactionType.PURCHASE),
    "QR.Refund": ("AmountTotal", TransactionType.REFUND),
}


def fields(kind: str, amount: str = "1250") -> dict[str, str]:
    cash = {"AmountCash": "250"} if kind == "Card.PurchasePlusCash" else {}
    return {MONEY[kind][0]: amount, **cash}


@virtual()
async def test_the_answer_to_a_transaction_is_an_envelope_that_is_pending(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        begun = (await register.begin(AmountTotal="1250")).json
        data, token = begun["data"], begun["merchantAccessToken"]
        assert list(begun) == [
            "transactionId",
            "transactionTimeStamp",
            "merchantId",
            "deviceId",
            "transactionStatus",
            "data",
            "merchantAccessToken",
        ]
        assert re.fullmatch(r"[0-9]{18}", begun["transactionTimeStamp"])
        assert re.fullmatch(r"[1-9][0-9]{9}", begun["deviceId"])
        assert data == {
            "Function": "Card.Purchase",
            "PosVendor": "TillCo",
            "PosRegisterID": "shop7-till2",
            "PosBusinessName": "Harbour Books",
            "AmountTotal": "1250",
            "DeviceID": begun["deviceId"],
            "PollingUrl": f"{there.url}/pos/transaction/{begun['transactionId']}"
            f"?merchantAccessToken={token}",
        }


@pytest.mark.parametrize("kind", MONEY)
def test_each_type_is_paid(tmp_path: Path, kind: str) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            register = await there.register().paired()
            begun = await register.begin(kind, **fields(kind))
            ended = await register.end(begun)
            data = ended["data"]
            assert words(data) == ACCEPTED
            assert (data["Function"], data["AmountTotal"]) == (kind, "1250")
            assert data["RequestId"] == ended["transactionId"] == begun.json["transactionId"]
            assert "merchantAccessToken" not in ended
            assert "PollingUrl" not in data
            (made,) = there.transactions()
            assert (made.type, made.amount.minor) == (MONEY[kind][1], 1250)
            assert await there.charged() == [1250]

    play()


_WHO = "POSRegisterID=shop7-till2&POSBusinessName=Harbour+Books&POSVendorName=TillCo"
_LITERAL = (
    "TransactionType=Card.Purchase&AmountTotal=1250",
    "TransactionType=Card.PurchasePlusCash&AmountTotal=1250&AmountCash=250",
    "TransactionType=Card.CashAdvance&AmountTotal=1250",
    "TransactionType=Card.Refund&AmountTotal=1250",
    "TransactionType=Card.Authorise&AmountAuth=1250&TransactionReference=room-12",
    "TransactionType=QR.Merchant.Purchase&AmountTotal=1250",
    "TransactionType=Card.Purchase&AmountTotal=1250&SaleData=%7B%22version%22%3A%221.0.0%22%2C"
    "%22saleData%22%3A%7B%22totalAmount%22%3A%2212.50%22%2C%22totalTax%22%3A%221.63%22%7D%7D",
    "TransactionType=Acquirer.Logon",
    "TransactionType=Acquirer.Settlement.Inquiry",
    "TransactionType=Terminal.GetStatus",
    "TransactionType=Journal.GetTransResult&POSReferenceID=7",
)
"""Octets of clients, in the order in which one of them pins its fields."""


@pytest.mark.parametrize("said", _LITERAL)
@pytest.mark.parametrize("blank", ["+", "%20"])
def test_a_clients_own_octets_are_taken(tmp_path: Path, said: str, blank: str) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            register = await there.register().paired()
            await register.do(AmountTotal="900")
            body = f"{_WHO}&TransactionMode=ASYNC&{said}".replace("+", blank).encode()
            answer = await there.form("POST", "/POS/Transaction", body)
            assert answer.status == 200, answer
            assert (await register.end(answer))["data"]["Result"] == "OK"

    play()


@virtual()
async def test_a_completed_answer_has_all_as_text(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        data = await register.do(AmountTotal="1254")  # with a tip
        assert all(isinstance(value, str) for value in data.values())
        (made,) = there.transactions()
        assert made.outcome is not None
        assert data["AmountTotal"] == str(made.approved_amount)
        assert int(data["AmountTotal"]) == 1254 + int(data["AmountTip"])
        assert int(data["AmountTip"]) > 0
        assert data["AmountSurcharge"] == "0"
        assert data["AuthId"] == made.outcome.authorisation_code
        assert data["TerminalRef"] == LANE.tid
        assert data["CardPan"] == f"....{made.outcome.card_last4}"
        assert data["CardType"] == made.outcome.brand
        assert re.fullmatch(r"[0-9]{14}", data["Timestamp"])
        assert max(map(len, data["Receipt"].split("\n"))) == 30
        for name in ("RequestTimestamp", "ResponseTimestamp"):
            assert re.fullmatch(r"[0-9]{18}", data[name])


@pytest.mark.parametrize("kind", MONEY)
@pytest.mark.parametrize("amount", ["", "0", "-5", "12.50", "1e3", "+5", "007", "٣", "1" * 16])
def test_illegal_amounts_are_refused_by_the_fields_name(
    tmp_path: Path, kind: str, amount: str
) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            register = await there.register().paired()
            answer = await register.ask(kind, **fields(kind, amount))
            assert answer.status == 400
            assert MONEY[kind][0] in answer.error
            assert there.transactions() == []

    play()


@virtual()
async def test_what_else_is_wrong_is_refused(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()

        async def refused(kind: str = "Card.Purchase", **said: str) -> str:
            answer = await register.ask(kind, **said)
            assert answer.status == 400, answer
            return answer.error

        assert "AmountCash" in await refused(
            "Card.PurchasePlusCash", AmountTotal="100", AmountCash="101"
        )
        assert "AmountCash" in await refused("Card.Purchase", AmountTotal="100", AmountCash="10")
        assert "TransactionType" in await refused("Card.Gamble", AmountTotal="100")
        assert "TransactionType" in await refused("", AmountTotal="100")
        assert "TransactionMode" in await refused(AmountTotal="100", TransactionMode="LATER")
        assert "TransactionReference" in await refused("Card.Finalise", AmountFinal="100")
        assert "SaleData" in await refused(AmountTotal="100", SaleData='{"version":"1.0.0"}')
        assert "PosNotificationCallbackUrl" in await refused(
            AmountTotal="100", PosNotificationCallbackUrl="http://10.0.0.1/told"
        )
        assert "card number" in await refused(
            AmountTotal="100", TransactionReference="4111111111111111"
        )
        assert there.transactions() == []


@virtual()
async def test_an_authorisation_is_finalised_by_its_reference_or_by_its_id(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()

        async def authorise(**said: str) -> str:
            ended = await register.end(await register.begin("Card.Authorise", **said))
            assert words(ended["data"]) == ACCEPTED
            name: str = ended["transactionId"]
            return name

        async def finalise(amount: str, reference: str) -> tuple[str, str] | int:
            said = {"AmountFinal": amount, "TransactionReference": reference}
            answer = await register.ask("Card.Finalise", **said)
            if answer.status != 200:
                return answer.status
            data = (await register.end(answer))["data"]
            assert (data["AmountFinal"], data["TransactionReference"]) == (amount, reference)
            return words(data)

        await authorise(AmountAuth="10000", TransactionReference="room-12")
        assert await finalise("8000", "room-12") == ACCEPTED
        assert await finalise("100", "room-12") == 400, "it is used up"
        unnamed = await authorise(AmountAuth="5000")
        assert await finalise("5001", unnamed) == 400
        assert await finalise("5000", unnamed.upper()) == ACCEPTED
        assert await finalise("100", "room-99") == 400
        for _ in range(2):
            await authorise(AmountAuth="3000", TransactionReference="twice")
        assert await finalise("100", "twice") == 400, "which of them is not said"
        assert [each.type for each in there.transactions() if each.amount.minor < 9000] == [
            TransactionType.CAPTURE,
            TransactionType.PREAUTH,
            TransactionType.CAPTURE,
            TransactionType.PREAUTH,
            TransactionType.PREAUTH,
        ]


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        ("1240", ("OK-DECLINED", "OK")),
        ("1243", ("CANCELLED", "CANCELLED")),
        ("1244", ("CANCELLED", "CANCELLED")),
        ("1246", ACCEPTED),
        ("1248", ACCEPTED),
        ("1249", ACCEPTED),
        ("1252", AWAY),
        ("1253", ("OK-DECLINED", "OK")),
    ],
)
def test_each_ending_is_told_in_the_clouds_words(
    tmp_path: Path, amount: str, told: tuple[str, str]
) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            register = await there.register().paired()
            data = await register.do(AmountTotal=amount)
            assert words(data) == told
            (made,) = there.transactions()
            moved = made.outcome is not None and made.outcome.verdict is Verdict.APPROVED
            assert (told == ACCEPTED) == moved
            assert await there.charged() == ([int(amount)] if moved else [])

    play()


@virtual()
async def test_what_nobody_knows_stays_pending_and_delayed_until_somebody_does(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path, token_seconds=86_400) as there:
        register = await there.register().paired()
        begun = await register.begin(AmountTotal="1247")
        for _ in range(20):
            await asyncio.sleep(600)
            answer = await there.get(begun.polling_url)
            assert answer.json["transactionStatus"] == "PENDING"
            assert words(answer.json["data"]) == DELAYED
        (made,) = there.transactions()
        assert made.state is State.UNKNOWN
        await there.gateway.engine.decide(
            made.id, Verdict.APPROVED, person="Ada", reason="It is on the acquirer's list."
        )
        await asyncio.sleep(2)
        assert words((await register.end(begun))["data"]) == ACCEPTED


@virtual()
async def test_a_terminal_with_something_to_do_is_busy_for_all_its_registers(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        first = await there.register("one").paired()
        second = await there.register("two").paired()
        begun = await first.begin(AmountTotal="1249")
        for kind, said in (
            ("Card.Purchase", {"AmountTotal": "1300"}),
            ("Terminal.GetStatus", {}),
            ("Journal.GetTransResult", {}),
        ):
            answer = await second.ask(kind, **said)
            assert (answer.status, answer.json) == (429, {"error": "device is busy"})
        assert (await first.ask(AmountTotal="1300")).status == 429
        await first.end(begun)
        assert len(there.transactions()) == 1
        assert words(await second.do(AmountTotal="1300")) == ACCEPTED


@virtual()
async def test_a_terminal_that_fetches_and_is_away_was_never_reached(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired("p1-0001")
        begun = await register.begin(AmountTotal="1250")
        assert (await there.get(begun.polling_url)).json["transactionStatus"] == "PENDING"
        await asyncio.sleep(31)
        assert words((await register.end(begun))["data"]) == AWAY
        (made,) = there.transactions()
        assert made.state is State.CANCELLED
        assert made.outcome is None


@virtual()
async def test_sale_data_is_echoed_and_names_the_sale(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        sale = json.dumps(
            {
                "version": "1.0.0",
                "saleData": {"totalAmount": "12.50", "totalTax": "1.63", "saleId": "S-1001"},
            }
        )
        data = await register.do(AmountTotal="1250", SaleData=sale)
        assert json.loads(data["SaleData"]) == json.loads(sale)
        (made,) = there.transactions()
        assert made.reference == "S-1001"
        again = await register.do("Journal.GetTransResult")
        assert "SaleData" not in again


# --- asked for twice --------------------------------------------------------------------------


@virtual()
async def test_the_same_again_while_it_is_unresolved_is_the_first_one(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        answers = await asyncio.gather(*(register.ask(AmountTotal="1249") for _ in range(5)))
        assert {each.status for each in answers} == {200}
        assert len({each.json["transactionId"] for each in answers}) == 1
        ended = [await register.end(each) for each in answers[:1]]
        assert words(ended[0]["data"]) == ACCEPTED
        assert await there.charged() == [1249]
        # Once it is resolved, the same again is another sale.
        other = await register.begin(AmountTotal="1249")
        assert other.json["transactionId"] != ended[0]["transactionId"]


@virtual()
async def test_the_same_again_after_a_lost_answer_is_the_first_one_also_when_nobody_knows(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        first = await register.begin(AmountTotal="1247")
        await asyncio.sleep(1000)
        assert (await there.get(first.polling_url)).error == "Token expired"
        again = await register.begin(AmountTotal="1247")
        assert again.json["transactionId"] == first.json["transactionId"]
        assert words((await there.get(again.polling_url)).json["data"]) == DELAYED
        # Also where the register has been moved meanwhile: the first sale may have been paid.
        await register.paired(SECOND_LANE.id)
        moved = await register.begin(AmountTotal="1247")
        assert moved.json["transactionId"] == first.json["transactionId"]
        assert len(there.transactions()) == 1
        # Another sale at the new terminal changes nothing of that.
        assert words(await register.do(AmountTotal="1100")) == ACCEPTED
        later = await register.begin(AmountTotal="1247")
        assert later.json["transactionId"] == first.json["transactionId"]
        assert await there.charged() == [1247, 1100]


@virtual()
async def test_of_two_at_once_the_second_is_the_first_one_also_when_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        engine, waits = there.gateway.engine, iter((5.0, 400.0))
        accept = engine.accept

        async def accept_late(request: Request, when_busy: WhenBusy) -> Transaction:
            await asyncio.sleep(next(waits))
            accepted = await accept(request, when_busy)
            await asyncio.sleep(100)
            return accepted

        monkeypatch.setattr(engine, "accept", accept_late)
        first, second = await asyncio.gather(*(register.ask(AmountTotal="1249") for _ in range(2)))
        assert (first.status, second.status) == (200, 200)
        assert first.json["transactionId"] == second.json["transactionId"]
        assert words((await register.end(second))["data"]) == ACCEPTED
        assert await there.charged() == [1249]


@virtual()
async def test_what_is_not_the_same_is_not_attached(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        one, two = await there.register("one").paired(), await there.register("two").paired()
        await one.begin(AmountTotal="1249")
        for register, kind, said in (
            (two, "Card.Purchase", {"AmountTotal": "1249"}),
            (one, "Card.Refund", {"AmountTotal": "1249"}),
            (one, "Card.Purchase", {"AmountTotal": "1250"}),
            (one, "Card.Purchase", {"AmountTotal": "1249", "TransactionReference": "r"}),
        ):
            assert (await register.ask(kind, **said)).status == 429
        assert len(there.transactions()) == 1


@virtual()
async def test_the_same_again_is_busy_where_it_shall_not_be_attached(tmp_path: Path) -> None:
    async with cloud(tmp_path, attach_identical=False) as there:
        register = await there.register().paired()
        await register.begin(AmountTotal="1249")
        assert (await register.ask(AmountTotal="1249")).status == 429


async def keyed(register: RegisterUnderTest, key: str, **said: str) -> Answer:
    """The answer to a purchase with a key."""
    return await register.ask("Card.Purchase", {"Idempotency-Key": key}, **said)


@virtual()
async def test_an_idempotency_key_charges_once(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        answers = await asyncio.gather(
            *(keyed(register, "sale-1", AmountTotal="1250") for _ in range(5))
        )
        assert {each.status for each in answers} == {200}
        first = answers[0].json["transactionId"]
        await register.end(answers[0])
        again = await keyed(register, "sale-1", AmountTotal="1250")
        assert again.json["transactionId"] == first
        await asyncio.sleep(2)
        assert words((await register.end(again))["data"]) == ACCEPTED
        assert await there.charged() == [1250]
        other = await keyed(register, "sale-1", AmountTotal="1300")
        assert (other.status, "Idempotency-Key" in other.error) == (422, True)
        assert (await keyed(register, "k" * 256, AmountTotal="1300")).status == 400
        # Another key is another sale, though all else is the same.
        second = await keyed(register, "sale-2", AmountTotal="1250")
        assert second.json["transactionId"] != first
        await register.end(second)
        # A key is its register's own.
        their = await there.register("two").paired()
        assert (await keyed(their, "sale-1", AmountTotal="900")).status == 200


@virtual()
async def test_another_key_for_the_same_while_it_is_unresolved_is_busy(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        assert (await keyed(register, "sale-1", AmountTotal="1249")).status == 200
        assert (await keyed(register, "sale-2", AmountTotal="1249")).status == 429


# --- in one request, and told -----------------------------------------------------------------


@virtual()
async def test_without_a_mode_the_request_is_held_until_the_end(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        answer = await register.ask(AmountTotal="1249", TransactionMode="")
        assert answer.json["transactionStatus"] == "COMPLETED"
        assert words(answer.json["data"]) == ACCEPTED
        assert "merchantAccessToken" not in answer.json
        status = await register.ask("Terminal.GetStatus", TransactionMode="")
        assert status.json["data"]["Status"] == "READY"
        assert len(there.transactions()) == 1


@virtual()
async def test_who_is_held_too_long_gets_an_address_to_poll(tmp_path: Path) -> None:
    async with cloud(tmp_path, sync_seconds=5.0) as there:
        register = await there.register().paired()
        answer = await register.ask(AmountTotal="1249", TransactionMode="")
        assert answer.json["transactionStatus"] == "PENDING"
        assert words((await register.end(answer))["data"]) == ACCEPTED


@virtual()
async def test_a_register_that_hangs_up_while_it_is_held_is_paid_all_the_same(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await register.ask(AmountTotal="1249", TransactionMode="")
        again = await register.begin(AmountTotal="1249")
        assert words((await register.end(again))["data"]) == ACCEPTED
        assert await there.charged() == [1249]


@virtual()
async def test_the_old_mode_can_be_switched_off(tmp_path: Path) -> None:
    async with cloud(tmp_path, sync=False) as there:
        register = await there.register().paired()
        answer = await register.ask(AmountTotal="1250", TransactionMode="")
        assert (answer.status, "TransactionMode" in answer.error) == (400, True)


@virtual()
async def test_a_register_is_told_of_the_end_without_the_token(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        there.receiver.statuses = [500]
        begun = await register.begin(
            AmountTotal="1250", PosNotificationCallbackUrl=there.receiver.url
        )
        ended = await register.end(begun)
        first, second = await there.receiver.until(2)
        assert first == second == ended
        token = begun.json["merchantAccessToken"]
        assert token not in json.dumps([said for _, said in there.receiver.heard])
        assert there.receiver.heard[0][0]["content-type"] == "application/json"
        await register.do("Terminal.GetStatus", PosNotificationCallbackUrl=there.receiver.url)
        *_, status = await there.receiver.until(3)
        assert status["data"]["Status"] == "READY"


@virtual()
async def test_qr_payments_can_be_switched_off(tmp_path: Path) -> None:
    async with cloud(tmp_path, qr=False) as there:
        register = await there.register().paired()
        data = await register.do("QR.Merchant.Purchase", AmountTotal="1250")
        assert words(data)[0] == "OK-UNAVAILABLE"
        assert there.transactions() == []


@virtual()
async def test_what_the_terminal_cannot_do_is_unavailable(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired("p1-0001")
        data = await register.do("Terminal.ReadCard")
        assert words(data)[0] == "OK-UNAVAILABLE"


@virtual()
async def test_an_idempotency_key_finalises_once(tmp_path: Path) -> None:
    """Also when the first one has taken the authorisation already."""
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        await register.do("Card.Authorise", AmountAuth="5000", TransactionReference="room-12")
        fields = {"AmountFinal": "4200", "TransactionReference": "room-12"}
        key = {"Idempotency-Key": "check-out-12"}
        first, *others = await asyncio.gather(
            *(register.ask("Card.Finalise", key, **fields) for _ in range(3))
        )
        assert words((await register.end(first))["data"]) == ACCEPTED
        others.append(await register.ask("Card.Finalise", key, **fields))
        assert {each.json.get("transactionId") for each in others} == {first.json["transactionId"]}
        assert [each.type for each in there.transactions()] == ["PREAUTH", "CAPTURE"]


@virtual()
async def test_the_same_finalisation_twice_at_once_is_one(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        await register.do("Card.Authorise", AmountAuth="5049", TransactionReference="room-12")
        fields = {"AmountFinal": "4249", "TransactionReference": "room-12"}
        answers = await asyncio.gather(*(register.ask("Card.Finalise", **fields) for _ in range(5)))
        assert {each.status for each in answers} == {200}, answers
        assert len({each.json["transactionId"] for each in answers}) == 1


@virtual()
async def test_the_same_again_while_the_journal_is_slow_is_the_first_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 would say that nothing was started."""
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        commit = there.gateway.journal.commit

        async def slow(work: Any) -> Any:
            await asyncio.sleep(3)
            return await commit(work)

        with monkeypatch.context() as disk:
            disk.setattr(there.gateway.journal, "commit", slow)
            first = asyncio.create_task(register.ask(AmountTotal="1249"))
            await asyncio.sleep(1)
            again = await register.ask(AmountTotal="1249")
        assert again.status == 200, again
        assert again.json["transactionId"] == (await first).json["transactionId"]
        assert words((await register.end(again))["data"]) == ACCEPTED
        assert await there.charged() == [1249]


@virtual()
async def test_one_key_is_not_for_a_payment_and_a_function(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        key = {"Idempotency-Key": "one"}
        await register.end(await register.ask("Card.Purchase", key, AmountTotal="1250"))
        assert (await register.ask("Acquirer.Settlement.Cutover", key)).status == 422
        key = {"Idempotency-Key": "two"}
        await register.end(await register.ask("Terminal.GetStatus", key))
        assert (await register.ask("Card.Purchase", key, AmountTotal="1250")).status == 422
        assert await there.charged() == [1250]


@virtual()
async def test_what_is_unavailable_is_told_to_who_wants_to_be_told(tmp_path: Path) -> None:
    async with cloud(tmp_path, qr=False) as there:
        register = await there.register().paired()
        told = there.receiver.url
        await register.begin(
            "QR.Merchant.Purchase", AmountTotal="1250", PosNotificationCallbackUrl=told
        )
        (heard,) = await there.receiver.until(1)
        assert words(heard["data"]) == ("OK-UNAVAILABLE", "OK")
