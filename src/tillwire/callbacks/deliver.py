"""The delivery: takes letters from the journal's outbox and posts them, until each is delivered or
given up.

At least once: what was sent and not yet settled when the process died is sent again. The first
tries of one transaction's letters on one channel go out in their order; a later try waits for
nobody. Whose turn it is, is the round's to say (`rounds.py`); how a letter is sent, `posting.py`'s;
when what became of it is durable, `settling.py`'s; which addresses may be called, the client's
(`net/addresses.py`); what is told to whom, the tellers'.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import structlog

from tillwire.callbacks.posting import Destination, destination_of, host_of, post
from tillwire.callbacks.rounds import Pace, Rounds, Series, Trip
from tillwire.callbacks.settling import Settling
from tillwire.clock import Instant
from tillwire.core.letters import KEPT_FOR, Letter, LetterState
from tillwire.core.ports import Clock, HttpClient, Journal, Vault
from tillwire.errors import TillwireError

PARALLEL: Final = 64
"""Letters that are under way at once, to all hosts."""
PARALLEL_PER_HOST: Final = 16
"""The same, to one host that answers quickly."""
SLOW: Final = 1.5
"""Seconds after which an answer is a slow one."""
LOOK_EVERY: Final = 5.0
"""Seconds between looks for letters that another program has put into the outbox."""
PAGE: Final = 100
"""Letters that are read at once."""
KNOWN_BYTES: Final = 16 << 20
"""Of letters that are kept in memory for their first try; others are read again for it."""
FORGET_EVERY: Final = 3600.0
"""Seconds between looks for letters that are too old to keep."""
FORGET_AT_ONCE: Final = 500


class Counted(Protocol):
    """Whoever counts what becomes of letters: metrics."""

    def letter(self, channel: str, state: LetterState, seconds: float) -> None:
        """A letter was delivered or given up so many seconds after it was written. `channel` is
        `callback`, `notification` or `hook`."""


class Delivery:
    """Delivers the letters of one journal, in one process."""

    def __init__(
        self,
        journal: Journal,
        vault: Vault,
        client: HttpClient,
        clock: Clock,
        *,
        parallel: int = PARALLEL,
        parallel_per_host: int = PARALLEL_PER_HOST,
        wanted: Callable[[Letter], bool] = lambda _: True,
        counted: Counted | None = None,
    ) -> None:
        """`wanted` says whether a letter is still to be sent: its hook may be gone."""
        self._journal = journal
        self._vault = vault
        self._client = client
        self._clock = clock
        self._wanted = wanted
        self._counted = counted
        self._rounds = Rounds(parallel, parallel_per_host)
        self._settling = Settling(journal)
        self._seen = 0
        self._known = _Known()
        self._news = asyncio.Event()
        self._posted = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger().bind()

    # --- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what waits, and go on."""
        self._spawn(self._follow(), "callbacks")
        self._spawn(self._settling.run(), "settled letters")
        self._spawn(self._forget_old(), "old letters")

    def posted(self) -> None:
        """There are new letters in the outbox."""
        self._posted = True
        self._news.set()

    async def stop(self) -> None:
        """Let go of everything. What is under way is sent again at the next start."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._settling.finish()

    @property
    def waiting(self) -> int:
        """How many letters wait or are under way."""
        return self._rounds.count

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "The delivery failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    # --- the round ----------------------------------------------------------------------------

    async def _follow(self) -> None:
        looked = self._clock.monotonic()
        while True:
            self._news.clear()
            now = self._clock.monotonic()
            if self._posted or now - looked >= LOOK_EVERY:
                self._posted, looked = False, now
                try:
                    await self._load()
                except Exception as error:  # noqa: BLE001 - it looks again, whatever it was
                    self._log.warning("letters cannot be read", reason=_reason(error))
            if not self._settling.is_full:
                for trip in self._rounds.begin(self._clock.monotonic()):
                    self._spawn(self._carry(trip), f"letter {trip.letter_id}")
            pause = min(LOOK_EVERY, self._rounds.next_in(self._clock.monotonic()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    async def _load(self) -> None:
        """Read what is new in the outbox, one page at a time, as far as there is room for it."""
        if not self._rounds.has_room or self._settling.is_full:
            self._posted = True  # when there is room again
            return
        page = await self._journal.read(lambda reader: reader.waiting_letters(self._seen, PAGE))
        for letter in page:
            self._seen = letter.id
            self._take(letter)
        if len(page) == PAGE:
            self.posted()

    def _take(self, letter: Letter) -> None:
        try:
            destination = destination_of(letter, self._vault)
        except TillwireError as error:
            # It waits in the journal for a start with the right key.
            self._log.error("a letter cannot be opened", letter=letter.id, reason=error.detail)
            if self._clock.now() - letter.created_at > KEPT_FOR * 1000:
                self._settle(None, _given_up(letter, self._clock.now(), "No key opens it."))
            return
        host, due = host_of(letter, destination), self._due(letter)
        if not self._rounds.take(letter.id, host, due, _series_of(letter)):
            trouble = "Too many letters wait for its host."
            self._settle(None, _given_up(letter, self._clock.now(), trouble))
        elif not letter.tries:
            self._known.put(letter, destination)

    def _due(self, letter: Letter) -> float:
        """When its next try is due, by the monotonic clock: also when the wall clock was set back,
        it waits no longer than it was to from the beginning."""
        if 0 < letter.tries <= len(letter.pauses):
            longest = letter.pauses[letter.tries - 1]
        else:
            longest = (letter.due_at - letter.created_at) / 1000
        wait = min(longest, (letter.due_at - self._clock.now()) / 1000)
        return self._clock.monotonic() + wait if wait > 0 else 0.0

    # --- one letter ---------------------------------------------------------------------------

    async def _carry(self, trip: Trip) -> None:
        try:
            found = self._known.take(trip.letter_id) or await self._read(trip.letter_id)
            if found is None:  # forgotten, or sent again under another id
                self._rounds.arrived(trip, None)
                self._rounds.end(trip)
                return
            letter, pace = await self._tried(*found)
        except Exception as error:  # noqa: BLE001 - whatever it was, the letter waits
            reason = _reason(error)
            self._log.warning("a letter was not sent", letter=trip.letter_id, reason=reason)
            self._rounds.put_off(trip, self._clock.monotonic() + LOOK_EVERY)
        else:
            self._rounds.arrived(trip, pace)
            self._settle(trip, letter)
        finally:
            self._news.set()

    async def _read(self, letter_id: int) -> tuple[Letter, Destination] | None:
        """Raises `JournalError`, also when it cannot be opened."""
        letter = await self._journal.read(lambda reader: reader.letter(letter_id))
        if letter is None or letter.state is not LetterState.WAITING:
            return None
        return letter, destination_of(letter, self._vault)

    async def _tried(self, letter: Letter, destination: Destination) -> tuple[Letter, Pace | None]:
        """The letter after one more try, and how its host took it."""
        if not self._wanted(letter):
            return _given_up(letter, self._clock.now(), "Nobody wants it any more."), None
        begun = self._clock.monotonic()
        trouble = await post(self._client, letter, destination)
        slow = self._clock.monotonic() - begun > SLOW
        pace = Pace.FAILED if trouble else Pace.SLOW if slow else Pace.QUICK
        now = self._clock.now()
        letter = msgspec.structs.replace(letter, tries=letter.tries + 1, trouble=trouble)
        if not trouble:
            state = LetterState.DELIVERED
            return msgspec.structs.replace(letter, state=state, settled_at=now), pace
        if letter.tries > len(letter.pauses):
            return _given_up(letter, now, trouble), pace
        due_at = Instant(now + round(letter.pauses[letter.tries - 1] * 1000))
        return msgspec.structs.replace(letter, due_at=due_at), pace

    # --- what became of it ----------------------------------------------------------------------

    def _settle(self, trip: Trip | None, letter: Letter) -> None:
        """Have it journaled; a letter without a trip is in no round."""
        again_at = self._due(letter) if letter.state is LetterState.WAITING else None
        self._settling.put(letter, partial(self._settled, trip, letter, again_at))

    def _settled(
        self, trip: Trip | None, letter: Letter, again_at: float | None, counts: bool
    ) -> None:
        if trip is not None:
            # What counts no more was sent again by a person, under another id.
            self._rounds.end(trip, again_at if counts else None)
        self._news.set()
        if not counts or letter.state is LetterState.WAITING:
            return
        if letter.state is LetterState.GIVEN_UP:
            self._log.warning(
                "a letter was given up",
                letter=letter.id,
                transaction=letter.transaction_id,
                tries=letter.tries,
                reason=letter.trouble,
            )
        if self._counted is not None:
            seconds = max(0, self._clock.now() - letter.created_at) / 1000
            self._counted.letter(letter.channel.partition(":")[0], letter.state, seconds)

    # --- what is too old ------------------------------------------------------------------------

    async def _forget_old(self) -> None:
        while True:
            try:
                await self._forget(Instant(self._clock.now() - KEPT_FOR * 1000))
            except Exception as error:  # noqa: BLE001 - the next time, then
                self._log.warning("old letters cannot be dropped", reason=_reason(error))
            await asyncio.sleep(FORGET_EVERY)

    async def _forget(self, before: Instant) -> None:
        while await self._journal.read(lambda reader: reader.has_old_letters(before)):
            await self._journal.commit(lambda unit: unit.drop_letters(before, FORGET_AT_ONCE))


class _Known:
    """Letters that were read and not sent yet, opened, as far as they fit."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Letter, Destination]] = {}
        self._size = 0

    def put(self, letter: Letter, destination: Destination) -> None:
        size = _size(letter)
        if self._size + size <= KNOWN_BYTES:
            self._found[letter.id] = letter, destination
            self._size += size

    def take(self, letter_id: int) -> tuple[Letter, Destination] | None:
        found = self._found.pop(letter_id, None)
        if found is not None:
            self._size -= _size(found[0])
        return found


def _size(letter: Letter) -> int:
    return len(letter.body) + 2 * len(letter.sealed)


def _series_of(letter: Letter) -> Series | None:
    if letter.tries or letter.transaction_id is None:
        return None
    return letter.transaction_id, letter.channel


def _reason(error: Exception) -> str:
    """In words that tell no secret: only our own errors are known to have none."""
    return error.detail if isinstance(error, TillwireError) else type(error).__name__


def _given_up(letter: Letter, now: Instant, trouble: str) -> Letter:
    return msgspec.structs.replace(
        letter, state=LetterState.GIVEN_UP, settled_at=now, trouble=trouble
    )
