"""Rows written as our own export, which the profile `tillwire` reads."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from tillwire.reconcile import profiles
from tillwire.reconcile.sources import Row, Rows, write_rows
from tillwire.reconcile.workspace import Workspace, quoted

write_csv = write_rows


def write_parquet(path: Path, rows: Iterable[Row]) -> int:
    """Write them as Parquet, all columns as text; how many there were. Raises `OSError`."""
    with Workspace() as workspace:
        prepared = Rows(path.name, rows, profiles.load("tillwire")).prepare(workspace, "gateway")
        columns = ", ".join(f"{column} AS {name}" for name, column in prepared.found.items())
        made = workspace.file("export.parquet")
        ((count,),) = workspace.run(
            f"COPY (SELECT {columns} FROM {prepared.relation}) "
            f"TO {quoted(str(made))} (FORMAT parquet, COMPRESSION zstd)"
        )
        shutil.move(made, path)
    return int(count)
