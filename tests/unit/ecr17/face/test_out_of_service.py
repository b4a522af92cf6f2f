"""A lane whose terminal is not in service: it says so, and takes no money."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.kit.gateway import GatewayUnderTest
from tests.unit.ecr17.face.till import Till, live, pay, status
from tillwire.core.estate_model import Lifecycle


@pytest.mark.parametrize("lifecycle", [Lifecycle.CREATED, Lifecycle.REMOVED])
def test_a_terminal_that_is_not_activated_cannot_be_paid_on(
    disk: Path, lifecycle: Lifecycle
) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        (terminal,) = (
            each
            for each in gateway.engine.estate.terminals.values()
            if each.name == "TILLWIRE-V1-0001"
        )
        changed = msgspec.structs.replace(terminal, lifecycle=lifecycle)
        await gateway.engine.change_estate(lambda unit: unit.put(changed))
        async with await Till.open() as till:
            assert (await till.asks(status())).state == "0"
            assert await till.asks(pay(1000)) is None  # NAK
        assert gateway.transactions() == []
        assert await gateway.charges() == {}

    live(disk, scenario)
