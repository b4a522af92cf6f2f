"""A gateway tells tills of their transactions: from the face's teller to the till's own socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.unit.estate_fixture import purchase
from tests.unit.net.peers import OK, HttpPeer, answering
from tests.unit.server import rig
from tests.unit.server.rig import Echo
from tests.unit.server.test_metrics import samples
from tillwire.config import CallbackSettings, JournalSettings
from tillwire.core.estate import Estate
from tillwire.core.letters import Letter, LetterState
from tillwire.core.model import Callback, Request, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Vault
from tillwire.errors import ConfigurationError
from tillwire.server.faces import AnyKind, FaceKind
from tillwire.server.gateway import Gateway


class EchoTeller:
    """Tells of each move by its event's name."""

    def __init__(self, vault: Vault) -> None:
        """As each face's teller is built."""

    def letters(
        self, before: Transaction | None, after: Transaction, event: str, estate: Estate
    ) -> Sequence[Letter]:
        if after.callback is None:
            return ()
        now = after.ended_at or after.created_at
        return [
            Letter(
                transaction_id=after.id,
                organisation_id=after.organisation_id,
                channel="callback",
                kind=event,
                sealed=after.callback.sealed,
                body=event.encode(),
                created_at=now,
                due_at=now,
            )
        ]


def telling() -> dict[str, AnyKind]:
    """The echo, with a teller."""
    echo = rig.kinds(Echo())["echo"]
    assert isinstance(echo, FaceKind)
    return {"echo": replace(echo, teller=EchoTeller)}


def calling_back(gateway: Gateway, url: str) -> Request:
    sealed = gateway.vault.seal(json.dumps({"url": url}))
    return msgspec.structs.replace(purchase(), callback=Callback("echo", sealed))


async def heard(peer: HttpPeer, count: int) -> list[str]:
    """What the peer has heard, once it is so much."""
    async with asyncio.timeout(30):
        while len(peer.heard) < count:  # noqa: ASYNC110 - over a real socket
            await asyncio.sleep(0)
    return peer.heard


async def test_a_till_is_told_of_all_that_happens_in_its_order(tmp_path: Path) -> None:
    peer = HttpPeer(answering(OK))
    host, port = await peer.listen()
    settings = rig.configuration(tmp_path, callbacks=CallbackSettings(allow=("127.0.0.1",)))
    async with rig.running(settings, telling()) as gateway:
        sale = await gateway.engine.accept(
            calling_back(gateway, f"http://{host}:{port}/"), WhenBusy.REJECT
        )
        told = await heard(peer, 3)
        assert told == ["POST dispatch", "POST received", "POST approve"]
        letters = await gateway.journal.read(lambda reader: reader.letters_of(sale.id))
        assert [each.kind for each in letters] == ["dispatch", "received", "approve"]
    assert (tmp_path / "journal.db.key").exists()


async def test_what_was_not_told_is_told_after_the_next_start(tmp_path: Path) -> None:
    """The till is down while the gateway lives, and back when it starts again."""
    peer = HttpPeer(answering(OK))
    host, port = await peer.listen()
    (tmp_path / "keys").mkdir()
    settings = msgspec.structs.replace(
        rig.configuration(tmp_path, callbacks=CallbackSettings(allow=("127.0.0.1",))),
        journal=JournalSettings(
            path=str(tmp_path / "journal.db"), key_file=str(tmp_path / "keys" / "key")
        ),
    )
    async with rig.running(settings, telling()) as gateway:
        await gateway.delivery.stop()
        sale = await gateway.engine.accept(
            calling_back(gateway, f"http://{host}:{port}/"), WhenBusy.REJECT
        )
        await gateway.engine.wait(sale.id, lambda each: each.is_final, 30)
    assert peer.heard == []
    async with rig.running(settings, telling()):
        assert await heard(peer, 3) == ["POST dispatch", "POST received", "POST approve"]
    assert (tmp_path / "keys" / "key").exists()


async def test_the_gateways_own_network_is_not_called_unless_it_is_allowed(tmp_path: Path) -> None:
    peer = HttpPeer(answering(OK))
    host, port = await peer.listen()
    async with rig.running(rig.configuration(tmp_path), telling()) as gateway:
        sale = await gateway.engine.accept(
            calling_back(gateway, f"http://{host}:{port}/"), WhenBusy.REJECT
        )
        await gateway.engine.wait(sale.id, lambda each: each.is_final, 30)
        counted = ("tillwire_letters_total", ("callback", "given_up"))
        async with asyncio.timeout(30):
            while samples(gateway.metrics).get(counted) != 3:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
        letters = await gateway.journal.read(lambda reader: reader.letters_of(sale.id))
        assert {each.state for each in letters} == {LetterState.GIVEN_UP}
        assert samples(gateway.metrics)["tillwire_letters_waiting", ()] == 0
    assert peer.connections == 0


async def test_a_mistake_in_what_is_allowed_is_told_at_the_start(tmp_path: Path) -> None:
    settings = rig.configuration(tmp_path, callbacks=CallbackSettings(allow=("127.1",)))
    with pytest.raises(ConfigurationError, match="allow"):
        await Gateway(settings, faces=telling()).open()
