"""What a settlement comes to, as text for the till's paper: pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tillwire.clock import Instant, local
from tillwire.core.columns import centred, pair
from tillwire.core.model import Heading
from tillwire.core.totals import TotalsKind, TotalsRow
from tillwire.money import Money

_NAMES = {
    TotalsKind.DEBIT: "PURCHASES",
    TotalsKind.CREDIT: "REFUNDS",
    TotalsKind.REVERSE_DEBIT: "PURCHASES REVERSED",
    TotalsKind.REVERSE_CREDIT: "REFUNDS REVERSED",
    TotalsKind.RESERVED: "AUTHORISED",
    TotalsKind.RESERVED_CHANGE: "AUTHORISED MORE",
    TotalsKind.REVERSE_RESERVED: "AUTH. REVERSED",
    TotalsKind.COMPLETED: "FINALISED",
    TotalsKind.CASH_ADVANCE: "CASH ADVANCES",
    TotalsKind.DECLINED: "NOT APPROVED",
    TotalsKind.FAILED: "NOT DELIVERED",
}


def settlement(
    heading: Heading,
    title: str,
    number: int,
    opened_at: Instant,
    until: Instant,
    rows: Sequence[TotalsRow],
    width: int,
) -> str:
    """The totals of a period, by what was done, currency and brand."""

    def moment(at: Instant) -> str:
        return f"{local(at, heading.time_zone):%Y-%m-%d %H:%M}"

    lines = [
        *centred(heading.store, width),
        *centred(title, width),
        "",
        *pair("TERMINAL", heading.tid or heading.terminal, width),
        *pair("PERIOD", str(number), width),
        *pair("FROM", moment(opened_at), width),
        *pair("UNTIL", moment(until), width),
    ]
    sums: dict[tuple[TotalsKind, str], dict[str, list[int]]] = defaultdict(dict)
    for row in rows:
        brands = sums[row.kind, row.currency]
        found = brands.setdefault(row.brand.replace("_", " ") or "OTHER", [0, 0])
        found[0] += row.count
        found[1] += row.amount
    for kind, name in _NAMES.items():
        for (known, currency), brands in sorted(sums.items()):
            if known is kind:
                lines += ["", f"{name} {currency}"]
                for brand, (count, amount) in sorted(brands.items()):
                    lines += pair(f"{count} {brand}", Money(amount, currency).decimal(), width)
    if not rows:
        lines += ["", *centred("NO TRANSACTIONS", width)]
    return "\n".join(lines) + "\n"
