"""The architecture's import rules as a checker that reads source trees (docs/architecture.md).

`violations(root)` takes the folder of a package called `tillwire` and names each import that the
architecture does not allow, as `path:line: what`. Nothing is executed: imports inside functions
and under TYPE_CHECKING count, too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

FOUNDATION: Final = frozenset({"money", "pan", "uuids", "errors", "clock", "version", "__init__"})
_ABOVE_CORE: Final = FOUNDATION | {"core"}

MAY_IMPORT: Final[dict[str, frozenset[str]]] = {
    "errors": frozenset(),
    "clock": frozenset(),
    "version": frozenset(),
    "money": frozenset({"errors"}),
    "pan": frozenset(),
    "uuids": frozenset(),
    "strict_toml": frozenset({"errors"}),
    "config": FOUNDATION | {"strict_toml"},
    "core": frozenset({"money", "errors", "clock"}),
    "journal": _ABOVE_CORE,
    "net": _ABOVE_CORE,
    "watch": _ABOVE_CORE | {"config"},
    "callbacks": _ABOVE_CORE | {"net"},
    "estate": _ABOVE_CORE | {"strict_toml"},
    "reconcile": _ABOVE_CORE | {"strict_toml"},
    "dialects": _ABOVE_CORE | {"net", "estate"},
    "device": _ABOVE_CORE | {"net", "estate"},
    "virtual": _ABOVE_CORE | {"net", "estate", "journal"},
    "__init__": FOUNDATION,
}
"""Which rooms of ours each room may import, beside itself."""

KNOW_EVERYBODY: Final = frozenset({"server", "sandbox", "cli", "__main__"})

WIRE_MAY_IMPORT: Final = frozenset({"money", "pan", "uuids", "errors"})
WIRE_PACKAGES: Final = frozenset({"msgspec", "joserfc", "cryptography"})
NO_WORLD: Final = frozenset(
    {"asyncio", "http", "random", "secrets", "select", "selectors", "socket", "sqlite3", "ssl"}
    | {"subprocess", "threading", "time"}
)
"""Of the standard library: clock, chance, network and processes. No wire touches them."""
CORE_PACKAGES: Final = frozenset({"msgspec"})
NO_IO: Final = frozenset({"http", "select", "selectors", "socket", "sqlite3", "ssl", "subprocess"})
"""Of the standard library: what core leaves to its ports."""
ONLY_IN: Final = {
    "sqlalchemy": frozenset({"journal"}),
    "alembic": frozenset({"journal"}),
    "sqlite3": frozenset({"journal", "virtual"}),
    "duckdb": frozenset({"reconcile"}),
    "typer": frozenset({"cli"}),
    "segno": frozenset({"cli"}),
}
"""Packages that have one home."""


class Import(NamedTuple):
    """One import of a module: by whom, where, and of what, as dotted names."""

    importer: str
    path: str
    line: int
    imported: str


def violations(root: Path) -> list[str]:
    """Each import in the package folder `root` that breaks a rule."""
    sources = {_module_name(root, path): path for path in sorted(root.rglob("*.py"))}
    imports: list[Import] = []
    found: list[str] = []
    for module, path in sources.items():
        shown = path.relative_to(root.parent).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            if isinstance(node, ast.ImportFrom) and node.level:
                found.append(f"{shown}:{node.lineno}: a relative import")
            else:
                imports += (
                    Import(module, shown, line, name) for line, name in _imported(node, sources)
                )
    wires = _wires(sources, imports)
    for each in imports:
        problem = _problem(each, wires)
        if problem:
            found.append(f"{each.path}:{each.line}: {problem}")
    return sorted(found)


def _module_name(root: Path, path: Path) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def _imported(node: ast.AST, sources: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """Lines and names of the modules that the statement imports: `from a import b` is of `a.b`
    if that is a module of ours."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield node.lineno, alias.name
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield node.lineno, inner if inner in sources else node.module


def _room(module: str) -> str:
    """The first folder or file below the package: `core`, `money`; `__init__` for itself."""
    return [*module.split("."), "__init__"][1]


def _folder(module: str) -> str:
    """The package folder that holds a module: `tillwire.dialects.nexo`."""
    return module.rpartition(".")[0]


def _wires(sources: dict[str, Path], imports: list[Import]) -> set[str]:
    """The wire modules: `wire.py` with what it reaches inside its own folder, and whatever stands
    below a folder `wire/`. The same rules hold in all of them."""
    below = {module for module, path in sources.items() if _is_below_wire(module, path)}
    reached = below | {module for module in sources if module.rpartition(".")[2] == "wire"}
    while True:
        more = {
            each.imported
            for each in imports
            if each.importer in reached - below
            and _folder(each.imported) == _folder(each.importer)
            and each.imported in sources
        }
        if more <= reached:
            return reached
        reached |= more


def _is_below_wire(module: str, path: Path) -> bool:
    *above, last = module.split(".")
    return "wire" in above or (last == "wire" and path.name == "__init__.py")


def _problem(each: Import, wires: set[str]) -> str:
    """What is wrong with the import; empty when nothing is."""
    package = each.imported.split(".")[0]
    if package == "tillwire":
        return _problem_of_ours(each, wires)
    room = _room(each.importer)
    if package in ONLY_IN and room not in ONLY_IN[package]:
        return f"{room} imports {package}, whose home is {' and '.join(sorted(ONLY_IN[package]))}"
    if each.importer in wires and not _allowed(package, WIRE_PACKAGES, NO_WORLD):
        return f"a wire imports {package}"
    if room == "core" and not _allowed(package, CORE_PACKAGES, NO_IO):
        return f"core imports {package}"
    return ""


def _allowed(package: str, extra: frozenset[str], banned: frozenset[str]) -> bool:
    return package in extra or (package in sys.stdlib_module_names and package not in banned)


def _problem_of_ours(each: Import, wires: set[str]) -> str:
    room, other = _room(each.importer), _room(each.imported)
    if room in KNOW_EVERYBODY:
        return ""
    if room not in MAY_IMPORT:
        return f"{room} has no rule yet: say in MAY_IMPORT what it may import"
    if each.importer in wires and not (
        other in WIRE_MAY_IMPORT
        or each.imported in wires
        or each.imported == _folder(each.importer)
    ):
        return f"a wire imports {each.imported}"
    if room == other == "dialects":
        own = each.importer.split(".")[:3]
        return "" if each.imported.split(".")[:3] == own else "a dialect imports another"
    if room == other or other in MAY_IMPORT[room]:
        return ""
    return f"{room} imports {other}"
