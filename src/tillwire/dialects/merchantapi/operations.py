"""Every operation of the face, in one table: what is routed is what is documented.

The order is the document's. A path is written as source 004 writes it; a terminal's three parts
stand in one segment there, which is looked up as a whole, since a model may contain hyphens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from tillwire.dialects.merchantapi import keys, listings, transactions, wire
from tillwire.dialects.merchantapi.context import Call, Context
from tillwire.net.asgi import Reply

Handler = Callable[[Context, Call], Awaitable[Reply]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path."""

    id: str
    method: str
    path: str
    handler: Handler
    tag: str
    summary: str
    description: str = ""
    success: HTTPStatus = HTTPStatus.OK
    says: str
    """What a success means."""
    request: type[msgspec.Struct] | None = None
    answer: Any = None  # Any: a type, such as list[Store]
    """What a success carries; None: nothing."""
    paged: bool = False
    located: bool = False
    """Whether a success has a Location header."""
    repeatable: bool = False
    """Whether it takes an Idempotency-Key."""
    problems: Mapping[HTTPStatus, str] = {}
    """What may go wrong beside what may go wrong with every operation."""


_TERMINAL: Final = "/terminals/{manufacturer}-{model}-{serial}"
_NO_TERMINAL: Final = {HTTPStatus.NOT_FOUND: "There is no such terminal."}
_NO_TRANSACTION: Final = {
    HTTPStatus.NOT_FOUND: "There is no such terminal, or no such transaction at it."
}
_BAD_PAGE: Final = {HTTPStatus.BAD_REQUEST: "`page` or `size` is wrong."}

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        id="listStores",
        method="GET",
        path="/stores",
        handler=listings.stores,
        tag="Stores and terminals",
        summary="List the stores of all your merchants",
        says="A page of stores, by name.",
        answer=list[wire.Store],
        paged=True,
        problems=_BAD_PAGE,
    ),
    Operation(
        id="listTerminals",
        method="GET",
        path="/terminals",
        handler=listings.terminals,
        tag="Stores and terminals",
        summary="List the terminals of all your stores",
        says="A page of terminals, by name.",
        answer=list[wire.Terminal],
        paged=True,
        problems=_BAD_PAGE,
    ),
    Operation(
        id="listTransactions",
        method="GET",
        path=f"{_TERMINAL}/transactions",
        handler=transactions.overview,
        tag="Transactions",
        summary="List a terminal's transactions",
        description="After a lost answer, find your transaction here by its "
        "`merchant_order_reference` before you send another one.",
        says="A page of transactions, newest first.",
        answer=list[wire.Transaction],
        paged=True,
        problems=_BAD_PAGE | _NO_TERMINAL,
    ),
    Operation(
        id="createTransaction",
        method="POST",
        path=f"{_TERMINAL}/transactions",
        handler=transactions.create,
        tag="Transactions",
        summary="Start a purchase or a refund on a terminal",
        description="One transaction waits for a terminal: a newer one takes the place of one "
        "that the terminal has not fetched yet, which is cancelled. With a `reference` a refund "
        "gives back a purchase, never more than is left of it.",
        success=HTTPStatus.CREATED,
        says="The transaction was accepted and is on its way to the terminal.",
        request=wire.TransactionRequest,
        answer=wire.Transaction,
        located=True,
        repeatable=True,
        problems={
            HTTPStatus.BAD_REQUEST: "The transaction is not valid; `detail` names the member.",
            HTTPStatus.CONFLICT: "The refund is more than what is left of its purchase, the "
            "terminal is not in service, it is blocked by a transaction whose outcome nobody "
            "knows yet, or the idempotency key came with another request before.",
        }
        | _NO_TERMINAL,
    ),
    Operation(
        id="getTransaction",
        method="GET",
        path=f"{_TERMINAL}/transactions/{{id}}",
        handler=transactions.read,
        tag="Transactions",
        summary="Read a transaction's status and receipts",
        says="The transaction as it stands.",
        answer=wire.Transaction,
        problems=_NO_TRANSACTION,
    ),
    Operation(
        id="cancelTransaction",
        method="DELETE",
        path=f"{_TERMINAL}/transactions/{{id}}",
        handler=transactions.cancel,
        tag="Transactions",
        summary="Cancel a transaction",
        description="Possible until the terminal has started to process it. After a 409, read "
        "its status; if it is APPROVED and unwanted, refund it.",
        success=HTTPStatus.NO_CONTENT,
        says="It is cancelled.",
        problems={HTTPStatus.CONFLICT: "It can not be cancelled anymore."} | _NO_TRANSACTION,
    ),
    Operation(
        id="getDayTotals",
        method="GET",
        path=f"{_TERMINAL}/daytotals/today",
        handler=transactions.day_totals,
        tag="Transactions",
        summary="Print the terminal's totals of today",
        description="Today is the calendar day of the terminal's store, from 00:00.",
        says="The totals as a receipt.",
        answer=wire.DayTotals,
        problems=_NO_TERMINAL,
    ),
    Operation(
        id="listApiKeys",
        method="GET",
        path="/apikeys",
        handler=keys.overview,
        tag="API keys",
        summary="List your API keys",
        description="Those that are valid now or will be; never their secrets.",
        says="A page of keys, oldest first.",
        answer=list[wire.ApiKey],
        paged=True,
        problems=_BAD_PAGE,
    ),
    Operation(
        id="createApiKey",
        method="POST",
        path="/apikeys",
        handler=keys.create,
        tag="API keys",
        summary="Create an API key",
        description="To rotate: create a key, deploy it, and with it revoke the old one.",
        success=HTTPStatus.CREATED,
        says="The key. Its secret is shown this once only.",
        request=wire.ApiKeyRequest,
        answer=wire.ApiKeyCreated,
        problems={
            HTTPStatus.BAD_REQUEST: "The label or the validity is wrong.",
            HTTPStatus.CONFLICT: "There are too many keys.",
        },
    ),
    Operation(
        id="revokeApiKey",
        method="DELETE",
        path="/apikeys/{id}",
        handler=keys.revoke,
        tag="API keys",
        summary="Revoke an API key",
        success=HTTPStatus.NO_CONTENT,
        says="The key is dead.",
        problems={
            HTTPStatus.NOT_FOUND: "There is no such key, or it opens nothing any more.",
            HTTPStatus.CONFLICT: "It is the key of this very request, or the last valid one.",
        },
    ),
)
