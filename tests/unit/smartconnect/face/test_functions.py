"""What a register asks for that moves no money."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.runner import virtual
from tests.unit.smartconnect.face.register import (
    ACCEPTED,
    AWAY,
    DELAYED,
    LANE,
    Cloud,
    cloud,
    living,
    words,
)
from tillwire.core.errands import Trouble
from tillwire.virtual.memory import SetScript
from tillwire.virtual.script import Script

FUNCTIONS = (
    "Acquirer.Logon",
    "Acquirer.Settlement.Inquiry",
    "Acquirer.Settlement.Cutover",
    "Terminal.GetStatus",
    "Terminal.ReadCard",
    "Terminal.PrintReceipt",
    "Journal.ReprintReceipt",
    "Journal.GetTransResult",
)


async def scripted(there: Cloud, script: Script, times: int = 1) -> None:
    """The terminal does this next."""
    await there.gateway.world.set_script(LANE.id, SetScript(script, times))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_is_accepted_and_polled_like_a_transaction(
    tmp_path: Path, function: str
) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            register = await there.register().paired()
            await register.do(AmountTotal="1250")
            begun = await register.begin(function, SaleData="")
            ended = await register.end(begun)
            data = ended["data"]
            assert data["Function"] == function
            assert data["RequestId"] == ended["transactionId"] == begun.json["transactionId"]
            assert data["Result"] == "OK"
            assert all(isinstance(value, str) for value in data.values())
            if function != "Terminal.GetStatus":
                assert words(data) == ACCEPTED
            assert len(there.transactions()) == 1

    play()


@virtual()
async def test_the_status_of_a_terminal_has_no_transaction_result(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        data = await register.do("Terminal.GetStatus")
        assert (data["Result"], data["Status"]) == ("OK", "READY")
        assert "TransactionResult" not in data


@pytest.mark.parametrize("function", ["Terminal.GetStatus", "Acquirer.Logon"])
def test_a_terminal_that_is_away_has_no_status(tmp_path: Path, function: str) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            register = await there.register().paired("p1-0001")
            assert words(await register.do(function)) == AWAY

    play()


@virtual()
async def test_a_settlement_is_inquired_and_cut_over(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        for amount in ("1250", "1300"):
            await register.do(AmountTotal=amount)
        await register.do("Card.Refund", AmountTotal="500")
        asked = await register.do("Acquirer.Settlement.Inquiry")
        assert "PURCHASES EUR" in asked["Receipt"]
        assert "REFUNDS EUR" in asked["Receipt"]
        closed = await register.do("Acquirer.Settlement.Cutover")
        assert (closed["AcquirerRef"], "SETTLEMENT CUTOVER" in closed["Receipt"]) == (
            "000001",
            True,
        )
        lines = closed["Receipt"].splitlines()
        assert sum(line.startswith(("1 ", "2 ")) for line in lines) >= 2
        assert max(map(len, lines)) <= 30
        empty = await register.do("Acquirer.Settlement.Inquiry")
        assert "NO TRANSACTIONS" in empty["Receipt"]
        (terminal,) = [
            each for each in there.gateway.engine.estate.terminals.values() if each.id == LANE.id
        ]
        assert (await there.gateway.engine.closing(terminal.id, 1)) is not None


@virtual()
async def test_a_settlement_is_inquired_of_a_day(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        await register.do(AmountTotal="1250")
        for date in ("20260314", "2026-03-14"):
            asked = await register.do("Acquirer.Settlement.Inquiry", Date=date)
            assert "12.50" in asked["Receipt"]
        other = await register.do("Acquirer.Settlement.Inquiry", Date="20260313")
        assert "12.50" not in other["Receipt"]
        for date in ("yesterday", "99991231", "00010101"):
            wrong = await register.ask("Acquirer.Settlement.Inquiry", Date=date)
            assert (wrong.status, "Date" in wrong.error) == (400, True)


@virtual()
async def test_the_journal_tells_of_the_terminals_last_transaction_whoever_paid_it(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        one, two = await there.register("one").paired(), await there.register("two").paired()
        nothing = await two.do("Journal.GetTransResult")
        assert words(nothing) == ("FAILED", "FAILED")
        paid = await one.end(await one.begin(AmountTotal="1250", TransactionReference="r-1"))
        await one.do(AmountTotal="1240")
        ended = await two.end(await two.begin("Journal.GetTransResult"))
        data = ended["data"]
        assert words(data) == ("OK-DECLINED", "OK")
        assert (data["AmountTotal"], data["PosRegisterID"]) == ("1240", "two")
        assert data["ReferenceId"] not in (ended["transactionId"], paid["transactionId"])
        assert "TransactionReference" not in data
        printed = await two.do("Journal.ReprintReceipt")
        assert printed["ReferenceId"] == data["ReferenceId"]
        assert printed["Receipt"] == data["Receipt"]
        (made, declined) = there.transactions()
        assert made.amount.minor == 1250
        assert declined.amount.minor == 1240


@virtual()
async def test_a_card_is_read_without_its_number(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        data = await register.do("Terminal.ReadCard")
        assert (len(data["CardPan"]), data["CardPan"][:4]) == (8, "....")
        assert data["CardType"]


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (Trouble.CANCELLED, ("CANCELLED", "CANCELLED")),
        (Trouble.UNREACHABLE, AWAY),
        (Trouble.BROKEN, ("FAILED", "FAILED")),
        (Trouble.REFUSED, ("FAILED", "FAILED")),
    ],
)
def test_what_keeps_a_terminal_from_a_function_is_told(
    tmp_path: Path, trouble: Trouble, told: tuple[str, str]
) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            register = await there.register().paired()
            await scripted(there, Script(trouble=trouble))
            assert words(await register.do("Terminal.ReadCard")) == told

    play()


@virtual()
async def test_a_period_is_not_closed_when_the_terminal_does_not_close_its_own(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        await register.do(AmountTotal="1250")
        await scripted(there, Script(trouble=Trouble.BROKEN))
        assert words(await register.do("Acquirer.Settlement.Cutover")) == ("FAILED", "FAILED")
        assert (await there.gateway.engine.open_totals(LANE.id)).number == 1


@virtual()
async def test_a_terminal_does_one_thing_at_a_time(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        await scripted(there, Script(seconds=10, answer="x"))
        begun = await register.begin("Terminal.ReadCard")
        await asyncio.sleep(1)
        for kind, said in (("Card.Purchase", {"AmountTotal": "1250"}), ("Acquirer.Logon", {})):
            assert (await register.ask(kind, **said)).status == 429
        await register.end(begun)
        assert words(await register.do(AmountTotal="1250")) == ACCEPTED


@virtual()
async def test_a_function_that_was_cut_off_by_a_restart_ends_as_failed(tmp_path: Path) -> None:
    async with living(tmp_path) as there:
        register = await there.register().paired()
        await scripted(there, Script(seconds=100, answer="x"))
        begun = await register.begin("Terminal.ReadCard")
        await asyncio.sleep(1)
    async with living(tmp_path) as there:
        register = there.register()
        assert (await there.get(begun.polling_url)).json["transactionStatus"] == "PENDING"
        await asyncio.sleep(70)
        assert words((await there.get(begun.polling_url)).json["data"]) == DELAYED
        ended = await register.end(begun)
        assert words(ended["data"]) == ("FAILED", "FAILED")
        await asyncio.sleep(60)
        assert (await there.get(begun.polling_url)).json == ended
        assert words(await register.do("Terminal.ReadCard")) == ACCEPTED


@virtual()
async def test_a_clock_that_is_set_ends_no_function_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is completed stays as it is."""
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        await scripted(there, Script(seconds=30, answer="x"))
        begun = await register.begin("Terminal.ReadCard")
        await asyncio.sleep(1)
        now = there.gateway.clock.now
        monkeypatch.setattr(there.gateway.clock, "now", lambda: now() + 300_000)
        assert words((await there.get(begun.polling_url)).json["data"]) == DELAYED
        ended = await register.end(begun)
        assert words(ended["data"]) == ACCEPTED


@virtual()
async def test_an_idempotency_key_closes_one_period(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        key = {"Idempotency-Key": "closing-1"}
        first = await register.ask("Acquirer.Settlement.Cutover", key)
        ended = await register.end(first)
        again = await register.ask("Acquirer.Settlement.Cutover", key)
        assert again.json["transactionId"] == first.json["transactionId"]
        await asyncio.sleep(2)
        assert (await register.end(again)) == ended
        assert (await there.gateway.engine.open_totals(LANE.id)).number == 2
