"""Cloud applications on Payment Bridge, as lean as `till.py`: a lane posts a cloud message, and a
server of its own gets the callbacks.

Of what comes it looks only at what it must: the path, which is the payment's reference, the length,
and whether it is RECEIVED, STARTED or the last one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.gateway_process import BRIDGE, STORE, terminal
from benchmarks.till import Connection, Load
from tillwire.dialects.paymentbridge.wire import grants, ids, tokens

RECEIVED: Final = "RECEIVED"
STARTED: Final = "STARTED"
TTL: Final = 300
_PAID: Final = b'"status":"CAPTURED"'
_REFERENCES: Final = itertools.count(1)
"""No reference comes twice in a run."""
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Told:
    """What has been told of a payment, and when (`time.perf_counter`)."""

    last: asyncio.Future[bytes]
    at: dict[str, float] = field(default_factory=dict)
    """Of RECEIVED and STARTED."""
    callbacks: int = 0


class Callbacks:
    """An HTTP server for callbacks: answers 200 at once, and knows who waits for them."""

    def __init__(self) -> None:
        self._waiting: dict[str, Told] = {}
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Caller(self), "127.0.0.1", 0)

    def close(self) -> None:
        """Stop listening."""
        assert self._server is not None, "not open"
        self._server.close()

    def address(self, reference: str) -> str:
        """Where the callbacks of this payment go."""
        assert self._server is not None, "not open"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/{reference}"

    def expect(self, reference: str) -> Told:
        """Wait for the callbacks of a payment."""
        told = self._waiting[reference] = Told(asyncio.get_running_loop().create_future())
        return told

    def came(self, reference: str, body: bytes) -> None:
        """One callback."""
        told = self._waiting.get(reference)
        if told is None:
            return  # it has come before
        told.callbacks += 1
        for status in (RECEIVED, STARTED):
            if b'"status":"%s"' % status.encode() in body:
                told.at.setdefault(status, time.perf_counter())
                return
        del self._waiting[reference]
        told.last.set_result(body)


class _Caller(asyncio.Protocol):
    """One connection of who calls back."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._buffer = bytearray()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, received: bytes) -> None:
        self._buffer += received
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).lower()
            mark = head.index(b"content-length:")
            whole = end + 4 + int(head[mark + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < whole:
                return
            body = bytes(self._buffer[end + 4 : whole])
            del self._buffer[:whole]
            self._transport.write(_ANSWER)
            self._callbacks.came(head.split(b" ", 2)[1][1:].decode(), body)


@dataclass(frozen=True)
class Access:
    """What a lane needs to send cloud messages."""

    port: int
    business: str
    devices: dict[str, str]
    """Terminal's name -> `deviceId`."""
    token: str

    @classmethod
    def to(cls, said: dict[str, Any]) -> Access:
        """Sign in at the gateway that has said this of itself."""
        origin = f"http://127.0.0.1:{said['port']}{BRIDGE}"
        assertion = tokens.make_assertion(
            said["application"],
            said["private_key"],
            audience=origin,
            now=int(time.time()),
            jti=str(uuid.uuid4()),
        )
        form = grants.write_grant(grants.AssertionGrant(assertion))
        with urllib.request.urlopen(f"{origin}/token", form, timeout=60) as answer:
            token = grants.read_answer(answer.read()).access_token
        devices = {
            name: ids.device_id(terminal(number).id, 1)
            for number, name in enumerate(said["terminals"], 1)
        }
        return cls(said["port"], ids.business_id(STORE.merchant_id), devices, token)


class BridgeLane:
    """One application that pays on one terminal."""

    def __init__(self, access: Access, name: str, callbacks: Callbacks | None = None) -> None:
        """At the terminal of this name. Without `callbacks` it has a server of its own."""
        self._access = access
        self._name = name
        self._own = callbacks is None
        self._callbacks = callbacks or Callbacks()
        self._connection = Connection()
        self._envelope = {"businessId": access.business, "storeId": STORE.id, "ttl": TTL}
        self._head = (
            f"POST {BRIDGE}/cloudMessages HTTP/1.1\r\nHost: 127.0.0.1:{access.port}\r\n"
            f"Authorization: Bearer {access.token}\r\nApi-Version: 1.2\r\n"
            "Content-Type: application/json\r\n"
        )

    async def connect(self) -> None:
        """Open the connection that the lane keeps."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._connection, "127.0.0.1", self._access.port)
        if self._own:
            await self._callbacks.open()

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()
        if self._own:
            self._callbacks.close()

    async def send(self, amount: int, name: str = "") -> Told:
        """A cloud message with a sale of so many cents, which is taken; what will be told. It is
        for the lane's own terminal, unless another one is named."""
        reference = f"bench-{next(_REFERENCES)}"
        told = self._callbacks.expect(reference)
        order = {
            "action": "sale",
            "purchaseAmount": amount,
            "currency": "EUR",
            "referenceId": reference,
            "callbackUrl": self._callbacks.address(reference),
        }
        device = self._access.devices[name or self._name]
        body = json.dumps({**self._envelope, "deviceId": device, "data": json.dumps(order)})
        request = f"{self._head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        status, answer = await self._connection.ask(request)
        assert status == 202, answer
        return told

    async def sell(self, reference: str, patience: float, load: Load) -> None:
        """One payment: a message, and its callbacks to the last one."""
        begun = time.perf_counter()
        told = await self.send(1250)
        last = await told.last
        load.sold(time.perf_counter() - begun)
        assert _PAID in last, last
        load.requests += 1 + told.callbacks
        for status, at in told.at.items():
            load.steps.setdefault(status, []).append(at - begun)
