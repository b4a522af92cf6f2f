"""Who may come in (source 004, "Failure to Authenticate")."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.unit.merchantapi.shop import TERMINAL, Answer, Shop, Till, open_shop
from tillwire.clock import Instant

HOUR = 3_600_000


def is_problem(answer: Answer, status: int) -> bool:
    assert answer.header("content-type") == "application/problem+json"
    return answer.status == answer.json["status"] == status


@pytest.mark.parametrize("key", [None, "", "   "])
@pytest.mark.parametrize("path", ["/stores", "/nowhere", f"/terminals/{TERMINAL}/transactions"])
async def test_without_a_key_nothing_is_told(tmp_path: Path, key: str | None, path: str) -> None:
    async with open_shop(tmp_path) as shop:
        for method in ("GET", "POST", "PATCH"):
            answer = await Till(shop.app, key).send(method, path)
            assert is_problem(answer, 401)
            assert answer.header("www-authenticate") == "ApiKey"


async def test_the_answer_is_the_vendors(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        answer = await Till(shop.app, "wrong", root="").get("/stores")
        assert answer.json == {
            "status": 403,
            "title": "Forbidden",
            "detail": "Invalid API Key.",
            "instance": "/stores",
        }


async def test_bad_keys_are_refused_alike(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        now = shop.clock.now()
        expired, _ = await shop.new_key(valid_until=Instant(now - 1))
        early, _ = await shop.new_key(valid_from=Instant(now + HOUR))
        revoked, key = await shop.new_key()
        await shop.put(msgspec.structs.replace(key, revoked_at=now))
        assert shop.till.key is not None
        wrong = [Till(shop.app, text) for text in ("x", "ÿ", shop.till.key + "x", "x" * 10_000)]
        twice = Till(shop.app, shop.till.key, more=[("API-Key", shop.till.key)])
        told = {
            (await till.get("/stores")).body for till in (expired, early, revoked, twice, *wrong)
        }
        assert len(told) == 1
        assert is_problem(await twice.get("/stores"), 403)


async def test_a_key_opens_from_its_first_instant_and_closes_at_its_last(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        now = shop.clock.now()
        till, _ = await shop.new_key(
            valid_from=Instant(now + HOUR), valid_until=Instant(now + 2 * HOUR)
        )
        seen = []
        for shift in (0, HOUR + 1000, 2 * HOUR + 1000):
            shop.clock.shift = shift
            seen.append((await till.get("/stores")).status)
        assert seen == [403, 200, 403]


@pytest.mark.parametrize("name", ["API-Key", "api-key", "Api-Key", "API-KEY"])
async def test_the_headers_name_is_taken_in_any_case(tmp_path: Path, name: str) -> None:
    async with open_shop(tmp_path) as shop:
        assert (await Till(shop.app, shop.till.key, name).get("/stores")).status == 200


async def test_a_revoked_key_is_dead_at_once(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        second, key = await shop.new_key()
        assert (await second.get("/stores")).status == 200
        assert (await shop.till.delete(f"/apikeys/{key.id}")).status == 204
        assert (await second.get("/stores")).status == 403


async def test_with_a_bad_key_nothing_can_be_learned(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        transaction_id = (await shop.till.start()).json["id"]
        stranger = Till(shop.app, "wrong")
        for answer in (
            await stranger.read(transaction_id),
            await stranger.cancel(transaction_id),
            await stranger.start(),
            await stranger.get("/nowhere"),
            await stranger.send("PUT", "/stores"),
        ):
            assert is_problem(answer, 403)


async def test_documents_need_no_key(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        for path in ("/openapi.json", "/docs"):
            assert (await Till(shop.app).get(path)).status == 200


async def other_organisations_things(shop: Shop) -> list[Answer]:
    mine = (await shop.till.start()).json["id"]
    till = shop.neighbour
    return [
        await till.read(mine),
        await till.read(mine, "TILLWIRE-V1-x1"),
        await till.cancel(mine),
        await till.start(),
        await till.get(f"/terminals/{TERMINAL}/transactions"),
        await till.get(f"/terminals/{TERMINAL}/daytotals/today"),
        await till.delete(f"/apikeys/{shop.keys[0].id}"),
    ]


async def test_another_organisations_things_do_not_exist(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        assert [answer.status for answer in await other_organisations_things(shop)] == [404] * 7
        assert [each["serial"] for each in (await shop.neighbour.get("/terminals")).json] == ["x1"]
        assert len((await shop.neighbour.get("/stores")).json) == 1
        assert len((await shop.neighbour.get("/apikeys")).json) == 1
