"""Money: whole minor units and an ISO 4217 currency. No float ever touches it.

The table is ISO 4217 list one without the codes that have no minor unit (metals, test and fund
codes), which nobody pays with at a till. Decimal text becomes minor units here and nowhere else.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import msgspec

from tillwire.errors import InvalidRequest

MAX_MINOR: Final = 10**15 - 1
"""The most that one transaction may carry, in minor units; fits 64 bits and every database."""

_TWO_DECIMALS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA
MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR
RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD
TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
"""
_OTHER_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}


class Currency(msgspec.Struct, frozen=True):
    """An ISO 4217 currency: its letters and how many decimals its minor unit has."""

    code: str
    exponent: int


CURRENCIES: Final[dict[str, Currency]] = {
    code: Currency(code, exponent)
    for exponent, codes in {2: _TWO_DECIMALS, **_OTHER_DECIMALS}.items()
    for code in codes.split()
}
"""Every currency that can be paid with, by its ISO 4217 letters."""

_PLAIN_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?\Z")


class Money(msgspec.Struct, frozen=True, order=False):
    """An amount in minor units (`minor`) of a currency (`currency`, ISO 4217 letters)."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        assert self.currency in CURRENCIES, f"not a currency: {self.currency!r}"

    def __str__(self) -> str:
        return f"{self.decimal()} {self.currency}"

    def decimal(self) -> str:
        """The amount in major units with exactly the currency's decimals: `98.75`, `1200`."""
        exponent = CURRENCIES[self.currency].exponent
        sign = "-" if self.minor < 0 else ""
        digits = str(abs(self.minor)).zfill(exponent + 1)
        if exponent == 0:
            return sign + digits
        return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"


def currency(code: str, field: str = "currency") -> Currency:
    """The currency of the ISO 4217 letters `code`.

    Raises `InvalidRequest`, naming `field`, for anything else.
    """
    found = CURRENCIES.get(code)
    if found is None:
        raise InvalidRequest(
            field, f"{code[:20]!r} is not a currency", "three capital letters of ISO 4217"
        )
    return found


def from_decimal(value: Decimal, code: str, field: str = "amount") -> Money:
    """An exact amount from major units: `98.75` EUR is 9875 minor units.

    Raises `InvalidRequest`, naming `field`, when the value is not finite, has more decimals than
    the currency, or is beyond `MAX_MINOR` in size. The sign is kept: whether zero or less is
    allowed is the caller's rule (`positive`).
    """
    exponent = currency(code, field).exponent
    if not value.is_finite():
        raise InvalidRequest(field, f"{value} is not a number", "a decimal number")
    sign, digits, power = value.as_tuple()
    assert isinstance(power, int)
    # Before any arithmetic, so that 1e999999999 costs nothing.
    if value and len(digits) + power + exponent > len(str(MAX_MINOR)):
        raise InvalidRequest(field, "the amount is too large", f"up to {MAX_MINOR} minor units")
    shift = power + exponent
    if not any(digits):
        return Money(0, code)
    if shift < 0:
        kept, cut = digits[:shift], digits[shift:]
        if any(cut):
            raise InvalidRequest(
                field,
                f"more decimals than {code} has",
                f"at most {exponent} decimals" if exponent else "whole numbers",
            )
        digits, shift = kept, 0
    minor = int("".join(map(str, digits)) or "0") * 10**shift
    return Money(-minor if sign else minor, code)


def from_text(text: str, code: str, field: str = "amount") -> Money:
    """An exact amount from decimal text as people type it: `12.50`.

    Raises `InvalidRequest`, naming `field`, for anything but digits with an optional point.
    """
    if len(text) > 40 or not _PLAIN_DECIMAL.match(text):
        raise InvalidRequest(
            field, f"{text[:20]!r} is not a decimal number", "digits with an optional decimal point"
        )
    return from_decimal(Decimal(text), code, field)


def positive(money: Money, field: str = "amount") -> Money:
    """The same money; raises `InvalidRequest`, naming `field`, unless it is more than zero."""
    if money.minor <= 0:
        raise InvalidRequest(field, f"{money.decimal()} is not more than zero", "more than 0")
    return money
