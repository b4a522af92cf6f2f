"""Check Transaction's answer as a client reads it: an open object, in which each logical field is
looked up under the names of a table that the configuration can change, since the source does not
publish them (source 001).

Nothing is guessed: a status whose word is not in the table is UNMAPPED; two names of one field that
say different things make the field unclear, and an unclear field is as good as none; an object with
two members of one name is no answer, since every reader would take another one. The answer is kept
as it came, with card numbers cut out (law 7).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, NoReturn, TypeAlias

import msgspec

from tillwire import pan
from tillwire.dialects.softpos.wire import reading
from tillwire.dialects.softpos.wire.check import Status
from tillwire.errors import InvalidRequest, RemoteProtocolError
from tillwire.money import CURRENCIES, MAX_MINOR

UNMAPPED: Final = "UNMAPPED"
"""The status of an answer whose status is not known here."""

FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "terminal_id": ("terminalId", "tid", "f41"),
        "caller_trx_id": ("callerTrxId",),
        "merchant_id": ("merchantId", "f42"),
        "transaction_id": ("transactionId", "f37"),
        "operation_type": ("operationType", "CT105"),
        "status": ("status", "transactionStatus", "esito"),
        "result_code": ("resultCode", "result"),
        "action_code": ("actionCode", "f39"),
        "amount": ("amount", "importo", "f04"),
        "currency": ("currency",),
        "card_type": ("cardType", "circuit", "CT108"),
        "pan": ("pan", "maskedPan", "CT100"),
        "transaction_type": ("transactionType",),
        "acquirer_id": ("acquirerId", "acquirerID"),
        "acquirer_name": ("acquirerName",),
        "authorization_number": ("authorizationNumber", "f38"),
        "stan": ("stan", "f11"),
        "operation_number": ("operationNumber",),
        "at": ("transactionTimestamp", "timestamp", "date", "insertDate"),
        "updated_at": ("updateTimestamp",),
    }
)
"""Logical field -> the names under which it may stand. A dot leads into an object."""
STATUS_WORDS: Final[Mapping[str, Status]] = MappingProxyType({each.value: each for each in Status})
"""The words for a status, in capitals."""

_as_json: Final = msgspec.json.Encoder(decimal_format="number")
_NAMING: Final = ("caller_trx_id", "merchant_id", "transaction_id")
_DEEPEST: Final = 4
_LONGEST_TEXT: Final = 256
_MINOR: Final = re.compile(r"[0-9]{1,15}\Z")
_MAJOR: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,4})?\Z")

StatusWord: TypeAlias = Status | Literal["UNMAPPED"]
Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=10)]


class Aliases(msgspec.Struct, frozen=True, kw_only=True):
    """How answers are read."""

    names: Mapping[str, tuple[str, ...]] = FIELDS
    words: Mapping[str, Status] = STATUS_WORDS
    major_units: bool = False
    """Whether amounts are in major units (12.34) rather than in minor ones (1234)."""


def aliases(
    names: Mapping[str, Names] | None = None,
    words: Mapping[str, Status] | None = None,
    *,
    major_units: bool = False,
) -> Aliases:
    """The table with what a configuration adds: a field's `names` come in place of ours, status
    `words` beside ours. Raises `InvalidRequest` (field `names`)."""
    for unknown in sorted(set(names or ()) - FIELDS.keys()):
        raise InvalidRequest("names", f"there is no field {unknown[:60]!r}", ", ".join(FIELDS))
    more = {word.strip().upper(): status for word, status in (words or {}).items()}
    return Aliases(
        names={**FIELDS, **(names or {})},
        words={**STATUS_WORDS, **more},
        major_units=major_units,
    )


class CheckAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says. A text that is not there is empty."""

    status: StatusWord
    status_word: str = ""
    """As the answer has it."""
    terminal_id: str = ""
    caller_trx_id: str = ""
    merchant_id: str = ""
    transaction_id: str = ""
    operation_type: str = ""
    result_code: str = ""
    action_code: str = ""
    amount: int | None = None
    """Minor units."""
    currency: str = ""
    card_type: str = ""
    card_last4: str = ""
    transaction_type: str = ""
    acquirer_id: str = ""
    acquirer_name: str = ""
    authorization_number: str = ""
    stan: str = ""
    operation_number: str = ""
    at: int | None = None
    """Milliseconds since 1970, UTC; None also when the answer names no zone. So is `updated_at`."""
    updated_at: int | None = None
    unclear: tuple[str, ...] = ()
    """Fields that say two things at once, or nothing that can be read."""
    raw: bytes = b""
    """The whole answer in JSON, without card numbers."""


def read_answer(octets: bytes, table: Aliases) -> CheckAnswer:
    """What an answer says. Raises `RemoteProtocolError` when it is no object at all."""
    members, raw = _members(octets, _members_that_name(table))
    unclear: list[str] = []
    found = {name: _found(members, name, table, unclear) for name in FIELDS}
    texts = {name: _text(value, name, unclear) for name, value in found.items()}
    texts["currency"] = _currency(texts["currency"])
    amount = _amount(found["amount"], texts["currency"] or "EUR", table, unclear)
    word = texts["status"]
    status: StatusWord = table.words.get(word.strip().upper(), UNMAPPED) if word else UNMAPPED
    return CheckAnswer(
        status=status,
        status_word=word,
        amount=amount,
        card_last4=pan.last_four(texts["pan"]),
        at=_moment(texts["at"], "at", unclear),
        updated_at=_moment(texts["updated_at"], "updated_at", unclear),
        unclear=tuple(dict.fromkeys(unclear)),
        raw=raw,
        **{name: texts[name] for name in _PLAIN},
    )


_PLAIN: Final = tuple(FIELDS.keys() - {"status", "amount", "pan", "at", "updated_at"})


def _members_that_name(table: Aliases) -> frozenset[str]:
    """The members that name something, wherever they stand."""
    names = (each for field in _NAMING for each in table.names[field])
    numbers = {each.rpartition(".")[2] for each in table.names["pan"]}
    return frozenset(each.rpartition(".")[2] for each in names) - numbers


def _members(octets: bytes, naming: frozenset[str]) -> tuple[dict[str, Any], bytes]:
    """The object, and itself in JSON, both without card numbers."""
    if len(octets) > reading.LARGEST_ANSWER:
        raise RemoteProtocolError(f"It has {len(octets)} octets.")
    try:
        loose = json.loads(
            octets.decode(),
            parse_float=Decimal,
            parse_constant=_no_number,
            object_pairs_hook=_object,
        )
        if isinstance(loose, dict):
            members: dict[str, Any] = _cut(loose, naming)
            return members, _as_json.encode(members)
    except (ValueError, InvalidOperation, *reading.NOT_JSON):  # a number without end, too
        pass
    raise RemoteProtocolError("It is no JSON object.")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise RemoteProtocolError("A member is there twice.")
    return members


def _cut(value: Any, naming: frozenset[str], member: str = "") -> Any:  # Any: JSON of any shape
    """The same without card numbers, which may be numbers there, too."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str | int | Decimal):
        text = str(value)
        cut = reading.named(text) if member in naming else pan.masked(text)
        return value if cut == text else cut
    if isinstance(value, list):
        return [_cut(each, naming) for each in value]
    return {pan.masked(key): _cut(each, naming, key) for key, each in value.items()}


def _found(members: dict[str, Any], field: str, table: Aliases, unclear: list[str]) -> Any:
    """The field's value; None if it is absent, or if its names say different things."""
    values = list(_values(members, table.names[field]))
    same = pan.last_four if field == "pan" else str.strip
    if len({_comparable(same(str(each))) for each in values}) > 1:
        unclear.append(field)
        return None
    return values[0] if values else None


def _values(members: dict[str, Any], names: tuple[str, ...]) -> Iterator[Any]:
    for name in names:
        value: Any = members.get(name)
        if value is None and "." in name:
            value = members
            for part in name.split(".", _DEEPEST):
                value = value.get(part) if isinstance(value, dict) else None
        if value is not None and value != "":
            yield value


def _comparable(text: str) -> str:
    return text.lstrip("0") if _MINOR.match(text) else text.casefold()


def _text(value: Any, field: str, unclear: list[str]) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        unclear.append(field)
        return ""
    text = str(value).strip()
    if len(text) > _LONGEST_TEXT or not text.isprintable():
        unclear.append(field)
        return ""
    return text


def _currency(text: str) -> str:
    """Its letters, where it has others: the vendor's apps take euro alone, which ISO 4217 numbers
    978. As it came, if nobody knows it."""
    letters = "EUR" if text == "978" else text.upper()
    return letters if letters in CURRENCIES else text


def _amount(value: Any, currency: str, table: Aliases, unclear: list[str]) -> int | None:
    """Minor units. A fraction where there can be none is not rounded: it is unclear."""
    if value is None:
        return None
    text = "" if isinstance(value, bool) else str(value).strip()
    exponent = CURRENCIES[currency].exponent if currency in CURRENCIES else 2
    minor: Decimal | None = None
    if table.major_units and _MAJOR.match(text):
        minor = Decimal(text).scaleb(exponent)
    elif not table.major_units and _MINOR.match(text):
        minor = Decimal(text)
    if minor is None or minor != minor.to_integral_value() or minor > MAX_MINOR:
        unclear.append("amount")
        return None
    return int(minor)


def _moment(text: str, field: str, unclear: list[str]) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not 2000 <= moment.year < 2100:
        unclear.append(field)
        return None
    return round(moment.timestamp() * 1000)
