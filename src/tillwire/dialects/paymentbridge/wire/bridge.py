"""The order inside a cloud message: what a terminal is to do (source 000).

Two dialects are documented and both are read: FLAT, where an order's members stand side by side,
and WRAPPED, where a Payment stands in `payment`, written as a text of JSON once more. Members that
say the same in two places must agree. What cannot be done exactly as it was asked for is refused
with a reason (`InvalidRequest`): the cloud does not look inside, so the terminal is silent then.

Options that are unknown are ignored, as the vendor wants it. A known one of the wrong type is
refused, since leaving it out could change who pays what.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from tillwire.dialects.paymentbridge.wire import cuts, ids, reading
from tillwire.dialects.paymentbridge.wire.envelope import LARGEST_DATA
from tillwire.dialects.paymentbridge.wire.headers import callback_headers
from tillwire.errors import InvalidRequest, LocalProtocolError, RemoteProtocolError
from tillwire.money import CURRENCIES, MAX_MINOR

LONGEST_REFERENCE: Final = 256
LONGEST_ADDRESS: Final = 2_048

FLAGS: Final = frozenset(
    """
    multiTender verifyOnly readCardDataOnly isBalanceInquiry balanceInquiry offlineAuth manualEntry
    cashOnly creditOnly debitOnly debit voucher adjustToAddCharges captureWithCard
    incrementalAuthWithCard autoClose autoPrintReceipt ebtCashCashback disableCash disableCheck
    disableOther disableDebit disableDebitCards disableManual disableMSR disableEMVCT disableEMVCL
    disableTip disableChangeAmount disablePaymentOptions disablePaymentWallet
    disableEbtCashBenefits disableEbtFoodStamps disableEbtVoucher skipReceiptScreen
    skipSignatureScreen skipPaymentConfirmationScreen
    """.split()  # noqa: SIM905  # a list of words is read more easily
)
"""Options of a Payment that are true or false, under the vendor's names. `authzOnly` and
`nonReferencedCredit` are what is done, so they are an order's action."""


class Action(StrEnum):
    """What a terminal is to do."""

    SALE = "sale"
    AUTHORIZE = "authorize"
    VOID = "void"
    REFUND = "refund"
    CREDIT = "non-referenced-credit"


class Dialect(Enum):
    """How an order is written."""

    FLAT = "flat"
    WRAPPED = "wrapped"


class BridgeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a terminal is to do."""

    action: Action
    amount: int | None = None
    """Minor units without `tip` and `cashback`. A SALE, AUTHORIZE and CREDIT have one; a REFUND
    without it gives back all; a VOID has none."""
    tip: int = 0
    cashback: int = 0
    currency: str = ""
    """ISO 4217 letters, if there is an amount."""
    reference: str = ""
    """The caller's own, which callbacks repeat."""
    callback_url: str = ""
    """Whether it may be called is for others to say."""
    transaction_id: str = ""
    """Of a VOID and a REFUND: the UUID of the transaction that it is about."""
    order_id: str = ""
    notes: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """What callbacks are to carry, by name."""
    flags: frozenset[str] = frozenset()
    """Those of `FLAGS` that are true."""

    @property
    def total(self) -> int | None:
        """Minor units with tip and cashback."""
        return None if self.amount is None else self.amount + self.tip + self.cashback


# --- reading ----------------------------------------------------------------------------------

_ENCODED: Final = re.compile(r"https?%3A", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_WITH_AMOUNT: Final = frozenset({Action.SALE, Action.AUTHORIZE, Action.CREDIT})
_FOLLOWING: Final = frozenset({Action.VOID, Action.REFUND})
_CUSTOM_HEADER: Final = "custom-http-header"


def decode(data: str) -> BridgeOrder:
    """The order in a message's `data`. Raises `InvalidRequest`, which says what is wrong."""
    octets = data.encode("utf-8", "replace")
    if len(octets) > LARGEST_DATA:
        raise InvalidRequest("data", f"it has {len(octets)} octets", f"up to {LARGEST_DATA}")
    outer = _object(octets, "data")
    if outer.get("payment") is None:
        return _order(_Members((("", outer),)))
    payment = outer["payment"]
    if isinstance(payment, str):
        payment = _object(payment.encode(), "payment")
    if not isinstance(payment, dict):
        raise InvalidRequest("payment", "it is no object", "a Payment, as text or as an object")
    return _order(_Members((("", outer), ("payment.", payment))))


class Salvaged(NamedTuple):
    """To whom it can be said that an order cannot be done."""

    reference: str = ""
    url: str = ""
    """Empty if nobody can be told."""
    headers: tuple[tuple[str, str], ...] = ()


def salvaged(data: str) -> Salvaged:
    """Of an order that cannot be read, where its caller wants to be told. Without a reference that
    can be read, nobody would know what is meant. Raises nothing."""
    try:
        outer = _object(data.encode("utf-8", "replace"), "data")
        members = _Members((("", outer),))
        inner = outer.get("payment")
        if isinstance(inner, str):
            inner = _object(inner.encode("utf-8", "replace"), "payment")
        if isinstance(inner, dict):
            members = _Members((("", outer), ("payment.", inner)))
        _, header = members.one(_CUSTOM_HEADER)
        headers = () if header is None else callback_headers(header, _CUSTOM_HEADER)
        found = Salvaged(_reference(members), _address(members), headers)
    except InvalidRequest:
        return Salvaged()
    return found if found.reference else Salvaged()


def _object(octets: bytes, name: str) -> dict[str, Any]:
    try:
        found = reading.anything(octets)
    except RemoteProtocolError:
        raise InvalidRequest(name, "it is not JSON", "an object") from None
    if not isinstance(found, dict):
        raise InvalidRequest(name, "it is no object", "an object")
    return found


class _Members:
    """The members of an order, in all places where they may stand."""

    def __init__(self, places: tuple[tuple[str, Mapping[str, Any]], ...]) -> None:
        self.places = places

    def one(self, *keys: str) -> tuple[str, Any]:
        """Path and value of the member with one of these keys; None if there is none. Raises
        `InvalidRequest` if there are several that differ."""
        path, found = keys[0], None
        for prefix, members in self.places:
            for key in keys:
                value = members.get(key)
                if value is None:
                    continue
                if found is not None and not _same(value, found):
                    raise InvalidRequest(prefix + key, f"it is another than {path}")
                path, found = prefix + key, value
        return path, found

    def text(self, *keys: str, longest: int) -> str:
        """A text without control characters; empty if there is none."""
        path, value = self.one(*keys)
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > longest or _CONTROL.search(value):
            raise InvalidRequest(path, "it is no such text", f"up to {longest} plain characters")
        return value

    def minor(self, *keys: str) -> int | None:
        """An amount in minor units."""
        path, value = self.one(*keys)
        if value is None:
            return None
        if type(value) is not int or not 0 <= value <= MAX_MINOR:
            raise InvalidRequest(path, "it is no amount", f"whole minor units up to {MAX_MINOR}")
        return value

    def flag(self, key: str) -> bool:
        """Whether an option is set."""
        path, value = self.one(key)
        if not (value is None or isinstance(value, bool) or value in ("true", "false")):
            raise InvalidRequest(path, "it is no option", "true or false")
        return value in (True, "true")


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same; what is nested is not compared."""
    return type(one) is type(other) and not isinstance(one, dict | list) and bool(one == other)


def _order(members: _Members) -> BridgeOrder:
    action = _action(members)
    transaction = members.text("transactionId", longest=64).lower()
    if action in _FOLLOWING and not ids.is_uuid(transaction):
        raise InvalidRequest("transactionId", "it is missing or no UUID", "a transaction's UUID")
    amount, tip, cashback, currency = _amounts(members, action)
    _, header = members.one(_CUSTOM_HEADER)
    return BridgeOrder(
        action=action,
        amount=amount,
        tip=tip,
        cashback=cashback,
        currency=currency,
        reference=_reference(members),
        callback_url=_address(members),
        transaction_id=transaction if action in _FOLLOWING else "",
        order_id=cuts.named(members.text("orderId", longest=64)),
        notes=cuts.named(_notes(members)),
        headers=() if header is None else callback_headers(header, _CUSTOM_HEADER),
        flags=frozenset(flag for flag in FLAGS if members.flag(flag)),
    )


def _action(members: _Members) -> Action:
    """What is to be done, by name or by the options that say so."""
    named: set[Action] = set()
    path = "action"
    for prefix, place in members.places:
        value = place.get("action")
        if value is None:
            continue
        path = f"{prefix}action"
        try:
            named.add(Action(str(value).lower()))
        except ValueError:
            raise InvalidRequest(path, "it is no action known here", ", ".join(Action)) from None
    authorize, credit = members.flag("authzOnly"), members.flag("nonReferencedCredit")
    by_option = ((Action.AUTHORIZE, authorize), (Action.CREDIT, credit))
    meant = named | {action for action, wanted in by_option if wanted}
    if not meant and len(members.places) > 1:  # A Payment without a word is a sale.
        return Action.SALE
    if not meant:
        raise InvalidRequest("action", "it is missing", ", ".join(Action))
    if len(meant) > 1:
        raise InvalidRequest(path, "two different actions are asked for", "one of them")
    return meant.pop()


def _amounts(members: _Members, action: Action) -> tuple[int | None, int, int, str]:
    """Amount, tip, cashback and currency."""
    if action is Action.VOID:
        return None, 0, 0, ""
    amount = members.minor("purchaseAmount", "amount")
    tip, cashback = members.minor("tipAmount") or 0, members.minor("cashbackAmount") or 0
    if amount is None and (tip or cashback or action in _WITH_AMOUNT):
        raise InvalidRequest("purchaseAmount", "it is missing", "whole minor units")
    if amount is not None and not 0 < amount + tip + cashback <= MAX_MINOR:
        raise InvalidRequest("purchaseAmount", "the total is out of range", f"1 to {MAX_MINOR}")
    currency = members.text("currency", longest=3)
    if (currency or action in _WITH_AMOUNT) and currency not in CURRENCIES:
        raise InvalidRequest("currency", "it is no currency", "three capital letters of ISO 4217")
    return amount, tip, cashback, currency


def _reference(members: _Members) -> str:
    """The caller's reference, whose key is spelled in several ways."""
    keys = {
        key: None for _, place in members.places for key in place if key.lower() == "referenceid"
    }
    given = members.text(*keys, longest=LONGEST_REFERENCE) if keys else ""
    listed = _listed_reference(members)
    if given and listed and given != listed:
        raise InvalidRequest("references", "it is another than referenceId")
    found = given or listed
    if cuts.holds_card(found):
        raise InvalidRequest("referenceId", "it holds a card number", "a name of your own")
    return found


def _listed_reference(members: _Members) -> str:
    path, listed = members.one("references")
    if listed is None:
        return ""
    if not isinstance(listed, list):
        raise InvalidRequest(path, "it is no list", "a list of references")
    for each in listed:
        if isinstance(each, dict) and str(each.get("customType")).lower() == "referenceid":
            return _Members((("references.", each),)).text("id", longest=LONGEST_REFERENCE)
    return ""


def _notes(members: _Members) -> str:
    """The cashier's notes, on one line."""
    path, notes = members.one("notes")
    if notes is not None and not isinstance(notes, str):
        raise InvalidRequest(path, "it is no text", "text")
    return _CONTROL.sub(" ", notes or "")[:1_024]


def _address(members: _Members) -> str:
    """Where callbacks go. An older edition of the documents wants it percent-encoded."""
    url = members.text("callbackUrl", longest=LONGEST_ADDRESS)
    if _ENCODED.match(url):
        try:
            url = unquote(url, errors="strict")
        except UnicodeDecodeError:
            url = ""
    elif not url:
        return ""
    if not is_address(url):
        raise InvalidRequest("callbackUrl", "it is no such address", "http:// or https://")
    if cuts.holds_card(unquote(url)):
        raise InvalidRequest("callbackUrl", "it holds a card number")
    return url


def is_address(url: str) -> bool:
    """Whether it is an address that callbacks can go to: of http or https, with a host and without
    a user, in ASCII. Where it leads is not looked at."""
    if not url.isascii() or not url.isprintable() or any(each in url for each in ' \\"<>'):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = parts.username is None and parts.password is None and port != 0
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain


# --- writing ----------------------------------------------------------------------------------


def encode(order: BridgeOrder, dialect: Dialect = Dialect.FLAT) -> str:
    """The `data` of a message with this order. Raises `LocalProtocolError` when it is too long, or
    no order that could be read."""
    members = _flat(order) if dialect is Dialect.FLAT else _wrapped(order)
    data = reading.encode(members).decode()
    if len(data.encode()) > LARGEST_DATA:
        raise LocalProtocolError(f"An order has at most {LARGEST_DATA} octets.")
    try:
        decode(data)
    except InvalidRequest as error:
        raise LocalProtocolError(f"Nobody can read this order: {error.detail}") from None
    return data


def _flat(order: BridgeOrder) -> dict[str, Any]:
    return {
        "action": order.action.value,
        **_money(order, "purchaseAmount"),
        **_present(referenceId=order.reference, callbackUrl=order.callback_url),
        **_about(order),
        **_options(order),
        **_header(order),
    }


def _wrapped(order: BridgeOrder) -> dict[str, Any]:
    outer = {**_present(callbackUrl=order.callback_url), **_header(order)}
    if order.action in _FOLLOWING:
        # Documented for a refund; a void is written alike.
        about = {"action": order.action.value, **_money(order, "purchaseAmount"), **_about(order)}
        return {**about, **_present(referenceId=order.reference), **_options(order), **outer}
    payment = {
        **_money(order, "amount"),
        **_present(referenceId=order.reference),
        **_about(order),
        **_options(order),
    }
    if order.action is Action.AUTHORIZE:
        payment["authzOnly"] = True
    if order.action is Action.CREDIT:
        payment["nonReferencedCredit"] = True
    return {**outer, "payment": reading.encode(payment).decode()}


def _money(order: BridgeOrder, key: str) -> dict[str, Any]:
    if order.amount is None:
        return _present(currency=order.currency)
    cashback = {"cashbackAmount": order.cashback} if order.cashback else {}
    amounts = {key: order.amount, "tipAmount": order.tip, **cashback}
    return {**amounts, **_present(currency=order.currency)}


def _about(order: BridgeOrder) -> dict[str, Any]:
    return _present(transactionId=order.transaction_id, orderId=order.order_id)


def _options(order: BridgeOrder) -> dict[str, Any]:
    return {**dict.fromkeys(sorted(order.flags), True), **_present(notes=order.notes)}


def _header(order: BridgeOrder) -> dict[str, Any]:
    return {_CUSTOM_HEADER: dict(order.headers)} if order.headers else {}


def _present(**texts: str) -> dict[str, Any]:
    return {key: text for key, text in texts.items() if text}
