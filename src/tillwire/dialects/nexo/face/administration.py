"""Admin: what the maker of a terminal defines. Here that is its update.

`ServiceIdentification` goes to the terminal's driver as it is. Market Pay's tills write a small XML
document in Base64 there; its Action is what counts, and `Update` is the one that there is.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error
from typing import Final

import msgspec

from tillwire.core.errands import Update
from tillwire.dialects.nexo.face.answers import SUCCESS
from tillwire.dialects.nexo.face.context import Malformed, Refused, Visit
from tillwire.dialects.nexo.wire.services import AdminRequest, AdminResponse
from tillwire.dialects.nexo.wire.values import ErrorCondition

LONGEST: Final = 4096
"""Characters of a ServiceIdentification."""
_UPDATE: Final = "Update"
_ACTION: Final = re.compile(r"<(?:\w{1,40}:)?Action>\s{0,40}(\w{1,100})\s{0,40}</")


async def admin(visit: Visit) -> AdminResponse:
    """Have the terminal updated. Raises `Refused`, `Unsupported`, `ErrandFailed`, and what else
    `Engine.perform` does."""
    body = visit.body
    assert isinstance(body, AdminRequest)
    errand = Update(_what(body.service_identification or ""))
    if visit.login.training:
        return AdminResponse(
            response=msgspec.structs.replace(
                SUCCESS, additional_response="TRAINING: nothing was done."
            )
        )
    await visit.context.engine.perform(visit.terminal.id, errand)
    return AdminResponse(response=SUCCESS)


def _what(identification: str) -> str:
    """What to update, in the words of whoever knows the terminal. Raises `Refused`."""
    if len(identification) > LONGEST:
        problem = f"It has {len(identification)} characters"
        raise Malformed("AdminRequest", "ServiceIdentification", problem, f"at most {LONGEST}")
    document = _document(identification)
    if document is None:
        return identification
    found = _ACTION.search(document)
    if found is None or found[1].lower() != _UPDATE.lower():
        action = found[1] if found else "none"
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            f"ServiceIdentification: its Action is {action}; only {_UPDATE} is served here.",
        )
    return _UPDATE


def _document(identification: str) -> str | None:
    """The XML document in Base64 that it is, if it is one."""
    try:
        text = b64decode(identification, validate=True).decode()
    except (Error, ValueError):
        return None
    return text if text.lstrip("\ufeff \t\r\n").startswith("<") else None
