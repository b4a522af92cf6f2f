"""What the estate file says of a phone with SoftPOS or of a mobile POS, checked as a whole.

`docs/estate.md` has them for people. Where the source is silent, the choice is a setting here and
is told in README.md. Nothing is read from disk here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta

from tillwire.dialects.softpos.wire import aliases, assertions, links
from tillwire.dialects.softpos.wire.aliases import Aliases, Names
from tillwire.dialects.softpos.wire.check import Status
from tillwire.errors import InvalidRequest

LONGEST_BASE: Final = 1_024

Text = Annotated[str, Meta(min_length=1, max_length=256)]
File = Annotated[str, Meta(min_length=1, max_length=4_096)]
Optional = Annotated[str, Meta(max_length=4_096)]


class Profile(StrEnum):
    """The vendor's systems, whose keys, certificates and TIDs are apart."""

    STAGING = "staging"
    PRODUCTION = "production"


HOSTS: Final[Mapping[Profile, str]] = {
    Profile.STAGING: "stgb2bsoftpos.nexigroup.com",
    Profile.PRODUCTION: "b2bsoftpos.nexigroup.com",
}
"""The vendor's own hosts (source 001)."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class DriverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one terminal. Raises `ValueError` for those that do not fit together."""

    # --- whose backend, and who we are there ---
    profile: Profile
    url: Annotated[str, Meta(max_length=LONGEST_BASE)] = ""
    """Base URL, without a path; empty: the vendor's of the profile."""
    audience: Annotated[str, Meta(max_length=LONGEST_BASE)] = ""
    """For whom assertions are made, with its scheme; empty: `url`."""
    client_id: Text
    client_secret_file: File
    certificate_file: File
    """PEM: ours, of this profile."""
    private_key_file: File
    """PEM, RSA: the certificate's, with which assertions are signed, too."""
    ca_file: Optional = ""
    """PEM: who vouches for the backend; empty: the system's authorities."""
    point_of_sale: Annotated[str, Meta(pattern=r"^[0-9A-Za-z]{0,32}\Z")] = ""
    merchant_username: Annotated[
        str, Meta(pattern=r"^([!-?A-~]+@[!-?A-~]+)?\Z", max_length=256)
    ] = ""
    """With Cloud Authentication alone: an e-mail address, of this TID's own; so is `device_id`."""
    device_id: Annotated[str, Meta(pattern=r"^[!-~]*\Z", max_length=256)] = ""
    """As the vendor's SDK made it on the phone."""
    other_tid: Annotated[str, Meta(pattern=r"^([0-9]{8})?\Z")] = ""
    """The TID of the mobile POS on the same phone: the app pays on the one that was selected
    last."""

    # --- the app on the phone ---
    return_url: Annotated[str, Meta(min_length=1, max_length=LONGEST_BASE)]
    """Where phones reach the face `softpos-returns`, without a slash at its end."""
    caller_name: Annotated[str, Meta(min_length=1, max_length=links.LONGEST_NAME)] = "tillwire"
    reverses_last: bool = True
    """Whether a reversal on the own TID takes back the last payment, whatever it names, as SoftPOS
    does. A mobile POS takes back the one that is named."""
    auto_close: bool = False
    """Whether the app goes back by itself; it sends no receipt then."""

    # --- how answers are read ---
    field_names: Annotated[dict[str, Names], Meta(max_length=len(aliases.FIELDS))] = {}
    """Logical field -> the names under which it may stand, in place of ours."""
    status_words: Annotated[dict[Text, Status], Meta(max_length=64)] = {}
    """A status's word -> what it means, beside ours."""
    major_units: bool = False
    """Whether amounts are in major units (12.34)."""

    # --- how long to wait, in seconds ---
    link_seconds: Annotated[float, Meta(ge=30, le=3_600)] = 120.0
    """From the dispatch on, for how long the link is shown."""
    final_within: Annotated[float, Meta(ge=60, le=3_600)] = 180.0
    """From the dispatch on, until an outcome that has not come is lost."""
    settle_seconds: Annotated[float, Meta(ge=30, le=3_600)] = 120.0
    """From the dispatch on, until a payment that took place must be known to the backend."""
    horizon_seconds: Annotated[float, Meta(ge=0, le=2_592_000)] = 86_400.0
    """From the dispatch on, until what the backend does not know did not take place. 0: nobody can
    say, and it is left to a person."""
    connect_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 5.0
    send_seconds: Annotated[float, Meta(ge=5, le=60)] = 20.0
    """After the dispatch, until when the link may be made."""
    request_seconds: Annotated[float, Meta(ge=1, le=10)] = 5.0
    """For one answer of the backend."""

    def __post_init__(self) -> None:
        base = _host("url", self.base_url)
        _host("audience", self.for_whom)
        if urlsplit(self.base_url).scheme == "http" and base not in _LOOPBACK:
            raise ValueError("url: the backend wants https and our certificate")
        for profile, host in HOSTS.items():
            if profile is not self.profile and host in (base, _host("audience", self.for_whom)):
                raise ValueError(f"profile: {host} is {profile}'s, and this is {self.profile}")
        _check_return(self.return_url)
        if not self.caller_name.isprintable():
            raise ValueError("caller_name: it is not printable")
        if self.link_seconds > self.final_within:
            raise ValueError("link_seconds: it is more than final_within")
        least = max(3_600.0, self.link_seconds + self.settle_seconds)
        if 0 < self.horizon_seconds < least:
            raise ValueError(f"horizon_seconds: it is neither 0 nor at least {least:g}")
        try:
            _ = self.table
        except InvalidRequest as error:
            raise ValueError(f"field_names: {error.detail}") from None

    @property
    def base_url(self) -> str:
        """The backend's, without a slash at its end."""
        return self.url or f"https://{HOSTS[self.profile]}"

    @property
    def for_whom(self) -> str:
        """The audience of assertions."""
        return self.audience or self.base_url

    @property
    def table(self) -> Aliases:
        """How answers are read."""
        return aliases.aliases(self.field_names, self.status_words, major_units=self.major_units)


def _split(url: str) -> SplitResult | None:
    """The parts of an address; None if it is none."""
    try:
        return urlsplit(url) if url.isascii() and url.isprintable() else None
    except ValueError:
        return None


def _host(name: str, url: str) -> str:
    parts = _split(url)
    bare = parts is not None and not (parts.path or parts.query or parts.fragment)
    if parts is None or not bare or parts.scheme not in ("https", "http") or "@" in parts.netloc:
        raise ValueError(f"{name}: it is not such as https://b2bsoftpos.nexigroup.com")
    if not parts.hostname:
        raise ValueError(f"{name}: it has no host")
    return parts.hostname


def _check_return(url: str) -> None:
    parts = _split(url)
    good = parts is not None and parts.scheme in ("https", "http") and bool(parts.hostname)
    if parts is None or not good or parts.query or parts.fragment or url.endswith("/"):
        raise ValueError(
            "return_url: it is not an address such as https://pay.shop.example/softpos, without a "
            "slash at its end"
        )


assert assertions.MOST_TERMINALS == 2, "a TID and the other one"
