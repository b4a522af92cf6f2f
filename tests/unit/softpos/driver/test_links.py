"""Deep links: what is written octet by octet, and how strictly what comes back is read."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from tillwire.dialects.softpos.wire import links
from tillwire.dialects.softpos.wire.links import Caller, Operation, read_return
from tillwire.errors import InvalidRequest, RemoteProtocolError

ID = "1794500000000123456789012345678"
CALLER = Caller(name="Harbour & Co", trx_id=ID, uri="https://pay.shop.example/s/abc?x=1")
WHO = (
    f"callerName=Harbour%20%26%20Co&callerTrxId={ID}"
    "&uri=https%3A%2F%2Fpay.shop.example%2Fs%2Fabc%3Fx%3D1"
)
ONCE = "hideRetry=true"
"""What was declined is told as declined: nobody may try again under the same id."""


def test_a_payment() -> None:
    assert links.payment(CALLER, 1250) == f"neximpos://payment?amount=1250&{WHO}&{ONCE}"


def test_a_payment_that_goes_back_by_itself_sends_no_ticket() -> None:
    link = links.payment(CALLER, 1250, auto_close=True)
    assert link.endswith("&autoClose=true&sendTicket=false"), "both true are refused with -21"


def test_a_reversal() -> None:
    link = links.reversal(CALLER, 1250, terminal_id="30001234", stamp="2111261705")
    head = "neximpos://reversal?amount=1250&timestamp=2111261705&terminalId=30001234&"
    assert link == f"{head}{WHO}&{ONCE}"


def test_inquiries() -> None:
    assert (
        links.last_transaction(CALLER, "30001234")
        == f"neximpos://last_transaction?terminalId=30001234&{WHO}"
    )
    assert links.accounting_closure(CALLER) == f"neximpos://accounting_closure?{WHO}"


@pytest.mark.parametrize(
    ("name", "trx_id", "amount", "field"),
    [
        ("till", "x" * 37, 1, "callerTrxId"),
        ("till", "", 1, "callerTrxId"),
        ("till", "a b", 1, "callerTrxId"),
        ("", "a", 1, "callerName"),
        ("a\nb", "a", 1, "callerName"),
        ("till", "a", 0, "amount"),
        ("till", "a", -1, "amount"),
    ],
)
def test_what_cannot_be_asked(name: str, trx_id: str, amount: int, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        links.payment(Caller(name=name, trx_id=trx_id, uri="https://a"), amount)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("terminal", "stamp"), [("3000123", "2111261705"), ("30001234", "211126175")]
)
def test_a_reversal_needs_a_tid_and_a_whole_stamp(terminal: str, stamp: str) -> None:
    with pytest.raises(InvalidRequest):
        links.reversal(CALLER, 1, terminal_id=terminal, stamp=stamp)


def returned(**changes: Any) -> str:
    fields = {
        "callerTrxId": ID,
        "operationType": "PAYMENT",
        "result": "0",
        "amount": "1250",
        **changes,
    }
    return urlencode({key: value for key, value in fields.items() if value is not None})


def test_four_parameters_are_enough() -> None:
    found = read_return(returned())
    assert (found.operation, found.caller_trx_id) == (Operation.PAYMENT, ID)
    assert (found.result, found.amount, found.terminal_id) == (0, 1250, "")
    assert found.words == "authorised"


def test_a_whole_answer_without_the_card_number() -> None:
    found = read_return(returned(pan="4111111111111111", terminalId="30001234", stan="000017"))
    assert found.terminal_id == "30001234"
    assert "4111111111111111" not in str(found)
    assert found.fields["pan"].endswith("1111")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "x" * 8193,
        "callerTrxId",
        returned() + "&result=21",
        returned() + "&bad%ZZ=1",
        returned() + "&%ff=1",
        returned() + "&text=%ff",
        returned() + "&text=a%0Ab",
        returned() + "&" + "x" * 41 + "=1",
        returned() + "&text=" + "x" * 1025,
        returned() + "".join(f"&k{n}=1" for n in range(70)),
        returned(callerTrxId=None),
        returned(callerTrxId="x" * 37),
        returned(callerTrxId="a/b"),
        returned(operationType=None),
        returned(operationType="REFUND"),
        returned(operationType="payment"),
        returned(result=None),
        returned(result=""),
        returned(result="ok"),
        returned(result="0.0"),
        returned(result="+0"),
        returned(result="٠"),
        returned(amount=None),
        returned(amount="-1"),
        returned(amount="12.50"),
        returned(amount="1" * 13),
        returned(terminalId="3000123"),
        returned(terminalId="30001234", f41="30001235"),
    ],
)
def test_nothing_else_is_read(query: str) -> None:
    with pytest.raises(RemoteProtocolError):
        read_return(query)


RECEIPT = {"operationType": "LAST_TRANSACTION", "amount": "000000025200", "terminalType": "SOFTPOS"}


def test_a_last_transaction() -> None:
    found = read_return(returned(**RECEIPT, f30="000000025200", f41="30001234", CT105="0100"))
    assert (found.operation, found.amount) == (Operation.LAST_TRANSACTION, 25_200)
    assert found.terminal_id == "30001234"


def test_there_is_no_last_transaction() -> None:
    found = read_return(returned(operationType="LAST_TRANSACTION", result="-41", amount=None))
    assert (found.result, found.amount, found.words) == (-41, None, "no receipt")


def test_a_last_transaction_that_contradicts_its_receipt() -> None:
    with pytest.raises(RemoteProtocolError):
        read_return(returned(**RECEIPT, f30="000000025201"))


def test_an_accounting_closure() -> None:
    closing = {"operationType": "ACCOUNTING_CLOSURE", "amount": None}
    found = read_return(returned(**closing, hostTotal="1200", terminalTotal="1250"))
    assert (found.host_total, found.terminal_total, found.amount) == (1200, 1250, None)
    assert read_return(returned(**closing, result="-12")).words == "closure failed"
    with pytest.raises(RemoteProtocolError):
        read_return(returned(**closing, hostTotal="1200"))


def test_a_result_that_nobody_has_told_us_of() -> None:
    assert read_return(returned(result="-99")).words == "result -99"
