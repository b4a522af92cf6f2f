"""What is sold, by the vendor's schema 1.0.0."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.smartconnect.wire.texts import VISA
from tillwire.dialects.smartconnect.wire import sale_data
from tillwire.errors import InvalidRequest

ITEM = {
    "productName": "Mānuka honey", "quantity": "2", "unitPrice": "6.25", "unitTax": "0.82",
    "totalPrice": "12.50", "totalTax": "1.63",
}  # fmt: skip
LARGE = ITEM | {
    "lineId": "1", "sequenceNumber": "1", "productId": "p", "productDescription": "250 g",
    "categories": [{"categoryName": "Food", "categoryId": "f", "departmentId": "d",
                    "departmentName": "Grocery"}],
    "brandId": "b", "brandName": "B", "unitDiscount": "0", "totalDiscount": "0",
    "modifierFor": "x", "skuCode": "s", "barcode": "9421903189016",
}  # fmt: skip


def sale(**more: Any) -> dict[str, Any]:
    """A sale; a member that is None is left out."""
    members = {"totalAmount": "12.50", "totalTax": "1.63", **more}
    return {key: value for key, value in members.items() if value is not None}


def document(body: Any, version: Any = "1.0.0") -> str:
    return json.dumps({"version": version, "saleData": body}, ensure_ascii=False)


@pytest.mark.parametrize(
    "body",
    [
        sale(),
        sale(lineItems=[]),
        sale(lineItems=[ITEM, LARGE], saleId="s", invoiceNumber="i", createdAt="c", updatedAt="u",
             totalTips="0", totalSurcharge="0", returnFor="r", userId="u", userName="n",
             customerId="c", customerName="n", somethingNew={"a": 1}),
    ],
)  # fmt: skip
def test_a_sale_is_kept_as_it_is(body: dict[str, Any]) -> None:
    assert sale_data.checked(document(body)) == document(body)


def test_no_sale_is_none() -> None:
    assert sale_data.checked("") == ""


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "SaleData"),
        ("[]", "SaleData"),
        ("{}", "SaleData"),
        ('"x"', "SaleData"),
        ("[" * 50_000, "SaleData"),
        ('{"version":"1.0.0"}', "SaleData"),
        (document(sale(), "2.0.0"), "SaleData.version"),
        (document(sale(), 1), "SaleData.version"),
        (document(sale(totalAmount=None)), "SaleData.saleData"),
        (document(sale(totalTax=None)), "SaleData.saleData"),
        (document(sale(totalAmount=12.5)), "SaleData.saleData.totalAmount"),
        (document(sale(saleId=7)), "SaleData.saleData.saleId"),
        (document(sale(lineItems={})), "SaleData.saleData.lineItems"),
        (document(sale(lineItems=[{}])), "SaleData.saleData.lineItems[0]"),
        (document(sale(lineItems=[ITEM | {"quantity": 2}])),
         "SaleData.saleData.lineItems[0].quantity"),
        (document(sale(lineItems=[ITEM | {"categories": [{}]}])),
         "SaleData.saleData.lineItems[0].categories[0]"),
        (document(sale(userName="x" * 131_072)), "SaleData"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_schema_is_named(text: str, field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        sale_data.checked(text)
    assert (raised.value.field, bool(raised.value.allowed)) == (field, True)


@pytest.mark.parametrize("member", ["productName", "quantity", "unitPrice", "unitTax", "totalPrice",
                                    "totalTax"])  # fmt: skip
def test_each_line_has_what_the_schema_requires(member: str) -> None:
    line = {key: value for key, value in ITEM.items() if key != member}
    with pytest.raises(InvalidRequest):
        sale_data.checked(document(sale(lineItems=[line])))


@pytest.mark.parametrize(
    "body",
    [
        sale(customerName=VISA),
        sale(other={"deep": [f"card {VISA}"]}),
        sale(other={VISA: "x"}),
        sale(other=int(VISA)),
    ],
)
def test_card_numbers_are_masked_wherever_they_stand(body: dict[str, Any]) -> None:
    checked = sale_data.checked(document(body))
    assert VISA not in checked
    assert "1111" in checked
    assert json.loads(checked)["saleData"]["totalAmount"] == "12.50"


def test_an_escaped_card_number_is_masked_too() -> None:
    text = document(sale(customerName=VISA)).replace("4111", "\\u0034111", 1)
    assert VISA not in json.dumps(json.loads(sale_data.checked(text)))


@given(st.text(max_size=200))
def test_garbage_is_refused(text: str) -> None:
    if text:
        with pytest.raises(InvalidRequest):
            sale_data.checked(text)
