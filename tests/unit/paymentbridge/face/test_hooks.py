"""Hooks: made, shown without their secret, delivered with a signature, and removed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.kit.cloud import Json
from tests.kit.runner import virtual
from tests.unit.paymentbridge.face.cloud import (
    APPLICATION,
    BUSINESS,
    OTHER_BUSINESS,
    READER,
    STRANGER,
    CloudApplication,
    cloud,
    living,
    receiving,
)
from tillwire.core.ports import Unit
from tillwire.dialects.paymentbridge.face import hooks
from tillwire.errors import ConfigurationError
from tillwire.journal.vault import KeyFileVault

_EVENTS = [
    "TRANSACTION_AUTHORIZED",
    "TRANSACTION_CAPTURED",
    "TRANSACTION_DECLINED",
    "TRANSACTION_REFUNDED",
    "TRANSACTION_VOIDED",
]
_DELIVERIES = f"/businesses/{BUSINESS}/deliveries"


def _wanted(till: CloudApplication, **more: Json) -> dict[str, Json]:
    said = {
        "applicationId": APPLICATION,
        "businessId": BUSINESS,
        "deliveryUrl": till.cloud.receiver.url,
        "secret": "s3cret",
        "eventTypes": _EVENTS,
        **more,
    }
    return {key: value for key, value in said.items() if value is not None}


@virtual()
async def test_a_hook_is_made_shown_and_removed_with_a_slash_or_without(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        for path in ("/hooks", "/hooks/"):
            answer = await till.ask("POST", path, _wanted(till))
            assert answer.status == 201
            made = answer.json
            assert set(made["secret"]) == {"*"}
            assert (made["active"], made["eventTypes"]) == (True, _EVENTS)
            assert (made["applicationId"], made["businessId"]) == (APPLICATION, BUSINESS)
            assert await till.get(f"/hooks/{made['id']}") == made
            listed = await till.get(f"/hooks?businessId={BUSINESS}")
            assert listed["hooks"] == [made]
            assert (await till.get("/hooks"))["count"] == 1
            assert (await till.ask("DELETE", f"/hooks/{made['id']}/")).status == 204
            answer = await till.ask("GET", f"/hooks/{made['id']}")
            assert (answer.status, answer.code) == (404, "RESOURCE_NOT_FOUND")
            assert (await till.get("/hooks"))["hooks"] == []
        secret = await there.gateway.journal.read(
            lambda reader: [each.sealed_secret for each in reader.estate().hooks.values()]
        )
        assert not any("s3cret" in each for each in secret)


@virtual()
async def test_a_hook_is_refused_by_what_is_wrong_with_it(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        for more, status, code in (
            ({"businessId": None}, 400, "MISSING_PARAMETER"),
            ({"deliveryUrl": None}, 400, "MISSING_PARAMETER"),
            ({"eventTypes": None}, 400, "MISSING_PARAMETER"),
            ({"eventTypes": []}, 400, "INVALID_PARAMETER"),
            ({"deliveryUrl": "ftp://example.com"}, 400, "INVALID_PARAMETER"),
            ({"deliveryUrl": "http://10.0.0.1/hook"}, 400, "WEBHOOK_UNDELIVERABLE"),
            ({"businessId": OTHER_BUSINESS}, 404, "BUSINESS_NOT_FOUND"),
            ({"applicationId": STRANGER}, 404, "APPLICATION_NOT_FOUND"),
        ):
            answer = await till.ask("POST", "/hooks", _wanted(till, **more))
            assert (answer.status, answer.code) == (status, code), more


def _files(folder: Path) -> list[bytes]:
    found = [each.read_bytes() for each in folder.iterdir() if each.is_file()]
    assert any(b"TRANSACTION_CAPTURED" in each for each in found)
    return found


@virtual()
async def test_the_journal_alone_does_not_tell_where_a_hook_leads(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        address = f"{there.receiver.url}?token=t0ken"
        wanted, headers = _wanted(till, deliveryUrl=address), {"Poynt-Request-Id": "r-1"}
        made = (await till.ask("POST", "/hooks", wanted, headers=headers)).json
        assert made["deliveryUrl"] == address
        assert await till.get(f"/hooks/{made['id']}") == made
        await till.send(till.order(amount=1000, callbackUrl=None))
        await _until(till, 1)
        (delivery,) = (await till.get(_DELIVERIES))["deliveries"]
        assert delivery["deliveryUrl"] == address
        again = await till.ask("POST", "/hooks", wanted, headers=headers)
        assert again.json == made
        assert not any(b"t0ken" in octets for octets in _files(tmp_path))


@virtual()
async def test_a_hook_that_cannot_be_told_costs_nobody_else_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        good, broken, unusable = [
            (await till.ask("POST", "/hooks", _wanted(till))).json["id"] for _ in range(3)
        ]
        sealed = there.gateway.vault.seal("no JSON")
        opened = KeyFileVault.open

        def fails(vault: KeyFileVault, text: str) -> str:
            if text == "unusable":
                raise ConfigurationError("The key file cannot be read.")
            return opened(vault, text)

        def spoil(unit: Unit) -> None:
            known = unit.estate().hooks
            unit.put(msgspec.structs.replace(known[broken], sealed_secret=sealed))
            unit.put(msgspec.structs.replace(known[unusable], sealed_secret="unusable"))

        monkeypatch.setattr(KeyFileVault, "open", fails)
        await there.gateway.engine.change_estate(spoil)
        with capture_logs() as written:
            await till.pay(1000)
        lost = [each["hook"] for each in written if each["event"] == "a hook cannot be told"]
        assert sorted(lost) == sorted([broken, unusable])
        (sale,) = there.transactions()
        channels = [each.channel for each in await there.letters(sale.id)]
        assert channels == ["callback"] * 3 + [f"hook:{good}"]


@virtual()
async def test_removed_hooks_are_forgotten_but_for_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "MOST_REMOVED", 2)
    async with cloud(tmp_path) as there:
        till, reader = await there.application(), await there.application(READER)
        others = (await reader.ask("POST", "/hooks", _wanted(till, applicationId=READER))).json
        assert (await reader.ask("DELETE", f"/hooks/{others['id']}")).status == 204
        made = []
        for _ in range(5):
            made.append((await till.ask("POST", "/hooks", _wanted(till))).json["id"])
            await asyncio.sleep(1)
            assert (await till.ask("DELETE", f"/hooks/{made[-1]}")).status == 204
        left = await there.gateway.journal.read(lambda each: set(each.estate().hooks))
        assert left == {others["id"], *made[-2:]}
        assert set(there.gateway.engine.estate.hooks) == left


@virtual()
async def test_hooks_are_each_applications_own(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till, reader = await there.application(), await there.application(READER)
        made = (await till.ask("POST", "/hooks", _wanted(till))).json
        for method in ("GET", "DELETE"):
            answer = await reader.ask(method, f"/hooks/{made['id']}")
            assert (answer.status, answer.code) == (404, "RESOURCE_NOT_FOUND")
        assert (await reader.get("/hooks"))["hooks"] == []
        assert (await reader.get(_DELIVERIES))["deliveries"] == []


@virtual()
async def test_a_business_has_so_many_hooks_and_no_more(tmp_path: Path, monkeypatch: Json) -> None:
    monkeypatch.setattr(hooks, "MOST", 2)
    async with cloud(tmp_path) as there:
        till = await there.application()
        statuses = [(await till.ask("POST", "/hooks", _wanted(till))).status for _ in range(3)]
        assert statuses == [201, 201, 400]


@virtual()
async def test_a_hook_asked_for_twice_under_one_id_is_made_once(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        headers = {"Poynt-Request-Id": "r-1"}
        first = await till.ask("POST", "/hooks", _wanted(till), headers=headers)
        again = await till.ask("POST", "/hooks", _wanted(till), headers=headers)
        assert first.body == again.body
        assert (await till.get("/hooks"))["count"] == 1


async def _until(till: CloudApplication, count: int) -> list[Json]:
    """The hook's deliveries, once so many have arrived."""
    receiver = till.cloud.receiver
    async with asyncio.timeout(60):
        while len(receiver.heard) < count:
            receiver.news.clear()
            await receiver.news.wait()
    return [each.json for each in receiver.heard]


@virtual()
async def test_deliveries_are_signed_and_lead_to_the_transaction(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        hook = (await till.ask("POST", "/hooks", _wanted(till))).json
        await till.send(till.order(amount=1000, callbackUrl=None))
        (event,) = await _until(till, 1)
        (sale,) = await till.listed()
        assert (event["eventType"], event["resource"]) == ("TRANSACTION_CAPTURED", "/transactions")
        assert (event["resourceId"], event["hookId"]) == (sale["id"], hook["id"])
        assert (event["businessId"], event["storeId"]) == (BUSINESS, sale["context"]["storeId"])
        assert event["deviceId"] == sale["context"]["storeDeviceId"]
        (link,) = event["links"]
        base = there.gateway.url("paymentbridge")
        assert link["href"] == f"{base}/businesses/{BUSINESS}/transactions/{sale['id']}"
        (heard,) = there.receiver.heard
        signed = hmac.new(b"s3cret", heard.octets, hashlib.sha1).digest()
        assert heard.headers["poynt-webhook-signature"] == base64.b64encode(signed).decode()
        await asyncio.sleep(1)
        (delivery,) = (await till.get(_DELIVERIES))["deliveries"]
        assert (delivery["id"], delivery["status"]) == (event["id"], "DELIVERED")
        assert (delivery["hookId"], delivery["resourceId"]) == (hook["id"], sale["id"])


@virtual()
async def test_each_thing_that_happens_has_its_event(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        quiet: dict[str, Json] = {"callbackUrl": None}
        await till.ask("POST", "/hooks", _wanted(till, secret=None))
        told: list[str] = []

        async def happens(event: str | None, data: Json) -> str:
            await till.send(data)
            if event is not None:
                told.append(event)
            await _until(till, len(told))
            await asyncio.sleep(3)
            found: str = there.receiver.heard[-1].json["resourceId"]
            return found

        sale = await happens("TRANSACTION_CAPTURED", till.order(amount=1000, **quiet))
        await happens("TRANSACTION_DECLINED", till.order(amount=1241, **quiet))
        await happens(None, till.order(amount=1243, **quiet))
        reserved = await happens("TRANSACTION_AUTHORIZED", till.order("authorize", 1500, **quiet))
        refund = await happens(
            "TRANSACTION_REFUNDED", till.order("refund", 400, transactionId=sale, **quiet)
        )
        assert refund != sale
        voided = await happens(
            "TRANSACTION_VOIDED", till.order("void", None, transactionId=reserved, **quiet)
        )
        assert voided == reserved
        assert [each.json["eventType"] for each in there.receiver.heard] == told
        assert all("poynt-webhook-signature" not in each.headers for each in there.receiver.heard)
        names = [each.json["id"] for each in there.receiver.heard]
        assert len(set(names)) == len(names)


@virtual()
async def test_only_what_was_asked_for_is_told(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        wanted = _wanted(till, eventTypes=["transaction_declined", "ORDER_OPENED"])
        await till.ask("POST", "/hooks", wanted)
        await till.send(till.order(amount=1000, callbackUrl=None))
        await till.send(till.order(amount=1241, callbackUrl=None))
        (event,) = await _until(till, 1)
        assert event["eventType"] == "TRANSACTION_DECLINED"


@virtual()
async def test_a_delivery_that_fails_is_tried_again_under_the_same_id(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        await till.ask("POST", "/hooks", _wanted(till))
        there.receiver.statuses = [500, 404, 204]
        await till.send(till.order(amount=1000, callbackUrl=None))
        await _until(till, 1)
        await asyncio.sleep(1)
        (delivery,) = (await till.get(_DELIVERIES))["deliveries"]
        assert (delivery["status"], delivery["attempt"]) == ("ERRORED_RETRYING", 1)
        await asyncio.sleep(300)
        events = await _until(till, 3)
        assert len({each["id"] for each in events}) == 1
        assert len(there.receiver.heard) == 3
        (delivery,) = (await till.get(_DELIVERIES))["deliveries"]
        assert delivery["status"] == "DELIVERED"


@virtual()
async def test_a_removed_hook_is_told_nothing_more_and_a_dead_one_is_given_up(
    tmp_path: Path,
) -> None:
    async with receiving() as receiver, living(tmp_path, receiver) as there:
        till = await there.application()
        hook = (await till.ask("POST", "/hooks", _wanted(till))).json
        receiver.statuses = [500] * 99
        await till.send(till.order(amount=1000, callbackUrl=None))
        await _until(till, 1)
        await asyncio.sleep(86_000)
        await till.sign_in()
        (delivery,) = (await till.get(_DELIVERIES))["deliveries"]
        assert (delivery["status"], delivery["attempt"]) == ("ERRORED", 6)
        assert (await till.ask("DELETE", f"/hooks/{hook['id']}")).status == 204
        count = len(receiver.heard)
        await till.send(till.order(amount=1100, callbackUrl=None))
        await asyncio.sleep(60)
        assert len(receiver.heard) == count
        assert (await till.get(_DELIVERIES))["count"] == 1
