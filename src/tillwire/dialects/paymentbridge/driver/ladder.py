"""The ladder from a doubt to a fact: what the cloud lists, and what its silence proves.

A transaction is found by our reference (`references[].id`, source 000's cloud), a reversal by the
state of its original, and a capture, whose request has no place for a reference, as the one child
of its original that nobody else has. Absence is another matter: see `_absence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tillwire.clock import Instant
from tillwire.core.model import Evidence, Transaction
from tillwire.core.ports import Absent, CannotTell, Clock, Found, Inbox, Sign
from tillwire.dialects.paymentbridge.driver.cloud import Clouds
from tillwire.dialects.paymentbridge.driver.orders import (
    BY_CALLBACK,
    BY_LIST,
    CALLED_AT,
    FAILED_AT,
    HANDLE,
    RECEIVED,
    TAKEN_BY,
    Order,
    Way,
    operation_of,
)
from tillwire.dialects.paymentbridge.driver.outcome import outcome_of
from tillwire.dialects.paymentbridge.driver.settings import DriverSettings, MissingReceived
from tillwire.dialects.paymentbridge.wire.objects import REFERENCE_TYPE
from tillwire.dialects.paymentbridge.wire.objects import Transaction as Listed
from tillwire.dialects.paymentbridge.wire.outcomes import Ending, Operation, of_transactions
from tillwire.errors import AnswerLost, PeerError

REMEMBERED: Final = 50
"""Earlier transactions of a terminal, by which it is known whether its device tells RECEIVED."""

AWAKE: Final = 10.0
"""Seconds that a cloud which stood still has to take what has come meanwhile."""

_FOLLOWING: Final = {Operation.REFUND: "REFUND", Operation.CAPTURE: "CAPTURE"}


class Ladder:
    """Asks one terminal's cloud what became of a transaction."""

    def __init__(
        self, clouds: Clouds, settings: DriverSettings, inbox: Inbox, clock: Clock, name: str
    ) -> None:
        """`name` is the terminal's, for people."""
        self._clouds = clouds
        self._cloud = clouds.of(settings)
        self._settings = settings
        self._inbox = inbox
        self._clock = clock
        self._name = name

    async def look(
        self, transaction: Transaction, order: Order, taken_at: Instant | None = None
    ) -> Found | Absent | CannotTell:
        """One look. `taken_at` is when the cloud has taken the order, if that is known. Raises
        `JournalError`."""
        begun = self._clock.now()
        try:
            seen = await self._seen(transaction, order)
            if not seen.mine:
                absence = await self._absence(transaction, order, begun, taken_at)
                if not isinstance(absence, Absent) or await self._is_steady(
                    transaction, order, seen
                ):
                    return absence
                return CannotTell("The cloud's list changed while it was read.")
        except PeerError as error:
            return CannotTell(f"The cloud does not tell. {error}")
        except _Ambiguous as doubt:
            return self._later(transaction, str(doubt))
        await self._note_listed(transaction)
        reading = of_transactions(
            seen.mine,
            operation_of(transaction),
            original=order.original,
            currency=transaction.amount.currency,
        )
        try:
            return Found(outcome_of(reading, transaction, Evidence.RECOVERED))
        except AnswerLost as unclear:
            return self._later(transaction, f"The cloud lists it. {unclear.detail}")

    # --- what is there --------------------------------------------------------------------------

    async def _is_steady(self, transaction: Transaction, order: Order, seen: _Seen) -> bool:
        """Whether the list of which `seen` was read stayed as it was, but for what was added. Where
        something goes from a page that was read, what follows moves up past the next one."""
        if seen.pages == 1:
            return True
        again = await self._seen(transaction, order)
        return not again.mine and seen.names <= again.names

    async def _seen(self, transaction: Transaction, order: Order) -> _Seen:
        operation = operation_of(transaction)
        if operation is Operation.VOID and (voided := await self._voided(order)):
            return _Seen(voided)
        assert transaction.sent_at is not None, "what is looked for was dispatched"
        since = Instant(transaction.sent_at - round(self._settings.clock_seconds * 1000))
        listed, pages = await self._cloud.transactions(since, self._settings)
        mine = await self._mine(transaction, order, listed)
        return _Seen(mine, pages, frozenset(each.id or "" for each in listed))

    async def _mine(
        self, transaction: Transaction, order: Order, listed: Sequence[Listed]
    ) -> Sequence[Listed]:
        """Those of the list that are about the order. Raises `_Ambiguous`."""
        operation = operation_of(transaction)
        mine = [each for each in listed if each.called(order.reference)]
        if mine or operation not in _FOLLOWING:
            # A sale is listed with its captures, which may have no reference of their own.
            own = {each.id for each in mine}
            children = [each for each in listed if each.parent_id in own and _is_capture(each)]
            return mine + [each for each in children if each not in mine] if own else mine
        return await self._children(transaction, order, listed, _FOLLOWING[operation])

    async def _voided(self, order: Order) -> Sequence[Listed]:
        """The original, if it is reversed."""
        original = await self._cloud.transaction(order.original, self._settings)
        reading = of_transactions([original], Operation.VOID, original=order.original)
        return [original] if reading.ending is Ending.APPROVED else []

    async def _children(
        self, transaction: Transaction, order: Order, listed: Sequence[Listed], action: str
    ) -> Sequence[Listed]:
        """What follows the original, and is nobody else's. Raises `_Ambiguous` when that may be
        ours, and may be not."""
        assert transaction.original_id is not None, "a follow-up has an original"
        others = await self._inbox.follow_ups(transaction.original_id)
        claimed = {
            name
            for each in others
            if each.outcome is not None
            for name in each.outcome.handle.get(HANDLE, "").split()
        }
        children = [
            each
            for each in listed
            if (each.parent_id or "").lower() == order.original.lower()
            and (each.action or "").upper() == action
            and each.id not in claimed
            and not _is_anothers(each, order.reference)
        ]
        if not children:
            return []
        (first, *more) = children
        total = first.amounts.transaction_amount if first.amounts else None
        rivals = [each for each in others if _may_be_anothers(each, transaction)]
        if more or rivals or total != transaction.amount.minor:
            raise _Ambiguous(
                f"Its original has {len(children)} of the kind that no reference tells apart."
            )
        return [first]

    async def _note_listed(self, transaction: Transaction) -> None:
        """That it is listed proves that somebody has got it, also when it is not any more."""
        if RECEIVED not in transaction.peer and not transaction.is_final:
            await self._inbox.heard_sign(
                transaction.id, Sign(received=True, peer={RECEIVED: BY_LIST})
            )

    # --- what is not ----------------------------------------------------------------------------

    async def _absence(
        self, transaction: Transaction, order: Order, begun: Instant, taken_at: Instant | None
    ) -> Absent | CannotTell:
        """What it means that the cloud, asked at `begun`, listed nothing."""
        settings, sent_at = self._settings, transaction.sent_at
        assert sent_at is not None, "it was dispatched"
        latest = await self._inbox.find(transaction.id) or transaction
        if order.way is Way.REST:
            carried_out = settings.rest_seconds + settings.settle_seconds
            taken = await self._taken_by(latest, begun, carried_out)
            if taken is None or begun <= _later_by(taken, carried_out):
                return CannotTell("The cloud may still carry it out.")
            return Absent("The cloud has not carried it out, and would have by now.")
        if (failed := latest.peer.get(FAILED_AT)) and begun > _later_by(
            Instant(int(failed)), settings.settle_seconds
        ):
            return Absent(f"{self._name} said that it failed, and the cloud lists nothing of it.")
        taken = taken_at or await self._taken_by(latest, begun, settings.request_seconds)
        if taken is None:
            return CannotTell("The cloud may still take it.")
        unheard_from = _later_by(taken, settings.unheard)
        if begun <= unheard_from:
            return CannotTell(f"{self._name} may still get it, or be at work on it.")
        if RECEIVED not in latest.peer and latest.started_at is None:
            self._cloud.forget_devices(settings, asked_before=unheard_from)
            if await self._would_have_told(latest, order):
                return Absent(
                    f"{self._name} has not told that it got it, its {settings.ttl_seconds} seconds "
                    "have passed, and the cloud lists nothing of it."
                )
        over = settings.over_after_seconds
        if over is not None and begun > _later_by(sent_at, over + settings.settle_seconds):
            return Absent(
                f"The cloud lists nothing of it, {over:g} seconds after it was sent, when none can "
                "take place any more (over_after_seconds)."
            )
        return self._later(latest, f"The cloud lists nothing of it, and {self._name} may have it.")

    async def _taken_by(
        self, transaction: Transaction, begun: Instant, seconds: float
    ) -> Instant | None:
        """By when the cloud has taken it, if at all, though it is not known to have; None: nobody
        can say yet. It may have stood still with the order in its hands, and wake up with a list
        first. So it is `AWAKE` after the first list that was asked for, at `begun`, so many
        seconds after `send_by`."""
        if known := transaction.peer.get(TAKEN_BY):
            return Instant(int(known))
        assert transaction.send_by is not None, "it was dispatched"
        if begun <= _later_by(transaction.send_by, seconds):
            return None
        taken = _later_by(self._clock.now(), AWAKE)
        await self._inbox.heard_sign(transaction.id, Sign(peer={TAKEN_BY: str(taken)}))
        return taken

    async def _would_have_told(self, transaction: Transaction, order: Order) -> bool:
        """Whether the device would have told RECEIVED, and we have heard it, if it had got it."""
        rule = self._settings.missing_received
        if not self._settings.callback_url or rule is MissingReceived.NEVER:
            return False
        if not self._clouds.hearing.was_there(transaction):
            return False  # it may have told while nobody listened
        if rule is MissingReceived.ALWAYS:
            return True
        for each in await self._inbox.newest_at(transaction.terminal_id, REMEMBERED):
            if each.id != transaction.id and _was_got(each, order.device):
                told = each.peer.get(RECEIVED) == BY_CALLBACK
                return told and each.peer.get(CALLED_AT) == self._settings.callback_url
        return False

    def _later(self, transaction: Transaction, why: str) -> CannotTell:
        """Nothing yet; after a long time, nothing for good."""
        sent_at = transaction.sent_at
        assert sent_at is not None, "it was dispatched"
        if self._clock.now() <= _later_by(sent_at, self._settings.person_after_seconds):
            return CannotTell(why)
        return CannotTell(
            f"{why} Look at {self._name}, or into the merchant's portal, for {transaction.amount}, "
            "then decide.",
            needs_person=True,
        )


class _Seen(NamedTuple):
    """What one reading of the list came to."""

    mine: Sequence[Listed]
    pages: int = 1
    names: frozenset[str] = frozenset()
    """Of all that was listed."""


class _Ambiguous(Exception):
    """What is listed may be ours, and may be not."""


def _later_by(moment: Instant, seconds: float) -> Instant:
    return Instant(moment + round(seconds * 1000))


def _is_capture(each: Listed) -> bool:
    return (each.action or "").upper() == "CAPTURE"


def _was_got(earlier: Transaction, device: str) -> bool:
    """Whether this device provably got that order."""
    outcome = earlier.outcome
    return earlier.peer.get("device") == device and (
        RECEIVED in earlier.peer
        or earlier.started_at is not None
        or (outcome is not None and outcome.evidence is not Evidence.PERSON)
    )


def _may_be_anothers(other: Transaction, transaction: Transaction) -> bool:
    """Whether what is listed may as well be this other one: it was sent, and nobody knows yet, or
    nobody but a person, what the cloud calls it."""
    if other.id == transaction.id or other.type is not transaction.type or other.sent_at is None:
        return False
    if other.outcome is None:
        return not other.is_final
    return bool(other.outcome.approved_amount) and HANDLE not in other.outcome.handle


def _is_anothers(each: Listed, reference: str) -> bool:
    """Whether somebody has given it a reference that is not ours."""
    names = {(one.id or "").lower() for one in each.references if one.custom_type == REFERENCE_TYPE}
    return bool(names) and reference.lower() not in names
