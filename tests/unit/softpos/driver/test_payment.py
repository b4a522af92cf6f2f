"""Payments by deep link that go as they should, and who we are at the backend."""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from tests.kit.scripted import Asked
from tests.unit.softpos.driver import backend as there
from tests.unit.softpos.driver.backend import CHECK, CLIENT, KEYS, TID, TOKEN, URL
from tests.unit.softpos.driver.counter import RETURNS, Counter, at_a_counter
from tillwire.core.model import EntryMode, Evidence, State, Terms, TransactionType
from tillwire.core.ports import AbortResult
from tillwire.dialects.softpos.driver import phone
from tillwire.errors import PeerError, Proof
from tillwire.net.asgi import Reply

_T = TransactionType


@at_a_counter(point_of_sale="7550001234567")
async def test_a_payment_is_confirmed_by_the_backend(counter: Counter) -> None:
    order = await counter.order(1250)
    link = await counter.shown(order)
    parts = urlsplit(link)
    assert (parts.scheme, parts.netloc) == ("neximpos", "payment")
    asked = {key: value for key, (value,) in parse_qs(parts.query).items()}
    uri = asked.pop("uri")
    assert asked == {
        "amount": "1250",
        "callerName": "tillwire",
        "callerTrxId": order.id,
        "hideRetry": "true",
    }
    assert uri.startswith(f"{RETURNS}/{order.id}")
    told = await counter.come_back(link, counter.backend.pay(link))
    assert told.status == 200
    assert b"approved" not in told.body, "it says nothing of how it ended"
    paid = await counter.ended(order, 5)
    assert (paid.state, paid.approved_amount) == (State.APPROVED, 1250)
    assert paid.outcome is not None
    assert paid.outcome.evidence is Evidence.ANSWER
    assert (paid.outcome.brand, paid.outcome.card_last4) == ("VISA", "5938")
    assert (paid.outcome.authorisation_code, paid.outcome.stan) == ("417302", "000231")
    assert paid.outcome.entry_mode is EntryMode.CONTACTLESS
    assert paid.outcome.at == 1_773_497_762_000
    assert paid.outcome.handle == {"transaction_id": "000000123456", "terminal_id": TID}
    _, claims = counter.backend.claims
    assert claims["terminal_ids"] == [TID]
    assert claims["pointOfSale"] == "7550001234567"
    assert claims["iss"] == claims["sub"] == claims["appId"] == CLIENT
    assert (claims["aud"], claims["exp"] - claims["iat"]) == (URL, 300)
    _, check = counter.backend.of(CHECK)
    assert json.loads(check.body) == {"terminalId": TID, "callerTrxId": order.id}
    assert check.headers["client_id"] == CLIENT


@at_a_counter()
async def test_a_payment_is_confirmed_though_nobody_comes_back(counter: Counter) -> None:
    order = await counter.order()
    counter.backend.pay(await counter.shown(order))
    assert (await counter.ended(order, 20)).state is State.APPROVED


@at_a_counter()
async def test_the_link_is_sealed_and_the_id_journaled_before_it_is_seen(counter: Counter) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    now = await counter.now(order)
    assert now.peer[phone.CALLER] == order.id
    assert link not in str(now.peer), "whoever reads the journal cannot come back in its place"
    assert phone.is_shown(now, counter.driver.settings, counter.gateway.clock)
    await asyncio.sleep(121)
    assert not phone.is_shown(
        await counter.now(order), counter.driver.settings, counter.gateway.clock
    )


@pytest.mark.parametrize(
    ("status", "state"), [("DECLINED", State.DECLINED), ("CANCELLED", State.CANCELLED)]
)
@at_a_counter()
async def test_what_is_not_paid(counter: Counter, status: str, state: State) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    await counter.come_back(link, counter.backend.pay(link, status=status, actionCode="051"))
    ended = await counter.ended(order, 5)
    assert (ended.state, ended.approved_amount) == (state, 0)
    assert ended.outcome is not None
    assert ended.outcome.response_code == "51"
    assert counter.backend.charged == []


@at_a_counter(
    field_names={"status": ["esito"], "amount": ["totale.importo"], "operation_type": ["tipo"]},
    status_words={"AUTORIZZATA": "APPROVED"},
    major_units=True,
)
async def test_other_names_of_fields_come_from_the_settings(counter: Counter) -> None:
    order = await counter.order(1250)
    link = await counter.shown(order)
    counter.backend.pay(link, esito="autorizzata", totale={"importo": 12.50}, status=None)
    counter.backend.known[TID, order.id].pop("amount")
    assert (await counter.ended(order, 20)).approved_amount == 1250


# --- reversals --------------------------------------------------------------------------------


@pytest.mark.parametrize("currency", ["978", 978, "eur", None])
@at_a_counter()
async def test_the_euro_under_its_other_names(counter: Counter, currency: str | int | None) -> None:
    order = await counter.order()
    link = await counter.shown(order)
    await counter.come_back(link, counter.backend.pay(link, currency=currency))
    assert (await counter.ended(order, 20)).state is State.APPROVED


@at_a_counter()
async def test_a_reversal_is_confirmed_at_its_original(counter: Counter) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    link = await counter.shown(order)
    asked = {key: value for key, (value,) in parse_qs(urlsplit(link).query).items()}
    assert urlsplit(link).netloc == "reversal"
    assert (asked["terminalId"], asked["callerTrxId"]) == (TID, order.id)
    assert asked["timestamp"] == "1403261516", "24 hours, in the shop's zone"
    fields = counter.backend.pay(link)
    counter.backend.known[TID, paid.id]["status"] = "REVERSED"
    await counter.come_back(link, fields)
    assert (await counter.ended(order, 5)).state is State.APPROVED
    assert (await counter.now(paid)).reversed_at is not None


@at_a_counter()
async def test_a_reversal_that_hit_another_payment_is_told(counter: Counter) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    link = await counter.shown(order)
    await counter.come_back(link, counter.backend.pay(link))
    await counter.lost(order)
    await asyncio.sleep(600)
    assert "reversed another payment" in counter.words(order)[-1]
    assert counter.told(order)
    assert (await counter.now(order)).state is State.UNKNOWN


@at_a_counter()
async def test_a_reversal_that_was_declined(counter: Counter) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    link = await counter.shown(order)
    await counter.come_back(link, counter.backend.pay(link, status="DECLINED"))
    assert (await counter.ended(order, 5)).state is State.DECLINED


@at_a_counter()
async def test_what_the_backend_has_as_reversed_is_not_reversed_again(counter: Counter) -> None:
    paid = await counter.paid(1250)
    counter.backend.known[TID, paid.id]["status"] = "REVERSED"
    failed = await counter.ended(await counter.order(1250, _T.REVERSAL, original=paid), 10)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)


# --- what is never sent -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked", [{"currency": "USD"}, {"terms": Terms(cash_back=250)}], ids=["currency", "cash"]
)
@at_a_counter()
async def test_what_the_app_does_not_have(counter: Counter, asked: dict[str, Any]) -> None:
    failed = await counter.ended(await counter.order(1250, **asked), 5)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert phone.LINK not in failed.peer


@at_a_counter()
async def test_no_link_where_nothing_could_be_confirmed(counter: Counter) -> None:
    await counter.backend.close()
    failed = await counter.ended(await counter.order(), 60)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert phone.LINK not in failed.peer


@pytest.mark.parametrize("status", [400, 401, 403, 500])
@at_a_counter()
async def test_no_link_where_nobody_answers_what_is_asked_about_this_tid(
    counter: Counter, status: int
) -> None:
    counter.backend.checks.extend([there.answers(status, b'{"statusCode":"x"}')] * 10)
    failed = await counter.ended(await counter.order(), 60)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert phone.LINK not in failed.peer


@at_a_counter()
async def test_once_it_answers_that_is_not_asked_for_each_payment(counter: Counter) -> None:
    for _ in range(3):
        await counter.paid()
    assert len(counter.backend.of(CHECK)) == 1 + 3
    counter.backend.checks.extend([there.answers(400)])
    with pytest.raises(PeerError):
        await counter.driver.check("nothing-known")
    await counter.paid()
    assert len(counter.backend.of(CHECK)) == 1 + 3 + 1 + 2, "the last question was not answered"


@at_a_counter(point_of_sale="7550001234567")
async def test_what_was_answered_to_another_point_of_sale_shows_nothing(counter: Counter) -> None:
    async def wants_the_former(backend: there.Backend, asked: Asked) -> Reply:
        claims = backend.opened(asked) or {}
        good = claims.get("pointOfSale") == "7550001234567"
        return Reply(404 if good else 401, b'{"statusCode":"x","message":"x"}')

    await counter.paid()
    counter.change(point_of_sale="7550007654321")
    await counter.install()
    counter.backend.checks.extend([wants_the_former] * 2)
    failed = await counter.ended(await counter.order(), 60)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert phone.LINK not in failed.peer


@at_a_counter()
async def test_no_link_under_an_id_that_the_backend_knows(counter: Counter) -> None:
    async def knows_all(backend: there.Backend, asked: Asked) -> Reply:
        return Reply(200, b'{"status":"APPROVED"}')

    counter.backend.checks.append(knows_all)
    failed = await counter.ended(await counter.order(), 60)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)


@at_a_counter()
async def test_no_link_where_our_secret_is_refused(counter: Counter) -> None:
    counter.backend.tokens.append(there.answers(401, b'{"error":"invalid_client"}'))
    failed = await counter.ended(await counter.order(), 60)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    status = await counter.driver.status()
    assert status.reachable, "the next one is answered"


@pytest.mark.parametrize("file", ["app.key", "app.secret"])
@at_a_counter()
async def test_no_link_without_our_files(counter: Counter, file: str) -> None:
    (counter.folder / file).unlink()
    failed = await counter.ended(await counter.order(), 60)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    status = await counter.driver.status()
    assert not status.reachable
    assert file in status.detail


@at_a_counter(send_seconds=5)
async def test_no_link_when_its_time_to_be_sent_has_passed(counter: Counter) -> None:
    async def slowly(backend: there.Backend, asked: Asked) -> Reply:
        await asyncio.sleep(3)
        return await (there.gives_token if asked.path == TOKEN else there.tells)(backend, asked)

    counter.backend.tokens.append(slowly)
    counter.backend.checks.append(slowly)
    failed = await counter.ended(await counter.order(), 60)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert phone.LINK not in failed.peer


@at_a_counter()
async def test_a_link_cannot_be_called_back(counter: Counter) -> None:
    order = await counter.order()
    await counter.shown(order)
    assert await counter.driver.abort(order) is AbortResult.TOO_LATE


# --- who we are -------------------------------------------------------------------------------


@at_a_counter()
async def test_a_token_is_renewed_at_three_quarters_of_its_life(counter: Counter) -> None:
    counter.backend.life = 1_000
    assert (await counter.driver.status()).reachable
    await asyncio.sleep(749)
    assert (await counter.driver.status()).reachable
    assert len(counter.backend.of(TOKEN)) == 1
    await asyncio.sleep(2)
    assert (await counter.driver.status()).reachable
    assert len(counter.backend.of(TOKEN)) == 2, "while the old one is good for 249 seconds more"


@at_a_counter()
async def test_keys_are_fetched_every_ten_minutes(counter: Counter) -> None:
    for seconds in (0, 599, 2):
        await asyncio.sleep(seconds)
        assert await counter.driver.check("nothing-known") is None
    assert len(counter.backend.of(KEYS)) == 2


@at_a_counter()
async def test_a_token_that_was_ended_is_renewed_at_once(counter: Counter) -> None:
    assert await counter.driver.check("nothing-known") is None
    counter.backend.expire_tokens()
    assert await counter.driver.check("nothing-known") is None
    assert len(counter.backend.of(TOKEN)) == 2
    assert len(counter.backend.of(CHECK)) == 3


@at_a_counter()
async def test_a_key_that_was_rotated_away_is_replaced_at_once(counter: Counter) -> None:
    assert await counter.driver.check("nothing-known") is None
    counter.backend.keys = ["enc-2", "enc-1b"]
    assert await counter.driver.check("nothing-known") is None
    assert len(counter.backend.of(KEYS)) == 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "audience"),
        (-30, "audience"),
        (-400, "Our clock is 400 seconds ahead of the backend's."),
        (400, "Our clock is 400 seconds behind the backend's."),
    ],
)
@at_a_counter()
async def test_a_refusal_says_where_to_look(
    counter: Counter, seconds: int | None, words: str
) -> None:
    """The backend never does."""
    refusal = there.answers(401, b'{"statusCode":"401","message":"Unauthorized"}')

    async def refuses(backend: there.Backend, asked: Asked) -> Reply:
        reply = await refusal(backend, asked)
        if seconds is None:
            return reply
        theirs = datetime.fromtimestamp(counter.gateway.clock.now() / 1000 + seconds, UTC)
        stamp = format_datetime(theirs, usegmt=True).encode()
        return msgspec.structs.replace(reply, headers=[(b"date", stamp)])

    counter.backend.checks.extend([refuses] * 2)
    failed = await counter.ended(await counter.order(), 60)
    assert failed.state is State.FAILED
    assert "401 Unauthorized" in counter.reasons(failed)[-1]
    assert words in counter.reasons(failed)[-1]


@at_a_counter()
async def test_each_question_has_an_assertion_of_its_own(counter: Counter) -> None:
    for _ in range(5):
        await counter.driver.check("nothing-known")
    ids = [each["jti"] for each in counter.backend.claims]
    assert len(set(ids)) == 5
    times = [each.at for each in counter.backend.of(CHECK)]
    assert all(later - earlier >= 0.5 for earlier, later in itertools.pairwise(times))


@at_a_counter(merchant_username="till7@shop.example", device_id="6f1d-sdk")
async def test_with_cloud_authentication_assertions_say_who_is_at_the_phone(
    counter: Counter,
) -> None:
    assert await counter.driver.check("nothing-known") is None
    (claims,) = counter.backend.claims
    assert claims["app_username_merchant"] == "till7@shop.example"
    assert claims["app_deviceid"] == "6f1d-sdk"


@pytest.mark.parametrize(
    "fault", [there.answers(500), there.answers(503, b"<html>"), there.answers(429), there.hangs]
)
@at_a_counter()
async def test_questions_repeat_after_faults(counter: Counter, fault: there.Act) -> None:
    counter.backend.checks.extend([fault, fault])
    assert await counter.driver.check("nothing-known") is None
    assert len(counter.backend.of(CHECK)) == 3
