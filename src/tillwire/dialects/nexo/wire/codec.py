"""The messages of nexo Sale-to-POI 3.1 in JSON (source 003): octets to messages and back.

Sans-IO, for the face and the driver alike: no network, no clock, no engine. One codec reads and
writes both forms, the enveloped (`SaleToPOIRequest` around header and body) and the flat one.
Whatever the octets, only `Unreadable` and `BadBody` come out of `decode`.

What is in canonical form is decoded straight into its structure; `tolerance.py` makes the rest
canonical first. Card numbers are gone before anybody has the message (`cuts.py`). Whether a message
makes sense now (its ids, its moment, its terminal) is the business of whoever reads it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from tillwire.dialects.nexo.wire import devices, loyalty, services, tolerance
from tillwire.dialects.nexo.wire.framing import LARGEST
from tillwire.dialects.nexo.wire.header import MessageHeader, response_header
from tillwire.dialects.nexo.wire.shared import SaleData, TransactionIdentification
from tillwire.dialects.nexo.wire.values import MessageCategory, MessageType
from tillwire.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "KIND",
    "BadBody",
    "Body",
    "Message",
    "MessageHeader",
    "Spelling",
    "Unreadable",
    "body_key",
    "decode",
    "digest",
    "encode",
    "envelope_of",
    "header_of",
    "opened",
    "response_header",
]

Body: TypeAlias = (
    services.AbortRequest
    | services.AdminRequest
    | services.AdminResponse
    | services.BalanceInquiryRequest
    | services.BalanceInquiryResponse
    | services.BatchRequest
    | services.BatchResponse
    | services.CardAcquisitionRequest
    | services.CardAcquisitionResponse
    | devices.CardReaderAPDURequest
    | devices.CardReaderAPDUResponse
    | devices.CardReaderInitRequest
    | devices.CardReaderInitResponse
    | devices.CardReaderPowerOffRequest
    | devices.CardReaderPowerOffResponse
    | services.DiagnosisRequest
    | services.DiagnosisResponse
    | devices.DisplayRequest
    | devices.DisplayResponse
    | services.EnableServiceRequest
    | services.EnableServiceResponse
    | services.EventNotification
    | services.GetTotalsRequest
    | services.GetTotalsResponse
    | devices.InputRequest
    | devices.InputResponse
    | devices.InputUpdate
    | services.LoginRequest
    | services.LoginResponse
    | services.LogoutRequest
    | services.LogoutResponse
    | loyalty.LoyaltyRequest
    | loyalty.LoyaltyResponse
    | services.PaymentRequest
    | services.PaymentResponse
    | devices.PINRequest
    | devices.PINResponse
    | devices.PrintRequest
    | devices.PrintResponse
    | services.ReconciliationRequest
    | services.ReconciliationResponse
    | services.ReversalRequest
    | services.ReversalResponse
    | devices.SoundRequest
    | devices.SoundResponse
    | loyalty.StoredValueRequest
    | loyalty.StoredValueResponse
    | services.TransactionReportRequest
    | services.TransactionReportResponse
    | services.TransactionStatusRequest
    | services.TransactionStatusResponse
    | devices.TransmitRequest
    | devices.TransmitResponse
)
"""Every body that a message may have."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A header and its body."""

    header: MessageHeader
    body: Body
    envelope: bool = True
    """Whether it was read in an envelope; for writing, `encode` is told."""


class Spelling(msgspec.Struct, frozen=True, kw_only=True):
    """Which of two keys a peer knows. Adyen's clients know the second of each alone."""

    masked_pan: Literal["MaskedPAN", "MaskedPan", "both"] = "MaskedPAN"
    vendor_name: Literal["ProviderIdentification", "ManufacturerID", "both"] = (
        "ProviderIdentification"
    )


CANONICAL: Final = Spelling()


class Unreadable(RemoteProtocolError):
    """The message cannot be read."""

    def __init__(self, detail: str, header: MessageHeader | None = None) -> None:
        """`header` is the message's, if that at least could be read."""
        super().__init__(detail)
        self.header = header


class BadBody(RemoteProtocolError):
    """The message's body is not valid."""

    def __init__(
        self,
        header: MessageHeader,
        at: tolerance.Problem,
        *,
        salvage: SaleData | None = None,
        envelope: bool = True,
    ) -> None:
        """`path` is where the member `field` is, from the envelope downwards; `problem` is what
        is wrong with it, `allowed` what would be right; `salvage` what of the sale could be read,
        for the answer to repeat."""
        self.header = header
        self.path, self.field, self.problem, self.allowed = at
        self.salvage = salvage
        self.envelope = envelope
        where = f"At {at.path}, field {at.field}" if at.path else f"Field {at.field}"
        hint = f". Allowed: {at.allowed}" if at.allowed else ""
        super().__init__(f"{where}: {at.problem}{hint}")


# --- kinds ------------------------------------------------------------------------------------


class _Kind(msgspec.Struct, frozen=True, eq=False):
    """All that reading and writing one kind of body needs, made when the module is loaded."""

    struct: type[msgspec.Struct]
    key: str
    decoder: msgspec.json.Decoder[Any]
    plan: tolerance.Plan
    hint: re.Pattern[bytes]
    """What a body holds that must be made canonical though it fits."""


_ALSO: Final = {
    "PaymentRequest": '"OriginalPOITransaction"',
    "TransactionStatusResponse": '"RepeatedMessageResponse"',
}
"""Members that stand elsewhere with some vendors."""


def _names(struct: type[msgspec.Struct]) -> tuple[str, str]:
    """Category and type of a body: `PaymentRequest` is a Payment's Request."""
    name = struct.__name__
    if name == "InputUpdate":
        return name, MessageType.REQUEST.value
    for each in MessageType:
        if name.endswith(each.value):
            return name.removesuffix(each.value), each.value
    raise AssertionError(name)


KIND: Final[dict[tuple[str, str], type[msgspec.Struct]]] = {
    _names(struct): struct for struct in get_args(Body)
}
"""The body of each category and type."""

_KINDS: Final[dict[tuple[str, str], _Kind]] = {
    names: _Kind(
        struct,
        struct.__name__,
        msgspec.json.Decoder(struct),
        tolerance.plan(struct),
        tolerance.hint(_ALSO.get(struct.__name__, "")),
    )
    for names, struct in KIND.items()
}
_INSTEAD: Final = frozenset({*(kind.key for kind in _KINDS.values()), "NexoBlob"})
"""What may stand in the place of a body: another one, or a sealed message (`encryption.py`)."""

_HEADER: Final = _Kind(
    MessageHeader,
    "MessageHeader",
    msgspec.json.Decoder(MessageHeader),
    tolerance.plan(MessageHeader),
    tolerance.hint(),
)
_SALE_DATA: Final = tolerance.plan(SaleData)
_REQUEST: Final = "SaleToPOIRequest"
_RESPONSE: Final = "SaleToPOIResponse"
_BOM: Final = b"\xef\xbb\xbf"

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_anything: Final = msgspec.json.Decoder(float_hook=tolerance.number)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")

_NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def body_key(header: MessageHeader) -> str:
    """The key of the body that belongs to a header: `PaymentRequest`."""
    kind = _KINDS.get((header.message_category, header.message_type))
    return kind.key if kind is not None else header.message_category + header.message_type


# --- reading ----------------------------------------------------------------------------------


def decode(octets: bytes, *, limit: int = LARGEST) -> Message:
    """The message in `octets`, flat or enveloped; `limit` is in octets.

    Raises `Unreadable` when it is no message, or its header is not valid, and `BadBody` when its
    body is not what the header promises.
    """
    members, root = opened(octets, limit=limit)
    header = header_of(members, root)
    kind = _KINDS.get((header.message_category, header.message_type))
    if kind is None:
        known = header.message_category in MessageCategory.__members__.values()
        field = "MessageType" if known else "MessageCategory"
        raise Unreadable(f"At {_below(root, 'MessageHeader')}, field {field}: Unknown", header)
    raw = members.get(kind.key)
    if raw is None:
        other = next((key for key in members if key in _INSTEAD), None)
        problem = "Missing" if other is None else f"Missing, {other} is there instead"
        at = tolerance.Problem(root, kind.key, problem, "an object")
        raise BadBody(header, at, envelope=bool(root))
    return Message(header=header, body=_body(header, kind, raw, root), envelope=bool(root))


def opened(octets: bytes, *, limit: int = LARGEST) -> tuple[dict[str, msgspec.Raw], str]:
    """The members of a message as they are, and its envelope's name, empty if it is flat. Raises
    `Unreadable`."""
    if len(octets) > limit:
        raise Unreadable(f"It has {len(octets)} octets; allowed are {limit}.")
    try:
        outer = _present(_members.decode(octets.removeprefix(_BOM)))
        envelopes = [key for key in (_REQUEST, _RESPONSE) if key in outer]
        if not envelopes or "MessageHeader" in outer:
            return outer, ""
        if len(envelopes) == 2:
            raise Unreadable(f"There are a {_REQUEST} and a {_RESPONSE} in it.")
        return _present(_members.decode(outer[envelopes[0]])), envelopes[0]
    except msgspec.ValidationError:
        raise Unreadable("It is not a JSON object.") from None
    except _NOT_JSON:
        raise Unreadable("It is not JSON.") from None


def _present(members: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    return {key: raw for key, raw in members.items() if bytes(raw) != b"null"}


def header_of(members: dict[str, msgspec.Raw], envelope: str) -> MessageHeader:
    """The header among the members of a message. Raises `Unreadable`."""
    raw = members.get("MessageHeader")
    if raw is None:
        where = f"At {envelope}, field" if envelope else "Field"
        raise Unreadable(f"{where} MessageHeader: Missing")
    try:
        header = _read(_HEADER, raw)
    except msgspec.ValidationError as error:
        path, field, problem, allowed = tolerance.explained(error, _HEADER.plan)
        where = _below(envelope, "MessageHeader", path)
        said = f"At {where}, field {field}" if field else f"At {where}"
        raise Unreadable(f"{said}: {problem}. Allowed: {allowed}") from None
    except _NOT_JSON:
        raise Unreadable("It is not JSON.") from None
    assert isinstance(header, MessageHeader)
    return header


def _body(header: MessageHeader, kind: _Kind, raw: msgspec.Raw, root: str) -> Body:
    try:
        body: Body = _read(kind, raw)
    except msgspec.ValidationError as error:
        path, field, problem, allowed = tolerance.explained(error, kind.plan)
        above = _below(root, kind.key, path) if field else root
        at = tolerance.Problem(above, field or kind.key, problem, allowed)
        raise BadBody(header, at, salvage=_salvage(raw), envelope=bool(root)) from None
    except _NOT_JSON:
        raise Unreadable("It is not JSON.", header) from None
    return body


def _read(kind: _Kind, raw: msgspec.Raw) -> Any:
    """The structure in `raw`: at once if it is canonical, else after it was made so."""
    if kind.hint.search(raw) is None:
        try:
            return kind.decoder.decode(raw)
        except msgspec.ValidationError:
            pass
    try:
        value = _anything.decode(raw)
    except msgspec.ValidationError:
        # A whole number of thousands of digits: in a member of ours it is named, elsewhere ignored.
        return kind.decoder.decode(raw)
    return msgspec.convert(tolerance.canonical(value, kind.plan), kind.struct)


def _salvage(raw: msgspec.Raw) -> SaleData | None:
    """What can be read of the sale in a body that cannot."""
    try:
        body = _anything.decode(raw)
        data = tolerance.canonical(body.get("SaleData"), _SALE_DATA)
    except (*_NOT_JSON, AttributeError):
        return None
    try:
        return msgspec.convert(data, SaleData)
    except msgspec.ValidationError:
        pass
    try:
        named = msgspec.convert(data["SaleTransactionID"], TransactionIdentification)
    except (msgspec.ValidationError, LookupError, TypeError):
        return None
    return SaleData(sale_transaction_id=named)


def _below(*steps: str) -> str:
    return ".".join(step for step in steps if step)


# --- writing ----------------------------------------------------------------------------------


def encode(message: Message, *, flat: bool = False, spelling: Spelling = CANONICAL) -> bytes:
    """A message as JSON: members in the order of their structures, amounts as exact numbers.

    Raises `LocalProtocolError` when header and body do not belong together.
    """
    header = message.header
    kind = _KINDS.get((header.message_category, header.message_type))
    if kind is None or type(message.body) is not kind.struct:
        raise LocalProtocolError(
            f"A {type(message.body).__name__} under the header of a {header.message_category} "
            f"{header.message_type}."
        )
    content = b'{"MessageHeader":%b,"%b":%b}' % (
        _encoder.encode(header),
        kind.key.encode(),
        _encoder.encode(message.body),
    )
    if spelling is not CANONICAL:
        content = _spelled(content, spelling)
    if flat:
        return content
    return b'{"%b":%b}' % (envelope_of(header).encode(), content)


def envelope_of(header: MessageHeader) -> str:
    """The name of the envelope that belongs to a header."""
    return _RESPONSE if header.message_type == MessageType.RESPONSE else _REQUEST


_MASKED_PAN: Final = re.compile(rb'"MaskedPAN":("(?:[^"\\]|\\.)*")')
_VENDOR_NAME: Final = re.compile(rb'"ProviderIdentification":("(?:[^"\\]|\\.)*")')


def _spelled(content: bytes, spelling: Spelling) -> bytes:
    """The same JSON with a peer's keys. Within a text, a quotation mark has a backslash before it
    and none has a colon behind it: only keys are found."""
    for pattern, other, wanted in (
        (_MASKED_PAN, b"MaskedPan", spelling.masked_pan),
        (_VENDOR_NAME, b"ManufacturerID", spelling.vendor_name),
    ):
        if wanted == "both":
            content = pattern.sub(rb'\g<0>,"%b":\1' % other, content)
        elif wanted.encode() == other:
            content = pattern.sub(rb'"%b":\1' % other, content)
    return content


def digest(message: Message) -> str:
    """SHA-256, hexadecimal, over the canonical form of the body. Whoever says the same again in
    another spelling, or under another header, has the same."""
    body = _encoder.encode(message.body)
    return hashlib.sha256(type(message.body).__name__.encode() + b":" + body).hexdigest()
