"""Differences in the journal: opened once, kept until a person closes them, opened anew when a fact
has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.reconcile.books import compared, row
from tillwire.clock import Instant
from tillwire.core.model import Discrepancy
from tillwire.journal.sqlite import SqliteJournal
from tillwire.reconcile.findings import findings
from tillwire.reconcile.run import Report

NOW = Instant(1_773_500_000_000)


@pytest.fixture
def journal(tmp_path: Path) -> SqliteJournal:
    return SqliteJournal(tmp_path / "journal.db", inline=True)


async def told(journal: SqliteJournal, report: Report) -> int:
    """How many discrepancies a report opens."""
    found = findings(report.differences, report.sources)
    return await journal.commit(lambda unit: sum(unit.report(each, NOW) for each in found))


def kept(journal: SqliteJournal, *, open_only: bool = True) -> list[Discrepancy]:
    """The journal's discrepancies."""
    return journal.read_now(lambda reader: reader.discrepancies(open_only=open_only))


async def test_the_same_differences_open_nothing_twice(journal: SqliteJournal) -> None:
    report = compared([row(1)], [row(1, amount="1.00"), row(2)], [])
    assert await told(journal, report) == 2
    assert await told(journal, report) == 0
    first, second = kept(journal)
    assert (first.kind, first.transaction_id) == ("missing_at_acquirer", row(1).transaction_id)
    assert "12.50 EUR" in first.known
    assert "1.00 EUR" in first.heard
    assert first.source == "till.csv, acquirer.csv"
    assert (second.kind, second.transaction_id) == ("missing_at_gateway", None)


async def test_what_was_closed_stays_closed_unless_a_fact_has_changed(
    journal: SqliteJournal,
) -> None:
    report = compared([row(1)], [row(1, amount="1.00")])
    await told(journal, report)
    (opened,) = kept(journal)
    assert await journal.commit(lambda unit: unit.close_discrepancy(opened.id, NOW, "Ada", "ok"))
    assert await told(journal, report) == 0
    assert kept(journal) == []
    assert await told(journal, compared([row(1)], [row(1, amount="2.00")])) == 1
    assert len(kept(journal, open_only=False)) == 2


async def test_rows_that_are_alike_in_everything_are_kept_apart(journal: SqliteJournal) -> None:
    strangers = compared([], None, [row(1)] * 3)
    assert await told(journal, strangers) == 3
    assert await told(journal, strangers) == 0


async def test_the_order_and_the_name_of_a_file_make_no_difference(journal: SqliteJournal) -> None:
    assert await told(journal, compared([], None, [row(1), row(2)])) == 2
    assert await told(journal, compared([], None, [row(2), row(1)])) == 0


async def test_a_refund_that_the_acquirer_has_paid_counts_as_paid(journal: SqliteJournal) -> None:
    refund = row(1, type="REFUND", status="FAILED")
    await told(journal, compared([refund], None, [row(1, type="REFUND")]))
    disputed = await journal.commit(lambda unit: unit.is_disputed(refund.transaction_id))
    assert disputed


async def test_another_side_that_agrees_opens_nothing_anew(journal: SqliteJournal) -> None:
    ours, till = [row(1), row(2)], [row(1, amount="1.00")]
    assert await told(journal, compared(ours, till)) == 2
    assert await told(journal, compared(ours, till, ours)) == 0, "the acquirer has what we have"
    other = [row(1, amount="2.00"), row(2)]
    assert await told(journal, compared(ours, till, other)) == 1, "it has something else of one"


async def test_a_profile_that_reads_more_of_the_same_file_opens_nothing_anew(
    journal: SqliteJournal,
) -> None:
    least = {"stan": "", "authorisation_code": "", "card_last4": "", "store": "", "terminal": ""}
    ours, others = [row(1), row(2)], [row(1, amount="1.00"), row(3, transaction_id="")]
    assert await told(journal, compared(ours, None, others)) == 3
    poorer = [row(1, amount="1.00", at="2026-03-14T00:00:00Z", **least), others[1]]
    assert await told(journal, compared(ours, None, poorer)) == 0
    unnamed = [others[0], row(3, transaction_id="", store="", card_last4="")]
    assert await told(journal, compared(ours, None, unnamed)) == 0
