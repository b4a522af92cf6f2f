"""One reconciliation, from sources to a report.

Nothing is written anywhere but into the workspace; what becomes of the differences, and of UNKNOWN
transactions about which there is evidence, is for the caller to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tillwire.core.model import Outcome
from tillwire.errors import InvalidRequest
from tillwire.reconcile import profiles
from tillwire.reconcile.evidence import is_definite, outcome_of, undisputed
from tillwire.reconcile.facts import FACTS, MOVED, Window
from tillwire.reconcile.match import ACQUIRER, GATEWAY, LABELS, match
from tillwire.reconcile.profiles import Status
from tillwire.reconcile.results import (
    Group,
    Kind,
    Result,
    Totals,
    count_agreed,
    results,
    too_many,
)
from tillwire.reconcile.sides import Numbers, Part, Side, telling
from tillwire.reconcile.sources import File, Row, Rows, Source, Sources
from tillwire.reconcile.workspace import Workspace, opened, quoted

MOST: Final = 100_000
"""Differences that a run may find; more are no person's work, and of files of something else."""
MOST_FILES: Final = 1000
"""Files of one side."""
MOST_NAMED: Final = 3
"""Of them, how many a sentence names."""


class Resolution(msgspec.Struct, frozen=True):
    """What the acquirer knows of a transaction that is UNKNOWN to the gateway."""

    transaction_id: str
    outcome: Outcome
    source: str = ""
    """The name of the file, or of whatever else, that says it."""


class Report(msgspec.Struct, frozen=True):
    """What a reconciliation found."""

    window: Window
    sources: Mapping[str, str]
    """The sides' names, by label; of several files, all are in `files`."""
    groups: list[Group]
    kinds: Mapping[Kind, int]
    differences: list[Result]
    resolved: list[str]
    """Transactions that were UNKNOWN, and are not any more."""
    resolvable: list[str]
    """Those that are, and about which the acquirer's word is definite."""
    left_out: Mapping[str, int] = {}
    """How many rows of a side's files are no transactions, as their profiles say."""
    files: Mapping[str, Sequence[str]] = {}
    """The names of a side's files, or of what else its rows are from, by label."""

    @property
    def agrees(self) -> bool:
        """Whether there is no difference."""
        return not self.differences


Resolve = Callable[[list[Resolution]], set[str]]
"""Tells the engine; the ids of those transactions that have ended so."""


def nothing(_: list[Resolution]) -> set[str]:
    """Resolves nothing."""
    return set()


def gateway_rows(rows: Iterable[Row]) -> Source:
    """The gateway's side, of an iterator of `sources.Row`."""
    return Rows("the gateway", rows, profiles.load("tillwire"))


def named(sources: Sequence[Source]) -> str:
    """What a side is called in a sentence: by its files, the first of many."""
    names = [each.name for each in sources]
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: MOST_NAMED - 1])} and {len(names) - MOST_NAMED + 1} more files"


def _listed(sources: Sources) -> dict[str, list[Source]]:
    """The sources of each side. Files that have one name are called by their paths."""
    listed = {
        label: [*each] if isinstance(each, Sequence) else [each] for label, each in sources.items()
    }
    files = [each.name for some in listed.values() for each in some if isinstance(each, File)]
    for label, some in listed.items():
        if len(some) > MOST_FILES:
            raise InvalidRequest(label, "it has too many files", f"up to {MOST_FILES}")
        some[:] = [
            each.by_path() if isinstance(each, File) and files.count(each.name) > 1 else each
            for each in some
        ]
    return listed


def reconcile(
    sources: Sources,
    window: Window,
    *,
    resolve: Resolve = nothing,
    most: int = MOST,
    folder: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    copied: Callable[[], None] = lambda: None,
) -> Report:
    """Compare the sides: `gateway` with `till`, `acquirer`, or both; of several sources of a side,
    such as files of several acquirers, all rows are compared as one. `folder` is for what does not
    fit into memory; `copied` is called when nothing but files is left to read. Raises
    `InvalidRequest` (a source cannot be read; nothing was imported) and `TillwireError` (more than
    `most` differences, no room in `folder`)."""
    listed = {label: some for label, some in _listed(sources).items() if some}
    assert GATEWAY in listed
    if len(listed) == 1:
        raise InvalidRequest("sources", "there is nothing to compare with", "till, acquirer")
    others: list[str] = [label for label in LABELS[1:] if label in listed]
    with opened(folder) as workspace:
        sides = _read(
            workspace, {label: listed[label] for label in (GATEWAY, *others)}, window, say, copied
        )
        workspace.seal()
        say("Comparing.")
        numbers = match(workspace, sides)
        totals, differences = _found(workspace, others, numbers, most)
        resolvable, resolved = _resolve(workspace, others, numbers, resolve)
        if resolved:
            totals, differences = _found(workspace, others, numbers, most)
    left_out = {
        label: sum(part.prepared.left_out for part in side.parts) for label, side in sides.items()
    }
    return Report(
        window=window,
        sources={label: named(listed[label]) for label in (GATEWAY, *others)},
        groups=totals.groups(),
        kinds=totals.kinds(),
        differences=differences,
        resolved=sorted(resolved),
        resolvable=sorted(resolvable - resolved),
        left_out={label: count for label, count in left_out.items() if count},
        files={label: [each.name for each in listed[label]] for label in (GATEWAY, *others)},
    )


def _read(
    workspace: Workspace,
    listed: Mapping[str, Sequence[Source]],
    window: Window,
    say: Callable[[str], None],
    copied: Callable[[], None],
) -> dict[str, Side]:
    """The sides, with all that is read beside files read first."""
    found = [
        (label, index, source)
        for label, some in listed.items()
        for index, source in enumerate(some)
    ]
    found.sort(key=lambda each: isinstance(each[2], File))
    parts: dict[tuple[str, int], Part] = {}
    waiting = True
    for label, index, source in found:
        if waiting and isinstance(source, File):
            copied()
            waiting = False
        say(f"Reading {source.name}.")
        name = f"{label}_{index}"
        prepared = telling(workspace, source.prepare(workspace, name), source.name)
        parts[label, index] = Part(name, source, prepared, window)
    if waiting:
        copied()
    return {
        label: Side(label, [parts[label, index] for index in range(len(some))])
        for label, some in listed.items()
    }


def _found(
    workspace: Workspace, others: list[str], numbers: Mapping[str, Numbers], most: int
) -> tuple[Totals, list[Result]]:
    """The sums, and the differences. Raises `TillwireError` when there are too many."""
    totals = Totals()
    count_agreed(workspace, others, totals)
    differences = []
    for result in results(workspace, others, numbers):
        totals.add(result)
        if result.kind not in (Kind.MATCHED, Kind.OUTSIDE):
            differences.append(result)
            if len(differences) > most:
                raise too_many(most)
    return totals, differences


# --- what is UNKNOWN ------------------------------------------------------------------------


def _resolve(
    workspace: Workspace, others: list[str], numbers: Mapping[str, Numbers], resolve: Resolve
) -> tuple[set[str], set[str]]:
    """The transactions about which the acquirer's word is definite, and those that it resolved."""
    if ACQUIRER not in others:
        return set(), set()
    known = {
        each.seen[GATEWAY].texts["transaction_id"]: each
        for each in results(workspace, others, numbers, condition=undisputed(workspace))
        if is_definite(each)
    }
    if not known:
        return set(), set()
    resolved = resolve(
        [
            Resolution(name, outcome_of(each), each.seen[ACQUIRER].source)
            for name, each in known.items()
        ]
    )
    statuses = list(Status)
    for name in resolved:
        theirs = known[name].seen[ACQUIRER]
        ours = known[name].seen[GATEWAY]
        low = f"facts % {FACTS} % 2 + {theirs.meaning * 2} + divide(facts % {FACTS}, 10) * 10"
        high = ours.amount.minor * FACTS if theirs.meaning == MOVED else 0
        workspace.run(
            f"UPDATE rows_gateway SET status = {statuses.index(theirs.status)}, "
            f"class = {theirs.meaning}, facts = {high} + {low} "
            f"WHERE transaction_id = {quoted(name)}"
        )
    return set(known), resolved
