"""Octets to structures and back, within limits.

`read` is for what a peer tells us: unknown members are ignored, and a member that is not what it
should be is left out, unless money hangs on it (`fields.MUST`). For what a peer asks for, `exact`
leaves nothing out. Whatever the octets, only `RemoteProtocolError` comes out of here, or the error
that the caller names.
"""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple, TypeVar, get_type_hints

import msgspec
from msgspec import inspect

from tillwire.dialects.paymentbridge.wire.fields import unwrapped
from tillwire.errors import RemoteProtocolError

S = TypeVar("S", bound=msgspec.Struct)

LARGEST_ANSWER: Final = 4 * 1024 * 1024
"""Octets of an answer at most: a hundred transactions, or a business with all its stores."""

_BOM: Final = b"\xef\xbb\xbf"
NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises when it is not JSON, or nested without end."""

_decoders: Final[dict[type, msgspec.json.Decoder[Any]]] = {}
_anything: Final = msgspec.json.Decoder()
_encoder: Final = msgspec.json.Encoder()


def read(struct: type[S], octets: bytes, *, limit: int = LARGEST_ANSWER) -> S:
    """The object in `octets`, of `limit` octets at most. Raises `RemoteProtocolError`."""
    if len(octets) > limit:
        raise RemoteProtocolError(f"It has {len(octets)} octets; allowed are {limit}.")
    try:
        return exact(struct, octets)
    except msgspec.ValidationError:
        return _salvaged(struct, octets)
    except NOT_JSON:
        raise RemoteProtocolError("It is not JSON.") from None


def exact(struct: type[S], octets: bytes) -> S:
    """The object in `octets`, every member of which is as it should be. Raises msgspec's errors
    (`ValidationError`, `NOT_JSON`)."""
    decoder = _decoders.get(struct)
    if decoder is None:
        decoder = _decoders[struct] = msgspec.json.Decoder(struct)
    found: S = decoder.decode(octets.removeprefix(_BOM))
    return found


def anything(octets: bytes) -> Any:  # Any: JSON of any shape
    """What is in the octets, whatever it is. Raises `RemoteProtocolError`."""
    try:
        return _anything.decode(octets.removeprefix(_BOM))
    except (msgspec.ValidationError, *NOT_JSON):
        raise RemoteProtocolError("It is not JSON.") from None


def fitted(struct: type[S], loose: Any) -> S:
    """The structure of what was read as anything. Raises `RemoteProtocolError`."""
    if not isinstance(loose, dict):
        raise RemoteProtocolError("It is not a JSON object.")
    try:
        return msgspec.convert(_members(loose, struct), struct)
    except (msgspec.ValidationError, RecursionError) as error:
        raise RemoteProtocolError(f"It does not fit: {error}.") from None


def encode(part: msgspec.Struct | dict[str, Any]) -> bytes:
    """The object in JSON."""
    return _encoder.encode(part)


class _Member(NamedTuple):
    """How one member of a structure is salvaged."""

    key: str
    wanted: Any  # a type, as msgspec.convert takes it
    kind: inspect.Type
    must: bool


def _salvaged(struct: type[S], octets: bytes) -> S:
    return fitted(struct, anything(octets))


@functools.cache
def _plan(struct: type[msgspec.Struct]) -> tuple[_Member, ...]:
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    hints = get_type_hints(struct, include_extras=True)
    members = []
    for field in described.fields:
        kind, extra = unwrapped(field.type)
        members.append(_Member(field.encode_name, hints[field.name], kind, "must" in extra))
    return tuple(members)


def _members(loose: dict[str, Any], struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Of a loose object, the members that fit, and those that must."""
    kept: dict[str, Any] = {}
    for key, wanted, kind, must in _plan(struct):
        value = _shaped(loose.get(key), kind)
        if value is not None and (must or _fits(value, wanted)):
            kept[key] = value
    return kept


def _shaped(value: Any, kind: inspect.Type) -> Any:
    """A value made what it should be, where that is certain."""
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        return _members(value, kind.cls)
    if isinstance(kind, inspect.VarTupleType) and isinstance(value, list):
        item, _ = unwrapped(kind.item_type)
        return [_shaped(each, item) for each in value if each is not None]
    if isinstance(kind, inspect.DictType) and isinstance(value, dict):
        texts = {key: _shaped(each, kind.value_type) for key, each in value.items()}
        return {key: text for key, text in texts.items() if isinstance(text, str)}
    if isinstance(kind, inspect.StrType | inspect.Metadata) and type(value) is int:
        return str(value)
    if isinstance(kind, inspect.BoolType) and value in ("true", "false"):
        return value == "true"
    return value


def _fits(value: Any, wanted: Any) -> bool:
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        return False
    return True
