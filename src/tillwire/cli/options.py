"""Options that many commands share, and how what is typed is looked up in the estate."""

from __future__ import annotations

from typing import Annotated

import typer

from tillwire.core.estate import Estate
from tillwire.core.estate_model import Lifecycle, Organisation, Store, Terminal
from tillwire.errors import Conflict, InvalidRequest, NotFound

JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, for programs.")
]
OwnerOption = Annotated[str, typer.Option("--organisation", "-o", help="Only of this one.")]


def organisation_of(estate: Estate, key: str) -> Organisation:
    """The organisation of this key. Raises `NotFound` with those that there are."""
    found = estate.organisations.get(key)
    if found is None:
        known = ", ".join(sorted(estate.organisations)) or "none yet"
        raise NotFound(f"No organisation {key!r}; there is: {known}.")
    return found


def owners_asked(estate: Estate, organisation: str) -> list[str]:
    """The keys of the organisations whose things are listed: of this one, or, if it is empty, of
    all. Raises as `organisation_of`."""
    if organisation:
        return [organisation_of(estate, organisation).id]
    return sorted(estate.organisations)


def store_of(estate: Estate, text: str) -> Store:
    """The store that `text` names: its UUID, or its name. Raises `NotFound`, and `Conflict` when
    several have that name."""
    if text.lower() in estate.stores:
        return estate.stores[text.lower()]
    named = [each for each in estate.stores.values() if each.name == text]
    if not named:
        known = ", ".join(sorted(each.name for each in estate.stores.values())) or "none yet"
        raise NotFound(f"No store {text!r}; there is: {known}.")
    if len(named) > 1:
        ids = ", ".join(sorted(each.id for each in named))
        raise Conflict(f"Several stores are called {text}: name one by its UUID ({ids}).")
    return named[0]


def check_signed(person: str, reason: str) -> None:
    """Raise `InvalidRequest` unless it is said who does a thing and why, in as many words as a
    history has room for."""
    for option, text, most in (("--person", person, 100), ("--reason", reason, 500)):
        if not text.strip():
            raise InvalidRequest(option, "it is empty", "a text that says who or why")
        if len(text) > most:
            raise InvalidRequest(option, "it is too long", f"up to {most} characters")


def no_transaction(transaction_id: str) -> NotFound:
    """What to raise where the journal has no transaction of this id."""
    return NotFound(
        f"No transaction {transaction_id!r} in this journal: `tillwire transactions list` lists "
        "the newest ones."
    )


def terminal_of(estate: Estate, text: str) -> Terminal:
    """The terminal that `text` names: its id, `manufacturer-model-serial` in any case of letters,
    or its TID. Raises `NotFound`, and `Conflict` when several have that name or TID."""
    if text in estate.terminals:
        return estate.terminals[text]
    terminals = estate.terminals.values()
    named = [each for each in terminals if each.name.lower() == text.lower()]
    named = named or [each for each in terminals if text and each.tid == text]
    standing = [each for each in named if each.lifecycle is not Lifecycle.REMOVED] or named
    if not standing:
        raise NotFound(f"No terminal {text!r}: `tillwire terminals list --all` lists them.")
    if len(standing) > 1:
        ids = ", ".join(sorted(each.id for each in standing))
        raise Conflict(f"Several terminals are called {text}: name one by its id ({ids}).")
    return standing[0]
