"""A journal that cannot be written: nothing begins, and what was acknowledged stays so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateway import GatewayUnderTest
from tests.unit.ecr17.face.till import Till, close, live, pay
from tillwire.errors import JournalFull


@contextmanager
def full_disk(gateway: GatewayUnderTest) -> Iterator[None]:
    """No commit succeeds meanwhile."""

    async def fail(work: Any) -> Any:
        raise JournalFull("No space left on device.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway.journal, "commit", fail)
        yield


def test_a_payment_that_cannot_be_journaled_is_refused(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            with full_disk(gateway):
                assert await till.asks(pay()) is None
                assert await till.asks(close()) is None
            assert gateway.transactions() == []
            assert await gateway.charges() == {}
            assert (await till.asks(pay())).approved

    live(disk, scenario)


def test_an_acknowledgement_that_cannot_be_journaled_is_remembered(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            first = await till.asks(pay(), acknowledges=False)
            with full_disk(gateway):
                till.acknowledge()
                assert await till.is_silent(30)
            assert await till.asks(pay()) != first
            assert len(await gateway.charges()) == 2

    live(disk, scenario)
