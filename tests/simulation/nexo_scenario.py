"""One random hour of a shop with nexo terminals, from a seed, in which everything goes wrong.

Tills pay, give back and reserve at the near gateway, whose driver reaches the far one in all
bindings; another till speaks nexo to the far one itself, and a terminal fetches there. Meanwhile
connections break, messages come twice or late, gateways die alone or together and time stands
still. A person decides what nobody else can find out. Then an hour's end in which nothing goes
wrong any more, and all must agree.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.kit.faults import clean, seeded
from tests.kit.virtual_loop import VirtualLoop, virtual_loop
from tests.matrix.nexo_agreement import check_pair
from tests.matrix.nexo_doubles import Doubling
from tests.matrix.nexo_pair import (
    DEVICE_PORTS,
    FAR_PORTS,
    FETCHING_POI,
    OTHER_POI,
    POI,
    STREAM,
    Lane,
    Pair,
    machine,
)
from tests.simulation.nexo_till import NexoBook, NexoTill
from tests.simulation.polling import PollingTerminal
from tillwire.core.model import State, Transaction, TransactionType, Verdict
from tillwire.errors import TillwireError
from tillwire.net.http_client import AiohttpClient

LIVES: Final = 2
LIFE: Final = 1800.0
"""Seconds: half an hour."""
SETTLED_AFTER: Final = 400.0
"""Seconds after which everything that can be found out has been, once nothing goes wrong."""
DECIDES_AFTER: Final = 300.0
"""Seconds for which something is UNKNOWN before a person looks into it."""
ENDINGS: Final = (*range(40, 55), *[0] * 15)
LANES: Final = (
    Lane("tcp", 1, POI),
    Lane("http", 2, POI),
    Lane("held", 3, POI),
    Lane("tcp", 4, OTHER_POI),
    Lane("held", 5, FETCHING_POI),
)
"""Three lanes for one terminal, one that shares its terminal with a till at the far gateway, one
for a terminal that fetches."""

_T = TransactionType


class NexoScenario:
    """What lives longer than the gateways: the dice, the till's book, the fetching terminal."""

    def __init__(self, disk: Path, seed: int) -> None:
        self._dice = random.Random(seed)
        self._polling = PollingTerminal(random.Random(seed + 1))
        self._book = NexoBook()
        told = {"login_required": self._dice.random() < 0.3}
        self._machine = machine(disk, seed, lanes=LANES, more_ports=DEVICE_PORTS, told=told)

    def play(self) -> list[Transaction]:
        """All lives, and the check; the near gateway's transactions as they ended."""
        for _ in range(LIVES):
            dice = self._dice
            kill_at = dice.choice((None, None, dice.randrange(200, 20_000)))
            self._machine.live(self._trade, kill_at=kill_at)
            self._machine.wait(dice.choice((0.0, 1.0, 100.0)))
        ended: list[Transaction] = self._machine.live(self._find_out).result
        return ended

    # --- half an hour in which things go wrong ------------------------------------------------

    async def _trade(self, pair: Pair) -> None:
        shop = _Shop(pair, self._dice, self._polling, self._book)
        await shop.trade()

    # --- and what comes of it -------------------------------------------------------------------

    async def _find_out(self, pair: Pair) -> list[Transaction]:
        client = AiohttpClient()
        fetching = asyncio.create_task(self._polling.work(client, _device_url()))
        till = NexoTill(FAR_PORTS[STREAM], OTHER_POI, self._book)
        await asyncio.gather(till.settle(SETTLED_AFTER), asyncio.sleep(SETTLED_AFTER))
        fetching.cancel()
        await client.close()
        await check_pair(pair, beside=self._polling.charged)
        self._book.check(pair.far.transactions(), await pair.far.charges())
        return pair.near.transactions()


class _Shop:
    """Half an hour of trade in one life of the machine."""

    def __init__(
        self, pair: Pair, dice: random.Random, polling: PollingTerminal, book: NexoBook
    ) -> None:
        self._pair = pair
        self._dice = dice
        self._polling = polling
        self._book = book
        self._near_lives = asyncio.Event()
        self._near_lives.set()

    async def trade(self) -> None:
        """All of it at once."""
        client = AiohttpClient()
        works = [
            *(self._till(lane) for lane in LANES),
            self._nexo_till(),
            self._polling.work(client, _device_url()),
            self._trouble(),
            self._person(),
        ]
        tasks = [asyncio.create_task(each) for each in works]
        _, still = await asyncio.wait(tasks, timeout=LIFE)
        for task in still:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await client.close()
        virtual_loop().network.faults = clean
        if not self._near_lives.is_set():
            await self._pair.revive_near()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result

    # --- tills ----------------------------------------------------------------------------------

    async def _till(self, lane: Lane) -> None:
        dice = self._dice
        while True:
            await asyncio.sleep(dice.choice((1.0, 20.0, 60.0, 200.0)))
            await self._near_lives.wait()
            with suppress(TillwireError):  # refused: its terminal is blocked, say
                await self._customer(lane)

    async def _customer(self, lane: Lane) -> None:
        dice, pair = self._dice, self._pair
        minor = dice.randint(5, 500) * 100 + dice.choice(ENDINGS)
        kind = dice.choice((_T.PURCHASE,) * 6 + (_T.PREAUTH, _T.REFUND, _T.CASH_ADVANCE))
        order = await pair.order(lane, minor, kind)
        if dice.random() < 0.15:
            await asyncio.sleep(dice.choice((0.0, 0.2, 3.0, 20.2)))
            await pair.near.engine.abort(order.id)
        paid = await pair.ended(order, 100)
        if paid.state is State.APPROVED and dice.random() < 0.5:
            await self._follow(lane, paid)

    async def _follow(self, lane: Lane, paid: Transaction) -> None:
        dice, pair = self._dice, self._pair
        amount = dice.choice((paid.approved_amount, paid.approved_amount // 2 or 1))
        if paid.type is not _T.PREAUTH:
            kind = _T.REVERSAL if paid.type is _T.REFUND else dice.choice((_T.REFUND, _T.REVERSAL))
            await pair.pay(lane, amount, kind, original=paid.id)
            return
        more = dice.choice((500, -100, 0))
        if more:
            await pair.pay(lane, more, _T.INCREMENT, original=paid.id)
        await pair.pay(lane, amount, dice.choice((_T.CAPTURE, _T.REVERSAL)), original=paid.id)

    async def _nexo_till(self) -> None:
        dice = self._dice
        till = NexoTill(FAR_PORTS[STREAM], OTHER_POI, self._book)
        while True:
            await asyncio.sleep(dice.choice((5.0, 60.0, 200.0)))
            await till.pay(dice.randint(5, 500) * 100 + dice.choice(ENDINGS))

    # --- what goes wrong ------------------------------------------------------------------------

    async def _trouble(self) -> None:
        dice, pair = self._dice, self._pair
        while True:
            await asyncio.sleep(dice.choice((10.0, 60.0, 150.0)))
            match dice.choice(("faults", "faults", "clean", "far", "near", "both", "pause")):
                case "faults":
                    risk = dice.choice((0.1, 0.4, 0.9))
                    virtual_loop().network.faults = seeded(dice, risk=risk)
                    pair.plug.network = Doubling.seeded(dice, risk=risk / 4)
                case "clean":
                    virtual_loop().network.faults = clean
                case "far":
                    pair.kill_far()
                    await asyncio.sleep(dice.choice((0.0, 3.0, 40.0)))
                    await pair.revive_far()
                case "near":
                    await self._near_dies(dice.choice((0.0, 3.0, 40.0)))
                case "both":
                    pair.kill_far()
                    await self._near_dies(dice.choice((0.0, 3.0)))
                    await pair.revive_far()
                case _:
                    _stand_still(virtual_loop(), dice.choice((3.0, 11.0, 200.0)))

    async def _near_dies(self, seconds: float) -> None:
        self._near_lives.clear()
        self._pair.kill_near()
        await asyncio.sleep(seconds)
        await self._pair.revive_near()
        self._near_lives.set()

    # --- who decides ----------------------------------------------------------------------------

    async def _person(self) -> None:
        """Looks into what has been UNKNOWN for long: at the far gateway with the acquirer's
        statement in hand, at the near one when the terminal does not have it."""
        pair = self._pair
        while True:
            await asyncio.sleep(DECIDES_AFTER)
            await self._near_lives.wait()
            with suppress(TillwireError):
                await self._decide_far()
                for each in pair.near.transactions():
                    if self._is_old(each) and pair.there(each) is None:
                        await pair.near.engine.decide(
                            each.id, Verdict.CANCELLED, person="Ada", reason="It is not there."
                        )

    async def _decide_far(self) -> None:
        charges = await self._pair.far.charges()
        for each in self._pair.far.transactions():
            if self._is_old(each) and each.terminal_id != FETCHING_POI.lower():
                charged = charges.get(each.id)
                await self._pair.far.engine.decide(
                    each.id,
                    Verdict.APPROVED if charged is not None else Verdict.CANCELLED,
                    person="Ada",
                    reason="So says the statement.",
                    approved_amount=charged,
                )

    def _is_old(self, transaction: Transaction) -> bool:
        age = virtual_loop().clock.now() - transaction.created_at
        return transaction.state is State.UNKNOWN and age > DECIDES_AFTER * 1000


def _stand_still(loop: VirtualLoop, seconds: float) -> None:
    loop.jump(seconds)


def _device_url() -> str:
    return f"http://127.0.0.1:{DEVICE_PORTS['device']}"
