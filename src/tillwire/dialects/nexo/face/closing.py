"""GetTotals and Reconciliation: what a terminal's transactions come to, and the end of a period.

The periods are the journal's (`core/closings.py`): every transaction counts in exactly one, the one
in which the journal learned how it ended, whichever face it came through. What the acquirer makes
of it is the terminal's knowledge, and asked of it with `Count`.

**A crash between closing and answering.** The message is remembered before its handler runs and its
answer after it. In between the period may be closed without an answer, so the same message again
must never be led here, and a new Reconciliation closes the period that began since, most likely an
empty one. Nothing is counted twice or lost: PreviousReconciliation repeats what was closed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

import msgspec

from tillwire.core.errands import Count, Counted
from tillwire.core.totals import Closing, TotalsKind, TotalsRow
from tillwire.dialects.nexo.face import refusals
from tillwire.dialects.nexo.face.answers import SUCCESS, major
from tillwire.dialects.nexo.face.context import Malformed, Refused, Visit
from tillwire.dialects.nexo.face.diagnosis import ACQUIRER
from tillwire.dialects.nexo.wire.fields import LONGEST_LIST
from tillwire.dialects.nexo.wire.services import (
    GetTotalsRequest,
    GetTotalsResponse,
    ReconciliationRequest,
    ReconciliationResponse,
    TotalFilter,
)
from tillwire.dialects.nexo.wire.shared import PaymentTotals, Response, TransactionTotals
from tillwire.dialects.nexo.wire.values import (
    ErrorCondition,
    PaymentInstrumentType,
    ReconciliationType,
    Result,
    TotalDetails,
    TransactionType,
)
from tillwire.errors import RemoteProtocolError, TillwireError
from tillwire.money import CURRENCIES, Money

_TYPES: Final = {
    TotalsKind.DEBIT: TransactionType.DEBIT,
    TotalsKind.CREDIT: TransactionType.CREDIT,
    TotalsKind.REVERSE_DEBIT: TransactionType.REVERSE_DEBIT,
    TotalsKind.REVERSE_CREDIT: TransactionType.REVERSE_CREDIT,
    TotalsKind.RESERVED: TransactionType.FIRST_RESERVATION,
    TotalsKind.RESERVED_CHANGE: TransactionType.UPDATE_RESERVATION,
    TotalsKind.COMPLETED: TransactionType.COMPLETED_RESERVATION,
    TotalsKind.CASH_ADVANCE: TransactionType.CASH_ADVANCE,
    TotalsKind.DECLINED: TransactionType.DECLINED,
    TotalsKind.FAILED: TransactionType.FAILED,
}
"""How the protocol calls what a transaction did; their order is that of a row's PaymentTotals."""
_NO_MONEY: Final = frozenset({TotalsKind.DECLINED, TotalsKind.FAILED})
_MOST_DIFFERENCES: Final = 5

_TOTALS: Final = "GetTotalsRequest"
_RECONCILIATION: Final = "ReconciliationRequest"


# --- totals -----------------------------------------------------------------------------------


class Totals(NamedTuple):
    """Rows as the protocol has them."""

    rows: tuple[TransactionTotals, ...]
    words: str = ""
    """What the rows cannot say."""


def totals_of(
    rows: Iterable[TotalsRow],
    poi_id: str,
    details: Collection[str] = (),
    *,
    error: str | None = None,
    host_period: str = "",
) -> Totals:
    """The rows by brand and currency, and broken down by `details` (TotalDetails). Each is told
    with the condition of an acquirer that failed, and its own name of the period, if given.

    The protocol has no name for the reversal of a reservation: it is told as what it does, an
    UpdateReservation that lowers what is reserved. A negative amount, which only an
    UpdateReservation has, cannot be written: 0 is, and words say how much it is.
    """
    groups: dict[tuple[str, ...], dict[TotalsKind, tuple[int, int]]] = defaultdict(dict)
    for row in map(_as_told, rows):
        key = _key(row, details)
        count, amount = groups[key].get(row.kind, (0, 0))
        groups[key][row.kind] = (count + row.count, amount + row.amount)
    told = []
    words = []
    for key in sorted(groups):
        brand, currency, register, operator, shift, totals_group = key
        found = {kind: sums for kind, sums in groups[key].items() if any(sums)}
        if not found:
            continue
        told.append(
            TransactionTotals(
                payment_instrument_type=PaymentInstrumentType.CARD.value,
                error_condition=error,
                host_reconciliation_id=host_period or None,
                card_brand=brand or None,
                poi_id=poi_id if TotalDetails.POI_ID in details else None,
                sale_id=register or None,
                operator_id=operator or None,
                shift_number=shift or None,
                totals_group_id=totals_group or None,
                payment_currency=currency,
                payment_totals=tuple(
                    _payment_totals(kind, *found[kind], currency)
                    for kind in _TYPES
                    if kind in found
                ),
            )
        )
        words += [
            f"{_TYPES[kind]} {brand}".rstrip() + f" is {Money(amount, currency)}."
            for kind, (_, amount) in found.items()
            if amount < 0
        ]
    return Totals(tuple(told), " ".join(words))


def _as_told(row: TotalsRow) -> TotalsRow:
    if row.kind is not TotalsKind.REVERSE_RESERVED:
        return row
    return msgspec.structs.replace(row, kind=TotalsKind.RESERVED_CHANGE, amount=-row.amount)


def _key(row: TotalsRow, details: Collection[str]) -> tuple[str, ...]:
    return (
        row.brand,
        row.currency,
        row.register if TotalDetails.SALE_ID in details else "",
        row.operator if TotalDetails.OPERATOR_ID in details else "",
        row.shift if TotalDetails.SHIFT_NUMBER in details else "",
        row.totals_group if TotalDetails.TOTALS_GROUP_ID in details else "",
    )


def _payment_totals(kind: TotalsKind, count: int, amount: int, currency: str) -> PaymentTotals:
    return PaymentTotals(
        transaction_type=_TYPES[kind].value,
        transaction_count=count,
        transaction_amount=major(Money(max(amount, 0), currency)),
    )


async def get_totals(visit: Visit) -> GetTotalsResponse:
    """What the terminal's open period comes to so far. Raises `Refused`, `JournalError`."""
    body = visit.body
    assert isinstance(body, GetTotalsRequest)
    for index, detail in enumerate(body.total_details):
        if detail not in TotalDetails.__members__.values():
            problem = f"{detail[:40]!r} is unknown"
            raise Malformed(_TOTALS, f"TotalDetails[{index}]", problem, ", ".join(TotalDetails))
    known = await visit.context.engine.open_totals(visit.terminal.id)
    wanted = _filtered(known.rows, visit.header.poi_id, body.total_filter)
    totals = totals_of(wanted, visit.header.poi_id, body.total_details)
    if len(totals.rows) > LONGEST_LIST:
        raise Refused(
            ErrorCondition.NOT_ALLOWED,
            f"There are more than {LONGEST_LIST} rows. Break down by less, or use a TotalFilter.",
        )
    return GetTotalsResponse(
        response=_success(totals.words),
        poi_reconciliation_id=str(known.number),
        transaction_totals=totals.rows,
    )


def _filtered(
    rows: Iterable[TotalsRow], poi_id: str, wanted: TotalFilter | None
) -> list[TotalsRow]:
    """Those that fit all that the filter names."""
    if wanted is None:
        return list(rows)
    return [
        row
        for row in rows
        if all(
            asked is None or asked == given
            for asked, given in (
                (wanted.poi_id, poi_id),
                (wanted.sale_id, row.register),
                (wanted.operator_id, row.operator),
                (wanted.shift_number, row.shift),
                (wanted.totals_group_id, row.totals_group),
            )
        )
    ]


def _success(words: str = "") -> Response:
    return msgspec.structs.replace(SUCCESS, additional_response=words or None)


# --- reconciliation -----------------------------------------------------------------------------


async def reconciliation(visit: Visit) -> ReconciliationResponse:
    """Close the terminal's period, have the acquirer's closed, or tell of one that was closed.

    Raises `Refused`, `JournalError`, and whatever `Count` comes to for an AcquirerReconciliation.
    """
    body = visit.body
    assert isinstance(body, ReconciliationRequest)
    kind = body.reconciliation_type
    _check(body)
    if kind == ReconciliationType.PREVIOUS_RECONCILIATION:
        return await _previous(visit, body)
    if visit.login.training:
        return await _rehearsed(visit, body)
    if kind == ReconciliationType.SALE_RECONCILIATION:
        return await _closed(visit, kind)
    if kind == ReconciliationType.ACQUIRER_SYNCHRONISATION:
        return await _synchronised(visit)
    counted = await _counted(visit)
    totals = totals_of(counted.rows, visit.header.poi_id, host_period=counted.period)
    return ReconciliationResponse(
        response=_success(totals.words),
        reconciliation_type=kind,
        transaction_totals=totals.rows,
    )


def _check(body: ReconciliationRequest) -> None:
    kind = body.reconciliation_type
    if kind not in ReconciliationType.__members__.values():
        problem, allowed = f"{kind[:40]!r} is unknown", ", ".join(ReconciliationType)
        raise Malformed(_RECONCILIATION, "ReconciliationType", problem, allowed)
    with_acquirer = (
        ReconciliationType.ACQUIRER_SYNCHRONISATION,
        ReconciliationType.ACQUIRER_RECONCILIATION,
    )
    if body.acquirer_id and kind not in with_acquirer:
        allowed = "only with " + " and ".join(with_acquirer)
        raise Malformed(_RECONCILIATION, "AcquirerID", f"A {kind} has none", allowed)
    previous = ReconciliationType.PREVIOUS_RECONCILIATION
    if body.poi_reconciliation_id and kind != previous:
        problem = f"A {kind} has none"
        raise Malformed(_RECONCILIATION, "POIReconciliationID", problem, f"only with {previous}")


async def _previous(visit: Visit, body: ReconciliationRequest) -> ReconciliationResponse:
    engine, terminal = visit.context.engine, visit.terminal
    named = body.poi_reconciliation_id
    number = _number(named) if named else (await engine.open_totals(terminal.id)).number - 1
    closing = await engine.closing(terminal.id, number) if number else None
    if closing is None:
        missing = f"no reconciliation {named[:40]!r}" if named else "no reconciliation yet"
        raise Refused(ErrorCondition.NOT_FOUND, f"There is {missing} at this terminal.")
    totals = totals_of(closing.rows, visit.header.poi_id)
    return ReconciliationResponse(
        response=_success(totals.words),
        reconciliation_type=body.reconciliation_type,
        poi_reconciliation_id=str(closing.number),
        transaction_totals=totals.rows,
    )


def _number(text: str) -> int:
    """The number of a period; 0 for what names none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else 0


async def _rehearsed(visit: Visit, body: ReconciliationRequest) -> ReconciliationResponse:
    """In training nothing is closed, and nothing was paid."""
    known = await visit.context.engine.open_totals(visit.terminal.id)
    ours = body.reconciliation_type != ReconciliationType.ACQUIRER_RECONCILIATION
    return ReconciliationResponse(
        response=_success("TRAINING: nothing was closed."),
        reconciliation_type=body.reconciliation_type,
        poi_reconciliation_id=str(known.number) if ours else None,
    )


async def _close(visit: Visit) -> Closing:
    """Close the period. From here on an Abort comes too late. Raises `JournalError`."""
    if visit.dialogue is not None:
        visit.dialogue.work = None
    return await visit.context.engine.close_period(visit.terminal.id)


async def _closed(visit: Visit, kind: str) -> ReconciliationResponse:
    closing = await _close(visit)
    totals = totals_of(closing.rows, visit.header.poi_id)
    return ReconciliationResponse(
        response=_success(totals.words),
        reconciliation_type=kind,
        poi_reconciliation_id=str(closing.number),
        transaction_totals=totals.rows,
    )


async def _synchronised(visit: Visit) -> ReconciliationResponse:
    """The acquirer first: as long as it has not answered, nothing is closed and the till may
    still abort. Whether it succeeds or not, the period is closed then."""
    counted: Counted | None = None
    failure: Response | None = None
    try:
        counted = await _counted(visit)
    except TillwireError as error:
        failure = refusals.response(error, visit.terminal)
    closing = await _close(visit)
    condition = failure.error_condition if failure else None
    totals = totals_of(
        closing.rows,
        visit.header.poi_id,
        error=condition,
        host_period=counted.period if counted else "",
    )
    response = _success(_joined(totals.words, _differences(closing.rows, counted)))
    if failure is not None:
        response = Response(
            result=Result.PARTIAL.value,
            error_condition=condition,
            additional_response="The period is closed, but not with the acquirer. "
            + _joined(failure.additional_response or "", totals.words),
        )
    return ReconciliationResponse(
        response=response,
        reconciliation_type=ReconciliationType.ACQUIRER_SYNCHRONISATION.value,
        poi_reconciliation_id=str(closing.number),
        transaction_totals=totals.rows or _failed(condition),
    )


def _failed(condition: str | None) -> tuple[TransactionTotals, ...]:
    """The row that carries an acquirer's failure where there are no others."""
    if condition is None:
        return ()
    return (
        TransactionTotals(
            payment_instrument_type=PaymentInstrumentType.CARD.value,
            acquirer_id=ACQUIRER,
            error_condition=condition,
        ),
    )


def _joined(*sentences: str) -> str:
    return " ".join(each for each in sentences if each)


async def _counted(visit: Visit) -> Counted:
    counted = await visit.context.engine.perform(visit.terminal.id, Count(close=True))
    assert isinstance(counted, Counted), "a count comes to what was counted"
    for row in counted.rows:
        if row.currency not in CURRENCIES:
            raise RemoteProtocolError(f"The terminal counts in {row.currency[:10]!r}.")
    return counted


def _differences(ours: Iterable[TotalsRow], theirs: Counted | None) -> str:
    """Where the terminal counts otherwise, in words. It may have reason to: its own period need
    not have begun with ours."""
    if theirs is None:
        return ""
    here, there = _sums(ours), _sums(theirs.rows)
    found = [
        f"{_TYPES[kind]} {currency}: {_sum(there[kind, currency], currency)} there, "
        f"{_sum(here[kind, currency], currency)} here"
        for kind, currency in sorted({*here, *there})
        if here[kind, currency] != there[kind, currency]
    ]
    if not found:
        return ""
    return "The terminal counts otherwise: " + "; ".join(found[:_MOST_DIFFERENCES]) + "."


def _sums(rows: Iterable[TotalsRow]) -> defaultdict[tuple[TotalsKind, str], tuple[int, int]]:
    sums: defaultdict[tuple[TotalsKind, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in map(_as_told, rows):
        if row.kind not in _NO_MONEY and (row.count or row.amount):
            count, amount = sums[row.kind, row.currency]
            sums[row.kind, row.currency] = (count + row.count, amount + row.amount)
    return sums


def _sum(counted: tuple[int, int], currency: str) -> str:
    count, amount = counted
    return f"{count} of {Money(amount, currency).decimal()}"
