"""The rules of the MerchantAPI that its OpenAPI document cannot state, for Schemathesis.

Schemathesis takes a refusal of data that fit the schema for a fault. For those rules, and for no
others, a 400 that names the member is right; whether a request breaks one of them is found out
here from the request alone, and a failure that is not explained so stays a failure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import schemathesis

from tillwire.money import CURRENCIES

Json = Any
"""JSON of any shape, numbers with a fraction as `Decimal`."""


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Let orders that fit the schema keep to the rules beyond it, so that many are accepted and
    what comes after an acceptance is tried, too. What is meant to be wrong stays so."""
    body = case.body
    meant_well = case.meta is not None and case.meta.generation.mode.is_positive
    is_order = case.path.endswith("/transactions") and isinstance(body, dict)
    if meant_well and is_order and "amount" in body:
        amount = {**body["amount"], "value": max(1, round(body["amount"]["value"]))}
        case.body = {**body, "amount": amount}
        if body["type"] == "PURCHASE":
            case.body.pop("reference", None)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether the failure stands. Called by Schemathesis for each."""
    kind = type(failure).__name__
    if kind == "UseAfterFree" and "/transactions/" in case.path:
        # To DELETE a transaction is to cancel it (source 004): it stays to be read, as CANCELLED.
        return bool(response.status_code != 200 or response.json()["status"] != "CANCELLED")
    if kind != "RejectedPositiveData" or response.status_code != 400:
        return True
    return not is_explained(response.request.body, response.json()["detail"])


def is_explained(body: bytes, detail: str) -> bool:
    """Whether the refusal names a member that breaks one of the rules."""
    sent = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    return any(detail.startswith(f"{member}: ") for member in broken(sent))


def broken(sent: Json) -> Iterator[str]:
    """The members of a request that fits the schema and yet cannot be accepted."""
    if "amount" in sent:
        exponent = CURRENCIES[sent["amount"]["currency"]].exponent
        if sent["amount"]["value"] != round(sent["amount"]["value"], exponent):
            yield "amount.value"  # the currency says how many decimals it has
    if sent.get("reference") is not None:
        # Only a refund has one; and ids of purchases are made by the gateway, not by chance.
        yield "reference" if sent["type"] == "PURCHASE" else "reference.id"
    validity = sent.get("validity")
    if validity and validity.get("until"):
        until = datetime.fromisoformat(validity["until"])
        begin = datetime.fromisoformat(validity.get("from") or validity["until"])
        if until <= datetime.now(UTC) or (validity.get("from") and until <= begin):
            yield "validity.until"  # it ends before it begins, or has ended already
