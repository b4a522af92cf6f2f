"""What the estate file says of a terminal that is reached by ECR17, checked as a whole.

`docs/estate.md` has them for people. Where the protocol's sources are silent or differ, the choice
is a setting here and is told in README.md.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tillwire.core.estate_model import Terminal
from tillwire.dialects.ecr17.wire import (
    ANY_TID,
    AdditionalData,
    ByteMap,
    Lrc,
    PaymentType,
    Spelling,
    Tag,
    encode,
)
from tillwire.errors import InvalidRequest
from tillwire.net.callers import Awaited

REFERENCE: Final = "{reference}"
"""In a tag's content: the till's own name for the sale."""
LONGEST_CONTRACT: Final = 18
"""Characters of a contract in a tag (Nexi)."""
PROCEDURE: Final = 30.0
"""Seconds beyond those that are set: for tags, receipts and what is sent again."""

Eight = Annotated[str, Meta(pattern=r"^[0-9]{8}$")]


class Listens(StrEnum):
    """Who opens connections, and who listens for them."""

    TERMINAL = "terminal"
    """It listens, and we dial it."""
    TILL = "till"
    """We listen, and it dials us."""


class LrcRule(StrEnum):
    """Over what the check character is made."""

    STX = Lrc.STX.value
    ETX = Lrc.ETX.value
    PAYLOAD = Lrc.PAYLOAD.value
    DISCOVER = "discover"
    """Each in turn, with a question about the terminal's status, until one is answered."""


class ReceiptPlace(StrEnum):
    """Where receipts go."""

    TERMINAL = "terminal"
    TILL = "till"


class ReceiptConnection(StrEnum):
    """Over which connection a command goes that receipts were asked for with."""

    SAME = "same"
    """The one on which they were asked for; another one if the terminal has closed that."""
    OWN = "own"


class LastStan(StrEnum):
    """Where the last known STAN comes from."""

    TERMINAL = "terminal"
    """The terminal is asked before each command; the journal, if it does not say."""
    JOURNAL = "journal"


class Circuit(StrEnum):
    """Which of a card's circuits pays."""

    AUTOMATIC = "automatic"
    DEBIT = "debit"
    CREDIT = "credit"
    OTHER = "other"


_PAYMENT_TYPES: Final = {
    Circuit.AUTOMATIC: PaymentType.AUTOMATIC,
    Circuit.DEBIT: PaymentType.DEBIT,
    Circuit.CREDIT: PaymentType.CREDIT,
    Circuit.OTHER: PaymentType.OTHER,
}


class TagSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tag that goes to the host with each payment and pre-authorisation."""

    index: Annotated[int, Meta(ge=1, le=5)]
    content: Annotated[str, Meta(min_length=1, max_length=100)]


class DriverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one terminal. Raises `ValueError` for those that do not fit together."""

    # --- where it is, and who speaks ---
    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?$")]
    """Name or IPv4 address of the terminal; where it dials us, the IPv4 address of ours."""
    port: Annotated[int, Meta(ge=1, le=65535)]
    """There is no usual one."""
    listens: Listens = Listens.TERMINAL
    peer: Annotated[str, Meta(max_length=18)] = ""
    """IPv4 address or network from which the terminal dials us: whoever else does is a stranger."""
    tid: Eight = ANY_TID
    """The terminal's id, if it checks it; its results must have it then."""
    cash_register: Eight = "00000001"
    lrc: LrcRule = LrcRule.STX
    shared: bool = False
    """Whether other tills, or people at its keys, use the terminal, too."""

    # --- what is asked of it ---
    receipts: ReceiptPlace = ReceiptPlace.TERMINAL
    receipt_connection: ReceiptConnection = ReceiptConnection.SAME
    payment_type: Circuit = Circuit.AUTOMATIC
    print_reference: bool = False
    """Whether the till's name for the sale is printed under the receipt."""
    refund: bool = False
    """Whether the terminal knows refunds (PAX)."""
    capture_zeros: Literal[8, 12] = 8
    """At the end of a capture: 8 (Nexi) or 12 (PAX)."""
    tags: Annotated[tuple[TagSettings, ...], Meta(max_length=4)] = ()
    byte_map: ByteMap = ByteMap.INDICES
    host_data: bool = False
    """Whether the host's answer to the tags is asked for."""
    last_stan: LastStan = LastStan.TERMINAL

    # --- how long to wait ---
    connect_seconds: Annotated[float, Meta(ge=10, le=60)] = 10.0
    """A terminal on Wi-Fi takes seconds to wake."""
    send_seconds: Annotated[float, Meta(ge=11, le=120)] = 30.0
    """After a command was dispatched, until when it may be written, with all that goes before."""
    ack_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 3.0
    """For the ACK of a question."""
    late_ack_seconds: Annotated[float, Meta(ge=0.5, le=60)] = 15.0
    """For the ACK of a command that moves money, after which it counts as lost."""
    answer_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 5.0
    """For the result of a question."""
    result_seconds: Annotated[float, Meta(ge=5, le=900)] = 120.0
    """For a command's result, anew after each progress text."""
    capped_seconds: Annotated[float, Meta(ge=5, le=3600)] = 180.0
    """For it in all."""
    receipt_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 5.0
    """For the first, and for each further part of a receipt."""
    clock_minutes: Annotated[int, Meta(ge=0, le=60)] = 5
    """By which the host's clock may differ from ours."""

    def __post_init__(self) -> None:
        if self.connect_seconds >= self.send_seconds:
            raise ValueError("connect_seconds: it is not less than send_seconds")
        if self.result_seconds > self.capped_seconds:
            raise ValueError("result_seconds: it is more than capped_seconds")
        self._check_peer()
        if self.tags:
            try:
                encode(self.additional_data("9" * LONGEST_CONTRACT), self.spelling)
            except InvalidRequest as error:
                raise ValueError(error.detail) from None
        elif self.host_data:
            raise ValueError("host_data: it needs tags")

    def _check_peer(self) -> None:
        if self.listens is Listens.TERMINAL:
            if self.peer:
                raise ValueError('peer: it needs listens = "till"')
            return
        try:
            IPv4Address(self.host)
        except ValueError:
            raise ValueError("host: our own IPv4 address, where the terminal dials us") from None
        try:
            IPv4Network(self.peer)
        except ValueError:
            raise ValueError(
                "peer: the IPv4 address or network from which the terminal dials us"
            ) from None

    @property
    def awaited(self) -> Awaited | None:
        """Where the terminal dials us; None where we dial it."""
        if self.listens is Listens.TERMINAL:
            return None
        return Awaited(self.host, self.port, IPv4Network(self.peer))

    @property
    def reading(self) -> Lrc | None:
        """The check character's reading; None where it is to be found out."""
        return None if self.lrc is LrcRule.DISCOVER else Lrc(self.lrc.value)

    @property
    def spelling(self) -> Spelling:
        """Which layouts the terminal wants."""
        return Spelling(capture_zeros=self.capture_zeros, byte_map=self.byte_map)

    @property
    def circuit(self) -> PaymentType:
        """As the wire says it."""
        return _PAYMENT_TYPES[self.payment_type]

    @property
    def outcome_seconds(self) -> float:
        """After its dispatch, until when a command has an outcome, or is lost."""
        return self.send_seconds + self.late_ack_seconds + self.capped_seconds + PROCEDURE

    def additional_data(self, reference: str) -> AdditionalData:
        """The tags, for a sale of this name."""
        return AdditionalData(
            tid=self.tid,
            back_from="62" if self.host_data else "00",
            tags=tuple(
                Tag(each.content.replace(REFERENCE, reference), each.index) for each in self.tags
            ),
        )


def awaited_at(terminal: Terminal) -> Awaited | None:
    """Where the terminal dials us; None where we dial it, and where its settings do not fit, which
    its driver tells."""
    try:
        return msgspec.convert(terminal.settings, DriverSettings).awaited
    except msgspec.ValidationError:
        return None
