"""Two gateways of which the near one reaches the far one's terminals by the MerchantAPI: the far
one is the system from which they get their payments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.matrix.two_gateways import TwoGateways, decide, the_one
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import State, Transaction
from tillwire.dialects.merchantapi.driver import orders
from tillwire.net.http_client import AiohttpClient

FACE: Final = "merchantapi"
DEVICE: Final = "device"
FAR_PORTS: Final[Mapping[str, int]] = {FACE: 8812, DEVICE: 8813}
URL: Final = f"http://127.0.0.1:{FAR_PORTS[FACE]}"
FOUND_OUT_AFTER: Final = 700.0
"""Seconds after which all that can be found out has been."""


@dataclass(frozen=True)
class Lane:
    """A terminal of the near gateway, which is one of the far gateway's."""

    there: Terminal = shop.VIRTUAL[0]
    name: str = "lane"
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def id(self) -> str:
        """Its id in the near gateway's estate."""
        return f"{self.name}-{self.there.id}"

    def terminal(self, folder: Path) -> Terminal:
        """As the near estate has it."""
        told = {"url": URL, "api_key_file": str(folder / "api-key"), **self.settings}
        return Terminal(
            id=self.id,
            organisation_id=shop.SHOP,
            store_id=shop.STORE,
            manufacturer=self.there.manufacturer,
            model=self.there.model,
            serial=self.there.serial,
            tid=f"9{self.there.tid[1:]}",
            driver="merchantapi",
            settings=told,
            lifecycle=Lifecycle.ACTIVATED,
        )


LANE: Final = Lane()
FETCHING: Final = Lane(shop.POLLING)


class Pair(TwoGateways):
    """Both gateways."""

    def __init__(self, folder: Path, lanes: Sequence[Lane] = (LANE, FETCHING)) -> None:
        """On what is in `folder`."""
        self.lanes = {each.id: each for each in lanes}
        super().__init__(folder, {}, FAR_PORTS)

    def build_far(self, home: Path) -> GatewayUnderTest:
        return GatewayUnderTest(home, self.far_ports)

    def terminals(self) -> list[Terminal]:
        return [each.terminal(self.folder) for each in self.lanes.values()]

    async def start(self) -> None:
        """Give the near one its key, and start both."""
        self.key_file.write_text(shop.API_KEY)
        await super().start()

    @property
    def key_file(self) -> Path:
        """The key with which the near one comes."""
        return self.folder / "api-key"

    # --- what a test does -----------------------------------------------------------------------

    def there(self, here: Transaction) -> Transaction | None:
        """The far gateway's transaction for one of the near gateway's: one at most."""
        name = orders.reference_of(here.id)
        found = [each for each in self.far.transactions() if each.reference == name]
        return the_one(found)

    async def other_till(self, minor: int, lane: Lane = LANE) -> str:
        """Another till of the shop asks the system itself for a payment; its id there."""
        client = AiohttpClient()
        amount = {"value": minor / 100, "currency": "EUR"}
        asked = {"type": "PURCHASE", "merchant_order_reference": "other", "amount": amount}
        response = await client.request(
            "POST",
            f"{URL}/terminals/{lane.there.name}/transactions",
            headers={"API-Key": shop.API_KEY, "Content-Type": "application/json"},
            body=json.dumps(asked).encode(),
            timeout=10,
        )
        await client.close()
        assert response.status == 201, response
        found: str = json.loads(response.body)["id"]
        return found


async def settled(pair: Pair, order: Transaction | str) -> Transaction:
    """The near gateway's transaction once all that can be found out was. What is UNKNOWN at the far
    one's virtual terminal, a person decides there by the acquirer's ledger."""
    ended = await pair.ended(order, FOUND_OUT_AFTER)
    there = pair.there(ended)
    unknown = there is not None and there.state is State.UNKNOWN
    if ended.state is State.UNKNOWN and there is not None and unknown and _is_virtual(there):
        charged = (await pair.far.charges()).get(there.id)
        await decide(pair.far, there, charged)
        ended = await pair.ended(order, 30)
    return ended


def _is_virtual(there: Transaction) -> bool:
    return there.terminal_id in {each.id for each in shop.VIRTUAL}


machine, machine_after, live = Pair.machine, Pair.machine_after, Pair.live
