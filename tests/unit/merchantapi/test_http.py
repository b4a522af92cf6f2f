"""What HTTP itself refuses, and that every 4xx and 5xx is a problem document (RFC 9457)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.merchantapi.shop import (
    PREFIX,
    PURCHASE,
    TERMINAL,
    Answer,
    Shop,
    Till,
    ask,
    open_shop,
)
from tillwire.core.engine import Engine
from tillwire.errors import JournalFull
from tillwire.net import asgi
from tillwire.net.asgi import LARGEST_BODY, Scope

PATH = f"/terminals/{TERMINAL}/transactions"
JSON = {"Content-Type": "application/json"}
SALE = msgspec.json.encode(PURCHASE)


def check(answer: Answer, status: int, path: str) -> str:
    """The answer is a whole problem document; its detail."""
    assert answer.status == status
    assert answer.header("content-type") == "application/problem+json"
    problem = answer.json
    assert set(problem) == {"title", "status", "detail", "instance"}
    assert problem["status"] == status
    assert problem["title"] == {413: "Content Too Large"}.get(status, HTTPStatus(status).phrase)
    assert problem["instance"] == path
    assert not any(ord(character) < 32 for character in problem["detail"] + problem["instance"])
    detail: str = problem["detail"]
    assert detail
    return detail


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/nowhere", "/stores/", "/stores/1", "//stores", "/terminals/x", "/Stores"),
        *(f"{PATH}/", f"{PATH}/1/2", f"/terminals/{TERMINAL}/daytotals", "/apikeys/"),
    ],
)
async def test_an_unknown_path_is_not_there(tmp_path: Path, path: str) -> None:
    async with open_shop(tmp_path) as shop:
        check(await shop.till.get(path), 404, PREFIX + path)


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/stores", "GET"),
        ("/terminals", "GET"),
        (PATH, "GET, POST"),
        (f"{PATH}/1", "DELETE, GET"),
        (f"/terminals/{TERMINAL}/daytotals/today", "GET"),
        ("/apikeys", "GET, POST"),
        ("/apikeys/1", "DELETE"),
        ("/openapi.json", "GET"),
        ("/docs", "GET"),
    ],
)
async def test_a_wrong_method_is_answered_with_the_right_ones(
    tmp_path: Path, path: str, allow: str
) -> None:
    async with open_shop(tmp_path) as shop:
        for method in ("PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"):
            answer = await shop.till.send(method, path)
            check(answer, 405, PREFIX + path)
            assert answer.header("allow") == allow


@pytest.mark.parametrize(
    "kind",
    [
        *("", "text/plain", "application/xml", "application/x-www-form-urlencoded", "json", "ÿ"),
        *("application/json; charset=utf-16", "application/jsonx", "multipart/form-data"),
    ],
)
async def test_what_is_not_said_to_be_json_is_not_read(tmp_path: Path, kind: str) -> None:
    async with open_shop(tmp_path) as shop:
        for path in (PATH, "/apikeys"):
            answer = await shop.till.send("POST", path, SALE, {"Content-Type": kind})
            check(answer, 415, PREFIX + path)
            check(await shop.till.send("POST", path, SALE), 415, PREFIX + path)


@pytest.mark.parametrize(
    "kind",
    ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'],
)
async def test_json_may_be_said_in_several_ways(tmp_path: Path, kind: str) -> None:
    async with open_shop(tmp_path) as shop:
        answer = await shop.till.send("POST", PATH, SALE, {"Content-Type": kind})
        assert answer.status == 201


async def test_a_body_that_says_it_is_too_large_is_not_even_read(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        for length in (str(LARGEST_BODY + 1), "9" * 400):
            headers = {**JSON, "Content-Length": length}
            answer = await shop.till.send("POST", PATH, b"", headers)
            check(answer, 413, PREFIX + PATH)
            assert answer.header("connection") == "close"


async def test_a_body_in_pieces_is_cut_off_at_the_limit(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        pieces = [b" " * 1024] * (LARGEST_BODY // 1024)
        check(await shop.till.send("POST", PATH, [*pieces, b" "], JSON), 413, PREFIX + PATH)
        exact = [*pieces[1:], b" " * (1024 - len(SALE)), SALE]
        assert (await shop.till.send("POST", PATH, exact, JSON)).status == 201


async def test_a_body_may_come_byte_by_byte(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        pieces = [SALE[index : index + 1] for index in range(len(SALE))]
        assert (await shop.till.send("POST", PATH, pieces, JSON)).status == 201


async def test_a_body_that_does_not_come_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "BODY_WITHIN", 0.01)
    async with open_shop(tmp_path) as shop:
        replies: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            replies.append(message)

        await shop.app(scope_of(shop, "POST", PATH), receive, send)
        assert replies[0]["status"] == 408


async def test_a_client_that_goes_away_is_not_answered(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        replies: list[dict[str, Any]] = []
        messages = [{"type": "http.request", "body": SALE[:9], "more_body": True}]

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            replies.append(message)

        await shop.app(scope_of(shop, "POST", PATH), receive, send)
        assert replies == []
        assert (await shop.till.get(PATH)).json == []


def scope_of(shop: Shop, method: str, path: str) -> Scope:
    assert shop.till.key is not None
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"api-key", shop.till.key.encode()), (b"content-type", b"application/json")],
    }


@pytest.mark.parametrize("accept", ["application/problem+json", "text/html", "*/*", "nonsense"])
async def test_accept_refuses_nothing(tmp_path: Path, accept: str) -> None:
    async with open_shop(tmp_path) as shop:
        shop.till.more.append(("Accept", accept))
        assert (await shop.till.get("/stores")).header("content-type") == "application/json"
        assert (await shop.till.start()).status == 201


async def test_odd_and_doubled_headers_harm_nothing(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        shop.till.more = [
            *(("Host", "other.test"), ("Content-Type", "text/plain"), ("Link", "ÿ")),
            *(("X-" + "y" * 500, "z" * 5000), ("Content-Length", ""), ("Accept", "")),
        ]
        assert (await shop.till.get("/stores")).status == 200


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("pay.example", "http://pay.example"),
        ("[::1]:8700", "http://[::1]:8700"),
        ('x">; rel="next', "http://127.0.0.1:8700"),
        ("a\r\nSet-Cookie: b", "http://127.0.0.1:8700"),
        ("", "http://127.0.0.1:8700"),
        ("ÿ", "http://127.0.0.1:8700"),
    ],
)
async def test_links_name_the_host_as_the_client_does_unless_it_is_none(
    tmp_path: Path, host: str, base: str
) -> None:
    async with open_shop(tmp_path) as shop:
        till = Till(shop.app, shop.till.key)
        scope = scope_of(shop, "GET", f"{till.root}/stores")
        scope |= {"root_path": till.root, "query_string": b"size=1", "server": ("127.0.0.1", 8700)}
        scope["scheme"] = "http"
        scope["headers"].append((b"host", host.encode("latin-1")))
        link = (await ask(shop.app, scope)).header("link")
        assert link is not None
        assert link.startswith(f"<{base}{till.root}/stores?size=1&page=1>")


@pytest.mark.parametrize("root", ["", "/", "/merchantapi", "/a/b%20c"])
async def test_the_face_stands_anywhere(tmp_path: Path, root: str) -> None:
    async with open_shop(tmp_path) as shop:
        till = Till(shop.app, shop.till.key, root=root.rstrip("/"))
        assert (await till.get("/stores")).status == 200
        check(await till.get("/nowhere"), 404, asgi.quoted(root.rstrip("/")) + "/nowhere")


async def test_a_server_that_cuts_its_prefix_off_is_understood(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        scope = {**scope_of(shop, "GET", "/stores"), "root_path": PREFIX}
        assert (await ask(shop.app, scope)).status == 200
        scope = {**scope_of(shop, "GET", "/nowhere"), "root_path": PREFIX}
        check(await ask(shop.app, scope), 404, f"{PREFIX}/nowhere")


@pytest.mark.parametrize("path", ["/a\r\nb", "/\x00", "/ä", "/\ud800", '/"<>'])
async def test_an_instance_is_a_clean_reference(tmp_path: Path, path: str) -> None:
    async with open_shop(tmp_path) as shop:
        answer = await ask(shop.app, scope_of(shop, "GET", path))
        assert answer.status == 404
        instance = answer.json["instance"]
        assert instance == asgi.quoted(path)
        assert instance.isascii()
        assert not set(instance) & set('\r\n\x00"<> ')


async def failing(shop: Shop, monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[Answer]:
    """Answers while the journal fails with the error."""

    async def fail(work: Callable[[Any], Any]) -> Any:
        raise error

    monkeypatch.setattr(shop.engine.journal, "commit", fail)
    monkeypatch.setattr(shop.engine.journal, "read", fail)
    return [
        await shop.till.start(),
        await shop.till.read("9" * 31),
        await shop.till.get(PATH),
        await shop.till.get(f"/terminals/{TERMINAL}/daytotals/today"),
        await shop.till.post("/apikeys", {"label": "x"}),
    ]


async def test_a_journal_that_fails_is_told_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_shop(tmp_path) as shop:
        with monkeypatch.context() as broken:
            answers = await failing(shop, broken, JournalFull("/srv/journal.db: free some space."))
        for answer in answers:
            detail = check(answer, 503, answer.json["instance"])
            assert "/srv" not in detail
            assert answer.header("retry-after") == "1"
        assert shop.driver.ran == []
        assert (await shop.till.start()).status == 201


async def test_a_fault_of_ours_tells_nothing_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_shop(tmp_path) as shop:
        with monkeypatch.context() as broken:
            answers = await failing(shop, broken, RuntimeError("secret detail"))
        for answer in answers:
            assert "secret" not in check(answer, 500, answer.json["instance"])


async def test_a_caller_who_is_cancelled_stays_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancelled(self: Engine, transaction_id: str) -> None:
        raise asyncio.CancelledError

    async with open_shop(tmp_path) as shop:
        monkeypatch.setattr(Engine, "find", cancelled)
        with pytest.raises(asyncio.CancelledError):
            await shop.till.read("9" * 31)
