"""TLS handshakes that fail: an operator reads with whom and why, and counts them, on both loops."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import uvloop
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.unit.server import rig
from tests.unit.server.rig import Echo, Lines
from tests.unit.server.test_tls import CLIENTS, SERVER, trusting
from tillwire.clock import SystemClock
from tillwire.config import FaceSettings, Limits, ListenerSettings, TlsSettings
from tillwire.estate.certificates import Issued, issue, new_authority
from tillwire.net import per_minute
from tillwire.server import handshakes
from tillwire.server.gateway import Gateway
from tillwire.server.handshakes import Handshakes, why
from tillwire.server.listeners import tls_context

LOOPS: Final[dict[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""How a handshake begins."""
QUICK: Final = Limits(header_seconds=0.2, message_seconds=0.2)
PATIENT: Final = Limits(header_seconds=600.0, message_seconds=600.0)


@functools.cache
def authority() -> Issued:
    """Of the clients' certificates, since long ago."""
    return new_authority("clients", datetime.now(UTC) - timedelta(days=1000))


def issued(folder: Path, days_ago: int) -> ssl.SSLContext:
    """A client with a certificate that was issued so long ago, for 825 days."""
    made = issue(authority(), "Till", "staging", datetime.now(UTC) - timedelta(days=days_ago))
    path = folder / f"issued-{days_ago}-days-ago.pem"
    path.write_bytes(made.key + made.certificate)
    context = trusting()
    context.load_cert_chain(path)
    return context


def of_another_authority(folder: Path) -> ssl.SSLContext:
    context = trusting()
    context.load_cert_chain(CLIENTS / "client.pem")
    return context


def of_the_past(folder: Path) -> ssl.SSLContext:
    context = trusting()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # which is the point
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def distrusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CLIENTS / "client_ca.pem")


Client = Callable[[Path], ssl.SSLContext] | bytes
CLIENTS_REFUSED: Final[dict[str, tuple[Client, str]]] = {
    "no certificate": (lambda _: trusting(), "it showed no certificate, and client_ca wants one"),
    "another authority": (
        of_another_authority,
        "its certificate is of another authority than client_ca",
    ),
    "expired": (lambda folder: issued(folder, 900), "its certificate has expired"),
    "not valid yet": (lambda folder: issued(folder, -9), "its certificate is not valid yet"),
    "TLS 1.1": (of_the_past, "it speaks only TLS that is older than 1.2"),
    "HTTP": (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", "it speaks HTTP without TLS"),
    "something else": (b"\x02SPEAKS ECR17\x03\x7f", "it does not speak TLS"),
    "cut": (HELLO, "it hung up in the middle of the handshake; "),
    "distrust": (distrusting, "it hung up in the middle of the handshake; "),
}


class There:
    """A gateway with a listener of each kind behind mutual TLS, and what it has logged."""

    def __init__(self, gateway: Gateway, folder: Path, logged: list[EventDict]) -> None:
        self.gateway = gateway
        self.folder = folder
        self.logged = logged

    def port(self, listener: str) -> int:
        return self.gateway.listeners[listener].port

    async def come(self, listener: str, client: Client) -> str:
        """Connect as this client until the server hangs up; from which address."""
        context = None if isinstance(client, bytes) else client(self.folder)
        connecting = socket.create_connection(("127.0.0.1", self.port(listener)))
        connecting.setblocking(False)
        peer = ":".join(map(str, connecting.getsockname()))
        name = "localhost" if context is not None else None
        try:
            reader, writer = await asyncio.open_connection(
                sock=connecting, ssl=context, server_hostname=name
            )
            if isinstance(client, bytes):
                writer.write(client)
            if client is HELLO:
                writer.close()
            await reader.read()
            writer.close()
        except (ssl.SSLError, ConnectionError):
            connecting.close()
        return peer

    def failures(self) -> list[EventDict]:
        return [each for each in self.logged if each["event"] == "a TLS handshake failed"]

    async def told(self, count: int) -> list[EventDict]:
        """The failures, as soon as there are so many."""
        async with asyncio.timeout(30):
            while len(self.failures()) < count:  # noqa: ASYNC110 - logs wake nobody
                await asyncio.sleep(0.005)
        return self.failures()

    def counted(self, listener: str) -> int:
        page, _ = self.gateway.metrics.page()
        named = f'tillwire_tls_refused_total{{listener="{listener}"}} '
        found = [line for line in page.decode().splitlines() if line.startswith(named)]
        return int(float(found[0].removeprefix(named))) if found else 0


async def hung_up(reader: asyncio.StreamReader) -> None:
    """The server has, without a word."""
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""


@asynccontextmanager
async def gateway_in(
    folder: Path, limits: Limits = PATIENT, *, mutual: bool = True, **changes: Any
) -> AsyncIterator[There]:
    clients = folder / "clients.pem"
    clients.write_bytes(authority().certificate)
    tls = TlsSettings(certificate=SERVER, key=SERVER, client_ca=str(clients) if mutual else "")
    more: dict[str, Any] = {"tls": tls, "limits": limits}
    lanes = ListenerSettings(name="lanes", port=0, faces=(FaceSettings(name="lines"),), **more)
    settings = rig.configuration(folder, rig.listener(**more), lanes, **changes)
    kinds = rig.kinds(Echo(), Lines())
    with capture_logs() as logged:
        async with rig.running(settings, kinds) as gateway:
            yield There(gateway, folder, logged)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("listener", ["front", "lanes"])
def test_who_is_refused_and_why(tmp_path: Path, loop: str, listener: str) -> None:
    async def play() -> None:
        async with gateway_in(tmp_path) as there:
            for number, (client, reason) in enumerate(CLIENTS_REFUSED.values(), 1):
                peer = await there.come(listener, client)
                *_, told = await there.told(number)
                assert told["log_level"] == "warning"
                assert (told["listener"], told["peer"]) == (listener, peer)
                assert told["reason"].startswith(reason)
            assert len(there.failures()) == there.counted(listener) == len(CLIENTS_REFUSED)
            assert there.counted({"front": "lanes", "lanes": "front"}[listener]) == 0

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(play())


@pytest.mark.parametrize("loop", LOOPS)
def test_who_is_refused_where_no_certificate_is_wanted(tmp_path: Path, loop: str) -> None:
    async def play() -> None:
        async with gateway_in(tmp_path, mutual=False) as there:
            for number, name in enumerate(("TLS 1.1", "HTTP", "something else", "cut"), 1):
                client, reason = CLIENTS_REFUSED[name]
                await there.come("front", client)
                *_, told = await there.told(number)
                assert told["reason"].startswith(reason)
            assert there.counted("front") == 4

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(play())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_does_not_know_our_authority_says_so(tmp_path: Path, loop: str) -> None:
    def come(port: int) -> None:
        """As programs do that are not on an event loop: they write the alert before they go."""
        context = distrusting(tmp_path)
        with (
            socket.create_connection(("127.0.0.1", port)) as connected,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(connected, server_hostname="localhost")

    async def play() -> None:
        async with gateway_in(tmp_path) as there:
            await asyncio.to_thread(come, there.port("front"))
            (told,) = await there.told(1)
            assert told["reason"] == "it does not know the authority of our certificate"

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(play())


@pytest.mark.parametrize("loop", LOOPS)
def test_who_is_let_in_is_served_and_not_told(tmp_path: Path, loop: str) -> None:
    async def play() -> None:
        async with gateway_in(tmp_path) as there, aiohttp.ClientSession() as till:
            known = issued(tmp_path, 1)
            url = f"https://localhost:{there.port('front')}/echo/x"
            async with till.get(url, ssl=known) as answer:
                assert (answer.status, (await answer.json())["scheme"]) == (200, "https")
            reader, writer = await asyncio.open_connection(
                "localhost", there.port("lanes"), ssl=known
            )
            # With the last word of the handshake, and again later.
            for line in (b"one\n", b"two\n"):
                writer.write(line)
                assert await reader.readline() == line
            writer.close()
            assert there.failures() == []

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(play())


@pytest.mark.parametrize("loop", LOOPS)
def test_whoever_dawdles_is_cut_off(tmp_path: Path, loop: str) -> None:
    async def play() -> None:
        async with gateway_in(tmp_path, QUICK) as there:
            for number, (listener, begun) in enumerate([("front", b"\x16"), ("lanes", b"\x16")], 1):
                await there.come(listener, begun)
                *_, told = await there.told(number)
                assert told["reason"] == "the handshake was not done in time"

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(play())


@pytest.mark.parametrize("loop", LOOPS)
def test_who_only_looks_whether_somebody_listens_is_not_told(tmp_path: Path, loop: str) -> None:
    async def play() -> None:
        async with gateway_in(tmp_path) as there:
            socket.create_connection(("127.0.0.1", there.port("front"))).close()
            await there.come("front", HELLO)
            assert len(await there.told(1)) == there.counted("front") == 1

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(play())


async def test_the_log_is_not_theirs_to_fill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(per_minute, "LOGGED_A_MINUTE", 3)
    async with gateway_in(tmp_path) as there:
        for _ in range(5):
            await there.come("front", b"GET / HTTP/1.1\r\n\r\n")
        assert (len(there.failures()), there.counted("front")) == (3, 5)


@pytest.mark.parametrize("loop", LOOPS)
def test_who_dawdles_makes_room_for_who_does_not(tmp_path: Path, loop: str) -> None:
    async def play() -> None:
        async with gateway_in(
            tmp_path, Limits(header_seconds=600.0, message_seconds=600.0, connections=2)
        ) as there:
            port = there.port("lanes")
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            reader, writer = await asyncio.open_connection(
                "localhost", port, ssl=issued(tmp_path, 1)
            )
            writer.write(b"one\n")
            assert await reader.readline() == b"one\n"
            await hung_up(held[0][0])
            (told,) = await there.told(1)
            assert told["peer"].endswith(f":{held[0][1].get_extra_info('sockname')[1]}")
            assert (
                told["reason"] == "it was the slowest when more came than connections are allowed"
            )
            assert there.counted("lanes") == 1
            for _, each in (*held, (reader, writer)):
                each.close()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(play())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_handshake_is_over_before_anything_is_asked_for(loop: str) -> None:
    """Those under way may be cut at any time; what was asked for by the last of them may not."""
    tls = TlsSettings(certificate=SERVER, key=SERVER)
    settings = ListenerSettings(name="x", port=0, tls=tls)
    under_way: list[int] = []

    async def play() -> None:
        all_of_it = Handshakes(
            lambda: tls_context(tls, "x"), settings, SystemClock(), within=60, refused=lambda: None
        )

        class Noting(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                under_way.append(len(all_of_it.under_way))

        serving = await asyncio.get_running_loop().create_server(
            lambda: all_of_it.around(Noting()), "127.0.0.1", 0
        )
        port = serving.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("localhost", port, ssl=trusting())
        async with asyncio.timeout(30):
            while not under_way:  # noqa: ASYNC110 - a protocol wakes nobody
                await asyncio.sleep(0.005)
        writer.close()
        serving.close()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(play())
    assert under_way == [0]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_handshake_under_way_delays_no_stop(tmp_path: Path, loop: str) -> None:
    async def play() -> None:
        held = []
        async with asyncio.timeout(60):
            async with gateway_in(tmp_path, PATIENT) as there:
                for listener in ("front", "lanes"):
                    held.append(await asyncio.open_connection("127.0.0.1", there.port(listener)))
                    held[-1][1].write(HELLO)
                await there.come("front", CLIENTS_REFUSED["HTTP"][0])  # those came before
            for reader, writer in held:
                await hung_up(reader)
                writer.close()
        assert len(there.failures()) == 1

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(play())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("listener", ["front", "lanes"])
def test_who_says_no_goodbye_delays_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: str, listener: str
) -> None:
    monkeypatch.setattr(handshakes, "GOODBYE_WITHIN", 0.1)

    def idle(port: int) -> ssl.SSLSocket:
        """A connection in a pool: nobody reads there until the next request."""
        connected = socket.create_connection(("127.0.0.1", port))
        made = trusting().wrap_socket(connected, server_hostname="localhost")
        made.sendall(b"GET /echo/x HTTP/1.1\r\nhost: x\r\n\r\n")
        assert made.recv(1)
        return made

    async def play() -> None:
        with capture_logs() as logged:
            async with asyncio.timeout(60):
                async with gateway_in(tmp_path, mutual=False, stop_seconds=600.0) as there:
                    held = await asyncio.to_thread(idle, there.port(listener))
        held.close()
        assert not [each for each in logged if each["log_level"] == "error"]

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(play())


def test_a_reason_that_has_no_words_here_is_openssls() -> None:
    error = ssl.SSLError(1, "x")
    error.reason = ""
    assert why(error) == "OpenSSL says: no reason"
    error.reason = "DECODE_ERROR"
    assert why(error) == "OpenSSL says: decode error"
    unfit = ssl.SSLCertVerificationError(1, "x")
    unfit.verify_code, unfit.verify_message = 66, "EE certificate key too weak."
    assert why(unfit) == "its certificate is not good: EE certificate key too weak"
    unfit.verify_code = 26
    assert why(unfit) == "its certificate is not one for clients"
