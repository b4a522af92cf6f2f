"""The gateway under load, in a process of its own: `python -m benchmarks.gateway_process DIR N`.

A journal in DIR, N virtual terminals of one shop, the MerchantAPI face, Payment Bridge and nexo in
its HTTP bindings on a free port, nexo over TCP on another. Says where it is in one line of JSON on
standard output, and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import uvloop

from tillwire.clock import SystemClock
from tillwire.config import (
    CallbackSettings,
    Configuration,
    FaceSettings,
    Format,
    JournalSettings,
    Limits,
    ListenerSettings,
    LogSettings,
    VirtualSettings,
)
from tillwire.core.estate_model import (
    Lifecycle,
    Merchant,
    Organisation,
    Store,
    Terminal,
)
from tillwire.core.ports import Unit
from tillwire.estate.applications import SHORTEST_KEY, new_application, new_key_pair
from tillwire.estate.keys import new_api_key
from tillwire.server.gateway import Gateway
from tillwire.server.process import raise_open_files, spare_the_collector
from tillwire.watch.logs import configure

FLAT = "/flat"
HELD = "/nexo"
"""Where the HTTP bindings of nexo stand."""
BRIDGE = "/poynt"
"""Where Payment Bridge stands."""
PACE = 0.5
"""Cardholders who are slow, or do not come, take twice their time: many can wait at once."""
STORE = Store(
    id="3fa85f64-5717-4562-b3fc-2c963f66afa6",
    merchant_id="bench",
    name="Bench Shop",
    address="Damrak 1",
    city="Amsterdam",
    zip_code="1012 LG",
    country="NL",
    time_zone="Europe/Amsterdam",
    currency="EUR",
)


def terminal(number: int) -> Terminal:
    """The virtual terminal of this number."""
    return Terminal(
        id=f"bench-{number}",
        organisation_id="bench",
        store_id=STORE.id,
        manufacturer="TILLWIRE",
        model="V1",
        serial=f"{number:05d}",
        tid=f"{number:08d}",
        driver="virtual",
        settings={},
        lifecycle=Lifecycle.ACTIVATED,
    )


def configuration(directory: Path, more: tuple[ListenerSettings, ...] = ()) -> Configuration:
    """Listeners on free ports, those of `more` beside the usual ones, and logs as a gateway in
    earnest has them."""
    limits = Limits(connections=50_000)
    nexo = {"organisation": "bench"}
    return Configuration(
        journal=JournalSettings(path=str(directory / "journal.db")),
        log=LogSettings(format=Format.JSON),
        virtual=VirtualSettings(directory=str(directory / "world"), pace=PACE),
        callbacks=CallbackSettings(allow=("127.0.0.0/8",)),
        listeners=(
            ListenerSettings(
                name="bench",
                port=0,
                limits=limits,
                faces=(
                    FaceSettings(name="merchantapi", prefix="/merchantapi"),
                    FaceSettings(name="nexo-http", prefix=FLAT, settings=nexo),
                    FaceSettings(name="nexo-held", prefix=HELD, settings=nexo),
                    FaceSettings(name="paymentbridge", prefix=BRIDGE),
                ),
            ),
            ListenerSettings(
                name="lanes",
                port=0,
                limits=limits,
                faces=(FaceSettings(name="nexo-tcp", settings=nexo),),
            ),
            *more,
        ),
        stop_seconds=1.0,
    )


async def serve(directory: Path, terminals: int, more: tuple[ListenerSettings, ...] = ()) -> None:
    """Serve until SIGTERM, on the listeners of `more`, too."""
    begun = time.perf_counter()
    settings = configuration(directory, more)
    configure(settings.log.level, settings.log.format)
    raise_open_files()
    spare_the_collector()
    gateway = Gateway(settings)
    await gateway.open()
    await gateway.start()
    ready = time.perf_counter() - begun
    clock = SystemClock()
    key, secret = new_api_key("bench", "bench", clock)
    private_key, public_key = new_key_pair(SHORTEST_KEY)
    application = new_application("bench", "bench", public_key, clock)

    def found(unit: Unit) -> None:
        unit.put(Organisation("bench", "Bench"))
        unit.put(Merchant("bench", "bench", "Bench"))
        unit.put(STORE)
        unit.put(key)
        unit.put(application)
        for number in range(1, terminals + 1):
            unit.put(terminal(number))

    await gateway.engine.change_estate(found)
    print(
        json.dumps(
            {
                "pid": os.getpid(),
                "port": gateway.listeners["bench"].port,
                "lanes_port": gateway.listeners["lanes"].port,
                "ports": {each.name: gateway.listeners[each.name].port for each in more},
                "path": "/merchantapi",
                "api_key": secret,
                "terminals": [terminal(number).name for number in range(1, terminals + 1)],
                "application": application.id,
                "private_key": private_key.decode(),
                "ready_seconds": ready,
                "open": sum(gateway.open_count().values()),
            }
        ),
        flush=True,
    )
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await gateway.stop()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
