"""Evidence: when the acquirer's word ends a transaction that is UNKNOWN, and when there is a doubt.

A wrong word of ours would be believed by a till. So whatever may be about the same payment, and
says something else, leaves it to a person.
"""

from __future__ import annotations

from typing import Final

from tillwire.core.model import Evidence, Outcome, TransactionType, Verdict
from tillwire.reconcile.facts import MOVED, NOTHING, OPEN, REVERSED
from tillwire.reconcile.match import ACQUIRER, GATEWAY, NEAR
from tillwire.reconcile.profiles import Key, Status
from tillwire.reconcile.results import Result, Seen
from tillwire.reconcile.workspace import Workspace

CLOCKS: Final = 3_600_000
"""Milliseconds by which an acquirer's clock may be behind ours."""
_STRONG: Final = (Key.ID, Key.REFERENCE, Key.ACQUIRER_REFERENCE)


def undisputed(workspace: Workspace) -> str:
    """The condition of those UNKNOWN to us of which the acquirer has no other row than the one that
    was found, as far as anybody can tell, and of which that row is no other transaction's. A row is
    no other transaction's as long as that is UNKNOWN, too, but by our id."""
    workspace.run(
        "CREATE TABLE rest AS SELECT n, direction, class, minor, cur, ms, transaction_id, "
        "original_id, acquirer_reference, reference, lower(tid) AS tid, "
        "lower(terminal) AS terminal, stan, authorisation_code, card_last4 "
        "FROM rows_acquirer WHERE n IN (SELECT n FROM odd_acquirer) "
        f"AND n NOT IN (SELECT p.b FROM pairs_{GATEWAY}_{ACQUIRER} p "
        "JOIN rows_gateway g ON g.n = p.a JOIN rows_acquirer a ON a.n = p.b "
        f"WHERE p.key = '{Key.ID.value}' OR (g.class = a.class AND g.class <> {OPEN}))"
    )
    doubts = [
        f"SELECT 1 FROM rest o WHERE o.n <> c.acquirer AND {each}"
        for each in (*_other_words(), *_other_payments(), *_taken_back())
    ]
    doubts += [
        f"SELECT 1 FROM rows_gateway o WHERE o.n <> c.gateway AND {each}"
        for each in _other_transactions()
    ]
    unknown = f"gateway.class = {OPEN} AND gateway.inside AND c.acquirer IS NOT NULL"
    return " AND ".join([unknown, *(f"NOT EXISTS ({each})" for each in doubts)])


def _other_words() -> list[str]:
    """That a row takes the sale back, as a terminal may do whose answer was lost, says that it was
    taken back or is not over, or was charged where the one that was found was declined."""
    told = (
        f"o.class <> {NOTHING} "
        f"AND (o.direction = 1 OR o.class IN ({REVERSED}, {OPEN}) OR acquirer.class = {NOTHING})"
    )
    there = "coalesce(o.tid = lower(gateway.tid), true)"
    return [
        f"o.original_id = gateway.transaction_id AND {told}",
        f"o.acquirer_reference = acquirer.acquirer_reference AND {told}",
        f"o.reference = gateway.reference AND {there} AND {told}",
        f"{_same('stan')} AND {_HERE} AND {_WITHIN_A_DAY} AND {told}",
        f"{_same('authorisation_code')} AND {_HERE} AND {told}",
    ]


def _other_payments() -> list[str]:
    """That a row, of another file perhaps, may be the same payment by the key by which the one that
    was found is, and was not compared by it, since it does not say where it was."""
    at_ours = "coalesce(o.tid = lower(gateway.tid), o.terminal = lower(gateway.terminal), true)"
    alike = "o.direction = acquirer.direction AND c.key"
    return [
        f"o.reference = gateway.reference AND {at_ours} AND {alike} = '{Key.REFERENCE.value}'",
        f"o.acquirer_reference = acquirer.acquirer_reference AND {alike} <> '{Key.ID.value}'",
    ]


def _taken_back() -> list[str]:
    """That a row gives the same amount back at that terminal within a day, and names nothing that
    it would belong to."""
    nameless = (
        "o.transaction_id IS NULL AND o.original_id IS NULL "
        "AND coalesce(o.reference = gateway.reference, true)"
    )
    return [
        f"o.minor = acquirer.minor AND o.cur = acquirer.cur AND o.class <> {NOTHING} "
        f"AND o.direction = 1 AND acquirer.direction = 0 AND {_HERE} AND {nameless} "
        "AND coalesce(o.card_last4 = acquirer.card_last4, true) "
        f"AND {_WITHIN_A_DAY}"
    ]


def _other_transactions() -> list[str]:
    """That by another key the row is of a payment that we know. Our own id says more than those."""
    known = (
        f"c.key <> '{Key.ID.value}' AND o.direction = gateway.direction "
        f"AND o.class IN ({MOVED}, {REVERSED})"
    )
    return [
        f"o.acquirer_reference = acquirer.acquirer_reference AND {known}",
        f"{_same('stan')} AND {_same('authorisation_code')} "
        f"AND lower(o.tid) = lower(acquirer.tid) AND {known}",
    ]


def _same(number: str) -> str:
    return f"ltrim(o.{number}, '0') = ltrim(acquirer.{number}, '0')"


_HERE: Final = "coalesce(o.tid = lower(acquirer.tid), o.terminal = lower(acquirer.terminal), true)"
"""That a row may be of the same terminal."""
_WITHIN_A_DAY: Final = f"abs(o.ms - acquirer.ms) <= {NEAR}"


def is_definite(result: Result) -> bool:
    """Whether the acquirer's word about an UNKNOWN transaction leaves no doubt: one row, under a
    key that is nobody else's, of that amount. That it was declined counts under our own id alone:
    a till may have tried again under the same reference. On another day a reference may be another
    sale's, and nothing is settled on the day before it was accepted."""
    ours, theirs = result.seen[GATEWAY], result.seen[ACQUIRER]
    if not result.alone or result.key not in _STRONG or ours.status is not Status.UNKNOWN:
        return False
    if result.key is not Key.ID and not _near(ours, theirs):
        return False
    if theirs.meaning == MOVED:
        same = (ours.amount, ours.back) == (theirs.amount, theirs.back)
        return same and ours.type not in (TransactionType.PREAUTH, TransactionType.INCREMENT)
    return theirs.meaning == NOTHING and theirs.status is Status.DECLINED and result.key is Key.ID


def _near(ours: Seen, theirs: Seen) -> bool:
    """Whether the times are those of one payment. A file may have days alone, which begin before
    all that was sold on them."""
    if theirs.day < ours.day and theirs.at < ours.at - CLOCKS:
        return False
    return abs(theirs.at - ours.at) <= NEAR


def outcome_of(result: Result) -> Outcome:
    """What a definite one tells the engine."""
    ours, theirs = result.seen[GATEWAY], result.seen[ACQUIRER]
    approved = theirs.meaning == MOVED
    return Outcome(
        Verdict.APPROVED if approved else Verdict.DECLINED,
        evidence=Evidence.RECOVERED,
        approved_amount=ours.amount.minor if approved else 0,
        at=theirs.at,
        reason="" if approved else "The acquirer has it as declined.",
        authorisation_code=theirs.texts.get("authorisation_code", ""),
        stan=theirs.texts.get("stan", ""),
        card_last4=theirs.texts.get("card_last4", ""),
        acquirer_reference=theirs.texts.get("acquirer_reference", ""),
    )
