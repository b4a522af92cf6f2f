"""Ten busy tills, and a gateway that is killed under them again and again.

It dies whenever a number of sales, drawn from a seed, have been ordered since its last start; what
exactly is under way then is up to the machine. The seed is printed, and taken from
`TILLWIRE_CRASH_SEED` where that is set.
"""

from __future__ import annotations

import itertools
import os
import random
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.crash.agreement import check_journal, check_sale
from tests.crash.people import GONE, CarefulTill, Sale
from tests.kit.sandbox_process import Card, SandboxProcess, start_sandbox
from tillwire.virtual.memory import read_ledger

pytestmark = pytest.mark.long

TILLS: Final = 10
KILLS: Final = 5
ORDERS: Final = (15, 60)
"""How many sales are ordered between two kills, at least and at most."""
TERMINALS: Final = tuple(f"TILLWIRE-V1-000{number}" for number in range(1, 8))
ENDINGS: Final = (0, 0, 0, 0, 40, 43, 46, 48, 49, 50, 52, 53)
"""47 is not among them: it would block a terminal until a person decides."""
PACE: Final = 100.0
WAITS: Final = 120.0
"""Seconds until something is wrong with the test itself."""


class Street:
    """The gateway of the moment, and everybody who waits for it."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._card: Card | None = None
        self._ordered = 0
        self.closing = False

    def opened(self, card: Card) -> None:
        """A gateway serves."""
        with self._news:
            self._card, self._ordered = card, 0
            self._news.notify_all()

    def gone(self, card: Card) -> None:
        """Somebody saw it die."""
        with self._news:
            if self._card is card:
                self._card = None

    def card(self) -> Card:
        """The gateway that serves now, or soon."""
        with self._news:
            assert self._news.wait_for(lambda: self._card is not None, WAITS)
            assert self._card is not None
            return self._card

    def order(self) -> None:
        """Somebody has ordered a sale."""
        with self._news:
            self._ordered += 1
            self._news.notify_all()

    def wait_for_orders(self, count: int) -> None:
        """Wait until so many sales have been ordered from this gateway."""
        with self._news:
            assert self._news.wait_for(lambda: self._ordered >= count, WAITS)


def trade(street: Street, number: int, seed: int) -> list[Sale]:
    """One till's day: sale after sale, whatever happens to the gateway."""
    choose = random.Random(f"{seed} till {number}")
    terminals = itertools.cycle(choose.sample(TERMINALS, len(TERMINALS)))
    terminal = next(terminals)
    sales: list[Sale] = []
    while not street.closing:
        sale = Sale(f"till{number}-{len(sales)}", 1000 + choose.choice(ENDINGS))
        sales.append(sale)
        while not sale.is_over:
            card = street.card()
            try:
                till = CarefulTill(card, terminal)
                if sale.id is None and not till.order(sale):
                    terminal = next(terminals)  # this one waits for an outcome to be found
                    continue
                street.order()
                till.follow(sale)
            except GONE:
                street.gone(card)
    return sales


def test_killed_under_load_nothing_is_lost_and_nothing_charged_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("TILLWIRE_CRASH_SEED", secrets.randbits(32)))
    print(f"TILLWIRE_CRASH_SEED={seed}")
    choose, street = random.Random(seed), Street()
    with ThreadPoolExecutor(TILLS) as tills:
        sandbox: SandboxProcess | None = None
        try:
            days = [tills.submit(trade, street, number, seed) for number in range(TILLS)]
            for _ in range(KILLS):
                sandbox = start_sandbox(tmp_path, pace=PACE)
                street.opened(sandbox.card)
                street.wait_for_orders(choose.randint(*ORDERS))
                sandbox.kill()
                street.gone(sandbox.card)
            sandbox = start_sandbox(tmp_path, pace=PACE)
            street.closing = True
            street.opened(sandbox.card)
            sales = [sale for day in days for sale in day.result(WAITS)]
            sandbox.stop()
        finally:
            street.closing = True
            if sandbox is not None and sandbox.process.poll() is None:
                sandbox.kill()
    check(tmp_path, sales)


def check(directory: Path, sales: list[Sale]) -> None:
    """Raise `AssertionError` unless ledger, journal and tills agree."""
    moved: dict[str, list[int]] = {}
    for entry in read_ledger(directory / "virtual" / "world.db", None):
        if entry.approved:
            moved.setdefault(entry.reference, []).append(entry.amount)
    assert len(sales) >= KILLS * ORDERS[0]
    assert moved.keys() <= {sale.reference for sale in sales}
    for sale in sales:
        check_sale(sale, moved.get(sale.reference, []))
    check_journal(directory, sales, moved)
