"""A group of units leaves what its units would have left one by one, and tells each the same,
whatever they do: what they gather to be written at once is nobody's business but the writer's."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.kit.runner import again, seeds
from tests.unit.journal.test_journal import sale
from tillwire.core.estate_model import Organisation
from tillwire.core.model import Event, State, Transaction
from tillwire.core.ports import Unit
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.writer import _Job, run_group

GROUPS: Final = 8
"""Groups of a seed, one after the other on the same journal."""

Step = Callable[[Unit, Transaction], Any]


def _events(known: Transaction, first: int) -> list[Event]:
    return [
        Event(known.id, sequence, f"event {sequence}", known.state, known.created_at)
        for sequence in range(first, known.version + 1)
    ]


def _insert_held(unit: Unit, known: Transaction) -> None:
    new = msgspec.structs.replace(known, version=2, state=State.SENT, token=1)
    unit.insert(new, _events(new, 1))


def _insert_waiting(unit: Unit, known: Transaction) -> None:
    new = msgspec.structs.replace(known, version=1, state=State.ACCEPTED, token=0)
    unit.insert(new, _events(new, 1))


def _move(unit: Unit, known: Transaction) -> None:
    after = msgspec.structs.replace(known, version=known.version + 1, state=State.STARTED)
    unit.update(known, after, _events(after, after.version))


def _fail(unit: Unit, known: Transaction) -> None:
    raise ValueError("It has thought better of it.")


STEPS: Final[tuple[Step, ...]] = (
    _insert_held,
    _insert_held,
    _insert_waiting,
    _move,
    _move,
    _move,
    _fail,
    lambda unit, known: unit.seize(known.terminal_id, known.id, "gateway", None),
    lambda unit, known: unit.pass_on(known, "gateway"),
    lambda unit, known: unit.hold(known.terminal_id),
    lambda unit, known: unit.queue(known.terminal_id),
    lambda unit, known: unit.transaction(known.id),
    lambda unit, known: unit.by_reference("o1", known.reference),
    lambda unit, known: unit.events(known.id),
    lambda unit, known: unit.follow_ups(known.id),
    lambda unit, known: unit.remember_key("o1", known.id, "f", known.id, known.created_at),
    lambda unit, known: unit.idempotent("o1", known.id),
    lambda unit, known: unit.put(Organisation(known.id, "O")),
    lambda unit, known: unit.estate_version(),
)


def drawn(drawing: random.Random) -> Callable[[Unit], list[Any]]:
    """A unit of one to three steps on few transactions, so that units meet."""
    steps = []
    for _ in range(drawing.randint(1, 3)):
        number = drawing.randrange(4)
        named = {"id": f"{number:031d}", "terminal_id": f"t{number % 2}"}
        version = drawing.randint(1, 4)  # by which it may be outdated
        known = msgspec.structs.replace(
            sale(),
            **named,
            reference=f"r{number % 2}",
            version=version,
            state=State.ACCEPTED if version == 1 else State.SENT,
            token=drawing.randint(0, 2),
        )
        steps.append((drawing.choice(STEPS), known))
    return lambda unit: [step(unit, known) for step, known in steps]


def told(journal: SqliteJournal, *jobs: _Job[Any]) -> list[tuple[bool, Any]]:
    """Whether each unit failed when all of them make one group, and what it is told if not. Of two
    things that are wrong with one unit, either may be told."""
    run_group(journal._writer._committer, list(jobs))
    return [(each.error is not None, None if each.error else each.result) for each in jobs]


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that is durable, in the order in which it was written."""
    connection = sqlite3.connect(path)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    found = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in tables}
    connection.close()
    return found


@pytest.mark.parametrize("seed", seeds(range(40)))
async def test_a_group_leaves_what_its_units_leave_one_by_one(tmp_path: Path, seed: int) -> None:
    drawing, loop = random.Random(seed), asyncio.get_running_loop()
    paths = tmp_path / "together.db", tmp_path / "alone.db"
    together, alone = (SqliteJournal(path) for path in paths)
    try:
        for _ in range(GROUPS):
            units = [drawn(drawing) for _ in range(drawing.randint(2, 8))]
            first = told(together, *(_Job(each, loop.create_future()) for each in units))
            second = [
                answer for each in units for answer in told(alone, _Job(each, loop.create_future()))
            ]
            assert first == second, again(seed)
        assert rows(paths[0]) == rows(paths[1]), again(seed)
    finally:
        together.close()
        alone.close()
