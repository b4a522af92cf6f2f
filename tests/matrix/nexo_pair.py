"""Two gateways in one shop, on one virtual loop: tills pay at the *near* one, whose terminals are
those of the *far* one, reached by nexo in any of its bindings. So the driver meets the face.

Each has a folder of its own in the pair's, and either can die alone, or both together (`Machine`).
What a dead one still does, it does to a folder that nobody looks at any more, and nobody hears it.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.kit import shop
from tests.kit.gateway import NONE, FaceSettings, GatewayUnderTest
from tests.kit.machine import Machine, Moment, copy_durable, found_journal
from tests.kit.virtual_loop import virtual_loop
from tillwire.core.model import (
    Lifecycle,
    Request,
    Terminal,
    Terms,
    Transaction,
    TransactionType,
)
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Dialer, Reader, Unit
from tillwire.dialects.nexo.driver.dialling import Network, RealNetwork
from tillwire.dialects.nexo.driver.lines import ClosableHttpClient
from tillwire.errors import NotDelivered
from tillwire.money import Money

T = TypeVar("T")
Scenario = Callable[["Pair"], Coroutine[Any, Any, T]]

CERTIFICATES: Final = Path(__file__).parents[1] / "kit" / "certificates"
POI: Final = "V1-0001"
OTHER_POI: Final = "V1-0002"
FETCHING_POI: Final = "P1-0001"

FLAT, HELD, SEALED, STREAM = "nexo-http", "nexo-held", "nexo-held sealed", "nexo-tcp"
FAR_PORTS: Final[Mapping[str, int]] = {FLAT: 8801, HELD: 8802, STREAM: 8803, SEALED: 8804}
DEVICE_PORTS: Final[Mapping[str, int]] = {"device": 8702}
NEAR_PORTS: Final[Mapping[str, int]] = {"merchantapi": 8701}

KEY: Final = {"key_identifier": "shop key", "key_version": 3}
PASSPHRASE: Final = "a passphrase of the shop"

WAYS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "tcp": (STREAM, {"binding": "tcp"}),
    "http": (FLAT, {"binding": "http"}),
    "held": (HELD, {"binding": "held", "path": "/", "tls": False}),
    "sealed": (
        SEALED,
        {"binding": "held", "path": "/", "ca_file": str(CERTIFICATES / "ca.pem"), **KEY},
    ),
}
"""How the far gateway's terminals are reached: by which face, with which settings of the driver.
`sealed` is the held binding with TLS and encrypted messages."""
BINDINGS: Final = ("tcp", "http", "held")
"""One way for each binding."""


@dataclass(frozen=True)
class Lane:
    """A terminal of the near gateway: a way to one of the far gateway's, under a SaleID."""

    way: str
    number: int = 1
    poi: str = POI
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def id(self) -> str:
        """Its id in the near gateway's estate."""
        return f"{self.way}-{self.number}-{self.poi}".lower()

    @property
    def sale_id(self) -> str:
        """Under which the driver speaks."""
        return f"{self.way}-{self.number}"

    def terminal(self, folder: Path, far: GatewayUnderTest) -> Terminal:
        """As the estate has it, when the far gateway listens. `folder` is the pair's."""
        face, settings = WAYS[self.way]
        told: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": int(far.url(face).rpartition(":")[2]),
            "poi_id": self.poi,
            "sale_id": self.sale_id,
            **settings,
            **self.settings,
        }
        if self.way == "http" and self.poi != POI:
            told["path"] = f"/{self.poi}/"
        if "key_identifier" in told:
            told["passphrase_file"] = str(passphrase(folder))
        return Terminal(
            id=self.id,
            organisation_id=shop.SHOP,
            store_id=shop.STORE,
            manufacturer="ACME",
            model=f"{self.way.upper()}{self.number}",
            serial=self.poi,
            tid="30350001",
            driver="nexo",
            settings=told,
            lifecycle=Lifecycle.ACTIVATED,
        )


LANES: Final = tuple(Lane(way) for way in BINDINGS)


def passphrase(folder: Path) -> Path:
    """A file with the passphrase under which messages are sealed."""
    path = folder / "passphrase"
    if not path.exists():
        path.write_text(PASSPHRASE)
    return path


@functools.cache
def server_context() -> ssl.SSLContext:
    """The far gateway's certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATES / "server.pem")
    return context


def far_settings(folder: Path, told: Mapping[str, Any]) -> FaceSettings:
    """What the far gateway's faces are told."""
    common = {"organisation": shop.SHOP, "poi_id": POI, **told}
    key = {"identifier": KEY["key_identifier"], "version": KEY["key_version"]}
    keys = [{**key, "passphrase_file": str(passphrase(folder))}]
    sealed = {"encryption_keys": keys, "encryption_required": True}
    return {face: {**common, **(sealed if face == SEALED else {})} for face in FAR_PORTS}


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


class Pair:
    """Both gateways. Starts, stops and lets go as one of them does."""

    def __init__(
        self,
        folder: Path,
        lanes: Sequence[Lane] = LANES,
        near_ports: Mapping[str, int] = NEAR_PORTS,
        told: Mapping[str, Any] | None = None,
        *,
        ports: Mapping[str, int] = FAR_PORTS,
        more_ports: Mapping[str, int] | None = None,
        near_settings: FaceSettings = NONE,
    ) -> None:
        """On what is in `folder`. `told` is for the far gateway's nexo faces, of which there are
        those that the lanes need, at `ports`, beside those of `more_ports`."""
        self._folder = folder
        self._lanes = lanes
        self._near_ports = near_ports
        needed = {WAYS[each.way][0] for each in lanes}
        self._far_ports = {
            **{face: ports[face] for face in sorted(needed)},
            **(more_ports or {}),
        }
        self._near_settings = near_settings
        self._told = told or {}
        self._dead: list[GatewayUnderTest] = []
        self._burials: list[asyncio.Task[None]] = []
        self.far = self._build_far()
        self.near = self._build_near()

    # --- life ---------------------------------------------------------------------------------

    def _home(self, name: str) -> Path:
        """Where the newest life is."""
        homes = sorted(self._folder.glob(f"{name}-*"), key=_life_of)
        if not homes:
            homes = [self._folder / f"{name}-0"]
            homes[0].mkdir()
            found_journal(homes[0])
        return homes[-1]

    def _build_far(self) -> GatewayUnderTest:
        tls = {SEALED: server_context()} if SEALED in self._far_ports else {}
        settings = far_settings(self._folder, self._told)
        return GatewayUnderTest(self._home("far"), self._far_ports, settings, tls=tls)

    def _build_near(self) -> GatewayUnderTest:
        self.plug = Plug()
        return GatewayUnderTest(
            self._home("near"), self._near_ports, self._near_settings, network=self.plug
        )

    async def start(self) -> None:
        """Start the far one, then the near one."""
        await self.far.start()
        await self._start_near()

    async def _start_near(self) -> None:
        await self.near.start()
        terminals = [each.terminal(self._folder, self.far) for each in self._lanes]
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
        virtual_loop().network.strike(*self._far_ports.values())
        self._bury(self.far, "far")

    async def revive_far(self) -> None:
        """It lives again, on what was durable when it died."""
        self.far = self._build_far()
        await self.far.start()

    def kill_near(self) -> None:
        """The near gateway dies. Connections to the far one break, whoever had opened them."""
        self.plug.pull()
        network = virtual_loop().network
        network.strike(*self._near_ports.values())
        network.cut(*self._far_ports.values())
        self._bury(self.near, "near")

    async def revive_near(self) -> None:
        """It lives again, on what was durable when it died."""
        self.near = self._build_near()
        await self._start_near()

    def _bury(self, dead: GatewayUnderTest, name: str) -> None:
        """What it still does, it does where it lived: the next life begins on a copy."""
        grave = self._home(name)
        home = self._folder / f"{name}-{_life_of(grave) + 1}"
        home.mkdir()
        copy_durable(grave, home)
        self._dead.append(dead)
        self._burials.append(asyncio.get_running_loop().create_task(dead.stop()))

    # --- what tills ask for -------------------------------------------------------------------

    async def order(
        self,
        lane: Lane,
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
            terminal_id=lane.id,
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

    def there(self, transaction: Transaction) -> Transaction | None:
        """The far gateway's transaction for one of the near gateway's."""

        def look(reader: Reader) -> list[Transaction]:
            return reader.by_reference(shop.SHOP, transaction.id)

        found = self.far.journal.read_now(look)
        assert len(found) <= 1, f"two for one: {found}"
        return found[0] if found else None

    async def pay(self, lane: Lane, minor: int, *asked: Any, **more: Any) -> Transaction:
        """Order, and wait for the end."""
        return await self.ended(await self.order(lane, minor, *asked, **more))


def _life_of(home: Path) -> int:
    return int(home.name.rpartition("-")[2])


def machine(disk: Path, seed: int = 0, **options: Any) -> Any:
    """A `Machine` on which a pair lives, with these options."""
    return Machine(disk, seed, build=functools.partial(Pair, **options))


def machine_after(moment: Moment[Any], disk: Path, **options: Any) -> Any:
    """The same, which went down at that moment."""
    return Machine.after(moment, disk, build=functools.partial(Pair, **options))


def live(disk: Path, scenario: Scenario[T], **options: Any) -> T:
    """Play the scenario on it; what it returns."""
    result: T = machine(disk, **options).live(scenario).result
    return result
