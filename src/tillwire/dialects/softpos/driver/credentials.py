"""Who we are in a backend: an application's id, its secret, its key and its certificate, from files
that may be replaced while the gateway runs.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import structlog
from joserfc.jwk import RSAKey

from tillwire.clock import Instant, utc
from tillwire.core.ports import Clock, HttpClient
from tillwire.dialects.softpos.wire import keys
from tillwire.errors import LocalProtocolError, NotDelivered
from tillwire.estate import client_apps

LOOK_EVERY: Final = 60.0
"""Seconds after which the files are looked at again."""
REMIND_EVERY: Final = 86_400.0
"""Seconds until it is said again that our certificate ends soon."""
LARGEST_FILE: Final = 65_536


class Client(HttpClient, Protocol):
    """An HTTP client that is closed at the end."""

    async def close(self) -> None: ...


Connect = Callable[[ssl.SSLContext | None], Client]
"""Makes a client; the context has our certificate. None: plain HTTP, on this machine."""


class Account(NamedTuple):
    """Who we are in a backend."""

    url: str
    audience: str
    client_id: str
    client_secret_file: str
    certificate_file: str
    private_key_file: str
    ca_file: str


class Ours(NamedTuple):
    """What the files hold."""

    files: tuple[bytes, ...]
    client: Client
    """Shows our certificate."""
    secret: str
    key: RSAKey
    ends: Instant | None
    """When our certificate expires; None if nobody can say."""


class Credentials:
    """An application's, as its files have them."""

    def __init__(self, account: Account, connect: Connect, clock: Clock) -> None:
        self._account = account
        self._connect = connect
        self._clock = clock
        self._ours: Ours | None = None
        self._look_at = 0.0
        self._remind_at = 0.0
        self._log = structlog.get_logger().bind(application=account.client_id)

    async def close(self) -> None:
        """Close every connection."""
        if self._ours is not None:
            await self._ours.client.close()
            self._ours = None

    async def now(self) -> Ours:
        """Those that are good now. Raises `NotDelivered` when one cannot be used, and there were
        no good ones before."""
        ours = self._ours
        if ours is not None and self._clock.monotonic() < self._look_at:
            return ours
        self._look_at = self._clock.monotonic() + LOOK_EVERY
        try:
            files = await asyncio.to_thread(_files_of, self._account)
            if ours is None or files != ours.files:
                await self._replace(ours, files)
        except NotDelivered as error:
            if ours is None:
                raise
            # One of them may be replaced already, and the other one is about to be.
            self._log.warning("an application's new files cannot be used", reason=error.detail)
        assert self._ours is not None, "they were read"
        self._remind(self._ours.ends)
        return self._ours

    def _remind(self, ends: Instant | None) -> None:
        """Say once a day that our certificate ends soon: no phone is paid on without it."""
        now, ticks = self._clock.now(), self._clock.monotonic()
        if ends is None or ends - now > client_apps.SOON or ticks < self._remind_at:
            return
        self._remind_at = ticks + REMIND_EVERY
        self._log.warning(
            f"an application's certificate {'ends soon' if now < ends else 'has expired'}",
            ends=utc(ends).isoformat(),
            file=self._account.certificate_file,
        )

    async def _replace(self, former: Ours | None, files: tuple[bytes, ...]) -> None:
        """What is under way over a former connection is asked again."""
        secret, key, tls, ends = await asyncio.to_thread(_made_of, files, self._account)
        if self._ours is not former:
            return
        self._ours = Ours(files, self._connect(tls), secret, key, ends)
        self._remind_at = 0.0
        if former is not None:
            await former.client.close()


def _files_of(account: Account) -> tuple[bytes, ...]:
    """The octets of all that are used."""
    files = {
        "client_secret_file": account.client_secret_file,
        "private_key_file": account.private_key_file,
    }
    if not account.url.startswith("http:"):
        files["certificate_file"] = account.certificate_file
        if account.ca_file:
            files["ca_file"] = account.ca_file
    return tuple(_read(setting, file) for setting, file in files.items())


def _made_of(
    files: tuple[bytes, ...], account: Account
) -> tuple[str, RSAKey, ssl.SSLContext | None, Instant | None]:
    secret = _text("client_secret_file", files[0]).strip()
    if not secret:
        raise NotDelivered("client_secret_file: it is empty.")
    try:
        key = keys.load(_text("private_key_file", files[1]))
    except LocalProtocolError as error:
        raise NotDelivered(f"private_key_file: {error.detail}") from None
    if account.url.startswith("http:"):
        return secret, key, None, None
    return secret, key, _tls(account), _end_of(files[2])


def _end_of(certificate: bytes) -> Instant | None:
    """When it expires; None of one that only OpenSSL can read."""
    try:
        return client_apps.ending(certificate)
    except ValueError:
        return None


def _tls(account: Account) -> ssl.SSLContext:
    try:
        tls = ssl.create_default_context(cafile=account.ca_file or None)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
    except (OSError, ssl.SSLError) as error:
        raise NotDelivered(f"ca_file: {account.ca_file} cannot be used: {error}.") from None
    try:
        tls.load_cert_chain(account.certificate_file, account.private_key_file)
    except (OSError, ssl.SSLError) as error:
        raise NotDelivered(
            f"certificate_file: {account.certificate_file} cannot be used with the key: {error}."
        ) from None
    return tls


def _read(setting: str, file: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(LARGEST_FILE)
    except OSError as error:
        problem = f"{setting}: {file} cannot be read: {error.strerror or error}."
        raise NotDelivered(problem) from None


def _text(setting: str, octets: bytes) -> str:
    try:
        return octets.decode("ascii")
    except UnicodeDecodeError:
        raise NotDelivered(f"{setting}: it is not text.") from None
