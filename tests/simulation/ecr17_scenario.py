"""One random hour of a street with ECR17 tills, from a seed, in which everything goes wrong.

Ten lanes, each with a careful till, some with two. Meanwhile connections break at any octet,
acknowledgements and results are late or lost, gateways die alone or together, are restarted in
good order, and time stands still. A person decides what nobody else can find out. Then an hour's
end in which nothing goes wrong any more, and all must agree.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.kit.faults import Connect, Faults, Flow, Noticed, Policy, clean
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine
from tests.kit.virtual_loop import VirtualLoop, virtual_loop
from tests.simulation.ecr17_agreement import carried_out, check_street, tell
from tests.simulation.ecr17_street import SHOPS, Either, LongStreet
from tests.simulation.ecr17_till import NO_ID, Till
from tillwire.core.model import State, Transaction, Verdict
from tillwire.errors import Conflict, JournalError

HOUR: Final = 3600.0
SETTLED_AFTER: Final = 600.0
"""Seconds after which everything that can be found out has been, once nothing goes wrong."""
LOOKS_EVERY: Final = 100.0
"""Seconds. What is UNKNOWN twice when a person looks, and is the same, needs one."""
ENDINGS: Final = (*range(40, 55), *[0] * 15)
TIPPED: Final = 54
"""The ending with a tip on the terminal, which has no place in the result of an ECR17 terminal: our
driver cannot tell it from another sale, so a person would have to decide every one."""
WITH_TWO: Final = (0, 3, 7)
"""Lanes with two tills."""
WITHOUT_ID: Final = 5
"""The lane whose till has no id."""
CUT_WITHIN: Final = (4, 100, 400, 3000)
"""Octets within which a connection may break: an ACK, a result, an exchange, many of them."""

SLOWEST: Final = 2.5
"""Seconds that octets are under way at most: so long that a lane sends a result again before it can
have its ACK."""


class Hour:
    """What lives longer than the gateways: the dice, the tills."""

    def __init__(self, disk: Path, seed: int, kind: type[Either], seconds: float = HOUR) -> None:
        self._dice = random.Random(seed)
        self._seconds = seconds
        self._time = self._life = 0.0
        self._machine: Any = Machine(disk, seed, build=kind)
        self.tills = [self._till(shop, 1) for shop in SHOPS]
        self.tills += [self._till(shop, 2) for shop in WITH_TWO]

    def _till(self, shop: int, number: int) -> Till:
        dice = random.Random(self._dice.random())
        return Till(
            shop,
            f"{number}000000{shop}" if shop != WITHOUT_ID else NO_ID,
            dice,
            alone=shop not in WITH_TWO,
            keeps=dice.random() < 0.4,
            asks_first=dice.random() < 0.5,
            prints=dice.random() < 0.3,
            ack_within=dice.choice((2.0, 5.0)),
        )

    def play(self) -> list[Transaction]:
        """All lives, and the check; the near gateway's transactions as they ended."""
        dice = self._dice
        while (left := self._seconds - self._time) > 0:
            self._life = min(left, dice.choice((600.0, 1800.0, 3600.0)))
            kill_at = dice.choice((None, dice.randrange(200, 60_000)))
            self._machine.live(self._trade, kill_at=kill_at, prepare=self._began)
            self._time = self._loop.time()
            self._machine.wait(dice.choice((0.0, 1.0, 100.0)))
        ended: list[Transaction] = self._machine.live(self._find_out).result
        return ended

    def _began(self, loop: VirtualLoop) -> None:
        self._loop = loop

    async def _trade(self, street: Either) -> None:
        await _Trade(street, self._dice, self.tills).go_on(self._life)

    async def _find_out(self, street: Either) -> list[Transaction]:
        looking = [asyncio.create_task(_begun_again(till)) for till in self.tills]
        await asyncio.sleep(SETTLED_AFTER)
        for each in looking:
            each.cancel()
        results = await asyncio.gather(*looking, return_exceptions=True)
        _raise_first(results)
        tell(street, self.tills)
        await check_street(street, self.tills)
        return street.near.transactions()


async def _begun_again(till: Till) -> None:
    """A till that was switched off finds out what it had left open."""
    till.kept = None
    await till.find_out()


def _raise_first(results: list[BaseException | None]) -> None:
    for each in results:
        if isinstance(each, BaseException) and not isinstance(each, asyncio.CancelledError):
            raise each


class _Trade:
    """What goes on in one life of the machine."""

    def __init__(self, street: Either, dice: random.Random, tills: list[Till]) -> None:
        self._street = street
        self._dice = dice
        self._tills = tills
        self._dead: set[str] = set()
        self._doubtful: list[Transaction] = []
        """What was UNKNOWN when the person looked last."""
        is_long = isinstance(street, LongStreet)
        self._endings = [each for each in ENDINGS if not (is_long and each == TIPPED)]

    async def go_on(self, seconds: float) -> None:
        """All of it at once, for so long."""
        works = [*map(self._serve, self._tills), self._trouble(), self._person()]
        tasks = [asyncio.create_task(each) for each in works]
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for each in tasks:
            each.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        virtual_loop().network.faults = clean
        if isinstance(self._street, LongStreet):
            await self._revive(self._street)
        _raise_first(results)

    # --- tills ----------------------------------------------------------------------------------

    async def _serve(self, till: Till) -> None:
        dice = till.dice
        await _begun_again(till)
        while True:
            await asyncio.sleep(dice.choice((1.0, 10.0, 60.0)))
            # Of few prices, so that the same is often asked for twice.
            minor = dice.randint(1, 4) * 1000 + dice.choice(self._endings)
            sale = await till.sell(dice.choice("XXXXXp"), minor)
            if sale.result is None or not sale.result.approved or dice.random() < 0.5:
                continue
            await asyncio.sleep(1.0)
            if sale.kind == "p":
                await till.sell("c", minor - dice.choice((0, 500)), sale.result.code)
            elif dice.random() < 0.5:
                await till.sell("S", minor, sale.result.stan)

    # --- what goes wrong ------------------------------------------------------------------------

    async def _trouble(self) -> None:
        dice, network = self._dice, virtual_loop().network
        while True:
            await asyncio.sleep(dice.choice((5.0, 30.0, 100.0)))
            match dice.choice(("faults", "faults", "clean", "far", "near", "both", "pause")):
                case "faults":
                    network.faults = bad_lines(dice, dice.choice((0.1, 0.4, 0.9)))
                case "clean":
                    network.faults = clean
                case "pause":
                    virtual_loop().jump(dice.choice((3.0, 11.0, 200.0)))
                case who:
                    if isinstance(self._street, LongStreet):
                        await self._die(self._street, who)

    async def _die(self, street: LongStreet, who: str) -> None:
        self._dead = {"near", "far"} if who == "both" else {who}
        if "far" in self._dead:
            street.kill_far()
        if "near" in self._dead:
            street.kill_near()
        await asyncio.sleep(self._dice.choice((0.0, 3.0, 40.0)))
        await self._revive(street)

    async def _revive(self, street: LongStreet) -> None:
        dead, self._dead = self._dead, set()
        if "far" in dead:
            await street.revive_far()
        if "near" in dead:
            await street.revive_near()

    # --- who decides ----------------------------------------------------------------------------

    async def _person(self) -> None:
        """Looks into what has been UNKNOWN for long, with the acquirer's statement in hand."""
        street = self._street
        while True:
            await asyncio.sleep(LOOKS_EVERY)
            with suppress(JournalError, Conflict):  # it died, or somebody was quicker
                await self._look(street)
            if not self._dead:
                with suppress(JournalError):  # it has not come back yet
                    tell(street, self._tills)

    async def _look(self, street: Either) -> None:
        far = street.far.transactions()
        charges = await street.far.charges()
        doubtful = [(street.far, each, charges.get(each.id)) for each in far]
        if isinstance(street, LongStreet):
            near = street.near.transactions()
            carried = carried_out(near, far)
            for each in near:
                there = carried.get(each.id)
                if there is None or there.is_final:
                    charged = charges.get(there.id) if there else None
                    doubtful.append((street.near, each, charged))
        doubtful = [each for each in doubtful if each[1].state is State.UNKNOWN]
        for gateway, each, charged in doubtful:
            if each in self._doubtful:
                await _decide(gateway, each, charged)
        self._doubtful = [each for _, each, _ in doubtful]


async def _decide(gateway: GatewayUnderTest, each: Transaction, charged: int | None) -> None:
    await gateway.engine.decide(
        each.id,
        Verdict.CANCELLED if charged is None else Verdict.APPROVED,
        person="Ada",
        reason="So says the statement.",
        approved_amount=charged,
    )


def bad_lines(dice: random.Random, risk: float) -> Policy:
    """Connections that are broken with this probability, or slow, so that an ACK comes late."""

    def flow() -> Flow:
        cut = dice.randrange(dice.choice(CUT_WITHIN)) if dice.random() < risk / 2 else None
        slow = dice.choice((0.0, 0.0, 0.0, 0.5, SLOWEST))
        pieces = dice.choice((None, None, 1, 7))
        return Flow(cut, dice.choice(list(Noticed)), (0.0, slow), pieces)

    def policy(port: int, number: int) -> Faults:
        fails = dice.random() < risk / 4
        connect = dice.choice((Connect.REFUSE, Connect.SILENCE)) if fails else Connect.ACCEPT
        return Faults(connect, dice.choice((0.0, 0.0, 0.02)), flow(), flow())

    return policy
