"""The cloud under test, a register that calls it, and where it is told.

Written apart from the program's own wire: forms and JSON are made by the standard library, so that
both cannot be wrong in the same way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import msgspec

from tests.kit import cloud as cloud_kit
from tests.kit.cloud import OTHER, Json, found_two, listening, serving
from tests.kit.shop import SHOP, VIRTUAL
from tillwire.core.estate_model import Lifecycle, Register
from tillwire.core.ports import Unit
from tillwire.estate import pairings
from tillwire.estate.pairings import Codes, show_code

PORT: Final = 8760
RECEIVER: Final = 8761
FACE: Final = "smartconnect"
OTHER_STORE: Final = "0b7f5a1e-3b0e-4a0a-8d5c-4c4d3f1b9e12"
LANE: Final = VIRTUAL[0]
SECOND_LANE: Final = VIRTUAL[1]
FORM: Final = "application/x-www-form-urlencoded"
OTHERS: Final = msgspec.structs.replace(
    LANE, id="v1-9001", organisation_id=OTHER, store_id=OTHER_STORE, serial="9001", tid="30359001"
)


def furnish(unit: Unit) -> None:
    """Put the shop into the journal, and a second organisation with a terminal."""
    found_two(unit, OTHER_STORE)
    unit.put(OTHERS)


class Answer(cloud_kit.Answer):
    """Of the face."""

    @property
    def error(self) -> str:
        """Why it was refused."""
        said = self.json
        assert list(said) == ["error"], said
        words: str = said["error"]
        return words

    @property
    def polling_url(self) -> str:
        url: str = self.json["data"]["PollingUrl"]
        return url


class RegisterUnderTest:
    """A register: pairs itself, asks and polls."""

    def __init__(
        self,
        cloud: Cloud,
        register_id: str = "shop7-till2",
        business: str = "Harbour Books",
        vendor: str = "TillCo",
    ) -> None:
        self.cloud = cloud
        self.names = {
            "POSRegisterID": register_id,
            "POSBusinessName": business,
            "POSVendorName": vendor,
        }

    async def pair(self, code: str, **fields: str) -> Answer:
        """Enter a code."""
        said = {**self.names, "POSRegisterName": "Till 2", **fields}
        return await self.cloud.form("PUT", f"/POS/Pairing/{code}", said)

    async def paired(self, terminal: str = LANE.id) -> RegisterUnderTest:
        """Enter the code that the terminal shows."""
        answer = await self.pair(await self.cloud.code(terminal))
        assert (answer.status, answer.json) == (200, {"result": "success"}), answer
        return self

    async def ask(
        self, kind: str = "Card.Purchase", headers: Mapping[str, str] | None = None, **fields: str
    ) -> Answer:
        """POST a transaction; a field that is empty is left out."""
        said = {**self.names, "TransactionMode": "ASYNC", "TransactionType": kind, **fields}
        kept = {name: value for name, value in said.items() if value}
        return await self.cloud.form("POST", "/POS/Transaction", kept, headers)

    async def begin(self, kind: str = "Card.Purchase", **fields: str) -> Answer:
        """The same, which must be accepted."""
        answer = await self.ask(kind, **fields)
        assert answer.status == 200, answer
        assert answer.json["transactionStatus"] == "PENDING", answer
        return answer

    async def end(self, begun: Answer, within: float = 400.0) -> Json:
        """Poll until it is completed; the envelope."""
        async with asyncio.timeout(within):
            while True:
                answer = await self.cloud.get(begun.polling_url)
                if answer.status == 429:
                    await asyncio.sleep(int(answer.headers["retry-after"]))
                    continue
                assert answer.status == 200, answer
                if answer.json["transactionStatus"] == "COMPLETED":
                    return answer.json
                await asyncio.sleep(2.0)

    async def do(self, kind: str = "Card.Purchase", **fields: str) -> Json:
        """Ask, and poll until it is completed; its data."""
        ended = await self.end(await self.begin(kind, **fields))
        return ended["data"]


def words(data: Json) -> tuple[str, str]:
    """`TransactionResult` and `Result`."""
    return data.get("TransactionResult", ""), data.get("Result", "")


ACCEPTED: Final = ("OK-ACCEPTED", "OK")
AWAY: Final = ("CANCELLED", "FAILED-INTERFACE")
DELAYED: Final = ("OK-DELAYED", "DELAYED-TRANSACTION")


class Receiver(cloud_kit.Receiver[tuple[Mapping[str, str], Json]]):
    """Where registers are told."""

    def read(
        self, method: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[Mapping[str, str], Json]:
        assert method == "POST"
        return headers, json.loads(body)

    async def until(self, count: int, within: float = 400.0) -> list[Json]:
        """Wait for so many; what they said."""
        await self.when(lambda: len(self.heard) >= count, within)
        return [said for _, said in self.heard]


class Cloud(cloud_kit.Cloud[Receiver, Answer]):
    """A gateway with the face in front, and a receiver."""

    face = FACE
    answer = Answer

    async def form(
        self,
        method: str,
        path: str,
        fields: Mapping[str, str] | bytes,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One form; bytes go as they are."""
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        said = {"Content-Type": FORM, "Accept": "application/json", **(headers or {})}
        return await self.ask(method, path, said, body)

    async def get(self, url: str) -> Answer:
        """Poll."""
        return await self.ask("GET", url, {"Accept": "application/json"})

    async def code(self, terminal: str = LANE.id, seconds: float | None = 120) -> str:
        """Have a terminal show a code."""
        drawn = Codes(self.gateway.vault).drawn(self.gateway.clock)
        now = self.gateway.clock.now()
        engine = self.gateway.engine
        code, _ = await engine.change_estate(
            lambda unit: show_code(unit, terminal, drawn, now, seconds)
        )
        return code

    def register(self, *names: str) -> RegisterUnderTest:
        return RegisterUnderTest(self, *names)

    def known(self, register_id: str = "shop7-till2") -> list[Register]:
        """The journal's registers of this id."""
        estate = self.gateway.journal.read_now(lambda reader: reader.estate())
        return [each for each in estate.registers.values() if each.register_id == register_id]

    async def unpair(self, register_id: str = "shop7-till2") -> None:
        """Somebody unpairs it at the terminal."""
        (register,) = self.known(register_id)
        now = self.gateway.clock.now()
        await self.gateway.engine.change_estate(
            lambda unit: pairings.unpair(unit, register.id, now)
        )

    async def set_lifecycle(self, lifecycle: Lifecycle, terminal: str = LANE.id) -> None:
        engine = self.gateway.engine
        changed = msgspec.structs.replace(engine.estate.terminals[terminal], lifecycle=lifecycle)
        await engine.change_estate(lambda unit: unit.put(changed))


def receiving() -> AbstractAsyncContextManager[Receiver]:
    """A receiver that listens."""
    return listening(Receiver(), RECEIVER)


@asynccontextmanager
async def living(
    folder: Path, receiver: Receiver | None = None, **settings: Json
) -> AsyncIterator[Cloud]:
    """One life of the gateway on the journal in `folder`."""
    told = {"organisation": SHOP, **settings}
    async with serving(folder, FACE, PORT, told, furnish) as gateway:
        yield Cloud(gateway, receiver or Receiver())


@asynccontextmanager
async def cloud(folder: Path, **settings: Json) -> AsyncIterator[Cloud]:
    """A gateway and a receiver."""
    async with receiving() as receiver, living(folder, receiver, **settings) as there:
        yield there
