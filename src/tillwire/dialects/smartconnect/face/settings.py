"""How a face of SmartConnect departs from its defaults.

Where the sources are silent or differ, the choice is a setting here and is told in README.md.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1, max_length=256)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one face."""

    organisation: Text
    """On whose terminals it has registers pay. Those of others do not exist here."""

    # --- pairing ---
    lenient_name: bool = False
    """Whether a register may be paired without `POSRegisterName`, as some clients do it."""
    failures_per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 10
    """Wrong pairing codes from one address, after which more are refused with 429."""
    two_places_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 600.0
    """Within how many seconds a register that is used from two places is noticed. 0: never."""

    # --- transactions ---
    sync: bool = True
    """Whether a register may leave out `TransactionMode`, and wait for the end in one request."""
    sync_seconds: Annotated[float, Meta(gt=0, le=3600)] = 180.0
    """Seconds for which such a request is held. The payment goes on after that."""
    attach_identical: bool = True
    """What a register gets that asks for the same again while the first one is unresolved: the
    first one (true), or 429 (false)."""
    deliver_within: Annotated[float, Meta(gt=0, le=600)] = 30.0
    """Seconds in which a terminal that fetches has to fetch; then it counts as away."""
    qr: bool = True
    """Whether QR payments are given to the terminal as the payment that they are; else they are
    not available."""

    # --- polls ---
    token_seconds: Annotated[int, Meta(ge=10, le=86_400)] = 900
    """How long a polling URL is good for, from the answer that had it."""
    poll_seconds: Annotated[float, Meta(ge=0, le=60)] = 2.0
    """Seconds between two polls of a transaction; sooner gets 429. 0: at any time."""
    delayed_after: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    """Seconds after which what is still pending is told as delayed."""

    # --- web pages ---
    origins: tuple[Text, ...] = ()
    """From which web pages (`https://till.example`, or `*` for all) browsers may call. Others are
    refused: a form needs no leave of ours to be posted from any page."""
