"""Files as others write them: what is read, and what is refused with the row, the line, the column,
what is wrong and what would be right. Nothing is half imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.reconcile.books import (
    SMALL,
    WINDOW,
    compared,
    found,
    kinds,
    profile,
    row,
    sides,
    small,
    with_file,
    write,
)
from tillwire.errors import InvalidRequest, TillwireError
from tillwire.reconcile import profiles
from tillwire.reconcile.exports import write_csv, write_parquet
from tillwire.reconcile.match import ACQUIRER, GATEWAY
from tillwire.reconcile.results import Kind
from tillwire.reconcile.run import gateway_rows, reconcile
from tillwire.reconcile.sources import File
from tillwire.reconcile.workspace import Workspace

OURS = [row(1)]
GOOD = b"Ref,Amount,Date\nsale-1,12.50,2026-03-14T10:00:01Z\n"


def refused(folder: Path, octets: bytes, more: str = "") -> str:
    """What is said of a file that cannot be read."""
    with pytest.raises(InvalidRequest) as error:
        with_file(OURS, small(folder, octets, more))
    return str(error.value.detail)


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    assert with_file(OURS, small(tmp_path, GOOD)).agrees


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"", "the file is empty"),
        (b"\n", "its first line has no headings"),
        (b"Ref,Amount\nsale-1,12.50\n", "there is no column 'Date', which is to be at"),
        (b"Ref,Amount,Date\nsale-1,12.50\n", "line 2: it has 2 columns. Allowed: 3 of them"),
        (b"Ref,Amount,Date\na,1.00,2026-03-14T10:00:01Z,x\n", "line 2: it has 4 columns"),
        (b'Ref,Amount,Date\n"sale-1,12.50,2026-03-14T10:00:01Z\n', "quotation mark"),
        (b"Ref,Amount,Date\nsale-\xff,12.50,2026-03-14T10:00:01Z\n", "is not UTF-8 text"),
        ("Ref,Amount,Date\n".encode("utf-16"), "not utf-8"),
        (b"\x00\x01\x02\x03", "it is no text of this encoding"),
        (b"Ref,Amount,Date\n" + b"x" * 3_000_000 + b",1.00,x\n", "line 2: it is too long"),
    ],
    ids=[
        "empty", "a blank line", "a column missing", "short", "long", "quotes", "latin", "utf-16",
        "binary", "endless",
    ],
)  # fmt: skip
def test_a_file_that_is_no_such_file_is_refused(tmp_path: Path, octets: bytes, told: str) -> None:
    assert told.lower() in refused(tmp_path, octets).lower()


AMOUNTS = ["1.234,56", "12,50", "1e3", "12.505", "12.340000000000001", "-5.00", "5.00-", "",
           "12.50 EUR", "NaN", "0x10", "12 .50", "++5.00", "1_000", "9999999999999999.00",
           "１２.50"]  # fmt: skip


@pytest.mark.parametrize("amount", AMOUNTS)
def test_an_amount_that_is_not_as_the_profile_says_is_refused(tmp_path: Path, amount: str) -> None:
    text = (
        f'Ref,Amount,Date\nsale-1,12.50,2026-03-14T10:00:01Z\nb,"{amount}",2026-03-14T10:00:01Z\n'
    )
    told = refused(tmp_path, text.encode())
    assert "row 2 (line 3), amount: " in told
    assert "allowed: an amount such as 1250.50" in told
    assert told.endswith("Nothing was imported.")


TIMES = ["2026-03-14", "2026-03-14T10:00:01", "14/03/2026 10:00", "2026-02-30T10:00:00Z", "now",
         "2026-03-14T25:00:00Z", "", "infinity", "1026-03-14T10:00:01Z", "1773482401"]  # fmt: skip


@pytest.mark.parametrize("moment", TIMES)
def test_a_time_that_is_none_or_has_no_offset_is_refused(tmp_path: Path, moment: str) -> None:
    told = refused(tmp_path, f"Ref,Amount,Date\nsale-1,12.50,{moment}\n".encode())
    assert "row 1 (line 2), at: " in told
    assert "with its offset from UTC" in told


ROME = '\n[time]\nformat = "%d/%m/%Y %H:%M:%S"\nzone = "Europe/Rome"\n'


def test_local_times_are_of_the_profiles_zone(tmp_path: Path) -> None:
    octets = b"Ref,Amount,Date\nsale-1,12.50,14/03/2026 11:00:01\n"
    report = with_file([], small(tmp_path, octets, ROME))
    (difference,) = report.differences
    assert difference.first.at == 1_773_482_401_000


def test_an_hour_that_clocks_leave_out_is_no_time(tmp_path: Path) -> None:
    octets = b"Ref,Amount,Date\nsale-1,12.50,29/03/2026 02:30:00\n"
    assert "row 1 (line 2), at: '29/03/2026 02:30:00' cannot be read" in refused(
        tmp_path, octets, ROME
    )
    twice = b"Ref,Amount,Date\nsale-1,12.50,25/10/2026 02:30:00\n"
    assert kinds(with_file([], small(tmp_path, twice, ROME))) == {"outside": 1}


def test_offsets_are_heeded(tmp_path: Path) -> None:
    octets = b"Ref,Amount,Date\nsale-1,12.50,2026-03-14T00:30:00+02:00\n"
    assert kinds(with_file([], small(tmp_path, octets))) == {"outside": 1}


def test_a_date_and_a_time_may_stand_apart(tmp_path: Path) -> None:
    mine = profile(
        tmp_path / "p.toml",
        'currency = "EUR"\n[columns]\nreference = 1\namount = 2\nat = 3\ntime = 4\n'
        '[file]\nheader = false\ndelimiter = ";"\n'
        '[time]\nformat = "%d.%m.%Y %H:%M"\nzone = "UTC"\n'
        '[amount]\ndecimal = ","\nthousands = "."\n',
    )
    path = tmp_path / "till.csv"
    path.write_bytes(b"sale-1;1.012,50;14.03.2026;10:00\n")
    ours = [row(1, amount="1012.50")]
    assert with_file(ours, File(path, mine)).agrees
    path.write_bytes(b"sale-1;1.012,50;14.03.2026;25:00\n")
    with pytest.raises(InvalidRequest, match=r"at: '14\.03\.2026 25:00' cannot be read"):
        with_file(ours, File(path, mine))


def test_words_and_signs_are_as_the_profile_says(tmp_path: Path) -> None:
    mine = profile(
        tmp_path / "p.toml",
        '[columns]\nreference = "Ref"\namount = "Amount"\nat = "Date"\n'
        'status = "S"\ncurrency = "C"\n'
        '[amount]\nunit = "minor"\nnegative = "refund"\n[statuses]\nok = "APPROVED"\n',
    )
    path = tmp_path / "till.csv"
    path.write_text(
        "Ref,Amount,Date,S,C\nsale-1,1250,2026-03-14T10:00:01Z,OK,EUR\n"
        "sale-2,-1250,2026-03-14T10:00:02Z, ok ,eur\n"
    )
    ours = [row(1), row(2, type="REFUND")]
    assert with_file(ours, File(path, mine)).agrees
    path.write_text("Ref,Amount,Date,S,C\nsale-1,1250,2026-03-14T10:00:01Z,yes,EUR\n")
    with pytest.raises(InvalidRequest, match="status: 'yes' cannot be read; allowed: APPROVED"):
        with_file(ours, File(path, mine))
    path.write_text("Ref,Amount,Date,S,C\nsale-1,1250,2026-03-14T10:00:01Z,ok,EURO\n")
    with pytest.raises(InvalidRequest, match="currency: 'EURO' cannot be read"):
        with_file(ours, File(path, mine))


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
def test_decimals_are_the_currencys(tmp_path: Path, currency: str) -> None:
    amount = {"JPY": "1250", "KWD": "1.250"}[currency]
    ours = [row(1, amount=amount, currency=currency)]
    text = f"Ref,Amount,Date\nsale-1,{amount},2026-03-14T10:00:01Z\n"
    mine = profile(tmp_path / "p.toml", SMALL.replace("EUR", currency))
    path = tmp_path / "till.csv"
    path.write_text(text)
    assert with_file(ours, File(path, mine)).agrees
    path.write_text(text.replace(amount, amount + ".5" if currency == "JPY" else amount + "5"))
    with pytest.raises(InvalidRequest, match="without more decimals than its currency has"):
        with_file(ours, File(path, mine))


def test_a_byte_order_mark_and_other_encodings_are_read(tmp_path: Path) -> None:
    assert with_file(OURS, small(tmp_path, b"\xef\xbb\xbf" + GOOD)).agrees
    for encoding in ("utf-16", "cp1252"):
        text = GOOD.decode().replace("sale-1", "caffè-1")
        ours = [row(1, reference="caffè-1")]
        file = small(tmp_path, text.encode(encoding), f'\n[file]\nencoding = "{encoding}"\n')
        assert with_file(ours, file).agrees
    told = refused(tmp_path, b"Ref,Amount,Date\n\x81,1.00,x\n", '\n[file]\nencoding = "cp1252"\n')
    assert "is not" in told
    assert "text" in told


def test_windows_lines_blank_lines_and_quoted_breaks_are_read(tmp_path: Path) -> None:
    octets = GOOD.replace(b"\n", b"\r\n") + b"\r\n"
    assert with_file(OURS, small(tmp_path, octets)).agrees
    broken = b'Ref,Amount,Date\n"a\nb",1.00,2026-03-14T10:00:01Z\n\nc,oops,2026-03-14T10:00:01Z\n'
    assert "row 2 (line 5), amount: 'oops'" in refused(tmp_path, broken)


def test_all_mistakes_are_counted_and_the_first_ones_told(tmp_path: Path) -> None:
    octets = b"Ref,Amount,Date\n" + b"a,oops,2026-03-14T10:00:01Z\n" * 25
    told = refused(tmp_path, octets)
    assert told.count("cannot be read") == 10
    assert told.count("allowed: ") == 1, "what is right of a column is said once"
    assert "and 15 more rows" in told


def test_a_row_of_a_large_file_is_told_by_its_own_number(tmp_path: Path) -> None:
    lines = [f"r-{n},1.00,2026-03-14T10:00:01Z" for n in range(300_000)]
    lines[271_828] = "r-271828,x,2026-03-14T10:00:01Z"
    text = "Ref,Amount,Date\n" + "\n".join(lines) + "\n"
    assert "row 271829 (line 271830), amount: 'x'" in refused(tmp_path, text.encode())
    lines[271_828] = "sale-1,13.00,2026-03-14T10:00:01Z"
    octets = ("Ref,Amount,Date\n" + "\n".join(lines[271_828:]) + "\n").encode()
    with pytest.raises(TillwireError, match="more than 5 differences"):
        reconcile({GATEWAY: gateway_rows(OURS), "till": small(tmp_path, octets)}, WINDOW, most=5)


def test_there_is_no_such_file(tmp_path: Path) -> None:
    mine = profile(tmp_path / "p.toml", SMALL)
    with pytest.raises(InvalidRequest, match="there is no such file"):
        with_file(OURS, File(tmp_path / "none.csv", mine))


def test_a_file_without_any_key_is_refused(tmp_path: Path) -> None:
    mine = profile(
        tmp_path / "p.toml", 'currency = "EUR"\n[columns]\namount = "Amount"\nat = "Date"\n'
    )
    path = tmp_path / "till.csv"
    path.write_bytes(GOOD)
    with pytest.raises(InvalidRequest, match="nothing in it says which"):
        with_file(OURS, File(path, mine))


def test_a_terminal_is_asked_of_a_file_that_does_not_say_it(tmp_path: Path) -> None:
    from tillwire.reconcile.facts import Window

    window = Window(WINDOW.begin, WINDOW.end, terminals=frozenset({"30350001"}))
    with pytest.raises(InvalidRequest, match="does not say of which terminal"):
        reconcile({GATEWAY: gateway_rows(OURS), "till": small(tmp_path, GOOD)}, window)


# --- other formats --------------------------------------------------------------------------


def test_our_own_export_is_read_as_csv_and_parquet(tmp_path: Path) -> None:
    rows = [
        row(1),
        row(2, reference='=cmd|" /C calc"!A0', status="DECLINED"),
        row(3, amount="9.99"),
    ]
    own = profiles.load("tillwire")
    with (tmp_path / "export.csv").open("w", encoding="utf-8", newline="") as out:
        assert write_csv(out, rows) == 3
    assert write_parquet(tmp_path / "export.parquet", rows) == 3
    for name in ("export.csv", "export.parquet"):
        report = with_file(rows, File(tmp_path / name, own), label=ACQUIRER)
        assert kinds(report) == {"matched": 3}


def test_a_parquet_file_is_held_to_the_same_rules(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "till.parquet"
    cells = "'sale-1' AS Ref, 0.1::DOUBLE + 0.2::DOUBLE AS Amount, '2026-03-14T10:00:01Z' AS Date"
    duckdb.sql(f"SELECT {cells}").write_parquet(str(path))
    mine = profile(tmp_path / "p.toml", SMALL + '\n[file]\nformat = "parquet"\n')
    with pytest.raises(InvalidRequest, match=r"row 1, amount: '0\.30000000000000004'"):
        with_file(OURS, File(path, mine))
    path.write_bytes(b"PAR1 and no more of it")
    with pytest.raises(InvalidRequest, match="it cannot be read"):
        with_file(OURS, File(path, mine))
    path.write_bytes(GOOD)
    with pytest.raises(InvalidRequest, match="it is no Parquet file"):
        with_file(OURS, File(path, mine))


CHECKED = {
    "terminalId": "30350001", "callerTrxId": "sale-1", "merchantId": "000000000000001",
    "transactionId": "rrn-1", "operationType": "PAYMENT", "status": "APPROVED", "resultCode": 0,
    "actionCode": "000", "amount": 1250, "currency": "EUR", "cardType": "VISA",
    "pan": "************4242", "authorizationNumber": "000001", "stan": "000001",
    "transactionTimestamp": "2026-03-14T10:00:01Z",
}  # fmt: skip


def test_answers_of_check_transaction_are_read(tmp_path: Path) -> None:
    path = tmp_path / "checked.json"
    path.write_text(json.dumps([CHECKED, {**CHECKED, "callerTrxId": "sale-2", "amount": 99}]))
    file = File(path, profiles.load("nexi-check-transaction"))
    report = with_file([row(1)], file, label=ACQUIRER)
    assert found(report) == [(Kind.MISSING_AT_GATEWAY,)]
    (difference,) = report.differences
    assert difference.first.texts["card_last4"] == "4242"
    path.write_text(json.dumps([CHECKED, {**CHECKED, "status": "SOMETHING"}]))
    with pytest.raises(InvalidRequest, match="row 2, status: 'SOMETHING'"):
        with_file([row(1)], file, label=ACQUIRER)


LISTED = {
    "transactionId": "rrn-1", "terminalId": "30350001", "amount": 1250, "currency": "EUR",
    "status": "APPROVED", "operationType": "PAYMENT", "createdAt": "2026-03-14T10:00:01Z",
    "maskedPan": "**** 4242", "tags": {"table": "5"},
}  # fmt: skip


def test_the_list_of_the_ios_sdk_is_read(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps([LISTED]))
    file = File(path, profiles.load("nexi-ios-list"))
    assert with_file([row(1)], file, label=ACQUIRER).agrees


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "it cannot be read"),
        ("[" * 100_000, "it cannot be read"),
        ("{}", "there is no list in the file"),
        ("[1]", "row 1 is no object"),
        (json.dumps([{**LISTED, "transactionId": [1]}]), "acquirer_reference: it is a list or an"),
        (
            json.dumps([{**LISTED, "createdAt": ""}]),
            "there is no column 'createdAt' or 'timestamp'",
        ),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(InvalidRequest) as error:
        with_file(OURS, File(path, profiles.load("nexi-ios-list")), label=ACQUIRER)
    assert told in error.value.detail


def test_an_empty_list_has_nothing(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text("[]")
    file = File(path, profiles.load("nexi-ios-list"))
    assert found(with_file(OURS, file, label=ACQUIRER)) == [(Kind.MISSING_AT_ACQUIRER,)]


# --- card numbers ---------------------------------------------------------------------------

CARD = "4111111111111111"


def test_no_card_number_gets_into_a_report_from_any_column(tmp_path: Path) -> None:
    texts = dict.fromkeys(profiles.TEXTS, f"x {CARD[:4]} {CARD[4:8]} {CARD[8:12]} {CARD[12:]}")
    file = write(
        tmp_path / "till.csv",
        [
            {**texts, "amount": "1.00", "currency": "EUR", "at": "2026-03-14T10:00:00Z",
             "type": "PURCHASE", "status": "APPROVED"},
        ],
    )  # fmt: skip
    report = with_file(OURS, File(file, profiles.load("tillwire")))
    told = repr(report)
    assert CARD[4:8] + " " + CARD[8:12] not in told
    assert "**** **** **** 1111" in told
    stranger = next(each for each in report.differences if "till" in each.seen)
    assert stranger.first.texts["card_last4"] == "1111"
    assert "transaction_id" not in stranger.first.texts


def test_a_reference_with_a_card_number_is_matched_by_what_is_left_of_it(tmp_path: Path) -> None:
    file = small(tmp_path, GOOD.replace(b"sale-1", CARD.encode()))
    assert with_file([row(1, reference="************1111")], file).agrees


def test_no_card_number_stands_in_an_error(tmp_path: Path) -> None:
    told = refused(tmp_path, f"Ref,Amount,Date\na,{CARD},x\n".encode())
    assert CARD not in told


def test_what_is_written_anew_has_no_card_number(tmp_path: Path) -> None:
    item = {**CHECKED, "callerTrxId": CARD, "pan": CARD, "unmapped": CARD}
    path = tmp_path / "checked.json"
    path.write_text(json.dumps([item]))
    file = File(path, profiles.load("nexi-check-transaction"))
    with Workspace(tmp_path) as workspace:
        file.prepare(workspace, ACQUIRER)
        written = workspace.file("acquirer.csv").read_text()
    assert CARD not in written
    assert "************1111" in written


def test_a_tills_own_long_number_stays_as_it_is() -> None:
    number = "2026031410000199"  # of no issuer
    ours = [row(1, reference=number)]
    theirs = [row(1, reference=number, transaction_id="", acquirer_reference="", stan="")]
    report = compared(ours, theirs)
    assert report.agrees
    assert sides(ours)


# --- the workspace --------------------------------------------------------------------------


def test_a_workspace_leaves_nothing_and_reads_nothing_else(tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.csv"
    stranger.write_text("a\n1\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    with Workspace(inner) as workspace:
        workspace.seal()
        with pytest.raises(Exception, match="Cannot access"):
            workspace.run(f"SELECT * FROM read_csv('{stranger}')")
        assert list(inner.iterdir())
    assert not list(inner.iterdir())
