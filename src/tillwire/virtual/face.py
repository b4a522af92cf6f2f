"""The window into the virtual world: the acquirer's ledger, the terminals, and their scripts.

    GET    /ledger?terminal=NAME         what was really charged, oldest first
    GET    /terminals                    the virtual terminals: what they show, and wait for
    GET    /terminals/{name}             one of them
    GET    /terminals/{name}/printouts   what it printed last, oldest first
    PUT    /terminals/{name}/script      what it does next, whatever the amounts end in
    DELETE /terminals/{name}/script      the amounts' endings count again
    POST   /terminals/{name}/pairing     it shows a code, by which a register is paired with it
    DELETE /terminals/{name}/pairing     its registers are unpaired, as on its menu

Faces that can be told to misbehave, as what virtual terminals are tested with, add paths of theirs.

It belongs to the sandbox alone: whoever reaches it sees and scripts everything. So it answers under
the names of its own machine only; a web page from elsewhere that has its own name lead here (DNS
rebinding) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tillwire.clock import Instant, utc
from tillwire.core.engine import Engine
from tillwire.core.estate_model import Lifecycle, PairingCode, Terminal
from tillwire.core.ports import Unit, Vault
from tillwire.errors import InvalidRequest, NotFound, NotPermitted
from tillwire.estate.pairings import Codes, show_code, unpair_all
from tillwire.net import asgi
from tillwire.net.asgi import App, Receive, Reply, Scope, Send
from tillwire.net.problems import STATUSES, Problems, named_field
from tillwire.net.routes import Routes
from tillwire.virtual.acquirer import Entry
from tillwire.virtual.memory import Deed, Printout, SetScript
from tillwire.virtual.script import ENDINGS, Script
from tillwire.virtual.world import World

DRIVER: Final = "virtual"
LARGEST_SCRIPT: Final = 4096
"""Bytes of a script's body."""
MOST_TIMES: Final = 1_000_000
"""Transactions or errands for which a script may be set."""

Call = asgi.Call[None]
Handler = Callable[[Call], Awaitable[Reply]]

_LOOPBACK: Final = re.compile(
    r"(127(?:\.[0-9]{1,3}){3}|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE
)
_PROBLEMS: Final = Problems(STATUSES, named_field)


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a terminal is to do next: an ending of the table, or a script."""

    ending: Annotated[int, Meta(ge=0, le=99)] | None = None
    script: Script | None = None
    times: Annotated[int, Meta(ge=1, le=MOST_TIMES)] = 1
    """For how many transactions, or errands that the script is about."""


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
    period: int
    """1, and one more each time that its totals are closed."""
    display: str
    """What the customer reads now, lines with `\\n` between them; empty when there is nothing."""
    waiting: list[WaitingView]
    script: Script | None
    """What was set for the next transactions or errands; null when the amounts' endings count."""
    times: int
    """For how many of them."""
    registers: list[str]
    """Those that are paired with it, by their own ids."""


class CodeView(msgspec.Struct, frozen=True):
    """What a terminal shows to be paired with a register."""

    code: str
    expires_at: str
    """RFC 3339, UTC."""


class PrintoutView(msgspec.Struct, frozen=True):
    """What came out of a terminal's printer."""

    text: str
    """Lines with `\\n` between them."""
    signature: bool
    """Whether the customer had to sign it."""
    at: str
    """RFC 3339, UTC."""


_order: Final = msgspec.json.Decoder(Order)
_encode: Final = msgspec.json.Encoder().encode


def create(
    world: World, engine: Engine, vault: Vault, more: Iterable[tuple[str, str, Handler]] = ()
) -> App:
    """The face as an ASGI application; `vault` has the key of pairing codes, `more` are paths of
    other faces: method, path, and what serves it."""
    return VirtualFace(world, engine, vault, more)


class VirtualFace:
    """Shows and scripts the virtual world."""

    def __init__(
        self, world: World, engine: Engine, vault: Vault, more: Iterable[tuple[str, str, Handler]]
    ) -> None:
        self._world = world
        self._engine = engine
        self._codes = Codes(vault)
        self._routes: Routes[Handler] = Routes(
            [
                ("GET", "/ledger", self._ledger),
                ("GET", "/terminals", self._terminals),
                ("GET", "/terminals/{name}", self._one_terminal),
                ("GET", "/terminals/{name}/printouts", self._printouts),
                ("PUT", "/terminals/{name}/script", self._set_script),
                ("DELETE", "/terminals/{name}/script", self._remove_script),
                ("POST", "/terminals/{name}/pairing", self._show_code),
                ("DELETE", "/terminals/{name}/pairing", self._unpair),
                *more,
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await asgi.serve(scope, receive, send, self._answer, _PROBLEMS.tell)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        _check_host(asgi.header(scope, b"host"))
        path = asgi.path_of(scope)
        handler, parameters = self._routes.find(scope["method"], path)
        return await handler(asgi.Call(scope, receive, path, parameters, None))

    async def _ledger(self, call: Call) -> Reply:
        entries = await self._world.ledger(dict(call.query()).get("terminal"))
        return _reply([_entry(each) for each in entries])

    async def _terminals(self, call: Call) -> Reply:
        waiting = await self._waiting()
        return _reply([await self._view(each, waiting) for each in self._virtual()])

    async def _one_terminal(self, call: Call) -> Reply:
        terminal = self._terminal(call.parameters[0])
        return _reply(await self._view(terminal, await self._waiting()))

    async def _printouts(self, call: Call) -> Reply:
        printouts = await self._world.printouts(self._terminal(call.parameters[0]).id)
        return _reply(
            [PrintoutView(each.text, each.signature, _text(each.at)) for each in printouts]
        )

    async def _set_script(self, call: Call) -> Reply:
        terminal = self._terminal(call.parameters[0])
        await self._world.set_script(terminal.id, _chosen(await call.json(LARGEST_SCRIPT)))
        return _reply(await self._view(terminal, await self._waiting()))

    async def _remove_script(self, call: Call) -> Reply:
        await self._world.set_script(self._terminal(call.parameters[0]).id, None)
        return Reply(HTTPStatus.NO_CONTENT)

    async def _show_code(self, call: Call) -> Reply:
        terminal, clock = self._terminal(call.parameters[0]), self._engine.clock
        drawn, now = self._codes.drawn(clock), clock.now()

        def show(unit: Unit) -> tuple[str, PairingCode]:
            return show_code(unit, terminal.id, drawn, now)

        code, made = await self._engine.journal.commit(show)
        assert made.expires_at is not None, "what a terminal shows does not live for good"
        text = f"PAIRING CODE\n{code}"
        await self._world.commit(lambda page: page.show(terminal.id, text, now))
        return _reply(CodeView(code, _text(made.expires_at)))

    async def _unpair(self, call: Call) -> Reply:
        terminal, now = self._terminal(call.parameters[0]), self._engine.clock.now()
        await self._engine.change_estate(lambda unit: unpair_all(unit, terminal.id, now))
        return Reply(HTTPStatus.NO_CONTENT)

    def _virtual(self) -> list[Terminal]:
        terminals = (
            terminal
            for terminal in self._engine.estate.terminals.values()
            if terminal.driver == DRIVER and terminal.lifecycle is not Lifecycle.REMOVED
        )
        return sorted(terminals, key=lambda terminal: (terminal.name, terminal.id))

    def _terminal(self, name: str) -> Terminal:
        for terminal in self._virtual():
            if terminal.name.lower() == name.lower():
                return terminal
        raise NotFound(f"No virtual terminal {name[:100]}.")

    async def _waiting(self) -> list[Deed]:
        await self._world.settle()
        return await self._world.waiting()

    async def _view(self, terminal: Terminal, waiting: list[Deed]) -> TerminalView:
        chosen = self._world.script_of(terminal.id)
        glance = await self._world.glance(terminal.id)
        return TerminalView(
            terminal=terminal.name,
            tid=terminal.tid,
            boot=glance.boot,
            period=glance.period,
            display=glance.display,
            waiting=[
                WaitingView(deed.transaction_id, _text(deed.acts_at))
                for deed in waiting
                if deed.terminal_id == terminal.id
            ],
            script=chosen.script if chosen else None,
            times=chosen.times if chosen else 0,
            registers=[each.register_id for each in self._engine.estate.registers_at(terminal.id)],
        )


def _check_host(host: str | None) -> None:
    """Raise `NotPermitted` unless the client has called this machine by one of its own names.
    Browsers always say how they called it."""
    if host is None or _LOOPBACK.fullmatch(host):
        return
    raise NotPermitted(
        f"The virtual world answers as 127.0.0.1, localhost or [::1] only, not as {host[:100]}."
    )


def _reply(shown: object) -> Reply:
    return Reply(HTTPStatus.OK, _encode(shown))


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


def _printout(printout: Printout) -> PrintoutView:
    return PrintoutView(printout.text, printout.signature, _text(printout.at))


def _text(instant: Instant) -> str:
    return utc(instant).isoformat(timespec="milliseconds").replace("+00:00", "Z")
