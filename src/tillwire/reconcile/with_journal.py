"""A journal as one side of a comparison, and as the place of what came of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Final

from tillwire.clock import Instant
from tillwire.core.model import Finding
from tillwire.core.ports import Snapshot, Unit
from tillwire.reconcile.facts import Window
from tillwire.reconcile.journal_side import MomentOf, accepted_at, rows_of
from tillwire.reconcile.match import GATEWAY
from tillwire.reconcile.run import MOST, Report, Resolve, gateway_rows, nothing, reconcile
from tillwire.reconcile.sources import Sources

AROUND: Final = 24 * 3600 * 1000
"""Milliseconds before and behind what was asked for in which another side may have a sale."""
TOGETHER: Final = 500
"""Discrepancies of one commit: a gateway's sales wait no longer than for these."""


def compare(
    reader: Snapshot,
    sources: Sources,
    window: Window,
    terminals: Collection[str] | None,
    *,
    resolve: Resolve = nothing,
    most: int = MOST,
    say: Callable[[str], None] = lambda _: None,
    moment_of: MomentOf = accepted_at,
) -> Report:
    """Compare the journal on the reader's snapshot with the sources (`till`, `acquirer`). The
    snapshot is let go of as soon as its rows are copied, so that a gateway beside it can fold what
    it writes meanwhile. `terminals` are the ids of those that count; None: all. Raises as
    `run.reconcile`."""
    first, behind = Instant(window.begin - AROUND), Instant(window.end + AROUND)
    ours = gateway_rows(rows_of(reader.transactions_in(first, behind), terminals, moment_of))
    sides = {GATEWAY: ours, **sources}
    return reconcile(sides, window, resolve=resolve, most=most, say=say, copied=reader.release)


def openings(found: Sequence[Finding], now: Instant) -> Iterator[Callable[[Unit], int]]:
    """Units of work that open a discrepancy for each finding that had none; each says how many
    those were."""
    for index in range(0, len(found), TOGETHER):
        yield partial(_open, found[index : index + TOGETHER], now)


def _open(some: Sequence[Finding], now: Instant, unit: Unit) -> int:
    return sum(unit.report(each, now) for each in some)
