"""`tillwire callbacks` shows what did not arrive, and sends it again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.unit.cli.conftest import Run
from tillwire.clock import SystemClock
from tillwire.core.letters import Letter, LetterState
from tillwire.journal.sqlite import SqliteJournal


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with a letter of each state."""
    path = tmp_path / "journal.db"
    now = SystemClock().now()
    letter = Letter(
        transaction_id="1700000000000123456789012345678",
        organisation_id="shop",
        channel="callback",
        kind="RECEIVED",
        sealed="1.aa.s3aled",
        body=b"b0dy",
        created_at=now,
        due_at=now,
        tries=3,
        state=LetterState.GIVEN_UP,
        settled_at=now,
        trouble="It answered 500.",
    )
    states = [letter] + [
        msgspec.structs.replace(letter, state=state, trouble="", transaction_id=None)
        for state in (LetterState.DELIVERED, LetterState.WAITING)
    ]
    books = SqliteJournal(path)
    books.commit_now(lambda unit: [unit.post(each) for each in states])
    books.close()
    return path


def test_what_did_not_arrive_is_listed_without_what_it_says(run: Run, journal: Path) -> None:
    ran = run("callbacks", "list", "--journal", journal)
    assert ran.status == 0
    assert "It answered 500." in ran.out
    assert "GIVEN_UP" in ran.out
    assert "WAITING" in ran.out
    assert "DELIVERED" not in ran.out
    assert "s3aled" not in ran.out
    assert "b0dy" not in ran.out


def test_all_are_listed_and_those_of_one_transaction(run: Run, journal: Path) -> None:
    listed = run("callbacks", "list", "--all", "--journal", journal, "--json").document
    assert [each["state"] for each in listed] == ["GIVEN_UP", "DELIVERED", "WAITING"]
    transaction = listed[0]["transaction"]
    found = run("callbacks", "list", "--transaction", transaction, "--journal", journal, "--json")
    assert found.document == listed[:1]
    assert not {"sealed", "body"} & set(listed[0])


def test_a_letter_is_sent_again_under_a_new_id(run: Run, journal: Path) -> None:
    ran = run("callbacks", "retry", 1, "--journal", journal)
    assert ran.status == 0
    assert "again as letter 4: within seconds if the gateway runs" in ran.out
    listed = run("callbacks", "list", "--all", "--journal", journal, "--json").document
    assert [(each["id"], each["state"], each["tries"]) for each in listed] == [
        (2, "DELIVERED", 3),
        (3, "WAITING", 3),
        (4, "WAITING", 0),
    ]
    assert listed[2]["trouble"] == ""


def test_a_letter_that_is_not_there_is_told(run: Run, journal: Path) -> None:
    ran = run("callbacks", "retry", 99, "--journal", journal)
    assert (ran.status, ran.err.strip()) == (1, "Error: No letter 99.")
