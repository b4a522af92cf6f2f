"""The settings of a terminal, and the gateway that reaches it by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.paymentbridge.driver.cloud import BUSINESS
from tests.unit.paymentbridge.driver.counter import settings, terminal
from tillwire.cli.estate import DRIVERS
from tillwire.dialects.paymentbridge.driver.cloud import Clouds
from tillwire.dialects.paymentbridge.driver.driver import PaymentBridgeDriver
from tillwire.dialects.paymentbridge.driver.settings import DriverSettings
from tillwire.errors import ConfigurationError
from tillwire.server.dispatch import Mount
from tillwire.server.faces import FACES, FaceKind

HERE = Path("/etc/tillwire")


def told(**changes: Any) -> DriverSettings:
    return msgspec.convert(settings(HERE, **changes), DriverSettings)


def test_what_must_be_there_is_enough() -> None:
    found = told(callback_url=None)
    assert found.audience == ""
    assert found.unheard < found.final_within


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("url", "services-eu.poynt.net"),
        ("url", "https://services-eu.poynt.net/"),
        ("url", "https://user@services-eu.poynt.net"),
        ("url", "https://services-eu.poynt.net?x=1"),
        ("url", "ftp://services-eu.poynt.net"),
        ("callback_url", "https://pos.example/cb/"),
        ("callback_url", "https://pos.example/cb#x"),
        ("callback_url", "https://pos.example/" + "x" * 1024),
        ("audience", "everybody"),
        ("application_id", "5b4e9993-c815-4070-9859-35f48e492b4f"),
        ("business_id", "a business"),
        ("store_id", BUSINESS + "0"),
        ("options", ["skipEverything"]),
        ("capture_path", "/businesses/{business}/capture"),
        ("capture_path", "/{transaction}/{store}"),
        ("capture_path", "https://evil.example/{transaction}"),
        ("ttl_seconds", 0),
        ("ttl_seconds", 601),
        ("margin_seconds", 14),
        ("final_within", 60),
        ("over_after_seconds", 100.0),
        ("poll_seconds", 30.0),
        ("payload", "both"),
        ("follow_ups", "phone"),
        ("missing_received", "perhaps"),
        ("callback", "https://pos.example"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(setting: str, value: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match=setting.split("_", maxsplit=1)[0]):
        told(**{setting: value})


def test_the_portals_spelling_of_an_application_is_understood() -> None:
    uuid = "5b4e9993-c815-4070-9859-35f48e492b4f"
    assert told(application_id=f"{uuid}=urn:aid:{uuid}").application == f"urn:aid:{uuid}"


def test_the_path_of_a_capture_is_a_setting() -> None:
    found = told(capture_path="/businesses/{business}/captures/{transaction}")
    assert found.capture_of("7") == f"/businesses/{BUSINESS}/captures/7"


def test_terminals_of_one_application_share_its_cloud() -> None:
    clouds = Clouds(*[_Nothing()] * 3)
    one, same, other = (
        told(),
        told(ttl_seconds=60),
        told(application_id="urn:aid:" + BUSINESS),
    )
    assert clouds.of(one) is clouds.of(same)
    assert clouds.of(one) is not clouds.of(other)


class _Nothing:
    """Any port that is not used."""

    def now(self) -> int:
        return 0


@pytest.mark.parametrize("changes", [{"tid": ""}, {"settings": {}}])
def test_a_terminal_that_cannot_be_found_is_a_mistake(changes: dict[str, Any]) -> None:
    clouds = Clouds(*[_Nothing()] * 3)
    lane = terminal(**{"told": settings(HERE), **changes}) if "tid" in changes else terminal({})
    with pytest.raises(ConfigurationError, match="P61B"):
        PaymentBridgeDriver(lane, *[_Nothing()] * 2, clouds)


def test_the_estate_file_and_the_gateway_know_it() -> None:
    assert DRIVERS["paymentbridge"] is DriverSettings
    kind = FACES["paymentbridge-callbacks"]
    assert isinstance(kind, FaceKind)
    assert kind.secret_paths


def test_the_log_has_no_secret_path() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Nothing."""

    mount = Mount("paymentbridge-callbacks", "/poynt", app, secret_paths=True)
    assert mount.shown("/poynt/1773480000000123456789012345678secret") == "/poynt/..."
    assert Mount("merchantapi", "", app).shown("/transactions") == "/transactions"
