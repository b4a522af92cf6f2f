"""A real `tillwire sandbox` in a process of its own: forked, waited for, stopped or killed.

For tests whose subject is the program as a whole: conformance, crash, matrix, browser, documents.
"""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from tests.kit.nursery import nursery
from tests.kit.ports import in_turn, is_free

SANDBOX: Final = ("tillwire.cli", "sandbox")
"""The command, as a nursery takes it."""
PORTS: Final = 6
"""Ports that a sandbox may use from its base on."""
STARTS_WITHIN: Final = 120.0
"""Seconds for a start on a busy machine."""
STOPS_WITHIN: Final = 60.0
"""Seconds for a clean stop on a busy machine."""

_BASES: Final = in_turn(range(20_000, 32_000, PORTS))
_PAUSE: Final = 0.01
_TRIES: Final = 5
_PORT_TAKEN: Final = "choose another base port"

Card = Mapping[str, Any]
"""The sandbox card: JSON, as `docs/sandbox-card.md` describes it."""


class Process(Protocol):
    """What is needed of a process: of `subprocess.Popen`, or of something like it."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float) -> int: ...
    def send_signal(self, number: signal.Signals, /) -> None: ...
    def kill(self) -> None: ...


class NotStartedError(Exception):
    """The sandbox ended before it was ready."""

    def __init__(self, status: int, errors: str) -> None:
        super().__init__(f"status {status}: {errors}")
        self.status = status


class SandboxProcess:
    """A sandbox that runs, or ran."""

    def __init__(self, process: Process, directory: Path) -> None:
        self.process = process
        self.directory = directory
        self.card: Card = {}

    @property
    def errors(self) -> str:
        """What it has written to standard error so far."""
        return (self.directory / "stderr.txt").read_text(errors="replace")

    def wait_until_ready(self) -> None:
        """Wait for the card of this very process. Raises `NotStartedError` when it has ended."""
        path = self.directory / "card.json"
        end = time.monotonic() + STARTS_WITHIN
        while True:
            with contextlib.suppress(FileNotFoundError):
                card = json.loads(path.read_bytes())
                if card["pid"] == self.process.pid:
                    self.card = card
                    return
            status = self.process.poll()
            if status is not None:
                raise NotStartedError(status, self.errors)
            if time.monotonic() > end:
                self.kill()
                raise AssertionError(f"No card within {STARTS_WITHIN:g} s. {self.errors}")
            time.sleep(_PAUSE)

    def ended(self, within: float = STOPS_WITHIN) -> int:
        """Wait until the process has ended; its status."""
        return self.process.wait(within)

    def stop(self) -> None:
        """Stop it cleanly, as an operator would, and see that it went well."""
        self.process.send_signal(signal.SIGTERM)
        status = self.ended()
        assert status == 0, f"status {status}: {self.errors}"
        assert "Traceback" not in self.errors, self.errors
        assert not (self.directory / "card.json").exists(), "a clean stop removes the card"

    def kill(self) -> None:
        """End it as a power cut would end the process."""
        self.process.kill()
        self.ended()


def start_sandbox(
    directory: Path,
    *,
    pace: float = 1.0,
    command: Sequence[str] = SANDBOX,
    environment: Mapping[str, str] | None = None,
) -> SandboxProcess:
    """Start a sandbox on `directory`, made if it is not there, on ports that are free; returns
    when it is ready. Raises `NotStartedError`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for attempt in range(_TRIES):
        base = free_base_port()
        arguments = ["--data", str(directory), "--port", str(base), "--pace", f"{pace:g}"]
        process = nursery().launch(
            [*command, *arguments],
            directory / "stdout.txt",
            directory / "stderr.txt",
            environment or {},
        )
        sandbox = SandboxProcess(process, directory)
        try:
            sandbox.wait_until_ready()
        except NotStartedError as error:
            # Between the look and the start, somebody else's sandbox was quicker.
            if _PORT_TAKEN not in str(error) or attempt == _TRIES - 1:
                raise
        except BaseException:
            sandbox.kill()
            raise
        else:
            return sandbox
    raise AssertionError("unreachable: the last attempt returns or raises")


@contextlib.contextmanager
def running_sandbox(
    directory: Path,
    *,
    pace: float = 1.0,
    command: Sequence[str] = SANDBOX,
) -> Iterator[SandboxProcess]:
    """A sandbox on `directory`, stopped cleanly at the end; `pace` divides the virtual
    cardholder's waiting times."""
    sandbox = start_sandbox(directory, pace=pace, command=command)
    try:
        yield sandbox
    except BaseException:
        sandbox.kill()
        raise
    if sandbox.process.poll() is None:
        sandbox.stop()


def free_base_port() -> int:
    """A port that is free now, as are those that follow it in a sandbox."""
    return next(base for base in _BASES if all(is_free(port) for port in range(base, base + PORTS)))
