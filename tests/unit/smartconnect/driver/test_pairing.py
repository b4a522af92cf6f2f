"""How one of our terminals is linked with us, at a cloud."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.kit import scripted
from tests.unit.smartconnect.driver import cloud as there
from tests.unit.smartconnect.driver.cloud import Act
from tests.unit.smartconnect.driver.counter import Counter, at_a_counter, settings, terminal
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.dialects.smartconnect.driver import pairing
from tillwire.dialects.smartconnect.driver.cloud import Refused
from tillwire.dialects.smartconnect.driver.settings import DriverSettings
from tillwire.errors import AnswerLost, Conflict, InvalidRequest, NotDelivered

NAME = "SMARTPAY-P5-79801234"


async def pair(counter: Counter, code: str = "48120735", **changes: Any) -> None:
    told = msgspec.convert(settings(**changes), DriverSettings)
    await pairing.pair(counter.gateway.client(), code, told, NAME)


@at_a_counter()
async def test_a_code_is_put_with_who_we_are_in_the_order_that_clients_pin(
    counter: Counter,
) -> None:
    await pair(counter)
    (put,) = counter.cloud.of("PUT")
    assert put.path == "/POS/Pairing/48120735"
    assert put.body == (
        b"POSRegisterID=shop7-till2&POSRegisterName=SMARTPAY-P5-79801234"
        b"&POSBusinessName=Harbour+Books&POSVendorName=TillCo"
    )
    await pair(counter, register_name="Till 2")
    assert counter.cloud.of("PUT")[1].form["POSRegisterName"] == "Till 2"


@at_a_counter()
async def test_a_code_is_opaque(counter: Counter) -> None:
    await pair(counter, "a/b c".replace(" ", "+"))
    assert counter.cloud.of("PUT")[0].path == "/POS/Pairing/a/b+c", "as the server decodes it"


@pytest.mark.parametrize("code", ["", "1 2", "é" * 8, "x" * 65, ".."])
@at_a_counter()
async def test_what_cannot_be_a_code_is_not_sent(counter: Counter, code: str) -> None:
    with pytest.raises(InvalidRequest):
        await pair(counter, code)
    assert counter.cloud.heard == []


@pytest.mark.parametrize("status", [400, 404, 429])
@at_a_counter()
async def test_a_refusal_is_told_in_the_cloud_s_words(counter: Counter, status: int) -> None:
    counter.cloud.pairings.append(there.answer(status, {"error": "Invalid pairing code"}))
    with pytest.raises(Refused) as raised:
        await pair(counter)
    assert f"{status} Invalid pairing code" in str(raised.value)


@pytest.mark.parametrize(
    "act",
    [there.answer(status) for status in (201, 302, 408, 500, 503)]
    + [there.answer(200, body) for body in (b"", b"[]", b'{"result":"failed"}', b"\xff")]
    + [scripted.cut, scripted.silent],
)
@at_a_counter()
async def test_a_lost_answer_is_told_as_one_and_the_code_is_not_sent_again(
    counter: Counter, act: Act
) -> None:
    counter.cloud.pairings.append(act)
    with pytest.raises(AnswerLost):
        await pair(counter)
    assert len(counter.cloud.of("PUT")) == 1


@at_a_counter()
async def test_a_cloud_that_is_not_there_has_taken_no_code(counter: Counter) -> None:
    with pytest.raises(NotDelivered):
        await pair(counter, url="http://127.0.0.1:8796/POS")


def test_two_terminals_cannot_be_one_register() -> None:
    ours = terminal(settings())
    same = msgspec.structs.replace(ours, id="another", serial="2")
    with pytest.raises(Conflict) as raised:
        pairing.check_alone(ours, [ours, same])
    assert "SMARTPAY-P5-2" in str(raised.value)


@pytest.mark.parametrize(
    "other",
    [
        terminal(settings(register_id="another")),
        terminal(settings(vendor_name="another")),
        terminal(settings(url="https://api-dev.smart-connect.cloud/POS")),
        msgspec.structs.replace(terminal(settings()), lifecycle=Lifecycle.REMOVED),
        msgspec.structs.replace(terminal(settings()), driver="nexo"),
    ],
)
def test_any_other_terminal_is_nobody_s_business(other: Terminal) -> None:
    ours = terminal(settings())
    pairing.check_alone(ours, [ours, msgspec.structs.replace(other, id="another")])
