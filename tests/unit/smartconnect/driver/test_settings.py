"""The settings of the driver: checked as a whole, and told for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.smartconnect.driver.counter import settings, terminal
from tests.unit.smartconnect.wire.texts import VISA
from tillwire.cli.estate import DRIVERS
from tillwire.core.model import TransactionType
from tillwire.dialects.smartconnect.driver import orders
from tillwire.dialects.smartconnect.driver.driver import SmartConnectDriver
from tillwire.dialects.smartconnect.driver.settings import DriverSettings
from tillwire.errors import ConfigurationError

DOCS = Path(__file__).parents[4] / "docs"
ESTATE = (DOCS / "estate.md").read_text(encoding="utf-8").partition("### `smartconnect`")[2]
HOW_TO = (DOCS / "how-to" / "use-the-smartconnect-cloud.md").read_text(encoding="utf-8")


def read(**changes: Any) -> DriverSettings:
    return msgspec.convert(settings(**changes), DriverSettings)


def test_the_estate_file_knows_them() -> None:
    assert DRIVERS["smartconnect"] is DriverSettings
    assert orders.types(read()) == set(TransactionType) - {
        TransactionType.REVERSAL, TransactionType.INCREMENT,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": None}, "url"),
        ({"url": ""}, "url"),
        ({"url": "api.smart-connect.cloud"}, "url"),
        ({"url": "https://api.smart-connect.cloud/POS/"}, "slash"),
        ({"url": "https://api.smart-connect.cloud/POS?a=1"}, "url"),
        ({"url": "https://u:p@api.smart-connect.cloud/POS"}, "url"),
        ({"url": "ftp://api.smart-connect.cloud"}, "url"),
        ({"register_id": None}, "register_id"),
        ({"register_id": ""}, "register_id"),
        ({"register_id": "x" * 257}, "register_id"),
        ({"register_id": " till"}, "register_id"),
        ({"register_id": VISA}, "register_id"),
        ({"business_name": "a\nb"}, "business_name"),
        ({"vendor_name": None}, "vendor_name"),
        ({"register_name": "a "}, "register_name"),
        ({"currency": None}, "currency"),
        ({"currency": "nzd"}, "currency"),
        ({"currency": "XXX"}, "currency"),
        ({"method": "cash"}, "method"),
        ({"poll_seconds": 1.9}, "poll_seconds"),
        ({"poll_seconds": 20, "longest_poll_seconds": 10}, "poll_seconds"),
        ({"final_within": 60, "answer_seconds": 60}, "final_within"),
        ({"final_within": 900}, "final_within"),
        ({"password": "x"}, "password"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        read(**changes)
    assert words in str(raised.value)


def test_a_driver_says_whose_settings_are_wrong() -> None:
    nobody: Any = None
    with pytest.raises(ConfigurationError) as raised:
        SmartConnectDriver(terminal({}), nobody, nobody, nobody)
    assert "SMARTPAY-P5-79801234" in str(raised.value)


@pytest.mark.parametrize("field", DriverSettings.__struct_fields__)
def test_the_handbook_tells_of_each(field: str) -> None:
    assert f"| `{field}` |" in ESTATE


def test_the_handbook_tells_the_defaults() -> None:
    for field, default in zip(
        DriverSettings.__struct_fields__[-len(DriverSettings.__struct_defaults__) :],
        DriverSettings.__struct_defaults__,
        strict=True,
    ):
        if isinstance(default, float):
            assert f"| `{field}` | {default:g} |" in ESTATE


def test_the_page_names_the_vendor_s_addresses() -> None:
    for address in (
        "https://api.smart-connect.cloud/POS",
        "https://api-dev.smart-connect.cloud/POS",
    ):
        assert address in HOW_TO
