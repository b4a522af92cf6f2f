"""The device link's messages, for both of its sides. Sans-IO: no clock, no network.

    POST /next?wait=30&boot=7        204, or 200 with an `Offer`
    POST /transactions/{id}/events   an `Event`, answered with a `Receipt`
    GET  /configuration              a `Configuration`

JSON throughout, with the terminal's own Bearer token. Whatever a terminal writes is cleared of
card numbers here, before it is anything else (law 7), and of characters that would steer the
printer or screen that it ends up on. Members that are not known are ignored: a
terminal that tells more than we understand must not lose its outcome over it.
"""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from msgspec import Meta

from tillwire.errors import InvalidRequest, RemoteProtocolError
from tillwire.money import MAX_MINOR, Money
from tillwire.pan import last_four, masked

LONGEST_WAIT: Final = 30
"""Seconds for which a poll may be held."""
LARGEST_EVENT: Final = 65_536
"""Bytes of an event."""

_HIGHEST_BOOT: Final = 2**53 - 1
_WAIT = re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?\Z")
_BOOT = re.compile(r"[0-9]{1,16}\Z")
_LINE_END = re.compile(r"\r\n?")
_STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters but the line end, and what breaks or turns lines in Unicode."""
_FIELD = re.compile(r" - at `\$\.?(?P<field>[^`]*)`\Z")

S = TypeVar("S", bound=msgspec.Struct)

# --- what a terminal asks -------------------------------------------------------------------


class Poll(msgspec.Struct, frozen=True):
    """A terminal asks for its next transaction."""

    wait: float = 0.0
    """Seconds for which the answer may be held back until there is one."""
    boot: int | None = None
    """How often the terminal has lost its memory; None when it does not say."""


def parse_poll(query: bytes) -> Poll:
    """A poll from its query string. Raises `InvalidRequest` (`wait`, `boot`)."""
    if not query:
        return Poll()
    given = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    wait, boot = given.get("wait", "0"), given.get("boot")
    if not _WAIT.match(wait) or float(wait) > LONGEST_WAIT:
        raise InvalidRequest(
            "wait", f"{wait[:20]!r} is not a time to wait", f"0 to {LONGEST_WAIT} seconds"
        )
    if boot is not None and (not _BOOT.match(boot) or int(boot) > _HIGHEST_BOOT):
        raise InvalidRequest(
            "boot", f"{boot[:20]!r} is not a boot number", f"a whole number up to {_HIGHEST_BOOT}"
        )
    return Poll(float(wait), None if boot is None else int(boot))


# --- what it is given -----------------------------------------------------------------------


class Amount(msgspec.Struct, frozen=True):
    """An amount, written twice: as people read it, and as it is to be computed with."""

    value: Decimal
    """Major units, a JSON number with the currency's decimals."""
    currency: str
    """ISO 4217 letters."""
    minor: int
    """Whole minor units."""

    @classmethod
    def of(cls, money: Money) -> Amount:
        """The amount of `money`."""
        return cls(Decimal(money.decimal()), money.currency, money.minor)


class Offer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The transaction that a terminal is to carry out, or to report on."""

    id: str
    type: str
    """`PURCHASE`, `REFUND` ..."""
    amount: Amount
    reference: str
    """The till's own name for the sale."""
    resume: bool = msgspec.field()
    """Whether the card was presented already: then report what happened, and do not charge."""
    partial_allowed: bool = msgspec.field()
    """Whether an approval of less than `amount` is welcome."""
    original_id: str | None = None
    """The transaction that this one follows."""


class StoreOfTerminal(msgspec.Struct, frozen=True):
    """Where the terminal stands."""

    uuid: str
    name: str
    address: str
    city: str
    zip_code: str
    country: str
    time_zone: str
    currency: str


class Configuration(msgspec.Struct, frozen=True):
    """What a terminal needs to know of itself."""

    terminal: str
    """`manufacturer-model-serial`."""
    tid: str
    poll_interval: int
    """Seconds between two plain polls."""
    longest_wait: int
    """Seconds for which a poll may be held."""
    store: StoreOfTerminal


class Receipt(msgspec.Struct, frozen=True):
    """The gateway has an event, durably."""

    id: str
    state: str
    """The transaction's state with the event in it."""


# --- what it tells --------------------------------------------------------------------------

_Short = Annotated[str, Meta(max_length=64)]
_Long = Annotated[str, Meta(max_length=16_384)]
_Minor = Annotated[int, Meta(ge=-MAX_MINOR, le=MAX_MINOR)]


_IN_LINES: Final = ("receipt", "merchant_receipt")


def _plain(text: str) -> str:
    # A blank each, so that columns stay, and a card number's groups stay apart.
    return _STEERING.sub(" ", _LINE_END.sub("\n", text))


class CardPresented(msgspec.Struct, frozen=True, tag_field="type", tag="card_presented"):
    """The card is there, and the terminal wants to charge it."""


class _Ended(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    reason: Annotated[str, Meta(max_length=200)] = ""
    receipt: _Long = ""
    """The cardholder's copy as printed, plain text with `\\n`."""
    merchant_receipt: _Long = ""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, str) and name != "application_id":
                text = _plain(value)
                if name not in _IN_LINES:
                    text = text.replace("\n", " ")
                msgspec.structs.force_setattr(self, name, masked(text))


class _Decided(_Ended, frozen=True, omit_defaults=True):
    response_code: Annotated[str, Meta(pattern=r"^[0-9A-Za-z]{0,3}\Z")] = ""
    """ISO 8583 field 39."""
    stan: Annotated[str, Meta(pattern=r"^[0-9]{0,6}\Z")] = ""
    brand: _Short = ""
    card_last4: _Short = ""
    """The card's last four digits; of anything longer, the last four are taken."""
    application_id: Annotated[str, Meta(pattern=r"^([A-Fa-f][0-9A-Fa-f]{9,31})?\Z")] = ""
    """EMV AID, hexadecimal."""
    entry_mode: Literal["CONTACTLESS", "CHIP", "SWIPE", "MANUAL"] | None = None
    verification: Literal["NONE", "PIN", "SIGNATURE", "DEVICE"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        msgspec.structs.force_setattr(self, "card_last4", last_four(self.card_last4))


class Approved(_Decided, frozen=True, tag="approved", omit_defaults=True):
    """The card was charged."""

    approved_amount: _Minor | None = None
    """Minor units that really moved, tip included; without it, `amount` and the tip."""
    tip: Annotated[int, Meta(ge=0, le=MAX_MINOR)] = 0
    """Minor units of a tip that was added on the terminal."""
    authorisation_code: Annotated[str, Meta(max_length=12)] = ""


class Declined(_Decided, frozen=True, tag="declined", omit_defaults=True):
    """The bank said no."""


class Cancelled(_Ended, frozen=True, tag="cancelled", omit_defaults=True):
    """It ended on the terminal without a charge."""


Event = CardPresented | Approved | Declined | Cancelled

_event: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder(decimal_format="number")


def parse_event(body: bytes) -> Event:
    """An event from its JSON. Raises `InvalidRequest`, naming the member."""
    try:
        return _event.decode(body)
    except msgspec.ValidationError as error:
        problem = str(error)
        found = _FIELD.search(problem)
        field = (found and found["field"]) or _member_of(problem)
        raise InvalidRequest(field, _FIELD.sub("", problem)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("body", "it is not JSON", "a JSON object with `type`") from None


def _member_of(problem: str) -> str:
    missing = re.search(r"required field `([^`]+)`", problem)
    return missing[1] if missing else "body"


def encode(message: msgspec.Struct) -> bytes:
    """A message as JSON."""
    return _encoder.encode(message)


# --- who it is ------------------------------------------------------------------------------


def digest_of_bearer(authorization: str) -> bytes | None:
    """The SHA-256 of the token in an `Authorization` header (RFC 6750 section 2.1); None when
    there is none."""
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        return None
    return hashlib.sha256(token.encode("latin-1", "replace")).digest()


# --- the terminal's side --------------------------------------------------------------------


class HttpRequest(msgspec.Struct, frozen=True):
    """What a terminal sends: `target` is the path and query below the device address."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


class Device(msgspec.Struct, frozen=True):
    """A terminal's requests."""

    token: str

    def _request(self, method: str, target: str, body: bytes = b"") -> HttpRequest:
        headers = [("authorization", f"Bearer {self.token}")]
        if body:
            headers.append(("content-type", "application/json"))
        return HttpRequest(method, target, tuple(headers), body)

    def next(self, poll: Poll) -> HttpRequest:
        """Ask for the next transaction."""
        query: dict[str, object] = {"wait": f"{poll.wait:g}"} if poll.wait else {}
        if poll.boot is not None:
            query["boot"] = poll.boot
        return self._request("POST", "/next" + ("?" + urlencode(query) if query else ""))

    def tell(self, transaction_id: str, event: Event) -> HttpRequest:
        """Tell what happened to a transaction."""
        target = f"/transactions/{quote(transaction_id, safe='')}/events"
        return self._request("POST", target, encode(event))

    def configuration(self) -> HttpRequest:
        """Ask for the configuration."""
        return self._request("GET", "/configuration")


def parse(kind: type[S], body: bytes) -> S:
    """An answer of the gateway as the terminal reads it. Raises `RemoteProtocolError`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"Not a {kind.__name__}: {error}.") from None
