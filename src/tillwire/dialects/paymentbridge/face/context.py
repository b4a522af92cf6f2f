"""What the handlers of one face share, and the request as they get it."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import Final

from tillwire.clock import Instant
from tillwire.core.engine import Engine
from tillwire.core.estate_model import Application, Merchant
from tillwire.core.ports import Clock, Vault
from tillwire.dialects.paymentbridge.face.places import Places
from tillwire.dialects.paymentbridge.face.refusals import Refused
from tillwire.dialects.paymentbridge.face.settings import Settings
from tillwire.estate.applications import CLOUD_MESSAGES
from tillwire.net import asgi
from tillwire.net.addresses import Addresses
from tillwire.net.per_minute import LimitedLog, PerMinute
from tillwire.net.strangers import Strangers

DIALECT = "paymentbridge"

FAILURES_A_MINUTE: Final = 60
"""Orders of one application that could not be done, and that it is told so of by a callback."""

Call = asgi.Call[Application]
"""A request, by the application that makes it."""


class Context:
    """One face, as its handlers see it."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        settings: Settings,
        vault: Vault,
        addresses: Addresses,
    ) -> None:
        """`addresses` says where callbacks and hooks may lead."""
        self.engine = engine
        self.clock = clock
        self.settings = settings
        self.vault = vault
        self.addresses = addresses
        self.strangers = Strangers(clock, settings.failures_per_minute)
        self.refusals = LimitedLog(clock, "more applications were not let in")
        self.lost_orders = LimitedLog(clock, "more orders came to nothing")
        self.failures: defaultdict[str, PerMinute] = defaultdict(
            lambda: PerMinute(clock, FAILURES_A_MINUTE)
        )
        """Last callbacks of orders that could not be done, by their application's id."""
        self.running: dict[tuple[str, str], str] = {}
        """Requests that are just being done: application and number, and what they ask for."""
        self._places = Places(engine.estate)

    @property
    def places(self) -> Places:
        """The estate as the cloud has it, as it stands."""
        if self._places.estate is not self.engine.estate:
            self._places = Places(self.engine.estate)
        return self._places

    @cached_property
    def token_key(self) -> bytes:
        """What tokens are signed with. Raises `JournalError` when there can be no key."""
        return self.vault.derive("paymentbridge tokens")

    def now(self) -> Instant:
        """Now."""
        return self.clock.now()

    def business(self, call: Call, business_id: str) -> Merchant:
        """The caller's business of this id. Raises `Refused`."""
        found = self.places.business(call.caller.organisation_id, business_id)
        if found is None:
            raise Refused("BUSINESS_NOT_FOUND", "There is no such business.")
        return found


def check_may_pay(call: Call) -> None:
    """Raise `Refused` unless the application may move money."""
    if CLOUD_MESSAGES not in call.caller.permissions:
        raise Refused("UNAUTHORIZED_ACCESS", f"The application lacks {CLOUD_MESSAGES}.")
