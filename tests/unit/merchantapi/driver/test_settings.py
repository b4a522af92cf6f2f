"""The settings of the driver: checked as a whole, and told for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.merchantapi.driver.counter import settings, terminal
from tillwire.cli.estate import DRIVERS
from tillwire.dialects.merchantapi.driver.driver import MerchantApiDriver
from tillwire.dialects.merchantapi.driver.settings import DriverSettings
from tillwire.errors import ConfigurationError

DOCS = Path(__file__).parents[4] / "docs"
ESTATE = (DOCS / "estate.md").read_text(encoding="utf-8").partition("### `merchantapi`")[2]


def read(**changes: Any) -> DriverSettings:
    return msgspec.convert(settings(Path("/etc/tillwire"), **changes), DriverSettings)


def test_the_estate_file_knows_them() -> None:
    assert DRIVERS["merchantapi"] is DriverSettings


@pytest.mark.parametrize(
    "url",
    ["https://api.example.com", "https://api.example.com:8443/pos/v1", "http://localhost:8700/m",
     "http://127.0.0.1:8700/merchantapi", "http://[::1]:8700"],
)  # fmt: skip
def test_addresses(url: str) -> None:
    assert read(url=url).url == url


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": None}, "url"),
        ({"url": ""}, "url"),
        ({"url": "api.example.com"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://[::1"}, "url"),
        ({"url": "https://api.example.com/"}, "slash"),
        ({"url": "https://api.example.com/a b"}, "url"),
        ({"url": "https://api.example.com/\u00e4"}, "url"),
        ({"url": "https://api.example.com?a=1"}, "url"),
        ({"url": "https://api.example.com#a"}, "url"),
        ({"url": "https://u:p@api.example.com"}, "url"),
        ({"url": "ftp://api.example.com"}, "url"),
        ({"url": "http://api.example.com"}, "https"),
        ({"url": "https://" + "a" * 1_024}, "url"),
        ({"api_key_file": None}, "api_key_file"),
        ({"api_key_file": ""}, "api_key_file"),
        ({"api_key": "x"}, "api_key"),
        ({"poll_seconds": 0.4}, "poll_seconds"),
        ({"poll_seconds": 6}, "poll_seconds"),
        ({"settle_seconds": 4}, "settle_seconds"),
        ({"final_within": 60, "answer_seconds": 60}, "final_within"),
        ({"cancel_after_seconds": 300}, "cancel_after_seconds"),
        ({"cancel_after_seconds": 40}, "cancel_after_seconds"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        read(**changes)
    assert words in str(raised.value)


def test_a_driver_says_whose_settings_are_wrong() -> None:
    nobody: Any = None
    with pytest.raises(ConfigurationError) as raised:
        MerchantApiDriver(terminal({}), nobody, nobody, nobody)
    assert "SUNMI-P2-lite-PL0919CQ00305" in str(raised.value)


@pytest.mark.parametrize("field", DriverSettings.__struct_fields__)
def test_the_handbook_tells_of_each(field: str) -> None:
    assert f"| `{field}` |" in ESTATE


def test_the_handbook_tells_the_defaults() -> None:
    for field, default in zip(
        DriverSettings.__struct_fields__[-len(DriverSettings.__struct_defaults__) :],
        DriverSettings.__struct_defaults__,
        strict=True,
    ):
        assert f"| `{field}` | {default:g} |" in ESTATE
