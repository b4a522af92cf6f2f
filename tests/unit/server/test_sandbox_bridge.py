"""The sandbox's Payment Bridge: its member of the card, its application, and that one's key."""

from __future__ import annotations

import json
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.sandbox_process import (
    NotStartedError,
    SandboxProcess,
    running_sandbox,
    start_sandbox,
)
from tillwire.dialects.paymentbridge.wire import tokens
from tillwire.estate.applications import new_key_pair


def bridge_of(sandbox: SandboxProcess) -> dict[str, str]:
    member: dict[str, str] = sandbox.card["paymentbridge"]
    return member


def signed_in(sandbox: SandboxProcess) -> tuple[int, Any]:
    """Status and body of what `/token` says to the card's application."""
    bridge = bridge_of(sandbox)
    assertion = tokens.make_assertion(
        bridge["application_id"],
        Path(bridge["private_key"]).read_text(),
        audience=bridge["url"],
        now=int(time.time()),
        jti="1",
    )
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    form = urllib.parse.urlencode({"grantType": grant, "assertion": assertion}).encode()
    try:
        with urllib.request.urlopen(bridge["url"] + "/token", form, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with running_sandbox(tmp_path_factory.mktemp("bridge") / "sandbox") as running:
        yield running


def test_the_card_tells_where_and_as_whom_to_call(sandbox: SandboxProcess) -> None:
    bridge = bridge_of(sandbox)
    assert bridge["url"] == sandbox.card["base_url"] + "/poynt"
    assert bridge["application_id"].startswith("urn:aid:")
    assert bridge["device_id"].startswith("urn:tid:")
    assert bridge["tid"] == "30350005"
    status, told = signed_in(sandbox)
    assert status == 200
    request = urllib.request.Request(
        f"{bridge['url']}/businesses/{bridge['business_id']}/stores/{bridge['store_id']}",
        headers={"Authorization": f"Bearer {told['accessToken']}", "Api-Version": "1.2"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        devices = json.loads(answer.read())["storeDevices"]
    (device,) = [each for each in devices if each["externalTerminalId"] == bridge["tid"]]
    assert device["deviceId"] == bridge["device_id"]


def test_the_application_s_key_is_its_owner_s_alone(sandbox: SandboxProcess) -> None:
    path = Path(bridge_of(sandbox)["private_key"])
    assert path == sandbox.directory / "paymentbridge" / "app.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text().startswith("-----BEGIN RSA PRIVATE KEY-----")


def test_the_start_page_has_it(sandbox: SandboxProcess) -> None:
    with urllib.request.urlopen(sandbox.card["base_url"] + "/", timeout=20) as page:
        html = page.read().decode()
    assert bridge_of(sandbox)["url"] in html
    assert "PRIVATE KEY" not in html


def test_a_key_of_one_s_own_is_taken_at_the_next_start(tmp_path: Path) -> None:
    directory = tmp_path / "sandbox"
    with running_sandbox(directory) as first:
        before = dict(bridge_of(first))
    key = Path(before["private_key"])
    with running_sandbox(directory) as second:
        kept = key.read_bytes()
        assert bridge_of(second) == {**before, "url": bridge_of(second)["url"]}
        assert signed_in(second)[0] == 200
    assert key.read_bytes() == kept
    key.write_bytes(new_key_pair(2048)[0])
    with running_sandbox(directory) as third:
        assert bridge_of(third)["application_id"] == before["application_id"]
        assert signed_in(third)[0] == 200


@pytest.mark.parametrize("pem", [b"not a key", new_key_pair(1024)[0]], ids=["none", "weak"])
def test_a_key_that_is_no_good_is_told_with_the_way_out(tmp_path: Path, pem: bytes) -> None:
    key = tmp_path / "paymentbridge" / "app.pem"
    key.parent.mkdir()
    key.write_bytes(pem)
    with pytest.raises(NotStartedError, match=r"app\.pem .*remove it") as error:
        start_sandbox(tmp_path)
    assert error.value.status == 2
    assert key.read_bytes() == pem
