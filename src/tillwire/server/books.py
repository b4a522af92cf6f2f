"""What a terminal, or the cloud behind it, has on its books, told over the operator's socket.

It is asked by the gateway that reaches it, so that nobody else speaks to it at the same time, and
told as it comes: a list may take minutes. The journal's side whoever asks reads alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from tillwire.clock import Instant
from tillwire.core.books import LAST_WITHIN
from tillwire.core.engine import Engine
from tillwire.core.entries import Entry, Lists
from tillwire.errors import NotFound, TillwireError

LONGEST_WAIT: Final = 900.0
"""Seconds that a terminal may be waited for."""
MOST_SHOWN: Final = 100
"""Texts that wait to be told; what the terminal shows beyond them is not."""


class LastOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which terminal the last transaction is asked."""

    terminal: str
    """Its id."""
    seconds: Annotated[float, Meta(gt=0, le=LONGEST_WAIT)] = LAST_WITHIN
    """How long it may be waited for."""
    at_terminal: bool = False
    """Whether somebody is there who can act."""


class ListOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which terminal, and of what time, a list is asked: from `begin` on, and before `end`."""

    terminal: str
    begin: int
    end: int


class Shown(msgspec.Struct, frozen=True, tag="shown"):
    """What the terminal shows, or wants of a person, meanwhile."""

    text: str


class Told(msgspec.Struct, frozen=True, tag="told"):
    """An entry of the books."""

    entry: Entry


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """There is no more."""

    trouble: str = ""
    """Why it did not tell, or not all."""
    lists: Lists = Lists.NONE
    """Of which transactions it can be asked."""


Line: TypeAlias = Shown | Told | Ended


def last(engine: Engine, order: LastOrder) -> AsyncGenerator[bytes, None]:
    """The documents of the terminal's last transaction; none of an entry if it has none. Raises
    `NotFound`."""
    _check_terminal(engine, order.terminal)
    return _last(engine, order)


async def _last(engine: Engine, order: LastOrder) -> AsyncGenerator[bytes, None]:
    shown: asyncio.Queue[str | None] = asyncio.Queue()

    def show(text: str) -> None:
        if shown.qsize() < MOST_SHOWN:
            shown.put_nowait(text)

    asking = asyncio.create_task(
        engine.last_transaction(
            order.terminal,
            tell=show,
            seconds=order.seconds,
            at_terminal=order.at_terminal,
        ),
        name="the last transaction",
    )
    asking.add_done_callback(lambda _: shown.put_nowait(None))
    try:
        while (text := await shown.get()) is not None:
            yield _line(Shown(text))
        found = asking.result()
        if found.entry is not None:
            yield _line(Told(found.entry))
        yield _line(Ended(found.trouble, engine.capabilities(order.terminal).lists))
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def listed(engine: Engine, order: ListOrder) -> AsyncGenerator[bytes, None]:
    """The documents of the terminal's list. Raises `NotFound`."""
    _check_terminal(engine, order.terminal)
    return _listed(engine, order)


async def _listed(engine: Engine, order: ListOrder) -> AsyncGenerator[bytes, None]:
    trouble = ""
    try:
        told = engine.entries(order.terminal, Instant(order.begin), Instant(order.end))
        async with aclosing(told):
            async for entry in told:
                yield _line(Told(entry))
    except TillwireError as error:
        trouble = str(error)
    yield _line(Ended(trouble, engine.capabilities(order.terminal).lists))


def _check_terminal(engine: Engine, terminal_id: str) -> None:
    if terminal_id not in engine.estate.terminals:
        raise NotFound(f"No terminal {terminal_id}.")


def _line(document: Line) -> bytes:
    return msgspec.json.encode(document)
