"""Every scenario of this folder plays twice: in memory and over real sockets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.stage import in_memory, on_sockets


@pytest.fixture(params=[in_memory, on_sockets], ids=["memory", "sockets"])
def play(request: pytest.FixtureRequest) -> Any:
    """Plays a scenario; what it observes must be the same on both stages."""
    return request.param
