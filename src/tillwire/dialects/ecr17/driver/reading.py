"""What a terminal's result says of the money: explicit success, explicit failure, or nothing
definite.

Pure functions. Only `00` is an approval, and only of the amount that was asked for where the result
tells one; only `01`, `05` and `09` are refusals. Whatever else a terminal writes, nobody knows.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from tillwire.clock import Instant, instant, utc
from tillwire.core.model import (
    Cause,
    Conversion,
    EntryMode,
    Outcome,
    Receipts,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.core.moves import check_outcome
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.driver.orders import CURRENCY, HANDLE_CODE, HANDLE_STAN
from tillwire.dialects.ecr17.wire import (
    ANY_TID,
    CaptureResult,
    CardType,
    DccCaptureResult,
    DccPaymentResult,
    HostTime,
    IncrementResult,
    PaymentResult,
    PreauthorisationResult,
    RefundResult,
    Result,
    ResultCode,
    ReversalResult,
    UnassignedResult,
)
from tillwire.errors import AnswerLost, RemoteProtocolError
from tillwire.money import CURRENCIES, Money

MoneyResult = (
    PaymentResult
    | DccPaymentResult
    | PreauthorisationResult
    | IncrementResult
    | CaptureResult
    | DccCaptureResult
    | ReversalResult
    | RefundResult
)
"""A result of a command that moves money."""

_ANSWERS: Final[dict[str, tuple[type[MoneyResult], ...]]] = {
    "X": (PaymentResult, DccPaymentResult),
    "p": (PreauthorisationResult,),
    "i": (IncrementResult,),
    "c": (CaptureResult, DccCaptureResult),
    "S": (ReversalResult,),
    "A": (RefundResult,),
}
"""What answers each command."""
_KINDS: Final = {
    "X": TransactionType.PURCHASE,
    "p": TransactionType.PREAUTH,
    "i": TransactionType.INCREMENT,
    "c": TransactionType.CAPTURE,
    "S": TransactionType.REVERSAL,
    "A": TransactionType.REFUND,
}
TELL_AMOUNT: Final = (PaymentResult, DccPaymentResult, PreauthorisationResult)
_REFUSALS: Final = {
    ResultCode.KO: "The terminal refused it.",
    ResultCode.NO_CARD: "The card is not in the terminal.",
    ResultCode.UNKNOWN_TAG: "The host answered with a tag that the terminal does not know.",
}
_CANCELLED: Final = frozenset({"cancelled", "canceled"})
"""What a SmartPOS writes when the customer gives up."""
_ENTRY_MODES: Final = {
    wire.TransactionType.CHIP: EntryMode.CHIP,
    wire.TransactionType.SWIPED: EntryMode.SWIPE,
    wire.TransactionType.KEYED: EntryMode.MANUAL,
    wire.TransactionType.CONTACTLESS_STRIPE: EntryMode.CONTACTLESS,
    wire.TransactionType.CONTACTLESS_CHIP: EntryMode.CONTACTLESS,
}
_BANCOMAT: Final = "PagoBANCOMAT"
"""The one brand that a card type names."""
_MERCHANTS: Final = re.compile(r"ESERCENTE|MERCHANT|NEGOZIO", re.IGNORECASE)
_CUSTOMERS: Final = re.compile(r"CLIENTE|CUSTOMER|CARDHOLDER|TITOLARE", re.IGNORECASE)


def money_result(result: Result, code: str, tid: str) -> MoneyResult:
    """The result, if it can be that of a command with this code at the terminal of this id. Raises
    `AnswerLost`."""
    if tid != ANY_TID and result.tid != tid:
        raise AnswerLost(f"A result of the terminal {result.tid} came, not of {tid}.")
    for kind in _ANSWERS[code]:
        if isinstance(result, kind):
            return result
    raise AnswerLost(f"A {type(result).__name__} came, which is no answer to {code}.")


def outcome_of(result: MoneyResult, transaction: Transaction) -> Outcome:
    """How it ended. Raises `AnswerLost` when the result says nothing definite."""
    if not result.approved:
        return _refusal(result, transaction)
    asked = transaction.amount
    told = amount_told(result)
    exact = transaction.type is not TransactionType.PREAUTH
    if told is not None and exact and told != asked.minor:
        raise AnswerLost(f"It approved {Money(told, CURRENCY)}, and was asked for {asked}.")
    approved = asked.minor if told is None else told
    outcome = msgspec.structs.replace(described(result, transaction), approved_amount=approved)
    try:
        check_outcome(transaction, outcome)
    except RemoteProtocolError as error:
        raise AnswerLost(str(error)) from error
    return outcome


def amount_told(result: wire.Result) -> int | None:
    """The cents that it tells of; None where it tells none."""
    return result.amount if isinstance(result, TELL_AMOUNT) else None


def _refusal(result: MoneyResult, transaction: Transaction) -> Outcome:
    return refused(described(result, transaction), result)


def refused(outcome: Outcome, result: MoneyResult | UnassignedResult) -> Outcome:
    """The outcome, as the refusal that the result is. Raises `AnswerLost` when it is none."""
    if result.result not in _REFUSALS:
        raise AnswerLost(f"Its result is {result.result}, which nobody knows.")
    words = result.error_text
    gave_up = result.result == ResultCode.KO and words.casefold() in _CANCELLED
    return msgspec.structs.replace(
        outcome,
        verdict=Verdict.CANCELLED if gave_up else Verdict.DECLINED,
        cause=Cause.CARDHOLDER if gave_up else None,
        reason=words or _REFUSALS[ResultCode(result.result)],
    )


def kind_of(result: wire.Result) -> TransactionType | None:
    """What was done, where a result tells."""
    for code, answers in _ANSWERS.items():
        if isinstance(result, answers):
            return _KINDS[code]
    return None


# --- what is told beside the amount -----------------------------------------------------------


def described(result: MoneyResult, transaction: Transaction | None) -> Outcome:
    """An approval of nothing, with all that the result tells. The transaction says in which year
    and time zone it was."""
    stan = "" if isinstance(result, RefundResult) else result.stan
    handle = {HANDLE_STAN: stan} if stan else {}
    if isinstance(result, PreauthorisationResult) and result.preauthorisation_code:
        handle[HANDLE_CODE] = result.preauthorisation_code
    action = getattr(result, "action_code", "")
    if action.strip("0"):
        handle["action_code"] = action
    if handle:
        handle["tid"] = result.tid
    return Outcome(
        Verdict.APPROVED,
        at=None if transaction is None else moment(result.host_time, transaction),
        authorisation_code=result.authorisation_code,
        stan=stan,
        brand=_brand(result),
        card_last4=result.last_four,
        acquirer_reference=getattr(result, "online_id", ""),
        entry_mode=_entry_mode(result),
        conversion=_conversion(result),
        handle=handle,
    )


def _brand(result: MoneyResult) -> str:
    card_type = getattr(result, "card_type", "")
    return _BANCOMAT if card_type == CardType.BANCOMAT else ""


def _entry_mode(result: MoneyResult) -> EntryMode | None:
    for known, mode in _ENTRY_MODES.items():
        if result.transaction_type == known:
            return mode
    return None


def _conversion(result: MoneyResult) -> Conversion | None:
    if not isinstance(result, DccPaymentResult | DccCaptureResult) or not result.converted:
        return None
    currency = CURRENCIES.get(result.currency)
    if currency is None or result.rate is None or result.converted_amount is None:
        return None
    if result.decimals != currency.exponent:
        return None
    return Conversion(Money(result.converted_amount, currency.code), f"{result.rate.normalize():f}")


def receipts_of(tickets: list[str]) -> Receipts | None:
    """Whose receipts these are: by what is written on them, else the first is the customer's. One
    that has both copies is both's."""
    if not tickets:
        return None
    merchants = [each for each in tickets if _MERCHANTS.search(_headlines(each))]
    others = [each for each in tickets if each not in merchants]
    customers = [each for each in others if _CUSTOMERS.search(_headlines(each))]
    joint = [each for each in merchants if _CUSTOMERS.search(_headlines(each))]
    customer = (customers or others or joint or [""])[0]
    if customer in others:
        others.remove(customer)
    merchant = (merchants or others or [""])[0]
    return Receipts(cardholder=_text(customer), merchant=_text(merchant))


def _headlines(ticket: str) -> str:
    return " ".join(line for line in ticket.split("\n") if "COPI" in line.upper() or "COPY" in line)


def _text(ticket: str) -> str:
    return ticket + "\n" if ticket else ""


# --- the host's clock -------------------------------------------------------------------------


def moment(told: HostTime | None, transaction: Transaction) -> Instant | None:
    """When that was, in the year that brings it nearest to the transaction; None for nothing."""
    found = _moments(told, transaction)
    near = transaction.sent_at or transaction.created_at
    return min(found, key=lambda each: abs(each - near), default=None)


def _moments(told: HostTime | None, transaction: Transaction) -> list[Instant]:
    """All that it can mean: this year, the one before or behind, and either of an hour that a clock
    shows twice. The host's clock is taken to be in the store's zone."""
    if told is None:
        return []
    zone = ZoneInfo(transaction.heading.time_zone)
    year = utc(transaction.sent_at or transaction.created_at).year
    found: list[Instant] = []
    for each in (year - 1, year, year + 1):
        day = datetime(each, 1, 1, told.hour, told.minute) + timedelta(days=told.day - 1)  # noqa: DTZ001
        if day.year == each:
            found += (instant(day.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    return found


def is_within(
    told: HostTime | None, transaction: Transaction, now: Instant, clock_minutes: int
) -> bool:
    """Whether it was between the transaction's dispatch and now, as far as the host's clock, which
    tells no seconds and may differ by some minutes, can say."""
    begin = transaction.sent_at or transaction.created_at
    slack = (clock_minutes + 1) * 60_000
    return any(begin - slack <= each <= now + slack for each in _moments(told, transaction))
