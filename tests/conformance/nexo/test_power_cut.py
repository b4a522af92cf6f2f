"""A till on Adyen's library whose gateway is killed while a payment is under way: after a restart
the till asks, and learns what really happened."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.nexo.adyen_till import ANSWERS_WITHIN, AdyenTill, NoAnswerError, Program
from tests.conformance.nexo.conftest import PACE
from tests.conformance.nexo.waiting import repeated, script, settled, until_busy
from tests.kit.sandbox_process import SandboxProcess, start_sandbox
from tests.kit.shop_front import charged
from tillwire.clock import SystemClock
from tillwire.virtual.world import FILE


@contextlib.contextmanager
def life(directory: Path, library: Path) -> Iterator[tuple[SandboxProcess, Program]]:
    """One life of the sandbox on the directory, ended by a power cut."""
    sandbox = start_sandbox(directory, pace=PACE)
    try:
        program = Program(sandbox.card, library, directory)
        try:
            yield sandbox, program
        finally:
            sandbox.kill()
            program.close()
    finally:
        sandbox.kill()


def act(directory: Path) -> None:
    """Let every cardholder act that is waited for: their time has come while no gateway lived."""
    world = directory / "virtual" / FILE
    with contextlib.closing(sqlite3.connect(world, isolation_level=None)) as connection:
        now = SystemClock().now()
        assert connection.execute("UPDATE deeds SET acts_at = ? WHERE waiting = 1", [now]).rowcount


@pytest.mark.parametrize("way", ["clear", "encrypted"])
def test_a_payment_outlives_the_gateway(
    way: str, library: Path, tmp_path: Path, reference: str
) -> None:
    directory, lane = tmp_path / "sandbox", "LANE-7"
    said: dict[str, Any] = {"number": "pay1", "referenced_at": "2026-11-20T09:12:40.310+01:00"}
    with life(directory, library) as (sandbox, program):
        poi_id = sandbox.card["nexo"]["poi_id"]
        till = AdyenTill(program, way, poi_id, lane)
        script(sandbox.card, poi_id, seconds=3600)  # so it is killed while the card is waited for
        answer = till.begin("pay", amount=18.0, reference=reference, **said)
        until_busy(till, answer)
        sandbox.kill()
        with pytest.raises(NoAnswerError):
            answer.result(ANSWERS_WITHIN)
    act(directory)
    with life(directory, library) as (sandbox, program):
        till = AdyenTill(program, way, poi_id, lane)
        status = settled(till, "pay1")
        assert status.result == ("Success", None)
        paid = repeated(status)["RepeatedResponseMessageBody"]["PaymentResponse"]
        assert paid["Response"]["Result"] == "Success"
        assert paid["SaleData"]["SaleTransactionID"]["TransactionID"] == reference
        assert till.pay("18.00", reference, **said).result == ("Failure", "NotAllowed")
        assert charged(sandbox.card, reference) == [1800]
