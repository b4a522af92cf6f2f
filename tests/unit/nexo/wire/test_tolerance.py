"""What tills and terminals write differently, one by one: all of it is understood."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.nexo.wire.messages import EXAMPLES, loose, octets, read
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire.services import PaymentResponse, TransactionStatusResponse


def test_keys_that_nobody_knows_are_ignored() -> None:
    content = loose("payment_req")
    content["PaymentRequest"]["Weather"] = {"Sun": [1, 2.5, None]}
    content["PaymentRequest"]["SaleData"]["Mood"] = "good"
    content["MessageHeader"]["Colour"] = "blue"
    content["SecurityTrailer"] = {}
    assert wire.decode(octets(content)) == wire.decode(EXAMPLES["payment_req"])


def test_values_that_nobody_knows_are_kept() -> None:
    content = loose("payment_resp")
    content["PaymentResponse"]["Response"]["ErrorCondition"] = "Eclipse"
    content["PaymentResponse"]["PaymentResult"]["AuthenticationMethod"] = ["Iris", "OnlinePIN"]
    message = wire.decode(octets(content))
    assert isinstance(message.body, PaymentResponse)
    assert message.body.response.error_condition == "Eclipse"
    assert b'"AuthenticationMethod":["Iris","OnlinePIN"]' in wire.encode(message)


def test_null_is_absence() -> None:
    content = loose("payment_req")
    content["PaymentRequest"]["LoyaltyData"] = None
    content["PaymentRequest"]["PaymentData"]["Instalment"] = None
    content["PaymentRequest"]["PaymentTransaction"]["SaleItem"] = [None]
    content["MessageHeader"]["DeviceID"] = None
    assert wire.decode(octets(content)) == wire.decode(EXAMPLES["payment_req"])


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_a_flag_may_be_text(text: str) -> None:
    content = loose("logout_req")
    content["LogoutRequest"]["MaintenanceAllowed"] = text
    assert read(content).maintenance_allowed is True


def test_ids_of_digits_may_be_numbers() -> None:
    content = loose("payment_resp")
    content["MessageHeader"]["ServiceID"] = 17
    acquirer = content["PaymentResponse"]["PaymentResult"]["PaymentAcquirerData"]
    acquirer["AcquirerID"] = 601234
    content["PaymentResponse"]["POIData"]["POIReconciliationID"] = 317
    message = wire.decode(octets(content))
    assert message.header.service_id == "17"
    assert isinstance(message.body, PaymentResponse)
    assert message.body == wire.decode(EXAMPLES["payment_resp"]).body


def test_numbers_may_be_text() -> None:
    content = loose("display_req")
    content["DisplayRequest"]["DisplayOutput"][0]["MinimumDisplayTime"] = "5"
    assert read(content).display_output[0].minimum_display_time == 5
    content = loose("payment_req")
    content["PaymentRequest"]["PaymentTransaction"]["AmountsReq"]["RequestedAmount"] = "42.50"
    amount = read(content).payment_transaction.amounts_req.requested_amount
    assert str(amount) == "42.50"


def test_one_may_stand_for_many() -> None:
    content = loose("display_req")
    (output,) = content["DisplayRequest"]["DisplayOutput"]
    (output["OutputContent"]["OutputText"],) = output["OutputContent"]["OutputText"]
    content["DisplayRequest"]["DisplayOutput"] = output
    assert wire.decode(octets(content)) == wire.decode(EXAMPLES["display_req"])


def test_many_may_stand_for_one() -> None:
    content = loose("login_req")
    content["LoginRequest"]["SaleSoftware"] = [content["LoginRequest"]["SaleSoftware"]]
    assert wire.decode(octets(content)) == wire.decode(EXAMPLES["login_req"])


def test_many_where_there_can_be_one_are_refused() -> None:
    content = loose("login_req")
    content["LoginRequest"]["SaleSoftware"] = [content["LoginRequest"]["SaleSoftware"]] * 2
    with pytest.raises(wire.BadBody, match="field SaleSoftware: It is a list"):
        read(content)


def test_an_entry_mode_may_be_text() -> None:
    content = loose("payment_resp")
    card = _card(content)
    card["EntryMode"] = "Contactless"
    assert read(content) == wire.decode(EXAMPLES["payment_resp"]).body


def test_a_list_may_be_text_with_blanks() -> None:
    content = loose("login_req")
    terminal = content["LoginRequest"]["SaleTerminalData"]
    terminal["SaleCapabilities"] = " ".join(terminal["SaleCapabilities"])
    assert wire.decode(octets(content)) == wire.decode(EXAMPLES["login_req"])
    content = loose("payment_req")
    conditions = content["PaymentRequest"]["PaymentTransaction"]["TransactionConditions"]
    conditions["AllowedPaymentBrand"] = "Testcard Debit"
    brands = read(content).payment_transaction.transaction_conditions.allowed_payment_brand
    assert brands == ("Testcard Debit",)


def _card(content: Any) -> Any:
    return content["PaymentResponse"]["PaymentResult"]["PaymentInstrumentData"]["CardData"]


@pytest.mark.parametrize(
    ("example", "ours", "theirs"),
    [
        ("payment_resp", '"MaskedPAN"', '"MaskedPan"'),
        ("payment_resp", '"MaskedPAN"', r'"\u004daskedPan"'),
        ("login_req", '"ProviderIdentification"', '"ManufacturerID"'),
        ("login_resp", '"ProviderIdentification"', '"ManufacturerID"'),
        ("payment_resp", '"OnlinePIN"', '"OnLinePIN"'),
        ("payment_resp", '"OnlinePIN"', '"OnlinePin"'),
        ("abort_too_late_event", '"Completed"', '"CompletedMessage"'),
    ],
)
def test_another_spelling_is_understood(example: str, ours: str, theirs: str) -> None:
    told = EXAMPLES[example].replace(ours.encode(), theirs.encode())
    assert told != EXAMPLES[example]
    assert wire.decode(told) == wire.decode(EXAMPLES[example])


def test_an_underline_is_underlined() -> None:
    told = EXAMPLES["print_req"].replace(b'"Bold"', b'"Underline"')
    assert b'"CharacterStyle":"Underlined"' in wire.encode(wire.decode(told))


def test_our_spelling_goes_before_another_one() -> None:
    content = loose("payment_resp")
    card = _card(content)
    for name in ({"MaskedPan": "old", **card}, {**card, "MaskedPan": "old"}):
        content["PaymentResponse"]["PaymentResult"]["PaymentInstrumentData"]["CardData"] = name
        assert read(content) == wire.decode(EXAMPLES["payment_resp"]).body


def test_the_older_name_of_an_instalment() -> None:
    content = loose("payment_req")
    plan = {"InstalmentType": "EqualInstalments", "TotalNbOfPayments": 3}
    content["PaymentRequest"]["PaymentData"]["InstalmentType"] = plan
    instalment = read(content).payment_data.instalment
    assert (instalment.instalment_type, instalment.total_nb_of_payments) == ("EqualInstalments", 3)


@pytest.mark.parametrize("key", ["Value", "StoredValueID"])
def test_the_older_name_of_a_gift_cards_id(key: str) -> None:
    content = loose("payment_resp")
    instrument = content["PaymentResponse"]["PaymentResult"]["PaymentInstrumentData"]
    instrument["StoredValueAccountID"] = {"IdentificationType": "BarCode", key: "G-17"}
    account = read(content).payment_result.payment_instrument_data.stored_value_account_id
    assert account.stored_value_id == "G-17"


def test_the_original_may_stand_beside_the_payments_kind() -> None:
    content = loose("payment_refund_req")
    request = content["PaymentRequest"]
    original = request["PaymentTransaction"].pop("OriginalPOITransaction")
    request["PaymentData"]["OriginalPOITransaction"] = original
    assert wire.decode(octets(content)) == wire.decode(EXAMPLES["payment_refund_req"])


def test_the_original_in_its_own_place_goes_first() -> None:
    content = loose("payment_refund_req")
    content["PaymentRequest"]["PaymentData"]["OriginalPOITransaction"] = {"SaleID": "other"}
    assert wire.decode(octets(content)) == wire.decode(EXAMPLES["payment_refund_req"])


def test_a_stored_answer_may_stand_beside_its_header() -> None:
    content = loose("status_resp")
    repeated = content["TransactionStatusResponse"]["RepeatedMessageResponse"]
    repeated.update(repeated.pop("RepeatedResponseMessageBody"))
    assert wire.decode(octets(content)) == wire.decode(EXAMPLES["status_resp"])


def test_a_status_without_a_stored_answer_has_none() -> None:
    content = loose("status_resp")
    repeated = content["TransactionStatusResponse"]["RepeatedMessageResponse"]
    del repeated["RepeatedResponseMessageBody"]
    body = read(content)
    assert isinstance(body, TransactionStatusResponse)
    assert body.repeated_message_response is not None
    assert body.repeated_message_response.repeated_response_message_body is None


def test_a_converted_amount_may_be_a_number() -> None:
    content = loose("payment_resp")
    content["PaymentResponse"]["PaymentResult"]["CurrencyConversion"] = {"ConvertedAmount": 50.01}
    (conversion,) = read(content).payment_result.currency_conversion
    assert conversion.converted_amount.amount_value == Decimal("50.01")


def test_an_event_in_the_wrong_envelope_is_an_event() -> None:
    told = EXAMPLES["event_reject"].replace(b"SaleToPOIRequest", b"SaleToPOIResponse")
    assert wire.decode(told) == wire.decode(EXAMPLES["event_reject"])


def test_an_event_of_a_terminal_that_numbers_devices_alone() -> None:
    content = loose("event_maintenance")
    content["MessageHeader"]["DeviceID"] = content["MessageHeader"].pop("ServiceID")
    assert wire.decode(octets(content)).header.service_id is None


def test_a_byte_order_mark_is_ignored() -> None:
    told = b"\xef\xbb\xbf" + EXAMPLES["payment_req"]
    assert wire.decode(told) == wire.decode(EXAMPLES["payment_req"])


@pytest.mark.parametrize("language", ["en", "EN"])
def test_a_language_in_any_case(language: str) -> None:
    content = loose("login_req")
    content["LoginRequest"]["OperatorLanguage"] = language
    assert read(content).operator_language == language


def test_a_service_id_may_be_longer_than_the_protocol_says() -> None:
    content = loose("payment_req")
    content["MessageHeader"]["ServiceID"] = "0123456789abcdef" * 2
    assert wire.decode(octets(content)).header.service_id == "0123456789abcdef" * 2


def test_a_transaction_id_that_is_too_long_is_for_the_face_to_refuse() -> None:
    content = loose("payment_req")
    content["PaymentRequest"]["SaleData"]["SaleTransactionID"]["TransactionID"] = "x" * 1_000
    assert read(content).sale_data.sale_transaction_id.transaction_id == "x" * 1_000


@pytest.mark.parametrize("payment_type", ["UpdateReservation", "FirstReservation"])
def test_a_reservation_may_leave_out_its_amount(payment_type: str) -> None:
    content = loose("payment_req")
    content["PaymentRequest"]["PaymentData"]["PaymentType"] = payment_type
    del content["PaymentRequest"]["PaymentTransaction"]["AmountsReq"]["RequestedAmount"]
    assert read(content).payment_transaction.amounts_req.requested_amount is None


@pytest.mark.parametrize(
    "name", ["PaymentResponse", "LoyaltyResponse", "StoredValueResponse", "CardAcquisitionResponse"]
)
def test_an_answer_that_leaves_out_all_echoes_still_says_how_it_ended(name: str) -> None:
    header = json.loads(EXAMPLES["payment_resp"])["SaleToPOIResponse"]["MessageHeader"]
    header["MessageCategory"] = name.removesuffix("Response")
    body = read({"MessageHeader": header, name: {"Response": {"Result": "Failure"}}})
    assert body.response.result == "Failure"
