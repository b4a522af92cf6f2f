"""A street of ten shops, each with a lane of the near gateway before its terminal: a virtual one,
or one that is an ECR17 terminal again, which is a lane of the far gateway.

A shop's number is that of its lane, its terminal and its tills.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.kit import shop
from tests.kit.gateway import FaceSettings, GatewayUnderTest
from tests.matrix.two_gateways import Plug, TwoGateways
from tillwire.core.estate_model import Terminal
from tillwire.core.ports import Unit

SHOPS: Final = range(10)
NEAR_PORTS: Final = {f"ecr17 {number}": 8800 + number for number in SHOPS}
FAR_PORTS: Final = {f"ecr17 {number}": 8900 + number for number in SHOPS}
VIRTUAL: Final = tuple(
    msgspec.structs.replace(
        shop.VIRTUAL[0],
        id=f"v1-{number}",
        serial=f"9{number:03d}",
        tid=f"3035900{number}",
    )
    for number in SHOPS
)
DRIVERS: Final[Mapping[int, Mapping[str, Any]]] = {
    1: {"receipts": "till"},
    2: {"receipts": "till", "receipt_connection": "own"},
    3: {"tid": VIRTUAL[3].tid},
    4: {"cash_register": "00000000"},
}
"""What the terminals behind some lanes are told, where those are ECR17 again."""


def _remote(number: int) -> Terminal:
    told = {"host": "127.0.0.1", "port": 8900 + number, **DRIVERS.get(number, {})}
    return msgspec.structs.replace(
        VIRTUAL[number], id=f"remote-{number}", model="R1", driver="ecr17", settings=told
    )


REMOTE: Final = tuple(_remote(number) for number in SHOPS)
"""The terminals that are lanes of the far gateway."""


def lanes(terminals: tuple[Terminal, ...]) -> FaceSettings:
    """What the lanes before these terminals are told."""
    return {
        f"ecr17 {number}": {"organisation": shop.SHOP, "terminal": each.name}
        for number, each in enumerate(terminals)
    }


class Street:
    """One gateway, whose lanes are before virtual terminals. Lives as that does."""

    def __init__(self, folder: Path) -> None:
        self.near = self.far = GatewayUnderTest(folder, NEAR_PORTS, lanes(VIRTUAL))

    def terminals(self) -> list[Terminal]:
        """Those at the lanes."""
        return list(VIRTUAL)

    async def start(self) -> None:
        """The first time, with its terminals."""
        await self.near.start()
        await _equip(self.near)

    async def stop(self) -> None:
        """End in good order."""
        await self.near.stop()

    def let_go(self) -> None:
        """Close all files."""
        self.near.let_go()


class LongStreet(TwoGateways):
    """Two gateways: the near one's lanes are before terminals that are lanes of the far one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, NEAR_PORTS, FAR_PORTS)

    def build_far(self, home: Path) -> GatewayUnderTest:
        return GatewayUnderTest(home, FAR_PORTS, lanes(VIRTUAL))

    def build_near(self, home: Path, plug: Plug) -> GatewayUnderTest:
        return GatewayUnderTest(home, NEAR_PORTS, lanes(REMOTE), network=plug)

    def terminals(self) -> list[Terminal]:
        return list(REMOTE)

    async def start(self) -> None:
        """The first time, with their terminals."""
        await super().start()
        await _equip(self.far)


Either = Street | LongStreet


async def _equip(gateway: GatewayUnderTest) -> None:
    """Let it have the virtual terminals."""
    if VIRTUAL[0].id in gateway.engine.estate.terminals:
        return

    def put(unit: Unit) -> None:
        for each in VIRTUAL:
            unit.put(each)

    await gateway.engine.change_estate(put)
