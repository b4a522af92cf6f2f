"""The pages of this repository, and what stands on them: links, headings, blocks of code.

A block is an example when its fence says so behind the language:

    ```sh run       typed once
    ```sh ask       a question: asked until the answer is the page's, for a few seconds
    ```text shown   what the block before it prints (or ```json shown)

Other blocks are pictures only, and nothing types them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_BESIDE: Final = {".venv", ".git", "sandbox", "build", "dist", "node_modules"}
"""Folders of a checkout that are not part of it."""
_FENCE: Final = re.compile(r"^```(?P<words>[^\n`]*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"\]\((?P<target>[^)\s]+)[^)]*\)")
_TAG: Final = re.compile(r"(?:src|srcset|href)=\"(?P<target>[^\"]+)\"")
_INLINE: Final = re.compile(r"`(?P<code>[^`\n]+)`")
_HEADING: Final = re.compile(r"^#+ (?P<words>.+)$", re.MULTILINE)
HOW: Final = ("run", "ask")
"""How a block is typed."""


@dataclass(frozen=True)
class Example:
    """A block that is typed, and what the page says that it prints."""

    commands: str
    how: str
    line: int
    shown: str | None = None
    language: str = ""
    """Of what is shown."""


def pages() -> list[Path]:
    """Every page of the repository."""
    found = (page for page in ROOT.rglob("*.md") if _BESIDE.isdisjoint(page.parts))
    return sorted(page for page in found if ".pytest_cache" not in page.parts)


def name_of(page: Path) -> str:
    """The page's name in the output of tests."""
    return str(page.relative_to(ROOT))


def examples(page: Path) -> list[Example]:
    """What the page wants typed, in its order."""
    text = page.read_text(encoding="utf-8")
    found: list[Example] = []
    for fence in _FENCE.finditer(text):
        language, _, how = fence["words"].partition(" ")
        line = text.count("\n", 0, fence.start()) + 1
        if language == "sh" and how:
            assert how in HOW, f"{name_of(page)}:{line}: `sh {how}` means nothing here"
            found.append(Example(fence["body"], how, line))
        elif how == "shown":
            last = found[-1]
            assert last.shown is None, f"{name_of(page)}:{line}: shown twice"
            found[-1] = Example(last.commands, last.how, last.line, fence["body"], language)
        else:
            assert not how, f"{name_of(page)}:{line}: `{how}` means nothing here"
    return found


def links(page: Path) -> list[str]:
    """The targets of its links and pictures within the repository, fragments included."""
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    prose = _INLINE.sub("", prose)
    targets = [found["target"] for link in (_LINK, _TAG) for found in link.finditer(prose)]
    return [target for target in targets if ":" not in target]


def anchors(page: Path) -> set[str]:
    """The fragments under which its headings are found."""
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {_slug(each["words"]) for each in _HEADING.finditer(prose)}


def code(page: Path) -> Iterator[str]:
    """Every line of code on it: inline, and of blocks with continued lines put together."""
    text = page.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        yield from fence["body"].replace("\\\n", " ").splitlines()
    for inline in _INLINE.finditer(_FENCE.sub("", text)):
        yield inline["code"]


def _slug(heading: str) -> str:
    words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower())
    return words.strip().replace(" ", "-")
