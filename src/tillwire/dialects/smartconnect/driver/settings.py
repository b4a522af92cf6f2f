"""What the estate file says of a terminal that is reached through SmartConnect, checked as a whole.

`docs/estate.md` has them for people. Where the protocol's sources are silent or differ, the choice
is a setting here and is told in README.md.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from tillwire.dialects.smartconnect.wire import cuts
from tillwire.dialects.smartconnect.wire.forms import LONGEST_NAME
from tillwire.dialects.smartconnect.wire.pairing import Registration
from tillwire.dialects.smartconnect.wire.transactions import is_address
from tillwire.money import CURRENCIES

LONGEST_BASE: Final = 1_024
"""Characters of an address before which more is put."""
CLOSEST_POLLS: Final = 2.0
"""Seconds between two polls at least, by the vendor's rule."""

Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]


class Method(StrEnum):
    """What customers pay with."""

    CARD = "card"
    QR_MERCHANT = "qr_merchant"
    """The terminal shows a QR code."""
    QR_CONSUMER = "qr_consumer"
    """The customer shows one."""


class DriverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one terminal. Raises `ValueError` for those that do not fit together."""

    # --- whose cloud, and who we are there ---
    url: Annotated[str, Meta(min_length=1, max_length=LONGEST_BASE)]
    """Of the API, without a slash at its end: `https://api.smart-connect.cloud/POS`."""
    register_id: Name
    """`POSRegisterID`: no other register of this vendor may have it, of whatever shop."""
    business_name: Name
    vendor_name: Name
    register_name: Annotated[str, Meta(max_length=LONGEST_NAME)] = ""
    """Shown on the terminal; empty: the terminal's name."""

    # --- what is paid there ---
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    """The terminal's: the protocol tells none."""
    method: Method = Method.CARD

    # --- how long to wait, in seconds ---
    poll_seconds: Annotated[float, Meta(ge=CLOSEST_POLLS, le=30)] = 3.0
    longest_poll_seconds: Annotated[float, Meta(ge=CLOSEST_POLLS, le=60)] = 30.0
    """Between two polls at most, when the cloud wants them slower."""
    final_within: Annotated[float, Meta(ge=60, le=840)] = 300.0
    """From the dispatch on, until an outcome that has not come is lost. The polling goes on."""
    person_after_seconds: Annotated[float, Meta(ge=60, le=3600)] = 180.0
    """From the dispatch on, until a terminal must be done with it: then its journal is read for
    the person who has to decide, and not before."""
    connect_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 5.0
    send_seconds: Annotated[float, Meta(ge=2, le=60)] = 10.0
    """After the dispatch, until when the request may be written."""
    answer_seconds: Annotated[float, Meta(ge=2, le=120)] = 30.0
    """For the cloud's word that it has taken a request."""
    request_seconds: Annotated[float, Meta(ge=1, le=10)] = 10.0
    """For its answer to a poll."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url) if is_address(self.url) else None
        if parts is None or parts.query or parts.fragment or self.url.endswith("/"):
            raise ValueError(
                "url: it is not an address such as https://api.smart-connect.cloud/POS, without a "
                "slash at its end"
            )
        for name in ("register_id", "business_name", "vendor_name", "register_name"):
            text = getattr(self, name)
            if not text.isprintable() or text != text.strip():
                raise ValueError(f"{name}: it begins or ends with a blank, or has a line's end")
            if cuts.holds_card(text):
                raise ValueError(f"{name}: it holds a card number")
        if self.currency not in CURRENCIES:
            raise ValueError(f"currency: there is no {self.currency}")
        if self.poll_seconds > self.longest_poll_seconds:
            raise ValueError("poll_seconds: it is more than longest_poll_seconds")
        first = self.send_seconds + self.answer_seconds
        if first >= self.final_within:
            raise ValueError(f"final_within: what comes before takes up to {first:g}")

    @property
    def registration(self) -> Registration:
        """Who we are in the cloud."""
        return Registration(self.register_id, self.business_name, self.vendor_name)
