"""`/businesses/{id}/transactions`: what is listed, by what it is found, and page after page."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.kit.cloud import Json
from tests.kit.runner import virtual
from tests.kit.shop import STORE
from tests.unit.paymentbridge.face.cloud import (
    BUSINESS,
    DEVICE,
    OTHER_BUSINESS,
    OTHER_STORE,
    SECOND_DEVICE,
    SECOND_LANE,
    STRANGER,
    Cloud,
    CloudApplication,
    cloud,
)
from tillwire.core.model import Request, Transaction, TransactionType
from tillwire.core.occupancy import WhenBusy
from tillwire.dialects.paymentbridge.face import listing
from tillwire.dialects.paymentbridge.wire import ids
from tillwire.journal import rows
from tillwire.money import Money

_LIST = f"/businesses/{BUSINESS}/transactions"


def _ids(found: list[Json]) -> list[str]:
    return [each["id"] for each in found]


@virtual()
async def test_pages_are_linked_by_addresses_that_clients_put_a_host_before(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        made = [await till.pay(1000 + number) for number in range(5)]
        found: list[Json] = []
        path = f"{_LIST}?limit=2"
        sizes = []
        while path:
            page = await till.get(path)
            sizes.append(page["count"])
            found += page["transactions"]
            links = [link for link in page["links"] if link["rel"] == "next"]
            path = links[0]["href"] if links else ""
            assert path == "" or path.startswith(_LIST)
        assert sizes == [2, 2, 1]
        assert found == made[::-1]


async def _furnished(there: Cloud) -> tuple[CloudApplication, dict[str, Json]]:
    """A till, and a transaction of each kind, a minute apart."""
    till = await there.application()
    made: dict[str, Json] = {}
    for name, amount, more in (
        ("sale", 1000, {}),
        ("declined", 1241, {}),
        ("reserved", 1300, {"action": "authorize"}),
    ):
        made[name] = await till.pay(amount, **more)
        await asyncio.sleep(60)
    made["refund"] = await till.pay(400, action="refund", transactionId=made["sale"]["id"])
    order = till.order(amount=1100)
    await till.send(order, deviceId=SECOND_DEVICE)
    final = await there.receiver.final(order["referenceId"])
    made["elsewhere"] = final["transactions"][0]
    return till, made


async def _paid_elsewhere(there: Cloud, reference: str) -> None:
    """A sale through another face, at the second lane."""
    request = Request(
        organisation_id="shop",
        terminal_id=SECOND_LANE.id,
        dialect="merchantapi",
        type=TransactionType.PURCHASE,
        amount=Money(1000, "EUR"),
        reference=reference,
    )
    engine = there.gateway.engine
    made = await engine.accept(request, WhenBusy.REJECT)
    await engine.wait(made.id, lambda each: each.is_final, 60)


_FILTERS: dict[str, set[str]] = {
    "": {"sale", "declined", "reserved", "refund", "elsewhere"},
    "action=sale": {"sale", "declined", "elsewhere"},
    "action=REFUND": {"refund"},
    "status=DECLINED": {"declined"},
    "status=captured": {"sale", "elsewhere"},
    "authOnly=true": {"reserved"},
    "unsettledOnly=true": {"declined", "reserved"},
    "creditDebitOnly=true": {"sale", "declined", "reserved", "refund", "elsewhere"},
    f"storeId={STORE}": {"sale", "declined", "reserved", "refund", "elsewhere"},
    f"storeId={OTHER_STORE}": set(),
    f"deviceId={SECOND_DEVICE}": {"elsewhere"},
    f"deviceId={DEVICE}&action=SALE": {"sale", "declined"},
    "deviceId=urn:tid:none": set(),
    "cardHolderLastName=Doe": set(),
    "searchKey=nobody": set(),
}


@virtual()
async def test_filters_leave_what_they_ask_for(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till, made = await _furnished(there)
        for query, names in _FILTERS.items():
            found = {each["id"] for each in await till.listed(f"?{query}")}
            assert found == {made[name]["id"] for name in names}, query
        sale = made["sale"]
        last4 = sale["fundingSource"]["card"]["numberLast4"]
        by_card = await till.listed(f"?cardNumberLast4={last4}")
        assert sale["id"] in _ids(by_card)
        assert {each["fundingSource"]["card"]["numberLast4"] for each in by_card} == {last4}
        by_id = await till.listed(f"?transactionIds={sale['id']},{made['refund']['id']},x")
        assert _ids(by_id) == [made["refund"]["id"], sale["id"]]
        reference = made["refund"]["references"][0]["id"]
        assert _ids(await till.listed(f"?searchKey={reference}")) == [made["refund"]["id"]]
        assert _ids(await till.listed(f"?searchKey={sale['id']}")) == [sale["id"]]


@virtual()
async def test_time_is_asked_for_in_both_notations(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till, made = await _furnished(there)
        first = datetime.fromisoformat(made["sale"]["createdAt"])
        middle = (first + timedelta(seconds=30)).isoformat()
        seconds = there.gateway.clock.now() // 1000
        before = {made["sale"]["id"]}
        assert set(_ids(await till.listed(f"?endAt={quote(middle)}"))) == before
        later = set(_ids(await till.listed(f"?startAt={quote(middle)}")))
        assert later == {each["id"] for each in made.values()} - before
        assert await till.listed(f"?startAt={seconds + 60}") == []
        assert len(await till.listed(f"?startAt={seconds - 3600}&endAt={seconds + 60}")) == 5
        assert len(await till.listed(f"?startAt={(seconds - 3600) * 1000}")) == 5


@virtual()
async def test_what_changed_later_is_found_by_that(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale, untouched = await till.pay(1000), await till.pay(1100)
        await asyncio.sleep(3600)
        voided = await till.ask("POST", f"{_LIST}/{sale['id']}/void")
        assert voided.status == 200
        since = there.gateway.clock.now() // 1000 - 60
        assert await till.listed(f"?startAt={since}") == []
        found = await till.listed(f"?startAt={since}&timeType=updatedAt")
        assert _ids(found) == [sale["id"]]
        assert untouched["id"] in _ids(await till.listed())


@virtual()
async def test_a_filter_that_is_wrong_is_refused(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        for query in (
            "limit=0",
            "limit=101",
            "startOffset=-1",
            "startAt=yesterday",
            "authOnly=maybe",
            "timeType=never",
            f"searchKey={'x' * 300}",
        ):
            answer = await till.ask("GET", f"{_LIST}?{query}")
            assert (answer.status, answer.code) == (400, "INVALID_PARAMETER"), query


@virtual()
async def test_a_search_that_would_read_too_much_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_READ", 3)
    monkeypatch.setattr(listing, "_AT_ONCE", 2)
    async with cloud(tmp_path) as there:
        till = await there.application()
        for number in range(5):
            await till.pay(1000 + number)
        answer = await till.ask("GET", f"{_LIST}?status=DECLINED")
        assert (answer.status, answer.code) == (400, "INVALID_PARAMETER")
        assert len(await till.listed("?limit=2")) == 2


@virtual()
async def test_no_page_has_more_read_than_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = 0
    decode = rows.transaction

    def counting(row: Json) -> Transaction:
        nonlocal decoded
        decoded += 1
        return decode(row)

    async with cloud(tmp_path) as there:
        till = await there.application()
        for number in range(4):
            await till.pay(1000 + number)
            await _paid_elsewhere(there, "till-9")
        monkeypatch.setattr(listing, "MOST_READ", 3)
        monkeypatch.setattr(rows, "transaction", counting)
        for query, status in (
            ("limit=1", 200),
            ("limit=100", 400),
            ("searchKey=till-9&limit=1", 200),
            ("searchKey=till-9&limit=100", 400),
        ):
            decoded = 0
            answer = await till.ask("GET", f"{_LIST}?{query}")
            assert answer.status == status, query
            assert decoded <= 3, query
        monkeypatch.setattr(listing, "MOST_READ", 20_000)
        assert len(await till.listed("?searchKey=till-9")) == 4
        assert len(await till.listed("?limit=100")) == 8


@virtual()
async def test_one_transaction_is_read_by_its_id(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till, stranger = await there.application(), await there.application(STRANGER)
        sale = await till.pay(1000)
        assert await till.get(f"{_LIST}/{sale['id']}") == sale
        assert await till.get(f"{_LIST}/{sale['id'].upper()}/") == sale
        never = till.order(amount=1243)
        await till.send(never)
        await there.receiver.final(never["referenceId"])
        cancelled = there.transactions()[1]
        for caller, path, code in (
            (till, f"{_LIST}/{ids.transaction_uuid(cancelled.id)}", "TRANSACTION_NOT_FOUND"),
            (till, f"{_LIST}/00000000-0000-4000-8000-000000000000", "TRANSACTION_NOT_FOUND"),
            (till, f"{_LIST}/nonsense", "TRANSACTION_NOT_FOUND"),
            (till, f"/businesses/{OTHER_BUSINESS}/transactions/{sale['id']}", "BUSINESS_NOT_FOUND"),
            (stranger, f"{_LIST}/{sale['id']}", "BUSINESS_NOT_FOUND"),
            (
                stranger,
                f"/businesses/{OTHER_BUSINESS}/transactions/{sale['id']}",
                "TRANSACTION_NOT_FOUND",
            ),
        ):
            answer = await caller.ask("GET", path)
            assert (answer.status, answer.code) == (404, code), path
        path = f"/businesses/{OTHER_BUSINESS}/transactions?searchKey="
        assert (await stranger.get(path + sale["id"]))["transactions"] == []
        reference = sale["references"][0]["id"]
        assert (await stranger.get(path + reference))["transactions"] == []


@virtual()
async def test_what_came_through_another_face_is_listed_too(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        await _paid_elsewhere(there, "till-9")
        (listed,) = await till.listed("?searchKey=till-9")
        assert (listed["action"], listed["status"]) == ("SALE", "CAPTURED")
