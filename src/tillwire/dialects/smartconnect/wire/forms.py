"""`application/x-www-form-urlencoded`, read within limits and written in a given order.

A blank is read from `+` and from `%20`, and written as `+`. A field that is there twice is refused:
which of two amounts is meant, nobody should guess. Empty fields count as absent, as with the
vendor's `TransactionMode`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from tillwire.dialects.smartconnect.wire import cuts
from tillwire.errors import InvalidRequest

MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
LARGEST: Final = 262_144
"""Octets of a form at most; a basket of a hundred lines in `SaleData` has about 60,000."""
MOST_FIELDS: Final = 64
LONGEST_NAME: Final = 256
"""Characters of what names a register, a business, a vendor, a sale."""
LONGEST_ADDRESS: Final = 2_048
"""Characters of a URL."""

Form = Mapping[str, str]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def read(octets: bytes, charset: str = "utf-8") -> dict[str, str]:
    """The fields of a form that are not empty. `charset` is the media type's parameter, by which
    `%`-encoded octets are read. Raises `InvalidRequest`."""
    if len(octets) > LARGEST:
        raise InvalidRequest("body", f"it has {len(octets)} octets", f"up to {LARGEST}")
    try:
        codec = codecs.lookup(charset.strip().strip('"') or "utf-8")
        if codec.name not in ("utf-8", "ascii", "iso8859-1", "cp1252"):
            raise LookupError(charset)
    except (LookupError, ValueError):
        raise InvalidRequest(
            "Content-Type", "its charset is not known here", "UTF-8, ISO-8859-1 or none"
        ) from None
    try:
        pairs = parse_qsl(
            octets.decode("ascii"),
            encoding=codec.name,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except UnicodeError:
        raise InvalidRequest(
            "body", f"its text is not in {codec.name}", f"a form, {MEDIA_TYPE}"
        ) from None
    except ValueError:
        raise InvalidRequest("body", "it has too many fields", f"up to {MOST_FIELDS}") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise InvalidRequest(cuts.sold(name[:LONGEST_NAME]), "it is there twice", "one value")
        fields[name] = value
    return fields


def write(pairs: Iterable[tuple[str, str]]) -> bytes:
    """The fields that are not empty, in this order."""
    return urlencode([(name, value) for name, value in pairs if value]).encode("ascii")


def named(form: Form, field: str, *, longest: int = LONGEST_NAME, must: bool = True) -> str:
    """A field that names something, as it is; empty if it is absent and need not be there. Raises
    `InvalidRequest`."""
    value = form.get(field, "")
    if not value:
        if must:
            raise InvalidRequest(field, "it is missing", f"a text of 1 to {longest} characters")
        return ""
    if len(value) > longest:
        raise InvalidRequest(field, f"it has {len(value)} characters", f"up to {longest}")
    if _CONTROL.search(value):
        raise InvalidRequest(field, "it has a control character in it", "none")
    if cuts.holds_card(value):
        raise InvalidRequest(field, "it holds a card number", "a name that is none")
    return value
