"""Options that many commands share, and how what is typed is looked up in the estate."""

from __future__ import annotations

from typing import Annotated

import typer

from tillwire.core.estate import Estate
from tillwire.core.model import Lifecycle, Organisation, Terminal
from tillwire.errors import Conflict, NotFound

JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, for programs.")
]


def organisation_of(estate: Estate, key: str) -> Organisation:
    """The organisation of this key. Raises `NotFound` with those that there are."""
    found = estate.organisations.get(key)
    if found is None:
        known = ", ".join(sorted(estate.organisations)) or "none yet"
        raise NotFound(f"No organisation {key!r}; there is: {known}.")
    return found


def terminal_of(estate: Estate, text: str) -> Terminal:
    """The terminal that `text` names: its id, or `manufacturer-model-serial` in any case of
    letters. Raises `NotFound`, and `Conflict` when several organisations have one."""
    if text in estate.terminals:
        return estate.terminals[text]
    named = [
        terminal for terminal in estate.terminals.values() if terminal.name.lower() == text.lower()
    ]
    standing = [each for each in named if each.lifecycle is not Lifecycle.REMOVED] or named
    if not standing:
        raise NotFound(f"No terminal {text!r}: `tillwire estate show --all` lists them.")
    if len(standing) > 1:
        ids = ", ".join(sorted(each.id for each in standing))
        raise Conflict(f"Several terminals are called {text}: name one by its id ({ids}).")
    return standing[0]
