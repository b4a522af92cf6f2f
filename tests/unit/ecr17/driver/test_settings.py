"""The settings of an ECR17 terminal in an estate file, and how mistakes are told."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.unit.ecr17.driver.till import terminal
from tillwire import strict_toml
from tillwire.cli.estate import DRIVERS
from tillwire.core.model import TransactionType
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.driver.driver import Ecr17Driver
from tillwire.dialects.ecr17.driver.settings import DriverSettings
from tillwire.errors import ConfigurationError

TAG = {"index": 5, "content": "0REC0TRK{reference}|0FNZ03"}


def settings(**given: Any) -> DriverSettings:
    return strict_toml.convert(
        {"host": "10.0.0.7", "port": 8081, **given}, DriverSettings, source="estate.toml"
    )


def test_what_is_usual() -> None:
    found = settings()
    assert (found.tid, found.cash_register) == ("00000000", "00000001")
    assert found.reading is wire.Lrc.STX
    assert (found.connect_seconds, found.ack_seconds) == (10, 3)
    assert (found.result_seconds, found.capped_seconds) == (120, 180)
    assert found.outcome_seconds == 30 + 15 + 180 + 30
    assert settings(lrc="discover").reading is None
    assert settings(lrc="payload").reading is wire.Lrc.PAYLOAD
    assert settings(capture_zeros=12).spelling.capture_zeros == 12


def test_where_a_terminal_dials_us() -> None:
    assert settings().awaited is None
    found = settings(host="10.0.0.1", listens="till", peer="10.0.0.7").awaited
    assert found is not None
    assert (found.host, found.port, str(found.peer)) == ("10.0.0.1", 8081, "10.0.0.7/32")
    net = settings(listens="till", peer="10.0.7.0/24").awaited
    assert net is not None
    assert net.peer.num_addresses == 256


def test_tags() -> None:
    data = settings(tags=[TAG]).additional_data("1666354841608")
    assert data.tags == (wire.Tag("0REC0TRK1666354841608|0FNZ03", 5),)
    assert data.back_from == "00"
    others = [{"index": 1, "content": "BTD{reference}"}, {"index": 5, "content": "0REC0FNZ03"}]
    assert len(settings(tags=others, byte_map="zeros").additional_data("1").tags) == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"host": ""}, "host"),
        ({"host": "http://10.0.0.7"}, "host"),
        ({"hots": "x"}, "did you mean 'host'?"),
        ({"port": 0}, "port"),
        ({"port": 70_000}, "port"),
        ({"tid": "1234567"}, "tid"),
        ({"cash_register": "10.0.0.7"}, "cash_register"),
        (
            {"lrc": "xor"},
            "lrc: 'xor' is not one of its values. Allowed: stx, etx,",
        ),
        ({"receipts": "both"}, "receipts"),
        ({"receipt_connection": "new"}, "receipt_connection"),
        ({"payment_type": "0"}, "payment_type"),
        ({"capture_zeros": 10}, "capture_zeros"),
        ({"connect_seconds": 9.9}, "connect_seconds"),
        ({"connect_seconds": 30, "send_seconds": 30}, "connect_seconds: it is not less than"),
        ({"result_seconds": 200}, "result_seconds: it is more than capped_seconds"),
        ({"clock_minutes": 61}, "clock_minutes"),
        ({"listens": "both"}, "listens"),
        ({"peer": "10.0.0.7"}, "peer: it needs listens"),
        ({"listens": "till"}, "peer: the IPv4 address or network"),
        ({"listens": "till", "peer": "terminal-4"}, "peer: the IPv4 address or network"),
        ({"listens": "till", "peer": "10.0.0.7/24"}, "peer: the IPv4 address or network"),
        ({"listens": "till", "peer": "10.0.0.7", "host": "gateway"}, "host: our own IPv4"),
        ({"tags": [TAG] * 5}, "tags"),
        ({"tags": [TAG] * 2}, "tags: an index is used twice"),
        ({"tags": [{"index": 6, "content": "x"}]}, "index"),
        ({"tags": [{"index": 1, "content": "x" * 31}]}, "tags: a tag is too long"),
        ({"tags": [{"index": 5, "content": "é"}]}, "tags: a tag is not printable"),
        ({"host_data": True}, "host_data: it needs tags"),
        ({"last_stan": "none"}, "last_stan"),
    ],
)
def test_mistakes(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        settings(**given)


@pytest.mark.parametrize("missing", ["host", "port"])
def test_there_is_no_usual_place(missing: str) -> None:
    given: dict[str, Any] = {"host": "10.0.0.7", "port": 8081}
    del given[missing]
    with pytest.raises(ConfigurationError, match=missing):
        strict_toml.convert(given, DriverSettings, source="estate.toml")


def test_a_driver_needs_settings_that_fit() -> None:
    with pytest.raises(ConfigurationError, match="NEXI-P61B-7"):
        Ecr17Driver(terminal({"host": "10.0.0.7"}), None, None)  # type: ignore[arg-type]
    driver = Ecr17Driver(terminal({"host": "10.0.0.7", "port": 1}), None, None)  # type: ignore[arg-type]
    assert TransactionType.CASH_ADVANCE not in driver.capabilities.types
    assert driver.capabilities.send_within == 30


def test_the_estate_file_knows_them() -> None:
    assert DRIVERS["ecr17"] is DriverSettings
