"""One message of a till from its arrival to its answer: done once, refused, or recognised.

A service that is remembered (`memory.REMEMBERED`) is done once under its ServiceID, over 48 hours
and whatever restarts. Its exchange is committed before anything is done: by the engine together
with the transaction if it asks for money, else here. What was refused is remembered, too, with its
answer. So whoever sends a message twice, even at the very same moment over two connections, finds
out by the one unique place in the journal, and is told

    the same, still running      Failure/InProgress
    the same, finished           Failure/NotAllowed, or its stored answer, as the settings say
    another one                  Failure/NotAllowed

What is not remembered asks, or may be repeated without harm.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

import msgspec

from tillwire.clock import utc
from tillwire.core.estate_model import Terminal
from tillwire.core.exchanges import UNIQUE_FOR, Repeated
from tillwire.core.model import Exchange
from tillwire.core.occupancy import busy
from tillwire.dialects.nexo.face import payments, refusals
from tillwire.dialects.nexo.face.context import DIALECT, Context, Handler, Refused, Rejected, Visit
from tillwire.dialects.nexo.face.handlers import ALWAYS
from tillwire.dialects.nexo.face.incoming import Incoming
from tillwire.dialects.nexo.face.memory import REMEMBERED, answer_of, text_of
from tillwire.dialects.nexo.wire import Body
from tillwire.dialects.nexo.wire.header import MessageHeader
from tillwire.dialects.nexo.wire.values import ErrorCondition
from tillwire.errors import JournalError, TillwireError

_USE_STATUS: Final = "TransactionStatus tells its answer."


class Reception:
    """Receives one message."""

    def __init__(
        self,
        context: Context,
        incoming: Incoming,
        header: MessageHeader,
        terminal: Terminal | None = None,
    ) -> None:
        """`terminal` is the one that it is for; None when there is none: it can only be refused
        then, and is not remembered."""
        self._context = context
        self._incoming = incoming
        self._header = header
        self._terminal = terminal

    def draft(self) -> Exchange | None:
        """As what the message is to be remembered, if it is."""
        terminal, header = self._terminal, self._header
        if terminal is None or header.message_category not in REMEMBERED:
            return None
        assert header.service_id is not None, "a service has a ServiceID"
        return Exchange(
            organisation_id=terminal.organisation_id,
            terminal_id=terminal.id,
            dialect=DIALECT,
            register=header.sale_id,
            number=header.service_id,
            kind=header.message_category,
            digest=self._incoming.digest,
            at=self._context.clock.now(),
        )

    # --- doing it -----------------------------------------------------------------------------

    async def pay(self, visit: Visit) -> Body:
        """A Payment or Reversal, up to its end. The dialogue of the visit is under way."""
        try:
            self._check_session(visit)
            taken = await payments.take(visit)
        except Repeated as repeated:
            return await self.repeated(repeated.earlier, visit)
        except TillwireError as error:
            return await self.refuse(error, visit)
        if not isinstance(taken, tuple):
            return taken
        return await payments.outcome(visit, *taken)

    async def serve(self, visit: Visit, handler: Handler) -> Body | Rejected | None:
        """Everything else. Runs in a task of its own, and ends the visit's dialogue, if it has
        one."""
        try:
            return await self._serve(visit, handler)
        except Rejected as rejected:  # as a value: the caller may be gone
            return rejected
        finally:
            if visit.dialogue is not None:
                self._context.dialogues.end(visit.dialogue)

    async def _serve(self, visit: Visit, handler: Handler) -> Body | None:
        try:
            self._check_session(visit)
            if visit.exchange is not None:
                exchange = await self._context.engine.begin_exchange(visit.exchange)
                visit = replace(visit, exchange=exchange)
        except Repeated as repeated:
            return await self.repeated(repeated.earlier, visit)
        except TillwireError as error:
            return await self.refuse(error, visit)
        try:
            body = await self._run(visit, handler)
        except Rejected:
            raise
        except TillwireError as error:
            body = self.refusal(error)
        if visit.exchange is not None and body is not None:
            number, answer = visit.exchange.id, text_of(self._header, body)
            await payments.insisting(lambda: self._context.engine.answer_exchange(number, answer))
        return body

    async def _run(self, visit: Visit, handler: Handler) -> Body | None:
        """What the handler says. An Abort may cancel it."""
        dialogue = visit.dialogue
        if dialogue is None:
            return await handler(visit)
        await self._check_free(visit)
        aborted = Refused(ErrorCondition.ABORTED, "It was called off.")
        if dialogue.aborted:
            raise aborted
        dialogue.work = work = asyncio.ensure_future(handler(visit))
        try:
            await asyncio.wait({work})
        finally:
            if not work.done():  # the gateway stops
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        if work.cancelled() and dialogue.aborted:
            raise aborted
        return work.result()

    def _check_session(self, visit: Visit) -> None:
        wanted = self._context.settings.login_required
        if wanted and visit.session is None and self._header.message_category not in ALWAYS:
            raise Refused(ErrorCondition.LOGGED_OUT, "There is no session: send a Login first.")

    async def _check_free(self, visit: Visit) -> None:
        """One service dialogue at a time. Who came first goes on."""
        holder = self._context.engine.open_transaction(visit.terminal.id)
        if holder is not None:
            raise await payments.in_the_way(visit, busy(holder))
        assert visit.dialogue is not None
        first = self._context.dialogues.before(visit.dialogue)
        if first is None:
            return
        if first.sale_id == visit.header.sale_id:
            raise Refused(
                ErrorCondition.NOT_ALLOWED,
                f"A service dialogue is in progress: {first.category} {first.number}.",
            )
        raise Refused(
            ErrorCondition.BUSY, f"The terminal is busy with a {first.category} of another till."
        )

    # --- not doing it -------------------------------------------------------------------------

    def refusal(self, error: TillwireError) -> Body:
        """The body of the response that says what went wrong. Raises `Rejected` where there is no
        response."""
        said = refusals.response(error, self._terminal, self._incoming.root)
        asked = self._incoming.message.body if self._incoming.message else None
        category, sale = self._header.message_category, self._incoming.sale
        body = refusals.body(category, said, asked, sale, self._context.clock)
        if body is None:
            raise Rejected(said.additional_response or "")
        return body

    async def refuse(self, error: TillwireError, visit: Visit | None = None) -> Body:
        """The same, remembered where the message is. Raises `Rejected`."""
        draft = self.draft()
        if draft is None:
            return self.refusal(error)
        if isinstance(error, JournalError):
            words = f"{error} Nothing was done. A new try needs a new ServiceID."
            busy = self.refusal(Refused(ErrorCondition.BUSY, words))
            return await self._unwritten(error, draft, visit, otherwise=busy)
        body = self.refusal(error)
        answered = msgspec.structs.replace(
            draft, answer=text_of(self._header, body), answered_at=draft.at
        )
        try:
            await self._context.engine.begin_exchange(answered)
        except Repeated as repeated:
            return await self.repeated(repeated.earlier, visit)
        except JournalError as failing:
            return await self._unwritten(failing, draft, visit, otherwise=body)
        return body

    async def _unwritten(
        self, error: JournalError, draft: Exchange, visit: Visit | None, *, otherwise: Body
    ) -> Body:
        """What to say when the journal takes nothing: `otherwise`, unless the message was sent
        before. It invites to a try under another number, and nobody may be who has."""
        try:
            earlier = await self._context.engine.exchange(
                draft.terminal_id, draft.dialect, draft.register, draft.number
            )
        except JournalError:
            return self._not_again(
                ErrorCondition.IN_PROGRESS,
                f"{error} Nothing was done now. Whether this message came before cannot be read; "
                "TransactionStatus tells as soon as it can.",
            )
        if earlier is not None and draft.at - earlier.at <= UNIQUE_FOR:
            return await self.repeated(earlier, visit)
        return otherwise

    async def repeated(self, earlier: Exchange, visit: Visit | None) -> Body:
        """The answer to a message whose ServiceID was used before."""
        which = f"ServiceID {earlier.number}"
        if (earlier.kind, earlier.digest) != (
            self._header.message_category,
            self._incoming.digest,
        ):
            since = utc(earlier.at).isoformat(timespec="seconds")
            return self._not_again(
                ErrorCondition.NOT_ALLOWED,
                f"{which} was used for another {earlier.kind} at {since}. Every message needs a "
                "ServiceID of its own. Nothing was done.",
            )
        try:
            found = await answer_of(self._context, earlier)
        except JournalError as error:
            return self._not_again(ErrorCondition.IN_PROGRESS, f"{error} {_USE_STATUS}")
        if found is None and self._is_running(earlier, visit):
            return self._not_again(
                ErrorCondition.IN_PROGRESS,
                f"This message is being served already under {which}; its answer comes where it "
                f"was sent first. {_USE_STATUS}",
            )
        if found is not None and self._context.settings.repeat_answers:
            return found.body
        return self._not_again(
            ErrorCondition.NOT_ALLOWED,
            f"This message was answered before under {which}, and is not done again. {_USE_STATUS} "
            "A new try needs a new ServiceID.",
        )

    def _not_again(self, condition: ErrorCondition, words: str) -> Body:
        return self.refusal(Refused(condition, words))

    def _is_running(self, earlier: Exchange, visit: Visit | None) -> bool:
        """Whether what came before goes on: as a transaction, or as a dialogue of its own."""
        if earlier.transaction_id is not None:
            return True
        place = earlier.terminal_id, earlier.register, earlier.number
        first = self._context.dialogues.find(*place, earlier.kind)
        return first is not None and (visit is None or first is not visit.dialogue)
