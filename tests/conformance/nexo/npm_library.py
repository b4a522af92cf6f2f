"""Adyen's library for Node, as `till/package-lock.json` pins it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.conformance import npm_packages
from tests.conformance.npm_packages import NODE, NotInstalledError

__all__ = ["NODE", "TILL", "NotInstalledError", "node_modules"]

TILL: Final = Path(__file__).parent / "till"


def node_modules() -> Path:
    """The folder of the installed packages. Raises `NotInstalledError`."""
    return npm_packages.node_modules(TILL, "nexo-till")
