"""Who may import whom: the house keeps to its architecture, and the checker can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

import tillwire
from tests.unit.import_rules import violations


def test_the_house_keeps_its_import_rules() -> None:
    assert tillwire.__file__ is not None
    assert violations(Path(tillwire.__file__).parent) == []


def tree(root: Path, **sources: str) -> Path:
    """A package with these files; in a name, `__` stands for a folder's slash,
    and `____init__` for the package's own file in it."""
    package = root / "tillwire"
    files = {"money": "", "errors": "", "core__model": "", "dialects__nexo__messages": ""}
    for name, source in {**files, **sources}.items():
        path = package / _file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return package


def _file(name: str) -> str:
    *folders, last = name.removesuffix("__init__").split("__")
    return "/".join([*folders, last or "__init__"]) + ".py"


@pytest.mark.parametrize(
    ("name", "source", "problem"),
    [
        ("core__engine", "from . import model", "a relative import"),
        ("core__engine", "from tillwire.dialects.nexo import messages", "core imports dialects"),
        ("core__engine", "import tillwire.journal.sqlite", "core imports journal"),
        ("core__engine", "def f():\n    import litestar", "core imports litestar"),
        ("core__engine", "import sqlite3", "core imports sqlite3, whose home is"),
        ("core__engine", "import socket", "core imports socket"),
        ("money", "from tillwire.core.model import State", "money imports core"),
        ("journal__rows", "from tillwire.virtual import world", "journal imports virtual"),
        ("net__dialer", "from sqlalchemy import select", "net imports sqlalchemy, whose home is"),
        ("dialects__nexo__wire", "from tillwire.core import model", "a wire imports"),
        ("dialects__nexo__wire", "from tillwire.clock import Instant", "a wire imports"),
        ("dialects__nexo__wire", "import time", "a wire imports time"),
        ("dialects__nexo__wire", "import aiohttp", "a wire imports aiohttp"),
        ("device__wire", "import asyncio", "a wire imports asyncio"),
        ("dialects__ecr17__wire__frames", "import asyncio", "a wire imports asyncio"),
        ("dialects__ecr17__wire__fields__kinds", "import time", "a wire imports time"),
        ("dialects__ecr17__wire____init__", "import socket", "a wire imports socket"),
        (
            "dialects__ecr17__wire__frames",
            "from tillwire.core import model",
            "a wire imports tillwire.core.model",
        ),
        (
            "dialects__nexo__face",
            "from tillwire.dialects.ecr17 import wire",
            "a dialect imports another",
        ),
        ("dialects__nexo__face", "from tillwire.server import app", "dialects imports server"),
        ("dialects__nexo__face", "from tillwire import server", "dialects imports server"),
        ("gossip__talk", "from tillwire.core.model import State", "gossip has no rule yet"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, name: str, source: str, problem: str) -> None:
    found = violations(tree(tmp_path, server="", **{name: source}))
    assert len(found) == 1
    assert found[0].startswith(f"tillwire/{_file(name)}:")
    assert problem in found[0]


def test_what_a_wire_reaches_in_its_own_folder_is_wire_too(tmp_path: Path) -> None:
    found = violations(
        tree(
            tmp_path,
            dialects__nexo__wire="from tillwire.dialects.nexo import messages",
            dialects__nexo__messages="from tillwire.core.model import State",
        )
    )
    assert found == [
        "tillwire/dialects/nexo/messages.py:1: a wire imports tillwire.core.model",
    ]


@pytest.mark.parametrize(
    "importer", ["dialects__ecr17__wire____init__", "dialects__ecr17__wire__lrc"]
)
def test_a_folder_of_wires_reaches_nothing_beside_it(tmp_path: Path, importer: str) -> None:
    sources = {"dialects__ecr17__wire____init__": "", "dialects__ecr17__settings": ""}
    reaching = {f"dialects__ecr17__{importer}": "from tillwire.dialects.ecr17 import settings"}
    (found,) = violations(tree(tmp_path, **{**sources, **reaching}))
    assert found.endswith(":1: a wire imports tillwire.dialects.ecr17.settings")


def test_a_wire_of_one_dialect_does_not_import_that_of_another(tmp_path: Path) -> None:
    (found,) = violations(
        tree(
            tmp_path,
            dialects__nexo__wire="",
            dialects__ecr17__wire____init__="from tillwire.dialects.nexo import wire",
        )
    )
    assert found.endswith(":1: a dialect imports another")


def test_a_checkout_in_a_folder_called_wire_changes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "wire"
    assert not violations(tree(home, core__engine="import asyncio"))


def test_what_the_architecture_allows_is_let_through(tmp_path: Path) -> None:
    assert not violations(
        tree(
            tmp_path,
            __init__="from tillwire.money import Money",
            core__engine="import asyncio\nimport msgspec\nfrom tillwire.core import model",
            dialects__nexo__wire=(
                "import msgspec\nfrom decimal import Decimal\nfrom cryptography import x509\n"
                "from tillwire.money import Money\nfrom tillwire.pan import masked\n"
                "from tillwire.dialects.nexo import messages"
            ),
            dialects__ecr17__wire____init__="from tillwire.dialects.ecr17.wire.lrc import lrc",
            dialects__ecr17__wire__lrc="import msgspec\nfrom tillwire.errors import PeerError",
            dialects__ecr17__face="import asyncio\nfrom tillwire.dialects.ecr17.wire import lrc",
            dialects__nexo__face=(
                "import litestar\nfrom tillwire.core import model\n"
                "from tillwire.dialects.nexo import wire"
            ),
            server="from tillwire.dialects.nexo import face\nfrom tillwire.core import engine",
        )
    )
