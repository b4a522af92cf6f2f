"""Transactions, events, discrepancies and letters as JSON for programs: times as RFC 3339 in UTC,
amounts both as minor units and as exact decimal text."""

from __future__ import annotations

from typing import Any

import msgspec

from tillwire.cli.times import rfc3339
from tillwire.core.doubts import NEXT, Doubt
from tillwire.core.entries import Entry
from tillwire.core.letters import Letter
from tillwire.core.model import Discrepancy, Event, Outcome, Transaction
from tillwire.money import Money

View = dict[str, Any]  # Any: a JSON document


def money_view(money: Money) -> View:
    """An amount."""
    return {"minor": money.minor, "decimal": money.decimal(), "currency": money.currency}


def transaction_view(transaction: Transaction) -> View:
    """A transaction with its outcome, if it has one."""
    currency = transaction.amount.currency
    return {
        "id": transaction.id,
        "state": transaction.state,
        "type": transaction.type,
        "amount": money_view(transaction.amount),
        "approved_amount": money_view(Money(transaction.approved_amount, currency)),
        "reference": transaction.reference,
        "organisation": transaction.organisation_id,
        "terminal": transaction.heading.terminal,
        "terminal_id": transaction.terminal_id,
        "store": transaction.heading.store,
        "dialect": transaction.dialect,
        "original_id": transaction.original_id,
        "accepted_at": rfc3339(transaction.created_at),
        "sent_at": rfc3339(transaction.sent_at),
        "started_at": rfc3339(transaction.started_at),
        "ended_at": rfc3339(transaction.ended_at),
        "cleared_at": rfc3339(transaction.cleared_at),
        "reversed_at": rfc3339(transaction.reversed_at),
        "proof": transaction.proof,
        "outcome": None if transaction.outcome is None else _outcome_view(transaction.outcome),
    }


def _outcome_view(outcome: Outcome) -> View:
    view: View = msgspec.to_builtins(outcome)
    view.pop("receipts", None)
    view["at"] = rfc3339(outcome.at)
    return view


def entry_view(entry: Entry) -> View:
    """An entry of other people's books: evidence."""
    outcome = entry.outcome
    return {
        "name": entry.name,
        "says": entry.verdict,
        "type": entry.type,
        "amount": entry.amount
        if entry.amount is None or not entry.currency
        else money_view(Money(entry.amount, entry.currency)),
        "at": rfc3339(entry.at),
        "reference": entry.reference,
        "original": entry.original,
        "tid": entry.tid,
        "words": entry.words,
        "transaction": entry.transaction_id or None,
        "outcome": None if outcome is None else _outcome_view(outcome),
    }


def blocked_view(transaction: Transaction, doubt: Doubt, driver: str) -> View:
    """A terminal that the transaction blocks."""
    return {
        "terminal": transaction.heading.terminal,
        "terminal_id": transaction.terminal_id,
        "driver": driver,
        "since": rfc3339(transaction.created_at),
        "transaction": transaction_view(transaction),
        "awaits": doubt.awaits,
        "last_heard": doubt.words,
        "next": NEXT[doubt.awaits],
    }


def event_view(event: Event) -> View:
    """An event of a transaction."""
    return {
        "sequence": event.sequence,
        "at": rfc3339(event.at),
        "name": event.name,
        "state": event.state,
        "detail": event.detail,
    }


def discrepancy_view(discrepancy: Discrepancy) -> View:
    """A discrepancy."""
    return {
        **msgspec.to_builtins(discrepancy),
        "at": rfc3339(discrepancy.at),
        "closed_at": rfc3339(discrepancy.closed_at),
    }


def letter_view(letter: Letter) -> View:
    """A letter, without what it says and where it goes."""
    return {
        "id": letter.id,
        "transaction": letter.transaction_id,
        "organisation": letter.organisation_id,
        "channel": letter.channel,
        "kind": letter.kind,
        "state": letter.state,
        "tries": letter.tries,
        "trouble": letter.trouble,
        "created_at": rfc3339(letter.created_at),
        "due_at": rfc3339(letter.due_at),
        "settled_at": rfc3339(letter.settled_at),
    }
