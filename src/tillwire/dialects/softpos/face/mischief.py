"""What the backend does wrong, for who develops against it: the next Check Transactions are
spoiled, tokens expire, keys are replaced.

    GET    /softpos           what the next Check Transactions get
    PUT    /softpos           set it: {"next": [{"status": 500, "times": 3}, {"seconds": 20}]}
    DELETE /softpos           they are answered rightly again
    DELETE /softpos/tokens    no token that was given out is good any more
    POST   /softpos/keys      all keys that assertions are encrypted to are replaced

The virtual world's face serves these paths, so they are where virtual terminals are, and nowhere
else. Nothing of it is journaled but the keys: after a restart all answers are right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Final, Literal
from uuid import uuid4

import msgspec
from msgspec import Meta

from tillwire.dialects.softpos.face import refusals
from tillwire.dialects.softpos.face.keyset import KeySet
from tillwire.dialects.softpos.wire import reading
from tillwire.dialects.softpos.wire.errors import FieldErrorDTO, InvalidFields
from tillwire.errors import InvalidRequest, NotFound
from tillwire.net import asgi
from tillwire.net.asgi import Reply

PATH: Final = "/softpos"
MOST_WRONGS: Final = 100
"""Entries of `next`."""
MOST_TIMES: Final = 1_000
MOST_SECONDS: Final = 120
LARGEST_ORDER: Final = 65_536
"""Octets of a body."""

_GARBAGE: Final = b'{"terminalId": "3035'
_WORDS: Final[Mapping[int, str]] = {
    400: refusals.BAD_REQUEST,
    401: refusals.UNAUTHORIZED,
    404: refusals.NOT_FOUND,
    500: refusals.FAULT,
}

Call = asgi.Call[None]
Route = tuple[str, str, Callable[[Call], Awaitable[Reply]]]


class Wrong(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What so many Check Transactions in a row get. Without `status` and `garbage`: the right
    answer, which may be late."""

    status: Literal[400, 401, 404, 500] | None = None
    """A `StandardResponse` of this status."""
    field: Annotated[str, Meta(max_length=64)] = ""
    """With 400: a `ValidationErrorDTO` about this field in its place."""
    message: Annotated[str, Meta(max_length=256)] = ""
    """What it says of the field; empty: that it is not valid."""
    garbage: bool = False
    """200, with JSON that ends in the middle."""
    seconds: Annotated[float, Meta(ge=0, le=MOST_SECONDS)] = 0.0
    """By which the answer is late."""
    times: Annotated[int, Meta(ge=1, le=MOST_TIMES)] = 1

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.field and self.status != 400:
            raise ValueError("`field` goes with the status 400 alone")
        if self.message and not self.field:
            raise ValueError("`message` goes with a `field` alone")
        if self.garbage and self.status is not None:
            raise ValueError("one of `garbage` and `status` is enough")


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the next Check Transactions get, in this order; then all is right again."""

    next: Annotated[list[Wrong], Meta(max_length=MOST_WRONGS)]


class Mischief:
    """What the faces of one gateway do wrong; those of production do none."""

    def __init__(self) -> None:
        self.since = ""
        """Changes when tokens expire: what tokens are signed with depends on it."""
        self._next: list[Wrong] = []
        self._keys: list[KeySet] = []

    def join(self, keys: KeySet) -> None:
        """A face does what is told here; `keys` are its keys."""
        self._keys.append(keys)

    async def spoil(self) -> Reply | None:
        """What the next Check Transaction gets, when its time has come; None: the right answer.
        Raises `InvalidFields`."""
        if not self._next:
            return None
        wrong = self._taken()
        await asyncio.sleep(wrong.seconds)
        if wrong.field:
            said = wrong.message or "It is not valid."
            raise InvalidFields([FieldErrorDTO(wrong.field, said)])
        if wrong.status is not None:
            headers = refusals.CHALLENGE if wrong.status == 401 else ()
            return refusals.standard(wrong.status, _WORDS[wrong.status], headers)
        return Reply(HTTPStatus.OK, _GARBAGE) if wrong.garbage else None

    def _taken(self) -> Wrong:
        first, *others = self._next
        left = first.times - 1
        rest = [msgspec.structs.replace(first, times=left)] if left else []
        self._next = [*rest, *others]
        return first

    # --- as it is told ------------------------------------------------------------------------

    def routes(self) -> Iterator[Route]:
        """The paths by which it is told, and what serves each."""
        yield "GET", PATH, self._show
        yield "PUT", PATH, self._set
        yield "DELETE", PATH, self._clear
        yield "DELETE", f"{PATH}/tokens", self._expire_tokens
        yield "POST", f"{PATH}/keys", self._replace_keys

    async def _show(self, call: Call) -> Reply:
        self._check_served()
        return Reply(HTTPStatus.OK, reading.encode(Order(self._next)))

    async def _set(self, call: Call) -> Reply:
        self._check_served()
        self._next = _read(await call.json(LARGEST_ORDER)).next
        return await self._show(call)

    async def _clear(self, call: Call) -> Reply:
        self._check_served()
        self._next = []
        return Reply(HTTPStatus.NO_CONTENT)

    async def _expire_tokens(self, call: Call) -> Reply:
        self._check_served()
        self.since = uuid4().hex
        return Reply(HTTPStatus.NO_CONTENT)

    async def _replace_keys(self, call: Call) -> Reply:
        self._check_served()
        for keys in self._keys:
            await keys.replace_all()
        return Reply(HTTPStatus.NO_CONTENT)

    def _check_served(self) -> None:
        if not self._keys:
            raise NotFound("No SoftPOS backend of the profile staging is served here.")


def _read(body: bytes) -> Order:
    """Raises `InvalidRequest` with the path of what is wrong."""
    try:
        return msgspec.json.decode(body, type=Order)
    except reading.NOT_JSON as error:
        problem, _, path = str(error).partition(" - at `$")
        raise InvalidRequest(path.strip("`.") or "body", problem) from None
