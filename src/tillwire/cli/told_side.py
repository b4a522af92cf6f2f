"""The terminals' own books as a side of `tillwire reconcile`.

The gateway that reaches the terminals asks them, before the journal is read: what is on their books
by then is in the journal, too. A list that does not come whole stops the comparison, since what is
not in it would count as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tillwire.cli.books import NOT_RUNNING, listed
from tillwire.clock import Instant
from tillwire.core.entries import Entry, Lists
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.errors import Conflict, InvalidRequest, PeerError
from tillwire.reconcile.facts import Window
from tillwire.reconcile.told_side import AROUND, TheirSide, passed


def ask_terminals(
    path: Path,
    estate: Estate,
    window: Window,
    terminals: Sequence[Terminal] | None,
    now: Instant,
    say: Callable[[str], None],
) -> tuple[TheirSide, Window]:
    """Ask these terminals, or all, for what they have on their books; with it, what was
    asked for as far as it has passed, of those that tell. Raises `Conflict` when no
    gateway runs, `InvalidRequest` when none of them keeps a list, and `PeerError`."""
    if window.end > now:
        say("What is asked for has not passed yet: what happens from now on is left out.")
    window = passed(window, now, "--from")
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
        if found.trouble and terminal.lifecycle is Lifecycle.REMOVED:
            say(f"Left out, since it was removed: {terminal.name}. {found.trouble}")
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
    theirs = TheirSide(told, asked, now)
    return theirs, theirs.narrowed(window, estate)


def _places(estate: Estate, terminals: Sequence[Terminal] | None) -> list[Terminal]:
    places = estate.terminals.values() if terminals is None else terminals
    standing = [each for each in places if each.lifecycle is not Lifecycle.CREATED]
    return sorted(standing, key=lambda each: each.name)
