"""The value lists of the protocol.

Requests are read strictly: a value that is not in its list makes them unreadable. Results keep
what the terminal wrote, since an outcome must not be lost over a value that is new.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

import msgspec

ANY_TID: Final = "00000000"
"""The terminal id that every terminal takes for its own."""
NO_STAN: Final = "000000"
"""In a reversal: reverse the last transaction, whatever its STAN."""
LARGEST_AMOUNT: Final = 99_999_999
"""Cents that one transaction can be asked for."""


class PaymentType(StrEnum):
    """Which of a card's circuits pays (request)."""

    AUTOMATIC = "0"
    """The customer picks on a co-badged card."""
    DEBIT = "1"
    CREDIT = "2"
    OTHER = "3"


class Routing(StrEnum):
    """Where the next receipt goes. The last two are known of PAX terminals alone."""

    TERMINAL = "0"
    ECR = "1"
    BOTH = "2"
    MERCHANT_COPY_TO_ECR = "3"


class Download(StrEnum):
    """Which parameters are loaded onto the terminal (PAX)."""

    MANUAL = "0"
    FIRST = "1"
    RESERVED = "2"


class Reversible(StrEnum):
    """What a retroactive reversal undoes (PAX)."""

    PURCHASE = "0"
    PREAUTHORISATION = "1"
    CAPTURE = "2"


class ResultCode(StrEnum):
    """How a command ended. Only `00` is an approval."""

    OK = "00"
    KO = "01"
    NO_CARD = "05"
    """The card that the request said was there is not."""
    UNKNOWN_TAG = "09"
    """The host sent a tag that the terminal does not know."""
    UNSUPPORTED = "91"
    """The terminal has no such procedure (PAX, retroactive reversal)."""


class TransactionType(StrEnum):
    """How the card was read."""

    CHIP = "ICC"
    SWIPED = "MAG"
    KEYED = "MAN"
    CONTACTLESS_STRIPE = "CLM"
    CONTACTLESS_CHIP = "CLI"


class CardType(StrEnum):
    """What kind of card paid (result)."""

    BANCOMAT = "1"
    CREDIT = "2"
    """Any international circuit, historically."""
    OTHER = "3"


class TerminalState(StrEnum):
    """Whether the terminal can work. Examples of the vendor's, not a closed list."""

    NOT_CONFIGURED = "0"
    NO_PARAMETERS = "1"
    OPERATIVE = "2"
    NOT_ALIGNED = "3"
    KEY_CORRUPTED = "4"
    DOWNLOAD_PENDING = "5"
    UPDATE_PENDING = "6"


class ByteMap(StrEnum):
    """What additional data says of its tags' indices, since the documentation is not clear."""

    INDICES = "indices"
    """The n-th digit is the index of the n-th tag: the only reading that can express index 5."""
    ZEROS = "zeros"
    """Nothing: `0000`."""


class Spelling(msgspec.Struct, frozen=True, kw_only=True):
    """Which of two layouts a terminal wants, where the documents disagree."""

    capture_zeros: Literal[8, 12] = 8
    """At the end of a capture: 8 (Nexi) or 12 (PAX)."""
    byte_map: ByteMap = ByteMap.INDICES


CANONICAL: Final = Spelling()


class HostTime(msgspec.Struct, frozen=True, order=True):
    """A moment on the host's clock, which tells no year."""

    day: int
    """Day of the year; 1 is the first of January."""
    hour: int
    minute: int
