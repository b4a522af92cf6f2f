"""Writes two files of the same sales, the acquirer's in another order and with mistakes.

python -m benchmarks.reconciliation_files FOLDER ROWS
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import duckdb

from tillwire.reconcile.match import ACQUIRER, GATEWAY
from tillwire.reconcile.sources import ROW_COLUMNS

_EVERY: Final = 20_000
"""One sale of so many is spoiled."""
_FIRST: Final = 1_773_446_400_000
_DAY: Final = 86_400_000

# The ways in which they are, by turns; and the differences that each makes.
_LEFT_OUT, _STRANGE, _AMOUNT, _STATUS, _TWICE = range(5)
_DIFFERENCES: Final = {_LEFT_OUT: 1, _STRANGE: 2, _AMOUNT: 1, _STATUS: 1, _TWICE: 1}


def differences_of(rows: int) -> int:
    """How many differences files of so many sales have."""
    spoiled = range(_EVERY // 2, rows, _EVERY)
    return sum(_DIFFERENCES[sale // _EVERY % 5] for sale in spoiled)


def _spoiled(way: int) -> str:
    return f"(i % {_EVERY} = {_EVERY // 2} AND divide(i, {_EVERY}) % 5 = {way})"


def _cells(rows: int, *, mistakes: bool) -> dict[str, str]:
    def of(way: int, then: str, otherwise: str) -> str:
        return f"CASE WHEN {_spoiled(way)} THEN {then} ELSE {otherwise} END"

    moment = f"({_FIRST} + divide(i * {_DAY}, {rows}))"
    number = f"(i + {of(_STRANGE, str(10 * rows), '0')})" if mistakes else "i"
    more = of(_AMOUNT, "1", "0") if mistakes else "0"
    minor = f"(100 + i * 37 % 20000 + {more})"
    return {
        "transaction_id": f"lpad(CAST({moment} AS VARCHAR), 13, '0') || "
        f"lpad(CAST({number} AS VARCHAR), 18, '0')",
        "original_id": "''",
        "reference": f"'sale-' || {number}",
        "acquirer_reference": f"lpad(CAST({number} AS VARCHAR), 12, '0')",
        "terminal": "'NEXI-P61B-' || lpad(CAST(i % 500 AS VARCHAR), 8, '0')",
        "tid": "lpad(CAST(i % 500 AS VARCHAR), 8, '0')",
        "store": "'Store ' || (i % 50)",
        "type": "'PURCHASE'",
        "status": of(_STATUS, "'DECLINED'", "'APPROVED'") if mistakes else "'APPROVED'",
        "amount": f"divide({minor}, 100) || '.' || lpad(CAST({minor} % 100 AS VARCHAR), 2, '0')",
        "currency": "'EUR'",
        "at": f"strftime(make_timestamp({moment} * 1000), '%Y-%m-%dT%H:%M:%S.%gZ')",
        "authorisation_code": "lpad(CAST(i * 31 % 1000000 AS VARCHAR), 6, '0')",
        "stan": "lpad(CAST(i % 1000000 AS VARCHAR), 6, '0')",
        "card_last4": "'4242'",
    }


def _write(database: duckdb.DuckDBPyConnection, path: Path, rows: int, *, mistakes: bool) -> None:
    cells = _cells(rows, mistakes=mistakes)
    shown = ", ".join(f'{cells[column]} AS "{column}"' for column in ROW_COLUMNS)
    every = f"SELECT range AS i FROM range({rows})"
    sales = every
    if mistakes:
        sales = (
            f"SELECT i FROM ({every}) WHERE NOT {_spoiled(_LEFT_OUT)} "
            f"UNION ALL SELECT i FROM ({every}) WHERE {_spoiled(_TWICE)}"
        )
    order = "hash(i)" if mistakes else "i"
    database.execute(
        f"COPY (SELECT {shown} FROM (SELECT i FROM ({sales}) ORDER BY {order})) "
        f"TO '{path}' (FORMAT csv, HEADER)"
    )


def main() -> None:
    """Write them."""
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    database = duckdb.connect(
        config={"memory_limit": "1000MB", "temp_directory": str(folder / "spill")}
    )
    _write(database, folder / f"{GATEWAY}.csv", rows, mistakes=False)
    _write(database, folder / f"{ACQUIRER}.csv", rows, mistakes=True)
    print("{}")


if __name__ == "__main__":
    main()
