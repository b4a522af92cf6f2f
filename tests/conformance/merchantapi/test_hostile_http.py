"""What no well-meant client sends: raw bytes on a socket, against the running sandbox.

Whatever comes, every 4xx and 5xx is a whole problem document that tells nothing of the inside, and
the next well-meant request is served.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import pytest

from tests.conformance.merchantapi.raw_line import JSON, Line
from tests.kit.sandbox_process import SandboxProcess
from tests.kit.shop_front import Till, charged

ORDER: Final = (
    b'{"type":"PURCHASE","merchant_order_reference":"hostile",'
    b'"amount":{"value":10.40,"currency":"EUR"}}'
)
LARGEST: Final = 64 * 1024
"""Bytes of a body that the face takes."""


@pytest.fixture
def line(sandbox: SandboxProcess) -> Iterator[Line]:
    """A connection; afterwards, the sandbox must serve on."""
    opened = Line(sandbox)
    yield opened
    opened.close()
    after = Line(sandbox)
    assert after.request("GET", f"{after.prefix}/stores").status == 200
    after.close()


# --- bodies -------------------------------------------------------------------------------------


def test_an_empty_body_is_not_json(line: Line) -> None:
    reply = line.request("POST", f"{line.terminal}/transactions", JSON, "Content-Length: 0")
    assert reply.status == 400
    assert reply.problem["instance"] == f"{line.terminal}/transactions"


def test_a_body_that_says_it_is_too_large_is_not_waited_for(line: Line) -> None:
    line.write(
        line.head("POST", f"{line.terminal}/transactions", JSON, f"Content-Length: {LARGEST + 1}")
    )
    assert line.reply().status == 413


@pytest.mark.parametrize("length", ["9" * 12, "9" * 30])
def test_a_length_beyond_all_bounds_is_refused(line: Line, length: str) -> None:
    line.write(
        line.head("POST", f"{line.terminal}/transactions", JSON, f"Content-Length: {length}")
    )
    assert line.reply().status in (400, 413)


def test_a_body_without_a_length_is_cut_off_where_it_is_too_large(line: Line) -> None:
    path = f"{line.terminal}/transactions"
    head = line.head("POST", path, JSON, "Transfer-Encoding: chunked")
    piece = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    line.write(head, *[piece] * 20)
    assert line.reply().status == 413


def test_the_largest_body_that_fits_is_read(line: Line) -> None:
    assert line.order(ORDER.ljust(LARGEST)).status == 201


def test_an_order_may_come_byte_by_byte(line: Line, sandbox: SandboxProcess) -> None:
    path = f"{line.terminal}/transactions"
    order = ORDER.replace(b"hostile", b"in pieces").replace(b"10.40", b"10.00")
    head = line.head("POST", path, JSON, "Transfer-Encoding: chunked")
    pieces = [b"1\r\n" + order[at : at + 1] + b"\r\n" for at in range(len(order))]
    line.write(*(head[at : at + 1] for at in range(len(head))), *pieces, b"0\r\n\r\n")
    reply = line.reply()
    assert reply.status == 201
    sale = json.loads(reply.body)["id"]
    till = Till(sandbox.card, sandbox.card["merchantapi"]["terminals"][0])
    assert till.follow(sale)["result"] == "APPROVED"
    assert charged(sandbox.card, "in pieces") == [1000]


def test_what_is_cut_off_orders_nothing(line: Line, sandbox: SandboxProcess) -> None:
    path = f"{line.terminal}/transactions"
    order = ORDER.replace(b"hostile", b"cut off")
    line.write(line.head("POST", path, JSON, f"Content-Length: {len(order)}") + order[:-1])
    line.close()
    till = Till(sandbox.card, sandbox.card["merchantapi"]["terminals"][0])
    assert till.look_up("cut off") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{}",
        b"\xff\xfe{}",
        b'{"type":"\xc3\x28"}',
        ORDER.replace(b"hostile", b"\xed\xa0\x80"),
        ORDER.replace(b"hostile", b"\\ud800"),
        ORDER.replace(b"hostile", b"\x00"),
        ORDER.replace(b"hostile", b"\\u0000"),
        ORDER.replace(b"hostile", b"a\\r\\nSet-Cookie: a=b"),
        ORDER.replace(b"hostile", b"a" * 65),
        ORDER.replace(b"hostile", b""),
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b"[" * 20_000 + b"]" * 20_000,
        ORDER[:-1] + b',"deep":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        ORDER + ORDER,
        ORDER + b"x",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_order_is_refused(line: Line, body: bytes) -> None:
    assert line.order(body, *([] if body else ["Content-Length: 0"])).status == 400


@pytest.mark.parametrize(
    "value",
    [
        *("NaN", "Infinity", "-Infinity", "nan", "1e999999999", "-1e999999999", "1e-999999999"),
        *("1e99999999999999999999", "9" * 400, "0", "0.00", "-0", "-1", "1.005", "1e-3", "1e20"),
        *('"12.50"', '"12,50"', "null", "true", "[]", "{}", "01", "1.", ".5", "+1", "0x10", "1_0"),
    ],
)
def test_what_is_no_amount_is_refused_by_its_name(line: Line, value: str) -> None:
    reply = line.order(ORDER.replace(b"10.40", value.encode()))
    assert reply.status == 400
    readable = value not in ("NaN", "Infinity", "-Infinity", "nan")
    if readable and not value.startswith(("0", "1.", ".", "+", "1_")):
        assert reply.problem["detail"].startswith("amount.value: "), reply.problem


@pytest.mark.parametrize("value", ["10.4", "10.400", "1.04e1", "1040E-2", "0.1040e+2"])
def test_an_amount_may_be_written_in_many_ways(line: Line, value: str) -> None:
    reply = line.order(ORDER.replace(b"10.40", value.encode()))
    assert reply.status == 201
    assert b'"value":10.40,' in reply.body


# --- media types and methods ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/jsonp",
        "json",
        "",
        "application/json, text/plain",
        "\xff\xfe",
    ],
)
def test_another_media_type_is_refused(line: Line, media_type: str) -> None:
    path = f"{line.terminal}/transactions"
    reply = line.request("POST", path, f"Content-Type: {media_type}", body=ORDER)
    assert reply.status == 415
    assert reply.headers["accept"] == "application/json"


def test_a_body_without_a_media_type_is_refused(line: Line) -> None:
    assert line.request("POST", f"{line.terminal}/transactions", body=ORDER).status == 415


@pytest.mark.parametrize(
    "media_type", ["application/json", "APPLICATION/JSON", 'application/json;charset="UTF-8"']
)
def test_json_may_be_named_in_many_ways(line: Line, media_type: str) -> None:
    path = f"{line.terminal}/transactions"
    assert line.request("POST", path, f"Content-Type: {media_type}", body=ORDER).status == 201


@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/problem+json", "*/*;q=0"])
def test_nobody_is_refused_for_what_they_accept(line: Line, accept: str) -> None:
    reply = line.request("GET", f"{line.prefix}/stores", f"Accept: {accept}")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/stores", "GET"),
        ("DELETE", "/terminals", "GET"),
        ("PUT", "/apikeys", "GET, POST"),
        ("GET", "/apikeys/1", "DELETE"),
        ("PATCH", "/terminals/TILLWIRE-V1-0001/transactions", "GET, POST"),
        ("POST", "/terminals/TILLWIRE-V1-0001/transactions/1", "DELETE, GET"),
        ("OPTIONS", "/terminals/TILLWIRE-V1-0001/daytotals/today", "GET"),
        ("TRACE", "/stores", "GET"),
        ("PROPFIND", "/stores", "GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    line: Line, method: str, path: str, allowed: str
) -> None:
    reply = line.request(method, line.prefix + path)
    assert (reply.status, reply.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("method", ["get", "G\x00T", "BREW", "A" * 5000])
def test_a_method_that_is_none_is_refused(line: Line, method: str) -> None:
    assert line.request(method, f"{line.prefix}/stores").status in (400, 405, 431)


# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//stores",
        "/stores/",
        "/Stores",
        "/nothing",
        "/terminals/TILLWIRE-V1-0001",
        "/terminals/TILLWIRE-V1-0001/",
        "/terminals/TILLWIRE-V1-0001/daytotals/yesterday",
        "/terminals//transactions",
        "/terminals/../stores",
        "/terminals/%2e%2e/stores",
        "/terminals/TILLWIRE%00-V1-0001/transactions",
        "/terminals/TILLWIRE-V1-0001%0d%0aX-Evil:%201/transactions",
        "/terminals/%ff%fe/transactions",
        "/terminals/%zz/transactions",
        "/terminals/'%20OR%201=1--/transactions",
        "/terminals/TILLWIRE-V1-9999/transactions",
        "/terminals/TILLWIRE-V1-9001/transactions",  # of the other organisation
        "/terminals/-/transactions",
        "/terminals/" + "-" * 4000 + "/transactions",
        "/terminals/TILLWIRE-V1-0001/transactions/abc",
        "/terminals/TILLWIRE-V1-0001/transactions/%31%00",
        "/terminals/TILLWIRE-V1-0001/transactions/" + "1" * 4000,
        "/terminals/TILLWIRE-V1-0001/transactions/%d9%a1",  # a digit, but not of ASCII
        "/apikeys/0x10/x",
    ],
)
def test_an_unknown_path_is_not_found(line: Line, path: str) -> None:
    reply = line.request("GET", line.prefix + path)
    assert reply.status == 404
    assert "\r" not in reply.problem["instance"]


@pytest.mark.parametrize("number", ["0", "-1", "1e3", "9" * 19, "9" * 300, "%20", "1%2F2"])
def test_a_key_that_is_not_there_cannot_be_revoked(line: Line, number: str) -> None:
    assert line.request("DELETE", f"{line.prefix}/apikeys/{number}").status == 404


@pytest.mark.parametrize("name", ["TILLWIRE%2DV1%2D0001", "%54ILLWIRE-V1-0001", "tillwire-v1-0001"])
def test_a_terminal_may_be_written_in_many_ways(line: Line, name: str) -> None:
    reply = line.request("GET", f"{line.prefix}/terminals/{name}/transactions")
    assert reply.status == 200


@pytest.mark.parametrize(
    "query",
    [
        *(
            "page=0",
            "page=-1",
            "page=01",
            "page=1.0",
            "page=",
            "page=a",
            "page=%00",
            "page=1&page=2",
        ),
        *("size=0", "size=101", "size=" + "9" * 5000, "size=%ff", "page=1%0d%0a", "page=\xb2"),
    ],
)
def test_a_page_that_is_none_is_refused(line: Line, query: str) -> None:
    assert line.request("GET", f"{line.prefix}/stores?{query}").status == 400


def test_no_query_breaks_out_of_the_link_header(line: Line) -> None:
    evil = "x=%0d%0aX-Evil:%201&y=%22%3E;rel=%22next&size=1"
    reply = line.request("GET", f"{line.prefix}/terminals?{evil}")
    assert reply.status == 200
    assert "x-evil" not in reply.headers
    assert reply.headers["link"].count('rel="next"') == 1


@pytest.mark.parametrize("page", ["9" * 18, "9" * 4000])
def test_a_page_beyond_all_is_empty(line: Line, page: str) -> None:
    reply = line.request("GET", f"{line.terminal}/transactions?page={page}")
    assert (reply.status, reply.body) == (200, b"[]")


# --- who asks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/stores", "/nothing", "/terminals/TILLWIRE-V1-0001/transactions/1"]
)
def test_who_has_no_key_learns_nothing(line: Line, path: str) -> None:
    reply = line.request("GET", line.prefix + path, key="")
    assert (reply.status, reply.headers["www-authenticate"]) == (401, "ApiKey")


@pytest.mark.parametrize("key", ["wrong", "tw_", "\xff\xfe", "a" * 4000, "'", "null", "*", "tw_ä"])
def test_a_wrong_key_opens_nothing(line: Line, key: str) -> None:
    reply = line.request("GET", f"{line.prefix}/stores", key=key)
    assert reply.status == 403
    assert key not in reply.body.decode()


def test_blank_keys_are_none(line: Line) -> None:
    assert line.request("GET", f"{line.prefix}/stores", "API-Key:  ", key="").status == 401


def test_two_keys_are_none(line: Line, sandbox: SandboxProcess) -> None:
    other = sandbox.card["merchantapi"]["other_api_key"]
    assert line.request("GET", f"{line.prefix}/stores", f"API-Key: {other}").status == 403
    assert line.request("GET", f"{line.prefix}/stores", f"API-Key: {line.key}").status == 403


def test_another_organisations_things_are_not_there(line: Line, sandbox: SandboxProcess) -> None:
    other = sandbox.card["merchantapi"]["other_api_key"]
    sale = json.loads(line.order(ORDER).body)["id"]
    transactions = f"{line.terminal}/transactions"
    for method, path in (
        ("GET", transactions),
        ("GET", f"{transactions}/{sale}"),
        ("DELETE", f"{transactions}/{sale}"),
        ("GET", f"{line.terminal}/daytotals/today"),
    ):
        theirs = line.request(method, path, key=other)
        nobodys = line.request(method, path.replace("0001", "7777"), key=other)
        assert (theirs.status, nobodys.status) == (404, 404)
        assert theirs.problem["detail"] == nobodys.problem["detail"]
    theirs = line.request("POST", transactions, JSON, body=ORDER, key=other)
    assert theirs.status == 404
    keys = json.loads(line.request("GET", f"{line.prefix}/apikeys").body)
    own = line.request("DELETE", f"{line.prefix}/apikeys/{keys[0]['id']}", key=other)
    assert own.status == 404


# --- the protocol itself --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bytes_",
    [
        b"\r\n\r\n\r\n\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,  # TLS on a plain port
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /merchantapi/stores HTTP/1.1\r\nHost: a\r\nAPI-Key : x\r\n\r\n",
        b"GET /merchantapi/stores HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n",
        b"POST /merchantapi/apikeys HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
        b"Content-Length: 2\r\n\r\n{}",
        b"POST /merchantapi/apikeys HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /merchantapi/apikeys HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /merchantapi/apikeys HTTP/1.1\r\nHost: a\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /merchantapi/terminals/\xd9\xa1/transactions HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=lambda bytes_: repr(bytes_[-28:]),
)
def test_what_is_no_http_is_refused_as_a_problem(line: Line, bytes_: bytes) -> None:
    line.write(bytes_)
    assert line.reply().status in (400, 401)


def test_a_header_that_never_ends_is_cut_off(line: Line) -> None:
    line.write(line.head("GET", f"{line.prefix}/stores")[:-2] + b"X: " + b"a" * 200_000)
    assert line.reply().status == 431


def test_requests_in_one_packet_are_answered_in_their_order(line: Line) -> None:
    stores = line.head("GET", f"{line.prefix}/stores")
    nothing = line.head("GET", f"{line.prefix}/nothing")
    line.write(stores + nothing + stores)
    assert [line.reply().status for _ in range(3)] == [200, 404, 200]
