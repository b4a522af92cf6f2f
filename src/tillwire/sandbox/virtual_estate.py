"""What there is in the sandbox: two organisations, a shop each, and their terminals.

Made once; what somebody changed in it later stays changed. Ids are fixed, so that two sandboxes
look alike. Only keys differ, and those that no longer open anything are replaced.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import (
    Device,
    Lifecycle,
    Merchant,
    Organisation,
    Store,
    Terminal,
)
from tillwire.core.ports import Clock, EstateThing, Unit
from tillwire.estate.applications import new_application
from tillwire.estate.client_apps import Wanted, new_client_app, with_secret
from tillwire.estate.keys import digest_of, new_api_key, new_device_token
from tillwire.estate.pairings import Codes, show_code
from tillwire.sandbox.keyring import Keyring

SHOP: Final = Organisation("sandbox-shop", "Sandbox shop")
OTHER: Final = Organisation("sandbox-other", "Other sandbox shop")

_NAMES: Final = uuid.UUID("6f3b8a52-3b0e-5a0a-8d5c-4c4d3f1b9e10")
"""Namespace of the sandbox's ids."""

VIRTUAL_SERIALS: Final = tuple(f"{number:04d}" for number in range(1, 8))
SMARTCONNECT_SERIALS: Final = tuple(f"{number:04d}" for number in range(11, 17))
POLLING_SERIALS: Final = ("0001", "0002")
OTHER_SERIAL: Final = "9001"
NEXO_POI: Final = "V1-0003"
"""The terminal, by its POIID, that tills speaking nexo pay on."""


def _id(name: str) -> str:
    return str(uuid.uuid5(_NAMES, name))


def _store(organisation: Organisation, name: str, address: str, zip_code: str) -> Store:
    return Store(
        id=_id(f"store of {organisation.id}"),
        merchant_id=_id(f"merchant of {organisation.id}"),
        name=name,
        address=address,
        city="Amsterdam",
        zip_code=zip_code,
        country="NL",
        time_zone="Europe/Amsterdam",
        currency="EUR",
    )


CORNER_SHOP: Final = _store(SHOP, "Tillwire Corner Shop", "Prinsengracht 100", "1015 EA")
OTHER_STORE: Final = _store(OTHER, "The Other Shop", "Keizersgracht 200", "1016 DW")


def _terminal(store: Store, owner: Organisation, model: str, serial: str, tid: str) -> Terminal:
    polling = model == "P1"
    return Terminal(
        id=_id(f"terminal {model}-{serial}"),
        organisation_id=owner.id,
        store_id=store.id,
        manufacturer="TILLWIRE",
        model=model,
        serial=serial,
        tid=tid,
        driver="device" if polling else "virtual",
        settings={},
        lifecycle=Lifecycle.ACTIVATED,
    )


VIRTUAL: Final = tuple(
    _terminal(CORNER_SHOP, SHOP, "V1", serial, f"3035{serial}") for serial in VIRTUAL_SERIALS
)
"""V-terminals act at once, on the amount's ending."""
ECR17_TERMINAL: Final = VIRTUAL[3]
"""The terminal whose place the ECR17 lane is: V1-0004."""
BRIDGE_TERMINAL: Final = VIRTUAL[4]
"""The terminal that the card names for Payment Bridge: V1-0005."""
SOFTPOS_TERMINALS: Final = VIRTUAL[5:7]
"""The terminals whose TIDs the SoftPOS application may ask about: V1-0006 and V1-0007."""
SMARTCONNECT: Final = tuple(
    _terminal(CORNER_SHOP, SHOP, "V1", serial, f"3035{serial}") for serial in SMARTCONNECT_SERIALS
)
"""The terminals whose pairing codes are on the card: V1-0011 to V1-0016."""
POLLING: Final = tuple(
    _terminal(CORNER_SHOP, SHOP, "P1", serial, f"3036{serial}") for serial in POLLING_SERIALS
)
"""P-terminals are played by whoever polls with their token."""
SOFTPOS_APP: Final = "Sandbox SoftPOS application"
SOFTPOS_PROFILE: Final = "staging"
POINT_OF_SALE: Final = "3035000000017"
REDIRECT_URI: Final = "https://till.example/return"
_APPLICATION: Final = f"urn:aid:{_id('application')}"
_OTHERS: Final = _terminal(OTHER_STORE, OTHER, "V1", OTHER_SERIAL, f"3035{OTHER_SERIAL}")


def ensure(
    unit: Unit,
    keyring: Keyring,
    public_key: bytes,
    certificate: bytes,
    codes: Codes,
    clock: Clock,
) -> Keyring:
    """Put what is missing into the estate; the keyring that opens it from now on. `public_key`
    (PEM) is the cloud application's, `certificate` (PEM) the SoftPOS application's, `codes` makes
    pairing codes."""
    estate = unit.estate()
    now = clock.now()
    for thing in _things(now):
        if not _is_there(estate, thing):
            unit.put(thing)
    api_key = _ensured_key(unit, estate, SHOP, keyring.api_key, clock)
    other_key = _ensured_key(unit, estate, OTHER, keyring.other_api_key, clock)
    tokens = {
        terminal.id: _ensured_token(
            unit,
            estate.terminals.get(terminal.id, terminal),
            keyring.device_tokens.get(terminal.id, ""),
            clock,
        )
        for terminal in POLLING
    }
    softpos_client_id, softpos_secret = _ensured_client_app(unit, keyring, certificate, clock)
    return Keyring(
        softpos_client_id=softpos_client_id,
        softpos_secret=softpos_secret,
        api_key=api_key,
        other_api_key=other_key,
        device_tokens=tokens,
        application_id=_ensured_application(
            unit, estate, keyring.application_id, public_key, clock
        ),
        pairing_codes=dict(_ensured_codes(unit, keyring.pairing_codes, codes, clock)),
    )


def _things(now: Instant) -> list[EstateThing]:
    terminals = [*VIRTUAL, *SMARTCONNECT, *POLLING, _OTHERS]
    devices = [
        Device(
            terminal_id=terminal.id,
            number=1,
            serial=terminal.serial,
            created_at=now,
            lifecycle=Lifecycle.ACTIVATED,
            activated_at=now,
        )
        for terminal in terminals
    ]
    return [
        SHOP,
        OTHER,
        Merchant(CORNER_SHOP.merchant_id, SHOP.id, "Sandbox merchant"),
        Merchant(OTHER_STORE.merchant_id, OTHER.id, "Other sandbox merchant"),
        CORNER_SHOP,
        OTHER_STORE,
        *terminals,
        *devices,
    ]


def _is_there(estate: Estate, thing: EstateThing) -> bool:
    match thing:
        case Organisation():
            return thing.id in estate.organisations
        case Merchant():
            return thing.id in estate.merchants
        case Store():
            return thing.id in estate.stores
        case Terminal():
            return thing.id in estate.terminals
        case Device():
            return thing.terminal_id in estate.devices
        case _:
            return thing.id in estate.api_keys


def _ensured_key(unit: Unit, estate: Estate, owner: Organisation, secret: str, clock: Clock) -> str:
    known = estate.key_with_digest(digest_of(secret)) if secret else None
    if known is not None and known.valid_at(clock.now()):
        return secret
    key, secret = new_api_key(owner.id, "sandbox", clock)
    unit.put(key)
    return secret


def _ensured_application(
    unit: Unit, estate: Estate, application_id: str, public_key: bytes, clock: Clock
) -> str:
    known = estate.applications.get(application_id or _APPLICATION)
    told = new_application(
        SHOP.id,
        "Sandbox application",
        public_key,
        clock,
        # What was revoked stays so, and its id with it.
        application_id="" if known and known.revoked_at else application_id or _APPLICATION,
    )
    if known is None or known.revoked_at:
        unit.put(told)
        return told.id
    if known.public_key != told.public_key:
        unit.put(msgspec.structs.replace(known, public_key=told.public_key))
    return known.id


def _ensured_client_app(
    unit: Unit, keyring: Keyring, certificate: bytes, clock: Clock
) -> tuple[str, str]:
    """Client id and secret. One that was revoked stays so, and one whose secret somebody has
    renewed gets another one, which the card can tell."""
    client_id, secret = keyring.softpos_client_id, keyring.softpos_secret
    known = unit.estate().client_apps.get(client_id)
    wanted = Wanted(
        organisation_id=SHOP.id,
        name=SOFTPOS_APP,
        profile=SOFTPOS_PROFILE,
        certificate=certificate,
        tids=[each.tid for each in SOFTPOS_TERMINALS],
        point_of_sale=POINT_OF_SALE,
        redirect_uris=[REDIRECT_URI],
    )
    made, new_secret = new_client_app(wanted, clock)
    if known is None or known.revoked_at:
        unit.put(made)
        return made.id, new_secret
    renewed = msgspec.structs.replace(
        known, certificate=made.certificate, certificate_digest=made.certificate_digest
    )
    if known.secret_digest != digest_of(secret):
        secret = new_secret
        renewed = with_secret(renewed, secret, clock.now(), 0)
    if renewed != known:
        unit.put(renewed)
    return client_id, secret


def _ensured_token(unit: Unit, terminal: Terminal, token: str, clock: Clock) -> str:
    if token and terminal.device_digest == digest_of(token):
        return token
    digest, token = new_device_token(clock)
    unit.put(msgspec.structs.replace(terminal, device_digest=digest))
    return token


def _ensured_codes(
    unit: Unit, known: Mapping[str, str], codes: Codes, clock: Clock
) -> Iterator[tuple[str, str]]:
    """Terminals and their codes: new ones in place of those that were used."""
    terminals = unit.estate().terminals
    for terminal in SMARTCONNECT:
        if terminals[terminal.id].lifecycle is not Lifecycle.ACTIVATED:
            continue
        code = known.get(terminal.id, "")
        if not code or unit.pairing_code(codes.digest(code)) is None:
            code, _ = show_code(unit, terminal.id, codes.drawn(clock), clock.now(), None)
        yield terminal.id, code
