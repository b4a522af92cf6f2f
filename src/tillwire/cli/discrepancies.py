"""`tillwire discrepancies`: facts that do not fit together, until a person closes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from tillwire.cli.journals import ConfigOption, DataOption, JournalOption, commit, locate, opened
from tillwire.cli.options import JsonOption, check_signed
from tillwire.cli.output import aligned, remark, say, say_json, say_table
from tillwire.cli.times import in_utc
from tillwire.cli.views import discrepancy_view
from tillwire.clock import SystemClock
from tillwire.core.model import Discrepancy
from tillwire.core.ports import Unit
from tillwire.errors import InvalidRequest, NotFound

app = typer.Typer(
    name="discrepancies",
    help="Facts that contradict what a transaction ended with, and differences to other books.",
    no_args_is_help=True,
)


MOST_AT_ONCE: Final = 10_000
"""Discrepancies that are closed in one commit, for which a gateway's sales wait."""
_WANTED: Final = re.compile(r"([1-9][0-9]{0,17})(?:-([1-9][0-9]{0,17}))?")

KindOption = Annotated[
    str,
    typer.Option("--kind", help="Only those of this kind, as the list has it.", show_default=False),
]


@app.command("list")
def list_discrepancies(
    closed: Annotated[bool, typer.Option("--all", help="Closed ones, too.")] = False,
    kind: KindOption = "",
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List discrepancies, oldest first."""
    with opened(locate(journal, config, data)) as books:
        known = books.read_now(lambda reader: reader.discrepancies(open_only=not closed))
    found = [each for each in known if kind in ("", each.kind)]
    if as_json:
        say_json([discrepancy_view(each) for each in found])
        return
    ended = ["CLOSED"] if closed else []
    say_table(
        ["NUMBER", "SINCE", "KIND", "TRANSACTION", "COMPARED WITH", *ended],
        [
            [
                str(each.id),
                in_utc(each.at),
                each.kind,
                each.transaction_id or "",
                each.source,
                *([_closed(each)] if closed else []),
            ]
            for each in found
        ],
        empty="No discrepancies.",
    )
    if found:
        remark("What is known and what was heard: tillwire discrepancies show NUMBER")


@app.command()
def show(
    number: Annotated[
        int, typer.Argument(min=1, max=2**63 - 1, help="Of the list.", show_default=False)
    ],
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a discrepancy is about: what is known, and what was heard."""
    with opened(locate(journal, config, data)) as books:
        known = books.read_now(lambda reader: reader.discrepancies(open_only=False))
    found = next((each for each in known if each.id == number), None)
    if found is None:
        raise NotFound(
            f"There is no discrepancy {number}: `tillwire discrepancies list --all` lists them."
        )
    if as_json:
        say_json(discrepancy_view(found))
        return
    facts = {
        "kind": found.kind,
        "since": in_utc(found.at),
        "transaction": found.transaction_id or "",
        "compared with": found.source,
        "known": found.known,
        "heard": found.heard,
        "closed": _closed(found),
    }
    for line in aligned([[name, text] for name, text in facts.items() if text]):
        say(line)
    if found.closed_at is None:
        remark(f"Settled? tillwire discrepancies close {number} --person NAME --reason WORDS")


@app.command()
def close(
    numbers: Annotated[
        list[str],
        typer.Argument(help="Numbers of the list; 3-9: all from 3 to 9.", show_default=False),
    ],
    person: Annotated[str, typer.Option("--person", help="Who closes it.", show_default=False)],
    reason: Annotated[
        str, typer.Option("--reason", help="How it was settled.", show_default=False)
    ],
    kind: KindOption = "",
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Close discrepancies that were settled, all or none. The transactions stay as they are."""
    check_signed(person, reason)
    wanted = [_wanted(each) for each in numbers]
    now = SystemClock().now()

    def closed(unit: Unit) -> list[int]:
        chosen = _chosen(unit.discrepancies(), wanted, kind)
        for number in chosen:
            unit.close_discrepancy(number, now, person, reason)
        return chosen

    with opened(locate(journal, config, data)) as books:
        done = commit(books, closed)
    if len(done) == 1:
        say(f"Discrepancy {done[0]} is closed.")
    else:
        say(f"{len(done)} discrepancies are closed.")


def _closed(discrepancy: Discrepancy) -> str:
    """When, by whom and why it was closed; empty while it is open."""
    if discrepancy.closed_at is None:
        return ""
    return f"{in_utc(discrepancy.closed_at)}, {discrepancy.closed_by}: {discrepancy.reason}"


def _wanted(text: str) -> tuple[int, int]:
    """The first and the last number that is meant."""
    found = _WANTED.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if last < first:
        raise InvalidRequest("NUMBERS", f"{text[:40]!r} is no number", "such as 3, or 3-9")
    return first, last


def _chosen(
    known: Sequence[Discrepancy], wanted: Sequence[tuple[int, int]], kind: str
) -> list[int]:
    """The numbers of those that are to be closed. Raises `NotFound` when something of what is
    wanted names none."""
    there = [each.id for each in known if kind in ("", each.kind)]
    chosen: set[int] = set()
    for first, last in wanted:
        its = {number for number in there if first <= number <= last}
        if not its:
            called = str(first) if first == last else f"{first}-{last}"
            of_kind = f" of the kind {kind}" if kind else ""
            raise NotFound(f"No open discrepancy {called}{of_kind}. None was closed.")
        chosen |= its
    if len(chosen) > MOST_AT_ONCE:
        allowed = f"up to {MOST_AT_ONCE} at once"
        raise InvalidRequest("NUMBERS", f"these are {len(chosen)} discrepancies", allowed)
    return sorted(chosen)
