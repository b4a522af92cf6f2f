"""The journal as a side: what a comparison keeps of it, and for how long."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.unit.reconcile.books import WINDOW, row, sides, small
from tillwire.clock import Instant
from tillwire.core.model import Finding
from tillwire.journal.sqlite import SqliteJournal
from tillwire.reconcile.match import ACQUIRER, TILL
from tillwire.reconcile.with_journal import compare


def test_a_journal_is_not_held_while_files_are_compared(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    books = SqliteJournal(path, inline=True)
    folded: dict[str, bool] = {}

    def write(doing: str) -> None:
        """Write something, and fold all that was written into the file."""
        finding = Finding(
            key=doing, kind="duplicate", transaction_id=None, known="", heard="", source=""
        )
        books.commit_now(lambda unit: unit.report(finding, Instant(0)))
        connection = sqlite3.connect(path, timeout=0)
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        folded[doing] = not busy
        connection.close()

    others = {
        TILL: small(tmp_path, b"Ref,Amount,Date\nsale-1,12.50,2026-03-14T10:00:01Z\n"),
        ACQUIRER: sides([], acquirer=[row(1)])[ACQUIRER],
    }
    report = books.read_now(lambda reader: compare(reader, others, WINDOW, None, say=write))
    books.close()
    assert len(report.differences) == 1
    assert folded == {
        "Reading the gateway.": False,
        "Reading acquirer.csv.": False,
        "Reading till.csv.": True,
        "Comparing.": True,
    }
