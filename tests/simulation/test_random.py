"""Random scenarios from seeds. A failing one says how to play it again:

TILLWIRE_SEEDS=17 .venv/bin/pytest tests/simulation/test_random.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.kit.runner import again, seeds
from tests.simulation.random_scenario import RandomScenario

QUICKLY: Final = range(50)


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(seed, marks=() if seed in QUICKLY else pytest.mark.long)
        for seed in seeds(range(150))
    ],
)
def test_whatever_goes_wrong_everybody_agrees_in_the_end(disk: Path, seed: int) -> None:
    try:
        RandomScenario(disk, seed).play()
    except BaseException as error:
        error.add_note(again(seed))
        raise


def test_the_same_seed_plays_the_same_scenario(disk: Path) -> None:
    for seed in (3, 4, 26):
        one, two = (RandomScenario(disk / f"{seed}-{time}", seed).play() for time in "12")
        assert one == two
