"""The application: which of the backend's paths is served by what (source 001).

For a token, id and secret are asked for; for the set of keys, the certificate; for anything else a
bearer token, before whether its path exists. The names of two headers have underscores in them,
which this server keeps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from tillwire.core.engine import Engine
from tillwire.core.estate_model import ClientApp
from tillwire.core.ports import Clock, Vault
from tillwire.dialects.softpos.face import access, check, refusals
from tillwire.dialects.softpos.face.context import Call, Context
from tillwire.dialects.softpos.face.mischief import Mischief
from tillwire.dialects.softpos.face.settings import Settings
from tillwire.dialects.softpos.wire.check import PATH as CHECK
from tillwire.net import asgi
from tillwire.net.asgi import Receive, Reply, Scope, Send
from tillwire.net.routes import Routes, not_allowed
from tillwire.net.strangers import address_of

TOKEN: Final = "/softpos/appenrollment/token"  # noqa: S105  # a path
KEYS: Final = "/softpos/par/jwks.json"
PUSHED: Final = "/softpos/as/par"

Handler = Callable[[Context, Call], Awaitable[Reply]]

_ROUTES: Final[Routes[Handler]] = Routes(
    [
        ("GET", KEYS, check.key_set),
        ("POST", PUSHED, check.pushed),
        ("POST", CHECK, check.check_transaction),
    ]
)


def create(
    engine: Engine,
    clock: Clock,
    settings: Settings,
    vault: Vault,
    mischief: Mischief | None = None,
) -> Face:
    """The face, as an ASGI application. `mischief` says what it does wrong; None: nothing."""
    return Face(Context(engine, clock, settings, vault, mischief))


class Face:
    """The ASGI application."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        of_token = asgi.path_of(scope) == TOKEN
        answer = self._token if of_token else self._answer
        await asgi.serve(scope, receive, send, answer, self._tell_token if of_token else self._tell)

    async def _token(self, scope: Scope, receive: Receive) -> Reply:
        if scope["method"] != "POST":
            raise not_allowed(scope["method"], ["POST"])
        return await access.token(self._context, scope, receive)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        path = asgi.path_of(scope)
        caller = self._caller(scope, path)
        handler, parameters = _ROUTES.find(scope["method"], path)
        return await handler(self._context, Call(scope, receive, path, parameters, caller))

    def _caller(self, scope: Scope, path: str) -> ClientApp:
        identified = access.by_certificate if path == KEYS else access.by_bearer
        return identified(self._context, scope)

    def _tell(self, error: Exception, scope: Scope) -> Reply:
        self._log(error, scope)
        return refusals.tell(error, scope, self._context.settings.app_version_status)

    def _tell_token(self, error: Exception, scope: Scope) -> Reply:
        self._log(error, scope)
        return refusals.tell_token(error, scope, self._context.settings.app_version_status)

    def _log(self, error: Exception, scope: Scope) -> None:
        """Why a caller was not recognised, which it is not told."""
        if isinstance(error, refusals.Unknown):
            self._context.not_recognised.warning(
                "a caller was not recognised", address=address_of(scope), reason=error.detail
            )
