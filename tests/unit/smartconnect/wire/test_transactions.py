"""What registers ask for, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.smartconnect.wire.texts import VISA, names, registrations
from tillwire.dialects.smartconnect.wire import transactions
from tillwire.dialects.smartconnect.wire.pairing import Registration
from tillwire.dialects.smartconnect.wire.transactions import Function, TransactionRequest
from tillwire.errors import InvalidRequest
from tillwire.money import MAX_MINOR

US = Registration("shop7-till2", "Harbour Books", "TillCo")
WHO = b"POSRegisterID=shop7-till2&POSBusinessName=Harbour+Books&POSVendorName=TillCo"
SALE = '{"version":"1.0.0","saleData":{"totalAmount":"12.50","totalTax":"1.63"}}'

AMOUNT_OF = {
    "Card.Purchase": "AmountTotal",
    "Card.PurchasePlusCash": "AmountTotal",
    "Card.CashAdvance": "AmountTotal",
    "Card.Refund": "AmountTotal",
    "Card.Authorise": "AmountAuth",
    "Card.Finalise": "AmountFinal",
    "QR.Merchant.Purchase": "AmountTotal",
    "QR.Consumer.Purchase": "AmountTotal",
    "QR.Refund": "AmountTotal",
}
MOVE_NOTHING = [
    "Acquirer.Logon",
    "Acquirer.Settlement.Inquiry",
    "Acquirer.Settlement.Cutover",
    "Terminal.GetStatus",
    "Terminal.ReadCard",
    "Terminal.PrintReceipt",
    "Journal.ReprintReceipt",
    "Journal.GetTransResult",
]
REST = {"Card.PurchasePlusCash": "&AmountCash=1", "Card.Finalise": "&TransactionReference=r"}
"""What these need besides."""


def form(kind: str, more: str = "", mode: str = "ASYNC") -> bytes:
    return WHO + f"&TransactionMode={mode}&TransactionType={kind}{more}".encode()


def test_every_type_of_the_vendor_s_table_is_known() -> None:
    assert {each.value for each in Function} == {*AMOUNT_OF, *MOVE_NOTHING}
    assert {each.value for each in transactions.MOVES_MONEY} == set(AMOUNT_OF)


# --- octets as clients pin them -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "tail"),
    [
        ({"function": Function.PURCHASE, "amount": 1250}, b"Card.Purchase&AmountTotal=1250"),
        (
            {"function": Function.PURCHASE_PLUS_CASH, "amount": 3250, "cash": 2000},
            b"Card.PurchasePlusCash&AmountTotal=3250&AmountCash=2000",
        ),
        ({"function": Function.CASH_ADVANCE, "amount": 2000}, b"Card.CashAdvance&AmountTotal=2000"),
        ({"function": Function.REFUND, "amount": 500}, b"Card.Refund&AmountTotal=500"),
        (
            {"function": Function.AUTHORISE, "amount": 9000, "reference": "room 7"},
            b"Card.Authorise&AmountAuth=9000&TransactionReference=room+7",
        ),
        (
            {"function": Function.FINALISE, "amount": 8000, "reference": "room 7"},
            b"Card.Finalise&AmountFinal=8000&TransactionReference=room+7",
        ),
        (
            {"function": Function.PURCHASE, "amount": 1, "sale_data": SALE},
            b"Card.Purchase&AmountTotal=1&SaleData=%7B%22version%22%3A%221.0.0%22%2C%22saleData%22"
            b"%3A%7B%22totalAmount%22%3A%2212.50%22%2C%22totalTax%22%3A%221.63%22%7D%7D",
        ),
        (
            {"function": Function.PURCHASE, "amount": 1, "reference": "a", "sale_data": SALE,
             "callback_url": "https://t.nz/x?a=1"},
            b"Card.Purchase&AmountTotal=1&TransactionReference=a&SaleData=%7B%22version%22%3A%221."
            b"0.0%22%2C%22saleData%22%3A%7B%22totalAmount%22%3A%2212.50%22%2C%22totalTax%22%3A%221."
            b"63%22%7D%7D&PosNotificationCallbackUrl=https%3A%2F%2Ft.nz%2Fx%3Fa%3D1",
        ),
        ({"function": Function.LOGON}, b"Acquirer.Logon"),
        (
            {"function": Function.SETTLEMENT_INQUIRY, "date": "20260314"},
            b"Acquirer.Settlement.Inquiry&Date=20260314",
        ),
    ],
)  # fmt: skip
def test_fields_are_in_the_order_that_clients_pin(request_: dict[str, Any], tail: bytes) -> None:
    request = TransactionRequest(registration=US, **request_)
    octets = transactions.write(request)
    assert octets == WHO + b"&TransactionMode=ASYNC&TransactionType=" + tail
    assert transactions.read(octets) == request


def test_a_clients_octets_are_read_in_any_order_and_with_either_blank() -> None:
    request = transactions.read(
        b"TransactionType=Card.Purchase&AmountTotal=1250&POSVendorName=TillCo&TransactionMode=ASYNC"
        b"&POSBusinessName=Harbour%20Books&POSRegisterID=shop7-till2&POSReferenceID=old&Unknown=1"
    )
    assert request == TransactionRequest(
        registration=US, function=Function.PURCHASE, amount=1250, asynchronous=True
    )


@pytest.mark.parametrize("mode", ["", "&TransactionMode="])
def test_without_a_mode_it_is_the_old_synchronous_one(mode: str) -> None:
    octets = WHO + f"&TransactionType=Card.Purchase&AmountTotal=1{mode}".encode()
    request = transactions.read(octets)
    assert not request.asynchronous
    assert b"TransactionMode" not in transactions.write(request)


@pytest.mark.parametrize("mode", ["SYNC", "async", "ASYNC+"])
def test_another_mode_is_refused(mode: str) -> None:
    assert _refused(form("Card.Purchase", "&AmountTotal=1", mode)) == "TransactionMode"


# --- amounts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(AMOUNT_OF))
@pytest.mark.parametrize("amount", [1, 1250, MAX_MINOR])
def test_each_type_has_its_amount_in_its_field(kind: str, amount: int) -> None:
    request = transactions.read(form(kind, f"&{AMOUNT_OF[kind]}={amount}{REST.get(kind, '')}"))
    assert (request.function, request.amount) == (kind, amount)
    assert transactions.amount_field(request.function) == AMOUNT_OF[kind]


@pytest.mark.parametrize("kind", sorted(AMOUNT_OF))
@pytest.mark.parametrize(
    "amount",
    ["", "0", "-5", "12.50", "1e3", "+5", "%2B5", "01", "1,000", "1+000", "0x10", "1_000", "\u0661",
     "%D9%A1", "NaN", "1000000000000000", "1" * 60, " 1", "1%0A"],
)  # fmt: skip
def test_an_amount_that_is_none_is_refused_by_name(kind: str, amount: str) -> None:
    octets = form(kind, f"&{AMOUNT_OF[kind]}={amount}{REST.get(kind, '')}")
    assert _refused(octets) in (AMOUNT_OF[kind], "body")


@pytest.mark.parametrize("kind", sorted(AMOUNT_OF))
def test_a_missing_amount_is_refused_by_name(kind: str) -> None:
    assert _refused(form(kind, REST.get(kind, ""))) == AMOUNT_OF[kind]


@pytest.mark.parametrize("cash", ["", "0", "-1", "1.5", "1251"])
def test_cash_is_an_amount_and_part_of_the_total(cash: str) -> None:
    octets = form("Card.PurchasePlusCash", f"&AmountTotal=1250&AmountCash={cash}")
    assert _refused(octets) == "AmountCash"


def test_all_of_a_purchase_may_be_cash() -> None:
    request = transactions.read(form("Card.PurchasePlusCash", "&AmountTotal=1250&AmountCash=1250"))
    assert (request.amount, request.cash) == (1250, 1250)


@pytest.mark.parametrize(
    ("kind", "more", "field"),
    [
        ("Card.Purchase", "&AmountTotal=1250&AmountCash=1000", "AmountCash"),
        ("Card.Refund", "&AmountTotal=1250&AmountFinal=1", "AmountFinal"),
        ("Card.Authorise", "&AmountAuth=1250&AmountTotal=1", "AmountTotal"),
        ("Card.Finalise", "&AmountFinal=1250&AmountAuth=1&TransactionReference=r", "AmountAuth"),
    ],
)
def test_money_that_a_type_does_not_know_is_not_passed_over(
    kind: str, more: str, field: str
) -> None:
    assert _refused(form(kind, more)) == field


@pytest.mark.parametrize("kind", MOVE_NOTHING)
def test_what_moves_nothing_has_no_amount_and_ignores_one(kind: str) -> None:
    for more in ("", "&AmountTotal=0", "&AmountTotal=1250"):
        request = transactions.read(form(kind, more))
        assert (request.function, request.amount, request.cash) == (kind, 0, 0)
        assert transactions.amount_field(request.function) == ""


# --- the rest -----------------------------------------------------------------------------------


def test_a_reference_is_needed_to_finalise_and_not_to_authorise() -> None:
    assert _refused(form("Card.Finalise", "&AmountFinal=1")) == "TransactionReference"
    assert transactions.read(form("Card.Authorise", "&AmountAuth=1")).reference == ""


@pytest.mark.parametrize(
    ("octets", "field"),
    [
        (WHO + b"&TransactionMode=ASYNC&AmountTotal=1", "TransactionType"),
        (form("card.purchase", "&AmountTotal=1"), "TransactionType"),
        (form("Card.Nothing", "&AmountTotal=1"), "TransactionType"),
        (form("Card.Purchase", f"&AmountTotal=1&TransactionReference={VISA}"),
         "TransactionReference"),
        (form("Card.Purchase", f"&AmountTotal=1&TransactionReference={'x' * 257}"),
         "TransactionReference"),
        (form("Acquirer.Settlement.Inquiry", f"&Date={'1' * 33}"), "Date"),
        (b"POSBusinessName=b&POSVendorName=v&TransactionType=Card.Purchase", "POSRegisterID"),
        (b"POSRegisterID=r&POSVendorName=v&TransactionType=Card.Purchase", "POSBusinessName"),
        (b"POSRegisterID=r&POSBusinessName=b&TransactionType=Card.Purchase", "POSVendorName"),
        (b"POSRegisterID=" + b"r" * 257 + b"&POSBusinessName=b&POSVendorName=v", "POSRegisterID"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(octets: bytes, field: str) -> None:
    assert _refused(octets) == field


@pytest.mark.parametrize(
    "url",
    ["/poll", "ftp://a/", "https://", "https://a b/", "https://u:p@a/", "https://a:99999/",
     "https://a:0/", "https://[::1", "javascript:alert(1)", "https://a/%0A".replace("%", "%25"),
     "https://a/" + "x" * 2048, "https://é/"],
)  # fmt: skip
def test_a_callback_address_is_absolute_and_of_http(url: str) -> None:
    octets = form("Card.Purchase", f"&AmountTotal=1&PosNotificationCallbackUrl={url}")
    if url == "https://a/%250A":
        assert transactions.read(octets).callback_url == "https://a/%0A"
    else:
        assert _refused(octets) in ("PosNotificationCallbackUrl", "body")


@pytest.mark.parametrize("url", ["https://t.nz/x?a=1", "http://[::1]:8080/"])
def test_a_callback_address_is_kept_as_it_is(url: str) -> None:
    octets = form("Card.Purchase", f"&AmountTotal=1&PosNotificationCallbackUrl={url}")
    assert transactions.read(octets).callback_url == url


@st.composite
def requests(draw: st.DrawFn) -> TransactionRequest:
    function = draw(st.sampled_from(sorted(Function)))
    amount = draw(st.integers(1, MAX_MINOR)) if function in transactions.MOVES_MONEY else 0
    cash = 0
    if function is Function.PURCHASE_PLUS_CASH:
        cash = draw(st.integers(1, amount))
    least = 1 if function is Function.FINALISE else 0
    return TransactionRequest(
        registration=draw(registrations()),
        function=function,
        asynchronous=draw(st.booleans()),
        amount=amount,
        cash=cash,
        reference=draw(names(least=least)),
        date=draw(names(least=0, most=32)),
        sale_data=draw(st.sampled_from(["", SALE])),
        callback_url=draw(st.sampled_from(["", "https://t.nz/a"])),
    )


@given(requests())
def test_what_is_written_is_read(request: TransactionRequest) -> None:
    assert transactions.read(transactions.write(request)) == request


@given(st.binary(max_size=300))
def test_garbage_is_refused(octets: bytes) -> None:
    with pytest.raises(InvalidRequest):
        transactions.read(octets)


def _refused(octets: bytes) -> str:
    """The field for which the form is refused, with what is wrong and what is allowed."""
    with pytest.raises(InvalidRequest) as raised:
        transactions.read(octets)
    assert raised.value.problem
    assert raised.value.allowed
    assert VISA not in str(raised.value)
    return raised.value.field
