"""The application's files are replaced while the gateway runs, since secrets, keys and certificates
end."""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.scripted import Asked
from tests.unit.softpos.driver.backend import SECRET, TOKEN, Backend, answers, gives_token
from tests.unit.softpos.driver.counter import Counter, at_a_counter
from tillwire.core.model import State
from tillwire.net.asgi import Reply

ANOTHER = "another-secret-of-the-app"  # of nobody


async def wants_another(backend: Backend, asked: Asked) -> Reply:
    """The secret was changed in the portal."""
    if ANOTHER not in asked.body.decode():
        return Reply(401, b'{"error":"invalid_client"}')
    asked.body = asked.body.replace(ANOTHER.encode(), SECRET.encode())
    return await gives_token(backend, asked)


@at_a_counter()
async def test_a_secret_that_was_replaced_is_used(counter: Counter) -> None:
    assert (await counter.driver.status()).reachable
    (counter.folder / "app.secret").write_text(ANOTHER)
    counter.backend.tokens.extend([wants_another] * 2)
    await asyncio.sleep(61)
    assert await counter.driver.check("nothing-known") is None
    assert len(counter.backend.of(TOKEN)) == 2, "a token is of whom it was given to"


@at_a_counter()
async def test_files_that_stay_as_they_are_change_nothing(counter: Counter) -> None:
    for _ in range(5):
        assert await counter.driver.check("nothing-known") is None
        await asyncio.sleep(61)
    assert len(counter.backend.of(TOKEN)) == 1


@pytest.mark.parametrize("content", ["", "\u00e9", None])
@at_a_counter()
async def test_files_that_are_half_replaced_are_not_used_yet(
    counter: Counter, content: str | None
) -> None:
    assert await counter.driver.check("nothing-known") is None
    secret = counter.folder / "app.secret"
    secret.unlink() if content is None else secret.write_text(content)
    await asyncio.sleep(61)
    counter.backend.expire_tokens()
    assert await counter.driver.check("nothing-known") is None, "with the ones from before"
    secret.write_text(ANOTHER)
    counter.backend.tokens.append(wants_another)
    await asyncio.sleep(61)
    assert await counter.driver.check("nothing-known") is None
    assert not counter.backend.tokens


@at_a_counter()
async def test_what_was_answered_to_the_former_files_shows_nothing(counter: Counter) -> None:
    """A certificate that the backend does not know may still be good for a token."""
    await counter.paid()
    (counter.folder / "app.secret").write_text(ANOTHER)
    counter.backend.tokens.extend([wants_another] * 3)
    counter.backend.checks.extend([answers(401, b'{"statusCode":"401","message":"no"}')] * 2)
    await asyncio.sleep(61)
    assert (await counter.ended(await counter.order(), 60)).state is State.FAILED
