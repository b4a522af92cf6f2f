"""The in-memory network: real protocols run on it, and it fails as it is told to."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.kit.faults import Connect, Faults, Flow, Noticed, scripted
from tests.kit.memory import HIGH_WATER
from tests.kit.network import CONNECT_GIVES_UP
from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop

PORT = 8800


async def _shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line in capitals."""
    try:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
    except ConnectionResetError:
        return
    finally:
        writer.close()


async def _dial(*faults: Faults) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    network = virtual_loop().network
    network.faults = scripted({PORT: faults})
    await asyncio.start_server(_shout, "localhost", PORT)
    return await asyncio.open_connection("localhost", PORT)


@virtual()
async def test_streams_talk() -> None:
    reader, writer = await _dial()
    writer.write(b"one\ntwo\n")
    assert await reader.readline() == b"ONE\n"
    assert await reader.readline() == b"TWO\n"
    writer.write_eof()
    assert await reader.read() == b""


@virtual()
async def test_nobody_listens() -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", PORT)
    with pytest.raises(socket.gaierror):
        await asyncio.open_connection("nowhere.example", PORT)


@virtual()
async def test_an_address_is_taken_once_and_free_after_close() -> None:
    loop = virtual_loop()
    server = await asyncio.start_server(_shout, "127.0.0.1", PORT)
    with pytest.raises(OSError, match="in use"):
        await loop.create_server(asyncio.Protocol, "127.0.0.1", PORT)
    server.close()
    assert not server.is_serving()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", PORT)
    await asyncio.start_server(_shout, "127.0.0.1", PORT)


@virtual()
async def test_a_host_that_does_not_answer_is_given_up_by_the_operating_system() -> None:
    with pytest.raises(TimeoutError):
        await _dial(Faults(Connect.SILENCE))
    assert virtual_loop().time() == CONNECT_GIVES_UP


@virtual()
async def test_octets_come_one_by_one_and_slowly_and_still_in_order() -> None:
    slow = Flow(pieces=1, delay=(0.0, 2.0))
    reader, writer = await _dial(Faults(to_server=slow, to_client=slow))
    writer.write(b"in good order\n")
    assert await reader.readline() == b"IN GOOD ORDER\n"
    assert virtual_loop().time() > 2


@pytest.mark.parametrize("octets", range(7))
@virtual()
async def test_a_connection_is_cut_at_any_octet_of_the_answer(octets: int) -> None:
    reader, writer = await _dial(Faults(to_client=Flow(cut_after=octets)))
    writer.write(b"answer\n")
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(7)
    assert reader._buffer == b"ANSWER\n"[:octets]  # type: ignore[attr-defined]


@virtual()
async def test_a_cut_that_only_the_server_notices_leaves_the_client_in_silence() -> None:
    half = Flow(cut_after=3, noticed=Noticed.BY_SERVER)
    reader, writer = await _dial(Faults(to_server=half))
    writer.write(b"hello\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await reader.read()
    writer.write(b"anybody?\n")
    await writer.drain()


@virtual()
async def test_a_slow_reader_makes_the_writer_wait() -> None:
    async def never_read(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    await asyncio.start_server(never_read, "127.0.0.1", PORT, limit=1024)
    _, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(b"x" * (2 * HIGH_WATER))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(writer.drain(), 60)


@virtual()
async def test_writing_to_an_end_that_has_closed_comes_back_as_a_reset() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    await asyncio.start_server(hang_up, "127.0.0.1", PORT)
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    assert await reader.read() == b""
    writer.write(b"too late")
    await asyncio.sleep(1)
    with pytest.raises(ConnectionResetError):
        await writer.drain()
