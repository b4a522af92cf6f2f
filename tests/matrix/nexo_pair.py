"""Two gateways of which the near one reaches the far one's terminals by nexo, in any of its
bindings."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.kit import shop
from tests.kit.gateway import NONE, FaceSettings, GatewayUnderTest
from tests.matrix.two_gateways import Plug, TwoGateways, the_one
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import Transaction
from tillwire.core.ports import Reader

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


class Pair(TwoGateways):
    """Both gateways, with a way between them in each binding that is asked for."""

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
        needed = {WAYS[each.way][0] for each in lanes}
        far_ports = {**{face: ports[face] for face in sorted(needed)}, **(more_ports or {})}
        self._lanes = lanes
        self._near_settings = near_settings
        self._told = told or {}
        super().__init__(folder, near_ports, far_ports)

    def build_far(self, home: Path) -> GatewayUnderTest:
        tls = {SEALED: server_context()} if SEALED in self.far_ports else {}
        settings = far_settings(self.folder, self._told)
        return GatewayUnderTest(home, self.far_ports, settings, tls=tls)

    def build_near(self, home: Path, plug: Plug) -> GatewayUnderTest:
        return GatewayUnderTest(home, self.near_ports, self._near_settings, network=plug)

    def terminals(self) -> list[Terminal]:
        return [each.terminal(self.folder, self.far) for each in self._lanes]

    def there(self, transaction: Transaction) -> Transaction | None:
        """The far gateway's transaction for one of the near gateway's."""

        def look(reader: Reader) -> list[Transaction]:
            return reader.by_reference(shop.SHOP, transaction.id)

        found = self.far.journal.read_now(look)
        return the_one(found)


machine, machine_after, live = Pair.machine, Pair.machine_after, Pair.live
