"""The sales during which the gateway is killed, and how each of them may end.

Each can be played from the beginning and taken up again at any point of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.crash.ecr17_people import CarefulEcr17Till, RepeatingEcr17Till
from tests.crash.nexo_people import CarefulNexoTill
from tests.crash.people import CarefulTerminal, CarefulTill, Memory, Sale
from tests.kit.sandbox_process import Card

VIRTUAL: Final = "TILLWIRE-V1-0001"
POLLED: Final = "TILLWIRE-P1-0001"

Ending = tuple[str, str | None]
"""Status and result."""
PAID: Final = ("CLEARED", "APPROVED")
REFUSED: Final = ("CANCELLED", "DECLINED")
NOTHING: Final = ("CANCELLED", None)
"""Cancelled, or proven never to have reached the terminal."""
UNSURE: Final = ("CREATED", None)


@dataclass
class Life:
    """What outlives the gateway."""

    sales: dict[str, Sale] = field(default_factory=dict)
    terminal: Memory = field(default_factory=Memory)

    def sale(self, reference: str, minor: int, refunds: str | None = None) -> Sale:
        """The sale of this reference, or the refund of the transaction with the id `refunds`; a
        new one, the first time."""
        kind = "REFUND" if refunds else "PURCHASE"
        return self.sales.setdefault(reference, Sale(reference, minor, kind, refunds))


@dataclass(frozen=True)
class Scenario:
    """One course of events."""

    play: Callable[[Card, Life], None]
    """From wherever it is to its end, as long as the gateway lives."""
    ends: dict[str, Ending]
    """How each sale ends, by its reference."""
    polled: bool = False
    """Whether a terminal that fetches charges the cards."""

    def may_end(self, reference: str, *, disturbed: bool) -> set[Ending]:
        """How a sale may end. When the gateway died before it could reach a virtual terminal, it
        is proven to be absent there; a terminal that fetches simply fetches later."""
        never_arrived = {NOTHING} if disturbed and not self.polled else set()
        return {self.ends[reference], *never_arrived}


def _one_sale(minor: int, end: Ending, patience: float = 40.0) -> Scenario:
    def play(card: Card, life: Life) -> None:
        till, sale = CarefulTill(card, VIRTUAL), life.sale("sale", minor)
        assert till.order(sale), "its terminal is free"
        till.follow(sale, patience)

    return Scenario(play, {"sale": end})


def _sale_and_refund(card: Card, life: Life) -> None:
    till, sale = CarefulTill(card, VIRTUAL), life.sale("sale", 1000)
    assert till.order(sale), "its terminal is free"
    till.follow(sale)
    if sale.heard[-1] == PAID and sale.id is not None:
        refund = life.sale("refund", 600, refunds=sale.id)
        assert till.order(refund), "its terminal is free"
        till.follow(refund)


def _polled_sale(card: Card, life: Life) -> None:
    till, sale = CarefulTill(card, POLLED), life.sale("sale", 1000)
    assert till.order(sale), "its terminal is free"
    CarefulTerminal(card, life.terminal).work()
    till.follow(sale)


def _cancelled_sale(card: Card, life: Life) -> None:
    till, sale = CarefulTill(card, POLLED), life.sale("sale", 1000)
    assert till.order(sale), "its terminal is free"
    till.cancel(sale)
    CarefulTerminal(card, life.terminal).work()


def _replaced_sale(card: Card, life: Life) -> None:
    till, first = CarefulTill(card, POLLED), life.sale("first", 1000)
    assert till.order(first), "its terminal is free"
    second = life.sale("second", 2000)
    assert till.order(second), "its terminal is free"
    till.read(first)
    CarefulTerminal(card, life.terminal).work()
    till.follow(second)


def _nexo_sale(minor: int, end: Ending, patience: float = 40.0) -> Scenario:
    def play(card: Card, life: Life) -> None:
        CarefulNexoTill(card).settle(life.sale("sale", minor), patience)

    return Scenario(play, {"sale": end})


def _nexo_reversal(card: Card, life: Life) -> None:
    till, sale = CarefulNexoTill(card), life.sale("sale", 1000)
    till.settle(sale)
    if sale.heard[-1] == PAID and sale.id is not None:
        till.settle(life.sale("reversal", 1000, refunds=sale.id))


def _ecr17_sale(
    minor: int, end: Ending, patience: float = 40.0, *, repeats: bool = False
) -> Scenario:
    def play(card: Card, life: Life) -> None:
        till = RepeatingEcr17Till(card) if repeats else CarefulEcr17Till(card)
        till.settle(life.sale("sale", minor), patience)

    return Scenario(play, {"sale": end})


def _ecr17_reversal(card: Card, life: Life) -> None:
    till, sale = CarefulEcr17Till(card), life.sale("sale", 1000)
    till.settle(sale)
    if sale.heard[-1] == PAID:
        till.settle(life.sale("reversal", 1000, refunds=sale.stan))


SCENARIOS: Final = {
    "approved": _one_sale(1000, PAID),
    "declined": _one_sale(1040, REFUSED),
    "cardholder cancels": _one_sale(1043, NOTHING),
    "answer lost": _one_sale(1046, PAID),
    "terminal forgets": _one_sale(1047, UNSURE, patience=4.0),
    "slow": _one_sale(1049, PAID),
    "refund": Scenario(
        _sale_and_refund,
        {"sale": PAID, "refund": PAID},
    ),
    "polled": Scenario(_polled_sale, {"sale": PAID}, polled=True),
    "cancelled": Scenario(_cancelled_sale, {"sale": NOTHING}, polled=True),
    "replaced": Scenario(
        _replaced_sale,
        {"first": NOTHING, "second": PAID},
        polled=True,
    ),
    "nexo approved": _nexo_sale(1000, PAID),
    "nexo declined": _nexo_sale(1040, REFUSED),
    "nexo cardholder cancels": _nexo_sale(1043, NOTHING),
    "nexo answer lost": _nexo_sale(1046, PAID),
    "nexo terminal forgets": _nexo_sale(1047, UNSURE, patience=4.0),
    "nexo slow": _nexo_sale(1049, PAID),
    "nexo reversal": Scenario(_nexo_reversal, {"sale": PAID, "reversal": PAID}),
    "ecr17 approved": _ecr17_sale(1000, PAID),
    "ecr17 repeated": _ecr17_sale(1000, PAID, repeats=True),
    "ecr17 declined": _ecr17_sale(1040, REFUSED),
    "ecr17 cardholder cancels": _ecr17_sale(1043, NOTHING),
    "ecr17 answer lost": _ecr17_sale(1046, PAID),
    "ecr17 terminal forgets": _ecr17_sale(1047, UNSURE, patience=4.0),
    "ecr17 slow": _ecr17_sale(1049, PAID),
    "ecr17 repeated slow": _ecr17_sale(1049, PAID, repeats=True),
    "ecr17 reversal": Scenario(_ecr17_reversal, {"sale": PAID, "reversal": PAID}),
}
