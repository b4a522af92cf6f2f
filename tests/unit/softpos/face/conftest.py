"""A shop whose backend checks its transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.softpos.face.shop import Backend, Shop, shop_in


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """The face under test."""
    async with shop_in(tmp_path) as running:
        yield running


@pytest.fixture
async def backend(shop: Shop) -> Backend:
    """An application that may ask about the first two terminals."""
    return await shop.register()
