"""What moves no money: asked of the terminal or of the journal, and told when it is done.

Each is journaled before it begins, and its answer when there is one, so that polls find it also
after a restart. One that was cut off by a restart is FAILED when its time is over: nothing of it
could have moved money. A period may have been closed by then: a register that asks again closes the
next one, which is empty. What each of them does is in `works.py`.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog

from tillwire.clock import Instant
from tillwire.core.errands import ErrandFailed, Trouble
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Exchange
from tillwire.core.occupancy import busy
from tillwire.dialects.smartconnect.face import answers, works
from tillwire.dialects.smartconnect.face.answers import AWAY
from tillwire.dialects.smartconnect.face.context import Context
from tillwire.dialects.smartconnect.face.orders import FUNCTION
from tillwire.dialects.smartconnect.face.teller import notification
from tillwire.dialects.smartconnect.wire import envelope
from tillwire.dialects.smartconnect.wire.envelope import Envelope, Result
from tillwire.dialects.smartconnect.wire.outcomes import CANCELLED, FAILED, OK, UNAVAILABLE
from tillwire.errors import JournalError, TerminalBusy, TillwireError, Unsupported

WITHIN: Final = 130.0
"""Seconds that any of them takes at most."""
DEAD_AFTER: Final = 150_000
"""Milliseconds after which one without an answer was cut off."""

_PREFIX: Final = "F"
"""What a function's name for itself begins with, which tells it from a transaction."""
_TROUBLES: Final = {
    Trouble.CANCELLED: (CANCELLED, CANCELLED),
    Trouble.TIMED_OUT: (CANCELLED, CANCELLED),
    Trouble.BUSY: AWAY,
    Trouble.UNREACHABLE: AWAY,
}
"""`TransactionResult` and `Result`; of all others FAILED."""

_log = structlog.get_logger()


class Started(msgspec.Struct, frozen=True):
    """A function that was begun."""

    exchange: Exchange
    task: asyncio.Task[None] | None = None


def is_function(exchange: Exchange) -> bool:
    """Whether the exchange is of a function; else it is of a transaction."""
    return exchange.kind == FUNCTION


def name_of(number: str) -> str:
    """How the exchange of a function names itself, by the id of 31 digits in its UUID."""
    return _PREFIX + number


def id_of(exchange: Exchange) -> str:
    """The id of 31 digits in a function's UUID."""
    assert exchange.transaction_id is not None, "a function's exchange names itself"
    return exchange.transaction_id.removeprefix(_PREFIX)


async def start(context: Context, terminal: Terminal, exchange: Exchange) -> Started:
    """Begin a function. Raises `Repeated`, `TerminalBusy`, `JournalError`."""
    _check_free(context, terminal)
    # No await since that look, lest another one begins in between.
    context.at_work[terminal.id] = ""
    try:
        known = await _remembered(context, exchange)
    except BaseException:
        del context.at_work[terminal.id]
        raise
    context.at_work[terminal.id] = known.transaction_id or ""
    task = context.tasks.spawn(_run(context, known, terminal))
    task.add_done_callback(lambda _: context.at_work.pop(terminal.id))
    return Started(known, task)


async def unavailable(context: Context, terminal: Terminal, exchange: Exchange) -> Started:
    """Answer at once that the terminal does not have what is asked for. Raises `Repeated`,
    `JournalError`."""
    known = await _remembered(context, exchange)
    result = _ended(context, known, terminal, (UNAVAILABLE, OK))
    await _keep(context, known, terminal, result)
    return Started(known)


def told(context: Context, exchange: Exchange) -> Envelope:
    """How far a function is."""
    asked, at, number = answers.read(exchange.request), exchange.at, id_of(exchange)
    if exchange.answer:
        result = envelope.read_result(exchange.answer.encode())
        return answers.completed(asked, number, at, result)
    age = context.clock.now() - at
    if age >= DEAD_AFTER and exchange.transaction_id not in context.at_work.values():
        until = Instant(at + DEAD_AFTER)
        result = answers.function_ending(asked, number, at, until, (FAILED, FAILED))
        return answers.completed(asked, number, at, result)
    delayed = age >= context.settings.delayed_after * 1000
    return answers.pending(asked, number, at, delayed=delayed)


def _check_free(context: Context, terminal: Terminal) -> None:
    """Raise `TerminalBusy` when the terminal has something to do."""
    engine = context.engine
    if (holder := engine.open_transaction(terminal.id)) is not None:
        raise busy(holder)
    if engine.errand_at(terminal.id) or terminal.id in context.at_work:
        raise TerminalBusy("It is doing something else.", holder="", since=context.clock.now())


async def _remembered(context: Context, exchange: Exchange) -> Exchange:
    name = name_of(context.clock.transaction_id())
    return await context.engine.begin_exchange(
        msgspec.structs.replace(exchange, kind=FUNCTION, transaction_id=name)
    )


async def _run(context: Context, exchange: Exchange, terminal: Terminal) -> None:
    """Do it, and keep what came of it."""
    asked = answers.read(exchange.request)
    try:
        async with asyncio.timeout(WITHIN):
            done = await works.WORKS[asked.function](context, terminal, asked)
        result = _ended(context, exchange, terminal, done.words, done.more)
    except TerminalBusy:
        result = _ended(context, exchange, terminal, AWAY)
    except Unsupported:
        result = _ended(context, exchange, terminal, (UNAVAILABLE, OK))
    except ErrandFailed as failed:
        words = _TROUBLES.get(failed.trouble, (FAILED, FAILED))
        result = _ended(context, exchange, terminal, words, {"result_text": failed.detail})
    except (TimeoutError, TillwireError) as error:
        _log.warning(
            "a function failed", terminal=terminal.name, function=asked.function, error=str(error)
        )
        result = _ended(context, exchange, terminal, (FAILED, FAILED))
    await _keep(context, exchange, terminal, result)


def _ended(
    context: Context,
    exchange: Exchange,
    terminal: Terminal,
    words: tuple[str, str],
    more: dict[str, str] | None = None,
) -> Result:
    asked, until = answers.read(exchange.request), context.clock.now()
    ending = answers.function_ending(asked, id_of(exchange), exchange.at, until, words)
    return msgspec.structs.replace(ending, terminal_ref=terminal.tid, **more or {})


async def _keep(context: Context, exchange: Exchange, terminal: Terminal, result: Result) -> None:
    """Journal the answer, and tell who wants to be told. What cannot be journaled counts as cut
    off."""
    asked = answers.read(exchange.request)
    try:
        await context.engine.answer_exchange(exchange.id, envelope.write_result(result).decode())
        if asked.sealed_callback:
            letter = notification(
                answers.completed(asked, id_of(exchange), exchange.at, result),
                sealed=asked.sealed_callback,
                organisation_id=exchange.organisation_id,
                at=context.clock.now(),
            )
            await context.engine.post(letter)
    except JournalError as error:
        _log.error("an answer was not kept", terminal=terminal.name, error=str(error))
