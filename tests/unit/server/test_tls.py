"""TLS of a listener: from 1.2 on, client certificates when they are asked for, and renewal."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.unit.server import rig
from tests.unit.server.rig import Echo
from tillwire.config import FaceSettings, TlsSettings
from tillwire.errors import ConfigurationError
from tillwire.estate.certificates import begun, issue, named, new_authority
from tillwire.net.asgi import (
    PeerCertificate,
    Receive,
    Reply,
    Scope,
    Send,
    peer_certificate,
)
from tillwire.server.faces import FaceKind
from tillwire.server.gateway import Gateway
from tillwire.server.listeners import tls_context

SERVERS: Final = Path(__file__).parents[2] / "kit" / "certificates"
CLIENTS: Final = Path(__file__).parent / "certificates"
SERVER: Final = str(SERVERS / "server.pem")


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=SERVERS / "ca.pem")


async def health(gateway: Gateway, context: ssl.SSLContext) -> int:
    url = f"https://localhost:{gateway.listeners['front'].port}/healthz"
    async with aiohttp.ClientSession() as till, till.get(url, ssl=context) as answer:
        return answer.status


async def test_a_listener_with_a_certificate_speaks_tls(tmp_path: Path) -> None:
    front = rig.listener(tls=TlsSettings(certificate=SERVER, key=SERVER))
    async with rig.running(rig.configuration(tmp_path, front), rig.kinds(Echo())) as gateway:
        assert await health(gateway, trusting()) == 200
        assert gateway.listeners["front"].url.startswith("https://")


def test_old_tls_is_not_spoken() -> None:
    context = tls_context(TlsSettings(certificate=SERVER, key=SERVER), "front")
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_a_client_authority_lets_in_only_its_clients(tmp_path: Path) -> None:
    tls = TlsSettings(certificate=SERVER, key=SERVER, client_ca=str(CLIENTS / "client_ca.pem"))
    settings = rig.configuration(tmp_path, rig.listener(tls=tls))
    known = trusting()
    known.load_cert_chain(CLIENTS / "client.pem")
    async with rig.running(settings, rig.kinds(Echo())) as gateway:
        assert await health(gateway, known) == 200
        with pytest.raises(aiohttp.ClientError):
            await health(gateway, trusting())


async def test_an_authority_is_one_whoever_vouches_for_it(tmp_path: Path) -> None:
    """An operator names the authority that issues, and trusts the one above it with nothing."""
    now = datetime.now(UTC)
    above, below, till = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))

    def signed(name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey) -> bytes:
        issuer = named("above" if by is above else "below")
        made = begun(named(name), issuer, key.public_key(), now, now + timedelta(days=1))
        constraints = x509.BasicConstraints(ca=key is not till, path_length=None)
        return (
            made.add_extension(constraints, critical=True)
            .sign(by, hashes.SHA256())
            .public_bytes(Encoding.PEM)
        )

    private = till.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "till.pem").write_bytes(private + signed("till", till, below))
    (tmp_path / "clients.pem").write_bytes(signed("below", below, above))
    known = trusting()
    known.load_cert_chain(tmp_path / "till.pem")
    tls = TlsSettings(certificate=SERVER, key=SERVER, client_ca=str(tmp_path / "clients.pem"))
    settings = rig.configuration(tmp_path, rig.listener(tls=tls))
    async with rig.running(settings, rig.kinds(Echo())) as gateway:
        assert await health(gateway, known) == 200


def asking_who(seen: list[PeerCertificate | None]) -> dict[str, FaceKind]:
    """A face that notes which certificate was shown."""

    async def who(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            seen.append(peer_certificate(scope))
            await Reply(204).send(send)

    return {"who": FaceKind("Who calls", lambda parts, settings: who)}


@pytest.mark.parametrize("certified", [True, False])
async def test_the_application_gets_the_certificate_that_was_shown(
    tmp_path: Path, certified: bool
) -> None:
    authority = str(CLIENTS / "client_ca.pem") if certified else ""
    tls = TlsSettings(certificate=SERVER, key=SERVER, client_ca=authority)
    faces = (FaceSettings(name="who", prefix="/who"),)
    settings = rig.configuration(tmp_path, rig.listener(tls=tls, faces=faces))
    seen: list[PeerCertificate | None] = []
    known = trusting()
    known.load_cert_chain(CLIENTS / "client.pem")
    async with (
        rig.running(settings, asking_who(seen)) as gateway,
        aiohttp.ClientSession() as till,
    ):
        url = f"https://localhost:{gateway.listeners['front'].port}/who"
        # No header can stand for it; on a connection that is kept it is there each time.
        forged = {"tillwire.peer_certificate": "x", "x-client-cert": "y"}
        for _ in range(2):
            async with till.get(url, ssl=known, headers=forged) as answer:
                assert answer.status == 204
    shown = (CLIENTS / "client.pem").read_text()
    der = ssl.PEM_cert_to_DER_cert(shown[shown.index("-----BEGIN CERTIFICATE") :])
    there = PeerCertificate(der, hashlib.sha256(der).digest())
    assert seen == [there if certified else None] * 2


async def test_who_shows_none_is_told_why(tmp_path: Path) -> None:
    tls = TlsSettings(certificate=SERVER, key=SERVER, client_ca=str(CLIENTS / "client_ca.pem"))
    settings = rig.configuration(tmp_path, rig.listener(tls=tls))
    async with rig.running(settings, rig.kinds(Echo())) as gateway:
        port = gateway.listeners["front"].port
        reader, writer = await asyncio.open_connection(
            "localhost", port, ssl=trusting(), server_hostname="localhost"
        )
        with pytest.raises(ssl.SSLError, match="certificate required"):
            await reader.read()
        writer.close()


async def test_a_renewed_certificate_is_read_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    shutil.copy(SERVER, file)
    front = rig.listener(tls=TlsSettings(certificate=str(file), key=str(file)))
    async with rig.running(rig.configuration(tmp_path, front), rig.kinds(Echo())) as gateway:
        file.write_text("half written")
        gateway.reload_certificates()
        assert await health(gateway, trusting()) == 200, "the old one stays"
        shutil.copy(CLIENTS / "client.pem", file)
        gateway.reload_certificates()
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await health(gateway, trusting())


async def test_a_pair_that_is_half_renewed_takes_nothing_away(tmp_path: Path) -> None:
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    shutil.copy(SERVER, certificate)
    shutil.copy(SERVER, key)
    front = rig.listener(tls=TlsSettings(certificate=str(certificate), key=str(key)))
    async with rig.running(rig.configuration(tmp_path, front), rig.kinds(Echo())) as gateway:
        shutil.copy(CLIENTS / "client.pem", certificate)  # its key is not there yet
        gateway.reload_certificates()
        assert await health(gateway, trusting()) == 200, "the old one stays"


async def test_a_renewed_authority_lets_in_its_own_clients(tmp_path: Path) -> None:
    authority = tmp_path / "clients.pem"
    shutil.copy(CLIENTS / "client_ca.pem", authority)
    tls = TlsSettings(certificate=SERVER, key=SERVER, client_ca=str(authority))
    settings = rig.configuration(tmp_path, rig.listener(tls=tls))
    known = trusting()
    known.load_cert_chain(CLIENTS / "client.pem")
    another = new_authority("clients", datetime.now(UTC))
    till = issue(another, "Till", "staging", datetime.now(UTC))
    file = tmp_path / "till.pem"
    file.write_bytes(till.key + till.certificate)
    new = trusting()
    new.load_cert_chain(file)
    async with rig.running(settings, rig.kinds(Echo())) as gateway:
        authority.write_text("half written")
        gateway.reload_certificates()
        assert await health(gateway, known) == 200, "the old one stays"
        authority.write_bytes(another.certificate)
        gateway.reload_certificates()
        with pytest.raises(aiohttp.ClientError):
            await health(gateway, known)
        assert await health(gateway, new) == 200


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        (SERVER, str(CLIENTS / "client.pem")),
        (str(CLIENTS / "README.md"), SERVER),
        (SERVER, str(SERVERS / "ca.pem")),
    ],
    ids=["a key of another certificate", "not a certificate", "not a key"],
)
def test_a_certificate_that_cannot_be_used_is_told(certificate: str, key: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot use the certificate"):
        tls_context(TlsSettings(certificate=certificate, key=key), "front")


def test_an_authority_that_cannot_be_used_is_told() -> None:
    tls = TlsSettings(certificate=SERVER, key=SERVER, client_ca=str(CLIENTS / "README.md"))
    with pytest.raises(ConfigurationError, match="no PEM file of a certificate authority"):
        tls_context(tls, "front")
