"""`tillwire terminals`: the life of a terminal, on a real journal, beside payments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.test_cli_transactions import lost, paid, played
from tests.unit.core.scripted import ScriptedDriver, engine_on
from tests.unit.estate_fixture import purchase
from tillwire.core.engine import Engine
from tillwire.core.estate import Estate
from tillwire.core.model import Transaction, TransactionType
from tillwire.core.occupancy import WhenBusy
from tillwire.errors import Conflict
from tillwire.estate import lifecycle
from tillwire.estate.carry_out import carry_out
from tillwire.estate.changes import Change
from tillwire.estate.lifecycle import Newcomer

TID = "30350039"
NEW = ("--store", "Corner", "--manufacturer", "NEXI", "--model", "P61B", "--driver", "virtual")


@pytest.fixture
def lane(run: Run, journal: Path) -> Path:
    """A journal in which the terminal 30350039 was added."""
    assert run("terminals", "add", TID, *NEW, "--journal", journal).status == 0
    return journal


def test_a_terminals_life(run: Run, lane: Path) -> None:
    for step, says in (
        (("activate", TID, "A1"), "lifecycle  CREATED -> ACTIVATED"),
        (("swap", TID, "B2", "--old", "activated"), "serial  A1 -> B2"),
        (("swap", "nexi-p61b-b2", "C3"), "serial  B2 -> C3"),
        (("retire", f"shop:{TID}"), "lifecycle  ACTIVATED -> REMOVED"),
    ):
        if step[0] == "retire":
            document = run("terminals", "list", "--json", "--journal", lane).document
        ran = run("terminals", *step, "--journal", lane)
        assert ran.status == 0
        assert f"    {says}\n" in ran.out
        assert ran.out.endswith("Done.\n")
    (terminal,) = (each for each in document if each["tid"] == TID)
    assert (terminal["name"], terminal["lifecycle"]) == ("NEXI-P61B-C3", "ACTIVATED")
    assert [(each["serial"], each["lifecycle"]) for each in terminal["devices"]] == [
        ("A1", "ACTIVATED"),
        ("B2", "REMOVED"),
        ("C3", "ACTIVATED"),
    ]
    assert TID not in run("terminals", "list", "--journal", lane).out
    lines = run("terminals", "list", "--all", "--journal", lane).out.splitlines()
    (row,) = (number for number, line in enumerate(lines) if line.startswith("NEXI-P61B-C3"))
    assert lines[row].split()[-2:] == ["virtual", "REMOVED"]
    assert lines[row + 1].lstrip().startswith("device 2: B2")


def test_a_former_device_that_nobody_retired_is_marked_so(run: Run, lane: Path) -> None:
    run("terminals", "activate", TID, "A1", "--journal", lane)
    ran = run("terminals", "swap", TID, "B2", "--old", "activated", "--journal", lane)
    assert "The device before it is ACTIVATED, and is not reached any more." in ran.err
    assert "call it NEXI-P61B-B2 from now on" in ran.err
    out = run("terminals", "list", "--all", "--journal", lane).out
    (was,) = (line for line in out.splitlines() if "device 1: A1" in line)
    assert was.endswith("ACTIVATED  not retired")


def test_what_was_added_is_shown_as_a_plan_shows_it(run: Run, journal: Path) -> None:
    ran = run("terminals", "add", TID, *NEW, "--key", "desk", "--journal", journal, "--json")
    assert ran.document["action"] == "create"
    assert (ran.document["id"], ran.document["name"]) == ("shop:desk", "NEXI-P61B")
    assert {"field": "lifecycle", "old": None, "new": "CREATED"} in ran.document["fields"]


@pytest.mark.parametrize(
    ("step", "status", "says"),
    [
        (("add", "30350002", *NEW), 2, "(ACME-V1-PL2) has the TID 30350002 already"),
        (("add", "30350003", *NEW[:-1], "wire"), 2, "there is no driver 'wire'. Allowed: device"),
        (("add", "30 35", *NEW), 2, "tid: '30 35' does not fit"),
        (("add", "30350003", "--store", "Market", *NEW[2:]), 1, "there is: Corner"),
        (("add", "30350003", *NEW, "--setting", "port"), 2, "'port' is not NAME=VALUE"),
        (("add", "30350003", *NEW, "--setting", "port=1"), 2, "port: there is no such setting"),
        (("add", "30350003", *NEW[:-1], "ecr17"), 2, "host: this setting is missing"),
        (("activate", TID), 2, "serial: it is empty"),
        (("activate", TID, "PL 1"), 2, "serial: 'PL 1' does not fit"),
        (("activate", "shop:till-1", "X"), 1, "ACTIVATED already"),
        (("swap", TID, "B2"), 1, "is CREATED. It has no device yet"),
        (("swap", "shop:till-1", "pl1"), 2, "the device PL1 stands there already"),
        (("swap", "99999999", "B2"), 1, "No terminal '99999999'"),
        (("retire", ""), 1, "No terminal ''"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    run: Run, lane: Path, step: tuple[str, ...], status: int, says: str
) -> None:
    ran = run("terminals", *step, "--journal", lane)
    assert (ran.status, ran.out) == (status, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1


def test_settings_are_values_of_toml_or_plain_text(run: Run, journal: Path) -> None:
    options = ("--setting", "host=192.168.7.40", "--setting", "port=8081")
    ran = run("terminals", "add", TID, *NEW[:-1], "ecr17", *options, "--journal", journal)
    assert '    settings.host  "192.168.7.40"\n' in ran.out
    assert "    settings.port  8081\n" in ran.out
    ran = run(
        "terminals", "add", "30350040", *NEW[:-1], "ecr17", *options, "--setting",
        'lrc="etx"', "--setting", "shared=true", "--journal", journal, "--json",
    )  # fmt: skip
    told = {each["field"]: each["new"] for each in ran.document["fields"]}
    assert (told["settings.lrc"], told["settings.shared"]) == ('"etx"', "true")


def test_a_terminal_that_polls_needs_a_token_for_its_next_device(run: Run, journal: Path) -> None:
    run("keys", "device", "shop:till-1", "--journal", journal)
    ran = run("terminals", "swap", "shop:till-1", "PL9", "--journal", journal)
    assert "polling token  valid -> (none)" in ran.out
    assert "`tillwire keys device shop:till-1` makes its token" in ran.err


# --- files ----------------------------------------------------------------------------------


def test_a_file_that_is_applied_later_shows_what_it_would_undo(
    run: Run, journal: Path, estate_file: Path
) -> None:
    run("terminals", "swap", "30350002", "PL7", "--journal", journal)
    ran = run("estate", "apply", estate_file, "--journal", journal, "--dry-run")
    assert ran.out == (
        "~ terminal ACME-V1-PL2 (shop:till-2)\n    serial  PL7 -> PL2\nPlan: 1 to change.\n"
    )
    estate_file.write_text(estate_file.read_text().replace('"PL2"', '"PL7"'))
    assert "Nothing to do" in run("estate", "apply", estate_file, "--journal", journal).out


def test_a_file_takes_over_what_was_added(run: Run, lane: Path, estate_file: Path) -> None:
    with estate_file.open("a") as file:
        file.write(
            '[[organisations.merchants.stores.terminals]]\nkey = "30350039"\n'
            'manufacturer = "NEXI"\nmodel = "P61B"\ntid = "30350039"\ndriver = "virtual"\n'
        )
        file.flush()
        missing = run("estate", "apply", estate_file, "--journal", lane)
        assert (missing.status, "ACTIVATED terminal has a device" in missing.err) == (2, True)
        file.write('lifecycle = "CREATED"\n')
    assert "Nothing to do" in run("estate", "apply", estate_file, "--journal", lane).out


# --- payments -------------------------------------------------------------------------------


def test_nobody_swaps_the_only_device_that_could_tell(run: Run, tmp_path: Path) -> None:
    unknown, books = played(tmp_path, lost), tmp_path / "journal.db"
    for step in (("swap", "t1", "NEW1"), ("swap", "t1", "NEW1", "--old", "activated")):
        ran = run("terminals", *step, "--journal", books)
        assert (ran.status, ran.out) == (1, "")
        assert f"TILLWIRE-V1-t1 (t1) is occupied by transaction {unknown.id}, " in ran.err
        assert "which is UNKNOWN: after this change nobody could find out" in ran.err
        assert f"let a person decide it (`tillwire transactions decide {unknown.id}`)" in ran.err
    assert "is occupied" in run("terminals", "retire", "t1", "--journal", books).err
    listed = run("terminals", "list", "-o", "shop", "--json", "--journal", books).document
    assert [each["serial"] for each in listed] == ["t1", "t2", "t3"]

    decided = ("--person", "Ada", "--reason", "on the bank's list")
    run("transactions", "decide", unknown.id, "declined", *decided, "--journal", books)
    assert run("terminals", "swap", "t1", "NEW1", "--journal", books).status == 0


def test_a_payment_that_is_under_way_is_waited_for(run: Run, tmp_path: Path) -> None:
    async def open_sale(engine: Engine, driver: ScriptedDriver) -> Transaction:
        driver.capabilities = ScriptedDriver(pull=True).capabilities
        return await engine.accept(purchase(waits=True), WhenBusy.REJECT)

    sale = played(tmp_path, open_sale)
    ran = run("terminals", "retire", "t1", "--journal", tmp_path / "journal.db")
    assert ran.status == 1
    assert f"transaction {sale.id}, whose outcome is still to come" in ran.err


def test_what_was_paid_before_a_swap_stays_at_the_terminal(run: Run, tmp_path: Path) -> None:
    sale, books = played(tmp_path, paid), tmp_path / "journal.db"
    assert run("terminals", "swap", "t1", "NEW1", "--journal", books).status == 0
    (listed,) = run(
        "transactions", "list", "--terminal", "t1", "--json", "--journal", books
    ).document
    assert (listed["id"], listed["terminal"]) == (sale.id, "TILLWIRE-V1-t1")


@pytest.mark.parametrize("kind", list(TransactionType))
async def test_no_money_moves_at_a_terminal_that_is_not_activated(
    tmp_path: Path, kind: TransactionType
) -> None:
    """Faces ask for money of the engine alone; whoever is refused there is refused everywhere."""
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:

        async def take(step: Callable[[Estate], Change]) -> None:
            await engine.change_estate(lambda unit: carry_out(unit, [step(unit.estate())]))

        async def is_refused(because: str) -> None:
            with pytest.raises(Conflict, match=f"is {because}, not ACTIVATED"):
                await engine.accept(purchase(terminal=f"shop:{TID}", type=kind), WhenBusy.QUEUE)

        store, now = engine.estate.terminals["t1"].store_id, engine.clock.now()
        lane = Newcomer(
            store_id=store, tid=TID, manufacturer="NEXI", model="P61B", driver="virtual"
        )
        await take(lambda estate: lifecycle.add(estate, lane, now))
        await is_refused("CREATED")
        await take(lambda estate: lifecycle.activate(estate, f"shop:{TID}", "A1", now))
        await take(lambda estate: lifecycle.retire(estate, f"shop:{TID}", now))
        await is_refused("REMOVED")
        assert driver.ran == []
