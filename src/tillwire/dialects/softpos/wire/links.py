"""Deep links to the vendor's app on a phone, and what it puts behind the caller's own address when
it is done (App2App, source 001).

What comes back can be written by any other app or page: it is read strictly and is a hint, never
proof of a payment. Only `RemoteProtocolError` comes out of reading, `InvalidRequest` out of
writing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from tillwire import pan
from tillwire.dialects.softpos.wire import reading
from tillwire.errors import InvalidRequest, RemoteProtocolError
from tillwire.money import MAX_MINOR

SCHEME: Final = "neximpos"
LONGEST_QUERY: Final = 8_192
"""Characters of what comes back at most."""
LONGEST_NAME: Final = 64

_MOST_FIELDS: Final = 64
_LONGEST_VALUE: Final = 1_024
_ID: Final = re.compile(r"[A-Za-z0-9_.~-]{1,36}\Z")
_TID: Final = re.compile(r"[0-9]{8}\Z")
_RESULT: Final = re.compile(r"-?[0-9]{1,3}\Z")
_MINOR: Final = re.compile(r"[0-9]{1,12}\Z")
_STAMP: Final = re.compile(r"[0-9]{10}\Z")
_KEY: Final = re.compile(r"[A-Za-z0-9_]{1,40}\Z")
_NAMES: Final = frozenset({"callerTrxId", "CT103", "f37", "f42", "merchantId"})
"""Keys of what names something."""
_ONCE: Final = {"hideRetry": "true"}
"""The app does not offer to try again under the same id: its first end is told as the end."""
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Operation(StrEnum):
    """What the app is asked for, in the words of its answers."""

    PAYMENT = "PAYMENT"
    REVERSAL = "REVERSAL"
    LAST_TRANSACTION = "LAST_TRANSACTION"
    ACCOUNTING_CLOSURE = "ACCOUNTING_CLOSURE"


AUTHORISED: Final = 0
CANCELLED: Final = 20
DECLINED: Final = 21
EMPTY: Final = -41
"""The result of a last transaction of which there is no receipt."""
RESULTS: Final[Mapping[int, str]] = {
    AUTHORISED: "authorised",
    CANCELLED: "cancelled",
    DECLINED: "declined",
    22: "generic error",
    -1: "bad parameters",
    -2: "insecure device",
    -3: "Bluetooth is off",
    -4: "service unavailable",
    -5: "the app is too old",
    -6: "login needed",
    -7: "TID suspended",
    -8: "no TID",
    -9: "TID not configured",
    -10: "the POS did not answer",
    -11: "not reversible",
    -12: "closure failed",
    -13: "developer options are on",
    -14: "network error",
    -15: "network error",
    -16: "NFC is off",
    -17: "nothing reversible this month",
    -18: "the last authorised one cannot be reversed, perhaps it already was",
    -19: "not available for SoftPOS alone",
    -20: "no NFC",
    -21: "autoClose and sendTicket exclude each other",
    -30: "SoftPOS payment error",
    -41: "no receipt",
}
"""What is known of the app's results; there may be more."""


# --- writing ----------------------------------------------------------------------------------


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, under which id, and where the answer goes."""

    name: str
    trx_id: str
    """Our own id of it: 1 to 36 URL-safe characters, never used twice."""
    uri: str


def payment(caller: Caller, amount: int, *, auto_close: bool = False) -> str:
    """The link that has `amount` (minor units) paid. It cannot choose the terminal: the app takes
    the one that was selected last. Raises `InvalidRequest`."""
    more = {"autoClose": "true", "sendTicket": "false"} if auto_close else {}
    return _link("payment", {"amount": _minor(amount), **_who(caller), **_ONCE, **more})


def reversal(caller: Caller, amount: int, *, terminal_id: str, stamp: str) -> str:
    """The link that has the last payment reversed, of `stamp` (`ddMMyyHHmm`, 24 hours, the shop's
    time). An app of SoftPOS reverses the last reversible payment of the month, whatever it is
    told. Raises `InvalidRequest`."""
    if not _STAMP.match(stamp):
        raise InvalidRequest("timestamp", f"it is {stamp[:20]!r}", "ddMMyyHHmm")
    fields = {"amount": _minor(amount), "timestamp": stamp, "terminalId": _tid(terminal_id)}
    return _link("reversal", {**fields, **_who(caller), **_ONCE})


def last_transaction(caller: Caller, terminal_id: str) -> str:
    """The link that asks for the last transaction of a TID on that phone. Raises
    `InvalidRequest`."""
    return _link("last_transaction", {"terminalId": _tid(terminal_id), **_who(caller)})


def accounting_closure(caller: Caller) -> str:
    """The link that closes the accounts, on a mobile POS alone. Raises `InvalidRequest`."""
    return _link("accounting_closure", _who(caller))


def _link(operation: str, fields: Mapping[str, str]) -> str:
    return f"{SCHEME}://{operation}?{urlencode(fields, quote_via=quote, safe='')}"


def _who(caller: Caller) -> dict[str, str]:
    if not _ID.match(caller.trx_id):
        raise InvalidRequest("callerTrxId", "it is not 1 to 36 URL-safe characters")
    if not 1 <= len(caller.name) <= LONGEST_NAME or not caller.name.isprintable():
        raise InvalidRequest("callerName", f"it is not 1 to {LONGEST_NAME} printable characters")
    return {"callerName": caller.name, "callerTrxId": caller.trx_id, "uri": caller.uri}


def _minor(amount: int) -> str:
    if not 0 < amount <= MAX_MINOR:
        raise InvalidRequest("amount", f"it is {amount}", f"1 to {MAX_MINOR} minor units")
    return str(amount)


def _tid(text: str) -> str:
    if not _TID.match(text):
        raise InvalidRequest("terminalId", "it is no TID", "8 digits")
    return text


# --- reading ----------------------------------------------------------------------------------


class Returned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a return link says. It may be forged."""

    operation: Operation
    caller_trx_id: str
    result: int
    amount: int | None = None
    """Minor units; the app repeats what it was asked for. None of a closure."""
    terminal_id: str = ""
    """Empty if it is not told."""
    host_total: int | None = None
    """Minor units, of a closure; so is `terminal_total`."""
    terminal_total: int | None = None
    fields: Mapping[str, str] = {}
    """All that came, without card numbers."""

    @property
    def words(self) -> str:
        """The result for people."""
        return RESULTS.get(self.result, f"result {self.result}")


def read_return(query: str) -> Returned:
    """What stands behind the `?` of a return link. Raises `RemoteProtocolError`."""
    fields = _fields(query)
    try:
        operation = Operation(_needed(fields, "operationType"))
    except ValueError:
        raise RemoteProtocolError("Its operationType is not known.") from None
    caller = _needed(fields, "callerTrxId")
    if not _ID.match(caller):
        raise RemoteProtocolError("Its callerTrxId is not 1 to 36 URL-safe characters.")
    result = _needed(fields, "result")
    if not _RESULT.match(result):
        raise RemoteProtocolError("Its result is no number.")
    closure = operation is Operation.ACCOUNTING_CLOSURE
    # A last transaction that is not told has no receipt to take it from.
    needed = operation is not Operation.LAST_TRANSACTION or int(result) == AUTHORISED
    terminal = fields.get("f41") or fields.get("terminalId") or ""
    if terminal and not _TID.match(terminal):
        raise RemoteProtocolError("Its terminal is no TID of 8 digits.")
    if len({fields[key] for key in ("f41", "terminalId") if fields.get(key)}) > 1:
        raise RemoteProtocolError("It names two terminals.")
    found = Returned(
        operation=operation,
        caller_trx_id=caller,
        result=int(result),
        amount=None if closure else _amount(fields, "amount", needed=needed),
        terminal_id=terminal,
        host_total=_amount(fields, "hostTotal", needed=False) if closure else None,
        terminal_total=_amount(fields, "terminalTotal", needed=False) if closure else None,
        fields={
            key: reading.named(value) if key in _NAMES else pan.masked(value)
            for key, value in fields.items()
        },
    )
    _check_whole(found)
    return found


def _check_whole(found: Returned) -> None:
    """What must fit together in answers that carry a receipt or totals."""
    authorised = found.result == AUTHORISED
    totals = (found.host_total, found.terminal_total)
    if found.operation is Operation.ACCOUNTING_CLOSURE and authorised and None in totals:
        raise RemoteProtocolError("A closure that was done tells both totals.")
    if found.operation is Operation.LAST_TRANSACTION and authorised:
        original = _amount(found.fields, "f30", needed=False)
        if original is not None and original != found.amount:
            raise RemoteProtocolError("Its amount is not that of its receipt (f30).")


def _fields(query: str) -> dict[str, str]:
    if not query or len(query) > LONGEST_QUERY or not query.isascii():
        raise RemoteProtocolError("It has no parameters, too many, or some that are not ASCII.")
    if _ESCAPE.search(query):
        raise RemoteProtocolError("It is not percent-encoded.")
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise RemoteProtocolError("Its parameters cannot be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise RemoteProtocolError("A parameter is there twice.")
    for key, value in pairs:
        if not _KEY.match(key) or len(value) > _LONGEST_VALUE or not value.isprintable():
            raise RemoteProtocolError("A parameter is not as it should be.")
    return fields


def _needed(fields: Mapping[str, str], key: str) -> str:
    value = fields.get(key, "")
    if not value:
        raise RemoteProtocolError(f"It has no {key}.")
    return value


def _amount(fields: Mapping[str, str], key: str, *, needed: bool) -> int | None:
    value = _needed(fields, key) if needed else fields.get(key, "")
    if not value:
        return None
    if not _MINOR.match(value):
        raise RemoteProtocolError(f"Its {key} is no amount in cents.")
    return int(value)
