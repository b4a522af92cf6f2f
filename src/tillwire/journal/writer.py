"""Group commit: one writer that commits all waiting units of work together.

While one group is being made durable, the next one gathers, so that under load many sales share
one fsync and alone each has its own. What one turn of the event loop asks for goes into one group:
the thread is woken at the turn's end, since it would fight with the loop for the interpreter's lock
until then. A unit that fails must not take its neighbours along: one
that fails before it wrote anything simply drops out; if it fails after, the group is rolled back
and its units are run again one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, Generic, Protocol, TypeVar

from tillwire.errors import JournalError

GROUP_LIMIT: Final = 256
"""Units that share one commit at most: bounds how long the first of them waits."""
QUEUE_LIMIT: Final = 65_536
"""Units that may wait at most; more are refused before anything is sent."""

U = TypeVar("U")


class Committer(Protocol[U]):
    """One database transaction at a time, on a connection of its own. Used by one thread."""

    def begin(self) -> None: ...
    def unit(self) -> U: ...
    def wrote(self, unit: U) -> bool: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def translated(self, error: Exception) -> Exception:
        """The same error in our own words, if it is the database's."""

    def close(self) -> None: ...


class _Job(Generic[U]):
    __slots__ = ("error", "future", "loop", "result", "work")

    def __init__(self, work: Callable[[U], Any], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.loop = future.get_loop()
        self.result: Any = None
        self.error: Exception | None = None

    def resolve(self) -> None:
        if self.future.done():  # the caller was cancelled; what was committed stays committed
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def run_group(committer: Committer[U], jobs: list[_Job[U]]) -> None:
    """Run the jobs' work in one database transaction; afterwards each has its result or error."""
    try:
        committer.begin()
    except Exception as error:  # noqa: BLE001 - whatever it was, nothing was run
        # Each of them alone would wait just as long for a lock that is not to be had.
        _roll_back(committer)
        for job in jobs:
            job.error = _as_journal_error(committer, error)
        return
    try:
        for job in jobs:
            _attempt(committer, job)
        committer.commit()
    except Exception as error:  # noqa: BLE001 - whatever it was, the group did not become durable
        _roll_back(committer)
        if len(jobs) == 1:
            jobs[0].error = _as_journal_error(committer, error)
        else:
            for job in jobs:
                run_group(committer, [job])


def _attempt(committer: Committer[U], job: _Job[U]) -> None:
    job.result, job.error = None, None
    unit = committer.unit()
    try:
        job.result = job.work(unit)
    except Exception as error:
        if committer.wrote(unit):
            raise
        job.error = committer.translated(error)


def _roll_back(committer: Committer[U]) -> None:
    try:
        committer.rollback()
    except Exception as error:  # noqa: BLE001 - the next begin will say what is wrong
        committer.translated(error)


def _as_journal_error(committer: Committer[U], error: Exception) -> Exception:
    return committer.translated(error)


class Writer(Generic[U]):
    """The thread that owns the writing connection."""

    def __init__(
        self,
        committer: Committer[U],
        *,
        name: str = "journal",
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        """`observe(units, seconds)` is told of every group that was committed."""
        self._committer = committer
        self._observe = observe
        self._waiting: deque[_Job[U]] = deque()
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._waker: asyncio.AbstractEventLoop | None = None  # the loop that is about to wake it
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name=f"tillwire-{name}", daemon=True)
        self._thread.start()

    def commit(self, work: Callable[[U], Any]) -> asyncio.Future[Any]:
        """Run `work(unit)` and commit it; its result, once it is durable."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if self._closing:
            future.set_exception(JournalError("It is being closed."))
        elif len(self._waiting) >= QUEUE_LIMIT:
            future.set_exception(
                JournalError("Too many units of work are waiting to be committed.")
            )
        else:
            self._waiting.append(_Job(work, future))
            if self._waker is not loop:
                self._waker = loop
                loop.call_soon(self._wake)
        return future

    def _wake(self) -> None:
        self._waker = None
        self._wakes.put(None)

    def _serve(self) -> None:
        while not self._closing or self._waiting:
            self._wakes.get()
            left = len(self._waiting)  # what comes from now on wakes the thread anew
            while left:
                jobs = [self._waiting.popleft() for _ in range(min(left, GROUP_LIMIT))]
                left -= len(jobs)
                self._run(jobs)

    def _run(self, jobs: list[_Job[U]]) -> None:
        begun = time.perf_counter()
        run_group(self._committer, jobs)
        seconds = time.perf_counter() - begun
        _hand_back(jobs)
        if self._observe is not None:
            # Whoever watches must not be able to end this thread, and with it all commits.
            with contextlib.suppress(Exception):
                self._observe(len(jobs), seconds)

    def close(self) -> None:
        """Commit what waits, then stop. Blocks until the thread has ended."""
        if not self._closing:
            self._closing = True
            self._wakes.put(None)
            self._thread.join()
            self._committer.close()


def _hand_back(jobs: list[_Job[Any]]) -> None:
    """Resolve the jobs' futures, with one wake-up for each loop that waits."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, its_jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve_all, its_jobs)
        except RuntimeError:  # the loop has closed: nobody waits any more
            continue


def _resolve_all(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        job.resolve()


class InlineWriter(Generic[U]):
    """The same without a thread, for a loop on a virtual clock: a unit is committed in a turn of
    the loop of its own, and, as beside the thread, also when its caller is cancelled meanwhile."""

    def __init__(self, committer: Committer[U]) -> None:
        self._committer = committer

    def commit(self, work: Callable[[U], Any]) -> asyncio.Future[Any]:
        """Run `work(unit)` and commit it; its result, once it is durable."""
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future())
        loop.call_soon(self._run, job)
        return job.future

    def _run(self, job: _Job[U]) -> None:
        run_group(self._committer, [job])
        job.resolve()

    def close(self) -> None:
        """Give the connection back."""
        self._committer.close()
