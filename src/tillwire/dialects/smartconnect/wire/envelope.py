"""What a SmartConnect cloud answers to a transaction and to polls (source 002).

The envelope's members are in camelCase, those of `data` in PascalCase, and all values of `data` are
texts. Read tolerantly: numbers become texts, what is of another kind is left out, unknown members
are ignored. A text that is absent is empty.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from tillwire.dialects.smartconnect.wire import cuts
from tillwire.errors import RemoteProtocolError

PENDING: Final = "PENDING"
COMPLETED: Final = "COMPLETED"
LARGEST: Final = 1 << 20
"""Octets of an answer at most."""
LONGEST_TEXT: Final = 16_384
LONGEST_SALE: Final = 131_072
"""Characters of the texts in an answer; longer ones are left out."""

_NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decoder: Final = msgspec.json.Decoder()
_BOM: Final = b"\xef\xbb\xbf"


class Result(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={
        "transaction_result": "TransactionResult",
        "result": "Result",
        "result_text": "ResultText",
        "status": "Status",
        "function": "Function",
        "request_id": "RequestId",
        "reference_id": "ReferenceId",
        "pos_vendor": "PosVendor",
        "pos_register_id": "PosRegisterID",
        "pos_business_name": "PosBusinessName",
        "company": "Company",
        "merchant": "Merchant",
        "amount_total": "AmountTotal",
        "amount_cash": "AmountCash",
        "amount_auth": "AmountAuth",
        "amount_final": "AmountFinal",
        "amount_surcharge": "AmountSurcharge",
        "amount_tip": "AmountTip",
        "transaction_reference": "TransactionReference",
        "auth_id": "AuthId",
        "acquirer_ref": "AcquirerRef",
        "terminal_ref": "TerminalRef",
        "card_pan": "CardPan",
        "card_type": "CardType",
        "account_type": "AccountType",
        "timestamp": "Timestamp",
        "request_timestamp": "RequestTimestamp",
        "response_timestamp": "ResponseTimestamp",
        "device_id": "DeviceID",
        "receipt": "Receipt",
        "sale_data": "SaleData",
        "polling_url": "PollingUrl",
    },
):
    """`data`: what is known of it."""

    transaction_result: str = ""
    result: str = ""
    """Whether the function ran; a decline is `OK`."""
    result_text: str = ""
    status: str = ""
    """Of the terminal, by `Terminal.GetStatus`."""
    function: str = ""
    """The `TransactionType`."""
    request_id: str = ""
    """The transaction's id."""
    reference_id: str = ""
    """By `Journal.GetTransResult`: the id of the transaction that is told of."""
    pos_vendor: str = ""
    pos_register_id: str = ""
    pos_business_name: str = ""
    company: str = ""
    merchant: str = ""
    amount_total: str = ""
    """What was charged, with surcharge and tip."""
    amount_cash: str = ""
    amount_auth: str = ""
    amount_final: str = ""
    amount_surcharge: str = ""
    amount_tip: str = ""
    transaction_reference: str = ""
    auth_id: str = ""
    acquirer_ref: str = ""
    terminal_ref: str = ""
    card_pan: str = ""
    """Four dots and the last four digits."""
    card_type: str = ""
    account_type: str = ""
    timestamp: str = ""
    """14 digits, the terminal's local time."""
    request_timestamp: str = ""
    response_timestamp: str = ""
    """18 digits, UTC."""
    device_id: str = ""
    receipt: str = ""
    """Lines of 30 columns, for paper as they are."""
    sale_data: str = ""
    polling_url: str = ""
    """Holds a token: it is never logged."""

    prose: ClassVar[frozenset[str]] = frozenset({"receipt", "result_text"})
    """What a terminal writes for people. The other members are names, moments and words: one in
    ten numbers of that length would pass for a card's."""

    def __post_init__(self) -> None:
        """Cut card numbers out of all texts."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value and (kept := _cut(name, value)) != value:
                msgspec.structs.force_setattr(self, name, kept)


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """An answer of the cloud's."""

    transaction_id: str = ""
    transaction_time_stamp: str = ""
    """18 digits, UTC."""
    merchant_id: str = ""
    device_id: str = ""
    transaction_status: str
    """`PENDING` or `COMPLETED`."""
    data: Result | None = None
    merchant_access_token: str = ""
    """The token of the polling URL: it is never logged."""

    def __post_init__(self) -> None:
        """Cut card numbers out of all texts."""
        for name in ("transaction_id", "merchant_id", "device_id", "merchant_access_token"):
            value = getattr(self, name)
            if value and (kept := cuts.sold(value)) != value:
                msgspec.structs.force_setattr(self, name, kept)


def read(octets: bytes) -> Envelope:
    """The answer in `octets`, PENDING or COMPLETED. Raises `RemoteProtocolError`."""
    if len(octets) > LARGEST:
        raise RemoteProtocolError(f"It has {len(octets)} octets; allowed are {LARGEST}.")
    try:
        loose = _decoder.decode(octets.removeprefix(_BOM))
    except _NOT_JSON:
        raise RemoteProtocolError("It is not JSON.") from None
    if not isinstance(loose, dict):
        raise RemoteProtocolError("It is not a JSON object.")
    inner = loose.pop("data", None)
    found = _texts(loose, Envelope)
    status = found.pop("transaction_status", "").strip().upper()
    if status not in (PENDING, COMPLETED):
        raise RemoteProtocolError(f"Its transactionStatus is neither {PENDING} nor {COMPLETED}.")
    return Envelope(
        transaction_status=status,
        data=Result(**_texts(inner, Result)) if isinstance(inner, dict) else None,
        **found,
    )


def write(envelope: Envelope) -> bytes:
    """The answer in JSON."""
    return msgspec.json.encode(envelope)


def write_result(result: Result) -> bytes:
    """`data` alone, to be kept."""
    return msgspec.json.encode(result)


def read_result(octets: bytes) -> Result:
    """What was kept. Raises `RemoteProtocolError`."""
    try:
        return msgspec.json.decode(octets, type=Result)
    except (msgspec.ValidationError, *_NOT_JSON):
        raise RemoteProtocolError("It is no result.") from None


def _texts(loose: dict[str, Any], struct: type[msgspec.Struct]) -> dict[str, str]:
    """The texts of an object by the structure's names."""
    found: dict[str, str] = {}
    for name, key in zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True):
        value = loose.get(key)
        if type(value) in (int, float):
            value = str(value)
        longest = LONGEST_SALE if name == "sale_data" else LONGEST_TEXT
        if isinstance(value, str) and len(value) <= longest:
            found[name] = value
    return found


def _cut(name: str, value: str) -> str:
    if name == "card_pan":
        return cuts.shown(value)
    return cuts.written(value) if name in Result.prose else cuts.sold(value)
