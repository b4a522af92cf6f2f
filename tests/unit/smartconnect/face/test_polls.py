"""Polling: at whose pace, with whose token, and what is told across time and restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from tests.kit.cloud import OTHER
from tests.kit.runner import virtual
from tests.kit.shop import SHOP
from tests.kit.virtual_loop import virtual_loop
from tests.unit.smartconnect.face.register import (
    ACCEPTED,
    AWAY,
    DELAYED,
    LANE,
    OTHERS,
    Answer,
    Cloud,
    cloud,
    furnish,
    living,
    words,
)
from tillwire.config import Configuration, FaceSettings, JournalSettings, ListenerSettings
from tillwire.config import VirtualSettings as Virtual
from tillwire.errors import JournalError, JournalFull
from tillwire.estate.pairings import Codes, show_code
from tillwire.net.http_client import AiohttpClient
from tillwire.server.gateway import Gateway


def elsewhere(begun: Answer, token: str = "", uuid: str = "") -> str:
    """The polling URL with another token or id."""
    parts = urlsplit(begun.polling_url)
    said = begun.json
    path = parts.path.replace(said["transactionId"], uuid or said["transactionId"])
    query = f"merchantAccessToken={token or said['merchantAccessToken']}"
    return f"{parts.scheme}://{parts.netloc}{path}?{query}"


@virtual()
async def test_who_polls_too_soon_is_told_when_to_come(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        begun = await register.begin(AmountTotal="1249")
        assert (await there.get(begun.polling_url)).status == 200
        for left in ("2", "2", "1"):
            early = await there.get(begun.polling_url)
            assert (early.status, bool(early.error)) == (429, True)
            assert early.headers["retry-after"] == left
            await asyncio.sleep(0.5)
        await asyncio.sleep(0.5)
        # One that came too soon does not put the next one off.
        assert (await there.get(begun.polling_url)).status == 200


@virtual()
async def test_the_pace_can_be_let_free(tmp_path: Path) -> None:
    async with cloud(tmp_path, poll_seconds=0) as there:
        register = await there.register().paired()
        begun = await register.begin(AmountTotal="1249")
        assert {(await there.get(begun.polling_url)).status for _ in range(5)} == {200}


@virtual()
async def test_pending_then_delayed_then_completed(tmp_path: Path) -> None:
    async with cloud(tmp_path, delayed_after=3.0) as there:
        register = await there.register().paired()
        begun = await register.begin(AmountTotal="1249")  # a slow cardholder
        seen = []
        while True:
            told = (await there.get(begun.polling_url)).json
            now = (told["transactionStatus"], *words(told["data"]))
            if not seen or seen[-1] != now:
                seen.append(now)
            if told["transactionStatus"] == "COMPLETED":
                break
            await asyncio.sleep(2)
        assert seen == [
            ("PENDING", "", ""),
            ("PENDING", *DELAYED),
            ("COMPLETED", *ACCEPTED),
        ]


@virtual()
async def test_what_is_completed_stays_the_same_and_can_be_read_again(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        begun = await register.begin(AmountTotal="1250")
        await asyncio.sleep(2)
        first = await there.get(begun.polling_url)
        # What becomes of everything else does not change it.
        await there.unpair()
        await register.paired()
        await register.do("Acquirer.Settlement.Cutover")
        for _ in range(3):
            await asyncio.sleep(200)
            again = await there.get(begun.polling_url)
            assert (again.status, again.body) == (200, first.body)


@virtual()
async def test_a_token_dies_fifteen_minutes_after_the_post(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        loop = virtual_loop()
        begun = await register.begin(AmountTotal="1250")
        at = loop.time()
        await asyncio.sleep(at + 899 - loop.time())
        assert (await there.get(begun.polling_url)).status == 200
        await asyncio.sleep(at + 900 - loop.time())
        answer = await there.get(begun.polling_url)
        assert (answer.status, answer.json) == (401, {"error": "Token expired"})


@virtual()
async def test_only_the_right_token_opens_only_its_own_transaction(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        first = await register.begin(AmountTotal="1250")
        await register.end(first)
        second = await register.begin(AmountTotal="1300")
        token = first.json["merchantAccessToken"]
        others = [
            second.json["merchantAccessToken"],
            token[:-1] + ("0" if token[-1] != "0" else "1"),
            "0f8b2c1e-6a0d-4b53-9b8e-7f4a2d9c5e61",
            "x",
            "%00",
            "é" * 2000,
        ]
        for other in others:
            answer = await there.get(elsewhere(first, token=other))
            assert (answer.status, bool(answer.error)) == (401, True), other
        bare = first.polling_url.partition("?")[0]
        assert (await there.get(bare)).status == 401
        for uuid in ("2c1f7a52-9d41-4e0e-8a55-0b6c1f3f9a10", "none", "1"):
            assert (await there.get(elsewhere(first, uuid=uuid))).status == 404
        await asyncio.sleep(2)
        upper = first.polling_url.replace("/pos/transaction", "/POS/Transaction")
        assert (await there.get(upper)).status == 200


@virtual()
async def test_a_function_and_a_payment_are_told_also_after_a_restart(tmp_path: Path) -> None:
    async with living(tmp_path) as there:
        register = await there.register().paired()
        status = await register.begin("Terminal.GetStatus")
        ended = await register.end(status)
        paid = await register.begin(AmountTotal="1250")
        open_one = await register.end(paid)
        slow = await register.begin(AmountTotal="1249")
    async with living(tmp_path) as there:
        register = there.register()
        assert (await register.end(status)) == ended
        assert (await register.end(paid)) == open_one
        assert words((await register.end(slow))["data"]) == ACCEPTED
        assert sorted(await there.charged()) == [1249, 1250]


@virtual()
async def test_a_gateway_that_was_down_too_long_tells_nothing_more(tmp_path: Path) -> None:
    async with living(tmp_path) as there:
        register = await there.register().paired()
        begun = await register.begin(AmountTotal="1250")
    await asyncio.sleep(960)
    async with living(tmp_path) as there:
        assert (await there.get(begun.polling_url)).error == "Token expired"


@virtual()
async def test_what_waited_for_a_terminal_that_fetches_is_away_after_a_restart(
    tmp_path: Path,
) -> None:
    async with living(tmp_path) as there:
        register = await there.register().paired("p1-0001")
        begun = await register.begin(AmountTotal="1250")
    async with living(tmp_path) as there:
        assert words((await there.register().end(begun))["data"]) == AWAY


@virtual()
async def test_the_cloud_of_another_organisation_knows_nothing_of_it(tmp_path: Path) -> None:
    async with living(tmp_path, poll_seconds=0) as there:
        register = await there.register().paired()
        begun = await register.begin(AmountTotal="1250")
    async with living(tmp_path, organisation=OTHER) as there:
        assert (await there.get(begun.polling_url)).status == 404
        assert (await there.register().ask(AmountTotal="1250")).status == 400
        # The same names are another register's there.
        theirs = await there.register().paired(OTHERS.id)
        assert words(await theirs.do(AmountTotal="1300")) == ACCEPTED
        assert sorted(each.organisation_id for each in there.known()) == [OTHER, SHOP]
    async with living(tmp_path) as there:
        assert {each.organisation_id: each.terminal_id for each in there.known()} == {
            SHOP: LANE.id,
            OTHER: OTHERS.id,
        }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/POS/Pairing/12345678"),
        ("POST", "/POS/Pairing/12345678"),
        ("PUT", "/POS/Pairing"),
        ("PUT", "/POS/Pairing/1/2"),
        ("GET", "/POS/Transaction"),
        ("PUT", "/POS/Transaction"),
        ("DELETE", "/POS/Transaction/2c1f7a52-9d41-4e0e-8a55-0b6c1f3f9a10"),
        ("POST", "/Transaction"),
        ("GET", "/"),
        ("GET", "/POS"),
        ("PATCH", "/POS/Transaction/x/y"),
    ],
)
def test_a_wrong_method_or_path_is_404_without_a_word(
    tmp_path: Path, method: str, path: str
) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            answer = await there.form(method, path, b"")
            assert (answer.status, answer.body) == (404, b"")

    play()


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 400),
        ("application/x-www-form-urlencoded", b"", 400),
        ("application/x-www-form-urlencoded; charset=klingon", b"a=b", 400),
        ("application/x-www-form-urlencoded", b"\xff\xfe=1", 400),
        ("application/x-www-form-urlencoded", b"a=%ff", 400),
        ("application/x-www-form-urlencoded", b"POSRegisterID=1&POSRegisterID=2", 400),
        ("application/x-www-form-urlencoded", b"a=b&" * 100, 400),
        ("application/x-www-form-urlencoded", b"POSRegisterID=" + b"a" * 300_000, 413),
        ("application/x-www-form-urlencoded", b"POSRegisterID=%00%0a", 400),
    ],
)
def test_hostile_forms_are_refused_in_words(
    tmp_path: Path, content_type: str, body: bytes, status: int
) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            await there.register().paired()
            for method, path in (("POST", "/POS/Transaction"), ("PUT", "/POS/Pairing/1")):
                answer = await there.form(method, path, body, {"Content-Type": content_type})
                assert (answer.status, bool(answer.error)) == (status, True)

    play()


@virtual()
async def test_only_web_pages_that_may_can_call(tmp_path: Path) -> None:
    page = {"Origin": "https://till.example"}

    async def asked(there: Cloud) -> tuple[Answer, Answer]:
        register = await there.register().paired()
        preflight = await there.ask("OPTIONS", f"{there.url}/POS/Pairing/1", page)
        return preflight, await register.ask("Terminal.GetStatus", page)

    async with living(tmp_path) as there:
        for answer in await asked(there):
            assert (answer.status, bool(answer.error)) == (403, True)
            assert "access-control-allow-origin" not in answer.headers
    async with living(tmp_path, origins=["https://till.example"]) as there:
        preflight, answer = await asked(there)
        assert (preflight.status, answer.status) == (204, 200)
        assert preflight.headers["access-control-allow-methods"] == "PUT"
        for each in (preflight, answer):
            assert each.headers["access-control-allow-origin"] == "https://till.example"


class Earnest(Cloud):
    """The cloud of a gateway as it is started in earnest."""

    def __init__(self, gateway: Gateway) -> None:
        self._url = gateway.listeners["main"].url
        self._client = self.http = AiohttpClient()

    @property
    def url(self) -> str:
        return f"{self._url}/sc"


async def test_no_log_has_a_token_or_a_code_in_it(tmp_path: Path) -> None:
    """In earnest: with listeners, access lines and all."""
    face = FaceSettings(name="smartconnect", prefix="/sc", settings={"organisation": SHOP})
    listener = ListenerSettings(name="main", port=0, faces=(face,))
    configuration = Configuration(
        journal=JournalSettings(path=str(tmp_path / "journal.db")),
        virtual=Virtual(directory=str(tmp_path)),
        listeners=(listener,),
    )
    with capture_logs() as logs:
        gateway = Gateway(configuration)
        await gateway.open()
        await gateway.journal.commit(furnish)
        await gateway.start()
        try:
            drawn, now = Codes(gateway.vault).drawn(gateway.clock), gateway.clock.now()
            code, _ = await gateway.journal.commit(
                lambda unit: show_code(unit, LANE.id, drawn, now, None)
            )
            there = Earnest(gateway)
            register = there.register()
            assert (await register.pair("87654321")).status == 400
            assert (await register.pair(code)).status == 200
            begun = await register.begin(AmountTotal="1250")
            assert (await there.get(begun.polling_url)).status == 200
            assert (await there.get(begun.polling_url)).status == 429
            token = begun.json["merchantAccessToken"]
            assert f"/sc/pos/transaction/{begun.json['transactionId']}" in begun.polling_url
        finally:
            await there.http.close()
            await gateway.stop()
    lines = [str(each) for each in logs]
    assert any("'path': '/sc/...'" in line for line in lines), "each request has its line"
    for secret in (token, code, "87654321"):
        assert not any(secret in line for line in lines)


@virtual()
async def test_a_journal_that_fails_starts_nothing_and_its_log_has_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cloud(tmp_path) as there:
        register = await there.register().paired()
        code = await there.code()

        async def full(work: object) -> None:
            raise JournalFull("No space is left.")

        with monkeypatch.context() as broken, capture_logs() as logs:
            broken.setattr(there.gateway.journal, "commit", full)
            for answer in (await register.pair(code), await register.ask(AmountTotal="1250")):
                assert (answer.status, bool(answer.error)) == (503, True)
                assert answer.headers["retry-after"] == "1"
        assert [each["log_level"] for each in logs] == ["error", "error"]
        assert code not in str(logs)
        assert there.transactions() == []
        assert (await register.pair(code)).status == 200


@virtual()
async def test_without_a_key_for_its_token_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The register hears 503, which says that nothing was done."""
    async with cloud(tmp_path) as there:
        register = await there.register().paired()

        def keyless(purpose: str) -> bytes:
            raise JournalError("The key is not there.")

        with monkeypatch.context() as broken:
            broken.setattr(there.gateway.vault, "derive", keyless)
            assert (await register.ask(AmountTotal="1250")).status == 503
            assert (await register.ask("Acquirer.Settlement.Cutover")).status == 503
        await asyncio.sleep(60)
        assert there.transactions() == []
        assert await there.charged() == []
        cut = await register.do("Acquirer.Settlement.Cutover")
        assert cut["AcquirerRef"] == "000001", "the first period is still open"


@pytest.mark.parametrize(("mode", "question"), [("ASYNC", "find"), ("", "exchange_of")])
def test_a_journal_that_cannot_be_read_hides_no_payment_that_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, question: str
) -> None:
    """503 would say that nothing was done."""

    async def failing(number: str) -> object:
        raise JournalError("It is busy.")

    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            register = await there.register().paired()
            with monkeypatch.context() as broken:
                broken.setattr(there.gateway.engine, question, failing)
                begun = await register.ask(AmountTotal="1250", TransactionMode=mode)
            assert (begun.status, begun.json["transactionStatus"]) == (200, "PENDING")
            assert words((await register.end(begun))["data"]) == ACCEPTED
            assert await there.charged() == [1250]

    play()
