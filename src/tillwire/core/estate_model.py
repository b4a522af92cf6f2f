"""What the estate is made of: organisations, merchants, stores, terminals, and who may come to them
(keys, applications, registers), each as a record.

Values only: frozen, compared by content, without behaviour beyond what follows from themselves.
Times are `Instant`s (ms since 1970, UTC).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from tillwire.clock import Instant


class Organisation(msgspec.Struct, frozen=True):
    """Who owns API keys and merchants. What belongs to another organisation does not exist."""

    id: str
    name: str


class ApiKey(msgspec.Struct, frozen=True):
    """A key of an organisation. Only the hash of its secret is kept."""

    id: int
    organisation_id: str
    label: str
    digest: bytes
    """SHA-256 of the secret. The secret carries 256 random bits, so no slow hash is needed."""
    created_at: Instant
    valid_from: Instant | None = None
    """First instant of validity; None means from the beginning."""
    valid_until: Instant | None = None
    """First instant after validity; None means for good."""
    revoked_at: Instant | None = None
    last_used_at: Instant | None = None

    def valid_at(self, now: Instant) -> bool:
        """Whether the key opens anything at `now`."""
        return (
            self.revoked_at is None
            and (self.valid_from is None or self.valid_from <= now)
            and (self.valid_until is None or now < self.valid_until)
        )


class Merchant(msgspec.Struct, frozen=True):
    """A trader of an organisation."""

    id: str
    organisation_id: str
    name: str


class Store(msgspec.Struct, frozen=True):
    """A shop of a merchant: where and in which time zone and currency it sells."""

    id: str
    """UUID text."""
    merchant_id: str
    name: str
    address: str
    city: str
    zip_code: str
    country: str
    """ISO 3166 alpha-2."""
    time_zone: str
    """IANA name."""
    currency: str


class Lifecycle(StrEnum):
    """A terminal's, or one device's, place in its life."""

    CREATED = "CREATED"
    ACTIVATED = "ACTIVATED"
    REMOVED = "REMOVED"


class Terminal(msgspec.Struct, frozen=True):
    """What reads the card: a place in a store, served by one physical device at a time."""

    id: str
    organisation_id: str
    store_id: str
    manufacturer: str
    model: str
    serial: str
    """Of the device that stands there; empty as long as none is known, which only a CREATED one
    may be, or one that was REMOVED before there was any."""
    tid: str
    """The acquirer's terminal id; empty when there is none."""
    driver: str
    """The name of the driver that reaches it: `virtual`, `device`, ..."""
    settings: Mapping[str, Any]
    """The driver's own settings, validated by the driver."""
    lifecycle: Lifecycle
    device_digest: bytes | None = None
    """SHA-256 of the secret with which the terminal polls us; None when it does not poll."""

    @property
    def name(self) -> str:
        """`manufacturer-model-serial`, as tills and people name it; without a serial number, what
        people alone read."""
        return f"{self.manufacturer}-{self.model}-{self.serial}".removesuffix("-")


class Device(msgspec.Struct, frozen=True):
    """One physical device that served a terminal, and when: the terminal's history."""

    terminal_id: str
    number: int
    """1 for the first device of the terminal, and so on."""
    serial: str
    created_at: Instant
    lifecycle: Lifecycle
    activated_at: Instant | None = None
    removed_at: Instant | None = None


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """A program of an organisation that signs in with assertions of its own (RS256)."""

    id: str
    """`urn:aid:` and a UUID."""
    organisation_id: str
    name: str
    public_key: str
    """PEM: what its assertions are checked with."""
    permissions: tuple[str, ...]
    """What it may do, in the words of its dialect."""
    created_at: Instant
    revoked_at: Instant | None = None


class FormerSecret(msgspec.Struct, frozen=True):
    """A secret that was followed by another one, and is good for a while beside it."""

    digest: bytes
    """SHA-256 of it."""
    until: Instant


class ClientApp(msgspec.Struct, frozen=True, kw_only=True):
    """A program of an organisation that signs in over mutual TLS, with a certificate and a secret
    of its own, and asks for what happened on the terminals that it was given."""

    id: str
    """Its client id."""
    organisation_id: str
    name: str
    profile: str
    """The system that it is registered with, in the words of its dialect: staging, production. It
    does not exist in another one."""
    secret_digest: bytes
    """SHA-256 of its secret, which carries 256 random bits."""
    certificate: str
    """PEM: what it shows in the handshake, and whose key its assertions are checked with."""
    certificate_digest: bytes
    """SHA-256 of the certificate (DER)."""
    point_of_sale: str
    redirect_uris: tuple[str, ...]
    tids: tuple[str, ...]
    """The terminals that it may ask about, by their TIDs."""
    created_at: Instant
    revoked_at: Instant | None = None
    former_secrets: tuple[FormerSecret, ...] = ()
    """Those before its secret, newest first; each until its own end."""


class SealedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A private key of ours. What is encrypted to its public half can be read while it is live."""

    id: str
    """How others name it (`kid`)."""
    purpose: str
    sealed: str
    """The private key (PEM), as the vault seals it."""
    created_at: Instant
    retired_at: Instant | None = None


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """An address that an application wants told of events."""

    id: str
    """UUID text."""
    organisation_id: str
    application_id: str
    merchant_id: str
    dialect: str
    """The face through which it was made, and whose teller writes its letters."""
    address: str
    """The URL; empty where it is sealed with the secret, since there may be a token in it."""
    sealed_secret: str
    """What its letters are signed with, and what else its dialect keeps secret, sealed by the
    vault."""
    events: tuple[str, ...]
    """What it wants to hear of, in the dialect's words."""
    active: bool
    created_at: Instant
    updated_at: Instant
    removed_at: Instant | None = None


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """A till that was paired with a terminal, in dialects in which tills are."""

    id: str
    """UUID text."""
    organisation_id: str
    dialect: str
    """The face through which it was paired."""
    register_id: str
    """Its own name for itself, which no other register of the vendor's has; with `vendor_name` it
    is unique within organisation and dialect."""
    business_name: str
    vendor_name: str
    """Who made its software."""
    name: str
    """For people."""
    terminal_id: str | None
    """The terminal that it pays on; None after it was unpaired."""
    paired_at: Instant
    unpaired_at: Instant | None = None
    last_seen_at: Instant | None = None
    """When it last asked for something; written now and then."""
    last_seen_from: str = ""
    """From where: an address, and the business that it named."""
    clashed_at: Instant | None = None
    """When it was last used from two places in a short time."""
    clashed_with: str = ""
    """The other one of the two places."""
    clashes: int = 0
    """How often that was noticed."""
    detail: Mapping[str, str] = {}
    """What else it said of itself, in the dialect's own names."""

    @property
    def is_paired(self) -> bool:
        """Whether it has a terminal."""
        return self.terminal_id is not None


class PairingCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code that a terminal shows: whoever enters it at a register pairs that with the terminal,
    once."""

    digest: bytes
    """HMAC-SHA-256 of the code under a key of the vault's: it has few digits, so a mere hash of it
    would be found."""
    terminal_id: str
    created_at: Instant
    expires_at: Instant | None = None
    """First instant at which it is worth nothing; None: it lives until it is used."""
