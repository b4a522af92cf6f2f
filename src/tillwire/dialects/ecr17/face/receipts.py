"""The ticket of a transaction, for a printer of 24 columns."""

from __future__ import annotations

from tillwire.core.model import Transaction
from tillwire.core.receipts import cardholder_receipt, merchant_receipt
from tillwire.dialects.ecr17.face.settings import Copies
from tillwire.dialects.ecr17.wire import Routing

ON_TILL = frozenset({Routing.ECR, Routing.BOTH, Routing.MERCHANT_COPY_TO_ECR})
"""Where the till prints something."""


def ticket(transaction: Transaction, routing: Routing, copies: Copies, text: str) -> str:
    """What the till prints, with its own text beneath; empty when it prints nothing, or no terminal
    processed it."""
    if routing not in ON_TILL:
        return ""
    if routing is Routing.MERCHANT_COPY_TO_ECR:
        copies = Copies.MERCHANT
    slips = []
    if copies is not Copies.CARDHOLDER:
        slips.append(merchant_receipt(transaction))
    if copies is not Copies.MERCHANT:
        slips.append(cardholder_receipt(transaction))
    slips = [slip for slip in slips if slip]
    return "\n\n".join([*slips, text] if slips and text else slips)
