"""The sandbox card: one JSON file with every address and credential that a till needs.

Other tools build on it: names and meanings stay. It is there exactly while the sandbox accepts
connections. Members of what is not built are absent.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog

from tillwire.sandbox import virtual_estate
from tillwire.sandbox.keyring import Keyring, write_private
from tillwire.version import __version__

FILE = "card.json"


class Metrics(msgspec.Struct, frozen=True):
    """Where Prometheus looks."""

    url: str


class PollingTerminal(msgspec.Struct, frozen=True):
    """A terminal that whoever has the token plays."""

    terminal: str
    token: str


class Device(msgspec.Struct, frozen=True):
    """The side on which terminals poll."""

    url: str
    terminals: list[PollingTerminal]


class MerchantApi(msgspec.Struct, frozen=True):
    """The MerchantAPI face."""

    url: str
    openapi: str
    api_key: str
    other_api_key: str
    """Of a second organisation, for isolation checks."""
    terminals: list[str]
    device: Device


class Tcp(msgspec.Struct, frozen=True):
    """Where a byte stream is served."""

    host: str
    port: int


class Https(msgspec.Struct, frozen=True):
    """Where TLS is spoken, and whom to trust there."""

    url: str
    ca: str
    """The path of a PEM file."""


class Encryption(msgspec.Struct, frozen=True):
    """The key with which tills may seal their messages."""

    passphrase: str
    key_identifier: str
    key_version: int


class Nexo(msgspec.Struct, frozen=True):
    """The nexo face in its three bindings."""

    poi_id: str
    """The terminal to pay on; the other virtual ones are served, too."""
    http: str
    """Flat messages, and polls."""
    tcp: Tcp
    """Framed messages with envelopes."""
    https: Https
    """One held request for each message, with envelopes."""
    encryption: Encryption


class Ecr17(msgspec.Struct, frozen=True):
    """A lane for tills that speak ECR17."""

    host: str
    port: int
    tid: str
    lrc: str
    """Over what the check character of a frame is (`stx`: all of it, from STX to ETX)."""


class PaymentBridge(msgspec.Struct, frozen=True):
    """The cloud of SmartPOS terminals, for cloud applications."""

    url: str
    """The API's host, as the vendor's SDKs call it."""
    application_id: str
    private_key: str
    """The path of a PEM file: what the application signs its assertions with."""
    business_id: str
    store_id: str
    device_id: str
    """Of the device that stood at the terminal when the card was written; it changes with a swap,
    the TID does not."""
    tid: str


class SmartConnect(msgspec.Struct, frozen=True):
    """A SmartConnect cloud, for registers."""

    url: str
    """What vendors call the base URL."""
    pairing_codes: list[str]
    """Each is for a terminal of its own, and lives until it is used."""


class SoftPos(msgspec.Struct, frozen=True):
    """The backend that SoftPOS applications ask, over mutual TLS."""

    url: str
    """What assertions name as their audience, too."""
    client_id: str
    client_secret: str
    certificate: str
    """The path of a PEM file: what the application shows in the handshake."""
    private_key: str
    """The path of a PEM file: what it signs its assertions with, too."""
    ca: str
    """The path of a PEM file: whom to trust there."""
    point_of_sale: str
    redirect_uri: str
    terminal_ids: list[str]
    """The TIDs that it may ask about."""


class Virtual(msgspec.Struct, frozen=True):
    """The virtual world, and what its acquirer really charged."""

    url: str
    ledger: str


class Card(msgspec.Struct, frozen=True):
    """The sandbox card."""

    version: str
    pid: int
    base_url: str
    metrics: Metrics
    merchantapi: MerchantApi
    nexo: Nexo
    ecr17: Ecr17
    paymentbridge: PaymentBridge
    smartconnect: SmartConnect
    softpos: SoftPos
    virtual: Virtual


def card(
    base_url: str,
    keyring: Keyring,
    nexo: Nexo,
    ecr17: Ecr17,
    paymentbridge: PaymentBridge,
    smartconnect: SmartConnect,
    softpos: SoftPos,
    pid: int,
) -> Card:
    """The card of the sandbox at `base_url`, run by the process `pid`."""
    device = Device(
        url=f"{base_url}/device",
        terminals=[
            PollingTerminal(terminal.name, keyring.device_tokens[terminal.id])
            for terminal in virtual_estate.POLLING
        ],
    )
    merchantapi = MerchantApi(
        url=f"{base_url}/merchantapi",
        openapi=f"{base_url}/merchantapi/openapi.json",
        api_key=keyring.api_key,
        other_api_key=keyring.other_api_key,
        # The other virtual terminals are meant for faces to come.
        terminals=[terminal.name for terminal in virtual_estate.VIRTUAL[:2]],
        device=device,
    )
    return Card(
        version=__version__,
        pid=pid,
        base_url=base_url,
        metrics=Metrics(f"{base_url}/metrics"),
        merchantapi=merchantapi,
        nexo=nexo,
        ecr17=ecr17,
        paymentbridge=paymentbridge,
        smartconnect=smartconnect,
        softpos=softpos,
        virtual=Virtual(f"{base_url}/v1/virtual", f"{base_url}/v1/virtual/ledger"),
    )


def write(directory: Path, content: Card) -> Path:
    """Write the card, whole or not at all, readable by its owner alone; its path."""
    path = directory / FILE
    write_private(path, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    return path


def rewrite(directory: Path, content: Card) -> None:
    """Write the card again, since something in it has changed. What keeps it from that is logged:
    the change itself is done."""
    try:
        write(directory, content)
    except OSError as error:
        structlog.get_logger().error("the sandbox card is out of date", reason=error.strerror)


def remove(directory: Path) -> None:
    """Nothing is served (any more)."""
    (directory / FILE).unlink(missing_ok=True)
