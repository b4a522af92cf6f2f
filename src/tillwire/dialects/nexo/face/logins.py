"""What a till says of itself when it logs in, as the session keeps it (`Session.detail`)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tillwire.core.model import Session


class Login(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The defaults of a session; a message may say otherwise for itself."""

    operator: str = ""
    shift: str = ""
    totals_group: str = ""
    language: str = ""
    """Of the operator."""
    training: bool = False
    """Whether the whole session is make-believe: nothing of it reaches a terminal."""
    capabilities: tuple[str, ...] | None = None
    """What the till can be sent (`SaleCapabilities`); None when it did not say."""
    version: str = ""
    """The protocol version that was agreed on."""

    def can(self, *capabilities: str) -> bool:
        """Whether the till can be sent one of these; one that does not say can be sent all."""
        return self.capabilities is None or not set(capabilities).isdisjoint(self.capabilities)


NOT_LOGGED_IN = Login()
"""Of a till without a session."""


def login_of(session: Session | None) -> Login:
    """What the till said when it opened the session; the defaults without one."""
    if session is None:
        return NOT_LOGGED_IN
    detail: dict[str, object] = dict(session.detail)
    if "capabilities" in session.detail:
        detail["capabilities"] = tuple(session.detail["capabilities"].split())
    if "training" in session.detail:
        detail["training"] = session.detail["training"] == "true"
    return msgspec.convert(detail, Login)


def is_training(session: Session) -> bool:
    """Whether only its till may end the session: a payment that follows would be in earnest."""
    return login_of(session).training


def detail_of(login: Login) -> Mapping[str, str]:
    """The same as a session keeps it: text by name, without what is not said."""
    detail: dict[str, str] = msgspec.to_builtins(login)
    if login.capabilities is not None:
        detail["capabilities"] = " ".join(login.capabilities)
    if login.training:
        detail["training"] = "true"
    return detail
