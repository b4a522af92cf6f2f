"""Which terminals `tillwire reconcile --ask-terminals` asks, and which of them must tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.unit.reconcile.test_told_side import BEGIN, ESTATE
from tillwire.cli import told_side
from tillwire.cli.books import NOT_RUNNING, Listed
from tillwire.clock import Instant
from tillwire.core.entries import Entry, Lists
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.errors import Conflict, InvalidRequest, PeerError
from tillwire.reconcile.facts import Window
from tillwire.reconcile.told_side import TheirSide

NOW = Instant(BEGIN + 3_600_000)
NONE = Listed([], "", Lists.NONE)
TOLD = Listed([Entry(name="n")], "", Lists.WHOLE)
FAILED = Listed([Entry(name="n")], "404 Not Found", Lists.WHOLE)


def ask(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Listed], **stages: Lifecycle
) -> tuple[TheirSide, list[str]]:
    """What comes of it, and what people hear; terminals without an answer are not asked."""
    terminals = [
        msgspec.structs.replace(each, lifecycle=stages.get(each.id, each.lifecycle))
        for each in ESTATE.terminals.values()
    ]
    estate = Estate(stores=list(ESTATE.stores.values()), terminals=terminals)

    def listed(
        path: Path,
        terminal: Terminal,
        begin: Instant,
        end: Instant,
        say_progress: Callable[[str], None],
    ) -> Listed:
        return answers[terminal.id]

    monkeypatch.setattr(told_side, "listed", listed)
    said: list[str] = []
    window = Window(BEGIN, Instant(NOW + 1))
    theirs, window = told_side.ask_terminals(Path(), estate, window, None, NOW, said.append)
    assert window.end == NOW
    return theirs, said


def test_whoever_keeps_a_list_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"t1": TOLD, "t2": NONE, "t3": msgspec.structs.replace(TOLD, lists=Lists.NAMED)}
    theirs, said = ask(monkeypatch, {**answers, "x1": NONE})
    assert [each.id for each in theirs.asked] == ["t1", "t3"]
    assert [place.id for place, _ in theirs.told] == ["t1", "t3"]
    told = " ".join(said)
    assert "keep no list: TILLWIRE-V1-t2, TILLWIRE-V1-x1." in told
    assert "nothing can be missing here: TILLWIRE-V1-t3." in told


def test_only_what_is_in_service_must_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"t1": TOLD, "t2": FAILED, "x1": TOLD}
    stages = {"t2": Lifecycle.REMOVED, "t3": Lifecycle.CREATED}
    theirs, said = ask(monkeypatch, answers, **stages)
    assert [each.id for each in theirs.asked] == ["t1", "x1"]
    assert any("was removed: TILLWIRE-V1-t2. 404 Not Found" in each for each in said)
    with pytest.raises(PeerError, match="TILLWIRE-V1-t2 did not tell all"):
        ask(monkeypatch, answers, t3=Lifecycle.CREATED)


@pytest.mark.parametrize(
    ("answer", "error"),
    [(NONE, InvalidRequest), (Listed([], NOT_RUNNING, Lists.NONE), Conflict)],
)
def test_when_nobody_tells(
    monkeypatch: pytest.MonkeyPatch, answer: Listed, error: type[Exception]
) -> None:
    with pytest.raises(error):
        ask(monkeypatch, dict.fromkeys(("t1", "t2", "t3", "x1"), answer))
