"""Random hours of ten lanes with ECR17 tills, from seeds, before virtual terminals (`Street`) and
before terminals that are ECR17 lanes again (`LongStreet`). A failing one says how to play it again:

TILLWIRE_SEEDS=17 .venv/bin/pytest tests/simulation/test_ecr17_random.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.kit.runner import again, seeds
from tests.simulation.ecr17_scenario import Hour
from tests.simulation.ecr17_street import Either, LongStreet, Street
from tillwire.core.model import State

QUICKLY: Final = 7
LEAST: Final = 200
"""Transactions of an hour in which the lanes are not merely blocked."""
WAYS: Final = {"answer", "repetition", "G", "person"}
"""How tills find out what became of what they asked for."""

EITHER: Final = pytest.mark.parametrize("street", [Street, LongStreet])


@EITHER
@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(seed, marks=() if seed == QUICKLY else pytest.mark.long)
        for seed in seeds(range(30))
    ],
)
def test_whatever_goes_wrong_ledger_journals_and_tills_agree(
    disk: Path, street: type[Either], seed: int
) -> None:
    hour = Hour(disk, seed, street)
    try:
        ended = hour.play()
    except BaseException as error:
        error.add_note(again(seed))
        raise
    assert len(ended) > LEAST
    assert {each.state for each in ended} >= {State.APPROVED, State.DECLINED, State.FAILED}
    sales = [sale for till in hour.tills for sale in till.sales]
    assert {sale.found_by for sale in sales} >= WAYS
    assert any(sale.never for sale in sales)


@EITHER
def test_the_same_seed_plays_the_same_hour(disk: Path, street: type[Either]) -> None:
    one, two = (Hour(disk / time, 4, street, 300.0).play() for time in "12")
    assert one == two
    assert len(one) > 20
