"""Login and Logout: a till's session at a terminal.

The session is durable and is replaced as a whole by the next Login of the same till. What a till
says at its Login is kept as `logins.Login`. Whether a message needs a session is `poi.py`'s
question.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

import msgspec

from tillwire.core.errands import Ability
from tillwire.core.model import Session, State, Transaction, TransactionType
from tillwire.core.ports import Capabilities
from tillwire.dialects.nexo.face.answers import SUCCESS, moment
from tillwire.dialects.nexo.face.background import CALLED_OFF_WITHIN
from tillwire.dialects.nexo.face.context import DIALECT, Malformed, Refused, Visit
from tillwire.dialects.nexo.face.diagnosis import status_of
from tillwire.dialects.nexo.face.dialogues import Dialogue
from tillwire.dialects.nexo.face.enabling import put_away
from tillwire.dialects.nexo.face.logins import Login, detail_of, is_training
from tillwire.dialects.nexo.face.wanted import text_of
from tillwire.dialects.nexo.wire.services import (
    LoginRequest,
    LoginResponse,
    LogoutRequest,
    LogoutResponse,
)
from tillwire.dialects.nexo.wire.shared import (
    POIProfile,
    POISoftware,
    POISystemData,
    POITerminalData,
)
from tillwire.dialects.nexo.wire.values import (
    Capability,
    ErrorCondition,
    GenericProfile,
    ServiceProfile,
    TerminalEnvironment,
)
from tillwire.version import __version__

VERSIONS: Final = ("3.0", "3.1")
"""The protocol's versions that are spoken here, the oldest first."""

_PATH: Final = "LoginRequest"
_VERSION: Final = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")


def agreed_version(offered: str | None) -> str:
    """The newest version that both know, of the newest that the till knows; the newest of all
    where it does not say. Raises `Refused`."""
    if not offered:
        return VERSIONS[-1]
    found = _VERSION.match(offered)
    if found is None:
        path = "MessageHeader"
        allowed = "a version such as " + VERSIONS[-1]
        raise Malformed(path, "ProtocolVersion", f"{offered[:40]!r} is none", allowed)
    theirs = (int(found[1]), int(found[2]))
    known = [each for each in VERSIONS if _numbers(each) <= theirs]
    if not known:
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            f"ProtocolVersion {offered[:40]} is not spoken here; {' and '.join(VERSIONS)} are.",
        )
    return known[-1]


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


# --- login ------------------------------------------------------------------------------------


async def login(visit: Visit) -> LoginResponse:
    """Open the till's session at the terminal, in place of an earlier one.

    What the till has under way there is called off first. Raises `Refused`: `Busy` when that is
    too late, `UnavailableService` when no version is common, `MessageFormat`; and `Conflict` where
    too many tills are in training.
    """
    body, context = visit.body, visit.context
    assert isinstance(body, LoginRequest)
    said = _said(body, agreed_version(visit.header.protocol_version))
    unresolved = await _call_off_own(visit)
    await context.engine.open_session(
        Session(
            terminal_id=visit.terminal.id,
            dialect=DIALECT,
            register=visit.header.sale_id,
            opened_at=context.clock.now(),
            detail=detail_of(said),
        ),
        is_training,
    )
    words = " ".join(each for each in (_exchanged(visit, body), unresolved) if each)
    return LoginResponse(
        response=msgspec.structs.replace(SUCCESS, additional_response=words or None),
        poi_system_data=await _system_data(visit, body),
    )


def _said(body: LoginRequest, version: str) -> Login:
    """What the till said of itself. Raises `Refused` where a text cannot be kept."""
    data = body.sale_terminal_data
    capabilities = data.sale_capabilities if data else ()
    return Login(
        operator=text_of(_PATH, "OperatorID", body.operator_id),
        shift=text_of(_PATH, "ShiftNumber", body.shift_number),
        totals_group=text_of(
            f"{_PATH}.SaleTerminalData", "TotalsGroupID", data.totals_group_id if data else None
        ),
        language=body.operator_language.lower(),
        training=bool(body.training_mode_flag),
        capabilities=tuple(each for each in Capability if each in capabilities)
        if capabilities
        else None,
        version=version,
    )


def _exchanged(visit: Visit, body: LoginRequest) -> str:
    """What to say to a till that knows the terminal by another serial number than it has."""
    known, serial = body.poi_serial_number, visit.terminal.serial
    if not known or known == serial:
        return ""
    return f"The terminal was exchanged: its serial number is {serial} now, not {known[:40]}."


# --- what the till has under way ----------------------------------------------------------------


async def _call_off_own(visit: Visit) -> str:
    """Call off what the till has under way at the terminal: a Login is its last resort. Of a
    transaction whose outcome nobody knows, the words that say so. Raises `Refused` (`Busy`)."""
    await put_away(visit)
    for dialogue in _others_of_till(visit):
        if dialogue.transaction_id is not None:
            continue
        dialogue.aborted = True  # what is only being accepted sees the mark
        if dialogue.work is not None:
            dialogue.work.cancel()
            await asyncio.wait([dialogue.work], timeout=CALLED_OFF_WITHIN)
    running = _transaction_of_till(visit)
    if running is None:
        return ""
    # Of one that is UNKNOWN already the engine does not even ask the terminal.
    await visit.context.engine.abort(running.id)
    running = await visit.context.engine.find(running.id) or running
    if running.is_final:
        return ""
    if running.state is State.UNKNOWN:
        return (
            f"The outcome of your payment {running.reference!r} is not known yet. Ask for it with "
            "TransactionStatus, and do not send it again."
        )
    raise Refused(
        ErrorCondition.BUSY,
        f"Your payment {running.reference!r} is beyond being aborted. Wait for its response, or "
        "ask for it with TransactionStatus; then log in.",
    )


def _others_of_till(visit: Visit) -> list[Dialogue]:
    return [
        each
        for each in visit.context.dialogues.at(visit.terminal.id)
        if each is not visit.dialogue and each.sale_id == visit.header.sale_id
    ]


def _transaction_of_till(visit: Visit) -> Transaction | None:
    """The till's own transaction that holds the terminal."""
    holder = visit.context.engine.open_transaction(visit.terminal.id)
    if holder is None or (holder.dialect, holder.register) != (DIALECT, visit.header.sale_id):
        return None
    return holder


# --- logout -----------------------------------------------------------------------------------


async def logout(visit: Visit) -> LogoutResponse:
    """End the till's session at the terminal; a success, too, where there was none. Raises
    `Refused` (`Busy`) while the till has something under way there, but for a payment whose outcome
    nobody knows: that may last until after the shop has closed."""
    assert isinstance(visit.body, LogoutRequest)
    running = _transaction_of_till(visit)
    unknown = running.id if running and running.state is State.UNKNOWN else ""
    waiting = [each for each in _others_of_till(visit) if each.transaction_id != unknown]
    if waiting or (running is not None and not unknown):
        raise Refused(
            ErrorCondition.BUSY,
            "One of your services is still running at this terminal. Wait for its response, or "
            "abort it; then log out.",
        )
    await put_away(visit)
    engine = visit.context.engine
    await engine.close_session(visit.terminal.id, DIALECT, visit.header.sale_id)
    return LogoutResponse(response=SUCCESS)


# --- what the terminal is -----------------------------------------------------------------------

_CARDS: Final = (Capability.MAG_STRIPE, Capability.ICC, Capability.EMV_CONTACTLESS)
_DEVICES: Final = {
    Ability.SHOW: (Capability.CUSTOMER_DISPLAY,),
    Ability.ASK: (Capability.CUSTOMER_INPUT,),
    Ability.PRINT: (
        Capability.PRINTER_RECEIPT,
        Capability.PRINTER_DOCUMENT,
        Capability.PRINTER_VOUCHER,
    ),
}
_STANDARD: Final = frozenset({Ability.SHOW, Ability.ASK, Ability.PRINT, Ability.READ_CARD})
_RESERVING: Final = frozenset({TransactionType.PREAUTH, TransactionType.CAPTURE})


async def _system_data(visit: Visit, body: LoginRequest) -> POISystemData:
    capabilities = visit.context.engine.capabilities(visit.terminal.id)
    data = body.sale_terminal_data
    environment = data.terminal_environment if data else None
    status, _ = await status_of(visit.context.engine, visit.terminal)
    return POISystemData(
        date_time=moment(visit.context.clock.now()),
        poi_software=POISoftware(
            provider_identification="tillwire",
            application_name="tillwire",
            software_version=__version__,
            # Version 3.0 of the protocol requires one, and its clients rely on it.
            certification_code="none",
        ),
        poi_terminal_data=POITerminalData(
            terminal_environment=environment or TerminalEnvironment.ATTENDED.value,
            poi_capabilities=_devices(capabilities),
            poi_profile=_profile(capabilities),
            poi_serial_number=visit.terminal.serial,
        ),
        poi_status=status,
        token_request_status=False if body.token_requested_type else None,
    )


def _devices(capabilities: Capabilities) -> tuple[str, ...]:
    """Every terminal that takes payments is told as reading all kinds of cards: drivers do not
    say which."""
    found = [
        each
        for ability, devices in _DEVICES.items()
        if ability in capabilities.errands
        for each in devices
    ]
    return tuple(each.value for each in (*found, *(_CARDS if capabilities.types else ())))


def _profile(capabilities: Capabilities) -> POIProfile:
    standard = capabilities.errands >= _STANDARD
    reserving = capabilities.types >= _RESERVING
    return POIProfile(
        generic_profile=(GenericProfile.STANDARD if standard else GenericProfile.BASIC).value,
        service_profiles=(ServiceProfile.ONE_TIME_RES.value, ServiceProfile.RESERVATION.value)
        if reserving
        else (),
    )
