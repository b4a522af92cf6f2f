"""Findings: differences as the journal keeps them, until a person closes each with a reason.

A finding has a key: a digest of its kinds and of what each side says. Whoever reconciles the same
sides again finds the same keys; when a fact differs, so does the key. A side that only says what
the gateway says is no such fact: a day may be compared with the till's export in the evening, and
with the acquirer's file, too, on the next day. Nor is how a file names a transaction of ours: its
profile may read more of it tomorrow.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from tillwire.clock import utc
from tillwire.core.model import Finding
from tillwire.reconcile.match import GATEWAY, LABELS
from tillwire.reconcile.results import Kind, Result, Seen

_WORDS = {
    Kind.DUPLICATE: "It comes more than once.",
    Kind.MISSING_AT_GATEWAY: "The gateway does not have it.",
    Kind.MISSING_AT_ACQUIRER: "The acquirer does not have it.",
    Kind.MISSING_AT_TILL: "The till does not have it.",
    Kind.AMOUNT_DIFFERS: "The amounts differ.",
    Kind.STATUS_DIFFERS: "What became of it differs.",
}
_NAMES: Final = (
    "transaction_id",
    "original_id",
    "reference",
    "acquirer_reference",
    "terminal",
    "tid",
    "stan",
    "authorisation_code",
)
TOLD: Final = ("reference", "terminal", "tid", "acquirer_reference", "stan")
"""Texts of a row by which people find it."""


def findings(differences: Iterable[Result], sources: Mapping[str, str]) -> list[Finding]:
    """What the journal is to keep of them. `sources` are the sides' names, by label."""
    counted: Counter[str] = Counter()
    found = []
    for each in differences:
        digest = _digest(each)
        counted[digest] += 1  # rows that are alike in everything are told apart by their number
        ours = each.seen.get(GATEWAY)
        found.append(
            Finding(
                key=f"{digest}-{counted[digest]}",
                kind=each.kind.value,
                transaction_id=ours.texts["transaction_id"] if ours else None,
                known=_known(each),
                heard=heard(each),
                source=", ".join(sources[label] for label in LABELS[1:] if label in sources),
            )
        )
    return found


def _digest(result: Result) -> str:
    ours = result.seen.get(GATEWAY)
    sides = [
        [label, row.type, row.status, str(row.amount), _names(row) if ours is None else []]
        for label, row in sorted(result.seen.items())
        if ours is None or row is ours or _money(row) != _money(ours)
    ]
    name = ours.texts["transaction_id"] if ours else ""
    octets = msgspec.json.encode([result.kinds, name, sides])
    return hashlib.sha256(octets).hexdigest()[:40]


def _names(row: Seen) -> list[object]:
    """What tells a row from others that are no transaction of ours."""
    return [row.at, *((name, row.texts[name]) for name in _NAMES if name in row.texts)]


def _money(row: Seen) -> tuple[object, ...]:
    return row.meaning, row.back, row.amount


def _known(result: Result) -> str:
    ours = result.seen.get(GATEWAY)
    return f"The gateway has {described(ours)}." if ours else "The gateway has nothing of it."


def heard(result: Result) -> str:
    """What the other sides say, and what is wrong with it, in sentences."""
    told = [
        f"The {label} ({row.source}, row {row.row}) has {described(row)}."
        for label, row in result.seen.items()
        if label != GATEWAY
    ]
    return " ".join([*told, *(_WORDS[kind] for kind in result.kinds if kind in _WORDS)])


def described(row: Seen) -> str:
    """A row in words."""
    names = [f"{name} {row.texts[name]}" for name in TOLD if name in row.texts]
    moment = f"{utc(row.at):%Y-%m-%d %H:%M:%S} UTC"
    return f"{row.type.value} {row.amount} {row.status.value} ({', '.join([*names, moment])})"
