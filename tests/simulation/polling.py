"""A terminal that fetches its transactions, played by the rules of the device link.

Its memory of ids, its boot number and what it really charged are its own: they outlive the
gateway. `forget` takes its memory away, as a factory reset would; what it charged stays charged.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from tests.kit import shop
from tillwire.core.ports import HttpClient, HttpResponse
from tillwire.errors import PeerError

HELD: Final = 20
"""Seconds for which it lets its poll be held."""
PAUSE: Final = 2.0
"""Seconds after which it tries again what failed."""

Report = dict[str, object]
Post = Callable[[str, Report], Coroutine[Any, Any, HttpResponse | None]]
"""Posts to a path of the face; None when there was no answer."""


class PollingTerminal:
    """One terminal and its cardholders."""

    def __init__(self, source: random.Random) -> None:
        """`source` decides what cardholders do."""
        self.charged: dict[str, int] = {}
        """What it really took: transaction id -> minor units."""
        self.forgets = False
        """Whether it has ever lost its memory."""
        self._source = source
        self._ended: dict[str, Report] = {}
        self._boot = 1

    def forget(self) -> None:
        """Lose the memory of ids."""
        self.forgets = True
        self._ended.clear()
        self._boot += 1

    async def work(self, http: HttpClient, url: str) -> None:
        """Fetch, charge and report, for ever. `url` is the face's."""
        post = partial(_post, http, url)
        while True:
            response = await post(f"/next?wait={HELD}&boot={self._boot}", {})
            if response is None or response.status not in (200, 204):
                await asyncio.sleep(PAUSE)
            elif response.status == 200:
                await self._carry_out(post, json.loads(response.body))

    async def _carry_out(self, post: Post, offer: dict[str, Any]) -> None:
        id_ = offer["id"]
        if id_ not in self._ended:
            if offer["resume"]:
                self._ended[id_] = {"type": "cancelled", "reason": "Not known here."}
            elif await self._report(post, id_, {"type": "card_presented"}):
                await asyncio.sleep(self._source.choice((0.5, 4.0, 25.0)))
                self._ended[id_] = self._charge(id_, offer["amount"]["minor"])
            else:
                return
        await self._report(post, id_, self._ended[id_])

    def _charge(self, id_: str, minor: int) -> Report:
        assert id_ not in self.charged, "a terminal never charges an id twice"
        verdict = self._source.choice(("approved", "approved", "declined", "cancelled"))
        if verdict == "approved":
            self.charged[id_] = minor
        return {"type": verdict}

    async def _report(self, post: Post, id_: str, report: Report) -> bool:
        """Tell it until it is heard; whether the gateway took it."""
        boot = self._boot
        while boot == self._boot:
            response = await post(f"/transactions/{id_}/events", report)
            if response is not None and response.status < 500:
                return response.status == 200
            await asyncio.sleep(PAUSE)
        return False


async def _post(http: HttpClient, url: str, path: str, body: Report) -> HttpResponse | None:
    headers = {
        "Authorization": f"Bearer {shop.DEVICE_TOKEN}",
        "Content-Type": "application/json",
    }
    octets = json.dumps(body).encode()
    try:
        return await http.request(
            "POST", url + path, headers=headers, body=octets, timeout=HELD + 5
        )
    except PeerError:
        return None
