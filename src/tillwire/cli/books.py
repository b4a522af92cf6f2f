"""`tillwire transactions last` and `books`: what the journal has of a terminal, and beside it what
the terminal, or the cloud behind it, has on its own books.

The gateway that runs the journal asks the terminal; from here nobody speaks to it. What it says is
evidence: it is shown, and moves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from tillwire.cli.codes import code_of, remark_code
from tillwire.cli.control import follow
from tillwire.cli.journals import ConfigOption, DataOption, JournalOption, locate, opened
from tillwire.cli.options import JsonOption, terminal_of
from tillwire.cli.output import remark, say, say_json, say_table
from tillwire.cli.terminals import TerminalArgument
from tillwire.cli.times import in_zone
from tillwire.cli.views import View, entry_view, transaction_view
from tillwire.cli.windows import DayOption, FromOption, Places, ToOption, chosen
from tillwire.clock import Instant
from tillwire.core.books import LAST_WITHIN, MOST_LISTED
from tillwire.core.entries import Entry, Lists, Said, Wanted
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Transaction, TransactionType
from tillwire.core.ports import Reader
from tillwire.errors import AnswerLost
from tillwire.journal.sqlite import SqliteJournal
from tillwire.money import Money
from tillwire.server.books import LONGEST_WAIT, Ended, LastOrder, Line, ListOrder, Shown, Told

NOT_RUNNING: Final = (
    "No gateway runs here, and nobody else reaches the terminal: `tillwire serve` starts one."
)
EVIDENCE: Final = "What a terminal or its cloud says is evidence, and changes nothing here."
_line: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)
_LINK: Final = re.compile(r"neximpos://\S+")
"""What a phone's camera opens."""
_SEEN: Final = 1000
"""Entries after which progress is told."""


def last(
    terminal: TerminalArgument,
    wait: Annotated[
        float, typer.Option("--wait", min=1, max=LONGEST_WAIT, help="Seconds that it may take.")
    ] = LAST_WITHIN,
    at_terminal: Annotated[
        bool, typer.Option("--at-terminal", help="You are there: a phone is to open a link.")
    ] = False,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a terminal's last transaction: the journal's, and what the terminal itself says.

    For when nobody is sure what was paid last. The gateway asks the terminal while no payment runs.
    """
    path = locate(journal, config, data)
    with opened(path) as books:
        estate = books.read_now(lambda reader: reader.estate())
        place = terminal_of(estate, terminal)
        zone = estate.stores[place.store_id].time_zone
        entry: Entry | None = None
        trouble = NOT_RUNNING
        for line in told(path, "/last", LastOrder(place.id, wait, at_terminal)):
            match line:
                case Shown(text):
                    remark(text)
                    if link := _LINK.search(text):
                        remark_code(code_of(link.group()))
                case Told(entry):
                    pass
                case Ended(trouble):
                    pass
        ours = books.read_now(lambda reader: reader.newest_at(place.id, 1))
        known = _known(books, entry)
    newest = ours[0] if ours else None
    if as_json:
        say_json(
            {
                "terminal": place.name,
                "journal": newest and transaction_view(newest),
                "entry": entry and _compared(entry, known),
                "trouble": trouble,
            }
        )
        return
    say(f"The journal: {_ours(newest) if newest else 'no transaction.'}")
    say(f"{place.name}: {_theirs(entry, zone) if entry else trouble or 'it remembers none.'}")
    if entry is not None:
        say(_comparison(entry, known))
        remark(EVIDENCE)


def books(
    terminal: TerminalArgument,
    day: DayOption = "",
    begin: FromOption = "",
    end: ToOption = "",
    kind: Annotated[
        TransactionType | None,
        typer.Option("--type", case_sensitive=False, help="Only of this type."),
    ] = None,
    verdict: Annotated[
        Said | None,
        typer.Option("--state", case_sensitive=False, help="Only those of which it says so."),
    ] = None,
    reference: Annotated[
        str, typer.Option("--reference", "-r", help="Only with this reference of the till.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=MOST_LISTED, help="How many at most.")] = 100,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a terminal, or the cloud behind it, has on its books, beside the journal.

    `tillwire reconcile --ask-terminals` compares both as a whole.
    """
    path = locate(journal, config, data)
    with opened(path) as found:
        estate = found.read_now(lambda reader: reader.estate())
        place = terminal_of(estate, terminal)
        window, _ = chosen(estate, day, begin, end, Places(terminal=place.id))
        wanted = Wanted(
            begin=window.begin,
            end=window.end,
            types=frozenset() if kind is None else frozenset({kind}),
            verdicts=frozenset() if verdict is None else frozenset({verdict.value}),
            reference=reference,
            limit=limit,
        )
        listing = listed(path, place, window.begin, window.end, say_progress=remark)
        entries = [each for each in listing.entries if wanted.takes_in_entry(each)]
        entries.sort(key=lambda each: (each.at or 0, each.name), reverse=True)
        rows = [(each, _known(found, each)) for each in entries[:limit]]
        left_out = len(entries) - len(rows)
    if as_json:
        say_json(
            {
                "terminal": place.name,
                "lists": listing.lists,
                "entries": [_compared(entry, known) for entry, known in rows],
                "left_out": left_out,
                "trouble": listing.trouble,
            }
        )
        return
    if rows or not listing.trouble:
        say_table(
            ["AT", "TYPE", "AMOUNT", "SAYS", "JOURNAL", "REFERENCE", "NAME"],
            [_row(entry, known, window.zone) for entry, known in rows],
            empty="It has none of that time."
            if not listing.entries
            else f"None of its {len(listing.entries):,} of that time is such a one.",
        )
    if left_out:
        remark(f"{left_out:,} more are left out: --limit shows them.")
    if listing.trouble:
        remark(f"Not all of it: {listing.trouble}" if rows else listing.trouble)
    if listing.lists is Lists.NAMED:
        remark("It tells only of what we name: what others did there stays hidden.")
    if rows:
        remark(EVIDENCE)


# --- asking -----------------------------------------------------------------------------------


class Listed(msgspec.Struct, frozen=True):
    """What was told of a terminal's books."""

    entries: list[Entry]
    trouble: str
    lists: Lists


def told(path: Path, target: str, order: LastOrder | ListOrder) -> Iterator[Line]:
    """What the gateway that runs the journal hears from a terminal; nothing when none runs. Raises
    `AnswerLost` when it breaks off."""
    with follow(path, target, _line, order) as lines:
        if lines is None:
            return
        for line in lines:
            yield line
            if isinstance(line, Ended):
                return
    raise AnswerLost("The gateway's answer breaks off: it may have stopped. Ask again.")


def listed(
    path: Path,
    terminal: Terminal,
    begin: Instant,
    end: Instant,
    say_progress: Callable[[str], None],
) -> Listed:
    """All that the terminal's books have of that time."""
    entries: list[Entry] = []
    for line in told(path, "/list", ListOrder(terminal.id, begin, end)):
        if isinstance(line, Told):
            entries.append(line.entry)
            if len(entries) % _SEEN == 0:
                say_progress(f"{terminal.name}: {len(entries):,} so far.")
        elif isinstance(line, Ended):
            return Listed(entries, line.trouble, line.lists)
    return Listed([], NOT_RUNNING, Lists.NONE)


def _known(books: SqliteJournal, entry: Entry | None) -> Transaction | None:
    if entry is None or not entry.transaction_id:
        return None
    name = entry.transaction_id

    def look(reader: Reader) -> Transaction | None:
        return reader.transaction(name)

    return books.read_now(look)


# --- showing ----------------------------------------------------------------------------------


def _compared(entry: Entry, known: Transaction | None) -> View:
    return {
        **entry_view(entry),
        "journal_state": known and known.state,
        "agrees": None if known is None else entry.agrees_with(known),
    }


def _ours(transaction: Transaction) -> str:
    amount = transaction.amount
    if transaction.outcome is not None and transaction.approved_amount:
        amount = Money(transaction.approved_amount, amount.currency)
    moment = in_zone(transaction.created_at, transaction.heading.time_zone)
    facts = (moment, transaction.type.value, str(amount), transaction.state.value, transaction.id)
    return ", ".join(facts)


def _theirs(entry: Entry, zone: str) -> str:
    amount = _amount(entry)
    facts = (
        "" if entry.at is None else in_zone(entry.at, zone),
        "" if entry.type is None else entry.type.value,
        amount or "no amount told",
        entry.verdict,
        entry.words,
        entry.name,
    )
    return ", ".join(each for each in facts if each)


def _amount(entry: Entry) -> str:
    if entry.amount is None:
        return ""
    if entry.currency:
        return str(Money(entry.amount, entry.currency))
    return f"{entry.amount} minor units"


def _comparison(entry: Entry, known: Transaction | None) -> str:
    if known is None:
        return "Nothing says which of our transactions it is."
    match entry.agrees_with(known):
        case True:
            return f"It is {known.id}, and the journal says the same: {known.state}."
        case False:
            return f"It is {known.id}, and the journal says otherwise: {known.state}."
    return f"It is {known.id}, which is {known.state} in the journal."


def _row(entry: Entry, known: Transaction | None, zone: str) -> list[str]:
    journal = "-" if known is None else known.state.value
    if known is not None and entry.agrees_with(known) is False:
        journal += " (differs)"
    return [
        "-" if entry.at is None else in_zone(entry.at, zone),
        "-" if entry.type is None else entry.type.value,
        _amount(entry) or "-",
        entry.verdict,
        journal,
        entry.reference,
        entry.name,
    ]
