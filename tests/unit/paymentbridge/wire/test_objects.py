"""Payments, transactions, businesses and stores are read as peers write them: unknown members and
nulls do no harm, and what money hangs on is exact."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from tests.unit.paymentbridge.wire.structures import CARDS, VISA, members, structures
from tillwire.dialects.paymentbridge.wire import (
    cuts,
    envelope,
    errors,
    hooks,
    objects,
    places,
    reading,
    requests,
)
from tillwire.dialects.paymentbridge.wire.fields import Part, unwrapped
from tillwire.errors import RemoteProtocolError

PARTS: Final = [
    each
    for module in (objects, places, hooks, errors, requests)
    for each in vars(module).values()
    if isinstance(each, type) and issubclass(each, Part) and each is not Part
    and each.__module__ == module.__name__
]  # fmt: skip
for_each_part = pytest.mark.parametrize("struct", PARTS, ids=lambda struct: struct.__name__)
few = settings(max_examples=max(settings.default.max_examples // 5, 1))

PAYMENT: Final[dict[str, Any]] = {
    "referenceId": "7d3f6c0a",
    "status": "PROCESSED",
    "action": "SALE",
    "amount": 1_234,
    "tipAmount": 100,
    "cashbackAmount": 0,
    "currency": "EUR",
    "orderId": "469e957c-57a7-4b8e-8a7f-0b6d9a3c1d11",
    "callerPackageName": "co.poynt.services",
    "applicationIndex": -1,
    "authzOnly": False,
    "multiTender": False,
    "tipAmounts": {"469e957c-57a7-4b8e-8a7f-0b6d9a3c1d11": 100},
    "transactions": [
        {
            "id": "469e957c-57a7-4b8e-8a7f-0b6d9a3c1d11",
            "parentId": None,
            "createdAt": "2023-07-03T09:18:03Z",
            "updatedAt": "2023-07-03T09:18:04Z",
            "action": "SALE",
            "status": "CAPTURED",
            "authOnly": False,
            "voided": False,
            "partiallyApproved": False,
            "signature": "iVBORw0KGgo=",
            "approvalCode": "123456",
            "transactionNumber": "7",
            "systemTraceAuditNumber": 42,
            "receiptEmailAddress": "ada@example.com",
            "amounts": {
                "transactionAmount": 1_334,
                "orderAmount": 1_234,
                "tipAmount": 100,
                "cashbackAmount": 0,
                "currency": "EUR",
                "customerOptedNoTip": None,
            },
            "context": {"businessId": "b", "storeDeviceId": "urn:tid:x", "tid": "30350039",
                        "source": "INSTORE", "employeeUserId": 7},
            "fundingSource": {
                "type": "CREDIT_DEBIT",
                "debit": False,
                "card": {
                    "type": "VISA",
                    "numberFirst6": "411111",
                    "numberLast4": "1111",
                    "numberMasked": "411111******1111",
                    "numberHashed": "c0ffee",
                    "expirationMonth": 12,
                    "expirationYear": 2_030,
                    "cardHolderFullName": "ADA LOVELACE",
                    "track2data": "encrypted",
                },
                "entryDetails": {"entryMode": "CONTACTLESS_INTEGRATED_CIRCUIT_CARD",
                                 "customerPresenceStatus": "PRESENT", "iccFallback": False},
                "emvData": {"emvTags": {"0x9F02": "000000001334", "0x5A": VISA,
                                        "0x57": VISA + "D3012", "0x4F": "A0000000031010"}},
            },
            "processorResponse": {"status": "Successful", "statusCode": "00",
                                  "approvedAmount": 1_334, "retrievalRefNum": "000000000012",
                                  "cardToken": "tok", "acquirer": "MOCK"},
            "references": [{"id": "7d3f6c0a", "type": "CUSTOM", "customType": "referenceId"}],
            "links": [{"href": "x", "rel": "parent", "method": "GET"}],
            "adjustmentHistory": [{"sequence": 1, "amounts": {"transactionAmount": 1_334}}],
        }
    ],
}  # fmt: skip


def octets(loose: Any) -> bytes:
    return json.dumps(loose).encode()


def changed(path: str, value: Any) -> bytes:
    """The payment with another value at the path."""
    content = json.loads(json.dumps(PAYMENT))
    *above, last = path.split(".")
    at = content
    for step in above:
        at = at[int(step)] if step.isdigit() else at[step]
    at[last] = value
    return octets(content)


def test_a_captured_payment_is_read() -> None:
    payment = objects.read_payment(octets(PAYMENT))
    (transaction,) = payment.transactions
    assert (payment.reference_id, payment.status, payment.amount) == ("7d3f6c0a", "PROCESSED", 1234)
    assert (transaction.action, transaction.status) == ("SALE", "CAPTURED")
    assert transaction.amounts == objects.Amounts(
        transaction_amount=1_334,
        order_amount=1_234,
        tip_amount=100,
        cashback_amount=0,
        currency="EUR",
    )
    assert transaction.system_trace_audit_number == "42"  # text, whatever was written
    assert transaction.funding_source is not None
    assert transaction.funding_source.card == objects.Card(
        type="VISA", number_first6="411111", number_last4="1111", number_masked="411111******1111"
    )
    assert transaction.funding_source.emv_data == objects.EmvData(
        emv_tags={"0x9F02": "000000001334", "0x4F": "A0000000031010"}
    )
    assert transaction.called("7d3f6c0a")
    assert not transaction.called("7d3f6c0b")


def test_what_is_nobody_s_business_is_not_kept() -> None:
    kept = reading.encode(objects.read_payment(octets(PAYMENT))).decode()
    for word in ("ada@", "ADA", "iVBOR", "c0ffee", "track2", "encrypted", "tok", "2030,", "0x5"):
        assert word not in kept


# --- exactness --------------------------------------------------------------------------------

MONEY: Final = (
    "amount",
    "tipAmount",
    "cashbackAmount",
    "transactions.0.amounts.transactionAmount",
    "transactions.0.amounts.orderAmount",
    "transactions.0.amounts.tipAmount",
    "transactions.0.amounts.cashbackAmount",
    "transactions.0.processorResponse.approvedAmount",
)


@pytest.mark.parametrize("path", MONEY)
@pytest.mark.parametrize("value", [True, 1.0, 12.34, -1, 10**15, 10**30, "1234", [], {}])
def test_an_amount_is_exact_or_nothing_is_read(path: str, value: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        objects.read_payment(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", []),
        ("status", "x" * 65),
        ("transactions", {}),
        ("transactions", ["x"]),
        ("transactions.0.status", {}),
        ("transactions.0.amounts", 5),
        ("transactions.0.amounts.currency", "euro"),
        ("transactions.0.amounts.currency", 978),
        ("transactions.0.voided", "maybe"),
        ("transactions.0.authOnly", 1),
        ("transactions.0.partiallyApproved", []),
        ("transactions.0.processorResponse", "x"),
        ("transactions.0.references", "x"),
        ("transactions.0.references", [5]),
        ("transactions.0.references.0.id", {}),
        ("transactions.0.id", []),
        ("referenceId", 1.5),
    ],
)
def test_what_money_hangs_on_must_be_right(path: str, value: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        objects.read_payment(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("notes", {}),
        ("orderId", ["x"]),
        ("multiTender", "perhaps"),
        ("transactions.0.approvalCode", 1.5),
        ("transactions.0.notes", "x" * 5_000),
        ("transactions.0.context", "x"),
        ("transactions.0.context.tid", []),
        ("transactions.0.fundingSource.card", 5),
        ("transactions.0.fundingSource.card.type", True),
        ("transactions.0.fundingSource.emvData.emvTags", "x"),
        ("transactions.0.fundingSource.emvData.emvTags", {"0x9F02": {}}),
        ("transactions.0.links", "x"),
        ("transactions.0.links", [5, "x"]),
        ("transactions.0.adjustmentHistory", {}),
        ("transactions.0.settled", 7),
    ],
)
def test_anything_else_that_is_wrong_is_left_out(path: str, value: Any) -> None:
    payment = objects.read_payment(changed(path, value))
    (transaction,) = payment.transactions
    assert transaction.amounts == objects.read_payment(octets(PAYMENT)).transactions[0].amounts
    assert transaction.called("7d3f6c0a")


def test_flags_may_be_written_as_text() -> None:
    payment = objects.read_payment(changed("transactions.0.voided", "true"))
    assert payment.transactions[0].voided is True


@for_each_part
def test_null_is_absence(struct: type[Part]) -> None:
    without_default = {key for key, _ in members(struct)} & {"id"} if _needs_id(struct) else set()
    loose = {key: "x" if key in without_default else None for key, _ in members(struct)}
    assert reading.read(struct, octets(loose)) == reading.read(
        struct, octets(dict.fromkeys(without_default, "x"))
    )


def _needs_id(struct: type[Part]) -> bool:
    return struct in (hooks.Hook, hooks.Event)


@for_each_part
def test_what_was_written_is_read(struct: type[Part]) -> None:
    @few
    @given(structures(struct))
    def check(made: Part) -> None:
        written = reading.encode(made)
        assert reading.read(struct, written) == made
        assert reading.encode(reading.read(struct, written)) == written
        # Both ways into a structure lead to the same: at once, and salvaged.
        assert reading.fitted(struct, json.loads(written)) == made
        # And unknown members change nothing.
        assert reading.read(struct, octets({**json.loads(written), "surprise": [{}]})) == made

    check()


@for_each_part
@pytest.mark.parametrize("value", [None, True, 7, -1, 1.5, "x", VISA, [], [1], {}, {"id": 1}])
def test_every_member_may_be_anything(struct: type[Part], value: Any) -> None:
    base = {"id": "x"} if _needs_id(struct) else {}
    for key, kind in members(struct):
        _, extra = unwrapped(kind)
        if key == "secret":  # a hook's, which is nobody's number
            continue
        try:
            found = reading.read(struct, octets({**base, key: value}))
        except RemoteProtocolError:
            assert "must" in extra or key == "id" or isinstance(value, list | dict)
        else:
            assert VISA not in repr(found)


# --- card numbers -----------------------------------------------------------------------------


@for_each_part
@pytest.mark.parametrize("card", CARDS)
def test_no_text_keeps_a_card_number(struct: type[Part], card: str) -> None:
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    for field in described.fields:
        kind, _ = unwrapped(field.type)
        values: list[Any] = []
        if isinstance(kind, inspect.StrType) and not kind.pattern and field.name != "secret":
            values = [card, f"card {card}."]
        elif isinstance(kind, inspect.DictType):
            values = [{card: "x"}, {"x": card}, {"9F10": card}, {"5A": card}]
            if field.name == "emv_tags":
                values.append({"50": card.encode().hex()})
        for value in values:
            needed = {"id": "x"} if _needs_id(struct) else {}
            made = struct(**{**needed, field.name: value})
            written = reading.encode(made).decode()
            assert card not in written, field.name
            assert card.encode().hex() not in written, field.name


def test_of_a_card_no_more_than_its_ends_is_shown() -> None:
    for shown, kept in (
        (VISA, "*" * 12 + "1111"),
        ("4111 1111 1111 1111", "**** **** **** 1111"),
        ("411111111111XXXX1234", "*" * 16 + "1234"),  # no card number, and more than may be shown
        ("411111******1111", "411111******1111"),
        ("41111111****1111", "41111111****1111"),
        ("************1111", "************1111"),
    ):
        assert objects.Card(number_masked=shown).number_masked == kept
    assert objects.Card(number_first6=VISA).number_first6 == ""
    assert objects.Card(number_first6="41111111").number_first6 == "41111111"
    assert objects.Card(number_last4=VISA).number_last4 == "1111"


@given(st.uuids().map(str))
def test_a_uuid_is_no_card_number(uuid: str) -> None:
    assert objects.Transaction(id=uuid, notes=uuid).id == uuid
    assert cuts.written(uuid) == cuts.named(f"urn:tid:{uuid}").removeprefix("urn:tid:") == uuid


def test_an_acquirer_s_number_of_twelve_digits_stays() -> None:
    number = "417500000001"  # passes the check of a card number, and is none
    response = objects.ProcessorResponse(retrieval_ref_num=number, status_message=number)
    assert response.retrieval_ref_num == number
    assert response.status_message == "********0001"


# --- pages ------------------------------------------------------------------------------------


def test_a_page_says_how_much_of_it_could_not_be_read() -> None:
    page = objects.read_page(
        octets(
            {
                "transactions": [
                    {"id": "a", "status": "CAPTURED"},
                    {"id": "b", "amounts": {"transactionAmount": -1}},
                    7,
                    {"id": "c", "notes": []},
                ],
                "links": [{"href": "/next", "rel": "next", "method": "GET"}],
                "count": 4,
            }
        )
    )
    assert [each.id for each in page.transactions] == ["a", "c"]
    assert (page.unreadable, page.count) == (2, 4)
    assert objects.next_page(page.links) == "/next"


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"[]", b"null", b"{}", b'{"transactions":null}', b'{"transactions":{}}',
     b'{"transactions":[],"links":"x"}', b'{"transactions":[],"links":[7]}',
     b'{"transactions":[],"count":-1}', b'{"transactions":[' + b"{}," * 200 + b"{}]}",
     b'{"transactions":' + b"[" * 50_000, b" " * (reading.LARGEST_ANSWER + 1)],
)  # fmt: skip
def test_what_is_no_page_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        objects.read_page(body)


@few
@given(st.lists(structures(objects.Transaction), max_size=3), structures(objects.Link))
def test_a_page_is_read_as_it_was_written(
    made: list[objects.Transaction], link: objects.Link
) -> None:
    page = objects.read_page(objects.write_page(tuple(made), (link,)))
    assert page == objects.TransactionList(transactions=tuple(made), links=(link,), count=len(made))


@pytest.mark.parametrize(
    ("href", "path"),
    [
        ("/businesses/b/transactions?startOffset=10", "/businesses/b/transactions?startOffset=10"),
        ("https://evil.example/x", None),
        ("//evil.example/x", None),
        ("businesses/b", None),
        ("/\\evil.example", None),
        ("/a b", None),
        ("/a\r\nHost: x", None),
        ("/é", None),
        ("", None),
        (None, None),
    ],
)
def test_the_next_page_is_on_the_same_host(href: str | None, path: str | None) -> None:
    links = (objects.Link(href="/self", rel="self"), objects.Link(href=href, rel="NEXT"))
    if path is None:
        with pytest.raises(RemoteProtocolError):
            objects.next_page(links)
    else:
        assert objects.next_page(links) == path
    assert objects.next_page(links[:1]) is None


# --- businesses and stores --------------------------------------------------------------------

STORE: Final = {
    "id": "s",
    "displayName": "Shop",
    "currency": "EUR",
    "status": "ACTIVE",
    "attributes": {"purchaseAction": "SALE", "odd": 5, "odder": {}},
    "storeDevices": [
        {"deviceId": "urn:tid:x", "externalTerminalId": "30350039", "status": "ACTIVATED",
         "serialNumber": "P61", "activatedAt": "2023-08-03T13:58:00Z", "type": "TERMINAL"},
        {"externalTerminalId": "30350040", "status": "CREATED", "deviceId": None},
    ],
}  # fmt: skip


@pytest.mark.parametrize("wrapper", [lambda stores: stores, lambda stores: {"stores": stores}])
def test_stores_are_read_bare_and_wrapped(wrapper: Any) -> None:
    (store,) = places.read_stores(octets(wrapper([STORE])))
    assert store.attributes == {"purchaseAction": "SALE", "odd": "5"}
    assert store.store_devices is not None
    assert [each.external_terminal_id for each in store.store_devices] == ["30350039", "30350040"]
    assert places.read_business(octets({"id": "b", "stores": [STORE]})).stores == (store,)
    assert places.read_store(octets(STORE)) == store
    assert places.read_stores(octets(wrapper([]))) == ()


@pytest.mark.parametrize(
    "loose",
    [
        None,
        7,
        {},
        {"stores": None},
        {"stores": {}},
        [7],
        [STORE] * 1_001,
        [{**STORE, "storeDevices": "x"}],
        [{**STORE, "storeDevices": ["x"]}],
        [{**STORE, "storeDevices": [{"status": 5.5}]}],
        [{**STORE, "storeDevices": [{"deviceId": {}}]}],
        [{**STORE, "storeDevices": [{"externalTerminalId": []}]}],
    ],
)
def test_stores_that_cannot_be_read_are_refused(loose: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        places.read_stores(octets(loose))


@pytest.mark.parametrize(
    "read",
    [
        places.read_store,
        places.read_stores,
        places.read_business,
        objects.read_payment,
        objects.read_transaction,
        hooks.read_event,
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"7", b'"x"', b"[" * 99_999, b'{"x":' * 9_999, b" " * 5_000_000]
)
def test_garbage_is_refused(read: Any, body: bytes) -> None:  # fmt: skip
    with pytest.raises(RemoteProtocolError):
        read(body)


@given(st.binary(max_size=80))
def test_any_octets_are_read_or_refused(body: bytes) -> None:
    for read in (objects.read_payment, places.read_stores, objects.read_page):
        try:
            read(body)
        except RemoteProtocolError:
            continue


def test_every_structure_is_tested() -> None:
    assert len(PARTS) > 25
    assert envelope.Recipient not in PARTS  # it stands in the tests of envelopes
    assert all(issubclass(each, msgspec.Struct) for each in PARTS)
