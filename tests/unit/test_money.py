"""Money is exact, in every currency, however the amount was written."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from babel.core import get_global
from hypothesis import given
from hypothesis import strategies as st

from tillwire.errors import InvalidRequest
from tillwire.money import CURRENCIES, MAX_MINOR, Money, currency, from_decimal, from_text, positive

codes = st.sampled_from(sorted(CURRENCIES))
amounts = st.integers(min_value=-MAX_MINOR, max_value=MAX_MINOR)

# --- the table, against an independent one (CLDR, by way of Babel) ------------------------------

CLDR_WRITES_NO_DECIMALS = {
    **dict.fromkeys(["AFN", "ALL", "IRR", "KPW", "LAK", "LBP", "MGA", "MMK"], 2),
    **dict.fromkeys(["RSD", "SOS", "SYP", "YER"], 2),
    "IQD": 3,
}
"""CLDR tells how many decimals people write; ISO 4217 how many the currency has, used or not. A
terminal counts in the latter, which is given here."""

NOT_EVERYDAY_MONEY = {
    **dict.fromkeys(["BOV", "CHE", "CHW", "CLF", "COU"], "unit of account"),
    **dict.fromkeys(["MXV", "USN", "UYI", "UYW", "XAD"], "unit of account"),
    "SVC": "listed beside the US dollar, out of circulation",
    "VED": "CLDR keeps Venezuela's VES",
    "ANG": "replaced by XCG in 2025; may still be refunded",
}
"""What ISO 4217 lists with a minor unit and no territory uses as its tender by CLDR,
and why."""


def cldr_tender() -> set[str]:
    """The currencies that are some territory's tender now, by CLDR."""
    return {
        code
        for entries in get_global("territory_currencies").values()
        for code, _begin, end, tender in entries
        if end is None and tender
    }


def test_every_tender_of_the_world_is_in_the_table() -> None:
    assert cldr_tender() - CURRENCIES.keys() == set()


def test_nothing_else_is_in_the_table_but_what_iso_4217_lists_besides() -> None:
    assert CURRENCIES.keys() - cldr_tender() == NOT_EVERYDAY_MONEY.keys()


@pytest.mark.parametrize("code", sorted(CURRENCIES))
def test_the_exponent_agrees_with_cldr(code: str) -> None:
    fractions = get_global("currency_fractions")
    written = fractions.get(code, fractions["DEFAULT"])[0]
    if code in CLDR_WRITES_NO_DECIMALS:
        assert written == 0
        assert CURRENCIES[code].exponent == CLDR_WRITES_NO_DECIMALS[code]
    else:
        assert CURRENCIES[code].exponent == written


def test_all_four_exponents_occur() -> None:
    examples = {"JPY": 0, "EUR": 2, "BHD": 3, "CLF": 4}
    assert {code: CURRENCIES[code].exponent for code in examples} == examples
    assert {each.exponent for each in CURRENCIES.values()} == set(examples.values())


@pytest.mark.parametrize("code", ["XAU", "XTS", "XXX", "XDR", "DEM", "eur", "EU", "", "E" * 100])
def test_what_nobody_pays_with_is_no_currency(code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        currency(code, "amount.currency")
    assert refused.value.field == "amount.currency"
    assert len(str(refused.value)) < 200


# --- exactness ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code", "minor"),
    [
        ("98.75", "EUR", 9875),
        ("0.1", "EUR", 10),
        ("0.10", "EUR", 10),
        ("1e2", "EUR", 10000),
        ("1E-2", "EUR", 1),
        ("12.5000000000000000000000", "EUR", 1250),
        ("1200", "JPY", 1200),
        ("1200.0", "JPY", 1200),
        ("1.234", "BHD", 1234),
        ("1.2345", "CLF", 12345),
        ("9999999999999.99", "EUR", MAX_MINOR),
        ("0.0", "EUR", 0),
        ("-1", "EUR", -100),
    ],
)
def test_json_numbers_are_exact(number: str, code: str, minor: int) -> None:
    value = msgspec.json.decode(number.encode(), type=Decimal)
    assert from_decimal(value, code) == Money(minor, code)


def test_a_third_of_ten_cents_adds_up() -> None:
    values = [msgspec.json.decode(each, type=Decimal) for each in (b"0.1", b"0.2")]
    assert sum(from_decimal(each, "EUR").minor for each in values) == 30


@pytest.mark.parametrize(
    ("value", "code", "problem"),
    [
        ("98.755", "EUR", "more decimals than EUR has"),
        ("0.30000000000000004", "EUR", "more decimals than EUR has"),
        ("1.5", "JPY", "more decimals than JPY has"),
        ("1.23456", "CLF", "more decimals than CLF has"),
        ("NaN", "EUR", "not a number"),
        ("sNaN", "EUR", "not a number"),
        ("Infinity", "EUR", "not a number"),
        ("-Infinity", "EUR", "not a number"),
        ("10000000000000.00", "EUR", "too large"),
    ],
)
def test_what_is_not_an_amount_is_refused_by_the_field_s_name(
    value: str, code: str, problem: str
) -> None:
    with pytest.raises(InvalidRequest, match=problem) as refused:
        from_decimal(Decimal(value), code, "amount.value")
    assert refused.value.field == "amount.value"


@pytest.mark.parametrize("value", ["1e999999999", "-1e999999999", "1e-999999999", "9" * 5000])
def test_huge_exponents_cost_nothing(value: str) -> None:
    with pytest.raises(InvalidRequest):  # at once: as an integer it would fill the memory
        from_decimal(Decimal(value), "EUR")


@pytest.mark.parametrize("value", ["0e999999999", "0e-999999999", "-0"])
def test_zero_is_zero_with_any_exponent(value: str) -> None:
    assert from_decimal(Decimal(value), "EUR") == Money(0, "EUR")


@pytest.mark.parametrize("minor", [0, -1, -100])
def test_what_is_to_be_paid_is_more_than_zero(minor: int) -> None:
    with pytest.raises(InvalidRequest, match="not more than zero"):
        positive(Money(minor, "EUR"))
    assert positive(Money(1, "EUR")) == Money(1, "EUR")


@pytest.mark.parametrize(
    "text",
    ["12,50", "", " 1", "1 ", "1\n", "+1", "1.", ".5", "1e2", "0x1", "NaN", "١٢", "1_0", "9" * 41],
)
def test_typed_amounts_are_plain_decimals(text: str) -> None:
    with pytest.raises(InvalidRequest, match="not a decimal number"):
        from_text(text, "EUR")


def test_money_knows_no_other_currency() -> None:
    with pytest.raises(AssertionError):
        Money(1, "XXX")


# --- there and back -----------------------------------------------------------------------------


@given(amounts, codes)
def test_decimal_text_is_read_back_as_the_same_money(minor: int, code: str) -> None:
    money = Money(minor, code)
    assert from_text(money.decimal(), code) == money
    assert from_decimal(Decimal(money.decimal()), code) == money


@given(amounts, codes)
def test_decimal_text_has_the_currency_s_decimals(minor: int, code: str) -> None:
    text = Money(minor, code).decimal()
    assert len(text.partition(".")[2]) == CURRENCIES[code].exponent
    assert Decimal(text).scaleb(CURRENCIES[code].exponent) == minor


@given(st.decimals(), codes)
def test_any_decimal_is_exact_or_refused(value: Decimal, code: str) -> None:
    try:
        money = from_decimal(value, code)
    except InvalidRequest:
        return
    assert Decimal(money.minor) == value * 10 ** CURRENCIES[code].exponent
    assert abs(money.minor) <= MAX_MINOR
