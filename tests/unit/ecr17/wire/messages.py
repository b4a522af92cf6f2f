"""Vectors, and messages of every kind made by chance from the tables that describe them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from hypothesis import strategies as st

from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire import additional_data, codec, kinds, requests, tickets, vas
from tillwire.dialects.ecr17.wire.fields import Field, Table
from tillwire.dialects.ecr17.wire.layouts import Layout
from tillwire.dialects.ecr17.wire.texts import told

TID: Final = "12345678"
REGISTER: Final = "00000001"


class Vector(msgspec.Struct, frozen=True):
    """One published frame."""

    name: str
    direction: Literal["both", "ecr_to_pos", "pos_to_ecr"]
    kind: Literal["application", "progress", "control"]
    payload: str
    frame: str

    @property
    def octets(self) -> bytes:
        return bytes.fromhex(self.frame)


class _Vectors(msgspec.Struct):
    vectors: list[Vector]


VECTORS: Final = {
    each.name: each
    for each in msgspec.json.decode(
        (Path(__file__).parent / "vectors.json").read_bytes(), type=_Vectors
    ).vectors
}


def payload(name: str) -> bytes:
    """A vector's payload."""
    return VECTORS[name].payload.encode("ascii")


def minute(text: str) -> datetime:
    """A moment on a terminal's clock, which has no zone."""
    return datetime.fromisoformat(text)


TEXT: Final = st.text("ABCXYZ abcxyz.,:-/'?01", max_size=300)
TIDS: Final = st.from_regex(r"[0-9]{8}", fullmatch=True)


def text(longest: int, shortest: int = 0) -> st.SearchStrategy[str]:
    """Text that a field gives back as it was."""
    return (
        TEXT.map(lambda each: each[:longest].strip())
        .filter(lambda each: len(each) >= shortest)
        .filter(lambda each: told(each) == each)
    )


def digits(length: int) -> st.SearchStrategy[str]:
    """A number of exactly so many digits."""
    return st.integers(0, 10**length - 1).map(lambda number: str(number).zfill(length))


def value(field: Field) -> st.SearchStrategy[Any]:
    """What may stand in this field."""
    kind, length = field.kind, field.length
    if kind.reads in (kinds.TEXT.reads, kinds.ASKED_TEXT.reads, kinds.RIGHT_TEXT.reads):
        return text(length)
    if kind is kinds.DIGITS:
        return digits(length)
    if kind is kinds.DIGITS_OR_NOTHING:
        return digits(length).map(lambda number: number if number.strip("0") else "")
    if kind is kinds.NUMBER:
        return st.integers(0, 10**length - 1)
    if kind is kinds.FLAG:
        return st.booleans()
    if kind is kinds.RATE:
        return st.integers(0, 10**length - 1).map(lambda number: Decimal(number).scaleb(-4))
    if kind is kinds.CODE:
        return text(length).map(lambda code: code if code.strip("0") else "")
    if kind is kinds.LAST_FOUR:
        return digits(4).map(lambda number: number if number != "0000" else "")
    if kind is kinds.HOST_TIME:
        hours, minutes = st.integers(0, 23), st.integers(0, 59)
        return st.none() | st.builds(wire.HostTime, st.integers(1, 366), hours, minutes)
    if kind is kinds.LOCAL_TIME:
        times = st.datetimes(minute("2000-01-01"), minute("2099-12-31T23:59"))
        return st.none() | times.map(lambda when: when.replace(second=0, microsecond=0))
    # What is left are lists, whose values know themselves.
    return st.sampled_from([each for each in map(str, range(10)) if _is_in(kind, each)]).map(
        kind.reads
    )


def _is_in(kind: kinds.Kind, each: str) -> bool:
    try:
        kind.reads(each)
    except ValueError:
        return False
    return True


@cache
def of_table(layout: Layout, table: Table) -> st.SearchStrategy[Any]:
    """Messages that this table describes."""
    drawn = {each.name: value(each) for each in table.fields if each.name}
    if "result" in drawn:
        refusals = ["01", "05", "09", "91", "77"]
        is_approval = table is layout.tables[0] or "error_text" not in table.named
        if layout.message is wire.TotalsResult:
            is_approval = "terminal_total" in table.named
        drawn["result"] = st.just("00") if is_approval else st.sampled_from(refusals)
    if "converted" in drawn:
        drawn["converted"] = st.just("rate" in table.named)
    if layout.message is wire.IncrementResult and "error_text" in drawn:
        drawn["error_text"] = text(23).map(lambda each: "K" + each)
    return st.builds(layout.message, tid=TIDS, **drawn)


def of_layout(layout: Layout) -> st.SearchStrategy[Any]:
    """Messages of this kind."""
    if layout.tables:
        return st.one_of([of_table(layout, table) for table in layout.tables])
    return _UNTABLED[layout.message]


_CONTENT: Final = text(30, 1)
_TAGS: Final = st.lists(_CONTENT, min_size=1, max_size=3).flatmap(
    lambda contents: st.permutations([1, 2, 3, 4, 5]).map(
        lambda indices: tuple(map(wire.Tag, contents, indices))
    )
)
_UNTABLED: Final[dict[type[msgspec.Struct], st.SearchStrategy[Any]]] = {
    wire.StatusResult: st.builds(
        wire.StatusResult,
        tid=TIDS,
        terminal_time=value(Field(21, 10, kinds.LOCAL_TIME, "terminal_time")),
        state=st.sampled_from(wire.TerminalState).map(str),
        release=text(64),
    ),
    wire.AdditionalData: st.builds(
        wire.AdditionalData,
        tid=TIDS,
        payment_type=digits(6),
        back_from=digits(2),
        back_tag=text(8),
        tags=_TAGS,
    ),
    wire.HostData: st.builds(
        wire.HostData, tid=TIDS, content=text(additional_data.LONGEST_HOST_DATA)
    ),
    wire.VasRequest: st.builds(
        wire.VasRequest, tid=TIDS, cash_register=digits(8), xml=text(vas.LONGEST_XML)
    ),
    wire.VasBlock: st.builds(
        wire.VasBlock,
        tid=TIDS,
        more=st.booleans(),
        number=st.integers(0, 999),
        octets=st.text("<p k='A'>\n 1234567890", max_size=vas.LONGEST_XML).map(str.encode),
    ),
    wire.ReceiptPart: st.builds(
        wire.ReceiptPart,
        tid=TIDS,
        octets=st.text("ABC 123}\x7f\x1b~|", min_size=1, max_size=tickets.LONGEST_PART).map(
            str.encode
        ),
    ),
}
LAYOUTS: Final = codec.LAYOUTS
IDS: Final = [layout.message.__name__ for layout in LAYOUTS]
ANSWERED: Final[dict[type[msgspec.Struct], wire.Request]] = {
    wire.PaymentResult: wire.PaymentRequest(tid=TID, cash_register=REGISTER, amount=1),
    wire.CardVerificationResult: wire.CardVerificationRequest(tid=TID, cash_register=REGISTER),
    wire.ReversalResult: wire.ReversalRequest(tid=TID, cash_register=REGISTER),
    wire.DownloadResult: wire.DownloadRequest(tid=TID),
}
"""A request that is answered by each of the results whose code is `E`."""


def decode(layout: Layout, octets: bytes) -> Any:
    """A payload, read as what it is."""
    if any(layout is each for each in requests.LAYOUTS):
        return wire.decode_request(octets)
    return wire.decode_result(octets, ANSWERED.get(layout.message))
