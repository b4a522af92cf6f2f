"""The totals of a day: every sum and count of it, word for word."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import count

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.receipt_fixture import APPROVED, AT, HEADING, sale
from tillwire.clock import instant
from tillwire.core.columns import columns
from tillwire.core.model import State, Terms, Transaction, TransactionType
from tillwire.core.receipts import WIDTHS, day_totals
from tillwire.money import CURRENCIES, Money

DAY = date(2025, 11, 21)
PRINTED = instant(datetime(2025, 11, 21, 22, 30, tzinfo=UTC))
_numbers = count(1)


def ended(
    minor: int = 1000,
    type_: TransactionType = TransactionType.PURCHASE,
    *,
    brand: str = "VISA",
    currency: str = "EUR",
    state: State = State.APPROVED,
    tip: int = 0,
    original: str | None = None,
) -> Transaction:
    outcome = msgspec.structs.replace(APPROVED, approved_amount=minor, brand=brand, tip=tip)
    return msgspec.structs.replace(
        sale(outcome if state is State.APPROVED else None, state=state),
        id=f"{next(_numbers):031d}",
        type=type_,
        amount=Money(minor - tip, currency),
        original_id=original,
        ended_at=AT,
    )


def totals(*transactions: Transaction, width: int = 24) -> str:
    return day_totals(HEADING, DAY, transactions, PRINTED, width)


def test_a_day_of_sales_and_refunds() -> None:
    text = totals(
        ended(1000),
        ended(2550, brand="MASTERCARD", tip=50),
        ended(999),
        ended(500, TransactionType.REFUND),
        ended(state=State.DECLINED),
        ended(state=State.CANCELLED),
        ended(state=State.CANCELLED),
    )
    assert text == (
        "      Corner Shop\n"
        "        Damrak 1\n"
        "  1012 LG Amsterdam NL\n"
        "\n"
        "       DAY TOTALS\n"
        "\n"
        "Terminal  TILLWIRE-V1-t1\n"
        "TID             30350004\n"
        "Date          2025-11-21\n"
        "Printed 2025-11-21 23:30\n"
        "\n"
        "SALE EUR\n"
        "1 MASTERCARD       25.50\n"
        "2 VISA             19.99\n"
        "3 TOTAL            45.49\n"
        "\n"
        "REFUND EUR\n"
        "1 VISA             -5.00\n"
        "1 TOTAL            -5.00\n"
        "\n"
        "NET TOTAL EUR      40.49\n"
        "of it tips          0.50\n"
        "\n"
        "Approved               4\n"
        "Declined               1\n"
        "Cancelled              2\n"
        "\n"
        "   END OF DAY TOTALS\n"
    )


def test_tips_agreed_at_the_till_count_with_those_of_the_terminal() -> None:
    agreed = msgspec.structs.replace(ended(1150, tip=50), terms=Terms(tip=100))
    part = msgspec.structs.replace(ended(500), amount=Money(1000, "EUR"), terms=Terms(tip=100))
    assert "of it tips          1.50\n" in totals(agreed, part)


def test_a_day_without_a_sale() -> None:
    assert (
        "    NOTHING APPROVED\n\nApproved               0\nDeclined               0\n" in totals()
    )


def test_each_currency_has_its_own_sums() -> None:
    text = totals(ended(1000), ended(1250, currency="JPY"), ended(1500, currency="BHD"))
    assert "NET TOTAL BHD      1.500\n" in text
    assert "NET TOTAL EUR      10.00\n" in text
    assert "NET TOTAL JPY       1250\n" in text


def test_a_reversal_undoes_its_original() -> None:
    bought, refunded = ended(1000), ended(400, TransactionType.REFUND)
    text = totals(
        bought,
        refunded,
        ended(1000, TransactionType.REVERSAL, original=bought.id),
        ended(400, TransactionType.REVERSAL, original=refunded.id),
    )
    assert "REVERSAL EUR\n2 VISA             -6.00\n" in text
    assert "NET TOTAL EUR       0.00\n" in text


def test_a_reversal_of_an_earlier_day_s_sale_counts_as_negative() -> None:
    text = totals(ended(1000, TransactionType.REVERSAL, original="0" * 31))
    assert "NET TOTAL EUR     -10.00\n" in text


def test_what_is_only_reserved_is_not_in_the_total() -> None:
    held = ended(5000, TransactionType.PREAUTH)
    text = totals(ended(1000), held, ended(5000, TransactionType.REVERSAL, original=held.id))
    assert "NET TOTAL EUR      10.00\n\n RESERVED, NOT IN TOTAL\nPRE-AUTHORISATION EUR\n" in text
    assert "REVERSAL EUR\n1 VISA              0.00\n" in text


def test_what_is_not_resolved_is_named() -> None:
    text = totals(ended(state=State.FAILED), ended(state=State.UNKNOWN))
    assert "Not delivered          1\nSTILL OPEN             1\n" in text


def test_an_approval_without_a_brand_is_counted_as_other() -> None:
    assert "1 OTHER            10.00\n" in totals(ended(brand=""))


@given(
    st.lists(
        st.builds(
            ended,
            st.integers(min_value=1, max_value=10**15 - 1),
            st.sampled_from(TransactionType),
            brand=st.text(max_size=40),
            currency=st.sampled_from(sorted(CURRENCIES)),
            state=st.sampled_from(State),
        ),
        max_size=12,
    ),
    st.sampled_from(WIDTHS),
)
def test_nothing_is_wider_than_the_paper_and_everything_is_counted(
    transactions: list[Transaction], width: int
) -> None:
    lines = totals(*transactions, width=width).split("\n")
    assert all(columns(line) <= width and len(line) <= width for line in lines)
    counts = [
        int(line.split()[-1])
        for line in lines
        for label in ("Approved ", "Declined ", "Cancelled ", "Not delivered ", "STILL OPEN ")
        if line.startswith(label)
    ]
    assert sum(counts) == len(transactions)
