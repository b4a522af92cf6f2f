"""No card number gets past the parser (law 7), and nothing else is lost on the way."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any, Final

import msgspec
import pytest

from tests.unit.nexo.wire.messages import EXAMPLES, loose, octets
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire.devices import Input

NUMBER: Final = "4111111111111111"
TRACK: Final = f";{NUMBER}=28122011234567890?"


def put(example: str, path: str, value: Any) -> Any:
    """An example with a value at a path of its body."""
    content = loose(example)
    (at,) = (each for name, each in content.items() if name != "MessageHeader")
    *above, key = path.split(".")
    for step in above:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    at[int(key) if isinstance(at, list) else key] = value
    return content


def body(category: str, kind: str, **members: Any) -> Any:
    """A message of this category with these members."""
    header = loose("payment_req")["MessageHeader"]
    header |= {"MessageCategory": category, "MessageType": kind}
    return {"MessageHeader": header, category + kind: members}


def shown(content: Any) -> str:
    """All that can be seen of a message once it is read."""
    message = wire.decode(octets(content))
    return repr(message) + wire.encode(message).decode()


CARD: Final = "PaymentResult.PaymentInstrumentData.CardData"
OK: Final = {"Result": "Success"}
TEXT: Final = {"OutputFormat": "Text", "OutputText": [{"Text": f"PAN: {NUMBER}"}]}
SHOWN: Final = {"Device": "CashierDisplay", "InfoQualify": "Display", "OutputContent": TEXT}


@pytest.mark.parametrize(
    "content",
    [
        put("payment_resp", f"{CARD}.MaskedPAN", NUMBER),
        put("payment_resp", f"{CARD}.MaskedPan", NUMBER),
        put("payment_resp", f"{CARD}.MaskedPAN", "4111 1111 1111 1111"),
        put("payment_resp", f"{CARD}.MaskedPAN", "4111111111111112"),
        put("payment_resp", f"{CARD}.SensitiveCardData.PAN", NUMBER),
        put("payment_resp", f"{CARD}.SensitiveCardData.PAN", int(NUMBER)),
        put("payment_resp", f"{CARD}.SensitiveCardData.PAN", "4111111111111112"),
        put("payment_resp", f"{CARD}.SensitiveCardData.TrackData", [{"TrackValue": TRACK}]),
        put("payment_resp", f"{CARD}.SensitiveCardData.TrackData", {"Value": TRACK}),
        put("payment_resp", "Response.AdditionalResponse", f"card={NUMBER}&x=1"),
        put("payment_resp", "PaymentReceipt.0.OutputContent.OutputText.0.Text", NUMBER),
        put(
            "payment_resp",
            "PaymentReceipt.0.OutputContent.OutputBarcode",
            {"BarcodeType": "QRCode", "BarcodeValue": NUMBER},
        ),
        put(
            "payment_req",
            "PaymentData.PaymentInstrumentData",
            {
                "PaymentInstrumentType": "Card",
                "CardData": {"SensitiveCardData": {"PAN": NUMBER, "TrackData": [{"Value": TRACK}]}},
            },
        ),
        put(
            "payment_req",
            "PaymentData.PaymentInstrumentData",
            {"PaymentInstrumentType": "Check", "CheckData": {"CheckCardNumber": NUMBER}},
        ),
        put(
            "payment_req",
            "PaymentData.PaymentInstrumentData",
            {
                "PaymentInstrumentType": "StoredValue",
                "StoredValueAccountID": {"IdentificationType": "ISOTrack2", "Value": TRACK},
            },
        ),
        put("display_req", "DisplayOutput.0", SHOWN),
        put("display_req", "DisplayOutput.0.MenuEntry", [TEXT]),
        put("abort_req", "AbortReason", f"wrong card {NUMBER}"),
        put("abort_req", "DisplayOutput", SHOWN),
        put("event_maintenance", "EventDetails", f"card {NUMBER} inserted"),
        put("event_reject", "RejectedMessage", b64encode(TRACK.encode()).decode()),
        put("event_reject", "RejectedMessage", NUMBER),
        put("print_req", "PrintOutput.OutputContent", TEXT),
        put("print_resp", "Response.AdditionalResponse", NUMBER),
        body("PIN", "Response", Response=OK, CardholderPIN={"EncrPINBlock": "0412AC" + NUMBER}),
        body("PIN", "Response", Response=OK, CardholderPIN={"AdditionalInput": NUMBER}),
        body("PIN", "Request", PINRequestType="PINVerify", AdditionalInput=NUMBER),
        body("CardReaderInit", "Response", Response=OK, TrackData=[{"TrackValue": TRACK}]),
        body("CardReaderAPDU", "Response", Response=OK, APDUData="5A08" + NUMBER),
        body(
            "CardReaderAPDU",
            "Request",
            APDUClass="00",
            APDUInstruction="A4",
            APDUPar1="04",
            APDUPar2="00",
            APDUData=NUMBER,
        ),
        body(
            "Transmit",
            "Request",
            DestinationAddress="host:1",
            MaximumTransmitTime=5,
            Message=b64encode(TRACK.encode()).decode(),
        ),
        body(
            "Input",
            "Response",
            InputResult={
                "Device": "CustomerInput",
                "InfoQualify": "Input",
                "Response": OK,
                "Input": {"InputCommand": "DigitString", "DigitInput": NUMBER},
            },
        ),
        body("Sound", "Request", SoundAction="StartSound", SoundContent={"Text": NUMBER}),
    ],
)
def test_no_card_number_is_seen_of_what_was_read(content: Any) -> None:
    text = shown(content)
    assert NUMBER[:-4] not in text.replace(" ", "")
    assert "2011234567890" not in text
    assert b64encode(TRACK.encode()).decode() not in text


def test_the_last_four_digits_stay() -> None:
    assert "************1111" in shown(put("payment_resp", f"{CARD}.MaskedPAN", NUMBER))
    pan = f"{CARD}.SensitiveCardData.PAN"
    assert "************1111" in shown(put("payment_resp", pan, NUMBER))


@pytest.mark.parametrize(
    "masked",
    ["999900******0017", "541333XXXXXX6789", "411111...1111", "**** 0017", "41111111****1111"],
)
def test_a_masked_number_stays_as_it_is(masked: str) -> None:
    assert masked in shown(put("payment_resp", f"{CARD}.MaskedPAN", masked))


def test_a_number_that_is_hardly_masked_is_cut() -> None:
    text = shown(put("payment_resp", f"{CARD}.MaskedPAN", "411111111111*111"))
    assert text.count("'*************111'") == text.count('"*************111"') == 1


@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: f"{text[:8]}\n{text[8:]}"])
def test_what_is_in_base64_is_cut_in_it(wrap: Any) -> None:
    told = wrap(b64encode(f"<p>{NUMBER} é</p>".encode()).decode())
    receipt = {"OutputFormat": "XHTML", "OutputXHTML": told}
    content = put("payment_resp", "PaymentReceipt.0.OutputContent", receipt)
    message = wire.decode(octets(content))
    kept = message.body.payment_receipt[0].output_content.output_xhtml  # type: ignore[union-attr]
    assert kept is not None
    assert b64decode(kept).decode() == "<p>************1111 é</p>"


@pytest.mark.parametrize("told", ["PHA+aGVsbG88L3A+", "PHA-aGVsbG88L3A-", "no Base64 at all!", ""])
def test_what_is_in_base64_and_holds_none_is_not_touched(told: str) -> None:
    content = put("event_reject", "RejectedMessage", told)
    assert wire.decode(octets(content)).body.rejected_message == told  # type: ignore[union-attr]


LUHN: Final = "990000000000002"
"""Passes for a card number where a terminal writes it, but is none of an issuer's."""


def test_a_tills_own_receipt_keeps_its_numbers() -> None:
    text = {"OutputFormat": "Text", "OutputText": [{"Text": f"Article {LUHN}"}]}
    kept = put("print_req", "PrintOutput.OutputContent", text)
    assert LUHN in shown(kept)
    kept["PrintRequest"]["PrintOutput"]["DocumentQualifier"] = "CashierReceipt"
    assert LUHN not in shown(kept)


def test_a_number_in_pieces_is_cut() -> None:
    pieces = [
        {"Text": "Card 4111 1111 ", "EndOfLineFlag": False},
        {"EndOfLineFlag": False},
        {"Text": "1111 1111", "CharacterStyle": "Bold"},
        {"Text": "4111 1111 "},
        {"Text": "1111 1111"},
    ]
    told = {"OutputFormat": "Text", "OutputText": pieces}
    message = wire.decode(octets(put("payment_resp", "PaymentReceipt.0.OutputContent", told)))
    content = message.body.payment_receipt[0].output_content  # type: ignore[union-attr]
    expected = ["Card **** **** ", None, "**** 1111", "4111 1111 ", "1111 1111"]
    assert [piece.text for piece in content.output_text] == expected


@pytest.mark.parametrize(
    "path",
    [
        "SaleData.SaleTransactionID.TransactionID",
        "SaleData.SaleReferenceID",
        "SaleData.SaleToPOIData",
        "SaleData.OperatorID",
    ],
)
def test_a_tills_ids_are_not_altered(path: str) -> None:
    assert shown(put("payment_req", path, NUMBER)).count(NUMBER) == 2


def test_an_acquirers_ids_are_not_altered() -> None:
    path = "PaymentResult.PaymentAcquirerData.AcquirerTransactionID.TransactionID"
    assert LUHN in shown(put("payment_resp", path, LUHN))


def test_what_a_person_typed_is_not_in_a_log() -> None:
    typed = Input(input_command="Password", password="correct horse", text_input="battery")
    assert "horse" not in repr(typed)
    assert "battery" not in repr(typed)


def test_members_under_others_keys_are_not_read() -> None:
    sealed = {"ContentType": "id-envelopedData", "EnvelopedData": {"Secret": "zzz"}}
    content = put("payment_resp", f"{CARD}.ProtectedCardData", sealed)
    assert "zzz" not in shown(content)
    assert wire.decode(octets(content)) == wire.decode(EXAMPLES["payment_resp"])


def test_whatever_is_made_is_cut_as_well_as_what_is_read() -> None:
    message = wire.decode(EXAMPLES["payment_resp"])
    body = message.body
    response = msgspec.structs.replace(
        body.response,  # type: ignore[union-attr]
        additional_response=f"card {NUMBER}",
    )
    changed = msgspec.structs.replace(
        message, body=msgspec.structs.replace(body, response=response)
    )
    assert NUMBER not in json.dumps(json.loads(wire.encode(changed)))
