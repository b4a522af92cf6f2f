"""What a published client's tests pin, octet by octet, is taken by the face; and so is what others
are known to do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.matrix.smartconnect_pair import FAR_PORTS, Pair, live
from tillwire.core.model import State, TransactionType
from tillwire.core.ports import HttpResponse

_T = TransactionType
ROOT: Final = f"http://127.0.0.1:{FAR_PORTS['smartconnect']}"
FORM: Final = "application/x-www-form-urlencoded"
WHO: Final = b"POSRegisterID=shop7-till2&POSBusinessName=Harbour+Books&POSVendorName=TillCo"
PAIRING: Final = (
    b"POSRegisterID=shop7-till2&POSRegisterName=Till+2&POSBusinessName=Harbour+Books"
    b"&POSVendorName=TillCo"
)
ASKS: Final = WHO + b"&TransactionMode=ASYNC&TransactionType="


async def send(
    pair: Pair, method: str, path: str, body: bytes = b"", kind: str = FORM
) -> HttpResponse:
    url = path if path.startswith("http") else ROOT + path
    headers = {"Content-Type": kind, "Accept": "application/json"} if body else {}
    return await pair.far.client().request(method, url, headers=headers, body=body, timeout=200)


async def paired(pair: Pair, form: bytes = PAIRING) -> HttpResponse:
    return await send(pair, "PUT", f"/POS/Pairing/{await pair.code()}", form)


async def ended(pair: Pair, begun: HttpResponse) -> Any:
    """Poll as every client does: the URL as it was given."""
    assert begun.status == 200, begun
    told = json.loads(begun.body)
    assert told["transactionStatus"] == "PENDING"
    for _ in range(100):
        await asyncio.sleep(2)
        answer = await send(pair, "GET", told["data"]["PollingUrl"])
        assert answer.status == 200, answer
        found = json.loads(answer.body)
        if found["transactionStatus"] == "COMPLETED":
            assert found["transactionId"] == told["transactionId"]
            assert all(isinstance(each, str) for each in found["data"].values())
            return found["data"]
    raise AssertionError("it does not end")


@pytest.mark.parametrize(
    ("tail", "kind", "moved"),
    [
        (b"Card.Purchase&AmountTotal=1250", _T.PURCHASE, 1250),
        (b"Card.PurchasePlusCash&AmountTotal=3250&AmountCash=2000", _T.PURCHASE, 3250),
        (b"Card.CashAdvance&AmountTotal=2000", _T.CASH_ADVANCE, 2000),
        (b"Card.Refund&AmountTotal=500", _T.REFUND, 500),
        (b"Card.Authorise&AmountAuth=9000&TransactionReference=room+7", _T.PREAUTH, 9000),
        (b"Card.Authorise&AmountAuth=9000", _T.PREAUTH, 9000),
        (b"QR.Merchant.Purchase&AmountTotal=1250", _T.PURCHASE, 1250),
        (b"QR.Consumer.Purchase&AmountTotal=1250", _T.PURCHASE, 1250),
        (b"QR.Refund&AmountTotal=1250", _T.REFUND, 1250),
        (b"Card.Purchase&AmountTotal=1250&SaleData=%7B%22version%22%3A%221.0.0%22%2C%22saleData%22"
         b"%3A%7B%22totalAmount%22%3A%2212.50%22%2C%22totalTax%22%3A%221.63%22%7D%7D",
         _T.PURCHASE, 1250),
    ],
)  # fmt: skip
def test_a_client_s_octets_pay(disk: Path, tail: bytes, kind: TransactionType, moved: int) -> None:
    async def day(pair: Pair) -> None:
        done = await paired(pair)
        assert (done.status, done.body) == (200, b'{"result":"success"}')
        data = await ended(pair, await send(pair, "POST", "/POS/Transaction", ASKS + tail))
        assert (data["TransactionResult"], data["Result"]) == ("OK-ACCEPTED", "OK")
        assert data["AmountTotal"] == str(moved)
        assert data["Function"] == tail.partition(b"&")[0].decode()
        (known,) = [each for each in pair.far.transactions() if each.dialect == "smartconnect"]
        assert (known.type, known.state, known.approved_amount) == (kind, State.APPROVED, moved)
        assert list((await pair.far.charges()).values()) == [moved]

    live(disk, day)


def test_a_reservation_is_finalised_by_a_client_s_octets(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        await paired(pair)
        first = ASKS + b"Card.Authorise&AmountAuth=9000&TransactionReference=room+7"
        await ended(pair, await send(pair, "POST", "/POS/Transaction", first))
        second = ASKS + b"Card.Finalise&AmountFinal=8000&TransactionReference=room+7"
        data = await ended(pair, await send(pair, "POST", "/POS/Transaction", second))
        assert (data["TransactionResult"], data["AmountTotal"]) == ("OK-ACCEPTED", "8000")

    live(disk, day)


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/POS/Transaction", ASKS + b"Card.Purchase&AmountTotal=1250", FORM),
        ("/pos/transaction", ASKS + b"Card.Purchase&AmountTotal=1250", FORM),
        ("/Pos/TRANSACTION", ASKS + b"Card.Purchase&AmountTotal=1250", FORM),
        ("/POS/Transaction", ASKS.replace(b"+", b"%20") + b"Card.Purchase&AmountTotal=1250", FORM),
        ("/POS/Transaction", ASKS + b"Card.Purchase&AmountTotal=1250", f"{FORM}; charset=UTF-8"),
        ("/POS/Transaction", ASKS + b"Card.Purchase&AmountTotal=1250", f"{FORM};charset=utf-8"),
        ("/POS/Transaction", b"AmountTotal=1250&TransactionType=Card.Purchase&" + WHO
         + b"&TransactionMode=ASYNC&POSReferenceID=old", FORM),
    ],
)  # fmt: skip
def test_what_clients_do_otherwise_is_taken_too(
    disk: Path, path: str, body: bytes, kind: str
) -> None:
    async def day(pair: Pair) -> None:
        await paired(pair)
        data = await ended(pair, await send(pair, "POST", path, body, kind))
        assert (data["TransactionResult"], data["AmountTotal"]) == ("OK-ACCEPTED", "1250")

    live(disk, day)


def test_without_a_mode_the_end_comes_at_once(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        await paired(pair)
        body = WHO + b"&TransactionType=Card.Purchase&AmountTotal=1250"
        answer = await send(pair, "POST", "/POS/Transaction", body)
        told = json.loads(answer.body)
        assert (answer.status, told["transactionStatus"]) == (200, "COMPLETED")
        assert told["data"]["TransactionResult"] == "OK-ACCEPTED"

    live(disk, day)


def test_a_register_without_a_name_is_for_lenient_faces(disk: Path) -> None:
    async def strict(pair: Pair) -> None:
        assert (await paired(pair, WHO)).status == 400

    async def lenient(pair: Pair) -> None:
        assert (await paired(pair, WHO)).status == 200

    live(disk / "strict", strict)
    live(disk / "lenient", lenient, told={"lenient_name": True})


@pytest.mark.parametrize(
    "tail",
    [b"Card.Purchase", b"Card.Purchase&AmountTotal=0", b"Card.Purchase&AmountTotal=-5",
     b"Card.Purchase&AmountTotal=12.50", b"Card.Purchase&AmountTotal=1e3",
     b"Card.Purchase&AmountTotal=", b"Card.PurchasePlusCash&AmountTotal=1&AmountCash=2",
     b"Card.Finalise&AmountFinal=1", b"Card.Nothing&AmountTotal=1", b"",
     b"Card.Purchase&AmountTotal=1&SaleData=%7B%7D"],
)  # fmt: skip
def test_what_is_wrong_is_refused_in_words_and_takes_nothing(disk: Path, tail: bytes) -> None:
    async def day(pair: Pair) -> None:
        await paired(pair)
        answer = await send(pair, "POST", "/POS/Transaction", ASKS + tail)
        assert answer.status == 400
        assert list(json.loads(answer.body)) == ["error"]
        assert pair.far.transactions() == []

    live(disk, day)
