"""The driver of a SoftPOS phone against the face, over real mutual TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conformance.softpos.backend import Backend as Member
from tests.conformance.softpos.sales import sell
from tests.conformance.softpos.test_check import ENDINGS, settled
from tests.kit.sandbox_process import SandboxProcess
from tests.unit.receipt_fixture import sale
from tests.unit.softpos.driver.counter import terminal
from tillwire.clock import Instant, SystemClock
from tillwire.core.entries import Entry
from tillwire.core.errands import AskLast
from tillwire.core.model import State, Transaction
from tillwire.dialects.softpos.driver import backend as asking
from tillwire.dialects.softpos.driver import phone
from tillwire.dialects.softpos.driver.backend import Backend, Backends, NoSuchTransaction, Refused
from tillwire.dialects.softpos.driver.driver import SoftPosDriver
from tillwire.dialects.softpos.driver.settings import DriverSettings
from tillwire.dialects.softpos.wire.aliases import CheckAnswer
from tillwire.errors import NotDelivered, PeerError
from tillwire.journal.vault import KeyFileVault
from tillwire.money import Money
from tillwire.net.http_client import AiohttpClient

TID = "30350006"
TIDS = (TID, "30350007")

Ask = Callable[[Backend, DriverSettings], Coroutine[Any, Any, Any]]


def settings(folder: Path, card: dict[str, Any], **changes: Any) -> DriverSettings:
    """The driver's, as the sandbox card has them."""
    member = card["softpos"]
    (folder / "secret").write_text(member["client_secret"])
    told = {
        "profile": "staging",
        "url": member["url"],
        "client_id": member["client_id"],
        "client_secret_file": str(folder / "secret"),
        "certificate_file": member["certificate"],
        "private_key_file": member["private_key"],
        "ca_file": member["ca"],
        "point_of_sale": member["point_of_sale"],
        "return_url": "https://pay.shop.example",
        "settle_seconds": 30,
        **changes,
    }
    return msgspec.convert(told, DriverSettings)


def run(folder: Path, told: DriverSettings, ask: Ask) -> Any:
    """What a backend of these settings answers."""

    async def play() -> Any:
        backends = Backends(AiohttpClient, SystemClock(), KeyFileVault(folder / "key"))
        try:
            return await ask(backends.of(told), told)
        finally:
            await backends.close()

    return asyncio.run(play())


def test_what_was_paid_is_found(
    sandbox: SandboxProcess, reference: str, tmp_path: Path, backend: Member
) -> None:
    sell(sandbox.card, TID, reference, 10_00)

    async def ask(asked: Backend, told: DriverSettings) -> CheckAnswer:
        while True:
            answer = await asked.check(TID, reference, TIDS, told)
            if answer.status != "PENDING":
                return answer

    answer = run(tmp_path, settings(tmp_path, sandbox.card), ask)
    assert (answer.status, answer.amount, answer.currency) == ("APPROVED", 10_00, "EUR")
    assert (answer.terminal_id, answer.caller_trx_id) == (TID, reference)
    assert answer.operation_type == "PAYMENT"
    assert answer.unclear == ()


def test_what_is_not_there_is_not_found(
    sandbox: SandboxProcess, reference: str, tmp_path: Path
) -> None:
    async def ask(asked: Backend, told: DriverSettings) -> None:
        with pytest.raises(NoSuchTransaction):
            await asked.check(TID, reference, TIDS, told)

    run(tmp_path, settings(tmp_path, sandbox.card), ask)


def test_a_terminal_that_is_not_ours_is_refused(
    sandbox: SandboxProcess, reference: str, tmp_path: Path
) -> None:
    async def ask(asked: Backend, told: DriverSettings) -> None:
        with pytest.raises(Refused) as caught:
            await asked.check("30359999", reference, ("30359999",), told)
        assert caught.value.status == 401

    run(tmp_path, settings(tmp_path, sandbox.card), ask)


def test_a_wrong_secret_is_refused(sandbox: SandboxProcess, tmp_path: Path) -> None:
    told = settings(tmp_path, sandbox.card)
    (tmp_path / "secret").write_text("another one")

    async def ask(asked: Backend, told: DriverSettings) -> None:
        with pytest.raises(Refused) as caught:
            await asked.ready(told)
        assert caught.value.status == 401

    run(tmp_path, told, ask)


def test_a_server_that_nobody_vouches_for_hears_nothing(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    async def ask(asked: Backend, told: DriverSettings) -> None:
        with pytest.raises(NotDelivered):
            await asked.ready(told)

    run(tmp_path, settings(tmp_path, sandbox.card, ca_file=""), ask)


def test_a_certificate_that_cannot_be_used_is_told(sandbox: SandboxProcess, tmp_path: Path) -> None:
    broken = tmp_path / "app.crt"
    broken.write_text("no certificate")

    async def ask(asked: Backend, told: DriverSettings) -> None:
        with pytest.raises(PeerError, match="certificate_file"):
            await asked.ready(told)

    run(tmp_path, settings(tmp_path, sandbox.card, certificate_file=str(broken)), ask)


# --- its books ---------------------------------------------------------------------------------

_STATES = {
    "APPROVED": State.APPROVED,
    "DECLINED": State.DECLINED,
    "CANCELLED": State.CANCELLED,
    "ERROR": State.UNKNOWN,
}


@dataclass
class Journal:
    """As much of the inbox as a list needs."""

    known: list[Transaction]
    """Newest first."""

    async def accepted_between(
        self, terminal_id: str, begin: Instant, end: Instant
    ) -> AsyncIterator[Transaction]:
        for each in self.known:
            if begin <= each.created_at < end:
                yield each

    async def newest_at(self, terminal_id: str, limit: int) -> list[Transaction]:
        return self.known[:limit]


def asked_for(name: str, cents: int, state: State = State.UNKNOWN) -> Transaction:
    """One of ours whose link could be seen."""
    return msgspec.structs.replace(
        sale(None, state=state), id=name, amount=Money(cents, "EUR"), peer={phone.CALLER: name}
    )


def test_the_books_have_each_ending_as_it_was(
    sandbox: SandboxProcess, tmp_path: Path, backend: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "APART", 0.0)
    clock = SystemClock()
    journal = Journal([asked_for(clock.transaction_id(), 700)])
    for cents in ENDINGS:
        name = clock.transaction_id()
        sell(sandbox.card, TID, name, cents)
        status = settled(backend, TID, name).body["status"]
        journal.known.insert(0, asked_for(name, cents, _STATES[status]))
    told = settings(tmp_path, sandbox.card, other_tid=TIDS[1])

    async def ask() -> tuple[list[Entry], object]:
        backends = Backends(AiohttpClient, clock, KeyFileVault(tmp_path / "key"))
        place = terminal(msgspec.to_builtins(told), TID)
        driver = SoftPosDriver(place, journal, clock, backends)  # type: ignore[arg-type]
        try:
            whole = driver.transactions(Instant(0), Instant(clock.now() + 1))
            entries = [each async for each in whole]
            return entries, await driver.perform(AskLast(), lambda _: None)
        finally:
            await backends.close()

    entries, last = asyncio.run(ask())
    assert last == entries[0]
    assert [each.name for each in entries] == [each.id for each in journal.known[:-1]]
    for entry, known in zip(entries, journal.known, strict=False):
        status, _, amount = ENDINGS[known.amount.minor]
        assert (entry.amount, entry.currency, entry.tid) == (amount, "EUR", TID)
        assert entry.verdict == ("UNKNOWN" if status == "ERROR" else status)
        assert entry.at is not None
        assert abs(entry.at - clock.now()) < 600_000
