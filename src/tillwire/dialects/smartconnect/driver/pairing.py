"""Pairing: a terminal shows a code, and a cloud links our register with it (source 002).

A code works once, so the request goes out once, and a lost answer is told as one. The cloud alone
keeps the link.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.ports import HttpClient
from tillwire.dialects.smartconnect.driver.cloud import FORM, check_taken
from tillwire.dialects.smartconnect.driver.settings import DriverSettings
from tillwire.dialects.smartconnect.wire import pairing
from tillwire.dialects.smartconnect.wire.pairing import PairingRequest
from tillwire.errors import AnswerLost, Conflict, RemoteProtocolError


async def pair(client: HttpClient, code: str, settings: DriverSettings, name: str) -> None:
    """Link the register of the settings with the terminal that shows the code; `name` is for its
    screen. Raises `InvalidRequest` for what is no code, `Refused`, `NotDelivered`, `AnswerLost`."""
    request = PairingRequest(
        registration=settings.registration, register_name=settings.register_name or name
    )
    response = await client.request(
        "PUT",
        settings.url + pairing.path(code),
        headers=FORM,
        body=pairing.write(request),
        timeout=settings.answer_seconds,
        connect_within=settings.connect_seconds,
        limit=pairing.LARGEST_ANSWER,
    )
    check_taken(response)
    try:
        if response.status != 200:
            raise RemoteProtocolError(f"The cloud answered {response.status}.")
        pairing.check_success(response.body)
    except RemoteProtocolError as error:
        raise AnswerLost(
            f"{error.detail} See on the terminal whether it is paired; if not, use a new code."
        ) from None


def check_alone(terminal: Terminal, others: Iterable[Terminal]) -> None:
    """Raise `Conflict` when another terminal is reached as the same register: a register has one
    terminal, so pairing this one would unpair the other, and payments for it would come here."""
    for other in others:
        if (
            other.id != terminal.id
            and other.driver == terminal.driver
            and other.lifecycle is not Lifecycle.REMOVED
            and _register(other) == _register(terminal)
        ):
            raise Conflict(
                f"{other.name} is the same register. A register has one terminal: give each "
                "terminal a register_id of its own."
            )


def _register(terminal: Terminal) -> tuple[Any, ...]:  # Any: settings as the estate has them
    return tuple(terminal.settings.get(each) for each in ("url", "vendor_name", "register_id"))
