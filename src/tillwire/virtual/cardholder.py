"""The virtual cardholder at a terminal: what its display asks for, step by step, and what is
answered to a question.

Pure functions. When a step begins follows from the deed alone, so the display is right also after
the gateway has died and lives again.
"""

from __future__ import annotations

import itertools
import re
from typing import Final

import msgspec

from tillwire.core.errands import Answer, Ask, ErrandFailed, Question, Trouble
from tillwire.core.model import EntryMode, Outcome, Verdict, Verification
from tillwire.virtual.script import LONGEST_ANSWER

PRESENT_CARD: Final = "Present card"
CHOOSE_CURRENCY: Final = "Choose currency"
ENTER_PIN: Final = "Enter PIN"
AUTHORISING: Final = "Authorising"
REMOVE_CARD: Final = "Remove card"

_TAKES: Final = {CHOOSE_CURRENCY: 4.0, ENTER_PIN: 5.0}
"""Seconds, before `pace` divides them."""


# --- paying -----------------------------------------------------------------------------------


class Step(msgspec.Struct, frozen=True):
    """Something that the display asks for."""

    text: str
    left: float
    """Seconds before the cardholder has acted at which it begins, before `pace` divides them."""


def steps(outcome: Outcome) -> tuple[Step, ...]:
    """What is asked after the card was presented, in its order, where the cardholder takes time
    and the card comes to the acquirer."""
    if outcome.verdict is Verdict.CANCELLED:
        return ()
    asked = [CHOOSE_CURRENCY] if outcome.conversion is not None else []
    if outcome.verification is Verification.PIN:
        asked.append(ENTER_PIN)
    takes = (_TAKES[text] for text in reversed(asked))
    left = list(itertools.accumulate(takes))
    return tuple(map(Step, asked, reversed(left)))


def afterwards(outcome: Outcome) -> tuple[str, ...]:
    """What the display says once the cardholder has acted."""
    if outcome.verdict is Verdict.CANCELLED:
        return ()
    return (REMOVE_CARD,) if outcome.entry_mode is EntryMode.CHIP else ()


# --- answering --------------------------------------------------------------------------------

_LETTERS: Final = "Virtual customer "
_DIGITS: Final = "1234567890"
_DECIMAL: Final = re.compile(r"[0-9]+(?:\.([0-9]+))?")


def answered(ask: Ask, wish: str) -> Answer:
    """The customer's answer: `wish`, or without one what the terminal offers, or whatever fits.
    Raises `ErrandFailed` (REFUSED) when nothing fits, or the wish does not."""
    match ask.question:
        case Question.ANY_KEY:
            return Answer(confirmed=True)
        case Question.CONFIRM:
            return Answer(confirmed=wish.lower() not in ("no", "false"))
        case Question.CHOICE:
            offered = ask.default if ask.default in ask.choices else ""
            return Answer(choice=_chosen(ask.choices, wish or offered))
        case Question.FUNCTION_KEY:
            return Answer(choice=_chosen(ask.choices or tuple(_DIGITS), wish))
        case _:
            return Answer(text=_typed(ask, wish))


def _chosen(choices: tuple[str, ...], wish: str) -> int:
    if not choices:
        raise ErrandFailed(Trouble.REFUSED, "There is nothing to choose from.")
    if not wish:
        return 1
    if wish in choices:
        return choices.index(wish) + 1
    if wish.isdecimal() and len(wish) < 5 and 1 <= int(wish) <= len(choices):
        return int(wish)
    raise _unfit(wish)


def _typed(ask: Ask, wish: str) -> str:
    longest = min(ask.longest or LONGEST_ANSWER, LONGEST_ANSWER)
    if not 0 <= ask.shortest <= longest:
        problem = f"Nobody types from {ask.shortest} to {longest} characters."
        raise ErrandFailed(Trouble.REFUSED, problem)
    if wish and not _fits(ask, wish, longest):
        raise _unfit(wish)
    offered = ask.default if _fits(ask, ask.default, longest) else ""
    return wish or offered or _made_up(ask, longest)


def _fits(ask: Ask, text: str, longest: int) -> bool:
    if not ask.shortest <= len(text) <= longest:
        return False
    match ask.question:
        case Question.DIGITS:
            return text.isascii() and text.isdecimal()
        case Question.DECIMAL:
            found = _DECIMAL.fullmatch(text)
            return found is not None and len(found[1] or "") <= ask.decimals
        case _:
            return True


def _made_up(ask: Ask, longest: int) -> str:
    """Something of the right length that nobody would take for real."""
    if ask.question is Question.DECIMAL:
        decimals = min(ask.decimals, 2, longest - 2)
        tail = "." + "0" * decimals if decimals > 0 else ""
        return "1" * max(1, ask.shortest - len(tail)) + tail
    characters = _LETTERS if ask.question is Question.TEXT else _DIGITS
    usual = len(_LETTERS) - 1 if ask.question is Question.TEXT else 4
    size = max(ask.shortest, min(usual, longest))
    return "".join(itertools.islice(itertools.cycle(characters), size))


def _unfit(wish: str) -> ErrandFailed:
    return ErrandFailed(Trouble.REFUSED, f"The question does not allow the answer {wish[:40]!r}.")
