"""What a Payment, or the transactions of the REST list, say of the money (source 000).

Only explicit words count. `PROCESSED` alone says nothing: the transactions do. Where two things
contradict each other, the ending is UNKNOWN with the reason, and whoever asked looks again. The
vendor's pseudo code is the base; it is stricter here, since it knows no contradictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from tillwire.dialects.paymentbridge.wire.objects import Payment, Transaction


class Operation(StrEnum):
    """What was asked for."""

    SALE = "sale"
    PREAUTH = "preauth"
    REFUND = "refund"
    CREDIT = "credit"
    VOID = "void"
    CAPTURE = "capture"


class Ending(StrEnum):
    """What came of it."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it, and why we say so."""

    ending: Ending
    amount: int = 0
    """If APPROVED: minor units that moved or were reserved, tip and cashback included. It may be
    less than what was asked for (approved in part), or more (a tip)."""
    tip: int = 0
    cashback: int = 0
    currency: str = ""
    """Empty if no transaction says it."""
    transactions: tuple[Transaction, ...] = ()
    """Those on which it rests, the last one last; several if it was paid in several ways."""
    reason: str = ""
    """In words, for what is UNKNOWN or CANCELLED."""


_GOOD: Final = {
    Operation.SALE: {"CAPTURED", "AUTHORIZED"},
    Operation.PREAUTH: {"AUTHORIZED"},
    Operation.REFUND: {"REFUNDED"},
    Operation.CREDIT: {"REFUNDED"},
    Operation.VOID: {"VOIDED"},
    Operation.CAPTURE: {"CAPTURED"},
}
_GIVING_BACK: Final = frozenset({Operation.REFUND, Operation.CREDIT})
_CANCELLED: Final = frozenset({"CANCELED", "CANCELLED"})
_AGAINST: Final = _CANCELLED | {"FAILED", "HOLD", "DECLINED", "READ_CARD_ONLY"}
"""Statuses of a Payment that no money can have moved under."""
_DONE: Final = {
    "AUTHORIZED": {Operation.SALE, Operation.PREAUTH},
    "CAPTURED": {Operation.SALE, Operation.CAPTURE},
    "REFUNDED": _GIVING_BACK,
    "VOIDED": {Operation.VOID},
    "COMPLETED": set(Operation),
}
"""Statuses of a Payment that say that something was done, and of what they say it."""


def of_payment(
    payment: Payment, operation: Operation, *, original: str = "", currency: str = ""
) -> Reading:
    """What the final callback says of an operation in `currency`. `original` is the id of the
    transaction that a REFUND, VOID or CAPTURE is about."""
    status = (payment.status or "").strip().upper()
    return _read(payment.transactions, status, operation, original, currency)


def of_transactions(
    found: Sequence[Transaction], operation: Operation, *, original: str = "", currency: str = ""
) -> Reading:
    """What transactions say that were found by their reference, or by their id."""
    return _read(found, "", operation, original, currency)


def _read(
    found: Sequence[Transaction], status: str, operation: Operation, original: str, currency: str
) -> Reading:
    try:
        mine = _own(found, operation, original)
        good = [each for each in mine if _is_good(each, operation)]
        if good:
            return _approved(good, mine, status, operation, currency)
        return _not_approved(mine, status, operation)
    except _Contradiction as contradiction:
        return _unknown(str(contradiction))


class _Contradiction(Exception):
    """What is said cannot all be true."""


def _own(found: Sequence[Transaction], operation: Operation, original: str) -> list[Transaction]:
    """The transactions of this operation, each once. A follow-up's list may hold its original, too,
    whose status may have changed with it."""
    once: dict[str, Transaction] = {}
    nameless: list[Transaction] = []
    for each in found:
        if not each.id:
            nameless.append(each)
        elif once.setdefault(each.id, each) != each:
            raise _Contradiction(f"Transaction {each.id} is told twice, and differently.")
    mine = [*once.values(), *nameless]
    if operation in _GIVING_BACK or operation is Operation.CAPTURE:
        action = "CAPTURE" if operation is Operation.CAPTURE else "REFUND"
        mine = [
            each
            for each in mine
            if (not original or each.id != original) and _word(each.action) in ("", action)
        ]
    elif operation is not Operation.VOID:
        # A capture stands for the authorization whose child it is.
        parents = {each.parent_id for each in mine if _word(each.action) == "CAPTURE"}
        mine = [each for each in mine if not each.id or each.id not in parents]
    return mine


def _is_good(each: Transaction, operation: Operation) -> bool:
    """Whether it did what was asked for. Raises `_Contradiction`."""
    status = _word(each.status)
    voiding = operation is Operation.VOID
    if status not in _GOOD[operation]:
        if each.voided and voiding and status != "DECLINED":
            raise _Contradiction(f"A transaction is voided, and {status or 'of no status'}.")
        return False
    if voiding:
        if each.voided is False:
            raise _Contradiction("A transaction is VOIDED, and not voided.")
        return True
    if each.voided or each.action_void:
        raise _Contradiction(f"A transaction is {status}, and voided.")
    response = each.processor_response
    if response is not None and _word(response.status).startswith("FAIL"):
        raise _Contradiction(f"A transaction is {status}, and its host says failure.")
    if status == "AUTHORIZED":
        reserved = operation is Operation.PREAUTH
        if each.auth_only is not None and each.auth_only is not reserved:
            raise _Contradiction("A reservation was asked for, or it is one; not both.")
    if operation in (Operation.SALE, Operation.PREAUTH) and _word(each.action) in _NO_SALE:
        raise _Contradiction(f"A transaction is {status}, and its action is {each.action}.")
    return True


_NO_SALE: Final = frozenset({"REFUND", "VOID", "VERIFY"})


def _approved(
    good: list[Transaction],
    mine: list[Transaction],
    status: str,
    operation: Operation,
    currency: str,
) -> Reading:
    if status in _AGAINST or operation not in _DONE.get(status, {operation}):
        raise _Contradiction(f"The payment is {status}, and a transaction {good[-1].status}.")
    rest = {_word(each.status) for each in mine if each not in good}
    if operation is not Operation.VOID and not rest <= {"DECLINED", "VOIDED"}:
        raise _Contradiction(f"Beside what was done, there is what is {', '.join(sorted(rest))}.")
    currencies = {each.amounts.currency for each in good if each.amounts} - {None}
    if len(currencies | ({currency} if currency else set())) > 1:
        raise _Contradiction("It is in another currency.")
    amount = sum(_moved(each) for each in good)
    if not amount:
        raise _Contradiction("It is approved over nothing.")
    return Reading(
        ending=Ending.APPROVED,
        amount=amount,
        tip=sum((each.amounts.tip_amount or 0) for each in good if each.amounts),
        cashback=sum((each.amounts.cashback_amount or 0) for each in good if each.amounts),
        currency=next((each for each in currencies if each), ""),
        transactions=tuple(good),
    )


def _moved(each: Transaction) -> int:
    """Minor units of one transaction. What the host approved counts where it is less, unless the
    amounts were changed afterwards."""
    total = each.amounts.transaction_amount if each.amounts else None
    if total is None:
        raise _Contradiction("A transaction has no amount.")
    response = each.processor_response
    approved = response.approved_amount if response is not None else None
    changed = each.adjusted or each.amounts_adjusted
    if not approved or changed or approved == total:
        return total
    if approved > total:
        raise _Contradiction("The host approved more than the transaction is over.")
    return approved


def _not_approved(mine: list[Transaction], status: str, operation: Operation) -> Reading:
    said = {_word(each.status) for each in mine}
    if operation is Operation.VOID and status in _CANCELLED and "DECLINED" not in said:
        # What was not voided is listed as it is.
        return _cancelled("It was cancelled on the terminal.")
    if not said <= {"DECLINED", "VOIDED"}:
        raise _Contradiction(f"A transaction is {', '.join(sorted(each or '?' for each in said))}.")
    if status in _DONE and "DECLINED" in said:
        raise _Contradiction(f"The payment is {status}, and its transactions are declined.")
    if "DECLINED" in said:
        declined = tuple(each for each in mine if _word(each.status) == "DECLINED")
        return Reading(ending=Ending.DECLINED, transactions=declined)
    if said and operation is not Operation.VOID:
        if status in _DONE and status != "VOIDED":
            raise _Contradiction(f"The payment is {status}, and its transactions are voided.")
        return _cancelled("It was voided.", mine)
    if status == "DECLINED":
        return Reading(ending=Ending.DECLINED)
    if status in _CANCELLED:
        return _cancelled("It was cancelled on the terminal.")
    return _unknown(f"The payment is {status}, without a transaction." if status else "")


def _cancelled(reason: str, mine: Sequence[Transaction] = ()) -> Reading:
    return Reading(ending=Ending.CANCELLED, transactions=tuple(mine), reason=reason)


def _unknown(reason: str) -> Reading:
    return Reading(ending=Ending.UNKNOWN, reason=reason or "There is no transaction.")


def _word(text: str | None) -> str:
    return (text or "").strip().upper()
