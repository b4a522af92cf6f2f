"""The delivery: takes letters from the journal's outbox and posts them, until each is delivered or
given up.

At least once: what was sent and not yet settled when the process died is sent again. The first
tries of one transaction's letters on one channel go out in their order; a later try waits for
nobody. Whose turn it is, is the round's to say (`rounds.py`); which addresses may be called, the
client's (`net/addresses.py`); what is told to whom, the tellers'.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
import structlog

from tillwire.callbacks.rounds import Rounds, Trip
from tillwire.clock import Instant
from tillwire.core.letters import CALLBACK, KEPT_FOR, Letter, LetterState
from tillwire.core.ports import Clock, HttpClient, Journal, Vault
from tillwire.errors import JournalError, NotDelivered, PeerError, Proof, TillwireError
from tillwire.net.addresses import AddressRefused

PARALLEL: Final = 64
"""Letters that are under way at once, to all hosts."""
PARALLEL_PER_HOST: Final = 4
"""The same, to one host that answers."""
LOOK_EVERY: Final = 5.0
"""Seconds between looks for letters that another program has put into the outbox."""
PAGE: Final = 100
"""Letters that are read at once."""
ANSWER_LIMIT: Final = 64 * 1024
"""Bytes of an answer, of which only the status counts."""
FORGET_EVERY: Final = 3600.0
"""Seconds between looks for letters that are too old to keep."""
FORGET_AT_ONCE: Final = 500
_JOURNAL_PAUSES: Final = (0.1, 0.5, 1.0, 5.0)
"""Seconds between tries to journal what became of a letter; the last one repeats."""
_OURS: Final = frozenset(
    {"host", "connection", "content-length", "content-encoding", "transfer-encoding", "te"}
    | {"expect", "upgrade", "trailer", "keep-alive", "proxy-connection"}
)
"""Headers that are the transport's, and nobody else's to set."""


class Destination(msgspec.Struct, frozen=True):
    """What is sealed in a letter."""

    url: str
    headers: dict[str, str] = {}


_destination: Final = msgspec.json.Decoder(Destination)


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
        self._seen = 0
        self._news = asyncio.Event()
        self._posted = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger().bind()

    # --- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what waits, and go on."""
        self._spawn(self._follow(), "callbacks")
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
                await self._load()
            for trip in self._rounds.begin(self._clock.now()):
                self._spawn(self._carry(trip), f"letter {trip.letter_id}")
            pause = min(LOOK_EVERY, self._rounds.next_in(self._clock.now()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    async def _load(self) -> None:
        """Read what is new in the outbox, as far as there is room for it."""
        while self._rounds.has_room:
            try:
                page = await self._journal.read(
                    lambda reader: reader.waiting_letters(self._seen, PAGE)
                )
            except JournalError as error:
                self._log.warning("letters cannot be read", reason=str(error))
                return
            for letter in page:
                self._seen = letter.id
                await self._take(letter)
            if len(page) < PAGE:
                return
        self._posted = True  # when there is room again

    async def _take(self, letter: Letter) -> None:
        try:
            destination = self._opened(letter)
        except TillwireError as error:
            # It waits in the journal for a start with the right key.
            self._log.error("a letter cannot be opened", letter=letter.id, reason=error.detail)
            return
        if not self._rounds.take(letter, _host_of(destination.url)):
            trouble = "Too many letters wait for its host."
            await self._settle(_given_up(letter, self._clock.now(), trouble))

    def _opened(self, letter: Letter) -> Destination:
        """Raises `JournalError`."""
        try:
            return _destination.decode(self._vault.open(letter.sealed))
        except msgspec.MsgspecError as error:
            raise JournalError(f"It has no destination: {error}.") from error

    # --- one letter ---------------------------------------------------------------------------

    async def _carry(self, trip: Trip) -> None:
        try:
            letter = await self._journal.read(lambda reader: reader.letter(trip.letter_id))
            if letter is None or letter.state is not LetterState.WAITING:
                self._rounds.end(trip)  # forgotten, or sent again under another id
                return
            settled = await self._tried(letter)
            await self._settle(settled)
            waits = settled.state is LetterState.WAITING
            again_at = settled.due_at if waits else None
            self._rounds.end(trip, again_at, failing=bool(settled.trouble))
        except Exception as error:  # noqa: BLE001 - whatever it was, the letter waits
            self._log.warning("a letter was not sent", letter=trip.letter_id, reason=str(error))
            self._rounds.put_off(trip, Instant(self._clock.now() + round(LOOK_EVERY * 1000)))
        finally:
            self._news.set()

    async def _tried(self, letter: Letter) -> Letter:
        """The letter after one more try. Raises `JournalError` when it cannot be opened."""
        if not self._wanted(letter):
            return _given_up(letter, self._clock.now(), "Nobody wants it any more.")
        trouble = await self._sent(letter)
        now = self._clock.now()
        letter = msgspec.structs.replace(letter, tries=letter.tries + 1, trouble=trouble)
        if not trouble:
            return msgspec.structs.replace(letter, state=LetterState.DELIVERED, settled_at=now)
        if letter.tries > len(letter.pauses):
            return _given_up(letter, now, trouble)
        due_at = Instant(now + round(letter.pauses[letter.tries - 1] * 1000))
        return msgspec.structs.replace(letter, due_at=due_at)

    async def _sent(self, letter: Letter) -> str:
        """Send it once; why it did not arrive, empty when it did."""
        destination = self._opened(letter)
        headers = {"Content-Type": "application/json"}
        names = {name.lower() for name in destination.headers}
        if "content-type" in names:
            headers.clear()
        headers |= {
            name: value for name, value in destination.headers.items() if name.lower() not in _OURS
        }
        body = letter.body
        if letter.gzip:
            body = gzip.compress(body, compresslevel=6, mtime=0)
            headers["Content-Encoding"] = "gzip"
        try:
            answer = await self._client.request(
                "POST",
                destination.url,
                headers=headers,
                body=body,
                timeout=letter.patience,
                limit=ANSWER_LIMIT,
            )
        except AddressRefused as error:
            return error.detail
        except NotDelivered as error:
            refused = error.proof is Proof.CONNECT_REFUSED
            return "The connection was refused." if refused else "There was no connection."
        except PeerError:
            return f"It did not answer as a whole within {letter.patience:g} seconds."
        except Exception as error:  # noqa: BLE001 - no letter may hold up the others
            return f"It could not be sent ({type(error).__name__})."
        delivered = answer.status == 200 or (
            letter.channel != CALLBACK and 200 <= answer.status < 300
        )
        return "" if delivered else f"It answered {answer.status}."

    async def _settle(self, letter: Letter) -> None:
        """Journal what became of it, whatever it takes."""
        pauses = iter(_JOURNAL_PAUSES)
        while True:
            try:
                await self._journal.commit(lambda unit: unit.settle_letter(letter))
                break
            except JournalError:
                await asyncio.sleep(next(pauses, _JOURNAL_PAUSES[-1]))
        if letter.state is LetterState.WAITING:
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
            with contextlib.suppress(JournalError):  # the next time, then
                await self._forget(Instant(self._clock.now() - KEPT_FOR * 1000))
            await asyncio.sleep(FORGET_EVERY)

    async def _forget(self, before: Instant) -> None:
        while await self._journal.read(lambda reader: reader.has_old_letters(before)):
            await self._journal.commit(lambda unit: unit.drop_letters(before, FORGET_AT_ONCE))


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""  # the client refuses it


def _given_up(letter: Letter, now: Instant, trouble: str) -> Letter:
    return msgspec.structs.replace(
        letter, state=LetterState.GIVEN_UP, settled_at=now, trouble=trouble
    )
