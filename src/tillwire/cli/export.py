"""`tillwire transactions export`: the journal's transactions as a table for other programs.

Its columns are those that a reconciliation reads with the profile `tillwire`, and exact: no cell is
changed for the sake of spreadsheets.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Final

import typer

from tillwire.cli.journals import ConfigOption, DataOption, JournalOption, locate, opened
from tillwire.cli.options import OwnerOption
from tillwire.cli.output import remark, result
from tillwire.cli.windows import (
    DayOption,
    FromOption,
    Places,
    StoreOption,
    TerminalOption,
    ToOption,
    chosen,
    ids_of,
)
from tillwire.core.ports import Reader
from tillwire.errors import ConfigurationError, InvalidRequest
from tillwire.reconcile.exports import write_csv, write_parquet
from tillwire.reconcile.journal_side import rows_of
from tillwire.reconcile.sources import Row

KEPT_IN_MEMORY: Final = 16 << 20
"""Characters of a table that are not put on the disk before they are handed on."""


def export(
    csv: Annotated[Path | None, typer.Option("--csv", help="Write a CSV file.")] = None,
    parquet: Annotated[Path | None, typer.Option("--parquet", help="Write a Parquet file.")] = None,
    day: DayOption = "",
    begin: FromOption = "",
    end: ToOption = "",
    organisation: OwnerOption = "",
    store: StoreOption = "",
    terminal: TerminalOption = "",
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write the transactions of a time as CSV or Parquet; as CSV to standard output without either.

    Its times are those at which the transactions were accepted, in UTC.
    """
    if csv is not None and parquet is not None:
        raise InvalidRequest("--parquet", "one file is written at a time", "--csv, or --parquet")
    with opened(locate(journal, config, data)) as books:
        estate = books.read_now(lambda reader: reader.estate())
        window, terminals = chosen(estate, day, begin, end, Places(organisation, store, terminal))

        def rows(reader: Reader) -> Iterator[Row]:
            return rows_of(reader.transactions_in(window.begin, window.end), ids_of(terminals))

        try:
            if parquet is not None:
                count = books.read_now(lambda reader: write_parquet(parquet, rows(reader)))
            else:
                # Whoever reads standard output, a pager perhaps, has all the time there is.
                with SpooledTemporaryFile(
                    KEPT_IN_MEMORY, "w+", encoding="utf-8", newline=""
                ) as table:
                    count = books.read_now(lambda reader: write_csv(table, rows(reader)))
                    table.seek(0)
                    _copy(table, csv)
        except OSError as error:
            raise ConfigurationError(
                f"{csv or parquet}: it cannot be written: {error.strerror or error}."
            ) from None
    remark(f"{count} transactions.")


def _copy(table: IO[str], path: Path | None) -> None:
    if path is None:
        with result() as out:
            copyfileobj(table, out)
        return
    with path.open("w", encoding="utf-8", newline="") as out:
        copyfileobj(table, out)
