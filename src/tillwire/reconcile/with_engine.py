"""A whole reconciliation for programs that have the engine: as `tillwire reconcile` does it.

The comparison reads the journal on a snapshot and writes nothing, so it never waits for the engine.
What it proves of UNKNOWN transactions is told to the engine behind it, and when any ended by that,
the sides are compared once more: the report is of the journal as it is then.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

import msgspec

from tillwire.clock import Instant
from tillwire.core.engine import Engine
from tillwire.core.entries import Entry, Lists
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.ports import Snapshot
from tillwire.errors import InvalidRequest, PeerError
from tillwire.reconcile.facts import Window
from tillwire.reconcile.findings import findings
from tillwire.reconcile.journal_side import accepted_at
from tillwire.reconcile.match import ACQUIRER
from tillwire.reconcile.run import MOST, Report, Resolution, Resolve, nothing
from tillwire.reconcile.sources import Sources
from tillwire.reconcile.told_side import AROUND, TheirSide, passed
from tillwire.reconcile.with_journal import compare, openings


class Reconciled(msgspec.Struct, frozen=True):
    """What came of it."""

    report: Report
    opened: int
    """Discrepancies that were not opened before."""


async def reconcile_journal(
    engine: Engine,
    window: Window,
    sources: Sources,
    *,
    terminals: Collection[str] | None = None,
    ask_terminals: bool = False,
    dry_run: bool = False,
    most: int = MOST,
) -> Reconciled:
    """Compare the journal with `sources` (`till`, `acquirer`; each one source, or several whose
    rows are compared as one), tell the engine what is definite of
    UNKNOWN transactions, and open a discrepancy for each difference that had none; `dry_run` only
    looks. `terminals` are ids; None: all. `ask_terminals`: the acquirer's side is what they, or
    their clouds, have on their books of as much of the time as has passed.

    Raises `InvalidRequest` (a source cannot be read, nothing to compare with), `NotFound` (a
    terminal), `PeerError` (a list that does not come whole), `TillwireError` (too many
    differences), `JournalError`. Nothing is written then.
    """
    theirs: TheirSide | None = None
    if ask_terminals:
        if ACQUIRER in sources:
            raise InvalidRequest("ask_terminals", "there is an acquirer's side", "one of both")
        begun = engine.clock.now()
        window = passed(window, begun, "window")
        theirs = await _told(engine, window, terminals, begun)
        window, terminals = (
            theirs.narrowed(window, engine.estate),
            {each.id for each in theirs.asked},
        )

    def compared(resolve: Resolve, reader: Snapshot) -> Report:
        sides, moment_of = dict(sources), accepted_at
        if theirs is not None:
            sides[ACQUIRER] = theirs.source(engine.estate, reader, window)
            moment_of = theirs.moment_of
        return compare(
            reader, sides, window, terminals, resolve=resolve, most=most, moment_of=moment_of
        )

    known: list[Resolution] = []

    def keep(found: list[Resolution]) -> set[str]:
        known.extend(found)
        return set()

    report = await engine.journal.read(partial(compared, keep))
    if dry_run:
        return Reconciled(report, 0)
    if resolved := await _resolved(engine, known):
        if theirs is not None:
            theirs = theirs._replace(resolved=frozenset(resolved))
        report = await engine.journal.read(partial(compared, nothing))
        report = msgspec.structs.replace(report, resolved=sorted(resolved))
    opened = 0
    for work in openings(findings(report.differences, report.sources), engine.clock.now()):
        opened += await engine.journal.commit(work)
    return Reconciled(report, opened)


async def _told(
    engine: Engine, window: Window, terminals: Collection[str] | None, begun: Instant
) -> TheirSide:
    """What those of the terminals that keep a list tell; a terminal that was removed may not."""
    begin, end = Instant(window.begin - AROUND), Instant(window.end + AROUND)
    asked: list[Terminal] = []
    told: list[tuple[Terminal, Entry]] = []
    for terminal_id in sorted(engine.estate.terminals if terminals is None else terminals):
        if engine.capabilities(terminal_id).lists is Lists.NONE:
            continue
        place = engine.estate.terminals[terminal_id]
        if place.lifecycle is Lifecycle.CREATED:
            continue
        try:
            found = [entry async for entry in engine.entries(terminal_id, begin, end)]
        except PeerError:
            if place.lifecycle is Lifecycle.REMOVED:
                continue
            raise
        asked.append(place)
        told += ((place, entry) for entry in found)
    if not asked:
        raise InvalidRequest(
            "terminals", "none of these terminals keeps a list", "terminals that do, or a file"
        )
    return TheirSide(told, asked, begun)


async def _resolved(engine: Engine, known: Sequence[Resolution]) -> set[str]:
    """Those that have ended as the acquirer says."""
    ended = set()
    for each in known:
        after = await engine.resolve(each.transaction_id, each.outcome, each.source)
        if after.state is each.outcome.verdict.state:
            ended.add(each.transaction_id)
    return ended
