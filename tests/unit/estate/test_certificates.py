"""Certificates of our own satisfy the strictest checks, on both sides of a handshake."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tillwire.errors import InvalidRequest
from tillwire.estate.certificates import Issued, issue, new_authority
from tillwire.sandbox import certificates, softpos

NOW = datetime.now(UTC)


def shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes | None:
    """The client's certificate as the server sees it. Raises `ssl.SSLError`."""
    here, there = socket.socketpair()
    seen: list[bytes | None] = []
    failed: list[ssl.SSLError] = []
    told: OSError | None = None

    def serve() -> None:
        with server.wrap_socket(there, server_side=True, do_handshake_on_connect=False) as end:
            try:
                end.do_handshake()
                seen.append(end.getpeercert(binary_form=True))
                end.send(b"x")
            except ssl.SSLError as error:
                failed.append(error)

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        with client.wrap_socket(here, server_hostname="127.0.0.1") as end:
            end.recv(1)
    except OSError as error:
        told = error
    finally:
        here.close()
        serving.join()
    # What the server says of it, also when the client hears of it first.
    if failed:
        raise failed[0]
    if told is not None:
        raise told
    return seen[0]


@pytest.fixture
def sides(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext, Path]:
    """A strict server and a strict client, as the sandbox has them, and where its files are."""
    files = certificates.ensure(tmp_path)
    softpos.certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.server)
    server.load_verify_locations(files.client_authority)
    server.verify_mode = ssl.CERT_REQUIRED
    server.verify_flags |= ssl.VERIFY_X509_STRICT
    client = ssl.create_default_context(cafile=files.authority)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    return server, client, tmp_path / "softpos"


def test_the_strictest_server_takes_the_application_s(
    sides: tuple[ssl.SSLContext, ssl.SSLContext, Path],
) -> None:
    server, client, folder = sides
    client.load_cert_chain(folder / "app.crt", folder / "app.key")
    pem = (folder / "app.crt").read_text()
    assert shaken(server, client) == ssl.PEM_cert_to_DER_cert(pem)


def test_without_a_certificate_there_is_no_handshake(
    sides: tuple[ssl.SSLContext, ssl.SSLContext, Path],
) -> None:
    server, client, _ = sides
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shaken(server, client)


def test_another_authority_s_certificate_is_none(
    sides: tuple[ssl.SSLContext, ssl.SSLContext, Path], tmp_path: Path
) -> None:
    server, client, _ = sides
    # Even one of the same name.
    forged = new_authority("tillwire sandbox authority for clients", NOW)
    made = issue(forged, "App", "staging", NOW)
    path = tmp_path / "forged.pem"
    path.write_bytes(made.key + made.certificate)
    client.load_cert_chain(path)
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        shaken(server, client)


def test_an_application_s_certificate_has_the_vendor_s_names() -> None:
    made = issue(new_authority("an authority", NOW), "My app", "staging", NOW)
    found = x509.load_pem_x509_certificate(made.certificate)
    named = {each.oid: each.value for each in found.subject}
    assert named == {
        NameOID.COMMON_NAME: "My app",
        NameOID.ORGANIZATION_NAME: "NEXI",
        NameOID.ORGANIZATIONAL_UNIT_NAME: "API Security - STAGING",
    }
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_it_does_not_outlive_its_authority() -> None:
    authority = new_authority("an authority", NOW)
    ends = x509.load_pem_x509_certificate(authority.certificate).not_valid_after_utc
    made = issue(authority, "My app", "staging", ends - timedelta(days=1))
    assert x509.load_pem_x509_certificate(made.certificate).not_valid_after_utc == ends
    with pytest.raises(InvalidRequest):
        issue(authority, "My app", "staging", ends)


def test_key_and_certificate_of_two_are_no_authority() -> None:
    one, other = new_authority("one", NOW), new_authority("other", NOW)
    with pytest.raises(InvalidRequest):
        issue(Issued(one.key, other.certificate), "My app", "staging", NOW)


def test_the_sandbox_keeps_its_application_s_and_makes_bad_ones_anew(tmp_path: Path) -> None:
    certificates.ensure(tmp_path)
    first = softpos.certificate(tmp_path)
    assert softpos.certificate(tmp_path) == first
    key = tmp_path / "softpos" / "app.key"
    key.write_text("not a key")
    second = softpos.certificate(tmp_path)
    assert second != first
    (tmp_path / "tls" / "client-ca-key.pem").unlink()
    certificates.ensure(tmp_path)
    assert softpos.certificate(tmp_path) != second
    assert key.stat().st_mode & 0o777 == 0o600
