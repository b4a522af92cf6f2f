"""Who is let in: certificate, secret, token and assertion belong to one application of one profile,
and what was used once is used up."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import threading
from pathlib import Path

import msgspec
import pytest
from joserfc.jwk import RSAKey
from structlog.testing import capture_logs

from tests.unit.asgi_client import Answer
from tests.unit.core.scripted import approved
from tests.unit.softpos.face.shop import TIDS, Backend, Shop, shop_in
from tillwire.clock import Instant, utc
from tillwire.dialects.softpos.face import keyset
from tillwire.dialects.softpos.face.access import FORM
from tillwire.dialects.softpos.face.face import KEYS, TOKEN
from tillwire.dialects.softpos.face.settings import Settings
from tillwire.dialects.softpos.wire import keys
from tillwire.dialects.softpos.wire.assertions import make_assertion
from tillwire.estate import client_apps
from tillwire.journal.vault import KeyFileVault
from tillwire.net.asgi import Receive, Scope, Send
from tillwire.net.per_minute import LOGGED_A_MINUTE
from tillwire.watch.masking import processor


def is_unknown(answer: Answer) -> bool:
    """The one refusal, with nothing in it but the source's words."""
    assert answer.status == 401, answer.body
    return answer.json() == {
        "statusCode": "401",
        "message": "Unauthorized — invalid or expired token",
    }


async def test_a_token_ends_with_its_last_second(shop: Shop, backend: Backend) -> None:
    bearer = await backend.bearer()
    shop.clock.pass_by(3599)
    assert (await backend.check(bearer=bearer)).status == 404
    shop.clock.pass_by(1)
    assert is_unknown(await backend.check(bearer=bearer))


async def test_a_certificate_that_expires_ends_connections_that_were_made(
    shop: Shop, backend: Backend
) -> None:
    shop.clock.at = Instant(client_apps.ends(backend.app) - 1_000)
    bearer, assertion = await backend.bearer(), await backend.assertion()
    shop.clock.pass_by(1)
    with capture_logs() as logged:
        assert is_unknown(await backend.check(bearer=bearer, assertion=assertion))
        assert is_unknown(await shop.client("till").get(KEYS))
        assert (await backend.token()).json() == {"error": "invalid_client"}
    assert [each["reason"] for each in logged] == ["certificate that has expired"] * 3


async def test_it_is_told_each_day_that_a_certificate_ends_soon(
    shop: Shop, backend: Backend
) -> None:
    shop.clock.at = Instant(client_apps.ends(backend.app) - client_apps.SOON - 1_000)
    with capture_logs() as logged:
        await backend.bearer()
        assert not logged
        for seconds in (1, 60, 86_400, 60):
            shop.clock.pass_by(seconds)
            await backend.bearer()
    first, second = logged
    assert first == second
    assert first["event"] == "an application's certificate ends soon"
    assert first["application"] == backend.app.id
    assert first["ends"] == utc(client_apps.ends(backend.app)).isoformat()


async def test_a_token_is_of_no_use_under_another_certificate(shop: Shop, backend: Backend) -> None:
    other = await shop.register("other till")
    assert is_unknown(await backend.check(certificate_of="other till"))
    assert is_unknown(await other.check(bearer=await backend.bearer()))
    assert (await other.check()).status == 404


async def test_an_application_s_secret_goes_with_its_certificate(
    shop: Shop, backend: Backend
) -> None:
    other = await shop.register("other till")
    refused = await other.token(client_id=backend.app.id, client_secret=backend.secret)
    assert (refused.status, refused.json()) == (401, {"error": "invalid_client"})


async def test_a_former_secret_is_good_for_as_long_as_an_operator_has_said(
    shop: Shop, backend: Backend
) -> None:
    oldest = backend.secret
    former = await renew_secret(shop, backend, overlap=hours(2))
    shop.clock.pass_by(3_600)
    newest = await renew_secret(shop, backend, overlap=hours(2))
    assert len({oldest, former, newest}) == 3
    with capture_logs() as logged:
        assert [await grants(backend, each) for each in (oldest, former, newest)] == [True] * 3
    (first, second) = logged  # who still has to be given the new one
    assert first["event"] == second["event"] == "a former secret was used"
    assert first["application"] == backend.app.id
    assert oldest not in str(logged)
    shop.clock.pass_by(3_600)
    assert [await grants(backend, each) for each in (oldest, former, newest)] == [False, True, True]
    shop.clock.pass_by(3_600)
    assert [await grants(backend, each) for each in (former, newest)] == [False, True]


async def test_a_new_secret_ends_all_former_ones_at_once_where_none_is_to_stay(
    shop: Shop, backend: Backend
) -> None:
    oldest, bearer = backend.secret, await backend.bearer()
    former = await renew_secret(shop, backend, overlap=hours(2))
    newest = await renew_secret(shop, backend, overlap=0)
    assert [await grants(backend, each) for each in (oldest, former, newest)] == [
        False, False, True,
    ]  # fmt: skip
    # A token is of no use without the certificate's key, and ends by itself.
    assert (await backend.check(bearer=bearer)).status == 404


async def test_who_goes_on_with_an_ended_secret_keeps_nobody_out_who_has_the_new_one(
    shop: Shop, backend: Backend
) -> None:
    """Both are machines of one backend, and come from one address. Nobody guesses 256 bits."""
    shop.serving(failures_per_minute=2)
    ended = backend.secret
    former = await renew_secret(shop, backend, overlap=0)
    await renew_secret(shop, backend, overlap=hours(2))
    for _ in range(3):
        refused = await backend.token(client_secret=ended)
    assert refused.status == 429
    assert await grants(backend, former)
    assert await grants(backend, backend.secret)


def hours(count: int) -> int:
    """In milliseconds."""
    return count * 3_600_000


async def renew_secret(shop: Shop, backend: Backend, *, overlap: int) -> str:
    """Its new secret, by which it signs in from now on."""
    known = shop.engine.estate.client_apps[backend.app.id]
    backend.secret = client_apps.new_secret(shop.clock)
    after = client_apps.with_secret(known, backend.secret, shop.clock.now(), overlap)
    await shop.engine.change_estate(lambda unit: unit.put(after))
    return backend.secret


async def grants(backend: Backend, secret: str) -> bool:
    """Whether a token is given for the secret."""
    answer = await backend.token(client_secret=secret)
    assert answer.status == 200 or answer.json() == {"error": "invalid_client"}
    return answer.status == 200


async def test_without_a_certificate_nobody_is_known(shop: Shop, backend: Backend) -> None:
    assert is_unknown(await shop.client("").get(KEYS))
    backend.name = ""
    refused = await backend.token()
    assert (refused.status, refused.json()) == (401, {"error": "invalid_client"})


async def test_an_assertion_of_another_application_s_key_is_refused(
    shop: Shop, backend: Backend
) -> None:
    other = await shop.register("other till")
    stolen = await other.assertion(
        app_id=backend.app.id, issuer=backend.app.id, subject=backend.app.id
    )
    assert is_unknown(await backend.check(assertion=stolen))


async def test_an_application_that_was_revoked_is_known_no_more(
    shop: Shop, backend: Backend
) -> None:
    bearer, assertion = await backend.bearer(), await backend.assertion()
    gone = client_apps.revoked(shop.engine.estate, backend.app.id, shop.clock.now())
    await shop.engine.change_estate(lambda unit: unit.put(gone))
    assert is_unknown(await backend.check(bearer=bearer, assertion=assertion))
    assert (await backend.token()).json() == {"error": "invalid_client"}
    assert is_unknown(await shop.client("till").get(KEYS))


async def test_staging_and_production_do_not_know_each_other(shop: Shop, backend: Backend) -> None:
    live = await shop.register("live till", profile="production")
    assert (await live.token()).json() == {"error": "invalid_client"}
    assert is_unknown(await shop.client("live till").get(KEYS))
    staging_bearer, staging_keys = await backend.bearer(), await backend.live_keys()
    assertion = await backend.assertion()
    shop.serving(profile="production")
    assert is_unknown(await backend.check(bearer=staging_bearer, assertion=assertion))
    assert (await backend.token()).json() == {"error": "invalid_client"}
    live_keys = await live.live_keys()
    assert not {each.kid for each in live_keys} & {each.kid for each in staging_keys}
    assert (await live.check()).status == 404


@pytest.mark.parametrize(
    ("profile", "audience"),
    [
        ("staging", "https://b2bsoftpos.nexigroup.com"),
        ("production", "https://stgb2bsoftpos.nexigroup.com/"),
        ("staging", "pay.example"),
    ],
)
def test_no_face_takes_the_other_profile_s_audience(profile: str, audience: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"profile": profile, "audiences": [audience]}, Settings)


async def test_an_assertion_is_good_once_also_after_a_restart(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        backend = await shop.register()
        used, unused = await backend.assertion(), await backend.assertion()
        bearer = await backend.bearer()
        assert (await backend.check(bearer=bearer, assertion=used)).status == 404
    async with shop_in(tmp_path) as shop:
        backend.shop = shop
        assert is_unknown(await backend.check(bearer=bearer, assertion=used))
        assert (await backend.check(bearer=bearer, assertion=unused)).status == 404


async def test_of_ten_at_once_one_is_let_in(backend: Backend) -> None:
    bearer, assertion = await backend.bearer(), await backend.assertion()
    answers = await asyncio.gather(
        *(backend.check(bearer=bearer, assertion=assertion) for _ in range(10))
    )
    assert sorted(each.status for each in answers) == [401] * 9 + [404]


async def test_a_jti_is_an_application_s_own(shop: Shop, backend: Backend) -> None:
    other = await shop.register("other till")
    for each in (backend, other):
        assertion = await each.assertion(token_id="same")
        assert (await each.check(assertion=assertion)).status == 404


async def test_what_cannot_be_used_any_more_is_forgotten(shop: Shop, backend: Backend) -> None:
    await backend.check()
    assert await seen(shop) == 1
    shop.clock.pass_by(300 + 60 + 60)
    await backend.check()
    assert await seen(shop) == 2  # in its very last second
    shop.clock.pass_by(1)
    await backend.check()
    assert await seen(shop) == 2


async def test_an_assertion_is_good_once_in_the_moment_in_which_it_expires(
    shop: Shop, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    bearer, assertion = await backend.bearer(), await backend.assertion()
    assert (await backend.check(bearer=bearer, assertion=assertion)).status == 404
    moments = itertools.count(shop.clock.at + 357_500, 1_500)
    # Its last looks at the clock are before and behind its end.
    monkeypatch.setattr(shop.clock, "now", lambda: Instant(next(moments)))
    assert is_unknown(await backend.check(bearer=bearer, assertion=assertion))


async def seen(shop: Shop) -> int:
    connection = sqlite3.connect(shop.engine.journal.path)
    try:
        (count,) = connection.execute("SELECT count(*) FROM seen_tokens").fetchone()
    finally:
        connection.close()
    return int(count)


async def test_terminals_of_others_do_not_exist(shop: Shop, backend: Backend) -> None:
    await shop.register("other till", organisation="other", tids=(TIDS["x1"],))
    await shop.sell(approved(), terminal="t3", reference="theirs")
    for tids in ((TIDS["t3"],), (TIDS["x1"],), ("99999999",)):
        named = await backend.assertion(terminal_ids=tids)
        assert is_unknown(await backend.check("theirs", tids[0], assertion=named))
    # Not even that it is there can be told from the answer.
    there = await backend.check("theirs", TIDS["t3"])
    nowhere = await backend.check("theirs", "99999999")
    assert (there.status, there.body) == (nowhere.status, nowhere.body)


async def test_who_guesses_secrets_is_slowed_down(shop: Shop, backend: Backend) -> None:
    shop.serving(failures_per_minute=3)
    for _ in range(3):
        assert (await backend.token(client_secret="guess")).status == 401
    slowed = await backend.token(client_secret="guess")
    assert slowed.status == 429
    assert slowed.json()["statusCode"] == "429"
    shop.clock.pass_by(61)
    assert (await backend.token(client_secret="guess")).status == 401


async def test_under_another_certificate_nobody_uses_up_its_tries(
    shop: Shop, backend: Backend
) -> None:
    other = await shop.register("other till")
    shop.serving(failures_per_minute=3)
    for _ in range(10):
        refused = await other.token(client_id=backend.app.id, client_secret="guess")
        assert (refused.status, refused.json()) == (401, {"error": "invalid_client"})
    assert (await backend.token(client_secret="guess")).status == 401


async def test_one_application_s_wrong_secret_is_not_the_others(
    shop: Shop, backend: Backend
) -> None:
    other = await shop.register("other till")
    shop.serving(failures_per_minute=3)
    for _ in range(10):
        await other.token(client_secret="of last year")
    assert (await other.token(client_secret="of last year")).status == 429
    unlimited = await backend.token(client_secret="of last year")
    assert unlimited.status == 401, "from the same address, as behind a balancer"


@pytest.mark.parametrize("name", [b"authorization", b"client_assertion", b"client_id"])
async def test_a_header_that_is_there_twice_is_refused(
    shop: Shop, backend: Backend, name: bytes
) -> None:
    face = shop.face

    async def twice(scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"] += [header for header in scope["headers"] if header[0] == name]
        await face(scope, receive, send)

    shop.face = twice
    with capture_logs() as logged:
        assert is_unknown(await backend.check())
    assert [each["reason"] for each in logged] == [f"two headers {name.decode()}"]


async def test_strangers_do_not_fill_the_log(shop: Shop, backend: Backend) -> None:
    with capture_logs() as logged:
        for _ in range(LOGGED_A_MINUTE + 5):
            assert is_unknown(await backend.check(bearer="x", assertion="y"))
        shop.clock.pass_by(60)
        assert is_unknown(await backend.check(bearer="x", assertion="y"))
    told = [each for each in logged if each["event"] == "a caller was not recognised"]
    assert len(told) == LOGGED_A_MINUTE + 1
    assert told[0]["reason"] == "access token (it is not by us)"
    assert processor(None, "warning", dict(told[0])) == told[0], "no part of it looks like a secret"
    (more,) = (each for each in logged if each["event"] == "more callers were not recognised")
    assert more["count"] == 5


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (b"", "grant_type: it is missing"),
        (b"grant_type=client_credentials&client_id=a", "client_secret: it is missing"),
        (b"client_id=a&client_id=b", "body: a field is there twice"),
        ("client_id=\u00e9".encode(), "body: it is no form"),
    ],
)
async def test_what_is_wrong_with_a_form_is_said(shop: Shop, form: bytes, words: str) -> None:
    headers: dict[str, str | None] = {"content-type": FORM}
    refused = await shop.client("till").ask("POST", TOKEN, form, headers=headers)
    assert refused.status == 400
    assert refused.json() == {"error": "invalid_request", "error_description": words}


async def test_keys_are_made_once_however_many_ask(shop: Shop, backend: Backend) -> None:
    sets = await asyncio.gather(*(backend.live_keys() for _ in range(5)))
    assert {tuple(key.kid for key in each) for each in sets} == {tuple(key.kid for key in sets[0])}
    assert len(shop.engine.estate.sealed_keys) == 2


async def test_keys_are_opened_once_and_beside_the_payments(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[threading.Thread] = []

    def load(pem: str) -> RSAKey:
        opened.append(threading.current_thread())
        return keys.load(pem)

    monkeypatch.setattr(keyset, "load", load)
    await asyncio.gather(*(backend.live_keys() for _ in range(5)))
    assert len(opened) == 2
    assert threading.main_thread() not in opened, (
        "a private key takes 50 ms, which tills would feel"
    )


async def test_rotation_keeps_the_newest_and_retires_the_oldest(
    shop: Shop, backend: Backend
) -> None:
    newest, oldest = await backend.live_keys()
    to_oldest = make_assertion(backend.claims(), backend.signing, oldest)
    to_newest = make_assertion(backend.claims(), backend.signing, newest)
    made = client_apps.new_sealed_key("staging", shop.vault, shop.clock)
    await shop.engine.change_estate(lambda unit: client_apps.add_key(unit, made))
    assert [each.kid for each in await backend.live_keys()] == [made.id, newest.kid]
    assert is_unknown(await backend.check(assertion=to_oldest))
    assert (await backend.check(assertion=to_newest)).status == 404
    assert (await backend.check()).status == 404


async def test_keys_that_cannot_be_opened_are_a_fault_that_is_not_told(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        backend = await shop.register()
        await backend.live_keys()
    (tmp_path / "journal.db.key").unlink()
    async with shop_in(tmp_path) as shop:
        answer = await shop.client("till").get(KEYS)
    assert answer.status == 500
    assert answer.json() == {"statusCode": "500", "message": "Internal Server Error"}


async def test_a_key_that_cannot_be_opened_keeps_no_other_one_closed(
    shop: Shop, backend: Backend, tmp_path: Path
) -> None:
    newest, _ = await backend.live_keys()
    elsewhere = KeyFileVault(tmp_path / "another.key")
    made = client_apps.new_sealed_key("staging", elsewhere, shop.clock)
    await shop.engine.change_estate(lambda unit: client_apps.add_key(unit, made))
    with capture_logs() as logged:
        assert [each.kid for each in await backend.live_keys()] == [newest.kid]
        assert (await backend.check()).status == 404
    (told,) = (each for each in logged if each["log_level"] == "error")
    assert (told["event"], told["key"]) == ("a key cannot be opened", made.id)
    assert "put the right key file there" in told["reason"]


async def test_a_pushed_request_needs_a_registered_address(backend: Backend) -> None:
    assert (await backend.push()).status == 201
    refused = await backend.push(redirect_uri="https://till.example/return/")
    assert refused.status == 400
    assert [each["field"] for each in refused.json()["fieldErrors"]] == ["redirect_uri"]
