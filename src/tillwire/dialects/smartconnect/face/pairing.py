"""`PUT /POS/Pairing/{code}`: a register enters what its terminal shows (source 002).

A wrong code counts, and who has tried too many is refused for a minute.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import structlog

from tillwire.core.estate_model import Register
from tillwire.core.ports import Unit
from tillwire.dialects.smartconnect.face.context import DIALECT, Context, form_in, place_of
from tillwire.dialects.smartconnect.face.refusals import Refused
from tillwire.dialects.smartconnect.wire import pairing
from tillwire.estate.pairings import Newcomer, WrongCode, pair
from tillwire.net.asgi import Receive, Reply, Scope

_WRONG: Final = "The pairing code is not valid. Check it, or show a new one on the terminal."
_log = structlog.get_logger()


async def put(context: Context, scope: Scope, receive: Receive, code: str) -> Reply:
    """PUT /POS/Pairing/{code}."""
    form, charset = await form_in(scope, receive)
    wanted = pairing.read(form, charset, lenient_name=context.settings.lenient_name)
    context.strangers.check(scope)
    newcomer = _newcomer(context, wanted, place_of(wanted.registration, scope))
    known = context.engine.estate.register(
        newcomer.organisation_id, DIALECT, newcomer.vendor_name, newcomer.register_id
    )
    digest, now = context.codes.digest(code), context.clock.now()

    def work(unit: Unit) -> tuple[Register, str]:
        return pair(unit, digest, newcomer, now)

    try:
        register, former = await context.engine.change_estate(work)
    except WrongCode:
        context.strangers.failed(scope)
        raise Refused(HTTPStatus.BAD_REQUEST, _WRONG) from None
    if known is not None:
        context.sightings.note(known, newcomer.place, now)
    _tell(context, register, former)
    return Reply(HTTPStatus.OK, pairing.SUCCESS)


def _newcomer(context: Context, wanted: pairing.PairingRequest, place: str) -> Newcomer:
    told = {
        name: getattr(wanted, name)
        for name in wanted.__struct_fields__
        if name not in ("registration", "register_name")
    }
    return Newcomer(
        organisation_id=context.settings.organisation,
        dialect=DIALECT,
        register_id=wanted.registration.register_id,
        business_name=wanted.registration.business_name,
        vendor_name=wanted.registration.vendor_name,
        name=wanted.register_name,
        detail={name: value for name, value in told.items() if value},
        place=place,
    )


def _tell(context: Context, register: Register, former: str) -> None:
    terminals = context.engine.estate.terminals
    moved = former and former != register.terminal_id
    _log.info(
        "a register was paired",
        register=register.register_id,
        business=register.business_name,
        vendor=register.vendor_name,
        terminal=terminals[register.terminal_id or ""].name,
        before=terminals[former].name if moved else None,
    )
