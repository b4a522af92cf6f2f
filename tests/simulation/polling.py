"""A terminal that fetches its transactions, played by the rules of the device link.

Its memory of ids, its boot number and what it really charged are its own: they outlive the
gateway. `forget` takes its memory away, as a factory reset would; what it charged stays charged.
"""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any, Final

from tests.kit import shop
from tests.kit.gateway import PORTS
from tillwire.core.ports import HttpClient, HttpResponse
from tillwire.errors import PeerError

HELD: Final = 20
"""Seconds for which it lets its poll be held."""
PAUSE: Final = 2.0
"""Seconds after which it tries again what failed."""

Report = dict[str, object]


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

    async def work(self, http: HttpClient) -> None:
        """Fetch, charge and report, for ever."""
        while True:
            response = await self._post(http, f"/next?wait={HELD}&boot={self._boot}", {})
            if response is None or response.status not in (200, 204):
                await asyncio.sleep(PAUSE)
            elif response.status == 200:
                await self._carry_out(http, json.loads(response.body))

    async def _carry_out(self, http: HttpClient, offer: dict[str, Any]) -> None:
        id_ = offer["id"]
        if id_ not in self._ended:
            if offer["resume"]:
                self._ended[id_] = {"type": "cancelled", "reason": "Not known here."}
            elif await self._report(http, id_, {"type": "card_presented"}):
                await asyncio.sleep(self._source.choice((0.5, 4.0, 25.0)))
                self._ended[id_] = self._charge(id_, offer["amount"]["minor"])
            else:
                return
        await self._report(http, id_, self._ended[id_])

    def _charge(self, id_: str, minor: int) -> Report:
        assert id_ not in self.charged, "a terminal never charges an id twice"
        verdict = self._source.choice(("approved", "approved", "declined", "cancelled"))
        if verdict == "approved":
            self.charged[id_] = minor
        return {"type": verdict}

    async def _report(self, http: HttpClient, id_: str, report: Report) -> bool:
        """Tell it until it is heard; whether the gateway took it."""
        boot = self._boot
        while boot == self._boot:
            response = await self._post(http, f"/transactions/{id_}/events", report)
            if response is not None and response.status < 500:
                return response.status == 200
            await asyncio.sleep(PAUSE)
        return False

    async def _post(self, http: HttpClient, path: str, body: Report) -> HttpResponse | None:
        try:
            return await http.request(
                "POST",
                f"http://127.0.0.1:{PORTS['device']}{path}",
                headers={
                    "Authorization": f"Bearer {shop.DEVICE_TOKEN}",
                    "Content-Type": "application/json",
                },
                body=json.dumps(body).encode(),
                timeout=HELD + 5,
            )
        except PeerError:
            return None
