"""The application: which of the API's paths is served by what (source 000).

The way of a request: `/token` asks for no bearer; anything else is told who calls, before whether
its path exists; then its handler, and whatever error comes out of these in the vendor's words. A
slash at a path's end is not looked at, nor is `Api-Version`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from tillwire.core.engine import Engine
from tillwire.core.ports import Clock, Vault
from tillwire.dialects.paymentbridge.face import (
    access,
    directory,
    hooks,
    listing,
    messages,
    refusals,
    rest,
)
from tillwire.dialects.paymentbridge.face.context import Call, Context
from tillwire.dialects.paymentbridge.face.refusals import Refused
from tillwire.dialects.paymentbridge.face.settings import Settings
from tillwire.dialects.paymentbridge.wire import errors
from tillwire.dialects.paymentbridge.wire.errors import LoginFailed
from tillwire.net import asgi
from tillwire.net.addresses import Addresses
from tillwire.net.asgi import Receive, Reply, Scope, Send
from tillwire.net.routes import Routes, not_allowed
from tillwire.net.strangers import address_of

Handler = Callable[[Context, Call], Awaitable[Reply]]

_BUSINESS: Final = "/businesses/{business}"
_TOKEN: Final = "/token"  # noqa: S105  # a path
_ROUTES: Final[Routes[Handler]] = Routes(
    [
        ("POST", "/cloudMessages", messages.send),
        ("GET", "/businesses", directory.business_of_device),
        ("GET", _BUSINESS, directory.business),
        ("GET", f"{_BUSINESS}/stores", directory.stores),
        ("GET", f"{_BUSINESS}/stores/{{store}}", directory.store),
        ("GET", f"{_BUSINESS}/stores/{{store}}/devices", directory.store_devices),
        ("GET", "/stores/{store}", directory.store_alone),
        ("GET", "/terminal-ids", directory.terminal_ids),
        ("GET", "/terminal-ids/{record}", directory.terminal_id),
        ("GET", f"{_BUSINESS}/transactions", listing.page),
        ("POST", f"{_BUSINESS}/transactions", rest.refund),
        ("POST", f"{_BUSINESS}/transactions/cancel", rest.cancel),
        ("GET", f"{_BUSINESS}/transactions/{{transaction}}", listing.one),
        ("POST", f"{_BUSINESS}/transactions/{{transaction}}/capture", rest.capture),
        ("POST", f"{_BUSINESS}/transactions/{{transaction}}/void", rest.void),
        ("GET", f"{_BUSINESS}/deliveries", hooks.deliveries),
        ("POST", "/hooks", hooks.create),
        ("GET", "/hooks", hooks.overview),
        ("GET", "/hooks/{hook}", hooks.one),
        ("DELETE", "/hooks/{hook}", hooks.remove),
    ]
)


def create(
    engine: Engine, clock: Clock, settings: Settings, vault: Vault, addresses: Addresses
) -> Face:
    """The face, as an ASGI application."""
    return Face(Context(engine, clock, settings, vault, addresses))


class Face:
    """The ASGI application."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        await asgi.serve(scope, receive, send, self._answer, refusals.tell)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        try:
            return await self._served(scope, receive)
        except (LoginFailed, Refused) as error:
            if errors.HTTP[error.code] == HTTPStatus.UNAUTHORIZED:
                self._context.refusals.warning(
                    "an application was not let in",
                    address=address_of(scope),
                    code=error.code,
                    reason=error.detail,
                )
            raise

    async def _served(self, scope: Scope, receive: Receive) -> Reply:
        path = asgi.path_of(scope).rstrip("/")
        if path == _TOKEN:
            if scope["method"] != "POST":
                raise not_allowed(scope["method"], ["POST"])
            return refusals.echoed(await access.token(self._context, scope, receive), scope)
        caller = access.caller_of(self._context, scope)
        handler, parameters = _ROUTES.find(scope["method"], path)
        reply = await handler(self._context, Call(scope, receive, path, parameters, caller))
        return refusals.echoed(reply, scope)
