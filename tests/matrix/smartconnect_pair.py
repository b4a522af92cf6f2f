"""Two gateways of which the near one reaches the far one's terminals by SmartConnect: the far one
is their cloud. The near one's registers are paired by the codes that the far terminals show."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.virtual_loop import virtual_loop
from tests.matrix.two_gateways import TwoGateways, decide, the_one
from tillwire import uuids
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import State, Transaction
from tillwire.core.ports import Reader
from tillwire.dialects.smartconnect.driver import pairing
from tillwire.dialects.smartconnect.driver.settings import DriverSettings
from tillwire.estate import pairings
from tillwire.estate.pairings import Codes, show_code

FACE: Final = "smartconnect"
FAR_PORTS: Final[Mapping[str, int]] = {FACE: 8808}
URL: Final = f"http://127.0.0.1:{FAR_PORTS[FACE]}/POS"
FOUND_OUT_AFTER: Final = 1200.0
"""Seconds after which all that can be found out has been: no token lives that long."""


@dataclass(frozen=True)
class Lane:
    """A terminal of the near gateway: a register at one of the far gateway's terminals."""

    number: int = 1
    register: str = "register"
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def id(self) -> str:
        """Its terminal's in the near gateway's estate."""
        return f"{self.register}-{self.number}"

    @property
    def there(self) -> Terminal:
        """The far gateway's terminal."""
        return shop.VIRTUAL[self.number - 1]

    def terminal(self) -> Terminal:
        """As the near estate has it."""
        told = {
            "url": URL,
            "register_id": self.id,
            "business_name": "Harbour Books",
            "vendor_name": "TillCo",
            "currency": "EUR",
            **self.settings,
        }
        return Terminal(
            id=self.id,
            organisation_id=shop.SHOP,
            store_id=shop.STORE,
            manufacturer="SMARTPAY",
            model=f"LANE{self.number}",
            serial=self.register,
            tid=f"7980000{self.number}",
            driver="smartconnect",
            settings=told,
            lifecycle=Lifecycle.ACTIVATED,
        )


LANE: Final = Lane()


class Pair(TwoGateways):
    """Both gateways."""

    def __init__(
        self,
        folder: Path,
        lanes: Sequence[Lane] = (LANE,),
        told: Mapping[str, Any] | None = None,
    ) -> None:
        """On what is in `folder`. `told` is for the far gateway's face."""
        self.lanes = {each.id: each for each in lanes}
        self._told = dict(told or {})
        super().__init__(folder, {}, FAR_PORTS)

    def build_far(self, home: Path) -> GatewayUnderTest:
        settings = {FACE: {"organisation": shop.SHOP, **self._told}}
        return GatewayUnderTest(home, self.far_ports, settings)

    def terminals(self) -> list[Terminal]:
        return [each.terminal() for each in self.lanes.values()]

    async def start(self) -> None:
        """Start both, and pair the registers, if they are not paired."""
        await super().start()
        if not self.far.engine.estate.registers:
            for each in self.lanes.values():
                await self.pair(each)

    # --- what a test does -----------------------------------------------------------------------

    async def code(self, number: int = 1, seconds: float | None = 120) -> str:
        """Have a terminal of the far gateway show a code."""
        drawn = Codes(self.far.vault).drawn(self.far.clock)
        now, terminal = self.far.clock.now(), shop.VIRTUAL[number - 1].id
        code, _ = await self.far.engine.change_estate(
            lambda unit: show_code(unit, terminal, drawn, now, seconds)
        )
        return code

    async def pair(self, lane: Lane = LANE, code: str = "", at: int = 0) -> None:
        """Pair a register as `tillwire pairings pair` does: by this code, or by the one that its
        terminal, or the one of the number `at`, shows. Raises as `pairing.pair`."""
        terminal = lane.terminal()
        settings = msgspec.convert(terminal.settings, DriverSettings)
        code = code or await self.code(at or lane.number)
        await pairing.pair(self.near.client(), code, settings, terminal.name)

    async def unpair(self, lane: Lane = LANE) -> None:
        """Somebody unpairs it on the terminal."""
        registers = self.far.engine.estate.registers.values()
        (known,) = [each for each in registers if each.register_id == lane.id]
        now = virtual_loop().clock.now()
        await self.far.engine.change_estate(lambda unit: pairings.unpair(unit, known.id, now))

    def paired_with(self, lane: Lane = LANE) -> str | None:
        """The id of the far terminal that a register has."""
        registers = self.far.engine.estate.registers.values()
        return next((each.terminal_id for each in registers if each.register_id == lane.id), None)

    def there(self, here: Transaction) -> Transaction | None:
        """The far gateway's transaction for one of the near gateway's: by the key that its request
        had, whether or not the answer has come."""
        key = hashlib.sha256(uuids.transaction_uuid(here.id).encode()).hexdigest()
        all_there = self.far.transactions()

        def look(reader: Reader) -> list[Transaction]:
            asked = ((each, reader.exchange_of(each.id)) for each in all_there)
            return [each for each, exchange in asked if exchange and exchange.number == key]

        found = self.far.journal.read_now(look)
        return the_one(found)


async def settled(pair: Pair, order: Transaction | str) -> Transaction:
    """The near gateway's transaction once all that can be found out was, told as it was then. Where
    that is nothing, a person looks at the far terminal, and decides."""
    ended = await pair.ended(order, FOUND_OUT_AFTER)
    if ended.state is not State.UNKNOWN:
        return ended
    there = pair.there(ended)
    assert there is None or there.is_final, f"it is known there by now: {there}"
    charged = (await pair.far.charges()).get(there.id) if there else None
    tip = max((charged or 0) - ended.amount.minor, 0)
    await decide(pair.near, ended, charged, tip)
    return ended


machine, machine_after, live = Pair.machine, Pair.machine_after, Pair.live
