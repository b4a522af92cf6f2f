"""How the terminal is: Diagnosis, in all three bindings."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.nexo.driver import poi
from tests.unit.nexo.driver.poi import Poi, Send, fail
from tests.unit.nexo.driver.till import till
from tillwire.core.ports import TerminalStatus
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire import Message
from tillwire.dialects.nexo.wire.services import DiagnosisResponse

BINDINGS: Final[dict[str, dict[str, Any]]] = {"tcp": {}, "held": {"tls": False}, "http": {}}


@pytest.mark.parametrize("binding", BINDINGS)
@virtual()
async def test_a_terminal_that_is_well(binding: str) -> None:
    counter = await till(binding, **BINDINGS[binding])
    assert await counter.driver.status() == TerminalStatus(True)
    (question,) = counter.poi.heard
    assert question.header.protocol_version == "3.1"  # it is allowed without a login


@pytest.mark.parametrize(
    ("status", "reachable", "words"),
    [
        ({"GlobalStatus": "Busy"}, True, "Busy"),
        ({"GlobalStatus": "OK", "PrinterStatus": "PaperLow"}, True, "printer: PaperLow"),
        ({"GlobalStatus": "OK", "PrinterStatus": "OK"}, True, ""),
        (
            {"GlobalStatus": "Maintenance", "CardReaderOKFlag": False, "PEDOKFlag": False},
            True,
            "Maintenance, the card reader is broken, the PIN pad is broken",
        ),
        ({"GlobalStatus": "OK", "CommunicationOKFlag": False}, True, "it has no line to its host"),
        ({"GlobalStatus": "Unreachable"}, False, "Unreachable"),
    ],
)
@virtual()
async def test_what_a_terminal_says_of_itself(
    status: dict[str, Any], reachable: bool, words: str
) -> None:
    counter = await till()

    async def act(there: Poi, message: Message, send: Send) -> None:
        members = {"Response": {"Result": "Success"}, "POIStatus": status}
        body = msgspec.convert(members, type=DiagnosisResponse)
        await send(Message(header=wire.response_header(message.header), body=body))

    counter.poi.will("Diagnosis", act)
    assert await counter.driver.status() == TerminalStatus(reachable, words)


@virtual()
async def test_a_terminal_that_does_not_say() -> None:
    counter = await till()
    counter.poi.will("Diagnosis", fail("UnavailableService", words="not here"))
    assert await counter.driver.status() == TerminalStatus(True, "UnavailableService: not here")


@pytest.mark.parametrize("act", [poi.hang_up, poi.wait(60), poi.event("Reject")])
@virtual()
async def test_a_terminal_that_does_not_answer_is_not_reachable(act: poi.Act) -> None:
    counter = await till()
    counter.poi.will("Diagnosis", act)
    status = await counter.driver.status()
    assert not status.reachable
    assert status.detail
