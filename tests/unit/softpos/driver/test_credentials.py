"""The application's files are replaced while the gateway runs, since secrets, keys and certificates
end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from structlog.testing import capture_logs

from tests.kit.scripted import Asked
from tests.unit.softpos.driver.backend import (
    CLIENT,
    SECRET,
    TOKEN,
    Backend,
    answers,
    gives_token,
)
from tests.unit.softpos.driver.counter import Counter, at_a_counter
from tests.unit.softpos.face.shop import SetClock, certificate
from tillwire.clock import Instant, instant, utc
from tillwire.core.model import State
from tillwire.dialects.softpos.driver.credentials import Account, Credentials
from tillwire.errors import NotDelivered
from tillwire.estate import client_apps
from tillwire.net.asgi import Reply
from tillwire.net.http_client import AiohttpClient

ANOTHER = "another-secret-of-the-app"  # of nobody


async def wants_another(backend: Backend, asked: Asked) -> Reply:
    """The secret was changed in the portal."""
    if ANOTHER not in asked.body.decode():
        return Reply(401, b'{"error":"invalid_client"}')
    asked.body = asked.body.replace(ANOTHER.encode(), SECRET.encode())
    return await gives_token(backend, asked)


@at_a_counter()
async def test_a_secret_that_was_replaced_is_used(counter: Counter) -> None:
    assert (await counter.driver.status()).reachable
    (counter.folder / "app.secret").write_text(ANOTHER)
    counter.backend.tokens.extend([wants_another] * 2)
    await asyncio.sleep(61)
    assert await counter.driver.check("nothing-known") is None
    assert len(counter.backend.of(TOKEN)) == 2, "a token is of whom it was given to"


@at_a_counter()
async def test_a_secret_that_is_good_no_more_is_told_by_its_setting(counter: Counter) -> None:
    counter.backend.tokens.append(wants_another)
    status = await counter.driver.status()
    assert not status.reachable
    assert "401 invalid_client" in status.detail
    assert "client_secret_file" in status.detail


@at_a_counter()
async def test_files_that_stay_as_they_are_change_nothing(counter: Counter) -> None:
    for _ in range(5):
        assert await counter.driver.check("nothing-known") is None
        await asyncio.sleep(61)
    assert len(counter.backend.of(TOKEN)) == 1


async def test_it_is_told_each_day_that_the_certificate_ends_soon(tmp_path: Path) -> None:
    clock, until_soon = SetClock(), (client_apps.SOON + 1_000) // 1_000
    ours = credentials(tmp_path, clock)
    clock.at = Instant(ends_at(tmp_path) - until_soon * 1_000)
    with capture_logs() as logged:
        assert (await ours.now()).ends == ends_at(tmp_path)
        assert not logged
        for seconds in (61, 61, 86_400, until_soon):
            clock.pass_by(seconds)
            await ours.now()
    assert [each["event"] for each in logged] == [
        "an application's certificate ends soon",
        "an application's certificate ends soon",
        "an application's certificate has expired",
    ]
    assert logged[0]["ends"] == utc(ends_at(tmp_path)).isoformat()
    assert logged[0]["file"] == str(tmp_path / "app.crt")


async def test_a_key_with_a_passphrase_is_told_for_what_it_is(tmp_path: Path) -> None:
    ours = credentials(tmp_path, SetClock())
    key = load_pem_private_key((tmp_path / "app.key").read_bytes(), None)
    sealed = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"of the portal")
    )
    (tmp_path / "app.key").write_bytes(sealed)
    with pytest.raises(NotDelivered, match=r"private_key_file: .*, or has a passphrase"):
        await ours.now()


def credentials(folder: Path, clock: SetClock) -> Credentials:
    """Those of an application whose files are in the folder."""
    made = certificate("till")
    contents = {
        "app.crt": made.certificate,
        "app.key": made.key,
        "app.secret": SECRET.encode(),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    account = Account(
        url="https://backend.example",
        audience="https://backend.example",
        client_id=CLIENT,
        client_secret_file=str(folder / "app.secret"),
        certificate_file=str(folder / "app.crt"),
        private_key_file=str(folder / "app.key"),
        ca_file="",
    )
    return Credentials(account, AiohttpClient, clock)


def ends_at(folder: Path) -> Instant:
    """When the certificate there expires."""
    found = x509.load_pem_x509_certificate((folder / "app.crt").read_bytes())
    return instant(found.not_valid_after_utc)


@pytest.mark.parametrize("content", ["", "\u00e9", None])
@at_a_counter()
async def test_files_that_are_half_replaced_are_not_used_yet(
    counter: Counter, content: str | None
) -> None:
    assert await counter.driver.check("nothing-known") is None
    secret = counter.folder / "app.secret"
    secret.unlink() if content is None else secret.write_text(content)
    await asyncio.sleep(61)
    counter.backend.expire_tokens()
    assert await counter.driver.check("nothing-known") is None, "with the ones from before"
    secret.write_text(ANOTHER)
    counter.backend.tokens.append(wants_another)
    await asyncio.sleep(61)
    assert await counter.driver.check("nothing-known") is None
    assert not counter.backend.tokens


@at_a_counter()
async def test_what_was_answered_to_the_former_files_shows_nothing(counter: Counter) -> None:
    """A certificate that the backend does not know may still be good for a token."""
    await counter.paid()
    (counter.folder / "app.secret").write_text(ANOTHER)
    counter.backend.tokens.extend([wants_another] * 3)
    counter.backend.checks.extend([answers(401, b'{"statusCode":"401","message":"no"}')] * 2)
    await asyncio.sleep(61)
    assert (await counter.ended(await counter.order(), 60)).state is State.FAILED
