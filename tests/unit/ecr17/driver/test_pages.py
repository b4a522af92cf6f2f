"""The pages about ECR17 terminals say what the program does."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.unit.ecr17.driver.till import terminal
from tillwire.dialects.ecr17.driver.driver import Ecr17Driver
from tillwire.dialects.ecr17.driver.settings import DriverSettings

DOCS: Final = Path(__file__).parents[4] / "docs"
ESTATE: Final = (DOCS / "estate.md").read_text(encoding="utf-8").partition("### `ecr17`")[2]
PAGE: Final = (DOCS / "how-to" / "connect-an-ecr17-terminal.md").read_text(encoding="utf-8")


def test_the_defaults_are_those_of_the_program() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", ESTATE.partition("### ")[0], re.MULTILINE))
    defaults = {
        each.name: each.default
        for each in msgspec.structs.fields(DriverSettings)
        if isinstance(each.default, bool | int | float | str)
    }
    assert len(defaults) > 20
    for name, default in defaults.items():
        assert json.loads(told[name].strip("`")) == default, name
    assert {name for name, default in told.items() if default == "required"} == {"host", "port"}


def test_the_examples_can_be_used() -> None:
    examples = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert examples
    for example in examples:
        found = tomllib.loads(example)["organisations"]
        assert Ecr17Driver(terminal(_settings(found)), None, None)  # type: ignore[arg-type]


def _settings(found: Any) -> dict[str, Any]:
    settings: dict[str, Any] = found["merchants"]["stores"]["terminals"][0]["settings"]
    return settings


def test_the_settings_that_the_page_names_are_there() -> None:
    table = PAGE.partition("| setting | set it when |")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in table.split("\n")[2:]))
    assert len(named) > 5
    assert set(named) <= set(DriverSettings.__struct_fields__)
