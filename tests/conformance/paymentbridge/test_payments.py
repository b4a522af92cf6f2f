"""Payments by cloud message: the SDK sends them, a server of the test's own gets the callbacks, and
the SDK's list and the acquirer's books say the same."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.conformance.paymentbridge.application import Application, Json, sale
from tests.conformance.paymentbridge.listening import Listener, Received
from tests.kit.sandbox_process import SandboxProcess
from tests.kit.shop_front import charged, ledger

ACCEPTED = (202, None)
"""Status and body of a cloud message that was taken: as empty as the cloud's."""


def paid(
    application: Application, listener: Listener, amount: int, **more: Json
) -> tuple[str, list[Received]]:
    """Pay so many cents; the reference, and the callbacks."""
    reference = str(uuid.uuid4())
    payload = sale(amount, listener.url(f"/callbacks/{reference}"), reference, **more)
    answer = application.send(payload)
    assert (answer.status, answer.json) == ACCEPTED
    return reference, listener.until_final()


def transaction(application: Application, listener: Listener, amount: int, **more: Json) -> Json:
    """The same; the one transaction of its last callback."""
    _, callbacks = paid(application, listener, amount, **more)
    (found,) = callbacks[-1].json["transactions"]
    return found


def rest(application: Application, path: str, **said: Json) -> Any:
    """Ask the cloud, without a terminal, for what follows a transaction; which must do."""
    place = f"/businesses/{application.bridge['business_id']}/transactions{path}"
    answer = application.request("POST", place, **said)
    assert 200 <= answer.status < 300, answer
    return answer.json


def test_a_sale_ends_in_three_callbacks_and_is_found_in_the_list(
    application: Application, listener: Listener, sandbox: SandboxProcess
) -> None:
    reference, callbacks = paid(application, listener, 1234)
    *small, last = callbacks
    assert [each.path for each in callbacks] == [f"/callbacks/{reference}"] * 3
    assert {each.headers["content-type"].partition(";")[0] for each in callbacks} == {
        "application/json"
    }
    assert [each.json for each in small] == [
        {"referenceID": reference, "status": "RECEIVED"},
        {"referenceID": reference, "status": "STARTED"},
    ]
    payment = last.json
    assert (payment["referenceId"], payment["status"]) == (reference, "PROCESSED")
    (told,) = payment["transactions"]
    assert (told["action"], told["status"]) == ("SALE", "CAPTURED")
    assert told["amounts"]["transactionAmount"] == 1234
    assert told["amounts"]["currency"] == "EUR"
    assert told["context"]["storeDeviceId"] == application.bridge["device_id"]

    (listed,) = application.listed(search_key=reference)
    assert (listed["id"], listed["status"]) == (told["id"], "CAPTURED")
    names = [each["id"] for each in listed["references"] if each.get("type") == "CUSTOM"]
    assert names == [reference]
    read = application.call(
        "Transaction",
        "get_transaction",
        business_id=application.bridge["business_id"],
        transaction_id=told["id"],
    )
    assert (read.status, read.json) == (200, listed)
    assert charged(sandbox.card, reference) == [1234]
    assert listener.nothing_more()


@pytest.mark.parametrize(
    ("amount", "statuses", "moved"),
    [
        pytest.param(1041, ["DECLINED"], [], id="declined"),
        pytest.param(1048, ["CAPTURED"], [1048], id="the answer comes twice"),
        pytest.param(1046, ["CAPTURED"], [1046], id="the terminal's answer is lost"),
        pytest.param(1053, ["DECLINED"], [], id="a decline is lost"),
        pytest.param(2045, ["CAPTURED"], [1022], id="a part is approved"),
        pytest.param(2054, ["CAPTURED"], [2259], id="a tip on the terminal"),
    ],
)
def test_every_ending_is_told_as_it_is_in_the_books(
    application: Application,
    listener: Listener,
    sandbox: SandboxProcess,
    amount: int,
    statuses: list[str],
    moved: list[int],
) -> None:
    reference, callbacks = paid(application, listener, amount)
    payment = callbacks[-1].json
    assert payment["status"] == "PROCESSED"
    assert [each["status"] for each in payment["transactions"]] == statuses
    listed = application.listed(search_key=reference)
    assert [each["status"] for each in listed] == statuses
    if moved:
        assert [each["amounts"]["transactionAmount"] for each in listed] == moved
        assert [each.get("partiallyApproved", False) for each in listed] == [moved[0] < amount]
    assert charged(sandbox.card, reference) == moved
    assert listener.nothing_more()


def test_what_the_cardholder_cancels_is_no_transaction(
    application: Application, listener: Listener, sandbox: SandboxProcess
) -> None:
    reference, callbacks = paid(application, listener, 1043)
    payment = callbacks[-1].json
    assert (payment["referenceId"], payment["status"]) == (reference, "CANCELED")
    assert not payment.get("transactions")
    assert application.listed(search_key=reference) == []
    assert charged(sandbox.card, reference) == []


def test_the_wrapped_payload_pays_as_well(
    application: Application, listener: Listener, sandbox: SandboxProcess
) -> None:
    reference = str(uuid.uuid4())
    payment = {"amount": 1500, "tipAmount": 0, "currency": "EUR", "referenceId": reference}
    payload = {"callbackUrl": listener.url("/wrapped"), "payment": json.dumps(payment)}
    answer = application.send(payload)
    assert (answer.status, answer.json) == ACCEPTED
    assert listener.until_final()[-1].json["status"] == "PROCESSED"
    assert charged(sandbox.card, reference) == [1500]


def test_money_is_given_back_through_the_terminal(
    application: Application, listener: Listener, sandbox: SandboxProcess
) -> None:
    sold = transaction(application, listener, 3000)
    reference, callbacks = paid(
        application, listener, 1000, action="refund", transactionId=sold["id"]
    )
    (refund,) = callbacks[-1].json["transactions"]
    assert (refund["action"], refund["status"]) == ("REFUND", "REFUNDED")
    assert refund["parentId"] == sold["id"]
    (entry,) = ledger(sandbox.card, reference)
    assert (entry["type"], entry["amount"], entry["approved"]) == ("REFUND", 1000, True)

    sold = transaction(application, listener, 3100)
    _, callbacks = paid(application, listener, 3100, action="void", transactionId=sold["id"])
    (voided,) = callbacks[-1].json["transactions"]
    assert (voided["id"], voided["status"], voided["voided"]) == (sold["id"], "VOIDED", True)


def test_credit_without_a_sale(
    application: Application, listener: Listener, sandbox: SandboxProcess
) -> None:
    reference, callbacks = paid(application, listener, 700, action="non-referenced-credit")
    (credit,) = callbacks[-1].json["transactions"]
    assert (credit["action"], credit["status"]) == ("REFUND", "REFUNDED")
    (entry,) = ledger(sandbox.card, reference)
    assert (entry["type"], entry["amount"]) == ("REFUND", 700)


# --- what the vendor's other SDK takes for success ------------------------------------------------


def test_a_void_ends_voided(application: Application, listener: Listener) -> None:
    sold = transaction(application, listener, 3200)
    assert rest(application, f"/{sold['id']}/void")["status"] == "VOIDED"


def test_a_refund_ends_refunded(application: Application, listener: Listener) -> None:
    sold = transaction(application, listener, 3300)
    amounts = {"transactionAmount": 300, "orderAmount": 300, "tipAmount": 0, "currency": "EUR"}
    part = {"action": "REFUND", "parentId": sold["id"], "amounts": amounts}
    assert rest(application, "", json=part)["status"] == "REFUNDED"
    whole = {"action": "REFUND", "parentId": sold["id"]}
    rest_of_it = rest(application, "", json=whole)
    assert rest_of_it["status"] == "REFUNDED"
    assert rest_of_it["amounts"]["transactionAmount"] == 3000


def test_a_cancel_leaves_nothing_authorized_or_captured(
    application: Application, listener: Listener
) -> None:
    sold = transaction(application, listener, 3400)
    ended = rest(
        application,
        "/cancel",
        params={"transaction-id": sold["id"]},
        json={"cancelRequest": {"cancelReason": "TIMEOUT"}},
    )
    assert ended["status"] not in ("AUTHORIZED", "CAPTURED")


def test_a_reservation_is_authorized_and_then_captured(
    application: Application, listener: Listener
) -> None:
    held = transaction(application, listener, 5000, action="authorize")
    assert (held["action"], held["status"]) == ("AUTHORIZE", "AUTHORIZED")
    assert held["authOnly"] is True
    amounts = {"transactionAmount": 4000, "orderAmount": 4000, "tipAmount": 0, "currency": "EUR"}
    rest(application, f"/{held['id']}/capture", json={"amounts": amounts})
    listed = application.listed(transaction_ids=held["id"])
    assert [each["id"] for each in listed] == [held["id"]]
    (capture,) = application.listed(action="CAPTURE")
    assert (capture["status"], capture["parentId"]) == ("CAPTURED", held["id"])


# --- refusals, and pages --------------------------------------------------------------------------


def test_an_order_is_refused_by_what_is_wrong_with_its_envelope(
    application: Application, listener: Listener
) -> None:
    payload = sale(1000, listener.url("/never"))
    for code, status, envelope in (
        ("STORE_DEVICE_NOT_FOUND", 404, {"device_id": f"urn:tid:{uuid.uuid4()}"}),
        ("BUSINESS_NOT_FOUND", 404, {"business_id": str(uuid.uuid4())}),
        ("INVALID_PARAMETER", 400, {"ttl": 0}),
        ("INVALID_PARAMETER", 400, {"data": "x" * 4097}),
        ("MISSING_PARAMETER", 400, {"data": None}),
    ):
        answer = application.send(payload, **envelope)
        assert (answer.status, answer.json["code"]) == (status, code), answer
        assert answer.json["httpStatus"] == status
    assert listener.nothing_more()


def test_the_list_is_followed_page_by_page(application: Application, listener: Listener) -> None:
    wanted = {transaction(application, listener, 600)["id"] for _ in range(3)}
    found = application.listed(limit=1, action="SALE")
    ids = [each["id"] for each in found]
    assert wanted <= set(ids)
    assert len(ids) == len(set(ids))
