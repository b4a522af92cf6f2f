"""Wherever the gateway dies between a POST and its end, a register that asks again, as the card
that was charged, is charged once, and is told how it ended."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine, memory_disk
from tests.kit.shop import SHOP
from tests.unit.smartconnect.face.register import (
    ACCEPTED,
    AWAY,
    FACE,
    PORT,
    Answer,
    Cloud,
    Receiver,
    cloud,
    words,
)

OPTIONS = {
    "faces": {FACE: PORT},
    "settings": {FACE: {"organisation": SHOP, "poll_seconds": 0.0, "token_seconds": 86_400}},
}
KEY = {"Idempotency-Key": "sale-1"}


@dataclass
class Knowledge:
    """What the register has heard."""

    heard: list[Answer] = field(default_factory=list)

    def __call__(self) -> tuple[str, str]:
        """The polling URL, and the completed envelope; empty as long as they are not known."""
        begun = self.heard[0].polling_url if self.heard else ""
        ended = self.heard[-1].body.decode() if len(self.heard) > 1 else ""
        return begun, ended


@pytest.mark.parametrize("amount", ["1250", "1246", "1249"])
def test_a_sale_is_charged_once_wherever_the_gateway_dies(amount: str) -> None:
    with memory_disk() as folder:
        disk = Path(folder)
        know = Knowledge()

        async def pays(gateway: GatewayUnderTest) -> None:
            there = Cloud(gateway, Receiver())
            register = await there.register().paired()
            begun = await register.ask("Card.Purchase", KEY, AmountTotal=amount)
            know.heard.append(begun)
            await register.end(begun)
            know.heard.append(await there.get(begun.polling_url))

        moments = Machine(disk / "play", **OPTIONS).moments(pays, know)
        assert len(moments) > 5
        for moment in moments:
            url, ended = moment.known

            async def recovers(
                gateway: GatewayUnderTest, url: str = url, ended: str = ended
            ) -> None:
                there = Cloud(gateway, Receiver())
                register = there.register()
                if not there.known():
                    await register.paired()
                again = await register.ask("Card.Purchase", KEY, AmountTotal=amount)
                assert again.status == 200, again
                told = (await register.end(again))["data"]
                if url:
                    first = Answer(200, {}, json.dumps({"data": {"PollingUrl": url}}).encode())
                    assert (await register.end(first))["data"] == told
                if ended:
                    assert json.loads(ended)["data"] == told
                charged = await there.charged()
                assert words(told) in (ACCEPTED, AWAY)
                assert charged == ([int(amount)] if words(told) == ACCEPTED else [])
                assert len(there.transactions()) == 1

            Machine.after(moment, disk / f"after-{moment.step}", **OPTIONS).live(recovers)


def test_a_code_pairs_once_wherever_the_gateway_dies() -> None:
    with memory_disk() as folder:
        disk = Path(folder)
        shown: list[str] = []

        async def pairs(gateway: GatewayUnderTest) -> None:
            there = Cloud(gateway, Receiver())
            shown.append(await there.code(seconds=None))
            assert (await there.register().pair(shown[0])).status == 200

        moments = Machine(disk / "play", **OPTIONS).moments(pairs, lambda: tuple(shown))
        for moment in moments:
            if not moment.known:
                continue

            async def looks(gateway: GatewayUnderTest, code: str = moment.known[0]) -> None:
                there = Cloud(gateway, Receiver())
                paired = bool(there.known())
                answer = await there.register("another").pair(code)
                assert answer.status == (400 if paired else 200)
                assert len(gateway.engine.estate.registers_at("v1-0001")) == 1

            Machine.after(moment, disk / f"after-{moment.step}", **OPTIONS).live(looks)


def test_real_sockets_say_the_same(tmp_path: Path) -> None:
    """Once over the machine's own network, with the system's clock."""

    async def play() -> None:
        async with cloud(tmp_path, poll_seconds=0.01) as there:
            register = await there.register().paired()
            answers = await asyncio.gather(*(register.ask(AmountTotal="1250") for _ in range(8)))
            assert {each.status for each in answers} == {200}
            data = (await register.end(answers[0]))["data"]
            assert words(data) == ACCEPTED
            told = await there.register("nobody").ask(AmountTotal="1250")
            assert told.status == 400
            charged = await there.charged()
            assert len(charged) == len({each.json["transactionId"] for each in answers})

    asyncio.run(play())
