"""API keys (source 004, "APIKey Rotation")."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.merchantapi.shop import Till, open_shop
from tillwire.clock import Instant
from tillwire.dialects.merchantapi.keys import MOST_KEYS
from tillwire.estate.keys import new_api_key

HOUR = 3_600_000


async def test_the_secret_is_shown_once_and_opens_the_door(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        created = await shop.till.post("/apikeys", {"label": "Our 2nd APIKey"})
        assert created.status == 201
        secret = created.json["apikey"]
        assert set(created.json) == {"id", "label", "apikey"}
        assert secret.startswith("tw_")
        assert (await Till(shop.app, secret).get("/stores")).status == 200
        overview = await shop.till.get("/apikeys")
        assert secret not in overview.body.decode()
        assert created.json["id"] in [key["id"] for key in overview.json]
        assert all("apikey" not in key for key in overview.json)


async def test_an_id_is_a_whole_number_that_every_json_reader_keeps(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        made = [await shop.till.post("/apikeys", {"label": "x"}) for _ in range(10)]
        ids = {answer.json["id"] for answer in made}
        assert len(ids) == 10
        assert all(isinstance(number, int) and 0 < number < 2**53 for number in ids)


async def test_a_validity_is_kept_and_ends_by_itself(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        validity = {"from": "2022-07-01T02:00:00+02:00", "until": "2099-01-01T00:00:00+00:00"}
        created = await shop.till.post("/apikeys", {"label": "x", "validity": validity})
        assert created.json["validity"] == {
            "from": "2022-07-01T00:00:00Z",
            "until": "2099-01-01T00:00:00Z",
        }
        listed = {key["id"]: key for key in (await shop.till.get("/apikeys")).json}
        assert listed[created.json["id"]]["validity"] == created.json["validity"]


@pytest.mark.parametrize(
    "validity",
    [
        {"from": "0001-01-01T00:00:00+14:00", "until": "9999-12-31T23:59:59-12:00"},
        {"from": None, "until": "9999-12-31T23:59:59.999999Z"},
        {},
    ],
)
async def test_any_date_there_is_may_bound_it(tmp_path: Path, validity: dict[str, str]) -> None:
    async with open_shop(tmp_path) as shop:
        created = await shop.till.post("/apikeys", {"label": "x", "validity": validity})
        assert created.status == 201
        assert (await Till(shop.app, created.json["apikey"]).get("/stores")).status == 200
        assert (await shop.till.get("/apikeys")).status == 200


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({}, "label"),
        ({"label": ""}, "label"),
        ({"label": "   "}, "label"),
        ({"label": "x" * 101}, "label"),
        ({"label": "a\nb"}, "label"),
        ({"label": None}, "label"),
        (
            {
                "label": "x",
                "validity": {"from": "2026-01-01T00:00:00Z", "until": "2026-01-01T01:00:00+01:00"},
            },
            "validity.until",
        ),
        ({"label": "x", "validity": {"from": "2026-01-01T00:00:00"}}, "validity.from"),
        ({"label": "x", "validity": {"until": "2001-01-01T00:00:00Z"}}, "validity.until"),
    ],
)
async def test_a_wrong_request_is_refused_by_name(
    tmp_path: Path, message: dict[str, object], field: str
) -> None:
    async with open_shop(tmp_path) as shop:
        answer = await shop.till.post("/apikeys", message)
        assert answer.status == 400
        assert answer.json["detail"].startswith(f"{field}: ")


async def test_the_overview_drops_dead_keys_and_shows_future_ones(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        now = shop.clock.now()
        _, expired = await shop.new_key(valid_until=Instant(now - 1))
        _, future = await shop.new_key(valid_from=Instant(now + HOUR))
        _, revoked = await shop.new_key()
        await shop.till.delete(f"/apikeys/{revoked.id}")
        shown = [key["id"] for key in (await shop.till.get("/apikeys")).json]
        assert shown == [shop.keys[0].id, future.id]
        assert expired.id not in shown


async def test_rotation(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        created = (await shop.till.post("/apikeys", {"label": "2026, second half"})).json
        fresh = Till(shop.app, created["apikey"])
        assert (await fresh.delete(f"/apikeys/{shop.keys[0].id}")).status == 204
        assert (await shop.till.get("/stores")).status == 403
        assert [key["id"] for key in (await fresh.get("/apikeys")).json] == [created["id"]]


async def test_a_key_does_not_revoke_itself(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await shop.new_key()
        answer = await shop.till.delete(f"/apikeys/{shop.keys[0].id}")
        assert answer.status == 409
        assert (await shop.till.get("/stores")).status == 200


async def test_of_keys_that_revoke_each_other_one_survives(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        second, key = await shop.new_key()
        answers = await asyncio.gather(
            shop.till.delete(f"/apikeys/{key.id}"), second.delete(f"/apikeys/{shop.keys[0].id}")
        )
        assert sorted(answer.status for answer in answers) == [204, 403]
        opened = [(await till.get("/stores")).status for till in (shop.till, second)]
        assert sorted(opened) == [200, 403]


async def test_a_future_key_is_no_reason_to_lock_oneself_out(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        later = Instant(shop.clock.now() + HOUR)
        await shop.new_key(valid_from=later)
        brief, _ = await shop.new_key(valid_until=later)
        assert (await brief.delete(f"/apikeys/{shop.keys[0].id}")).status == 204
        assert (await brief.get("/stores")).status == 200


async def test_a_revoked_key_stays_dead_when_an_older_picture_comes_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_shop(tmp_path) as shop:
        second, key = await shop.new_key()
        read, slow, old_was_read = shop.engine.journal.read, asyncio.Event(), asyncio.Event()

        async def late(work: Callable[[Any], Any]) -> Any:
            old = await read(work)
            old_was_read.set()
            await slow.wait()
            return old

        with monkeypatch.context() as delayed:
            delayed.setattr(shop.engine.journal, "read", late)
            creating = asyncio.create_task(shop.till.post("/apikeys", {"label": "x"}))
            await old_was_read.wait()
        assert (await shop.till.delete(f"/apikeys/{key.id}")).status == 204
        slow.set()
        assert (await creating).status == 201
        assert (await second.get("/stores")).status == 403


async def test_a_revoked_key_can_be_revoked_once(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        _, key = await shop.new_key()
        answers = await asyncio.gather(*(shop.till.delete(f"/apikeys/{key.id}") for _ in range(20)))
        assert sorted(answer.status for answer in answers) == [204] + [404] * 19


@pytest.mark.parametrize("number", ["1", "abc", "-5", "0x1", "9" * 30, "1.0", "%20"])
async def test_an_unknown_key_is_not_there(tmp_path: Path, number: str) -> None:
    async with open_shop(tmp_path) as shop:
        assert (await shop.till.delete(f"/apikeys/{number}")).status == 404


async def test_the_number_of_keys_is_bounded(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        keys = [new_api_key("shop", "x", shop.clock)[0] for _ in range(MOST_KEYS - 2)]
        await shop.put(*keys)
        seen = [(await shop.till.post("/apikeys", {"label": "x"})).status for _ in range(2)]
        assert seen == [201, 409]
