"""One random scenario from a seed: shops that sell while everything goes wrong.

Several lives of the gateway, each with tills that sell, refund and cancel at virtual terminals and
at one that fetches, over a bad network, killed or stopped at some step. Then a last life in which
nothing goes wrong any more, the tills ask for everything once more, and all must agree.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path
from typing import Final

from tests.kit import shop
from tests.kit.faults import seeded
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine
from tests.kit.messages import FaultyHttpClient, seeded_fates
from tests.kit.virtual_loop import VirtualLoop, virtual_loop
from tests.simulation.agreement import check_agreement
from tests.simulation.polling import PollingTerminal
from tests.simulation.till import FACE, OVER, Book, Till
from tillwire.core.model import State, Transaction

ENDINGS: Final = (*range(40, 55), 0, 0, 0, 0, 1, 99)
"""Endings of amounts; most sales are simply approved."""
LIVES: Final = 3
SETTLED_AFTER: Final = 240.0
"""Seconds after which everything that can be found out has been, once nothing goes wrong."""
TERMINALS: Final = (*shop.VIRTUAL, shop.POLLING)


class RandomScenario:
    """What lives longer than the gateway: tills' books, the polling terminal, the dice."""

    def __init__(self, disk: Path, seed: int) -> None:
        self._dice = random.Random(seed)
        self._machine = Machine(disk, seed)
        self._book = Book()
        self._polling = PollingTerminal(random.Random(seed + 1))

    def play(self) -> list[Transaction]:
        """All lives, and the check; the transactions as they ended."""
        for life in range(LIVES):
            dice = self._dice
            kill_at = dice.choice((None, dice.randrange(1, 80), dice.randrange(80, 2500)))
            stop_at = dice.choice((None, dice.randrange(10, 1500)))
            risk = dice.choice((0.0, 0.1, 0.4))
            prepare = partial(self._prepare, risk, stop_at, dice.choice((7.0, 400.0)))
            self._machine.live(partial(self._sell, life, risk), kill_at=kill_at, prepare=prepare)
            self._machine.wait(dice.choice((0.0, 1.0, 100.0)))
            if dice.random() < 0.1:
                self._polling.forget()
        return self._machine.live(self._find_out).result or []

    def _prepare(self, risk: float, stop_at: int | None, seconds: float, loop: VirtualLoop) -> None:
        if risk:
            loop.network.faults = seeded(loop.random, risk=risk)
        if stop_at is not None:
            loop.at_step(stop_at, lambda: loop.jump(seconds))

    # --- lives in which things go wrong ---------------------------------------------------------

    async def _sell(self, life: int, risk: float, gateway: GatewayUnderTest) -> None:
        http = FaultyHttpClient(
            gateway.client(), seeded_fates(virtual_loop().random, risk=risk / 2)
        )
        working = asyncio.create_task(self._polling.work(gateway.client(), gateway.url("device")))
        selling = []
        for number, terminal in enumerate(self._dice.choices(TERMINALS, k=3)):
            repeats = self._dice.random() < 0.5
            till = Till(http, gateway.url(FACE), self._book, terminal, repeats=repeats)
            selling.append(self._serve(f"{life}-{number}", till))
        await asyncio.gather(*selling)
        await http.settle()
        working.cancel()

    async def _serve(self, name: str, till: Till) -> None:
        """A few customers at one till."""
        dice = self._dice
        for customer in range(dice.randint(1, 3)):
            minor = dice.randint(1, 500) * 100 + dice.choice(ENDINGS)
            sale = await till.pay(f"{name}-{customer}", minor)
            if dice.random() < 0.2:
                await asyncio.sleep(dice.choice((0.0, 0.3, 5.0)))
                await till.cancel(sale)
            await till.follow(sale, dice.choice((2, 30)))
            paid = bool(sale.heard) and sale.heard[-1].result == "APPROVED"
            if paid and dice.random() < 0.5:
                back = dice.choice((sale.minor, sale.minor // 2 + 1, 2 * sale.minor))
                refund = await till.pay(
                    f"{name}-{customer}-back", back, type="REFUND", original=sale.id
                )
                await till.follow(refund, 5)

    # --- the last life ----------------------------------------------------------------------------

    async def _find_out(self, gateway: GatewayUnderTest) -> list[Transaction]:
        working = asyncio.create_task(self._polling.work(gateway.client(), gateway.url("device")))
        http = gateway.client()
        tills = {each.name: Till(http, gateway.url(FACE), self._book, each) for each in TERMINALS}
        for sale in self._book.sales.values():
            till = tills[sale.terminal]
            if sale.id is None and sale.refused is None:
                await till.look(sale)
        await asyncio.gather(
            *(
                tills[sale.terminal].follow(sale, SETTLED_AFTER)
                for sale in self._book.sales.values()
            )
        )
        # Recovery of what no till knows of (a doubled request) may still be going on.
        await asyncio.sleep(SETTLED_AFTER)
        working.cancel()
        await check_agreement(gateway, self._book, self._polling.charged)
        transactions = gateway.transactions()
        self._check_open(transactions)
        return transactions

    def _check_open(self, transactions: list[Transaction]) -> None:
        """What is still open must have a reason, and reads as open."""
        stay_open = {each.id for each in transactions if not each.is_final}
        blocked = set()
        for transaction in transactions:
            if transaction.state is State.UNKNOWN:
                assert self._needs_a_person(transaction), f"not recovered: {transaction}"
                blocked.add(transaction.terminal_id)
        for transaction in transactions:
            if not transaction.is_final and transaction.state is not State.UNKNOWN:
                assert transaction.state is State.ACCEPTED, f"left on its way: {transaction}"
                assert transaction.terminal_id in blocked, f"left behind: {transaction}"
        for sale in self._book.sales.values():
            if sale.id in stay_open:
                assert sale.heard[-1].status not in OVER, "who is not sure says so"

    def _needs_a_person(self, transaction: Transaction) -> bool:
        """Its terminal has lost its memory of it, so nobody else can tell."""
        if transaction.terminal_id == shop.POLLING.id:
            return self._polling.forgets
        return transaction.amount.minor % 100 == 47
