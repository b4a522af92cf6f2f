"""Which operation serves a request."""

from __future__ import annotations

from typing import Final

import pytest

from tillwire.net.asgi import HttpError
from tillwire.net.routes import Routes

ROUTES: Final = Routes(
    [
        ("GET", "/things", "list"),
        ("POST", "/things", "create"),
        ("GET", "/things/{maker}-{model}", "read"),
        ("GET", "/things/newest", "newest"),
        ("DELETE", "/things/{id}/parts/{id}", "remove"),
        ("GET", "/things/{id}/{part}", "part"),
        ("GET", "/things/{id}/all", "all"),
        ("GET", "/a.b", "dot"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/things", ("list", ())),
        ("POST", "/things", ("create", ())),
        ("GET", "/things/a-b-c", ("read", ("a-b-c",))),
        ("GET", "/things/newest", ("newest", ())),
        ("DELETE", "/things/ä\n/parts/2", ("remove", ("ä\n", "2"))),
        ("GET", "/things/1/2", ("part", ("1", "2"))),
        ("GET", "/things/1/all", ("all", ("1",))),
        ("GET", "/a.b", ("dot", ())),
    ],
)
def test_a_path_leads_to_what_serves_it(
    method: str, path: str, found: tuple[str, tuple[str, ...]]
) -> None:
    assert ROUTES.find(method, path) == found


@pytest.mark.parametrize("path", ["", "/", "/things/", "/things//parts/2", "/things/1/", "/aXb"])
def test_what_is_not_there_is_404(path: str) -> None:
    with pytest.raises(HttpError) as refused:
        ROUTES.find("GET", path)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("path", "allow"),
    [("/things", b"GET, POST"), ("/things/1/parts/2", b"DELETE"), ("/things/newest", b"GET")],
)
def test_another_method_is_told_the_right_ones(path: str, allow: bytes) -> None:
    with pytest.raises(HttpError) as refused:
        ROUTES.find("BREW" * 9, path)
    assert (refused.value.status, refused.value.headers) == (405, [(b"allow", allow)])
    assert len(refused.value.detail) < 80
