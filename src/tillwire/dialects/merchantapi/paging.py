"""Listings in pages (source 004, "Pagination"; RFC 8288 for the Link header), in both roles.

Sans-IO, like `wire.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec

from tillwire.errors import InvalidRequest

T = TypeVar("T")

DEFAULT_SIZE: Final = 10
LARGEST_SIZE: Final = 100
"""Entries on a page."""

_FURTHEST: Final = 10**15
"""No listing has this many pages, and databases still count to a hundred times it."""
_POSITIVE = re.compile(r"[1-9][0-9]*\Z")

Query = Sequence[tuple[str, str]]
"""Query parameters, decoded, in their order."""


class Page(msgspec.Struct, frozen=True):
    """A page of a listing."""

    number: int = 1
    size: int = DEFAULT_SIZE

    @property
    def offset(self) -> int:
        """How many entries come before it."""
        return (self.number - 1) * self.size

    def of(self, entries: Sequence[T]) -> Sequence[T]:
        """Those of all entries that stand on it."""
        return entries[self.offset : self.offset + self.size]


def page_of(query: Query) -> Page:
    """The page that is asked for. Raises `InvalidRequest` for `page` or `size`."""
    number = _positive(query, "page", 1, "a whole number from 1 on")
    size = _positive(query, "size", DEFAULT_SIZE, f"a whole number from 1 to {LARGEST_SIZE}")
    if size > LARGEST_SIZE:
        raise InvalidRequest("size", "it is too large", f"a whole number from 1 to {LARGEST_SIZE}")
    return Page(number, size)


def _positive(query: Query, name: str, default: int, allowed: str) -> int:
    given = [value for key, value in query if key == name]
    if not given:
        return default
    if len(given) > 1:
        raise InvalidRequest(name, "it is given more than once", allowed)
    if not _POSITIVE.match(given[0]):
        raise InvalidRequest(name, f"{given[0][:20]!r} does not fit", allowed)
    # Not even converted when it has thousands of digits.
    return min(int(given[0]), _FURTHEST) if len(given[0]) <= 16 else _FURTHEST


def link_header(url: str, page: Page, total: int, query: Query = ()) -> str:
    """The Link header of a page out of `total` entries: to the pages before and after it, the
    first and the last. Empty when all entries fit on less than a page.

    `url` is the listing's, without a query; other parameters of `query` are kept.
    """
    if page.size > total:
        return ""
    last = -(-total // page.size)
    others = [(key, value) for key, value in query if key not in ("page", "size")]

    def link(number: int, rel: str) -> str:
        parameters = urlencode([("size", page.size), ("page", number), *others])
        return f'<{url}?{parameters}>; rel="{rel}"'

    links = []
    if page.number > 1:
        # From beyond the end, the page before is the last one that there is.
        links.append(link(min(page.number - 1, last), "prev"))
    if page.number < last:
        links.append(link(page.number + 1, "next"))
    return ",".join([*links, link(1, "first"), link(last, "last")])


_PARAMETER = r'\s*;\s*([\w!#$&+\-.^`|~*]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",;\s]*)))?'
_LINK = re.compile(r"<([^>]*)>((?:" + re.sub(r"\((?!\?)", "(?:", _PARAMETER) + r")*)")
_PARAMETERS = re.compile(_PARAMETER)


def links(header: str) -> dict[str, str]:
    """The addresses in a Link header by their relation, read as RFC 8288 allows to write it."""
    found: dict[str, str] = {}
    for url, parameters in _LINK.findall(header):
        for name, quoted, plain in _PARAMETERS.findall(parameters):
            if name.lower() == "rel":  # only the first one counts
                for relation in (quoted or plain).lower().split():
                    found.setdefault(relation, url)
                break
    return found
