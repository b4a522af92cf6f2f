"""The message around an order is checked member by member, in the cloud's order."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.paymentbridge.wire.structures import VISA, structures
from tillwire.dialects.paymentbridge.wire import envelope
from tillwire.dialects.paymentbridge.wire.errors import CodedRequest
from tillwire.errors import LocalProtocolError

TID: Final = "urn:tid:48c54303-6d51-39af-bdeb-4af53f621652"
WHOLE: Final[dict[str, Any]] = {
    "businessId": "469e957c-57a7-4b8e-8a7f-0b6d9a3c1d11",
    "storeId": "51aae957-57a7-4b8e-8a7f-0b6d9a3c1d11",
    "deviceId": TID,
    "serialNum": "P61SWA231FS000001",
    "ttl": 60,
    "data": "{}",
    "collapseKey": "k",
    "recipient": {"packageName": "co.example", "className": "co.example.Receiver"},
}


def octets(**others: Any) -> bytes:
    """An envelope; `...` leaves a member out."""
    members = {key: value for key, value in {**WHOLE, **others}.items() if value is not ...}
    return json.dumps(members).encode()


def read(**others: Any) -> envelope.CloudMessage:
    return envelope.decode(octets(**others)).message()


def test_every_member_is_read() -> None:
    message = read()
    assert message == envelope.CloudMessage(
        business_id=WHOLE["businessId"],
        store_id=WHOLE["storeId"],
        device_id=TID,
        serial_num="P61SWA231FS000001",
        ttl=60,
        data="{}",
        collapse_key="k",
        recipient=envelope.Recipient(package_name="co.example", class_name="co.example.Receiver"),
    )


@pytest.mark.parametrize(
    "others",
    [
        {"storeId": None, "recipient": {"packageName": None, "className": None}},  # Python SDK
        {"recipient": ..., "storeId": ..., "serialNum": ..., "collapseKey": ...},
        {"deviceId": ..., "storeDeviceId": TID},  # Go SDK
        {"deviceId": TID, "storeDeviceId": TID},
        {"more": [[{}]], "id": "x", "sender": None},
        {"ttl": 1},
        {"ttl": 2_419_200},
        {"data": ""},
        {"data": "€" * 1_365 + "x"},  # 4096 octets
    ],
)
def test_envelopes_are_read_as_clients_write_them(others: dict[str, Any]) -> None:
    assert read(**others).device_id == TID


def test_a_serial_number_or_a_broadcast_needs_no_device() -> None:
    assert read(deviceId=...).device_id is None
    with pytest.raises(CodedRequest):
        envelope.decode(octets(deviceId=..., serialNum=...))
    everywhere = envelope.decode(octets(deviceId=..., serialNum=...), broadcast=True).message()
    assert (everywhere.device_id, everywhere.serial_num) == (None, None)


@pytest.mark.parametrize(
    ("others", "code", "field"),
    [
        ({"businessId": ...}, "MISSING_PARAMETER", "businessId"),
        ({"businessId": None}, "MISSING_PARAMETER", "businessId"),
        ({"businessId": ""}, "MISSING_PARAMETER", "businessId"),
        ({"deviceId": None, "serialNum": None}, "MISSING_PARAMETER", "deviceId"),
        ({"ttl": ...}, "MISSING_PARAMETER", "ttl"),
        ({"data": None}, "MISSING_PARAMETER", "data"),
        ({"businessId": 7}, "INVALID_PARAMETER", "businessId"),
        ({"storeId": []}, "INVALID_PARAMETER", "storeId"),
        ({"deviceId": "x" * 257}, "INVALID_PARAMETER", "deviceId"),
        ({"recipient": "x"}, "INVALID_PARAMETER", "recipient"),
        ({"recipient": {"className": 1}}, "INVALID_PARAMETER", "recipient.className"),
        ({"collapseKey": 1}, "INVALID_PARAMETER", "collapseKey"),
        ({"storeDeviceId": "urn:tid:x"}, "INVALID_PARAMETER", "storeDeviceId"),
        ({"more": "x" * 70_000}, "INVALID_PARAMETER", "body"),
    ],
)
def test_what_is_wrong_with_who_is_meant_is_told_first(
    others: dict[str, Any], code: str, field: str
) -> None:
    with pytest.raises(CodedRequest) as raised:
        envelope.decode(octets(**others))
    assert (raised.value.code, raised.value.field) == (code, field)


@pytest.mark.parametrize(
    ("others", "field"),
    [
        *(
            ({"ttl": ttl}, "ttl")
            for ttl in (0, -1, 2_419_201, True, 1.5, 60.0, "60", [], {}, 10**400)
        ),
        *(({"data": data}, "data") for data in (7, {}, {"action": "sale"}, [], False)),
        ({"data": "x" * 4_097}, "data"),
        ({"data": "€" * 1_366}, "data"),
    ],
)
def test_ttl_and_data_are_told_last(others: dict[str, Any], field: str) -> None:
    loose = envelope.decode(octets(**others))  # The cloud looks at business and device first.
    with pytest.raises(CodedRequest) as raised:
        loose.message()
    assert (raised.value.code, raised.value.field) == ("INVALID_PARAMETER", field)


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"[]", b"null", b'"x"', b"\xff", b"[" * 60_000, b'{"x":' * 10_000, b'{"ttl":NaN}',
     b'{"businessId":"\\ud800"}'],
)  # fmt: skip
def test_what_is_no_object_is_no_request(body: bytes) -> None:
    with pytest.raises(CodedRequest) as raised:
        envelope.decode(body)
    assert raised.value.code == "INVALID_REQUEST"


@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([*WHOLE, "x"]), inner, max_size=6),
    max_leaves=12,
).map(lambda loose: json.dumps(loose).encode()))  # fmt: skip
def test_garbage_is_refused_or_read(body: bytes) -> None:
    try:
        message = envelope.decode(body).message()
    except CodedRequest:
        return
    assert message.business_id
    assert message.device_id or message.serial_num


@given(structures(envelope.CloudMessage), st.integers(1, 2_419_200))
def test_what_is_written_is_read(made: envelope.CloudMessage, ttl: int) -> None:
    members = {name: getattr(made, name) for name in made.__struct_fields__}
    members |= {"ttl": ttl, "id": None, "sender": None, "device_id": made.device_id or TID}
    message = envelope.CloudMessage(**{**members, "business_id": made.business_id or "b"})
    assert envelope.decode(envelope.encode(message)).message() == message


@pytest.mark.parametrize(("ttl", "data"), [(0, ""), (2_419_201, ""), (1, "x" * 4_097)])
def test_we_write_none_that_is_wrong(ttl: int, data: str) -> None:
    with pytest.raises(LocalProtocolError):
        envelope.encode(envelope.CloudMessage(business_id="b", ttl=ttl, data=data))


def test_a_key_is_no_place_for_a_card_number() -> None:
    assert VISA not in repr(read(collapseKey=VISA, serialNum=VISA))
