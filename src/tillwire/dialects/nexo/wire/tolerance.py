"""What peers write differently, made canonical; and what is wrong, said by path and field.

Messages in canonical form are decoded straight into their structures. This module is for all
others: it takes JSON as it came and gives back JSON as nexo 3.1 has it, guided by the structures.
Unknown members are left out, null is absence, and what cannot be made right stays, for msgspec to
refuse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from tillwire.dialects.nexo.wire.fields import AMOUNT, LONGEST_LIST, Fault

OTHER_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "MaskedPan": ("MaskedPAN",),
    "ManufacturerID": ("ProviderIdentification",),
    "InstalmentType": ("Instalment",),
    "Value": ("TrackValue", "LoyaltyID", "StoredValueID", "BarcodeValue", "Text"),
}
"""Keys of other versions and vendors (nexo 3.0, Adyen), and which of ours they may be."""

OTHER_VALUES: Final[Mapping[str, Mapping[str, str]]] = {
    "AuthenticationMethod": {
        "OnLinePIN": "OnlinePIN",
        "OnlinePin": "OnlinePIN",
        "OfflinePin": "OfflinePIN",
    },
    "EventToNotify": {"CompletedMessage": "Completed"},
    "CharacterStyle": {"Underline": "Underlined"},
}
"""By key: how else a value is written (some schemas, DataMesh, Adyen)."""

SPACED: Final = frozenset(
    {
        "AuthenticationMethod",
        "CustomerOrderReq",
        "EntryMode",
        "ForceEntryMode",
        "POICapabilities",
        "SaleCapabilities",
        "ServiceProfiles",
        "ServicesEnabled",
        "TotalDetails",
    }
)
"""Keys whose values stand in one text, with blanks between them, in nexo's XML."""

_HINTS: Final = "|".join([*OTHER_KEYS, *(each for of in OTHER_VALUES.values() for each in of)])
# Letters of a key may be escaped, too.
_ANY_HINT: Final = rf'"(?:{_HINTS})"|\\u00[2-7]'


class Kind(Enum):
    """What one value is."""

    TEXT = "text"
    FLAG = "true or false"
    WHOLE = "a whole number"
    DECIMAL = "a number"
    PART = "an object"
    OTHER = "anything"


class Member(NamedTuple):
    """One member of a structure."""

    key: str
    kind: Kind
    many: bool
    longest: int
    """Entries of it, if there may be many."""
    part: Plan | None
    """Of what structure it is."""
    allowed: str
    other_values: Mapping[str, str]


class Plan(msgspec.Struct, eq=False):
    """How a structure is read."""

    name: str
    members: dict[str, Member] = {}
    """By every key that it may have."""


_plans: dict[type, Plan] = {}


def plan(struct: type[msgspec.Struct]) -> Plan:
    """How this structure is read; made once, and only while modules are loaded."""
    return _plan(inspect.type_info(struct))


def _plan(described: inspect.Type) -> Plan:
    assert isinstance(described, inspect.StructType)
    if (known := _plans.get(described.cls)) is not None:
        return known
    made = _plans[described.cls] = Plan(described.cls.__name__)
    for field in described.fields:
        made.members[field.encode_name] = _member(field.encode_name, field.type)
    for other, keys in OTHER_KEYS.items():
        for key in keys:
            if key in made.members and other not in made.members:
                made.members[other] = made.members[key]
    return made


def _member(key: str, described: inspect.Type) -> Member:
    described, allowed = _unwrapped(described)
    many, longest = isinstance(described, inspect.VarTupleType), LONGEST_LIST
    if isinstance(described, inspect.VarTupleType):
        longest = described.max_length or LONGEST_LIST
        described, allowed = _unwrapped(described.item_type)
        allowed = f"a list of up to {longest}" + (f", each {allowed}" if allowed else "")
    kind = _KINDS.get(type(described), Kind.OTHER)
    if not allowed:
        allowed = AMOUNT if kind is Kind.DECIMAL else kind.value
    part = _plan(described) if kind is Kind.PART else None
    return Member(key, kind, many, longest, part, allowed, OTHER_VALUES.get(key, {}))


_KINDS: Final[Mapping[type, Kind]] = {
    inspect.StrType: Kind.TEXT,
    inspect.BoolType: Kind.FLAG,
    inspect.IntType: Kind.WHOLE,
    inspect.DecimalType: Kind.DECIMAL,
    inspect.StructType: Kind.PART,
}


def _unwrapped(described: inspect.Type) -> tuple[inspect.Type, str]:
    """The type without None and descriptions, and its description."""
    allowed = ""
    while True:
        if isinstance(described, inspect.Metadata):
            allowed = (described.extra_json_schema or {}).get("description", allowed)
            described = described.type
        elif isinstance(described, inspect.UnionType):
            some = [each for each in described.types if not isinstance(each, inspect.NoneType)]
            if len(some) != 1:
                return described, allowed
            described = some[0]
        else:
            return described, allowed


# --- reading ----------------------------------------------------------------------------------


def number(text: str) -> Decimal:
    """A JSON number with a point or an exponent. One beyond all measure is not a number, which
    every check of an amount refuses."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def hint(also: str = "") -> re.Pattern[bytes]:
    """What a message holds that must come here though it would fit its structure; `also` is a
    pattern of its own."""
    return re.compile((_ANY_HINT + (f"|{also}" if also else "")).encode())


def canonical(value: Any, of: Plan) -> Any:  # Any: JSON of any shape
    """The value as the structure has it, as far as it can be told what was meant."""
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for key, given in value.items():
        member = of.members.get(key)
        if member is None or given is None:
            continue
        if key == member.key:
            made[key] = _given(given, member)
        elif value.get(member.key) is None and (
            key != "InstalmentType" or isinstance(given, dict | list)
        ):
            made[member.key] = _given(given, member)
    move = _MOVES.get(of.name)
    if move is not None:
        move(value, made, of)
    return made


def _given(value: Any, member: Member) -> Any:
    if member.many:
        if isinstance(value, str) and member.key in SPACED:
            value = value.split()
        some = value if isinstance(value, list) else [value]
        if len(some) > member.longest:
            return some
        return [_one(each, member) for each in some if each is not None]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return _one(value, member)


def _one(value: Any, member: Member) -> Any:
    kind = member.kind
    if kind is Kind.PART:
        assert member.part is not None
        if member.key == "ConvertedAmount" and isinstance(value, int | Decimal | str):
            return {"AmountValue": value}
        return canonical(value, member.part)
    if kind is Kind.TEXT:
        if isinstance(value, str):
            return member.other_values.get(value, value)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LONGEST_ID:
            return str(value)
    elif kind is Kind.FLAG and isinstance(value, str):
        return _FLAGS.get(value.lower(), value)
    elif kind is Kind.WHOLE:
        return _whole(value)
    return value


_LONGEST_ID: Final = 10**64
_FLAGS: Final = {"true": True, "false": False}
_WHOLE: Final = re.compile(r"-?[0-9]{1,15}\Z")


def _whole(value: Any) -> Any:
    if isinstance(value, str) and _WHOLE.match(value):
        return int(value)
    # No arithmetic: 1e999999999 would take long, or raise.
    if isinstance(value, Decimal) and value.is_finite() and -(10**15) < value < 10**15:
        whole = int(value)
        return whole if whole == value else value
    return value


def _original_of_payment(given: dict[str, Any], made: dict[str, Any], of: Plan) -> None:
    """Bilt has the original transaction under `PaymentData`."""
    data, transaction = given.get("PaymentData"), made.get("PaymentTransaction")
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict) or not isinstance(transaction, dict):
        return
    key = "OriginalPOITransaction"
    if data.get(key) is not None and key not in transaction:
        part = of.members["PaymentTransaction"].part
        assert part is not None
        transaction[key] = _given(data[key], part.members[key])


def _flattened_body(given: dict[str, Any], made: dict[str, Any], of: Plan) -> None:
    """Swedbank has the repeated body beside its header."""
    key = "RepeatedResponseMessageBody"
    part = of.members[key].part
    if key not in made and part is not None and (body := canonical(given, part)):
        made[key] = body


_MOVES: Final = {
    "PaymentRequest": _original_of_payment,
    "RepeatedMessageResponse": _flattened_body,
}


# --- explaining -------------------------------------------------------------------------------


class Problem(NamedTuple):
    """What is wrong with a body."""

    path: str
    """Keys from the body downwards, with points; empty for the body itself."""
    field: str
    """The key in there that is at fault; empty when the body itself is."""
    problem: str
    allowed: str


_LOCATED = re.compile(r"(?P<problem>.*?)(?: - at `\$\.?(?P<path>.*)`)?\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)
_GOT = re.compile(r"Expected `.*`, got `([a-z]+)`\Z")
_INDEX = re.compile(r"\[[0-9]+\]")
_RULES: Final = (
    ("of length <=", "Too long"),
    ("of length >=", "Too short"),
    ("matching regex", "Invalid"),
    ("Expected `int`", "Out of range"),
    ("out of range", "Out of range"),
    ("decimal", "Not a number"),
)
_TYPES: Final = {
    "array": "a list",
    "bool": "true or false",
    "decimal": "a number",
    "float": "a number",
    "int": "a whole number",
    "null": "null",
    "object": "an object",
    "str": "text",
}


def explained(error: msgspec.ValidationError, of: Plan) -> Problem:
    """What msgspec or a structure's own check found wrong. No value is repeated: it might be a
    card number."""
    located = _LOCATED.match(str(error))
    assert located is not None
    problem, path = located["problem"], located["path"] or ""
    cause, allowed = error.__cause__, ""
    if isinstance(cause, Fault):
        path, problem, allowed = _joined(path, cause.field), cause.problem, cause.allowed
    elif missing := _MISSING.match(problem):
        path, problem = _joined(path, missing[1]), "Missing"
    elif got := _GOT.match(problem):
        problem = f"It is {_TYPES.get(got[1], got[1])}"
    else:
        problem = next((said for part, said in _RULES if part in problem), "Invalid")
    if not allowed:
        allowed = _allowed(path, of)
    above, _, field = path.rpartition(".")
    return Problem(above, field, problem, allowed)


def _joined(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field


def _allowed(path: str, of: Plan) -> str:
    """What the member at a path may be."""
    at: Plan | None = of
    member: Member | None = None
    for step in path.split(".") if path else ():
        member = at.members.get(_INDEX.sub("", step)) if at is not None else None
        at = member.part if member is not None else None
    if member is None:
        return Kind.PART.value if not path else ""
    return member.allowed
