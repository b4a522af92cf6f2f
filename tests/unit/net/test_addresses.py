"""Which addresses strangers may have us call, whatever they are written like or resolved to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.unit.net.peers import OK, HttpPeer, answering
from tillwire.errors import ConfigurationError, InvalidRequest, NotDelivered
from tillwire.net.addresses import Addresses, AddressRefused, GuardedClient

PUBLIC = [
    "8.8.8.8", "93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001::1",
    "64:ff9b::808:808",
]  # fmt: skip
NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1",
    "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.169.254", "192.0.0.1", "192.0.2.1",
    "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255", "168.63.129.16", "100.100.100.200",
    "192.0.0.8", "192.0.0.192",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1",
    "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
    "2002:808:808::1", "3fff::1", "2606:4700:4700::1111%eth0",
]  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_may_be_called(text: str) -> None:
    assert Addresses().may_call(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_others_may_not(text: str) -> None:
    assert not Addresses().may_call(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "url",
    [
        "https://till.example/told",
        "http://till.example:8080/a?b=c#d",
        "https://xn--bcher-kva.example/",
        "https://sub_domain.till.example./",
        "http://8.8.8.8/",
        "http://[2606:4700:4700::1111]:8443/",
    ],
)
def test_what_strangers_may_name(url: str) -> None:
    Addresses().check(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "till.example",
        "//till.example/",
        "ftp://till.example/",
        "file:///etc/passwd",
        "gopher://till.example/",
        "javascript:alert(1)",
        "http://",
        "http:///path",
        "http://user@till.example/",
        "http://user:secret@till.example/",
        "http://till.example@127.0.0.1/",
        "http://till.example\\@127.0.0.1/",
        "http://till.example /",
        "http://till.example/\r\nHost: inside",
        "http://till.example/\x00",
        "http://till.example:0/",
        "http://till.example:22/",
        "http://till.example:025/",
        "http://till.example:6000/",
        "http://till.example:65536/",
        "http://till.example:port/",
        "http://-till.example/",
        "http://till..example/",
        "http://%31%32%37.0.0.1/",
        "http://ⓛocalhost/",
        "http://①②⑦.0.0.1/",
        "http://bücher.example/",
        "http://" + "a" * 64 + ".example/",
        "http://till.example/" + "a" * 2048,
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://127.0.0.0x1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://8.8.8.010/",
        "http://8.8.8.8.8/",
        "http://999.1.1.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://x[2606:4700:4700::1111]/",
        "http://[2606:4700:4700::1111]x/",
        "http://[2606:4700:4700::1111%25eth0]/",
        "http://[v1.x]/",
        "http:till.example/",
        "http:////till.example/",
        "http://[till.example]/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://till.localhost/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
def test_what_they_may_not(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Addresses().check(url, "callbackUrl")
    assert refused.value.field == "callbackUrl"


def test_the_operator_allows_networks_and_names() -> None:
    addresses = Addresses(["127.0.0.0/8", "fd00::/8", "Pos.internal"])
    for url in (
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[fd00::1]/",
        "http://pos.internal/",
    ):
        addresses.check(url)
    assert addresses.names("POS.internal.")
    assert not addresses.names("other.internal")
    for url in ("http://10.0.0.1/", "http://[::ffff:127.0.0.1]/", "http://[fd00::1%25eth0]/"):
        with pytest.raises(InvalidRequest):
            addresses.check(url)


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "http://pos.internal", "", "a b", "127.1", "*"])
def test_what_is_neither_is_a_mistake(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="allow"):
        Addresses([wrong])


class Names(AbstractResolver):
    """Resolves names as a hostile zone would: another answer each time."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(
                hostname=host, host=each, port=port, family=socket.AF_INET, proto=0, flags=0
            )
            for each in answer
        ]

    async def close(self) -> None:
        """Nothing is held."""


async def call(addresses: Addresses, names: Names, url: str) -> int | AddressRefused:
    """What comes of calling the URL, with nothing kept from earlier calls."""
    client = GuardedClient(addresses, resolver=names)
    try:
        return (await client.request("POST", url, headers={}, body=b"", timeout=30)).status
    except AddressRefused as refusal:
        return refusal
    finally:
        await client.close()


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["10.0.0.1", "::1"]])
async def test_a_name_of_which_one_address_is_private_is_refused(answer: list[str]) -> None:
    peer = HttpPeer(answering(OK))
    _, port = await peer.listen()
    came = await call(Addresses(), Names(answer), f"http://till.example:{port}/")
    assert isinstance(came, AddressRefused)
    assert peer.connections == 0


async def test_a_name_that_means_something_else_the_second_time_is_refused() -> None:
    """Allowed when it is called first, what must not be called the next time."""
    peer = HttpPeer(answering(OK))
    _, port = await peer.listen()
    addresses, names = Addresses(["127.0.0.1"]), Names(["127.0.0.1"], ["127.0.0.2"])
    url = f"http://till.example:{port}/"
    assert await call(addresses, names, url) == 200
    came = await call(addresses, names, url)
    assert isinstance(came, AddressRefused)
    assert names.asked == 2


async def test_the_socket_is_guarded_even_where_the_resolver_was_fooled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is connected to is looked at, not only what was resolved."""
    peer = HttpPeer(answering(OK))
    _, port = await peer.listen()
    monkeypatch.setattr(
        "tillwire.net.addresses._GuardedResolver.resolve", Names(["127.0.0.1"]).resolve
    )
    came = await call(Addresses(), Names(["8.8.8.8"]), f"http://till.example:{port}/")
    assert isinstance(came, AddressRefused)
    assert peer.connections == 0


async def test_a_host_that_is_allowed_by_its_name_may_be_anywhere() -> None:
    peer = HttpPeer(answering(OK))
    _, port = await peer.listen()
    allowed = Addresses(["pos.internal"])
    names = Names(["127.0.0.1"])
    assert await call(allowed, names, f"http://pos.internal:{port}/") == 200
    # Its connection is of no use to others.
    came = await call(allowed, names, f"http://other.internal:{port}/")
    assert isinstance(came, AddressRefused)
    came = await call(allowed, names, f"http://127.0.0.1:{port}/")
    assert isinstance(came, AddressRefused)
    assert peer.connections == 1


async def test_nothing_else_fails_for_it() -> None:
    """A name that cannot be resolved is no forbidden one, and a dead host no guarded one."""

    class Nowhere(Names):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            raise OSError("no such host")

    client = GuardedClient(Addresses(["127.0.0.1"]), resolver=Nowhere())
    with socket.socket() as dead:  # its port is nobody else's meanwhile
        dead.bind(("127.0.0.1", 0))
        port = dead.getsockname()[1]
        for url in ("http://till.example/", f"http://127.0.0.1:{port}/"):
            with pytest.raises(Exception) as failed:
                await client.request("POST", url, headers={}, body=b"", timeout=30)
            assert type(failed.value).__name__ == "NotDelivered"
    await client.close()


async def test_names_that_are_never_resolved_hold_up_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Strangers' name servers may be silent for half a minute, and no thread that asks them can be
    called back. So they have threads of their own: those that resolve terminals' names are free."""
    silence = threading.Event()
    resolve = socket.getaddrinfo

    def asked(host: Any, *rest: Any, **options: Any) -> Any:
        if str(host).endswith("silent.example"):
            silence.wait(30)
            raise socket.gaierror("no answer")
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    client = GuardedClient(Addresses())
    try:
        calls = [
            asyncio.create_task(
                client.request(
                    "POST", f"http://{each}.silent.example/", headers={}, body=b"", timeout=0.3
                )
            )
            for each in range(50)
        ]
        failures = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(each) for each in failures} == {NotDelivered}
        async with asyncio.timeout(30):
            loop = asyncio.get_running_loop()
            assert await loop.getaddrinfo("127.0.0.1", 80)
    finally:
        silence.set()
        await client.close()


async def test_names_are_resolved_as_the_system_does() -> None:
    peer = HttpPeer(answering(OK))
    _, port = await peer.listen()
    client = GuardedClient(Addresses(["127.0.0.0/8", "::1"]))
    try:
        answer = await client.request(
            "POST", f"http://localhost:{port}/", headers={}, body=b"", timeout=30
        )
        assert answer.status == 200
        with pytest.raises(NotDelivered):
            await client.request(
                "POST", "http://nowhere.invalid/", headers={}, body=b"", timeout=20
            )
    finally:
        await client.close()
