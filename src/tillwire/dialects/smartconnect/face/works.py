"""What each function without money does, and what it answers.

Logon and GetStatus ask whether the terminal is there. Settlements are the journal's periods
(`core/closings.py`); a terminal that keeps totals of its own is closed first. The journal is asked
for receipts and for the terminal's last transaction, whoever paid that: it is evidence for a
person, and nothing in it says that it is the one that somebody has in mind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from tillwire import clock, uuids
from tillwire.core.errands import Ability, CardRead, Count, ReadCard, Reprint
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Transaction
from tillwire.core.receipts import cardholder_receipt, day_totals
from tillwire.dialects.smartconnect.face import answers, slips
from tillwire.dialects.smartconnect.face.answers import AWAY, RECEIPT_COLUMNS, Asked
from tillwire.dialects.smartconnect.face.context import Context
from tillwire.dialects.smartconnect.wire.outcomes import ACCEPTED, FAILED, OK, READY
from tillwire.dialects.smartconnect.wire.transactions import Function
from tillwire.errors import InvalidRequest, Unsupported

LOOKED_AT: Final = 50
"""Transactions of a terminal among which the last receipt is looked for."""
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 9998
"""Of settlement inquiries: a day with a midnight before and after it in every time zone."""

Work = Callable[[Context, Terminal, Asked], Awaitable["Done"]]


class Done(msgspec.Struct, frozen=True):
    """What came of it."""

    words: tuple[str, str] = (ACCEPTED, OK)
    """`TransactionResult` and `Result`."""
    more: dict[str, str] = {}
    """Other members of the `Result`, by its names."""


def day_of(text: str) -> date:
    """The day that a settlement inquiry names. Raises `InvalidRequest`."""
    try:
        day = date.fromisoformat(text)
        if FIRST_YEAR <= day.year <= LAST_YEAR:
            return day
    except ValueError:
        pass
    allowed = f"yyyyMMdd or yyyy-MM-dd, from {FIRST_YEAR} to {LAST_YEAR}, or none"
    raise InvalidRequest("Date", "it is no such date", allowed)


async def _logon(context: Context, terminal: Terminal, asked: Asked) -> Done:
    status = await context.engine.status(terminal.id)
    return Done() if status.reachable else Done(AWAY)


async def _status(context: Context, terminal: Terminal, asked: Asked) -> Done:
    status = await context.engine.status(terminal.id)
    return Done(("", OK), {"status": READY}) if status.reachable else Done(AWAY)


async def _inquiry(context: Context, terminal: Terminal, asked: Asked) -> Done:
    engine, now = context.engine, context.clock.now()
    heading = engine.estate.heading(terminal)
    if asked.date:
        day, zone = day_of(asked.date), ZoneInfo(heading.time_zone)
        begin, end = (
            clock.instant(datetime.combine(each, time(), zone).astimezone(UTC))
            for each in (day, day + timedelta(days=1))
        )
        ended = await engine.journal.read(
            lambda reader: reader.ended_between(terminal.id, begin, end)
        )
        receipt = day_totals(heading, day, ended, now, RECEIPT_COLUMNS)
    else:
        period = await engine.open_totals(terminal.id)
        receipt = slips.settlement(
            heading,
            "SETTLEMENT INQUIRY",
            period.number,
            period.opened_at,
            now,
            period.rows,
            RECEIPT_COLUMNS,
        )
    return Done(more={"receipt": receipt})


async def _cutover(context: Context, terminal: Terminal, asked: Asked) -> Done:
    engine = context.engine
    if Ability.COUNT in engine.capabilities(terminal.id).errands:
        await engine.perform(terminal.id, Count(close=True))
    period = await engine.close_period(terminal.id)
    receipt = slips.settlement(
        engine.estate.heading(terminal),
        "SETTLEMENT CUTOVER",
        period.number,
        period.opened_at,
        period.closed_at,
        period.rows,
        RECEIPT_COLUMNS,
    )
    return Done(more={"receipt": receipt, "acquirer_ref": f"{period.number:06d}"})


async def _read_card(context: Context, terminal: Terminal, asked: Asked) -> Done:
    card = await context.engine.perform(terminal.id, ReadCard())
    if not isinstance(card, CardRead):
        raise Unsupported("The terminal read no card.")
    return Done(more={"card_pan": answers.card_pan(card.card_last4), "card_type": card.brand})


async def _print(context: Context, terminal: Terminal, asked: Asked) -> Done:
    await context.engine.perform(terminal.id, Reprint())
    return Done()


async def _last_receipt(context: Context, terminal: Terminal, asked: Asked) -> Done:
    for known in await context.engine.newest_at(terminal.id, LOOKED_AT):
        if known.is_final and (receipt := cardholder_receipt(known, RECEIPT_COLUMNS)):
            return Done(more={"receipt": receipt, "reference_id": uuids.transaction_uuid(known.id)})
    return Done((FAILED, FAILED), {"result_text": "There is no receipt."})


async def _last_result(context: Context, terminal: Terminal, asked: Asked) -> Done:
    found = await context.engine.newest_at(terminal.id, 1)
    if not found or not found[0].is_final:
        return Done((FAILED, FAILED), {"result_text": "There is no transaction that has ended."})
    return _told_of(found[0], asked)


def _told_of(known: Transaction, asked: Asked) -> Done:
    """The ending of a transaction, as the answer of a function that asks for it."""
    ending = answers.ending(asked, known)
    words = (ending.transaction_result, ending.result)
    names = ("auth_id", "acquirer_ref", "card_pan", "card_type", "timestamp", "receipt")
    amounts = ("amount_total", "amount_surcharge", "amount_tip")
    more = {name: getattr(ending, name) for name in (*names, *amounts)}
    more["amount_total"] = more["amount_total"] or str(known.amount.minor)
    return Done(words, {**more, "reference_id": uuids.transaction_uuid(known.id)})


WORKS: Final[Mapping[Function, Work]] = {
    Function.LOGON: _logon,
    Function.SETTLEMENT_INQUIRY: _inquiry,
    Function.SETTLEMENT_CUTOVER: _cutover,
    Function.GET_STATUS: _status,
    Function.READ_CARD: _read_card,
    Function.PRINT_RECEIPT: _print,
    Function.REPRINT_RECEIPT: _last_receipt,
    Function.GET_TRANS_RESULT: _last_result,
}
"""All that `transactions.MOVES_MONEY` has not."""
