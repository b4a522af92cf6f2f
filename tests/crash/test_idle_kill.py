"""An idle gateway that is killed while terminals hold polls leaves nothing behind that hinders."""

from __future__ import annotations

import http.client
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.crash.people import GONE
from tests.kit.sandbox_process import running_sandbox, start_sandbox
from tests.kit.shop_front import PATIENCE, PolledTerminal, Till, call


def test_a_kill_while_polls_are_held_leaves_a_card_that_the_next_start_replaces(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "sandbox"
    killed = start_sandbox(directory)
    held = [hold(PolledTerminal(killed.card, number)) for number in (0, 1)]
    # One more round through the gateway's loop: what was sent before it has been read.
    assert call("GET", killed.card["base_url"] + "/healthz").status == 200
    killed.kill()
    for connection in held:
        with pytest.raises(GONE):
            connection.getresponse()
        connection.close()
    assert killed.process.returncode == -signal.SIGKILL
    left = json.loads((directory / "card.json").read_bytes())
    assert left["pid"] == killed.process.pid, "nobody was left to remove it"

    with running_sandbox(directory) as sandbox:
        assert sandbox.card["pid"] == sandbox.process.pid
        assert sandbox.card["merchantapi"]["api_key"] == left["merchantapi"]["api_key"]
        terminal = PolledTerminal(sandbox.card)
        with ThreadPoolExecutor(1) as polling:
            fetched = polling.submit(terminal.fetch)
            till = Till(sandbox.card, terminal.name)
            sale = till.start("after the kill", 1000)
            assert fetched.result()["id"] == sale
        assert terminal.tell(sale, "approved", stan="000001").status == 200
        assert till.read(sale)["result"] == "APPROVED"
    assert not (directory / "card.json").exists()


def hold(terminal: PolledTerminal) -> http.client.HTTPConnection:
    """A poll that was sent, and is to be held for long."""
    place = urlsplit(terminal.url)
    connection = http.client.HTTPConnection(place.netloc, timeout=PATIENCE)
    connection.request("POST", f"{place.path}/next?wait=30", headers=terminal.headers)
    return connection
