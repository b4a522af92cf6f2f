"""Makes the estate as a file declares it, in one unit of work.

The plan is made again inside the unit, from the estate as it stands there. So nothing that changed
after a person looked at a plan is overwritten: the difference is noticed, and nothing is written.
"""

from __future__ import annotations

from tillwire.clock import Instant
from tillwire.core.ports import Unit
from tillwire.errors import Conflict
from tillwire.estate.changes import Plan
from tillwire.estate.file import Declared
from tillwire.estate.plan import plan


def apply(
    unit: Unit,
    declared: Declared,
    *,
    now: Instant,
    prune: bool = False,
    shown: Plan | None = None,
) -> Plan:
    """Write what makes the estate as declared; the plan that was carried out.

    `shown` is the plan that was agreed to, made with the same `now` and `prune`. Raises `Misfit`,
    and `Conflict` when another plan is due by now, or when a terminal that must be idle for its
    change is occupied.
    """
    due = plan(declared, unit.estate(), now=now, prune=prune)
    if shown is not None and shown != due:
        raise Conflict("The estate has changed since this plan was shown: look at it again.")
    for change in due.changes:
        if change.idle_terminal is not None:
            _check_idle(unit, change.idle_terminal, change.name)
    for change in due.changes:
        for thing in change.writes:
            unit.put(thing)
    return due


def _check_idle(unit: Unit, terminal_id: str, name: str) -> None:
    hold = unit.hold(terminal_id)
    if hold is not None:
        raise Conflict(
            f"Terminal {name} ({terminal_id}) is occupied by transaction {hold.transaction_id}: "
            "a terminal changes when its transaction has ended, or a person has decided it."
        )
