"""Diagnosis: how a terminal is, and who is logged in at it.

What a driver does not say of its terminal is not made up: whether its keys were tampered with, or
how much paper is left. A component that the terminal has is told as working as long as the terminal
can be reached, since a flag that is absent would say that there is no such component.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tillwire.core.engine import Engine
from tillwire.core.errands import Ability
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.occupancy import busy
from tillwire.dialects.nexo.face.answers import SUCCESS
from tillwire.dialects.nexo.face.context import DIALECT, Refused, Visit
from tillwire.dialects.nexo.wire.services import DiagnosisRequest, DiagnosisResponse, HostStatus
from tillwire.dialects.nexo.wire.shared import POIStatus
from tillwire.dialects.nexo.wire.values import ErrorCondition, GlobalStatus, PrinterStatus

ACQUIRER: Final = "1"
"""The AcquirerID of whoever is behind a terminal, where a till names none. Terminals do not tell
theirs apart."""


async def diagnosis(visit: Visit) -> DiagnosisResponse:
    """How the terminal is, or another one of the face that the till names. Raises `Refused`."""
    body = visit.body
    assert isinstance(body, DiagnosisRequest)
    terminal = visit.terminal
    if body.poi_id:
        named = visit.context.terminals.of(body.poi_id)
        if named is None:
            raise Refused(
                ErrorCondition.NOT_FOUND,
                f"DiagnosisRequest.POIID: there is no terminal {body.poi_id[:40]!r} here.",
            )
        terminal = named
    engine = visit.context.engine
    status, words = await status_of(engine, terminal)
    return DiagnosisResponse(
        response=msgspec.structs.replace(SUCCESS, additional_response=words or None),
        logged_sale_id=tuple(each.register for each in engine.sessions_at(terminal.id, DIALECT)),
        poi_status=status,
        host_status=_hosts(body, reachable=status.global_status != GlobalStatus.UNREACHABLE),
    )


def _hosts(body: DiagnosisRequest, *, reachable: bool) -> tuple[HostStatus, ...]:
    """Nobody but the terminal can ask its acquirer: it is told as reachable as long as the
    terminal is."""
    if not body.host_diagnosis_flag:
        return ()
    return tuple(
        HostStatus(acquirer_id=each, is_reachable_flag=reachable)
        for each in body.acquirer_id or (ACQUIRER,)
    )


async def status_of(engine: Engine, terminal: Terminal) -> tuple[POIStatus, str]:
    """How the terminal is, and in words why it is not OK."""
    known = await engine.status(terminal.id)
    held, words = _occupied(engine, terminal.id)
    if not known.reachable:
        status = GlobalStatus.UNREACHABLE
        words = known.detail or "The terminal does not answer."
    elif terminal.lifecycle is not Lifecycle.ACTIVATED:
        status = GlobalStatus.MAINTENANCE
        words = f"The terminal is {terminal.lifecycle}, not ACTIVATED."
    else:
        status = GlobalStatus.BUSY if held else GlobalStatus.OK
        words = words or known.detail
    there = known.reachable or None
    printer = Ability.PRINT in engine.capabilities(terminal.id).errands
    return (
        POIStatus(
            global_status=status.value,
            ped_ok_flag=there,
            card_reader_ok_flag=there,
            printer_status=PrinterStatus.OK.value if there and printer else None,
            communication_ok_flag=known.reachable,
        ),
        words,
    )


def _occupied(engine: Engine, terminal_id: str) -> tuple[bool, str]:
    """Whether a transaction or an errand has the terminal, and which transaction."""
    holder = engine.open_transaction(terminal_id)
    if holder is not None:
        return True, busy(holder).detail
    return engine.errand_at(terminal_id), ""
