"""The ledger, the terminals and their scripts over HTTP."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.asgi_client import AsgiClient
from tests.unit.virtual.shop import Shop, shop_in
from tillwire.core.errands import Answer, Ask, Count, Print, Question, Show, Trouble
from tillwire.core.model import State
from tillwire.estate.pairings import Codes, Newcomer, pair
from tillwire.journal.vault import KeyFileVault, key_path
from tillwire.virtual import face


def client_of(shop: Shop) -> AsgiClient:
    vault = KeyFileVault(key_path(shop.journal.path))
    return AsgiClient(face.create(shop.world, shop.engine, vault), root="/v1/virtual")


@virtual()
async def test_the_ledger_is_as_the_sandbox_card_describes_it(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        client = client_of(shop)
        assert (await client.get("/ledger")).json() == []
        await shop.paid(1054, reference="sale-7")
        await shop.paid(1040, terminal="t2")
        answer = await client.get("/ledger")
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        first, second = answer.json()
        assert first.pop("at").endswith("Z")
        assert first == {
            "terminal": "TILLWIRE-V1-t1",
            "type": "PURCHASE",
            "amount": 1159,
            "currency": "EUR",
            "reference": "sale-7",
            "approved": True,
        }
        assert (second["amount"], second["approved"]) == (0, False)
        one = (await client.get("/ledger?terminal=TILLWIRE-V1-t2")).json()
        assert [each["terminal"] for each in one] == ["TILLWIRE-V1-t2"]


@virtual()
async def test_terminals_show_boot_number_and_what_they_wait_for(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        client = client_of(shop)
        sent = await shop.pay(1049)
        await shop.until(sent, State.STARTED)
        first = (await client.get("/terminals")).json()[0]
        assert (first["terminal"], first["boot"], first["script"]) == ("TILLWIRE-V1-t1", 1, None)
        assert [each["transaction"] for each in first["waiting"]] == [sent.id]
        await shop.until_final(sent)
        lost = await shop.pay(1047, terminal="t2")
        await shop.until(lost, State.UNKNOWN)
        terminals = (await client.get("/terminals")).json()
        assert [(each["boot"], each["waiting"]) for each in terminals] == [
            (1, []),
            (2, []),
            (1, []),
            (1, []),
        ]


@virtual()
async def test_a_script_is_set_and_taken_away(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        client = client_of(shop)
        path = "/terminals/tillwire-v1-T1/script"
        answer = await client.put(path, {"ending": 40, "times": 2})
        assert answer.status == 200
        assert answer.json()["script"]["verdict"] == "DECLINED"
        assert (await shop.paid(1000)).state is State.DECLINED
        assert (await client.get("/terminals")).json()[0]["times"] == 1
        assert (await client.delete(path)).status == 204
        assert (await shop.paid(1000)).state is State.APPROVED
        assert (await client.put(path, {"script": {"verdict": "DECLINED"}})).status == 200
        declined = await shop.paid(1000)
        assert declined.outcome is not None
        assert declined.outcome.response_code == "05"
        own = {"script": {"verdict": "CANCELLED", "reason": "Out of paper."}}
        assert (await client.put(path, own)).status == 200
        cancelled = await shop.paid(1000)
        assert cancelled.outcome is not None
        assert cancelled.outcome.reason == "Out of paper."


@virtual()
async def test_a_terminal_shows_what_its_customer_reads_and_what_it_printed(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        client = client_of(shop)
        path = "/terminals/TILLWIRE-V1-t1"
        assert (await client.get(path)).json() == {
            "terminal": "TILLWIRE-V1-t1",
            "tid": "",
            "boot": 1,
            "period": 1,
            "display": "",
            "waiting": [],
            "script": None,
            "times": 0,
            "registers": [],
        }
        await shop.perform(Show("2 x widget\n40.00"))
        await shop.perform(Print("SALE\n40.00", signature=True))
        await shop.perform(Count(close=True))
        shown = (await client.get(path)).json()
        assert (shown["display"], shown["period"]) == ("2 x widget\n40.00", 2)
        assert shown == (await client.get("/terminals")).json()[0]
        printouts = (await client.get(path + "/printouts")).json()
        assert printouts[0].pop("at").endswith("Z")
        assert printouts == [{"text": "SALE\n40.00", "signature": True}]
        assert (await client.get("/terminals/TILLWIRE-V1-t2/printouts")).json() == []


@virtual()
async def test_a_script_of_an_errand_is_set_in_the_same_way(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        client = client_of(shop)
        path = "/terminals/TILLWIRE-V1-t1/script"
        answer = await client.put(path, {"script": {"answer": "4711"}, "times": 2})
        assert (answer.status, answer.json()["script"]) == (200, {"answer": "4711"})
        ask = Ask(Question.DIGITS, "Mileage?")
        assert (await shop.perform(ask))[0] == Answer(text="4711")
        assert (await client.get("/terminals/TILLWIRE-V1-t1")).json()["times"] == 1
        assert (await client.put(path, {"script": {"trouble": "cancelled"}})).status == 200
        assert await shop.trouble(ask) is Trouble.CANCELLED
        assert (await client.put(path, {"script": {"paper_out": True}})).status == 200
        assert await shop.trouble(Print("receipt")) is Trouble.BROKEN


@virtual()
async def test_a_script_must_say_that_it_is_json(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        path, order = "/terminals/TILLWIRE-V1-t1/script", b'{"ending": 43}'
        for kind in (None, "", "text/plain", "application/jsonp"):
            answer = await client_of(shop).ask("PUT", path, order, headers={"content-type": kind})
            assert answer.status == 415


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8700", 200),
        ("127.1.2.3", 200),
        ("LocalHost:8700", 200),
        ("[::1]:8700", 200),
        ("evil.example:8700", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:8700", 403),
        ("evil.example@127.0.0.1", 403),
        ("192.168.0.1:8700", 403),
        ("", 403),
    ],
)
def test_it_answers_under_the_names_of_its_machine_only(
    tmp_path: Path, host: str, status: int
) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            answer = await client_of(shop).ask("GET", "/ledger", headers={"host": host})
            assert answer.status == status
            if status != 200:
                assert answer.headers["content-type"] == "application/problem+json"

    scenario()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", b"", 404),
        ("POST", "/ledger", b"", 405),
        ("PUT", "/terminals/TILLWIRE-V1-t9/script", b"{}", 404),
        ("PUT", "/terminals/TILLWIRE-V1-t1/script", b"{}", 400),
        ("PUT", "/terminals/TILLWIRE-V1-t1/script", b"nonsense", 400),
        ("PUT", "/terminals/TILLWIRE-V1-t1/script", b'{"ending": 100}', 400),
        ("PUT", "/terminals/TILLWIRE-V1-t1/script", b'{"ending": 1, "script": {}}', 400),
        ("PUT", "/terminals/TILLWIRE-V1-t1/script", b'{"script": {"seconds": -1}}', 400),
        ("PUT", "/terminals/TILLWIRE-V1-t1/script", b'{"script": {"what": 1}}', 400),
        ("PUT", "/terminals/TILLWIRE-V1-t1/script", b'{"script": {"trouble": "none"}}', 400),
        ("PUT", "/terminals/TILLWIRE-V1-t1/script", b'{"script": {"cause": "till"}}', 400),
        ("PUT", "/terminals/TILLWIRE-V1-t1/script", b'{"script": {"answer": 1}}', 400),
        (
            "PUT",
            "/terminals/TILLWIRE-V1-t1/script",
            b'{"script": {"answer": "", "half": true}}',
            400,
        ),
        ("PUT", "/terminals/TILLWIRE-V1-t1/script", b" " * 5000, 413),
        ("GET", "/terminals/TILLWIRE-V1-t9", b"", 404),
        ("GET", "/terminals/TILLWIRE-V1-t9/printouts", b"", 404),
        ("DELETE", "/terminals/TILLWIRE-V1-t1", b"", 405),
    ],
)
def test_what_is_wrong_is_said_as_a_problem(
    tmp_path: Path, method: str, path: str, body: bytes, status: int
) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            answer = await client_of(shop).ask(method, path, body)
            assert answer.status == status
            assert answer.headers["content-type"] == "application/problem+json"
            problem = msgspec.json.decode(answer.body)
            assert problem["status"] == status
            assert problem["detail"]
            assert problem["instance"] == "/v1/virtual" + path

    scenario()


@virtual()
async def test_a_terminal_shows_a_pairing_code_and_unpairs_its_registers(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        client = client_of(shop)
        path = "/terminals/TILLWIRE-V1-t1"
        shown = (await client.post(path + "/pairing")).json()
        assert (len(shown["code"]), shown["code"].isdecimal()) == (8, True)
        assert shown["expires_at"].endswith("Z")
        assert (await client.get(path)).json()["display"] == f"PAIRING CODE\n{shown['code']}"
        codes = Codes(KeyFileVault(key_path(shop.journal.path)))
        newcomer = Newcomer(
            organisation_id=shop.engine.estate.terminals["t1"].organisation_id,
            dialect="smartconnect",
            register_id="till-2",
            business_name="Shop",
            vendor_name="TillCo",
            name="Till 2",
        )
        now = shop.engine.clock.now()
        digest = codes.digest(shown["code"])
        await shop.engine.change_estate(lambda unit: pair(unit, digest, newcomer, now))
        assert (await client.get(path)).json()["registers"] == ["till-2"]
        assert (await client.delete(path + "/pairing")).status == 204
        assert (await client.get(path)).json()["registers"] == []
        assert (await client.post("/terminals/TILLWIRE-V1-none/pairing")).status == 404
