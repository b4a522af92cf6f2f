"""How a nexo face departs from its defaults: one struct for all bindings.

What a binding does not have (a poll, a frame, an encrypted blob) it does not read. Where the
protocol's sources are silent or differ, the choice is a setting here and is told in README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1)]


class EncryptionKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that tills of the held binding may seal their messages with."""

    identifier: Text
    version: Annotated[int, Meta(ge=0)] = 1
    passphrase_file: Text
    """A file that holds the passphrase and nothing else."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one nexo face."""

    organisation: Text
    """Whose terminals it serves. Those of others do not exist here."""
    terminals: Mapping[str, str] = {}
    """POIID -> `manufacturer-model-serial`. Empty: every terminal of the organisation, its POIID
    being `model-serial`."""

    # --- what tills may do ---
    login_required: bool = False
    """Whether services need a Login first (all but those with which a lost answer is found)."""
    repeat_answers: bool = False
    """What a message gets that was answered before: its stored answer (true), or
    Failure/NotAllowed, which does not hide that the till sent it twice (false)."""
    partial_approval: bool = True
    """Whether a Payment may be approved for less than it asks for, which is answered as
    `Partial`."""
    strict_references: bool = False
    """Whether an Abort or TransactionStatus is refused whose own ServiceID is its target's."""
    longest_service_id: Annotated[int, Meta(ge=1, le=64)] = 10
    """Characters of a ServiceID or DeviceID."""
    longest_transaction_id: Annotated[int, Meta(ge=1, le=255)] = 35
    """Characters of a SaleTransactionID.TransactionID; a longer one gets 90001."""
    expires_in: Annotated[float, Meta(gt=0, le=86_400)] | None = 120.0
    """Seconds after which a payment is given up that a fetching terminal has not fetched. None: it
    waits for good, or until it is aborted."""

    # --- what tills are told ---
    receipt_columns: Literal[24, 30, 40] = 24
    """The width of receipts."""
    masked_pan: Literal["MaskedPAN", "MaskedPan", "both"] = "MaskedPAN"
    """How the masked card number's member is spelt."""
    vendor_name: Literal["ProviderIdentification", "ManufacturerID", "both"] = (
        "ProviderIdentification"
    )
    """How the member is spelt that names a software's maker."""

    # --- flat HTTP, with polls ---
    poi_id: str = ""
    """The POIID that paths without one mean, such as `/payment`. Empty: there are no such
    paths."""

    # --- enveloped HTTP, held until the answer is there ---
    answer_within: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    """Seconds after which a held request is let go of with 408. Its payment goes on."""
    encryption_keys: tuple[EncryptionKey, ...] = ()
    encryption_required: bool = False
    """Whether messages in clear are refused."""

    # --- enveloped, over a byte stream ---
    length_counts_itself: bool = False
    """Whether the length before each message counts its own four octets."""
    messages_at_once: Annotated[int, Meta(ge=1, le=10_000)] = 64
    """Messages of one connection that may wait for their answers."""

    # --- limits of all bindings ---
    largest_message: Annotated[int, Meta(ge=1024, le=16 << 20)] = 1 << 20
    """Bytes of one message."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for settings that do not fit together."""
        keys = [(each.identifier, each.version) for each in self.encryption_keys]
        if len(keys) != len(set(keys)):
            raise ValueError("encryption_keys: two of them have the same identifier and version")
        if self.encryption_required and not keys:
            raise ValueError("encryption_required: no message would do without encryption_keys")
