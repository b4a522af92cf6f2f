"""What transactions come to: each in the row of what it did."""

from __future__ import annotations

import msgspec
import pytest

from tillwire.core import totals
from tillwire.core.model import State, Terms, TransactionType
from tillwire.core.totals import Ending, TotalsKind, TotalsRow, tally

T, K, S = TransactionType, TotalsKind, State


def ending(
    type_: TransactionType = T.PURCHASE, state: State = S.APPROVED, **special: object
) -> Ending:
    usual = Ending(
        type=type_,
        state=state,
        asked=1000,
        approved=900 if state is S.APPROVED else 0,
        currency="EUR",
        brand="VISA",
        register="till-1",
        terms=Terms(),
        original_type=None,
    )
    return msgspec.structs.replace(usual, **special)


@pytest.mark.parametrize(
    ("type_", "original", "kind"),
    [
        (T.PURCHASE, None, K.DEBIT),
        (T.REFUND, None, K.CREDIT),
        (T.REFUND, T.PURCHASE, K.CREDIT),
        (T.REVERSAL, T.PURCHASE, K.REVERSE_DEBIT),
        (T.REVERSAL, T.PREAUTH, K.REVERSE_RESERVED),
        (T.REVERSAL, T.INCREMENT, K.REVERSE_RESERVED),
        (T.REVERSAL, T.CASH_ADVANCE, K.REVERSE_DEBIT),
        (T.REVERSAL, T.CAPTURE, K.REVERSE_DEBIT),
        (T.REVERSAL, T.REFUND, K.REVERSE_CREDIT),
        (T.PREAUTH, None, K.RESERVED),
        (T.INCREMENT, T.PREAUTH, K.RESERVED_CHANGE),
        (T.CAPTURE, T.PREAUTH, K.COMPLETED),
        (T.CASH_ADVANCE, None, K.CASH_ADVANCE),
    ],
)
def test_what_was_approved_counts_by_what_it_did_with_what_moved(
    type_: TransactionType, original: TransactionType | None, kind: TotalsKind
) -> None:
    [row] = tally([ending(type_, original_type=original)])
    assert (row.kind, row.count, row.amount) == (kind, 1, 900)


@pytest.mark.parametrize(
    ("state", "kind"),
    [(S.DECLINED, K.DECLINED), (S.CANCELLED, K.DECLINED), (S.FAILED, K.FAILED)],
)
@pytest.mark.parametrize("type_", list(T))
def test_what_was_not_approved_counts_with_what_was_asked_for(
    type_: TransactionType, state: State, kind: TotalsKind
) -> None:
    [row] = tally([ending(type_, state, original_type=T.REFUND)])
    assert (row.kind, row.count, row.amount) == (kind, 1, 1000)


def test_each_word_makes_a_row_of_its_own_and_equal_ones_share_one() -> None:
    terms = Terms(operator="Ann", shift="2", totals_group="G")
    apart = [
        ending(),
        ending(currency="USD"),
        ending(brand="AMEX"),
        ending(register="till-2"),
        *(
            ending(terms=msgspec.structs.replace(terms, **{word: ""}))
            for word in ("operator", "shift", "totals_group")
        ),
        ending(T.REFUND),
    ]
    rows = tally([*apart, *apart])
    assert [(row.count, row.amount) for row in rows] == [(2, 1800)] * len(apart)
    assert rows == tally(reversed([*apart, *apart]))
    assert TotalsRow(
        K.DEBIT, "EUR", "VISA", "till-1", "Ann", "2", "", count=2, amount=1800
    ) in rows  # fmt: skip


def test_an_increment_may_lower_what_is_reserved() -> None:
    [row] = tally(ending(T.INCREMENT, approved=amount) for amount in (500, -200))
    assert (row.count, row.amount) == (2, 300)


def test_an_invented_operator_for_each_sale_fills_no_memory_and_loses_no_sale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(totals, "MOST_ROWS", 3)
    many = [ending(terms=Terms(operator=f"{number:02}")) for number in range(10)]
    rows = tally([*many, many[0]])
    assert len(rows) == 4
    assert rows[0] == TotalsRow(K.DEBIT, "EUR", count=7, amount=7 * 900)
    assert rows[1].count == 2
    assert sum(row.amount for row in rows) == 11 * 900
