"""What the gateway answers when it is told of the acquirer's word: only those transactions count as
resolved that ended as they were told to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tillwire.cli import reconcile
from tillwire.clock import Instant
from tillwire.core.model import Evidence, Outcome, State, Verdict
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.vault import KeyFileVault
from tillwire.reconcile.run import Resolution
from tillwire.server.control import ResolveDone, ResolveOrder

PAID = Outcome(Verdict.APPROVED, evidence=Evidence.RECOVERED, approved_amount=1, at=Instant(1))
NOT_PAID = Outcome(Verdict.DECLINED, evidence=Evidence.RECOVERED, at=Instant(1))


def test_what_ended_otherwise_meanwhile_was_not_resolved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {
        "paid": State.APPROVED,
        "declined": State.DECLINED,
        "on-its-way": State.STARTED,
        "failed": State.FAILED,
        "not-paid": State.DECLINED,
    }

    def ask(*asked: Any, look: str) -> ResolveDone:
        order = asked[-1]
        assert isinstance(order, ResolveOrder)
        return ResolveDone(states[order.transaction])

    monkeypatch.setattr(reconcile, "ask", ask)
    books = SqliteJournal(tmp_path / "journal.db", inline=True)
    resolver = reconcile.Resolver(books, KeyFileVault(tmp_path / "key"), tmp_path)
    told = [Resolution(each, NOT_PAID if each == "not-paid" else PAID) for each in states]
    assert resolver.resolve(told) == {"paid", "not-paid"}
    books.close()
