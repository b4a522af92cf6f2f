"""What the handlers are given: what one face's have in common, and the request."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tillwire.core.engine import Engine
from tillwire.core.estate_model import ApiKey
from tillwire.core.ports import Clock
from tillwire.dialects.merchantapi.usage import KeyUsage
from tillwire.net import asgi

Call = asgi.Call[ApiKey]
"""A request, by the key with which it was made."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this face departs from its defaults."""

    receipt_columns: Literal[24, 30, 40] = 24
    """The width of receipts."""
    cancel_unfetched_after: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    """Seconds after which a transaction that no terminal has fetched is cancelled. None: it waits
    until it is fetched, cancelled or replaced."""


class Context(msgspec.Struct, frozen=True):
    """What the handlers of one face share."""

    engine: Engine
    clock: Clock
    settings: Settings
    usage: KeyUsage
