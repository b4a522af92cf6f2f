"""What a till asks of a terminal (Nexi ECR-LAN; `A`, `D` and `Q` of PAX terminals alone)."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Final, TypeAlias

import msgspec

from tillwire.dialects.ecr17.wire.additional_data import AdditionalData, read_tags, write_tags
from tillwire.dialects.ecr17.wire.fields import Field, Table
from tillwire.dialects.ecr17.wire.kinds import (
    ASKED_TEXT,
    CODE,
    DIGITS,
    FLAG,
    LOCAL_TIME,
    NUMBER,
    RIGHT_TEXT,
    ZEROS,
    one_of,
)
from tillwire.dialects.ecr17.wire.layouts import Layout, tabled
from tillwire.dialects.ecr17.wire.values import (
    NO_STAN,
    Download,
    PaymentType,
    Reversible,
    Routing,
)
from tillwire.dialects.ecr17.wire.vas import VasRequest, read_request, write_request


class StatusRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`s`: how is the terminal? Moves nothing."""

    tid: str


class _Register(msgspec.Struct, frozen=True, kw_only=True):
    tid: str
    cash_register: str
    """The till's own id, eight digits."""
    additional_data: bool = False
    """Whether `AdditionalData` follows once this was acknowledged."""


class _Asked(_Register, frozen=True, kw_only=True):
    card_present: bool = False
    """Whether the card is in the terminal already."""
    payment_type: PaymentType = PaymentType.AUTOMATIC
    amount: int
    """Cents."""
    receipt_text: str = ""
    """Printed under the receipt, at most 128 characters ("contract code")."""


class PaymentRequest(_Asked, frozen=True, kw_only=True):
    """`P`: a payment, whose result does not tell the amount."""


class ExtendedPaymentRequest(_Asked, frozen=True, kw_only=True):
    """`X`: a payment, whose result tells the amount and the host's action code."""


class PreauthorisationRequest(_Asked, frozen=True, kw_only=True):
    """`p`: an amount is reserved on the card."""


class _Following(_Register, frozen=True, kw_only=True):
    amount: int
    """Cents."""
    receipt_text: str = ""
    """Printed under the receipt, at most 128 characters."""
    preauthorisation_code: str
    """Nine digits, from the result of the pre-authorisation."""


class IncrementRequest(_Following, frozen=True, kw_only=True):
    """`i`: `amount` is reserved in addition."""


class CaptureRequest(_Following, frozen=True, kw_only=True):
    """`c`: a pre-authorisation is closed with `amount`, which is charged."""


class ReversalRequest(_Register, frozen=True, kw_only=True):
    """`S`: the terminal's last transaction is undone, with its whole amount."""

    stan: str = NO_STAN
    """Of the transaction to undo; it must be the last one's. `NO_STAN`: not checked."""
    card_rule: str = "0"
    """`0`: the same card has to be presented. PAX documents `1` and `2`, and does not keep to
    them."""


class CloseSessionRequest(_Register, frozen=True, kw_only=True):
    """`C`: totals of terminal and host are compared, and begin anew."""


class TotalsRequest(_Register, frozen=True, kw_only=True):
    """`T`: what has the terminal taken since the last closing?"""


class LastResultRequest(_Register, frozen=True, kw_only=True):
    """`G`: the last result that the terminal has saved, once more; `additional_data` asks for the
    host's data, too."""


class ReceiptRoutingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`E`: where the next procedure's receipt goes. Answered with ACK alone."""

    tid: str
    routing: Routing


class ReprintRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`R`: the last receipt, once more. Answered with ACK, and with receipt parts if `on_ecr`."""

    tid: str
    on_ecr: bool = False
    service: bool = False
    """Whether the last service receipt is meant, and not the last financial one."""


class CardVerificationRequest(_Register, frozen=True, kw_only=True):
    """`H`: is the card good? Moves nothing."""

    payment_type: PaymentType = PaymentType.AUTOMATIC


class RefundRequest(_Register, frozen=True, kw_only=True):
    """`A`: money goes back to a card (PAX)."""

    amount: int
    """Cents."""


class DownloadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`D`: the terminal loads its parameters (PAX)."""

    tid: str
    download: Download = Download.MANUAL


class RetroactiveReversalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`Q`: an older transaction is undone. The terminal checks none of this (PAX)."""

    tid: str
    cash_register: str
    reverses: Reversible = Reversible.PURCHASE
    stan: str
    card: str
    """`C` and the last four digits of an international card, or the five digits of the bank (ABI)
    of a Bancomat card."""
    acquirer: str
    amount: int
    """Cents."""
    authorisation_code: str = ""
    original_time: datetime | None = None
    """On the terminal's clock, to the minute. The order of day, month and year is assumed."""


Request: TypeAlias = (
    StatusRequest
    | PaymentRequest
    | ExtendedPaymentRequest
    | PreauthorisationRequest
    | IncrementRequest
    | CaptureRequest
    | ReversalRequest
    | CloseSessionRequest
    | TotalsRequest
    | LastResultRequest
    | ReceiptRoutingRequest
    | ReprintRequest
    | CardVerificationRequest
    | AdditionalData
    | VasRequest
    | RefundRequest
    | DownloadRequest
    | RetroactiveReversalRequest
)
"""Whatever a till may send."""


_STATUS = Table(total=10)

_PAYMENT = Table(
    Field(11, 8, DIGITS, "cash_register"),
    Field(19, 1, FLAG, "additional_data"),
    Field(20, 2, ZEROS),
    Field(22, 1, FLAG, "card_present"),
    Field(23, 1, one_of(PaymentType), "payment_type"),
    Field(24, 8, NUMBER, "amount"),
    Field(32, 128, RIGHT_TEXT, "receipt_text"),
    Field(160, 8, ZEROS),
    total=167,
)


def _following(zeros: int) -> Table:
    return Table(
        Field(11, 8, DIGITS, "cash_register"),
        Field(19, 1, FLAG, "additional_data"),
        Field(20, 4, ZEROS),
        Field(24, 8, NUMBER, "amount"),
        Field(32, 128, RIGHT_TEXT, "receipt_text"),
        Field(160, 9, DIGITS, "preauthorisation_code"),
        Field(169, zeros, ZEROS),
        total=168 + zeros,
    )


_FOLLOWING = _following(8)
_FOLLOWING_OF_PAX = _following(12)

_REVERSAL = Table(
    Field(11, 8, DIGITS, "cash_register"),
    Field(19, 6, DIGITS, "stan"),
    Field(25, 1, FLAG, "additional_data"),
    Field(26, 1, DIGITS, "card_rule"),
    total=26,
)

_TOTALS = Table(
    Field(11, 8, DIGITS, "cash_register"),
    Field(19, 1, FLAG, "additional_data"),
    Field(20, 7, ZEROS),
    total=26,
)

_LAST_RESULT = Table(
    Field(11, 8, DIGITS, "cash_register"),
    Field(19, 1, FLAG, "additional_data"),
    Field(20, 3, ZEROS),
    total=22,
)

_RECEIPT_ROUTING = Table(Field(11, 1, one_of(Routing), "routing"), total=11)

_REPRINT = Table(
    Field(11, 1, FLAG, "on_ecr"),
    Field(12, 1, FLAG, "service"),
    Field(13, 10, ZEROS),
    total=22,
)

_CARD_VERIFICATION = Table(
    Field(11, 8, DIGITS, "cash_register"),
    Field(19, 1, FLAG, "additional_data"),
    Field(20, 2, ZEROS),
    Field(22, 1, ZEROS),
    Field(23, 1, one_of(PaymentType), "payment_type"),
    Field(24, 16, ZEROS),
    total=39,
)

_REFUND = Table(
    Field(11, 8, DIGITS, "cash_register"),
    Field(19, 1, FLAG, "additional_data"),
    Field(20, 4, ZEROS),
    Field(24, 8, NUMBER, "amount"),
    Field(32, 8, ZEROS),
    total=39,
)

_DOWNLOAD = Table(
    Field(11, 6, ZEROS),
    Field(17, 1, one_of(Download), "download"),
    Field(18, 1, ZEROS),
    Field(19, 2, ZEROS),
    Field(21, 100, ZEROS),
    total=120,
)

_RETROACTIVE_REVERSAL = Table(
    Field(11, 8, DIGITS, "cash_register"),
    Field(19, 5, ZEROS),
    Field(24, 1, one_of(Reversible), "reverses"),
    Field(25, 6, DIGITS, "stan"),
    Field(31, 5, ASKED_TEXT, "card"),
    Field(36, 11, ASKED_TEXT, "acquirer"),
    Field(47, 8, NUMBER, "amount"),
    Field(55, 6, CODE, "authorisation_code"),
    Field(61, 10, LOCAL_TIME, "original_time"),
    Field(71, 10, ZEROS),
    total=80,
)


def _one(code: str, message: type[msgspec.Struct], table: Table) -> Layout:
    return tabled(code, message, [table], partial(table.read, code), lambda _, __: table)


LAYOUTS: Final = (
    _one("s", StatusRequest, _STATUS),
    _one("P", PaymentRequest, _PAYMENT),
    _one("X", ExtendedPaymentRequest, _PAYMENT),
    _one("p", PreauthorisationRequest, _PAYMENT),
    _one("i", IncrementRequest, _FOLLOWING),
    tabled(
        "c",
        CaptureRequest,
        [_FOLLOWING, _FOLLOWING_OF_PAX],
        partial(_FOLLOWING.read, "c"),
        lambda _, spelling: _FOLLOWING if spelling.capture_zeros == 8 else _FOLLOWING_OF_PAX,
    ),
    _one("S", ReversalRequest, _REVERSAL),
    _one("C", CloseSessionRequest, _TOTALS),
    _one("T", TotalsRequest, _TOTALS),
    _one("G", LastResultRequest, _LAST_RESULT),
    _one("E", ReceiptRoutingRequest, _RECEIPT_ROUTING),
    _one("R", ReprintRequest, _REPRINT),
    _one("H", CardVerificationRequest, _CARD_VERIFICATION),
    _one("A", RefundRequest, _REFUND),
    _one("D", DownloadRequest, _DOWNLOAD),
    _one("Q", RetroactiveReversalRequest, _RETROACTIVE_REVERSAL),
    Layout(code="U", message=AdditionalData, read=read_tags, write=write_tags),
    Layout(code="K", message=VasRequest, read=read_request, write=write_request),
)
"""Each request's layout. The code alone says which request it is."""
