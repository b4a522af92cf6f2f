"""Random hours with nexo terminals, from seeds. A failing one says how to play it again:

TILLWIRE_SEEDS=17 .venv/bin/pytest tests/simulation/test_nexo_random.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.kit.runner import again, seeds
from tests.simulation.nexo_scenario import NexoScenario

QUICKLY: Final = (1, 4)
"""Seeds of a full hour and of one that is cut short."""


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(seed, marks=() if seed in QUICKLY else pytest.mark.long)
        for seed in seeds(range(100))
    ],
)
def test_whatever_goes_wrong_both_gateways_agree_in_the_end(disk: Path, seed: int) -> None:
    try:
        NexoScenario(disk, seed).play()
    except BaseException as error:
        error.add_note(again(seed))
        raise


def test_the_same_seed_plays_the_same_hour(disk: Path) -> None:
    one, two = (NexoScenario(disk / time, 4).play() for time in "12")
    assert one == two
    assert len(one) > 10
