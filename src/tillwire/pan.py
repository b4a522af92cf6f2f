"""Card numbers: what is one, how a wire cuts them out of what a terminal writes, and how it knows
them in what a till writes (law 7).

A card number is a run of 12 to 19 digits that passes the Luhn check and does not begin with 0,
alone or in groups with one and the same separator between them. It keeps its last four digits and
its shape, so that a receipt keeps its columns. A longer unbroken run is an id, and stays.

One in ten of a till's own numbers of that length passes the Luhn check, and neither may such a sale
be refused nor its name be changed. There, only what also begins and is as long as the cards of an
issuer counts.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Final

MASK: Final = "*"
KEPT: Final = 4
"""Digits at the end of a card number that may be shown."""

SHORTEST: Final = 12
LONGEST: Final = 19
"""Digits of a card number."""

# The application ids (AID) of national schemes, such as girocard's D27600002545500200, are digits
# behind a letter, and must stay readable on a receipt.
_RUN: Final = re.compile(r"(?<!D(?=276))[0-9]+(?:[ \u00a0.\-]{1,2}[0-9]+)*")
_LONG: Final = re.compile(rf"[0-9](?:[ \u00a0.\-]{{0,2}}[0-9]){{{SHORTEST - 1}}}")
"""Without this in it no text holds a card number, and most texts are without it."""
_GROUP: Final = re.compile(r"[0-9]+")
_DIGIT: Final = re.compile(r"[0-9]")
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_ISSUED: Final = re.compile(
    r"4[0-9]{15}"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)"
    r"[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[689][0-9])[0-9]{11}"  # Diners Club
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12}"  # Discover
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}"  # JCB
    r"|62[0-9]{14,17}"  # UnionPay
    r"|(?:50[0-9]{2}|5[6-8][0-9]{2}|6304|67[0-9]{2})[0-9]{12,15}"  # Maestro
)


def masked(text: str) -> str:
    """The text with every card number cut to its last four digits."""
    return _RUN.sub(lambda run: _cut(run[0]), text) if _LONG.search(text) else text


def is_in(text: str) -> bool:
    """Whether a till's own text holds a card number of a known issuer."""
    return _LONG.search(text) is not None and any(
        _ISSUED.fullmatch(digits, start, end)
        for run in _RUN.finditer(text)
        for digits, start, end in _numbers(run[0])
    )


def last_four(text: str) -> str:
    """The last four digits of a card number, or of what is shown of one."""
    return "".join(_GROUP.findall(text))[-KEPT:]


def _cut(run: str) -> str:
    # Numbers may overlap: a digit is shown only if none of them hides it.
    hidden: set[int] = set()
    for _, start, end in _numbers(run):
        hidden.update(range(start, end - KEPT))
    if not hidden:
        return run
    count = itertools.count()
    return _DIGIT.sub(lambda digit: MASK if next(count) in hidden else digit[0], run)


def _numbers(run: str) -> Iterator[tuple[str, int, int]]:
    """Every possible card number in a run of groups: all digits of the run, and of the number the
    first and the one behind the last."""
    groups = _GROUP.findall(run)
    digits = "".join(groups)
    if len(digits) < SHORTEST:
        return
    separators = _GROUP.split(run)[1:]
    starts = list(itertools.accumulate(map(len, groups), initial=0))
    sums = _luhn_sums(digits)
    for index, start in enumerate(starts[:-1]):
        if digits[start] == "0":
            continue
        for last in range(index, len(groups)):
            end = starts[last + 1]
            if end - start > LONGEST or (
                last > index and separators[last - 1] != separators[index]
            ):
                break
            if end - start >= SHORTEST:
                doubled = sums[end % 2]
                if (doubled[end] - doubled[start]) % 10 == 0:
                    yield digits, start, end


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """What the digits before each place sum up to for the Luhn check, with those at even places
    doubled, and with those at odd places: so any part of a long text is checked at once."""
    plain = [int(digit) for digit in digits]
    doubled = [_DOUBLED[digit] for digit in plain]
    even, odd = plain.copy(), plain.copy()
    even[::2], odd[1::2] = doubled[::2], doubled[1::2]
    return (
        list(itertools.accumulate(even, initial=0)),
        list(itertools.accumulate(odd, initial=0)),
    )


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812-1 annex B for the others."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
