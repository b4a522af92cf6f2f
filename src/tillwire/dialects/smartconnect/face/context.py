"""What the handlers of one face share, and who calls."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import OrderedDict
from functools import cached_property
from http import HTTPStatus
from typing import Final
from uuid import UUID, uuid5
from weakref import WeakValueDictionary

import msgspec

from tillwire.core.engine import Engine
from tillwire.core.estate_model import Lifecycle, Register, Terminal
from tillwire.core.ports import Clock, Vault
from tillwire.core.tasks import Tasks
from tillwire.dialects.smartconnect.face import tokens
from tillwire.dialects.smartconnect.face.refusals import Refused
from tillwire.dialects.smartconnect.face.settings import Settings
from tillwire.dialects.smartconnect.face.sightings import Sightings
from tillwire.dialects.smartconnect.wire import forms
from tillwire.dialects.smartconnect.wire.pairing import Registration
from tillwire.errors import InvalidRequest
from tillwire.estate.pairings import Codes
from tillwire.net import asgi
from tillwire.net.addresses import Addresses
from tillwire.net.asgi import Receive, Scope
from tillwire.net.strangers import Strangers, address_of

DIALECT: Final = "smartconnect"
MOST_POLLED: Final = 10_000
"""Transactions whose last poll is remembered."""

_NAMES: Final = UUID("a4a1f0b8-9b7b-5d0c-9f2f-3f0d5d1c2a77")
"""The name space of merchants' ids."""
_DEVICE_DIGITS: Final = 10


class Caller(msgspec.Struct, frozen=True):
    """A register that is paired, with its terminal."""

    register: Register
    terminal: Terminal


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
        """`addresses` says where callbacks may lead."""
        self.engine = engine
        self.clock = clock
        self.settings = settings
        self.vault = vault
        self.addresses = addresses
        self.codes = Codes(vault)
        self.tasks = Tasks()
        self.strangers = Strangers(clock, settings.failures_per_minute, "wrong pairing codes")
        self.sightings = Sightings(engine, self.tasks, settings.two_places_seconds)
        self.at_work: dict[str, str] = {}
        """Terminals that do something for a register that is neither transaction nor errand, and
        the name of the function; empty until it has one."""
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._polled: OrderedDict[str, float] = OrderedDict()

    @cached_property
    def token_key(self) -> bytes:
        """What tokens are made with. Raises `JournalError` when there can be no key."""
        return self.vault.derive(tokens.PURPOSE)

    def caller(self, registration: Registration, scope: Scope) -> Caller:
        """The paired register that is meant. All three of its names must be those with which it
        was paired. Raises `Refused` (400)."""
        estate, ours = self.engine.estate, self.settings.organisation
        register = estate.register(
            ours, DIALECT, registration.vendor_name, registration.register_id
        )
        if register is None:
            raise _not_paired()
        self.sightings.note(register, place_of(registration, scope), self.clock.now())
        terminal = estate.terminals.get(register.terminal_id or "")
        if (
            terminal is None
            or terminal.lifecycle is not Lifecycle.ACTIVATED
            or register.business_name != registration.business_name
        ):
            raise _not_paired()
        return Caller(register, terminal)

    def turn(self, register: Register) -> asyncio.Lock:
        """What a request of the register holds while it begins something, one at a time."""
        return self._turns.setdefault(register.id, asyncio.Lock())

    def check_pace(self, name: str) -> None:
        """Raise `Refused` (429) when this was polled a moment ago. `name` is of what is polled."""
        now, pause = self.clock.monotonic(), self.settings.poll_seconds
        last = self._polled.get(name)
        if last is not None and (left := last + pause - now) > _TOLERANCE:
            after = [(b"retry-after", b"%d" % math.ceil(left))]
            words = f"Poll no more often than every {pause:g} seconds."
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, words, after)
        self._polled[name] = now
        self._polled.move_to_end(name)
        if len(self._polled) > MOST_POLLED:
            self._polled.popitem(last=False)

    def merchant_id(self, terminal: Terminal) -> str:
        """The UUID of the merchant at whose terminal it is."""
        merchant = self.engine.estate.stores[terminal.store_id].merchant_id
        return str(uuid5(_NAMES, merchant))


_TOLERANCE: Final = 0.1
"""Seconds by which a poll may come too early: clocks and networks are not exact."""


def device_id(terminal: Terminal) -> str:
    """Ten digits that name the terminal, whatever TID it has."""
    digest = hashlib.sha256(terminal.id.encode()).digest()
    low = 10 ** (_DEVICE_DIGITS - 1)
    return str(low + int.from_bytes(digest[:8]) % (9 * low))


def place_of(registration: Registration, scope: Scope) -> str:
    """From where a register calls: its address, and the business that it names."""
    return f"{address_of(scope) or 'somewhere'}, {registration.business_name}"


async def form_in(scope: Scope, receive: Receive) -> tuple[bytes, str]:
    """The request's form and its charset. Raises `InvalidRequest`, `HttpError`."""
    given = asgi.header(scope, b"content-type") or ""
    kind, *parameters = (each.strip() for each in given.split(";"))
    if kind.lower() != forms.MEDIA_TYPE:
        raise InvalidRequest("Content-Type", "the body is not said to be a form", forms.MEDIA_TYPE)
    named = dict(each.split("=", 1) for each in parameters if "=" in each)
    charset = {key.strip().lower(): value for key, value in named.items()}.get("charset", "utf-8")
    return await asgi.read_body(scope, receive, forms.LARGEST), charset


def _not_paired() -> Refused:
    return Refused(
        HTTPStatus.BAD_REQUEST,
        "The register is not paired with a terminal: POSRegisterID, POSBusinessName and "
        "POSVendorName must be those with which it was paired.",
    )
