"""Many tills at several lanes, some of which hang up at any moment: what tills were told, what the
journal says and what the acquirer charged are the same."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Final

from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine
from tests.unit.ecr17.face.till import PATIENCE, Till, pay

LANES: Final = {f"ecr17 {number}": 8810 + number for number in (1, 2, 3)}
SALES: Final = 12
TILLS_AT_A_LANE: Final = 4
ENDINGS: Final = (0, 0, 40, 43, 46, 48, 49)


async def served(port: int, register: str, amounts: list[int], chance: random.Random) -> list[str]:
    """A till that sells, and asks again whatever happens; the results that it got."""
    results = []
    for amount in amounts:
        sale = pay(amount, cash_register=register, tid="00000000")
        while True:
            async with await Till.open(port) as till:
                if chance.random() < 0.3:
                    till.say(sale)
                    await asyncio.sleep(chance.random() * 2)
                    continue  # it hangs up, and never hears the ACK or the result
                if (result := await till.asks(sale)) is not None:
                    results.append(result.result)
                    await till.is_silent(1)
                    break
            await asyncio.sleep(chance.random() * 5)
    return results


def test_tills_journal_and_acquirer_agree(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        work = []
        for number, port in enumerate(LANES.values()):
            for each in range(TILLS_AT_A_LANE):
                chance = random.Random(f"{number} {each}")
                # Each sale of a till has an amount of its own, so that it can be told apart.
                amounts = [
                    1000 + 100 * sale + chance.choice(ENDINGS) + 10_000 * each
                    for sale in range(SALES)
                ]
                work.append(served(port, f"{each + 1:08d}", amounts, chance))
        async with asyncio.timeout(PATIENCE * 20):
            told = await asyncio.gather(*work)
        transactions = gateway.transactions()
        assert len(transactions) == len(LANES) * TILLS_AT_A_LANE * SALES
        assert all(each.is_final for each in transactions)
        approved = {each.id: each.approved_amount for each in transactions if each.approved_amount}
        assert await gateway.charges() == approved
        assert sum(results.count("00") for results in told) == len(approved)
        assert gateway.holders() == []

    settings = {
        name: {"organisation": "shop", "terminal": f"TILLWIRE-V1-000{name[-1]}"} for name in LANES
    }
    Machine(disk, faces=LANES, settings=settings).live(scenario)
