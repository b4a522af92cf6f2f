"""The same over real sockets, with receivers that misbehave."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.unit.callbacks.outbox import outbox
from tests.unit.net.peers import OK, HttpPeer, answering, hang_up, stay_silent
from tillwire.callbacks.posting import ANSWER_LIMIT
from tillwire.core.letters import LetterState
from tillwire.net.addresses import Addresses, GuardedClient

HUGE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * (ANSWER_LIMIT * 2)
MOVED: Final = b"HTTP/1.1 307 Moved\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:%d/\r\n\r\n"


async def never_end_the_headers(writer: asyncio.StreamWriter, number: int) -> None:
    """One header after the other, as fast as they are taken."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-More: and more\r\n" * 1000)
        await writer.drain()


async def never_come_to_the_answer(writer: asyncio.StreamWriter, number: int) -> None:
    """One interim response after the other."""
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0)


async def drip(writer: asyncio.StreamWriter, number: int) -> None:
    """An octet now and then, so that there is always something new."""
    for octet in OK * 100:
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def guarded(*allow: str) -> AsyncIterator[GuardedClient]:
    """The client that a gateway delivers with."""
    client = GuardedClient(Addresses(allow))
    try:
        yield client
    finally:
        await client.close()


async def test_a_receiver_hears_the_letter_as_it_is(tmp_path: Path) -> None:
    peer = HttpPeer(answering(OK))
    host, port = await peer.listen()
    async with guarded("127.0.0.0/8") as client, outbox(tmp_path, client) as life:
        letter = life.letter('{"a": 1}', url=f"http://{host}:{port}/told", pauses=())
        (number,) = await life.post(letter)
        assert (await life.settled(number)).state is LetterState.DELIVERED
    assert peer.heard == ['POST {"a": 1}']


@pytest.mark.parametrize(
    ("peer", "trouble"),
    [
        (HttpPeer(answering(HUGE)), "did not answer as a whole"),
        (HttpPeer(hang_up), "did not answer as a whole"),
        (HttpPeer(stay_silent), "did not answer as a whole"),
        (HttpPeer(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", then_close=True)),
         "did not answer as a whole"),
        (HttpPeer(answering(b"nonsense\r\n\r\n", then_close=True)), "did not answer as a whole"),
        (HttpPeer(never_end_the_headers), "did not answer as a whole"),
        (HttpPeer(never_come_to_the_answer), "did not answer as a whole"),
        (HttpPeer(drip), "did not answer as a whole"),
        (HttpPeer(answering(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")), "It answered 500."),
    ],
    ids=["huge", "hangs up", "silent", "half", "nonsense", "endless headers", "endless interim",
         "drip", "500"],
)  # fmt: skip
async def test_a_receiver_that_misbehaves_has_not_got_it(
    tmp_path: Path, peer: HttpPeer, trouble: str
) -> None:
    host, port = await peer.listen()
    async with guarded("127.0.0.1") as client, outbox(tmp_path, client) as life:
        letter = life.letter(url=f"http://{host}:{port}/", pauses=(0.0,), patience=0.3)
        (number,) = await life.post(letter)
        settled = await life.settled(number)
    assert settled.state is LetterState.GIVEN_UP
    assert trouble in settled.trouble
    assert len(peer.heard) == settled.tries == 2


async def test_a_receiver_that_is_down_refuses(tmp_path: Path) -> None:
    with socket.socket() as down:  # its port is nobody else's meanwhile
        down.bind(("127.0.0.1", 0))
        host, port = down.getsockname()
        async with guarded("127.0.0.1") as client, outbox(tmp_path, client) as life:
            (number,) = await life.post(life.letter(url=f"http://{host}:{port}/", pauses=()))
            assert (await life.settled(number)).trouble == "The connection was refused."


async def test_no_redirect_is_followed(tmp_path: Path) -> None:
    inside = HttpPeer(answering(OK))
    _, inner = await inside.listen()
    peer = HttpPeer(answering(MOVED % inner))
    host, port = await peer.listen()
    async with guarded("127.0.0.1") as client, outbox(tmp_path, client) as life:
        (number,) = await life.post(life.letter(url=f"http://{host}:{port}/", pauses=()))
        assert (await life.settled(number)).trouble == "It answered 307."
    assert inside.connections == 0


async def test_what_must_not_be_called_is_not(tmp_path: Path) -> None:
    inside = HttpPeer(answering(OK))
    _, port = await inside.listen()
    async with guarded() as client, outbox(tmp_path, client) as life:
        letters = [
            life.letter(url=f"http://{host}:{port}/s3cret", pauses=(), transaction=host)
            for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "127.1", "0x7f.1")
        ]
        for number in await life.post(*letters):
            settled = await life.settled(number)
            assert settled.state is LetterState.GIVEN_UP
            assert "s3cret" not in settled.trouble
            assert "host" in settled.trouble
    assert inside.connections == 0


_LIFE: Final = """
import asyncio, os, sys
from pathlib import Path
from tests.unit.callbacks.outbox import outbox

class Deadly:
    async def request(self, method, url, **options):
        from tillwire.net.http_client import AiohttpClient
        await AiohttpClient().request(method, url, **options)
        os._exit(9)

async def life():
    folder, url, dies = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    async with outbox(folder, Deadly(), start=dies == "sent") as here:
        await here.post(here.letter("once", url=url))
        if dies == "posted":
            os._exit(9)
        await asyncio.Event().wait()

asyncio.run(life())
"""


@pytest.mark.parametrize(("dies", "heard"), [("posted", 1), ("sent", 2)])
async def test_a_letter_outlives_the_process(
    tmp_path: Path, dies: str, heard: int, request: pytest.FixtureRequest
) -> None:
    """It dies right after the commit, or between the sending and its settling."""
    peer = HttpPeer(answering(OK))
    host, port = await peer.listen()
    url = f"http://{host}:{port}/"
    command = [sys.executable, "-c", _LIFE, str(tmp_path), url, dies]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=request.config.rootpath, stderr=subprocess.PIPE
    )
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    assert process.returncode == 9, errors.decode()
    async with guarded("127.0.0.1") as client, outbox(tmp_path, client) as life:
        assert (await life.settled(1)).state is LetterState.DELIVERED
    assert peer.heard == ["POST once"] * heard


async def test_no_sealed_header_becomes_another_one(tmp_path: Path) -> None:
    """Faces let none through; this is the second lock on the same door."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    headers = {
        "X-Good": "yes",
        "X-Evil": "1\r\nHost: inside",
        "X-Line": "1\nX-Two: 2",
        "Evil\r\nX-Two": "2",
        "Host ": "inside",
        "host": "inside",
        "X-Nul": "\x00",
        "Proxy-Authorization": "Basic eDp5",
        "Transfer-Encoding": "chunked",
        "": "empty",
    }
    async with guarded("127.0.0.1") as client, outbox(tmp_path, client) as life:
        (number,) = await life.post(life.letter(url=f"http://{host}:{port}/", headers=headers))
        assert (await life.settled(number)).state is LetterState.DELIVERED
    server.close()
    lines = heads[0].decode().split("\r\n")[1:-2]
    assert sorted(line.partition(":")[0].lower() for line in lines) == [
        "content-length", "content-type", "host", "user-agent", "x-good",
    ]  # fmt: skip
    assert f"Host: {host}:{port}" in lines


async def test_addresses_are_sealed_in_the_journal(tmp_path: Path) -> None:
    async with guarded() as client, outbox(tmp_path, client, start=False) as life:
        url, headers = "http://till.example/p4th", {"Authorization": "Bearer t0ken"}
        await life.post(life.letter(url=url, headers=headers))
    octets = _journal_files(tmp_path)
    assert b"told" in octets
    for secret in ("p4th", "t0ken", "till.example", json.dumps(url)):
        assert secret.encode() not in octets


def _journal_files(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.iterdir() if each.suffix != ".key")
