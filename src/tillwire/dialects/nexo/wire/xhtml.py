"""The words of XHTML, in the lines that its elements make of them.

Read in one pass, whatever it is: what is not well-formed costs no more time than what is, and comes
out as well as it can.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from typing import Final, NamedTuple

_BLOCKS: Final = """
address article blockquote br center dd div dl dt footer form h1 h2 h3 h4 h5 h6 header hr li main ol
p pre section table tbody tfoot thead title tr ul
"""
_BREAKS: Final = frozenset(_BLOCKS.split())
"""Elements that begin a line, and end one."""
_CELLS: Final = frozenset({"td", "th"})
_UNSEEN: Final = frozenset({"head", "script", "style"})
"""Elements whose content is not shown."""
_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
"""To lower case, by which no letter becomes two."""
_PICTURES: Final = frozenset({"img", "svg", "canvas", "object", "picture"})


class Words(NamedTuple):
    """A document without its looks."""

    text: str
    """Lines with `\\n` between them."""
    pictures: bool
    """Whether there was a picture, which is not in the text."""


def words_of(xhtml: str) -> Words:
    """The document's words."""
    pieces: list[str] = []
    begun = pictures = False
    for tag, words in _pieces(xhtml):
        name = tag.strip("/")
        if name == "br" or (name in _BREAKS and begun):
            pieces.append("\n")
            begun = False
        elif name in _CELLS:
            pieces.append(" ")
        pictures = pictures or name in _PICTURES
        if words:
            pieces.append(words)
            begun = begun or not words.isspace()
    lines = "".join(pieces).split("\n")
    return Words("\n".join(" ".join(line.split()) for line in lines).strip("\n"), pictures)


def _pieces(xhtml: str) -> Iterator[tuple[str, str]]:
    """Each tag's name in lower case, `/p` where it closes and `br/` where it is empty, with the
    words that follow it. In one pass, whatever is in it: what has no end goes on to the end."""
    lower = xhtml.translate(_LOWER)
    yield "", _words(xhtml.partition("<")[0])
    at = xhtml.find("<")
    while at >= 0:
        end = "-->" if xhtml.startswith("<!--", at) else ">"
        close = xhtml.find(end, at)
        if close < 0:
            return
        name = _name(xhtml[at + 1 : close].strip())
        if name in _UNSEEN:
            following = lower.find(f"</{name}", close)
            words = ""
        else:
            following = xhtml.find("<", close)
            words = xhtml[close + len(end) : following if following >= 0 else len(xhtml)]
        yield name, _words(words)
        at = following


def _name(tag: str) -> str:
    name = tag.split(maxsplit=1)[0].lower() if tag else ""
    return name + "/" if tag.endswith("/") and not name.endswith("/") else name


def _words(text: str) -> str:
    return unescape(text).replace("\n", " ")
