"""The header that callbacks are to carry (`custom-http-header`), so that their receiver knows them.

How it is written is not documented, so two forms are read: an object of names and values, and a
line `Name: value`. What would change the callback's own HTTP is refused.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tillwire.dialects.paymentbridge.wire import cuts
from tillwire.errors import InvalidRequest

MOST: Final = 8
"""Headers at most."""
LONGEST: Final = 1_024
"""Characters of a value at most."""

OURS: Final = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "expect", "host"}
    | {"keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"}
)
"""Headers of HTTP itself (RFC 9110, 9112) and of the callback's body: the sender's own. So is all
that begins with `proxy-`."""

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_VALUE: Final = re.compile(rf"[\x20-\x7e\t]{{1,{LONGEST}}}")
_ALLOWED: Final = "a header's name and a value in ASCII, none of HTTP's own"


def callback_headers(written: Any, field: str) -> tuple[tuple[str, str], ...]:
    """Names and values, as JSON has them. Raises `InvalidRequest`, naming `field`."""
    if isinstance(written, str):
        name, _, value = written.partition(":")
        pairs = [(name, value)]
    elif isinstance(written, dict):
        pairs = list(written.items())
    else:
        raise InvalidRequest(field, "it is neither an object nor a line", _ALLOWED)
    if len(pairs) > MOST:
        raise InvalidRequest(field, f"there are {len(pairs)}", f"up to {MOST}")
    headers = tuple(_checked(name, value, field) for name, value in pairs)
    if len({name.lower() for name, _ in headers}) != len(headers):
        raise InvalidRequest(field, "a name is there twice", _ALLOWED)
    return headers


def _checked(name: str, value: Any, field: str) -> tuple[str, str]:
    # A line end is never stripped off: it would be a second header.
    value = value.strip(" \t") if isinstance(value, str) else ""
    name = name.strip(" ")
    lower = name.lower()
    if not _NAME.fullmatch(name) or lower in OURS or lower.startswith("proxy-"):
        raise InvalidRequest(field, "its name cannot be used", _ALLOWED)
    if not _VALUE.fullmatch(value) or cuts.holds_card(value) or cuts.holds_card(name):
        raise InvalidRequest(field, "its value cannot be used", _ALLOWED)
    return name, value
