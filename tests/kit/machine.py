"""A machine on which the gateway lives, dies and lives again, in virtual time.

Two ways to die. `live(kill_at=n)` really ends the process before step n. `moments` lets it live,
and takes the disk after every step that changed it: each is what the next life would find had the
process died there. A process that repeats its steps from its seed makes the two the same, and a
test says so; the second is many times quicker.

The disk is a folder. A kill ends the process between two steps of its loop, with nothing run
after it: the files are copied as they lie there in that moment (SQLite's log included), the dead
process is thrown away on the old folder, and the next life starts from the copy. Time goes on.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from tests.kit import shop
from tests.kit.gateway import JOURNAL, NONE, PORTS, FaceSettings, GatewayUnderTest
from tests.kit.runner import run
from tests.kit.virtual_loop import Killed, VirtualLoop, virtual_loop
from tillwire.journal.sqlite import SqliteJournal

T = TypeVar("T")
K = TypeVar("K")

Scenario = Callable[[GatewayUnderTest], Coroutine[Any, Any, T]]
Build = Callable[[Path], Any]  # Any: what lives on the machine, if it is not one gateway

_MEMORY_DISK: Final = Path("/dev/shm")
_NOT_DURABLE: Final = ("-shm", ".owner")
"""Ends of file names that a restart makes anew."""


@dataclass(frozen=True)
class Life(Generic[T]):
    """One life of the process."""

    killed: bool
    result: T | None
    """What the scenario returned; None when it was killed."""
    first_step: int
    """The step of the loop at which the scenario began: before it, the gateway started."""
    last_step: int


@dataclass(frozen=True)
class Moment(Generic[K]):
    """What a process that died at this step would leave behind."""

    step: int
    time: float
    disk: Path
    known: K
    """What the world outside had learned by then."""


class Machine:
    """Runs one life after the other on one disk."""

    def __init__(
        self,
        disk: Path,
        seed: int = 0,
        faces: Mapping[str, int] = PORTS,
        settings: FaceSettings = NONE,
        *,
        build: Build | None = None,
    ) -> None:
        """`disk` is an empty folder, which gets the shop's journal. Without `faces`, a scenario
        talks to the engine itself; `settings` are those of the faces, by name. `build` makes
        something else of the folder, which starts, stops and lets go as a gateway does."""
        self._disk = disk
        self._build = build or partial(GatewayUnderTest, faces=faces, settings=settings)
        self._seed = seed
        self._life = 0
        self._time = 0.0
        self.here = disk / "life-0"
        self.here.mkdir(parents=True)
        found_journal(self.here)

    @classmethod
    def after(cls, moment: Moment[Any], disk: Path, **options: Any) -> Machine:
        """A machine that went down at that moment. `disk` is a new folder."""
        machine = cls(disk, **options)
        machine._life, machine._time = 1, moment.time
        copy_durable(moment.disk, machine.here)
        return machine

    def live(
        self,
        scenario: Scenario[T],
        *,
        kill_at: int | None = None,
        prepare: Callable[[VirtualLoop], None] | None = None,
    ) -> Life[T]:
        """Start the gateway and play the scenario; die right before the step `kill_at` (counted
        from the process's own start) if that comes. `prepare` may set faults or pauses."""
        loop = VirtualLoop(self._seed * 1_000_003 + self._life, begin=self._time)
        if kill_at is not None:
            loop.kill_at(kill_at)
        if prepare is not None:
            prepare(loop)
        process = _Process(partial(self._build, self.here), scenario)
        try:
            result = run(process.main(), loop)
        except Killed:
            self._bury(process, loop)
            return Life(True, None, process.first_step, loop.steps)
        except BaseException:
            process.let_go()
            raise
        finally:
            self._life += 1
            self._time = loop.time()
        return Life(False, result, process.first_step, process.last_step)

    def moments(
        self,
        scenario: Scenario[T],
        know: Callable[[], K],
        *,
        prepare: Callable[[VirtualLoop], None] | None = None,
    ) -> list[Moment[K]]:
        """Play the scenario to its end. Every moment that differs from the one before, in what is
        on the disk or in what `know` tells: from the process's start, recovery included, to its
        stop."""
        moments: list[Moment[K]] = []
        last: list[object] = [None]

        def watch(loop: VirtualLoop) -> None:
            def look() -> None:
                now = (_marks(self.here), know())
                if now != last[0]:
                    last[0] = now
                    disk = self._disk / f"moment-{loop.steps}"
                    disk.mkdir()
                    copy_durable(self.here, disk)
                    moments.append(Moment(loop.steps, loop.time(), disk, now[1]))

            loop.after_step = look
            if prepare is not None:
                prepare(loop)

        self.live(scenario, prepare=watch)
        return moments

    def wait(self, seconds: float) -> None:
        """Let time pass while nothing runs."""
        self._time += seconds

    def _bury(self, process: _Process[T], loop: VirtualLoop) -> None:
        grave, self.here = self.here, self._disk / f"life-{self._life + 1}"
        self.here.mkdir()
        copy_durable(grave, self.here)
        loop.abandon()
        process.let_go()
        shutil.rmtree(grave)


def copy_durable(source: Path, target: Path) -> None:
    """Copy what a crash leaves of the folder into another one, which is there."""
    for file in source.iterdir():
        if file.is_dir():
            (target / file.name).mkdir(exist_ok=True)
            copy_durable(file, target / file.name)
        elif not file.name.endswith(_NOT_DURABLE):
            shutil.copy(file, target / file.name)


def _marks(folder: Path) -> tuple[tuple[str, int, int], ...]:
    marks: list[tuple[str, int, int]] = []
    for file in os.scandir(folder):
        if file.is_dir():
            marks += _marks(Path(file.path))
        elif not file.name.endswith(_NOT_DURABLE):
            status = file.stat()
            marks.append((file.path, status.st_mtime_ns, status.st_size))
    return tuple(sorted(marks))


class _Process(Generic[T]):
    def __init__(self, create: Callable[[], GatewayUnderTest], scenario: Scenario[T]) -> None:
        self._create = create
        self._scenario = scenario
        self._gateway: GatewayUnderTest | None = None
        self.first_step = 0
        self.last_step = 0

    async def main(self) -> T:
        gateway = self._gateway = self._create()
        loop = virtual_loop()
        await gateway.start()
        self.first_step = loop.steps
        result = await self._scenario(gateway)
        self.last_step = loop.steps
        await gateway.stop()
        return result

    def let_go(self) -> None:
        if self._gateway is not None:
            self._gateway.let_go()


def memory_disk() -> tempfile.TemporaryDirectory[str]:
    """An empty folder, in memory where the system has such: many kills need many commits."""
    where = _MEMORY_DISK if _MEMORY_DISK.is_dir() else None
    return tempfile.TemporaryDirectory(prefix="tillwire-", dir=where)


def found_journal(folder: Path) -> None:
    """Put the shop's journal into the folder."""
    shutil.copy(_founded_journal(), folder / JOURNAL)


@functools.cache
def _founded_journal() -> Path:
    # Made once for all machines of this test run: migrations are slow.
    directory = memory_disk()
    _kept.append(directory)
    path = Path(directory.name) / JOURNAL
    journal = SqliteJournal(path, inline=True)
    journal.commit_now(shop.found)
    journal.close()
    return path


_kept: Final[list[tempfile.TemporaryDirectory[str]]] = []
"""Folders that live until the interpreter ends."""
