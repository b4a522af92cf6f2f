"""What needs no key: the OpenAPI document, and the same as a page for people.

The page is whole in itself: no scripts, nothing from elsewhere, so it can be read in a shop whose
network ends at the gateway.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import jinja2
import msgspec
from markupsafe import Markup, escape

from tillwire.dialects.merchantapi import openapi, wire
from tillwire.net.asgi import HTML, Reply, Scope, quoted, root_of

_POLICY: Final = [
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"x-content-type-options", b"nosniff"),
]
_ANY_SITE: Final = [(b"access-control-allow-origin", b"*")]
_FEW_VALUES: Final = 10
"""So many allowed values are listed; more are counted."""
_BOUNDS: Final = {
    "exclusiveMinimum": "more than {}",
    "minimum": "from {}",
    "maximum": "up to {}",
    "maxLength": "up to {} characters",
    "default": "default {}",
}


def document(scope: Scope) -> Reply:
    """GET /openapi.json. Tools in browsers may read it from other sites: it holds no secret."""
    return Reply(HTTPStatus.OK, _document(quoted(root_of(scope))), _ANY_SITE)


def page(scope: Scope) -> Reply:
    """GET /docs."""
    return Reply(HTTPStatus.OK, _page(quoted(root_of(scope))), _POLICY, HTML)


PAGES: Final[dict[str, Callable[[Scope], Reply]]] = {"/openapi.json": document, "/docs": page}
"""By path."""


@functools.lru_cache(maxsize=8)  # by root: a gateway shows the face under few
def _document(root: str) -> bytes:
    return msgspec.json.format(wire.encode(openapi.document(root)), indent=2)


@functools.lru_cache(maxsize=8)
def _page(root: str) -> bytes:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tillwire.dialects.merchantapi", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(code=_code, prose=_prose, kind=_kind)
    return environment.get_template("docs.html.j2").render(**openapi.document(root)).encode()


def _code(text: str) -> Markup:
    """Text in which `this` is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def _prose(text: str) -> Markup:
    """Paragraphs of it."""
    paragraph = Markup("<p>{}</p>")
    return Markup("\n").join(paragraph.format(_code(part)) for part in text.strip().split("\n\n"))


def _kind(schema: Mapping[str, Any]) -> Markup:  # Any: JSON Schema
    """A schema in few words."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return Markup('<a href="#{0}">{0}</a>').format(name)
    if choices := schema.get("anyOf"):
        return Markup(" or ").join(_kind(choice) for choice in choices)
    if schema.get("type") == "array":
        return Markup("list of {}").format(_kind(schema["items"]))
    words = Markup("<code>{}</code>").format(schema.get("format") or schema.get("type", "any"))
    if values := schema.get("enum"):
        told = ", ".join(values) if len(values) <= _FEW_VALUES else f"{len(values)} values"
        words += Markup(" ({})").format(told)
    bounds = [
        text.format(schema[name])
        for name, text in _BOUNDS.items()
        if schema.get(name) not in (None, "")
    ]
    return words + Markup("").join(Markup(", {}").format(each) for each in bounds)
