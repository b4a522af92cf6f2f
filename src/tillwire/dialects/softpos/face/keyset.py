"""The keys of ours that assertions are encrypted to: read from the estate, opened by the vault, and
made where there are too few.

The estate's picture changes when they are rotated (`tillwire softpos rotate-keys`), also by another
process, and the keys here with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from tillwire.core.engine import Engine
from tillwire.core.estate_model import SealedKey
from tillwire.core.ports import Clock, Unit, Vault
from tillwire.dialects.softpos.wire.keys import NamedKey, load
from tillwire.errors import JournalError
from tillwire.estate import client_apps


class KeySet:
    """The live keys of one profile."""

    def __init__(self, engine: Engine, vault: Vault, clock: Clock, profile: str) -> None:
        self._engine = engine
        self._vault = vault
        self._clock = clock
        self._profile = profile
        self._making = asyncio.Lock()
        self._sealed: list[SealedKey] = []
        self._opened: tuple[NamedKey, ...] = ()

    async def live(self) -> tuple[NamedKey, ...]:
        """The keys that are live and can be opened, newest first. Raises `JournalError` when none
        can, or none can be made."""
        if self._known() != self._sealed or len(self._sealed) < client_apps.LIVE_KEYS:
            async with self._making:
                while len(self._known()) < client_apps.LIVE_KEYS:
                    await self._make()
                if (found := self._known()) != self._sealed:
                    # In a thread: a private key is looked at for longer than a till should wait.
                    self._opened = await asyncio.to_thread(self._open, found)
                    self._sealed = found
        return self._opened

    def _open(self, sealed: Sequence[SealedKey]) -> tuple[NamedKey, ...]:
        """Those that can be opened. One that cannot be, since it was sealed with another key file,
        must not keep the others from being used."""
        opened: list[NamedKey] = []
        failed: JournalError | None = None
        for each in sealed:
            try:
                opened.append(NamedKey(each.id, load(self._vault.open(each.sealed))))
            except JournalError as error:
                structlog.get_logger().error(
                    "a key cannot be opened", key=each.id, reason=error.detail
                )
                failed = error
        if failed is not None and not opened:
            raise failed
        return tuple(opened)

    def _known(self) -> list[SealedKey]:
        return self._engine.estate.live_keys(client_apps.purpose(self._profile))

    async def replace_all(self) -> None:
        """Retire all that are live, and have new ones: what is encrypted to a key that was fetched
        before is opened no more. Raises `JournalError`."""
        async with self._making:
            made = [await self._new() for _ in range(client_apps.LIVE_KEYS)]

            def add(unit: Unit) -> None:
                for each in made:
                    client_apps.add_key(unit, each)

            await self._engine.change_estate(add)

    async def _new(self) -> SealedKey:
        return await asyncio.to_thread(
            client_apps.new_sealed_key, self._profile, self._vault, self._clock
        )

    async def _make(self) -> None:
        made = await self._new()

        def add(unit: Unit) -> None:
            # Another process may have made it meanwhile.
            if len(unit.estate().live_keys(made.purpose)) < client_apps.LIVE_KEYS:
                client_apps.add_key(unit, made)

        await self._engine.change_estate(add)
