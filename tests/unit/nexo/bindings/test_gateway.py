"""All three bindings in one gateway, on real sockets and over TLS, and its stop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.unit.nexo.bindings.lane import (
    FLAT,
    HELD,
    STREAM,
    Json,
    Socket,
    abort,
    diagnosis,
    enveloped,
    event_of,
    payment,
    result_of,
    service_of,
    status,
)
from tests.unit.server import rig
from tests.unit.server.test_tls import SERVER, trusting
from tillwire.config import FaceSettings, TlsSettings
from tillwire.server.faces import FACES
from tillwire.server.gateway import Gateway

SLOW = 1049
HERE = {"poi": "V1-t1"}
"""The terminal of the rig's shop."""


@asynccontextmanager
async def serving(folder: Path, *, stop_seconds: float = 60.0) -> AsyncIterator[Gateway]:
    """A gateway with the three of them."""
    tls = TlsSettings(certificate=SERVER, key=SERVER)

    def listener(name: str, **changes: Any) -> rig.ListenerSettings:
        prefix = "/nexo" if name == HELD else ""
        face = FaceSettings(name, prefix, settings={"organisation": "shop", "poi_id": "V1-t1"})
        return rig.listener(name, faces=(face,), pages=(), **changes)

    settings = rig.configuration(
        folder,
        listener(FLAT),
        listener(HELD, tls=tls),
        listener(STREAM, tls=tls),
        stop_seconds=stop_seconds,
    )
    async with rig.running(settings, FACES) as gateway:
        yield gateway


async def held(gateway: Gateway, message: Json) -> tuple[int, str]:
    """Status and text of a held POST."""
    url = f"https://localhost:{gateway.listeners[HELD].port}/nexo/"
    async with (
        aiohttp.ClientSession() as till,
        till.post(url, data=json.dumps(enveloped(message)), ssl=trusting()) as answer,
    ):
        return answer.status, await answer.text()


async def lane(gateway: Gateway) -> Socket:
    """A connection over TLS."""
    port = gateway.listeners[STREAM].port
    return await Socket.open(port, ssl=trusting(), server_hostname="localhost")


async def test_one_binding_aborts_what_another_began(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway, await lane(gateway) as paying:
        paying.say(payment(SLOW, **HERE))
        assert service_of(await paying.hear()) == "s1"
        assert await held(gateway, abort("s1", **HERE)) == (200, "")
        assert result_of(await paying.hear_answer()) == ("Failure", "Aborted")


async def test_a_terminal_that_one_binding_uses_is_in_use_for_the_others(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway, await lane(gateway) as paying:
        paying.say(payment(SLOW, **HERE))
        await paying.hear()
        _, told = await held(gateway, payment(1000, "s2", sale="LANE-2", **HERE))
        assert result_of(json.loads(told)) == ("Failure", "Busy")
        url = f"{gateway.listeners[FLAT].url}/payment"
        async with (
            aiohttp.ClientSession() as till,
            till.post(url, json=payment(1000, "s3", **HERE)) as answer,
        ):
            assert answer.status == 403
        paying.say(abort("s1", **HERE))
        await paying.hear_answer()


async def test_a_stop_lets_go_of_held_requests_without_an_outcome(tmp_path: Path) -> None:
    async with serving(tmp_path, stop_seconds=1.0) as gateway:
        post = asyncio.create_task(held(gateway, payment(SLOW, **HERE)))
        async with await lane(gateway) as other:
            while True:
                other.say(status("s1", **HERE))
                if result_of(await other.hear()) == ("Failure", "InProgress"):
                    break
            async with asyncio.timeout(20):
                await gateway.stop()
            assert event_of(await other.hear()) == "Shutdown"
            assert await other.is_over()
        code, told = await post
    assert code == 503
    assert "Read what became of your request" in told
    async with serving(tmp_path) as gateway, await lane(gateway) as again:
        again.say(status("s1", "q2", **HERE))
        known = {("Success", ""), ("Failure", "InProgress")}
        assert result_of(await again.hear()) in known, "it was accepted, and is not forgotten"


async def test_a_stop_waits_for_what_goes_on_over_a_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway, await lane(gateway) as paying:
        paying.say(payment(SLOW, **HERE))
        await paying.hear()
        stopping = asyncio.create_task(gateway.stop())
        assert event_of(await paying.hear_answer()) == "Shutdown"
        paying.say(diagnosis(**HERE))
        assert event_of(await paying.hear_answer()) == "Reject"
        assert not stopping.done()
        paying.say(abort("s1", **HERE))
        assert result_of(await paying.hear_answer()) == ("Failure", "Aborted")
        async with asyncio.timeout(20):
            await stopping
