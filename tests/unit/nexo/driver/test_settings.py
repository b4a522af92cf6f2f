"""The settings of a nexo terminal in an estate file: what they mean, and how mistakes are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.nexo.driver.till import terminal
from tillwire import strict_toml
from tillwire.dialects.nexo.driver.dialling import RealNetwork
from tillwire.dialects.nexo.driver.driver import NexoDriver
from tillwire.dialects.nexo.driver.settings import Binding, DriverSettings
from tillwire.errors import ConfigurationError


def settings(**given: Any) -> DriverSettings:
    return strict_toml.convert(
        {"binding": "tcp", "host": "10.0.0.7", **given}, DriverSettings, source="estate.toml"
    )


@pytest.mark.parametrize(
    ("given", "url", "port"),
    [
        ({"binding": "http"}, "http://10.0.0.7:8080/", 8080),
        ({"binding": "http", "path": "/V1-0003"}, "http://10.0.0.7:8080/V1-0003/", 8080),
        ({"binding": "http", "tls": True, "port": 9000}, "https://10.0.0.7:9000/", 9000),
        ({"binding": "held"}, "https://10.0.0.7:8443/nexo/", 8443),
        ({"binding": "held", "tls": False}, "http://10.0.0.7:8443/nexo/", 8443),
        ({"binding": "held", "path": "/sync"}, "https://10.0.0.7:8443/sync", 8443),
        ({"binding": "tcp"}, None, 7778),
    ],
)
def test_where_the_terminal_is(given: dict[str, Any], url: str | None, port: int) -> None:
    found = settings(**given)
    assert found.at_port == port
    if url is not None:
        assert found.url == url


def test_a_held_request_is_told_that_nothing_else_can_come() -> None:
    assert settings(binding="held").capabilities == ("PrinterReceipt",)
    assert "CashierDisplay" in settings().capabilities
    assert settings(sale_capabilities=["CashierError"]).capabilities == ("CashierError",)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"binding": "udp"}, "binding: 'udp' is not one of its values. Allowed: http, held, tcp"),
        ({"hots": "x"}, "did you mean 'host'?"),
        ({"host": "http://10.0.0.7"}, "host"),
        ({"host": ""}, "host"),
        ({"port": 0}, "port"),
        ({"port": 70000}, "port"),
        ({"path": "/nexo"}, "path: the tcp binding has no paths"),
        ({"binding": "http", "path": "nexo"}, "path"),
        ({"ca_file": "ca.pem"}, "ca_file: it needs tls = true"),
        ({"server_name": "t1"}, "server_name: it needs tls = true"),
        ({"passphrase_file": "p", "key_identifier": "k"}, "only held has encryption"),
        ({"binding": "held", "passphrase_file": "p"}, "key_identifier: it is given together"),
        ({"binding": "held", "key_identifier": "k"}, "key_identifier: it is given together"),
        ({"binding": "held", "abort_over": "own"}, "abort_over: only the tcp binding"),
        ({"binding": "held", "length_counts_itself": True}, "only tcp has frames"),
        ({"extra_resources": ["print"]}, "only the http binding has resources"),
        ({"binding": "http", "extra_resources": ["fax"]}, "extra_resources"),
        ({"send_seconds": 30, "outcome_seconds": 30}, "send_seconds: it is not less than"),
        ({"longest_service_id": 5}, "longest_service_id"),
        ({"longest_service_id": 11}, "longest_service_id"),
        ({"answer_seconds": 10}, "answer_seconds"),
        ({"login": "often"}, "login"),
        ({"sale_id": ""}, "sale_id"),
        ({"sale_id": "x" * 129}, "sale_id"),
        ({"language": "english"}, "language"),
        ({"protocol_version": "latest"}, "protocol_version"),
        ({"masked_pan": "PAN"}, "masked_pan"),
    ],
)
def test_a_mistake_is_told_with_its_place(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        settings(**given)


@pytest.mark.parametrize("missing", ["binding", "host"])
def test_what_cannot_be_guessed_must_be_there(missing: str) -> None:
    given = {"binding": "tcp", "host": "10.0.0.7"}
    del given[missing]
    with pytest.raises(ConfigurationError, match=f"{missing}: this setting is missing"):
        strict_toml.convert(given, DriverSettings, source="estate.toml")


def test_a_driver_refuses_settings_that_do_not_fit() -> None:
    with pytest.raises(ConfigurationError, match="ACME-T1-7"):
        NexoDriver(terminal({"binding": "tcp"}), None, None, RealNetwork())  # type: ignore[arg-type]


def test_every_setting_is_in_the_handbook() -> None:
    handbook = (Path(__file__).parents[4] / "docs" / "estate.md").read_text()
    section = handbook.partition("### `nexo`")[2].partition("\n### ")[0]
    told = re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)
    assert told == [field.name for field in msgspec.structs.fields(DriverSettings)]


def test_every_binding_has_its_defaults() -> None:
    for binding in Binding:
        found = settings(binding=binding.value)
        assert found.capabilities
        assert found.at_port
