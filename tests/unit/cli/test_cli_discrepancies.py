"""`tillwire discrepancies`: many are closed as one is, together or not at all."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Run
from tillwire.clock import Instant
from tillwire.core.model import Finding
from tillwire.core.ports import Unit
from tillwire.journal.sqlite import SqliteJournal

ADA = ("--person", "Ada", "--reason", "All came a day later.")
KINDS = ("missing_at_acquirer", "missing_at_acquirer", "amount_differs", "missing_at_acquirer")


def _report(found: Finding, unit: Unit) -> bool:
    return unit.report(found, Instant(1))


@pytest.fixture
def books(journal: Path) -> Path:
    """A journal with four discrepancies, numbered from 1."""
    opened = SqliteJournal(journal)
    for number, kind in enumerate(KINDS):
        found = Finding(
            key=f"{number}", kind=kind, transaction_id=None, known="", heard="", source="bank.csv"
        )
        opened.commit_now(partial(_report, found))
    opened.close()
    return journal


def listed(run: Run, books: Path, *more: str) -> list[dict[str, Any]]:
    document: list[dict[str, Any]] = run(
        "discrepancies", "list", "--json", *more, "--journal", books
    ).document
    return document


def numbers(run: Run, books: Path, *more: str) -> list[int]:
    return [each["id"] for each in listed(run, books, *more)]


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (("1",), [2, 3, 4]),
        (("1", "3"), [2, 4]),
        (("2-4",), [1]),
        (("1-2", "4"), [3]),
        (("1-2", "2-9"), []),
        (("3", "3"), [1, 2, 4]),
        (("1-99", "--kind", "missing_at_acquirer"), [3]),
        (("1-2", "4", "--kind", "missing_at_acquirer"), [3]),
    ],
)
def test_what_is_named_is_closed_and_nothing_else(
    run: Run, books: Path, wanted: tuple[str, ...], left: list[int]
) -> None:
    ran = run("discrepancies", "close", *wanted, *ADA, "--journal", books)
    count = len(KINDS) - len(left)
    told = f"Discrepancy {wanted[0]} is closed." if count == 1 else f"{count} discrepancies are"
    assert told in ran.out
    assert numbers(run, books) == left
    closed = [each for each in listed(run, books, "--all") if each["id"] not in left]
    assert {(each["closed_by"], each["reason"]) for each in closed} == {(ADA[1], ADA[3])}
    assert len({each["closed_at"] for each in closed}) == 1, "in one commit"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (("1", "5"), "No open discrepancy 5. None was closed."),
        (("1", "5-9"), "No open discrepancy 5-9. None was closed."),
        (("1", "3", "--kind", "missing_at_acquirer"), "No open discrepancy 3 of the kind missing_"),
        (("1", "4-2"), "'4-2' is no number"),
        (("1", "2-"), "'2-' is no number"),
        (("1", "one"), "'one' is no number"),
        ((), "Missing argument"),
    ],
)
def test_when_one_cannot_be_closed_none_is(
    run: Run, books: Path, wanted: tuple[str, ...], told: str
) -> None:
    ran = run("discrepancies", "close", *wanted, *ADA, "--journal", books)
    assert told in ran.err
    assert (ran.status in (1, 2), ran.out) == (True, "")
    assert numbers(run, books) == [1, 2, 3, 4]


def test_what_was_closed_is_not_closed_again(run: Run, books: Path) -> None:
    assert run("discrepancies", "close", "1-2", *ADA, "--journal", books).status == 0
    ran = run("discrepancies", "close", "2", "3", *ADA, "--journal", books)
    assert "No open discrepancy 2. None was closed." in ran.err
    assert numbers(run, books) == [3, 4]


def test_those_of_one_kind_are_listed(run: Run, books: Path) -> None:
    assert numbers(run, books, "--kind", "amount_differs") == [3]
    ran = run("discrepancies", "list", "--kind", "missing_at_till", "--journal", books)
    assert "No discrepancies." in ran.err


def test_one_is_shown_with_what_is_known_and_what_was_heard(run: Run, journal: Path) -> None:
    opened, wrong = SqliteJournal(journal), "The till has 19.00."
    found = Finding(
        key="k", kind="amount_differs", transaction_id=None,
        known="The gateway has 20.00.", heard=wrong, source="till.csv",
    )  # fmt: skip
    opened.commit_now(partial(_report, found))
    opened.close()
    here = ("--journal", journal)
    listed = run("discrepancies", "list", *here)
    assert listed.out.splitlines()[1].split() == [
        "1", "1970-01-01", "00:00:00.001", "UTC", "amount_differs", "till.csv",
    ]  # fmt: skip
    assert "discrepancies show NUMBER" in listed.err
    shown = run("discrepancies", "show", "1", *here)
    lines = [line.split(maxsplit=1) for line in shown.out.splitlines()]
    assert ["known", "The gateway has 20.00."] in lines
    assert ["heard", wrong] in lines
    assert "closed" not in shown.out
    assert "discrepancies close 1 --person NAME --reason WORDS" in shown.err
    assert run("discrepancies", "close", "1", *ADA, *here).status == 0
    shown = run("discrepancies", "show", "1", *here)
    assert shown.out.splitlines()[-1].endswith(", Ada: All came a day later.")
    assert shown.err == ""
    assert run("discrepancies", "list", "--all", *here).out.count("Ada: All came a day later.") == 1
    assert run("discrepancies", "show", "1", "--json", *here).document["heard"] == wrong
    absent = run("discrepancies", "show", "2", *here)
    assert (absent.status, absent.err) == (
        1,
        "Error: There is no discrepancy 2: `tillwire discrepancies list --all` lists them.\n",
    )
