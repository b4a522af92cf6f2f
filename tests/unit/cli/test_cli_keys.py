"""`tillwire keys`: secrets are printed once, alone, and open what they should."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.cli.conftest import Run
from tillwire.clock import SystemClock
from tillwire.core.estate import Estate
from tillwire.estate.keys import digest_of
from tillwire.journal.sqlite import SqliteJournal


def estate_in(path: Path) -> Estate:
    journal = SqliteJournal(path)
    try:
        return journal.read_now(lambda reader: reader.estate())
    finally:
        journal.close()


def test_the_secret_stands_alone_on_standard_output(run: Run, journal: Path) -> None:
    ran = run("keys", "create", "-o", "shop", "-l", "till 1", "--journal", journal)
    assert ran.status == 0
    secret = ran.out.removesuffix("\n")
    assert secret.startswith("tw_")
    assert "\n" not in secret
    key = estate_in(journal).key_with_digest(digest_of(secret))
    assert key is not None
    assert (key.organisation_id, key.label) == ("shop", "till 1")
    assert key.valid_at(SystemClock().now())
    assert secret not in ran.err


def test_a_key_may_have_a_validity(run: Run, journal: Path) -> None:
    options = ("--from", "2099-01-01", "--until", "2099-06-01T00:00:00+02:00")
    made = run("keys", "create", "-o", "shop", "-l", "x", *options, "--journal", journal, "--json")
    assert made.document["valid_from"] == "2099-01-01T00:00:00.000Z"
    assert made.document["valid_until"] == "2099-05-31T22:00:00.000Z"
    (listed,) = run("keys", "list", "--journal", journal, "--json").document
    assert listed["validity"] == "from 2099-01-01T00:00:00.000Z"
    assert "apikey" not in listed
    shown = run("keys", "list", "--journal", journal).out
    assert "from 2099-01-01 00:00:00.000 UTC" in shown
    assert re.search(r"  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC  never$", shown, re.MULTILINE)


def test_wrong_times_are_named(run: Run, journal: Path) -> None:
    for text in ("tomorrow", "2026-13-01", "2026-01-01T00:00:00", "2026-1-1 0:0"):
        ran = run("keys", "create", "-o", "shop", "-l", "x", "--until", text, "--journal", journal)
        assert ran.status == 2
        assert ran.err.startswith("Error: --until: ")


def test_no_key_is_made_whose_time_is_over(run: Run, journal: Path) -> None:
    ran = run(
        "keys", "create", "-o", "shop", "-l", "x", "--until", "2020-01-01", "--journal", journal
    )
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("Error: --until: that is over, and the key would open nothing.")
    assert run("keys", "list", "--journal", journal).out == ""


def test_an_unknown_organisation_is_answered_with_those_there_are(run: Run, journal: Path) -> None:
    ran = run("keys", "create", "-o", "shp", "-l", "x", "--journal", journal)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "Error: No organisation 'shp'; there is: shop.\n"


def test_a_revoked_key_opens_nothing_any_more(run: Run, journal: Path) -> None:
    made = run("keys", "create", "-o", "shop", "-l", "x", "--journal", journal, "--json").document
    ran = run("keys", "revoke", made["id"], "--journal", journal)
    assert ran.out == f"API key {made['id']} is revoked.\n"
    assert "no valid API key now" in ran.err
    key = estate_in(journal).key_with_digest(digest_of(made["apikey"]))
    assert key is not None
    assert not key.valid_at(SystemClock().now())
    assert "was revoked at" in run("keys", "revoke", made["id"], "--journal", journal).err
    assert "revoked" in run("keys", "list", "--journal", journal).out


def test_a_polling_token_replaces_the_former_one(run: Run, journal: Path) -> None:
    first = run("keys", "device", "acme-p2-pl1", "--journal", journal)
    second = run("keys", "device", "shop:till-1", "--journal", journal)
    assert first.out.startswith("twd_")
    assert "former token" not in first.err
    assert "former token opens nothing any more" in second.err
    estate = estate_in(journal)
    assert estate.terminal_with_digest(digest_of(first.out.strip())) is None
    named = estate.terminal_with_digest(digest_of(second.out.strip()))
    assert named is not None
    assert named.id == "shop:till-1"


def test_only_a_terminal_that_polls_has_a_token(run: Run, journal: Path) -> None:
    ran = run("keys", "device", "ACME-V1-PL2", "--journal", journal)
    assert (ran.status, ran.out) == (1, "")
    assert "does not poll: it has the driver 'virtual'" in ran.err
    assert "No terminal 'nothing'" in run("keys", "device", "nothing", "--journal", journal).err
