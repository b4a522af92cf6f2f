"""Errors in the vendor's words, also those that are ours and are not told."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.kit.runner import virtual
from tests.unit.paymentbridge.face.cloud import BUSINESS, cloud
from tillwire.dialects.paymentbridge.face import refusals
from tillwire.dialects.paymentbridge.face.refusals import Refused
from tillwire.dialects.paymentbridge.wire.errors import LoginFailed, missing
from tillwire.errors import (
    Conflict,
    InvalidRequest,
    JournalFull,
    NotFound,
    NotPermitted,
    TerminalBusy,
    Unsupported,
)
from tillwire.net.asgi import HttpError

_SCOPE: dict[str, Any] = {
    "type": "http",
    "path": "/poynt/hooks",
    "root_path": "/poynt",
    "headers": [(b"poynt-request-id", b"r-1")],
}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Refused("BUSINESS_NOT_FOUND"), 404, "BUSINESS_NOT_FOUND"),
        (missing("ttl"), 400, "MISSING_PARAMETER"),
        (LoginFailed("no"), 401, "LOGIN_FAILED"),
        (InvalidRequest("a", "it is wrong"), 400, "INVALID_PARAMETER"),
        (NotFound("no"), 404, "RESOURCE_NOT_FOUND"),
        (NotPermitted("no"), 401, "UNAUTHORIZED_ACCESS"),
        (Conflict("no"), 400, "INVALID_REQUEST"),
        (TerminalBusy("no", holder="1", since=0), 504, "SERVICE_UNAVAILABLE"),
        (Unsupported("no"), 400, "UNSUPPORTED_OPERATION"),
        (HttpError(HTTPStatus.NOT_FOUND, "no"), 404, "INVALID_URL_PATTERN"),
        (HttpError(HTTPStatus.REQUEST_TIMEOUT, "no"), 408, "INVALID_REQUEST"),
        (JournalFull("the disk"), 500, "DATABASE_ERROR"),
        (ZeroDivisionError("in a secret place"), 500, "INTERNAL_ERROR"),
    ],
)
def test_every_error_has_its_code_and_body(error: Exception, status: int, code: str) -> None:
    reply = refusals.tell(error, _SCOPE)
    said = json.loads(reply.body)
    assert (reply.status, said["httpStatus"], said["code"]) == (status, status, code)
    assert said["message"]
    assert said["requestId"] == "r-1"
    assert dict(reply.headers)[b"poynt-request-id"] == b"r-1"
    for secret in ("the disk", "secret place"):
        assert secret not in reply.body.decode()


@virtual()
async def test_a_journal_that_cannot_be_read_is_not_passed_off_as_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()

        async def fail(work: object) -> None:
            raise JournalFull("full")

        monkeypatch.setattr(there.gateway.journal, "read", fail)
        answer = await till.ask("GET", f"/businesses/{BUSINESS}/transactions")
        assert (answer.status, answer.code) == (500, "DATABASE_ERROR")
        assert answer.headers["retry-after"] == "1"
        monkeypatch.setattr(there.gateway.journal, "commit", fail)
        answer = await till.send(till.order())
        assert (answer.status, answer.code) == (500, "DATABASE_ERROR")
        monkeypatch.undo()
        assert there.transactions() == []
