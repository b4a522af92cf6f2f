"""No card number gets past the parser (law 7), wherever a terminal or a till put it."""

from __future__ import annotations

from typing import Final

import pytest

from tests.unit.ecr17.wire.messages import ANSWERED, TID, payload
from tillwire.dialects.ecr17 import wire

NUMBER: Final = "4111111111111111"
IN_ITS_FIELD: Final = NUMBER.zfill(19).encode()
HEAD: Final = b"123456780"
P: Final = ANSWERED[wire.PaymentResult]
LONGEST_SHOWN: Final = "11111"
"""A fifth digit in a row beside the last four."""


def put(name: str, position: int, characters: bytes) -> bytes:
    octets = bytearray(payload(name))
    octets[position - 1 : position - 1 + len(characters)] = characters
    return bytes(octets)


@pytest.mark.parametrize(
    "octets",
    [
        put("payment_result_approved", 13, IN_ITS_FIELD),
        put("payment_extended_result_approved", 13, IN_ITS_FIELD),
        put("payment_result_dcc", 13, IN_ITS_FIELD),
        put("reversal_result_approved", 13, IN_ITS_FIELD),
        put("preauthorisation_result_approved", 13, IN_ITS_FIELD),
        put("incremental_result_approved", 13, IN_ITS_FIELD),
        put("capture_result_approved", 13, IN_ITS_FIELD),
        HEAD + b"A00" + IN_ITS_FIELD + b"ICC",
        put("payment_result_approved", 13, b"4111111111111111   "),
        put("payment_result_approved", 13, b"4111 1111 1111 1111"),
        put("payment_result_approved", 13, b"4111111111111112000"),
        # In a refusal, where the text should be, with and without zeros before it.
        put("payment_result_declined", 13, IN_ITS_FIELD),
        put("payment_result_declined", 13, b"4111111111111112222"),
        put("payment_result_declined", 13, b"CARTA 4111111111111111"),
        put("payment_extended_result_declined", 13, IN_ITS_FIELD + b"CLI00"),
        put("preauthorisation_result_declined", 13, IN_ITS_FIELD),
        HEAD + b"i01" + IN_ITS_FIELD + b"CLI" + b"0" * 41,
        HEAD + b"c05" + IN_ITS_FIELD + b"CLI" + b"0" * 41,
        HEAD + b"C01" + IN_ITS_FIELD + b"000" + b"0" * 10,
        HEAD + b"s" + b"0" * 21 + NUMBER.encode(),
        HEAD + b"U" + b"000000" + b"016" + NUMBER.encode() + b"0" * 10,
        HEAD + b"S" + NUMBER.encode() + b"\x1b",
        HEAD + b"K" + b"00000001    0016" + NUMBER.encode(),
        # Results of something else than what was asked, and cut ones.
        put("payment_result_approved", 13, IN_ITS_FIELD)[:59],
        put("payment_result_approved", 13, IN_ITS_FIELD)[:30],
        put("payment_result_approved", 13, IN_ITS_FIELD) + b"0" * 179,
    ],
)
@pytest.mark.parametrize("answers", [None, *ANSWERED.values()])
def test_what_a_terminal_answers(octets: bytes, answers: wire.Request | None) -> None:
    shown = repr(wire.decode_result(octets, answers))
    assert LONGEST_SHOWN not in shown
    assert "41111" not in shown


def test_the_last_four_digits_stay() -> None:
    read = wire.decode_result(put("payment_result_approved", 13, IN_ITS_FIELD), P)
    assert isinstance(read, wire.PaymentResult)
    assert read.last_four == "1111"
    for masked in (b"************1234   ", b"000000XXXXXXXXX1234", b"411111*********1234"):
        read = wire.decode_result(put("payment_result_approved", 13, masked), P)
        assert isinstance(read, wire.PaymentResult)
        assert read.last_four == "1234"


@pytest.mark.parametrize("nothing", [b"0" * 19, b" " * 19, b"*" * 19, b"12                 "])
def test_what_shows_no_four_digits_is_no_number(nothing: bytes) -> None:
    read = wire.decode_result(put("payment_result_approved", 13, nothing), P)
    assert isinstance(read, wire.PaymentResult)
    assert read.last_four == ""


def test_what_a_till_wants_printed_is_cut() -> None:
    read = wire.decode_request(put("payment_request", 32, f"CARTA {NUMBER}".encode()))
    assert isinstance(read, wire.PaymentRequest)
    assert read.receipt_text == "CARTA ************1111"


def test_a_tills_own_number_stays_though_it_passes_for_some_cards() -> None:
    read = wire.decode_request(put("payment_request", 32, b"1234567890128"))
    assert isinstance(read, wire.PaymentRequest)
    assert read.receipt_text == "1234567890128"


def test_what_is_handed_on_as_it_is_may_hold_no_card_number() -> None:
    tag = HEAD + b"U" + b"00000000DF8D01  0500000000" + NUMBER.encode() + b"\x1b"
    with pytest.raises(wire.Unreadable, match="a tag holds a card number"):
        wire.decode_request(tag)
    xml = f'<p k="ORDER_ID">{NUMBER}</p>'.encode()
    asked = HEAD + b"K" + b"000000010000" + f"{len(xml):04}".encode() + xml
    with pytest.raises(wire.Unreadable, match="it holds a card number"):
        wire.decode_request(asked)


def test_no_error_shows_one() -> None:
    for octets in (HEAD + b"P" + NUMBER.encode(), HEAD + b"K" + NUMBER.encode() * 3):
        with pytest.raises(wire.Unreadable) as refused:
            wire.decode_request(octets)
        assert "1111" not in str(refused.value)


def test_what_was_not_put_together_yet_is_not_shown() -> None:
    part = wire.ReceiptPart(tid=TID, octets=NUMBER.encode())
    block = wire.VasBlock(tid=TID, more=True, number=1, octets=NUMBER.encode())
    assert repr((part, block)) == ("(ReceiptPart(16 octets), VasBlock(1, 16 octets, more=True))")
