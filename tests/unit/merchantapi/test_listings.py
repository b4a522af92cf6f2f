"""Stores and terminals, and the headers of every listing (source 004, "Pagination")."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.merchantapi.shop import PREFIX, TERMINAL, open_shop
from tillwire.dialects.merchantapi import paging

LISTINGS = ("/stores", "/terminals", f"/terminals/{TERMINAL}/transactions", "/apikeys")


async def test_a_store_tells_where_it_is(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        assert (await shop.till.get("/stores")).json == [
            {
                "uuid": "shop-s",
                "name": "Corner Shop",
                "address": "Damrak 1",
                "city": "Amsterdam",
                "zip_code": "1012 LG",
                "country": "NL",
                "time_zone": "Europe/Amsterdam",
                "currency": "EUR",
            }
        ]


async def test_a_terminal_tells_its_name_and_store_and_no_more(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        listed = (await shop.till.get("/terminals")).json
        assert [each["serial"] for each in listed] == ["t1", "t2", "t3"]
        assert listed[0] == {
            "manufacturer": "TILLWIRE",
            "model": "V1",
            "serial": "t1",
            "store": {"uuid": "shop-s", "name": "Corner Shop"},
        }


async def test_the_vendors_example(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await shop.stores(67)
        answer = await shop.till.get("/stores?page=3&size=10")
        base = f"http://till.test:8700{PREFIX}/stores"
        assert answer.header("x-total-count") == "67"
        assert answer.header("link") == (
            f'<{base}?size=10&page=2>; rel="prev",<{base}?size=10&page=4>; rel="next",'
            f'<{base}?size=10&page=1>; rel="first",<{base}?size=10&page=7>; rel="last"'
        )
        assert len(answer.json) == 10


async def test_following_next_meets_every_store_once(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await shop.stores(67)
        seen, path = [], "/stores?size=25"
        while path:
            answer = await shop.till.get(path)
            seen += [each["uuid"] for each in answer.json]
            following = paging.links(answer.header("link") or "").get("next", "")
            path = following.partition(PREFIX)[2]
        assert len(seen) == len(set(seen)) == 67


@pytest.mark.parametrize("path", LISTINGS)
async def test_every_listing_has_pages(tmp_path: Path, path: str) -> None:
    async with open_shop(tmp_path) as shop:
        answer = await shop.till.get(path)
        assert answer.status == 200
        assert int(answer.header("x-total-count") or "") == len(answer.json)
        assert answer.header("link") == ""
        for query in ("page=0", "page=abc", "size=101", "size=0", "page=1&page=1", "size="):
            refused = await shop.till.get(f"{path}?{query}")
            assert refused.status == 400
            assert refused.json["detail"].startswith(query[:4] + ": ")


@pytest.mark.parametrize("query", ["%ff=%ff", "&&&", "=", "page=1&q=%00%0d%0a", "x" * 5000])
async def test_odd_queries_harm_nothing(tmp_path: Path, query: str) -> None:
    async with open_shop(tmp_path) as shop:
        answer = await shop.till.get(f"/terminals?size=1&{query}")
        assert answer.status == 200
        assert answer.header("link")
