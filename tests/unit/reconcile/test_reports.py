"""Reports: all that was found, for people and programs, and nothing that steers what shows it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.unit.reconcile.books import compared, row
from tillwire.reconcile import reports
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


def test_the_page_escapes_what_the_files_said() -> None:
    page = reports.html(spoiled())
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "amount differs" in page


def test_the_page_says_so_when_all_agrees_and_when_it_does_not_show_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "None." in reports.html(compared([row(1)], [row(1)]))
    monkeypatch.setattr(reports, "MOST_SHOWN", 1)
    assert "And 2 more, in differences.csv" in reports.html(spoiled())


def test_no_cell_of_a_spreadsheet_is_a_formula(tmp_path: Path) -> None:
    reports.write(spoiled(), tmp_path)
    for name in ("differences.csv", "totals.csv"):
        with (tmp_path / name).open(newline="", encoding="utf-8") as table:
            cells = [cell for line in csv.reader(table) for cell in line]
        assert not [each for each in cells if each.startswith(("=", "+", "@", "\t", "\r"))]
    with (tmp_path / "differences.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert "'=cmd|' /C calc'!A0" in {each["gateway_reference"] for each in rows}
    assert "'@SUM(1)" in {each["till_reference"] for each in rows}
    assert {each["kind"] for each in rows} == {
        "missing_at_acquirer", "amount_differs", "missing_at_gateway",
    }  # fmt: skip


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
