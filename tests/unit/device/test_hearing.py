"""What a terminal tells is durable before it is answered, and never rewrites what is final."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.runner import virtual
from tests.unit.device.shop import shop_in, token_of
from tillwire.core.model import EntryMode, Evidence, State, TransactionType, Verdict, Verification
from tillwire.errors import JournalFull
from tillwire.net.asgi import Message

PAN = "4111 1111 1111 1111"


@virtual()
async def test_a_sale_from_fetch_to_receipt(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay(1250)
        offer = await shop.fetched()
        await shop.tell(offer.id, "card_presented")
        answer = await shop.tell(
            offer.id,
            "approved",
            approved_amount=1350,
            tip=100,
            authorisation_code="A1B2C3",
            stan="000017",
            brand="VISA",
            card_last4="0119",
            application_id="A0000000031010",
            entry_mode="CHIP",
            verification="PIN",
            response_code="00",
            receipt="Thank you\n",
            merchant_receipt="Keep this\n",
            something_new={"of": "a later version"},
        )
        assert (answer.status, answer.json()) == (200, {"id": offer.id, "state": "APPROVED"})
        paid = await shop.now(offer)
        outcome = paid.outcome
        assert outcome is not None
        assert (outcome.approved_amount, outcome.tip) == (1350, 100)
        assert (outcome.stan, outcome.authorisation_code) == ("000017", "A1B2C3")
        assert (outcome.brand, outcome.card_last4) == ("VISA", "0119")
        assert outcome.entry_mode is EntryMode.CHIP
        assert outcome.verification is Verification.PIN
        assert outcome.evidence is Evidence.REPORTED
        assert outcome.receipts is not None
        assert outcome.receipts.cardholder == "Thank you\n"
        assert outcome.receipts.merchant == "Keep this\n"
        assert (await shop.terminal().post("/next")).status == 204


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({"type": "declined", "response_code": "51", "reason": "Too poor"}, State.DECLINED),
        ({"type": "cancelled", "reason": "Changed their mind"}, State.CANCELLED),
    ],
)
def test_a_sale_that_comes_to_nothing(
    tmp_path: Path, told: dict[str, object], state: State
) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            await shop.pay()
            offer = await shop.fetched()
            answer = await shop.tell(offer.id, **told)  # type: ignore[arg-type]
            assert answer.json()["state"] == state.value
            ended = await shop.now(offer)
            assert ended.state is state
            assert ended.outcome is not None
            assert ended.outcome.reason == told["reason"]

    scenario()


@virtual()
async def test_approved_without_an_amount_is_for_what_was_asked_and_the_tip(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay(1250)
        offer = await shop.fetched()
        await shop.tell(offer.id, "approved", tip=50)
        assert (await shop.now(offer)).approved_amount == 1300


@virtual()
async def test_an_approval_for_less_is_a_partial_one(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay(1250, partial_allowed=True)
        offer = await shop.fetched()
        assert (await shop.tell(offer.id, "approved", approved_amount=625)).status == 200
        assert (await shop.now(offer)).approved_amount == 625


@virtual()
async def test_a_refund_names_what_it_follows(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay(1250)
        sale = await shop.fetched()
        await shop.tell(sale.id, "approved")
        await shop.pay(500, type=TransactionType.REFUND, original=sale.id)
        offer = await shop.fetched()
        assert (offer.type, offer.original_id, offer.amount.minor) == ("REFUND", sale.id, 500)
        await shop.tell(offer.id, "approved")
        assert (await shop.now(offer)).state is State.APPROVED


@virtual()
async def test_the_same_event_again_changes_nothing(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched()
        for _ in range(2):
            assert (await shop.tell(offer.id, "card_presented")).status == 200
        version = (await shop.now(offer)).version
        assert (await shop.tell(offer.id, "approved", stan="000001")).status == 200
        ended = await shop.now(offer)
        assert ended.version == version + 1
        answers = await asyncio.gather(
            *(shop.tell(offer.id, "approved", stan="000001") for _ in range(10)),
            shop.tell(offer.id, "card_presented"),
        )
        assert {answer.status for answer in answers} == {200}
        assert await shop.now(offer) == ended
        assert await shop.discrepancies() == []


@virtual()
async def test_what_contradicts_the_end_is_409_and_a_discrepancy(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay(1250)
        offer = await shop.fetched()
        await shop.tell(offer.id, "declined")
        for _ in range(2):
            answer = await shop.tell(offer.id, "approved")
            assert answer.status == 409
            assert answer.headers["content-type"] == "application/problem+json"
        assert (await shop.now(offer)).state is State.DECLINED
        (discrepancy,) = await shop.discrepancies()
        assert "12.50 EUR" in discrepancy.heard


@virtual()
async def test_another_amount_than_was_known_is_a_discrepancy(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay(1250, partial_allowed=True)
        offer = await shop.fetched()
        await shop.tell(offer.id, "approved", approved_amount=600)
        assert (await shop.tell(offer.id, "approved", approved_amount=700)).status == 409
        assert (await shop.now(offer)).approved_amount == 600
        assert len(await shop.discrepancies()) == 1


@virtual()
async def test_who_presents_a_card_after_a_person_has_ended_it_is_told_not_to_charge(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched("?boot=1")
        await shop.terminal().post("/next?boot=2")
        await shop.engine.decide(offer.id, Verdict.CANCELLED, person="Ada", reason="Gone.")
        answer = await shop.tell(offer.id, "card_presented")
        assert answer.status == 409
        assert "must not be charged" in answer.json()["detail"]


@virtual()
async def test_a_report_ends_an_unknown_one(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched()
        unknown = await shop.until(offer, State.UNKNOWN)  # nothing was told in 180 s
        assert unknown.state is State.UNKNOWN
        assert (await shop.tell(offer.id, "card_presented")).json()["state"] == "UNKNOWN"
        assert (await shop.fetched()).resume
        assert (await shop.tell(offer.id, "approved")).json()["state"] == "APPROVED"


@virtual()
async def test_a_transaction_of_another_terminal_does_not_exist(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched()
        for stranger in ("t2", "x1"):
            path = f"/transactions/{offer.id}/events"
            answer = await shop.terminal(stranger).post(path, {"type": "approved"})
            assert answer.status == 404
        assert (await shop.tell("0" * 31, "approved")).status == 404
        assert (await shop.now(offer)).state is State.SENT


@virtual()
async def test_what_was_never_handed_out_cannot_have_an_end(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        waiting = await shop.pay()
        for type in ("card_presented", "approved", "cancelled"):  # noqa: A001 - the member's name
            assert (await shop.tell(waiting.id, type)).status == 409
        assert (await shop.now(waiting)).state is State.ACCEPTED


@virtual()
async def test_no_card_number_gets_inside(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched()
        await shop.tell(
            offer.id,
            "approved",
            card_last4=PAN,
            brand=PAN,
            reason=PAN,
            receipt=f"CARD {PAN}\n12/28",
            merchant_receipt=PAN.replace(" ", "-"),
            authorisation_code="123456",
        )
        outcome = (await shop.now(offer)).outcome
        assert outcome is not None
        assert outcome.card_last4 == "1111"
        assert outcome.receipts is not None
        assert outcome.receipts.cardholder == "CARD **** **** **** 1111\n12/28"
    everything = all_bytes_in(tmp_path)
    for text in (PAN, PAN.replace(" ", ""), PAN.replace(" ", "-")):
        assert text.encode() not in everything


def all_bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"nonsense", "body"),
        (b"[]", "body"),
        (b"{}", "type"),
        (b'{"type": "exploded"}', "type"),
        (b'{"type": "approved", "approved_amount": "1250"}', "approved_amount"),
        (b'{"type": "approved", "approved_amount": 12.5}', "approved_amount"),
        (b'{"type": "approved", "approved_amount": 0}', "approved_amount"),
        (b'{"type": "approved", "approved_amount": 1251}', "approved_amount"),
        (b'{"type": "approved", "tip": -1}', "tip"),
        (b'{"type": "approved", "stan": "12345678"}', "stan"),
        (b'{"type": "declined", "entry_mode": "TELEPATHY"}', "entry_mode"),
        (b'{"type": "cancelled", "reason": 5}', "reason"),
    ],
)
def test_a_wrong_event_is_refused_with_the_fields_name(
    tmp_path: Path, body: bytes, field: str
) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            await shop.pay(1250)
            offer = await shop.fetched()
            path = f"/transactions/{offer.id}/events"
            answer = await shop.terminal().ask("POST", path, body)
            assert answer.status == 400
            assert answer.json()["field"] == field
            assert (await shop.now(offer)).state is State.SENT

    scenario()


@virtual()
async def test_a_body_must_be_json_of_a_bearable_size(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched()
        path = f"/transactions/{offer.id}/events"
        for kind in ("text/plain", "application/json; charset=utf-16"):
            answer = await shop.terminal().ask("POST", path, b"{}", headers={"content-type": kind})
            assert answer.status == 415
        large = b'{"type": "approved", "receipt": "' + b"x" * 70_000 + b'"}'
        assert (await shop.terminal().ask("POST", path, large)).status == 413


@virtual()
async def test_an_event_need_not_say_that_it_is_json(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched()
        path, event = f"/transactions/{offer.id}/events", b'{"type": "cancelled"}'
        told = await shop.terminal().ask("POST", path, event, headers={"content-type": None})
        assert (told.status, told.json()["state"]) == (200, "CANCELLED")


@virtual()
async def test_an_event_that_does_not_come_in_time_is_given_up(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        sent: list[Message] = []

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {token_of('t1')}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/transactions/1/events"}
        await shop.app({**scope, "query_string": b"", "headers": headers}, receive, send)
        assert sent[0]["status"] == 408


@virtual()
async def test_an_event_that_cannot_be_written_is_to_be_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.pay()
        offer = await shop.fetched()

        async def fail(work: object) -> None:
            raise JournalFull("/srv/journal.db")

        with monkeypatch.context() as full:
            full.setattr(shop.journal, "commit", fail)
            answer = await shop.tell(offer.id, "approved")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert b"/srv" not in answer.body
        assert (await shop.tell(offer.id, "approved")).status == 200
