"""Queries of `/businesses/{id}/transactions`, and the links from page to page (source 000).

Moments are ISO 8601 or, as the vendor's Python SDK says, numbers of seconds. Unknown parameters are
ignored; one that is wrong is refused, since a filter that is left out shows too much.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from tillwire.dialects.paymentbridge.wire import fields
from tillwire.dialects.paymentbridge.wire.errors import wrong
from tillwire.dialects.paymentbridge.wire.objects import Link

LONGEST_QUERY: Final = 8_192
DEFAULT_LIMIT: Final = 10
LARGEST_LIMIT: Final = 100
LARGEST_OFFSET: Final = 1_000_000

_MOST_IDS: Final = 100
_MOST_PARAMETERS: Final = 64
_LONGEST: Final = 256
_MOST_SECONDS: Final = 253_402_300_799
"""The end of the year 9999."""


class TransactionFilter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which transactions are wanted. Moments are milliseconds since 1970; `None` and empty texts
    are wanted of no kind in particular."""

    start_at: int | None = None
    end_at: int | None = None
    start_offset: int = 0
    limit: int = DEFAULT_LIMIT
    time_type: str = "createdAt"
    """What `start_at` and `end_at` are about: `createdAt` or `updatedAt`."""
    store_id: str = ""
    device_id: str = ""
    search_key: str = ""
    """Found in a reference, among others."""
    action: str = ""
    """In capital letters; so is `status`."""
    status: str = ""
    transaction_ids: tuple[str, ...] = ()
    auth_only: bool = False
    unsettled_only: bool = False
    credit_debit_only: bool = False
    card_first6: str = ""
    card_last4: str = ""
    unanswerable: bool = False
    """Whether it asks for what is not kept (a holder's name, an expiry date), so nothing fits."""


_TEXTS: Final[Mapping[str, str]] = {
    "storeId": "store_id",
    "deviceId": "device_id",
    "searchKey": "search_key",
    "action": "action",
    "status": "status",
    "cardNumberFirst6": "card_first6",
    "cardNumberLast4": "card_last4",
}
_FLAGS: Final[Mapping[str, str]] = {
    "authOnly": "auth_only",
    "unsettledOnly": "unsettled_only",
    "creditDebitOnly": "credit_debit_only",
}
_MOMENTS: Final[Mapping[str, str]] = {"startAt": "start_at", "endAt": "end_at"}
_NOT_KEPT: Final = (
    "cardExpirationMonth",
    "cardExpirationYear",
    "cardHolderFirstName",
    "cardHolderLastName",
)


def read(query: str) -> TransactionFilter:
    """What a query asks for. Raises `CodedRequest`."""
    if len(query) > LONGEST_QUERY:
        raise wrong("query", "it is too long", f"up to {LONGEST_QUERY} characters")
    try:
        given = dict(parse_qsl(query, max_num_fields=_MOST_PARAMETERS, errors="strict"))
    except ValueError:
        raise wrong("query", "it cannot be read") from None
    for key in (*_TEXTS, *_MOMENTS):
        if len(given.get(key, "")) > _LONGEST:
            raise wrong(key, "it is too long", f"up to {_LONGEST} characters")
    time_type = given.get("timeType", "createdAt")
    if time_type not in ("createdAt", "updatedAt"):
        raise wrong("timeType", "it is unknown", "createdAt or updatedAt")
    listed = tuple(each.strip() for each in given.get("transactionIds", "").split(",") if each)
    if len(listed) > _MOST_IDS or any(len(each) > _LONGEST for each in listed):
        raise wrong("transactionIds", "it is too long", f"up to {_MOST_IDS} ids")
    return TransactionFilter(
        store_id=given.get("storeId", ""),
        device_id=given.get("deviceId", ""),
        search_key=given.get("searchKey", ""),
        action=given.get("action", "").upper(),
        status=given.get("status", "").upper(),
        card_first6=given.get("cardNumberFirst6", ""),
        card_last4=given.get("cardNumberLast4", ""),
        auth_only=_flag(given, "authOnly"),
        unsettled_only=_flag(given, "unsettledOnly"),
        credit_debit_only=_flag(given, "creditDebitOnly"),
        start_at=_moment(given, "startAt"),
        end_at=_moment(given, "endAt"),
        start_offset=_number(given, "startOffset", 0, LARGEST_OFFSET, 0),
        limit=_number(given, "limit", 1, LARGEST_LIMIT, DEFAULT_LIMIT),
        time_type=time_type,
        transaction_ids=listed,
        unanswerable=any(given.get(key) for key in _NOT_KEPT),
    )


def write(wanted: TransactionFilter) -> str:
    """The query that asks for it. What cannot be answered is not asked for."""
    pairs: list[tuple[str, str]] = []
    for key, ours in _MOMENTS.items():
        instant = getattr(wanted, ours)
        if instant is not None:
            pairs.append((key, _exact_stamp(instant)))
    pairs += [(key, getattr(wanted, ours)) for key, ours in _TEXTS.items() if getattr(wanted, ours)]
    pairs += [(key, "true") for key, ours in _FLAGS.items() if getattr(wanted, ours)]
    if wanted.time_type != "createdAt":
        pairs.append(("timeType", wanted.time_type))
    if wanted.transaction_ids:
        pairs.append(("transactionIds", ",".join(wanted.transaction_ids)))
    if wanted.start_offset:
        pairs.append(("startOffset", str(wanted.start_offset)))
    pairs.append(("limit", str(wanted.limit)))
    return urlencode(pairs)


def links(path: str, wanted: TransactionFilter, *, more: bool) -> tuple[Link, ...]:
    """The links of a page at `path`, such as `/businesses/.../transactions`: to the next one, if
    there is more. They are relative to the API's root."""
    offset = wanted.start_offset + wanted.limit
    if not more or offset > LARGEST_OFFSET:
        return ()
    following = msgspec.structs.replace(wanted, start_offset=offset)
    return (Link(href=f"{path}?{write(following)}", rel="next", method="GET"),)


def _exact_stamp(instant: int) -> str:
    """A moment with its milliseconds, so that a filter stays what it is from page to page."""
    whole = fields.stamp(instant)
    return f"{whole[:-1]}.{instant % 1000:03d}Z" if instant % 1000 else whole


def _flag(given: Mapping[str, str], key: str) -> bool:
    value = given.get(key, "false").lower()
    if value not in ("true", "false"):
        raise wrong(key, "it is unknown", "true or false")
    return value == "true"


def _number(given: Mapping[str, str], key: str, least: int, most: int, default: int) -> int:
    text = given.get(key)
    if text is None:
        return default
    if (
        not (text.isascii() and text.isdecimal() and len(text) <= 9)
        or not least <= int(text) <= most
    ):
        raise wrong(key, "it is out of range", f"{least} to {most}")
    return int(text)


def _moment(given: Mapping[str, str], key: str) -> int | None:
    text = given.get(key)
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= 15:
        whole = int(text)
        instant: int | None = whole if whole > fields.MILLISECONDS_FROM else whole * 1000
    else:
        # A plus in a query is a blank, unless it is written as %2B.
        instant = fields.moment(text.replace(" ", "+"))
    if instant is None or instant >= (_MOST_SECONDS + 1) * 1000:
        raise wrong(key, "it is no moment", "ISO 8601 with its zone, or seconds since 1970")
    return max(instant, 0)
