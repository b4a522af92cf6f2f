"""What is asked of a terminal for a transaction, and what must be remembered of it.

Pure functions. What recovery needs is an `Order`, which goes through the journal as text
(`Order.peer`, `order_of`) before a byte of the command leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from tillwire.core.model import Outcome, Transaction, TransactionType
from tillwire.dialects.ecr17.driver.settings import LONGEST_CONTRACT, DriverSettings
from tillwire.dialects.ecr17.wire import (
    LARGEST_AMOUNT,
    NO_STAN,
    AdditionalData,
    CaptureRequest,
    ExtendedPaymentRequest,
    IncrementRequest,
    PreauthorisationRequest,
    RefundRequest,
    ReversalRequest,
    Tag,
    encode,
    fitted,
)
from tillwire.errors import InvalidRequest, NotDelivered

CURRENCY: Final = "EUR"
"""Amounts are cents; the protocol has no member for a currency."""
LONGEST_TEXT: Final = 128
NOTHING_SAVED: Final = "none"
"""In place of the last known STAN: the terminal says that it has saved nothing."""

HANDLE_STAN: Final = "stan"
HANDLE_CODE: Final = "preauthorisation_code"
HANDLE_TAGS: Final = "tags"
"""Names in `Outcome.handle`."""
NOT_TAKEN: Final = "not taken"
"""Of tags: the terminal did not acknowledge them."""

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
_ALWAYS_TAGGED: Final = frozenset({TransactionType.PURCHASE, TransactionType.PREAUTH})
"""With what the tags of the settings go; a till's own go with whatever it hands them over for."""
_NOTHING_BACK: Final = "00"
_REVERSIBLE: Final = frozenset(
    {TransactionType.PURCHASE, TransactionType.PREAUTH, TransactionType.CAPTURE}
)
"""What `S` undoes (Nexi ECR-LAN, reversal)."""


class Asked(NamedTuple):
    """All that is sent for a transaction."""

    command: Command
    data: AdditionalData | None
    """What follows on its ACK."""


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


def asked(
    transaction: Transaction, original: Transaction | None, settings: DriverSettings
) -> Asked:
    """What to ask for. Raises `NotDelivered` for what this protocol cannot express."""
    data = _data(transaction, settings)
    who = {
        "tid": settings.tid,
        "cash_register": settings.cash_register,
        "additional_data": data is not None,
    }
    return Asked(_command(transaction, original, settings, who), data)


def _data(transaction: Transaction, settings: DriverSettings) -> AdditionalData | None:
    """What goes to the host: what the till hands over with this sale, else what the settings have.
    Raises `NotDelivered` where the protocol has no room for it: the money must not move without."""
    own = transaction.terms.for_host
    if own is not None:
        data = AdditionalData(
            tid=settings.tid,
            back_from=own.wanted_field or _NOTHING_BACK,
            tags=tuple(Tag(each.content, each.index or None) for each in own.tags),
            **{
                name: told
                for name, told in (("payment_type", own.purpose), ("back_tag", own.wanted_tag))
                if told
            },
        )
    elif settings.tags and transaction.type in _ALWAYS_TAGGED:
        data = settings.additional_data(fitted(transaction.reference, LONGEST_CONTRACT))
    else:
        return None
    try:
        encode(data, settings.spelling)
    except InvalidRequest as error:
        raise NotDelivered(f"What is to go to the host has no place: {error.detail}") from error
    return data


def _command(
    transaction: Transaction,
    original: Transaction | None,
    settings: DriverSettings,
    who: Mapping[str, Any],  # Any: the first members of each request
) -> Command:
    kind, amount = transaction.type, _cents(transaction)
    text = fitted(_text(transaction, settings), LONGEST_TEXT)
    match kind:
        case TransactionType.PURCHASE | TransactionType.PREAUTH:
            request = (
                ExtendedPaymentRequest
                if kind is TransactionType.PURCHASE
                else PreauthorisationRequest
            )
            return request(**who, payment_type=settings.circuit, amount=amount, receipt_text=text)
        case TransactionType.INCREMENT | TransactionType.CAPTURE:
            following = IncrementRequest if kind is TransactionType.INCREMENT else CaptureRequest
            return following(
                **who, amount=amount, receipt_text=text, preauthorisation_code=_code(original)
            )
        case TransactionType.REVERSAL:
            return ReversalRequest(**who, stan=_stan_to_reverse(transaction, original))
        case TransactionType.REFUND if settings.refund:
            return RefundRequest(**who, amount=amount)
    raise NotDelivered(f"The terminal knows no {kind}.")


def _text(transaction: Transaction, settings: DriverSettings) -> str:
    """What is printed under the receipt: what the till wants, else its name for the sale."""
    return transaction.terms.receipt_text or (
        transaction.reference if settings.print_reference else ""
    )


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


def check_untouched(transaction: Transaction, followers: Iterable[Transaction]) -> None:
    """Raise `NotDelivered` if anything else has changed, or may change, what the REVERSAL reverses.
    `S` tells no amount and undoes what the terminal did in one: not what another terminal has
    raised, captured or given back since, as the code of a pre-authorisation lets it."""
    for each in followers:
        if each.id != transaction.id and (not each.is_final or each.approved_amount):
            raise NotDelivered(
                f"The terminal reverses what it did in one, and {each.type} {each.id} follows it."
            )
