"""The backend as an application sees it: its token, the keys to encrypt to, and Check Transaction
(source 001). Who we are there is in `credentials.py`.

One `Backend` is shared by all terminals of an application, one `Backends` by the whole gateway. It
only reads, so a question may repeat; each time with a new assertion. What is kept here can be asked
for again at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from tillwire.core.ports import Clock, HttpResponse, Vault
from tillwire.dialects.softpos.driver.credentials import Account, Connect, Credentials, Ours
from tillwire.dialects.softpos.driver.inquiries import Inquiries
from tillwire.dialects.softpos.driver.pace import Paces
from tillwire.dialects.softpos.driver.settings import DriverSettings
from tillwire.dialects.softpos.wire import aliases, assertions, check, errors, keys, reading, tokens
from tillwire.dialects.softpos.wire.aliases import CheckAnswer
from tillwire.dialects.softpos.wire.check import CheckTransactionRequest
from tillwire.dialects.softpos.wire.keys import NamedKey
from tillwire.dialects.softpos.wire.tokens import TokenRequest
from tillwire.errors import (
    AnswerLost,
    NotDelivered,
    PeerError,
    RemoteProtocolError,
)
from tillwire.net.secret_paths import SecretPaths

T = TypeVar("T")

TOKEN_PATH: Final = "/softpos/appenrollment/token"  # noqa: S105  # a path
KEYS_PATH: Final = "/softpos/par/jwks.json"
RENEW_AT: Final = 0.75
"""Of a token's life, after which it is renewed."""
KEYS_SECONDS: Final = 600.0
"""For which the set of keys is kept."""
APART: Final = 0.5
"""Seconds between two questions of an application at least."""
PAUSES: Final = (0.5, 1.5)
"""Seconds before each repetition of a question that was not answered."""
ASK_WITHIN: Final = 25.0
"""Seconds that a question takes with all that it needs, at most."""
ANSWERED_SECONDS: Final = 3_600.0
"""For which a question that was answered shows that the next one will be."""
WHO_WE_ARE: Final = "(Look at client_id, client_secret_file and certificate_file.)"
LONGEST_WORDS: Final = 300
FAULTS: Final = frozenset({408, 429})
"""Statuses below 500 after which the same question may be answered."""


class Refused(PeerError):
    """The backend refused the request."""

    def __init__(self, status: int, body: bytes, hint: str = "") -> None:
        """`status` is that of HTTP; `hint` is for whoever set us up."""
        told = errors.read_refusal(status, body)
        self.status = status
        code = "" if told.status_code == str(status) else told.status_code
        fields = "; ".join(f"{each.field}: {each.message}" for each in told.field_errors)
        words = " ".join(f"{status} {code} {told.message} {fields}".split())
        super().__init__(f"{words[:LONGEST_WORDS]} {hint}".strip())


class NoSuchTransaction(PeerError):
    """The backend knows no such transaction."""


class Backends:
    """The backends that this gateway's phones are checked at."""

    def __init__(self, connect: Connect, clock: Clock, vault: Vault) -> None:
        self.vault = vault
        """Seals links."""
        self.paths = SecretPaths(vault, "softpos returns")
        """Where phones come back."""
        self.inquiries = Inquiries(vault)
        self.paces = Paces(clock)
        self._connect = connect
        self._clock = clock
        self._known: dict[Account, Backend] = {}

    def of(self, settings: DriverSettings) -> Backend:
        """The one that the settings name, with what is known of it."""
        account = Account(
            settings.base_url,
            settings.for_whom,
            settings.client_id,
            settings.client_secret_file,
            settings.certificate_file,
            settings.private_key_file,
            settings.ca_file,
        )
        found = self._known.get(account)
        if found is None:
            found = self._known[account] = Backend(account, self._connect, self._clock)
        return found

    async def close(self) -> None:
        """Close every connection."""
        for each in self._known.values():
            await each.close()


class _Token(NamedTuple):
    text: str
    whose: Ours
    until: float
    """On the monotonic clock."""


class _Keys(NamedTuple):
    found: tuple[NamedKey, ...]
    until: float


class _Answered(NamedTuple):
    whose: Ours
    at: float


class _Question(NamedTuple):
    """What is asked of the backend, once or again."""

    request: CheckTransactionRequest
    named: tuple[str, ...]
    """TIDs of the assertion."""
    settings: DriverSettings
    patience: asyncio.Timeout
    """How long is waited for all of it, but for its turn."""


class Backend:
    """One backend, to one application."""

    def __init__(self, account: Account, connect: Connect, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        self._us = Credentials(account, connect, clock)
        self._answered: dict[tuple[str, ...], _Answered] = {}
        """Those who got an answer to their last question, by what assertions say of them."""
        self._token: _Token | None = None
        self._keys: _Keys | None = None
        self._preparing = asyncio.Lock()
        self._line = asyncio.Lock()
        self._next = 0.0

    async def close(self) -> None:
        """Close every connection."""
        await self._us.close()

    async def ready(self, settings: DriverSettings) -> None:
        """See to it that it would give us a token. Raises `PeerError`."""
        await _within(ASK_WITHIN, self._bearer(settings))

    async def answers(self, named: tuple[str, ...], settings: DriverSettings) -> bool:
        """See to it that it would give us a token. Whether it answers what is asked about these
        TIDs by who we are now, by what happened lately. Raises `PeerError`."""
        await self.ready(settings)
        last = self._answered.get(_who(named, settings))
        if last is None or self._token is None or last.whose is not self._token.whose:
            return False
        return self._clock.monotonic() < last.at + ANSWERED_SECONDS

    async def check(
        self, terminal_id: str, caller_trx_id: str, named: tuple[str, ...], settings: DriverSettings
    ) -> CheckAnswer:
        """What it says of a transaction; `named` are the TIDs of the assertion. Asks again after
        a pause when there is no answer. Waits for its turn behind all that were here before, for
        as long as the caller does. Raises `NoSuchTransaction`, other `PeerError`s."""
        request = CheckTransactionRequest(terminal_id=terminal_id, caller_trx_id=caller_trx_id)
        answered = False
        try:
            async with asyncio.timeout(ASK_WITHIN) as patience:
                answer = await self._persistently(_Question(request, named, settings, patience))
            answered = True
            return answer
        except NoSuchTransaction:
            answered = True
            raise
        except TimeoutError:
            raise AnswerLost(f"Not within {ASK_WITHIN:g} seconds.") from None
        finally:
            name, token = _who(named, settings), self._token
            if answered and token is not None:
                self._answered[name] = _Answered(token.whose, self._clock.monotonic())
            else:
                self._answered.pop(name, None)

    async def _persistently(self, question: _Question) -> CheckAnswer:
        for pause in (*PAUSES, None):
            try:
                return await self._asked(question)
            except (NotDelivered, AnswerLost):
                if pause is None:
                    raise
            except Refused as refusal:
                if pause is None or (refusal.status < 500 and refusal.status not in FAULTS):
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("the last try has an answer or an error")

    async def _asked(self, question: _Question) -> CheckAnswer:
        for last in (False, True):
            token = await self._bearer(question.settings)
            recipients = await self._key_set(question.settings)
            await self._turn(question.patience)
            response = await self._posted(question, token, recipients)
            if response.status == 401 and not last:
                # It does not say what it dislikes: the token, or a key that was rotated away.
                self._token = None if self._token is token else self._token
                self._keys = None if self._keys is recipients else self._keys
                continue
            if response.status == 404 and errors.is_standard(response.body):
                raise NoSuchTransaction(Refused(404, response.body).detail)
            if response.status == 401:
                raise Refused(401, response.body, f"({self._where_to_look(response)})")
            if response.status != 200:
                raise Refused(response.status, response.body)
            return aliases.read_answer(response.body, question.settings.table)
        raise AssertionError("the second answer is the last one")

    def _where_to_look(self, response: HttpResponse) -> str:
        """What may be wrong when a new token and a new assertion are refused, which the backend
        does not say. Its `Date` tells of a wrong clock."""
        skew = 0.0
        with contextlib.suppress(ValueError, OverflowError):
            stamp = {name.lower(): value for name, value in response.headers}.get("date", "")
            skew = self._clock.now() / 1000 - parsedate_to_datetime(stamp).timestamp()
        if abs(skew) > assertions.LEEWAY:
            side = "ahead of" if skew > 0 else "behind"
            return f"Our clock is {abs(skew):.0f} seconds {side} the backend's."
        return "Look at audience, point_of_sale, the TIDs, the certificate and our clock."

    async def _turn(self, patience: asyncio.Timeout) -> None:
        """Wait until the next question may be asked, which does not try our patience. Who gives up
        meanwhile holds up nobody behind him."""
        clock, ends = asyncio.get_running_loop(), patience.when()
        assert ends is not None, "it has an end"
        begun = clock.time()
        patience.reschedule(None)
        async with self._line:
            await asyncio.sleep(self._next - self._clock.monotonic())
            self._next = self._clock.monotonic() + APART
        patience.reschedule(ends + clock.time() - begun)

    async def _posted(self, question: _Question, token: _Token, recipients: _Keys) -> HttpResponse:
        ours = await self._us.now()
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Authorization": f"Bearer {token.text}",
            check.ASSERTION_HEADER: self._assertion(ours, question, recipients),
            check.CLIENT_HEADER: self._account.client_id,
        }
        body = check.write_request(question.request)
        return await self._sent("POST", check.PATH, headers, body, question.settings)

    # --- who we are -----------------------------------------------------------------------------

    def _assertion(self, ours: Ours, question: _Question, recipients: _Keys) -> str:
        claims = assertions.claims_for(
            self._account.client_id,
            question.named,
            audience=self._account.audience,
            now=self._clock.now() // 1000,
            jti=str(UUID(int=int(self._clock.random_digits(36)), version=4)),
            point_of_sale=question.settings.point_of_sale,
            merchant_username=question.settings.merchant_username,
            device_id=question.settings.device_id,
        )
        return assertions.make_assertion(claims, ours.key, recipients.found[0])

    async def _key_set(self, settings: DriverSettings) -> _Keys:
        """What assertions are encrypted to, fetched by one for all who want it."""
        async with self._preparing:
            known = self._keys
            if known is None or known.until <= self._clock.monotonic():
                known = self._keys = await self._fetched_keys(settings)
            return known

    async def _fetched_keys(self, settings: DriverSettings) -> _Keys:
        response = await self._sent("GET", KEYS_PATH, {"Accept": "application/json"}, b"", settings)
        if response.status != 200:
            raise Refused(response.status, response.body)
        found = keys.read_set(response.body)
        return _Keys(found, self._clock.monotonic() + KEYS_SECONDS)

    async def _bearer(self, settings: DriverSettings) -> _Token:
        async with self._preparing:
            token = self._token
            ours = await self._us.now()
            now = self._clock.monotonic()
            if token is None or token.until <= now or token.whose is not ours:
                token = self._token = await self._renewed(ours, settings)
            return token

    async def _renewed(self, ours: Ours, settings: DriverSettings) -> _Token:
        asked_at = self._clock.monotonic()
        request = TokenRequest(client_id=self._account.client_id, client_secret=ours.secret)
        response = await self._sent(
            "POST",
            TOKEN_PATH,
            {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
            tokens.write_token_request(request),
            settings,
        )
        if response.status in (400, 401):
            raise Refused(response.status, response.body, WHO_WE_ARE)
        if response.status != 200:
            raise Refused(response.status, response.body)
        answer = tokens.read_token_answer(response.body)
        return _Token(answer.access_token, ours, asked_at + RENEW_AT * answer.expires_in)

    async def _sent(
        self, method: str, path: str, headers: dict[str, str], body: bytes, settings: DriverSettings
    ) -> HttpResponse:
        ours = await self._us.now()
        return await ours.client.request(
            method,
            self._account.url + path,
            headers=headers,
            body=body,
            timeout=settings.request_seconds,
            connect_within=settings.connect_seconds,
            limit=reading.LARGEST_ANSWER,
        )


def _who(named: tuple[str, ...], settings: DriverSettings) -> tuple[str, ...]:
    """What assertions say of a phone."""
    return (settings.point_of_sale, settings.merchant_username, settings.device_id, *named)


async def _within(seconds: float, work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise AnswerLost(f"Not within {seconds:g} seconds.") from None


assert issubclass(RemoteProtocolError, PeerError), "an answer that cannot be read tells nothing"
