"""A process that has loaded the program once, and from which gateways are forked.

Each of them is a process of its own, and is killed as one; only the half second of imports is
spared, of which the crash tests would need hundreds.

Orders and answers are lines of JSON on standard input and output, one at a time.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

PRELOADED: Final = ("tillwire.cli", "tillwire.sandbox.run", "tests.crash.doomed_sandbox")
_PAUSE: Final = 0.01


class Nursery:
    """The tests' side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def launch(
        self,
        command: Sequence[str],
        output: Path,
        errors: Path,
        environment: Mapping[str, str],
    ) -> Forked:
        """Fork `command`: the name of a module with a `main`, and its arguments."""
        order = {
            "command": list(command),
            "output": str(output),
            "errors": str(errors),
            "environment": dict(environment),
        }
        return Forked(self, self._ask(order)["pid"])

    def status_of(self, pid: int) -> int | None:
        """How the process ended, as `Popen` says it; None while it runs. Told once."""
        status: int | None = self._ask({"poll": pid})["status"]
        return status

    def _ask(self, order: Mapping[str, Any]) -> Any:  # Any: JSON
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with self._lock:
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
            return json.loads(stdout.readline())

    def close(self) -> None:
        """No more are needed."""
        self._process.communicate()


class Forked:
    """A forked process, as `subprocess.Popen` would be."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self._lock = threading.Lock()
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        with self._lock:
            if self.returncode is None:
                self.returncode = self._nursery.status_of(self.pid)
            return self.returncode

    def wait(self, timeout: float) -> int:
        """The same, once it has ended."""
        end = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(_PAUSE)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def serve() -> None:
    """The nursery's side: until standard input ends."""
    for module in PRELOADED:
        importlib.import_module(module)
    for line in sys.stdin:
        order = json.loads(line)
        answer: dict[str, int | None]
        if "poll" in order:
            pid, status = os.waitpid(order["poll"], os.WNOHANG)
            answer = {"status": os.waitstatus_to_exitcode(status) if pid else None}
        else:
            answer = {"pid": os.fork() or _run(order)}
        print(json.dumps(answer), flush=True)


def _run(order: Any) -> int:  # Any: JSON
    """What a forked process does, and nothing after it."""
    status = 1
    try:
        for descriptor, path, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (2, order["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        ):
            os.dup2(os.open(path, flags, 0o600), descriptor)
        os.environ.update(order["environment"])
        module, *sys.argv[1:] = order["command"]
        sys.argv[0] = module
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


if __name__ == "__main__":
    serve()
