"""Writes changes of the estate, unless a transaction is in the way.

Whoever decides on changes (`plan.py` from a file, `lifecycle.py` for one terminal) reads nothing of
transactions; here is asked whether a terminal that must be idle for its change is.
"""

from __future__ import annotations

from collections.abc import Iterable

from tillwire.core.model import State
from tillwire.core.ports import Unit
from tillwire.errors import Conflict
from tillwire.estate.changes import Change


def carry_out(unit: Unit, changes: Iterable[Change]) -> None:
    """Write all that the changes write. Raises `Conflict`, before any is written, when a terminal
    that must be idle for its change is occupied."""
    decided = list(changes)
    for change in decided:
        _check_idle(unit, change)
    for change in decided:
        for thing in change.writes:
            unit.put(thing)


def _check_idle(unit: Unit, change: Change) -> None:
    hold = None if change.idle_terminal is None else unit.hold(change.idle_terminal)
    if hold is None:
        return
    holder = unit.transaction(hold.transaction_id)
    if holder is not None and holder.state is State.UNKNOWN:
        then = (
            "which is UNKNOWN: after this change nobody could find out any more what became of "
            "it. Wait until the terminal has been asked for it, or let a person decide it "
            f"(`tillwire transactions decide {hold.transaction_id}`); then do this again."
        )
    else:
        then = (
            "whose outcome is still to come. Wait until it has ended, or cancel it; then do this "
            "again."
        )
    name = unit.estate().terminals[hold.terminal_id].name
    raise Conflict(
        f"Terminal {name} ({change.id}) is occupied by transaction {hold.transaction_id}, {then}"
    )
