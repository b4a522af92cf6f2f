"""A till's side of the MerchantAPI (source 004): the calls that `tillwire pay` needs.

Independent of the face on purpose, as a till's own client would be. Answers are read leniently:
unknown members are ignored, an error without a problem document is told by its HTTP status.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from tillwire.core.ports import HttpClient, HttpResponse
from tillwire.errors import PeerError, RemoteProtocolError
from tillwire.money import Money

T = TypeVar("T")

REQUEST_WITHIN: Final = 10.0
"""Seconds that one call may take."""
_PAGE: Final = 100
_PAGES: Final = 5
"""How many pages of a terminal's newest transactions are looked through for a reference."""


class SaleStore(msgspec.Struct, frozen=True):
    """The store of a sale or terminal."""

    name: str = ""


class Amount(msgspec.Struct, frozen=True):
    """An amount as the MerchantAPI writes it: major units, a JSON number."""

    value: Decimal
    currency: str


class Sale(msgspec.Struct, frozen=True, omit_defaults=True):
    """A transaction as the face tells it."""

    id: str
    status: str
    amount: Amount
    merchant_order_reference: str = ""
    result: str = ""
    brand: str = ""
    system_trace_audit_number: str = ""
    creation_datetime: str = ""
    transaction_datetime: str = ""
    receipt: str = ""
    merchant_receipt: str = ""

    @property
    def is_paid(self) -> bool:
        """Whether the card was charged: goods may be handed over."""
        return self.result == "APPROVED" and self.status in ("AUTHORIZED", "CLEARED")

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.is_paid or self.status == "CANCELLED"


class FaceTerminal(msgspec.Struct, frozen=True):
    """A terminal as the face lists it."""

    manufacturer: str
    model: str
    serial: str

    @property
    def name(self) -> str:
        """As it is written in paths."""
        return f"{self.manufacturer}-{self.model}-{self.serial}"


class _Problem(msgspec.Struct, frozen=True):
    title: str = ""
    detail: str = ""


class RefusedError(PeerError):
    """The gateway refused."""

    def __init__(self, detail: str, status: int) -> None:
        """`status` is the HTTP status."""
        super().__init__(detail)
        self.status = status


class Till:
    """One till that pays at one terminal."""

    def __init__(self, http: HttpClient, url: str, api_key: str) -> None:
        """`url` is where the face stands, without a slash at its end."""
        self._http = http
        self._url = url.rstrip("/")
        self._headers = {"API-Key": api_key, "Accept": "application/json"}

    async def terminals(self) -> list[str]:
        """Names of the first terminals of the organisation."""
        response = await self._call("GET", f"/terminals?page=1&size={_PAGE}")
        return [each.name for each in _decoded(response, list[FaceTerminal])]

    async def create(self, terminal: str, amount: Money, reference: str) -> Sale:
        """Start a purchase. Raises `NotDelivered`, `AnswerLost`, `RefusedError`."""
        order = {
            "type": "PURCHASE",
            "merchant_order_reference": reference,
            "amount": {"value": Decimal(amount.decimal()), "currency": amount.currency},
        }
        body = msgspec.json.Encoder(decimal_format="number").encode(order)
        return _decoded(await self._call("POST", _sales(terminal), body), Sale)

    async def read(self, terminal: str, sale_id: str) -> Sale:
        """What the gateway knows of a sale."""
        response = await self._call("GET", f"{_sales(terminal)}/{quote(sale_id, safe='')}")
        return _decoded(response, Sale)

    async def cancel(self, terminal: str, sale_id: str) -> None:
        """Cancel a sale. Raises `RefusedError` with 409 when it is too late for that."""
        await self._call("DELETE", f"{_sales(terminal)}/{quote(sale_id, safe='')}")

    async def with_reference(self, terminal: str, reference: str) -> list[Sale]:
        """The sales under this reference among the terminal's newest."""
        found: list[Sale] = []
        for page in range(1, _PAGES + 1):
            path = f"{_sales(terminal)}?page={page}&size={_PAGE}"
            sales = _decoded(await self._call("GET", path), list[Sale])
            found += [sale for sale in sales if sale.merchant_order_reference == reference]
            if len(sales) < _PAGE:
                break
        return found

    async def _call(self, method: str, path: str, body: bytes = b"") -> HttpResponse:
        headers: Mapping[str, str] = self._headers
        if body:
            headers = {**headers, "Content-Type": "application/json"}
        response = await self._http.request(
            method, self._url + path, headers=headers, body=body, timeout=REQUEST_WITHIN
        )
        if not 200 <= response.status < 300:
            raise _refusal(response)
        return response


def _sales(terminal: str) -> str:
    return f"/terminals/{quote(terminal, safe='')}/transactions"


def _decoded(response: HttpResponse, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(response.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        detail = f"The answer with status {response.status} cannot be read: {error}."
        raise RemoteProtocolError(detail) from error


def _refusal(response: HttpResponse) -> RefusedError:
    try:
        problem = msgspec.json.decode(response.body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = _Problem()
    words = ": ".join(part for part in (problem.title, problem.detail) if part)
    return RefusedError(f"{response.status} {words}".strip(), response.status)
