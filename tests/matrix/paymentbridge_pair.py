"""Two gateways of which the near one reaches the far one's terminals by Payment Bridge: the far one
is their cloud, and calls the near one back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.serving import serve_app
from tests.kit.virtual_loop import EPOCH, virtual_loop
from tests.matrix.two_gateways import TwoGateways, decide, the_one
from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Application, Device, Lifecycle, Terminal
from tillwire.core.model import State, Transaction
from tillwire.core.ports import Unit
from tillwire.dialects.paymentbridge.driver import callbacks
from tillwire.dialects.paymentbridge.wire import ids
from tillwire.estate.applications import CLOUD_MESSAGES, new_key_pair
from tillwire.estate.carry_out import carry_out
from tillwire.estate.changes import Change
from tillwire.estate.lifecycle import retire, swap

CLOUD: Final = "paymentbridge"
CALLBACKS: Final = "paymentbridge-callbacks"
FAR_PORTS: Final[Mapping[str, int]] = {CLOUD: 8806}
NEAR_PORTS: Final[Mapping[str, int]] = {CALLBACKS: 8807}
APPLICATION: Final = "urn:aid:5b4e9993-c815-4070-9859-35f48e492b4f"
BUSINESS: Final = ids.business_id("merchant")
FOUND_OUT_AFTER: Final = 600.0
"""Seconds after which all that can be found out has been."""


@functools.cache
def keys() -> tuple[bytes, bytes]:
    """(private, public) of the application: made once, since that takes long."""
    return new_key_pair()


@dataclass(frozen=True)
class Lane:
    """A terminal of the near gateway: one of the far gateway's, by its TID."""

    number: int = 1
    name: str = "bridge"
    polls: bool = False
    """Whether no callback can reach it, so that it asks."""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def id(self) -> str:
        """Its terminal's in the near gateway's estate."""
        return f"{self.name}-{self.number}"

    @property
    def there(self) -> Terminal:
        """The far gateway's terminal."""
        return shop.VIRTUAL[self.number - 1]

    def terminal(self, folder: Path) -> Terminal:
        """As the near estate has it."""
        told = {
            "url": f"http://127.0.0.1:{FAR_PORTS[CLOUD]}",
            "application_id": APPLICATION,
            "private_key_file": str(folder / "application.pem"),
            "business_id": BUSINESS,
            "store_id": shop.STORE,
            "audience": "https://services.poynt.net",
            "callback_url": "" if self.polls else f"http://127.0.0.1:{NEAR_PORTS[CALLBACKS]}",
            **self.settings,
        }
        return Terminal(
            id=self.id,
            organisation_id=shop.SHOP,
            store_id=shop.STORE,
            manufacturer="NEXI",
            model=f"LANE{self.number}",
            serial=self.name,
            tid=self.there.tid,
            driver="paymentbridge",
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
        super().__init__(folder, NEAR_PORTS, FAR_PORTS)

    def build_far(self, home: Path) -> GatewayUnderTest:
        return GatewayUnderTest(home, self.far_ports, {CLOUD: self._told})

    def terminals(self) -> list[Terminal]:
        return [each.terminal(self.folder) for each in self.lanes.values()]

    async def start(self) -> None:
        """Give the application its key, and start both."""
        (self.folder / "application.pem").write_bytes(keys()[0])
        await self.far.start()
        if APPLICATION not in self.far.engine.estate.applications:
            await self.far.engine.change_estate(_furnish)
        await self._start_near()

    # --- what a test does -----------------------------------------------------------------------

    async def change(
        self, decide: Callable[[Estate, Instant], Change], *, in_use: bool = False
    ) -> None:
        """Take a step in the far terminal's life; `in_use`: whether or not it is idle, as happens
        in a cloud that is not ours."""

        def work(unit: Unit) -> None:
            change = decide(unit.estate(), virtual_loop().clock.now())
            if not in_use:
                carry_out(unit, [change])
                return
            for thing in change.writes:
                unit.put(thing)

        await self.far.engine.change_estate(work)

    async def swap(self, former: Lifecycle, *, in_use: bool = False) -> None:
        """Another device takes the place of the one at the first lane's terminal, which is
        `former` from then on."""

        def decide(estate: Estate, now: Instant) -> Change:
            return swap(estate, LANE.there.id, "0001B", now, former=former)

        await self.change(decide, in_use=in_use)

    async def retire(self) -> None:
        """The end of the first lane's terminal."""
        await self.change(lambda estate, now: retire(estate, LANE.there.id, now))

    def deafen(self) -> None:
        """Callbacks find nobody any more."""
        virtual_loop().network.strike(NEAR_PORTS[CALLBACKS])

    async def hear_again(self) -> None:
        """They do again."""
        near, port = self.near, NEAR_PORTS[CALLBACKS]
        await near._served[CALLBACKS].close()
        face = callbacks.create(near.engine, near.clock, near.clouds)
        near._served[CALLBACKS] = await serve_app(face, port=port)

    def reference_of(self, here: Transaction) -> str:
        """What the near gateway calls its transaction in the cloud."""
        return ids.transaction_uuid(here.id)

    def there(self, here: Transaction) -> Transaction | None:
        """The far gateway's transaction for one of the near gateway's: one at most."""
        found = [
            each for each in self.far.transactions() if each.reference == self.reference_of(here)
        ]
        return the_one(found)

    async def open(self, lane: Lane = LANE) -> None:
        """The first sale of all, from which on it is known what the device tells."""
        assert (await self.pay(lane, 100)).state is State.APPROVED


def _furnish(unit: Unit) -> None:
    for terminal in shop.VIRTUAL:
        unit.put(Device(terminal.id, 1, terminal.serial, EPOCH, Lifecycle.ACTIVATED, EPOCH))
    unit.put(
        Application(
            id=APPLICATION,
            organisation_id=shop.SHOP,
            name="near",
            public_key=keys()[1].decode(),
            permissions=(CLOUD_MESSAGES,),
            created_at=EPOCH,
        )
    )


async def settled(pair: Pair, order: Transaction | str) -> Transaction:
    """The near gateway's transaction once all that can be found out was, told as it was then. Where
    that is nothing, a person looks into the cloud, and decides."""
    ended = await pair.ended(order, FOUND_OUT_AFTER)
    there = pair.there(ended)
    if ended.state is State.UNKNOWN and (there is None or there.is_final):
        charged = None if there is None else (await pair.far.charges()).get(there.id)
        await decide(pair.near, ended, charged)
    return ended


machine, machine_after, live = Pair.machine, Pair.machine_after, Pair.live
