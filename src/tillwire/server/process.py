"""Runs a gateway as a process: event loop, signals, limits of the system, and systemd."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from tillwire.config import Configuration
from tillwire.server.gateway import Gateway
from tillwire.watch import logs

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(configuration: Configuration) -> None:
    """Serve until SIGTERM or SIGINT. Raises `ConfigurationError`, `JournalError`."""

    async def work() -> None:
        await until_signalled(Gateway(configuration))

    run(configuration, work)


def run(configuration: Configuration, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `work` as the process's one job, with logs as configured."""
    os.umask(0o077)  # the journal is nobody else's business
    end_logs = logs.configure(configuration.log.level, configuration.log.format)
    raise_open_files()
    spare_the_collector()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work())
    finally:
        end_logs()


def spare_the_collector() -> None:
    """Let Python look for cycles seldom: what is made here are values without any, and the ten
    thousands of transactions at hand would be walked through again and again. What is loaded
    now stays for good and is not looked at any more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def until_signalled(
    gateway: Gateway,
    *,
    opened: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ready: Callable[[], None] | None = None,
    stopping: Callable[[], None] | None = None,
) -> None:
    """Serve until a signal says stop. `opened` runs before anything is served, `ready` when every
    listener accepts connections, `stopping` before they stop."""
    signalled = _signalled(gateway)
    await gateway.open()
    try:
        if opened is not None:
            await opened()
        await gateway.start()
        if ready is not None:
            ready()
        tell_systemd("READY=1")
        await signalled.wait()
    finally:
        tell_systemd("STOPPING=1")
        if stopping is not None:
            stopping()
        await gateway.stop()


def _signalled(gateway: Gateway) -> asyncio.Event:
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, event.set)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload_certificates)
    return event


def raise_open_files() -> None:
    """Allow as many open files, and so connections, as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def tell_systemd(state: str) -> None:
    """Tell the service manager (sd_notify), if there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect(name)
        channel.sendall(state.encode())
