"""Facts: what the texts of a row say, in SQL over a source, and which of them cannot be read.

A row's *facts* are one number: whether money moved, which way, how much of what. Two rows with the
same facts say the same of the money.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Terminal
from tillwire.core.model import TransactionType
from tillwire.errors import InvalidRequest
from tillwire.money import CURRENCIES, MAX_MINOR
from tillwire.reconcile.profiles import TEXTS, Profile, Status
from tillwire.reconcile.workspace import quoted

FIRST_YEAR_MS: Final = 946_684_800_000
LAST_YEAR_MS: Final = 4_102_444_800_000
"""Times of 2000 to 2099; others are no times of card payments."""

# The classes of rows. A reversal is of the same one as what it reverses: whether one of them may be
# missing is for both together to say.
NOTHING, MOVED, HELD, REVERSED, OPEN = range(5)
FACTS: Final = 2048
"""An amount stands above this in a row's facts, currency, class and direction below."""

_COMMON: Final = ("EUR", "CHF", "GBP", "USD")
_DECIMALS: Final = (2, *sorted({each.exponent for each in CURRENCIES.values()} - {2}))
CURRENCY_CODES: Final = sorted(
    CURRENCIES,
    key=lambda code: (_DECIMALS.index(CURRENCIES[code].exponent), code not in _COMMON, code),
)
"""Currencies by their numbers in facts."""
assert len(CURRENCY_CODES) * 10 + 9 < FACTS
assert MAX_MINOR * FACTS < 1 << 63

OUR_IDS: Final = ("transaction_id", "original_id")
"""Columns that have ids of ours, or nothing: in another system's file, they may have its own."""

_STATUSES: Final = list(Status)
_TYPES: Final = list(TransactionType)
_HELD: Final = (TransactionType.PREAUTH, TransactionType.INCREMENT)
_BACK: Final = (TransactionType.REFUND, TransactionType.REVERSAL)

CHECKED: Final = ("amount", "currency", "at", "status", "type")
"""Columns in which a text can be wrong; `bad` numbers them from 1."""


class Window(msgspec.Struct, frozen=True):
    """Which rows count: a time, and perhaps terminals."""

    begin: Instant
    end: Instant
    """The first moment that does not count any more."""
    zone: str = "UTC"
    """In which days begin."""
    terminals: frozenset[str] = frozenset()
    """Names and TIDs, in small letters; empty: all."""
    stores: frozenset[str] = frozenset()
    """Names of stores that count wholly, in small letters: by them is known what names no
    terminal."""


def names_of(estate: Estate, terminals: Collection[Terminal]) -> frozenset[str]:
    """How books call these terminals, in small letters: their names and TIDs, and the names that
    they had when other devices stood there."""
    names: set[str] = set()
    for each in terminals:
        serials = {each.serial, *(device.serial for device in estate.devices.get(each.id, ()))}
        names |= {msgspec.structs.replace(each, serial=serial).name for serial in serials}
        names |= {each.tid} - {""}
    return frozenset(name.lower() for name in names)


def typed(
    source: str, profile: Profile, found: Mapping[str, str], window: Window, read: str
) -> str:
    """Each of these rows with our columns, `kind`, `word`, `minor`, `cur`, `ms`, `class`,
    `direction`, `facts`, `day`, `inside`, and in `bad` which of its columns cannot be read."""
    texts = ", ".join(f"{_text(name)} AS {name}" for name in TEXTS)
    words = (
        f"SELECT *, {texts}, {_currency(profile, found)} AS cur, {_type(profile, found)} AS told, "
        f"{_status(profile, found)} AS word, {_plain(profile)} AS plain, "
        f"{_clean(profile)} AS cleaned, {_moment(profile, found)} AS ms FROM ({read})"
    )
    scaled = f"SELECT *, {_scaled(profile)} AS scaled, {_unit()} AS unit FROM ({words})"
    below = "starts_with(cleaned, '-')" if profile.amount.negative == "refund" else "false"
    numbers = (
        f"SELECT *, {_minor(profile, below)} AS minor, "
        f"CASE WHEN {below} AND told NOT IN ({_indexes(_BACK)}) "
        f"THEN {_TYPES.index(TransactionType.REFUND)} ELSE told END AS kind FROM ({scaled})"
    )
    known = (
        f"SELECT *, {_class()} AS class, "
        f"CASE WHEN kind IN ({_indexes(_BACK)}) THEN 1 ELSE 0 END AS direction, "
        f"{_bad()} AS bad FROM ({numbers})"
    )
    return (
        f"SELECT *, CASE WHEN class IN ({MOVED}, {HELD}, {REVERSED}) THEN minor * {FACTS} ELSE 0 "
        f"END + cur * 10 + class * 2 + direction AS facts, {_day(window)} AS day, "
        f"{_inside(source, found, window)} AS inside FROM ({known})"
    )


def _text(name: str) -> str:
    text = f"nullif(trim({name}_), '')"
    if name not in OUR_IDS:
        return text
    return f"CASE WHEN regexp_full_match({text}, '[0-9]{{31}}') THEN {text} END"


def _indexes(kinds: Sequence[TransactionType]) -> str:
    return ", ".join(str(_TYPES.index(kind)) for kind in kinds)


def _words(text: str, meanings: Mapping[str, int]) -> str:
    cases = " ".join(f"WHEN {quoted(word)} THEN {code}" for word, code in meanings.items())
    return f"CASE {text} {cases} ELSE CASE upper(trim(coalesce({text}, ''))) {cases} END END"


def _currency(profile: Profile, found: Mapping[str, str]) -> str:
    if "currency" not in found:
        return str(CURRENCY_CODES.index(profile.currency))
    text = "upper(trim(coalesce(currency_, '')))"
    common = " ".join(f"WHEN '{code}' THEN {CURRENCY_CODES.index(code)}" for code in _COMMON)
    place = f"instr('{' '.join(CURRENCY_CODES)}', {text})"
    default = CURRENCY_CODES.index(profile.currency) if profile.currency else "NULL"
    return (
        f"CASE currency_ {common} ELSE CASE WHEN {text} = '' THEN {default} "
        f"WHEN regexp_full_match({text}, '[A-Z]{{3}}') AND {place} > 0 "
        f"THEN divide({place} - 1, 4) END END"
    )


def _status(profile: Profile, found: Mapping[str, str]) -> str:
    if "status" not in found:
        return str(_STATUSES.index(profile.default_status or Status.APPROVED))
    meanings = {**{each.value: each for each in Status}, **profile.meant_by_statuses()}
    return _words("status_", {word: _STATUSES.index(each) for word, each in meanings.items()})


def _type(profile: Profile, found: Mapping[str, str]) -> str:
    if "type" not in found:
        return str(_TYPES.index(profile.default_type or TransactionType.PURCHASE))
    meanings = {**{each.value: each for each in TransactionType}, **profile.meant_by_types()}
    return _words("type_", {word: _TYPES.index(each) for word, each in meanings.items()})


def _plain(profile: Profile) -> str:
    """Whether an amount is written as most are: nothing to tidy, and no three decimals."""
    return _shaped(profile, "amount_", decimals="(?:[0-9]{1,2}|[0-9]{4})")[0]


def _clean(profile: Profile) -> str:
    """The amount's digits and point; NULL when it is not written as the profile says. What needs
    tidying is looked at apart, since it is seldom: blanks around it, a plus, a minus behind."""
    tidy = "trim(translate(amount_, chr(160) || chr(8239), '  '))"
    tidy = f"regexp_replace({tidy}, '^[+]([0-9])', '\\1')"
    if profile.amount.negative == "refund":
        tidy = f"regexp_replace({tidy}, '^(.*[0-9]) ?-$', '-\\1')"
    cases = " ".join(
        f"WHEN {condition} THEN {text}"
        for condition, text in (_shaped(profile, "amount_"), _shaped(profile, tidy))
    )
    return f"CASE WHEN plain THEN {_shaped(profile, 'amount_')[1]} {cases} END"


def _shaped(profile: Profile, amount: str, decimals: str = "[0-9]{1,4}") -> tuple[str, str]:
    """Whether an amount is written as the profile says, and its digits and point."""
    shape = profile.amount
    sign = "-?" if shape.negative == "refund" else ""
    if shape.unit == "minor":
        return f"regexp_full_match({amount}, '{sign}[0-9]{{1,15}}')", amount
    decimal = r"\." if shape.decimal == "." else ","
    whole = "[0-9]{1,14}"
    text = told = amount
    if shape.thousands == " ":  # of one kind or another
        text = told = f"translate({amount}, chr(160) || chr(8239), '  ')"
    if shape.thousands:
        mark = r"\." if shape.thousands == "." else shape.thousands
        whole = f"(?:[0-9]{{1,3}}(?:{mark}[0-9]{{3}}){{1,4}}|{whole})"
        text = f"replace({text}, {quoted(shape.thousands)}, '')"
    if shape.decimal == ",":
        text = f"replace({text}, ',', '.')"
    pattern = quoted(f"{sign}{whole}(?:{decimal}{decimals})?")
    return f"regexp_full_match({told}, {pattern})", text


def _scaled(profile: Profile) -> str:
    """The amount's size as it is written: minor units, or ten-thousandths. Few are so long that
    they need more than 64 bits on the way."""
    if profile.amount.unit == "minor":
        return "abs(TRY_CAST(cleaned AS BIGINT))"

    def read(digits: int) -> str:
        return f"TRY_CAST(abs(TRY_CAST(cleaned AS DECIMAL({digits}, 4))) * 10000 AS BIGINT)"

    return f"CASE WHEN strlen(cleaned) < 10 THEN {read(13)} ELSE {read(24)} END"


def _unit() -> str:
    """The ten-thousandths of a currency's smallest unit."""
    units = " ".join(
        f"WHEN cur < {number} THEN {10 ** (4 - exponent)}" for exponent, number in _behind().items()
    )
    return f"CASE {units} END"


def _behind() -> dict[int, int]:
    """The first currency's number that is behind those of so many decimals."""
    decimals = [CURRENCIES[code].exponent for code in CURRENCY_CODES]
    return {each: len(decimals) - decimals[::-1].index(each) for each in _DECIMALS}


def _minor(profile: Profile, below: str) -> str:
    """Minor units; NULL when there are more decimals than the currency has, or too much. Three
    decimals of a currency with two are rather thousands: `1.250` is nobody's 1.25. And no
    reservation is below zero."""
    held = f"({below} AND told IN ({_indexes(_HELD)}))"
    if profile.amount.unit == "minor":
        return f"CASE WHEN scaled <= {MAX_MINOR} AND NOT {held} THEN scaled END"
    few = max(number for exponent, number in _behind().items() if exponent < 3)
    mark = "instr(cleaned, '.')"
    thousands = f"({mark} > 1 AND {mark} = strlen(cleaned) - 3 AND cur < {few})"
    exact = f"scaled % unit = 0 AND divide(scaled, unit) <= {MAX_MINOR}"
    right = f"{exact} AND (plain OR NOT {thousands}) AND NOT {held}"
    return f"CASE WHEN {right} THEN divide(scaled, unit) END"


def _moment(profile: Profile, found: Mapping[str, str]) -> str:
    text = "at_ || ' ' || time_" if "time" in found else "at_"
    zone = quoted(profile.time.zone)
    if profile.time.format != "iso8601":
        parsed = f"try_strptime({text}, {quoted(profile.time.format)})"
        moment = parsed if profile.time.has_offset() else _standing(parsed, zone)
    else:
        offset = f"regexp_matches({text}, ':[0-9.]+[+-][0-9:]+$')"
        shape = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
        ends = r"([+-][0-9]{2}(:?[0-9]{2})?)?"
        shaped = f"regexp_full_match({text}, '{shape}{ends}')"
        with_offset = f"TRY_CAST({text} AS TIMESTAMPTZ)"
        local = _standing(f"TRY_CAST({text} AS TIMESTAMP)", zone) if profile.time.zone else "NULL"
        plain = f"strlen({text}) > 15 AND ends_with({text}, 'Z')"
        moment = (
            f"CASE WHEN {plain} OR ({shaped} AND {offset}) THEN {with_offset} "
            f"WHEN {shaped} THEN {local} END"
        )
    return f"epoch_ms({moment})"


def _standing(local: str, zone: str) -> str:
    """A local time as a moment; NULL when clocks never show it, since they are put forward. Of one
    that they show twice, the zone's own choice."""
    moment = f"timezone({zone}, {local})"
    return f"CASE WHEN timezone({zone}, {moment}) = {local} THEN {moment} END"


def _class() -> str:
    word = {status: _STATUSES.index(status) for status in _STATUSES}
    return (
        f"CASE word WHEN {word[Status.APPROVED]} THEN "
        f"CASE WHEN kind IN ({_indexes(_HELD)}) THEN {HELD} "
        f"WHEN kind = {_TYPES.index(TransactionType.REVERSAL)} THEN {REVERSED} ELSE {MOVED} END "
        f"WHEN {word[Status.REVERSED]} THEN {REVERSED} "
        f"WHEN {word[Status.UNKNOWN]} THEN {OPEN} ELSE {NOTHING} END"
    )


def _bad() -> str:
    at_fault = {
        "amount": "minor IS NULL",
        "currency": "cur IS NULL",
        "at": f"(ms BETWEEN {FIRST_YEAR_MS} AND {LAST_YEAR_MS}) IS NOT TRUE",
        "status": "word IS NULL",
        "type": "told IS NULL",
    }
    cases = " ".join(
        f"WHEN {at_fault[name]} THEN {code}"
        for code, name in sorted(
            ((CHECKED.index(name) + 1, name) for name in at_fault),
            key=lambda each: each[1] != "currency",  # whose decimals an amount is judged by
        )
    )
    return f"CAST(CASE {cases} ELSE 0 END AS UTINYINT)"


def _day(window: Window) -> str:
    if window.zone == "UTC":
        return "divide(ms, 86400000)"
    there = f"timezone({quoted(window.zone)}, timezone('UTC', make_timestamp(ms * 1000)))"
    return f"date_diff('day', DATE '1970-01-01', CAST({there} AS DATE))"


def _inside(source: str, found: Mapping[str, str], window: Window) -> str:
    within = f"(ms >= {window.begin} AND ms < {window.end})"
    if not window.terminals:
        return within
    names = ", ".join(quoted(name) for name in sorted(window.terminals))
    places = [name for name in ("tid", "terminal") if name in found]
    if not places and window.stores and "store" in found:
        places = ["store"]
        names = ", ".join(quoted(name) for name in sorted(window.stores))
    if not places:
        raise InvalidRequest(
            source, "it does not say of which terminal its rows are", "all terminals"
        )
    return f"({within} AND (" + " OR ".join(f"lower({each}) IN ({names})" for each in places) + "))"


def allowed(profile: Profile, column: str) -> str:
    match column:
        case "amount" if profile.amount.unit == "minor":
            return "whole minor units, such as 1250"
        case "amount":
            shape = profile.amount
            example = f"1{shape.thousands}250{shape.decimal}50"
            sign = "" if shape.negative == "refund" else ", not below zero"
            return f"an amount such as {example}, without more decimals than its currency has{sign}"
        case "currency":
            return "three capital letters of ISO 4217"
        case "at" if profile.time.format != "iso8601":
            return f"a time as {profile.time.format} of {profile.time.zone or 'its offset'}"
        case "at":
            zone = f"of {profile.time.zone}" if profile.time.zone else "with its offset from UTC"
            return f"a time that there is, such as 2026-05-01T08:00:00, {zone}"
        case "status":
            return ", ".join(sorted({*_names(Status), *profile.statuses}))
        case _:
            return ", ".join(sorted({*_names(TransactionType), *profile.types}))


def _names(words: Any) -> list[str]:
    return [each.value for each in words]
