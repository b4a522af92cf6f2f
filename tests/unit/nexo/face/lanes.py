"""Tills that speak nexo, and the shops that they stand in: JSON in, JSON out, at `Poi.handle`.

What a test writes is what a till's programmer writes, and what it reads is what the till gets. The
binding around it (HTTP, a socket) is tested elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.unit.core.scripted import ScriptedDriver, engine_on
from tests.unit.virtual.shop import Shop as VirtualShop
from tests.unit.virtual.shop import clock_of_loop, shop_in
from tillwire.core.engine import Engine
from tillwire.core.model import Outcome, Session, Transaction, Verdict
from tillwire.core.ports import Unit
from tillwire.dialects.nexo.face.context import DIALECT
from tillwire.dialects.nexo.face.dialogues import Dialogues
from tillwire.dialects.nexo.face.logins import Login, detail_of
from tillwire.dialects.nexo.face.poi import Poi
from tillwire.dialects.nexo.face.settings import Settings
from tillwire.dialects.nexo.wire import Message, encode

Json = dict[str, Any]  # Any: JSON of any shape

PATIENCE: Final = 300.0
"""Virtual seconds after which a test stops waiting."""
TERMINAL: Final = "t1"
POI_ID: Final = "V1-t1"
SALE: Final = {"TransactionID": "T-0042", "TimeStamp": "2026-11-20T09:12:40.310+01:00"}
SETTINGS: Final = Settings(organisation="shop")

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass
class Lane:
    """One till at one terminal. Its ServiceIDs count from 1, as a good till's do."""

    poi: Poi
    sale_id: str = "LANE-07"
    poi_id: str = POI_ID
    number: int = 0
    told: list[Json] = field(default_factory=list)
    """What it was told meanwhile, as messages."""

    def tell(self, message: Message) -> None:
        """The till's side of the line (`context.Outlet`)."""
        self.told.append(_decode(encode(message)))

    async def send(self, category: str, body: Mapping[str, Any], **header: Any) -> Json:
        """Send a request, and wait for its answer."""
        answer = await self.post(category, body, **header)
        assert answer is not None, f"the {category} has no answer"
        return answer

    async def post(self, category: str, body: Mapping[str, Any], **header: Any) -> Json | None:
        """Send a request; its answer, or None if it has none."""
        return await self.write(_encode(self.message(category, body, **header)))

    async def write(self, octets: bytes) -> Json | None:
        """Send octets, whatever they are."""
        answer = await asyncio.wait_for(self.poi.handle(octets, self), PATIENCE)
        return None if answer is None else _decode(encode(answer))

    def message(self, category: str, body: Mapping[str, Any], **header: Any) -> Json:
        """An enveloped request of the next ServiceID, unless `header` says which."""
        if "ServiceID" not in header:
            self.number += 1
        return {
            "SaleToPOIRequest": {
                "MessageHeader": {
                    "ProtocolVersion": "3.1",
                    "MessageClass": "Service",
                    "MessageCategory": category,
                    "MessageType": "Request",
                    "ServiceID": str(self.number),
                    "SaleID": self.sale_id,
                    "POIID": self.poi_id,
                    **header,
                },
                f"{category}Request": body,
            }
        }

    def begin(
        self, category: str, body: Mapping[str, Any], **header: Any
    ) -> asyncio.Task[Json | None]:
        """Send a request, and let the till do something else meanwhile."""
        octets = _encode(self.message(category, body, **header))
        return asyncio.get_running_loop().create_task(self.write(octets))

    # --- what tills ask for most --------------------------------------------------------------

    async def pay(self, amount: str = "12.50", **special: Any) -> Json:
        """A Payment; the PaymentResponse."""
        header = special.pop("header", {})
        answer = await self.send("Payment", payment(amount, **special), **header)
        return response_in(answer, "Payment")

    async def reverse(self, original: str, amount: str | None = None, **header: Any) -> Json:
        """A Reversal of the transaction; the ReversalResponse."""
        return response_in(await self.send("Reversal", reversal(original, amount), **header))

    async def status(self, of: str | None = None, **special: Any) -> Json:
        """What became of a payment; the TransactionStatusResponse."""
        body: Json = dict(special)
        if of is not None:
            body["MessageReference"] = {"MessageCategory": "Payment", "ServiceID": of}
        return response_in(await self.send("TransactionStatus", body))

    async def abort(self, of: str, category: str = "Payment", **reference: Any) -> Json | None:
        """Call a payment off; the event that came back, if any."""
        return await self.post("Abort", abort(of, category, **reference))


def payment(
    amount: str = "12.50",
    kind: str = "Normal",
    *,
    original: str | None = None,
    amounts: Mapping[str, Any] | None = None,
    sale: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    transaction: Mapping[str, Any] | None = None,
    **more: Any,
) -> Json:
    """The body of a PaymentRequest, with whatever is special about it."""
    follows: Json = {}
    if original is not None:
        identification = {"TransactionID": original, "TimeStamp": SALE["TimeStamp"]}
        follows = {"OriginalPOITransaction": {"POITransactionID": identification}}
    return {
        "SaleData": {"SaleTransactionID": SALE, **(sale or {})},
        "PaymentTransaction": {
            "AmountsReq": {
                "Currency": "EUR",
                "RequestedAmount": Decimal(amount),
                **(amounts or {}),
            },
            **follows,
            **(transaction or {}),
        },
        "PaymentData": {"PaymentType": kind, **(data or {})},
        **more,
    }


def reversal(original: str, amount: str | None = None) -> Json:
    """The body of a ReversalRequest."""
    identification = {"TransactionID": original, "TimeStamp": SALE["TimeStamp"]}
    body: Json = {
        "OriginalPOITransaction": {"POITransactionID": identification},
        "ReversalReason": "MerchantCancel",
    }
    return body if amount is None else {**body, "ReversedAmount": Decimal(amount)}


def abort(of: str, category: str = "Payment", **reference: Any) -> Json:
    """The body of an AbortRequest."""
    return {
        "MessageReference": {"MessageCategory": category, "ServiceID": of, **reference},
        "AbortReason": "MerchantAbort",
    }


# --- reading answers --------------------------------------------------------------------------


def response_in(answer: Json | None, category: str | None = None) -> Json:
    """The body of a response, and of the only one that there is."""
    assert answer is not None, "there is no answer"
    message = answer["SaleToPOIResponse"]
    header = message["MessageHeader"]
    assert header["MessageType"] == "Response"
    assert category in (None, header["MessageCategory"])
    body: Json = message[header["MessageCategory"] + "Response"]
    return body


def event_in(answer: Json | None) -> Json:
    """The body of an EventNotification."""
    assert answer is not None, "there is no answer"
    body: Json = answer["SaleToPOIRequest"]["EventNotification"]
    return body


def ended(response: Json) -> tuple[str, str | None]:
    """Result and ErrorCondition."""
    said = response["Response"]
    return said["Result"], said.get("ErrorCondition")


def words(response: Json) -> str:
    """AdditionalResponse."""
    text: str = response["Response"]["AdditionalResponse"]
    return text


def poi_id_of(response: Json) -> str:
    """The POITransactionID, as which the terminal knows the transaction."""
    name: str = response["POIData"]["POITransactionID"]["TransactionID"]
    return name


def authorised(response: Json) -> Decimal:
    """The amount that was authorised."""
    amount: Decimal = response["PaymentResult"]["AmountsResp"]["AuthorizedAmount"]
    return amount


def lines_of(receipt: Json) -> list[str]:
    """The text of a receipt."""
    return [each["Text"] for each in receipt["OutputContent"]["OutputText"]]


def texts_of(told: list[Json], qualify: str = "Status") -> list[str]:
    """What DisplayRequests of this kind have shown the cashier."""
    outputs = [each["SaleToPOIRequest"]["DisplayRequest"]["DisplayOutput"][0] for each in told]
    return [
        "\n".join(line["Text"] for line in each["OutputContent"]["OutputText"])
        for each in outputs
        if each["InfoQualify"] == qualify
    ]


# --- shops ------------------------------------------------------------------------------------


@dataclass
class Desk:
    """A gateway with terminals that do what a test tells them."""

    engine: Engine
    driver: ScriptedDriver
    poi: Poi
    dialogues: Dialogues

    def lane(self, sale_id: str = "LANE-07", poi_id: str = POI_ID) -> Lane:
        return Lane(self.poi, sale_id, poi_id)

    async def sent(self, count: int = 1) -> Transaction:
        """Wait until the terminal has got so many transactions; the last one."""
        async with asyncio.timeout(PATIENCE):
            while len(self.driver.ran) < count:  # noqa: ASYNC110 - the driver tells nobody
                await asyncio.sleep(0.001)
        return self.driver.ran[count - 1]

    async def put(self, *things: Any) -> None:
        """Create or change things of the estate."""

        def work(unit: Unit) -> None:
            for thing in things:
                unit.put(thing)

        await self.engine.change_estate(work)


@asynccontextmanager
async def desk_in(
    folder: Path,
    settings: Settings = SETTINGS,
    *,
    abort: bool = True,
    pull: bool = False,
) -> AsyncIterator[Desk]:
    """A gateway on the journal in `folder`, with terminals t1 to t3 of `shop` and x1 of `other`.
    Leaving it is the gateway's death: what was on its way stays so."""
    driver, clock = ScriptedDriver(abort=abort, pull=pull), clock_of_loop()
    async with engine_on(folder, driver, clock) as engine:
        dialogues = Dialogues()
        poi = Poi(engine, clock, settings, dialogues)
        try:
            yield Desk(engine, driver, poi, dialogues)
        finally:
            await poi.stop()


@dataclass
class Sandbox:
    """A gateway with virtual terminals, which act on the amount's last two digits."""

    shop: VirtualShop
    poi: Poi

    def lane(self, sale_id: str = "LANE-07", poi_id: str = POI_ID) -> Lane:
        return Lane(self.poi, sale_id, poi_id)

    async def charged(self) -> list[tuple[str, int, bool]]:
        """The acquirer's own records: (type, minor units, approved)."""
        return await self.shop.ledger()


@asynccontextmanager
async def sandbox_in(folder: Path, settings: Settings = SETTINGS) -> AsyncIterator[Sandbox]:
    """A gateway with virtual terminals on what is in `folder`."""
    async with shop_in(folder) as shop:
        poi = Poi(shop.engine, clock_of_loop(), settings, Dialogues())
        try:
            yield Sandbox(shop, poi)
        finally:
            await poi.stop()


async def log_in(engine: Engine, lane: Lane, login: Login) -> None:
    """Open a session as a Login does."""
    await engine.open_session(
        Session(
            terminal_id=TERMINAL,
            dialect=DIALECT,
            register=lane.sale_id,
            opened_at=engine.clock.now(),
            detail=detail_of(login),
        )
    )


VISA: Final = Outcome(
    Verdict.APPROVED,
    approved_amount=1250,
    response_code="00",
    authorisation_code="7K2P19",
    stan="000481",
    brand="VISA",
    card_bin="476173",
    card_last4="0119",
)
"""An approval of 12.50."""
