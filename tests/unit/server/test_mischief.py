"""Where a backend of SoftPOS can be told to misbehave: beside virtual terminals, and not in
production."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import aiohttp
import pytest

from tests.unit.server import rig
from tests.unit.server.test_tls import CLIENTS, SERVER
from tillwire.config import FaceSettings, ListenerSettings, TlsSettings
from tillwire.dialects.softpos.face.settings import Settings
from tillwire.net.asgi import App
from tillwire.server.faces import FACES, FaceKind, NoSettings, Parts

VIRTUAL = FaceSettings(name="virtual", prefix="/v1/virtual")


def backend(profile: str) -> ListenerSettings:
    tls = TlsSettings(certificate=SERVER, key=SERVER, client_ca=str(CLIENTS / "client_ca.pem"))
    face = FaceSettings(name="softpos", settings={"profile": profile})
    return ListenerSettings(name="backends", port=0, tls=tls, faces=(face,))


async def told(url: str) -> int:
    """What who tells the backend to misbehave is answered."""
    order = {"next": [{"status": 500}]}
    async with (
        aiohttp.ClientSession() as session,
        session.put(f"{url}/v1/virtual/softpos", json=order) as answer,
    ):
        return answer.status


@pytest.mark.parametrize(("profile", "status"), [("", 404), ("production", 404), ("staging", 200)])
async def test_only_a_backend_that_is_not_productions_misbehaves(
    tmp_path: Path, profile: str, status: int
) -> None:
    listeners = [rig.listener(faces=(VIRTUAL,)), *([backend(profile)] if profile else [])]
    async with rig.running(rig.configuration(tmp_path, *listeners), FACES) as gateway:
        assert await told(gateway.listeners["front"].url) == status


async def test_without_virtual_terminals_no_backend_misbehaves(tmp_path: Path) -> None:
    def served(parts: Parts, settings: NoSettings) -> App:
        # One that serves the same gateway, which has no virtual terminals as far as it knows.
        FACES["softpos"].create(dataclasses.replace(parts, world=None), Settings())
        return FACES["virtual"].create(parts, settings)  # type: ignore[return-value]  # it is one

    kinds = {"virtual": FaceKind("Both", served)}
    front = rig.listener(faces=(VIRTUAL,))
    async with rig.running(rig.configuration(tmp_path, front), kinds) as gateway:
        assert await told(gateway.listeners["front"].url) == 404
