"""The operator's socket tells what terminals have on their books, as it comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.core.scripted import ScriptedDriver, engine_on
from tests.unit.server import control_rig
from tillwire.core.entries import Entry
from tillwire.core.errands import Result
from tillwire.errors import AnswerLost, NotFound
from tillwire.net import lines
from tillwire.net.asgi import Message
from tillwire.net.lines import Lines
from tillwire.server import books
from tillwire.server.books import LastOrder, ListOrder

OF_ALL_TIME = {"begin": 0, "end": 10**13}


async def documents(told: AsyncIterator[bytes]) -> list[dict[str, Any]]:
    return [json.loads(each) async for each in told]


async def test_what_is_shown_and_what_it_comes_to(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    end: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    driver.errand_end = end
    async with engine_on(tmp_path, driver) as engine:
        told = books.last(engine, LastOrder("t1"))
        first = asyncio.create_task(anext(told))
        await driver.errand_begun.wait()
        assert driver.tell is not None
        driver.tell("Open the link.")
        assert json.loads(await first) == {"type": "shown", "text": "Open the link."}
        end.set_result(Entry(name="n", amount=5))
        assert await documents(told) == [
            {"type": "told", "entry": {"name": "n", "amount": 5}},
            {"type": "ended", "trouble": "", "lists": "whole"},
        ]
        driver.errand_end = None
        assert [each["type"] for each in await documents(books.last(engine, LastOrder("t1")))] == [
            "ended"
        ]


async def test_a_terminal_that_shows_on_and_on_fills_no_memory(tmp_path: Path) -> None:
    """An operator whose window stands still does not read."""
    driver = ScriptedDriver()
    end: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    driver.errand_end = end
    async with engine_on(tmp_path, driver) as engine:
        told = books.last(engine, LastOrder("t1"))
        first = asyncio.create_task(anext(told))
        await driver.errand_begun.wait()
        assert driver.tell is not None
        for number in range(10 * books.MOST_SHOWN):
            driver.tell(f"{number}")
        end.set_result(Entry(name="n"))
        assert json.loads(await first)["text"] == "0"
        kinds = [each["type"] for each in await documents(told)]
        assert kinds == ["shown"] * (books.MOST_SHOWN - 1) + ["told", "ended"]


async def test_a_list_says_why_it_ends(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        driver.booked = [Entry(name="a"), AnswerLost("cut")]
        told = await documents(books.listed(engine, ListOrder("t1", 0, 1)))
        assert [each["type"] for each in told] == ["told", "ended"]
        assert "cut" in told[-1]["trouble"]
        with pytest.raises(NotFound):
            books.listed(engine, ListOrder("t9", 0, 1))
        with pytest.raises(NotFound):
            books.last(engine, LastOrder("t9"))


async def test_who_goes_calls_it_off(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    end: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    driver.errand_end = end
    async with engine_on(tmp_path, driver) as engine:
        went = asyncio.Event()

        async def receive() -> Message:
            await went.wait()
            return {"type": "http.disconnect"}

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        response = Lines(receive, books.last(engine, LastOrder("t1")))
        serving = asyncio.create_task(response.send(send))
        await driver.errand_begun.wait()
        went.set()
        await serving
        assert end.cancelled()
        assert not engine.errand_at("t1")
        assert [each["type"] for each in sent] == ["http.response.start"]


async def test_a_slow_answer_has_a_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "PULSE", 0.001)
    pulses = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"1"
        await pulses.wait()
        yield b"2"

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nobody wakes it")

    sent: list[bytes] = []

    async def send(message: Message) -> None:
        sent.append(message.get("body", b"-"))
        if sent[-2:] == [b"\n", b"\n"]:
            pulses.set()

    await Lines(receive, slowly()).send(send)  # type: ignore[arg-type]
    assert [each for each in sent if each != b"\n"] == [b"-", b"1\n", b"2\n", b""]


@pytest.mark.parametrize(
    ("target", "order", "status", "field"),
    [
        ("/last", {"terminal": "nobody"}, 404, "nobody"),
        ("/list", {"terminal": "nobody", **OF_ALL_TIME}, 404, "nobody"),
        ("/last", {"terminal": 7}, 400, "terminal"),
        ("/last", {"terminal": "t", "seconds": 901}, 400, "seconds"),
        ("/last", {"terminal": "t", "seconds": 0}, 400, "seconds"),
        ("/list", {"terminal": "t", "begin": 0}, 400, "end"),
        ("/list", {"terminal": "t", **OF_ALL_TIME, "more": 1}, 400, "more"),
    ],
)
async def test_bad_orders_are_refused(
    tmp_path: Path, target: str, order: dict[str, object], status: int, field: str
) -> None:
    async with control_rig.operated(control_rig.settings(tmp_path)) as operator:
        answer = await operator.ask("POST", target, json=order)
        assert (answer.status, field in answer.detail) == (status, True)
