"""A process that has loaded the program once, and from which gateways and commands are forked.

Each of them is a process of its own, with its own folder, environment and files, and is killed as
one; only the second of imports is spared, of which the tests would need hundreds.

It serves a Unix socket. A connection brings one order, a line of JSON with the three standard files
attached (`nursery_client.py`), and hears the new process's `pid`, and its `status` when it has
ended. The nursery ends with its own standard input.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from msgspec.structs import replace

from tests.kit import nursery_client

ROOT: Final = Path(__file__).parents[2]
PRELOADED: Final = ("tillwire.cli", "tillwire.sandbox.run")
SENT_WITHIN: Final = 20.0
"""Seconds in which a command reaches a virtual terminal here (law 5): a busy machine may stop the
gateway, or keep it waiting for its disk, for longer than a shop would."""
HEARD_WITHIN: Final = 60.0
"""Seconds in which an application answers here that is called back; its machine is the same."""
_MOST: Final = 65_536
"""Octets that are read at once."""
_STARTS_WITHIN: Final = 60.0
"""Seconds for the nursery's own start, on a busy machine."""


class Nursery:
    """The tests' side."""

    def __init__(self) -> None:
        self.address: Final = str(Path(tempfile.mkdtemp(prefix="nursery-")) / "socket")
        """Where orders are taken."""
        client = str(nursery_client.__file__)
        self.tillwire: Final = (sys.executable, "-I", "-S", client, self.address)
        """A command that is quick to start, and does and ends as `tillwire` would: but the process
        that does it is another one."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.nursery", self.address],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the nursery did not start"

    def launch(
        self,
        command: Sequence[str],
        output: Path,
        errors: Path,
        environment: Mapping[str, str],
    ) -> Forked:
        """Fork `command`: the name of a module with a `main`, and its arguments. Its output goes
        to two files; `environment` is added to this process's."""
        module, *arguments = command
        with (
            Path(os.devnull).open("rb") as nothing,
            output.open("wb") as out,
            errors.open("wb") as err,
        ):
            connection = nursery_client.ask(
                self.address,
                (module, module, *arguments),
                {**os.environ, **environment},
                (nothing.fileno(), out.fileno(), err.fileno()),
            )
        return Forked(connection)

    def close(self) -> None:
        """No more are needed."""
        self._process.communicate()


@functools.cache
def nursery() -> Nursery:
    """The one of this test process, which ends with it."""
    opened = Nursery()
    atexit.register(opened.close)
    return opened


class Forked:
    """A forked process, as `subprocess.Popen` would be."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._heard = b""
        self.returncode: int | None = None
        told = self._next(_STARTS_WITHIN)
        assert told is not None, "the nursery does not answer"
        self.pid: Final[int] = told["pid"]

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The same, once it has ended."""
        if self.returncode is None:
            told = self._next(timeout)
            if told is None:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            self.returncode = int(told["status"])
            self._connection.close()
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def _next(self, timeout: float) -> Any:  # Any: JSON
        """The nursery's next line; None when it says none within so many seconds."""
        end = time.monotonic() + timeout
        while b"\n" not in self._heard:
            self._connection.settimeout(max(0.0, end - time.monotonic()))
            try:
                more = self._connection.recv(_MOST)
            except (BlockingIOError, TimeoutError):
                return None
            assert more, "the nursery is gone"
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        return json.loads(line)


class Server:
    """The nursery's side."""

    def __init__(self, address: str) -> None:
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(address)
        self._listening.listen()
        self._news, self._woken = socket.socketpair()  # of signals
        self._woken.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        self._living: dict[int, socket.socket] = {}
        """Who waits for the end of a process, by its pid."""

    def serve(self) -> None:
        """Serve until standard input ends."""
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin, selectors.EVENT_READ, lambda: sys.exit(0))
            selector.register(self._news, selectors.EVENT_READ, self._bury)
            selector.register(self._listening, selectors.EVENT_READ, self._bear)
            while True:
                for key, _ in selector.select():
                    key.data()

    def _bear(self) -> None:
        connection, _ = self._listening.accept()
        line, files, _flags, _address = socket.recv_fds(connection, _MOST, 3)
        while not line.endswith(b"\n"):
            more = connection.recv(_MOST)
            assert more, "an order ends with its line"
            line += more
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            own = (self._listening, self._news, self._woken)
            for held in (*own, connection, *self._living.values()):
                held.close()
            _run(json.loads(line), files)
        for each in files:
            os.close(each)
        self._living[pid] = connection
        _tell(connection, pid=pid)

    def _bury(self) -> None:
        self._news.recv(_MOST)
        while self._living:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with self._living.pop(pid) as connection:
                _tell(connection, status=os.waitstatus_to_exitcode(status))


def _tell(connection: socket.socket, **told: int) -> None:
    with contextlib.suppress(OSError):  # nobody waits for it any more
        connection.sendall(json.dumps(told).encode() + b"\n")


def _run(order: Any, files: list[int]) -> None:  # Any: JSON
    """What a forked process does, and nothing after it."""
    status = 1
    try:
        for descriptor, file in enumerate(files):
            os.dup2(file, descriptor)
            os.close(file)
        sys.stdin, sys.stdout, sys.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w")
        os.chdir(order["directory"])
        os.environ.clear()
        os.environ.update(order["environment"])
        module, *sys.argv = order["command"]
        importlib.import_module(module).main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the interpreter's own last resort
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _stream(descriptor: int, mode: str) -> IO[str]:
    # Not the nursery's own: those remember what kind of file they were opened on.
    return open(descriptor, mode, 1, encoding="utf-8", closefd=False)


def _be_patient() -> None:
    """Nothing that is tested here is late because the machine is."""
    driver: Any = importlib.import_module("tillwire.virtual.driver")
    driver.CAPABILITIES = replace(driver.CAPABILITIES, send_within=SENT_WITHIN)
    teller: Any = importlib.import_module("tillwire.dialects.paymentbridge.face.teller")
    teller.PATIENCE = teller.HOOK_PATIENCE = HEARD_WITHIN


def main() -> None:
    """Load everything, then serve on the socket named by the only argument."""
    for module in PRELOADED:
        importlib.import_module(module)
    importlib.import_module("tillwire.cli").application()  # every command's module
    _be_patient()
    server = Server(sys.argv[1])
    gc.collect()
    gc.freeze()  # what is shared is neither looked at nor copied in every child
    print("ready", flush=True)
    try:
        server.serve()
    finally:  # also when the tests were killed
        shutil.rmtree(Path(sys.argv[1]).parent, ignore_errors=True)


if __name__ == "__main__":
    main()
