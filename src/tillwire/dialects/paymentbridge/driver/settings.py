"""What the estate file says of a terminal that is reached by Payment Bridge, checked as a whole.

`docs/estate.md` has them for people. Where the protocol's sources are silent or differ, the choice
is a setting here and is told in README.md. Nothing is read from disk here: a key file that cannot
be read is told when it is needed, before anything is sent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from tillwire.dialects.paymentbridge.wire import bridge, cuts, ids
from tillwire.dialects.paymentbridge.wire.envelope import LONGEST_TTL

LONGEST_BASE: Final = 1_024
"""Characters of an address before which more is put."""
CAPTURE_PATH: Final = "/businesses/{business}/transactions/{transaction}/capture"

Text = Annotated[str, Meta(min_length=1, max_length=4_096)]
Uuid = Annotated[str, Meta(pattern=rf"^{cuts.UUID}\Z")]
Base = Annotated[str, Meta(max_length=LONGEST_BASE)]


class FollowUps(StrEnum):
    """How what was paid is given back."""

    REST = "rest"
    """In the cloud, without card and terminal."""
    BRIDGE = "bridge"
    """On the terminal. Captures go over REST in any case."""


class MissingReceived(StrEnum):
    """Whether the silence of a terminal proves, once its message must have expired and the cloud
    lists nothing, that it never got it."""

    LEARNED = "learned"
    """If this very device has told it of the last order that it is known to have got."""
    ALWAYS = "always"
    NEVER = "never"


class DriverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one terminal. Raises `ValueError` for those that do not fit together."""

    # --- whose cloud, and who we are there ---
    url: Annotated[str, Meta(min_length=1, max_length=LONGEST_BASE)]
    """Of the API, without a slash at its end."""
    application_id: Text
    private_key_file: Text
    """PEM, RSA: with which the application signs its assertions."""
    business_id: Uuid
    store_id: Uuid
    audience: Base = ""
    """For whom assertions are made; empty: `url`."""

    # --- how terminals answer ---
    callback_url: Base = ""
    """Where terminals reach the face `paymentbridge-callbacks`, without a slash at its end. Empty:
    they cannot, and the cloud is asked."""
    encode_callback_url: bool = False
    """Whether the address is percent-encoded in the order, as old documents have it."""
    missing_received: MissingReceived = MissingReceived.LEARNED

    # --- how orders are written ---
    payload: bridge.Dialect = bridge.Dialect.FLAT
    options: Annotated[tuple[str, ...], Meta(max_length=len(bridge.FLAGS))] = ()
    """Options of a Payment that are set, by the vendor's names."""
    follow_ups: FollowUps = FollowUps.REST
    capture_path: Annotated[str, Meta(pattern=r"^/[A-Za-z0-9._~/{}\-]*\Z", max_length=200)] = (
        CAPTURE_PATH
    )
    """Not documented by the vendor."""

    # --- how long to wait, in seconds ---
    ttl_seconds: Annotated[int, Meta(ge=5, le=600)] = 30
    """In which the cloud must hand the order to the terminal."""
    margin_seconds: Annotated[float, Meta(ge=15, le=600)] = 25.0
    """From then on, until a RECEIVED must have come: three tries take 24 seconds."""
    settle_seconds: Annotated[float, Meta(ge=0, le=600)] = 10.0
    """Until what a terminal or the cloud has done is listed."""
    final_within: Annotated[float, Meta(ge=30, le=3600)] = 180.0
    """From the dispatch on, until an outcome that has not come is lost."""
    over_after_seconds: Annotated[float, Meta(ge=60, le=86_400)] | None = None
    """From the dispatch on, until a payment that the cloud does not list cannot take place any
    more, whatever the terminal has told. None: nobody can say."""
    person_after_seconds: Annotated[float, Meta(ge=60, le=604_800)] = 3_600.0
    """From the dispatch on, until it is left to a person what the cloud does not list."""
    poll_after_seconds: Annotated[float, Meta(ge=1, le=600)] = 15.0
    """For how long callbacks alone are waited for, where there are any."""
    poll_seconds: Annotated[float, Meta(ge=0.5, le=60)] = 2.0
    """Between the first two questions."""
    longest_poll_seconds: Annotated[float, Meta(ge=0.5, le=600)] = 8.0
    """Between two questions at most."""
    device_cache_seconds: Annotated[float, Meta(ge=0, le=3600)] = 300.0
    """For which it is remembered which device stands at a TID."""
    clock_seconds: Annotated[float, Meta(ge=0, le=3600)] = 300.0
    """By which the cloud's clock may differ from ours."""
    connect_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 5.0
    send_seconds: Annotated[float, Meta(ge=2, le=120)] = 20.0
    """After the dispatch, until when the order may be written, with all that goes before."""
    request_seconds: Annotated[float, Meta(ge=1, le=25)] = 10.0
    """For the cloud's answer to a question, or to an order."""
    rest_seconds: Annotated[float, Meta(ge=5, le=300)] = 60.0
    """For its answer to what it does by itself."""

    def __post_init__(self) -> None:
        _check_base("url", self.url)
        for name in ("audience", "callback_url"):
            if getattr(self, name):
                _check_base(name, getattr(self, name))
        if ids.application_id(self.application_id) is None:
            raise ValueError("application_id: it is not urn:aid: and a UUID")
        if unknown := sorted(set(self.options) - bridge.FLAGS):
            raise ValueError(f"options: there is no {unknown[0]}")
        filled = self.capture_of("0")
        if "{transaction}" not in self.capture_path or "{" in filled or "}" in filled:
            raise ValueError("capture_path: it has {transaction}, {business} and no other braces")
        if self.poll_seconds > self.longest_poll_seconds:
            raise ValueError("poll_seconds: it is more than longest_poll_seconds")
        first = self.send_seconds + max(self.rest_seconds, self.request_seconds + self.unheard)
        if first >= self.final_within:
            raise ValueError(f"final_within: what comes before takes up to {first:g}")
        if self.over_after_seconds is not None and self.over_after_seconds < self.final_within:
            raise ValueError("over_after_seconds: it is less than final_within")

    @property
    def application(self) -> str:
        """The application's id as the wire has it."""
        found = ids.application_id(self.application_id)
        assert found is not None, "it was checked"
        return found

    def capture_of(self, transaction: str) -> str:
        """The path at which a transaction is captured."""
        path = self.capture_path.replace("{business}", self.business_id)
        return path.replace("{transaction}", transaction)

    @property
    def unheard(self) -> float:
        """Seconds after the cloud has taken an order, until nothing of it can come any more if its
        terminal did not get it."""
        return self.ttl_seconds + self.margin_seconds + self.settle_seconds


def _check_base(name: str, url: str) -> None:
    """See to it that paths can be put behind an address."""
    parts = urlsplit(url)
    if not bridge.is_address(url) or parts.query or parts.fragment or url.endswith("/"):
        raise ValueError(
            f"{name}: it is not an address such as https://services-eu.poynt.net, without a slash "
            "at its end"
        )


assert LONGEST_TTL >= 600, "the cloud takes each ttl that can be set"
