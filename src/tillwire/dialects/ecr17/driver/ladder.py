"""The ladder from a doubt to a fact: `s`, then `G`, which repeats the last saved result.

`G` names no transaction, so what it tells is ours only if nothing else can be meant: another STAN
than the last one before, the kind of result and the amount that were asked for, and a time of the
host's between the dispatch and now (Nexi ECR-LAN: the protocol has no other identifier). Anything
else is for a person; but until the command must be over, the terminal may merely not be done.
"""

from __future__ import annotations

from tillwire.core.model import Transaction
from tillwire.core.ports import Absent, CannotTell, Clock, Found
from tillwire.dialects.ecr17.driver.conversation import Refused
from tillwire.dialects.ecr17.driver.link import Link
from tillwire.dialects.ecr17.driver.orders import Order, order_of
from tillwire.dialects.ecr17.driver.reading import (
    TELL_AMOUNT,
    is_within,
    money_result,
    outcome_of,
)
from tillwire.dialects.ecr17.wire import Result, TerminalState
from tillwire.errors import AnswerLost, PeerError, Proof
from tillwire.money import Money


class Ladder:
    """Asks one terminal what became of a transaction."""

    def __init__(self, link: Link, clock: Clock, name: str) -> None:
        """`name` is the terminal's, for people."""
        self._link = link
        self._clock = clock
        self._name = name

    async def look(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """One look, which reads only."""
        order = order_of(transaction.peer)
        if order is None:
            return Absent(
                "Its command is not in the journal, and none is sent before it is there.",
                Proof.NEVER_SENT,
            )
        if (heard := order.heard) is not None:
            return Found(heard)
        if self._link.settings.shared:
            return self._for_a_person(
                transaction,
                "Others use the terminal, too (shared), so its last result may be theirs.",
            )
        return await self._asked(transaction, order)

    async def _asked(self, transaction: Transaction, order: Order) -> Found | Absent | CannotTell:
        try:
            state = (await self._link.state()).state
        except PeerError as error:
            # Busy, asleep, or gone: as long as it says nothing of itself, there is hope.
            return CannotTell(f"{self._name} does not say how it is. {error.detail}")
        try:
            result = await self._link.last_result()
        except Refused as error:
            return self._later(transaction, f"It does not repeat its last result. {error.detail}")
        except PeerError as error:
            return CannotTell(f"{self._name} does not repeat its last result. {error.detail}")
        why = self._why_not(result, transaction, order)
        if why:
            note = "" if state == TerminalState.OPERATIVE else f" (Its state is {state or '?'}.)"
            return self._later(transaction, why + note)
        try:
            return Found(outcome_of(money_result(result, order.command, result.tid), transaction))
        except AnswerLost as error:
            return self._later(transaction, error.detail)

    def _why_not(self, result: Result, transaction: Transaction, order: Order) -> str:
        """Why this is not certainly the transaction's own result; empty if it is."""
        stan = getattr(result, "stan", "")
        if not stan:
            return "Its last result has no STAN."
        if stan == order.last_stan:
            return (
                f"Its last result is still the one before (STAN {stan}): it recorded nothing new."
            )
        if not order.last_stan:
            return f"Its last result has the STAN {stan}; the one before is not known."
        told = f"Its last result (STAN {stan})"
        try:
            money = money_result(result, order.command, self._link.settings.tid)
        except AnswerLost as error:
            return f"{told} is not of this command. {error.detail}"
        if not isinstance(money, TELL_AMOUNT) or money.amount is None:
            return f"{told} tells no amount."
        if money.amount != transaction.amount.minor:
            amount = Money(money.amount, transaction.amount.currency)
            return f"{told} is of {amount}, not of {transaction.amount}."
        minutes = self._link.settings.clock_minutes
        if not is_within(money.host_time, transaction, self._clock.now(), minutes):
            return f"{told} is not of the time in which this one was sent, or does not tell."
        return ""

    def _later(self, transaction: Transaction, why: str) -> CannotTell:
        """Nothing yet, and nothing for good once the command must be over."""
        over = transaction.deadline
        if over is not None and self._clock.now() <= over:
            return CannotTell(f"{why} It may still be at work.")
        return self._for_a_person(transaction, why)

    def _for_a_person(self, transaction: Transaction, why: str) -> CannotTell:
        return CannotTell(
            f"{why} Look at {self._name} for {transaction.amount}, or at its last receipt, then "
            "decide.",
            needs_person=True,
        )
