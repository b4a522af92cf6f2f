"""`tillwire reconcile` and `tillwire transactions export`, beside a gateway and without one."""

from __future__ import annotations

import csv
import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.kit.sandbox_process import SandboxProcess, start_sandbox
from tests.kit.shop_front import Till
from tests.unit.cli.conftest import Run
from tillwire.clock import Instant
from tillwire.core.model import Finding
from tillwire.journal.sqlite import SqliteJournal

PATIENCE = 30.0
ALWAYS = ("--from", "2020-01-01", "--to", "2099-01-01")
LEDGER = ("--acquirer-profile", "sandbox-ledger")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    running = start_sandbox(tmp_path_factory.mktemp("shop") / "sandbox")
    yield running
    running.stop()


class Shop:
    """A sandbox with a few sales, and what its acquirer says of them."""

    def __init__(self, run: Run, sandbox: SandboxProcess, folder: Path) -> None:
        self._run = run
        self.here = ("--data", sandbox.directory)
        self._sandbox = sandbox
        self.till = folder / "till.csv"
        self.ledger = folder / "ledger.json"

    def sell(self, terminal: str, reference: str, amount: str) -> dict[str, Any]:
        """Sell, and wait until the sale is not on its way any more."""
        Till(self._sandbox.card, terminal).start(reference, round(Decimal(amount) * 100))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            (sale,) = self.listed(reference)
            if sale["state"] not in ("ACCEPTED", "SENT", "STARTED"):
                return sale
        raise AssertionError("it is on its way for ever")

    def listed(self, reference: str) -> list[dict[str, Any]]:
        """The transactions under this reference."""
        chosen = ("--reference", reference, "--json")
        listed: list[dict[str, Any]] = self._run(
            "transactions", "list", *chosen, *self.here
        ).document
        return listed

    def export(self) -> list[dict[str, str]]:
        """The journal's own table, as the till's export."""
        ran = self._run("transactions", "export", "--csv", self.till, *ALWAYS, *self.here)
        assert ran.status == 0, ran.err
        with self.till.open(newline="", encoding="utf-8") as table:
            return list(csv.DictReader(table))

    def settle(self, *rows: dict[str, Any]) -> None:
        """The acquirer's file."""
        self.ledger.write_text(json.dumps(rows), encoding="utf-8")


def settled(sale: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A sale as the acquirer has it."""
    row = {
        "terminal": sale["terminal"],
        "type": "PURCHASE",
        "amount": sale["amount"]["minor"],
        "currency": "EUR",
        "reference": sale["reference"],
        "approved": True,
        "at": sale["accepted_at"],
    }
    return {**row, **changes}


@pytest.fixture
def shop(run: Run, sandbox: SandboxProcess, tmp_path: Path) -> Shop:
    return Shop(run, sandbox, tmp_path)


def test_the_journal_agrees_with_its_own_export(run: Run, shop: Shop, tmp_path: Path) -> None:
    shop.sell("TILLWIRE-V1-0001", "export-1", "10.00")
    shop.sell("TILLWIRE-V1-0001", "export-2", "10.40")
    rows = shop.export()
    assert {"export-1", "export-2"} <= {each["reference"] for each in rows}
    printed = run("transactions", "export", *ALWAYS, *shop.here).out
    assert printed == shop.till.read_text()
    parquet = tmp_path / "till.parquet"
    assert run("transactions", "export", "--parquet", parquet, *ALWAYS, *shop.here).status == 0
    for file in (shop.till, parquet):
        ran = run("reconcile", "--till", file, "--dry-run", "--json", *ALWAYS, *shop.here)
        assert ran.status == 0, ran.err
        assert ran.document["kinds"]["matched"] == len(rows)


def test_beside_a_gateway_an_unknown_sale_is_resolved_once(run: Run, shop: Shop) -> None:
    sale = shop.sell("TILLWIRE-V1-0002", "lost-1", "30.47")
    assert sale["state"] == "UNKNOWN"
    shop.settle(settled(sale))
    only = ("--terminal", "TILLWIRE-V1-0002", *ALWAYS, *shop.here)
    command = ("reconcile", "--acquirer", shop.ledger, *LEDGER, *only)
    tried = run(*command, "--dry-run")
    assert tried.status == 3
    assert f"The acquirer's word is definite about: {sale['id']}." in tried.err
    assert shop.listed("lost-1") == [sale], "a dry run changes nothing"
    ran = run(*command, "--json")
    assert (ran.status, ran.document["resolved"]) == (0, [sale["id"]])
    (ended,) = shop.listed("lost-1")
    assert (ended["state"], ended["outcome"]["evidence"]) == ("APPROVED", "recovered")
    shown = run("transactions", "show", sale["id"], *shop.here).out
    assert "source: ledger.json" in shown
    again = run(*command, "--json")
    assert (again.status, again.document["resolved"]) == (0, [])
    assert shop.listed("lost-1") == [ended]
    assert shop.sell("TILLWIRE-V1-0002", "lost-2", "1.00")["state"] == "APPROVED"


def test_a_difference_is_a_discrepancy_until_a_person_closes_it(
    run: Run, shop: Shop, tmp_path: Path
) -> None:
    sale = shop.sell("TILLWIRE-V1-0001", "differs-1", "12.00")
    shop.settle(settled(sale, amount=1300))
    first = ("--from", sale["accepted_at"], "--to", "2099-01-01")
    command = ("reconcile", "--acquirer", shop.ledger, *LEDGER, *first, *shop.here)
    ran = run(*command, "--out", tmp_path / "out")
    assert ran.status == 3
    assert "amount differs                 1" in ran.out
    assert "Discrepancies opened: 1." in ran.err
    assert (tmp_path / "out" / "report.html").exists()
    assert "Discrepancies opened: 0." in run(*command).err
    listed = run("discrepancies", "list", "--json", *shop.here).document
    (found,) = [each for each in listed if each["transaction_id"] == sale["id"]]
    assert (found["kind"], found["source"]) == ("amount_differs", "ledger.json")
    closing = ("--person", "Ada", "--reason", "1.00 given back")
    assert run("discrepancies", "close", found["id"], *closing, *shop.here).status == 0
    ran = run(*command)
    assert (ran.status, "Discrepancies opened: 0." in ran.err) == (3, True), "it still differs"


def test_each_acquirers_file_is_read_by_its_own_profile(
    run: Run, shop: Shop, tmp_path: Path
) -> None:
    lost = shop.sell("TILLWIRE-V1-0002", "several-1", "30.47")
    sold = shop.sell("TILLWIRE-V1-0001", "several-2", "9.00")
    shop.settle(settled(lost))
    second = tmp_path / "second.csv"
    second.write_text(f"Ref;Sum;At\nseveral-2;9,00;{sold['accepted_at']}\n", encoding="utf-8")
    profile = tmp_path / "second.toml"
    profile.write_text(
        'currency = "EUR"\n[file]\ndelimiter = ";"\n[amount]\ndecimal = ","\n'
        '[columns]\nreference = "Ref"\namount = "Sum"\nat = "At"\n'
    )
    begin = ("--from", lost["accepted_at"], "--to", "2099-01-01", *shop.here)
    one = ("--acquirer", shop.ledger, *LEDGER)
    ran = run("reconcile", "--acquirer", second, "--acquirer-profile", profile, *one, *begin)
    assert ran.status == 0, ran.err
    assert "acquirer (second.csv, ledger.json)" in ran.out
    assert f"Resolved by the acquirer's word: {lost['id']}." in ran.out
    assert "source: ledger.json" in run("transactions", "show", lost["id"], *shop.here).out


def test_a_terminal_of_another_store_is_not_compared_for_this_one(run: Run, shop: Shop) -> None:
    chosen = ("--store", "The Other Shop", "--terminal", "TILLWIRE-V1-0001", *ALWAYS)
    ran = run("transactions", "export", *chosen, *shop.here)
    assert (ran.status, ran.out) == (2, "")
    assert "TILLWIRE-V1-0001 is not in that store. Allowed: in Tillwire Corner Shop." in ran.err


def test_who_reads_an_export_slowly_does_not_hold_the_journal(
    run: Run, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Finding(key="1", kind="", transaction_id=None, known="", heard="", source="")
    folded: list[bool] = []

    def slowly(text: str) -> int:
        books = SqliteJournal(journal)
        books.commit_now(lambda unit: unit.report(finding, Instant(1)))
        connection = sqlite3.connect(journal, timeout=0)
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        folded.append(not busy)
        connection.close()
        books.close()
        return len(text)

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=slowly, flush=lambda: None))
    run("transactions", "export", *ALWAYS, "--journal", journal)
    assert folded
    assert all(folded)


def test_what_cannot_be_exported_is_told(run: Run, shop: Shop) -> None:
    for option in (("--csv", "/dev/full"), ("--parquet", "/nowhere/x.parquet")):
        ran = run("transactions", "export", *option, *ALWAYS, *shop.here)
        assert ran.status == 2
        assert f"{option[1]}: it cannot be written: " in ran.err


def test_where_no_gateway_runs_the_command_resolves_it_itself(run: Run, tmp_path: Path) -> None:
    running = start_sandbox(tmp_path / "sandbox")
    shop = Shop(run, running, tmp_path)
    try:
        sale = shop.sell("TILLWIRE-V1-0001", "lost-1", "30.47")
    finally:
        running.stop()
    shop.settle(settled(sale))
    command = ("reconcile", "--acquirer", shop.ledger, *LEDGER, *ALWAYS, *shop.here)
    assert run(*command, "--json").document["resolved"] == [sale["id"]]
    assert shop.listed("lost-1")[0]["state"] == "APPROVED"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--day", "2026-05-01"), "--till: there is nothing to compare with"),
        (("--till", "none.csv"), "--day: say which time is meant"),
        (("--till", "none.csv", "--day", "yesterday"), "--day: 'yesterday' is no day"),
        (("--till", "none.csv", "--day", "2026-05-01", "--from", "2026-05-01"), "--day: say which"),
        (("--till", "none.csv", "--day", "9999-12-31"), "--day: '9999-12-31' is no day"),
        (("--till", "none.csv", "--from", "2026-05-01"), "--day: say which time is meant"),
        (("--till", "none.csv", "--from", "2026-05-02", "--to", "2026-05-01"), "is not later"),
        (("--till", "none.csv", "--day", "2026-05-01"), "none.csv: there is no such file"),
        (("--till", "x", "--till-profile", "x", "--day", "2026-05-01"), "No profile 'x'"),
        (
            ("--till", "a", *("--till-profile", "tillwire") * 2, "--day", "2026-05-01"),
            "--till-profile: files: 1, profiles: 2",
        ),
        (("--till", "x", "--day", "2026-05-01", "--store", "x"), "No store 'x'"),
    ],
)
def test_what_is_wrong_with_the_command_is_told(
    run: Run, journal: Path, arguments: tuple[str, ...], told: str
) -> None:
    ran = run("reconcile", *arguments, "--journal", journal)
    assert told in ran.err
    assert ran.status in (1, 2)
    assert ran.out == ""


def test_where_reports_cannot_be_written_nothing_is_done(
    run: Run, journal: Path, tmp_path: Path
) -> None:
    rows = "transaction_id,original_id,reference,acquirer_reference,terminal,tid,store,type,status,"
    rows += "amount,currency,at,authorisation_code,stan,card_last4\n,,x,,,,,PURCHASE,APPROVED,"
    (tmp_path / "till.csv").write_text(rows + "1.00,EUR,2026-05-01T10:00:00Z,,,\n")
    command = ("reconcile", "--till", tmp_path / "till.csv", "--day", "2026-05-01")
    ran = run(*command, "--out", tmp_path / "till.csv", "--journal", journal)
    assert (ran.status, ran.out) == (2, "")
    assert "reports cannot be written there: File exists. Nothing was done." in ran.err
    assert run("discrepancies", "list", "--json", "--journal", journal).document == []
    (tmp_path / "out" / "report.json").mkdir(parents=True)
    ran = run(*command, "--out", tmp_path / "out", "--journal", journal)
    assert ran.status == 2
    assert "cannot be written: Is a directory. All else is done" in ran.err
    assert len(run("discrepancies", "list", "--json", "--journal", journal).document) == 1


def test_a_store_without_terminals_is_not_all_of_them(
    run: Run, estate_file: Path, tmp_path: Path
) -> None:
    text = estate_file.read_text()
    store = text[text.index("[[organisations.merchants.stores]]") :]
    store = store[: store.index("\n\n")].replace('"Corner"', '"Empty"')
    estate_file.write_text(f"{text}\n{store}\n")
    books = tmp_path / "journal.db"
    assert run("estate", "apply", estate_file, "--journal", books, "--yes").status == 0
    chosen = ("--day", "2026-05-01", "--store", "Empty", "--journal", books)
    assert "--store: Empty has no terminal" in run("transactions", "export", *chosen).err


@pytest.mark.parametrize("number", ["0", "-1", str(2**63), "x"])
def test_a_discrepancy_has_a_number(run: Run, journal: Path, number: str) -> None:
    closing = ("--person", "Ada", "--reason", "so", "--journal", journal)
    ran = run("discrepancies", "close", *closing, "--", number)
    assert (ran.status, ran.out) == (2, "")


def test_a_bad_file_changes_nothing(run: Run, journal: Path, tmp_path: Path) -> None:
    file = tmp_path / "till.csv"
    file.write_text("transaction_id,amount,currency,at\n,1.00,EUR,2026-05-01T10:00:00Z\n")
    ran = run("reconcile", "--till", file, "--day", "2026-05-01", "--journal", journal)
    assert ran.status == 2
    assert "there is no column 'original_id'" in ran.err
    assert run("discrepancies", "list", "--all", "--json", "--journal", journal).document == []


def test_an_organisation_is_compared_without_the_others(run: Run, shop: Shop) -> None:
    shop.sell("TILLWIRE-V1-0001", "ours-1", "10.00")
    whole = shop.export()
    own = ("--organisation", "sandbox-shop", *ALWAYS, *shop.here)
    rows = run("transactions", "export", *own).out
    assert rows.count("\n") == len(whole) + 1
    ran = run("transactions", "export", "--organisation", "nobody", *ALWAYS, *shop.here)
    assert (ran.status, ran.out) == (1, "")
    assert "No organisation 'nobody'" in ran.err
    other = ("--organisation", "sandbox-other", *ALWAYS, *shop.here)
    assert run("transactions", "export", *other).out.count("\n") == 1
    ran = run("reconcile", "--till", shop.till, "--dry-run", "--json", *other)
    assert ran.document["kinds"]["matched"] == 0
    assert ran.document["kinds"]["outside"] == len(whole)
    ran = run("transactions", "export", *other, "--terminal", "TILLWIRE-V1-0001")
    assert "is not in that organisation. Allowed: in sandbox-shop." in ran.err
