"""How a terminal gets its transaction: once, whatever gets lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.device.shop import shop_in
from tillwire.core.estate_model import Lifecycle
from tillwire.core.model import State, Verdict
from tillwire.core.ports import AbortResult
from tillwire.errors import TerminalBusy


@virtual()
async def test_an_idle_poll_is_204_and_touches_no_database(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        terminal = shop.terminal()
        before = shop.journal.touched
        for query in ("", "?wait=30", "?wait=0&boot=7"):
            answer = await terminal.post("/next" + query)
            assert (answer.status, answer.body) == (204, b"")
        assert shop.journal.touched == before


@virtual()
async def test_a_fetch_dispatches_the_waiting_transaction(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        waiting = await shop.pay(1250, reference="till 7", partial_allowed=True)
        assert waiting.state is State.ACCEPTED
        answer = await shop.terminal().post("/next?boot=7")
        assert answer.status == 200
        assert b'"value":12.50' in answer.body
        assert answer.json() == {
            "id": waiting.id,
            "type": "PURCHASE",
            "amount": {"value": 12.5, "currency": "EUR", "minor": 1250},
            "reference": "till 7",
            "resume": False,
            "partial_allowed": True,
        }
        sent = await shop.now(waiting)
        assert sent.state is State.SENT
        assert sent.peer == {"serial": "t1", "boot": "7"}


@virtual()
async def test_a_held_poll_ends_when_a_till_asks(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        poll = asyncio.create_task(shop.terminal().post("/next?wait=30"))
        await asyncio.sleep(10)
        begun = asyncio.get_running_loop().time()
        waiting = await shop.pay()
        answer = await poll
        assert answer.json()["id"] == waiting.id
        assert asyncio.get_running_loop().time() - begun < 0.1


@virtual()
async def test_a_held_poll_ends_with_204_when_its_time_has_passed(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        begun = asyncio.get_running_loop().time()
        assert (await shop.terminal().post("/next?wait=2.5")).status == 204
        assert asyncio.get_running_loop().time() - begun == pytest.approx(2.5, abs=0.01)


@virtual()
async def test_a_second_held_poll_ends_the_first(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        first = asyncio.create_task(shop.terminal().post("/next?wait=30"))
        other = asyncio.create_task(shop.terminal("t2").post("/next?wait=30"))
        await asyncio.sleep(1)
        second = asyncio.create_task(shop.terminal().post("/next?wait=30"))
        assert (await first).status == 204
        waiting = await shop.pay()
        assert (await second).json()["id"] == waiting.id
        assert not other.done()
        assert (await other).status == 204


@virtual()
async def test_a_poll_whose_client_has_gone_fetches_nothing(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        gone = asyncio.Event()
        poll = asyncio.create_task(shop.terminal().ask("POST", "/next?wait=30", gone=gone))
        await asyncio.sleep(1)
        gone.set()
        assert (await poll).status == 0
        waiting = await shop.pay()
        await asyncio.sleep(60)
        assert (await shop.now(waiting)).state is State.ACCEPTED
        assert (await shop.fetched()).id == waiting.id


@virtual()
async def test_a_repeated_fetch_gives_the_same_transaction_under_the_same_id(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        first = await shop.fetched("?boot=7")
        for _ in range(2):
            await asyncio.sleep(3)
            assert await shop.fetched("?boot=7") == first
            assert await shop.fetched() == first  # without a boot number it claims to remember
        names = [event.name for event in await shop.events(first)]
        assert names.count("dispatch") == 1
        assert names.count("redeliver") == 2


@virtual()
async def test_fifty_fetches_at_once_get_one_transaction_dispatched_once(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        waiting = await shop.pay()
        answers = await asyncio.gather(*(shop.terminal().post("/next") for _ in range(50)))
        assert {answer.status for answer in answers} == {200}
        assert {answer.json()["id"] for answer in answers} == {waiting.id}
        names = [event.name for event in await shop.events(waiting)]
        assert names.count("dispatch") == 1


@virtual()
async def test_after_card_presented_it_is_handed_out_to_resume(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched()
        assert not offer.resume
        assert (await shop.tell(offer.id, "card_presented")).json()["state"] == "STARTED"
        assert (await shop.fetched()).resume


@virtual()
async def test_a_new_boot_number_makes_it_unknown_and_is_given_nothing(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched("?boot=7")
        assert (await shop.terminal().post("/next?boot=8")).status == 204
        assert (await shop.now(offer)).state is State.UNKNOWN
        lost = [event for event in await shop.events(offer) if event.name == "lose"]
        assert "boot 7" in str(lost[0].detail)
        with pytest.raises(TerminalBusy):
            await shop.pay()
        # Back with its old memory, as when an old request was under way, it may report.
        assert (await shop.fetched("?boot=7")).id == offer.id


@virtual()
async def test_a_terminal_that_first_tells_a_boot_number_later_may_have_forgotten(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched()
        assert (await shop.terminal().post("/next?boot=1")).status == 204
        assert (await shop.now(offer)).state is State.UNKNOWN


@virtual()
async def test_a_held_poll_after_a_restart_waits_until_a_person_has_decided(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched("?boot=7")
        poll = asyncio.create_task(shop.terminal().post("/next?boot=8&wait=30"))
        await shop.until(offer, State.UNKNOWN)
        await asyncio.sleep(5)
        touched = shop.journal.touched
        await asyncio.sleep(5)
        assert shop.journal.touched - touched <= 2  # recovery asks; the poll only waits
        assert not poll.done()
        await shop.engine.decide(offer.id, Verdict.CANCELLED, person="Ada", reason="Not charged.")
        following = await shop.pay()
        assert (await poll).json()["id"] == following.id


@virtual()
async def test_a_gateway_that_restarts_hands_it_out_again_and_hears_its_end(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched("?boot=7")
    async with shop_in(tmp_path) as shop:
        assert (await shop.now(offer)).state is State.UNKNOWN
        assert (await shop.fetched("?boot=7")) == offer
        assert (await shop.tell(offer.id, "approved")).json()["state"] == "APPROVED"
        assert (await shop.now(offer)).state is State.APPROVED


@virtual()
async def test_a_waiting_transaction_outlives_the_gateway_and_is_fetched_then(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        waiting = await shop.pay()
    async with shop_in(tmp_path) as shop:
        assert (await shop.fetched()).id == waiting.id


@virtual()
async def test_what_was_replaced_is_never_fetched(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        first = await shop.pay(1000)
        second = await shop.pay(2000)
        assert (await shop.fetched()).id == second.id
        assert (await shop.now(first)).state is State.CANCELLED


@virtual()
async def test_a_fetch_racing_with_a_replacement_gets_exactly_one_of_them(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        first = await shop.pay(1000)
        answer, second = await asyncio.gather(shop.terminal().post("/next"), shop.pay(2000))
        states = {(await shop.now(each)).state for each in (first, second)}
        got = answer.json()["id"]
        if got == first.id:
            assert states == {State.SENT, State.ACCEPTED}
        else:
            assert got == second.id
            assert states == {State.CANCELLED, State.SENT}


@virtual()
async def test_once_fetched_the_till_cannot_call_it_off(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        waiting = await shop.pay()
        assert await shop.engine.abort(waiting.id) is AbortResult.ABORTED
        assert (await shop.terminal().post("/next")).status == 204
        await shop.pay()
        offer = await shop.fetched()
        assert await shop.engine.abort(offer.id) is AbortResult.TOO_LATE


@virtual()
async def test_an_aborted_one_racing_with_a_fetch_has_one_winner(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        waiting = await shop.pay()
        answer, aborted = await asyncio.gather(
            shop.terminal().post("/next"), shop.engine.abort(waiting.id)
        )
        assert (answer.status, aborted) in {
            (200, AbortResult.TOO_LATE),
            (204, AbortResult.ABORTED),
        }


@virtual()
async def test_a_terminal_sees_only_its_own(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        assert (await shop.terminal("t2").post("/next")).status == 204
        assert (await shop.terminal("x1").post("/next")).status == 204


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic c2VjcmV0", "Bearer ü"])
def test_without_its_own_token_a_terminal_gets_401(tmp_path: Path, header: str) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            stranger = shop.terminal()
            for method, path in (
                ("POST", "/next"),
                ("POST", "/transactions/1/events"),
                ("GET", "/configuration"),
            ):
                answer = await stranger.ask(method, path, headers={"authorization": header})
                assert answer.status == 401
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert answer.headers["content-type"] == "application/problem+json"

    scenario()


@virtual()
async def test_a_terminal_that_is_not_active_is_given_nothing_but_may_report(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched()
        removed = msgspec.structs.replace(
            shop.engine.estate.terminals["t1"], lifecycle=Lifecycle.REMOVED
        )
        await shop.engine.change_estate(lambda unit: unit.put(removed))
        assert (await shop.terminal().post("/next")).status == 403
        assert (await shop.tell(offer.id, "approved")).status == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?wait=31", "wait"),
        ("?wait=-1", "wait"),
        ("?wait=soon", "wait"),
        ("?wait=", "wait"),
        ("?wait=1e1", "wait"),
        ("?boot=-1", "boot"),
        ("?boot=x", "boot"),
        ("?boot=99999999999999999999", "boot"),
    ],
)
def test_a_wrong_poll_is_refused_with_the_fields_name(
    tmp_path: Path, query: str, field: str
) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            answer = await shop.terminal().post("/next" + query)
            assert answer.status == 400
            assert answer.json()["field"] == field

    scenario()


@virtual()
async def test_a_terminal_is_told_its_configuration(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        answer = await shop.terminal().get("/configuration")
        assert answer.json() == {
            "terminal": "TILLWIRE-V1-t1",
            "tid": "",
            "poll_interval": 5,
            "longest_wait": 30,
            "store": {
                "uuid": "shop-s",
                "name": "Corner Shop",
                "address": "Damrak 1",
                "city": "Amsterdam",
                "zip_code": "1012 LG",
                "country": "NL",
                "time_zone": "Europe/Amsterdam",
                "currency": "EUR",
            },
        }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/next", 405),
        ("POST", "/configuration", 405),
        ("GET", "/", 404),
        ("POST", "/x", 404),
    ],
)
def test_unknown_paths_and_wrong_methods_are_problems(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            answer = await shop.terminal().ask(method, path)
            assert answer.status == status
            assert answer.json()["status"] == status
            assert ("allow" in answer.headers) == (status == 405)

    scenario()


@virtual()
async def test_a_terminal_counts_as_reachable_while_it_polls(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        driver = shop.engine._driver_of(shop.engine.estate.terminals["t1"])
        assert not (await driver.status()).reachable
        await shop.terminal().post("/next?boot=3")
        status = await driver.status()
        assert (status.reachable, status.boot) == (True, 3)
        await asyncio.sleep(61)
        assert not (await driver.status()).reachable
