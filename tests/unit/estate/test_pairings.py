"""A register has one terminal, and a code pairs once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.cloud import OTHER
from tests.kit.shop import SHOP, VIRTUAL
from tests.unit.smartconnect.face.register import furnish
from tillwire.cli.journals import commit
from tillwire.clock import Instant, SystemClock
from tillwire.core.estate_model import Lifecycle, Register
from tillwire.core.ports import Unit
from tillwire.errors import Conflict, NotFound
from tillwire.estate import pairings
from tillwire.estate.pairings import Codes, Newcomer, WrongCode
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.vault import KeyFileVault

NOW = Instant(1_773_480_000_000)
FIRST, SECOND, _ = VIRTUAL


class Counter:
    """A shop's journal, and the codes of its terminals."""

    def __init__(self, folder: Path) -> None:
        self.journal = SqliteJournal(folder / "journal.db", inline=True)
        commit(self.journal, furnish)
        self.codes = Codes(KeyFileVault(folder / "key"))

    def show(self, terminal: str = FIRST.id, seconds: float | None = 120, at: int = NOW) -> str:
        drawn = self.codes.drawn(SystemClock())

        def work(unit: Unit) -> str:
            return pairings.show_code(unit, terminal, drawn, Instant(at), seconds)[0]

        return commit(self.journal, work)

    def enter(self, code: str, at: int = NOW, **fields: str) -> tuple[Register, str]:
        said = {
            "organisation_id": SHOP,
            "dialect": "smartconnect",
            "register_id": "till-1",
            "business_name": "Books",
            "vendor_name": "TillCo",
            "name": "Till 1",
            **fields,
        }
        digest = self.codes.digest(code)
        return commit(
            self.journal,
            lambda unit: pairings.pair(unit, digest, Newcomer(**said), Instant(at)),  # type: ignore[arg-type]
        )

    def at(self, terminal: str) -> list[str]:
        estate = self.journal.read_now(lambda reader: reader.estate())
        return [each.register_id for each in estate.registers_at(terminal)]


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Counter]:
    found = Counter(tmp_path)
    yield found
    found.journal.close()


def test_a_code_pairs_once(counter: Counter) -> None:
    code = counter.show()
    assert len(code) == pairings.CODE_DIGITS
    register, before = counter.enter(code)
    assert (register.terminal_id, before) == (FIRST.id, "")
    for name in ("till-1", "till-2"):
        with pytest.raises(WrongCode):
            counter.enter(code, register_id=name)
    assert counter.at(FIRST.id) == ["till-1"]


def test_a_code_is_worth_nothing_from_its_last_instant_on(counter: Counter) -> None:
    code = counter.show(seconds=120)
    with pytest.raises(WrongCode):
        counter.enter(code, at=NOW + 120_000)
    assert counter.enter(code, at=NOW + 119_999)


def test_a_new_code_replaces_the_one_before_but_not_one_that_lives_until_it_is_used(
    counter: Counter,
) -> None:
    lasting = counter.show(seconds=None)
    first, second = counter.show(), counter.show()
    elsewhere = counter.show(SECOND.id)
    with pytest.raises(WrongCode):
        counter.enter(first)
    assert counter.enter(second)
    assert counter.enter(elsewhere, register_id="till-2")
    assert counter.enter(lasting, at=NOW + 10**12, register_id="till-3")


def test_pairing_again_moves_a_register(counter: Counter) -> None:
    first, _ = counter.enter(counter.show())
    second, before = counter.enter(counter.show(SECOND.id), business_name="Other books")
    assert (second.id, before) == (first.id, FIRST.id)
    assert (counter.at(FIRST.id), counter.at(SECOND.id)) == ([], ["till-1"])
    assert second.business_name == "Other books"


def test_a_terminal_has_several_registers_and_unpairs_them_all(counter: Counter) -> None:
    counter.enter(counter.show())
    counter.enter(counter.show(), register_id="till-2")
    # The same id of another vendor's is another register.
    counter.enter(counter.show(), vendor_name="Others")
    assert sorted(counter.at(FIRST.id)) == ["till-1", "till-1", "till-2"]
    code = counter.show()
    done = commit(counter.journal, lambda unit: pairings.unpair_all(unit, FIRST.id, NOW))
    assert len(done) == 3
    assert counter.at(FIRST.id) == []
    assert all(each.unpaired_at == NOW for each in done)
    with pytest.raises(WrongCode):
        counter.enter(code)
    with pytest.raises(Conflict):
        commit(counter.journal, lambda unit: pairings.unpair(unit, done[0].id, NOW))
    with pytest.raises(NotFound):
        commit(counter.journal, lambda unit: pairings.unpair(unit, "none", NOW))


def test_codes_of_another_organisation_do_not_exist(counter: Counter) -> None:
    with pytest.raises(WrongCode):
        counter.enter(counter.show(), organisation_id=OTHER)


def test_only_an_active_terminal_shows_a_code_or_is_paired(counter: Counter) -> None:
    code = counter.show()
    retired = FIRST.__class__(
        **{name: getattr(FIRST, name) for name in FIRST.__struct_fields__}
        | {"lifecycle": Lifecycle.REMOVED}
    )
    commit(counter.journal, lambda unit: unit.put(retired))
    with pytest.raises(WrongCode):
        counter.enter(code)
    with pytest.raises(Conflict):
        counter.show()
    with pytest.raises(NotFound):
        counter.show("none")


def test_no_more_registers_than_there_may_be_at_a_terminal(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairings, "MOST_AT_TERMINAL", 2)
    for name in ("till-1", "till-2"):
        counter.enter(counter.show(), register_id=name)
    code = counter.show()
    with pytest.raises(Conflict):
        counter.enter(code, register_id="till-3")
    assert counter.enter(code), "one that is paired there already may be paired again"


def test_the_journal_has_no_code_in_it(counter: Counter, tmp_path: Path) -> None:
    code = counter.show()
    files = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    assert not any(code.encode() in octets for octets in files)


def test_codes_that_are_in_use_are_not_shown_again(counter: Counter) -> None:
    drawn = [("12345678", counter.codes.digest("12345678"))]
    commit(counter.journal, lambda unit: pairings.show_code(unit, FIRST.id, drawn, NOW, 120))
    with pytest.raises(Conflict):
        commit(counter.journal, lambda unit: pairings.show_code(unit, SECOND.id, drawn, NOW, 120))
