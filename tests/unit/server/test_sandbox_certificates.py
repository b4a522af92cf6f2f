"""The sandbox's certificates: accepted by strict clients, kept, and renewed in time."""

from __future__ import annotations

import re
import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tillwire.sandbox import certificates
from tillwire.sandbox.certificates import Certificates

ADYEN = re.compile(
    r"^(([a-zA-Z0-9]+-[a-zA-Z0-9]+)|legacy-terminal-certificate)"
    r"\.(live|test)\.terminal\.adyen\.com$"
)
"""What clients of Adyen's local protocol want the common name to be."""


def strict(found: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=found.authority)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def handshake(found: Certificates, name: str) -> None:
    """Connect to `name` over TLS as the strictest client does. Raises `ssl.SSLError`."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(found.server)
    here, there = socket.socketpair()

    def serve() -> None:
        with server_side.wrap_socket(there, server_side=True, do_handshake_on_connect=False) as end:
            try:
                end.do_handshake()
            except OSError:
                return

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        strict(found).wrap_socket(here, server_hostname=name).close()
    finally:
        here.close()
        serving.join()


def server_of(found: Certificates) -> x509.Certificate:
    return x509.load_pem_x509_certificate(found.server.read_bytes())


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_the_strictest_client_accepts_them_under_every_loopback_name(
    name: str, tmp_path: Path
) -> None:
    handshake(certificates.ensure(tmp_path), name)


def test_they_vouch_for_nobody_else(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(certificates.ensure(tmp_path), "pay.example.com")


def test_the_common_name_is_one_that_adyen_s_clients_accept(tmp_path: Path) -> None:
    subject = server_of(certificates.ensure(tmp_path)).subject
    (name,) = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert ADYEN.match(str(name.value))


def test_they_are_their_owners_alone(tmp_path: Path) -> None:
    certificates.ensure(tmp_path)
    folder = tmp_path / certificates.FOLDER
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def contents(found: Certificates) -> tuple[bytes, bytes]:
    return found.authority.read_bytes(), found.server.read_bytes()


def test_a_second_start_keeps_them(tmp_path: Path) -> None:
    first = contents(certificates.ensure(tmp_path))
    assert contents(certificates.ensure(tmp_path)) == first


def test_a_server_certificate_about_to_end_is_renewed_under_the_same_authority(
    tmp_path: Path,
) -> None:
    authority, server = contents(certificates.ensure(tmp_path))
    ends = server_of(certificates.ensure(tmp_path)).not_valid_after_utc
    in_time = ends - certificates.RENEW_BEFORE
    assert contents(certificates.ensure(tmp_path, in_time)) == (authority, server)
    renewed = certificates.ensure(tmp_path, in_time + timedelta(seconds=1))
    assert renewed.authority.read_bytes() == authority
    assert server_of(renewed).not_valid_after_utc > ends


def test_an_authority_about_to_end_is_replaced_with_all_it_vouches_for(tmp_path: Path) -> None:
    authority, server = contents(certificates.ensure(tmp_path))
    later = datetime.now(UTC) + timedelta(days=3650) - certificates.RENEW_BEFORE
    found = certificates.ensure(tmp_path, later + timedelta(days=1))
    assert found.authority.read_bytes() != authority
    assert found.server.read_bytes() != server


@pytest.mark.parametrize("damaged", ["ca.pem", "server.pem", "ca-key.pem"])
def test_what_is_damaged_is_made_anew(damaged: str, tmp_path: Path) -> None:
    certificates.ensure(tmp_path)
    (tmp_path / certificates.FOLDER / damaged).write_text("-----BEGIN NOTHING-----")
    handshake(certificates.ensure(tmp_path), "localhost")
