"""The window into the virtual world: the acquirer's ledger, the terminals, and their scripts.

    GET    /ledger?terminal=NAME       what was really charged, oldest first
    GET    /terminals                  the virtual terminals, and what they wait for
    PUT    /terminals/{name}/script    what a terminal does next, whatever the amounts end in
    DELETE /terminals/{name}/script    the amounts' endings count again

It belongs to the sandbox alone: whoever reaches it sees and scripts everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta

from tillwire.clock import Instant, utc
from tillwire.core.estate import Estate
from tillwire.core.model import Lifecycle, Terminal
from tillwire.errors import InvalidRequest, NotFound, TillwireError
from tillwire.net import asgi
from tillwire.net.asgi import App, Receive, Scope, Send
from tillwire.virtual.acquirer import Entry
from tillwire.virtual.memory import Deed, SetScript
from tillwire.virtual.script import ENDINGS, Script
from tillwire.virtual.world import World

DRIVER: Final = "virtual"
LARGEST_SCRIPT: Final = 4096
"""Bytes of a script's body."""
MOST_TIMES: Final = 1_000_000
"""Transactions for which a script may be set."""

_SCRIPT_BEGIN, _SCRIPT_END = "/terminals/", "/script"


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a terminal is to do next: an ending of the table, or a script of its own."""

    ending: Annotated[int, Meta(ge=0, le=99)] | None = None
    script: Script | None = None
    times: Annotated[int, Meta(ge=1, le=MOST_TIMES)] = 1
    """For how many transactions."""


class EntryView(msgspec.Struct, frozen=True):
    """A line of the ledger as the sandbox card's page describes it."""

    terminal: str
    type: str
    amount: int
    currency: str
    reference: str
    approved: bool
    at: str
    """RFC 3339, UTC."""


class WaitingView(msgspec.Struct, frozen=True):
    """A transaction that waits for its cardholder."""

    transaction: str
    until: str
    """When the cardholder acts; RFC 3339, UTC."""


class TerminalView(msgspec.Struct, frozen=True):
    """A virtual terminal."""

    terminal: str
    tid: str
    boot: int
    """1, and one more for each restart."""
    waiting: list[WaitingView]
    script: Script | None
    """What was set for the next transactions; null when the amounts' endings count."""
    times: int
    """For how many of them."""


_order: Final = msgspec.json.Decoder(Order)
_encode: Final = msgspec.json.Encoder().encode


def create(world: World, estate_of: Callable[[], Estate]) -> App:
    """The face as an ASGI application; `estate_of` gives the estate as it stands."""
    return VirtualFace(world, estate_of)


class VirtualFace:
    """Shows and scripts the virtual world."""

    def __init__(self, world: World, estate_of: Callable[[], Estate]) -> None:
        self._world = world
        self._estate_of = estate_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        assert scope["type"] == "http", "there is nothing but HTTP here"
        try:
            await self._route(scope, receive, send)
        except asgi.DisconnectedError:
            return
        except TillwireError as error:
            await asgi.refuse(scope, send, error)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = asgi.path(scope)
        if path == "/ledger":
            asgi.allow(scope, "GET")
            query = parse_qs(scope["query_string"].decode("latin-1"))
            entries = await self._world.ledger(query.get("terminal", [None])[0])
            await asgi.answer(send, 200, _encode([_entry(each) for each in entries]))
        elif path == "/terminals":
            asgi.allow(scope, "GET")
            await asgi.answer(send, 200, _encode(await self._terminals()))
        elif path.startswith(_SCRIPT_BEGIN) and path.endswith(_SCRIPT_END):
            asgi.allow(scope, "PUT", "DELETE")
            terminal = self._terminal(path[len(_SCRIPT_BEGIN) : -len(_SCRIPT_END)])
            if scope["method"] == "PUT":
                body = await asgi.json_body(scope, receive, LARGEST_SCRIPT)
                await self._world.set_script(terminal.id, _chosen(body))
                await asgi.answer(send, 200, _encode(await self._view(terminal, [])))
            else:
                await self._world.set_script(terminal.id, None)
                await asgi.answer(send, 204)
        else:
            raise NotFound("Nothing is served under this path.")

    def _virtual(self) -> list[Terminal]:
        terminals = (
            terminal
            for terminal in self._estate_of().terminals.values()
            if terminal.driver == DRIVER and terminal.lifecycle is not Lifecycle.REMOVED
        )
        return sorted(terminals, key=lambda terminal: (terminal.name, terminal.id))

    def _terminal(self, name: str) -> Terminal:
        for terminal in self._virtual():
            if terminal.name.lower() == name.lower():
                return terminal
        raise NotFound(f"No virtual terminal {name[:100]}.")

    async def _terminals(self) -> list[TerminalView]:
        await self._world.settle()
        waiting = await self._world.waiting()
        return [
            await self._view(each, [deed for deed in waiting if deed.terminal_id == each.id])
            for each in self._virtual()
        ]

    async def _view(self, terminal: Terminal, waiting: list[Deed]) -> TerminalView:
        chosen = self._world.script_of(terminal.id)
        return TerminalView(
            terminal=terminal.name,
            tid=terminal.tid,
            boot=await self._world.boot(terminal.id),
            waiting=[WaitingView(deed.transaction_id, _text(deed.acts_at)) for deed in waiting],
            script=chosen.script if chosen else None,
            times=chosen.times if chosen else 0,
        )


def _chosen(body: bytes) -> SetScript:
    try:
        order = _order.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest("body", str(error), "`ending` or `script`, and `times`") from None
    if (order.ending is None) == (order.script is None):
        raise InvalidRequest("ending", "exactly one of `ending` and `script` is needed")
    if order.script is not None:
        return SetScript(order.script, order.times)
    assert order.ending is not None
    return SetScript(ENDINGS.get(order.ending, Script()), order.times)


def _entry(entry: Entry) -> EntryView:
    return EntryView(
        terminal=entry.terminal,
        type=entry.type.value,
        amount=entry.amount,
        currency=entry.currency,
        reference=entry.reference,
        approved=entry.approved,
        at=_text(entry.at),
    )


def _text(instant: Instant) -> str:
    return utc(instant).isoformat(timespec="milliseconds").replace("+00:00", "Z")
