"""A SmartPOS cloud that does as its script says, with the terminals behind it.

It knows what a till's order, a list of transactions and a callback look like, and nothing of our
own code for them, but for the unpacking of requests. `Cloud.listed` is the truth about the money.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID

from tests.kit.scripted import Asked, ScriptedServer
from tests.kit.virtual_loop import virtual_loop
from tillwire.dialects.paymentbridge.wire.fields import moment, stamp
from tillwire.net.asgi import Reply
from tillwire.net.http_client import AiohttpClient

PORT: Final = 8790
BUSINESS: Final = "469e957c-57a7-4c4c-9f0b-0a1b2c3d4e5f"
STORE: Final = "51aa0c1e-12f4-4d0b-8c55-3a0f7f7f1e01"
TID: Final = "30350039"
FOREVER: Final = 10**15
OLD: Final = "urn:tid:48c54303-6d51-39af-bdeb-4af53f621652"
NEW: Final = "urn:tid:5d2f0b9a-7a31-3c1e-9d55-0f0e0d0c0b0a"

Json = dict[str, Any]


Act = Callable[["Cloud", Asked], Awaitable[Reply]]
"""What the cloud does with one request."""
Behaviour = Callable[["Cloud", "Order"], Awaitable[None]]
"""What a terminal does with an order."""


@dataclass
class Order:
    """An order that the cloud has taken, as its terminal reads it."""

    envelope: Json
    request_id: str
    members: Json = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The till's."""
        found: str = self.members["referenceId"]
        return found

    @property
    def total(self) -> int:
        """Minor units with the tip."""
        return int(self.members["purchaseAmount"]) + int(self.members.get("tipAmount", 0))


def device(serial: str = "P61-1", **changes: Any) -> Json:
    """A StoreDevice; `None` leaves a member out."""
    told = {
        "storeId": STORE,
        "deviceId": OLD,
        "serialNumber": serial,
        "externalTerminalId": TID,
        "status": "ACTIVATED",
        "type": "TERMINAL",
        "createdAt": "2026-01-01T00:00:00Z",
        "activatedAt": "2026-01-02T00:00:00Z",
        **changes,
    }
    return {key: value for key, value in told.items() if value is not None}


class Cloud(ScriptedServer):
    """The cloud."""

    port = PORT

    def __init__(self) -> None:
        super().__init__()
        self.devices = [device()]
        self.listed: dict[str, Json] = {}
        """By id: the transactions that it has."""
        self.orders: list[Order] = []
        """Messages that it has taken."""
        self.heard_by_terminals: list[tuple[str, int]] = []
        """What was told to the till, and the status that it got."""
        self.script: dict[str, deque[Act]] = defaultdict(deque)
        """By kind of request: what it does with the next ones; afterwards, what is usual."""
        self.terminal: Behaviour = approves
        self.token_seconds = 86_400
        self.page = 100
        self._tokens = 0
        self._good: set[str] = set()
        self._names = 0
        self._client = AiohttpClient()

    async def close(self) -> None:
        """Be gone, with all that goes on."""
        await super().close()
        await self._client.close()

    def will(self, kind: str, *acts: Act) -> None:
        """Do this with the next requests of the kind: `token`, `message`, `stores`, `list`,
        `transaction`, `void`, `capture`, `refund`."""
        self.script[kind].extend(acts)

    def of(self, kind: str) -> list[Asked]:
        """The requests of this kind that arrived."""
        return [each for each in self.heard if _kind(each) == kind]

    def forget_tokens(self) -> None:
        """Take back every token."""
        self._good.clear()

    # --- what it does ---------------------------------------------------------------------------

    async def reply(self, asked: Asked) -> Reply:
        kind = _kind(asked)
        if kind != "token" and asked.headers["authorization"].partition(" ")[2] not in self._good:
            return refusal(401, "INVALID_ACCESS_TOKEN")
        script = self.script[kind]
        return await (script.popleft() if script else USUALLY[kind])(self, asked)

    def take(self, asked: Asked) -> Order:
        """Take a message, and hand it to its terminal."""
        envelope = asked.json
        order = Order(envelope, asked.headers["poynt-request-id"], unwrapped(envelope["data"]))
        self.orders.append(order)
        self.spawn(self.terminal(self, order))
        return order

    def issue(self) -> bytes:
        """A token."""
        self._tokens += 1
        now = virtual_loop().clock.now() // 1000
        claims = {"exp": now + self.token_seconds, "jti": str(self._tokens)}
        token = ".".join(_base64(json.dumps(each)) for each in ({"alg": "none"}, claims)) + ".x"
        self._good.add(token)
        answer = {"accessToken": token, "expiresIn": self.token_seconds, "tokenType": "BEARER"}
        return json.dumps(answer).encode()

    def name(self) -> str:
        """A new id."""
        self._names += 1
        return str(UUID(int=self._names, version=4))

    def enter(self, **members: Any) -> Json:
        """Put a transaction into the list."""
        now = stamp(virtual_loop().clock.now())
        made = {"id": self.name(), "createdAt": now, "updatedAt": now, **members}
        made.setdefault("context", {"businessId": BUSINESS, "storeId": STORE})
        self.listed[made["id"]] = made
        return made

    def void(self, name: str) -> Json:
        """Take one back as a whole."""
        now = stamp(virtual_loop().clock.now())
        self.listed[name].update(status="VOIDED", voided=True, updatedAt=now)
        return self.listed[name]

    def sale(self, order: Order, **changes: Any) -> Json:
        """What a paid order is in the list."""
        authorize = order.members["action"] == "authorize"
        total = order.total
        made = {
            "action": "AUTHORIZE" if authorize else "SALE",
            "status": "AUTHORIZED" if authorize else "CAPTURED",
            "authOnly": authorize,
            "amounts": {
                "transactionAmount": total,
                "orderAmount": order.members["purchaseAmount"],
                "tipAmount": order.members.get("tipAmount", 0),
                "currency": order.members["currency"],
            },
            "fundingSource": {
                "type": "CREDIT_DEBIT",
                "card": {"type": "VISA", "numberFirst6": "411111", "numberLast4": "1111"},
                "entryDetails": {"entryMode": "CONTACTLESS_INTEGRATED_CIRCUIT_CARD"},
                "emvData": {"emvTags": {"0x9F06": "A0000000031010"}},
            },
            "processorResponse": {
                "status": "Successful",
                "statusCode": "00",
                "approvalCode": "9QX001",
                "approvedAmount": total,
                "retrievalRefNum": "613200000017",
            },
            "systemTraceAuditNumber": "000017",
            "references": [{"type": "CUSTOM", "customType": "referenceId", "id": order.reference}],
        }
        return {**made, **changes}

    # --- what terminals tell --------------------------------------------------------------------

    async def tell(self, order: Order, body: Json | bytes, *, packed: bool = False) -> int:
        """Call the till once; the status that it answers with, 0 if it does not."""
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "okhttp/4.9"}
        if packed:
            octets, headers["Content-Encoding"] = gzip.compress(octets), "gzip"
        try:
            reply = await self._client.request(
                "POST", order.members["callbackUrl"], headers=headers, body=octets, timeout=3.0
            )
            status = reply.status
        except Exception:  # noqa: BLE001 - the terminal minds nothing
            status = 0
        word = json.loads(body)["status"] if isinstance(body, bytes) else body["status"]
        self.heard_by_terminals.append((word, status))
        return status

    async def sign(self, order: Order, status: str) -> int:
        """RECEIVED or STARTED."""
        return await self.tell(order, {"referenceID": order.reference, "status": status})

    def payment(self, order: Order, *transactions: Json, status: str = "PROCESSED") -> Json:
        """The last callback's body."""
        return {
            "referenceId": order.reference,
            "status": status,
            "callerPackageName": "co.poynt.services",
            "aMemberOfTomorrow": 7,
            "transactions": list(transactions),
        }


def _base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unwrapped(data: str) -> Json:
    """The members of an order in either dialect, as a flat one has them."""
    outer: Json = json.loads(data)
    if "payment" in outer:
        inner = json.loads(outer.pop("payment"))
        action = "authorize" if inner.pop("authzOnly", False) else "sale"
        if inner.pop("nonReferencedCredit", False):
            action = "non-referenced-credit"
        inner["purchaseAmount"] = inner.pop("amount")
        return {"action": action, **outer, **inner}
    return outer


def _kind(asked: Asked) -> str:
    parts = asked.path.strip("/").split("/")
    match asked.method, parts:
        case "POST", ["token"]:
            return "token"
        case "POST", ["cloudMessages"]:
            return "message"
        case "GET", ["businesses", _, "stores"]:
            return "stores"
        case "GET", ["businesses", _, "transactions"]:
            return "list"
        case "GET", ["businesses", _, "transactions", _]:
            return "transaction"
        case "POST", ["businesses", _, "transactions"]:
            return "refund"
        case "POST", ["businesses", _, "transactions", _, ("void" | "capture") as last]:
            return last
    raise AssertionError(f"nobody asks for this: {asked.method} {asked.path}")


# --- what the cloud may do ------------------------------------------------------------------------


def answer(status: int, body: Json | list[Any] | bytes = b"") -> Act:
    """Answer with this, and do nothing."""

    async def act(cloud: Cloud, asked: Asked) -> Reply:
        return Reply(status, body if isinstance(body, bytes) else json.dumps(body).encode())

    return act


def refusal(status: int, code: str) -> Reply:
    """The vendor's body of an error."""
    told = {"code": code, "httpStatus": status, "developerMessage": f"That is {code}."}
    return Reply(status, json.dumps(told).encode())


def refuse(status: int, code: str) -> Act:
    """Refuse."""

    async def act(cloud: Cloud, asked: Asked) -> Reply:
        return refusal(status, code)

    return act


async def vanish(cloud: Cloud, asked: Asked) -> Reply:
    """Break the connection."""
    virtual_loop().network.cut(PORT)
    await asyncio.sleep(60)
    return Reply(500)


def done_but_lost(kind: str) -> Act:
    """Do it, and break the connection."""

    async def act(cloud: Cloud, asked: Asked) -> Reply:
        await USUALLY[kind](cloud, asked)
        return await vanish(cloud, asked)

    return act


async def _token(cloud: Cloud, asked: Asked) -> Reply:
    form = parse_qs(asked.body.decode())
    assert form["grantType"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    return Reply(200, cloud.issue())


async def _message(cloud: Cloud, asked: Asked) -> Reply:
    cloud.take(asked)
    return Reply(202)


async def _stores(cloud: Cloud, asked: Asked) -> Reply:
    stores = [
        {"id": cloud.name(), "storeDevices": []},
        {"id": STORE, "storeDevices": cloud.devices},
    ]
    return Reply(200, json.dumps(stores).encode())


async def _list(cloud: Cloud, asked: Asked) -> Reply:
    begin, end = moment(asked.query["startAt"]), moment(asked.query.get("endAt"))
    assert begin is not None
    offset, limit = (
        int(asked.query.get("startOffset", 0)),
        min(int(asked.query["limit"]), cloud.page),
    )
    time_type = asked.query.get("timeType", "createdAt")
    known = [
        each
        for each in cloud.listed.values()
        if begin <= (moment(each.get(time_type)) or begin) <= (end or FOREVER)
        and each["context"]["storeId"] == asked.query["storeId"]
    ]
    page = known[offset : offset + limit]
    links = []
    if offset + limit < len(known):
        query = urlencode({**asked.query, "startOffset": offset + limit})
        links = [{"rel": "next", "method": "GET", "href": f"{asked.path}?{query}"}]
    body = {"transactions": page, "links": links, "count": len(page)}
    return Reply(200, json.dumps(body).encode())


async def _transaction(cloud: Cloud, asked: Asked) -> Reply:
    found = cloud.listed.get(urlsplit(asked.path).path.rpartition("/")[2])
    if found is None:
        return refusal(404, "TRANSACTION_NOT_FOUND")
    return Reply(200, json.dumps(found).encode())


async def _void(cloud: Cloud, asked: Asked) -> Reply:
    assert asked.body == b""
    voided = cloud.void(asked.path.split("/")[-2])
    return Reply(200, json.dumps(voided).encode())


async def _capture(cloud: Cloud, asked: Asked) -> Reply:
    original = cloud.listed[asked.path.split("/")[-2]]
    child = cloud.enter(
        action="CAPTURE", status="CAPTURED", parentId=original["id"], amounts=asked.json["amounts"]
    )
    return Reply(200, json.dumps(child).encode())


async def _refund(cloud: Cloud, asked: Asked) -> Reply:
    told = asked.json
    assert told["action"] == "REFUND"
    child = cloud.enter(
        action="REFUND",
        status="REFUNDED",
        parentId=told["parentId"],
        amounts=told["amounts"],
        references=told["references"],
    )
    return Reply(200, json.dumps(child).encode())


USUALLY: Final[dict[str, Act]] = {
    "token": _token,
    "message": _message,
    "stores": _stores,
    "list": _list,
    "transaction": _transaction,
    "void": _void,
    "capture": _capture,
    "refund": _refund,
}


# --- what a terminal may do -----------------------------------------------------------------------


async def ignores(cloud: Cloud, order: Order) -> None:
    """It is switched off."""


async def approves(cloud: Cloud, order: Order) -> None:
    """What a good terminal does with an order of any kind."""
    tells = "callbackUrl" in order.members
    if tells:
        await cloud.sign(order, "RECEIVED")
    await asyncio.sleep(0.5)
    if tells:
        await cloud.sign(order, "STARTED")
    await asyncio.sleep(4)
    entry = pays(cloud, order)
    if tells:
        await cloud.tell(order, cloud.payment(order, entry))


def pays(cloud: Cloud, order: Order) -> Json:
    """Do what the order asks for; what the list has of it then."""
    action = order.members["action"]
    if action == "void":
        return cloud.void(order.members["transactionId"])
    if action in ("refund", "non-referenced-credit"):
        return cloud.enter(
            **cloud.sale(order, action="REFUND", status="REFUNDED"),
            **({"parentId": order.members["transactionId"]} if action == "refund" else {}),
        )
    return cloud.enter(**cloud.sale(order))


def ends(status: str, *transactions: Callable[[Cloud, Order], Json]) -> Behaviour:
    """RECEIVED, STARTED, and a last callback of this status."""

    async def behave(cloud: Cloud, order: Order) -> None:
        await cloud.sign(order, "RECEIVED")
        await cloud.sign(order, "STARTED")
        await asyncio.sleep(2)
        made = [each(cloud, order) for each in transactions]
        await cloud.tell(order, cloud.payment(order, *made, status=status))

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One for each order."""
    left = deque(behaviours)

    async def behave(cloud: Cloud, order: Order) -> None:
        await left.popleft()(cloud, order)

    return behave
