"""How a line to a terminal comes about: its binding, its certificates, its key.

What of it is in files is read when a line is opened, before anything is sent: a file that cannot be
read is a proof that nothing was.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final, Protocol

from tillwire.core.ports import Clock, Dialer
from tillwire.dialects.nexo.driver.http_lines import FlatLine, HeldLine
from tillwire.dialects.nexo.driver.lines import ClosableHttpClient, Codec, Line
from tillwire.dialects.nexo.driver.settings import Binding, DriverSettings
from tillwire.dialects.nexo.driver.tcp_line import TcpLine
from tillwire.dialects.nexo.wire.encryption import Key
from tillwire.errors import ConfigurationError, NotDelivered
from tillwire.net.dialer import AsyncioDialer
from tillwire.net.http_client import AiohttpClient

_TRUSTS_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
LONGEST_FILE: Final = 1 << 20
"""Bytes of a certificate's or passphrase's file."""


class Network(Protocol):
    """What lines are made of."""

    def dialer(self, tls: ssl.SSLContext | None, server_name: str) -> Dialer:
        """A dialer whose connections are TLS if there is a context."""

    def http(self, tls: ssl.SSLContext | None, server_name: str) -> ClosableHttpClient:
        """An HTTP client."""


class RealNetwork:
    """Over sockets."""

    def dialer(self, tls: ssl.SSLContext | None, server_name: str) -> Dialer:
        """As the port says."""
        return AsyncioDialer(tls, server_name=server_name)

    def http(self, tls: ssl.SSLContext | None, server_name: str) -> ClosableHttpClient:
        """As the port says. Without TLS nobody is trusted, which takes no time to read."""
        return AiohttpClient(tls or _TRUSTS_NOBODY, server_name=server_name)


class Lines:
    """Opens lines to one terminal. Keeps nothing but what can be made again: the certificates and
    the key, as long as their files are the same."""

    def __init__(self, settings: DriverSettings, clock: Clock, network: Network) -> None:
        self.settings = settings
        self._clock = clock
        self._network = network
        self._tls: tuple[bytes, ssl.SSLContext] | None = None
        self._key: tuple[bytes, Key] | None = None

    async def open(self, seconds: float) -> Line:
        """A line on which an answer is waited for so many seconds. Raises `NotDelivered` when the
        terminal cannot be reached, or a file of its settings not be read."""
        settings = self.settings
        tls = await self._tls_context() if settings.is_tls else None
        name = settings.server_name or ""
        codec = Codec(settings, await self._sealing_key(), self._clock)
        if settings.binding is Binding.TCP:
            dialer = self._network.dialer(tls, name)
            return await TcpLine.dial(dialer, settings, codec)
        client = self._network.http(tls, name)
        if settings.binding is Binding.HELD:
            return HeldLine(client, settings, codec, seconds)
        return FlatLine(client, settings, codec, seconds)

    async def _tls_context(self) -> ssl.SSLContext:
        file = self.settings.ca_file
        pem = b"" if file is None else await _content(file, "ca_file")
        if self._tls is None or self._tls[0] != pem:
            self._tls = pem, await asyncio.to_thread(_context, pem)
        return self._tls[1]

    async def _sealing_key(self) -> Key | None:
        settings = self.settings
        if settings.passphrase_file is None or settings.key_identifier is None:
            return None
        passphrase = (await _content(settings.passphrase_file, "passphrase_file")).strip(b"\r\n")
        if self._key is None or self._key[0] != passphrase:
            try:
                key = Key(passphrase.decode(), settings.key_identifier, settings.key_version)
            except (UnicodeDecodeError, ConfigurationError) as error:
                raise NotDelivered(f"passphrase_file: {error}") from None
            self._key = passphrase, key
        return self._key[1]


async def _content(file: str, setting: str) -> bytes:
    try:
        octets = await asyncio.to_thread(_read, Path(file))
    except OSError as error:
        problem = f"{setting}: {file} cannot be read: {error.strerror or error}."
        raise NotDelivered(problem) from None
    if not octets.strip():
        raise NotDelivered(f"{setting}: {file} is empty.")
    return octets


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LONGEST_FILE)


def _context(pem: bytes) -> ssl.SSLContext:
    """Trusts the certificates in `pem` alone, be they an authority's or the terminal's own; the
    system's authorities when there are none."""
    if not pem:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise NotDelivered(f"ca_file: it holds no certificate: {error}.") from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # Newer Pythons refuse certificates that do not follow RFC 5280 to the letter; terminals' don't.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
