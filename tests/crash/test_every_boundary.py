"""A gateway that is killed at any commit of a sale loses nothing, and charges nothing twice.

A real process dies by SIGKILL: right before its n-th commit becomes durable, or right after it,
when nobody has heard of it yet; for every n, until the sale is over without reaching it. A second
process starts on the same files, and the till and the terminal go on as the protocols tell them.
"""

from __future__ import annotations

import itertools
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.crash.agreement import check_journal, check_sale
from tests.crash.people import GONE
from tests.crash.scenarios import SCENARIOS, Life, Scenario
from tests.kit.sandbox_process import (
    NotStartedError,
    SandboxProcess,
    running_sandbox,
    start_sandbox,
)
from tillwire.virtual.memory import read_ledger

DOOMED: Final = ("tests.crash.doomed_sandbox",)
PACE: Final = 100.0
LATER: Final = ({"LATER": "60"}, {"LATER": "120"})
"""Seconds that pass before a second life that dies, and before one that goes on: longer than any
command is on its way."""
MOST_COMMITS: Final = 40
"""More than any of the sales needs."""
AT_ONCE: Final = 8
"""Second lives at a time: they mostly wait."""
OF_PROTOCOLS: Final = ("nexo ", "ecr17 ")
LIKE_OTHERS: Final = {
    "cardholder cancels": pytest.mark.long,
    "slow": pytest.mark.long,
    **{
        name: pytest.mark.long
        for name in SCENARIOS
        if name.startswith(OF_PROTOCOLS) and not name.endswith(" approved")
    },
}
"""Their commits are those of `declined` and `approved`; of a protocol's `approved`, and what others
do at a terminal."""


MOSTLY_WAIT: Final = ("terminal forgets", "answer lost", "refund")
"""Killed right before each commit; right after it, with the long tests."""
KILLED_TWICE: Final = [
    name for name in SCENARIOS if name.endswith(" approved") or not name.startswith(OF_PROTOCOLS)
]
SIDES: Final = ("before", "after")


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sandbox that has its journal and its keys, and stopped cleanly: where each
    first life begins. To migrate and to make keys anew would take longer than its sale."""
    directory = tmp_path_factory.mktemp("founded") / "sandbox"
    with running_sandbox(directory, pace=PACE):
        pass
    return directory


def _mark(name: str, side: str) -> pytest.MarkDecorator | tuple[()]:
    is_slow = side == "after" and name in MOSTLY_WAIT
    return pytest.mark.long if is_slow else LIKE_OTHERS.get(name, ())


@pytest.mark.parametrize(
    ("name", "side"),
    [pytest.param(name, side, marks=_mark(name, side)) for name in SCENARIOS for side in SIDES],
)
def test_killed_at_any_commit_of_a_sale(
    tmp_path: Path, founded: Path, name: str, side: str
) -> None:
    scenario = SCENARIOS[name]
    with ThreadPoolExecutor(AT_ONCE) as second_lives:
        checks: list[Future[None]] = []
        for number in itertools.count(1):
            assert number <= MOST_COMMITS, "the sale does not come to an end"
            directory, life = shutil.copytree(founded, tmp_path / str(number)), Life()
            if not dies(scenario, directory, life, Doom(number, side)):
                check(scenario, directory, life, disturbed=False)
                break
            checks.append(second_lives.submit(live_again, scenario, directory, life))
        assert number > 2, "a sale has several commits"
        for each in checks:
            each.result()


@pytest.mark.long
@pytest.mark.parametrize("sides", list(itertools.permutations(SIDES)))
@pytest.mark.parametrize("name", KILLED_TWICE)
def test_killed_at_any_commit_and_at_any_one_of_the_next_start(
    tmp_path: Path, founded: Path, name: str, sides: tuple[str, str]
) -> None:
    scenario = SCENARIOS[name]
    for first in itertools.count(1):
        for second in itertools.count(1):
            assert max(first, second) <= MOST_COMMITS, "the sale does not come to an end"
            directory, life = shutil.copytree(founded, tmp_path / f"{first}-{second}"), Life()
            if not dies(scenario, directory, life, Doom(first, sides[0])):
                check(scenario, directory, life, disturbed=False)
                return
            if not dies(scenario, directory, life, Doom(second, sides[1], "start")):
                check(scenario, directory, life, disturbed=True)
                break
            live_again(scenario, directory, life)


@dataclass(frozen=True)
class Doom:
    """At which commit a gateway dies."""

    at: int
    side: str
    begin: str = "ready"
    """Counted from here."""

    @property
    def environment(self) -> dict[str, str]:
        """How the gateway is told."""
        doom = {"DOOM_AT": str(self.at), "DOOM_SIDE": self.side, "DOOM_FROM": self.begin}
        return doom | (LATER[0] if self.begin == "start" else {})


def dies(scenario: Scenario, directory: Path, life: Life, doom: Doom) -> bool:
    """Play the scenario on a gateway that is doomed; False if it was over before."""
    try:
        sandbox = start_sandbox(
            directory,
            pace=PACE,
            command=DOOMED,
            environment=doom.environment,
        )
    except NotStartedError as error:
        if doom.begin == "start" and error.status == -signal.SIGKILL:
            return True
        raise
    with ended(sandbox):
        with suppress(*GONE):
            scenario.play(sandbox.card, life)
            sandbox.process.send_signal(signal.SIGTERM)  # a clean stop commits, too
        status = sandbox.ended()
    assert status in (0, -signal.SIGKILL), f"it died of something else: {sandbox.errors}"
    return status != 0


@contextmanager
def ended(sandbox: SandboxProcess) -> Iterator[None]:
    """See that the process is gone, whatever happens."""
    try:
        yield
    finally:
        if sandbox.process.poll() is None:
            sandbox.kill()


def live_again(scenario: Scenario, directory: Path, life: Life) -> None:
    """Start on what was durable, let everybody go on, and see that all agree."""
    sandbox = start_sandbox(directory, pace=PACE, command=DOOMED, environment=LATER[1])
    with ended(sandbox):
        scenario.play(sandbox.card, life)
        sandbox.stop()
    check(scenario, directory, life, disturbed=True)


def check(scenario: Scenario, directory: Path, life: Life, *, disturbed: bool) -> None:
    """Raise `AssertionError` unless ledger, journal and till agree, and each sale has ended as it
    may. Nothing runs any more."""
    moved = charges(scenario, directory, life)
    for sale in life.sales.values():
        check_sale(sale, moved.get(sale.reference, []))
        assert sale.heard[-1] in scenario.may_end(sale.reference, disturbed=disturbed), sale
    assert moved.keys() <= life.sales.keys(), "nothing is charged that nobody asked for"
    check_journal(directory, list(life.sales.values()), moved)


def charges(scenario: Scenario, directory: Path, life: Life) -> dict[str, list[int]]:
    """What cardholders were charged, by reference: from the acquirer's own file, or from the
    fetching terminal's memory."""
    found: dict[str, list[int]] = {}
    if scenario.polled:
        references = {sale.id: sale.reference for sale in life.sales.values()}
        for transaction_id, minor in life.terminal.charged.items():
            found.setdefault(references[transaction_id], []).append(minor)
        return found
    owners = {sale.register: sale.reference for sale in life.sales.values() if sale.register}
    for entry in read_ledger(directory / "virtual" / "world.db", None):
        if entry.approved:
            register = entry.reference.partition("-")[0]  # a lane's reference begins with it
            found.setdefault(owners.get(register, entry.reference), []).append(entry.amount)
    return found
