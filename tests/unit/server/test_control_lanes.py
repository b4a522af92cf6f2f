"""Lanes in an operator's hands: who is there, cut off, and moved to another port."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from structlog.testing import capture_logs

from tests.kit.ports import free_port
from tests.unit.server import control_rig, rig
from tests.unit.server.control_rig import Operator, lane, operated, settings
from tests.unit.server.rig import Lines
from tests.unit.server.test_streams import Peer
from tillwire.clock import SystemClock
from tillwire.config import ListenerSettings
from tillwire.core.ports import LanePort
from tillwire.errors import ConfigurationError, JournalFull
from tillwire.sandbox import card
from tillwire.server import lanes
from tillwire.server.gateway import Gateway
from tillwire.server.listeners import bind
from tillwire.server.streams import StreamListener

ME = pwd.getpwuid(os.getuid()).pw_name


async def connect(port: int) -> Peer:
    return Peer(*await asyncio.open_connection("127.0.0.1", port))


async def is_served(port: int) -> bool:
    try:
        peer = await connect(port)
    except ConnectionRefusedError:
        return False
    answer = await peer.ask(b"hello")
    peer.writer.close()
    return answer == b"hello"


async def page(operator: Operator, path: str) -> str:
    url = operator.gateway.listeners["front"].url + path
    async with aiohttp.ClientSession() as person, person.get(url) as answer:
        return await answer.text()


# --- see ------------------------------------------------------------------------------------


async def test_each_lane_is_shown_with_who_is_there(tmp_path: Path) -> None:
    dialled = lane("dialled", port=free_port(), reverse=True)
    async with operated(settings(tmp_path, lane(), dialled)) as operator:
        port = operator.gateway.listeners["lanes"].port
        idle, busy = await connect(port), await connect(port)
        await idle.ask(b"hello")
        await busy.ask(b"work")
        shown = (await operator.ask("GET", "/lanes")).document
        seen, reverse = shown["lanes"]
    assert (seen["name"], seen["face"], seen["terminal"]) == ("lanes", "lines", "TERMINAL-1")
    assert (seen["address"], seen["port"], seen["configured_port"]) == ("127.0.0.1", port, 0)
    assert (seen["reverse"], seen["set_port"], seen["connected"]) == (False, None, 2)
    assert [each["doing"] for each in seen["connections"]] == ["", "work"]
    here = [peer.writer.get_extra_info("sockname")[1] for peer in (idle, busy)]
    assert [each["peer"] for each in seen["connections"]] == [f"127.0.0.1:{at}" for at in here]
    assert (reverse["reverse"], reverse["port"], reverse["connected"]) == (True, dialled.port, 0)
    assert shown["forgotten"] == []


async def test_a_crowd_is_counted_and_its_oldest_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "LISTED", 2)
    async with operated(settings(tmp_path)) as operator:
        port = operator.gateway.listeners["lanes"].port
        peers = [await connect(port) for _ in range(3)]
        for peer in peers:
            await peer.ask(b"hello")
        seen = await operator.lane()
    assert (seen["connected"], len(seen["connections"])) == (3, 2)
    oldest = peers[0].writer.get_extra_info("sockname")[1]
    assert seen["connections"][0]["peer"] == f"127.0.0.1:{oldest}"


# --- reset ----------------------------------------------------------------------------------


async def test_a_reset_cuts_one_peer_or_all_and_the_lane_goes_on(tmp_path: Path) -> None:
    async with operated(settings(tmp_path)) as operator:
        port = operator.gateway.listeners["lanes"].port
        first, second, third = [await connect(port) for _ in range(3)]
        for peer in (first, second, third):
            await peer.ask(b"work")
        named = f"127.0.0.1:{first.writer.get_extra_info('sockname')[1]}"
        assert await operator.reset(peer=named) == (200, {"closed": 1})
        assert await first.hear() == b""
        assert await second.ask(b"still here") == b"still here"
        unknown = await operator.reset(peer="192.0.2.1")
        assert unknown.status == 404
        assert unknown.detail == "Nobody at 192.0.2.1 is connected to the lane 'lanes'."
        assert await operator.reset(peer="127.0.0.1") == (200, {"closed": 2})
        assert [await second.hear(), await third.hear()] == [b"", b""]
        assert await operator.reset() == (200, {"closed": 0})
        assert await is_served(port)
        numbers = await page(operator, "/metrics")
    assert 'tillwire_lane_resets_total{listener="lanes"} 3.0' in numbers


async def test_an_unknown_lane_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    async with operated(settings(tmp_path, lane("b"), lane("a"))) as operator:
        for answer in (await operator.reset("front"), await operator.port(9000, "front")):
            assert answer.status == 404
            assert answer.detail == "No lane 'front'; there is: a, b."


# --- move -----------------------------------------------------------------------------------


async def test_a_lane_moves_at_once_and_for_good_and_back(tmp_path: Path) -> None:
    configured, new = free_port(), free_port()
    there = settings(tmp_path, lane(port=configured))
    async with operated(there) as operator:
        moved = await operator.port(new)
        assert (moved.status, moved.document["lane"]["port"]) == (200, new)
        assert await is_served(new)
        assert not await is_served(configured)
        assert f"tcp://127.0.0.1:{new}<" in await page(operator, "/")
        (row,) = await operator.set_ports()
        assert (row.lane, row.port, row.set_by) == ("lanes", new, ME)
        assert operator.gateway.clock.now() - row.set_at < 60_000
    async with operated(there) as operator:
        assert await is_served(new)
        seen = await operator.lane()
        assert (seen["port"], seen["configured_port"]) == (new, configured)
        assert seen["set_port"]["set_by"] == ME
        back = await operator.port(None)
        assert (back.document["lane"]["port"], back.document["lane"]["set_port"]) == (
            configured,
            None,
        )
        assert await is_served(configured)
        assert not await is_served(new)
        assert await operator.set_ports() == []
    async with operated(there):
        assert await is_served(configured)


async def test_who_is_idle_is_let_go_and_who_is_served_gets_the_answer(tmp_path: Path) -> None:
    async with operated(settings(tmp_path)) as operator:
        port = operator.gateway.listeners["lanes"].port
        idle, busy = await connect(port), await connect(port)
        await idle.ask(b"hello")
        await busy.ask(b"work")
        new = free_port()
        assert (await operator.port(new)).status == 200
        assert [await idle.hear(), await idle.hear()] == [b"stopping", b""]
        assert await busy.hear() == b"stopping"
        late = await connect(new)
        assert await late.ask(b"hello") == b"hello"
        assert (await operator.lane())["connected"] == 2
        assert await busy.ask(b"done") == b"done"
        assert await busy.hear() == b""
        assert await late.ask(b"still here") == b"still here"


async def test_the_port_in_force_can_be_set_and_going_back_twice_is_harmless(
    tmp_path: Path,
) -> None:
    async with operated(settings(tmp_path, lane(port=free_port()))) as operator:
        port = operator.gateway.listeners["lanes"].port
        peer = await connect(port)
        await peer.ask(b"hello")
        assert (await operator.port(port)).status == 200
        assert [each.port for each in await operator.set_ports()] == [port]
        for _ in range(2):
            assert (await operator.port(None)).status == 200
        assert await operator.set_ports() == []
        assert await peer.ask(b"still here") == b"still here"


async def test_a_port_that_cannot_be_had_changes_nothing(tmp_path: Path) -> None:
    async with operated(settings(tmp_path, lane(), lane("other"))) as operator:
        listeners = operator.gateway.listeners
        port = listeners["lanes"].port
        peer = await connect(port)
        await peer.ask(b"hello")
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            taken = stranger.getsockname()[1]
            answer = await operator.port(taken)
            assert answer.status == 409
            assert f"Port {taken} on 127.0.0.1 is taken by another program" in answer.detail
        for name in ("other", "front"):
            answer = await operator.port(listeners[name].port)
            assert answer.status == 409
            assert f"taken by the listener {name!r}" in answer.detail
        assert await peer.ask(b"still here") == b"still here"
        assert await operator.set_ports() == []
        assert (await operator.lane())["port"] == port


async def test_a_journal_that_is_full_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with operated(settings(tmp_path)) as operator:
        port, new = operator.gateway.listeners["lanes"].port, free_port()

        async def full(work: object) -> None:
            raise JournalFull

        with monkeypatch.context() as patch:
            patch.setattr(operator.gateway.journal, "commit", full)
            assert (await operator.port(new)).status == 503
        assert await is_served(port)
        assert not await is_served(new)
        assert (await operator.lane())["set_port"] is None
        assert (await operator.port(new)).status == 200


async def test_a_gateway_that_dies_behind_the_commit_comes_back_at_the_new_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, new = settings(tmp_path, lane(port=free_port())), free_port()

    async def die(listener: StreamListener, listening: socket.socket) -> None:
        listening.close()
        raise SystemError("the process is gone")

    with monkeypatch.context() as patch:
        patch.setattr(StreamListener, "move", die)
        async with operated(there) as operator:
            assert (await operator.port(new)).status == 500
    async with operated(there):
        assert await is_served(new)


async def test_a_move_that_a_stop_cuts_short_leaves_no_port_open() -> None:
    ports = [free_port() for _ in range(2)]
    for steps in range(1, 8):
        old, new = (ListenerSettings(name="lanes", port=port) for port in ports)
        made = StreamListener(
            old,
            bind(old),
            Lines(),
            None,
            stop_seconds=1,
            count=lambda *_: None,
            now=SystemClock().now,
        )
        await made.start()
        moving = asyncio.create_task(made.move(bind(new)))
        for _ in range(steps):
            await asyncio.sleep(0)
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)
        await made.stop()
        assert [await is_served(port) for port in ports] == [False, False]


async def test_two_operators_at_once_leave_journal_and_lane_of_one_mind(tmp_path: Path) -> None:
    async with operated(settings(tmp_path)) as operator:
        wanted = [free_port() for _ in range(4)]
        answers = await asyncio.gather(*(operator.port(each) for each in wanted))
        assert {each.status for each in answers} == {200}
        (row,) = await operator.set_ports()
        assert row.port == (await operator.lane())["port"]
        assert [await is_served(each) for each in wanted] == [each == row.port for each in wanted]


async def test_a_lane_that_dials_has_no_port_to_set(tmp_path: Path) -> None:
    dialled = lane("dialled", port=free_port(), reverse=True)
    async with operated(settings(tmp_path, dialled)) as operator:
        answer = await operator.port(9000, "dialled")
        assert (answer.status, await operator.set_ports()) == (409, [])
    assert f"dials its till at 127.0.0.1:{dialled.port}" in answer.detail


async def test_a_port_of_a_lane_that_is_no_more_can_be_dropped(tmp_path: Path) -> None:
    async with operated(settings(tmp_path)) as operator:
        await operator.port(free_port())
    async with operated(settings(tmp_path, lane("renamed"))) as operator:
        shown = (await operator.ask("GET", "/lanes")).document
        assert [each["lane"] for each in shown["forgotten"]] == ["lanes"]
        assert (await operator.port(9000)).status == 404
        assert await operator.port(None) == (200, {"lane": None})
        assert (await operator.port(None)).status == 404
        assert await operator.set_ports() == []


# --- start ----------------------------------------------------------------------------------


async def set_before(folder: Path, port: int) -> None:
    """As an operator did, some time ago."""
    async with operated(settings(folder)) as operator:
        row = LanePort("lanes", port, operator.gateway.clock.now(), "ada")
        await operator.gateway.journal.commit(lambda unit: unit.put_lane_port(row))


async def test_a_start_whose_set_port_is_taken_says_who_set_it_and_how_to_go_back(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = stranger.getsockname()[1]
        await set_before(tmp_path, taken)
        gateway = Gateway(settings(tmp_path, lane(port=8081)), faces=control_rig.kinds(Lines()))
        with pytest.raises(ConfigurationError) as refused:
            await gateway.open()
    assert f"Port {taken} on 127.0.0.1 is taken by another program: ada set it" in str(
        refused.value
    )
    assert "`tillwire lanes port lanes --configured` goes back to port 8081" in str(refused.value)
    assert not (tmp_path / "journal.db.control").exists()


async def test_a_start_whose_set_port_is_another_listeners_says_so(tmp_path: Path) -> None:
    port = free_port()
    await set_before(tmp_path, port)
    both = rig.configuration(tmp_path, rig.listener(port=port), lane(port=8081))
    gateway = Gateway(both, faces=control_rig.kinds(Lines()))
    with pytest.raises(ConfigurationError) as refused:
        await gateway.open()
    assert f"Port {port} is that of the listener 'front', too: ada set it" in str(refused.value)


# --- the sandbox ----------------------------------------------------------------------------


def test_a_sandbox_card_that_cannot_be_written_again_undoes_nothing(tmp_path: Path) -> None:
    content: Any = {"ecr17": {"port": 9000}}
    card.rewrite(tmp_path, content)
    assert msgspec.json.decode((tmp_path / card.FILE).read_bytes()) == content
    with capture_logs() as written:
        card.rewrite(tmp_path / "removed", content)
    assert [each["event"] for each in written] == ["the sandbox card is out of date"]
