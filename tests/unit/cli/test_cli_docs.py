"""The pages for people say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from tests.unit.cli.conftest import Run
from tillwire.cli import application
from tillwire.cli.estate import DRIVERS
from tillwire.cli.pay import EXIT_STATUS
from tillwire.estate import file

DOCS = Path(__file__).parents[3] / "docs"


def test_the_estate_file_of_the_page_can_be_applied(run: Run, tmp_path: Path) -> None:
    page = (DOCS / "estate.md").read_text()
    example, *terminals = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    path, journal = tmp_path / "estate.toml", tmp_path / "journal.db"
    path.write_text(example)
    ran = run("estate", "apply", path, "--journal", journal, "--yes")
    assert ran.status == 0
    assert ran.out.splitlines()[0] in page
    assert "Plan: 5 to create.\nDone.\n" in page
    assert ran.out.endswith("Plan: 5 to create.\nDone.\n")
    assert "Nothing to do" in run("estate", "apply", path, "--journal", journal).out
    made = run("keys", "device", "corner-shops:till-1", "--journal", journal)
    assert made.out.startswith("twd_")
    path.write_text("\n".join([example, *terminals]))
    assert run("estate", "apply", path, "--journal", journal, "--yes").status == 0
    assert len(terminals) == sum(f"### `{driver}`\n" in page for driver in DRIVERS)


def test_the_page_tells_every_setting_of_the_drivers() -> None:
    page = (DOCS / "estate.md").read_text()
    sections = dict(re.findall(r"^### `(\w+)`$(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    for driver, settings in DRIVERS.items():
        told = re.findall(r"^\| `(\w+)` \|", sections.get(driver, ""), re.MULTILINE)
        assert sorted(told) == sorted(settings.__struct_fields__), driver


def test_the_page_tells_every_setting_of_the_file() -> None:
    page = (DOCS / "estate.md").read_text()
    sections = re.findall(r"^## (\w+)$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    told = {
        heading: set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
        for heading, text in sections
    }
    for heading, kind in (
        ("Organisations", file.OrganisationEntry),
        ("Merchants", file.MerchantEntry),
        ("Stores", file.StoreEntry),
        ("Terminals", file.TerminalEntry),
    ):
        below = {"merchants", "stores", "terminals"}
        assert told[heading] == set(kind.__struct_fields__) - below, heading


def test_the_page_tells_every_command() -> None:
    page = (DOCS / "cli.md").read_text()
    group = typer.main.get_group(application())
    assert set(re.findall(r"^\| `tillwire (\w+)` \|", page, re.MULTILINE)) == set(group.commands)


def test_the_page_tells_every_exit_status_of_pay() -> None:
    page = (DOCS / "cli.md").read_text()
    told = re.findall(r"^\| ([0-9]) \|", page, re.MULTILINE)
    assert sorted(map(int, told)) == sorted(EXIT_STATUS.values())
