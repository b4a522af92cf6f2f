"""What a MerchantAPI system tells its clients (source 004): a transaction, a page, a refusal.

Read as a client must whose peer nobody here wrote. Status, result and type are kept as they came,
also when they are in no table: what they mean is for the reader to say. A member on which money
hangs and that cannot be read is named (`Told.broken`), any other one is left out. A member that is
there twice says two things, so nothing of that answer is believed. Card numbers are cut here
(law 7). Whatever the octets, only `RemoteProtocolError` comes out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from tillwire import money, pan
from tillwire.errors import InvalidRequest, RemoteProtocolError
from tillwire.money import Money

LARGEST_ANSWER: Final = 1 << 20
"""Octets of an answer at most."""
TOTAL_HEADER: Final = "x-total-count"
LONGEST_WORD: Final = 64
"""Characters of a name, a status, a brand, a reference."""
LONGEST_RECEIPT: Final = 16_384
LONGEST_REFUSAL: Final = 300
_WIDEST: Final = 4 * pan.LONGEST
"""Characters of a card number with the separators that it may have, and more."""

_ID: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}")
"""What may stand in a path as it is; source 004 has 31 digits, and calls them an identifier."""
_TOTAL: Final = re.compile(r"[0-9]{1,15}")
_STAN: Final = re.compile(r"[0-9]{1,12}")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction, as the system tells it. Empty or None is what is not told."""

    id: str
    reference: str = ""
    """`merchant_order_reference`."""
    type: str = ""
    status: str = ""
    result: str = ""
    amount: Money | None = None
    approved: Money | None = None
    """What was really approved, where that is told and is not `amount`. Tillwire's own."""
    original: str = ""
    """The id of the purchase that a refund gives back."""
    broken: str = ""
    """The member that cannot be read, and on which money hangs."""
    created_at: datetime | None = None
    processed_at: datetime | None = None
    stan: str = ""
    brand: str = ""
    receipt: str = ""
    merchant_receipt: str = ""


def read_transaction(octets: bytes) -> Told:
    """The transaction in an answer. Raises `RemoteProtocolError`."""
    return _told(_document(octets))


def read_page(octets: bytes, headers: Sequence[tuple[str, str]]) -> tuple[list[Told | None], int]:
    """The transactions of a page, None for each that has no id that can be used, and how many there
    are on all pages, which every listing must tell (source 004, "Pagination information in
    response"). Raises `RemoteProtocolError`."""
    entries = _document(octets)
    if not isinstance(entries, list):
        raise RemoteProtocolError("A listing is no JSON array.")
    totals = [value.strip() for name, value in headers if name.lower() == TOTAL_HEADER]
    if len(totals) != 1 or not _TOTAL.fullmatch(totals[0]):
        raise RemoteProtocolError("A listing does not tell how many entries there are.")
    total = int(totals[0])
    if total < len(entries):
        raise RemoteProtocolError(f"A listing of {total} entries in all has {len(entries)}.")
    return [_told_or_none(each) for each in entries], total


def read_refusal(status: int, octets: bytes) -> str:
    """A refusal in words for people, without a full stop: its status, and what its problem document
    says (RFC 9457), if it has one."""
    words = ""
    try:
        document = _document(octets)
    except RemoteProtocolError:
        document = None
    if isinstance(document, dict):
        parts = (_text(document, name, LONGEST_REFUSAL) for name in ("title", "detail"))
        words = ": ".join(line for part in parts if (line := _line(part)))
    return f"{status} {words}".rstrip(" .")[:LONGEST_REFUSAL]


# --- octets to objects --------------------------------------------------------------------------


def _document(octets: bytes) -> Any:  # Any: JSON of any shape
    if len(octets) > LARGEST_ANSWER:
        raise RemoteProtocolError(f"It has {len(octets)} octets; allowed are {LARGEST_ANSWER}.")
    try:
        return json.loads(
            octets.decode("utf-8-sig"),
            parse_float=Decimal,
            parse_constant=_no_number,
            object_pairs_hook=_members,
        )
    except (ValueError, ArithmeticError, RecursionError):
        raise RemoteProtocolError("It is not JSON.") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise RemoteProtocolError("A member is there twice.")
    return members


def _no_number(word: str) -> None:
    raise ValueError(word)


def _told_or_none(document: Any) -> Told | None:  # Any: as above
    try:
        return _told(document)
    except RemoteProtocolError:
        return None


def _told(document: Any) -> Told:  # Any: as above
    if not isinstance(document, dict):
        raise RemoteProtocolError("A transaction is no JSON object.")
    called = document.get("id")
    if not isinstance(called, str) or not _ID.fullmatch(called):
        raise RemoteProtocolError("A transaction has no id that can be used.")
    broken: list[str] = []
    words = {name: _word(document, name, broken) for name in _WORDS}
    amounts = {name: _amount(document, name, broken) for name in ("amount", "approved_amount")}
    stan = _text(document, "system_trace_audit_number", LONGEST_WORD)
    return Told(
        id=_named(called),
        reference=_named(words["merchant_order_reference"]),
        type=pan.masked(words["type"]),
        status=pan.masked(words["status"]),
        result=pan.masked(words["result"]),
        amount=amounts["amount"],
        approved=amounts["approved_amount"],
        original=_original(document, broken),
        broken=broken[0] if broken else "",
        created_at=_moment(document, "creation_datetime"),
        processed_at=_moment(document, "transaction_datetime"),
        stan=stan if _STAN.fullmatch(stan) else "",
        brand=_line(_text(document, "brand", LONGEST_WORD)),
        receipt=_receipt(document, "receipt"),
        merchant_receipt=_receipt(document, "merchant_receipt"),
    )


_WORDS: Final = ("merchant_order_reference", "type", "status", "result")


def _word(document: dict[str, Any], name: str, broken: list[str]) -> str:
    """A member on which it hangs what happened."""
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable() or len(value) > LONGEST_WORD:
        broken.append(name)
        return ""
    return value


def _amount(document: dict[str, Any], name: str, broken: list[str]) -> Money | None:
    value = document.get(name)
    if value is None:
        return None
    try:
        return money.positive(_money(value))
    except (InvalidRequest, TypeError):
        broken.append(name)
        return None


def _money(value: Any) -> Money:  # Any: JSON of any shape
    """An exact amount. Raises `InvalidRequest`, `TypeError`."""
    if not isinstance(value, dict) or not isinstance(value.get("currency"), str):
        raise TypeError(value)
    number = value.get("value")
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        raise TypeError(number)
    return money.from_decimal(Decimal(number), value["currency"])


def _original(document: dict[str, Any], broken: list[str]) -> str:
    value = document.get("reference")
    if value is None:
        return ""
    called = value.get("id") if isinstance(value, dict) else None
    if not isinstance(called, str) or not _ID.fullmatch(called):
        broken.append("reference")
        return ""
    return _named(called)


def _moment(document: dict[str, Any], name: str) -> datetime | None:
    """An RFC 3339 date and time with its offset, of this century."""
    try:
        found = datetime.fromisoformat(_text(document, name, LONGEST_WORD))
    except ValueError:
        return None
    return found if found.tzinfo is not None and 2000 < found.year < 2100 else None


def _receipt(document: dict[str, Any], name: str) -> str:
    """A receipt in lines that any printer takes; source 004's may end in CR."""
    text = _text(document, name, LONGEST_RECEIPT).replace("\r\n", "\n").replace("\r", "\n")
    lines = ("".join(c if c.isprintable() else " " for c in line) for line in text.split("\n"))
    return "\n".join(lines) if text.strip() else ""


def _text(document: dict[str, Any], name: str, longest: int) -> str:
    """What people read, without card numbers. Masked before it is cut, lest half of one is left;
    of what is much too long, no more than that needs."""
    value = document.get(name)
    return pan.masked(value[: longest + _WIDEST])[:longest] if isinstance(value, str) else ""


def _line(text: str) -> str:
    return "".join(each for each in " ".join(text.split()) if each.isprintable())


def _named(text: str) -> str:
    """A name that others have given: a card number there is one of a known issuer, since one in ten
    numbers of that length would pass for one otherwise."""
    return pan.masked(text) if pan.is_in(text) else text
