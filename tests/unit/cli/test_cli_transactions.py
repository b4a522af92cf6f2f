"""`tillwire transactions` and `discrepancies`: what is told of payments, and who decided."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.core.scripted import DECLINED, ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.core.engine import Engine
from tillwire.core.model import Outcome, State, Transaction, Verdict
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import CannotTell
from tillwire.errors import AnswerLost
from tillwire.journal.sqlite import SqliteJournal

DOCS = Path(__file__).parents[3] / "docs"

Scenario = Callable[[Engine, ScriptedDriver], Coroutine[Any, Any, Transaction]]


def played(folder: Path, scenario: Scenario) -> Transaction:
    """What a gateway made of it, before it was stopped."""

    async def play() -> Transaction:
        driver = ScriptedDriver()
        async with engine_on(folder, driver) as engine:
            return await scenario(engine, driver)

    return asyncio.run(play())


async def paid(engine: Engine, driver: ScriptedDriver) -> Transaction:
    driver.at_once = approved()
    sale = await engine.accept(purchase(), WhenBusy.REJECT)
    return await engine.wait(sale.id, is_final, 30)


async def declined(engine: Engine, driver: ScriptedDriver) -> Transaction:
    driver.at_once = DECLINED
    sale = await engine.accept(purchase(reference="sale-2", terminal="t2"), WhenBusy.REJECT)
    return await engine.wait(sale.id, is_final, 30)


async def lost(engine: Engine, driver: ScriptedDriver) -> Transaction:
    """An answer that no terminal remembers: a person must decide."""
    driver.at_once = AnswerLost("connection reset")
    driver.found = [CannotTell("It was switched off.", needs_person=True)]
    sale = await engine.accept(purchase(reference="sale-3"), WhenBusy.REJECT)
    return await engine.wait(sale.id, lambda each: each.state is State.UNKNOWN, 5)


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Where the engine of the scenarios keeps its journal."""
    return tmp_path / "journal.db"


def test_transactions_are_listed_newest_first(run: Run, tmp_path: Path, books: Path) -> None:
    first, second = played(tmp_path, paid), played(tmp_path, declined)
    lines = run("transactions", "list", "--journal", books).out.splitlines()
    assert lines[0].split() == [
        "ID",
        "ACCEPTED",
        "TERMINAL",
        "TYPE",
        "AMOUNT",
        "STATE",
        "REFERENCE",
    ]
    assert [line.split()[0] for line in lines[1:]] == [second.id, first.id]
    assert lines[2].endswith("PURCHASE  12.50 EUR  APPROVED  sale-1")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A journal with three sales that ended differently, and which id is which."""
    folder = tmp_path_factory.mktemp("three")
    names = {played(folder, each).id: each.__name__ for each in (paid, declined, lost)}
    return folder / "journal.db", names


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--terminal", "tillwire-v1-t2"), {"declined"}),
        (("--terminal", "t1"), {"paid", "lost"}),
        (("--state", "APPROVED"), {"paid"}),
        (("--state", "unknown"), {"lost"}),
        (("--open",), {"lost"}),
        (("--reference", "sale-2"), {"declined"}),
        (("--reference", "sale-2", "--terminal", "t1"), set()),
        (("--organisation", "shop"), {"paid", "declined", "lost"}),
        (("--organisation", "other"), set()),
        (("--limit", "1"), {"lost"}),
        (("--terminal", "t1", "--state", "APPROVED", "--limit", "1"), {"paid"}),
    ],
)
def test_listings_are_narrowed(
    run: Run, three: tuple[Path, dict[str, str]], options: tuple[str, ...], found: set[str]
) -> None:
    books, names = three
    listed = run("transactions", "list", *options, "--journal", books, "--json").document
    assert {names[each["id"]] for each in listed} == found


def test_one_is_shown_with_everything_that_happened(run: Run, tmp_path: Path, books: Path) -> None:
    sale = played(tmp_path, paid)
    out = run("transactions", "show", sale.id, "--receipts", "--journal", books).out
    lines = out.splitlines()
    assert lines[:2] == [f"Transaction {sale.id}", "APPROVED PURCHASE 12.50 EUR"]
    assert "  terminal   TILLWIRE-V1-t1 (Corner Shop, Amsterdam)" in lines
    assert "  STAN       000001" in lines
    events = [line.split() for line in lines if line[:1].isdigit()]
    assert [(each[0], each[-1]) for each in events[:1]] == [("1", "ACCEPTED")]
    assert any("approve" in each and "APPROVED" in each for each in events)
    assert "CARDHOLDER COPY" in out.upper()


def test_programs_get_times_in_utc_and_exact_amounts(run: Run, tmp_path: Path, books: Path) -> None:
    sale = played(tmp_path, paid)
    document = run("transactions", "show", sale.id, "--json", "--journal", books).document
    assert document["amount"] == {"minor": 1250, "decimal": "12.50", "currency": "EUR"}
    assert document["accepted_at"].endswith("Z")
    assert document["outcome"]["verdict"] == "APPROVED"
    assert [each["sequence"] for each in document["events"]] == list(
        range(1, len(document["events"]) + 1)
    )


def test_what_a_till_sent_cannot_steer_the_terminal(run: Run, tmp_path: Path, books: Path) -> None:
    async def hostile(engine: Engine, driver: ScriptedDriver) -> Transaction:
        driver.at_once = approved()
        order = purchase(reference="\x1b]0;owned\x07[bold]")
        sale = await engine.accept(order, WhenBusy.REJECT)
        return await engine.wait(sale.id, is_final, 30)

    sale = played(tmp_path, hostile)
    for command in (["list"], ["show", sale.id, "--receipts"]):
        out = run("transactions", *command, "--journal", books).out
        assert "\x1b" not in out
        assert "]0;owned" in out
        assert "[bold]" in out


def test_an_unknown_id_is_one_sentence(run: Run, tmp_path: Path, books: Path) -> None:
    played(tmp_path, paid)
    ran = run("transactions", "show", "4711", "--journal", books)
    assert ran.status == 1
    sentence = (
        "No transaction '4711' in this journal: `tillwire transactions list` lists the newest ones."
    )
    assert (ran.out, ran.err) == ("", f"Error: {sentence}\n")
    ran = run("transactions", "show", "4711", "--journal", books, "--json")
    assert ran.document == {"error": {"kind": "NotFound", "message": sentence, "exit_status": 1}}


def test_an_unknown_outcome_is_shown_with_what_to_do_next(
    run: Run, tmp_path: Path, books: Path
) -> None:
    show = ("transactions", "show", played(tmp_path, lost).id, "--journal", books)
    assert "tillwire transactions decide" in run(*show).err
    assert (DOCS / "how-to/resolve-an-unknown-payment.md").is_file()
    assert "docs/how-to/resolve-an-unknown-payment.md" in run(*show).err
    assert run(*show, "--json").err == ""


# --- deciding -------------------------------------------------------------------------------

WHO = ("--person", "Ada", "--reason", "seen on the bank's list")


@pytest.mark.parametrize("verdict", ["approved", "declined", "cancelled"])
def test_a_person_ends_an_unknown_transaction(
    run: Run, tmp_path: Path, books: Path, verdict: str
) -> None:
    sale = played(tmp_path, lost)
    ran = run("transactions", "decide", sale.id, verdict, *WHO, "--journal", books)
    assert ran.status == 0
    assert ran.out == f"Transaction {sale.id} is {verdict.upper()} now, as Ada decided.\n"
    document = run("transactions", "show", sale.id, "--json", "--journal", books).document
    assert document["state"] == verdict.upper()
    assert document["outcome"]["evidence"] == "person"
    assert document["approved_amount"]["minor"] == (1250 if verdict == "approved" else 0)
    last = document["events"][-1]
    assert (last["name"], last["detail"]["person"]) == (f"decide_{verdict}", "Ada")


def test_less_may_have_been_approved_but_not_more(run: Run, tmp_path: Path, books: Path) -> None:
    sale = played(tmp_path, lost)
    decide = ("transactions", "decide", sale.id, "approved", *WHO, "--journal", books)
    more = run(*decide, "--amount", "12.51")
    assert (more.status, more.err) == (
        2,
        "Error: --amount: 12.51 is more than was asked for. Allowed: up to 12.50, or --tip with "
        "what was added on the terminal.\n",
    )
    for option in ("--amount", "--tip"):
        declined = ("transactions", "decide", sale.id, "declined", *WHO, "--journal", books)
        ran = run(*declined, option, "1")
        assert (ran.status, ran.err) == (
            2,
            f"Error: {option}: nothing moved if it was declined. Allowed: leave it.\n",
        )
    run(*decide, "--amount", "10")
    document = run("transactions", "show", sale.id, "--json", "--journal", books).document
    assert document["approved_amount"]["decimal"] == "10.00"


@pytest.mark.parametrize(
    ("amounts", "moved"), [(("--tip", "1.25"), 1375), (("--tip", "2", "--amount", "14"), 1400)]
)
def test_a_tip_that_was_added_on_the_terminal_is_decided_too(
    run: Run, tmp_path: Path, books: Path, amounts: tuple[str, ...], moved: int
) -> None:
    sale = played(tmp_path, lost)
    decide = ("transactions", "decide", sale.id, "approved", *WHO, "--journal", books)
    more = run(*decide, "--tip", "1.25", "--amount", "13.76")
    assert "13.76 is more than was asked for, and the tip. Allowed: up to 13.75." in more.err
    assert run(*decide, *amounts).status == 0
    document = run("transactions", "show", sale.id, "--json", "--journal", books).document
    assert document["approved_amount"]["minor"] == moved


@pytest.mark.parametrize(
    ("person", "reason", "says"),
    [
        (" ", "seen", "--person: it is empty"),
        ("Ada", "", "--reason: it is empty"),
        ("A" * 101, "seen", "--person: it is too long. Allowed: up to 100 characters."),
        ("Ada", "x" * 5000, "--reason: it is too long. Allowed: up to 500 characters."),
    ],
)
@pytest.mark.parametrize(
    "command", [("transactions", "decide", "1", "approved"), ("discrepancies", "close", "1")]
)
def test_it_is_said_who_decides_and_why_before_anybody_is_asked(
    run: Run, books: Path, command: tuple[str, ...], person: str, reason: str, says: str
) -> None:
    ran = run(*command, "--person", person, "--reason", reason, "--journal", books)
    assert ran.status == 2
    assert ran.err.startswith(f"Error: {says}")


def test_what_is_known_is_not_decided(run: Run, tmp_path: Path, books: Path) -> None:
    sale = played(tmp_path, paid)
    ran = run("transactions", "decide", sale.id, "declined", *WHO, "--journal", books)
    assert ran.status == 1
    assert "is APPROVED, not UNKNOWN" in ran.err


def test_nothing_is_decided_beside_a_gateway_that_cannot_be_asked(
    run: Run, tmp_path: Path, books: Path
) -> None:
    sale = played(tmp_path, lost)
    gateway = SqliteJournal(books)
    gateway.own()
    try:
        ran = run("transactions", "decide", sale.id, "approved", *WHO, "--journal", books)
    finally:
        gateway.close()
    assert ran.status == 1
    assert "but no operator's socket" in ran.err
    document = run("transactions", "show", sale.id, "--json", "--journal", books).document
    assert document["state"] == "UNKNOWN"


async def lost_and_waiting(engine: Engine, driver: ScriptedDriver) -> Transaction:
    """A lost answer, and a sale that waits behind it."""
    held = await engine.accept(purchase(reference="a"), WhenBusy.REJECT)
    await driver.begun(held)
    await engine.accept(purchase(reference="b", waits=True), WhenBusy.QUEUE)
    driver.found = [CannotTell("It was switched off.", needs_person=True)]
    driver.answer(held, AnswerLost("connection reset"))
    return await engine.wait(held.id, lambda each: each.state is State.UNKNOWN, 5)


def test_what_waits_behind_it_is_sent_by_the_gateway_alone(
    run: Run, tmp_path: Path, books: Path
) -> None:
    sale = played(tmp_path, lost_and_waiting)
    run("transactions", "decide", sale.id, "declined", *WHO, "--journal", books)
    (waiting,) = run("transactions", "list", "--open", "--json", "--journal", books).document
    assert (waiting["reference"], waiting["state"], waiting["sent_at"]) == ("b", "ACCEPTED", None)

    async def carried(engine: Engine, driver: ScriptedDriver) -> Transaction:
        found = await engine.find(waiting["id"])
        assert found is not None
        await driver.begun(found)
        driver.answer(found, approved())
        return await engine.wait(found.id, is_final, 30)

    assert played(tmp_path, carried).state is State.APPROVED


# --- discrepancies --------------------------------------------------------------------------


def test_a_discrepancy_stays_until_a_person_closes_it(
    run: Run, tmp_path: Path, books: Path
) -> None:
    async def contradicted(engine: Engine, driver: ScriptedDriver) -> Transaction:
        sale = await declined(engine, driver)
        return await engine.heard_outcome(sale.id, Outcome(Verdict.APPROVED, approved_amount=1250))

    sale = played(tmp_path, contradicted)
    (found,) = run("discrepancies", "list", "--json", "--journal", books).document
    assert found["transaction_id"] == sale.id
    assert sale.id in run("discrepancies", "list", "--journal", books).out
    assert "DECLINED" in run("discrepancies", "show", found["id"], "--journal", books).out
    close = ("discrepancies", "close", found["id"], "--person", "Ada", "--journal", books)
    assert run(*close, "--reason", " ").status == 2
    assert run(*close, "--reason", "refunded").status == 0
    assert run("discrepancies", "list", "--json", "--journal", books).document == []
    (kept,) = run("discrepancies", "list", "--all", "--json", "--journal", books).document
    assert (kept["closed_by"], kept["reason"]) == ("Ada", "refunded")
    again = run(*close, "--reason", "again")
    assert again.err.endswith(f"No open discrepancy {found['id']}. None was closed.\n")


# --- blocked terminals --------------------------------------------------------------------------


async def asked_on(engine: Engine, driver: ScriptedDriver) -> Transaction:
    """An answer that is still asked for."""
    driver.at_once = AnswerLost("connection reset")
    sale = await engine.accept(purchase(reference="sale-4", terminal="t2"), WhenBusy.REJECT)
    return await engine.wait(sale.id, lambda each: each.state is State.UNKNOWN, 5)


async def given_up(engine: Engine, driver: ScriptedDriver) -> Transaction:
    """An answer that no terminal remembers, and nobody asks for any more."""
    sale = await lost(engine, driver)
    seen = sale.version
    return await engine.wait(sale.id, lambda each: each.version > seen, 10)


def test_blocked_terminals_are_listed_with_why_and_what_to_do(
    run: Run, tmp_path: Path, books: Path
) -> None:
    nothing = run("transactions", "blocked", "--journal", books)
    assert nothing.status == 2, "there is no journal"
    played(tmp_path, paid)
    nothing = run("transactions", "blocked", "--journal", books)
    assert (nothing.out, nothing.err) == ("", "No terminal is blocked.\n")
    first, second = played(tmp_path, given_up), played(tmp_path, asked_on)
    shown = run("transactions", "blocked", "--journal", books)
    header, *rows = shown.out.splitlines()
    assert header.split()[:4] == ["TERMINAL", "DRIVER", "SINCE", "TRANSACTION"]
    assert [row.split()[-1] for row in rows] == ["off.", "reset"]
    assert first.id in rows[0]
    assert " person " in rows[0]
    assert second.id in rows[1]
    assert " answer " in rows[1]
    assert "tillwire transactions decide" in shown.err
    assert "goes on asking" in shown.err
    told = run("transactions", "blocked", "--journal", books, "--json").document
    assert [(each["awaits"], each["transaction"]["id"]) for each in told] == [
        ("person", first.id),
        ("answer", second.id),
    ]
    assert told[0]["last_heard"] == "It was switched off."
    assert told[0]["driver"] == "virtual"
    assert "decide" in told[0]["next"]
    ours = run("transactions", "blocked", "--journal", books, "-o", "shop", "--json")
    assert len(ours.document) == 2


def test_another_organisations_blocked_terminals_are_left_out(
    run: Run, tmp_path: Path, books: Path
) -> None:
    played(tmp_path, lost)
    assert run("transactions", "blocked", "--journal", books, "-o", "nobody").status != 0
