"""The dialer: no connection is proof, a broken one is not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.kit.faults import Connect, Faults, Flow
from tests.kit.network import LOOPBACK
from tests.kit.stage import Stage
from tests.unit.net.peers import client_context, server_context
from tillwire.errors import AnswerLost, NotDelivered
from tillwire.net.dialer import AsyncioDialer

Scenario = Callable[[Stage], Coroutine[Any, Any, Any]]
Play = Callable[[Scenario], Any]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while octets := await reader.read(100):
            writer.write(octets)
    except OSError:
        return
    finally:
        writer.close()


async def _listen(tls: bool = False) -> tuple[str, int]:
    context = server_context() if tls else None
    server = await asyncio.start_server(_echo, LOOPBACK, 0, ssl=context)
    host, port = server.sockets[0].getsockname()
    return host, port


@pytest.mark.parametrize("tls", [None, client_context()], ids=["plain", "tls"])
def test_octets_go_and_come(play: Play, tls: ssl.SSLContext | None) -> None:
    async def scenario(stage: Stage) -> bytes:
        _, port = await _listen(tls is not None)
        connection = await AsyncioDialer(tls).connect("localhost", port, timeout=30)
        await connection.write(b"hello")
        heard = b""
        while len(heard) < 5:
            heard += await connection.read()
        await connection.close()
        return heard

    assert play(scenario) == b"hello"


@pytest.mark.parametrize(
    ("connect", "proof"),
    [(Connect.REFUSE, "connect_refused"), (Connect.SILENCE, "never_sent")],
)
def test_no_connection_is_proof(play: Play, connect: Connect, proof: str) -> None:
    async def scenario(stage: Stage) -> str:
        host, port = await stage.before(*await _listen(), Faults(connect))
        with pytest.raises(NotDelivered) as caught:
            await AsyncioDialer().connect(host, port, timeout=0.3)
        return caught.value.proof

    assert play(scenario) == proof


@pytest.mark.parametrize("host", ["nobody.invalid", "x" * 64 + ".invalid"])
def test_a_name_that_nobody_has_is_proof(play: Play, host: str) -> None:
    async def scenario(stage: Stage) -> str:
        with pytest.raises(NotDelivered) as caught:
            await AsyncioDialer().connect(host, 80, timeout=30)
        return caught.value.proof

    assert play(scenario) == "never_sent"


def test_a_certificate_of_a_stranger_is_proof(play: Play) -> None:
    async def scenario(stage: Stage) -> str:
        _, port = await _listen(tls=True)
        dialer = AsyncioDialer(ssl.create_default_context())
        with pytest.raises(NotDelivered) as caught:
            await dialer.connect("localhost", port, timeout=30)
        return caught.value.proof

    assert play(scenario) == "never_sent"


@pytest.mark.parametrize(
    ("named", "learned"), [("localhost", "b'hello'"), ("stranger.example", "never_sent")]
)
def test_a_certificate_may_be_asked_for_by_a_name_of_its_own(
    play: Play, named: str, learned: str
) -> None:
    async def scenario(stage: Stage) -> str:
        host, port = await _listen(tls=True)
        dialer = AsyncioDialer(client_context(), server_name=named)
        try:
            connection = await dialer.connect(host, port, timeout=30)
        except NotDelivered as error:
            return error.proof
        await connection.write(b"hello")
        heard = await connection.read()
        await connection.close()
        return repr(heard)

    assert play(scenario) == learned


@pytest.mark.parametrize("octets", [0, 3])
def test_a_connection_that_breaks_is_no_proof(play: Play, octets: int) -> None:
    async def scenario(stage: Stage) -> bytes:
        faults = Faults(to_client=Flow(cut_after=octets))
        host, port = await stage.before(*await _listen(), faults)
        connection = await AsyncioDialer().connect(host, port, timeout=30)
        await connection.write(b"hello")
        heard = b"".join([await connection.read(1) for _ in range(octets)])
        with pytest.raises(AnswerLost):
            await connection.read(1)
        await connection.close()
        return heard

    assert play(scenario) == b"hello"[:octets]


def test_the_end_is_no_octets(play: Play) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    async def scenario(stage: Stage) -> list[bytes]:
        server = await asyncio.start_server(hang_up, LOOPBACK, 0)
        host, port = server.sockets[0].getsockname()
        connection = await AsyncioDialer().connect(host, port, timeout=30)
        heard = [await connection.read(), await connection.read()]
        await connection.close()
        return heard

    assert play(scenario) == [b"bye", b""]


def test_writing_into_a_broken_connection_is_no_proof(play: Play) -> None:
    async def scenario(stage: Stage) -> bool:
        faults = Faults(to_server=Flow(cut_after=1))
        host, port = await stage.before(*await _listen(), faults)
        connection = await AsyncioDialer().connect(host, port, timeout=30)
        await connection.write(b"a")
        with pytest.raises(AnswerLost):
            await connection.read()
        with pytest.raises(AnswerLost):
            await connection.write(b"b")
        await connection.close()
        return True

    assert play(scenario)


def test_a_tls_context_that_verifies_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must verify"):
        AsyncioDialer(ssl._create_unverified_context())
