"""The link to one terminal: who speaks to whom, under which numbers, and questions that move no
money and may be repeated (status, login, diagnosis).

It keeps no state that must survive: whether this gateway has logged in since it began is found out
again by asking.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from tillwire.core.estate_model import Terminal
from tillwire.core.ports import Clock, Inbox
from tillwire.dialects.nexo.driver import pos
from tillwire.dialects.nexo.driver.conversation import Conversation, Shown
from tillwire.dialects.nexo.driver.dialling import Lines, Network
from tillwire.dialects.nexo.driver.settings import DriverSettings, LoginRule
from tillwire.dialects.nexo.wire import Body, Message
from tillwire.dialects.nexo.wire.services import (
    AbortRequest,
    DiagnosisRequest,
    DiagnosisResponse,
    EventNotification,
    LoginRequest,
    LoginResponse,
)
from tillwire.dialects.nexo.wire.shared import MessageReference, SaleSoftware, SaleTerminalData
from tillwire.dialects.nexo.wire.values import (
    EventToNotify,
    MessageCategory,
    Result,
    TerminalEnvironment,
)
from tillwire.errors import AnswerLost, PeerError, RemoteProtocolError
from tillwire.version import __version__

B = TypeVar("B")

SOFTWARE: Final = "tillwire"
MOST_BEFORE_EVENT: Final = 20
"""Messages after an Abort among which its event may be."""


class Rejected(PeerError):
    """The terminal could not accept a message."""


class LoginRefused(PeerError):
    """The terminal does not let us log in."""


class Link:
    """Asks one terminal."""

    def __init__(
        self,
        terminal: Terminal,
        settings: DriverSettings,
        inbox: Inbox,
        clock: Clock,
        network: Network,
    ) -> None:
        self.settings = settings
        self.poi_id = settings.poi_id or f"{terminal.model}-{terminal.serial}"
        self.clock = clock
        self._inbox = inbox
        self._lines = Lines(settings, clock, network)
        self._series = f"nexo {settings.sale_id} {self.poi_id}"
        self.logged_in = False
        """Whether this process has opened a session."""

    # --- messages -----------------------------------------------------------------------------

    async def number(self) -> str:
        """A ServiceID or DeviceID that was never used before between these two."""
        number = await self._inbox.number(self._series)
        return pos.number_text(number, self.settings.longest_service_id)

    def message(self, body: Body, number: str) -> Message:
        """A request of ours under this number."""
        category = type(body).__name__.removesuffix("Request")
        return Message(header=pos.header(self.settings, self.poi_id, category, number), body=body)

    @asynccontextmanager
    async def talk(
        self, request: Message, shown: Shown, seconds: float
    ) -> AsyncIterator[Conversation]:
        """A conversation that begins with this request, whose answer is waited for so long."""
        line = await self._lines.open(seconds)
        conversation = Conversation(line, request, shown)
        try:
            yield conversation
        finally:
            await conversation.close()

    # --- questions ----------------------------------------------------------------------------

    async def ask(self, body: Body, answer: type[B]) -> B:
        """The response to a question. Raises `NotDelivered`, `AnswerLost`, `Refused`,
        `Rejected`."""
        request = self.message(body, await self.number())
        seconds = self.settings.answer_seconds
        try:
            async with asyncio.timeout(seconds), self.talk(request, _unseen, seconds) as talk:
                await talk.send(_whenever)
                heard = (await talk.answer()).body
        except TimeoutError:
            category = request.header.message_category
            raise AnswerLost(f"No answer to a {category} within {seconds:g} s.") from None
        if isinstance(heard, EventNotification):
            raise Rejected(heard.event_details or heard.event_to_notify)
        assert isinstance(heard, answer), "a conversation returns the response to its request"
        return heard

    async def log_in(self) -> None:
        """Open a session. Raises `LoginRefused`, and what `ask` raises."""
        settings = self.settings
        body = LoginRequest(
            date_time=pos.stamp(self.clock.now()),
            sale_software=SaleSoftware(
                provider_identification=SOFTWARE,
                application_name=SOFTWARE,
                software_version=__version__,
                certification_code=SOFTWARE,
            ),
            sale_terminal_data=SaleTerminalData(
                terminal_environment=TerminalEnvironment.ATTENDED.value,
                sale_capabilities=settings.capabilities,
            ),
            operator_language=settings.language,
            operator_id=settings.operator or None,
        )
        response = (await self.ask(body, LoginResponse)).response
        if response.result == Result.FAILURE:
            condition = response.error_condition or ""
            raise LoginRefused(f"{condition}: {response.additional_response or ''}".strip(": "))
        self.logged_in = True

    async def log_in_first(self) -> None:
        """Open a session, if that is to be done before anything else and was not yet."""
        if self.settings.login is LoginRule.FIRST and not self.logged_in:
            await self.log_in()

    @property
    def may_log_in(self) -> bool:
        """Whether a login is allowed."""
        return self.settings.login is not LoginRule.NEVER

    async def diagnose(self) -> DiagnosisResponse:
        """How the terminal is. Raises what `ask` raises."""
        return await self.ask(DiagnosisRequest(host_diagnosis_flag=False), DiagnosisResponse)

    # --- calling off --------------------------------------------------------------------------

    async def abort_request(self, reference: MessageReference) -> Message:
        """An Abort of that message."""
        return self.message(pos.abort_request(reference), await self.number())

    async def abort(self, request: Message, seconds: float) -> bool:
        """Send an Abort over a line of its own. Whether the terminal said, within so many seconds,
        that it came too late or is of nothing that it knows. Raises `NotDelivered`, `AnswerLost`,
        `Refused`."""
        assert isinstance(request.body, AbortRequest), "this is for Aborts"
        line = await self._lines.open(seconds)
        try:
            async with asyncio.timeout(seconds):
                await line.send(request, _whenever)
                for _ in range(MOST_BEFORE_EVENT):
                    body = (await line.receive()).body
                    if isinstance(body, EventNotification) and body.event_to_notify in _TOO_LATE:
                        return True
        except (TimeoutError, AnswerLost, RemoteProtocolError):
            # An Abort has no answer: an empty one, a bare `ok` and silence are the same.
            return False
        finally:
            await line.close()
        return False


_TOO_LATE: Final = frozenset({EventToNotify.COMPLETED, EventToNotify.REJECT})


async def _unseen(text: str) -> None:
    """Of what a terminal shows during a question."""


def _whenever() -> None:
    """A question may be written at any time."""


def reference_of(request: Message) -> MessageReference:
    """A message of ours, for an Abort."""
    header = request.header
    return MessageReference(
        message_category=MessageCategory(header.message_category).value,
        service_id=header.service_id,
        device_id=header.device_id,
        sale_id=header.sale_id,
        poi_id=header.poi_id,
    )
