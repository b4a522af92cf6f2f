"""Logins are durable, one for each register, and bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.unit.core.scripted import ScriptedDriver, engine_on
from tillwire.clock import Instant
from tillwire.core.model import Session
from tillwire.core.sessions import MOST_SESSIONS
from tillwire.errors import Conflict, JournalReadOnly


def login(register: str = "till-4", at: int = 1, **detail: str) -> Session:
    return Session(
        terminal_id="t1", dialect="nexo", register=register, opened_at=Instant(at), detail=detail
    )


async def test_a_session_outlives_a_restart_until_it_is_closed(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        assert engine.session("t1", "nexo", "till-4") is None
        await engine.open_session(login(model="X"))
        await engine.open_session(login("till-5", at=2))
        assert engine.session("t1", "nexo", "till-4") == login(model="X")
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        assert engine.sessions_at("t1", "nexo") == [login(model="X"), login("till-5", at=2)]
        assert engine.sessions_at("t2", "nexo") == []
        assert engine.session("t1", "another", "till-4") is None
        assert await engine.close_session("t1", "nexo", "till-4")
        assert not await engine.close_session("t1", "nexo", "till-4")
        assert engine.session("t1", "nexo", "till-4") is None
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        assert engine.sessions_at("t1", "nexo") == [login("till-5", at=2)]


async def test_a_second_login_takes_the_place_of_the_first(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        await engine.open_session(login(model="X"))
        await engine.open_session(login(at=2, model="Y"))
        assert engine.sessions_at("t1", "nexo") == [login(at=2, model="Y")]


async def test_too_many_sessions_end_the_oldest(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        for number in range(MOST_SESSIONS + 2):
            await engine.open_session(login(f"till-{number}", at=number))
        await engine.open_session(login("till-50", at=1000))  # one that is there ends no other
        kept = [f"till-{number}" for number in range(2, MOST_SESSIONS + 2) if number != 50]
        open_now = [each.register for each in engine.sessions_at("t1", "nexo")]
        assert open_now == [*kept, "till-50"]
        stored = await engine.journal.read(lambda reader: reader.sessions())
        assert {each.register for each in stored} == set(open_now)


def _is_kept(session: Session) -> bool:
    return "model" in session.detail


async def test_a_session_that_is_to_be_kept_is_ended_by_its_own_register_alone(
    tmp_path: Path,
) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        await engine.open_session(login("first", model="X"), _is_kept)
        for number in range(MOST_SESSIONS + 2):
            await engine.open_session(login(f"till-{number}", at=number), _is_kept)
        open_now = [each.register for each in engine.sessions_at("t1", "nexo")]
        assert len(open_now) == MOST_SESSIONS
        assert open_now[:2] == ["first", "till-3"], "the oldest of the others made place"


async def test_no_session_begins_where_all_are_to_be_kept(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        for number in range(MOST_SESSIONS):
            await engine.open_session(login(f"till-{number}", model="X"), _is_kept)
        with pytest.raises(Conflict, match="log one of them out"):
            await engine.open_session(login("one-more"), _is_kept)
        assert engine.session("t1", "nexo", "one-more") is None
        await engine.open_session(login("till-7", at=8, model="Y"), _is_kept)
        await engine.close_session("t1", "nexo", "till-0")
        await engine.open_session(login("one-more"), _is_kept)
        assert len(engine.sessions_at("t1", "nexo")) == MOST_SESSIONS


async def test_memory_and_journal_agree_when_a_login_is_interrupted(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        opening = asyncio.create_task(engine.open_session(login()))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await engine.open_session(login("till-5"))  # behind the interrupted one
        stored = await engine.journal.read(lambda reader: reader.sessions())
        assert {each.register for each in stored} == {"till-4", "till-5"}
        assert {each.register for each in engine.sessions_at("t1", "nexo")} == {"till-4", "till-5"}


async def test_a_login_that_was_not_journaled_is_none(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        connection = engine.journal._writer._committer._connection
        connection.execute("PRAGMA query_only = ON")
        with pytest.raises(JournalReadOnly):
            await engine.open_session(login())
        connection.execute("PRAGMA query_only = OFF")
        assert engine.session("t1", "nexo", "till-4") is None
