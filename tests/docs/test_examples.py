"""What the pages tell a reader to type works, and prints what they show."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Final

import pytest

from tests.docs.likeness import alike
from tests.docs.pages import Example, examples, name_of, pages
from tests.docs.shell import Shell, shell
from tests.kit.nursery import nursery
from tests.kit.sandbox_process import PORTS, start_sandbox

PAGES: Final = [page for page in pages() if examples(page)]
_ON_THE_PAGE: Final = 8700
"""From where on `make sandbox` listens."""
_ASKED_FOR: Final = 60.0
"""Seconds: what a page promises to happen "soon" has happened by then."""
_PAUSE: Final = 0.1
_AS_INSTALLED: Final = {"README.md"}
"""Pages whose commands are those of the environment, each one started from nothing."""
_PACE: Final = 10.0
"""The virtual cardholders do not dawdle here as they do before a reader."""


class Reader:
    """Somebody who types what a page says, beside a sandbox of their own."""

    def __init__(self, folder: Path) -> None:
        self._sandbox = start_sandbox(folder / "sandbox", pace=_PACE)

    def close(self) -> None:
        self._sandbox.stop()

    def follow(self, page: Path, terminal: Shell) -> None:
        """Type every example of the page, and look at what is printed."""
        for example in examples(page):
            printed = self._typed(example, terminal)
            where = f"{name_of(page)}:{example.line}"
            assert _fits(example, printed), f"{where} prints this instead:\n{printed}"

    def _typed(self, example: Example, terminal: Shell) -> str:
        here = int(self._sandbox.card["base_url"].rpartition(":")[2])
        commands = _moved(example.commands, _ON_THE_PAGE, here)
        end = time.monotonic() + _ASKED_FOR
        while True:
            printed = _moved(terminal.type(commands), here, _ON_THE_PAGE)
            if example.how != "ask" or _fits(example, printed) or time.monotonic() > end:
                return printed
            threading.Event().wait(_PAUSE)


def _moved(text: str, base: int, to: int) -> str:
    """The text for a sandbox whose ports begin elsewhere."""
    ports = {str(base + offset): str(to + offset) for offset in range(PORTS)}
    return re.sub(rf"\b(?:{'|'.join(ports)})\b", lambda found: ports[found[0]], text)


def _fits(example: Example, printed: str) -> bool:
    if example.shown is None:
        return not printed.strip()
    return alike(example.language, example.shown, printed)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_the_page_tells_to_type_prints_what_it_shows(page: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("There is no curl here, with which the pages ask.")
    # As in a checkout: the environment in .venv, the sandbox's data in sandbox.
    if name_of(page) in _AS_INSTALLED:
        (tmp_path / ".venv").symlink_to(sys.prefix)
    else:
        _lay_out(tmp_path / ".venv")
    reader = Reader(tmp_path)
    try:
        with shell(tmp_path) as terminal:
            reader.follow(page, terminal)
    finally:
        reader.close()


def _lay_out(folder: Path) -> None:
    """The environment, but `tillwire` is forked from the nursery: pages type it dozens of times,
    and its start takes longer than what it does."""
    (folder / "bin").mkdir(parents=True)
    there = Path(sys.prefix)
    for found in (*there.iterdir(), *(there / "bin").iterdir()):
        place = folder / found.relative_to(there)
        if found.name not in ("bin", "tillwire"):
            place.symlink_to(found)
    quick = folder / "bin" / "tillwire"
    words = shlex.join(nursery().tillwire)
    quick.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    quick.chmod(0o755)


def test_the_pages_that_are_typed_most_have_examples() -> None:
    typed = {name_of(page) for page in PAGES}
    assert {"README.md", "docs/quickstart.md"} <= typed
