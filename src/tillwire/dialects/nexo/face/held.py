"""Binding 3: one enveloped message in a POST, which is held until its answer is there.

This is how Adyen's terminals are spoken to in the shop's own network: `POST /nexo/`, bodies in
chunks without a length, an empty 200 for an Abort, and optionally messages sealed under a
passphrase (`encryption.py`). A client that waits no longer leaves its payment running.

| status | what it says |
|---|---|
| 200, `SaleToPOIResponse` | it is done |
| 200, `SaleToPOIRequest` | an EventNotification: this is no message, or it came too late |
| 200, empty | done, and the message has no answer |
| 403, `SaleToPOIRequest` | an EventNotification: it cannot be opened, or has to be sealed |
| 408, a problem document | the answer is not there within `answer_within`; the payment goes on |
| 400, 404, 405, 413, 500, a problem document | errors below the protocol's own |

What is sealed is answered under the same key. The refusal of what cannot be opened is in clear.
"""

from __future__ import annotations

import os
from http import HTTPStatus
from pathlib import Path
from typing import Final

import structlog

from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.face.bindings import spelling_of
from tillwire.dialects.nexo.face.context import Nowhere
from tillwire.dialects.nexo.face.over_http import PROBLEMS, awaited, check_origin, live
from tillwire.dialects.nexo.face.poi import Poi
from tillwire.dialects.nexo.face.settings import EncryptionKey, Settings
from tillwire.dialects.nexo.wire import Message, encryption
from tillwire.dialects.nexo.wire.encryption import CryptoError, Key
from tillwire.dialects.nexo.wire.header import MessageHeader
from tillwire.errors import ConfigurationError
from tillwire.net import asgi
from tillwire.net.asgi import HttpError, Receive, Reply, Scope, Send
from tillwire.net.routes import not_allowed

PATHS: Final = frozenset({"", "/", "/sync"})
"""Below the prefix; `/sync` is what clients of the vendor's cloud add."""
IN_CLEAR: Final = "Messages in clear are refused here: seal them under a key of this terminal."
CANNOT_BE_OPENED: Final = (
    "The message cannot be opened: passphrase, KeyIdentifier and KeyVersion must be those of this "
    "terminal, and the message unchanged."
)
_SEALED_GROWS: Final = 2
"""How many times its size a message has at most when it is sealed, its header included."""


def keys_of(settings: Settings) -> list[Key]:
    """The keys that the settings name. Raises `ConfigurationError`."""
    return [
        Key(_passphrase(each), each.identifier, each.version) for each in settings.encryption_keys
    ]


def _passphrase(key: EncryptionKey) -> str:
    try:
        return Path(key.passphrase_file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The passphrase in {key.passphrase_file} cannot be read: {error}."
        ) from None


class HeldFace:
    """The face, as an ASGI application with a lifespan."""

    def __init__(self, poi: Poi, settings: Settings) -> None:
        """Raises `ConfigurationError` when a key of the settings cannot be used."""
        self._poi = poi
        self._settings = settings
        self._spelling = spelling_of(settings)
        self._keys = keys_of(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's life."""
        if scope["type"] == "lifespan":
            await live(receive, send, self._poi.stop)
            return
        await asgi.serve(scope, receive, send, self._answer, PROBLEMS.tell)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        if asgi.path_of(scope) not in PATHS:
            raise HttpError(HTTPStatus.NOT_FOUND, "There is no such path.")
        if scope["method"] != "POST":
            raise not_allowed(scope["method"], ["POST"])
        check_origin(scope)
        most = self._settings.largest_message * (_SEALED_GROWS if self._keys else 1)
        octets = await asgi.read_body(scope, receive, most)
        sealed = encryption.is_sealed(octets, limit=most)
        if not sealed:
            if self._settings.encryption_required:
                return self._refused(None, IN_CLEAR, octets)
            return self._reply(await self._answered(octets, receive), None)
        try:
            key, clear = self._opened(octets, most)
        except CryptoError as error:
            structlog.get_logger().info("a sealed message was refused", reason=error.detail)
            return self._refused(error.header, CANNOT_BE_OPENED, octets)
        return self._reply(await self._answered(clear, receive), key)

    def _opened(self, octets: bytes, limit: int) -> tuple[Key, bytes]:
        """The message in clear, and the key it was under. Raises `CryptoError`."""
        failure = CryptoError("There are no keys here.")
        for key in self._keys:
            try:
                return key, encryption.open_([key], octets, limit=limit)
            except CryptoError as error:
                failure = error
        raise failure

    async def _answered(self, octets: bytes, receive: Receive) -> Message | None:
        work = self._poi.answer(self._poi.read(octets), Nowhere())
        return await awaited(work, receive, self._settings.answer_within)

    def _reply(self, answer: Message | None, key: Key | None) -> Reply:
        if answer is None:
            return Reply(HTTPStatus.OK)
        octets = wire.encode(answer, flat=False, spelling=self._spelling)
        if key is not None:
            octets = encryption.seal(key, octets, answer.header, os.urandom(encryption.NONCE))
        return Reply(HTTPStatus.OK, octets)

    def _refused(self, header: MessageHeader | None, detail: str, octets: bytes) -> Reply:
        event = self._poi.reject(header, detail, octets)
        body = wire.encode(event, flat=False, spelling=self._spelling)
        return Reply(HTTPStatus.FORBIDDEN, body)
