"""What the estate file says of a terminal that is reached by nexo, checked as a whole.

`docs/estate.md` has them for people. Where the protocol's sources are silent or differ, the choice
is a setting here and is told in README.md. Nothing is read from disk here: a certificate or a
passphrase that cannot be read is told when it is needed, before anything is sent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]


class Binding(StrEnum):
    """How messages get to the terminal and back."""

    HTTP = "http"
    """Flat messages over HTTP: a request is posted to its resource, its answer is polled for."""
    HELD = "held"
    """One HTTP(S) request per message, held until its answer is there."""
    TCP = "tcp"
    """Framed messages over a TCP connection for each exchange."""


class LoginRule(StrEnum):
    """When the terminal is logged in to."""

    WHEN_ASKED = "when_asked"
    """When it says that nobody is logged in."""
    FIRST = "first"
    """Before the first payment or errand of this gateway's life, too; a question for what was done
    asks without."""
    NEVER = "never"


class AbortConnection(StrEnum):
    """Over which TCP connection a payment is aborted."""

    SAME = "same"
    """The one that waits for its answer."""
    OWN = "own"
    """One of the abort's own."""


class Resource(StrEnum):
    """Resources of the http binding that Market Pay's terminals are not known to have, and a
    tillwire gateway has."""

    DISPLAY = "display"
    PRINT = "print"
    INPUT = "input"
    TOTALS = "totals"
    RECONCILIATION = "reconciliation"


PORTS: Final = {Binding.HTTP: 8080, Binding.HELD: 8443, Binding.TCP: 7778}
"""The usual ports: those of Market Pay's terminals, and of Adyen's for the held binding."""
PATHS: Final = {Binding.HTTP: "/", Binding.HELD: "/nexo/", Binding.TCP: ""}
CAPABILITIES: Final = {
    Binding.HTTP: ("CashierStatus", "CashierError", "CashierDisplay", "PrinterReceipt"),
    Binding.HELD: ("PrinterReceipt",),
    Binding.TCP: ("CashierStatus", "CashierError", "CashierDisplay", "PrinterReceipt"),
}
"""`SaleCapabilities`: over a held request nothing but its answer can come back."""


class DriverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one terminal. Raises `ValueError` for those that do not fit together."""

    # --- where it is ---
    binding: Binding
    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?$")]
    """Name or IPv4 address."""
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    """None: the binding's usual one."""
    path: Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~%/\-]*)?$", max_length=200)] | None = None
    """HTTP: below which the resources are, or where messages are posted."""
    tls: bool | None = None
    """None: what is usual, which is TLS for the held binding alone."""
    ca_file: Text | None = None
    """PEM: the authority that signed the terminal's certificate, or that certificate itself. None:
    the system's authorities."""
    server_name: Text | None = None
    """Whom the certificate names; None: `host`."""

    # --- who speaks to whom ---
    poi_id: Name | None = None
    """None: `model-serial`."""
    sale_id: Name = "tillwire"
    login: LoginRule = LoginRule.WHEN_ASKED
    operator: Annotated[str, Meta(max_length=60)] = ""
    """`OperatorID` of the login."""
    language: Annotated[str, Meta(pattern=r"^[A-Za-z]{2}$")] = "en"
    """Of the cashier, for what the terminal displays."""
    sale_capabilities: tuple[Text, ...] | None = None
    """What the till is said to have. None: what suits the binding."""
    reconciliation: Literal["AcquirerSynchronisation", "SaleReconciliation"] = (
        "AcquirerSynchronisation"
    )
    """How a period is closed: with the acquirers, or at the terminal alone."""

    extra_resources: tuple[Resource, ...] = ()
    """HTTP: what the terminal has resources for beside those of Market Pay's terminals."""

    # --- the encrypted blob, of the held binding ---
    passphrase_file: Text | None = None
    """A file that holds the passphrase and nothing else. None: messages are in clear."""
    key_identifier: Text | None = None
    key_version: Annotated[int, Meta(ge=0)] = 1

    # --- how it spells ---
    protocol_version: Annotated[str, Meta(pattern=r"^[0-9]{1,2}\.[0-9]{1,2}$")] = "3.1"
    masked_pan: Literal["MaskedPAN", "MaskedPan", "both"] = "MaskedPAN"
    vendor_name: Literal["ProviderIdentification", "ManufacturerID", "both"] = (
        "ProviderIdentification"
    )
    longest_service_id: Annotated[int, Meta(ge=6, le=10)] = 10
    """Characters of a ServiceID or DeviceID."""
    length_counts_itself: bool = False
    """TCP: whether a frame's length counts its own four octets."""
    device_service_id: bool = False
    """Whether a device request carries a ServiceID beside its DeviceID, with the same value."""

    # --- how long to wait ---
    connect_seconds: Annotated[float, Meta(ge=0.1, le=10)] = 5.0
    send_seconds: Annotated[float, Meta(ge=0.5, le=60)] = 10.0
    """After a payment was dispatched, until when it may be written, a login included."""
    answer_seconds: Annotated[float, Meta(ge=0.1, le=9)] = 8.0
    """For the answer to a question: status, login, diagnosis, one poll."""
    poll_seconds: Annotated[float, Meta(ge=0.05, le=10)] = 0.5
    """Between two polls when there was nothing yet."""
    quiet_seconds: Annotated[float, Meta(ge=0, le=600)] = 60.0
    """Without a word while an answer is waited for, after which the terminal is asked for it; 0:
    never."""
    outcome_seconds: Annotated[float, Meta(ge=5, le=3600)] = 180.0
    """For the outcome of a payment, or the end of an errand."""
    abort_over: AbortConnection = AbortConnection.SAME

    def __post_init__(self) -> None:
        held, tcp = self.binding is Binding.HELD, self.binding is Binding.TCP
        _need(not tcp or self.path is None, "path", "the tcp binding has no paths")
        _need(
            self.binding is Binding.HTTP or not self.extra_resources,
            "extra_resources",
            "only the http binding has resources",
        )
        _need(tcp or not self.length_counts_itself, "length_counts_itself", "only tcp has frames")
        for setting in ("ca_file", "server_name"):
            given = getattr(self, setting) is not None
            _need(not given or self.is_tls, setting, "it needs tls = true")
        _need(held or self.passphrase_file is None, "passphrase_file", "only held has encryption")
        _need(
            (self.passphrase_file is None) is (self.key_identifier is None),
            "key_identifier",
            "it is given together with passphrase_file",
        )
        _need(
            tcp or self.abort_over is AbortConnection.SAME,
            "abort_over",
            "only the tcp binding has a choice",
        )
        _need(
            self.send_seconds < self.outcome_seconds,
            "send_seconds",
            "it is not less than outcome_seconds",
        )

    @property
    def is_tls(self) -> bool:
        """Whether connections are TLS."""
        return self.binding is Binding.HELD if self.tls is None else self.tls

    @property
    def at_port(self) -> int:
        """Where the terminal listens."""
        return PORTS[self.binding] if self.port is None else self.port

    @property
    def url(self) -> str:
        """Of the HTTP bindings, with a trailing slash where resources follow."""
        path = PATHS[self.binding] if self.path is None else self.path
        if self.binding is Binding.HTTP:
            path = path.rstrip("/") + "/"
        return f"{'https' if self.is_tls else 'http'}://{self.host}:{self.at_port}{path or '/'}"

    @property
    def capabilities(self) -> tuple[str, ...]:
        """`SaleCapabilities`."""
        if self.sale_capabilities is not None:
            return self.sale_capabilities
        return CAPABILITIES[self.binding]


def _need(fits: bool, setting: str, problem: str) -> None:
    if not fits:
        raise ValueError(f"{setting}: {problem}")
