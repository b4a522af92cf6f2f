"""The driver of a SmartPOS behind its cloud: any till pays there by Payment Bridge (source 000).

Here is the order of things: the device that stands at the TID, what must be remembered into the
journal, the order out while it may go, and the wait for what the terminal tells (`callbacks.py`) or
the cloud lists (`ladder.py`). README.md tells it in prose, with what is assumed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.entries import Entry, Lists
from tillwire.core.errands import Ability, AskLast, Errand, Result
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Evidence, Outcome, Transaction, Verdict
from tillwire.core.ports import (
    AbortResult,
    Absent,
    CannotTell,
    Capabilities,
    Clock,
    Found,
    Inbox,
    Progress,
    Sign,
    TerminalStatus,
)
from tillwire.dialects.paymentbridge.driver import orders
from tillwire.dialects.paymentbridge.driver.books import CloudBooks
from tillwire.dialects.paymentbridge.driver.cloud import Clouds, Refused
from tillwire.dialects.paymentbridge.driver.ladder import Ladder
from tillwire.dialects.paymentbridge.driver.orders import Order, Way
from tillwire.dialects.paymentbridge.driver.outcome import LONGEST_REASON, outcome_of
from tillwire.dialects.paymentbridge.driver.settings import DriverSettings
from tillwire.dialects.paymentbridge.wire.objects import read_transaction
from tillwire.dialects.paymentbridge.wire.outcomes import Operation, of_transactions
from tillwire.dialects.paymentbridge.wire.places import StoreDevice
from tillwire.errors import (
    AnswerLost,
    ConfigurationError,
    JournalError,
    NotDelivered,
    PeerError,
    Proof,
    RemoteProtocolError,
    Unsupported,
)
from tillwire.estate.driver_settings import settings_of

OTHER_DEVICE: Final = frozenset({"STORE_DEVICE_NOT_FOUND", "STORE_DEVICE_NOT_ACTIVATED"})
"""Refusals after which the TID may have another device."""
NO_PROOF: Final = frozenset(
    {"REQUEST_ID_DUPLICATE", "REQUEST_IN_PROGRESS", "TXN_DUPLICATE", "TXN_ALREADY_EXISTS"}
    | {"TXN_ALREADY_CAPTURED", "TXN_ALREADY_REFUNDED", "TXN_ALREADY_VOIDED"}
    | {"PROCESSOR_TIMEOUT", "PROCESSOR_DETECTED_DUP"}
)
"""Refusals that a doubled delivery of the same request could have caused, or behind which it may
have been done."""
UNCLEAR: Final = frozenset({408, 409, 425, 499})
"""Statuses below 500 that do not say that nothing was taken."""
DECLINED: Final = "PROCESSOR_DECLINED"
SLOWER: Final = 1.5
"""By which the pause between two questions grows."""


class PaymentBridgeDriver:
    """Reaches one terminal through its cloud."""

    def __init__(self, terminal: Terminal, inbox: Inbox, clock: Clock, clouds: Clouds) -> None:
        """`clouds` are shared by all such drivers. Raises `ConfigurationError` when the terminal's
        settings do not fit."""
        self.settings = settings_of(terminal, DriverSettings)
        if not terminal.tid:
            raise ConfigurationError(f"{terminal.name} needs a tid: it is found by it.")
        self._terminal = terminal
        self._inbox = inbox
        self._clock = clock
        self._clouds = clouds
        self._cloud = clouds.of(self.settings)
        self._ladder = Ladder(clouds, self.settings, inbox, clock, terminal.name)
        self._books = CloudBooks(self._cloud, self.settings, inbox, clock, terminal)

    @property
    def capabilities(self) -> Capabilities:
        """What the cloud has a way for. Nothing can be called off."""
        return Capabilities(
            types=orders.TYPES,
            outcome_within=self.settings.final_within,
            send_within=self.settings.send_seconds,
            errands=frozenset({Ability.LAST}),
            lists=Lists.WHOLE,
        )

    # --- a transaction --------------------------------------------------------------------------

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        """Carry it to its end. Raises `NotDelivered` with a proof, or `AnswerLost`."""
        original = None
        if transaction.original_id is not None:
            original = await self._inbox.find(transaction.original_id)
        order = orders.new_order(transaction, original, self.settings)
        if order.way is Way.REST:
            await progress(Sign(peer=order.peer))
            return await self._by_the_cloud(transaction, order)
        order = await self._to_the_terminal(transaction, order, progress)
        return await self._heard_or_found(transaction, order)

    async def _to_the_terminal(
        self, transaction: Transaction, order: Order, progress: Progress
    ) -> Order:
        """Have the cloud take the order, for the device that it does not refuse."""
        callback_url = self._callback_url(transaction)
        device = await self._device()
        while True:
            order = msgspec.structs.replace(order, device=device)
            await progress(Sign(peer=order.peer))
            try:
                await self._cloud.command(
                    "/cloudMessages",
                    orders.message(transaction, order, self.settings, callback_url),
                    self.settings,
                    request_id=orders.message_id(order),
                    seconds=self.settings.request_seconds,
                    ready=lambda: self._check_in_time(transaction),
                )
                return order
            except Refused as refusal:
                _check_proves(refusal)
                other = await self._other_device(device, refusal)
                if not other:
                    raise NotDelivered(str(refusal), Proof.REFUSED_BY_PEER) from refusal
                # The cloud has not taken it for a device that is not there: it may go to the other.
                device = other

    def _callback_url(self, transaction: Transaction) -> str:
        if not self.settings.callback_url:
            return ""
        try:
            token = self._clouds.addresses.token(transaction.id)
        except JournalError as error:
            raise NotDelivered(f"There is no address for callbacks. {error}") from error
        return f"{self.settings.callback_url}/{token}"

    async def _device(self) -> str:
        """The device that stands at the terminal's TID. Raises `NotDelivered`."""
        try:
            device = await self._cloud.device(self._terminal.tid, self.settings)
        except PeerError as error:
            raise NotDelivered(f"The cloud does not tell which device it is. {error}") from error
        if device is None:
            raise NotDelivered(f"No device is ACTIVATED under the TID {self._terminal.tid}.")
        return _id_of(device)

    async def _other_device(self, refused: str, refusal: Refused) -> str:
        """The device that has taken the place of the one that was refused; empty if none has."""
        if refusal.code not in OTHER_DEVICE:
            return ""
        self._cloud.forget_devices(self.settings, asked_before=self._clock.now())
        with contextlib.suppress(NotDelivered):
            device = await self._device()
            return "" if device == refused else device
        return ""

    def _check_in_time(self, transaction: Transaction) -> None:
        if transaction.send_by is not None and self._clock.now() > transaction.send_by:
            raise NotDelivered("Its time to be sent had passed before it could be.")

    async def _heard_or_found(self, transaction: Transaction, order: Order) -> Outcome:
        """What the terminal tells us, or the cloud when it is asked; whichever comes first."""
        settings = self.settings
        taken_at = self._clock.now()
        pause = settings.poll_after_seconds if settings.callback_url else settings.poll_seconds
        longer = settings.poll_seconds
        heard = asyncio.create_task(
            self._inbox.outcome_of(transaction.id), name=f"callbacks {transaction.id}"
        )
        try:
            while True:
                await asyncio.wait({heard}, timeout=pause)
                if heard.done():
                    return heard.result()
                outcome = await self._asked(transaction, order, taken_at)
                if outcome is not None:
                    return outcome
                pause, longer = longer, min(longer * SLOWER, settings.longest_poll_seconds)
        finally:
            heard.cancel()
            await asyncio.wait({heard})
            if not heard.cancelled():
                heard.exception()  # known already, or of no interest any more

    async def _asked(
        self, transaction: Transaction, order: Order, taken_at: Instant
    ) -> Outcome | None:
        """The outcome, if the cloud has it. Raises `NotDelivered` for a proof."""
        try:
            latest = await self._inbox.find(transaction.id) or transaction
            found = await self._ladder.look(latest, order, taken_at)
        except JournalError:
            return None  # a question that fails must not cost the answer
        if isinstance(found, Absent):
            raise NotDelivered(found.detail, found.proof)
        return found.outcome if isinstance(found, Found) else None

    async def _by_the_cloud(self, transaction: Transaction, order: Order) -> Outcome:
        """What the cloud does at once, and answers."""
        path, body = orders.rest_command(transaction, order, self.settings)
        try:
            response = await self._cloud.command(
                path,
                body,
                self.settings,
                request_id=order.reference,
                seconds=self.settings.rest_seconds,
                ready=lambda: self._check_in_time(transaction),
            )
        except Refused as refusal:
            _check_proves(refusal)
            if refusal.code == DECLINED:
                return Outcome(Verdict.DECLINED, reason=refusal.detail[:LONGEST_REASON])
            raise NotDelivered(str(refusal), Proof.REFUSED_BY_PEER) from refusal
        try:
            answer = read_transaction(response.body)
        except RemoteProtocolError as error:
            raise AnswerLost(f"The cloud's answer cannot be read. {error.detail}") from error
        operation = orders.operation_of(transaction)
        names = (answer.parent_id, answer.id if operation is Operation.VOID else None)
        about = {name.lower() for name in names if name}
        if about and order.original.lower() not in about:
            raise AnswerLost("The cloud's answer is about another transaction.")
        reading = of_transactions(
            [answer],
            operation,
            original=order.original,
            currency=transaction.amount.currency,
        )
        return outcome_of(reading, transaction, Evidence.ANSWER)

    async def recover(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """Ask what became of it."""
        order = orders.order_of(transaction.peer)
        if order is None:
            return Absent(
                "No reference of it is in the journal, and none is used before it is there.",
                Proof.NEVER_SENT,
            )
        return await self._ladder.look(transaction, order)

    # --- beside transactions ------------------------------------------------------------------

    async def abort(self, transaction: Transaction) -> AbortResult:
        """Payment Bridge has no word for it."""
        return AbortResult.TOO_LATE

    async def status(self) -> TerminalStatus:
        """Whether the cloud knows us, the store, and a device that operates. It does not say
        whether that is switched on."""
        try:
            self._cloud.forget_devices(self.settings, asked_before=self._clock.now())
            device = await self._cloud.device(self._terminal.tid, self.settings)
        except PeerError as error:
            return TerminalStatus(False, str(error))
        if device is None:
            return TerminalStatus(
                False, f"No device is ACTIVATED under the TID {self._terminal.tid}."
            )
        serial = device.serial_number or _id_of(device)
        return TerminalStatus(True, f"In the cloud, the device {serial} is ACTIVATED.")

    def transactions(self, begin: Instant, end: Instant) -> AsyncIterator[Entry]:
        """What the cloud has on its books of the terminal."""
        return self._books.told(begin, end)

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        """The last transaction, by the cloud's list; Payment Bridge knows payments alone."""
        if not isinstance(errand, AskLast):
            raise Unsupported(f"Terminal {self._terminal.name} knows payments alone.")
        return await self._books.last()


def _id_of(device: StoreDevice) -> str:
    assert device.device_id, "what operates has an id"
    return device.device_id


def _check_proves(refusal: Refused) -> None:
    """Raise `AnswerLost` for a refusal that does not prove that nothing was done."""
    explicit = 400 <= refusal.status < 500 and refusal.status not in UNCLEAR
    if not explicit or refusal.code in NO_PROOF:
        raise AnswerLost(str(refusal)) from refusal
