"""What terminals and clouds tell, as rows: no more than they say."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.estate_fixture import found_shop
from tillwire.clock import Instant
from tillwire.core.entries import Entry
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Device, Lifecycle, Store, Terminal
from tillwire.core.model import (
    Heading,
    Outcome,
    State,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.money import Money
from tillwire.reconcile.facts import names_of
from tillwire.reconcile.sources import Row
from tillwire.reconcile.told_side import rows_told


class _Kept:
    """A unit that keeps what is put."""

    def __init__(self) -> None:
        self.things: list[object] = []

    def put(self, thing: object) -> None:
        self.things.append(thing)


def _estate() -> Estate:
    kept = _Kept()
    found_shop(kept)  # type: ignore[arg-type] # it puts, and asks nothing
    stores = [each for each in kept.things if isinstance(each, Store)]
    terminals = [each for each in kept.things if isinstance(each, Terminal)]
    return Estate(stores=stores, terminals=terminals)


ESTATE = _estate()
TERMINAL = ESTATE.terminals["t1"]
BEGIN = Instant(1_773_480_000_000)
OURS = Transaction(
    id="1773480000000123456789012345678",
    version=1,
    organisation_id="shop",
    terminal_id="t1",
    dialect="merchantapi",
    type=TransactionType.REFUND,
    state=State.APPROVED,
    amount=Money(1250, "EUR"),
    reference="r",
    heading=Heading("s", "Corner Shop", "", "", "", "NL", "Europe/Amsterdam", TERMINAL.name, ""),
    created_at=Instant(BEGIN + 61_005),
)
APPROVED = Outcome(
    Verdict.APPROVED, approved_amount=1250, stan="000042", authorisation_code="A1",
    card_last4="4417", acquirer_reference="rrn",
)  # fmt: skip


def row(entry: Entry) -> Row:
    known = {OURS.id: OURS}.get
    (found,) = rows_told([(TERMINAL, entry)], ESTATE, known, BEGIN)
    return found


def test_all_that_is_told_is_in_the_row() -> None:
    entry = Entry(
        name="n", outcome=APPROVED, type=TransactionType.PURCHASE, amount=1250, currency="JPY",
        at=Instant(BEGIN + 1), reference="ref",
    )  # fmt: skip
    assert row(entry) == Row(
        reference="ref", acquirer_reference="rrn", terminal=TERMINAL.name, store="Corner Shop",
        type="PURCHASE", status="APPROVED", amount="1250", currency="JPY",
        at="2026-03-14T09:20:00.001Z", authorisation_code="A1", stan="000042", card_last4="4417",
    )  # fmt: skip


def test_what_is_not_told_is_the_journals() -> None:
    found = row(Entry(name=OURS.id, transaction_id=OURS.id))
    assert found.transaction_id == OURS.id
    assert (found.type, found.amount, found.currency) == ("REFUND", "12.50", "EUR")
    assert found.at == "2026-03-14T09:21:01.005Z"
    assert found.status == "UNKNOWN"


def test_of_what_nobody_knows_nothing_is_made_up() -> None:
    found = row(Entry(name="n"))
    assert (found.status, found.amount, found.currency) == ("UNKNOWN", "0.00", "EUR")
    assert found.at == "2026-03-14T09:20:00.000Z"


def test_what_it_follows_is_called_by_our_id() -> None:
    sale = Entry(name="their-sale", transaction_id=OURS.id)
    void = Entry(name="their-void", original="their-sale")
    lost = Entry(name="another", original="of-last-week")
    known = {OURS.id: OURS}.get
    told = [(TERMINAL, each) for each in (sale, void, lost)]
    assert [each.original_id for each in rows_told(told, ESTATE, known, BEGIN)] == [
        "", OURS.id, ""
    ]  # fmt: skip


def test_what_it_follows_is_no_other_cloud_s_of_that_name() -> None:
    """Each cloud gives names of its own; one of them may have several terminals."""
    there = ESTATE.terminals["t2"]
    told = [
        (TERMINAL, Entry(name="7", transaction_id=OURS.id)),
        (TERMINAL, Entry(name="8", original="7")),
        (there, Entry(name="7", transaction_id="2" * 31)),
        (there, Entry(name="9", original="7")),
        (there, Entry(name="only-here", transaction_id="3" * 31)),
        (TERMINAL, Entry(name="10", original="only-here")),
        (ESTATE.terminals["t3"], Entry(name="11", original="7")),
    ]
    rows = list(rows_told(told, ESTATE, {OURS.id: OURS}.get, BEGIN))
    assert [rows[place].original_id for place in (1, 3, 5, 6)] == [
        OURS.id, "2" * 31, "3" * 31, ""
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "APPROVED"),
        ({"reversed": True}, "REVERSED"),
        ({"amount": None}, "UNKNOWN"),
        ({"amount": None, "transaction_id": OURS.id}, "UNKNOWN"),
        ({"outcome": None}, "UNKNOWN"),
        ({"outcome": Outcome(Verdict.DECLINED)}, "DECLINED"),
        ({"outcome": Outcome(Verdict.CANCELLED), "amount": None}, "CANCELLED"),
    ],
)
def test_statuses(change: dict[str, object], status: str) -> None:
    entry = Entry(name="n", outcome=APPROVED, amount=1250)
    assert row(msgspec.structs.replace(entry, **change)).status == status


def test_a_terminal_is_known_by_the_names_of_all_that_stood_there() -> None:
    at = Instant(1)
    here = msgspec.structs.replace(TERMINAL, tid="30350001")
    history = [
        Device("t1", 1, "Old", at, Lifecycle.REMOVED, at, at),
        Device("t1", 2, TERMINAL.serial, at, Lifecycle.ACTIVATED, at),
        Device("t2", 1, "other", at, Lifecycle.ACTIVATED, at),
    ]
    estate = Estate(terminals=[here], devices=history)
    names = {"tillwire-v1-old", "tillwire-v1-t1", "30350001"}
    assert names_of(estate, [here]) == names
    assert names_of(ESTATE, [TERMINAL]) == {"tillwire-v1-t1"}
    assert names_of(ESTATE, []) == frozenset()
