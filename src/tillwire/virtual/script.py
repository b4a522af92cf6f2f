"""What a virtual terminal and its cardholder do with a transaction, or with an errand.

A `Script` says it in whole. Without one that was set for the terminal, the last two digits of the
amount in minor units choose from `ENDINGS`, for every type that has an amount; and an errand is
simply done. What the acquirer makes of it is `acquirer.py`'s, what a customer answers
`cardholder.py`'s, and what survives a crash `world.py`'s.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tillwire.core.errands import Ask, AskBalance, Errand, Print, ReadCard, Reprint, Trouble
from tillwire.core.model import Cause, Verdict

NO_CARD_SECONDS: Final = 30.0
"""Seconds after which a terminal that was shown no card, or got no answer, gives up."""
SLOW_CARDHOLDER_SECONDS: Final = 20.0
TIP_PERCENT: Final = 10
LONGEST_ANSWER: Final = 1000
"""Characters that a customer types."""

_OF_ERRANDS: Final = frozenset({"answer", "trouble", "paper_out"})
_OF_BOTH: Final = frozenset({"seconds"})


class Script(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One course of events at a virtual terminal: of a transaction; or of an errand, if one of
    `answer`, `trouble` and `paper_out` is there."""

    verdict: Verdict = Verdict.APPROVED
    seconds: float = 0.0
    """How long the cardholder takes, or the terminal waits in vain, before `pace` divides it."""
    response_code: str = ""
    """The acquirer's ISO 8583 field 39; empty: 00, for a part of the amount 10, declined 05."""
    reason: str = ""
    """Why it was declined or cancelled, in words."""
    half: bool = False
    """Approved for half of the amount (rounded down to whole minor units) if the till allows
    partial approval, else declined. No cash is paid out then."""
    tip_percent: int = 0
    """Added on the terminal to a PURCHASE, rounded down to whole minor units."""
    signature: bool = False
    """The cardholder signs."""
    conversion: bool = False
    """The cardholder pays in another currency (DCC)."""
    answer_lost: bool = False
    """The terminal's answer does not reach the gateway."""
    restart: bool = False
    """The terminal restarts without its memory right after it has charged the card."""
    twice: bool = False
    """The answer comes, and comes again."""
    unreachable: bool = False
    """The terminal refuses the connection."""
    cause: Cause | None = None
    """Who or what cancels a CANCELLED one; the cardholder, unless it is said."""
    answer: str | None = None
    """What the customer answers to a question: what is typed; `no` to a confirmation; the number
    or the text of a choice. Empty: as without a script."""
    trouble: Trouble | None = None
    """Why the errand is not run."""
    paper_out: bool = False
    """The printer has no paper."""

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= 3600:
            raise ValueError("seconds must be from 0 to 3600")
        if not 0 <= self.tip_percent <= 100:
            raise ValueError("tip_percent must be from 0 to 100")
        if len(self.response_code) > 2 or len(self.reason) > 200:
            raise ValueError("response_code has at most 2 characters, reason at most 200")
        if len(self.answer or "") > LONGEST_ANSWER:
            raise ValueError(f"answer has at most {LONGEST_ANSWER} characters")
        if self.cause is not None and self.verdict is not Verdict.CANCELLED:
            raise ValueError("cause must come with the verdict CANCELLED")
        if self.is_of_errands and (others := self._of_transactions()):
            raise ValueError(f"an errand's script must not have {', '.join(others)}")

    def _of_transactions(self) -> list[str]:
        fields = zip(self.__struct_fields__, self.__struct_defaults__, strict=True)
        return [
            name
            for name, default in fields
            if name not in _OF_ERRANDS | _OF_BOTH and getattr(self, name) != default
        ]

    @property
    def is_of_errands(self) -> bool:
        """Whether it is for errands; no transaction follows it then."""
        return self.answer is not None or self.trouble is not None or self.paper_out

    def concerns(self, errand: Errand) -> bool:
        """Whether it says what becomes of this errand."""
        if self.trouble is Trouble.CARD_INSERTED:
            return isinstance(errand, Ask) and errand.notice_card
        if self.trouble is not None:
            return True
        if self.paper_out and isinstance(errand, Print | Reprint):
            return True
        return self.answer is not None and isinstance(errand, Ask | ReadCard | AskBalance)


def _declined(code: str, reason: str, *, answer_lost: bool = False) -> Script:
    return Script(
        verdict=Verdict.DECLINED, response_code=code, reason=reason, answer_lost=answer_lost
    )


def _cancelled(reason: str, cause: Cause, seconds: float = 0.0) -> Script:
    return Script(verdict=Verdict.CANCELLED, reason=reason, cause=cause, seconds=seconds)


APPROVED: Final = Script()

ENDINGS: Final[dict[int, Script]] = {
    40: _declined("05", "Do not honour."),
    41: _declined("51", "Insufficient funds."),
    42: _declined("54", "Expired card."),
    43: _cancelled("Cancelled by the cardholder.", Cause.CARDHOLDER),
    44: _cancelled("No card was presented in time.", Cause.NO_CARD, NO_CARD_SECONDS),
    45: Script(half=True),
    46: Script(answer_lost=True),
    47: Script(answer_lost=True, restart=True),
    48: Script(twice=True),
    49: Script(seconds=SLOW_CARDHOLDER_SECONDS),
    50: Script(signature=True),
    51: Script(conversion=True),
    52: Script(unreachable=True),
    53: _declined("05", "Do not honour.", answer_lost=True),
    54: Script(tip_percent=TIP_PERCENT),
}
"""Last two digits of the amount in minor units -> what happens. Any other ending is approved."""


def script_for(minor: int) -> Script:
    """The script of an amount in minor units; a negative one counts by its size."""
    return ENDINGS.get(abs(minor) % 100, APPROVED)
