"""The settings of the driver: checked as a whole, and told for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.softpos.driver.counter import settings, terminal
from tillwire.cli.estate import DRIVERS
from tillwire.dialects.softpos.driver.driver import SoftPosDriver
from tillwire.dialects.softpos.driver.settings import HOSTS, DriverSettings, Profile
from tillwire.errors import ConfigurationError

DOCS = Path(__file__).parents[4] / "docs"
ESTATE = (DOCS / "estate.md").read_text(encoding="utf-8").partition("### `softpos`")[2]


def read(folder: Path, **changes: Any) -> DriverSettings:
    return msgspec.convert(settings(folder, **changes), DriverSettings)


def test_the_estate_file_knows_them() -> None:
    assert DRIVERS["softpos"] is DriverSettings


@pytest.mark.parametrize("profile", Profile)
def test_the_vendor_s_host_is_the_default(tmp_path: Path, profile: Profile) -> None:
    found = read(tmp_path, url=None, profile=profile.value)
    assert found.base_url == found.for_whom == f"https://{HOSTS[profile]}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"profile": None}, "profile"),
        ({"profile": "test"}, "profile"),
        ({"url": "https://b2bsoftpos.nexigroup.com"}, "production"),
        ({"audience": "https://b2bsoftpos.nexigroup.com"}, "production"),
        ({"url": "https://stgb2bsoftpos.nexigroup.com", "profile": "production"}, "staging"),
        ({"url": "stgb2bsoftpos.nexigroup.com"}, "url"),
        ({"url": "https://stgb2bsoftpos.nexigroup.com/"}, "url"),
        ({"url": "https://stgb2bsoftpos.nexigroup.com/softpos"}, "url"),
        ({"url": "https://a:b@stgb2bsoftpos.nexigroup.com"}, "url"),
        ({"url": "http://backend.example"}, "https"),
        ({"url": "ftp://backend.example"}, "url"),
        ({"url": "https://[::1"}, "url"),
        ({"audience": "stgb2bsoftpos.nexigroup.com"}, "audience"),
        ({"client_id": None}, "client_id"),
        ({"client_secret_file": None}, "client_secret_file"),
        ({"certificate_file": ""}, "certificate_file"),
        ({"private_key_file": None}, "private_key_file"),
        ({"point_of_sale": "a b"}, "point_of_sale"),
        ({"merchant_username": "till 7"}, "merchant_username"),
        ({"device_id": "a\nb"}, "device_id"),
        ({"other_tid": "123"}, "other_tid"),
        ({"return_url": None}, "return_url"),
        ({"return_url": "myapp://done"}, "return_url"),
        ({"return_url": "https://pay.shop.example/"}, "return_url"),
        ({"return_url": "https://pay.shop.example/a?b=1"}, "return_url"),
        ({"caller_name": "a\nb"}, "caller_name"),
        ({"field_names": {"colour": ["c"]}}, "colour"),
        ({"field_names": {"status": []}}, "field_names"),
        ({"status_words": {"OK": "FINE"}}, "status_words"),
        ({"link_seconds": 200}, "link_seconds"),
        ({"horizon_seconds": 60}, "horizon_seconds"),
        ({"client_secret": "x"}, "client_secret"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        read(tmp_path, **changes)
    assert words in str(raised.value)


def test_a_driver_says_whose_settings_are_wrong(tmp_path: Path) -> None:
    nobody: Any = None
    with pytest.raises(ConfigurationError, match="NEXI-SOFTPOS-phone-1"):
        SoftPosDriver(terminal({}), nobody, nobody, nobody)
    for tid, told in (("", {}), ("1234567", {}), ("30001234", {"other_tid": "30001234"})):
        with pytest.raises(ConfigurationError, match="tid"):
            SoftPosDriver(terminal(settings(tmp_path, **told), tid), nobody, nobody, nobody)


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
