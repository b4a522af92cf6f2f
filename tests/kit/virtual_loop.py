"""An asyncio event loop on a virtual clock.

When nothing is ready, time jumps to the next timer, so hours pass in milliseconds. There are no
threads and no sockets: `run_in_executor` runs on the loop, and connections run over the in-memory
`Network` beside it. Two runs from one seed take the same steps. A *step* is one callback that the
loop runs (what a task does between two awaits): tests count steps, and kill or pause between two.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import random
import socket
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any, Final, TypeVar

from tests.kit.network import Network, ProtocolFactory
from tillwire.clock import Instant, TransactionIds

T = TypeVar("T")

EPOCH: Final = Instant(1_773_480_000_000)
"""Where virtual time begins: 2026-03-14T09:20:00Z."""
STEP_LIMIT: Final = 2_000_000
"""Steps after which a loop is called a runaway."""
TIME_LIMIT: Final = 30 * 86_400.0
"""Virtual seconds after which a loop is called a runaway."""

TaskCoroutine = Any  # what a Task runs: a coroutine or a generator with its three methods


class DeadlockError(AssertionError):
    """Nothing is ready and no timer is pending: everybody waits for ever."""


class RunawayError(AssertionError):
    """The loop went beyond its limit of steps or of virtual time."""


class Killed(BaseException):
    """The process on this loop died between two steps. Not an `Exception`, so nobody under test
    catches it; it comes out of `run_until_complete`."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop, its clock, its randomness and its network."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _stopping: bool

    def __init__(self, seed: int = 0, *, begin: float = 0.0) -> None:
        """`begin` is where the loop's time starts, in seconds after `EPOCH`."""
        super().__init__()
        self.random = random.Random(seed)
        self.network = Network(self, self.random)
        self.clock = VirtualClock(self)
        self.steps = 0
        self.unnoticed: list[dict[str, Any]] = []
        """Contexts of errors that nobody awaited (asyncio's exception handler was called)."""
        self.after_step: Callable[[], None] | None = None
        """Called after every step, to look at what it left."""
        self._now = begin
        self._time_limit = begin + TIME_LIMIT
        self._remains: set[asyncio.Task[Any]] = set()
        self._interventions: dict[int, Callable[[], None]] = {}
        self.set_exception_handler(lambda _, context: self.unnoticed.append(context))

    # --- time ---------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let time pass without anything running, as in a process that is stopped."""
        self._now += seconds

    def at_step(self, number: int, intervene: Callable[[], None]) -> None:
        """Call `intervene` right before the step with this number (the first step is 1)."""
        assert number > self.steps, "that step is over"
        self._interventions[number] = intervene

    def kill_at(self, number: int) -> None:
        """Die right before the step with this number."""
        self.at_step(number, self._die)

    def _die(self) -> None:
        # Whoever is left is kept, so that nothing of it runs before `abandon`.
        self._remains = asyncio.all_tasks(self)
        raise Killed

    def _run_once(self) -> None:
        while self._scheduled and self._scheduled[0].cancelled():
            heapq.heappop(self._scheduled)
        if not self._ready and not self._stopping:
            self._advance()
        while self._scheduled and self._scheduled[0].when() <= self._now:
            self._ready.append(heapq.heappop(self._scheduled))
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                self._step(handle)

    def _advance(self) -> None:
        if not self._scheduled:
            raise DeadlockError(f"{DeadlockError.__doc__}\n{self._waiting()}")
        self._now = max(self._now, self._scheduled[0].when())
        if self._now > self._time_limit:
            raise RunawayError(f"{RunawayError.__doc__}\n{self._waiting()}")

    def _step(self, handle: asyncio.Handle) -> None:
        self.steps += 1
        if self.steps > STEP_LIMIT:
            raise RunawayError(f"{RunawayError.__doc__}\n{self._waiting()}")
        if self.steps in self._interventions:
            self._interventions.pop(self.steps)()
        handle._run()
        if self.after_step is not None:
            self.after_step()

    def _waiting(self) -> str:
        lines = []
        for task in asyncio.all_tasks(self):
            frames = traceback.StackSummary.extract((f, f.f_lineno) for f in task.get_stack())
            place = frames[-1] if frames else None
            where = f"{place.filename}:{place.lineno} in {place.name}" if place else "its start"
            lines.append(f"  {task.get_name()} waits at {where}")
        return "\n".join(sorted(lines)) or "  There is no task at all."

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass  # cancelled timers are dropped when they come to the front

    def _process_events(self, event_list: object) -> None:
        pass  # there is no selector

    # --- threads and sockets, of which there are none -------------------------------------------

    def call_soon_threadsafe(  # type: ignore[override]  # with what asyncio's own one takes
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Refuse threads. The loop does not wait for them, so that a test with one would pass or
        fail as fast as the machine is: it fails always, by `unnoticed`."""
        if threading.get_ident() != threading.main_thread().ident:
            words = f"The thread {threading.current_thread().name} called a virtual loop."
            self.unnoticed.append({"message": words})
            raise RuntimeError(words)
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(
        self, executor: object, work: Callable[..., T], *args: object
    ) -> asyncio.Future[T]:
        """Run `work` as a step of this loop."""
        future: asyncio.Future[T] = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(work(*args))
            except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits
                future.set_exception(error)

        self.call_soon(run)
        return future

    async def getaddrinfo(  # type: ignore[override]  # only what callers of it here pass
        self, host: str, port: int, **_: object
    ) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        """Look a name up in the in-memory network."""
        await asyncio.sleep(0)
        address = (self.network.resolve(host), int(port or 0))
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect in memory; `create_connection(sock=sock)` then takes the connection over."""
        await self.network.connect_socket(sock, address[0], address[1])

    async def create_connection(  # type: ignore[override]  # only what callers of it here pass
        self,
        protocol_factory: ProtocolFactory,
        host: str | None = None,
        port: int | None = None,
        **options: Any,  # Any: asyncio's own keyword arguments
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect in memory, TLS included."""
        return await self.network.create_connection(protocol_factory, host, port, **options)

    async def create_server(  # type: ignore[override]  # only what callers of it here pass
        self,
        protocol_factory: ProtocolFactory,
        host: str | None = None,
        port: int | None = None,
        **options: Any,  # Any: asyncio's own keyword arguments
    ) -> asyncio.AbstractServer:
        """Listen in memory."""
        return self.network.listen(protocol_factory, host, port, **options)

    def abandon(self) -> None:
        """Throw away everything on this loop, as a crash does: no task runs any further.

        Call it once what is durable was copied elsewhere: throwing a coroutine away may run its
        `finally` blocks, whose effects and complaints are of a process that is dead already.
        """
        tasks = self._remains | asyncio.all_tasks(self)
        self.set_exception_handler(lambda _, __: None)
        self.close()
        with silence(), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of coroutines that never began
            for task in tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # of the C class
                coroutine: TaskCoroutine = task.get_coro()
                try:
                    coroutine.close()
                except BaseException:  # noqa: BLE001 - the dead tell no tales
                    continue


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Log nothing: what ends by force says nothing worth reading."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


class VirtualClock:
    """The `Clock` port on a virtual loop: its time, its seed."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self._ids = TransactionIds(self.random_digits)

    def now(self) -> Instant:
        """The wall time."""
        return Instant(EPOCH + round(self.loop.time() * 1000))

    def monotonic(self) -> float:
        """Seconds on the loop's clock."""
        return self.loop.time()

    def random_digits(self, count: int) -> str:
        """`count` decimal digits of the seed."""
        return str(self.loop.random.randrange(10**count)).zfill(count)

    def token(self, size: int = 32) -> str:
        """`size` bytes of the seed in hexadecimal."""
        return self.loop.random.randbytes(size).hex()

    def transaction_id(self) -> str:
        """An id that no transaction has."""
        return self._ids.next(self.now())


def virtual_loop() -> VirtualLoop:
    """The virtual loop that is running."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "this runs on a virtual loop only"
    return loop
