"""`tillwire transactions last` and `books`, beside a sandbox that runs in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.sandbox_process import SandboxProcess, start_sandbox
from tests.kit.shop_front import Till
from tests.unit.cli.conftest import Run
from tillwire.cli.books import NOT_RUNNING

PATIENCE = 30.0
LONG_AGO, FAR_OFF = "2020-01-01", "2099-01-01"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    running = start_sandbox(tmp_path_factory.mktemp("books") / "sandbox")
    yield running
    running.stop()


def begun_and_lost(run: Run, sandbox: SandboxProcess, terminal: str) -> None:
    """A sale whose terminal has charged the card, lost its answer and forgotten it: when the
    gateway has found that out."""
    sale = Till(sandbox.card, terminal).start("forgotten", 1047)
    end, state = time.monotonic() + PATIENCE, ""
    while state != "UNKNOWN":
        assert time.monotonic() < end, state
        shown = run("transactions", "show", sale, "--data", sandbox.directory, "--json")
        state = shown.document["state"]


def test_both_sides_of_what_was_paid(run: Run, sandbox: SandboxProcess) -> None:
    card, here = ("--card", sandbox.directory / "card.json"), ("--data", sandbox.directory)
    for amount in ("10.00", "10.40"):
        run("pay", amount, *card)
    listed = run("transactions", "list", *here, "--json").document
    declined, paid = listed[0], listed[1]
    terminal = paid["terminal"]

    ran = run("transactions", "last", terminal, *here)
    assert (ran.status, ran.out.splitlines()[-1]) == (
        0,
        f"It is {declined['id']}, and the journal says the same: DECLINED.",
    )
    assert "evidence" in ran.err
    zones = [line.split(",")[0].split()[-1] for line in ran.out.splitlines()[:2]]
    assert zones[0] == zones[1] != "UTC", "both by the shop's clock"
    last = run("transactions", "last", terminal, *here, "--json").document
    assert last["journal"]["id"] == last["entry"]["transaction"] == declined["id"]
    assert (last["entry"]["says"], last["entry"]["agrees"]) == ("DECLINED", True)
    assert last["trouble"] == ""

    ever = ("--from", LONG_AGO, "--to", FAR_OFF)
    books = run("transactions", "books", terminal, *ever, *here, "--json").document
    assert [each["transaction"] for each in books["entries"]] == [declined["id"], paid["id"]]
    assert [each["amount"]["decimal"] for each in books["entries"]] == ["10.40", "10.00"]
    assert books["lists"] == "whole"
    ran = run("transactions", "books", terminal, *ever, *here, "--state", "approved")
    headings, row = ran.out.splitlines()
    assert headings.split() == ["AT", "TYPE", "AMOUNT", "SAYS", "JOURNAL", "REFERENCE", "NAME"]
    assert "APPROVED" in row
    none = run("transactions", "books", terminal, "--from", LONG_AGO, "--to", "2020-01-02", *here)
    assert (none.out, none.err) == ("", "It has none of that time.\n")
    ran = run("transactions", "books", terminal, *ever, *here, "--type", "REFUND")
    assert (ran.out, ran.err) == ("", "None of its 2 of that time is such a one.\n")
    ran = run("transactions", "books", terminal, *ever, *here, "--state", "payed")
    assert (ran.status, "'payed' is not one of" in ran.err) == (2, True)


def test_what_is_left_out_of_a_long_list_is_said(run: Run, sandbox: SandboxProcess) -> None:
    card, here = ("--card", sandbox.directory / "card.json"), ("--data", sandbox.directory)
    terminal = "TILLWIRE-V1-0003"  # of its own
    for _ in range(2):
        assert run("pay", "10.00", *card, "--terminal", terminal).status == 0
    ever = ("--from", LONG_AGO, "--to", FAR_OFF)
    books = ("transactions", "books", terminal, *ever, *here)
    count = len(run(*books, "--json").document["entries"])
    ran = run(*books, "--limit", "1")
    assert len(ran.out.splitlines()) == 2
    assert f"{count - 1} more are left out" in ran.err
    assert run(*books, "--limit", "1", "--json").document["left_out"] == count - 1
    assert run(*books, "--json").document["left_out"] == 0


def test_a_terminal_that_forgot_says_so_and_its_acquirer_does_not(
    run: Run, sandbox: SandboxProcess
) -> None:
    here = ("--data", sandbox.directory)
    terminals = run("terminals", "list", *here, "--json").document
    other = [each for each in terminals if each["driver"] == "virtual"][1]
    begun_and_lost(run, sandbox, other["name"])
    ran = run("transactions", "last", other["name"], *here)
    assert ran.out.splitlines()[-1] == f"{other['name']}: it remembers none."
    books = run(
        "transactions", "books", other["name"], "--from", LONG_AGO, "--to", FAR_OFF, *here, "--json"
    ).document
    entry = books["entries"][0]
    assert entry["amount"]["decimal"] == "10.47"
    assert (entry["says"], entry["agrees"]) == ("APPROVED", None)
    assert entry["journal_state"] == "UNKNOWN"


def test_a_phone_is_asked_by_a_code_that_its_camera_opens(
    run: Run, sandbox: SandboxProcess
) -> None:
    here = ("--data", sandbox.directory)
    settings = {
        "profile": "staging",
        "client_id": "app",
        "return_url": "https://pay.shop.example/softpos",
        **dict.fromkeys(("client_secret_file", "certificate_file", "private_key_file"), "/nowhere"),
    }
    shop = ("--store", "Tillwire Corner Shop", "--serial", "p7")
    about = (*shop, "--manufacturer", "NEXI", "--model", "SOFTPOS")
    told = [word for pair in settings.items() for word in ("--setting", "=".join(pair))]
    ran = run("terminals", "add", "30351234", *about, "--driver", "softpos", *told, *here)
    assert ran.status == 0, ran.err
    assert run("terminals", "activate", "30351234", "p7", *here).status == 0
    ask = ("transactions", "last", "30351234", "--at-terminal", "--wait", "1", *here)
    end = time.monotonic() + PATIENCE
    # The gateway looks soon whether the estate has changed, and may need its time for the link.
    while "neximpos:" not in (ran := run(*ask)).err and time.monotonic() < end:
        assert ran.status == 0 or "No terminal" in ran.err
    link, *code = ran.err.splitlines()
    assert link.startswith("Open this link on the phone: neximpos://last_transaction?")
    assert len({len(line) for line in code}) == 1
    assert len(code) > 20
    assert "within 1 seconds" in ran.out
    ran = run("transactions", "last", "30351234", *here)
    assert ran.out.splitlines()[-1] == "NEXI-SOFTPOS-p7: it remembers none."


def test_a_day_is_compared_with_what_terminals_and_clouds_tell(run: Run, tmp_path: Path) -> None:
    sandbox = start_sandbox(tmp_path / "sandbox")
    try:
        card, here = ("--card", sandbox.directory / "card.json"), ("--data", sandbox.directory)
        ever = ("--from", LONG_AGO, "--to", FAR_OFF)
        for amount in ("10.00", "10.40", "10.45", "10.43"):
            run("pay", amount, *card)
        ran = run("reconcile", "--ask-terminals", *ever, *here)
        assert (ran.status, ran.err) == (0, ran.err)
        assert "Left out, since they keep no list" in ran.err
        assert "has not passed yet" in ran.err
        begun_and_lost(run, sandbox, "TILLWIRE-V1-0001")
        only_looked = run("reconcile", "--ask-terminals", *ever, *here, "--dry-run", "--json")
        (lost,) = only_looked.document["resolvable"]
        found = run("reconcile", "--ask-terminals", *ever, *here, "--json").document
        assert found["resolved"] == [lost]
        shown = run("transactions", "show", lost, *here, "--json").document
        assert (shown["state"], shown["outcome"]["approved_amount"]) == ("APPROVED", 1047)
        again = run("reconcile", "--ask-terminals", *ever, *here, "--json").document
        assert (again["resolved"], again["opened"], again["differences"]) == ([], 0, [])
        for terminal, status in ((shown["terminal"], 0), ("TILLWIRE-P1-0001", 2)):
            ran = run("reconcile", "--ask-terminals", *ever, *here, "--terminal", terminal)
            assert ran.status == status
        assert "none of these terminals keeps a list" in ran.err
    finally:
        sandbox.stop()
    ran = run("reconcile", "--ask-terminals", *ever, *here)
    assert (ran.status, NOT_RUNNING in ran.err) == (1, True)
    file = tmp_path / "day.csv"
    ran = run("reconcile", "--ask-terminals", "--acquirer", file, *ever, *here)
    assert (ran.status, "one of both" in ran.err) == (2, True)


def test_without_a_gateway_nobody_is_asked(run: Run, tmp_path: Path) -> None:
    running = start_sandbox(tmp_path / "sandbox")
    running.stop()
    here = ("--data", running.directory)
    name = run("terminals", "list", *here, "--json").document[0]["name"]
    ran = run("transactions", "last", name, *here)
    assert ran.out.splitlines() == ["The journal: no transaction.", f"{name}: {NOT_RUNNING}"]
    ran = run("transactions", "books", name, "--from", LONG_AGO, "--to", FAR_OFF, *here)
    assert (ran.out, ran.err.splitlines()) == ("", [NOT_RUNNING]), "it was not asked"
