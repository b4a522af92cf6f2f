"""A SoftPOS backend that does as its script says, and the phone that pays there.

It knows what requests and answers look like, and opens assertions with its own keys by jwcrypto,
with nothing of our own code for them. `Backend.charged` is the truth about the money.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

from jwcrypto import jwe, jwk, jws

from tests.kit.scripted import Asked, ScriptedServer
from tillwire.net.asgi import Reply

PORT: Final = 8796
URL: Final = f"http://127.0.0.1:{PORT}"
TID: Final = "30001234"
CLIENT: Final = "app-7"
SECRET: Final = "a-secret-of-the-app"  # of nobody

TOKEN: Final = "/softpos/appenrollment/token"  # a path
KEYS: Final = "/softpos/par/jwks.json"
CHECK: Final = "/mpos-core/app/checkTransaction"

Json = dict[str, Any]


@functools.cache
def key(name: str) -> jwk.JWK:
    """A key of the backend's, made once."""
    return jwk.JWK.generate(kty="RSA", size=2048, use="enc", kid=name)


Act = Callable[["Backend", Asked], Awaitable[Reply]]


class Backend(ScriptedServer):
    """The backend."""

    port = PORT

    def __init__(self, app_key: jwk.JWK) -> None:
        super().__init__()
        self.known: dict[tuple[str, str], Json] = {}
        """(TID, id) -> the answer."""
        self.charged: list[int] = []
        self.checks: deque[Act] = deque()
        """What it does with the next checks; afterwards, what is usual."""
        self.tokens: deque[Act] = deque()
        self.keys = ["enc-1"]
        """Names of its live keys."""
        self.life = 3600
        self.claims: list[Json] = []
        """Of the assertions that were opened."""
        self._app_key = app_key
        self._given = 0
        self._ends: dict[str, float] = {}

    def of(self, path: str) -> list[Asked]:
        """The requests to a path."""
        return [each for each in self.heard if each.path == path]

    @property
    def now(self) -> float:
        """Seconds of the loop."""
        return asyncio.get_running_loop().time()

    # --- what it does ---------------------------------------------------------------------------

    async def reply(self, asked: Asked) -> Reply:
        if asked.path == TOKEN:
            return await (self.tokens.popleft() if self.tokens else gives_token)(self, asked)
        if asked.path == KEYS:
            exported = [key(name).export_public(as_dict=True) for name in self.keys]
            return Reply(200, json.dumps({"keys": exported}).encode())
        if asked.path == CHECK:
            return await (self.checks.popleft() if self.checks else tells)(self, asked)
        return Reply(500)

    def opened(self, asked: Asked) -> Json | None:
        """What the assertion of a request says; None if it is not good."""
        for name in self.keys:
            outer = jwe.JWE()
            try:
                outer.deserialize(asked.headers["client_assertion"], key(name))
            except jwe.InvalidJWEData:
                continue
            inner = jws.JWS()
            inner.deserialize(outer.payload.decode(), self._app_key)
            claims: Json = json.loads(inner.payload)
            self.claims.append(claims)
            return claims
        return None

    def is_token(self, asked: Asked) -> bool:
        """Whether its bearer token lives."""
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        return self._ends.get(token, 0.0) > self.now

    def expire_tokens(self) -> None:
        """No token is good any more."""
        self._ends.clear()

    def give(self) -> str:
        """A new token."""
        self._given += 1
        token = f"token-{self._given}"
        self._ends[token] = self.now + self.life
        return token

    # --- the phone ------------------------------------------------------------------------------

    def pay(
        self, link: str, *, tid: str = TID, status: str | None = "APPROVED", **more: Any
    ) -> Json:
        """Do what a link wants, as the app does; what it puts behind the caller's address."""
        parts = urlsplit(link)
        assert parts.scheme == "neximpos"
        fields = dict(parse_qsl(parts.query, strict_parsing=True))
        amount, name = int(fields["amount"]), fields["callerTrxId"]
        operation = parts.netloc.upper()
        if status == "APPROVED":
            self.charged.append(amount if operation == "PAYMENT" else -amount)
        self.known[tid, name] = {
            "terminalId": tid,
            "callerTrxId": name,
            "operationType": operation,
            "status": status,
            "amount": amount,
            "currency": "EUR",
            "cardType": "VISA",
            "pan": "************5938",
            "transactionType": "CLI",
            "transactionId": "000000123456",
            "authorizationNumber": "417302",
            "stan": "000231",
            "transactionTimestamp": "2026-03-14T14:16:02Z",
            **more,
        }
        result = {"APPROVED": "0", "DECLINED": "21", "CANCELLED": "20"}.get(status or "", "22")
        return {
            "callerTrxId": name,
            "operationType": operation,
            "result": result,
            "amount": str(amount),
        }


async def gives_token(backend: Backend, asked: Asked) -> Reply:
    """As it should."""
    form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    wanted = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET}
    if form != wanted:
        return Reply(401, b'{"error":"invalid_client"}')
    given = {"access_token": backend.give(), "token_type": "Bearer", "expires_in": backend.life}
    return Reply(200, json.dumps(given).encode())


async def tells(backend: Backend, asked: Asked) -> Reply:
    """As it should."""
    claims = backend.opened(asked)
    if not backend.is_token(asked) or claims is None:
        return Reply(401, b'{"statusCode":"401","message":"unauthorized"}')
    body = json.loads(asked.body)
    assert body["terminalId"] in claims["terminal_ids"]
    assert claims["jti"] not in [each["jti"] for each in backend.claims[:-1]]
    found = backend.known.get((body["terminalId"], body["callerTrxId"]))
    if found is None:
        return Reply(404, b'{"statusCode":"404","message":"not found"}')
    return Reply(200, json.dumps(found).encode())


def answers(status: int, body: bytes = b"") -> Act:
    """This, whatever is asked."""

    async def act(backend: Backend, asked: Asked) -> Reply:
        return Reply(status, body)

    return act


async def hangs(backend: Backend, asked: Asked) -> Reply:
    """Never."""
    await asyncio.sleep(1_000)
    return Reply(500)
