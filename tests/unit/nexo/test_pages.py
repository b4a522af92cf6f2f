"""The pages about nexo tills and terminals say what the program does."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tillwire import config
from tillwire.dialects.nexo.driver.settings import DriverSettings
from tillwire.dialects.nexo.face.settings import Settings
from tillwire.dialects.nexo.wire.values import ErrorCondition
from tillwire.server.faces import FACES
from tillwire.virtual.script import ENDINGS

DOCS: Final = Path(__file__).parents[3] / "docs"
TILL: Final = (DOCS / "how-to" / "connect-a-nexo-till.md").read_text(encoding="utf-8")
TERMINAL: Final = (DOCS / "how-to" / "connect-a-nexo-terminal.md").read_text(encoding="utf-8")
ESTATE: Final = (DOCS / "estate.md").read_text(encoding="utf-8")
CONFIGURATION: Final = (DOCS / "configuration.md").read_text(encoding="utf-8")


def rows(text: str, heading: str) -> dict[str, str]:
    """The first two columns of the first table under these column headings."""
    table = text.partition(heading)[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `?([\w-]+)`? \| (.*?) \|", table, re.MULTILINE))


def blocks(text: str) -> list[str]:
    """The TOML on a page."""
    return re.findall(r"```toml\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(
    ("page", "reference", "after", "kind"),
    [
        (TILL, CONFIGURATION, "Settings of `nexo-http`", Settings),
        (TERMINAL, ESTATE, "### `nexo`", DriverSettings),
    ],
    ids=["face", "driver"],
)
def test_every_setting_is_there_with_the_default_of_the_reference(
    page: str, reference: str, after: str, kind: type[msgspec.Struct]
) -> None:
    told = rows(page, "| setting | default | set it when |")
    assert set(told) == set(kind.__struct_fields__)
    assert told == rows(reference.partition(after)[2], "| setting | default | meaning |")


def test_the_defaults_of_the_driver_are_those_of_the_program() -> None:
    told = rows(TERMINAL, "| setting | default | set it when |")
    defaults = {
        field.name: field.default
        for field in msgspec.structs.fields(DriverSettings)
        if isinstance(field.default, bool | int | float | str) and field.default != ""
    }
    assert len(defaults) > 15
    for name, default in defaults.items():
        assert json.loads(told[name].strip("`")) == default, name


def test_every_error_condition_is_told() -> None:
    told = rows(TILL, "| `ErrorCondition` | what happened | the till |")
    assert set(told) == set(ErrorCondition)


def test_every_ending_of_an_amount_is_told() -> None:
    table = TILL.partition("| ends in |")[2].partition("\n\n")[0]
    first = " ".join(re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE))
    assert sorted(map(int, re.findall(r"\d+", first))) == sorted(ENDINGS)


def test_the_faces_can_be_served_as_written(tmp_path: Path) -> None:
    (found,) = blocks(TILL)
    for name in ("pay.pem", "pay.key", "nexo.passphrase"):
        (tmp_path / name).touch()
    file = tmp_path / "tillwire.toml"
    file.write_text('[journal]\npath = "journal.db"\n' + found.replace("/etc/tillwire/", ""))
    faces = [face for each in config.load(file, FACES).listeners for face in each.faces]
    assert [each.name for each in faces] == ["nexo-http", "nexo-tcp", "nexo-held"]


def test_the_terminals_can_be_reached_as_written() -> None:
    entries = [
        tomllib.loads(each)["organisations"]["merchants"]["stores"]["terminals"][0]
        for each in blocks(TERMINAL)
    ]
    found = [msgspec.convert(each["settings"], DriverSettings) for each in entries]
    assert [each.binding for each in found] == ["tcp", "held"]
