"""The nursery: what is forked from it is a process like any other."""

from __future__ import annotations

import select
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.kit.nursery import nursery
from tillwire.version import __version__


def told(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*nursery().tillwire, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_command_says_and_ends_as_it_would() -> None:
    said = told("--version")
    assert (said.returncode, said.stdout, said.stderr) == (0, f"{__version__}\n", "")


def test_a_command_that_fails_fails(tmp_path: Path) -> None:
    said = told("transactions", "list", "--data", str(tmp_path / "nowhere"))
    assert said.returncode == 2
    assert said.stdout == ""
    assert "nowhere" in said.stderr


def test_it_runs_in_the_folder_from_which_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.toml").write_text("[[organisation]]\n")
    monkeypatch.chdir(tmp_path)
    said = told("estate", "apply", "here.toml", "--journal", "journal.db")
    assert said.returncode == 2
    assert "did you mean 'organisations'" in said.stderr


def test_it_has_the_environment_that_it_is_given(tmp_path: Path) -> None:
    for columns in (60, 200):
        given = {"COLUMNS": str(columns)}
        forked = nursery().launch(
            ("tillwire.cli", "--help"), tmp_path / "out", tmp_path / "err", given
        )
        assert forked.wait(60) == 0
        lines = (tmp_path / "out").read_text(encoding="utf-8").splitlines()
        assert max(map(len, lines)) == columns


def test_a_command_may_end_before_its_client_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = socket.send_fds

    def dawdle(connection: socket.socket, octets: Sequence[bytes], files: Sequence[int]) -> int:
        sent = send(connection, octets, files)
        ended = select.poll()
        ended.register(connection, select.POLLRDHUP)
        assert ended.poll(60_000)
        return sent

    monkeypatch.setattr(socket, "send_fds", dawdle)
    forked = nursery().launch(("tillwire.cli", "--version"), tmp_path / "out", tmp_path / "err", {})
    assert forked.wait(60) == 0
    assert (tmp_path / "out").read_text() == f"{__version__}\n"


def test_a_kill_is_told(tmp_path: Path) -> None:
    command = ("tillwire.cli", "sandbox", "--data", str(tmp_path / "data"), "--port", "0")
    forked = nursery().launch(command, tmp_path / "out", tmp_path / "err", {})
    assert forked.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        forked.wait(0)
    forked.kill()
    assert forked.wait(60) == forked.poll() == forked.returncode == -signal.SIGKILL
    forked.send_signal(signal.SIGTERM)  # nobody is there to get it
