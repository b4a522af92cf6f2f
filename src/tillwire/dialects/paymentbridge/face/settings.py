"""How a face of Payment Bridge departs from its defaults.

Where the sources are silent or differ, the choice is a setting here and is told in README.md. What
concerns the callbacks of a transaction is fixed when it is accepted: it goes with it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1, max_length=256)]

VENDOR_HOSTS: Final = (
    "https://services.poynt.net",
    "https://services-eu.poynt.net",
    "https://services-ote.poynt.net",
    "https://services-ci.poynt.net",
    "https://services-test.poynt.net",
    "https://services-st.poynt.net",
)
"""The hosts for which the vendor's own clients sign their assertions, whatever they call."""


class Mischief(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong with callbacks, for who tests an application: on loopback alone."""

    drop: tuple[Literal["received", "started", "final"], ...] = ()
    """Callbacks that are never sent."""
    final_twice: bool = False
    reversed_order: bool = False
    """The last one first, then STARTED, then RECEIVED."""
    delay: Annotated[float, Meta(ge=0, le=600)] = 0.0
    """Seconds by which each callback is late."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one face."""

    organisation: str = ""
    """Whose applications may call it. Empty: those of all; each sees its own organisation."""
    api_host: Text = "https://services-eu.poynt.net"
    """What access tokens name as their issuer."""
    audiences: tuple[Text, ...] = ()
    """For whom assertions may be made out, beside the vendor's hosts, `api_host` and the address
    of the listener: the address under which applications call it, where a proxy is in front."""

    # --- tokens ---
    token_seconds: Annotated[int, Meta(ge=60, le=604_800)] = 86_400
    """How long an access token is good for."""
    refresh_seconds: Annotated[int, Meta(ge=60, le=31_536_000)] = 2_592_000
    """How long a refresh token is good for."""
    failures_per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 60
    """Failed sign-ins from one address, after which more are refused with 429."""

    # --- messages ---
    allow_broadcast: bool = False
    """Whether a message may name no terminal. It goes to one of the store's then."""
    partial_approval: bool = False
    """Whether a sale may be approved for less than it asks for."""
    purchase_action: Literal["SALE", "AUTHORIZE"] = "SALE"
    """As what a sale is told: SALE and CAPTURED, or AUTHORIZE and AUTHORIZED."""

    # --- callbacks ---
    reference_key_style: Literal["nexi", "poynt", "both"] = "nexi"
    """How RECEIVED and STARTED spell the reference: `referenceID`, `referenceId`, or both."""
    gzip: bool = False
    """Whether callbacks are compressed."""
    mischief: Mischief = Mischief()

    # --- the API beside messages ---
    idempotency_replay: bool = True
    """What a request gets whose Poynt-Request-Id was answered before: that answer, or (false)
    REQUEST_ID_DUPLICATE."""
    answer_within: Annotated[float, Meta(gt=0, le=300)] = 30.0
    """Seconds in which a refund, void or capture is answered; it goes on after that."""


def only_on_loopback(settings: Settings) -> str:
    """The path of what is for testing alone; empty if nothing is set."""
    return "mischief" if settings.mischief != Mischief() else ""
