"""Every frame of the table is read and written octet for octet: two that were captured at a
terminal and published, and those that are made by the vendor's field tables."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tests.unit.ecr17.wire.messages import ANSWERED, REGISTER, TID, VECTORS, Vector, minute, payload
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire import Lrc

APPLICATIONS = [each for each in VECTORS.values() if each.kind == "application"]
WRONG_LRC = "status_request_wrong_lrc"
ANSWERS: dict[str, wire.Request | None] = {
    "payment_result_approved": ANSWERED[wire.PaymentResult],
    "payment_result_declined": ANSWERED[wire.PaymentResult],
}
"""What the results answer whose length does not say it."""
PAX_CAPTURE = wire.Spelling(capture_zeros=12)


def read(vector: Vector) -> wire.Request | wire.Result:
    octets = vector.payload.encode("ascii")
    if vector.direction == "ecr_to_pos":
        return wire.decode_request(octets)
    return wire.decode_result(octets, ANSWERS.get(vector.name))


@pytest.mark.parametrize("vector", APPLICATIONS, ids=lambda each: each.name)
def test_octet_for_octet(vector: Vector) -> None:
    (frame,) = wire.Deframer().feed(vector.octets)
    assert isinstance(frame, wire.Application)
    assert frame.payload == vector.payload.encode("ascii")
    spelling = PAX_CAPTURE if vector.name.endswith("12_zeros") else wire.CANONICAL
    assert wire.encode(read(vector), spelling) == frame.payload
    is_right = vector.name != WRONG_LRC
    assert frame.readings == ({Lrc.STX} if is_right else set())
    assert (wire.application(frame.payload) == vector.octets) is is_right


def test_control_and_progress_frames() -> None:
    assert VECTORS["ack"].octets == wire.ACK
    assert VECTORS["nak"].octets == wire.NAK
    assert VECTORS["progress"].octets == wire.progress("INSERIRE CARTA")
    stream = b"".join(VECTORS[name].octets for name in ("ack", "progress", "nak"))
    assert wire.Deframer().feed(stream) == [
        wire.Ack(0x7A),
        wire.Progress("INSERIRE CARTA"),
        wire.Nak(0x69),
    ]


def test_the_check_character_may_be_anything() -> None:
    assert VECTORS["last_result_request"].octets[-1] == 0x00
    assert VECTORS["receipt_part_2_last"].octets[-1] == 0x02
    assert VECTORS["dll_request"].octets[-1] == 0x02


def test_every_request_has_a_vector() -> None:
    assert {type(read(each)) for each in APPLICATIONS if each.direction == "ecr_to_pos"} == set(
        wire.Request.__args__
    )


CARD = {
    "tid": TID,
    "result": "00",
    "last_four": "1234",
    "transaction_type": wire.TransactionType.CONTACTLESS_CHIP,
    "acquirer": "00000000034",
}
AT_15_20 = wire.HostTime(210, 15, 20)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("captured_status_request", wire.StatusRequest(tid=wire.ANY_TID)),
        (
            "captured_status_result",
            wire.StatusResult(
                tid="37105051",
                terminal_time=minute("2026-07-31T21:22"),
                state=wire.TerminalState.OPERATIVE,
                release="SYSEMV  204",
            ),
        ),
        (
            "payment_request",
            wire.PaymentRequest(tid=TID, cash_register=REGISTER, amount=1234),
        ),
        (
            "payment_extended_request_with_flag",
            wire.ExtendedPaymentRequest(
                tid=TID, cash_register=REGISTER, amount=1234, additional_data=True
            ),
        ),
        (
            "capture_request_12_zeros",
            wire.CaptureRequest(
                tid=TID, cash_register=REGISTER, amount=12500, preauthorisation_code="987654321"
            ),
        ),
        (
            "reversal_request",
            wire.ReversalRequest(tid=TID, cash_register=REGISTER, stan="000124"),
        ),
        ("receipt_on_ecr", wire.ReceiptRoutingRequest(tid=TID, routing=wire.Routing.ECR)),
        ("reprint_request", wire.ReprintRequest(tid=TID, on_ecr=True)),
        (
            "additional_data_request",
            wire.AdditionalData(tid=TID, tags=(wire.Tag("0COF0TRK1666354841608|0FNZ03", 5),)),
        ),
        (
            "retroactive_reversal_request",
            wire.RetroactiveReversalRequest(
                tid=TID,
                cash_register=REGISTER,
                stan="000124",
                card="C1234",
                acquirer="00000000034",
                amount=1234,
                authorisation_code="A1B2C3",
                original_time=minute("2026-07-29T15:20"),
            ),
        ),
        (
            "payment_extended_result_declined",
            wire.PaymentResult(
                tid=TID,
                result="01",
                error_text="FONDI INSUFFICIENTI",
                acquirer="00000000034",
                stan="000124",
                card_type=wire.CardType.CREDIT,
                action_code="116",
                amount=1234,
            ),
        ),
        (
            "payment_result_dcc",
            wire.DccPaymentResult(
                **CARD,
                authorisation_code="A1B2C3",
                host_time=AT_15_20,
                stan="000124",
                online_id="000457",
                card_type="2",
                action_code="000",
                amount=1234,
                converted=True,
                rate=Decimal("1.0850"),
                currency="USD",
                converted_amount=1339,
                decimals=2,
            ),
        ),
        (
            "preauthorisation_result_approved",
            wire.PreauthorisationResult(
                **CARD,
                authorisation_code="D4E5F6",
                host_time=AT_15_20,
                stan="000126",
                online_id="000459",
                card_type="2",
                action_code="000",
                amount=10000,
                preauthorisation_code="987654321",
            ),
        ),
        (
            "incremental_result_approved",
            wire.IncrementResult(
                **CARD,
                authorisation_code="G7H8I9",
                host_time=AT_15_20,
                stan="000127",
                online_id="000460",
                action_code="000",
            ),
        ),
        (
            "close_session_result",
            wire.CloseSessionResult(tid=TID, result="00", terminal_total=123456, host_total=123456),
        ),
    ],
)
def test_what_a_vector_says(name: str, message: msgspec.Struct) -> None:
    assert read(VECTORS[name]) == message


def test_the_card_type_of_a_preauthorisation_stands_at_71() -> None:
    octets = bytearray(payload("preauthorisation_result_approved"))
    octets[70:71] = b"3"
    changed = wire.decode_result(bytes(octets))
    assert isinstance(changed, wire.PreauthorisationResult)
    assert (changed.card_type, changed.amount) == ("3", 10000)
