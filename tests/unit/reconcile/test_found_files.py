"""Files as they are found: what spreadsheets, banks and tills write, and what somebody writes who
means no good. What cannot be read for certain is refused; no row is lost in silence."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from tests.unit.reconcile.books import SMALL, kinds, profile, row, small, with_file
from tillwire.errors import InvalidRequest
from tillwire.reconcile.sources import File

OURS = [row(1)]
AT = "2026-03-14T10:00:01Z"
GOOD = f"Ref,Amount,Date\nsale-1,12.50,{AT}\n"
UTF_16 = '\n[file]\nencoding = "utf-16"\n'
STATUS = SMALL.replace("[columns]", '[columns]\nstatus = "State"')


def refused(folder: Path, octets: bytes, more: str = "") -> str:
    """What is said of a till's file that cannot be read."""
    with pytest.raises(InvalidRequest) as error:
        with_file(OURS, small(folder, octets, more))
    return error.value.detail


def listed(folder: Path, document: str, more: str = "", text: str = SMALL) -> File:
    """A JSON file."""
    path = folder / "list.json"
    path.write_text(document)
    return File(path, profile(folder / "p.toml", text + '\n[file]\nformat = "json"\n' + more))


def table(folder: Path, cells: str, more: str = "") -> File:
    """A Parquet file of one row."""
    import duckdb

    path = folder / "till.parquet"
    duckdb.sql(f"SELECT {cells}").write_parquet(str(path))
    return File(path, profile(folder / "p.toml", SMALL + more))


# --- CSV ------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("inner", ["\n", "\r\n", "\r"])
def test_a_line_end_in_a_heading_loses_no_row(tmp_path: Path, end: str, inner: str) -> None:
    text = f'Ref,Amount,Date,"What{inner}for"{end}sale-1,12.50,{AT},"a{inner}b"{end}'
    assert kinds(with_file(OURS, small(tmp_path, text.encode()))) == {"matched": 1}
    wrong = text.replace("12.50", "oops").encode()
    assert "row 1 (line " in refused(tmp_path, wrong)


def test_empty_lines_above_the_headings_do_not_matter(tmp_path: Path) -> None:
    assert kinds(with_file(OURS, small(tmp_path, b"\r\n\r\n" + GOOD.encode()))) == {"matched": 1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_column_that_is_there_twice_is_not_guessed(tmp_path: Path, encoding: str) -> None:
    text = f"Ref,Amount,Date,Amount\nsale-1,12.50,{AT},99.00\n".encode(encoding)
    told = refused(tmp_path, text, UTF_16 if encoding == "utf-16" else "")
    assert "there are 2 columns 'Amount'. Allowed: one of them, which is to be amount" in told
    unused = f"Ref,Amount,Date,x,x\nsale-1,12.50,{AT},1,2\n".encode(encoding)
    file = small(tmp_path, unused, UTF_16 if encoding == "utf-16" else "")
    assert with_file(OURS, file).agrees


@pytest.mark.parametrize("rows", ["", f"sale-1,12.50,{AT}\n"])
def test_headings_are_wanted_in_every_encoding(tmp_path: Path, rows: str) -> None:
    octets = f"Reff,Amount,Date\n{rows}".encode("utf-16")
    assert "there is no column 'Ref', which is to be reference. Allowed: one of its columns: " in (
        refused(tmp_path, octets, UTF_16)
    )


def test_lines_that_end_in_several_ways_are_told(tmp_path: Path) -> None:
    octets = f"Ref,Amount,Date\nsale-1,12.50,{AT}\r\nsale-2,12.50,{AT}\n".encode()
    assert "its lines end in several ways" in refused(tmp_path, octets)


def test_a_line_without_end_is_not_read_whole(tmp_path: Path) -> None:
    octets = (GOOD + "x" * 3_000_000).encode("utf-16")
    assert "line 3: it is too long. Allowed: lines of up to 2 MB" in (
        refused(tmp_path, octets, UTF_16)
    )


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (gzip.compress(GOOD.encode(), mtime=0), "it is compressed by gzip"),
        (b"PK\x03\x04" + bytes(99), "it is a workbook or a ZIP archive"),
        (b"\xd0\xcf\x11\xe0" + bytes(99), "it is an old workbook"),
    ],
)
def test_what_is_no_text_is_called_by_its_name(tmp_path: Path, octets: bytes, told: str) -> None:
    assert told in refused(tmp_path, octets)


@pytest.mark.parametrize(
    ("octets", "more"),
    [
        (b"\xff", ""),
        (b"\xff", '\n[ignore]\nRef = ["x"]\n'),
        (b"\xff", "\n[file]\nabove = 1\n"),
        (b"\x81", '\n[file]\nencoding = "cp1252"\n'),
        (b"\x00\xd8", '\n[file]\nencoding = "utf-16-le"\n'),
    ],
    ids=["read by DuckDB", "read by us", "titles", "cp1252", "half a character"],
)
def test_the_line_that_is_no_text_is_told(tmp_path: Path, octets: bytes, more: str) -> None:
    above = "Title\n" if "above" in more else ""
    encoding = "utf-16-le" if "utf-16" in more else "utf-8"
    good = f"{above}Ref,Amount,Date\n" + f"sale-1,12.50,{AT}\n" * 20
    rest = f",12.50,{AT}\n".encode(encoding)
    told = refused(tmp_path, good.encode(encoding) + octets + rest, more)
    mine = next((each for each in ("cp1252", "utf-16-le") if each in more), "utf-8")
    assert f"line {len(good.splitlines()) + 1} is not {mine} text" in told


def test_only_files_are_opened(tmp_path: Path) -> None:
    mine = profile(tmp_path / "p.toml", SMALL)
    (tmp_path / "real.csv").write_text(GOOD)
    (tmp_path / "link.csv").symlink_to("real.csv")
    assert with_file(OURS, File(tmp_path / "link.csv", mine)).agrees
    (tmp_path / "*.csv").write_text(GOOD)
    assert with_file(OURS, File(tmp_path / "*.csv", mine)).agrees
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "nowhere").symlink_to("none")
    for name in ("nowhere", "?.csv", "s3://bucket/x.csv", "a\0b"):
        with pytest.raises(InvalidRequest, match="there is no such file"):
            with_file(OURS, File(tmp_path / name, mine))
    for name in ("fifo", "."):
        with pytest.raises(InvalidRequest, match="it is no regular file"):
            with_file(OURS, File(tmp_path / name, mine))
    with pytest.raises(InvalidRequest, match="it cannot be read: File name too long"):
        with_file(OURS, File(tmp_path / ("x" * 300), mine))


@pytest.mark.parametrize(
    ("amount", "minor"),
    [
        ("1.250", 125_000),
        ("12,5000", 1_250),
        ("9.999.999.999.999,99", 999_999_999_999_999),
        ("9999999999999,99", 999_999_999_999_999),
        ("9999999999,99", 999_999_999_999),
    ],
)
def test_amounts_are_read_to_the_largest(tmp_path: Path, amount: str, minor: int) -> None:
    text = f"Ref;Amount;Date\nx;{amount};{AT}\n"
    more = '[file]\ndelimiter = ";"\n[amount]\ndecimal = ","\nthousands = "."\n'
    (only,) = with_file([], small(tmp_path, text.encode(), more)).differences
    assert only.first.amount.minor == minor


@pytest.mark.parametrize("amount", ["10000000000000.00", "99999999999999.99", "1.250", "12.500"])
def test_what_is_too_much_or_perhaps_thousands_is_refused(tmp_path: Path, amount: str) -> None:
    assert f"row 1 (line 2), amount: '{amount}' cannot be read" in (
        refused(tmp_path, f"Ref,Amount,Date\nx,{amount},{AT}\n".encode())
    )


def test_thousands_may_be_set_apart_by_spaces_that_do_not_break(tmp_path: Path) -> None:
    more = '[file]\ndelimiter = ";"\n[amount]\ndecimal = ","\nthousands = " "\n'
    for space in (" ", "\u00a0", "\u202f"):
        text = f"Ref;Amount;Date\nsale-1;1{space}250,00;{AT}\n"
        assert with_file([row(1, amount="1250.00")], small(tmp_path, text.encode(), more)).agrees


def test_below_zero_money_goes_back_and_nothing_is_reserved(tmp_path: Path) -> None:
    text = SMALL.replace("[columns]", '[columns]\ntype = "Type"')
    mine = profile(tmp_path / "p.toml", text + '[amount]\nnegative = "refund"\n')
    path = tmp_path / "till.csv"
    ours = [row(1, type="REFUND")]
    for kind in ("PURCHASE", "CAPTURE", "REFUND"):
        path.write_text(f"Ref,Type,Amount,Date\nsale-1,{kind},-12.50,{AT}\n")
        assert with_file(ours, File(path, mine)).agrees
    path.write_text(f"Ref,Type,Amount,Date\nsale-1,PREAUTH,-12.50,{AT}\n")
    with pytest.raises(InvalidRequest, match=r"amount: '-12\.50' cannot be read"):
        with_file(ours, File(path, mine))


def test_an_empty_status_is_what_the_profile_says_or_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "till.csv"
    path.write_text(f"Ref,State,Amount,Date\nsale-1,,12.50,{AT}\nsale-2,ok,12.50,{AT}\n")
    words = '[statuses]\nok = "APPROVED"\n'
    with pytest.raises(InvalidRequest, match=r"row 1 \(line 2\), status: it is empty"):
        with_file(OURS, File(path, profile(tmp_path / "p.toml", STATUS + words)))
    text = 'default_status = "DECLINED"\n' + STATUS + words
    report = with_file([row(2)], File(path, profile(tmp_path / "p.toml", text)))
    assert kinds(report) == {"matched": 2}, "what was declined needs no counterpart"


@pytest.mark.parametrize(
    ("moment", "is_one"),
    [
        ("2026-03-14 11:00:01", True),
        ("2026-03-14 11:00:01.5", True),
        ("2026-03-14T10:00:01+0000", True),
        ("2026-03-14 10:00:01 +00:00", False),
        ("2026-03-14 11:00:01 Asia/Tokyo", False),
        ("2026-03-14 11:00:01 BC", False),
        ("2026-03-14 11:00:01 x", False),
    ],
)
def test_a_time_says_no_more_than_a_time(tmp_path: Path, moment: str, is_one: bool) -> None:
    octets = f"Ref,Amount,Date\nsale-1,12.50,{moment}\n".encode()
    more = '[time]\nzone = "Europe/Rome"\n'
    if is_one:
        (only,) = with_file([], small(tmp_path, octets, more)).differences
        assert only.first.at // 1000 == 1_773_482_401
    else:
        assert f"at: '{moment}' cannot be read" in refused(tmp_path, octets, more)


# --- JSON -----------------------------------------------------------------------------------


def test_a_status_that_no_object_has_is_not_taken_for_approved(tmp_path: Path) -> None:
    item = {"Ref": "sale-1", "Amount": 12.5, "Date": AT}
    for document in ([item], [{**item, "State": ""}], [{**item, "State": None}]):
        with pytest.raises(InvalidRequest, match="no column 'State', which is to be status"):
            with_file(OURS, listed(tmp_path, json.dumps(document), text=STATUS))
    file = listed(tmp_path, "[]", text=STATUS)
    assert kinds(with_file(OURS, file)) == {"missing_at_till": 1}


def test_a_currency_that_no_object_has_is_missed(tmp_path: Path) -> None:
    text = SMALL.replace("[columns]", '[columns]\ncurrency = "Cur"')
    item = json.dumps([{"Ref": "sale-1", "Amount": 12.5, "Date": AT}])
    assert with_file(OURS, listed(tmp_path, item, text=text)).agrees
    with pytest.raises(InvalidRequest, match="no column 'Cur', which is to be currency"):
        with_file(OURS, listed(tmp_path, item, text=text.replace('currency = "EUR"', "")))


@pytest.mark.parametrize("amount", ["12.5", "12.500", "1.25e1"])
@pytest.mark.parametrize("more", ["", '[amount]\ndecimal = ","\nthousands = "."\n'])
def test_a_number_is_a_number_however_texts_write_theirs(
    tmp_path: Path, amount: str, more: str
) -> None:
    document = f'[{{"Ref": "sale-1", "Amount": {amount}, "Date": "{AT}"}}]'
    assert with_file(OURS, listed(tmp_path, document, more)).agrees


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("NaN", "row 1, amount: 'NaN' cannot be read"),
        ("1e999999999", "row 1, amount: '1E+999999999' cannot be read"),
        ("true", "row 1, amount: 'true' cannot be read"),
        ("{}", "row 1, amount: it is a list or an object"),
        ('"\\ud800"', "row 1, amount: it has half a character"),
    ],
)
def test_what_is_no_number_is_told(tmp_path: Path, cell: str, told: str) -> None:
    document = f'[{{"Ref": "sale-1", "Amount": {cell}, "Date": "{AT}"}}]'
    with pytest.raises(InvalidRequest) as error:
        with_file(OURS, listed(tmp_path, document))
    assert told in error.value.detail


# --- Parquet --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["DECIMAL(18, 3)", "DECIMAL(18, 4)", "DOUBLE"])
@pytest.mark.parametrize("more", ["", '[amount]\ndecimal = ","\nthousands = "."\n'])
def test_a_typed_amount_is_what_it_is(tmp_path: Path, kind: str, more: str) -> None:
    cells = f"'sale-1' AS Ref, 12.5::{kind} AS Amount, '{AT}' AS Date"
    assert with_file(OURS, table(tmp_path, cells, more)).agrees


def test_typed_times_and_whole_numbers_are_read(tmp_path: Path) -> None:
    cells = "17::DOUBLE AS Ref, 1250::DOUBLE AS Amount, TIMESTAMP '2026-03-14 11:00:01' AS Date"
    more = '[amount]\nunit = "minor"\n[time]\nzone = "Europe/Rome"\n'
    assert with_file([row(1, reference="17")], table(tmp_path, cells, more)).agrees


def test_a_column_of_lists_is_refused(tmp_path: Path) -> None:
    for value in ("[1]", "{'a': 1}", "MAP {'a': 1}"):
        cells = f"{value} AS Ref, 12.5 AS Amount, '{AT}' AS Date"
        with pytest.raises(InvalidRequest, match="column 'Ref' holds lists or objects"):
            with_file(OURS, table(tmp_path, cells))


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    file = table(tmp_path, f"'sale-1' AS Ref, 12.5 AS Amount, '{AT}' AS Date")
    path = tmp_path / "till.parquet"
    octets = path.read_bytes()
    for damaged in (octets[:-40], octets[:20] + b"\xff" * 4 + octets[24:]):
        path.write_bytes(damaged)
        with pytest.raises(InvalidRequest, match="it cannot be read"):
            with_file(OURS, file)
