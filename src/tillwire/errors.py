"""The one error tree.

Every exception's docstring is the first sentence of its message, so each reads as a sentence that
a person can use; what is special about this occurrence follows it. Each face translates the tree
into its own dialect in one table. Two families are kept apart with care: `NotDelivered` is a proof
that nothing was sent, `AnswerLost` is the absence of one.
"""

from __future__ import annotations

from enum import StrEnum


class Proof(StrEnum):
    """Why we may say that no money moved (law 4)."""

    NEVER_SENT = "never_sent"
    CONNECT_REFUSED = "connect_refused"
    REFUSED_BY_PEER = "refused_by_peer"
    ABSENT_AT_PEER = "absent_at_peer"


class TillwireError(Exception):
    """Something went wrong in tillwire."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        sentence = (type(self).__doc__ or "").strip().splitlines()[0]
        return f"{sentence} {self.detail}".strip()


class ConfigurationError(TillwireError):
    """The configuration cannot be used."""


class InvalidRequest(TillwireError):
    """The request is not valid."""

    def __init__(self, field: str, problem: str, allowed: str = "") -> None:
        """`field` is the path of the offending member, `problem` what is wrong with its value,
        `allowed` what would be right."""
        self.field = field
        self.problem = problem
        self.allowed = allowed
        super().__init__(f"{field}: {problem}." + (f" Allowed: {allowed}." if allowed else ""))


class NotPermitted(TillwireError):
    """The caller may not do this."""


class NotFound(TillwireError):
    """There is no such thing."""


class Conflict(TillwireError):
    """The request does not fit the present state."""


class TerminalBusy(Conflict):
    """The terminal is occupied."""

    def __init__(self, detail: str, *, holder: str, since: int, unresolved: bool = False) -> None:
        """`holder` is the transaction that holds the terminal, `since` when it was accepted (ms
        since 1970, UTC), `unresolved` whether it is UNKNOWN and blocks the terminal until it is
        resolved."""
        super().__init__(detail)
        self.holder = holder
        self.since = since
        self.unresolved = unresolved


class Unsupported(TillwireError):
    """This is not supported here."""


class PeerError(TillwireError):
    """The other side of a connection failed us."""


class NotDelivered(PeerError):
    """The command provably did not reach the terminal."""

    def __init__(self, detail: str, proof: Proof = Proof.NEVER_SENT) -> None:
        super().__init__(detail)
        self.proof = proof


class AnswerLost(PeerError):
    """The answer was lost, so nobody can tell yet what happened."""


class RemoteProtocolError(PeerError):
    """The other side broke the protocol."""


class LocalProtocolError(TillwireError):
    """tillwire was about to break the protocol, which is a defect of tillwire."""


class JournalError(TillwireError):
    """The journal cannot be written or read, so nothing was sent."""


class JournalBusy(JournalError):
    """The journal is locked by another program."""


class JournalFull(JournalError):
    """The disk that holds the journal is full."""


class JournalReadOnly(JournalError):
    """The journal cannot be written because it is read-only."""


class JournalTooNew(JournalError):
    """The journal was written by a newer version of tillwire."""
