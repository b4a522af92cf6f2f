"""The HTTP client: a proof when nothing was written, no proof otherwise, and nothing twice.

Each scenario plays in memory and over real sockets, and must observe the same: these tests are
also the proof that the kit's network tells the truth.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.kit.faults import Connect, Faults, Flow, Noticed
from tests.kit.stage import Stage
from tests.unit.net.peers import (
    OK,
    Answer,
    HttpPeer,
    answering,
    client_context,
    hang_up,
    hang_up_on_the_second,
    stay_silent,
)
from tillwire.core.ports import HttpResponse
from tillwire.errors import AnswerLost, NotDelivered
from tillwire.net.http_client import AiohttpClient

Scenario = Callable[[Stage], Coroutine[Any, Any, Any]]
Play = Callable[[Scenario], Any]

PATIENCE = 0.3
"""Seconds: short, since the scenarios of silence wait for it in real time, too."""


async def _ask(
    client: AiohttpClient, address: tuple[str, int], method: str = "POST", body: bytes = b"pay"
) -> str:
    """What the caller learns, in one word or two."""
    try:
        response = await client.request(
            method,
            f"http://{address[0]}:{address[1]}/",
            headers={},
            body=body,
            timeout=PATIENCE,
            limit=1000,
        )
    except NotDelivered as error:
        return f"NotDelivered {error.proof}"
    except AnswerLost:
        return "AnswerLost"
    return f"{response.status} {response.body.decode()}"


def _once(answer: Answer, *faults: Faults, method: str = "POST") -> Scenario:
    """One request through these faults: what the caller learns, and what the peer heard."""

    async def scenario(stage: Stage) -> tuple[str, list[str]]:
        peer = HttpPeer(answer)
        address = await stage.before(*await peer.listen(), *faults)
        client = AiohttpClient()
        learned = await _ask(client, address, method)
        await client.close()
        return learned, peer.heard

    return scenario


def test_an_answer_is_an_answer(play: Play) -> None:
    async def scenario(stage: Stage) -> HttpResponse:
        host, port = await HttpPeer(answering(OK)).listen()
        client = AiohttpClient()
        response = await client.request(
            "GET", f"http://{host}:{port}/path?q=1", headers={"A": "b"}, body=b"", timeout=30
        )
        await client.close()
        return response

    headers = [("Content-Length", "5"), ("X-Kind", "test")]
    assert play(scenario) == HttpResponse(200, headers, b"hello")


def test_an_answer_octet_by_octet_is_an_answer(play: Play) -> None:
    tiny = Flow(pieces=1)
    scenario = _once(answering(OK), Faults(to_server=tiny, to_client=tiny))
    assert play(scenario) == ("200 hello", ["POST pay"])


def test_a_refused_connection_is_proof(play: Play) -> None:
    scenario = _once(answering(OK), Faults(Connect.REFUSE))
    assert play(scenario) == ("NotDelivered connect_refused", [])


def test_a_connection_that_never_opens_is_proof(play: Play) -> None:
    scenario = _once(answering(OK), Faults(Connect.SILENCE))
    assert play(scenario) == ("NotDelivered never_sent", [])


def test_a_connection_may_have_less_time_than_the_answer(play: Play) -> None:
    async def scenario(stage: Stage) -> tuple[str, bool]:
        peer = HttpPeer(answering(OK))
        host, port = await stage.before(*await peer.listen(), Faults(Connect.SILENCE))
        client = AiohttpClient()
        begun = asyncio.get_running_loop().time()
        with pytest.raises(NotDelivered) as failure:
            await client.request(
                *("POST", f"http://{host}:{port}/"),
                headers={},
                body=b"pay",
                timeout=60,
                connect_within=PATIENCE,
            )
        took = asyncio.get_running_loop().time() - begun
        await client.close()
        return failure.value.proof, took < 10

    assert play(scenario) == ("never_sent", True)


@pytest.mark.parametrize("url", ["http://nobody.invalid/", "http://:80/", "ftp://127.0.0.1/"])
def test_an_address_that_leads_nowhere_is_proof(play: Play, url: str) -> None:
    async def scenario(stage: Stage) -> str:
        client = AiohttpClient()
        with pytest.raises(NotDelivered) as caught:
            await client.request("POST", url, headers={}, body=b"pay", timeout=30)
        await client.close()
        return caught.value.proof

    assert play(scenario) == "never_sent"


@pytest.mark.parametrize("octets", [0, 1, 40])
def test_a_connection_cut_within_the_request_is_no_proof(play: Play, octets: int) -> None:
    scenario = _once(answering(OK), Faults(to_server=Flow(cut_after=octets)))
    assert play(scenario) == ("AnswerLost", [])


@pytest.mark.parametrize("octets", [0, 1, 20, len(OK) - 1])
def test_a_connection_cut_within_the_answer_is_no_proof(play: Play, octets: int) -> None:
    scenario = _once(answering(OK), Faults(to_client=Flow(cut_after=octets)))
    assert play(scenario) == ("AnswerLost", ["POST pay"])


@pytest.mark.parametrize("noticed", [Noticed.BY_SERVER, Noticed.BY_NOBODY])
def test_an_answer_that_stops_in_silence_is_lost(play: Play, noticed: Noticed) -> None:
    scenario = _once(answering(OK), Faults(to_client=Flow(cut_after=9, noticed=noticed)))
    assert play(scenario) == ("AnswerLost", ["POST pay"])


def test_a_peer_that_never_answers_loses_the_answer(play: Play) -> None:
    assert play(_once(stay_silent)) == ("AnswerLost", ["POST pay"])


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_peer_that_hangs_up_hears_the_request_once(play: Play, method: str) -> None:
    assert play(_once(hang_up, method=method)) == ("AnswerLost", [f"{method} pay"])


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_kept_connection_that_closes_is_not_tried_again(play: Play, method: str) -> None:
    async def scenario(stage: Stage) -> tuple[str, str, list[str], int]:
        peer = HttpPeer(hang_up_on_the_second)
        address = await peer.listen()
        client = AiohttpClient()
        first = await _ask(client, address, method)
        second = await _ask(client, address, method)
        await client.close()
        return first, second, peer.heard, peer.connections

    heard = [f"{method} pay", f"{method} pay"]
    assert play(scenario) == ("200 hello", "AnswerLost", heard, 1)


def test_a_redirect_is_an_answer_and_not_followed(play: Play) -> None:
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
    assert play(_once(answering(moved))) == ("307 ", ["POST pay"])


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n",
    ],
)
def test_an_answer_that_is_too_long_is_not_read_on(play: Play, head: bytes) -> None:
    scenario = _once(answering(head + b"x" * 1001 + b"\r\n0\r\n\r\n", then_close=True))
    assert play(scenario) == ("AnswerLost", ["POST pay"])


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"SSH-2.0-whatever\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: minus one\r\n\r\n",
    ],
)
def test_half_an_answer_or_none_in_http_is_lost(play: Play, answer: bytes) -> None:
    assert play(_once(answering(answer, then_close=True))) == ("AnswerLost", ["POST pay"])


@pytest.mark.parametrize(
    ("tls", "host", "learned"),
    [
        (client_context(), "localhost", "200 ['POST pay']"),
        (None, "localhost", "never_sent []"),
        (client_context(), "stranger.example", "never_sent []"),
    ],
    ids=["trusted", "authority unknown", "name of another"],
)
def test_tls_is_verified(play: Play, tls: ssl.SSLContext | None, host: str, learned: str) -> None:
    async def scenario(stage: Stage) -> str:
        peer = HttpPeer(answering(OK))
        _, port = await peer.listen(tls=True)
        client = AiohttpClient(tls)
        try:
            response = await client.request(
                "POST", f"https://{host}:{port}/", headers={}, body=b"pay", timeout=30
            )
        except NotDelivered as error:
            return f"{error.proof} {peer.heard}"
        finally:
            await client.close()
        return f"{response.status} {peer.heard}"

    assert play(scenario) == learned


@pytest.mark.parametrize(
    ("named", "learned"),
    [("localhost", "200 ['POST pay']"), ("stranger.example", "never_sent []")],
)
def test_a_certificate_may_be_asked_for_by_a_name_of_its_own(
    play: Play, named: str, learned: str
) -> None:
    async def scenario(stage: Stage) -> str:
        peer = HttpPeer(answering(OK))
        host, port = await peer.listen(tls=True)
        client = AiohttpClient(client_context(), server_name=named)
        url = f"https://{host}:{port}/"
        try:
            response = await client.request("POST", url, headers={}, body=b"pay", timeout=30)
        except NotDelivered as error:
            return f"{error.proof} {peer.heard}"
        finally:
            await client.close()
        return f"{response.status} {peer.heard}"

    assert play(scenario) == learned


def test_a_caller_is_asked_when_the_connection_is_ready(play: Play) -> None:
    async def scenario(stage: Stage) -> tuple[list[int], list[str]]:
        peer = HttpPeer(answering(OK))
        host, port = await peer.listen()
        client = AiohttpClient()
        asked: list[int] = []
        for _ in range(2):  # on a new connection, and on the same one again
            await client.request(
                "POST",
                f"http://{host}:{port}/",
                headers={},
                body=b"pay",
                timeout=30,
                ready=lambda: asked.append(peer.connections),
            )
        await client.close()
        return asked, peer.heard

    asked, heard = play(scenario)
    assert len(asked) == 2
    assert heard == ["POST pay", "POST pay"]


def test_a_caller_who_thinks_better_of_it_has_written_nothing(play: Play) -> None:
    async def scenario(stage: Stage) -> tuple[str, list[str]]:
        peer = HttpPeer(answering(OK))
        host, port = await peer.listen()
        client = AiohttpClient()

        def too_late() -> None:
            raise NotDelivered("It is too late.")

        try:
            with pytest.raises(NotDelivered, match="too late"):
                await client.request(
                    "POST",
                    f"http://{host}:{port}/",
                    headers={},
                    body=b"pay",
                    timeout=30,
                    ready=too_late,
                )
        finally:
            await client.close()
        return "NotDelivered", peer.heard

    assert play(scenario) == ("NotDelivered", [])


def test_a_tls_context_that_verifies_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must verify"):
        AiohttpClient(ssl._create_unverified_context())


def test_a_new_client_does_not_read_the_systems_authorities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read() -> ssl.SSLContext:
        raise AssertionError("this holds up the event loop for tens of milliseconds")

    monkeypatch.setattr(ssl, "create_default_context", read)
    AiohttpClient()
