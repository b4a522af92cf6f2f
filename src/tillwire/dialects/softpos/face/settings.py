"""How a face of SoftPOS departs from its defaults.

Where the source is silent, the choice is a setting here and is told in README.md.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1, max_length=256)]

VENDOR_HOSTS: Final = {
    "staging": "https://stgb2bsoftpos.nexigroup.com",
    "production": "https://b2bsoftpos.nexigroup.com",
}
"""The vendor's own base URLs, by profile."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one face."""

    profile: Literal["staging", "production"] = "staging"
    """Whose applications, tokens and keys there are. Those of the other one do not exist."""
    audiences: Annotated[tuple[Text, ...], Meta(max_length=8)] = ()
    """Base URLs that assertions may be made out for, beside the listener's own address: the one
    under which applications call it, where that is another."""

    token_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 3_600
    """How long a bearer token is good for."""
    failures_per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 60
    """Wrong secrets of one application, under its own certificate, from one address, after which
    more are refused with 429."""

    without_caller_id: Literal["refuse", "latest"] = "refuse"
    """What a request without `callerTrxId` gets: 400, or the newest transaction on the TID."""
    unnamed_terminal: Literal["invalid", "absent"] = "invalid"
    """What a request gets whose `terminalId` is not in its assertion: 400, or 404."""
    app_version_status: str = "OK"
    """`appVersionStatus` of refusals; empty: it is left out."""

    merchant_id: Annotated[str, Meta(max_length=15)] = ""
    """`merchantId` of answers; so are the next two. Empty: left out."""
    acquirer_id: Annotated[str, Meta(max_length=11)] = ""
    acquirer_name: Annotated[str, Meta(max_length=16)] = ""

    def __post_init__(self) -> None:
        """Refuse what would mix the profiles."""
        for profile, host in VENDOR_HOSTS.items():
            named = any(each.rstrip("/") == host for each in self.audiences)
            if named and profile != self.profile:
                raise ValueError(f"{host} is the audience of {profile}, not of {self.profile}")
        for each in self.audiences:
            if not each.startswith(("https://", "http://")):
                raise ValueError(f"the audience {each!r} lacks its scheme")
