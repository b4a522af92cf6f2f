"""One transaction for a person: the facts, then what happened, and how long each step took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tillwire.cli.output import say, say_styled, say_table
from tillwire.cli.times import clock_time, duration, in_zone
from tillwire.core.model import Event, Outcome, Transaction, Verification
from tillwire.money import Money


def say_facts(transaction: Transaction) -> None:
    """What is known of it."""
    say(f"Transaction {transaction.id}", style="bold")
    say_styled(transaction.state, transaction.type, str(transaction.amount))
    facts = [(name, text) for name, text in _facts(transaction) if text]
    width = max(len(name) for name, _ in facts)
    for name, text in facts:
        say(f"  {name.ljust(width)}  {text}")


def _facts(transaction: Transaction) -> Iterator[tuple[str, str]]:
    heading, zone = transaction.heading, transaction.heading.time_zone
    yield "reference", transaction.reference
    yield "terminal", f"{heading.terminal} ({heading.store}, {heading.city})"
    yield "through", transaction.dialect
    yield "follows", transaction.original_id or ""
    yield "accepted", in_zone(transaction.created_at, zone)
    for name, moment in (
        ("ended", transaction.ended_at),
        ("cleared", transaction.cleared_at),
        ("reversed", transaction.reversed_at),
    ):
        yield name, "" if moment is None else in_zone(moment, zone)
    yield "proof", transaction.proof or ""
    if transaction.outcome is not None:
        yield from _outcome_facts(transaction.outcome, transaction)


def _outcome_facts(outcome: Outcome, transaction: Transaction) -> Iterator[tuple[str, str]]:
    currency = transaction.amount.currency
    if outcome.approved_amount:
        tip = f", {Money(outcome.tip, currency)} of it tip" if outcome.tip else ""
        yield "approved", f"{Money(outcome.approved_amount, currency)}{tip}"
    yield "known by", outcome.evidence
    yield "reason", outcome.reason
    yield "response", outcome.response_code
    card = f"{outcome.brand} ****{outcome.card_last4}" if outcome.card_last4 else outcome.brand
    verified = None if outcome.verification is Verification.NONE else outcome.verification
    ways = [each.lower() for each in (outcome.entry_mode, verified) if each is not None]
    yield "card", ", ".join(part for part in (card, *ways) if part)
    if outcome.conversion is not None:
        yield "charged as", f"{outcome.conversion.amount} at {outcome.conversion.rate}"
    yield "authorisation", outcome.authorisation_code
    yield "STAN", outcome.stan


def say_events(transaction: Transaction, events: Sequence[Event]) -> None:
    """What happened, in the store's time, each with the time since the one before."""
    zone = transaction.heading.time_zone
    say_table(
        ["#", "TIME", "AFTER", "EVENT", "STATE", "DETAIL"],
        [
            [
                str(event.sequence),
                clock_time(event.at, zone),
                duration(event.at - earlier.at) if earlier is not None else "",
                event.name,
                event.state.value,
                _detail(event.detail),
            ]
            for earlier, event in zip([None, *events], events, strict=False)
        ],
        empty="No events.",
    )


def _detail(detail: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}: {value if isinstance(value, str) else msgspec.json.encode(value).decode()}"
        for name, value in detail.items()
    )
