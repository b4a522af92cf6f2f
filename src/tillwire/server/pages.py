"""The gateway's own pages: what runs where, whether it lives and is ready, and its numbers.

The start page is plain HTML that needs no script and nothing from other hosts.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from importlib import resources
from typing import Final

import jinja2
import msgspec

from tillwire.config import Page
from tillwire.core.model import State
from tillwire.core.occupancy import RESOLVE
from tillwire.net.asgi import HTML, Reply
from tillwire.server.dispatch import OwnPage
from tillwire.version import __version__
from tillwire.watch.metrics import Metrics

TEXT: Final = "text/plain; charset=utf-8"
_TEMPLATES: Final = resources.files("tillwire.server") / "templates"


class Place(msgspec.Struct, frozen=True):
    """A face, and where it can be reached."""

    title: str
    url: str
    links: Sequence[tuple[str, str]] = ()
    """(words, address) of documents of the face."""


class Guide(msgspec.Struct, frozen=True):
    """How to make a first payment."""

    intro: str
    commands: Sequence[tuple[str, str]]
    """(what it does, the command to type)."""


class Readiness(msgspec.Struct, frozen=True):
    """Whether payments can be taken now."""

    problems: Sequence[str] = ()
    """In words; none means ready."""


class Pages:
    """Builds the pages of a listener."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        readiness: Callable[[], Awaitable[Readiness]],
        open_count: Callable[[], Mapping[State, int]],
        places: Callable[[], Sequence[Place]],
        guide: Callable[[], Guide | None],
    ) -> None:
        self._metrics = metrics
        self._readiness = readiness
        self._open_count = open_count
        self._places = places
        self._guide = guide
        environment = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._style = (_TEMPLATES / "start.css").read_text(encoding="utf-8")
        self._start = environment.from_string(
            (_TEMPLATES / "start.html").read_text(encoding="utf-8")
        )

    def of(self, pages: Sequence[Page]) -> dict[str, OwnPage]:
        """The pages that a listener shows, by exact path."""
        found: dict[str, OwnPage] = {}
        if Page.START in pages:
            found["/"] = self._start_page(pages)
        if Page.HEALTH in pages:
            found["/healthz"] = _health
            found["/readyz"] = self._ready
        if Page.METRICS in pages:
            found["/metrics"] = self._numbers
        return found

    async def _numbers(self) -> Reply:
        body, content_type = self._metrics.page()
        return Reply(HTTPStatus.OK, body, content_type=content_type)

    async def _ready(self) -> Reply:
        problems = (await self._readiness()).problems
        body = "\n".join(problems or ["ready"]) + "\n"
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        return Reply(status, body.encode(), content_type=TEXT)

    def _start_page(self, pages: Sequence[Page]) -> OwnPage:
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"
        headers = [
            (b"content-security-policy", policy.encode()),
            (b"referrer-policy", b"no-referrer"),
            (b"x-content-type-options", b"nosniff"),
        ]
        shown = [
            (words, path)
            for words, path, page in (
                ("Numbers for Prometheus", "/metrics", Page.METRICS),
                ("Whether the process lives", "/healthz", Page.HEALTH),
                ("Whether payments can be taken", "/readyz", Page.HEALTH),
            )
            if page in pages
        ]

        async def start() -> Reply:
            counted = self._open_count()
            html = self._start.render(
                version=__version__,
                style=self._style,
                problems=(await self._readiness()).problems,
                places=self._places(),
                pages=shown,
                guide=self._guide(),
                open=sum(counted.values()),
                unknown=counted.get(State.UNKNOWN, 0),
                resolve=RESOLVE,
            )
            return Reply(HTTPStatus.OK, html.encode(), headers, HTML)

        return start


async def _health() -> Reply:
    return Reply(HTTPStatus.OK, b"alive\n", content_type=TEXT)
