"""What stands on receipts and day totals, word for word, and that it fits the paper."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.receipt_fixture import APPROVED, AT, HEADING, sale
from tillwire.core.columns import columns
from tillwire.core.model import (
    Conversion,
    EntryMode,
    Evidence,
    Heading,
    Outcome,
    Receipts,
    State,
    Terms,
    Transaction,
    TransactionType,
    Verdict,
    Verification,
)
from tillwire.core.receipts import WIDTHS, cardholder_receipt, merchant_receipt
from tillwire.errors import Proof
from tillwire.money import Money


def changed(outcome: Outcome, **members: object) -> Outcome:
    return msgspec.structs.replace(outcome, **members)


def test_an_approved_sale_says_all_that_the_schemes_want() -> None:
    assert cardholder_receipt(sale()) == (
        "      Corner Shop\n"
        "        Damrak 1\n"
        "  1012 LG Amsterdam NL\n"
        "\n"
        "Terminal  TILLWIRE-V1-t1\n"
        "TID             30350004\n"
        "Date          2025-11-21\n"
        "Time        14:05:09 CET\n"
        "\n"
        "          SALE\n"
        "\n"
        "Brand              V PAY\n"
        "Card    ************2283\n"
        "AID       A0000000032020\n"
        "Entry        CONTACTLESS\n"
        "\n"
        "TOTAL          EUR 12.50\n"
        "\n"
        "        APPROVED\n"
        "    No verification\n"
        "Response              00\n"
        "Auth. code        012345\n"
        "STAN              000042\n"
        "Acquirer ref.     998877\n"
        "\n"
        "Reference         sale-1\n"
        "Transaction\n"
        "176373030912300000000000\n"
        "                 0000001\n"
        "\n"
        "    CARDHOLDER COPY\n"
    )


def test_the_merchant_copy_of_a_signed_sale_has_the_line_to_sign_on() -> None:
    signed = sale(changed(APPROVED, verification=Verification.SIGNATURE))
    merchant = merchant_receipt(signed, 30)
    assert "Cardholder's signature:\n\n\n______________________________\n" in merchant
    assert merchant.endswith("        MERCHANT COPY\n")
    assert "signature:" not in cardholder_receipt(signed, 30)


def test_no_signature_is_asked_for_without_an_approval() -> None:
    declined = Outcome(Verdict.DECLINED, at=AT, verification=Verification.SIGNATURE)
    assert "signature" not in merchant_receipt(sale(declined, state=State.DECLINED))


def test_a_declined_sale_says_why_and_has_no_total() -> None:
    declined = changed(
        APPROVED,
        verdict=Verdict.DECLINED,
        approved_amount=0,
        authorisation_code="",
        acquirer_reference="",
        response_code="51",
        reason="Insufficient funds.",
    )
    text = cardholder_receipt(sale(declined, state=State.DECLINED))
    assert "Amount         EUR 12.50\n" in text
    assert (
        "        DECLINED\n"
        "  Insufficient funds.\n"
        "Response              51\n"
        "STAN              000042\n"
        "\n"
    ) in text
    assert "TOTAL" not in text
    assert "Auth. code" not in text


def test_a_sale_cancelled_at_the_terminal_has_a_receipt_without_a_card() -> None:
    cancelled = Outcome(Verdict.CANCELLED, at=AT, reason="Cancelled by the cardholder.")
    text = cardholder_receipt(sale(cancelled, state=State.CANCELLED), 40)
    assert "               CANCELLED\n      Cancelled by the cardholder.\n" in text
    assert "Card  " not in text


def test_the_card_is_masked_but_for_four_digits() -> None:
    text = merchant_receipt(sale(changed(APPROVED, card_bin="482571")))
    assert "************2283" in text
    assert "482571" not in text


def test_a_tip_is_shown_between_amount_and_total() -> None:
    tipped = changed(APPROVED, approved_amount=1375, tip=125)
    assert (
        "Amount         EUR 12.50\nTip             EUR 1.25\nTOTAL          EUR 13.75\n"
    ) in cardholder_receipt(sale(tipped))


def agreed(terms: Terms, **approval: object) -> str:
    """The receipt of a sale of EUR 12.50 on these terms."""
    transaction = sale(changed(APPROVED, **approval))
    return cardholder_receipt(msgspec.structs.replace(transaction, terms=terms))


def test_a_tip_agreed_at_the_till_is_part_of_what_it_asked_for() -> None:
    assert (
        "Amount         EUR 11.25\nTip             EUR 1.25\nTOTAL          EUR 12.50\n"
    ) in agreed(Terms(tip=125))


def test_a_tip_added_on_the_terminal_comes_on_top_of_the_agreed_one() -> None:
    assert (
        "Amount         EUR 11.25\nTip             EUR 2.50\nTOTAL          EUR 13.75\n"
    ) in agreed(Terms(tip=125), approved_amount=1375, tip=125)


def test_cash_that_is_paid_out_is_shown_apart_from_the_goods() -> None:
    assert (
        "\nAmount          EUR 2.50\nCash-back      EUR 10.00\nTOTAL          EUR 12.50\n"
    ) in agreed(Terms(cash_back=1000))
    assert (
        "Amount          EUR 1.50\n"
        "Cash-back      EUR 10.00\n"
        "Tip             EUR 1.00\n"
        "TOTAL          EUR 12.50\n"
    ) in agreed(Terms(cash_back=1000, tip=100))


def test_of_a_partial_approval_nobody_knows_what_of_it_is_cash_or_tip() -> None:
    assert (
        "\nRequested      EUR 12.50\nApproved part   EUR 6.25\nTOTAL           EUR 6.25\n"
    ) in agreed(Terms(cash_back=250, tip=125), approved_amount=625)


def test_a_partial_approval_shows_what_was_asked_and_what_was_approved() -> None:
    partial = changed(APPROVED, approved_amount=625, response_code="10")
    assert (
        "Requested      EUR 12.50\nApproved part   EUR 6.25\nTOTAL           EUR 6.25\n"
    ) in cardholder_receipt(sale(partial))


def test_a_currency_conversion_shows_amount_rate_markup_and_the_choice() -> None:
    converted = changed(
        APPROVED, conversion=Conversion(Money(1356, "USD"), rate="1.0850", markup="3.00")
    )
    assert (
        "TOTAL          EUR 12.50\n"
        "\n"
        "  CURRENCY CONVERSION\n"
        "Charged        USD 13.56\n"
        "Rate  1 EUR = 1.0850 USD\n"
        "Markup            3.00 %\n"
        "I was offered to pay in\n"
        "EUR and chose to pay in\n"
        "USD. My choice is final.\n"
    ) in cardholder_receipt(sale(converted))


def test_a_refund_names_its_original() -> None:
    refund = msgspec.structs.replace(
        sale(), type=TransactionType.REFUND, original_id="1763730000000000000000000000009"
    )
    text = merchant_receipt(refund, 40)
    assert "                 REFUND\n" in text
    assert "Original 1763730000000000000000000000009\n" in text


def test_a_decision_of_a_person_is_marked() -> None:
    decided = Outcome(Verdict.APPROVED, Evidence.PERSON, approved_amount=1250)
    text = merchant_receipt(msgspec.structs.replace(sale(decided), ended_at=AT))
    assert "        APPROVED\n    Recorded by hand\n" in text
    assert "Time        14:05:09 CET" in text


def test_the_time_is_the_store_s_and_the_amount_the_currency_s() -> None:
    tokyo = msgspec.structs.replace(HEADING, time_zone="Asia/Tokyo")
    yen = msgspec.structs.replace(sale(), heading=tokyo, amount=Money(1250, "JPY"))
    text = cardholder_receipt(yen)
    assert "Time        22:05:09 JST\n" in text
    assert "TOTAL           JPY 1250\n" in text


def test_the_terminal_s_own_receipts_are_handed_on_unchanged() -> None:
    own = Receipts(cardholder="  THEIRS \r\n\tx" + "-" * 60, merchant="FOR THE SHOP")
    transaction = sale(changed(APPROVED, receipts=own))
    assert cardholder_receipt(transaction) == own.cardholder
    assert merchant_receipt(transaction, 40) == own.merchant


def test_a_copy_that_the_terminal_did_not_write_is_written_here() -> None:
    own = Receipts(cardholder="THEIRS")
    assert "MERCHANT COPY" in merchant_receipt(sale(changed(APPROVED, receipts=own)))


@pytest.mark.parametrize(
    ("state", "proof"),
    [
        (State.ACCEPTED, None),
        (State.SENT, None),
        (State.STARTED, None),
        (State.UNKNOWN, None),
        (State.FAILED, Proof.CONNECT_REFUSED),
        (State.CANCELLED, Proof.NEVER_SENT),
    ],
)
def test_what_no_terminal_processed_has_no_receipt(state: State, proof: Proof | None) -> None:
    transaction = msgspec.structs.replace(sale(None), state=state, proof=proof)
    assert cardholder_receipt(transaction) == ""
    assert merchant_receipt(transaction) == ""


@pytest.mark.parametrize("width", [23, 41, 0])
def test_other_widths_are_a_defect(width: int) -> None:
    with pytest.raises(AssertionError):
        cardholder_receipt(sale(), width)


names = st.text(max_size=80)
headings = st.builds(
    Heading,
    store_id=st.just("s"),
    store=names,
    address=names,
    zip_code=names,
    city=names,
    country=st.sampled_from(["NL", "DE"]),
    time_zone=st.sampled_from(["Europe/Amsterdam", "Asia/Kathmandu", "America/St_Johns"]),
    terminal=names,
    tid=names,
)
amounts = st.integers(min_value=0, max_value=10**15 - 1)
terms = st.builds(Terms, cash_back=amounts, tip=amounts)
outcomes = st.builds(
    Outcome,
    verdict=st.sampled_from(Verdict),
    evidence=st.sampled_from(Evidence),
    approved_amount=amounts,
    tip=amounts,
    at=st.just(AT),
    reason=names,
    response_code=st.text(max_size=2),
    authorisation_code=names,
    stan=names,
    brand=names,
    card_last4=st.text("0123456789", max_size=4),
    application_id=names,
    entry_mode=st.none() | st.sampled_from(EntryMode),
    verification=st.none() | st.sampled_from(Verification),
    acquirer_reference=names,
    conversion=st.none()
    | st.builds(
        Conversion,
        amount=st.builds(Money, amounts, st.sampled_from(["BHD", "JPY"])),
        rate=st.text("0123456789.", max_size=30),
        markup=st.text("0123456789.", max_size=30),
    ),
)


@given(headings, outcomes, names, terms, st.sampled_from(TransactionType), st.sampled_from(WIDTHS))
@settings(max_examples=300)
def test_nothing_is_wider_than_the_paper(
    heading: Heading,
    outcome: Outcome,
    reference: str,
    agreement: Terms,
    type_: TransactionType,
    width: int,
) -> None:
    transaction: Transaction = msgspec.structs.replace(
        sale(outcome), heading=heading, reference=reference, terms=agreement, type=type_
    )
    for text in (cardholder_receipt(transaction, width), merchant_receipt(transaction, width)):
        assert text.endswith("COPY\n")
        for line in text.split("\n"):
            assert columns(line) <= width
            assert len(line) <= width
            assert line == line.rstrip()
