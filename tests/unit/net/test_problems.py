"""How errors read over HTTP (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
import pytest
from structlog.testing import capture_logs

from tillwire.errors import (
    Conflict,
    InvalidRequest,
    JournalError,
    JournalFull,
    NotFound,
    TerminalBusy,
    TillwireError,
    Unsupported,
)
from tillwire.net.asgi import HttpError, Reply, Scope
from tillwire.net.problems import LONGEST_DETAIL, STATUSES, Problems, named_field

PROBLEMS: Final = Problems(STATUSES, named_field)
SCOPE: Final[Scope] = {"path": "/face/a\r\nb", "root_path": "/face"}


def told(error: Exception, problems: Problems = PROBLEMS) -> tuple[Reply, dict[str, Any]]:
    reply = problems.tell(error, SCOPE)
    assert reply.content_type == "application/problem+json"
    document = msgspec.json.decode(reply.body)
    assert document["status"] == reply.status
    return reply, document


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (InvalidRequest("amount", "it is missing"), 400, "Bad Request"),
        (NotFound("No such thing."), 404, "Not Found"),
        (TerminalBusy("It is busy.", holder="1", since=0), 409, "Conflict"),
        (Unsupported("Not here."), 422, "Unprocessable Content"),
        (HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too much."), 413, "Content Too Large"),
    ],
)
def test_an_error_has_its_status_and_says_what_is_special(
    error: TillwireError, status: int, title: str
) -> None:
    reply, document = told(error)
    assert (reply.status, document["title"]) == (status, title)
    assert document["detail"] == error.detail
    assert document["instance"] == "/face/a%0D%0Ab"
    assert document.get("field") == getattr(error, "field", None)


def test_an_error_without_words_says_its_own() -> None:
    assert told(NotFound())[1]["detail"] == "There is no such thing."


def test_a_dialect_has_its_own_table_and_no_more_members_than_it_says() -> None:
    problems = Problems({Conflict: HTTPStatus.TOO_MANY_REQUESTS})
    reply, document = told(TerminalBusy("It is busy.", holder="1", since=0), problems)
    assert reply.status == 429
    assert set(document) == {"title", "status", "detail", "instance"}


@pytest.mark.parametrize("error", [JournalError("/srv/journal.db"), JournalFull("/srv/journal.db")])
def test_a_journal_that_fails_is_told_without_its_place_and_logged_with_it(
    error: JournalError,
) -> None:
    with capture_logs() as lines:
        reply, document = told(error)
    assert (reply.status, reply.headers) == (503, ((b"retry-after", b"1"),))
    assert "/srv" not in document["detail"]
    assert "nothing was done" in document["detail"]
    assert "/srv" in lines[0]["error"]


@pytest.mark.parametrize(
    "error", [RuntimeError("secret"), TillwireError("secret"), Unsupported("secret")]
)
def test_what_nobody_foresaw_is_logged_and_not_told(error: Exception) -> None:
    with capture_logs() as lines:
        reply, document = told(error, Problems({NotFound: HTTPStatus.NOT_FOUND}))
    assert reply.status == 500
    assert "secret" not in document["detail"]
    assert lines[0]["exc_info"] is error


@pytest.mark.parametrize("unfit", ["\r\n", "\x00", "\x7f", "\x9b", "\u2028", "\ud800"])
def test_a_detail_is_one_line_of_bearable_length(unfit: str) -> None:
    _, document = told(NotFound(f"a{unfit}b" + "c" * 5000))
    assert document["detail"].startswith("a bc")
    assert len(document["detail"]) == LONGEST_DETAIL
