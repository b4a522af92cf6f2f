"""Check characters that look like the begin or the end of a frame, like ACK and like NAK: they are
found by their place alone, in requests and in results, however the octets are packed."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

import pytest

from tests.kit.faults import Faults, Flow
from tests.kit.virtual_loop import virtual_loop
from tests.matrix.ecr17_agreement import check_pair, evidence_of
from tests.matrix.ecr17_pair import Pair, Till, live
from tests.matrix.ecr17_wire import Way
from tillwire.core.model import Evidence, State
from tillwire.dialects.ecr17.wire import (
    Application,
    ExtendedPaymentRequest,
    Lrc,
    application,
    encode,
)

STX, ETX, ACK, NAK = 0x02, 0x03, 0x06, 0x15
CONTROLS: Final = (STX, ETX, ACK, NAK)
MOST_SALES: Final = 200
ONE_BY_ONE: Final = Flow(pieces=1)
WORDS: Final = ("aA", "aA1")
"""What is printed under the receipt: it sets the upper bits, and the cash register the others."""

READINGS: Final = [
    pytest.param(each, marks=() if each is Lrc.STX else pytest.mark.long) for each in Lrc
]
pieces = pytest.mark.parametrize("pieces", [False, True], ids=["whole", "octet by octet"])


def is_request_with(wanted: int, reading: Lrc, register: str, text: str) -> bool:
    """Whether a sale of 10.00 euro has this check character."""
    request = ExtendedPaymentRequest(
        tid="00000000", cash_register=register, amount=1000, receipt_text=text
    )
    return application(encode(request), reading)[-1] == wanted


def request_with(wanted: int, reading: Lrc) -> tuple[str, str]:
    """Cash register and text of such a sale."""
    tried = itertools.product((f"{number:08}" for number in range(1, 20)), WORDS)
    return next(each for each in tried if is_request_with(wanted, reading, *each))


def messages(pair: Pair, way: Way, code: str) -> list[Application]:
    """Those of this code that came by."""
    seen = [each for to, each in pair.wire.seen if to is way]
    return [each for each in seen if isinstance(each, Application) and each.code == code]


def in_pieces(pieces: bool) -> None:
    """Let octets come one by one from now on, or as they were written."""
    flow = ONE_BY_ONE if pieces else Flow()
    virtual_loop().network.faults = lambda *_: Faults(to_server=flow, to_client=flow)


@pieces
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("wanted", CONTROLS, ids="{:02X}".format)
def test_a_request_with_such_a_check_character_is_paid_once(
    disk: Path, wanted: int, reading: Lrc, pieces: bool
) -> None:
    register, text = request_with(wanted, reading)
    told = {"lrc": reading.value, "print_reference": True}
    till = Till(register=register, wired=True, settings=told)

    async def day(pair: Pair) -> None:
        in_pieces(pieces)
        for _ in range(2):
            order = await pair.order(till, 1000, reference=text)
            assert (await pair.ended(order)).state is State.APPROVED
        assert [each.lrc for each in messages(pair, Way.TO_LANE, "X")] == [wanted] * 2
        await check_pair(pair)

    live(disk, day, tills=[till], told={"lrc": reading.value})


@pieces
@pytest.mark.parametrize("receipts", ["terminal", "till"])
@pytest.mark.parametrize(
    ("acquirer", "wanted"), [("A", {STX, ETX, ACK}), ("A1", {NAK})], ids=["02 03 06", "15"]
)
def test_a_result_with_such_a_check_character_is_heard(
    disk: Path, acquirer: str, wanted: set[int], receipts: str, pieces: bool
) -> None:
    """The acquirer's id sets the character's upper bits; STAN and approval code do the rest."""
    till = Till(wired=True, settings={"receipts": receipts})

    async def day(pair: Pair) -> None:
        in_pieces(pieces)
        missing = set(wanted)
        for _ in range(MOST_SALES):
            paid = await pair.pay(till, 1000)
            assert (paid.state, evidence_of(paid)) == (State.APPROVED, Evidence.ANSWER)
            missing -= {each.lrc for each in messages(pair, Way.TO_TILL, "E")}
            if not missing:
                break
        assert not missing
        await check_pair(pair)

    live(disk, day, tills=[till], told={"acquirer": acquirer})
