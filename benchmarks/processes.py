"""Starting and stopping the servers that are measured, and what the machine can do by itself."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.till import Shop


@dataclass(frozen=True)
class Server:
    """A server that runs in a process of its own."""

    shop: Shop
    said: dict[str, Any]
    process: subprocess.Popen[str]

    def resident(self) -> int:
        """Bytes of memory that it keeps."""
        found: int = psutil.Process(self.process.pid).memory_info().rss
        return found

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


@contextmanager
def running(module: str, directory: Path, terminals: int) -> Iterator[Server]:
    """Run `python -m module directory terminals` until the block ends."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "log"
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(directory), str(terminals)],
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{module} ended with {process.wait()}:\n{log.read_text()[-2000:]}")
    said = json.loads(line)
    shop = Shop(said["port"], said["path"], said["api_key"], said["terminals"])
    try:
        yield Server(shop, said, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def said_by(module: str, *arguments: str) -> dict[str, float]:
    """What `python -m module arguments` says in JSON on its last line."""
    ran = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(f"{module} ended with {ran.returncode}:\n{ran.stderr[-2000:]}")
    said: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return said


def fsyncs_per_second(directory: Path, seconds: float = 1.0) -> float:
    """How often this machine makes 4 KiB durable in a second, one after the other."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "fsync.probe"
    times = []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        end = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < end:
            os.pwrite(descriptor, os.urandom(4096), 0)
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - begun)
    finally:
        os.close(descriptor)
        path.unlink()
    return 1 / statistics.median(times)
