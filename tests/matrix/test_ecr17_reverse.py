"""The driver of ECR17 against its face in reverse mode: the lane dials, the driver waits for it.
What is said, and what it means when something is lost, is the same."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kit import shop
from tests.kit.faults import CLEAN, Faults, Flow, Noticed
from tests.kit.gateway import GatewayUnderTest
from tests.kit.virtual_loop import virtual_loop
from tests.matrix.ecr17_agreement import carried_out, check_pair, evidence_of, settled
from tests.matrix.ecr17_pair import HURRY, PORTS, TILL, Pair, Till
from tests.matrix.test_ecr17_endings import ENDS, End
from tests.matrix.two_gateways import Plug, break_next
from tillwire.config import Limits, ListenerSettings
from tillwire.core.entries import Entry
from tillwire.core.errands import AskLast
from tillwire.core.model import Evidence, State, TransactionType
from tillwire.core.ports import Connection, Dialer
from tillwire.dialects.ecr17.driver.settings import awaited_at
from tillwire.dialects.ecr17.face.lane import Lane
from tillwire.dialects.ecr17.face.session import LaneFace
from tillwire.dialects.ecr17.face.settings import Settings
from tillwire.dialects.ecr17.wire import ACK, NAK
from tillwire.dialects.nexo.driver.dialling import RealNetwork
from tillwire.errors import Proof
from tillwire.server.callers import Callers
from tillwire.server.dialled import DialledLane

PORT: Final = PORTS[1]
"""Where the near gateway waits."""
FORGETFUL: Final = Limits(idle_seconds=30)
"""In place of the system's own questions, which a connection in memory does not know."""
REVERSE: Final = {"listens": "till", "peer": "127.0.0.1"}
QUICK, SLOW = 1000, 1049
"""Cents: a cardholder who has paid at once, and one who takes 20 seconds."""
_T = TransactionType

Scenario = Callable[["ReversePair"], Coroutine[Any, Any, None]]


class Waiting(RealNetwork):
    """The near gateway's way to its terminals: each has dialled the port where it is met."""

    def __init__(self, pair: ReversePair) -> None:
        self._pair = pair

    def dialer(self, tls: ssl.SSLContext | None, server_name: str) -> Dialer:
        return self

    async def connect(self, host: str, port: int, *, timeout: float) -> Connection:
        terminals = {each.settings["port"]: each for each in self._pair.terminals()}
        dialer = self._pair.callers.dialer(terminals[port])
        return await dialer.connect(host, port, timeout=timeout)


class ReversePair(Pair):
    """The pair, of which the far gateway's lane dials the near one."""

    callers: Callers
    face: LaneFace
    lane: DialledLane

    def build_far(self, home: Path) -> GatewayUnderTest:
        return GatewayUnderTest(home, {})

    def build_near(self, home: Path, plug: Plug) -> GatewayUnderTest:
        self.callers = Callers(awaited_at)
        plug.network = Waiting(self)
        return super().build_near(home, plug)

    async def start(self) -> None:
        await super().start()
        told = Settings(organisation=shop.SHOP, terminal=shop.VIRTUAL[0].name)
        self.face = LaneFace(Lane(self.far.engine, self.far.clock, told))
        await self.dial()

    async def dial(self) -> None:
        """Let the lane dial, from now on."""
        self.lane = DialledLane(
            ListenerSettings(name="lane", port=PORT, reverse=True, limits=FORGETFUL),
            self.face,
            stop_seconds=1,
            count=lambda *_: None,
            clock=self.far.clock,
        )
        await self.lane.start()

    async def stop(self) -> None:
        await self.lane.stop()
        await self.face.stop()
        await super().stop()
        await self.callers.stop()

    async def _start_near(self) -> None:
        await super()._start_near()
        await self.callers.follow(self.near.engine.estate)

    def kill_near(self) -> None:
        super().kill_near()
        virtual_loop().network.strike(PORT)


def live(disk: Path, scenario: Scenario, **settings: Any) -> None:
    """Play the scenario on a pair whose one terminal dials."""
    till = Till(settings={**REVERSE, **settings})
    ReversePair.live(disk, scenario, tills=(till,))


# --- over a line that works -----------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDS)
def test_every_ending_of_an_amount(disk: Path, ending: int) -> None:
    async def day(pair: ReversePair) -> None:
        order = await pair.order(TILL, 1000 + ending)
        here = await settled(pair, order)
        there = carried_out(pair)[order.id]
        assert End(here.state, there.state) == ENDS[ending], (here, there)
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize("connection", ["same", "own"])
@pytest.mark.parametrize("lrc", ["stx", "discover"])
def test_every_command(disk: Path, lrc: str, connection: str) -> None:
    async def day(pair: ReversePair) -> None:
        for kind in (_T.PURCHASE, _T.REVERSAL, _T.PREAUTH, _T.INCREMENT, _T.CAPTURE):
            done = await pair.follow(TILL, kind, 1000, await pair.before(TILL, kind))
            assert done.state is State.APPROVED, done
            assert done.outcome is not None
            assert done.outcome.receipts is not None
        assert (await pair.near.engine.status(TILL.id)).reachable
        assert isinstance(await pair.errand(TILL, AskLast()), Entry)
        await check_pair(pair)

    live(disk, day, receipts="till", lrc=lrc, receipt_connection=connection)


# --- what is lost ---------------------------------------------------------------------------------


@pytest.mark.parametrize("noticed", list(Noticed))
@pytest.mark.parametrize("octets", [0, 2, 3, 4, 40, 97])
def test_an_answer_that_is_cut_is_found_over_the_next_connection(
    disk: Path, octets: int, noticed: Noticed
) -> None:
    async def day(pair: ReversePair) -> None:
        await pair.open()
        await asyncio.sleep(1)  # the lane has dialled again
        # The connection that waits asks for the last result; the next one pays.
        break_next(PORT, Faults(to_server=Flow(octets, noticed)))
        here = await settled(pair, await pair.order(TILL, QUICK))
        assert here.state is State.APPROVED
        assert evidence_of(here) is Evidence.RECOVERED
        await pair.open()
        await check_pair(pair)

    live(disk, day, **HURRY)


@pytest.mark.parametrize("octets", [0, 1, 90, 171, 172])
def test_a_command_that_is_cut_is_never_sent_again(disk: Path, octets: int) -> None:
    async def day(pair: ReversePair) -> None:
        await pair.open()
        await asyncio.sleep(1)  # the lane has dialled again
        break_next(PORT, Faults(to_client=Flow(octets)))
        here = await settled(pair, await pair.order(TILL, QUICK))
        assert here.state in (State.APPROVED, State.UNKNOWN)
        assert (here.id in carried_out(pair)) == (here.state is State.APPROVED)
        await pair.open()
        await check_pair(pair)

    live(disk, day, **HURRY)


def test_a_terminal_that_dials_again_while_it_works_is_asked_over_that(disk: Path) -> None:
    async def day(pair: ReversePair) -> None:
        await pair.open()
        order = await pair.order(TILL, SLOW)
        await asyncio.sleep(10)
        assert pair.lane.describe().connections[0].doing == "payment"
        assert pair.lane.reset(None) == 1
        here = await settled(pair, order)
        assert here.state is State.APPROVED
        assert evidence_of(here) is Evidence.RECOVERED
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize("silent", [False, True])
def test_a_terminal_that_hangs_up_behind_the_wish_for_receipts_pays_over_the_next_connection(
    disk: Path, silent: bool
) -> None:
    async def day(pair: ReversePair) -> None:
        await pair.open()
        await asyncio.sleep(1)  # the lane has dialled again
        before = len(virtual_loop().network.links)
        # `E` goes over the next one, which ends with its ACK.
        noticed = Noticed.BY_CLIENT if silent else Noticed.BOTH
        break_next(PORT, Faults(to_server=Flow(len(ACK), noticed)))
        here = await settled(pair, await pair.order(TILL, QUICK))
        if silent:  # the driver has heard of nothing, and the lane never heard of the payment
            assert here.state is State.UNKNOWN
            assert here.id not in carried_out(pair)
        else:
            assert here.state is State.APPROVED
            assert evidence_of(here) is Evidence.ANSWER
            assert here.outcome is not None
            assert here.outcome.receipts is not None
            assert len(virtual_loop().network.links) >= before + 2
        await check_pair(pair)

    live(disk, day, receipts="till", **HURRY)


def test_the_near_gateway_dies_while_the_customer_pays(disk: Path) -> None:
    async def day(pair: ReversePair) -> None:
        await pair.open()
        order = await pair.order(TILL, SLOW)
        await asyncio.sleep(10)
        await pair.is_away("near", 30)
        here = await settled(pair, order.id)
        assert here.state is State.APPROVED
        assert evidence_of(here) is Evidence.RECOVERED
        await pair.open()
        await check_pair(pair)

    live(disk, day)


# --- who dials, and who does not ------------------------------------------------------------------


def test_a_terminal_that_does_not_dial_is_charged_nothing(disk: Path) -> None:
    async def day(pair: ReversePair) -> None:
        await pair.lane.stop()
        begun = virtual_loop().time()
        here = await settled(pair, await pair.order(TILL, QUICK))
        assert (here.state, here.proof) == (State.FAILED, Proof.NEVER_SENT)
        assert 10 <= virtual_loop().time() - begun < 25
        assert not (await pair.near.engine.status(TILL.id)).reachable
        await check_pair(pair)

    live(disk, day)


def test_a_stranger_is_never_taken_for_the_terminal(disk: Path) -> None:
    async def day(pair: ReversePair) -> None:
        await asyncio.sleep(60)
        assert pair.lane.reached is False
        here = await settled(pair, await pair.order(TILL, QUICK))
        assert (here.state, here.proof) == (State.FAILED, Proof.NEVER_SENT)
        assert not pair.far.transactions()

    live(disk, day, peer="10.9.9.9")


@pytest.mark.parametrize("left_over", [NAK, ACK, b"\x02"])
@pytest.mark.parametrize("late", [0.0, 0.01])
def test_what_is_left_over_on_a_connection_is_never_an_answer(
    disk: Path, left_over: bytes, late: float
) -> None:
    """It comes while the connection waits, or right behind its taking."""

    async def day(pair: ReversePair) -> None:
        await pair.open()
        await pair.lane.stop()
        order = await pair.order(TILL, QUICK) if late else None
        await asyncio.sleep(1)
        slow = Faults(to_server=Flow(delay=(late, late)))
        virtual_loop().network.faults = lambda port, number: slow if late else CLEAN
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(left_over)
        assert await reader.read(100) == b"", "hung up on, and asked nothing"
        virtual_loop().network.faults = lambda port, number: CLEAN
        await pair.dial()
        here = await settled(pair, order or await pair.order(TILL, QUICK))
        assert (here.state, evidence_of(here)) == (State.APPROVED, Evidence.ANSWER)
        await check_pair(pair)

    live(disk, day)
