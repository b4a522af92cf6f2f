"""What stands around a running sandbox, over plain blocking HTTP: a till at the MerchantAPI, a
terminal at the device link, what virtual terminals do next, and the acquirer's books.

Written apart from the program's own wire modules, on the standard library alone, so that both
cannot be wrong in the same way.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from tests.kit.sandbox_process import Card

PATIENCE: Final = 30.0
"""Seconds that one reply may take on a busy machine."""
ENDS_WITHIN: Final = 30.0
"""Seconds that a sale may take on a busy machine."""
OPEN: Final = "CREATED"
PROBLEM: Final = "application/problem+json"
_PAUSE: Final = 0.02

Json = Any
"""JSON of any shape; numbers with a fraction are `Decimal`."""


@dataclass(frozen=True)
class Answer:
    """A whole HTTP response."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def json(self) -> Json:
        """The body, read exactly."""
        return json.loads(self.body, parse_float=Decimal)


def call(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """One request on a connection of its own. Raises `OSError` or `http.client.HTTPException`
    when there is no whole answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, dict(headers or {}))
        response = connection.getresponse()
        content = response.read()
        return Answer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            content,
        )
    finally:
        connection.close()


class Till:
    """A till at one terminal."""

    def __init__(self, card: Card, terminal: str, key: str | None = None) -> None:
        api = card["merchantapi"]
        self.url = f"{api['url']}/terminals/{terminal}"
        self.transactions = f"{self.url}/transactions"
        self.headers = {"API-Key": key or api["api_key"]}

    def ask(
        self,
        reference: str,
        minor: int,
        *,
        kind: str = "PURCHASE",
        original: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask for a payment of so many euro cents."""
        order = {"type": kind, "merchant_order_reference": reference}
        euros = f"{minor // 100}.{minor % 100:02d}"
        refund = f',"reference":{{"id":"{original}"}}' if original else ""
        body = f'{json.dumps(order)[:-1]},"amount":{{"value":{euros},"currency":"EUR"}}{refund}}}'
        sent = {**self.headers, "Content-Type": "application/json", **(headers or {})}
        return call("POST", self.transactions, sent, body.encode())

    def start(
        self, reference: str, minor: int, *, kind: str = "PURCHASE", original: str | None = None
    ) -> str:
        """The same, which must be accepted; the transaction's id."""
        answer = self.ask(reference, minor, kind=kind, original=original)
        assert answer.status == 201, answer
        assert answer.json["status"] in (OPEN, "CLEARED", "CANCELLED"), answer
        found: str = answer.json["id"]
        return found

    def read(self, transaction_id: str) -> Json:
        """The transaction as it stands."""
        answer = call("GET", f"{self.transactions}/{transaction_id}", self.headers)
        assert answer.status == 200, answer
        return answer.json

    def cancel(self, transaction_id: str) -> Answer:
        """Ask to cancel it."""
        return call("DELETE", f"{self.transactions}/{transaction_id}", self.headers)

    def listed(self) -> list[Json]:
        """All of the terminal's transactions, newest first, page by page."""
        found: list[Json] = []
        page = 1
        while True:
            answer = call("GET", f"{self.transactions}?page={page}&size=100", self.headers)
            assert answer.status == 200, answer
            found += answer.json
            if len(found) >= int(answer.headers["x-total-count"]) or not answer.json:
                return found
            page += 1

    def look_up(self, reference: str) -> list[Json]:
        """Those of this reference: what a till does when the answer to its order was lost."""
        return [each for each in self.listed() if each["merchant_order_reference"] == reference]

    def follow(self, transaction_id: str, seconds: float = ENDS_WITHIN) -> Json:
        """Read it until it has ended, so many seconds at most; as it was read last."""
        end = time.monotonic() + seconds
        while True:
            told = self.read(transaction_id)
            if told["status"] != OPEN or time.monotonic() > end:
                return told
            time.sleep(_PAUSE)


class PolledTerminal:
    """A terminal that fetches, played by the test."""

    def __init__(self, card: Card, number: int = 0) -> None:
        device = card["merchantapi"]["device"]
        self.url: str = device["url"]
        self.name: str = device["terminals"][number]["terminal"]
        self.headers = {"Authorization": f"Bearer {device['terminals'][number]['token']}"}

    def poll(self, wait: float = 0, boot: int | None = None) -> Answer:
        """Ask for the next transaction: 204, or 200 with it."""
        query = f"?wait={wait:g}" + ("" if boot is None else f"&boot={boot}")
        return call("POST", f"{self.url}/next{query}", self.headers)

    def fetch(self, boot: int | None = None) -> Json:
        """The same, held until there is one."""
        answer = self.poll(20, boot)
        assert answer.status == 200, answer
        return answer.json

    def tell(self, transaction_id: str, kind: str, **knows: object) -> Answer:
        """Tell an event of a transaction."""
        body = json.dumps({"type": kind, **knows}).encode()
        headers = {**self.headers, "Content-Type": "application/json"}
        return call("POST", f"{self.url}/transactions/{transaction_id}/events", headers, body)


def script(card: Card, terminal: str, **says: object) -> None:
    """What the virtual terminal of this name does next, whatever the amount."""
    url = f"{card['virtual']['url']}/terminals/{terminal}/script"
    headers = {"Content-Type": "application/json", **bearer(card)}
    answer = call("PUT", url, headers, json.dumps({"script": says, "times": 1}).encode())
    assert answer.status == 200, answer


def ledger(card: Card, reference: str | None = None) -> list[Json]:
    """The acquirer's records: all, or those of the till's reference."""
    address = card["virtual"]["ledger"]
    answer = call("GET", address, bearer(card))
    assert answer.status == 200, answer
    return [each for each in answer.json if reference in (None, each["reference"])]


def bearer(card: Card) -> dict[str, str]:
    """What reads the ledger: the token of the card's `api`, once there is one."""
    return {"Authorization": f"Bearer {card['api']['token']}"} if "api" in card else {}


def charged(card: Card, reference: str) -> list[int]:
    """What the acquirer really moved for a reference, in minor units, in its order."""
    return [each["amount"] for each in ledger(card, reference) if each["approved"]]
