"""Every (state, event) pair: where it leads, or that it leads nowhere.

The table is written out here once more on purpose. Whoever changes how money may move says it
twice, and sees in the difference what becomes possible.
"""

from __future__ import annotations

import pytest

from tests.unit.state_diagram import PAGE, drawn
from tillwire.core.model import FINAL_STATES, OPEN_STATES, State, Verdict
from tillwire.core.states import PROVEN, TABLE, Event, NotAllowed, after
from tillwire.errors import Conflict

MOVES: dict[str | None, dict[str, str]] = {
    None: {
        "accept": "ACCEPTED",
    },
    "ACCEPTED": {
        "abort": "CANCELLED",
        "replace": "CANCELLED",
        "expire": "CANCELLED",
        "dispatch": "SENT",
    },
    "SENT": {
        "refuse": "FAILED",
        "start": "STARTED",
        "approve": "APPROVED",
        "decline": "DECLINED",
        "cancel": "CANCELLED",
        "lose": "UNKNOWN",
    },
    "STARTED": {
        "refuse": "FAILED",
        "approve": "APPROVED",
        "decline": "DECLINED",
        "cancel": "CANCELLED",
        "lose": "UNKNOWN",
    },
    "UNKNOWN": {
        "find_approved": "APPROVED",
        "find_declined": "DECLINED",
        "find_cancelled": "CANCELLED",
        "prove_absent": "FAILED",
        "decide_approved": "APPROVED",
        "decide_declined": "DECLINED",
        "decide_cancelled": "CANCELLED",
    },
    "APPROVED": {},
    "DECLINED": {},
    "CANCELLED": {},
    "FAILED": {},
}

PAIRS = [(state, event) for state in (None, *State) for event in Event]


def name(state: State | None) -> str | None:
    return state.value if state else None


def test_every_state_is_written_out() -> None:
    assert set(MOVES) == {None, *(state.value for state in State)}


@pytest.mark.parametrize(("state", "event"), [each for each in PAIRS if each[1] in MOVES[each[0]]])
def test_an_allowed_move_leads_where_it_should(state: State | None, event: Event) -> None:
    assert after(state, event).value == MOVES[name(state)][event.value]


@pytest.mark.parametrize(
    ("state", "event"), [each for each in PAIRS if each[1] not in MOVES[each[0]]]
)
def test_a_forbidden_move_is_refused(state: State | None, event: Event) -> None:
    with pytest.raises(NotAllowed, match=event.value) as refused:
        after(state, event)
    assert isinstance(refused.value, Conflict)


def test_nothing_leaves_a_final_state() -> None:
    assert {state for state, moves in MOVES.items() if not moves} == FINAL_STATES
    assert set(State) == FINAL_STATES | OPEN_STATES
    assert not FINAL_STATES & OPEN_STATES


def test_every_state_can_be_reached_and_every_open_one_left() -> None:
    assert set(TABLE.values()) == set(State)
    assert {before for before, _ in TABLE if before is not None} == OPEN_STATES


def test_failed_is_reached_by_proof_alone() -> None:
    assert {event for (_, event), state in TABLE.items() if state is State.FAILED} == {
        Event.REFUSE,
        Event.PROVE_ABSENT,
    }


def test_what_says_that_no_money_moved_brings_a_proof() -> None:
    said = {"abort", "replace", "expire", "refuse", "prove_absent"}
    assert {event.value for event in PROVEN} == said


def test_unknown_is_never_failed_without_evidence_and_never_forgotten() -> None:
    assert all(
        event.value.startswith(("find_", "prove_", "decide_"))
        for before, event in TABLE
        if before is State.UNKNOWN
    )


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_is_a_final_state(verdict: Verdict) -> None:
    assert verdict.state in FINAL_STATES


def test_the_diagram_in_the_documentation_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert drawn(text) == text, "redraw it: .venv/bin/python -m tests.unit.state_diagram"
