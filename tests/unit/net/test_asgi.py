"""Reading requests and writing replies, whatever the face."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tillwire.errors import NotFound
from tillwire.net import asgi
from tillwire.net.asgi import Call, DisconnectedError, HttpError, Message, Receive, Reply, Scope


def scope_of(path: str = "/", root: str = "", **headers: str) -> Scope:
    """A request; in a header's name, `_` stands for a hyphen."""
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "root_path": root,
        "query_string": b"a=1&a=%FF&b",
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in headers.items()
        ],
    }


def call_of(scope: Scope, receive: Receive) -> Call[None]:
    return Call(scope, receive, "/", (), None)


def arriving(*pieces: bytes) -> Receive:
    """A body in pieces; when they are over, the client has gone."""
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": index < len(pieces)}
        for index, piece in enumerate(pieces, 1)
    ]

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return receive


async def sent(reply: Reply) -> tuple[int, dict[bytes, bytes], bytes]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await reply.send(send)
    start, body = messages
    return start["status"], dict(start["headers"]), body["body"]


async def test_a_reply_describes_its_body() -> None:
    status, headers, body = await sent(Reply(200, b"12", [(b"link", b"x")], "text/plain"))
    assert (status, body) == (200, b"12")
    assert headers == {
        b"content-type": b"text/plain",
        b"content-length": b"2",
        b"cache-control": b"no-store",
        b"link": b"x",
    }


async def test_a_reply_without_content_describes_none() -> None:
    assert await sent(Reply(204)) == (204, {b"cache-control": b"no-store"}, b"")
    assert (await sent(Reply(201)))[1][b"content-length"] == b"0"


async def test_no_header_ends_its_line() -> None:
    _, headers, _ = await sent(Reply(201, headers=[(b"location", b"/a\r\nset-cookie: b\x00\x7f")]))
    assert headers[b"location"] == b"/a  set-cookie: b  "


@pytest.mark.parametrize(
    ("root", "path", "below"),
    [
        ("", "/next", "/next"),
        ("/device", "/device/next", "/next"),
        ("/device", "/device", ""),
        ("/device", "/device/", "/"),
        ("/device/", "/device/next", "/next"),
        ("/device", "/devices/next", "/devices/next"),
        ("/device", "/next", "/next"),
        ("", "*", "*"),
    ],
)
def test_a_face_sees_the_path_below_its_place(root: str, path: str, below: str) -> None:
    assert asgi.path_of(scope_of(path, root)) == below


def test_a_query_is_read_in_its_order_whatever_it_holds() -> None:
    query = call_of(scope_of(), arriving()).query()
    assert query == [("a", "1"), ("a", "\N{REPLACEMENT CHARACTER}"), ("b", "")]


@pytest.mark.parametrize(
    ("content_type", "unnamed", "fits"),
    [
        ("application/json", False, True),
        ("Application/JSON; charset=UTF-8", True, True),
        ("application/json; charset=utf-16", True, False),
        ("text/plain", True, False),
        ("", True, False),
        (None, True, True),
        (None, False, False),
    ],
)
async def test_a_body_is_what_it_is_said_to_be(
    content_type: str | None, unnamed: bool, fits: bool
) -> None:
    scope = scope_of() if content_type is None else scope_of(content_type=content_type)
    call = call_of(scope, arriving(b"[", b"]"))
    if fits:
        assert await call.json(unnamed=unnamed) == b"[]"
        return
    with pytest.raises(HttpError) as refused:
        await call.json(unnamed=unnamed)
    assert (refused.value.status, refused.value.headers) == (
        415,
        [(b"accept", b"application/json")],
    )


@pytest.mark.parametrize("length", ["", "x", "\u00b2", "-1", "3"])
async def test_a_body_has_a_limit_whatever_length_it_claims(length: str) -> None:
    scope = scope_of(content_length=length)
    assert await asgi.read_body(scope, arriving(b"1", b"23"), 3) == b"123"
    with pytest.raises(HttpError, match="more than 3 bytes") as refused:
        await asgi.read_body(scope, arriving(b"1", b"234"), 3)
    assert refused.value.status == 413


@pytest.mark.parametrize("length", ["4", "9" * 5000])
async def test_a_body_that_says_it_is_too_large_is_not_read(length: str) -> None:
    async def receive() -> Message:
        raise AssertionError

    with pytest.raises(HttpError, match="more than 3 bytes"):
        await asgi.read_body(scope_of(content_length=length), receive, 3)


async def test_a_body_has_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(asgi, "BODY_WITHIN", 0.01)
    with pytest.raises(HttpError) as refused:
        await asgi.read_body(scope_of(), receive)
    assert refused.value.status == 408


async def test_a_client_that_goes_away_leaves_no_body() -> None:
    with pytest.raises(DisconnectedError):
        await asgi.read_body(scope_of(), arriving())


@pytest.mark.parametrize(
    ("error", "statuses"), [(None, [200]), (NotFound("x"), [404]), (DisconnectedError(), [])]
)
async def test_a_request_has_one_reply_and_who_has_gone_has_none(
    error: Exception | None, statuses: list[int]
) -> None:
    messages: list[Any] = []

    async def answer(scope: Scope, receive: Receive) -> Reply:
        if error is not None:
            raise error
        return Reply(200)

    async def send(message: Message) -> None:
        messages.append(message)

    await asgi.serve(scope_of(), arriving(), send, answer, lambda _error, _scope: Reply(404))
    assert [each["status"] for each in messages if "status" in each] == statuses


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer a.b", "a.b"),
        ("BEARER a.b", "a.b"),
        ("bearer  a.b ", "a.b"),
        ("Basic a.b", ""),
        ("Bearer", ""),
        ("", ""),
        ("a.b", ""),
    ],
)
def test_the_scheme_is_written_in_any_case(header: str, token: str) -> None:
    assert asgi.bearer(header) == token


@pytest.mark.parametrize(
    ("server", "urls"),
    [
        (("127.0.0.1", 443), ["https://127.0.0.1:443", "https://localhost:443"]),
        (("10.0.7.1", 8443), ["https://10.0.7.1:8443"]),
        (("2001:db8::1", 8443), ["https://[2001:db8::1]:8443"]),
    ],
)
def test_its_own_urls_are_those_of_the_listener(server: tuple[str, int], urls: list[str]) -> None:
    scope = {
        **scope_of(root="/b2b", host="thief.example"),
        "scheme": "https",
        "server": server,
    }
    assert list(asgi.own_urls(scope)) == [each + path for each in urls for path in ("", "/b2b")]
