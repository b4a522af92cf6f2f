"""An outbox with letters in it, and who receives them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.kit.virtual_loop import VirtualClock, VirtualLoop
from tillwire.callbacks.deliver import Delivery
from tillwire.clock import Instant, SystemClock
from tillwire.core.letters import Letter, LetterState
from tillwire.core.ports import Clock, HttpClient, HttpResponse
from tillwire.errors import NotDelivered
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.vault import KeyFileVault, key_path

PAUSES: Final = (2.0, 10.0, 60.0)


class Receiver:
    """Receives letters in memory, and answers by what `answer` says of a letter's words."""

    def __init__(self, answer: Callable[[str], int | Exception] = lambda _: 200) -> None:
        self._answer = answer
        self.heard: list[tuple[float, str]] = []
        """When, and what: host and body."""
        self.under_way: dict[str, int] = {}
        self.most_under_way: dict[str, int] = {}
        self.seconds: Mapping[str, float] = {}
        """How long hosts, or addresses, take to answer."""
        self.headers: list[Mapping[str, str]] = []

    async def request(self, method: str, url: str, **options: Any) -> HttpResponse:
        assert method == "POST"
        host = url.split("/")[2]
        loop = asyncio.get_running_loop()
        words = f"{host} {options['body'].decode('latin-1')}"
        self.heard.append((loop.time(), words))
        self.headers.append(options["headers"])
        self.under_way[host] = self.under_way.get(host, 0) + 1
        self.most_under_way[host] = max(self.most_under_way.get(host, 0), self.under_way[host])
        try:
            seconds = self.seconds.get(url, self.seconds.get(host, 0.0))
            await asyncio.sleep(min(seconds, options["timeout"]))
            if seconds > options["timeout"]:
                raise NotDelivered("Nobody is there.")
        finally:
            self.under_way[host] -= 1
        answer = self._answer(words)
        if isinstance(answer, Exception):
            raise answer
        return HttpResponse(answer, (), b"")

    def words(self) -> list[str]:
        """What was heard, in its order."""
        return [words for _, words in self.heard]


class SetClock(VirtualClock):
    """The clock of the running loop, whose wall time somebody sets."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        super().__init__(loop)
        self.ahead = 0
        """Milliseconds."""

    def now(self) -> Instant:
        """The wall time."""
        return Instant(super().now() + self.ahead)


class Outbox:
    """One life of a journal with a delivery on it."""

    def __init__(
        self, folder: Path, client: HttpClient, *, clock: Clock | None = None, **options: Any
    ) -> None:
        loop = asyncio.get_running_loop()
        virtual = isinstance(loop, VirtualLoop)
        usual = loop.clock if isinstance(loop, VirtualLoop) else SystemClock()
        self.clock: Clock = clock or usual
        self.journal = SqliteJournal(folder / "journal.db", inline=virtual)
        self.vault = KeyFileVault(key_path(self.journal.path))
        self.counted: list[tuple[str, LetterState, float]] = []
        self.news = asyncio.Event()
        self.delivery = Delivery(
            self.journal, self.vault, client, self.clock, counted=_Counter(self), **options
        )

    def letter(
        self,
        body: str = "told",
        *,
        url: str = "http://till.example/told",
        transaction: str | None = "1",
        headers: Mapping[str, str] | None = None,
        **special: Any,
    ) -> Letter:
        """A letter to an address."""
        now = self.clock.now()
        words = {
            "organisation_id": "shop",
            "channel": "callback",
            "kind": "RECEIVED",
            "created_at": now,
            "due_at": now,
            "pauses": PAUSES,
            **special,
        }
        sealed = self.vault.seal(json.dumps({"url": url, "headers": dict(headers or {})}))
        return Letter(transaction_id=transaction, body=body.encode(), sealed=sealed, **words)

    async def post(self, *letters: Letter) -> list[int]:
        """Commit letters, and tell the delivery."""
        ids = await self.journal.commit(lambda unit: [unit.post(each) for each in letters])
        self.delivery.posted()
        return ids

    async def found(self, letter_id: int) -> Letter:
        """The letter as committed."""
        found = await self.journal.read(lambda reader: reader.letter(letter_id))
        assert found is not None
        return found

    async def settled(self, letter_id: int, within: float = 86_400) -> Letter:
        """The letter, once it waits no more."""
        async with asyncio.timeout(within):
            while True:
                self.news.clear()  # before the look: what comes while it lasts is news
                if (found := await self.found(letter_id)).state is not LetterState.WAITING:
                    return found
                await self.news.wait()


class _Counter:
    def __init__(self, life: Outbox) -> None:
        self._life = life

    def letter(self, channel: str, state: LetterState, seconds: float) -> None:
        self._life.counted.append((channel, state, seconds))
        self._life.news.set()


@asynccontextmanager
async def outbox(
    folder: Path, client: HttpClient, *, start: bool = True, **options: Any
) -> AsyncIterator[Outbox]:
    """A life of the outbox in `folder`."""
    life = Outbox(folder, client, **options)
    if start:
        life.delivery.start()
    try:
        yield life
    finally:
        await life.delivery.stop()
        life.journal.close()


def long_ago(letter: Letter, days: int) -> Instant:
    """So many days before the letter was written."""
    return Instant(letter.created_at - days * 86_400_000)
