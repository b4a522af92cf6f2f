"""What is asked of a terminal for a transaction, and what must be remembered of it.

Pure functions. What recovery needs is an `Order`, which goes through the journal as text
(`Order.peer`, `order_of`) before a byte of the command leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tillwire.core.model import Outcome, Transaction, TransactionType
from tillwire.dialects.ecr17.driver.settings import DriverSettings
from tillwire.dialects.ecr17.wire import (
    LARGEST_AMOUNT,
    NO_STAN,
    CaptureRequest,
    ExtendedPaymentRequest,
    IncrementRequest,
    PreauthorisationRequest,
    RefundRequest,
    ReversalRequest,
    fitted,
)
from tillwire.errors import NotDelivered

CURRENCY: Final = "EUR"
"""Amounts are cents; the protocol has no member for a currency."""
LONGEST_TEXT: Final = 128
NOTHING_SAVED: Final = "none"
"""In place of the last known STAN: the terminal says that it has saved nothing."""

HANDLE_STAN: Final = "stan"
HANDLE_CODE: Final = "preauthorisation_code"
HANDLE_HOST: Final = "host_data"
"""Names in `Outcome.handle`."""

Command = (
    ExtendedPaymentRequest
    | PreauthorisationRequest
    | IncrementRequest
    | CaptureRequest
    | ReversalRequest
    | RefundRequest
)
"""A request that moves money."""

CODES: Final[dict[type[Command], str]] = {
    ExtendedPaymentRequest: "X",
    PreauthorisationRequest: "p",
    IncrementRequest: "i",
    CaptureRequest: "c",
    ReversalRequest: "S",
    RefundRequest: "A",
}
TAGGED: Final = (ExtendedPaymentRequest, PreauthorisationRequest)
"""Requests with which tags may go."""
_REVERSIBLE: Final = frozenset(
    {TransactionType.PURCHASE, TransactionType.PREAUTH, TransactionType.CAPTURE}
)
"""What `S` undoes (Nexi ECR-LAN, reversal)."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent for a transaction, as far as it is needed to find it again."""

    command: str
    """Its message code."""
    last_stan: str
    """Of the last result that the terminal had saved before; `NOTHING_SAVED`; empty: unknown."""
    last_approved: bool = False
    """Whether that one was an approval."""
    outcome: str = ""
    """The outcome as JSON, once it was heard: it is journaled before the terminal's result is
    acknowledged."""

    @property
    def peer(self) -> dict[str, str]:
        """As it stands in `Transaction.peer`."""
        return {
            "command": self.command,
            "last_stan": self.last_stan,
            "last_approved": "yes" if self.last_approved else "",
            "outcome": self.outcome,
        }

    @property
    def heard(self) -> Outcome | None:
        """The outcome, once it was heard."""
        return msgspec.json.decode(self.outcome, type=Outcome) if self.outcome else None


def order_of(peer: Mapping[str, str]) -> Order | None:
    """What was sent, by the journal; None when nothing was."""
    if "command" not in peer:
        return None
    return Order(
        command=peer["command"],
        last_stan=peer.get("last_stan", ""),
        last_approved=bool(peer.get("last_approved")),
        outcome=peer.get("outcome", ""),
    )


def command(
    transaction: Transaction, original: Transaction | None, settings: DriverSettings
) -> Command:
    """What to ask for. Raises `NotDelivered` for what this protocol cannot express."""
    kind, amount = transaction.type, _cents(transaction)
    tid, register = settings.tid, settings.cash_register
    text = fitted(transaction.reference, LONGEST_TEXT) if settings.print_reference else ""
    match kind:
        case TransactionType.PURCHASE | TransactionType.PREAUTH:
            request = (
                ExtendedPaymentRequest
                if kind is TransactionType.PURCHASE
                else PreauthorisationRequest
            )
            return request(
                tid=tid,
                cash_register=register,
                additional_data=bool(settings.tags),
                payment_type=settings.circuit,
                amount=amount,
                receipt_text=text,
            )
        case TransactionType.INCREMENT | TransactionType.CAPTURE:
            following = IncrementRequest if kind is TransactionType.INCREMENT else CaptureRequest
            return following(
                tid=tid,
                cash_register=register,
                amount=amount,
                receipt_text=text,
                preauthorisation_code=_code(original),
            )
        case TransactionType.REVERSAL:
            stan = _stan_to_reverse(transaction, original)
            return ReversalRequest(tid=tid, cash_register=register, stan=stan)
        case TransactionType.REFUND if settings.refund:
            return RefundRequest(tid=tid, cash_register=register, amount=amount)
    raise NotDelivered(f"The terminal knows no {kind}.")


def _cents(transaction: Transaction) -> int:
    amount = transaction.amount
    if amount.currency != CURRENCY:
        raise NotDelivered(f"The protocol knows {CURRENCY} alone, not {amount.currency}.")
    if not 0 < amount.minor <= LARGEST_AMOUNT:
        raise NotDelivered(f"The protocol has no place for an amount of {amount}.")
    return amount.minor


def _handle(original: Transaction | None, name: str) -> str:
    outcome = None if original is None else original.outcome
    return outcome.handle.get(name, "") if outcome is not None else ""


def _code(original: Transaction | None) -> str:
    code = _handle(original, HANDLE_CODE)
    if not code:
        raise NotDelivered("No terminal has told a code of its pre-authorisation.")
    return code


def _stan_to_reverse(transaction: Transaction, original: Transaction | None) -> str:
    stan = _handle(original, HANDLE_STAN)
    if original is None or stan in ("", NO_STAN):
        raise NotDelivered("No terminal has told a STAN of its original.")
    if original.type not in _REVERSIBLE:
        raise NotDelivered(f"The terminal cannot reverse a {original.type}.")
    if original.terminal_id != transaction.terminal_id:
        raise NotDelivered("Only the terminal that did it can reverse it.")
    if transaction.amount.minor != original.approved_amount:
        raise NotDelivered("The terminal reverses the whole amount or nothing.")
    return stan
