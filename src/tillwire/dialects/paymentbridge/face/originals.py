"""What follows another transaction: which one is meant, and how much of it is left.

The engine keeps the cap, under its lock; here is said in the vendor's codes why it would refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from tillwire.core.estate_model import Merchant
from tillwire.core.follow_ups import FOLLOWS, reserved_in
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.dialects.paymentbridge.face import transactions
from tillwire.dialects.paymentbridge.face.context import Context
from tillwire.dialects.paymentbridge.face.refusals import Refused
from tillwire.dialects.paymentbridge.wire import ids

_T = TransactionType
_GONE: Final = {
    _T.REVERSAL: "TXN_ALREADY_VOIDED",
    _T.REFUND: "TXN_ALREADY_REFUNDED",
    _T.CAPTURE: "TXN_ALREADY_CAPTURED",
}
_UNFIT: Final = {_T.CAPTURE: "CAPTURE_NOT_ALLOWED"}


class Original(msgspec.Struct, frozen=True):
    """A transaction that another one is to follow."""

    transaction: Transaction
    left: int
    """Minor units that may still follow."""
    reserved: int | None
    """As `Request.reserved`: of a reservation that is to be voided."""


async def found(context: Context, merchant: Merchant, uuid: str) -> Transaction:
    """The business's transaction of this id, whatever became of it. Raises `Refused`."""
    transaction_id = ids.transaction_of(uuid)
    known = await context.engine.find(transaction_id) if transaction_id else None
    if known is None or not is_of(context, merchant, known) or not transactions.is_one(known):
        raise Refused("TRANSACTION_NOT_FOUND", "The business has no such transaction.")
    return known


def is_of(context: Context, merchant: Merchant, known: Transaction) -> bool:
    """Whether it was made in a store of the merchant."""
    store = context.engine.estate.stores.get(known.heading.store_id)
    mine = known.organisation_id == merchant.organisation_id
    return mine and store is not None and store.merchant_id == merchant.id


async def original(
    context: Context, merchant: Merchant, uuid: str, kind: TransactionType
) -> Original:
    """What a REVERSAL, REFUND or CAPTURE may follow, with what is left of it. Raises `Refused`."""
    known = await found(context, merchant, uuid)
    if known.type not in FOLLOWS[kind]:
        code = _UNFIT.get(kind, "UNSUPPORTED_TXN_TYPE")
        raise Refused(code, f"A {known.type} cannot have a {kind}.")
    if not known.is_final:
        # Not what says that it never was: whoever reads that pays again.
        detail = f"Nothing was done: how the transaction ends is not known yet ({known.state})."
        raise Refused("SERVICE_UNAVAILABLE", detail)
    if known.state is not State.APPROVED:
        raise Refused("TXN_NEVER_PROCESSED", f"The transaction is {known.state}, not approved.")
    followers = await context.engine.follow_ups(known.id)
    taken = [each for each in followers if _claim(each)]
    whole = await _whole(context, known, followers)
    left = whole - sum(map(_claim, taken))
    if known.reversed_at is not None:
        raise Refused("TXN_ALREADY_VOIDED", "The transaction is voided.")
    if left <= 0 or (kind is _T.REVERSAL and left != whole):
        code = _GONE[taken[-1].type] if taken else "TXN_ALREADY_VOIDED"
        some = "A part of the transaction is gone, and only the whole can be voided."
        raise Refused(code, some if left > 0 else "Nothing is left of the transaction.")
    voids_all = kind is _T.REVERSAL and known.type is _T.PREAUTH
    return Original(known, left, whole if voids_all else None)


async def _whole(context: Context, known: Transaction, followers: Sequence[Transaction]) -> int:
    """What it came to before anything was taken of it: with what has raised it, and without what
    of that was given back."""
    if known.type is not _T.PREAUTH:
        return known.approved_amount
    raised = [each for each in followers if each.type is _T.INCREMENT]
    lowered = [
        one
        for each in raised
        if each.approved_amount
        for one in await context.engine.follow_ups(each.id)
    ]
    return reserved_in(known, (*raised, *lowered))


def _claim(follower: Transaction) -> int:
    """Minor units that a follow-up took, or may still take."""
    if follower.type not in _GONE:
        return 0
    return follower.approved_amount if follower.is_final else follower.amount.minor
