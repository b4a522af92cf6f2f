"""Files as acquirers send them: with titles and totals around the rows, fees and payouts between
them, refunds in a column of their own, and without a word of what is the same in all rows."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import msgspec
import pytest

from tests.unit.reconcile.books import (
    SMALL,
    WINDOW,
    found,
    kinds,
    profile,
    row,
    small,
    with_file,
)
from tillwire.errors import InvalidRequest
from tillwire.reconcile import reports
from tillwire.reconcile.facts import Window
from tillwire.reconcile.match import ACQUIRER, GATEWAY
from tillwire.reconcile.results import Kind
from tillwire.reconcile.run import Report, gateway_rows, reconcile
from tillwire.reconcile.sources import File

ROOT = Path(__file__).parents[3]
AT = "2026-03-14T10:00:01Z"
OURS = [row(1), row(2), row(3, type="REFUND", amount="4.00")]
ROWS = [
    ["Ref", "Amount", "Date", "Kind"],
    ["sale-1", "12.50", AT, "SALE"],
    ["sale-2", "12.50", AT, "SALE"],
    ["sale-3", "-4.00", AT, "SALE"],
]
SIGNED = '\n[amount]\nnegative = "refund"\n'
IGNORED = '\n[ignore]\nKind = ["FEE", "PAYOUT"]\nRef = ["Total*", ""]\n'
SHOP = msgspec.structs.replace(WINDOW, terminals=frozenset({"acme-p2-pl1", "30350001"}))


def text(rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()


def refused(file: File, window: Window = WINDOW) -> str:
    with pytest.raises(InvalidRequest) as error:
        against(file, window)
    return error.value.detail


def against(file: File, window: Window) -> Report:
    return reconcile({GATEWAY: gateway_rows(OURS), ACQUIRER: file}, window)


# --- what stands around the rows ------------------------------------------------------------------


def test_lines_above_the_headings_are_passed_over(tmp_path: Path) -> None:
    titles = b'"Statement\r\nShop 4711;\r\n\r\n'
    file = small(tmp_path, titles + text(ROWS), SIGNED + "[file]\nabove = 3\n")
    assert kinds(with_file(OURS, file)) == {"matched": 3}


def test_the_line_of_a_mistake_is_counted_from_the_files_top(tmp_path: Path) -> None:
    rows = text([*ROWS, ["sale-4", "x", AT, "SALE"]])
    file = small(tmp_path, b"Statement\r\nof March\r\n" + rows, SIGNED + "[file]\nabove = 2\n")
    assert "row 4 (line 7), amount: 'x' cannot be read" in refused(file)
    open_quote = b"Statement\r\nof March\r\n" + rows + b'"x'
    told = refused(small(tmp_path, open_quote, SIGNED + "[file]\nabove = 2\n"))
    assert "line 8: " in told


@pytest.mark.parametrize("above", [1, 3, 99])
def test_headings_that_are_not_where_they_are_said_to_be_are_missed(
    tmp_path: Path, above: int
) -> None:
    file = small(tmp_path, b"a\r\nb\r\n" + text(ROWS), f"[file]\nabove = {above}\n")
    assert "there is no column 'Ref'" in refused(file) or "no headings" in refused(file)


def test_what_is_no_transaction_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        *ROWS[:2],
        ["f-1", "0.15", AT, "FEE"],
        *ROWS[2:],
        ["", "", "", ""],
        ["p-1", "20.85", "tomorrow", " PAYOUT "],
        ["Total 14.03.", "3", "20.85"],
    ]
    file = small(tmp_path, text(rows), SIGNED + IGNORED)
    report = with_file(OURS, file)
    assert kinds(report) == {"matched": 3}
    assert report.left_out == {"till": 4}
    assert reports.view(report)["left_out"] == {"till": 4}
    assert "till.csv</bdi>; rows left out, as the profile says: 4</li>" in reports.html(report)


def test_a_row_that_is_not_named_is_not_left_out(tmp_path: Path) -> None:
    for one in (["x", "1.00", AT, "FEES"], ["x", "1.00", AT, ""], [" my Total", "1.00", AT, ""]):
        report = with_file(OURS, small(tmp_path, text([*ROWS, one]), SIGNED + IGNORED))
        assert (found(report), report.left_out) == ([(Kind.MISSING_AT_GATEWAY,)], {})


def test_a_mistake_beside_ignored_rows_is_told_by_its_line(tmp_path: Path) -> None:
    rows = [*ROWS, ["f-1", "0.15", AT, "FEE"], ["sale-4", "x", AT, "SALE"]]
    told = refused(small(tmp_path, text(rows), SIGNED + IGNORED))
    assert "row 4 (line 6), amount: 'x' cannot be read" in told


def test_what_ignored_rows_are_known_by_must_be_there(tmp_path: Path) -> None:
    more = '\n[ignore]\nSort = ["FEE"]\n'
    told = "there is no one column 'Sort', by which rows are ignored"
    assert told in refused(small(tmp_path, text(ROWS), SIGNED + more))
    assert told in refused(_parquet(tmp_path, SIGNED + more))


def test_rows_are_ignored_in_parquet_and_json_and_without_headings(tmp_path: Path) -> None:
    ignored = '\n[ignore]\nKind = ["F*", "it\'s"]\n'
    report = with_file(OURS, _parquet(tmp_path, SIGNED + ignored))
    assert (kinds(report), report.left_out) == ({"matched": 3}, {"till": 2})
    names, *rows = [*ROWS, ["f-1", "0.15", AT, "FEE"]]
    path = tmp_path / "till.json"
    path.write_text(json.dumps([dict(zip(names, each, strict=True)) for each in rows]))
    mine = profile(tmp_path / "p.toml", SMALL + SIGNED + ignored + '[file]\nformat = "json"\n')
    report = with_file(OURS, File(path, mine))
    assert (kinds(report), report.left_out) == ({"matched": 3}, {"till": 1})
    numbered = SMALL.replace('"Ref"', "1").replace('"Amount"', "2").replace('"Date"', "3")
    more = f'{SIGNED}[file]\nheader = false\n[ignore]\n4 = ["FEE"]\n'
    mine = profile(tmp_path / "p.toml", numbered + more)
    (tmp_path / "till.csv").write_bytes(text(rows))
    report = with_file(OURS, File(tmp_path / "till.csv", mine))
    assert (kinds(report), report.left_out) == ({"matched": 3}, {"till": 1})


def _parquet(folder: Path, more: str) -> File:
    import duckdb

    path = folder / "till.parquet"
    rows = [*ROWS[1:], ["f-1", "0.15", AT, "FEE"], ["f-2", "0.15", "", "it's"]]
    values = ", ".join(str(tuple(each)).replace('"it\'s"', "'it''s'") for each in rows)
    names = ", ".join(f'"{name}"' for name in ROWS[0])
    duckdb.sql(f"SELECT * FROM (VALUES {values}) t({names})").write_parquet(str(path))
    return File(path, profile(folder / "p.toml", SMALL + more))


# --- amounts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "minor"),
    [
        (" 12.50 ", 1250), ("\u00a012.50", 1250), ("+12.50", 1250), ("-12.50", -1250),
        ("12.50-", -1250), ("12.50 -", -1250), (" -12.50", -1250),
    ],
)  # fmt: skip
def test_blanks_and_signs_are_read_wherever_they_stand(
    tmp_path: Path, written: str, minor: int
) -> None:
    rows = [["Ref", "Amount", "Date"], ["x", written, AT]]
    report = with_file([], small(tmp_path, text(rows), SIGNED))
    (only,) = report.differences
    assert only.first.flow == minor


@pytest.mark.parametrize("written", ["-12.50-", "+-12.50", "--1", "-", "12.50--", "- 12.50"])
def test_an_amount_has_one_sign(tmp_path: Path, written: str) -> None:
    rows = [["Ref", "Amount", "Date"], ["x", written, AT]]
    assert "row 1 (line 2), amount: " in refused(small(tmp_path, text(rows), SIGNED))


TWO = SMALL.replace('amount = "Amount"', 'amount = "Credit"\nrefund = "Debit"') + SIGNED


def _two(folder: Path, *rows: list[str], more: str = "") -> File:
    path = folder / "bank.csv"
    path.write_bytes(text([["Ref", "Credit", "Debit", "Date"], *rows]))
    return File(path, profile(folder / "bank.toml", TWO + more))


@pytest.mark.parametrize("nothing", ["", " ", "0.00", "0"])
@pytest.mark.parametrize("more", ["", '[file]\nencoding = "latin-1"\n'])
def test_refunds_may_have_a_column_of_their_own(tmp_path: Path, nothing: str, more: str) -> None:
    rows = [["sale-1", "12.50", nothing, AT], ["sale-2", "12.50", nothing, AT]]
    report = with_file(OURS, _two(tmp_path, *rows, ["sale-3", nothing, "4.00", AT], more=more))
    assert kinds(report) == {"matched": 3}


def test_an_amount_in_both_columns_or_none_is_a_mistake(tmp_path: Path) -> None:
    told = refused(_two(tmp_path, ["x", "1.00", "2.00", AT], ["y", "", "", AT]))
    assert "row 1 (line 2), amount: '1.00 and 2.00' cannot be read" in told
    assert "row 2 (line 3), amount: it is empty" in told
    assert "row 1" in refused(_two(tmp_path, ["x", "", "-2.00", AT]))


# --- what is the same in all rows -----------------------------------------------------------------


def test_a_terminal_that_all_rows_are_of_is_said_once(tmp_path: Path) -> None:
    assert "it does not say of which terminal" in refused(small(tmp_path, text(ROWS), SIGNED), SHOP)
    said = SMALL.replace("[columns]", 'tid = "30350001"\n[columns]') + SIGNED
    named = File(tmp_path / "till.csv", profile(tmp_path / "p.toml", said))
    assert kinds(against(named, SHOP)) == {"matched": 3}
    elsewhere = msgspec.structs.replace(SHOP, terminals=frozenset({"other"}))
    assert kinds(against(named, elsewhere)) == {"outside": 3}


def test_by_its_terminal_an_unknown_sale_is_known(tmp_path: Path) -> None:
    lost = [row(1, status="UNKNOWN", acquirer_reference="", stan="", authorisation_code="")]
    rows = text(ROWS[:2])
    for more, definite in (("", False), ('terminal = "acme-p2-pl1"\n', True)):
        path = tmp_path / "bank.csv"
        path.write_bytes(rows)
        mine = profile(tmp_path / "p.toml", SMALL.replace("[columns]", more + "[columns]"))
        report = reconcile({GATEWAY: gateway_rows(lost), ACQUIRER: File(path, mine)}, WINDOW)
        assert bool(report.resolvable) is definite


def test_a_store_that_all_rows_are_of_counts_where_it_was_asked_for(tmp_path: Path) -> None:
    said = SMALL.replace("[columns]", 'store = "Corner"\n[columns]') + SIGNED
    path = tmp_path / "till.csv"
    path.write_bytes(text(ROWS))
    file = File(path, profile(tmp_path / "p.toml", said))
    wholly = msgspec.structs.replace(SHOP, stores=frozenset({"corner"}))
    assert kinds(against(file, wholly)) == {"matched": 3}
    other = msgspec.structs.replace(wholly, terminals=frozenset({"x"}), stores=frozenset({"y"}))
    assert kinds(against(file, other)) == {"outside": 3}
    assert "it does not say of which terminal" in refused(file, SHOP)


def test_what_is_told_of_all_rows_is_told_of_each(tmp_path: Path) -> None:
    said = SMALL.replace("[columns]", 'store = "O\'Hara"\n[columns]')
    path = tmp_path / "till.csv"
    path.write_bytes(text([["Ref", "Amount", "Date"], ["x", "1.00", AT]]))
    report = with_file([], File(path, profile(tmp_path / "p.toml", said)))
    assert [each.store for each in report.groups] == ["O'Hara"]


def test_the_bank_s_file_of_the_guide_is_read(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/reconcile-a-day.md").read_text(encoding="utf-8")
    blocks = r"```text\n(Settlement.*?)```\n\n```toml\n(.*?)```"
    ((settled, told),) = re.findall(blocks, page, re.DOTALL)
    path = tmp_path / "bank.csv"
    path.write_text(settled, encoding="cp1252")
    sold = row(1, amount="1210.00", at="2026-03-14T09:20:00Z")
    given_back = row(7, type="REFUND", amount="12.00", at="2026-03-14T10:05:00Z")
    mine = File(path, profile(tmp_path / "bank.toml", told))
    report = with_file([sold, given_back], mine, label=ACQUIRER)
    assert (kinds(report), report.left_out) == ({"matched": 2}, {"acquirer": 2})
