"""What a receipt says, laid out for printers of 24, 30 and 40 columns.

Pure functions from what is known of a transaction to plain text with `\\n` line ends. The content
is what the card schemes want on a receipt: whose it is and where, terminal, date and time in the
store's zone, brand, masked card, AID, how the card was read, STAN, authorisation code, amount and
result. Goods, prices and taxes are the till's to add (source 004, "Receipt note").

A terminal that writes its own receipts is believed: its text is handed on unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Final

from tillwire.clock import Instant, local
from tillwire.core.columns import centred, pair, wrapped
from tillwire.core.model import (
    Conversion,
    Evidence,
    Heading,
    Outcome,
    Receipts,
    State,
    Transaction,
    TransactionType,
    Verdict,
    Verification,
)
from tillwire.money import Money

WIDTHS: Final = (24, 30, 40)
"""Columns of the receipt printers in use."""

_TYPES: Final = {
    TransactionType.PURCHASE: "SALE",
    TransactionType.REFUND: "REFUND",
    TransactionType.REVERSAL: "REVERSAL",
    TransactionType.PREAUTH: "PRE-AUTHORISATION",
    TransactionType.INCREMENT: "PRE-AUTH. CHANGE",
    TransactionType.CAPTURE: "CAPTURE",
    TransactionType.CASH_ADVANCE: "CASH ADVANCE",
}
_VERIFICATIONS: Final = {
    Verification.NONE: "No verification",
    Verification.PIN: "PIN verified",
    Verification.SIGNATURE: "Signature",
    Verification.DEVICE: "Verified by device",
}
_MONEY_IN: Final = frozenset(
    {TransactionType.PURCHASE, TransactionType.CAPTURE, TransactionType.CASH_ADVANCE}
)
_MONEY_HELD: Final = frozenset({TransactionType.PREAUTH, TransactionType.INCREMENT})
"""Types that reserve money on the card and move none."""
_NONE: Final = Receipts()
_REMEMBERED: Final = 1024
"""Headings, and seconds, of which is kept how they read."""


# --- the slips of one transaction -------------------------------------------------------------


def cardholder_receipt(transaction: Transaction, width: int = 24) -> str:
    """The cardholder's copy; empty when no receipt applies because no terminal processed it."""
    return both_receipts(transaction, width).cardholder


def merchant_receipt(transaction: Transaction, width: int = 24) -> str:
    """The merchant's copy, with the line for the signature if the cardholder has to sign; empty
    when no receipt applies because no terminal processed it."""
    return both_receipts(transaction, width).merchant


def both_receipts(transaction: Transaction, width: int = 24) -> Receipts:
    """The cardholder's copy and the merchant's. What they share is laid out once."""
    assert width in WIDTHS, f"no receipt is {width} columns wide"
    outcome = transaction.outcome
    if outcome is None:
        return _NONE
    own = outcome.receipts or _NONE
    if own.cardholder and own.merchant:
        return own
    above = _above_signature(transaction, outcome, width)
    signature, trace = _signature_lines(outcome, width), _trace_lines(transaction, width)
    cardholder = _text([trace, centred("CARDHOLDER COPY", width)])
    merchant = _text([signature, trace, centred("MERCHANT COPY", width)])
    return Receipts(
        own.cardholder or f"{above}\n{cardholder}", own.merchant or f"{above}\n{merchant}"
    )


def _above_signature(transaction: Transaction, outcome: Outcome, width: int) -> str:
    at = outcome.at or transaction.ended_at or transaction.created_at
    return _text(
        [
            _store_lines(transaction.heading, width),
            [*_terminal_lines(transaction.heading, width), *_moment_lines(transaction, at, width)],
            centred(_TYPES[transaction.type], width),
            _card_lines(outcome, width),
            _amount_lines(transaction, outcome, width),
            _conversion_lines(transaction, outcome, width),
            _result_lines(outcome, width),
        ]
    )


def _text(sections: Sequence[Sequence[str]]) -> str:
    """The sections with a blank line between them, and an end of line after the last one."""
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


@lru_cache(_REMEMBERED)
def _store_lines(heading: Heading, width: int) -> tuple[str, ...]:
    place = f"{heading.zip_code} {heading.city} {heading.country}"
    texts = (heading.store, heading.address, place)
    return tuple(line for text in texts for line in centred(text, width))


@lru_cache(_REMEMBERED)
def _terminal_lines(heading: Heading, width: int) -> tuple[str, ...]:
    return (*pair("Terminal", heading.terminal, width), *pair("TID", heading.tid, width))


def _moment_lines(transaction: Transaction, at: Instant, width: int) -> list[str]:
    date, time = _date_and_time(at // 1000, transaction.heading.time_zone)
    return [*pair("Date", date, width), *pair("Time", time, width)]


@lru_cache(_REMEMBERED)
def _date_and_time(second: int, time_zone: str) -> tuple[str, str]:
    moment = local(Instant(second * 1000), time_zone)
    return f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S %Z}"


def _card_lines(outcome: Outcome, width: int) -> list[str]:
    masked = f"************{outcome.card_last4}" if outcome.card_last4 else ""
    entry = outcome.entry_mode.value if outcome.entry_mode else ""
    return [
        *pair("Brand", outcome.brand.replace("_", " "), width),
        *pair("Card", masked, width),
        *pair("AID", outcome.application_id, width),
        *pair("Entry", entry, width),
    ]


def _amount_lines(transaction: Transaction, outcome: Outcome, width: int) -> list[str]:
    def line(label: str, minor: int) -> tuple[str, ...]:
        return pair(label, _amount(Money(minor, transaction.amount.currency)), width)

    asked, terms = transaction.amount.minor, transaction.terms
    if outcome.verdict is not Verdict.APPROVED:
        return list(line("Amount", asked))
    lines: list[str] = []
    if _is_part(transaction, outcome):
        lines += line("Requested", asked)
        lines += line("Approved part", outcome.approved_amount - outcome.tip)
        shown = {"Tip": outcome.tip}
    else:
        shown = {"Cash-back": terms.cash_back, "Tip": outcome.tip + terms.tip}
        if any(shown.values()):
            lines += line("Amount", outcome.approved_amount - sum(shown.values()))
    for label, minor in shown.items():
        lines += line(label, minor) if minor else ()
    return [*lines, *line("TOTAL", outcome.approved_amount)]


def _is_part(transaction: Transaction, outcome: Outcome) -> bool:
    """Whether less was approved than asked for. A tip that was agreed at the till is in what was
    asked for; the outcome's came on top."""
    return 0 <= outcome.approved_amount - outcome.tip < transaction.amount.minor


def _conversion_lines(transaction: Transaction, outcome: Outcome, width: int) -> list[str]:
    """The block that the schemes want when the cardholder paid in another currency (DCC)."""
    conversion = outcome.conversion
    if conversion is None:
        return []
    theirs, ours = conversion.amount.currency, transaction.amount.currency
    return [
        *centred("CURRENCY CONVERSION", width),
        *pair("Charged", _amount(conversion.amount), width),
        *pair("Rate", f"1 {ours} = {conversion.rate} {theirs}", width),
        *_markup_line(conversion, width),
        *wrapped(
            f"I was offered to pay in {ours} and chose to pay in {theirs}. My choice is final.",
            width,
        ),
    ]


def _markup_line(conversion: Conversion, width: int) -> tuple[str, ...]:
    return pair("Markup", f"{conversion.markup} %" if conversion.markup else "", width)


def _result_lines(outcome: Outcome, width: int) -> list[str]:
    approved = outcome.verdict is Verdict.APPROVED
    lines = centred(outcome.verdict.value, width)
    lines += centred(outcome.reason, width)
    if outcome.evidence is Evidence.PERSON:
        lines += centred("Recorded by hand", width)
    if approved and outcome.verification is not None:
        lines += centred(_VERIFICATIONS[outcome.verification], width)
    return [
        *lines,
        *pair("Response", outcome.response_code, width),
        *pair("Auth. code", outcome.authorisation_code, width),
        *pair("STAN", outcome.stan, width),
        *pair("Acquirer ref.", outcome.acquirer_reference, width),
    ]


def _signature_lines(outcome: Outcome, width: int) -> list[str]:
    if outcome.verdict is not Verdict.APPROVED:
        return []
    if outcome.verification is not Verification.SIGNATURE:
        return []
    return [*wrapped("Cardholder's signature:", width), "", "", "_" * width]


def _trace_lines(transaction: Transaction, width: int) -> list[str]:
    return [
        *pair("Reference", transaction.reference, width),
        *pair("Transaction", transaction.id, width),
        *pair("Original", transaction.original_id or "", width),
    ]


def _amount(money: Money) -> str:
    return f"{money.currency} {money.decimal()}"


# --- the totals of a day ----------------------------------------------------------------------


def day_totals(
    heading: Heading,
    day: date,
    transactions: Sequence[Transaction],
    printed_at: Instant,
    width: int = 24,
) -> str:
    """The terminal's totals of `day`, the store's calendar day, in which these transactions ended.

    Refunds and reversals count as negative; a reversal of a refund that is among them as
    positive, and one of a pre-authorisation as nothing. What is only reserved on a card is shown
    beneath the net total, apart from it.
    """
    assert width in WIDTHS, f"no receipt is {width} columns wide"
    moment = local(printed_at, heading.time_zone)
    approved = [each for each in transactions if each.state is State.APPROVED]
    signs = _signs(approved)
    currencies = sorted({each.amount.currency for each in approved})
    sections = [
        _store_lines(heading, width),
        centred("DAY TOTALS", width),
        [
            *_terminal_lines(heading, width),
            *pair("Date", f"{day:%Y-%m-%d}", width),
            *pair("Printed", f"{moment:%Y-%m-%d %H:%M}", width),
        ],
    ]
    for code in currencies:
        moved = [each for each in approved if each.amount.currency == code]
        sections += _currency_sections(code, moved, signs, width)
    if not currencies:
        sections.append(centred("NOTHING APPROVED", width))
    sections.append(_other_ends(transactions, len(approved), width))
    sections.append(centred("END OF DAY TOTALS", width))
    return _text(sections)


def _currency_sections(
    code: str, approved: Sequence[Transaction], signs: dict[str, int], width: int
) -> list[list[str]]:
    """One section for each type of transaction, and one for the net total in between."""

    def sections(types: Iterator[TransactionType]) -> list[list[str]]:
        found = ((each, [tx for tx in approved if tx.type is each]) for each in types)
        return [_type_lines(each, code, group, signs, width) for each, group in found if group]

    def total(group: Sequence[Transaction]) -> int:
        return sum(signs[each.id] * each.approved_amount for each in group)

    net = [each for each in approved if each.type not in _MONEY_HELD]
    tips = sum(_tip(each) for each in net if each.type in _MONEY_IN)
    summary = [*pair(f"NET TOTAL {code}", Money(total(net), code).decimal(), width)]
    if tips:
        summary += pair("of it tips", Money(tips, code).decimal(), width)
    held = sections(each for each in TransactionType if each in _MONEY_HELD)
    if held:
        held[0] = [*centred("RESERVED, NOT IN TOTAL", width), *held[0]]
    return [*sections(each for each in TransactionType if each not in _MONEY_HELD), summary, *held]


def _tip(transaction: Transaction) -> int:
    """Minor units that were paid as a tip; of a part, only what was added on the terminal."""
    outcome = transaction.outcome
    if outcome is None:
        return 0
    return outcome.tip + (0 if _is_part(transaction, outcome) else transaction.terms.tip)


def _type_lines(
    type_: TransactionType,
    code: str,
    group: Sequence[Transaction],
    signs: dict[str, int],
    width: int,
) -> list[str]:
    """Counts and sums of one type in one currency, by brand."""

    def line(label: str, chosen: Sequence[Transaction]) -> tuple[str, ...]:
        minor = sum(signs[each.id] * each.approved_amount for each in chosen)
        return pair(f"{len(chosen)} {label}", Money(minor, code).decimal(), width)

    brands: dict[str, list[Transaction]] = {}
    for each in group:
        brand = each.outcome.brand.replace("_", " ") if each.outcome else ""
        brands.setdefault(brand or "OTHER", []).append(each)
    lines = [*wrapped(f"{_TYPES[type_]} {code}", width)]
    for brand in sorted(brands):
        lines += line(brand, brands[brand])
    return [*lines, *line("TOTAL", group)]


def _signs(approved: Sequence[Transaction]) -> dict[str, int]:
    """By transaction id: whether its amount came in (1), went out (-1), or did not move (0, only
    for a reversal; what is held counts as 1 in its own section)."""
    types = {each.id: each.type for each in approved}

    def sign(transaction: Transaction) -> int:
        if transaction.type in _MONEY_IN or transaction.type in _MONEY_HELD:
            return 1
        if transaction.type is TransactionType.REFUND:
            return -1
        # A reversal undoes its original; one that is not of today was almost surely a sale.
        reversed_type = types.get(transaction.original_id or "", TransactionType.PURCHASE)
        if reversed_type in _MONEY_HELD:
            return 0
        return 1 if reversed_type is TransactionType.REFUND else -1

    return {each.id: sign(each) for each in approved}


def _other_ends(transactions: Sequence[Transaction], approved: int, width: int) -> list[str]:
    """How many ended how; what has not ended is named, since it may still move money."""
    states = [each.state for each in transactions]
    lines = [*pair("Approved", str(approved), width)]
    for label, state in (("Declined", State.DECLINED), ("Cancelled", State.CANCELLED)):
        lines += pair(label, str(states.count(state)), width)
    if State.FAILED in states:
        lines += pair("Not delivered", str(states.count(State.FAILED)), width)
    still_open = sum(1 for each in transactions if not each.is_final)
    if still_open:
        lines += pair("STILL OPEN", str(still_open), width)
    return lines
