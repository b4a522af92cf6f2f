"""The messages of the MerchantAPI (source 004), in both roles: bytes to messages and back.

Sans-IO: no network, no clock, no engine. What a till sends is checked here to the last rule that
needs no knowledge of the shop, and refused as `InvalidRequest`; what a server answers is read as
`answer`, and refused as `RemoteProtocolError`, or, as the driver must read the answers of servers
that are not ours, in `told.py`. Unknown members are ignored on both sides.

Amounts are JSON numbers in major units. They become `Decimal` straight from their digits, and
minor units from there: no float is ever in between. Transactions write their members in
snake_case, keys in camelCase; the mixture is the source's.
"""

from __future__ import annotations

import decimal
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tillwire import money, pan
from tillwire.dialects.merchantapi.wire.decoding import decoded
from tillwire.errors import InvalidRequest, RemoteProtocolError
from tillwire.money import CURRENCIES, Money

M = TypeVar("M")

KEY_HEADER: Final = "API-Key"

LARGEST_VALUE: Final = 99_999_999_999
"""Major units of one amount at most; one limit for every currency, so that it can be told."""
LONGEST_REFERENCE: Final = 64
"""Characters of a merchant_order_reference; the source gives no limit, its examples have 13 and
22."""
LONGEST_LABEL: Final = 100
"""Characters of a key's label."""

_CONTROLS = r"\x00-\x1f\x7f-\x9f"
_PRINTABLE = rf"^[^{_CONTROLS}]*[^\s{_CONTROLS}][^{_CONTROLS}]*$"
_PRINTABLE_HERE = _PRINTABLE.removesuffix("$") + r"\Z"  # Python's $ lets a line end pass
TRANSACTION_ID: Final = r"^[0-9]{1,40}$"
"""The source's example has 31 digits. It is text: it would not fit a JSON number."""


class TransactionType(StrEnum):
    """What may be asked for."""

    PURCHASE = "PURCHASE"
    REFUND = "REFUND"


class Status(StrEnum):
    """Where a transaction is."""

    CREATED = "CREATED"
    AUTHORIZED = "AUTHORIZED"
    CLEARED = "CLEARED"
    CANCELLED = "CANCELLED"


class Result(StrEnum):
    """What the cardholder's bank said."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"


TransactionId = Annotated[str, Meta(pattern=TRANSACTION_ID, examples=["1773501362118" + "7" * 18])]
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Amount(msgspec.Struct, frozen=True):
    """An amount of money."""

    value: Annotated[
        Decimal,
        Meta(
            description="Major units (`12.50` is twelve euro fifty) as a JSON number, exact, with "
            "at most the decimals of the currency.",
            examples=[12.5],
            extra_json_schema={"exclusiveMinimum": 0, "maximum": LARGEST_VALUE},
        ),
    ]
    currency: Annotated[
        str,
        Meta(
            description="ISO 4217 letters.",
            examples=["EUR"],
            extra_json_schema={"enum": sorted(CURRENCIES)},
        ),
    ]

    @classmethod
    def of(cls, amount: Money) -> Amount:
        """The amount as it is written, with exactly the currency's decimals."""
        return cls(Decimal(amount.decimal()), amount.currency)

    def money(self) -> Money:
        """The amount in minor units. Raises `InvalidRequest`."""
        money.currency(self.currency, "amount.currency")
        if self.value > LARGEST_VALUE:
            raise InvalidRequest("amount.value", "it is too large", f"up to {LARGEST_VALUE}")
        exact = money.from_decimal(self.value, self.currency, "amount.value")
        return money.positive(exact, "amount.value")


class Reference(msgspec.Struct, frozen=True):
    """The transaction that a refund gives back."""

    id: Annotated[TransactionId, Meta(description="The id of the original purchase.")]


class StoreReference(msgspec.Struct, frozen=True):
    """A store, as transactions and terminals name it."""

    uuid: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
    name: str


class TransactionRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Asks a terminal for a purchase or a refund."""

    type: TransactionType
    merchant_order_reference: Annotated[
        str,
        Meta(
            description="Your name for the sale. Make it unique for each attempt: it is how you "
            "find the transaction when the answer to this request is lost. Never a card number.",
            min_length=1,
            max_length=LONGEST_REFERENCE,
            pattern=_PRINTABLE,
            examples=["till2-000481"],
        ),
    ]
    amount: Amount
    reference: Annotated[
        Reference | None, Meta(description="Of a referenced refund; never of a purchase.")
    ] = None


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A purchase or refund. `store` and what stands between `transaction_datetime` and `result`
    appear once the terminal has processed it."""

    type: TransactionType
    id: TransactionId
    merchant_order_reference: str
    creation_datetime: Instant
    amount: Annotated[Amount, Meta(description="What was asked for.")]
    reference: Reference | UnsetType = UNSET
    transaction_datetime: Instant | UnsetType = UNSET
    approved_amount: Annotated[
        Amount | UnsetType,
        Meta(
            description="What was really approved, if that is not `amount`: a part of it, or more "
            "with a tip."
        ),
    ] = UNSET
    system_trace_audit_number: str | UnsetType = UNSET
    brand: Annotated[
        str | UnsetType, Meta(description="The card's brand, such as `VISA`. An open list.")
    ] = UNSET
    receipt: Annotated[
        str | UnsetType, Meta(description="The cardholder's copy: plain text with `\\n`.")
    ] = UNSET
    merchant_receipt: Annotated[
        str | UnsetType, Meta(description="The merchant's copy: plain text with `\\n`.")
    ] = UNSET
    result: Annotated[
        Result | UnsetType, Meta(description="What the bank said; absent until it has.")
    ] = UNSET
    status: Annotated[
        Status,
        Meta(
            description="Paid: AUTHORIZED or CLEARED with the result APPROVED. Not paid: "
            "CANCELLED. CREATED: still open, ask again."
        ),
    ]
    store: StoreReference | UnsetType = UNSET


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """A shop."""

    uuid: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
    name: str
    address: str = ""
    city: str = ""
    zip_code: str = ""
    country: Annotated[str, Meta(description="ISO 3166, two letters.")] = ""
    time_zone: Annotated[str, Meta(description="IANA name.")] = ""
    currency: Annotated[str, Meta(description="ISO 4217 letters.")] = ""


class Terminal(msgspec.Struct, frozen=True):
    """A terminal: addressed as `manufacturer-model-serial`, in any case."""

    manufacturer: str
    model: str
    serial: str
    store: StoreReference


class DayTotals(msgspec.Struct, frozen=True):
    """The totals of the store's calendar day, as a receipt."""

    receipt: Annotated[str, Meta(description="Plain text with `\\n`.")]


class ValidityRequest(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """When a new key is to be valid. Without `from`: at once; without `until`: for good."""

    from_: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None


class ApiKeyRequest(msgspec.Struct, frozen=True):
    """Asks for a new key."""

    label: Annotated[
        str,
        Meta(
            description="Your name for the key.",
            min_length=1,
            max_length=LONGEST_LABEL,
            pattern=_PRINTABLE,
            examples=["2026, second half"],
        ),
    ]
    validity: ValidityRequest | None = None


class Validity(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """From when (inclusive) until when (exclusive) a key is valid."""

    from_: Instant | UnsetType = UNSET
    until: Instant | UnsetType = UNSET


KeyId = Annotated[
    int,
    Meta(
        description="A whole number of 64 bits.",
        ge=1,
        examples=[767854635839],
        extra_json_schema={"format": "int64"},
    ),
]


class ApiKeyCreated(msgspec.Struct, frozen=True):
    """A new key."""

    id: KeyId
    label: str
    apikey: Annotated[str, Meta(description="The secret. It is shown this once only.")]
    validity: Validity | UnsetType = UNSET


class ApiKey(msgspec.Struct, frozen=True, rename={"last_usage": "lastUsage"}):
    """A key in the overview, without its secret."""

    id: KeyId
    label: str
    last_usage: Annotated[
        Instant | UnsetType, Meta(description="When it was last used, if it was.")
    ] = UNSET
    validity: Validity | UnsetType = UNSET


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A problem document (RFC 9457). Decide on the HTTP status; `detail` is for people."""

    type: Annotated[str, Meta(extra_json_schema={"format": "uri-reference"})] = "about:blank"
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str = ""
    instance: Annotated[
        str,
        Meta(description="The request's path.", extra_json_schema={"format": "uri-reference"}),
    ] = ""


# --- what a till sends ------------------------------------------------------------------------


class _AmountDraft(msgspec.Struct):
    value: msgspec.Raw  # its digits as they came: a Decimal field would take text, too
    currency: str


class _TransactionDraft(msgspec.Struct):
    type: TransactionType
    merchant_order_reference: Annotated[
        str, Meta(min_length=1, max_length=LONGEST_REFERENCE, pattern=_PRINTABLE_HERE)
    ]
    amount: _AmountDraft
    reference: Reference | None = None


_DRAFTS: Final = msgspec.json.Decoder(_TransactionDraft)
_KEY_REQUESTS: Final = msgspec.json.Decoder(ApiKeyRequest)

_ALLOWED: Final = {
    "type": " or ".join(TransactionType),
    "merchant_order_reference": f"1 to {LONGEST_REFERENCE} printable characters",
    "amount": "an object with value and currency",
    "amount.value": "a JSON number in major units, such as 12.50",
    "amount.currency": "three capital letters of ISO 4217",
    "reference": "an object with id",
    "reference.id": "the id of a purchase",
    "label": f"1 to {LONGEST_LABEL} printable characters",
    "validity": "an object with from, until or both",
    "validity.from": "a date and time of RFC 3339 with its offset",
    "validity.until": "a date and time of RFC 3339 with its offset",
    "body": "a JSON object",
}


def transaction_request(body: bytes) -> tuple[TransactionRequest, Money]:
    """What a till asks for, and its amount in minor units. Raises `InvalidRequest`."""
    draft = decoded(_DRAFTS, body, _ALLOWED)
    _refuse_card_number("merchant_order_reference", draft.merchant_order_reference)
    amount = Amount(_number(bytes(draft.amount.value)), draft.amount.currency)
    exact = amount.money()
    if draft.reference is not None and draft.type is not TransactionType.REFUND:
        raise InvalidRequest("reference", f"a {draft.type} has none", "only in a REFUND")
    request = TransactionRequest(
        draft.type, draft.merchant_order_reference, amount, draft.reference
    )
    return request, exact


def _number(digits: bytes) -> Decimal:
    if digits[:1] not in b"-0123456789":
        kind = "text" if digits.startswith(b'"') else "not a number"
        raise InvalidRequest("amount.value", f"it is {kind}", _ALLOWED["amount.value"])
    try:
        return Decimal(digits.decode("ascii"))
    except decimal.InvalidOperation:  # an exponent beyond all bounds
        raise InvalidRequest(
            "amount.value", "it is too large or too small", f"up to {LARGEST_VALUE}"
        ) from None


def api_key_request(body: bytes) -> ApiKeyRequest:
    """The key that is asked for. Raises `InvalidRequest`."""
    request = decoded(_KEY_REQUESTS, body, _ALLOWED)
    _refuse_card_number("label", request.label)
    return request


def _refuse_card_number(name: str, text: str) -> None:
    # Refused, not cut: what a till can't find again under its own name, it may charge twice.
    if pan.is_in(text):
        raise InvalidRequest(name, "it holds a card number", "a name of your own, without any")


# --- what a server answers --------------------------------------------------------------------


def answer(kind: type[M], body: bytes) -> M:
    """A server's answer: `Transaction`, `list[Store]`, `Problem` ... Raises
    `RemoteProtocolError`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"The answer cannot be read: {error}.") from None


# --- both ways --------------------------------------------------------------------------------

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def encode(message: Any) -> bytes:  # Any: any struct of this module, or a list of them
    """The message as JSON; amounts as numbers."""
    return _ENCODER.encode(message)


def milliseconds(moment: datetime) -> str:
    """An aware moment as `creation_datetime` has it: `2026-03-14T15:16:02.118Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def seconds(moment: datetime) -> str:
    """An aware moment as all other members have it: `2026-03-14T15:16:02Z`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:-6] + "Z"


def transactions_path(manufacturer: str, model: str, serial: str) -> str:
    """The path of a terminal's transactions: three parts in one segment, each encoded."""
    parts = (quote(part, safe="") for part in (manufacturer, model, serial))
    return f"/terminals/{'-'.join(parts)}/transactions"
