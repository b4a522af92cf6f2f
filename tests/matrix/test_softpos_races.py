"""Days on which much goes wrong at once at a counter with a phone: a backend that fails, hangs or
answers with something else, links that are opened late or never, returns that are lost, doubled or
forged, and a gateway that dies."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kit.machine import Machine
from tests.kit.runner import seeds
from tests.matrix.softpos_street import HOUR, Street, World, check
from tests.simulation.agreement import check_gateway
from tests.unit.softpos.driver import backend as there
from tests.unit.softpos.driver.backend import TID
from tillwire.core.model import State, Transaction, TransactionType, Verdict
from tillwire.dialects.softpos.driver import phone

_T = TransactionType
FAULTS: Final = (
    there.hangs,
    there.answers(500),
    there.answers(429),
    there.answers(401),
    there.answers(404, b"<html>Not Found</html>"),
    there.answers(200, b"<html>Welcome</html>"),
    there.answers(200, b"{}"),
)
RESULTS: Final = ("0", "20", "21", "22", "-14", "nothing")


@pytest.mark.parametrize("seed", seeds(range(8)))
def test_a_day_on_which_much_goes_wrong(disk: Path, seed: int) -> None:
    source = random.Random(seed)

    async def day(street: Street) -> None:
        for _ in range(5):
            await one(street, source)
        transactions = street.gateway.transactions()
        check_gateway(street.gateway, transactions)
        for each in transactions:
            check(each, street.world)
        paid = [each for each in transactions if each.state is State.APPROVED]
        assert sum(street.world.charged) == sum(
            each.approved_amount * (-1 if each.type is _T.REVERSAL else 1) for each in paid
        )

    Machine(disk, seed, build=lambda folder: Street(folder, World())).live(day)


async def one(street: Street, source: random.Random) -> None:
    """One transaction, and what goes wrong with it."""
    if source.random() < 0.3:
        street.backend.tokens.append(source.choice(FAULTS))
    order = await _ordered(street, source)
    street.backend.checks.extend(source.choices(FAULTS, k=source.choice((0, 0, 1, 4))))
    await street.gateway.engine.wait(
        order.id, lambda each: phone.LINK in each.peer or each.is_settled, 60
    )
    if phone.LINK in (await street.now(order)).peer:
        await _opened(street, await street.see(order), source)
    street.backend.checks.clear()
    street.backend.tokens.clear()
    ended = await street.ended(order, 2 * HOUR)
    if ended.state is State.UNKNOWN:
        await _decided(street, ended)


async def _ordered(street: Street, source: random.Random) -> Transaction:
    """A sale, or the last one given back."""
    paid = [
        each
        for each in street.gateway.transactions()
        if each.type is _T.PURCHASE and each.state is State.APPROVED and not each.reversed_at
    ]
    if paid and paid[-1].outcome and paid[-1].outcome.handle and source.random() < 0.3:
        return await street.order(paid[-1].amount.minor, _T.REVERSAL, original=paid[-1])
    return await street.order(source.randrange(100, 9_999))


async def _opened(street: Street, link: str, source: random.Random) -> None:
    """What people and others do with a link that was seen."""
    forged = {
        "callerTrxId": street.name_in(link),
        "operationType": "REVERSAL" if "neximpos://reversal" in link else "PAYMENT",
        "result": source.choice(RESULTS),
        "amount": street.amount_in(link),
    }
    told: dict[str, Any] = {}
    for step in source.choices(("wait", "open", "return", "forge", "restart"), k=6):
        if step == "wait":
            await asyncio.sleep(source.choice((1, 20, 200)))
        elif step == "open" and not told:
            told = street.use(
                link, source.choice(("APPROVED", "APPROVED", "DECLINED", "CANCELLED"))
            )
        elif step == "return" and told:
            await street.come_back(link, told)
        elif step == "forge" and source.random() < 0.3:
            await street.come_back(link, forged)
        elif step == "restart" and source.random() < 0.5:
            await street.restart()


async def _decided(street: Street, unknown: Transaction) -> None:
    """A person looks into the backend's books; somebody had spoken of a payment that is not
    there."""
    assert street.told(unknown)
    assert (TID, unknown.id) not in street.world.known, "what is there, the gateway finds"
    assert unknown.peer.keys() & {phone.CLAIMED, phone.UNREAD}
    await street.gateway.engine.decide(
        unknown.id, Verdict.CANCELLED, person="Ada", reason="It is not in the books."
    )
