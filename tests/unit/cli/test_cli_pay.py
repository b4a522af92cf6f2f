"""`tillwire pay`: what stands on which stream, and the exit status."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run, Unwritable
from tests.unit.cli.counter import TERMINAL, Bad, Gateway, reply
from tillwire.cli import pay
from tillwire.cli.till import Till
from tillwire.core.ports import HttpResponse

HERE = ("--url", "http://gateway", "--api-key", "tw_secret", "--terminal", TERMINAL)


class InMemory(Gateway):
    """Stands where the HTTP client would."""

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> InMemory:
    """A gateway whose cardholder is quick."""
    made = InMemory(card_after=0)
    monkeypatch.setattr(pay, "AiohttpClient", lambda tls: made)
    return made


def test_the_receipt_is_the_result(run: Run, gateway: InMemory) -> None:
    gateway.more = {"receipt": "Corner Shop\n  TOTAL 12.50\n"}
    ran = run("pay", "12.50", *HERE, "--reference", "till1-1")
    assert ran.status == 0
    assert ran.out.splitlines() == [
        "Corner Shop",
        "  TOTAL 12.50",
        "",
        f"Approved. Transaction {1:031d}.",
    ]
    assert "Paying 12.50 EUR under the reference till1-1." in ran.err


def test_programs_get_one_document(run: Run, gateway: InMemory) -> None:
    ran = run("pay", "1200", "JPY", *HERE, "--json")
    assert (ran.status, ran.document["outcome"]) == (0, "APPROVED")
    assert ran.document["amount"] == {"minor": 1200, "decimal": "1200", "currency": "JPY"}
    assert ran.document["transaction"]["merchant_order_reference"] == ran.document["reference"]


def test_a_declined_card_is_status_1(run: Run, gateway: InMemory) -> None:
    gateway.result = "DECLINED"
    ran = run("pay", "12.50", *HERE)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.splitlines()[-1] == "Declined."


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EPIPE])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_what_was_paid_is_paid_though_nobody_reads_it(
    run: Run,
    gateway: InMemory,
    monkeypatch: pytest.MonkeyPatch,
    trouble: int,
    form: tuple[str, ...],
) -> None:
    gateway.more = {"receipt": "Corner Shop\n"}
    monkeypatch.setattr(sys, "stdout", Unwritable(trouble))
    ran = run("pay", "12.50", *HERE, *form)
    assert ran.status == 0
    assert f"Approved. Transaction {1:031d}. " in ran.err.splitlines()[-1]
    assert os.strerror(trouble) in ran.err.splitlines()[-1]


def test_a_receipt_is_printed_whatever_the_locale_is(
    run: Run, gateway: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.more = {"receipt": "Café مرحبا\n"}
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii"))
    assert run("pay", "12.50", *HERE).status == 0
    assert printed.getvalue().decode().startswith("Café مرحبا\n")


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EPIPE])
def test_remarks_that_nobody_reads_stop_no_payment(
    run: Run, gateway: InMemory, monkeypatch: pytest.MonkeyPatch, trouble: int
) -> None:
    monkeypatch.setattr(sys, "stderr", Unwritable(trouble))
    assert run("pay", "12.50", *HERE).status == 0


def test_what_cannot_be_told_is_status_3(run: Run, gateway: InMemory) -> None:
    gateway.card_after = 100
    ran = run("pay", "12.50", *HERE, "--wait", "0.1")
    assert ran.status == 3
    assert "Still open (time is up)" in ran.err


def test_a_defect_of_ours_is_no_end_of_the_payment(
    run: Run, gateway: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    gateway.card_after = 1
    monkeypatch.setattr(Till, "read", broken)
    ran = run("pay", "12.50", *HERE, "--reference", "till1-1")
    assert ran.status == 3
    assert "RuntimeError: a defect" in ran.err
    assert ran.err.splitlines()[-1].startswith("Unknown: the purchase may have been started.")


def test_a_gateway_that_is_not_there_is_status_4(run: Run, gateway: InMemory) -> None:
    gateway.bad["POST"].append(Bad.UNREACHABLE)
    ran = run("pay", "12.50", *HERE)
    assert ran.status == 4
    assert "Error: The gateway cannot be reached. connection refused" in ran.err


def test_a_wrong_key_is_status_2(run: Run, gateway: InMemory) -> None:
    gateway.bad["POST"].append(reply(403, {"title": "Forbidden", "detail": "Not a valid key."}))
    ran = run("pay", "12.50", *HERE)
    assert ran.status == 2
    assert "Nothing was started. 403 Forbidden: Not a valid key." in ran.err


@pytest.mark.parametrize(
    ("amount", "says"),
    [
        (("12,50",), "amount: '12,50' is not a decimal number"),
        (("0",), "amount: 0.00 is not more than zero"),
        (("1.234",), "amount: more decimals than EUR has"),
        (("1", "EURO"), "currency: 'EURO' is not a currency"),
        (("1", "-r", ""), "--reference: it is empty"),
        (("1", "-r", "caf\udce9"), "--reference: it is no text"),
    ],
)
def test_a_wrong_amount_is_status_2_and_starts_nothing(
    run: Run, gateway: InMemory, amount: tuple[str, ...], says: str
) -> None:
    ran = run("pay", *amount, *HERE)
    assert (ran.status, gateway.calls.total()) == (2, 0)
    assert ran.err.startswith(f"Error: {says}")
    error = run("pay", *amount, *HERE, "--json").document["error"]
    assert (error["kind"], error["exit_status"]) == ("InvalidRequest", 2)
    assert error["message"].startswith(says)


def test_the_sandbox_card_says_where(run: Run, gateway: InMemory, tmp_path: Path) -> None:
    card = tmp_path / "card.json"
    merchantapi = {"url": "http://gateway", "api_key": "tw_secret", "terminals": [TERMINAL, "B"]}
    card.write_text(json.dumps({"version": "1", "merchantapi": merchantapi}))
    assert run("pay", "12.50", "--card", card).status == 0


@pytest.mark.parametrize("content", [None, "not JSON", "{}"])
def test_without_a_card_it_says_what_to_do(run: Run, tmp_path: Path, content: str | None) -> None:
    card = tmp_path / "card.json"
    if content is not None:
        card.write_text(content)
    ran = run("pay", "12.50", "--card", card)
    assert (ran.status, ran.out) == (2, "")
    assert "sandbox card" in ran.err


def test_url_and_key_go_together(run: Run) -> None:
    assert "--api-key is missing" in run("pay", "1", "--url", "http://gateway").err
    assert "--url is missing" in run("pay", "1", "--api-key", "tw_secret").err


@pytest.mark.parametrize("url", ["nonsense", "pay.example.com/merchantapi", "ftp://x", "http://"])
def test_what_is_no_address_is_not_called(run: Run, gateway: InMemory, url: str) -> None:
    ran = run("pay", "1", "--url", url, "--api-key", "tw_secret")
    assert (ran.status, gateway.calls.total()) == (2, 0)
    assert ran.err.startswith(f"Error: --url: {url!r} is no such address. Allowed: where a Merch")


def test_an_address_where_nothing_is_served_is_told_with_what_to_look_at(
    run: Run, gateway: InMemory
) -> None:
    gateway.bad["GET"].append(reply(404, {"title": "Not Found", "detail": "Nothing here."}))
    ran = run("pay", "1", *HERE[:4])
    assert ran.status == 2
    assert "404 Not Found: Nothing here. Look at the" in ran.err


def test_the_only_terminal_needs_no_name(run: Run, gateway: InMemory) -> None:
    terminal = {"manufacturer": "ACME", "model": "P2", "serial": "PL1"}
    gateway.bad["GET"].append(reply(200, [terminal]))
    assert run("pay", "12.50", *HERE[:4]).status == 0
    gateway.bad["GET"].append(reply(200, [terminal, {**terminal, "serial": "PL2"}]))
    ran = run("pay", "12.50", *HERE[:4])
    assert ran.status == 2
    assert "Say with --terminal which terminal is meant: ACME-P2-PL1, ACME-P2-PL2." in ran.err


def test_ctrl_c_cancels(run: Run, gateway: InMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.card_after, gateway.too_late_after = 100, 100
    answer = gateway.request

    async def interrupted(
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        limit: int = 1 << 20,
    ) -> HttpResponse:
        response = await answer(
            method, url, headers=headers, body=body, timeout=timeout, limit=limit
        )
        if method == "POST":
            os.kill(os.getpid(), signal.SIGINT)
        return response

    monkeypatch.setattr(gateway, "request", interrupted)
    ran = run("pay", "12.50", *HERE)
    assert (ran.status, gateway.calls["DELETE"]) == (1, 1)
    assert ran.err.splitlines()[-1] == "Cancelled. The card was not charged."
