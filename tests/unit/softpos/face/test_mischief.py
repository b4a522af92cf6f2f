"""What goes wrong with the backend, for who develops against it: told through the virtual world's
face, and felt by who asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kit.runner import virtual
from tests.unit.asgi_client import Answer, AsgiClient
from tests.unit.core.scripted import approved
from tests.unit.softpos.face.shop import AUDIENCE, Backend, Shop, shop_in
from tillwire.dialects.softpos.face import face
from tillwire.dialects.softpos.face.mischief import Mischief
from tillwire.dialects.softpos.face.settings import Settings
from tillwire.virtual import face as virtual_face
from tillwire.virtual.world import World

RIGHT: Final = 404
"""What is right here: there is no such sale."""


class Sandbox:
    """A backend that can be told to misbehave, its application, and who tells it."""

    def __init__(
        self, shop: Shop, backend: Backend, mischief: Mischief, teller: AsgiClient
    ) -> None:
        self.shop = shop
        self.mischief = mischief
        self.backend = backend
        self.teller = teller

    async def tell(self, *wrongs: dict[str, Any]) -> Answer:
        return await self.teller.put("/softpos", {"next": wrongs})

    async def told(self) -> list[dict[str, Any]]:
        """What is still to come."""
        answer = await self.teller.get("/softpos")
        assert answer.status == 200
        found: list[dict[str, Any]] = answer.json()["next"]
        return found

    async def statuses(self, count: int) -> list[int]:
        return [(await self.backend.check()).status for _ in range(count)]


@asynccontextmanager
async def sandbox_in(folder: Path) -> AsyncIterator[Sandbox]:
    async with shop_in(folder) as shop:
        mischief = Mischief()
        told = Settings(audiences=(AUDIENCE,))
        shop.face = face.create(shop.engine, shop.clock, told, shop.vault, mischief)
        world = World(folder, shop.clock, 1.0)
        try:
            served = virtual_face.create(world, shop.engine, shop.vault, mischief.routes())
            client = AsgiClient(served, root="/v1/virtual")
            yield Sandbox(shop, await shop.register(), mischief, client)
        finally:
            await world.stop()
            world.close()


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with sandbox_in(tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Bad Request — invalid input"),
        (401, "Unauthorized — invalid or expired token"),
        (404, "Not Found — transaction not found"),
        (500, "Internal Server Error"),
    ],
)
async def test_the_next_one_gets_a_status(sandbox: Sandbox, status: int, message: str) -> None:
    await sandbox.shop.sell(approved(), reference="sale-1")
    assert (await sandbox.tell({"status": status})).status == 200
    spoiled = await sandbox.backend.check()
    assert spoiled.status == status
    assert spoiled.json() == {"statusCode": str(status), "message": message}
    assert ("www-authenticate" in spoiled.headers) is (status == 401)
    assert (await sandbox.backend.check()).json()["status"] == "APPROVED", "then all is right"


async def test_a_field_is_said_to_be_wrong(sandbox: Sandbox) -> None:
    await sandbox.tell(
        {"status": 400, "field": "callerTrxId", "message": "Too old."},
        {"status": 400, "field": "terminalId"},
    )
    first, second = (await sandbox.backend.check()).json(), (await sandbox.backend.check()).json()
    assert first == {
        "statusCode": "400",
        "message": "Bad Request — invalid input",
        "appVersionStatus": "OK",
        "fieldErrors": [{"field": "callerTrxId", "message": "Too old."}],
    }
    assert second["fieldErrors"] == [{"field": "terminalId", "message": "It is not valid."}]


async def test_garbage_looks_like_success(sandbox: Sandbox) -> None:
    await sandbox.tell({"garbage": True})
    answer = await sandbox.backend.check()
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    with pytest.raises(ValueError, match="truncated"):
        answer.json()


async def test_each_comes_as_often_and_in_the_order_that_was_told(sandbox: Sandbox) -> None:
    told = [{"status": 500, "times": 2}, {}, {"status": 401}]
    assert (await sandbox.tell(*told)).json() == {"next": told}
    assert await sandbox.statuses(1) == [500]
    assert await sandbox.told() == [{"status": 500}, *told[1:]]
    assert await sandbox.statuses(4) == [500, RIGHT, 401, RIGHT]
    assert await sandbox.told() == []


async def test_it_is_taken_back(sandbox: Sandbox) -> None:
    await sandbox.tell({"status": 500, "times": 1000})
    assert (await sandbox.teller.delete("/softpos")).status == 204
    assert await sandbox.statuses(1) == [RIGHT]
    await sandbox.tell({"status": 500, "times": 1000})
    await sandbox.tell()
    assert await sandbox.statuses(1) == [RIGHT]


async def test_only_who_would_be_answered_is_spoiled(sandbox: Sandbox) -> None:
    await sandbox.tell({"status": 500})
    backend = sandbox.backend
    assert (await backend.check(bearer="x")).status == 401
    assert (await backend.check(assertion="x")).status == 401
    assert (await backend.check(body={"terminalId": "30350001"})).status == 400
    assertion = await backend.assertion()
    assert (await backend.check(assertion=assertion)).status == 500
    assert (await backend.check(assertion=assertion)).status == 401, "it was used up all the same"


@virtual()
async def test_an_answer_is_late(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        loop = asyncio.get_running_loop()
        await sandbox.tell({"seconds": 20}, {"seconds": 1.5, "status": 500})
        for seconds, is_right in ((20, True), (1.5, False), (0, True)):
            begun = loop.time()
            assert (await sandbox.mischief.spoil() is None) is is_right
            assert loop.time() - begun == seconds


async def test_tokens_expire_and_new_ones_are_good(sandbox: Sandbox) -> None:
    old = await sandbox.backend.bearer()
    for _ in range(2):
        assert (await sandbox.teller.delete("/softpos/tokens")).status == 204
        assert (await sandbox.backend.check(bearer=old)).status == 401
        new = await sandbox.backend.bearer()
        assert (await sandbox.backend.check(bearer=new)).status == RIGHT
        old = new


async def test_keys_that_were_fetched_before_open_nothing(sandbox: Sandbox) -> None:
    backend = sandbox.backend
    before = {each.kid for each in await backend.live_keys()}
    made_before = await backend.assertion()
    assert (await sandbox.teller.post("/softpos/keys")).status == 204
    after = {each.kid for each in await backend.live_keys()}
    assert (len(after), before & after) == (2, set())
    assert (await backend.check(assertion=made_before)).status == 401
    assert (await backend.check()).status == RIGHT


@pytest.mark.parametrize(
    ("wrong", "field", "problem"),
    [
        ({"status": 403}, "next[0].status", "403"),
        ({"status": "500"}, "next[0].status", "int"),
        ({"seconds": 121}, "next[0].seconds", "120"),
        ({"seconds": -1}, "next[0].seconds", "0"),
        ({"times": 0}, "next[0].times", "1"),
        ({"times": 1001}, "next[0].times", "1000"),
        ({"garbage": "yes"}, "next[0].garbage", "bool"),
        ({"status": 400, "field": "x" * 65}, "next[0].field", "64"),
        ({"status": 400, "field": "x", "message": "x" * 257}, "next[0].message", "256"),
        ({"field": "terminalId"}, "next[0]", "`field` goes with the status 400 alone"),
        ({"status": 500, "field": "x"}, "next[0]", "`field` goes with the status 400 alone"),
        ({"status": 400, "message": "x"}, "next[0]", "`message` goes with a `field` alone"),
        ({"status": 500, "garbage": True}, "next[0]", "one of `garbage` and `status` is enough"),
        ({"latency": 5}, "next[0]", "latency"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(
    sandbox: Sandbox, wrong: dict[str, Any], field: str, problem: str
) -> None:
    await sandbox.tell({"status": 500})
    refused = await sandbox.tell(wrong)
    assert (refused.status, refused.json()["field"]) == (400, field)
    assert problem in refused.json()["detail"]
    assert await sandbox.told() == [{"status": 500}], "what was told before stays"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "body"),
        (b"[]", "body"),
        (b"not json", "body"),
        (b'{"next": [\xff]}', "body"),
        (b'{"next": [], "now": 1}', "body"),
        (b'{"next": ' + b"[" * 60_000, "next[0]"),
        (b'{"next": [' + b", ".join([b"{}"] * 101) + b"]}", "next"),
    ],
)
async def test_a_body_that_is_none_is_refused(sandbox: Sandbox, body: bytes, field: str) -> None:
    refused = await sandbox.teller.ask("PUT", "/softpos", body)
    assert (refused.status, refused.json()["field"]) == (400, field)


async def test_a_body_has_a_limit(sandbox: Sandbox) -> None:
    assert (await sandbox.teller.ask("PUT", "/softpos", b" " * 65_537)).status == 413
