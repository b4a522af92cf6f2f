"""`SaleData`: what is sold, as JSON in a form's field (the vendor's schema 1.0.0).

Nothing here moves money, so it is checked and handed on as text: its leaves are texts, what the
schema requires is there, members that it does not know are let pass. Card numbers are masked.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from tillwire.dialects.smartconnect.wire import cuts
from tillwire.errors import InvalidRequest

VERSION: Final = "1.0.0"
LONGEST: Final = 131_072
"""Characters."""

_PATH: Final = re.compile(r" - at `\$\.?(.*)`")


class _Loose(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class _Category(_Loose, frozen=True, kw_only=True):
    category_name: str
    category_id: str | None = None
    department_id: str | None = None
    department_name: str | None = None


class _LineItem(_Loose, frozen=True, kw_only=True):
    product_name: str
    quantity: str
    unit_price: str
    unit_tax: str
    total_price: str
    total_tax: str
    line_id: str | None = None
    sequence_number: str | None = None
    product_id: str | None = None
    product_description: str | None = None
    categories: list[_Category] = []
    brand_id: str | None = None
    brand_name: str | None = None
    unit_discount: str | None = None
    total_discount: str | None = None
    modifier_for: str | None = None
    sku_code: str | None = None
    barcode: str | None = None


class _Sale(_Loose, frozen=True, kw_only=True):
    total_amount: str
    total_tax: str
    sale_id: str | None = None
    invoice_number: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    total_tips: str | None = None
    total_surcharge: str | None = None
    return_for: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    customer_id: str | None = None
    customer_name: str | None = None
    line_items: list[_LineItem] = []


class _Document(_Loose, frozen=True, kw_only=True):
    version: str
    sale_data: _Sale


_decoder: Final = msgspec.json.Decoder(_Document)
_anything: Final = msgspec.json.Decoder()


def checked(text: str) -> str:
    """The same sale without card numbers; empty stays empty. Raises `InvalidRequest` for what is
    none."""
    if not text:
        return ""
    if len(text) > LONGEST:
        raise InvalidRequest("SaleData", f"it has {len(text)} characters", f"up to {LONGEST}")
    try:
        document = _decoder.decode(text.encode())
    except msgspec.ValidationError as error:
        problem, place = str(error), _PATH.search(str(error))
        field = f"SaleData.{place[1]}" if place and place[1] else "SaleData"
        what = cuts.sold(_PATH.sub("", problem)).rstrip(".")
        raise InvalidRequest(field, what, f"schema {VERSION}, all values texts") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise InvalidRequest("SaleData", "it is not JSON", f"schema {VERSION}") from None
    if document.version != VERSION:
        raise InvalidRequest("SaleData.version", "it is not known here", VERSION)
    if not cuts.holds_card(text) and "\\" not in text:
        return text
    # What is escaped may hide a card number from a look at the whole, so each text is looked at.
    whole = _anything.decode(text.encode())
    cut = _cut(whole)
    return text if cut == whole else msgspec.json.encode(cut).decode()


def _cut(value: Any) -> Any:  # Any: JSON of any shape
    if isinstance(value, str):
        return cuts.sold(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return cuts.sold(str(value)) if cuts.holds_card(str(value)) else value
    if isinstance(value, list):
        return [_cut(each) for each in value]
    if isinstance(value, dict):
        return {cuts.sold(key): _cut(each) for key, each in value.items()}
    return value
