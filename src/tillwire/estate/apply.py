"""Makes the estate as a file declares it, in one unit of work.

The plan is made again inside the unit, from the estate as it stands there. So nothing that changed
after a person looked at a plan is overwritten: the difference is noticed, and nothing is written.
"""

from __future__ import annotations

from tillwire.clock import Instant
from tillwire.core.ports import Unit
from tillwire.errors import Conflict
from tillwire.estate.carry_out import carry_out
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
    carry_out(unit, due.changes)
    return due
