"""One try to deliver a letter: the request that it becomes, and what its answer means.

What is wrong is said in words without the address: it has tokens in it, and stands in lists.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tillwire.core.letters import CALLBACK, Letter
from tillwire.core.ports import HttpClient, Vault
from tillwire.errors import JournalError, NotDelivered, PeerError, Proof
from tillwire.net.addresses import AddressRefused

ANSWER_LIMIT: Final = 64 * 1024
"""Bytes of an answer, of which only the status counts."""
_OURS: Final = frozenset(
    {"host", "connection", "content-length", "content-encoding", "transfer-encoding", "te"}
    | {"expect", "upgrade", "trailer", "keep-alive", "http2-settings"}
)
"""Headers that are the transport's, and nobody else's to set; `proxy-...` are, too."""
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


class Destination(msgspec.Struct, frozen=True):
    """What is sealed in a letter."""

    url: str
    headers: dict[str, str] = {}


_destination: Final = msgspec.json.Decoder(Destination)


def destination_of(letter: Letter, vault: Vault) -> Destination:
    """Where it goes. Raises `JournalError` when the vault cannot open it."""
    try:
        return _destination.decode(vault.open(letter.sealed))
    except msgspec.MsgspecError as error:
        raise JournalError(f"It has no destination: {error}.") from error


def host_of(letter: Letter, destination: Destination) -> str:
    """What takes turns with others as one host: host and port, as one organisation's letters call
    them. So nobody delays what another one is told, by an address at its host that hangs."""
    try:
        parts = urlsplit(destination.url)
        where = f"{parts.hostname or ''}:{parts.port or parts.scheme}"
    except ValueError:
        where = ""  # which the client refuses
    return f"{letter.organisation_id} {where}"


async def post(client: HttpClient, letter: Letter, destination: Destination) -> str:
    """Send it once; why it did not arrive, empty when it did."""
    headers = dict(_passed_on(destination))
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    body = letter.body
    if letter.gzip:
        body = gzip.compress(body, compresslevel=6, mtime=0)
        headers["Content-Encoding"] = "gzip"
    try:
        answer = await client.request(
            "POST",
            destination.url,
            headers=headers,
            body=body,
            timeout=letter.patience,
            limit=ANSWER_LIMIT,
        )
    except AddressRefused as error:
        return error.detail
    except NotDelivered as error:
        refused = error.proof is Proof.CONNECT_REFUSED
        return "The connection was refused." if refused else "There was no connection."
    except PeerError:
        return f"It did not answer as a whole within {letter.patience:g} seconds."
    except Exception as error:  # noqa: BLE001 - no letter may hold up the others
        return f"It could not be sent ({type(error).__name__})."
    delivered = answer.status == 200 or (letter.channel != CALLBACK and 200 <= answer.status < 300)
    return "" if delivered else f"It answered {answer.status}."


def _passed_on(destination: Destination) -> Iterator[tuple[str, str]]:
    """The headers that go with it: none that would be the transport's, or two."""
    for name, value in destination.headers.items():
        lower = name.lower()
        if lower in _OURS or lower.startswith("proxy-"):
            continue
        if _NAME.fullmatch(name) and _VALUE.fullmatch(value):
            yield name, value
