"""`POST /softpos/as/par`: a pushed authorisation request (RFC 9126), with which the vendor's cloud
authentication begins. The assertion is a field of its form, where Check Transaction has it as a
header.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from tillwire.dialects.softpos.wire import reading
from tillwire.errors import InvalidRequest

SCOPES: Final = frozenset({"oidc", "openid", "email", "profile", "phone", "address"})
"""What may be asked for; the vendor's clients ask for `oidc`."""
EXPIRES_IN: Final = 90
"""Seconds that a request is kept."""
PREFIX: Final = "urn:softpos_"


class ParRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for."""

    client_assertion: str
    client_id: str
    redirect_uri: str
    scope: str = "oidc"


class ParAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is kept. The status that goes with it is 201."""

    request_uri: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    expires_in: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = EXPIRES_IN
    """Seconds."""


def read_request(form: bytes) -> ParRequest:
    """What an application asks for. Raises `InvalidRequest`."""
    fields = reading.read_form(form)
    scope = reading.needed(fields, "scope")
    unknown = set(scope.split()) - SCOPES
    if unknown:
        raise InvalidRequest("scope", "it is not known here", " ".join(sorted(SCOPES)))
    return ParRequest(
        client_assertion=reading.needed(fields, "client_assertion"),
        client_id=reading.needed(fields, "client_id"),
        redirect_uri=reading.needed(fields, "redirect_uri"),
        scope=scope,
    )


def write_request(request: ParRequest) -> bytes:
    """The form that asks for it."""
    return reading.write_form(msgspec.structs.asdict(request))


def read_answer(octets: bytes) -> ParAnswer:
    """Where the request is kept. Raises `RemoteProtocolError`."""
    return reading.answered(ParAnswer, octets)
