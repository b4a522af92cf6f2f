"""The drawing of the house in the architecture shows what is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_house_is_drawn_as_it_stands() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    house = page.partition("src/tillwire/\n")[2].partition("tests/ ")[0]
    drawn = set(re.findall(r"^  ([a-z_]+(?:/|\.py))", house, re.MULTILINE))
    package = ROOT / "src" / "tillwire"
    rooms = {f"{each.name}/" for each in package.iterdir() if any(each.glob("*.py"))}
    files = {f"{each.name}" for each in package.glob("*.py")}
    assert rooms <= drawn
    assert {each for each in drawn if not (package / each).exists()} == set()
    assert files - drawn <= {"version.py", "strict_toml.py", "__main__.py"}
    core = set(re.findall(r"([a-z_]+\.py)", house.partition("core/")[2].partition("journal/")[0]))
    assert core == {each.name for each in (package / "core").glob("[a-z]*.py")}
