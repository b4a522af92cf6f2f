"""EnableService: a card that is read ahead of its sale.

`StartTransaction` has the terminal ask for a card at once, while the cashier still scans. The
CardAcquisition or Payment that follows, if it was enabled, takes the card that was read; one that
comes before any card was presented asks for it anew. A card is meant for the customer who stands
there: it is forgotten after `KEPT` seconds, with the next `StartTransaction`, with
`AbortTransaction`, and when its till logs in or out. Until a card was presented, the terminal is
occupied; nothing is shown or printed on it, and no other till can use it.

Held in memory: after a restart the customer presents the card again.
"""

from __future__ import annotations

from typing import Final

from tillwire.core.errands import Ability, CardRead, ReadCard, Result, Show
from tillwire.dialects.nexo.face.answers import SUCCESS
from tillwire.dialects.nexo.face.background import begin, call_off
from tillwire.dialects.nexo.face.context import Malformed, Refused, Visit
from tillwire.dialects.nexo.face.dialogues import Ahead
from tillwire.dialects.nexo.face.texts import plain
from tillwire.dialects.nexo.wire.services import EnableServiceRequest, EnableServiceResponse
from tillwire.dialects.nexo.wire.values import (
    Device,
    ErrorCondition,
    ServicesEnabled,
    TransactionAction,
)

KEPT: Final = 120.0
"""Seconds for which a card that was read ahead is kept."""

_PATH: Final = "EnableServiceRequest"


async def enable_service(visit: Visit) -> EnableServiceResponse:
    """Begin to read a card, or end that. Raises `Refused`, `TerminalBusy`, `Unsupported`."""
    body = visit.body
    assert isinstance(body, EnableServiceRequest)
    action = body.transaction_action
    if action not in TransactionAction.__members__.values():
        problem, allowed = f"{action[:40]!r} is unknown", ", ".join(TransactionAction)
        raise Malformed(_PATH, "TransactionAction", problem, allowed)
    services = _services(body)
    text = _text(body)
    await put_away(visit)
    if text and Ability.SHOW in visit.context.engine.capabilities(visit.terminal.id).errands:
        await visit.context.engine.perform(visit.terminal.id, Show(text))
    if action == TransactionAction.START_TRANSACTION and not visit.login.training:
        await _begin(visit, services)
    return EnableServiceResponse(response=SUCCESS)


def _services(body: EnableServiceRequest) -> frozenset[str]:
    if body.transaction_action != TransactionAction.START_TRANSACTION:
        return frozenset()
    if not body.services_enabled:
        raise Malformed(_PATH, "ServicesEnabled", "Missing", ", ".join(ServicesEnabled))
    for index, service in enumerate(body.services_enabled):
        if service not in ServicesEnabled.__members__.values():
            problem, allowed = f"{service[:40]!r} is unknown", ", ".join(ServicesEnabled)
            raise Malformed(_PATH, f"ServicesEnabled[{index}]", problem, allowed)
    if set(body.services_enabled) == {ServicesEnabled.LOYALTY}:
        raise Refused(ErrorCondition.UNAVAILABLE_SERVICE, "Loyalty is not served here.")
    return frozenset(body.services_enabled)


def _text(body: EnableServiceRequest) -> str:
    """What to show to the customer."""
    output = body.display_output
    if output is None or output.device != Device.CUSTOMER_DISPLAY:
        return ""
    return plain(output.output_content, f"{_PATH}.DisplayOutput.OutputContent").text


async def _begin(visit: Visit, services: frozenset[str]) -> None:
    ahead = Ahead(sale_id=visit.header.sale_id, services=services)

    def keep(card: Result) -> None:
        assert isinstance(card, CardRead), "a card that is read is a card"
        ahead.card = card
        ahead.read_at = visit.context.clock.monotonic()

    ahead.work = await begin(visit, ReadCard(), keep)
    visit.context.dialogues.ahead[visit.terminal.id] = ahead


async def card_for(visit: Visit, service: ServicesEnabled) -> CardRead | None:
    """The card that was read ahead for this service of the visit's till, and is its own from now
    on; None where there is none. No card is read ahead when this returns."""
    ahead = await put_away(visit)
    if ahead is None or ahead.card is None or service not in ahead.services:
        return None
    return ahead.card if visit.context.clock.monotonic() <= ahead.read_at + KEPT else None


async def put_away(visit: Visit) -> Ahead | None:
    """End what the visit's till has enabled at the terminal; what that was, if anything."""
    if (ahead := enabled(visit)) is None:
        return None
    del visit.context.dialogues.ahead[visit.terminal.id]
    if ahead.work is not None:
        await call_off(ahead.work)
    return ahead


def enabled(visit: Visit) -> Ahead | None:
    """What the visit's till has enabled at the terminal, if anything."""
    ahead = visit.context.dialogues.ahead.get(visit.terminal.id)
    return ahead if ahead is not None and ahead.sale_id == visit.header.sale_id else None
