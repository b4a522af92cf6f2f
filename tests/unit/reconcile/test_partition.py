"""Every row of every side lands in exactly one result, and in the right one, whatever the sides
are: a hundred small shops are compared in one run, and again by hand."""

from __future__ import annotations

import random
from collections import Counter
from typing import Final

import msgspec
import pytest

from tests.unit.reconcile.books import WINDOW, compared, row
from tests.unit.reconcile.oracle import compared_by_hand
from tillwire.reconcile import profiles
from tillwire.reconcile.match import ACQUIRER, GATEWAY, LABELS, TILL
from tillwire.reconcile.profiles import Key
from tillwire.reconcile.results import Kind
from tillwire.reconcile.run import reconcile
from tillwire.reconcile.sources import Row, Rows

SHOPS: Final = 100
ALL: Final = tuple(Key)
_TYPES: Final = ("PURCHASE", "PURCHASE", "REFUND", "REVERSAL", "PREAUTH")
_STATUSES: Final = ("APPROVED", "APPROVED", "DECLINED", "UNKNOWN", "REVERSED")
_TIMES: Final = (
    "2026-03-14T10:00:00+00:00", "2026-03-14T10:00:00+00:00", "2026-03-14T23:59:59.999+00:00",
    "2026-03-15T00:00:00+00:00", "2026-03-13T10:00:00+00:00", "2026-03-17T10:00:00+00:00",
)  # fmt: skip


def shop(dice: random.Random, number: int, label: str, *, blanks: bool) -> list[Row]:
    """Rows that share keys, lack them, and repeat each other; no other shop has the same keys."""

    def key(*texts: str) -> str:
        return dice.choice(("", *texts) if blanks else texts)

    ids = [row(number * 10 + each).transaction_id for each in range(4)]
    made: list[Row] = []
    for own in range(dice.randint(0, 4)):
        if made and dice.random() < 0.15 and label != GATEWAY:
            made.append(dice.choice(made))
            continue
        made.append(
            row(
                number,
                # The gateway's ids are each its own.
                transaction_id=ids[own] if label == GATEWAY else key(*ids),
                original_id=dice.choice(ids),
                reference=key(f"a-{number}", f"b-{number}", f"4111111111111111 {number}"),
                acquirer_reference=key(f"c-{number}", f"d-{number}"),
                stan=key("000001"),
                tid=dice.choice((f"T{number}", f"t{number}", f"U{number}")),
                type=dice.choice(_TYPES),
                status=dice.choice(_STATUSES),
                amount=dice.choice(("1.00", "2.00")),
                at=dice.choice(_TIMES),
            )
        )
    return made


@pytest.mark.parametrize(
    ("seed", "third", "blanks", "keys"),
    [
        (1, False, True, ALL),
        (2, True, True, ALL),
        (4, True, False, ALL[1:]),
        (5, True, True, ALL[1:]),
        (6, False, False, (Key.TRACE,)),
    ],
)
def test_every_row_lands_where_it_does_by_hand(
    seed: int, third: bool, blanks: bool, keys: tuple[Key, ...]
) -> None:
    dice = random.Random(seed)
    labels = LABELS if third else (GATEWAY, ACQUIRER)
    books: dict[str, list[Row]] = {label: [] for label in labels}
    for number in range(SHOPS):
        for label in labels:
            books[label] += shop(dice, number, label, blanks=blanks)
    for rows in books.values():
        dice.shuffle(rows)
    usable = {TILL: keys, ACQUIRER: ALL if third else keys}
    own = profiles.load("tillwire")
    report = reconcile(
        {
            label: Rows(label, rows, msgspec.structs.replace(own, keys=usable.get(label, ALL)))
            for label, rows in books.items()
        },
        WINDOW,
    )
    expected = compared_by_hand(books, WINDOW, {label: usable[label] for label in labels[1:]})
    told = Counter(
        (each.kinds, tuple((label, each.seen[label].row) for label in labels if label in each.seen))
        for each in report.differences
    )
    unlike = (Kind.MATCHED, Kind.OUTSIDE)
    differ = Counter({each: n for each, n in expected.items() if each[0][0] not in unlike})
    assert (told - differ, differ - told) == (Counter(), Counter())
    kinds: Counter[Kind] = Counter()
    for (first, *_), _rows in expected.elements():
        kinds[first] += 1
    assert {kind: count for kind, count in report.kinds.items() if count} == dict(kinds)
    counted: Counter[str] = Counter()
    for group in report.groups:
        counted.update(group.rows)
    assert dict(counted) == {label: len(rows) for label, rows in books.items()}


def test_a_side_that_says_the_same_agrees() -> None:
    dice = random.Random(7)
    sold = [each for number in range(SHOPS) for each in shop(dice, number, GATEWAY, blanks=True)]
    known = [each for each in sold if each.status != "UNKNOWN"]
    assert compared(known, known, known).agrees
