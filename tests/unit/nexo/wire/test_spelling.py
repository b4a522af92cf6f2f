"""Peers that know other keys get those, and the protocol's own form is the one without settings."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.unit.nexo.wire.messages import EXAMPLES
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire import Spelling
from tillwire.errors import LocalProtocolError


@pytest.mark.parametrize(
    ("example", "spelling", "there", "absent"),
    [
        ("payment_resp", Spelling(), ["MaskedPAN"], ["MaskedPan"]),
        ("payment_resp", Spelling(masked_pan="MaskedPan"), ["MaskedPan"], ["MaskedPAN"]),
        ("payment_resp", Spelling(masked_pan="both"), ["MaskedPAN", "MaskedPan"], []),
        ("status_resp", Spelling(masked_pan="MaskedPan"), ["MaskedPan"], ["MaskedPAN"]),
        ("login_resp", Spelling(), ["ProviderIdentification"], ["ManufacturerID"]),
        (
            "login_resp",
            Spelling(vendor_name="ManufacturerID"),
            ["ManufacturerID"],
            ["ProviderIdentification"],
        ),
        (
            "login_req",
            Spelling(masked_pan="both", vendor_name="both"),
            ["ManufacturerID", "ProviderIdentification"],
            ["MaskedPan"],
        ),
    ],
)
@pytest.mark.parametrize("flat", [False, True])
def test_a_peers_keys(
    example: str, spelling: Spelling, there: list[str], absent: list[str], flat: bool
) -> None:
    message = wire.decode(EXAMPLES[example])
    written = wire.encode(message, flat=flat, spelling=spelling)
    assert wire.decode(written).body == message.body
    keys: list[str] = []
    json.loads(written, object_pairs_hook=lambda pairs: keys.extend(key for key, _ in pairs))
    assert set(there) <= set(keys)
    assert not set(absent) & set(keys)
    assert keys.count("MaskedPAN") <= 1 or example == "status_resp"


def test_a_text_that_reads_like_a_key_is_a_text() -> None:
    message = wire.decode(EXAMPLES["payment_declined_resp"])
    said = 'x"MaskedPAN":"y\\" "MaskedPAN":"","ProviderIdentification":"z"'
    body = msgspec.structs.replace(
        message.body,
        response=msgspec.structs.replace(
            message.body.response,  # type: ignore[union-attr]
            additional_response=said,
        ),
    )
    changed = msgspec.structs.replace(message, body=body)
    both = Spelling(masked_pan="both", vendor_name="both")
    assert wire.decode(wire.encode(changed, spelling=both)).body == body


@pytest.mark.parametrize("masked", ['"', "\\", 'a"b', "\\\\", "é", "*\n"])
def test_any_text_is_doubled_as_it_is(masked: str) -> None:
    content = json.loads(EXAMPLES["payment_resp"])
    result = content["SaleToPOIResponse"]["PaymentResponse"]["PaymentResult"]
    result["PaymentInstrumentData"]["CardData"]["MaskedPAN"] = masked
    message = wire.decode(json.dumps(content).encode())
    written = json.loads(wire.encode(message, spelling=Spelling(masked_pan="both")))
    result = written["SaleToPOIResponse"]["PaymentResponse"]["PaymentResult"]
    card = result["PaymentInstrumentData"]["CardData"]
    assert card["MaskedPAN"] == card["MaskedPan"] == masked


def test_a_body_under_another_header_is_our_own_mistake() -> None:
    payment, login = (wire.decode(EXAMPLES[name]) for name in ("payment_req", "login_req"))
    with pytest.raises(LocalProtocolError):
        wire.encode(wire.Message(header=payment.header, body=login.body))


def test_requests_and_notifications_share_an_envelope() -> None:
    for example, envelope in (
        ("payment_req", "SaleToPOIRequest"),
        ("event_reject", "SaleToPOIRequest"),
        ("payment_resp", "SaleToPOIResponse"),
    ):
        assert envelope in json.loads(wire.encode(wire.decode(EXAMPLES[example])))
