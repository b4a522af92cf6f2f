"""A sale for every ending of the virtual terminal, as the till sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine
from tests.simulation.agreement import check_agreement
from tests.simulation.till import FACE, Book, Heard, Till

APPROVED, DECLINED, CANCELLED = (
    ("CLEARED", "APPROVED"),
    ("CANCELLED", "DECLINED"),
    ("CANCELLED", None),
)

# Ending: how it ends, for how much of 10.xx EUR, and within how many seconds.
ENDINGS = {
    0: (APPROVED, 1000, 1),
    40: (DECLINED, 1040, 1),
    41: (DECLINED, 1041, 1),
    42: (DECLINED, 1042, 1),
    43: (CANCELLED, 1043, 1),
    44: (CANCELLED, 1044, 60),
    45: (DECLINED, 1045, 1),  # this API cannot ask for partial approval
    46: (APPROVED, 1046, 30),
    47: (("CREATED", None), 1047, 300),
    48: (APPROVED, 1048, 1),
    49: (APPROVED, 1049, 22),
    50: (APPROVED, 1050, 1),
    51: (APPROVED, 1051, 1),
    52: (CANCELLED, 1052, 1),
    53: (DECLINED, 1053, 30),
    54: (APPROVED, 1159, 1),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_sale_ends_as_its_amount_says(disk: Path, ending: int) -> None:
    (status, result), minor, within = ENDINGS[ending]

    async def sale(gateway: GatewayUnderTest) -> Heard:
        book = Book()
        till = Till(gateway.client(), gateway.url(FACE), book, shop.VIRTUAL[0])
        paid = await till.pay("sale-1", 1000 + ending)
        await till.follow(paid, within)
        await check_agreement(gateway, book)
        return paid.heard[-1]

    assert Machine(disk).live(sale).result == Heard(status, result, minor)
