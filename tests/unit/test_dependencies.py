"""Every dependency says why it is here, and none is kept that nothing uses."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

USED_BY_OTHERS = {
    "tzdata": "zoneinfo reads it",
}
"""Runtime dependencies that we do not import ourselves, and who uses them."""


def declared() -> tuple[set[str], set[str]]:
    """The names in pyproject.toml: at run time, and for development."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = (project["project"]["dependencies"], project["dependency-groups"]["dev"])
    runtime, development = ({re.split(r"[<>=!~;\[ ]", each)[0] for each in g} for g in groups)
    return runtime, development


def explained(heading: str) -> set[str]:
    """The names in the table under a heading of docs/dependencies.md, each with why and licence."""
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\S+) \| (.+) \| (.+) \|$", section, re.MULTILINE)
    return {name for name, why, licence in rows if name != "package" and why and licence}


def imported() -> set[str]:
    """The packages that the source imports anywhere."""
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


def test_every_dependency_has_its_line() -> None:
    runtime, development = declared()
    assert explained("At run time") == runtime
    assert explained("For development") == development


def test_no_runtime_dependency_is_kept_that_nothing_uses() -> None:
    runtime, _ = declared()
    used = imported()
    unused = {name for name in runtime if name.replace("-", "_") not in used}
    assert unused == USED_BY_OTHERS.keys()


def test_every_dependency_is_pinned_with_hashes() -> None:
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([a-z0-9.-]+)==.*\\\n    --hash=sha256:", lock, re.MULTILINE))
    runtime, development = declared()
    assert runtime | development <= pinned
