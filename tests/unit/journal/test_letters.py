"""The outbox in the journal, and the estate's applications and hooks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.unit.estate_fixture import found_shop
from tillwire.clock import Instant
from tillwire.core.estate_model import Application, Hook
from tillwire.core.letters import Letter, LetterState
from tillwire.core.ports import Unit
from tillwire.journal.sqlite import SqliteJournal

LETTER = Letter(
    transaction_id="1",
    organisation_id="shop",
    channel="callback",
    kind="RECEIVED",
    sealed="1.aa.bb",
    body=b"\x00told",
    gzip=True,
    created_at=Instant(1000),
    due_at=Instant(2000),
    pauses=(0.5, 10, 3600),
    patience=2.5,
)
APPLICATION = Application(
    id="urn:aid:1",
    organisation_id="shop",
    name="Till software",
    public_key="PEM",
    permissions=("cloud-messages:write", "read"),
    created_at=Instant(1),
)
HOOK = Hook(
    id="h1",
    organisation_id="shop",
    application_id="urn:aid:1",
    merchant_id="shop-m",
    dialect="test",
    address="https://app.example/",
    sealed_secret="sealed",
    events=("PAID", "REFUNDED"),
    active=True,
    created_at=Instant(1),
    updated_at=Instant(2),
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path / "journal.db")
    yield journal
    journal.close()


async def post(journal: SqliteJournal, *letters: Letter) -> list[int]:
    return await journal.commit(lambda unit: [unit.post(each) for each in letters])


async def test_a_letter_comes_back_as_it_was(journal: SqliteJournal) -> None:
    (number,) = await post(journal, LETTER)
    found = await journal.read(lambda reader: reader.letter(number))
    assert found == msgspec.structs.replace(LETTER, id=number)
    assert await journal.read(lambda reader: reader.letter(number + 1)) is None


async def test_waiting_letters_are_followed_in_the_order_of_commits(journal: SqliteJournal) -> None:
    ids = await post(journal, *[LETTER] * 5)
    pages = [await journal.read(lambda reader: reader.waiting_letters(0, 2))]
    pages.append(await journal.read(lambda reader: reader.waiting_letters(pages[0][-1].id, 9)))
    assert [each.id for page in pages for each in page] == ids


async def test_no_id_comes_twice(journal: SqliteJournal) -> None:
    """Else whoever follows the ids would miss what took the place of a letter that was dropped."""
    (first,) = await post(journal, LETTER)
    assert await journal.commit(lambda unit: unit.drop_letter(first))
    assert not await journal.commit(lambda unit: unit.drop_letter(first))
    (second,) = await post(journal, LETTER)
    assert second > first


async def test_a_letter_is_settled_once(journal: SqliteJournal) -> None:
    (number,) = await post(journal, LETTER)
    letter = msgspec.structs.replace(
        LETTER,
        id=number,
        tries=3,
        state=LetterState.GIVEN_UP,
        settled_at=Instant(5000),
        due_at=Instant(4000),
        trouble="It answered 500.",
    )
    assert await journal.commit(lambda unit: unit.settle_letter(letter))
    assert await journal.read(lambda reader: reader.letter(number)) == letter
    again = msgspec.structs.replace(letter, state=LetterState.DELIVERED)
    assert not await journal.commit(lambda unit: unit.settle_letter(again))
    assert await journal.read(lambda reader: reader.letter(number)) == letter
    assert await journal.read(lambda reader: reader.waiting_letters(0, 9)) == []
    assert await journal.read(lambda reader: reader.letters_in(LetterState.GIVEN_UP, 9)) == [letter]
    counts = [
        await journal.read(lambda reader, state=state: reader.count_letters(state))
        for state in LetterState
    ]
    assert counts == [0, 0, 1]


async def test_letters_are_found_by_transaction_and_by_channel(journal: SqliteJournal) -> None:
    ids = await post(
        journal,
        LETTER,
        msgspec.structs.replace(LETTER, channel="hook:1"),
        msgspec.structs.replace(LETTER, transaction_id="2"),
        msgspec.structs.replace(LETTER, transaction_id=None),
    )
    about = await journal.read(lambda reader: reader.letters_of("1"))
    assert [each.id for each in about] == ids[:2]
    on = await journal.read(lambda reader: reader.letters_on("callback", 2))
    assert [each.id for each in on] == [ids[3], ids[2]]


async def test_old_letters_are_dropped_a_few_at_a_time(journal: SqliteJournal) -> None:
    """Those that wait are not among them: the clock that calls them old may be wrong."""
    old = msgspec.structs.replace(LETTER, state=LetterState.GIVEN_UP)
    young = msgspec.structs.replace(old, created_at=Instant(9000))
    *_, waiting, last = await post(journal, *[old] * 5, LETTER, young)
    assert await journal.read(lambda reader: reader.has_old_letters(Instant(9000)))
    dropped = [
        await journal.commit(lambda unit: unit.drop_letters(Instant(9000), 3)) for _ in range(3)
    ]
    assert dropped == [3, 2, 0]
    assert not await journal.read(lambda reader: reader.has_old_letters(Instant(9000)))
    left = await journal.read(lambda reader: reader.letters_on("callback", 9))
    assert [each.id for each in left] == [last, waiting]


async def test_applications_and_hooks_come_back_as_they_were(journal: SqliteJournal) -> None:
    revoked = msgspec.structs.replace(
        APPLICATION, id="urn:aid:0", revoked_at=Instant(3), permissions=()
    )
    removed = msgspec.structs.replace(HOOK, id="h0", removed_at=Instant(3), active=False)

    def found(unit: Unit) -> None:
        found_shop(unit)
        for thing in (APPLICATION, revoked, HOOK, removed):
            unit.put(thing)

    await journal.commit(found)
    estate = await journal.read(lambda reader: reader.estate())
    assert estate.applications == {each.id: each for each in (APPLICATION, revoked)}
    assert estate.applications_of("shop") == [revoked, APPLICATION]
    assert estate.applications_of("other") == []
    assert estate.hooks == {each.id: each for each in (HOOK, removed)}
    assert estate.hooks_of("shop") == [HOOK]
    assert estate.hooks_of("other") == []
    assert estate.hooks_for("shop-s", "test") == [HOOK]
    for store, dialect in (("shop-s", "else"), ("other-s", "test"), ("nowhere", "test")):
        assert estate.hooks_for(store, dialect) == []
