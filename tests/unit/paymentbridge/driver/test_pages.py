"""The pages about the driver tell every setting and its default, and their examples can be used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tillwire.dialects.paymentbridge.driver.settings import DriverSettings

DOCS: Final = Path(__file__).parents[4] / "docs"
ESTATE: Final = (DOCS / "estate.md").read_text(encoding="utf-8").partition("### `paymentbridge`")[2]
PAGE: Final = (DOCS / "how-to" / "pay-on-a-smartpos.md").read_text(encoding="utf-8")


def told() -> dict[str, str]:
    table = ESTATE.partition("| setting |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))


def test_every_setting_is_told_with_its_default() -> None:
    found = told()
    assert list(found) == [each.name for each in msgspec.structs.fields(DriverSettings)]
    for field in msgspec.structs.fields(DriverSettings):
        said = found[field.name].strip("`")
        if said == "required":
            assert field.default is msgspec.NODEFAULT, field.name
        elif said in ("none", "url"):
            assert field.default in (None, "", ()), field.name
        else:
            assert msgspec.json.decode(said) == msgspec.to_builtins(field.default), field.name


@pytest.mark.parametrize("page", [ESTATE, PAGE])
def test_the_example_can_be_used(page: str) -> None:
    example = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])
    (terminal,) = example["organisations"]["merchants"]["stores"]["terminals"]
    assert terminal["driver"] == "paymentbridge"
    msgspec.convert(terminal["settings"], DriverSettings)


def test_the_settings_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"`([a-z]+_[a-z_]+)(?: = [^`]*)?`", PAGE))
    assert named - {"absent_at_peer"} <= set(told()), named
