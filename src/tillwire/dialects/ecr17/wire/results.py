"""What a terminal answers (Nexi ECR-LAN; `A`, and the answers to `D` and `Q`, of PAX alone).

A result is laid out by its code, its length, what it answers, and whether it is an approval. It may
be shorter than documented: what is missing is unknown (an empty text, None), and the result stands
all the same. Two errata of the documents are set right here: the card type of a pre-authorisation
stands at 71 and not at 48, and `T` tells no total of the host.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

from tillwire.dialects.ecr17.wire.additional_data import (
    HostData,
    read_host_data,
    write_host_data,
)
from tillwire.dialects.ecr17.wire.fields import Field, Table, check_unknowns
from tillwire.dialects.ecr17.wire.kinds import (
    CODE,
    DIGITS,
    DIGITS_OR_NOTHING,
    FLAG,
    HOST_TIME,
    LAST_FOUR,
    LOCAL_TIME,
    NUMBER,
    RATE,
    RESULT,
    TEXT,
    ZEROS,
)
from tillwire.dialects.ecr17.wire.layouts import Layout, tabled
from tillwire.dialects.ecr17.wire.problems import Unfit
from tillwire.dialects.ecr17.wire.texts import printable
from tillwire.dialects.ecr17.wire.tickets import ReceiptPart, read_part, write_part
from tillwire.dialects.ecr17.wire.values import HostTime, ResultCode
from tillwire.dialects.ecr17.wire.vas import VasBlock, read_block, write_block

LONGEST_RELEASE: Final = 256
"""Characters of a software release."""


class StatusResult(msgspec.Struct, frozen=True, kw_only=True):
    """`s`: how the terminal is."""

    tid: str
    """Its own, also when it was asked by `ANY_TID`."""
    terminal_time: datetime | None = None
    """On the terminal's clock, to the minute."""
    state: str = ""
    """See `TerminalState`."""
    release: str = ""
    """Of the software: blocks of eight characters by the documents, anything in the field."""


class _Ended(msgspec.Struct, frozen=True, kw_only=True):
    tid: str
    result: str
    """See `ResultCode`."""

    @property
    def approved(self) -> bool:
        """Whether the command was done. Nothing but `00` says so."""
        return self.result == ResultCode.OK


class _Explained(_Ended, frozen=True, kw_only=True):
    error_text: str = ""
    """Free text, 24 characters; only where it is no approval."""


class _OfCard(_Explained, frozen=True, kw_only=True):
    last_four: str = ""
    """Of the card number."""
    transaction_type: str = ""
    """See `TransactionType`."""
    authorisation_code: str = ""
    host_time: HostTime | None = None
    acquirer: str = ""
    """Eleven characters, one value per scheme and acquirer."""


class _Numbered(_OfCard, frozen=True, kw_only=True):
    stan: str = ""
    """Six digits. With the TID it identifies a transaction."""
    online_id: str = ""
    """Six digits; real terminals may send zeros, which mean that there is none."""


class _OfHost(_Numbered, frozen=True, kw_only=True):
    card_type: str = ""
    """See `CardType`."""
    action_code: str = ""
    """Three digits of the host, to be shown; no list of them is published."""


class PaymentResult(_OfHost, frozen=True, kw_only=True):
    """`E` to `P` (71) and to `X` (92), which knows an action code and an amount."""

    amount: int | None = None
    """Cents that the host received."""


class CardVerificationResult(_OfHost, frozen=True, kw_only=True):
    """`E` to `H` (71); has an action code where it is no approval."""


class ReversalResult(_OfHost, frozen=True, kw_only=True):
    """`E` to `S` and `Q` (84). Has no authorisation code."""


class UnassignedResult(_Numbered, frozen=True, kw_only=True):
    """`E` of which nothing tells what it is about: a payment or a card verification (71), or
    something that was cut. Never evidence of a payment."""

    card_type: str = ""
    """See `CardType`."""


class _Converted(_OfHost, frozen=True, kw_only=True):
    converted: bool | None = None
    """Whether the customer paid in the card's currency (DCC). If not, what follows is unknown."""
    rate: Decimal | None = None
    """At most four decimals."""
    currency: str = ""
    """The card's, three letters."""
    converted_amount: int | None = None
    """In the card's currency, without its decimal point."""
    decimals: int | None = None
    """Of the card's currency."""


class DccPaymentResult(_Converted, frozen=True, kw_only=True):
    """`V` to `P` and `X` (117): a payment that the customer could make in the card's currency."""

    amount: int | None = None
    """Cents in the terminal's currency."""


class CaptureResult(_OfHost, frozen=True, kw_only=True):
    """`c` (74)."""


class DccCaptureResult(_Converted, frozen=True, kw_only=True):
    """`v` to `c` (109)."""


class PreauthorisationResult(_OfHost, frozen=True, kw_only=True):
    """`e` (106)."""

    amount: int | None = None
    """Cents that the host authorised, which may differ from what was asked."""
    preauthorisation_code: str = ""
    """Nine digits, by which it is increased and captured from any terminal of the merchant."""


class IncrementResult(_Numbered, frozen=True, kw_only=True):
    """`i` (75). The documents have no layout for a refusal; with an error text it is written, and
    read, as in the other results."""

    action_code: str = ""


class RefundResult(_OfCard, frozen=True, kw_only=True):
    """`A` (58, PAX)."""


class DownloadResult(_Explained, frozen=True, kw_only=True):
    """`E` to `D` (251, or 59 where it failed; PAX)."""

    stan: str = ""
    online_id: str = ""
    host_time: HostTime | None = None


class TotalsResult(_Ended, frozen=True, kw_only=True):
    """`T` (34). Has no error text."""

    terminal_total: int | None = None
    """Cents since the last closing. How less than nothing is written is not documented."""


class CloseSessionResult(_Explained, frozen=True, kw_only=True):
    """`C` (44). Its error text has 19 characters."""

    terminal_total: int | None = None
    """Cents."""
    host_total: int | None = None
    """Cents."""
    action_code: str = ""


Result: TypeAlias = (
    StatusResult
    | PaymentResult
    | CardVerificationResult
    | ReversalResult
    | UnassignedResult
    | DccPaymentResult
    | CaptureResult
    | DccCaptureResult
    | PreauthorisationResult
    | IncrementResult
    | RefundResult
    | DownloadResult
    | TotalsResult
    | CloseSessionResult
    | ReceiptPart
    | HostData
    | VasBlock
)
"""Whatever a terminal may send."""


_RESULT = Field(11, 2, RESULT, "result")

_APPROVED = (
    _RESULT,
    Field(13, 19, LAST_FOUR, "last_four"),
    Field(32, 3, TEXT, "transaction_type"),
    Field(35, 6, CODE, "authorisation_code"),
    Field(41, 7, HOST_TIME, "host_time"),
)
_REFUSED = (
    _RESULT,
    Field(13, 24, TEXT, "error_text"),
    Field(37, 11, ZEROS),
)
_TRAILER = (
    Field(48, 1, CODE, "card_type"),
    Field(49, 11, TEXT, "acquirer"),
    Field(60, 6, DIGITS_OR_NOTHING, "stan"),
    Field(66, 6, DIGITS_OR_NOTHING, "online_id"),
)

_TO_71 = (
    Table(*_APPROVED, *_TRAILER, total=71),
    Table(*_REFUSED, *_TRAILER, total=71),
)

_WITH_AMOUNT = (
    *_TRAILER,
    Field(72, 3, DIGITS, "action_code"),
    Field(75, 8, NUMBER, "amount"),
    Field(83, 10, ZEROS),
)
_PAYMENT = (
    Table(*_APPROVED, *_WITH_AMOUNT, total=92, short=71),
    Table(*_REFUSED, *_WITH_AMOUNT, total=92, short=71),
)

_CARD_VERIFICATION = (
    _TO_71[0],
    Table(
        _RESULT,
        Field(13, 24, TEXT, "error_text"),
        Field(37, 3, DIGITS, "action_code"),
        Field(40, 8, ZEROS),
        *_TRAILER,
        total=71,
    ),
)

_WITH_ACTION = (
    *_TRAILER,
    Field(72, 3, DIGITS, "action_code"),
    Field(75, 10, ZEROS),
)
_REVERSAL = (
    Table(*_APPROVED, *_WITH_ACTION, total=84, short=71),
    Table(*_REFUSED, *_WITH_ACTION, total=84, short=71),
)

_CAPTURE = (
    Table(*_APPROVED, *_TRAILER, Field(72, 3, DIGITS, "action_code"), total=74, short=71),
    Table(*_REFUSED, *_TRAILER, Field(72, 3, DIGITS, "action_code"), total=74, short=71),
)


def _dcc_payment(block: tuple[Field, ...], *, converted: bool) -> Table:
    return Table(
        *block,
        *_TRAILER,
        Field(72, 3, DIGITS, "action_code"),
        Field(75, 8, NUMBER, "amount"),
        Field(83, 1, FLAG, "converted"),
        *(_conversion(84) if converted else (Field(84, 24, ZEROS),)),
        Field(108, 10, ZEROS),
        total=117,
    )


def _dcc_capture(block: tuple[Field, ...], *, converted: bool) -> Table:
    return Table(
        *block,
        *_TRAILER,
        Field(72, 3, DIGITS, "action_code"),
        Field(75, 1, FLAG, "converted"),
        *(_conversion(76) if converted else (Field(76, 24, ZEROS),)),
        Field(100, 10, ZEROS),
        total=109,
    )


def _conversion(position: int) -> tuple[Field, ...]:
    return (
        Field(position, 8, RATE, "rate"),
        Field(position + 8, 3, TEXT, "currency"),
        Field(position + 11, 12, NUMBER, "converted_amount"),
        Field(position + 23, 1, NUMBER, "decimals"),
    )


_PREAUTHORISATION_TRAILER = (
    Field(71, 1, CODE, "card_type"),
    Field(72, 11, TEXT, "acquirer"),
    Field(83, 6, DIGITS_OR_NOTHING, "stan"),
    Field(89, 6, DIGITS_OR_NOTHING, "online_id"),
    Field(95, 12, ZEROS),
)
_PREAUTHORISATION = (
    Table(
        _RESULT,
        Field(13, 19, LAST_FOUR, "last_four"),
        Field(32, 3, TEXT, "transaction_type"),
        Field(35, 6, CODE, "authorisation_code"),
        Field(41, 8, NUMBER, "amount"),
        Field(49, 9, DIGITS_OR_NOTHING, "preauthorisation_code"),
        Field(58, 3, DIGITS, "action_code"),
        Field(61, 7, HOST_TIME, "host_time"),
        Field(68, 3, ZEROS),
        *_PREAUTHORISATION_TRAILER,
        total=106,
    ),
    Table(
        _RESULT,
        Field(13, 24, TEXT, "error_text"),
        Field(37, 3, DIGITS, "action_code"),
        Field(40, 31, ZEROS),
        *_PREAUTHORISATION_TRAILER,
        total=106,
    ),
)

_INCREMENT = Table(
    _RESULT,
    Field(13, 19, LAST_FOUR, "last_four"),
    Field(32, 3, TEXT, "transaction_type"),
    Field(35, 11, TEXT, "acquirer"),
    Field(46, 6, CODE, "authorisation_code"),
    Field(52, 6, DIGITS_OR_NOTHING, "stan"),
    Field(58, 6, DIGITS_OR_NOTHING, "online_id"),
    Field(64, 7, HOST_TIME, "host_time"),
    Field(71, 3, DIGITS, "action_code"),
    Field(74, 2, ZEROS),
    total=75,
)
_INCREMENT_REFUSED = Table(
    _RESULT,
    Field(13, 24, TEXT, "error_text"),
    Field(37, 15, ZEROS),
    Field(52, 6, DIGITS_OR_NOTHING, "stan"),
    Field(58, 6, DIGITS_OR_NOTHING, "online_id"),
    Field(64, 7, HOST_TIME, "host_time"),
    Field(71, 3, DIGITS, "action_code"),
    Field(74, 2, ZEROS),
    total=75,
)
"""Assumed: what the documents leave open, filled as in the other results."""

_REFUND = (
    Table(
        _RESULT,
        Field(13, 19, LAST_FOUR, "last_four"),
        Field(32, 3, TEXT, "transaction_type"),
        Field(35, 6, CODE, "authorisation_code"),
        Field(41, 11, TEXT, "acquirer"),
        Field(52, 7, HOST_TIME, "host_time"),
        total=58,
    ),
    Table(_RESULT, Field(13, 24, TEXT, "error_text"), Field(37, 22, ZEROS), total=58),
)

_DOWNLOAD = (
    Table(
        _RESULT,
        Field(13, 6, DIGITS_OR_NOTHING, "stan"),
        Field(19, 6, DIGITS_OR_NOTHING, "online_id"),
        Field(25, 7, HOST_TIME, "host_time"),
        Field(32, 220, ZEROS),
        total=251,
    ),
    Table(
        _RESULT,
        Field(13, 6, DIGITS_OR_NOTHING, "stan"),
        Field(19, 6, DIGITS_OR_NOTHING, "online_id"),
        Field(25, 24, TEXT, "error_text"),
        Field(49, 11, ZEROS),
        total=59,
    ),
)

_TOTALS = (
    Table(_RESULT, Field(13, 16, NUMBER, "terminal_total"), Field(29, 6, ZEROS), total=34),
    Table(_RESULT, Field(13, 16, ZEROS), Field(29, 6, ZEROS), total=34),
)

_CLOSE_SESSION = (
    Table(
        _RESULT,
        Field(13, 16, NUMBER, "terminal_total"),
        Field(29, 16, NUMBER, "host_total"),
        total=44,
    ),
    Table(
        _RESULT,
        Field(13, 19, TEXT, "error_text"),
        Field(32, 3, DIGITS, "action_code"),
        Field(35, 10, ZEROS),
        total=44,
    ),
)

_STATUS_HEAD = Table(
    Field(11, 10, ZEROS),
    Field(21, 10, LOCAL_TIME, "terminal_time"),
    Field(31, 1, TEXT, "state"),
    total=31,
)


def is_approval(text: str) -> bool:
    """Whether this payload's result is `00`."""
    return text[10:12] == ResultCode.OK


def _by_result(code: str, message: type[_Ended], tables: tuple[Table, Table]) -> Layout:
    """A result whose first table is an approval's, and the second one that of everything else."""
    check_unknowns(message, tables)
    approved, refused = tables
    return tabled(
        code,
        message,
        tables,
        lambda text: (approved if is_approval(text) else refused).read_what_is_there(code, text),
        lambda value, _: approved if value.approved else refused,
    )


def _by_conversion(
    code: str, message: type[_Converted], flag: int, tables: dict[tuple[bool, bool], Table]
) -> Layout:
    """A result whose tables are told apart by approval and by the flag at this position."""
    check_unknowns(message, tables.values())

    def read(text: str) -> dict[str, Any]:
        table = tables[is_approval(text), text[flag - 1 : flag] == "1"]
        return table.read_what_is_there(code, text)

    return tabled(
        code,
        message,
        list(tables.values()),
        read,
        lambda value, _: tables[value.approved, bool(value.converted)],
    )


check_unknowns(IncrementResult, (_INCREMENT, _INCREMENT_REFUSED))


def _read_increment(text: str) -> dict[str, Any]:
    has_text = not is_approval(text) and any(map(str.isalpha, text[12:31]))
    table = _INCREMENT_REFUSED if has_text else _INCREMENT
    return table.read_what_is_there("i", text)


def _read_status(text: str) -> dict[str, Any]:
    values = _STATUS_HEAD.read_what_is_there("s", text)
    return values | {"release": TEXT.reads(text[_STATUS_HEAD.total :])}


def _write_status(value: StatusResult, _: object) -> str:
    release = value.release
    if len(release) > LONGEST_RELEASE or printable(release) != release:
        allowed = f"up to {LONGEST_RELEASE} characters of ASCII"
        raise Unfit("it is too long, or not printable", allowed, "release")
    return _STATUS_HEAD.write(value) + release


_BOTH = (True, False)

PAYMENT: Final = _by_result("E", PaymentResult, _PAYMENT)
REVERSAL: Final = _by_result("E", ReversalResult, _REVERSAL)
CARD_VERIFICATION: Final = _by_result("E", CardVerificationResult, _CARD_VERIFICATION)
DOWNLOAD: Final = _by_result("E", DownloadResult, _DOWNLOAD)
UNASSIGNED: Final = _by_result("E", UnassignedResult, _TO_71)

DOWNLOAD_FORMS: Final = frozenset({(251, True), (59, False)})
"""Characters of a download's result, and whether it is an approval. No other is taken for one: it
would read a payment's card number as something else."""

BY_LENGTH: Final = {84: REVERSAL, 92: PAYMENT}
"""What an `E` of this length is. 71 is a payment, a card verification, or the short form of any."""

BY_CODE: Final = {
    layout.code: layout
    for layout in (
        Layout(code="s", message=StatusResult, read=_read_status, write=_write_status),
        _by_conversion(
            "V",
            DccPaymentResult,
            83,
            {
                (approved, converted): _dcc_payment(
                    _APPROVED if approved else _REFUSED, converted=converted
                )
                for approved in _BOTH
                for converted in _BOTH
            },
        ),
        _by_result("e", PreauthorisationResult, _PREAUTHORISATION),
        tabled(
            "i",
            IncrementResult,
            [_INCREMENT, _INCREMENT_REFUSED],
            _read_increment,
            lambda value, _: _INCREMENT_REFUSED if value.error_text else _INCREMENT,
        ),
        _by_result("c", CaptureResult, _CAPTURE),
        _by_conversion(
            "v",
            DccCaptureResult,
            75,
            {
                (approved, converted): _dcc_capture(
                    _APPROVED if approved else _REFUSED, converted=converted
                )
                for approved in _BOTH
                for converted in _BOTH
            },
        ),
        _by_result("A", RefundResult, _REFUND),
        _by_result("T", TotalsResult, _TOTALS),
        _by_result("C", CloseSessionResult, _CLOSE_SESSION),
        Layout(code="S", message=ReceiptPart, read=read_part, write=write_part),
        Layout(code="U", message=HostData, read=read_host_data, write=write_host_data),
        Layout(code="K", message=VasBlock, read=read_block, write=write_block),
    )
}
"""Each result's layout but those of `E`."""

LAYOUTS: Final = (
    *BY_CODE.values(),
    PAYMENT,
    REVERSAL,
    CARD_VERIFICATION,
    DOWNLOAD,
    UNASSIGNED,
)
"""Each result's layout."""
