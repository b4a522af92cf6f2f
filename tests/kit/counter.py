"""A shop's counter: a whole gateway with one terminal, on the other side of whose driver is
something scripted: a cloud, a backend, a system. Each dialect adds the terminal, its settings and
that other side, and makes tests of scenarios at such a counter.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import found_journal, memory_disk
from tests.kit.runner import virtual
from tillwire.core.doubts import NEEDS_PERSON
from tillwire.core.estate_model import Terminal
from tillwire.core.model import (
    Discrepancy,
    Request,
    State,
    Terms,
    Transaction,
    TransactionType,
)
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Driver, Unit
from tillwire.money import Money

NO_FACES: Final[Mapping[str, int]] = {}


class OtherSide(Protocol):
    """What the driver speaks with."""

    async def listen(self) -> Any:
        """Be there."""

    async def close(self) -> None:
        """Be gone."""


class Counter:
    """The gateway and its other side. Starts and stops them together."""

    usual: ClassVar[int] = 1250
    """What an order is for unless it says so, in minor units."""

    def __init__(
        self, folder: Path, other_side: OtherSide, faces: Mapping[str, int] = NO_FACES
    ) -> None:
        """On what is in `folder`. `faces` says where the gateway's listen."""
        self.folder = folder
        self._other_side = other_side
        self._faces = faces
        self.gateway = GatewayUnderTest(folder, faces)

    # --- what each dialect has of its own -------------------------------------------------------

    def terminal(self) -> Terminal:
        """As the estate has it, when the other side and the faces listen."""
        raise NotImplementedError

    # --- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the other side, then the gateway."""
        await self._other_side.listen()
        await self._open()

    async def _open(self) -> None:
        await self.gateway.start()
        await self.install()

    async def install(self) -> None:
        """Put the terminal into the estate, as it is now."""

        def put(unit: Unit) -> None:
            unit.put(self.terminal())

        await self.gateway.engine.change_estate(put)

    async def stop(self) -> None:
        """End both in good order."""
        await self._other_side.close()
        await self.gateway.stop()

    async def restart(self) -> None:
        """End the gateway, and start it on what it has left."""
        await self.gateway.stop()
        await self.start_gateway()

    async def start_gateway(self) -> None:
        """Start another gateway on what the one that was stopped has left."""
        self.gateway = GatewayUnderTest(self.folder, self._faces)
        await self._open()

    @property
    def driver(self) -> Driver:
        """The terminal's."""
        engine = self.gateway.engine
        return engine._driver_of(engine.estate.terminals[self.terminal().id])

    # --- what a till asks for -------------------------------------------------------------------

    async def order(
        self,
        minor: int | None = None,
        kind: TransactionType = TransactionType.PURCHASE,
        *,
        original: Transaction | None = None,
        terms: Terms | None = None,
        currency: str = "EUR",
        at: str | None = None,
    ) -> Transaction:
        """Have the gateway accept it, `at` the counter's terminal or another one."""
        request = Request(
            organisation_id=shop.SHOP,
            terminal_id=at or self.terminal().id,
            dialect="test",
            type=kind,
            amount=Money(self.usual if minor is None else minor, currency),
            reference="bill 7",
            original_id=original.id if original else None,
            partial_allowed=True,
            terms=terms or Terms(),
        )
        return await self.gateway.engine.accept(request, WhenBusy.REJECT)

    async def pay(self, *asked: Any, **more: Any) -> Transaction:
        """Order it, and wait for its end."""
        return await self.ended(await self.order(*asked, **more))

    # --- what became of it ----------------------------------------------------------------------

    async def now(self, order: Transaction) -> Transaction:
        """It as the journal has it."""
        found = await self.gateway.engine.find(order.id)
        assert found is not None
        return found

    async def ended(self, order: Transaction, seconds: float = 900) -> Transaction:
        """It, when it is final, or after so many seconds."""
        return await self.gateway.engine.wait(order.id, lambda each: each.is_final, seconds)

    async def lost(self, order: Transaction, seconds: float = 900) -> Transaction:
        """It, when it is UNKNOWN."""
        now = await self.gateway.engine.wait(order.id, lambda each: each.is_settled, seconds)
        assert now.state is State.UNKNOWN, now
        return now

    async def for_a_person(self, order: Transaction, seconds: float = 1200) -> str:
        """What a person is told of it, when only one can decide; it stays UNKNOWN."""
        now = await self.gateway.engine.wait(order.id, lambda each: bool(self.told(order)), seconds)
        assert now.state is State.UNKNOWN, now
        (words,) = self.told(order)
        return words

    def told(self, order: Transaction, *names: str) -> list[str]:
        """What was noted of it with the events of these names; with none, what people were told
        who are to decide."""
        events = self.gateway.events(order.id)
        wanted = names or (NEEDS_PERSON,)
        return [str(each.detail["detail"]) for each in events if each.name in wanted]

    def events(self, order: Transaction) -> list[str]:
        """The names of its events."""
        return [each.name for each in self.gateway.events(order.id)]

    def discrepancies(self) -> list[Discrepancy]:
        """Those that are open."""
        return self.gateway.journal.read_now(lambda reader: reader.discrepancies())


Scenario = Callable[..., Awaitable[None]]


def scenarios_at(
    build: Callable[[Path, dict[str, Any]], Counter],
) -> Callable[..., Callable[[Scenario], Callable[..., None]]]:
    """The decorator that makes tests of scenarios at a counter of this kind. `build` makes it of a
    folder, in which the shop's journal is, and of changes to the driver's settings."""

    def at_a_counter(**changes: Any) -> Callable[[Scenario], Callable[..., None]]:
        """Make a scenario with a `counter`, whose driver has these settings, a test on the virtual
        loop; what follows its counter are the test's own parameters."""

        def decorate(scenario: Scenario) -> Callable[..., None]:
            def test(**parameters: Any) -> None:
                with memory_disk() as name:
                    folder = Path(name) / "gateway"
                    folder.mkdir()
                    found_journal(folder)
                    _play(lambda: build(folder, changes), scenario, parameters)

            test.__name__ = scenario.__name__
            test.__doc__ = scenario.__doc__
            test.__module__ = scenario.__module__
            signature = inspect.signature(scenario)
            kept = [each for name, each in signature.parameters.items() if name != "counter"]
            test.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
            return test

        return decorate

    return at_a_counter


@virtual()
async def _play(
    build: Callable[[], Counter], scenario: Scenario, parameters: Mapping[str, Any]
) -> None:
    counter = build()
    await counter.start()
    try:
        await scenario(counter, **parameters)
    finally:
        await counter.stop()
