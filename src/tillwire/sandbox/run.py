"""Starts the sandbox: a gateway on loopback with the virtual estate and a card."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from tillwire.clock import SystemClock
from tillwire.config import (
    CallbackSettings,
    Configuration,
    FaceSettings,
    JournalSettings,
    ListenerSettings,
    LogSettings,
    Page,
    VirtualSettings,
)
from tillwire.errors import ConfigurationError
from tillwire.estate.pairings import Codes
from tillwire.sandbox import (
    card,
    ecr17,
    keyring,
    nexo,
    paymentbridge,
    smartconnect,
    softpos,
    virtual_estate,
)
from tillwire.sandbox.card import Card
from tillwire.sandbox.guide import guide
from tillwire.sandbox.nexo import NexoFiles
from tillwire.server import process
from tillwire.server.gateway import Gateway

LISTENER = "sandbox"


class Options(msgspec.Struct, frozen=True):
    """What the command line says."""

    directory: Path
    port: int
    pace: float
    log: LogSettings = LogSettings()


Ready = Callable[[Card, Path], None]
"""Told the card and its path when every listener accepts connections."""


def run(options: Options, ready: Ready) -> None:
    """Serve until SIGTERM or SIGINT. Raises `ConfigurationError`, `JournalError`."""
    directory = prepared(options.directory)
    files = nexo.ensure(directory, SystemClock())
    configuration = settings(directory, files, options)

    async def work() -> None:
        await serve(directory, files, configuration, ready)

    process.run(configuration, work)


def prepared(directory: Path) -> Path:
    """The absolute directory, made if it is not there. A new one is its owner's alone."""
    try:
        directory = directory.expanduser().resolve()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (directory / keyring.FILE).exists() or not any(directory.iterdir()):
            directory.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The sandbox cannot use the folder {directory} ({error.strerror}); "
            "choose another with --data."
        ) from None
    return directory


def settings(directory: Path, files: NexoFiles, options: Options) -> Configuration:
    """The sandbox's configuration: on loopback only, and on one origin what can be."""
    return Configuration(
        journal=JournalSettings(path=str(directory / "journal.db")),
        virtual=VirtualSettings(directory=str(directory / "virtual"), pace=options.pace),
        log=options.log,
        # Tills that are being developed here are told here.
        callbacks=CallbackSettings(allow=("127.0.0.0/8", "::1/128", "localhost")),
        # Whoever stops a sandbox waits for it; what is cut off is found again.
        stop_seconds=2.0,
        listeners=(
            ListenerSettings(
                name=LISTENER,
                port=options.port,
                pages=tuple(Page),
                faces=(
                    FaceSettings(name="merchantapi", prefix="/merchantapi"),
                    paymentbridge.FACE,
                    smartconnect.FACE,
                    FaceSettings(name="device", prefix="/device"),
                    FaceSettings(name="virtual", prefix="/v1/virtual"),
                ),
            ),
            *nexo.listeners(options.port, files),
            ecr17.listener(options.port),
            softpos.listener(options.port, files.certificates),
        ),
    )


def lanes() -> tuple[ListenerSettings, ...]:
    """Its lanes, whose ports follow from each start's base port."""
    return nexo.stream(0), ecr17.listener(0)


def is_sandbox(journal: Path) -> bool:
    """Whether the journal is a sandbox's."""
    return (journal.parent / keyring.FILE).is_file()


async def serve(
    directory: Path, files: NexoFiles, configuration: Configuration, ready: Ready
) -> None:
    """Serve the sandbox on the running loop until a signal says stop."""
    gateway = Gateway(configuration, choose_port="choose another base port with --port")
    keys = keyring.Keyring()

    async def opened() -> None:
        nonlocal keys
        card.remove(directory)  # of one that was killed
        known = keyring.load(directory)
        public_key = paymentbridge.public_key(directory)
        certificate = softpos.certificate(directory)
        keys = await gateway.journal.commit(
            lambda unit: virtual_estate.ensure(
                unit, known, public_key, certificate, Codes(gateway.vault), gateway.clock
            )
        )
        keyring.save(directory, keys)

    def written() -> Card:
        listening = gateway.listeners
        base_url = listening[LISTENER].url
        return card.card(
            base_url,
            keys,
            nexo.member(listening, files),
            ecr17.member(listening[ecr17.LANE].port),
            paymentbridge.member(base_url, keys, directory, gateway.engine.estate),
            smartconnect.member(base_url, keys),
            softpos.member(listening[softpos.FACE].url, keys, directory, files.certificates),
            os.getpid(),
        )

    def accepting() -> None:
        found = written()
        gateway.guide = guide(found, directory / card.FILE, with_key=False)
        ready(found, card.write(directory, found))
        gateway.moved = lambda: card.rewrite(directory, written())

    def stopping() -> None:
        gateway.moved = lambda: None
        card.remove(directory)

    await process.until_signalled(gateway, opened=opened, ready=accepting, stopping=stopping)
