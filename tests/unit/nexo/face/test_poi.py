"""What a message is led to: terminals, headers, sessions, and what is no message at all."""

from __future__ import annotations

import base64
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.runner import virtual
from tests.unit.core.scripted import DECLINED
from tests.unit.nexo.face.lanes import (
    SETTINGS,
    VISA,
    Json,
    abort,
    desk_in,
    ended,
    event_in,
    log_in,
    payment,
    response_in,
    reversal,
    sandbox_in,
    words,
)
from tillwire.core.estate_model import Terminal
from tillwire.dialects.nexo.face.logins import Login

CARD_NUMBER = "4111111111111111"


# --- what is no message ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"hello"',
        b"\xff\xfe\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"SaleToPOIRequest": {}}',
        b'{"SaleToPOIRequest": []}',
        b'{"MessageHeader": {}}',
        b'{"SaleToPOIRequest": {"MessageHeader": {"SaleID": 1}}}',
        b"[" * 100_000,
        b"{" * 3_000_000,
    ],
)
def test_garbage_is_rejected_with_an_event(tmp_path: Path, octets: bytes) -> None:
    @virtual()
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            answer = await desk.lane().write(octets)
            event = event_in(answer)
            assert event["EventToNotify"] == "Reject"
            assert event["EventDetails"]
            returned = base64.b64decode(event["RejectedMessage"])
            assert octets.startswith(returned)
            assert len(returned) <= 8192
            assert answer is not None
            header = answer["SaleToPOIRequest"]["MessageHeader"]
            assert (header["SaleID"], header["POIID"]) == ("N/A", "N/A")
            number = header["ServiceID"]  # which every message of a service or an event has
            assert 1 <= len(number) <= 10
            again = await desk.lane().write(octets)
            assert again is not None
            assert again["SaleToPOIRequest"]["MessageHeader"]["ServiceID"] != number

    scenario()


@virtual()
async def test_a_rejected_message_comes_back_without_its_card_number(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        event = event_in(await desk.lane().write(b'{"Track": "' + CARD_NUMBER.encode()))
        assert base64.b64decode(event["RejectedMessage"]) == b'{"Track": "************1111'


@virtual()
async def test_a_category_that_nobody_knows_is_rejected_under_its_own_header(
    tmp_path: Path,
) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        answer = await lane.post("Teleport", {})
        assert event_in(answer)["EventToNotify"] == "Reject"
        assert answer is not None
        header = answer["SaleToPOIRequest"]["MessageHeader"]
        assert (header["SaleID"], header["ServiceID"]) == ("LANE-07", "1")


@pytest.mark.parametrize(
    "category", ["StoredValue", "Loyalty", "Batch", "Sound", "PIN", "CardReaderInit", "Transmit"]
)
def test_categories_that_are_not_served_say_so(tmp_path: Path, category: str) -> None:
    @virtual()
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            answer = response_in(await desk.lane().send(category, _least(category)))
            assert ended(answer) == ("Failure", "UnavailableService")
            assert words(answer) == f"{category} is not served here."

    scenario()


def _least(category: str) -> Json:
    """A body of the category that can be read."""
    sale = {"SaleData": payment()["SaleData"]}
    bodies: dict[str, Json] = {
        "StoredValue": {
            **sale,
            "StoredValueData": [{"StoredValueTransactionType": "Load", "Currency": "EUR"}],
        },
        "Loyalty": {**sale, "LoyaltyTransaction": {"LoyaltyTransactionType": "Award"}},
        "Sound": {"SoundAction": "StopSound"},
        "PIN": {"PINRequestType": "PINEnter"},
        "Transmit": {
            "DestinationAddress": "host:1",
            "MaximumTransmitTime": 1,
            "Message": base64.b64encode(b"x").decode(),
        },
    }
    return bodies.get(category, {})


@virtual()
async def test_a_body_that_does_not_belong_to_its_header(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        message = lane.message("Payment", payment())
        inner = message["SaleToPOIRequest"]
        inner["ReversalRequest"] = inner.pop("PaymentRequest")
        encoder = msgspec.json.Encoder(decimal_format="number")
        answer = response_in(await lane.write(encoder.encode(message)), "Payment")
        assert ended(answer) == ("Failure", "MessageFormat")
        assert "PaymentRequest" in words(answer)


@virtual()
async def test_a_flat_message_is_answered_like_an_enveloped_one(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        flat = lane.message("Payment", payment("0"))["SaleToPOIRequest"]
        encoder = msgspec.json.Encoder(decimal_format="number")
        answer = response_in(await lane.write(encoder.encode(flat)), "Payment")
        assert words(answer).startswith("At PaymentRequest.PaymentTransaction"), "its own path"


@pytest.mark.parametrize(
    "message",
    [
        {"MessageType": "Response"},
        {"MessageClass": "Event", "MessageCategory": "Event", "MessageType": "Notification"},
    ],
)
def test_what_asks_for_nothing_gets_nothing(tmp_path: Path, message: Json) -> None:
    """A till's response to a DisplayRequest, or an event of its own."""

    @virtual()
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            header = desk.lane().message("Display", {})["SaleToPOIRequest"]["MessageHeader"]
            header.update({"MessageClass": "Device", "DeviceID": "d1", **message})
            body: Json = {
                "DisplayResponse": {
                    "OutputResult": [
                        {
                            "Device": "CashierDisplay",
                            "InfoQualify": "Status",
                            "Response": {"Result": "Success"},
                        }
                    ]
                }
            }
            if header["MessageType"] == "Notification":
                body = {"EventNotification": {"TimeStamp": "now", "EventToNotify": "Shutdown"}}
            octets = msgspec.json.encode({"MessageHeader": header, **body})
            assert await desk.lane().write(octets) is None

    scenario()


# --- ids ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"ServiceID": "12345678901"}, "ServiceID: It has 11 characters. Allowed: 1 to 10"),
        ({"ServiceID": "a-1"}, "ServiceID: It has characters that are no letters or digits"),
        ({"ServiceID": "ä1"}, "ServiceID: It has characters that are no letters or digits"),
        ({"DeviceID": "12345678901"}, "DeviceID: It has 11 characters"),
        ({"SaleID": f"LANE {CARD_NUMBER}"}, "SaleID: It looks like a card number"),
        ({"ProtocolVersion": CARD_NUMBER}, "ProtocolVersion: It looks like a card number"),
        ({"MessageClass": CARD_NUMBER}, "MessageClass: It looks like a card number"),
        ({"SaleID": "LANE\n7"}, "SaleID: It has control characters"),
        ({"SaleID": "x" * 101}, "SaleID: It has 101 characters"),
    ],
)
def test_bad_ids(tmp_path: Path, header: Json, problem: str) -> None:
    @virtual()
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            lane = desk.lane()
            answer = await lane.send("Payment", payment(), **header)
            assert ended(response_in(answer)) == ("Failure", "MessageFormat")
            assert f"At SaleToPOIRequest.MessageHeader, field {problem}" in words(
                response_in(answer)
            )
            assert answer["SaleToPOIResponse"]["MessageHeader"]["ServiceID"] == header.get(
                "ServiceID", "1"
            )
            rejected = event_in(await lane.post("Abort", abort("1"), **header))
            assert rejected["EventToNotify"] == "Reject", "an Abort has no response"
            assert problem in rejected["EventDetails"]
            assert desk.driver.ran == []

    scenario()


@virtual()
async def test_a_longer_service_id_by_setting(tmp_path: Path) -> None:
    """DataMesh's clients send 32 characters."""
    async with sandbox_in(
        tmp_path, msgspec.structs.replace(SETTINGS, longest_service_id=32)
    ) as sandbox:
        lane, number = sandbox.lane(), "0123456789abcdef0123456789abcdef"
        assert ended(await lane.pay("10.00", header={"ServiceID": number})) == ("Success", None)


@virtual()
async def test_a_payment_without_a_service_id(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        missing = await lane.post("Payment", payment(), ServiceID=None)
        assert event_in(missing)["EventToNotify"] == "Reject"
        as_device = {"ServiceID": None, "DeviceID": "d1", "MessageClass": "Device"}
        answer = response_in(await lane.send("Payment", payment(), **as_device))
        assert ended(answer) == ("Failure", "MessageFormat")
        assert "ServiceID: Missing" in words(answer)
        assert desk.driver.ran == []


# --- terminals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("poi_id", ["POI-4412", "V1-x1", "t1", "TILLWIRE-V1-t1", "v1-t1"])
def test_a_wrong_poi_id_reaches_nobody(tmp_path: Path, poi_id: str) -> None:
    """V1-x1 belongs to another organisation: it does not exist here."""

    @virtual()
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            lane = desk.lane(poi_id=poi_id)
            answer = await lane.pay()
            assert ended(answer) == ("Failure", "NotAllowed")
            assert words(answer) == f"POIID {poi_id} names no terminal that is served here."
            assert event_in(await lane.abort("1"))["EventToNotify"] == "Reject"
            assert desk.driver.ran == []

    scenario()


@virtual()
async def test_poi_ids_may_be_given_by_the_settings(tmp_path: Path) -> None:
    named = {"POI-4412": "TILLWIRE-V1-t2", "POI-1": "TILLWIRE-V1-x1", "POI-2": "gone"}
    async with desk_in(tmp_path, msgspec.structs.replace(SETTINGS, terminals=named)) as desk:
        desk.driver.at_once = VISA
        assert ended(await desk.lane(poi_id="POI-4412").pay()) == ("Success", None)
        assert desk.driver.ran[0].terminal_id == "t2"
        for poi_id in ("V1-t1", "V1-t2", "POI-1", "POI-2"):
            assert ended(await desk.lane(poi_id=poi_id).pay()) == ("Failure", "NotAllowed")


@virtual()
async def test_a_terminal_that_is_new_is_served_at_once(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.at_once = VISA
        assert ended(await desk.lane(poi_id="V1-t9").pay()) == ("Failure", "NotAllowed")
        first: Terminal = desk.engine.estate.terminals["t1"]
        await desk.put(msgspec.structs.replace(first, id="t9", serial="t9"))
        assert ended(await desk.lane(poi_id="V1-t9").pay()) == ("Success", None)
        await desk.put(msgspec.structs.replace(first, id="t10", serial="t9", manufacturer="B"))
        doubtful = desk.lane("LANE-08", "V1-t9")
        assert ended(await doubtful.pay()) == ("Failure", "NotAllowed"), "two have this name"


@virtual()
async def test_a_binding_speaks_for_its_own_terminal(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        encoder = msgspec.json.Encoder(decimal_format="number")
        octets = encoder.encode(lane.message("Payment", payment()))
        answer = await desk.poi.handle(octets, lane, poi_id="V1-t2")
        assert answer is not None
        body: Any = answer.body  # Any: of whatever category
        assert body.response.error_condition == "NotAllowed"
        assert "V1-t2" in body.response.additional_response
        assert desk.driver.ran == []
        assert not desk.poi.is_in_use("t1")


# --- sessions ----------------------------------------------------------------------------------


@virtual()
async def test_a_face_may_want_a_login_first(tmp_path: Path) -> None:
    strict = msgspec.structs.replace(SETTINGS, login_required=True)
    async with sandbox_in(tmp_path, strict) as sandbox:
        lane = sandbox.lane()
        out = await lane.pay("10.00")
        assert ended(out) == ("Failure", "LoggedOut")
        assert "Login" in words(out)
        answer = await lane.send("Reversal", reversal("1"))
        assert ended(response_in(answer)) == ("Failure", "LoggedOut")
        assert ended(response_in(await lane.send("GetTotals", {})))[1] == "LoggedOut"
        assert ended(response_in(await lane.send("Diagnosis", {}))) == ("Success", None)
        assert ended(await lane.status("77")) == ("Failure", "NotFound")
        await log_in(sandbox.shop.engine, lane, Login())
        assert ended(await lane.pay("10.00")) == ("Success", None)
        assert ended(await sandbox.lane("LANE-08").pay("10.00"))[1] == "LoggedOut"


# --- hostile -----------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.just(CARD_NUMBER),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["TransactionID", "RequestedAmount", "SaleID", "X"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def _paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _paths(inner, (*path, key))
    return found


_GOOD: Json = {
    "SaleToPOIRequest": {
        "MessageHeader": {
            "MessageClass": "Service",
            "MessageCategory": "Payment",
            "MessageType": "Request",
            "ServiceID": "1",
            "SaleID": "LANE-07",
            "POIID": "V1-t1",
        },
        "PaymentRequest": payment(
            "10.00",
            "Refund",
            original="P-1",
            amounts={"TipAmount": Decimal(1), "CashBackAmount": Decimal(1)},
            sale={"OperatorID": "op", "SaleReferenceID": "chain"},
            data={"RequestedValidityDate": "2026-11-27"},
            transaction={"TransactionConditions": {"CustomerLanguage": "en"}},
        ),
    }
}


def test_whatever_is_wrong_the_till_gets_one_answer_and_no_card_number_stays(
    tmp_path: Path,
) -> None:
    folders = count()
    encoder = msgspec.json.Encoder(decimal_format="number")

    @settings(
        max_examples=100,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        folder = tmp_path / str(next(folders))
        folder.mkdir()
        message = msgspec.json.decode(encoder.encode(_GOOD))
        for path in data.draw(
            st.lists(st.sampled_from(_paths(message)), min_size=1, max_size=3), "where"
        ):
            place = message
            for key in path[:-1]:
                place = place.get(key, {}) if isinstance(place, dict) else {}
            if isinstance(place, dict):
                place[path[-1]] = data.draw(_JSON, "what")
        octets = msgspec.json.encode(message)

        @virtual()
        async def scenario() -> None:
            async with desk_in(folder) as desk:
                desk.driver.at_once = DECLINED  # whatever the amount came to
                answer = await desk.lane().write(octets)
                said = message.get("SaleToPOIRequest")
                kind = said.get("MessageHeader", {}) if isinstance(said, dict) else {}
                if answer is None:
                    assert kind.get("MessageType") != "Request"
                else:
                    assert len(answer) == 1
                for transaction in desk.driver.ran:
                    assert CARD_NUMBER not in repr(transaction)

        scenario()
        for file in folder.glob("journal.db*"):
            assert CARD_NUMBER.encode() not in file.read_bytes()

    check()
