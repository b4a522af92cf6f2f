"""Reports: all that was found, for people and programs, and nothing that steers what shows it."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
from pathlib import Path

import pytest

from tests.unit.reconcile.books import WINDOW, compared, row
from tillwire.clock import Instant
from tillwire.reconcile import reports
from tillwire.reconcile.facts import Window
from tillwire.reconcile.run import Report

HOSTILE = '<script>alert("x")</script>'


def spoiled() -> Report:
    """Differences with texts that mean no good."""
    return compared(
        [row(1, reference=HOSTILE), row(2, reference="=cmd|' /C calc'!A0")],
        [row(1, reference=HOSTILE, amount="1.00"), row(3, transaction_id="", reference="@SUM(1)")],
        [row(1, reference=HOSTILE)],
    )


def test_all_reports_are_written_and_written_again(tmp_path: Path) -> None:
    report = spoiled()
    first = {each.name: each.read_bytes() for each in reports.write(report, tmp_path / "out")}
    assert set(first) == {"report.html", "report.json", "differences.csv", "totals.csv"}
    second = {each.name: each.read_bytes() for each in reports.write(spoiled(), tmp_path / "out")}
    assert first == second


def test_a_report_is_there_as_a_whole_or_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = reports.write(spoiled(), tmp_path)
    before = [each.read_bytes() for each in written]
    write_text = Path.write_text

    def full(path: Path, text: str, **how: str) -> int:
        write_text(path, text[:100], **how)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        reports.write(compared([row(1)], [row(1)]), tmp_path)
    assert [each.read_bytes() for each in written] == before
    assert sorted(tmp_path.iterdir()) == sorted(written)


def test_the_page_escapes_what_the_files_said() -> None:
    page = reports.html(spoiled())
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "amount differs" in page


def test_the_page_says_so_when_all_agrees_and_when_it_does_not_show_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = reports.html(compared([row(1)], [row(1)]))
    assert "No differences" in page
    assert "<h2>Differences" not in page
    assert "No transactions within what was asked for." in reports.html(compared([], []))
    monkeypatch.setattr(reports, "MOST_SHOWN", 1)
    assert "And 2 more, in differences.csv" in reports.html(spoiled())


def test_no_cell_of_a_spreadsheet_is_a_formula(tmp_path: Path) -> None:
    reports.write(spoiled(), tmp_path)
    for name in ("differences.csv", "totals.csv"):
        with (tmp_path / name).open(newline="", encoding="utf-8-sig") as table:
            cells = [cell for line in csv.reader(table) for cell in line]
        assert not [each for each in cells if each.startswith(("=", "+", "@", "\t", "\r"))]
    with (tmp_path / "differences.csv").open(newline="", encoding="utf-8-sig") as table:
        rows = list(csv.DictReader(table))
    assert "'=cmd|' /C calc'!A0" in {each["gateway_reference"] for each in rows}
    assert "'@SUM(1)" in {each["till_reference"] for each in rows}
    assert "'" + row(1).transaction_id in {each["gateway_transaction_id"] for each in rows}
    assert reports.plain("\uff1dcmd") == "'\uff1dcmd"
    assert reports.plain(" =cmd") == "' =cmd"
    assert {each["kind"] for each in rows} == {
        "missing_at_acquirer", "amount_differs", "missing_at_gateway",
    }  # fmt: skip


def test_no_text_steers_what_shows_it(tmp_path: Path) -> None:
    steering = "\x1b[2Jred\u202e\x07"
    report = compared([row(1, reference=steering, store=steering)], [], [row(2, terminal=steering)])
    for path in reports.write(report, tmp_path):
        text = path.read_text()
        assert not set(text) & {"\x1b", "\x07"}
        assert path.suffix == ".json" or "\u202e" not in text
        assert "[2Jred" in text


def test_a_difference_tells_what_each_side_has() -> None:
    report = compared([row(1)], [row(2), row(2)], None)
    first, second, third = report.differences
    assert reports.fact(first.seen["gateway"]) == "PURCHASE 12.50 EUR APPROVED"
    assert reports.fact(first.seen.get("till")) == "\N{EN DASH}"
    assert [reports.words(each) for each in (first, second, third)] == [
        "missing at the till", "missing at the gateway", "duplicate of row 1",
    ]  # fmt: skip
    page = reports.html(report)
    assert "3 differences" in page
    assert page.count("<b>PURCHASE 12.50 EUR APPROVED</b>") == 3
    assert "duplicate of row 1" in page


def test_the_page_marks_the_side_that_has_it_otherwise_and_tells_what_it_has_besides() -> None:
    bank = row(1, at="2026-03-14T10:20:07Z", stan="7")
    page = reports.html(compared([row(1)], [row(1, amount="12.05")], [bank]))
    (shown,) = re.findall(r'<tr[^>]*><td class="result".*?</tr>', page, re.DOTALL)
    cells = re.findall(r'<td class="said( unlike)?"[^>]*><b>(.*?)</b>.*?<bdi>(.*?)</bdi>', shown)
    assert cells == [
        ("", "PURCHASE 12.50 EUR APPROVED", ""),
        (" unlike", "PURCHASE 12.05 EUR APPROVED", "row 1"),
        ("", "PURCHASE 12.50 EUR APPROVED", "row 1, 2026-03-14 10:20:07, stan 7"),
    ]
    assert shown.count("reference sale-1") == 1, "once for all of them"


def test_sums_are_of_what_was_asked_for_in_each_currency() -> None:
    other_day = row(3, at="2026-03-16T10:00:00Z", transaction_id="")
    partly = row(4, transaction_id="", at="2026-03-14T10:00:00Z")
    report = compared([row(1), row(2, currency="USD")], [row(1), other_day, partly])
    assert [each.day for each in report.groups] != [each.day for each in reports.asked_for(report)]
    euros, dollars = reports.sums(report)
    assert (euros.currency, euros.rows, euros.flow) == (
        "EUR", {"gateway": 1, "till": 2}, {"gateway": 1250, "till": 2500},
    )  # fmt: skip
    assert (dollars.currency, dollars.rows) == ("USD", {"gateway": 1})
    page = reports.html(report)
    assert "all, in EUR" in page
    assert "2026-03-16" not in page
    assert reports.NOT_SAID not in page
    early = Window(WINDOW.begin, Instant(WINDOW.begin + 36_001_500))
    rows = [row(1), row(2)]
    (only,) = compared(rows, rows, window=early).groups
    assert (only.rows["till"], only.flow["till"]) == (2, 1250), "the later one was not asked for"


def test_the_json_has_every_difference_and_every_sum(tmp_path: Path) -> None:
    reports.write(spoiled(), tmp_path)
    document = json.loads((tmp_path / "report.json").read_text())
    assert len(document["differences"]) == 3
    (first, *_) = document["differences"]
    assert first["kinds"] == ["amount_differs"]
    assert first["gateway"]["amount"] == "12.50"
    assert first["till"]["amount"] == "1.00"
    (group,) = document["totals"]
    assert group["moved"] == {"gateway": "25.00", "till": "13.50", "acquirer": "12.50"}
    assert group["day"] == "2026-03-14"
    assert sum(document["kinds"].values()) == 3
