"""What can be wrong with a message, read or written."""

from __future__ import annotations

from tillwire.errors import RemoteProtocolError


class Unreadable(RemoteProtocolError):
    """The message cannot be read."""

    def __init__(self, code: str, reason: str) -> None:
        """`code`: the message code as it came, empty where not even that could be read. `reason`:
        what is wrong, with nothing of the content in it."""
        super().__init__(f"{code!r}: {reason}." if code else f"{reason}.")
        self.code = code
        self.reason = reason


class Unfit(ValueError):
    """A value has no place in its field. Each message says whose fault that is."""

    def __init__(self, problem: str, allowed: str = "", field: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.allowed = allowed
        self.field = field
