"""Links lead somewhere, pages are found from others, and commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.docs.pages import ROOT, anchors, code, links, name_of, pages
from tillwire.cli import application
from tillwire.virtual.script import ENDINGS

PAGES = pages()
# Where a command may begin; elsewhere the word is a user's or a service's name.
COMMAND = re.compile(
    r"(?:^|\$ |[|;&(=]|sudo -u tillwire) *(?:\S*bin/)?tillwire (?P<words>[^|;&>#)]+)"
)
TILLWIRE = typer.main.get_command(application())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_link_leads_to_a_page_and_its_heading(page: Path) -> None:
    astray = []
    for target in links(page):
        path, _, fragment = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (fragment and fragment not in anchors(there)):
            astray.append(target)
    assert astray == []


def test_every_page_of_the_documentation_is_found_from_its_index() -> None:
    index = ROOT / "docs" / "README.md"
    told = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}
    written = {page.resolve() for page in (ROOT / "docs").rglob("*.md")} - {index.resolve()}
    assert {name_of(page) for page in written - told} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_command_and_its_options_exist(page: Path) -> None:
    wrong = [
        f"{line.strip()}: {complaint}"
        for line in code(page)
        for found in COMMAND.finditer(line)
        if (complaint := complaint_about(found["words"]))
    ]
    assert wrong == []


def complaint_about(words: str) -> str:
    """What `tillwire --help` does not know of the command; nothing if it knows all."""
    command: Any = TILLWIRE  # Any: Typer brings its own click, which has no types
    for word in shlex.split(words):
        within = getattr(command, "commands", {})
        if word.startswith("-") and word != "-":
            if word.partition("=")[0] not in known_options(command):
                return f"no option {word}"
        elif within and not (word.isupper() or word == "..."):
            if word not in within:
                return f"no command {word}"
            command = within[word]
    return ""


def known_options(command: Any) -> set[str]:
    """How its options are written, the help's included."""
    named = (option for each in command.params for option in (*each.opts, *each.secondary_opts))
    return {*named, "--help", "-h"}


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert complaint_about("pay 12.50 --terminal T --json") == ""
    assert complaint_about("transactions show ID --receipts") == ""
    assert complaint_about("transactions burn") == "no command burn"
    assert complaint_about("pay 12.50 --colour red") == "no option --colour"


def test_the_table_of_endings_is_whole() -> None:
    table = (ROOT / "docs" / "testing-a-till.md").read_text(encoding="utf-8")
    told = [int(ending) for ending in re.findall(r"^\| (\d\d) \|", table, re.MULTILINE)]
    assert told == sorted(ENDINGS)
