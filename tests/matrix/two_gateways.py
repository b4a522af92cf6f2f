"""Two gateways in one shop, on one virtual loop: tills pay at the *near* one, whose terminals are
those of the *far* one. So a driver meets the face of its own protocol; `nexo_pair.py` and the other
pairs say which.

Each has a folder of its own in the pair's, and either can die alone, or both together (`Machine`).
What a dead one still does, it does to a folder that nobody looks at any more, and nobody hears it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeAlias, TypeVar

from tests.kit import shop
from tests.kit.faults import CLEAN, Faults
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine, Moment, copy_durable, found_journal
from tests.kit.virtual_loop import virtual_loop
from tillwire.core.estate_model import Terminal
from tillwire.core.model import (
    Request,
    Terms,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Dialer, Unit
from tillwire.dialects.nexo.driver.dialling import Network, RealNetwork
from tillwire.dialects.nexo.driver.lines import ClosableHttpClient
from tillwire.errors import NotDelivered
from tillwire.money import Money

P = TypeVar("P")
T = TypeVar("T")
Scenario: TypeAlias = Callable[[P], Coroutine[Any, Any, T]]
Who = Literal["near", "far"]


class Plug:
    """The near gateway's way to its terminals, which can be pulled."""

    def __init__(self) -> None:
        self.network: Network = RealNetwork()
        """What is behind it."""

    def pull(self) -> None:
        """Let nothing new out."""
        self.network = Nowhere()

    def dialer(self, tls: ssl.SSLContext | None, server_name: str) -> Dialer:
        """As what is behind it."""
        return self.network.dialer(tls, server_name)

    def http(self, tls: ssl.SSLContext | None, server_name: str) -> ClosableHttpClient:
        """As what is behind it."""
        return self.network.http(tls, server_name)


class Nowhere:
    """The way of the dead."""

    def dialer(self, tls: ssl.SSLContext | None, server_name: str) -> Dialer:
        """There is none."""
        raise NotDelivered("The dead send nothing.")

    def http(self, tls: ssl.SSLContext | None, server_name: str) -> ClosableHttpClient:
        """There is none."""
        raise NotDelivered("The dead send nothing.")


class Place(Protocol):
    """A terminal of the near gateway."""

    @property
    def id(self) -> str:
        """In its estate."""


class TwoGateways:
    """Both gateways. Starts, stops and lets go as one of them does."""

    def __init__(
        self,
        folder: Path,
        near_ports: Mapping[str, int],
        far_ports: Mapping[str, int],
        between: tuple[int, ...] = (),
    ) -> None:
        """On what is in `folder`. The ports are those of the gateways' faces, and those of what
        stands `between` them."""
        self.folder = folder
        self.near_ports = near_ports
        self.far_ports = far_ports
        self._between = between
        self._dead: list[GatewayUnderTest] = []
        self._burials: list[asyncio.Task[None]] = []
        self.far = self.build_far(self._home("far"))
        self._live_near()

    # --- what each protocol has of its own ------------------------------------------------------

    def build_far(self, home: Path) -> GatewayUnderTest:
        """The far gateway on what is in its folder."""
        raise NotImplementedError

    def build_near(self, home: Path, plug: Plug) -> GatewayUnderTest:
        """The near gateway on what is in its folder, whose terminals are behind the plug."""
        return GatewayUnderTest(home, self.near_ports, network=plug)

    def terminals(self) -> list[Terminal]:
        """Those of the near gateway, when the far one listens."""
        raise NotImplementedError

    # --- lives on a disk ------------------------------------------------------------------------

    @classmethod
    def machine(cls, disk: Path, seed: int = 0, **options: Any) -> Any:
        """A `Machine` on which such a pair lives, with these options."""
        return Machine(disk, seed, build=partial(cls, **options))

    @classmethod
    def machine_after(cls, moment: Moment[Any], disk: Path, **options: Any) -> Any:
        """The same, which went down at that moment."""
        return Machine.after(moment, disk, build=partial(cls, **options))

    @classmethod
    def live(cls, disk: Path, scenario: Scenario[Self, T], **options: Any) -> T:
        """Play the scenario on it; what it returns."""
        result: T = cls.machine(disk, **options).live(scenario).result
        return result

    # --- life -----------------------------------------------------------------------------------

    def _home(self, name: str) -> Path:
        """Where the newest life is."""
        homes = sorted(self.folder.glob(f"{name}-*"), key=_life_of)
        if not homes:
            homes = [self.folder / f"{name}-0"]
            homes[0].mkdir()
            found_journal(homes[0])
        return homes[-1]

    def _live_near(self) -> None:
        self.plug = Plug()
        self.near = self.build_near(self._home("near"), self.plug)

    async def start(self) -> None:
        """Start the far one, then the near one."""
        await self.far.start()
        await self._start_near()

    async def _start_near(self) -> None:
        await self.near.start()
        terminals = self.terminals()
        if any(each.id not in self.near.engine.estate.terminals for each in terminals):

            def put(unit: Unit) -> None:
                for each in terminals:
                    unit.put(each)

            await self.near.engine.change_estate(put)

    async def stop(self) -> None:
        """End in good order."""
        await asyncio.gather(*self._burials)
        await self.near.stop()
        await self.far.stop()

    def let_go(self) -> None:
        """Close all files."""
        for each in (self.near, self.far, *self._dead):
            each.let_go()

    # --- death of one alone -------------------------------------------------------------------

    def kill_far(self) -> None:
        """The far gateway dies, with everything that was on its way to it or from it."""
        virtual_loop().network.strike(*self.far_ports.values())
        self._bury(self.far, "far")

    async def revive_far(self) -> None:
        """It lives again, on what was durable when it died."""
        self.far = self.build_far(self._home("far"))
        await self.far.start()

    def kill_near(self) -> None:
        """The near gateway dies. Connections to the far one break, whoever had opened them."""
        self.plug.pull()
        network = virtual_loop().network
        network.strike(*self.near_ports.values())
        network.cut(*self.far_ports.values(), *self._between)
        self._bury(self.near, "near")

    async def revive_near(self) -> None:
        """It lives again, on what was durable when it died."""
        self._live_near()
        await self._start_near()

    def kill(self, who: Who) -> None:
        """One of both dies."""
        (self.kill_far if who == "far" else self.kill_near)()

    async def revive(self, who: Who) -> None:
        """It lives again."""
        await (self.revive_far if who == "far" else self.revive_near)()

    async def is_away(self, who: Who, seconds: float) -> None:
        """One of both dies, and lives again after so many seconds."""
        self.kill(who)
        await asyncio.sleep(seconds)
        await self.revive(who)

    def _bury(self, dead: GatewayUnderTest, name: str) -> None:
        """What it still does, it does where it lived: the next life begins on a copy."""
        grave = self._home(name)
        home = self.folder / f"{name}-{_life_of(grave) + 1}"
        home.mkdir()
        copy_durable(grave, home)
        self._dead.append(dead)
        self._burials.append(asyncio.get_running_loop().create_task(dead.stop()))

    # --- what tills ask for -------------------------------------------------------------------

    async def order(
        self,
        place: Place,
        minor: int,
        kind: TransactionType = TransactionType.PURCHASE,
        *,
        original: str | None = None,
        partial: bool = True,
        reference: str = "bill",
        terms: Terms | None = None,
        when_busy: WhenBusy = WhenBusy.REJECT,
    ) -> Transaction:
        """Have the near gateway accept it. Raises as `Engine.accept` does."""
        request = Request(
            organisation_id=shop.SHOP,
            terminal_id=place.id,
            dialect="test",
            type=kind,
            amount=Money(minor, "EUR"),
            reference=reference,
            original_id=original,
            partial_allowed=partial,
            terms=terms or Terms(),
        )
        return await self.near.engine.accept(request, when_busy)

    async def ended(self, transaction: Transaction | str, seconds: float = 60) -> Transaction:
        """The near gateway's transaction when it is final, or after so many seconds."""
        number = transaction if isinstance(transaction, str) else transaction.id
        return await self.near.engine.wait(number, lambda each: each.is_final, seconds)

    async def pay(self, place: Place, minor: int, *asked: Any, **more: Any) -> Transaction:
        """Order, and wait for the end."""
        return await self.ended(await self.order(place, minor, *asked, **more))


def the_one(found: list[Transaction]) -> Transaction | None:
    """What carries one of the near gateway's transactions: one at most."""
    assert len(found) <= 1, f"two for one: {found}"
    return found[0] if found else None


async def decide(
    gateway: GatewayUnderTest, transaction: Transaction, charged: int | None, tip: int = 0
) -> None:
    """Have a person decide one that is UNKNOWN by what the acquirer has charged for it, in minor
    units; None: nothing."""
    await gateway.engine.decide(
        transaction.id,
        Verdict.CANCELLED if charged is None else Verdict.APPROVED,
        person="Ada",
        reason="So says the statement.",
        approved_amount=charged,
        tip=tip,
    )


def break_next(port: int, *faults: Faults) -> None:
    """Let the next connections to this port have these faults, one each."""
    waiting = list(faults)

    def policy(to: int, number: int) -> Faults:
        return waiting.pop(0) if waiting and to == port else CLEAN

    virtual_loop().network.faults = policy


def _life_of(home: Path) -> int:
    return int(home.name.rpartition("-")[2])
