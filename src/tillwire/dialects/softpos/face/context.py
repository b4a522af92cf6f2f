"""What the handlers of one face share."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import structlog
from joserfc.jwk import RSAKey

from tillwire.clock import Instant, utc
from tillwire.core.engine import Engine
from tillwire.core.estate_model import ClientApp
from tillwire.core.ports import Clock, Vault
from tillwire.dialects.softpos.face.keyset import KeySet
from tillwire.dialects.softpos.face.mischief import Mischief
from tillwire.dialects.softpos.face.settings import Settings
from tillwire.dialects.softpos.wire.keys import load
from tillwire.estate import client_apps
from tillwire.net import asgi
from tillwire.net.per_minute import LimitedLog
from tillwire.net.strangers import Strangers

_ASSERTIONS_LOGGED: Final = 600
"""Lines a minute about assertions that were refused: of applications that are known, and whose
developers look for the reason."""
_DAY: Final = 86_400.0

Call = asgi.Call[ClientApp]
"""A request, by the application that makes it."""


class _Certificate(NamedTuple):
    """What is read of an application's certificate."""

    key: RSAKey
    ends: Instant


class Context:
    """One face, as its handlers see it."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        settings: Settings,
        vault: Vault,
        mischief: Mischief | None,
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.settings = settings
        self.vault = vault
        self.mischief = mischief
        self.strangers = Strangers(clock, settings.failures_per_minute)
        self.not_recognised = LimitedLog(clock, "more callers were not recognised")
        self.former_secrets = LimitedLog(clock, "more former secrets were used")
        self.refused_assertions = LimitedLog(
            clock, "more assertions were refused", a_minute=_ASSERTIONS_LOGGED
        )
        self.keys = KeySet(engine, vault, clock, settings.profile)
        if mischief is not None:
            mischief.join(self.keys)
        self._derive = lru_cache(maxsize=1)(vault.derive)
        self._certificates: dict[bytes, _Certificate] = {}
        self._reminded: dict[str, float] = {}
        """Until when nothing more is said of an application's certificate."""

    @property
    def token_key(self) -> bytes:
        """What tokens are signed with, in this profile alone. Raises `JournalError` when there can
        be no key."""
        since = self.mischief.since if self.mischief is not None else ""
        return self._derive(f"softpos tokens {self.settings.profile}{since}")

    def now(self) -> Instant:
        """Now."""
        return self.clock.now()

    def app(self, client_id: str) -> ClientApp | None:
        """The application of this id in this profile, unless it is revoked."""
        found = self.engine.estate.client_apps.get(client_id)
        if found is None or found.profile != self.settings.profile or found.revoked_at is not None:
            return None
        return found

    def app_with(self, certificate_digest: bytes) -> ClientApp | None:
        """The application whose certificate has this SHA-256, as in `app`."""
        for each in self.engine.estate.client_apps.values():
            if each.certificate_digest == certificate_digest and (found := self.app(each.id)):
                return found
        return None

    def public_key(self, app: ClientApp) -> RSAKey:
        """What the application's assertions are checked with."""
        return self._certificate(app).key

    def has_expired(self, app: ClientApp) -> bool:
        """Whether its certificate has. The handshake looks at that, too, but not when a session is
        resumed, nor while a connection lasts."""
        return self._certificate(app).ends <= self.now()

    def remind(self, app: ClientApp) -> None:
        """Say once a day that its certificate ends soon: nobody is let in with it then."""
        ends, now = self._certificate(app).ends, self.clock.monotonic()
        if ends - self.now() > client_apps.SOON or self._reminded.get(app.id, now) > now:
            return
        self._reminded[app.id] = now + _DAY
        structlog.get_logger().warning(
            "an application's certificate ends soon",
            application=app.id,
            ends=utc(ends).isoformat(),
        )

    def _certificate(self, app: ClientApp) -> _Certificate:
        known = self._certificates.get(app.certificate_digest)
        if known is None:
            if len(self._certificates) > len(self.engine.estate.client_apps):
                self._certificates.clear()  # of what is revoked
            known = _Certificate(load(app.certificate), client_apps.ends(app))
            self._certificates[app.certificate_digest] = known
        return known
