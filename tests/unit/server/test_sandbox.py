"""The sandbox as a process: its card, a payment through it, its stop, and its second start."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import ssl
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.kit.nursery import nursery
from tests.kit.sandbox_process import free_base_port
from tillwire.cli import application
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire.encryption import Key, open_, seal
from tillwire.virtual.script import ENDINGS

COMMAND = (sys.executable, "-c", "from tillwire.cli import main; main()", "sandbox")
STOPS_WITHIN = 60.0
"""Seconds that a clean stop may take on a busy machine."""


class Sandbox:
    """A running sandbox, and what it has printed."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [*COMMAND, "--data", str(directory), "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.printed = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:  # ends with the last line that it prints, or its death
            self.printed += line
            if "Stop with Ctrl-C" in line:
                return
        _, errors = self.process.communicate()
        raise AssertionError(f"the sandbox did not start: {errors}")

    @property
    def path(self) -> Path:
        return self.directory / "card.json"

    def card(self) -> Any:
        return json.loads(self.path.read_bytes())

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=STOPS_WITHIN)
        assert "Traceback" not in errors, errors
        return self.process.returncode


def call(
    url: str, key: str = "", body: object = None, *, token: str = "", method: str = ""
) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if key:
        headers["API-Key"] = key
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers=headers,
        method=method or None,
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if content else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def transactions(card: Any, terminal: int = 0) -> str:
    api = card["merchantapi"]
    return f"{api['url']}/terminals/{api['terminals'][terminal]}/transactions"


def pay(card: Any, value: float, reference: str) -> Any:
    key = card["merchantapi"]["api_key"]
    order = {
        "type": "PURCHASE",
        "merchant_order_reference": reference,
        "amount": {"value": value, "currency": "EUR"},
    }
    status, created = call(transactions(card), key, order)
    assert status == 201
    while True:  # what the terminal does at once is soon there
        _, read = call(f"{transactions(card)}/{created['id']}", key)
        if read["status"] != "CREATED":
            return read


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = Sandbox(tmp_path_factory.mktemp("there") / "sandbox")
    yield running
    assert running.stop() == 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_card_and_the_secrets_are_their_owners_alone(sandbox: Sandbox) -> None:
    assert mode(sandbox.directory) == 0o700
    assert mode(sandbox.path) == 0o600
    assert mode(sandbox.directory / "secrets.json") == 0o600
    assert mode(sandbox.directory / "nexo-passphrase") == 0o600
    assert mode(sandbox.directory / "tls") == 0o700
    for path in (sandbox.directory / "tls").iterdir():
        assert mode(path) == 0o600


def test_the_card_tells_every_address_and_credential(sandbox: Sandbox) -> None:
    card = sandbox.card()
    base = card["base_url"]
    assert card["pid"] == sandbox.process.pid
    assert card["metrics"]["url"] == base + "/metrics"
    assert card["merchantapi"]["terminals"] == ["TILLWIRE-V1-0001", "TILLWIRE-V1-0002"]
    assert [each["terminal"] for each in card["merchantapi"]["device"]["terminals"]] == [
        "TILLWIRE-P1-0001",
        "TILLWIRE-P1-0002",
    ]
    assert call(card["merchantapi"]["openapi"])[1]["openapi"].startswith("3.1")
    assert card["nexo"]["poi_id"] == "V1-0003"
    lane = card["ecr17"]
    assert (lane["host"], lane["tid"], lane["lrc"]) == ("127.0.0.1", "30350004", "stx")
    assert str(sandbox.path) in sandbox.printed


def diagnosis(card: Any) -> dict[str, Any]:
    header = {
        "ProtocolVersion": "3.1",
        "MessageClass": "Service",
        "MessageCategory": "Diagnosis",
        "MessageType": "Request",
        "ServiceID": "1",
        "SaleID": "LANE",
        "POIID": card["nexo"]["poi_id"],
    }
    return {"MessageHeader": header, "DiagnosisRequest": {}}


def is_well(told: Any) -> bool:
    """Whether the terminal has said so, in whatever envelope."""
    response = told.get("SaleToPOIResponse", told)["DiagnosisResponse"]
    return bool(response["POIStatus"]["GlobalStatus"] == "OK")


def test_nexo_is_served_in_its_three_bindings(sandbox: Sandbox) -> None:
    card = sandbox.card()
    nexo, message = card["nexo"], diagnosis(card)
    framed = json.dumps({"SaleToPOIRequest": message}).encode()

    status, told = call(nexo["http"] + "/diagnosis", body=message)
    assert (status, is_well(told)) == (200, True)

    place = nexo["tcp"]["host"], nexo["tcp"]["port"]
    with socket.create_connection(place, timeout=20) as lane, lane.makefile("rb") as said:
        lane.sendall(len(framed).to_bytes(4, "big") + framed)
        assert is_well(json.loads(said.read(int.from_bytes(said.read(4), "big"))))

    strict = ssl.create_default_context(cafile=nexo["https"]["ca"])
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    request = urllib.request.Request(nexo["https"]["url"], framed)
    with urllib.request.urlopen(request, timeout=20, context=strict) as answer:
        assert is_well(json.loads(answer.read()))


def test_the_ecr17_lane_answers_for_its_terminal(sandbox: Sandbox) -> None:
    lane = sandbox.card()["ecr17"]
    with socket.create_connection((lane["host"], lane["port"]), timeout=20) as till:
        # The status request for TID 00000000, as a Nexi SmartPOS was asked for it.
        till.sendall(bytes.fromhex("02 3030303030303030 30 73 03 3D"))
        with till.makefile("rb") as said:
            assert said.read(3) == bytes.fromhex("06 03 7A")
            assert said.read(11) == b"\x02" + lane["tid"].encode() + b"0s"


def test_nexo_messages_may_be_sealed_with_the_card_s_key(sandbox: Sandbox) -> None:
    card = sandbox.card()
    nexo = card["nexo"]
    key = Key(
        nexo["encryption"]["passphrase"],
        nexo["encryption"]["key_identifier"],
        nexo["encryption"]["key_version"],
    )
    message = wire.decode(json.dumps({"SaleToPOIRequest": diagnosis(card)}).encode())
    octets = seal(key, wire.encode(message), message.header, os.urandom(16))
    trusting = ssl.create_default_context(cafile=nexo["https"]["ca"])
    request = urllib.request.Request(nexo["https"]["url"], octets)
    with urllib.request.urlopen(request, timeout=20, context=trusting) as answer:
        assert is_well(json.loads(open_([key], answer.read())))


def test_a_sale_is_paid_and_the_acquirer_has_charged_it(sandbox: Sandbox) -> None:
    card = sandbox.card()
    paid = pay(card, 12.34, "paid")
    assert (paid["status"], paid["result"]) == ("CLEARED", "APPROVED")
    _, ledger = call(card["virtual"]["ledger"])
    (entry,) = [each for each in ledger if each["reference"] == "paid"]
    assert (entry["amount"], entry["currency"], entry["approved"]) == (1234, "EUR", True)
    with urllib.request.urlopen(card["metrics"]["url"]) as page:
        assert b'tillwire_transactions_total{dialect="merchantapi",state="APPROVED"}' in page.read()


def test_the_printed_commands_are_the_first_payment(sandbox: Sandbox) -> None:
    typed = [
        line
        for line in sandbox.printed.splitlines()
        if line.startswith(("URL=", "KEY=", "curl ", "tillwire pay"))
    ]
    assert len(typed) == 6
    tillwire = Path(sys.executable).with_name("tillwire")
    commands = "\n".join(typed).replace("tillwire pay", f"{shlex.quote(str(tillwire))} pay")
    shell = ["bash", "-e", "-c", commands]
    said = subprocess.run(shell, capture_output=True, text=True, timeout=60, check=True).stdout
    created, listed, ledger, *receipt = said.splitlines()
    assert json.loads(created)["status"] == "CREATED"
    assert json.loads(listed)[0]["id"] == json.loads(created)["id"]
    assert isinstance(json.loads(ledger), list)
    assert receipt[-1].startswith("Approved.")


def test_it_says_where_every_protocol_is_served(sandbox: Sandbox) -> None:
    card = sandbox.card()
    lanes = [f"{each['host']}:{each['port']}" for each in (card["nexo"]["tcp"], card["ecr17"])]
    urls = [
        card[name]["url"] for name in ("merchantapi", "paymentbridge", "smartconnect", "softpos")
    ]
    for address in (*lanes, *urls, card["nexo"]["http"], card["nexo"]["https"]["url"]):
        assert f" {address}\n" in sandbox.printed


def test_the_second_organisation_sees_nothing_of_the_first(sandbox: Sandbox) -> None:
    card = sandbox.card()
    key = card["merchantapi"]["other_api_key"]
    assert call(transactions(card), key)[0] == 404
    _, stores = call(card["merchantapi"]["url"] + "/stores", key)
    assert [store["name"] for store in stores] == ["The Other Shop"]


def test_a_polling_terminal_is_played_with_its_token(sandbox: Sandbox) -> None:
    card = sandbox.card()
    device = card["merchantapi"]["device"]
    terminal = device["terminals"][0]
    url = f"{device['url']}/next"
    assert call(url, token=terminal["token"], method="POST") == (204, None)
    assert call(url, token="wrong", method="POST")[0] == 401
    api = card["merchantapi"]
    place = f"{api['url']}/terminals/{terminal['terminal']}/transactions"
    order = {
        "type": "PURCHASE",
        "merchant_order_reference": "polled",
        "amount": {"value": 5, "currency": "EUR"},
    }
    _, created = call(place, api["api_key"], order)
    _, fetched = call(url + "?wait=10", token=terminal["token"], method="POST")
    assert fetched["id"] == created["id"]
    events = f"{device['url']}/transactions/{created['id']}/events"
    approved = {"type": "approved", "authorisation_code": "123456", "card_last4": "1111"}
    assert call(events, body=approved, token=terminal["token"])[0] == 200
    _, read = call(f"{place}/{created['id']}", api["api_key"])
    assert read["result"] == "APPROVED"


def test_the_start_page_tells_how_to_pay_without_any_secret(sandbox: Sandbox) -> None:
    card = sandbox.card()
    with urllib.request.urlopen(card["base_url"] + "/") as page:
        html = page.read().decode()
    assert card["merchantapi"]["url"] in html
    for address in ("http", "https", "tcp"):
        assert addresses(card)[address] in html
    assert "How to pay" in html
    assert card["merchantapi"]["api_key"] not in html


def addresses(card: Any) -> dict[str, str]:
    """Where the nexo faces are."""
    nexo = card["nexo"]
    return {
        "http": nexo["http"],
        "tcp": f"tcp://{nexo['tcp']['host']}:{nexo['tcp']['port']}",
        "https": nexo["https"]["url"].rstrip("/"),
    }


def refused(directory: Path, port: int) -> tuple[int, str]:
    ended = subprocess.run(
        [*nursery().tillwire, "sandbox", "--data", str(directory), "--port", str(port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stderr


def test_two_sandboxes_cannot_share_a_folder(sandbox: Sandbox) -> None:
    status, error = refused(sandbox.directory, 0)
    assert status == 2
    assert f"already run by the gateway with process id {sandbox.process.pid}" in error
    assert sandbox.path.exists(), "the card of the one that runs stays"


def test_a_taken_port_is_told_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, error = refused(tmp_path / "sandbox", port)
    assert status == 2
    assert f"Port {port} " in error
    assert "choose another base port with --port" in error
    assert "Traceback" not in error
    assert not (tmp_path / "sandbox" / "card.json").exists()


def test_a_taken_port_behind_the_base_is_told_by_its_number(tmp_path: Path) -> None:
    base = free_base_port()
    for offset in (1, 2, 3, 4):
        with socket.create_server(("127.0.0.1", base + offset)):
            status, error = refused(tmp_path / "sandbox", base)
        assert status == 2
        assert f"Port {base + offset} " in error
        assert "choose another base port with --port" in error


def without_ports(card: Any) -> str:
    """The card, but for the ports that the system has chosen."""
    return re.sub(r'127\.0\.0\.1:\d+|"port": \d+', "there", json.dumps(card))


def test_a_second_start_keeps_keys_ids_transactions_and_the_ledger(tmp_path: Path) -> None:
    directory = tmp_path / "sandbox"
    first = Sandbox(directory)
    before = first.card()
    trusted = Path(before["nexo"]["https"]["ca"]).read_bytes()
    paid = pay(before, 7.01, "kept")
    assert first.stop() == 0
    assert not first.path.exists()

    second = Sandbox(directory)
    after = second.card()
    for changing in (before, after):
        changing.pop("pid")
    assert without_ports(before) == without_ports(after)
    assert Path(after["nexo"]["https"]["ca"]).read_bytes() == trusted
    key = after["merchantapi"]["api_key"]
    assert call(f"{transactions(after)}/{paid['id']}", key) == (200, paid)
    assert [each["reference"] for each in call(after["virtual"]["ledger"])[1]] == ["kept"]
    assert second.stop(signal.SIGINT) == 0


def test_after_a_kill_the_next_start_replaces_the_card(tmp_path: Path) -> None:
    directory = tmp_path / "sandbox"
    killed = Sandbox(directory)
    before = killed.card()
    assert killed.stop(signal.SIGKILL) == -signal.SIGKILL
    assert killed.path.exists()
    second = Sandbox(directory)
    after = second.card()
    assert after["pid"] == second.process.pid != before["pid"]
    assert after["merchantapi"]["api_key"] == before["merchantapi"]["api_key"]
    assert second.stop() == 0


def test_a_key_that_was_revoked_is_replaced_at_the_next_start(tmp_path: Path) -> None:
    directory = tmp_path / "sandbox"
    first = Sandbox(directory)
    api = first.card()["merchantapi"]
    _, spare = call(api["url"] + "/apikeys", api["api_key"], {"label": "spare"})
    _, keys = call(api["url"] + "/apikeys", spare["apikey"])
    (lost,) = [each["id"] for each in keys if each["label"] == "sandbox"]
    assert call(f"{api['url']}/apikeys/{lost}", spare["apikey"], method="DELETE")[0] == 204
    first.stop()
    second = Sandbox(directory)
    api = second.card()["merchantapi"]
    assert call(api["url"] + "/stores", api["api_key"])[0] == 200
    second.stop()


def test_damaged_secrets_are_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    status, error = refused(tmp_path, 0)
    assert status == 2
    assert "remove it, and the sandbox makes new keys" in error


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, error = refused(tmp_path / "file", 0)
    assert status == 2
    assert "choose another with --data" in error


def test_a_folder_of_somebody_else_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    tmp_path.chmod(0o755)
    sandbox = Sandbox(tmp_path)
    assert mode(tmp_path) == 0o755
    assert sandbox.stop() == 0


def test_help_tells_what_every_ending_does() -> None:
    shown = CliRunner().invoke(application(), ["sandbox", "--help"], env={"COLUMNS": "120"}).output
    for ending in ENDINGS:
        assert any(line.strip().startswith(f"{ending} ") for line in shown.splitlines()), ending
    assert "--data" in shown
    assert "--port" in shown
    assert "--pace" in shown


def test_serve_runs_a_configuration_and_says_what_is_wrong_with_one(tmp_path: Path) -> None:
    file = tmp_path / "tillwire.toml"
    file.write_text(
        '[journal]\npath = "journal.db"\n'
        '[[listener]]\nname = "front"\nport = 0\npages = ["health"]\n'
        '[[listener.face]]\nname = "merchantapi"\nprefix = "/merchantapi"\n'
        '[log]\nformat = "json"\n'
    )
    runs = [sys.executable, "-c", "from tillwire.cli import main; main()", "serve", "--config"]
    process = subprocess.Popen([*runs, str(file)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    listening = next(
        line for entry in process.stderr if (line := json.loads(entry))["event"] == "listening"
    )
    assert call(listening["url"] + "/merchantapi/stores")[0] == 401
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=STOPS_WITHIN)
    assert process.returncode == 0
    assert "Traceback" not in rest

    file.write_text(file.read_text().replace("port", "prot"))
    wrong = subprocess.run(
        [*runs, str(file), "--check"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "did you mean 'port'?" in wrong.stderr
    assert os.linesep not in wrong.stderr.rstrip()
