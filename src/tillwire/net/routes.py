"""A face's paths: which of its operations serves a request."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from http import HTTPStatus
from typing import Generic, TypeVar

from tillwire.net.asgi import HttpError

T = TypeVar("T")


class Routes(Generic[T]):
    """Finds what serves a method on a path."""

    def __init__(self, routes: Iterable[tuple[str, str, T]]) -> None:
        """Each is a method, a path below the face, and what serves it. A segment of a path with
        braces in it, `{id}`, stands for any text without a slash."""
        by_path: dict[str, dict[str, T]] = {}
        for method, path, served in routes:
            by_path.setdefault(path, {})[method] = served
        self._fixed = {path: found for path, found in by_path.items() if "{" not in path}
        # The deepest paths first: those are asked for most. Of equals, a name before any text.
        variable = sorted(
            by_path.keys() - self._fixed.keys(),
            key=lambda path: (-path.count("/"), path.count("{"), path),
        )
        self._variable = [(_pattern(path), by_path[path]) for path in variable]

    def find(self, method: str, path: str) -> tuple[T, tuple[str, ...]]:
        """What serves it, and what stands in place of the braces. Raises `HttpError`: 404, or 405
        with the methods that there are."""
        by_method = self._fixed.get(path)
        parameters: tuple[str, ...] = ()
        if by_method is None:
            by_method, parameters = self._match(path)
        served = by_method.get(method)
        if served is None:
            raise not_allowed(method, by_method)
        return served, parameters

    def _match(self, path: str) -> tuple[dict[str, T], tuple[str, ...]]:
        for pattern, by_method in self._variable:
            if found := pattern.fullmatch(path):
                return by_method, found.groups()
        raise HttpError(HTTPStatus.NOT_FOUND, "There is no such path.")


def not_allowed(method: str, allowed: Collection[str]) -> HttpError:
    """The refusal of a method that a path does not have."""
    methods = sorted(allowed)
    return HttpError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        f"{method[:20]} is not possible here, only {' and '.join(methods)}.",
        [(b"allow", ", ".join(methods).encode())],
    )


def _pattern(path: str) -> re.Pattern[str]:
    segments = ("([^/]+)" if "{" in segment else re.escape(segment) for segment in path.split("/"))
    return re.compile("/".join(segments))
