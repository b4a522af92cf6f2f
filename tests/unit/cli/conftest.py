"""Runs commands in this process, as `tillwire ...` would."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tillwire.cli import main

ESTATE = """
[[organisations]]
key = "shop"
name = "The Shop"

[[organisations.merchants]]
key = "leeds"
name = "Leeds Ltd"

[[organisations.merchants.stores]]
name = "Corner"
address = "1 High Street"
city = "Leeds"
zip_code = "LS1 1AA"
country = "GB"
time_zone = "Europe/London"
currency = "GBP"

[[organisations.merchants.stores.terminals]]
key = "till-1"
manufacturer = "ACME"
model = "P2"
serial = "PL1"
driver = "device"

[[organisations.merchants.stores.terminals]]
key = "till-2"
manufacturer = "ACME"
model = "V1"
serial = "PL2"
tid = "30350002"
driver = "virtual"
"""


class Unwritable(io.StringIO):
    """A stream on a full disk, say, or one that nobody reads any more."""

    def __init__(self, trouble: int) -> None:
        """`trouble` is the error's number."""
        super().__init__()
        self._trouble = trouble

    def write(self, text: str) -> int:
        """Not here."""
        raise OSError(self._trouble, os.strerror(self._trouble))


@dataclass
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its output, which must be one JSON document."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `tillwire` with these arguments."""
    for name in ("TILLWIRE_JOURNAL", "TILLWIRE_CONFIG", "TILLWIRE_URL", "TILLWIRE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["tillwire", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Ran(code or 0, printed.out, printed.err)

    return run


@pytest.fixture
def estate_file(tmp_path: Path) -> Path:
    """An estate file with a polling and a virtual terminal."""
    path = tmp_path / "estate.toml"
    path.write_text(ESTATE)
    return path


@pytest.fixture
def journal(tmp_path: Path, run: Run, estate_file: Path) -> Path:
    """A journal with that estate."""
    path = tmp_path / "journal.db"
    assert run("estate", "apply", estate_file, "--journal", path, "--yes").status == 0
    return path
