"""The terminals' own books as a side of `tillwire reconcile`.

The gateway that reaches the terminals asks them, before the journal is read: what is on their books
by then is in the journal, too. A list that does not come whole stops the comparison, since what is
not in it would count as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tillwire.cli.books import NOT_RUNNING, listed
from tillwire.clock import Instant
from tillwire.core.entries import Entry, Lists
from tillwire.core.estate import Estate
from tillwire.core.model import Lifecycle, Terminal
from tillwire.core.ports import Reader
from tillwire.errors import Conflict, InvalidRequest, PeerError
from tillwire.reconcile import profiles
from tillwire.reconcile.facts import Window
from tillwire.reconcile.sources import Rows, Source
from tillwire.reconcile.told_side import rows_told

AROUND: Final = 3600 * 1000
"""Milliseconds before and behind what was asked for in which the other side may have a sale."""


class TheirSide(NamedTuple):
    """What the terminals told."""

    told: list[tuple[Terminal, Entry]]
    asked: list[Terminal]
    window: Window
    """What was asked for, as far as it has passed, of those terminals."""

    def source(self, estate: Estate, reader: Reader) -> Source:
        """It as a side; the journal is read by `reader`."""
        rows = rows_told(self.told, estate, reader.transaction, self.window.begin)
        return Rows(self.name, rows, profiles.load("tillwire"))

    @property
    def name(self) -> str:
        """For people."""
        count = len(self.asked)
        return f"the books of {self.asked[0].name if count == 1 else f'{count} terminals'}"


def ask_terminals(
    path: Path,
    estate: Estate,
    window: Window,
    terminals: Sequence[Terminal] | None,
    now: Instant,
    say: Callable[[str], None],
) -> TheirSide:
    """Ask these terminals, or all, for what they have on their books. Raises `Conflict` when no
    gateway runs, `InvalidRequest` when none of them keeps a list, and `PeerError`."""
    if window.begin >= now:
        raise InvalidRequest("--from", "it has not come yet", "a time that has passed")
    if window.end > now:
        say("What is asked for has not passed yet: what happens from now on is left out.")
    window = msgspec.structs.replace(window, end=min(window.end, now))
    told: list[tuple[Terminal, Entry]] = []
    asked: list[Terminal] = []
    silent: list[str] = []
    named: list[str] = []
    for terminal in _places(estate, terminals):
        begin, end = Instant(window.begin - AROUND), Instant(window.end + AROUND)
        found = listed(path, terminal, begin, end, say_progress=say)
        if found.trouble == NOT_RUNNING:
            raise Conflict(NOT_RUNNING)
        if found.lists is Lists.NONE:
            silent.append(terminal.name)
            continue
        if found.trouble:
            raise PeerError(f"{terminal.name} did not tell all. {found.trouble}")
        if found.lists is Lists.NAMED:
            named.append(terminal.name)
        asked.append(terminal)
        told += ((terminal, entry) for entry in found.entries)
    if not asked:
        raise InvalidRequest(
            "--ask-terminals", "none of these terminals keeps a list", "--acquirer with a file"
        )
    if silent:
        say(f"Left out, since they keep no list: {', '.join(silent)}.")
    if named:
        say(f"They tell only of what we name, so nothing can be missing here: {', '.join(named)}.")
    names = {each.lower() for place in asked for each in (place.name, place.tid) if each}
    return TheirSide(told, asked, msgspec.structs.replace(window, terminals=frozenset(names)))


def _places(estate: Estate, terminals: Sequence[Terminal] | None) -> list[Terminal]:
    places = estate.terminals.values() if terminals is None else terminals
    standing = [each for each in places if each.lifecycle is not Lifecycle.CREATED]
    return sorted(standing, key=lambda each: each.name)
