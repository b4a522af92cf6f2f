"""A gateway's MerchantAPI as a till meets it on a bad day: replies are lost, before or after the
request was taken. It runs in memory, behind the `HttpClient` port."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

import msgspec

from tillwire.core.ports import HttpResponse
from tillwire.errors import AnswerLost, NotDelivered

TERMINAL = "ACME-P2-PL1"
_SALE = re.compile(rf"/terminals/{TERMINAL}/transactions/(?P<id>[0-9]+)\Z")
_SALES = re.compile(rf"/terminals/{TERMINAL}/transactions(\?page=(?P<page>[0-9]+)&size=100)?\Z")


class Bad(Enum):
    """What goes wrong with one call."""

    NOTHING = auto()
    UNREACHABLE = auto()
    """Not one byte was sent."""
    LOST_ON_THE_WAY = auto()
    """The request never arrived, and nobody can tell."""
    REPLY_LOST = auto()
    """The request was taken, the reply is gone."""
    LATE = auto()
    """The reply is lost, and the request is taken a minute later."""


class Gateway:
    """Answers a till. The card is presented after `card_after` seconds, and gives `result`."""

    def __init__(self, *, card_after: float = 3.0, result: str = "APPROVED") -> None:
        self.card_after = card_after
        self.result = result
        self.bad: dict[str, deque[Bad | HttpResponse]] = defaultdict(deque)
        """By method: what happens to its next calls."""
        self.sales: dict[str, dict[str, Any]] = {}
        self.calls: Counter[str] = Counter()
        self.more: dict[str, str] = {}
        """Members that every sale has beside those that were sent."""
        self.too_late_after = 1.0
        """Seconds after which a sale cannot be cancelled any more."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        limit: int = 1 << 20,
        ready: Callable[[], None] | None = None,
    ) -> HttpResponse:
        self.calls[method] += 1
        await asyncio.sleep(0.01)
        fate = self.bad[method].popleft() if self.bad[method] else Bad.NOTHING
        if isinstance(fate, HttpResponse):
            return fate
        if fate is Bad.UNREACHABLE:
            raise NotDelivered("connection refused")
        if fate is Bad.LOST_ON_THE_WAY:
            raise AnswerLost("connection reset")
        path = url.removeprefix("http://gateway")
        if fate is Bad.LATE:
            asyncio.get_running_loop().call_later(60, self._answer, method, path, body)
            raise AnswerLost("no answer within 10 s")
        response = self._answer(method, path, body)
        if fate is Bad.REPLY_LOST:
            raise AnswerLost("connection reset")
        assert headers["API-Key"] == "tw_secret"
        return response

    def _answer(self, method: str, path: str, body: bytes) -> HttpResponse:
        if method == "POST":
            return self._started(body)
        sale = _SALE.match(path)
        if sale is None:
            assert _SALES.match(path), path
            newest = sorted(self.sales, reverse=True)
            return reply(200, [self._now(each) for each in newest])
        if method == "DELETE":
            return self._cancelled(sale["id"])
        return reply(200, self._now(sale["id"]))

    def _started(self, body: bytes) -> HttpResponse:
        order = msgspec.json.decode(body)
        sale_id = f"{len(self.sales) + 1:031d}"
        begun = asyncio.get_running_loop().time()
        self.sales[sale_id] = {**order, "id": sale_id, "status": "CREATED", "begun": begun}
        return reply(201, self._now(sale_id))

    def _cancelled(self, sale_id: str) -> HttpResponse:
        now = asyncio.get_running_loop().time()
        if now > self.sales[sale_id]["begun"] + self.too_late_after:
            return reply(409, {"title": "Conflict", "detail": "It was started."})
        self.sales[sale_id]["status"] = "CANCELLED"
        return HttpResponse(204, [], b"")

    def _now(self, sale_id: str) -> dict[str, Any]:
        sale = self.sales[sale_id]
        presented = asyncio.get_running_loop().time() >= sale["begun"] + self.card_after
        if presented and sale["status"] == "CREATED":
            sale["status"] = "CLEARED" if self.result == "APPROVED" else "CANCELLED"
            if self.result:
                sale["result"] = self.result
        told = {name: value for name, value in sale.items() if name != "begun"}
        return {**told, **self.more}


def reply(status: int, document: object) -> HttpResponse:
    """A response with a JSON body."""
    return HttpResponse(status, [], msgspec.json.encode(document))
