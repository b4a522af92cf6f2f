"""Errands on a nexo terminal: each an exchange of its own, which moves no money.

Requests and readings are `errand_messages.py`'s; here is what becomes of them on the line.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from tillwire.core.errands import Ability, AskLast, Errand, ErrandFailed, Result, Trouble
from tillwire.dialects.nexo.driver.conversation import Conversation
from tillwire.dialects.nexo.driver.errand_messages import (
    failure_of,
    request_of,
    response_of,
    result_of,
)
from tillwire.dialects.nexo.driver.lines import Refused
from tillwire.dialects.nexo.driver.link import Link, reference_of
from tillwire.dialects.nexo.driver.reading import LOG_IN
from tillwire.dialects.nexo.driver.settings import (
    AbortConnection,
    Binding,
    DriverSettings,
    Resource,
)
from tillwire.dialects.nexo.wire import Body, Message
from tillwire.dialects.nexo.wire.services import EventNotification
from tillwire.dialects.nexo.wire.values import ErrorCondition, MessageCategory
from tillwire.errors import JournalError, PeerError

ABORT_WITHIN: Final = 2.0
"""Seconds for calling off what nobody waits for any more."""

_ABORTABLE: Final = frozenset(
    {
        MessageCategory.CARD_ACQUISITION,
        MessageCategory.DISPLAY,
        MessageCategory.INPUT,
        MessageCategory.PRINT,
        MessageCategory.RECONCILIATION,
    }
)
"""What an Abort may name, of the messages that errands are (nexo Sale-to-POI 3.1)."""
_RESOURCES: Final = {
    Resource.DISPLAY: Ability.SHOW,
    Resource.PRINT: Ability.PRINT,
    Resource.INPUT: Ability.ASK,
    Resource.TOTALS: Ability.COUNT,
}
ALL: Final = frozenset(Ability) - {Ability.REPRINT}
"""A nexo terminal prints what it is given (Print), and hands its last receipt to the till
(TransactionStatus with ReceiptReprintFlag); nothing makes it print that one by itself."""
_BY_POLLING: Final = frozenset({Ability.READ_CARD, Ability.BALANCE, Ability.UPDATE, Ability.LAST})


def abilities(settings: DriverSettings) -> frozenset[Ability]:
    """What the binding has a way for."""
    if settings.binding is not Binding.HTTP:
        return ALL
    extra = (_RESOURCES.get(each) for each in settings.extra_resources)
    return _BY_POLLING | {each for each in extra if each is not None}


class Errands:
    """Runs errands on one terminal."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        """Run it. Called off at the terminal when the caller is cancelled, or nobody acts for too
        long. Raises `ErrandFailed`, `PeerError`."""
        if not isinstance(errand, AskLast):
            await self._link.log_in_first()
        body = await self._exchanged(errand, tell)
        if self._wants_login(errand, response_of(body).error_condition):
            await self._link.log_in()
            body = await self._exchanged(errand, tell)
        response = response_of(body)
        if isinstance(errand, AskLast) and response.error_condition == ErrorCondition.NOT_FOUND:
            return None
        if (failure := failure_of(response)) is not None:
            raise failure
        return result_of(errand, body)

    def _wants_login(self, errand: Errand, condition: str | None) -> bool:
        """Whether it was refused for want of a login. The last transaction is asked for without
        one, also beside an UNKNOWN: a terminal that is still at work on that may drop it for a
        Login."""
        link = self._link
        if isinstance(errand, AskLast) and condition in LOG_IN and not link.logged_in:
            return link.may_log_in
        return condition == ErrorCondition.LOGGED_OUT and link.may_log_in

    async def _exchanged(self, errand: Errand, tell: Callable[[str], None]) -> Body:
        link, settings = self._link, self._link.settings
        number = await link.number()
        request = link.message(request_of(errand, settings, number, link.clock.now()), number)

        async def shown(text: str) -> None:
            tell(text)

        seconds = settings.outcome_seconds
        try:
            async with asyncio.timeout(seconds), link.talk(request, shown, seconds) as talk:
                return await self._answered(request, talk)
        except TimeoutError:
            words = f"Nothing came of it within {seconds:g} seconds."
            raise ErrandFailed(Trouble.TIMED_OUT, words) from None
        except Refused as refusal:
            trouble = Trouble.REFUSED if refusal.at_the_door else Trouble.BUSY
            raise ErrandFailed(trouble, refusal.detail) from refusal

    async def _answered(self, request: Message, talk: Conversation) -> Body:
        try:
            await talk.send(_whenever)
            body = (await talk.answer()).body
        except asyncio.CancelledError:
            await self._call_off(request, talk)
            raise
        if isinstance(body, EventNotification):
            raise ErrandFailed(Trouble.REFUSED, body.event_details or body.event_to_notify)
        return body

    async def _call_off(self, request: Message, talk: Conversation) -> None:
        """Tell the terminal that nobody waits any more, where the protocol has a way."""
        if request.header.message_category not in _ABORTABLE:
            return
        link = self._link
        same = link.settings.abort_over is AbortConnection.SAME
        with contextlib.suppress(PeerError, JournalError, TimeoutError):
            async with asyncio.timeout(ABORT_WITHIN):
                abort = await link.abort_request(reference_of(request))
                if link.settings.binding is Binding.TCP and same:
                    await talk.tell(abort)
                else:
                    await link.abort(abort, ABORT_WITHIN)


def _whenever() -> None:
    """An errand may be begun at any time."""
