"""`tillwire pairings`: codes, registers, and which of them are used from two places."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.conftest import Run
from tests.unit.cli.test_cli_keys import estate_in
from tillwire.cli.journals import commit
from tillwire.clock import Instant
from tillwire.core.estate_model import Register
from tillwire.estate.pairings import CAUSE, Codes, Newcomer, pair
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.vault import KeyFileVault, key_path

NOW = Instant(1_773_480_000_000)


def entered(journal: Path, code: str, register_id: str = "till-7", place: str = "") -> Register:
    """A register that enters a code."""
    newcomer = Newcomer(
        organisation_id="shop",
        dialect="smartconnect",
        register_id=register_id,
        business_name="Harbour Books",
        vendor_name="TillCo",
        name="Till 7",
        detail={"city": "Leeds"},
        place=place,
    )
    digest = Codes(KeyFileVault(key_path(journal))).digest(code)
    books = SqliteJournal(journal)
    try:
        return commit(books, lambda unit: pair(unit, digest, newcomer, NOW))[0]
    finally:
        books.close()


def test_a_code_stands_alone_on_standard_output_and_pairs(run: Run, journal: Path) -> None:
    ran = run("pairings", "code", "30350002", "--journal", journal)
    assert (ran.status, len(ran.out), ran.out.strip().isdecimal()) == (0, 9, True)
    assert "within 120 seconds" in ran.err
    assert entered(journal, ran.out.strip()).terminal_id == "shop:till-2"
    told = run("pairings", "code", "30350002", "--json", "--journal", journal).document
    assert sorted(told) == ["code", "expires_at", "terminal"]
    assert told["terminal"] == "ACME-V1-PL2"


def test_only_a_terminal_that_is_there_has_a_code(run: Run, journal: Path) -> None:
    assert run("pairings", "code", "none", "--journal", journal).status == 1
    short = run("pairings", "code", "30350002", "--seconds", "5", "--journal", journal)
    assert short.status == 2


def test_registers_are_listed_with_their_terminals(run: Run, journal: Path) -> None:
    empty = run("pairings", "list", "--journal", journal)
    assert (empty.out, "No registers yet" in empty.err) == ("", True)
    code = run("pairings", "code", "30350002", "--journal", journal).out.strip()
    entered(journal, code, place="192.0.2.7, Harbour Books")
    ran = run("pairings", "list", "--journal", journal)
    header, line = ran.out.splitlines()
    assert header.split()[:3] == ["REGISTER", "NAME", "BUSINESS"]
    assert "till-7" in line
    assert "ACME-V1-PL2" in line
    assert "192.0.2.7, Harbour Books" in line
    assert CAUSE not in ran.err
    (told,) = run("pairings", "list", "--json", "-o", "shop", "--journal", journal).document
    assert (told["register_id"], told["terminal"]) == ("till-7", "ACME-V1-PL2")
    assert told["paired_at"] == "2026-03-14T09:20:00.000Z"
    assert (told["two_places"], told["detail"]) == (None, {"city": "Leeds"})


def test_a_register_that_is_used_from_two_places_is_told_with_what_it_means(
    run: Run, journal: Path
) -> None:
    code = run("pairings", "code", "30350002", "--journal", journal).out.strip()
    register = entered(journal, code, place="192.0.2.7, Harbour Books")
    books = SqliteJournal(journal)
    commit(
        books, lambda unit: unit.register_clashed(register.id, NOW, "198.51.100.9, Harbour Books")
    )
    books.close()
    ran = run("pairings", "list", "--journal", journal)
    assert "Register till-7 was used from two places in a short time, 1 time so far" in ran.err
    assert "from 198.51.100.9, Harbour Books and from 192.0.2.7, Harbour Books" in ran.err
    assert CAUSE in ran.err
    (told,) = run("pairings", "list", "--json", "--journal", journal).document
    assert told["two_places"] == {
        "count": 1,
        "last_at": "2026-03-14T09:20:00.000Z",
        "other": "198.51.100.9, Harbour Books",
        "meaning": CAUSE,
    }


def test_a_register_is_unpaired_by_its_id_or_with_its_terminal(run: Run, journal: Path) -> None:
    for name in ("till-7", "till-8", "till-9"):
        code = run("pairings", "code", "30350002", "--journal", journal).out.strip()
        entered(journal, code, name)
    assert run("pairings", "unpair", "till-7", "--journal", journal).out == (
        "Register till-7 is not paired any more.\n"
    )
    again = run("pairings", "unpair", "till-7", "--journal", journal)
    assert (again.status, "is not paired" in again.err) == (1, True)
    assert len(run("pairings", "unpair", "30350002", "--journal", journal).out.splitlines()) == 2
    assert (
        "No register was paired" in run("pairings", "unpair", "30350002", "--journal", journal).err
    )
    assert not any(each.is_paired for each in estate_in(journal).registers.values())
    nobody = run("pairings", "unpair", "nobody", "--journal", journal)
    assert (nobody.status, "Neither a register nor a terminal" in nobody.err) == (1, True)
