"""The server's small parts: drivers by name, lifespans, and what the service manager hears."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
import pytest

from tillwire.clock import SystemClock
from tillwire.core.engine import Engine
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.ports import Driver
from tillwire.device.driver import DeviceDriver
from tillwire.errors import ConfigurationError, Unsupported
from tillwire.estate import applications, client_apps
from tillwire.estate.keys import digest_of
from tillwire.estate.pairings import Codes
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.vault import KeyFileVault
from tillwire.net.asgi import Receive, Scope, Send
from tillwire.sandbox import certificates, paymentbridge, softpos, virtual_estate
from tillwire.sandbox.keyring import Keyring
from tillwire.server.drivers import Drivers
from tillwire.server.lifespan import Lifespan
from tillwire.server.process import tell_systemd

TERMINAL = Terminal(
    id="t1",
    organisation_id="shop",
    store_id="s1",
    manufacturer="TILLWIRE",
    model="P1",
    serial="0001",
    tid="",
    driver="device",
    settings={},
    lifecycle=Lifecycle.ACTIVATED,
)


class Builder:
    """Builds drivers, and counts them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.built = 0

    def __call__(self, terminal: Terminal) -> Driver:
        self.built += 1
        return DeviceDriver(terminal, self.engine)


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    journal = SqliteJournal(tmp_path / "journal.db", inline=True)
    return Builder(Engine(journal, lambda _: pytest.fail("not asked"), SystemClock()))


def test_a_terminal_keeps_its_driver_until_it_is_changed(builder: Builder) -> None:
    drivers = Drivers({"device": builder})
    first = drivers(TERMINAL)
    assert drivers(TERMINAL) is first
    assert drivers(msgspec.structs.replace(TERMINAL)) is first, "read again, and unchanged"
    changed = msgspec.structs.replace(TERMINAL, settings={"poll_interval": 9})
    assert drivers(changed) is not first
    assert builder.built == 2


def test_a_driver_that_is_not_there_is_told_with_those_that_are(builder: Builder) -> None:
    drivers = Drivers({"device": builder})
    with pytest.raises(Unsupported, match=r"TILLWIRE-P1-0001 .*'nexo'; this gateway has: device"):
        drivers(msgspec.structs.replace(TERMINAL, driver="nexo"))


async def test_an_application_that_knows_no_lifespans_needs_none() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"

    lifespan = Lifespan(app, "plain")
    await lifespan.start()
    await lifespan.stop()


async def test_an_application_that_cannot_start_says_why() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no paper"})

    with pytest.raises(ConfigurationError, match="The face printer did not start: no paper"):
        await Lifespan(app, "printer").start()


def test_the_service_manager_hears_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        tell_systemd("READY=1")
        assert manager.recv(100) == b"READY=1"


async def test_the_sandbox_s_estate_is_made_once(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", inline=True)
    clock = SystemClock()
    public_key = paymentbridge.public_key(tmp_path)
    certificates.ensure(tmp_path)
    certificate = softpos.certificate(tmp_path)
    codes = Codes(KeyFileVault(tmp_path / "journal.db.key"))

    async def ensured(known: Keyring) -> Keyring:
        return await journal.commit(
            lambda unit: virtual_estate.ensure(unit, known, public_key, certificate, codes, clock)
        )

    keys = await ensured(Keyring())
    before = await journal.read(lambda reader: reader.estate())
    assert await ensured(keys) == keys
    after = await journal.read(lambda reader: reader.estate())
    assert after.version == before.version
    tids = {each.name: each.tid for each in after.terminals_of(virtual_estate.SHOP.id)}
    revoked, _ = applications.revoked(after, keys.application_id, clock.now())
    await journal.commit(lambda unit: unit.put(revoked))
    replaced = await ensured(keys)
    assert replaced.application_id != keys.application_id
    assert await ensured(replaced) == replaced
    assert tids["TILLWIRE-V1-0004"] == "30350004"
    assert tids["TILLWIRE-V1-0007"] == "30350007"
    assert tids["TILLWIRE-V1-0016"] == "30350016"
    app = after.client_apps[keys.softpos_client_id]
    renewed = client_apps.with_secret(app, client_apps.new_secret(clock), clock.now(), 0)
    await journal.commit(lambda unit: unit.put(renewed))
    known = await ensured(replaced)
    (app,) = (await journal.read(lambda reader: reader.estate())).client_apps.values()
    assert app.id == known.softpos_client_id == keys.softpos_client_id
    assert app.secret_digest == digest_of(known.softpos_secret), "the card tells one that is good"
    used, *others = virtual_estate.SMARTCONNECT
    digest = codes.digest(keys.pairing_codes[used.id])
    assert await journal.commit(lambda unit: unit.drop_pairing_code(digest))
    later = (await ensured(replaced)).pairing_codes
    assert later[used.id] != keys.pairing_codes[used.id], "who starts it again can pair again"
    assert {each.id: later[each.id] for each in others} == {
        each.id: keys.pairing_codes[each.id] for each in others
    }
    assert len(set(later.values())) == 6
    journal.close()
