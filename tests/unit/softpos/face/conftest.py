"""A shop whose backend checks its transactions."""

from __future__ import annotations

import functools
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.softpos.face.shop import Backend, Shop, shop_in
from tillwire.estate import client_apps
from tillwire.estate.applications import new_key_pair


@functools.cache
def _in_stock(number: int) -> tuple[bytes, bytes]:
    return new_key_pair(2048)


@pytest.fixture(autouse=True)
def _keys_from_stock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The face's own keys are made once for all tests, since that takes long; those of one test are
    different ones."""
    numbers = itertools.count()
    monkeypatch.setattr(client_apps, "new_key_pair", lambda _bits: _in_stock(next(numbers)))


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """The face under test."""
    async with shop_in(tmp_path) as running:
        yield running


@pytest.fixture
async def backend(shop: Shop) -> Backend:
    """An application that may ask about the first two terminals."""
    return await shop.register()
