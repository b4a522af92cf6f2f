"""What a terminal answers is read at any length, and what it is about is never guessed."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ecr17.wire.messages import (
    ANSWERED,
    IDS,
    LAYOUTS,
    REGISTER,
    TID,
    VECTORS,
    decode,
    minute,
    payload,
)
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire.layouts import Layout
from tillwire.errors import LocalProtocolError

P = ANSWERED[wire.PaymentResult]
X = wire.ExtendedPaymentRequest(tid=TID, cash_register=REGISTER, amount=1234)
S = ANSWERED[wire.ReversalResult]
H = ANSWERED[wire.CardVerificationResult]
D = ANSWERED[wire.DownloadResult]
G = wire.LastResultRequest(tid=TID, cash_register=REGISTER)
Q = wire.RetroactiveReversalRequest(
    tid=TID, cash_register=REGISTER, stan="000124", card="C1234", acquirer="34", amount=1
)
RESULTS = [
    each.name
    for each in VECTORS.values()
    if each.direction == "pos_to_ecr" and each.kind == "application"
]
HEAD = b"123456780"


# --- what an E is about -------------------------------------------------------------------------

E71, E84, E92 = (
    payload("payment_result_approved"),
    payload("reversal_result_approved"),
    payload("payment_extended_result_approved"),
)
DOWNLOADED = HEAD + b"E00" + b"000130" + b"000462" + b"2101520" + b"0" * 220
NOT_DOWNLOADED = HEAD + b"E01" + b"000130" + b"000462" + b"LINEA ASSENTE".ljust(24) + b"0" * 11


@pytest.mark.parametrize(
    ("octets", "answers", "kind"),
    [
        (E71, P, wire.PaymentResult),
        (E71, X, wire.PaymentResult),
        (E71, S, wire.ReversalResult),
        (E71, Q, wire.ReversalResult),
        (E71, H, wire.CardVerificationResult),
        # Nothing says whether it was a payment or the verification of a card.
        (E71, G, wire.UnassignedResult),
        (E71, None, wire.UnassignedResult),
        (E92, P, wire.PaymentResult),
        (E92, X, wire.PaymentResult),
        (E92, G, wire.PaymentResult),
        (E92, None, wire.PaymentResult),
        (E84, S, wire.ReversalResult),
        (E84, Q, wire.ReversalResult),
        (E84, G, wire.ReversalResult),
        (E84, None, wire.ReversalResult),
        # The result of something else, which came late, is not taken for the awaited one.
        (E84, P, wire.ReversalResult),
        (E84, X, wire.ReversalResult),
        (E92, S, wire.PaymentResult),
        # Cut or extended, it is what was asked for, and nothing where that is not known.
        (E92[:80], X, wire.PaymentResult),
        (E92 + b"0", X, wire.PaymentResult),
        (E92[:80], G, wire.UnassignedResult),
        (E92 + b"0", None, wire.UnassignedResult),
        (DOWNLOADED, D, wire.DownloadResult),
        (NOT_DOWNLOADED, D, wire.DownloadResult),
        (E71, D, wire.UnassignedResult),
        (DOWNLOADED[:59], D, wire.UnassignedResult),
    ],
)
def test_what_an_e_is_about(octets: bytes, answers: wire.Request | None, kind: type) -> None:
    assert type(wire.decode_result(octets, answers)) is kind


def test_an_e_that_nothing_assigns_tells_what_all_of_them_have() -> None:
    read = wire.decode_result(E71)
    assert isinstance(read, wire.UnassignedResult)
    assert (read.approved, read.stan, read.last_four) == (True, "000124", "1234")
    assert wire.encode(read) == E71


TEXTS = {"error_text", "release", "acquirer", "currency", "transaction_type"}
"""What is worth something when its end is missing."""


# --- lengths ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_may_end_anywhere(name: str) -> None:
    octets = payload(name)
    answers = X if name.startswith("payment") else None
    whole = wire.decode_result(octets, answers)
    if isinstance(whole, wire.ReceiptPart):
        return
    shortest = 10 if isinstance(whole, wire.StatusResult) else 12
    for length in range(shortest, len(octets)):
        cut = wire.decode_result(octets[:length], answers)
        if type(cut) is type(whole):
            check_is_part(cut, whole)
    assert wire.decode_result(octets + b"0000", answers) is not None


def check_is_part(cut: Any, whole: Any) -> None:
    """What is known is right, and nothing else is there."""
    for name in whole.__struct_fields__:
        known, right = getattr(cut, name), getattr(whole, name)
        if name in TEXTS:
            assert right.startswith(known)
        else:
            assert known in (right, None, "")


@pytest.mark.parametrize("length", range(10, 12))
def test_a_result_that_does_not_say_how_it_ended_cannot_be_read(length: int) -> None:
    with pytest.raises(wire.Unreadable) as refused:
        wire.decode_result(E92[:length], X)
    assert refused.value.reason == "characters 11 to 12 are no result"


def test_an_approval_stands_whatever_is_missing() -> None:
    read = wire.decode_result(HEAD + b"E00", X)
    assert read == wire.PaymentResult(tid=TID, result="00")
    assert read.approved


def test_an_approval_stands_whatever_is_senseless_in_it() -> None:
    octets = HEAD + b"E00" + bytes(range(0x80, 0x80 + 80))
    read = wire.decode_result(octets, X)
    assert isinstance(read, wire.PaymentResult)
    assert read.approved
    assert (read.stan, read.amount, read.host_time, read.last_four) == ("", None, None, "")


def test_the_beginning_of_a_reason_is_worth_something() -> None:
    read = wire.decode_result(HEAD + b"E01FONDI INSUF", X)
    assert read == wire.PaymentResult(tid=TID, result="01", error_text="FONDI INSUF")
    # Half a number is worth nothing.
    cut = wire.decode_result(E92[:63], X)
    assert isinstance(cut, wire.PaymentResult)
    assert (cut.acquirer, cut.stan) == ("00000000034", "")


def test_the_short_form_is_written_where_nothing_more_is_known() -> None:
    refused = wire.PaymentResult(tid=TID, result="01", error_text="Cancelled")
    assert len(wire.encode(refused)) == 71
    assert len(wire.encode(wire.ReversalResult(tid=TID, result="01"))) == 71
    assert len(wire.encode(wire.CaptureResult(tid=TID, result="00"))) == 71
    assert len(wire.encode(msgspec.structs.replace(refused, action_code="000", amount=0))) == 92


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["01", "05", "09", "91", "77", "0A"])
def test_nothing_but_00_is_an_approval(result: str) -> None:
    octets = E92[:10] + result.encode() + b"CARTA ASSENTE".ljust(24) + b"0" * 11 + E92[47:]
    read = wire.decode_result(octets, X)
    assert isinstance(read, wire.PaymentResult)
    assert not read.approved
    assert (read.result, read.error_text, read.stan) == (result, "CARTA ASSENTE", "000124")
    assert (read.last_four, read.transaction_type, read.host_time) == ("", "", None)


def test_a_refused_card_verification_has_an_action_code() -> None:
    octets = HEAD + b"E01" + b"CARTA SCADUTA".ljust(24) + b"101" + b"0" * 8
    octets += b"2" + b"00000000034" + b"000131" + b"000000"
    read = wire.decode_result(octets, H)
    assert isinstance(read, wire.CardVerificationResult)
    assert (read.error_text, read.action_code, read.stan) == ("CARTA SCADUTA", "101", "000131")
    assert wire.encode(read) == octets
    assert len(octets) == 71


def test_a_refused_closing_has_19_characters_for_its_reason() -> None:
    octets = HEAD + b"C01" + b"HOST NON DISPONIBIL" + b"907" + b"0" * 10
    read = wire.decode_result(octets)
    assert read == wire.CloseSessionResult(
        tid=TID, result="01", error_text="HOST NON DISPONIBIL", action_code="907"
    )
    assert wire.encode(read) == octets
    with pytest.raises(LocalProtocolError, match="error_text: it is too long"):
        wire.encode(wire.CloseSessionResult(tid=TID, result="01", error_text="x" * 20))


def test_a_refused_increment_as_documented_and_as_it_may_be() -> None:
    fixed = wire.IncrementResult(tid=TID, result="01", stan="000127", action_code="116")
    octets = wire.encode(fixed)
    assert octets == HEAD + b"i01" + b"0" * 19 + b" " * 14 + b"0" * 6 + b"000127" + (
        b"000000" + b"0000000" + b"116" + b"00"
    )
    assert wire.decode_result(octets) == fixed
    told = msgspec.structs.replace(fixed, error_text="CODICE SCADUTO")
    octets = wire.encode(told)
    assert octets[12:36] == b"CODICE SCADUTO".ljust(24)
    assert wire.decode_result(octets) == told


def test_totals_that_could_not_be_made() -> None:
    read = wire.decode_result(HEAD + b"T01" + b"0" * 22)
    assert read == wire.TotalsResult(tid=TID, result="01")
    assert wire.encode(read) == HEAD + b"T01" + b"0" * 22


@pytest.mark.parametrize("total", [-1, 10**16])
def test_a_total_that_has_no_form_is_not_written(total: int) -> None:
    with pytest.raises(LocalProtocolError, match="terminal_total"):
        wire.encode(wire.TotalsResult(tid=TID, result="00", terminal_total=total))


def test_a_total_with_a_sign_is_unknown() -> None:
    read = wire.decode_result(HEAD + b"T00" + b"-000000000001234" + b"000000")
    assert read == wire.TotalsResult(tid=TID, result="00", terminal_total=None)


# --- the others ---------------------------------------------------------------------------------


def test_a_capture_in_the_cards_currency() -> None:
    octets = HEAD + b"v00" + b"0000000000000001234" + b"CLI" + b"J1K2L3" + b"2101520"
    octets += b"2" + b"00000000034" + b"000128" + b"000461" + b"000"
    octets += b"1" + b"00010850" + b"USD" + b"000000001339" + b"2" + b"0" * 10
    read = wire.decode_result(octets)
    assert isinstance(read, wire.DccCaptureResult)
    assert (read.converted, read.rate, read.currency) == (True, Decimal("1.085"), "USD")
    assert (read.converted_amount, read.decimals, read.action_code) == (1339, 2, "000")
    assert wire.encode(read) == octets
    assert len(octets) == 109


def test_what_was_not_converted_has_no_rate() -> None:
    octets = bytearray(payload("payment_result_dcc"))
    octets[82:83] = b"0"
    read = wire.decode_result(bytes(octets))
    assert isinstance(read, wire.DccPaymentResult)
    assert (read.converted, read.amount) == (False, 1234)
    assert (read.rate, read.currency, read.converted_amount, read.decimals) == (
        None,
        "",
        None,
        None,
    )
    octets[83:107] = b"0" * 24
    assert wire.encode(read) == octets
    with pytest.raises(LocalProtocolError, match="currency: it has no place"):
        wire.encode(msgspec.structs.replace(read, currency="USD"))


def test_a_refund_of_a_pax_terminal() -> None:
    octets = HEAD + b"A00" + b"0000000000000001234" + b"ICC" + b"A1B2C3" + b"00000000034"
    octets += b"2101520"
    read = wire.decode_result(octets)
    assert isinstance(read, wire.RefundResult)
    assert (read.last_four, read.acquirer, read.host_time) == (
        "1234",
        "00000000034",
        wire.HostTime(210, 15, 20),
    )
    assert wire.encode(read) == octets
    assert len(octets) == 58


def test_the_download_of_a_pax_terminal() -> None:
    done, failed = wire.decode_result(DOWNLOADED, D), wire.decode_result(NOT_DOWNLOADED, D)
    assert done == wire.DownloadResult(
        tid=TID,
        result="00",
        stan="000130",
        online_id="000462",
        host_time=wire.HostTime(210, 15, 20),
    )
    assert failed == wire.DownloadResult(
        tid=TID, result="01", stan="000130", online_id="000462", error_text="LINEA ASSENTE"
    )
    assert (wire.encode(done), wire.encode(failed)) == (DOWNLOADED, NOT_DOWNLOADED)
    assert (len(DOWNLOADED), len(NOT_DOWNLOADED)) == (251, 59)


def test_a_status_in_its_shortest_form() -> None:
    read = wire.decode_result(HEAD + b"s" + b"0" * 10 + b"2907261520" + b"2")
    assert read == wire.StatusResult(
        tid=TID, terminal_time=minute("2026-07-29T15:20"), state="2", release=""
    )
    assert len(wire.encode(read)) == 31
    assert wire.decode_result(HEAD + b"s") == wire.StatusResult(tid=TID)


@pytest.mark.parametrize("moment", [b"3113260000", b"2902272400", b"0000000000", b"31/07/2026"])
def test_a_clock_that_makes_no_sense_is_unknown(moment: bytes) -> None:
    read = wire.decode_result(HEAD + b"s" + b"0" * 10 + moment + b"2")
    assert read == wire.StatusResult(tid=TID, state="2")


@pytest.mark.parametrize("moment", [b"0001520", b"3671520", b"2102400", b"2101560", b"AAAAAAA"])
def test_a_host_time_that_makes_no_sense_is_unknown(moment: bytes) -> None:
    read = wire.decode_result(E92[:40] + moment + E92[47:])
    assert isinstance(read, wire.PaymentResult)
    assert (read.host_time, read.amount) == (None, 1234)


def test_the_day_of_the_year_begins_with_1_and_may_be_366() -> None:
    for day in (1, 366):
        written = wire.PaymentResult(tid=TID, result="00", host_time=wire.HostTime(day, 0, 0))
        assert wire.decode_result(wire.encode(written), P) == written
    for day in (0, 367):
        with pytest.raises(LocalProtocolError, match="host_time"):
            wire.encode(
                wire.PaymentResult(tid=TID, result="00", host_time=wire.HostTime(day, 0, 0))
            )


def test_zeros_for_numbers_mean_that_there_is_none() -> None:
    read = wire.decode_result(payload("payment_result_declined"), P)
    assert isinstance(read, wire.PaymentResult)
    assert read.online_id == ""
    reversed_ = wire.decode_result(payload("reversal_result_approved"))
    assert isinstance(reversed_, wire.ReversalResult)
    assert reversed_.authorisation_code == ""


@pytest.mark.parametrize(
    "result",
    [
        wire.PaymentResult(tid=TID, result="00", error_text="FATTO"),
        wire.PaymentResult(tid=TID, result="01", last_four="1234"),
        wire.PaymentResult(tid=TID, result="00", amount=1),
        wire.PaymentResult(tid=TID, result="00", action_code="000"),
        wire.PaymentResult(tid=TID, result="", amount=1, action_code="000"),
        wire.PaymentResult(tid=TID, result="00", stan="1"),
        wire.PaymentResult(tid=TID, result="00", last_four="4111111111111111"),
        wire.PaymentResult(tid=TID, result="00", transaction_type="CHIP"),
        wire.PaymentResult(tid=TID, result="01", error_text="x" * 25),
        wire.CardVerificationResult(tid=TID, result="00", action_code="000"),
        wire.TotalsResult(tid=TID, result="00"),
        wire.TotalsResult(tid=TID, result="01", terminal_total=5),
        wire.StatusResult(tid=TID, release="x" * 257),
        wire.StatusResult(tid=TID, release="è"),
        wire.DccCaptureResult(tid=TID, result="00", action_code="000", converted=True),
    ],
)
def test_what_has_no_place_in_a_result_is_our_defect(result: wire.Result) -> None:
    with pytest.raises(LocalProtocolError, match=type(result).__name__):
        wire.encode(result)


@pytest.mark.parametrize(
    "rate", [Decimal("NaN"), Decimal("Infinity"), Decimal(-1), Decimal("1.00001"), Decimal("1E9")]
)
def test_a_rate_that_does_not_fit(rate: Decimal) -> None:
    read = wire.decode_result(payload("payment_result_dcc"))
    with pytest.raises(LocalProtocolError, match="rate"):
        wire.encode(msgspec.structs.replace(read, rate=rate))


@pytest.mark.parametrize("code", "PXpGRHDQJz\xff")
def test_what_is_no_result(code: str) -> None:
    with pytest.raises(wire.Unreadable) as refused:
        wire.decode_result(HEAD + code.encode("latin-1") + b"00" + b"0" * 100)
    assert (refused.value.code, refused.value.reason) == (code, "no such result")


# --- chance -------------------------------------------------------------------------------------

CODES = st.sampled_from("sPXpicSEGTCRHUKADQVevJ")
CHANCE = st.binary(max_size=300) | st.text("0123456789 ABC}<\x1b\x7f", max_size=300).map(str.encode)


@given(CODES, CHANCE, st.sampled_from([None, P, X, S, H, D, G]))
def test_chance_is_read_or_refused(code: str, rest: bytes, answers: wire.Request | None) -> None:
    octets = HEAD + code.encode() + rest
    for read in (wire.decode_request, lambda each: wire.decode_result(each, answers)):
        with suppress(wire.Unreadable):
            read(octets)


@pytest.mark.parametrize("layout", LAYOUTS, ids=IDS)
@given(chance=CHANCE)
def test_chance_in_every_message(layout: Layout, chance: bytes) -> None:
    try:
        message = decode(layout, HEAD + layout.code.encode() + chance)
    except wire.Unreadable:
        return
    assert message.tid == TID
