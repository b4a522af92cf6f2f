"""Messages for the tests: the published examples, and any that the structures allow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from hypothesis import reject
from hypothesis import strategies as st
from msgspec import inspect

from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire import fields
from tillwire.dialects.nexo.wire.header import MessageHeader
from tillwire.dialects.nexo.wire.values import MessageClass

_FOLDER: Final = Path(__file__).parents[1] / "examples"

EXAMPLES: Final[Mapping[str, bytes]] = {
    path.stem: path.read_bytes() for path in sorted(_FOLDER.glob("*.json"))
}


def exact(octets: bytes) -> Any:
    """JSON with every number as it is written, and not as a float."""
    return json.loads(octets, parse_float=Decimal, parse_int=Decimal)


def loose(name: str) -> Any:
    """An example's header and body as JSON, to be changed."""
    (content,) = json.loads(EXAMPLES[name]).values()
    return content


def octets(content: Any) -> bytes:
    """Header and body in their envelope."""
    kind = content["MessageHeader"]["MessageType"]
    name = "SaleToPOIResponse" if kind == "Response" else "SaleToPOIRequest"
    return json.dumps({name: content}).encode()


def read(content: Any) -> Any:
    """The body of header and body that were given as JSON."""
    return wire.decode(octets(content)).body


# --- any message ------------------------------------------------------------------------------

_letters: Final = st.characters(codec="utf-8")
_amounts: Final = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places),
    st.integers(0, 99_999_999),
    st.integers(0, fields.DECIMALS),
)


@cache
def parts(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Any structure of this type."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    members = {field.name: _of(field.type) for field in described.fields}

    def made(given: dict[str, Any]) -> Any:
        try:
            return struct(**given)
        except fields.Fault:
            reject()

    return st.fixed_dictionaries(members).map(made)


def _of(described: inspect.Type) -> st.SearchStrategy[Any]:
    match described:
        case inspect.Metadata():
            return _of(described.type)
        case inspect.UnionType():
            some = [_of(each) for each in described.types if each != inspect.NoneType()]
            absent = len(some) < len(described.types)
            # Most of what may be absent is absent.
            return st.one_of(*[st.none()] * (2 * absent), *some)
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            return st.integers(described.ge, described.le)
        case inspect.DecimalType():
            return _amounts
        case inspect.StructType():
            return parts(described.cls)
        case inspect.VarTupleType():
            return st.lists(
                _of(described.item_type), min_size=described.min_length or 0, max_size=2
            ).map(tuple)
        case inspect.StrType():
            if described.pattern is not None:
                return st.from_regex(described.pattern)
            least, most = described.min_length or 0, described.max_length or 6
            return st.text(_letters, min_size=least, max_size=min(most, least + 5))
    raise AssertionError(described)


def _class(category: str) -> MessageClass:
    if category == "Event":
        return MessageClass.EVENT
    devices = {"Display", "Print", "Input", "InputUpdate", "Sound", "PIN", "Transmit"}
    is_device = category in devices or category.startswith("CardReader")
    return MessageClass.DEVICE if is_device else MessageClass.SERVICE


def messages(struct: type[msgspec.Struct]) -> st.SearchStrategy[wire.Message]:
    """Any message with a body of this type."""
    (names,) = (names for names, body in wire.KIND.items() if body is struct)
    ids = st.text(_letters, min_size=1, max_size=10)
    headers = st.builds(
        MessageHeader,
        protocol_version=st.none() | st.just("3.1"),
        message_class=st.just(_class(names[0]).value),
        message_category=st.just(names[0]),
        message_type=st.just(names[1]),
        service_id=ids,
        device_id=st.none() | ids,
        sale_id=ids,
        poi_id=ids,
    )
    return st.builds(wire.Message, header=headers, body=parts(struct))
