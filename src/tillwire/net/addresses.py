"""Which addresses strangers may have us call: public ones, and what the operator allows.

A till names the address that it wants to be told at. Without a guard, it could have the gateway
call what only the gateway can reach: the shop's network, the machine itself, a cloud's metadata.
So an address is looked at twice: when it is named, to refuse it early, and where it counts, at
every connection, after its name was resolved (`GuardedClient`). A name that means something else
the second time is no way around.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

from tillwire.core.ports import HttpResponse
from tillwire.errors import ConfigurationError, InvalidRequest, NotDelivered
from tillwire.net.http_client import AiohttpClient
from tillwire.net.names import OwnThreads

LONGEST: Final = 2048
"""Characters of an address."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PRINTABLE: Final = re.compile(r"[!-~]+")
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?"
)
_NEVER: Final = tuple(
    ipaddress.ip_network(each)
    for each in (
        "168.63.129.16/32",  # clouds' own services at addresses that count as public
        "192.0.0.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "::ffff:0:0/96",  # IPv4 addresses in other clothes: mapped, translated, compatible, 6to4,
        "::ffff:0:0:0/96",  # Teredo
        "::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
        "3fff::/20",  # for documentation
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_OTHERS_PORTS: Final = frozenset({
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668,
    6669, 6679, 6697, 10080,
})  # fmt: skip
"""Where mail servers and others listen that could take a POST for commands: those that no browser
calls (WHATWG Fetch, section "Port blocking")."""


class Addresses:
    """The rule. `allow` are networks (`10.0.0.0/8`), single addresses and host names that may be
    called although they are not public."""

    def __init__(self, allow: Sequence[str] = ()) -> None:
        """Raises `ConfigurationError` for what is neither."""
        self._networks: list[Network] = []
        self._names: set[str] = set()
        for each in allow:
            if (network := _network(each)) is not None:
                self._networks.append(network)
            elif _NAME.fullmatch(each) and not _looks_numeric(each):
                self._names.add(_plain(each))
            else:
                problem = f"callbacks.allow: {each!r} is neither a network nor the name of a host."
                raise ConfigurationError(problem)

    def check(self, url: str, field: str = "url") -> None:
        """Raise `InvalidRequest` (of this field) for an address that cannot, or must not, be
        called. A name is not resolved here: what it means is looked at when it is called."""
        if problem := self._problem(url):
            allowed = "an http or https address of a public host"
            raise InvalidRequest(field, problem, allowed)

    def _problem(self, url: str) -> str:
        if len(url) > LONGEST:
            return f"it is longer than {LONGEST} characters"
        if not _PRINTABLE.fullmatch(url) or "\\" in url:
            return "it has characters that an address cannot have"
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            bracketed = _is_bracketed(parts.netloc)
        except ValueError:
            return "it is not an address"
        if parts.scheme not in ("http", "https"):
            return "it is neither http nor https"
        if "@" in parts.netloc:
            return "it has a user in it"
        if port == 0 or port in _OTHERS_PORTS:
            return f"its port is {port}"
        return self._problem_of_host(host, bracketed=bracketed)

    def _problem_of_host(self, host: str, *, bracketed: bool) -> str:
        if bracketed or _looks_numeric(host):
            address = None if "%" in host else _address(host)
            if address is None:
                return "its host is not an address in the usual notation"
            return "" if self.may_call(address) else "its host is not a public one"
        if not _NAME.fullmatch(host):
            return "its host is not a name"
        local = _plain(host) == "localhost" or _plain(host).endswith(".localhost")
        if local and not self.names(host) and not self.may_call(ipaddress.IPv4Address("127.0.0.1")):
            return "its host is not a public one"
        return ""

    def names(self, host: str) -> bool:
        """Whether the operator allows the host by its name, whatever that means."""
        return _plain(host) in self._names

    def may_call(self, address: Address) -> bool:
        """Whether a connection may go there."""
        if any(address in each for each in self._networks):
            return True
        if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
            return self.may_call(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        return not (
            not address.is_global
            or address.is_private
            or address.is_loopback
            or address.is_link_local
            or address.is_multicast
            or address.is_reserved
            or address.is_unspecified
            or (isinstance(address, ipaddress.IPv6Address) and _is_odd(address))
            or any(address in each for each in _NEVER)
        )


def _is_odd(address: ipaddress.IPv6Address) -> bool:
    return address.is_site_local or address.scope_id is not None


def _is_bracketed(netloc: str) -> bool:
    """Raises `ValueError` for brackets with something before or behind them but a port."""
    if "[" not in netloc and "]" not in netloc:
        return False
    if not re.fullmatch(r"\[[^\[\]]*\](:[0-9]*)?", netloc):
        raise ValueError("not an address in brackets")
    return True


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _looks_numeric(host: str) -> bool:
    """Whether some resolver would take the host for a number, in whatever notation: the last part
    is one. No top-level domain is."""
    last = host.rstrip(".").rpartition(".")[2]
    return last.isdigit() or re.fullmatch(r"0[xX][0-9A-Fa-f]*", last) is not None


class Forbidden(OSError):
    """No connection goes there."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} must not be called; callbacks.allow could allow it")


class AddressRefused(NotDelivered):
    """The address must not be called."""


class _GuardedResolver(AbstractResolver):
    """Resolves names, and refuses those of which any address must not be called: which one is
    taken would be chance."""

    def __init__(self, addresses: Addresses, resolver: AbstractResolver) -> None:
        self._addresses = addresses
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises `Forbidden`."""
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            address = _address(each["host"])
            if address is None or not self._addresses.may_call(address):
                raise Forbidden("One of the host's addresses")
        return found

    async def close(self) -> None:
        """Let go of the resolver."""
        await self._resolver.close()


class GuardedClient:
    """An `HttpClient` that calls nothing else than the rule allows."""

    def __init__(self, addresses: Addresses, *, resolver: AbstractResolver | None = None) -> None:
        """`resolver` asks for a name's addresses; the system's one unless it is given. It is
        closed with the client."""
        self._addresses = addresses
        self._resolver = resolver or OwnThreads()
        # A host that is allowed by its name may be anywhere, and shares no connection with others.
        self._named = AiohttpClient(resolver=self._resolver)
        self._others = AiohttpClient(
            resolver=_GuardedResolver(addresses, self._resolver), socket_factory=self._socket
        )

    def _socket(self, info: AddrInfoType) -> socket.socket:
        """The last look, at what the connection is really made to."""
        family, kind, protocol, _, where = info
        address = _address(str(where[0]))
        if address is None or not self._addresses.may_call(address):
            raise Forbidden("The address")
        return socket.socket(family, kind, protocol)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        connect_within: float | None = None,
        limit: int = 1 << 20,
        ready: Callable[[], None] | None = None,
    ) -> HttpResponse:
        """As `HttpClient.request`; `AddressRefused` for what must not be called."""
        try:
            self._addresses.check(url)
        except InvalidRequest as refusal:
            problem = refusal.problem
            raise AddressRefused(f"{problem[0].upper()}{problem[1:]}.") from refusal
        host = urlsplit(url).hostname or ""
        client = self._named if self._addresses.names(host) else self._others
        try:
            return await client.request(
                method,
                url,
                headers=headers,
                body=body,
                timeout=timeout,
                connect_within=connect_within,
                limit=limit,
                ready=ready,
            )
        except NotDelivered as failure:
            cause = getattr(failure.__cause__, "os_error", None)
            if isinstance(cause, Forbidden):
                raise AddressRefused(f"{cause}.") from failure
            raise

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(self._named.close(), self._others.close())
        await self._resolver.close()
