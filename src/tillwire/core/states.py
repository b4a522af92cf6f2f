"""How a transaction moves: the one transition table.

House rules of this file:

1. A move that is not in `TABLE` does not exist. There is no second place that decides.
2. Nothing leaves a final state. A fact that contradicts it opens a discrepancy instead.

The theory. A sale has three dangerous moments: before the command is on its way (we may still
drop it, and say so with proof), while it is on its way (only evidence may end it), and after the
answer was lost (it is UNKNOWN, and stays so until evidence or a named person ends it). The states
are these moments, and the events are what can be learned in them:

* ACCEPTED: journaled, nothing sent. It may be aborted, replaced or expire, with the proof
  `never_sent`.
* SENT: the intent to write was committed; bytes may have left. Only a *refusal with proof*, a
  sign of life, an outcome, or the loss of the answer can follow.
* STARTED: the terminal showed a sign of life for it.
* UNKNOWN: nobody can tell. *Found* and *proven absent* are the recovery ladder's two ends, and
  *decide* is a person's.

`clear`, `reverse` and notes are facts beside the state: they are events of a transaction, but not
moves, and so not in the table. The diagram in `docs/states.md` is drawn from this table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from tillwire.core.model import FINAL_STATES, State
from tillwire.errors import Conflict


class Event(StrEnum):
    """What can move a transaction."""

    ACCEPT = "accept"
    ABORT = "abort"
    REPLACE = "replace"
    EXPIRE = "expire"
    DISPATCH = "dispatch"
    REFUSE = "refuse"
    START = "start"
    APPROVE = "approve"
    DECLINE = "decline"
    CANCEL = "cancel"
    LOSE = "lose"
    FIND_APPROVED = "find_approved"
    FIND_DECLINED = "find_declined"
    FIND_CANCELLED = "find_cancelled"
    PROVE_ABSENT = "prove_absent"
    DECIDE_APPROVED = "decide_approved"
    DECIDE_DECLINED = "decide_declined"
    DECIDE_CANCELLED = "decide_cancelled"


_BEFORE_SENDING = {
    Event.ABORT: State.CANCELLED,
    Event.REPLACE: State.CANCELLED,
    Event.EXPIRE: State.CANCELLED,
    Event.DISPATCH: State.SENT,
}
_ON_ITS_WAY = {
    Event.REFUSE: State.FAILED,
    Event.APPROVE: State.APPROVED,
    Event.DECLINE: State.DECLINED,
    Event.CANCEL: State.CANCELLED,
    Event.LOSE: State.UNKNOWN,
}
_AFTER_THE_LOSS = {
    Event.FIND_APPROVED: State.APPROVED,
    Event.FIND_DECLINED: State.DECLINED,
    Event.FIND_CANCELLED: State.CANCELLED,
    Event.PROVE_ABSENT: State.FAILED,
    Event.DECIDE_APPROVED: State.APPROVED,
    Event.DECIDE_DECLINED: State.DECLINED,
    Event.DECIDE_CANCELLED: State.CANCELLED,
}

TABLE: Final[dict[tuple[State | None, Event], State]] = {
    (None, Event.ACCEPT): State.ACCEPTED,
    **{(State.ACCEPTED, event): state for event, state in _BEFORE_SENDING.items()},
    **{(State.SENT, event): state for event, state in _ON_ITS_WAY.items()},
    (State.SENT, Event.START): State.STARTED,
    **{(State.STARTED, event): state for event, state in _ON_ITS_WAY.items()},
    **{(State.UNKNOWN, event): state for event, state in _AFTER_THE_LOSS.items()},
}
"""(state before, event) -> state after. None is "does not exist yet"."""

PROVEN: Final = frozenset(
    {Event.REFUSE, Event.PROVE_ABSENT, Event.ABORT, Event.REPLACE, Event.EXPIRE}
)
"""Events that say no money moved, and so must bring a proof (law 4)."""

assert not any(before in FINAL_STATES for before, _ in TABLE), "nothing leaves a final state"


class NotAllowed(Conflict):
    """The transaction cannot make this move."""


def after(state: State | None, event: Event) -> State:
    """The state that `event` leads to from `state`; raises `NotAllowed` when there is none."""
    found = TABLE.get((state, event))
    if found is None:
        raise NotAllowed(f"{event} does not follow {state or 'nothing'}.")
    return found
