"""A till's lane, as the tests of the bindings play it: messages as the protocol writes them, and a
way to say them over each binding. Nothing of tillwire's own codec is used."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine
from tests.kit.virtual_loop import virtual_loop
from tillwire.core.ports import HttpResponse

T = TypeVar("T")
Scenario = Callable[[GatewayUnderTest], Coroutine[Any, Any, T]]
Json = Any
"""A message, or a part of one: its shape is for the test to know."""

FLAT, HELD, STREAM = "nexo-http", "nexo-held", "nexo-tcp"
PORTS: Final[Mapping[str, int]] = {FLAT: 8801, HELD: 8802, STREAM: 8803}
POI: Final = "V1-0001"
OTHER_POI: Final = "V1-0002"


def machine(disk: Path, **settings: Any) -> Machine:
    """The gateway with all three bindings, each told the same."""
    told = {"organisation": "shop", "poi_id": POI, **settings}
    return Machine(disk, faces=PORTS, settings=dict.fromkeys(PORTS, told))


def live(disk: Path, scenario: Scenario[T], **settings: Any) -> T:
    """Play the scenario on it."""
    return machine(disk, **settings).live(scenario).result  # type: ignore[return-value]


# --- messages -----------------------------------------------------------------------------------


def request(
    category: str,
    body: Json,
    service: str = "s1",
    *,
    sale: str = "LANE-1",
    poi: str = POI,
    device: str | None = None,
    kind: str = "Service",
) -> Json:
    """A message without an envelope."""
    header = {
        "ProtocolVersion": "3.1",
        "MessageClass": kind,
        "MessageCategory": category,
        "MessageType": "Request",
        "ServiceID": service,
        "DeviceID": device,
        "SaleID": sale,
        "POIID": poi,
    }
    return {
        "MessageHeader": {key: value for key, value in header.items() if value is not None},
        f"{category}Request": body,
    }


def payment(minor: int, service: str = "s1", **where: str) -> Json:
    """A sale of so many cents."""
    body = {
        "SaleData": {
            "SaleTransactionID": {"TransactionID": f"T-{service}", "TimeStamp": STAMP},
        },
        "PaymentTransaction": {
            "AmountsReq": {"Currency": "EUR", "RequestedAmount": minor / 100},
        },
    }
    return request("Payment", body, service, **where)


def abort(service: str, own: str = "a1", **where: str) -> Json:
    """The wish that the payment ends."""
    reference = {"MessageCategory": "Payment", "ServiceID": service}
    body = {"MessageReference": reference, "AbortReason": "MerchantAbort"}
    return request("Abort", body, own, **where)


def status(service: str, own: str = "q1", **where: str) -> Json:
    """The question what became of the payment."""
    reference = {"MessageCategory": "Payment", "ServiceID": service}
    return request("TransactionStatus", {"MessageReference": reference}, own, **where)


def login(own: str = "l1", **where: str) -> Json:
    """The begin of a session."""
    software = {
        "ProviderIdentification": "Hollow Creek",
        "ApplicationName": "TillKit",
        "SoftwareVersion": "0.4.1",
        "CertificationCode": "TK-041",
    }
    body = {"DateTime": STAMP, "SaleSoftware": software, "OperatorLanguage": "en"}
    return request("Login", body, own, **where)


def diagnosis(own: str = "d1", **where: str) -> Json:
    """The question how the terminal is."""
    return request("Diagnosis", {"HostDiagnosisFlag": False}, own, **where)


STAMP: Final = "2026-03-14T10:20:00+01:00"


def enveloped(message: Json) -> Json:
    """The message in the envelope of a request."""
    return {"SaleToPOIRequest": message}


def result_of(message: Json) -> tuple[str, str]:
    """(Result, ErrorCondition) of a response."""
    (body,) = (value for key, value in opened(message).items() if key != "MessageHeader")
    response = body["Response"]
    return response["Result"], response.get("ErrorCondition", "")


def opened(message: Json) -> Json:
    """What is in the envelope, if there is one."""
    for envelope in ("SaleToPOIRequest", "SaleToPOIResponse"):
        if envelope in message:
            return message[envelope]
    return message


def event_of(message: Json) -> str:
    """The event that the message tells of."""
    event: str = opened(message)["EventNotification"]["EventToNotify"]
    return event


def service_of(message: Json) -> str:
    """Its ServiceID."""
    service: str = opened(message)["MessageHeader"]["ServiceID"]
    return service


# --- over HTTP ----------------------------------------------------------------------------------


class HttpLane:
    """Asks a face over HTTP."""

    def __init__(self, gateway: GatewayUnderTest, face: str) -> None:
        self._client = gateway.client()
        self._url = gateway.url(face)

    async def post(self, path: str, body: Json, **headers: str) -> tuple[int, Json]:
        """Status and body; `body` may be octets."""
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self._ask("POST", path, octets, headers)

    async def get(self, path: str) -> tuple[int, Json]:
        """The same of a poll."""
        return await self._ask("GET", path, b"", {})

    async def _ask(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Json]:
        answer = await self.ask(method, path, body, headers)
        return answer.status, json.loads(answer.body) if answer.body else None

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """The whole response."""
        told = {"Content-Type": "application/json", **(headers or {})}
        return await self._client.request(
            method, self._url + path, headers=told, body=body, timeout=3600
        )

    async def polled(self, path: str, seconds: float = 600) -> list[tuple[int, Json]]:
        """Everything that is said until the exchange is closed, without the empty polls."""
        told = []
        end = virtual_loop().time() + seconds
        while virtual_loop().time() < end:
            status, body = await self.get(path)
            if status == 204:
                await asyncio.sleep(0.25)
                continue
            told.append((status, body))
            if status not in (201, 206):
                return told
        raise AssertionError(f"it is not closed after {seconds} s: {told}")


# --- over TCP -----------------------------------------------------------------------------------


class Socket:
    """A connection to the face that is not HTTP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int = PORTS[STREAM], **options: Any) -> Socket:
        return cls(*await asyncio.open_connection("127.0.0.1", port, **options))

    def say(self, message: Json) -> None:
        """Write a message in its envelope."""
        self.write(json.dumps(enveloped(message)).encode())

    def write(self, octets: bytes) -> None:
        """Write a frame."""
        self.writer.write(framed(octets))

    async def hear(self) -> Json:
        """The next message."""
        length = int.from_bytes(await self.reader.readexactly(4), "big")
        return json.loads(await self.reader.readexactly(length))

    async def hear_answer(self) -> Json:
        """The next message that is not a DisplayRequest."""
        while True:
            message = await self.hear()
            if "DisplayRequest" not in opened(message):
                return message

    async def is_over(self) -> bool:
        """Wait for the end of the connection: whether nothing more was said."""
        return await self.reader.read() == b""

    async def __aenter__(self) -> Socket:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()


def framed(octets: bytes) -> bytes:
    """Four octets of length before it."""
    return len(octets).to_bytes(4, "big") + octets
