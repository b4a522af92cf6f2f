"""An order is read in both dialects, and refused with a reason when it cannot be done as asked."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.paymentbridge.wire.structures import CARDS, VISA
from tillwire.dialects.paymentbridge.wire import bridge, headers
from tillwire.dialects.paymentbridge.wire.bridge import Action, BridgeOrder, Dialect
from tillwire.errors import InvalidRequest, LocalProtocolError
from tillwire.money import CURRENCIES, MAX_MINOR

UUID: Final = "5b4e9993-c815-4070-9859-35f48e492b4f"
URL: Final = "https://pos.example/poynt/cb/Zk3"
SALE: Final[dict[str, Any]] = {
    "action": "sale",
    "purchaseAmount": 1_234,
    "tipAmount": 0,
    "currency": "EUR",
    "referenceId": "7d3f6c0a",
    "callbackUrl": URL,
    "skipReceiptScreen": True,
}
ORDER: Final = BridgeOrder(
    action=Action.SALE,
    amount=1_234,
    currency="EUR",
    reference="7d3f6c0a",
    callback_url=URL,
    flags=frozenset({"skipReceiptScreen"}),
)


def read(loose: Any) -> BridgeOrder:
    return bridge.decode(json.dumps(loose))


def flat(**others: Any) -> BridgeOrder:
    """The sale with other members; `...` leaves one out."""
    return read({key: value for key, value in {**SALE, **others}.items() if value is not ...})


def wrapped(outer: dict[str, Any] | None = None, **payment: Any) -> BridgeOrder:
    inner = {"amount": 1_234, "currency": "EUR", "referenceId": "7d3f6c0a", **payment}
    inner = {key: value for key, value in inner.items() if value is not ...}
    return read({"callbackUrl": URL, "payment": json.dumps(inner), **(outer or {})})


# --- dialect A --------------------------------------------------------------------------------


def test_a_sale() -> None:
    assert flat() == ORDER
    assert ORDER.total == 1_234


@pytest.mark.parametrize(
    ("action", "meant"),
    [
        ("sale", Action.SALE),
        ("SALE", Action.SALE),
        ("Authorize", Action.AUTHORIZE),
        ("AUTHORIZE", Action.AUTHORIZE),
        ("non-referenced-credit", Action.CREDIT),
        ("NON-REFERENCED-CREDIT", Action.CREDIT),
    ],
)
def test_actions_are_written_in_any_case(action: str, meant: Action) -> None:
    order = flat(action=action)
    assert (order.action, order.amount) == (meant, 1_234)


def test_amounts_beside_the_goods_add_up() -> None:
    order = flat(tipAmount=100, cashbackAmount=1_000)
    assert (order.amount, order.tip, order.cashback, order.total) == (1_234, 100, 1_000, 2_334)


def test_the_amount_has_two_names() -> None:
    assert flat(purchaseAmount=..., amount=1_234) == flat(amount=1_234) == ORDER


@pytest.mark.parametrize("action", ["void", "refund", "VOID"])
def test_what_follows_names_its_transaction(action: str) -> None:
    order = read({"action": action, "transactionId": UUID.upper(), "callbackUrl": URL})
    assert order == BridgeOrder(
        action=Action(action.lower()), transaction_id=UUID, callback_url=URL
    )
    assert order.total is None


def test_a_refund_may_be_of_a_part() -> None:
    order = flat(action="refund", transactionId=UUID, purchaseAmount=34)
    assert (order.amount, order.currency, order.transaction_id) == (34, "EUR", UUID)


def test_a_void_is_of_all() -> None:
    order = flat(action="void", transactionId=UUID, purchaseAmount=-5, currency="?")
    assert (order.amount, order.currency) == (None, "")


@pytest.mark.parametrize(
    ("members", "reference"),
    [
        ({"referenceId": ..., "referenceID": "r"}, "r"),
        ({"referenceId": ..., "referenceid": "r"}, "r"),
        ({"referenceID": "7d3f6c0a"}, "7d3f6c0a"),
        ({"referenceId": ...}, ""),
        ({"referenceId": None}, ""),
        (
            {"referenceId": ...,
             "references": [{"id": "x"}, {"id": "r", "customType": "referenceId"}]},
            "r",
        ),
        ({"references": [{"id": "7d3f6c0a", "customType": "REFERENCEID"}, 7]}, "7d3f6c0a"),
        ({"references": []}, "7d3f6c0a"),
        ({"referenceId": UUID}, UUID),
    ],
)  # fmt: skip
def test_the_reference_is_found(members: dict[str, Any], reference: str) -> None:
    assert flat(**members).reference == reference


@pytest.mark.parametrize(
    "url",
    ["https%3A%2F%2Fpos.example%2Fpoynt%2Fcb%2FZk3", "https%3a//pos.example/poynt/cb/Zk3", URL],
)
def test_a_percent_encoded_address_is_decoded(url: str) -> None:
    assert flat(callbackUrl=url).callback_url == URL


def test_an_address_is_decoded_once() -> None:
    assert flat(callbackUrl=URL + "?a=%2541").callback_url == URL + "?a=%2541"
    assert flat(callbackUrl="http%3A//a/%2541").callback_url == "http://a/%41"


# --- dialect B --------------------------------------------------------------------------------


def test_a_wrapped_payment_is_a_sale() -> None:
    assert wrapped(skipReceiptScreen=True) == ORDER
    inner = {"amount": 1_234, "currency": "EUR", "referenceId": "7d3f6c0a"}
    assert read({"callbackUrl": URL, "payment": {**inner, "skipReceiptScreen": True}}) == ORDER


def test_a_wrapped_payment_says_what_is_done() -> None:
    assert wrapped(authzOnly=True).action is Action.AUTHORIZE
    assert wrapped(nonReferencedCredit=True).action is Action.CREDIT
    assert wrapped(authzOnly=False, nonReferencedCredit=None).action is Action.SALE
    assert wrapped(action="AUTHORIZE", authzOnly=True).action is Action.AUTHORIZE
    assert wrapped({"action": "authorize"}).action is Action.AUTHORIZE


def test_wrapped_members_may_stand_outside() -> None:
    order = wrapped(
        {"referenceId": "r", "custom-http-header": "X-A: b"}, referenceId=..., tipAmount=5
    )
    assert (order.reference, order.tip, order.headers) == ("r", 5, (("X-A", "b"),))


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"action": ...}, "action"),
        ({"action": "capture"}, "action"),
        ({"action": 7}, "action"),
        ({"authzOnly": True}, "action"),
        ({"action": "authorize", "nonReferencedCredit": True}, "action"),
        ({"action": "refund"}, "transactionId"),
        ({"action": "void", "transactionId": "x"}, "transactionId"),
        ({"action": "void", "transactionId": 5}, "transactionId"),
        ({"action": "void", "transactionId": VISA}, "transactionId"),
        ({"purchaseAmount": ...}, "purchaseAmount"),
        *(
            ({"purchaseAmount": wrong}, "purchaseAmount")
            for wrong in (0, -1, True, 12.0, 12.34, "1234", [], {}, MAX_MINOR + 1, 10**40)
        ),
        ({"purchaseAmount": MAX_MINOR, "tipAmount": 1}, "purchaseAmount"),
        ({"purchaseAmount": 1, "amount": 2}, "amount"),
        ({"purchaseAmount": 1, "amount": True}, "amount"),
        ({"tipAmount": -1}, "tipAmount"),
        ({"tipAmount": 0.5}, "tipAmount"),
        ({"cashbackAmount": "5"}, "cashbackAmount"),
        ({"action": "refund", "transactionId": UUID, "purchaseAmount": 0}, "purchaseAmount"),
        (
            {"action": "refund", "transactionId": UUID, "purchaseAmount": ..., "tipAmount": 5},
            "purchaseAmount",
        ),
        ({"currency": ...}, "currency"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "XXX"}, "currency"),
        ({"currency": "EURO"}, "currency"),
        ({"currency": 978}, "currency"),
        ({"referenceId": 5}, "referenceId"),
        ({"referenceId": "a\nb"}, "referenceId"),
        ({"referenceId": "x" * 257}, "referenceId"),
        ({"referenceID": "another"}, "referenceID"),
        ({"references": [{"id": "x", "customType": "referenceId"}]}, "references"),
        ({"references": {}}, "references"),
        ({"orderId": 5}, "orderId"),
        ({"notes": 5}, "notes"),
        ({"multiTender": 1}, "multiTender"),
        ({"disableTip": "yes"}, "disableTip"),
        ({"verifyOnly": []}, "verifyOnly"),
        ({"custom-http-header": 5}, "custom-http-header"),
        ({"payment": 5}, "payment"),
        ({"payment": "x"}, "payment"),
        ({"payment": "[]"}, "payment"),
        ({"payment": '{"amount":5}'}, "payment.amount"),
    ],
)
def test_what_cannot_be_done_as_asked_is_named(members: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        flat(**members)
    assert raised.value.field == field


@pytest.mark.parametrize("card", CARDS)
def test_no_name_may_be_a_card_number(card: str) -> None:
    spaced = " ".join(card[at : at + 4] for at in range(0, len(card), 4))
    for members in (
        {"referenceId": card},
        {"referenceId": f"sale {spaced}"},
        {"referenceId": ..., "references": [{"id": card, "customType": "referenceId"}]},
        {"callbackUrl": f"{URL}?pan={card}"},
        {"callbackUrl": URL.replace("://", "%3A//") + f"%3F{card[:1]}%{ord(card[1]):x}{card[2:]}"},
        {"custom-http-header": {"X-A": card}},
    ):
        with pytest.raises(InvalidRequest) as raised:
            flat(**members)
        assert card not in str(raised.value)
    order = flat(notes=f"card {spaced}", orderId=card)
    assert card not in repr(order)
    assert spaced not in repr(order)
    assert order.notes.endswith(spaced[-4:])


@pytest.mark.parametrize(
    "url",
    [
        "ftp://pos.example/",
        "file:///etc/passwd",
        "pos.example/cb",
        "https://",
        "https:///cb",
        "https://user:secret@pos.example/",
        "https://user@pos.example/",
        "https://pos.example:0/",
        "https://pos.example:99999/",
        "https://pos.example:x/",
        "https://[::1/",
        "https://pos.example/a b",
        "https://pos.example/a\tb",
        "https://pos.example/\r\nHost: x",
        "https%3A//pos.example/%0d%0aHost: x",
        "https%3A//pos.example/%ff",
        "https%3A//a@b/",
        "https://pos.example\\@inner/",
        "https://pös.example/",
        "javascript:alert(1)",
        "https://pos.example/" + "x" * 2_048,
    ],
)
def test_an_address_must_be_one(url: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        flat(callbackUrl=url)
    assert raised.value.field == "callbackUrl"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/x", "https://[::1]:1/x?a=b#c", "HTTP://A/"])
def test_where_an_address_leads_is_for_others_to_say(url: str) -> None:
    assert flat(callbackUrl=url).callback_url == url


def test_unknown_members_are_ignored() -> None:
    assert flat(surprise={"a": [1]}, callerPackageName=5, applicationIndex=-1, disableX=1) == ORDER


@pytest.mark.parametrize("flag", sorted(bridge.FLAGS))
@pytest.mark.parametrize("place", [flat, wrapped])
def test_every_option_is_read(flag: str, place: Any) -> None:
    assert flag in place(**{flag: True}).flags
    assert flag in place(**{flag: "true"}).flags
    assert flag not in place(**{flag: False}).flags
    assert flag not in place(**{flag: None}).flags


# --- the header of callbacks ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ({"X-Auth": "abc"}, (("X-Auth", "abc"),)),
        ("X-Auth: abc", (("X-Auth", "abc"),)),
        ("X-Auth:abc: d", (("X-Auth", "abc: d"),)),
        ({"Authorization": "Basic eDp5"}, (("Authorization", "Basic eDp5"),)),
        ({"A": "1", "B": "2"}, (("A", "1"), ("B", "2"))),
        ({}, ()),
    ],
)
def test_a_header_is_read_in_both_forms(written: Any, read_as: Any) -> None:
    assert flat(**{"custom-http-header": written}).headers == read_as


@pytest.mark.parametrize(
    "written",
    [
        5,
        [],
        True,
        "",
        "X-Auth",
        "X-Auth:",
        ": abc",
        "X Auth: abc",
        "X-Auth: a\r\nHost: b",
        "X-Auth: a\nb",
        "X-Auth: abc\n",
        "X-Auth\r\n: abc",
        {"X-Auth": "abc\r"},
        {"X-Auth": "a\x00b"},
        {"X-Auth": "é"},
        {"X-Auth": 5},
        {"X-Auth": None},
        {"X-Auth": ""},
        {"X-Auth": "x" * 1_025},
        {"X" * 65: "a"},
        {"X-Auth\n": "a"},
        {"": "a"},
        {"A": "1", "a": "2"},
        {f"X-{index}": "a" for index in range(9)},
        *({name: "a"} for name in sorted(headers.OURS)),
        {"HOST": "a"},
        {"Content-Length": "5"},
        {"Proxy-Authorization": "a"},
        "transfer-encoding: chunked",
    ],
)
def test_a_header_that_would_change_http_is_refused(written: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        flat(**{"custom-http-header": written})
    assert raised.value.field == "custom-http-header"


# --- garbage and round trips ------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    ["", "x", "[]", "null", "5", '"sale"', "[" * 4_000, '{"a":' * 800, '{"action":NaN}', "\ud800",
     '{"x":"' + "x" * 4_090 + '"}', '{"payment":"' + '{\\"a\\":' * 500 + '"}'],
)  # fmt: skip
def test_what_is_no_order_is_refused(data: str) -> None:
    with pytest.raises(InvalidRequest):
        bridge.decode(data)


def test_what_is_nested_deeply_is_refused_or_ignored() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    for members in ({"x": deep}, {"references": deep}, {"notes": deep}, {"multiTender": deep}):
        try:
            assert flat(**members) == ORDER
        except InvalidRequest:
            continue
    inner = {"amount": 1, "currency": "EUR", "references": deep}
    with pytest.raises(InvalidRequest):
        read({"payment": inner, "references": deep})


LOOSE: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
    | st.sampled_from(["sale", "void", UUID, URL, "EUR", VISA]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([*SALE, "payment", "references", "transactionId", "notes",
                         "custom-http-header", "authzOnly", "id", "customType"]),
        inner, max_size=8,
    ),
    max_leaves=20,
)  # fmt: skip


@given(LOOSE | st.dictionaries(st.sampled_from(sorted(SALE)), LOOSE))
def test_whatever_it_is_it_is_read_or_refused(loose: Any) -> None:
    for content in (loose, {**SALE, **loose} if isinstance(loose, dict) else {"payment": loose}):
        try:
            order = read(content)
        except InvalidRequest:
            continue
        assert VISA not in repr(order)
        assert order.total is None or 0 < order.total <= MAX_MINOR


@given(st.text(max_size=99))
def test_any_text_is_read_or_refused(data: str) -> None:
    with pytest.raises(InvalidRequest):
        bridge.decode(data)


PLAIN: Final = st.text(st.characters(codec="utf-8", exclude_categories=["C", "N"]), max_size=30)


@st.composite
def orders(draw: st.DrawFn) -> BridgeOrder:
    """Any order that can be written."""
    action = draw(st.sampled_from(Action))
    follows = action in (Action.VOID, Action.REFUND)
    amount = draw(st.integers(1, MAX_MINOR // 4))
    if action is Action.VOID or (follows and draw(st.booleans())):
        amount = 0
    return BridgeOrder(
        action=action,
        amount=amount or None,
        tip=draw(st.integers(0, MAX_MINOR // 4)) if amount else 0,
        cashback=draw(st.integers(0, MAX_MINOR // 4)) if amount else 0,
        currency=draw(st.sampled_from(sorted(CURRENCIES))) if amount else "",
        reference=draw(PLAIN),
        callback_url=draw(st.sampled_from(["", URL, "http://a/?b=%20c"])),
        transaction_id=str(draw(st.uuids())) if follows else "",
        order_id=draw(PLAIN),
        notes=draw(PLAIN),
        headers=draw(st.sampled_from([(), (("X-A", "b c"),), (("A", "1"), ("B", '"'))])),
        flags=frozenset(draw(st.sets(st.sampled_from(sorted(bridge.FLAGS)), max_size=9))),
    )


@given(orders(), st.sampled_from(Dialect))
def test_what_is_written_is_read(order: BridgeOrder, dialect: Dialect) -> None:
    assert bridge.decode(bridge.encode(order, dialect)) == order


@pytest.mark.parametrize(
    "order",
    [
        BridgeOrder(action=Action.SALE),
        BridgeOrder(action=Action.VOID),
        BridgeOrder(action=Action.SALE, amount=-5, currency="EUR"),
        BridgeOrder(action=Action.SALE, amount=5, currency="EUR", reference=VISA),
        BridgeOrder(action=Action.SALE, amount=5, currency="EUR", headers=(("Host", "a"),)),
        BridgeOrder(
            action=Action.SALE,
            amount=5,
            currency="EUR",
            callback_url=URL + "x" * 2_000,
            reference="€" * 256,
            notes="€" * 500,
        ),
    ],
)
@pytest.mark.parametrize("dialect", Dialect)
def test_we_write_none_that_nobody_can_read(order: BridgeOrder, dialect: Dialect) -> None:
    with pytest.raises(LocalProtocolError):
        bridge.encode(order, dialect)
