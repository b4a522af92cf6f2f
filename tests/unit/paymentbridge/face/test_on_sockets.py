"""The same on real sockets and real files: a token, a payment, its callbacks, a hook, a list."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.unit.paymentbridge.face.cloud import BUSINESS, cloud, living, receiving


def test_an_application_pays_and_hears_of_it(tmp_path: Path) -> None:
    async def play() -> None:
        async with asyncio.timeout(30), cloud(tmp_path, gzip=True) as there:
            till = await there.application()
            sale = await till.pay(1234)
            refund = await till.pay(234, action="refund", transactionId=sale["id"])
            assert await till.listed() == [refund, sale]
            for callback in there.receiver.heard:
                assert callback.headers["content-encoding"] == "gzip"
            hook = {
                "businessId": BUSINESS,
                "deliveryUrl": there.receiver.url,
                "eventTypes": ["TRANSACTION_VOIDED"],
            }
            assert (await till.ask("POST", "/hooks/", hook)).status == 201
            path = f"/businesses/{BUSINESS}/transactions/{refund['id']}/void"
            assert (await till.ask("POST", path)).json["status"] == "VOIDED"
            while there.receiver.heard[-1].json.get("eventType") != "TRANSACTION_VOIDED":
                there.receiver.news.clear()
                await there.receiver.news.wait()
            assert sorted(await there.charged()) == [234, 234, 1234]

    asyncio.run(play())


def test_a_restart_tells_what_the_life_before_could_not(tmp_path: Path) -> None:
    async def play() -> None:
        async with asyncio.timeout(30), receiving() as receiver:
            async with living(tmp_path, receiver) as there:
                till = await there.application()
                receiver.statuses = [503] * 1000
                order = till.order(amount=1000)
                await till.send(order)
                await receiver.until(3, order["referenceId"])
            receiver.heard.clear()
            receiver.statuses.clear()
            async with living(tmp_path, receiver) as there:
                final = await receiver.final(order["referenceId"], within=20)
                assert final["transactions"][0]["status"] == "CAPTURED"
                assert await there.charged() == [1000]

    asyncio.run(play())
