"""A register enters what its terminal shows, and pays there from then on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.kit.runner import virtual
from tests.unit.smartconnect.face.register import (
    ACCEPTED,
    FORM,
    LANE,
    OTHERS,
    SECOND_LANE,
    cloud,
    living,
    words,
)
from tillwire.core.estate_model import Lifecycle
from tillwire.estate.pairings import CAUSE

NAMES = "POSRegisterID=shop7-till2&POSRegisterName=Till+2&POSBusinessName=Harbour%20Books"


@virtual()
async def test_a_code_pairs_and_the_register_pays_on_its_terminal(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = there.register()
        answer = await register.pair(await there.code(), **{"Contact Name": "Ada", "City": "Leeds"})
        assert (answer.status, answer.body) == (200, b'{"result":"success"}')
        assert answer.headers["content-type"] == "application/json"
        (known,) = there.known()
        assert (known.terminal_id, known.name) == (LANE.id, "Till 2")
        assert known.detail == {"contact_name": "Ada", "city": "Leeds"}
        assert words(await register.do(AmountTotal="1250")) == ACCEPTED
        (made,) = there.transactions()
        assert (made.terminal_id, made.dialect) == (LANE.id, "smartconnect")


@virtual()
async def test_a_literal_client_is_understood(tmp_path: Path) -> None:
    """Octets as clients are known to send them: `+` and `%20`, paths in any case, a charset."""
    async with cloud(tmp_path) as there:
        code = await there.code()
        body = f"{NAMES}&POSVendorName=TillCo".encode()
        headers = {"Content-Type": f"{FORM}; charset=UTF-8"}
        answer = await there.form("PUT", f"/pos/pairing/{code}", body, headers)
        assert (answer.status, answer.json) == (200, {"result": "success"})
        body = (
            b"POSRegisterID=shop7-till2&POSBusinessName=Harbour+Books&POSVendorName=TillCo"
            b"&TransactionMode=ASYNC&TransactionType=Card.PurchasePlusCash"
            b"&AmountTotal=1250&AmountCash=250"
        )
        answer = await there.form("POST", "/POS/TRANSACTION", body, headers)
        assert answer.status == 200
        assert words((await there.register().end(answer))["data"]) == ACCEPTED
        (made,) = there.transactions()
        assert (made.amount.minor, made.terms.cash_back) == (1250, 250)


@virtual()
async def test_wrong_expired_and_used_codes_are_refused(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = there.register()
        for code in ("00000000", "123456", "abc", "%20", "1" * 500):
            answer = await register.pair(code)
            assert (answer.status, bool(answer.error)) == (400, True)
        code = await there.code()
        await asyncio.sleep(120)
        assert (await register.pair(code)).status == 400
        code = await there.code()
        assert (await register.pair(code)).status == 200
        assert (await register.pair(code)).status == 400
        assert (await there.register("another").pair(code)).status == 400


@pytest.mark.parametrize(
    "missing", ["POSRegisterID", "POSRegisterName", "POSBusinessName", "POSVendorName"]
)
def test_a_missing_field_is_named_and_uses_up_no_code(tmp_path: Path, missing: str) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            register, code = there.register(), await there.code()
            fields = {**register.names, "POSRegisterName": "Till 2"}
            del fields[missing]
            answer = await there.form("PUT", f"/POS/Pairing/{code}", fields)
            assert answer.status == 400
            assert missing in answer.error
            assert (await register.pair(code)).status == 200

    play()


@virtual()
async def test_a_register_without_a_name_is_paired_where_that_is_allowed(tmp_path: Path) -> None:
    async with cloud(tmp_path, lenient_name=True) as there:
        register = there.register()
        code = await there.code()
        answer = await there.form("PUT", f"/POS/Pairing/{code}", register.names)
        assert answer.status == 200


@virtual()
async def test_pairing_again_moves_a_register(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        await register.paired(SECOND_LANE.id)
        (known,) = there.known()
        assert known.terminal_id == SECOND_LANE.id
        await register.do(AmountTotal="1250")
        assert [each.terminal_id for each in there.transactions()] == [SECOND_LANE.id]


@virtual()
async def test_two_shops_with_one_register_id_take_each_others_terminal(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        mine = await there.register().paired()
        with capture_logs() as logs:
            theirs = await there.register("shop7-till2", "Other Books").paired(SECOND_LANE.id)
            assert (await mine.ask(AmountTotal="1250")).status == 400
        assert words(await theirs.do(AmountTotal="1300")) == ACCEPTED
        await asyncio.sleep(1)
        (known,) = there.known()
        assert (known.terminal_id, known.clashes) == (SECOND_LANE.id, 1)
        (noticed,) = [each for each in logs if each["log_level"] == "warning"]
        assert noticed["meaning"] == CAUSE


@virtual()
async def test_two_registers_pay_on_one_terminal(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        first = await there.register("one").paired()
        second = await there.register("two").paired()
        for register in (first, second, first):
            assert words(await register.do(AmountTotal="1250")) == ACCEPTED
        assert {each.terminal_id for each in there.transactions()} == {LANE.id}


@pytest.mark.parametrize("field", ["POSRegisterID", "POSBusinessName", "POSVendorName"])
@pytest.mark.parametrize("other", ["other", "HARBOUR BOOKS", " Harbour Books"])
def test_whoever_differs_in_one_name_is_not_paired(tmp_path: Path, field: str, other: str) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            register = await there.register().paired()
            answer = await register.ask(AmountTotal="1250", **{field: other})
            assert answer.status == 400
            assert "not paired" in answer.error
            assert there.transactions() == []

    play()


@virtual()
async def test_a_register_that_was_unpaired_cannot_pay(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        await there.unpair()
        assert (await register.ask(AmountTotal="1250")).status == 400
        await register.paired()
        assert words(await register.do(AmountTotal="1250")) == ACCEPTED
        await there.set_lifecycle(Lifecycle.REMOVED)
        assert (await register.ask(AmountTotal="1250")).status == 400


@virtual()
async def test_a_pairing_outlives_the_gateway(tmp_path: Path) -> None:
    async with living(tmp_path) as there:
        await there.register().paired()
    async with living(tmp_path) as there:
        assert words(await there.register().do(AmountTotal="1250")) == ACCEPTED


@virtual()
async def test_terminals_of_another_organisation_do_not_exist(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        answer = await there.register().pair(await there.code(OTHERS.id))
        assert (answer.status, there.known()) == (400, [])


@virtual()
async def test_who_tries_codes_is_slowed_down(tmp_path: Path) -> None:
    async with cloud(tmp_path, failures_per_minute=3) as there:
        register, code = there.register(), await there.code(seconds=None)
        statuses = [(await register.pair(f"{number:08d}")).status for number in range(4)]
        assert statuses == [400, 400, 400, 429]
        answer = await register.pair(code)
        assert answer.status == 429
        await asyncio.sleep(int(answer.headers["retry-after"]))
        assert (await register.pair(code)).status == 200


@virtual()
async def test_one_register_used_from_two_places_is_noticed_now_and_then(tmp_path: Path) -> None:
    async with cloud(tmp_path, two_places_seconds=30.0) as there:
        register = await there.register().paired()
        with capture_logs() as logs:
            for _ in range(5):
                await register.ask(AmountTotal="1250", POSBusinessName="Elsewhere")
                await register.do("Terminal.GetStatus")
        noticed = [each for each in logs if each["log_level"] == "warning"]
        assert len(noticed) == 1
        assert (noticed[0]["register"], noticed[0]["meaning"]) == ("shop7-till2", CAUSE)
        assert noticed[0]["before"].endswith(", Harbour Books")
        await asyncio.sleep(60)
        await register.do("Terminal.GetStatus")
        (known,) = there.known()
        assert known.clashes == 1
        assert known.last_seen_from.endswith(", Harbour Books")
        # One that has moved is none that is in two places.
        await asyncio.sleep(60)
        await register.ask(AmountTotal="1250", POSBusinessName="Elsewhere")
        await asyncio.sleep(1)
        assert there.known()[0].clashes == 1


@virtual()
async def test_two_registers_that_enter_one_code_at_once_do_not_both_get_the_terminal(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        code = await there.code()
        registers = [there.register(name) for name in ("one", "two", "three")]
        answers = await asyncio.gather(*(each.pair(code) for each in registers))
        assert sorted(each.status for each in answers) == [200, 400, 400]
        assert len(there.gateway.engine.estate.registers_at(LANE.id)) == 1
