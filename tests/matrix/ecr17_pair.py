"""Two gateways of which the near one reaches the far one's terminals by ECR17: over lanes, each the
place of one terminal, and a wire that can be meddled with where a test wants that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.matrix.ecr17_wire import Wire
from tests.matrix.two_gateways import TwoGateways
from tillwire.core.errands import Errand, Result
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import State, Transaction, TransactionType

FACES: Final = {1: "ecr17", 2: "ecr17 2"}
"""The far gateway's lanes: that of the first and that of the second virtual terminal."""
PORTS: Final = {1: 8804, 2: 8805}
WIRES: Final = {1: 8904, 2: 8905}
"""Where the wire to a lane is met."""
HURRY: Final[Mapping[str, Any]] = {
    "send_seconds": 12.0,
    "late_ack_seconds": 5.0,
    "result_seconds": 30.0,
    "capped_seconds": 40.0,
}
"""Settings of a driver that gives up early; a slow cardholder is still waited for."""
FOUND_OUT_AFTER: Final = 400.0
"""Seconds after which all that can be found out has been."""

_T = TransactionType


@dataclass(frozen=True)
class Till:
    """A terminal of the near gateway: a cash register at one of the far gateway's lanes."""

    lane: int = 1
    register: str = "00000001"
    wired: bool = False
    """Whether it dials the wire, and not the lane itself."""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def id(self) -> str:
        """Its terminal's in the near gateway's estate."""
        return f"lane-{self.lane}-{self.register}"

    @property
    def there(self) -> str:
        """The id of the far gateway's terminal."""
        return shop.VIRTUAL[self.lane - 1].id

    def terminal(self) -> Terminal:
        """As the estate has it."""
        told = {
            "host": "127.0.0.1",
            "port": (WIRES if self.wired else PORTS)[self.lane],
            "cash_register": self.register,
            **self.settings,
        }
        return Terminal(
            id=self.id,
            organisation_id=shop.SHOP,
            store_id=shop.STORE,
            manufacturer="NEXI",
            model=f"LANE{self.lane}",
            serial=self.register,
            tid=shop.VIRTUAL[self.lane - 1].tid,
            driver="ecr17",
            settings=told,
            lifecycle=Lifecycle.ACTIVATED,
        )


TILL: Final = Till()
WIRED: Final = Till(wired=True)


class Pair(TwoGateways):
    """Both gateways, and the wires between them."""

    def __init__(
        self, folder: Path, tills: Sequence[Till] = (TILL,), told: Mapping[str, Any] | None = None
    ) -> None:
        """On what is in `folder`. `told` is for the far gateway's lanes."""
        self.tills = {each.id: each for each in tills}
        self._told = told or {}
        self.wires = {
            number: Wire(WIRES[number], PORTS[number])
            for number in sorted({each.lane for each in tills if each.wired})
        }
        lanes = sorted({each.lane for each in tills})
        ports = {FACES[number]: PORTS[number] for number in lanes}
        super().__init__(folder, {}, ports, tuple(each.port for each in self.wires.values()))

    def build_far(self, home: Path) -> GatewayUnderTest:
        settings = {
            FACES[number]: {
                "organisation": shop.SHOP,
                "terminal": shop.VIRTUAL[number - 1].name,
                **self._told,
            }
            for number in FACES
        }
        return GatewayUnderTest(home, self.far_ports, settings)

    def terminals(self) -> list[Terminal]:
        return [each.terminal() for each in self.tills.values()]

    async def start(self) -> None:
        """Put the wires up, and start both gateways."""
        for each in self.wires.values():
            await each.start()
        await super().start()

    async def stop(self) -> None:
        """End in good order."""
        await super().stop()
        for each in self.wires.values():
            await each.stop()

    @property
    def wire(self) -> Wire:
        """That of the first lane."""
        return self.wires[1]

    # --- what tills ask for ---------------------------------------------------------------------

    async def open(self, till: Till = TILL) -> None:
        """The first sale of all, from which on the terminal's last STAN is known."""
        assert (await self.follow(till, _T.PURCHASE, 100)).state is State.APPROVED

    async def follow(
        self, till: Till, kind: TransactionType, minor: int, original: Transaction | None = None
    ) -> Transaction:
        """Order it after its original, if it has one, and wait for the end."""
        number = None if original is None else original.id
        order = await self.order(till, minor, kind, original=number)
        return await self.ended(order, FOUND_OUT_AFTER)

    async def before(self, till: Till, kind: TransactionType) -> Transaction | None:
        """What must have been done before this can be."""
        match kind:
            case _T.REVERSAL:
                return await self.follow(till, _T.PURCHASE, 1000)
            case _T.INCREMENT | _T.CAPTURE:
                return await self.follow(till, _T.PREAUTH, 5000)
        return None

    async def errand(self, till: Till, errand: Errand) -> Result:
        """Have the near gateway's terminal run it."""
        return await self.near.engine.perform(till.id, errand)


machine, machine_after, live = Pair.machine, Pair.machine_after, Pair.live
