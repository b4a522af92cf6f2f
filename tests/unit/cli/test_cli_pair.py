"""`tillwire pairings pair`, against a cloud that listens on a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.unit.cli.conftest import ESTATE, Run

TERMINAL = """
[[organisations.merchants.stores.terminals]]
key = "till-{number}"
manufacturer = "SMARTPAY"
model = "P5"
serial = "7980{number}"
driver = "smartconnect"

[organisations.merchants.stores.terminals.settings]
url = "{url}"
register_id = "{register}"
business_name = "Harbour Books"
vendor_name = "TillCo"
currency = "GBP"
"""


@dataclass
class Cloud:
    """What it was asked, and how it answers."""

    url: str = ""
    status: int = 200
    body: bytes = b'{"result":"success"}'
    heard: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A cloud."""
    told = Cloud()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.heard.append((self.path, parse_qs(body.decode())))
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/POS"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def founded(run: Run, folder: Path, *terminals: str) -> Path:
    """A journal with these terminals."""
    file, journal = folder / "estate.toml", folder / "journal.db"
    file.write_text(ESTATE + "".join(terminals))
    assert run("estate", "apply", file, "--journal", journal, "--yes").status == 0
    return journal


def test_a_terminal_is_paired_by_the_code_that_it_shows(
    run: Run, tmp_path: Path, cloud: Cloud
) -> None:
    journal = founded(run, tmp_path, TERMINAL.format(number=7, url=cloud.url, register="r-7"))
    ran = run("pairings", "pair", "shop:till-7", "48120735", "--journal", journal)
    assert (ran.status, ran.out) == (0, "SMARTPAY-P5-79807 is paired with register r-7.\n")
    (asked,) = cloud.heard
    assert asked == (
        "/POS/Pairing/48120735",
        {
            "POSRegisterID": ["r-7"],
            "POSRegisterName": ["SMARTPAY-P5-79807"],
            "POSBusinessName": ["Harbour Books"],
            "POSVendorName": ["TillCo"],
        },
    )
    ran = run("pairings", "pair", "SMARTPAY-P5-79807", "1", "--journal", journal, "--json")
    assert ran.document == {"terminal_id": "shop:till-7", "register_id": "r-7"}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, json.dumps({"error": "Invalid pairing code"}).encode(), "400 Invalid pairing code"),
        (500, b"", "if not, use a new code"),
        (200, b"<html>", "if not, use a new code"),
    ],
)
def test_what_goes_wrong_is_said(
    run: Run, tmp_path: Path, cloud: Cloud, status: int, body: bytes, words: str
) -> None:
    cloud.status, cloud.body = status, body
    journal = founded(run, tmp_path, TERMINAL.format(number=7, url=cloud.url, register="r-7"))
    ran = run("pairings", "pair", "shop:till-7", "48120735", "--journal", journal)
    assert ran.status == 1
    assert words in ran.err
    assert ran.out == ""


def test_two_terminals_with_one_register_are_not_paired(
    run: Run, tmp_path: Path, cloud: Cloud
) -> None:
    journal = founded(
        run,
        tmp_path,
        TERMINAL.format(number=7, url=cloud.url, register="r"),
        TERMINAL.format(number=8, url=cloud.url, register="r"),
    )
    ran = run("pairings", "pair", "shop:till-7", "48120735", "--journal", journal)
    assert ran.status == 1
    assert "SMARTPAY-P5-79808 is the same register" in ran.err
    assert cloud.heard == []


def test_other_terminals_are_not_paired(run: Run, journal: Path) -> None:
    ran = run("pairings", "pair", "shop:till-1", "48120735", "--journal", journal)
    assert ran.status == 1
    assert "reached by device" in ran.err
