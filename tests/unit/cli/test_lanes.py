"""`tillwire lanes` beside a real gateway, without one, and with one that dies."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.ports import free_port
from tests.kit.sandbox_process import SandboxProcess, start_sandbox
from tests.unit.cli.conftest import Run
from tillwire.cli import control
from tillwire.dialects.ecr17.wire import NAK
from tillwire.journal.sqlite import SqliteJournal
from tillwire.server.control import control_path

ME = pwd.getpwuid(os.getuid()).pw_name
COMMAND = (sys.executable, "-c", "from tillwire.cli import main; main()", "lanes")
CONFIGURATION = """
[journal]
path = "journal.db"

[[listener]]
name = "till 4"
port = 8081

[[listener.face]]
name = "ecr17"
settings = {{organisation = "shop", terminal = "ACME-V1-PL2"}}

[[listener]]
name = "till 5"
port = {till}
reverse = true

[[listener.face]]
name = "ecr17"
settings = {{organisation = "shop", terminal = "ACME-V1-PL3"}}

[[listener]]
name = "tills"
port = 8443
pages = ["health"]
"""


def till(port: int) -> socket.socket:
    """A till that has connected, and knows that it is served."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(b"\x02\x03\x00")  # an empty frame with a wrong check character
    assert connection.recv(16) == NAK
    return connection


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    running = start_sandbox(tmp_path_factory.mktemp("lanes") / "sandbox")
    yield running
    running.stop()


@pytest.fixture
def configuration(tmp_path: Path, journal: Path) -> Path:
    """Of a gateway with two lanes, one of which dials; its journal is there."""
    path = tmp_path / "tillwire.toml"
    path.write_text(CONFIGURATION.format(till=free_port()))
    return path


# --- beside a gateway -------------------------------------------------------------------------


def test_the_lanes_of_a_sandbox_are_seen_reset_and_moved(run: Run, sandbox: SandboxProcess) -> None:
    here, configured = ("--data", sandbox.directory), sandbox.card["ecr17"]["port"]
    with till(configured) as connected, till(configured) as other:
        table = run("lanes", *here).out
        rows = [line.split() for line in table.splitlines()]
        assert rows[0][:4] == ["LANE", "FACE", "TERMINAL", "ADDRESS"]
        assert rows[2][:4] == ["ecr17", "ecr17", "TILLWIRE-V1-0004", f"127.0.0.1:{configured}"]
        assert rows[2][-1] == rows[3][-1] == "nothing"
        peer = "127.0.0.1:{1}".format(*connected.getsockname())
        assert {rows[2][4], rows[3][0]} == {peer, "127.0.0.1:{1}".format(*other.getsockname())}
        one = run("lanes", "reset", "ecr17", peer, *here)
        assert one.out == f"1 connection was closed of {peer} at the lane ecr17.\n"
        assert connected.recv(16) == b""
        assert run("lanes", "reset", "ecr17", *here, "--json").document["closed"] == 1
        assert other.recv(16) == b""
    new = free_port()
    assert run("lanes", "port", "ecr17", new, *here).out == (
        f"The lane ecr17 is at 127.0.0.1:{new} now.\n"
    )
    till(new).close()
    assert json.loads((sandbox.directory / "card.json").read_bytes())["ecr17"]["port"] == new
    shown = run("lanes", *here, "--json").document
    assert (shown["running"], shown["pid"]) == (True, sandbox.process.pid)
    lane = next(each for each in shown["lanes"] if each["name"] == "ecr17")
    assert (lane["port"], lane["configured_port"]) == (new, configured)
    assert (lane["set_port"]["port"], lane["set_port"]["set_by"]) == (new, ME)
    assert f"{ME}, " in run("lanes", *here).out
    back = run("lanes", "port", "ecr17", "--configured", *here, "--json").document
    assert (back["running"], back["lane"]["port"], back["lane"]["set_port"]) == (
        True,
        configured,
        None,
    )
    till(configured).close()


def test_refusals_of_the_gateway_are_told_as_they_are(run: Run, sandbox: SandboxProcess) -> None:
    here = ("--data", sandbox.directory)
    unknown = run("lanes", "reset", "till 9", *here)
    assert (unknown.status, unknown.err) == (
        1,
        "Error: No lane 'till 9'; there is: ecr17, nexo-tcp.\n",
    )
    nobody = run("lanes", "reset", "ecr17", "192.0.2.1", *here)
    assert (nobody.status, nobody.err) == (
        1,
        "Error: Nobody at 192.0.2.1 is connected to the lane 'ecr17'.\n",
    )
    front = int(sandbox.card["base_url"].rpartition(":")[2])
    taken = run("lanes", "port", "ecr17", front, *here, "--json")
    assert (taken.status, taken.document["error"]["kind"]) == (1, "Conflict")
    assert f"Port {front} is taken by the listener 'sandbox'" in taken.err
    assert run("lanes", "port", "ecr17", *here).status == 2
    assert run("lanes", "port", "ecr17", 9000, "--configured", *here).status == 2
    assert run("lanes", "port", "ecr17", 65_536, *here).status == 2


def test_options_may_stand_before_what_is_to_be_done(run: Run, sandbox: SandboxProcess) -> None:
    ran = run("lanes", "--data", sandbox.directory, "--json", "reset", "ecr17")
    assert ran.document == {"lane": "ecr17", "peer": None, "closed": 0}


def test_two_operators_at_once_are_both_served(sandbox: SandboxProcess) -> None:
    new, arguments = free_port(), ("--data", str(sandbox.directory), "--json")
    told = [
        subprocess.Popen([*COMMAND, *order, *arguments], stdout=subprocess.PIPE)
        for order in (("port", "nexo-tcp", str(new)), ("reset", "nexo-tcp"))
    ]
    documents = [json.loads(each.communicate(timeout=60)[0]) for each in told]
    assert [each.returncode for each in told] == [0, 0]
    assert documents[0]["lane"]["port"] == new
    socket.create_connection(("127.0.0.1", new), timeout=10).close()


# --- without one ------------------------------------------------------------------------------


def test_a_port_set_before_the_start_is_the_one_of_the_start_and_survives_a_kill(
    run: Run, tmp_path: Path
) -> None:
    directory, new = tmp_path / "sandbox", free_port()
    first = start_sandbox(directory)
    first.process.send_signal(signal.SIGKILL)
    first.ended()
    here = ("--data", directory)
    assert control_path(directory / "journal.db").is_socket(), "a dead gateway leaves it"
    at_rest = run("lanes", *here)
    assert "No gateway runs" in at_rest.err
    assert "127.0.0.1, on the port of its start" in at_rest.out
    assert "so nobody is connected" in run("lanes", "reset", "ecr17", *here).err
    moved = run("lanes", "port", "ecr17", new, *here)
    assert moved.out == f"The lane ecr17 is at 127.0.0.1:{new} from the next start on.\n"
    second = start_sandbox(directory)
    try:
        assert second.card["ecr17"]["port"] == new
        till(new).close()
    finally:
        second.stop()
    assert not control_path(directory / "journal.db").exists()


def test_the_configuration_and_the_journal_tell_what_the_next_start_will_have(
    run: Run, configuration: Path, journal: Path
) -> None:
    new = free_port()
    here = ("--config", configuration)
    moved = run("lanes", "port", "till 4", new, *here, "--json").document
    assert (moved["running"], moved["lane"]["port"]) == (False, new)
    shown = run("lanes", *here, "--json").document
    assert (shown["running"], shown["pid"], shown["forgotten"]) == (False, None, [])
    first, second = shown["lanes"]
    assert (first["name"], first["terminal"], first["reverse"]) == ("till 4", "ACME-V1-PL2", False)
    assert (first["port"], first["configured_port"]) == (new, 8081)
    assert (first["set_port"]["set_by"], first["connected"]) == (ME, 0)
    assert (second["name"], second["reverse"]) == ("till 5", True)
    assert f"dials 127.0.0.1:{second['port']}" in run("lanes", *here).out
    back = run("lanes", "port", "till 4", "--configured", *here)
    assert back.out == "The lane till 4 is at 127.0.0.1:8081 from the next start on.\n"
    assert run("lanes", *here, "--json").document["lanes"][0]["set_port"] is None


def test_before_the_first_start_a_port_can_be_set_too(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "tillwire.toml"
    path.write_text(CONFIGURATION.format(till=free_port()))
    assert run("lanes", "--config", path, "--json").document["lanes"][0]["port"] == 8081
    assert not (tmp_path / "journal.db").exists()
    new = free_port()
    assert run("lanes", "port", "till 4", new, "--config", path).status == 0
    assert run("lanes", "--config", path, "--json").document["lanes"][0]["port"] == new


def test_what_cannot_be_is_refused_at_rest_too(run: Run, configuration: Path) -> None:
    here = ("--config", configuration)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = stranger.getsockname()[1]
        refused = run("lanes", "port", "till 4", taken, *here)
        assert (refused.status, "taken by another program" in refused.err) == (1, True)
    assert "taken by the listener 'tills'" in run("lanes", "port", "till 4", 8443, *here).err
    assert "there is: till 4, till 5" in run("lanes", "port", "tills", 9000, *here).err
    assert "dials its till" in run("lanes", "port", "till 5", 9000, *here).err
    assert run("lanes", *here, "--json").document["lanes"][0]["set_port"] is None


def test_a_journal_alone_tells_the_ports_that_were_set(
    run: Run, configuration: Path, journal: Path
) -> None:
    alone = run("lanes", "--journal", journal)
    assert (alone.status, alone.out) == (0, "")
    assert "name it with --config" in alone.err
    assert run("lanes", "port", "till 4", free_port(), "--journal", journal).status == 2
    new = free_port()
    run("lanes", "port", "till 4", new, "--config", configuration)
    assert f"Port {new} is set for 'till 4'" in run("lanes", "--journal", journal).err
    (forgotten,) = run("lanes", "--journal", journal, "--json").document["forgotten"]
    assert (forgotten["lane"], forgotten["port"], forgotten["set_by"]) == ("till 4", new, ME)
    gone = run("lanes", "port", "till 4", "--configured", "--journal", journal)
    assert gone.out == "No port is set for till 4 any more.\n"
    assert run("lanes", "--journal", journal, "--json").document["forgotten"] == []


# --- a gateway that is there, and does not answer -----------------------------------------------


@contextmanager
def answering(journal: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """Something at the operator's socket that does this with a caller."""
    path = control_path(journal)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            caller, _ = listening.accept()
            with caller:
                caller.recv(65_536)
                answer(caller)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(10)
    path.unlink()


def test_a_gateway_that_dies_meanwhile_leaves_the_truth_open(run: Run, journal: Path) -> None:
    with answering(journal, lambda caller: None):
        died = run("lanes", "port", "till 4", 9000, "--journal", journal, "--json")
    assert (died.status, died.document["error"]["kind"]) == (1, "AnswerLost")
    assert "The gateway has ended; `tillwire lanes` shows" in died.err


def test_half_an_answer_is_no_answer(run: Run, journal: Path) -> None:
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"
    with answering(journal, lambda caller: caller.sendall(half)):
        assert "The answer was lost" in run("lanes", "--journal", journal).err


@pytest.mark.parametrize(
    "octets", [b'{"pid": "?"}', b"[]", b"\xff"], ids=["another type", "a list", "no text"]
)
def test_what_cannot_be_read_is_another_version(run: Run, journal: Path, octets: bytes) -> None:
    for status in (b"200", b"409"):
        answer = b"HTTP/1.1 %b X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(octets), octets)
        with answering(journal, lambda caller, answer=answer: caller.sendall(answer)):  # type: ignore[misc]
            ran = run("lanes", "--journal", journal)
        assert (ran.status, "it may be of another version" in ran.err) == (1, True)


def test_a_gateway_that_is_silent_is_not_waited_for_without_end(
    run: Run, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hear(caller: socket.socket) -> None:
        while caller.recv(65_536):
            pass

    monkeypatch.setattr(control, "ANSWER_WITHIN", 0.05)
    with answering(journal, hear):
        silent = run("lanes", "reset", "till 4", "--journal", journal)
    assert (silent.status, "The gateway is silent" in silent.err) == (1, True)


def test_a_gateway_without_a_socket_is_told_from_none(
    run: Run, configuration: Path, journal: Path
) -> None:
    books = SqliteJournal(journal, own=True)
    try:
        for order in ((), ("reset", "till 4"), ("port", "till 4", 9000)):
            ran = run("lanes", *order, "--config", configuration)
            assert (ran.status, "Another process has the journal" in ran.err) == (1, True)
    finally:
        books.close()


def test_another_user_is_told_who_may(
    run: Run, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(connection: control._Connection) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(control._Connection, "connect", refuse)
    ran = run("lanes", "--journal", journal, "--json")
    assert (ran.status, ran.document["error"]["kind"]) == (1, "NotPermitted")
    assert "Only the user who runs the gateway" in ran.err
