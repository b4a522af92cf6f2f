"""What the handlers of the face are given, and what they may raise.

`poi.py` leads every message of a till to the handler of its category in `poi.HANDLERS`. Before a
handler runs, `poi.py` has seen to it that

* the message is for a terminal of the face's organisation (`Visit.terminal`),
* the till is logged in, where the face wants that and the category needs it,
* a service was not done before under the same ServiceID, and is remembered: one that moves no
  money with its intent in the journal (`Visit.exchange`, which has an id then); a Payment or a
  Reversal as a draft without an id, which its handler hands to `Engine.accept` in the request,
* no other dialogue is under way at the terminal, where the category wants it for itself.

And after it, that what the handler returned or raised is remembered where the message is, has the
right header, and reaches the till. So a handler reads `Visit.body`, asks the engine, and returns
the response's body; None where nothing is answered.

What goes wrong, it raises: `Refused` in the protocol's own words, or whatever the engine raises
(`TillwireError`), which `refusals.py` says in the protocol's words in one table; `Rejected` where
there is no response that could say it. Anything else is a
defect of ours and is never answered with a Failure, since nobody knows then what happened.

**When the till goes away**, whoever carries its message cancels `Poi.answer`. A payment goes on
without it: it is the engine's. An errand (CardAcquisition, Admin ...) goes on, too, up to its time
limit, in a task of the face's own, so that a TransactionStatus finds what came of it. A handler
needs to do nothing for either; it is cancelled only when its dialogue is aborted, or when the
gateway stops.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from tillwire.core.engine import Engine
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Exchange, Session
from tillwire.core.ports import Clock
from tillwire.core.tasks import Tasks
from tillwire.dialects.nexo.face.dialogues import Dialogue, Dialogues
from tillwire.dialects.nexo.face.logins import Login, login_of
from tillwire.dialects.nexo.face.settings import Settings
from tillwire.dialects.nexo.face.terminals import Terminals
from tillwire.dialects.nexo.wire import Body, Message, MessageHeader, values
from tillwire.errors import TillwireError

DIALECT = "nexo"
"""The face's name in transactions, exchanges and sessions."""


class Outlet(Protocol):
    """Where messages of the POI go that are not the answer: DisplayRequests while a service
    runs."""

    def tell(self, message: Message) -> None:
        """Send it, or drop it when the till is gone or cannot take it. Never blocks or raises."""


class Nowhere:
    """An outlet for those who only want the answer."""

    def tell(self, message: Message) -> None:
        """Dropped."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the handlers of one face share."""

    engine: Engine
    clock: Clock
    settings: Settings
    dialogues: Dialogues
    """Shared with all other nexo faces of the gateway."""
    terminals: Terminals
    """Those that the face serves, by POIID."""
    tasks: Tasks = field(default_factory=Tasks)
    """What goes on after its message was answered (a print, a card that is read ahead); ended with
    the face."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One message of a till, led to its handler."""

    context: Context
    terminal: Terminal
    header: MessageHeader
    body: Body
    session: Session | None
    """The till's login at this terminal, if it has one."""
    outlet: Outlet
    exchange: Exchange | None = None
    """As what it is remembered; None for questions and device requests, which may be repeated."""
    dialogue: Dialogue | None = None
    """Its place at the terminal, which an Abort finds; None for what ends at once."""

    @property
    def login(self) -> Login:
        """What the till said of itself in its session; the defaults without one."""
        return login_of(self.session)


Handler = Callable[[Visit], Awaitable[Body | None]]
"""Answers one category of messages."""


class Rejected(TillwireError):
    """The message cannot be accepted, and has no response that could say so: it is answered with
    an EventNotification `Reject`."""


class Refused(TillwireError):
    """The message is not done."""

    def __init__(self, condition: values.ErrorCondition, detail: str) -> None:
        """`condition` is the ErrorCondition, `detail` the AdditionalResponse: what is wrong and
        what to do, in a sentence."""
        super().__init__(detail)
        self.condition = condition


class Malformed(Refused):
    """A member has a wrong value."""

    def __init__(self, path: str, field: str, problem: str, allowed: str = "") -> None:
        """`path` leads from the body's key to the structure that has the member `field`:
        `PaymentRequest.PaymentTransaction.AmountsReq`. `problem` is what is wrong with its value,
        `allowed` what would be right."""
        detail = f"At {path}, field {field}: {problem}"
        if allowed:
            detail += f". Allowed: {allowed}"
        super().__init__(values.ErrorCondition.MESSAGE_FORMAT, detail)
