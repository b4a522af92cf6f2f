"""How a lane departs from its defaults.

No timeout of the protocol is published, so all are settings; and what its documents leave open is a
setting, too, where tills may want either. README.md tells why each default is what it is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from tillwire.dialects.ecr17.wire import Lrc

Text = Annotated[str, Meta(min_length=1)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]


class Tags(StrEnum):
    """What becomes of requests that announce additional data for the host."""

    HAND_ON = "hand_on"
    """The data go to the terminal's host with the transaction; NAK where the terminal cannot."""
    REFUSE = "refuse"
    """NAK: what the till wants of the host cannot be had, and the money must not move without."""
    IGNORE = "ignore"
    """The data is acknowledged and dropped."""


class Copies(StrEnum):
    """What is on the ticket that a till prints."""

    CARDHOLDER = "cardholder"
    MERCHANT = "merchant"
    BOTH = "both"
    """The merchant's copy first, in one ticket."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one lane."""

    organisation: Text
    """Whose terminal it is."""
    terminal: Text
    """`manufacturer-model-serial` of the terminal whose place the lane is, or its TID."""

    # --- who may talk, and how ---
    tid: Annotated[str, Meta(pattern="^([0-9]{8})?$")] = ""
    """The terminal id on the lane; empty: the terminal's own, if that has eight digits."""
    check_tid: bool = True
    """Whether a request for another terminal id is refused; `00000000` never is."""
    lrc: Lrc = Lrc.STX
    """Over what the check character is."""
    additional_data: Tags = Tags.HAND_ON
    largest_frame: Annotated[int, Meta(ge=256, le=65_536)] = 1100
    """Octets of a frame that are put up with."""

    # --- time ---
    ack_within: Seconds = 3.0
    """Until the till must have acknowledged what it was sent; then it is sent again."""
    transmissions: Annotated[int, Meta(ge=1, le=10)] = 3
    """How often that is sent in all."""
    progress_every: Seconds = 10.0
    """How long a till hears nothing while the terminal works."""
    answer_within: Seconds = 300.0
    """Until a till that waits for a result is let go of, without one."""
    unresolved_within: Seconds = 60.0
    """The same from the moment at which the outcome became UNKNOWN."""
    repeat_within: Seconds = 180.0
    """After the end of a transaction whose result the till has not acknowledged: how long the same
    request is taken for the same transaction."""
    expires_in: Seconds = 120.0
    """After which a transaction is given up that a fetching terminal has not fetched."""
    receipt_armed_for: Seconds = 60.0
    """How long a wish for a receipt on the till (`E`) waits for the procedure that it is for."""

    additional_data_within: Seconds = 15.0
    """How long announced data are waited for. Without them the transaction is given up."""

    # --- what tills are told ---
    release: Annotated[str, Meta(pattern="^[ -~]{0,256}$")] = "TLW00001ECR01.55"
    """The software release in the status."""
    acquirer: Annotated[str, Meta(pattern="^[0-9A-Za-z ]{0,11}$")] = "00000000000"
    """The acquirer's id in results."""
    receipt_copies: Copies = Copies.CARDHOLDER
    dcc_results: bool = True
    """Whether a payment or capture that was converted is answered as such (`V`, `v`)."""


def alone(settings: Settings) -> str:
    """The terminal, which has one lane alone: a request that is repeated on another one would be a
    new sale there."""
    return f"the terminal {settings.terminal} of {settings.organisation}"
