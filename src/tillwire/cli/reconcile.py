"""`tillwire reconcile`: the journal, the till's export and the acquirer's file, compared.

What the files prove of UNKNOWN transactions is told to the gateway that runs the journal, or, where
none runs, to an engine that reaches no terminal. Every difference becomes a discrepancy.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from tillwire.cli.control import ask
from tillwire.cli.decide import undriven
from tillwire.cli.journals import (
    ConfigOption,
    DataOption,
    JournalOption,
    commit,
    key_file,
    locate,
    opened,
)
from tillwire.cli.options import JsonOption, OwnerOption
from tillwire.cli.output import remark, say, say_json, say_table
from tillwire.cli.told_side import ask_terminals
from tillwire.cli.windows import (
    DayOption,
    FromOption,
    Places,
    StoreOption,
    TerminalOption,
    ToOption,
    chosen,
    ids_of,
)
from tillwire.clock import SystemClock
from tillwire.core.model import Finding, State
from tillwire.core.ports import Snapshot
from tillwire.errors import ConfigurationError, InvalidRequest, TillwireError
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.vault import KeyFileVault
from tillwire.reconcile import profiles, reports
from tillwire.reconcile.facts import Window
from tillwire.reconcile.findings import findings
from tillwire.reconcile.journal_side import accepted_at
from tillwire.reconcile.match import ACQUIRER, TILL
from tillwire.reconcile.results import Group
from tillwire.reconcile.run import MOST, Report, Resolution, nothing
from tillwire.reconcile.sources import File, Source
from tillwire.reconcile.told_side import TheirSide
from tillwire.reconcile.with_journal import compare, openings
from tillwire.server.control import ResolveDone, ResolveOrder

DIFFERENT: Final = 3
"""The exit status when there are differences."""
_SHOWN: Final = 20

DEFAULT_PROFILE: Final = "tillwire"
_ProfilesOption = Annotated[
    list[str] | None,
    typer.Option(
        help="How it is read: a name, or a TOML file; one for all files, or one for each.",
        show_default=DEFAULT_PROFILE,
    ),
]


def run(
    till: Annotated[
        list[Path] | None, typer.Option("--till", help="The till's export; may be repeated.")
    ] = None,
    acquirer: Annotated[
        list[Path] | None,
        typer.Option("--acquirer", help="The acquirer's or settlement file; may be repeated."),
    ] = None,
    till_profile: _ProfilesOption = None,
    acquirer_profile: _ProfilesOption = None,
    day: DayOption = "",
    begin: FromOption = "",
    end: ToOption = "",
    organisation: OwnerOption = "",
    store: StoreOption = "",
    terminal: TerminalOption = "",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write reports into this folder.")
    ] = None,
    asks: Annotated[
        bool,
        typer.Option(
            "--ask-terminals",
            help="In place of an acquirer's file: what the terminals' clouds have on their books.",
        ),
    ] = False,
    most: Annotated[
        int, typer.Option(min=1, max=10 * MOST, help="How many differences are believed.")
    ] = MOST,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only look: no discrepancy, nothing resolved.")
    ] = False,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the journal with the till's export, the acquirer's side, or both.

    The acquirer's side is a file, or what the terminals' own clouds tell. Exit status 3: there are
    differences. Running it again opens nothing twice.
    """
    files: dict[str, Sequence[Source]] = {
        label: _files(label, paths, named or [])
        for label, paths, named in (
            (TILL, till, till_profile),
            (ACQUIRER, acquirer, acquirer_profile),
        )
        if paths
    }
    if asks and ACQUIRER in files:
        raise InvalidRequest("--ask-terminals", "there is an acquirer's file, too", "one of both")
    if not files and not asks:
        allowed = "--till, --acquirer, --ask-terminals"
        raise InvalidRequest("--till", "there is nothing to compare with", allowed)
    if out is not None:
        _make(out)  # before anything is written down that is to be told there
    path = locate(journal, config, data)
    with opened(path) as books:
        estate = books.read_now(lambda reader: reader.estate())
        window, terminals = chosen(estate, day, begin, end, Places(organisation, store, terminal))
        theirs: TheirSide | None = None
        if asks:
            now = SystemClock().now()
            theirs, window = ask_terminals(path, estate, window, terminals, now, remark)
            terminals = theirs.asked
        resolver = Resolver(books, KeyFileVault(key_file(path, config)), path)

        def compared(reader: Snapshot) -> Report:
            others: dict[str, Source | Sequence[Source]] = {**files}
            moment_of = accepted_at
            if theirs is not None:
                others[ACQUIRER] = theirs.source(estate, reader, window)
                moment_of = theirs.moment_of
            return compare(
                reader,
                others,
                window,
                ids_of(terminals),
                resolve=nothing if dry_run else resolver.resolve,
                most=most,
                say=remark,
                moment_of=moment_of,
            )

        report = books.read_now(compared)
        new = 0 if dry_run else _report(books, findings(report.differences, report.sources))
    written = _written(report, out) if out is not None else []
    if as_json:
        say_json({**reports.view(report), "opened": new})
    else:
        _say(report, window, new, dry_run=dry_run)
    for each in written:
        remark(f"Written: {each}")
    if not report.agrees:
        raise typer.Exit(DIFFERENT)


def _files(label: str, paths: Sequence[Path], named: Sequence[str]) -> list[File]:
    """The files of a side, with one profile for all or one for each. Raises `InvalidRequest` and
    `ConfigurationError`."""
    if len(named) not in (0, 1, len(paths)):
        problem = f"files: {len(paths)}, profiles: {len(named)}"
        allowed = "none, one for all files, or one for each in their order"
        raise InvalidRequest(f"--{label}-profile", problem, allowed)
    known = {each: profiles.load(each) for each in named or [DEFAULT_PROFILE]}
    its = [*named] if len(named) == len(paths) else [*known] * len(paths)
    return [File(path, known[each]) for path, each in zip(paths, its, strict=True)]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: reports cannot be written there: {error.strerror}. Nothing was done."
        ) from None


def _written(report: Report, folder: Path) -> list[Path]:
    try:
        return reports.write(report, folder)
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: the reports cannot be written: {error.strerror}. All else is done; run it "
            "again for the reports."
        ) from None


class Resolver:
    """Tells the engine what the acquirer knows."""

    def __init__(self, books: SqliteJournal, vault: KeyFileVault, path: Path) -> None:
        self._books = books
        self._vault = vault
        self._path = path

    def resolve(self, known: list[Resolution]) -> set[str]:
        """Those of them that have ended so."""
        orders = [ResolveOrder(each.transaction_id, each.outcome, each.source) for each in known]
        look = "tillwire transactions blocked"
        first = ask(self._path, "POST", "/resolve", ResolveDone, orders[0], look=look)
        if first is None:
            self._books.own()
            return asyncio.run(self._ended(orders))
        states = [first.state]
        for order in orders[1:]:
            answer = ask(self._path, "POST", "/resolve", ResolveDone, order, look=look)
            if answer is None:
                raise TillwireError("The gateway has stopped meanwhile. Run it again.")
            states.append(answer.state)
        return _resolved(orders, states)

    async def _ended(self, orders: list[ResolveOrder]) -> set[str]:
        async with undriven(self._books, self._vault, "tillwire reconcile") as engine:
            states = [
                (await engine.resolve(order.transaction, order.outcome, order.source)).state
                for order in orders
            ]
        return _resolved(orders, states)


def _resolved(orders: list[ResolveOrder], states: list[State]) -> set[str]:
    """Those that are as they were told to be: recovery or a person may have been quicker, and what
    is on its way still will end by itself."""
    both = zip(orders, states, strict=True)
    return {each.transaction for each, state in both if state is each.outcome.verdict.state}


def _report(books: SqliteJournal, found: list[Finding]) -> int:
    """Open a discrepancy for each that was never opened; how many those were."""
    return sum(commit(books, work) for work in openings(found, SystemClock().now()))


def _say(report: Report, window: Window, new: int, *, dry_run: bool) -> None:
    say(f"Compared: {', '.join(f'{label} ({name})' for label, name in report.sources.items())}.")
    for label, count in report.left_out.items():
        say(f"Rows of {report.sources[label]} left out, as the profile says: {count}.")
    say()
    kinds: Iterable[tuple[str, int]] = (
        (words, report.kinds[kind]) for kind, words in reports.WORDS.items()
    )
    say_table(["RESULT", "TRANSACTIONS"], [[words, str(n)] for words, n in kinds], empty="")
    say()
    labels = list(report.sources)
    say_table(
        ["STORE", "TERMINAL", "DAY", *(label.upper() for label in labels)],
        [
            *(
                [
                    group.store or reports.NOT_SAID,
                    group.terminal or reports.NOT_SAID,
                    reports.day_of(group.day).isoformat(),
                    *(_sum(group, label) for label in labels),
                ]
                for group in reports.asked_for(report)
            ),
            *(
                [f"all, in {group.currency}", "", "", *(_sum(group, label) for label in labels)]
                for group in reports.sums(report)
            ),
        ],
        empty="No transactions within what was asked for.",
    )
    if report.differences:
        say()
        say_table(
            ["DIFFERENCE", "TRANSACTION", *(label.upper() for label in labels)],
            [
                [
                    reports.words(each),
                    each.name,
                    *(reports.fact(each.seen.get(label)) for label in labels),
                ]
                for each in report.differences[:_SHOWN]
            ],
            empty="",
        )
        if (more := len(report.differences) - _SHOWN) > 0:
            remark(f"And {more} more; --out DIR writes all.")
    if report.resolved:
        say(f"Resolved by the acquirer's word: {', '.join(report.resolved)}.")
    if report.resolvable:
        remark(f"The acquirer's word is definite about: {', '.join(report.resolvable)}.")
    if not dry_run:
        remark(f"Discrepancies opened: {new}. `tillwire discrepancies list` has all that are open.")


def _sum(group: Group, label: str) -> str:
    moved = reports.decimal(group.flow.get(label, 0), group.currency)
    return f"{group.rows.get(label, 0)}: {moved} {group.currency}"
