"""What the estate file says of a terminal that is reached through a MerchantAPI system, checked as
a whole.

`docs/estate.md` has them for people. Where source 004 is silent, the choice is a setting here and
is told in README.md. Nothing is read from disk here: a key file that cannot be read is told when it
is needed, before anything is sent.
"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta

LONGEST_BASE: Final = 1_024
"""Characters of an address before which more is put."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class DriverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one terminal. Raises `ValueError` for those that do not fit together."""

    # --- whose system, and who we are there ---
    url: Annotated[str, Meta(min_length=1, max_length=LONGEST_BASE)]
    """Of the API, without a slash at its end: what stands before `/terminals`."""
    api_key_file: Annotated[str, Meta(min_length=1, max_length=4_096)]
    """What it holds is read for each request, so a key that was changed is used at once."""

    # --- how long to wait, in seconds ---
    poll_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 1.5
    """Before the first question for the outcome."""
    longest_poll_seconds: Annotated[float, Meta(ge=0.5, le=60)] = 5.0
    """Between two questions at most."""
    cancel_after_seconds: Annotated[float, Meta(ge=0, le=3_600)] = 180.0
    """From the dispatch on, until a payment that its terminal has not begun is called off. 0: it
    waits there until it is fetched."""
    final_within: Annotated[float, Meta(ge=60, le=3_600)] = 300.0
    """From the dispatch on, until an outcome that has not come is lost. It is still asked for."""
    settle_seconds: Annotated[float, Meta(ge=5, le=3_600)] = 60.0
    """After the last moment at which a request may have arrived, until a transaction that was
    created must be in the terminal's list."""
    person_after_seconds: Annotated[float, Meta(ge=60, le=86_400)] = 600.0
    """From the dispatch on, until what contradicts itself is left to a person."""
    clock_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 300.0
    """By which the system's clock may differ from ours."""
    connect_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 5.0
    send_seconds: Annotated[float, Meta(ge=2, le=60)] = 10.0
    """After the dispatch, until when the payment may be written."""
    answer_seconds: Annotated[float, Meta(ge=2, le=120)] = 30.0
    """For the answer to it."""
    request_seconds: Annotated[float, Meta(ge=1, le=10)] = 8.0
    """For the answer to a question."""

    def __post_init__(self) -> None:
        _check_base(self.url)
        if self.poll_seconds > self.longest_poll_seconds:
            raise ValueError("poll_seconds: it is more than longest_poll_seconds")
        first = self.send_seconds + self.answer_seconds
        if first >= self.final_within:
            raise ValueError(f"final_within: what comes before takes up to {first:g}")
        if self.cancel_after_seconds and not first < self.cancel_after_seconds < self.final_within:
            raise ValueError(
                f"cancel_after_seconds: it is neither 0 nor between {first:g} and final_within"
            )


def _split(url: str) -> SplitResult | None:
    """The parts of an address; None if it is none."""
    try:
        return urlsplit(url) if url.isascii() and url.isprintable() else None
    except ValueError:
        return None


def _check_base(url: str) -> None:
    parts = _split(url)
    good = parts is not None and parts.scheme in ("https", "http") and bool(parts.hostname)
    if parts is None or not good or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("url: it is not an address such as https://api.example.com/pos")
    if url.endswith("/") or " " in url:
        raise ValueError("url: it ends with a slash, or has a blank")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("url: the key goes over https alone, but to this machine")
