"""Which journal a command works on, and how it gets at it beside a running gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from tillwire import config
from tillwire.core.estate import Estate
from tillwire.core.ports import Unit
from tillwire.errors import ConfigurationError
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.vault import key_path

T = TypeVar("T")

SANDBOX: Final = Path("sandbox")
"""Where `tillwire sandbox` keeps everything, from the folder that it was started in."""

JournalOption = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        envvar="TILLWIRE_JOURNAL",
        help="The journal file. Default: the configuration's, else the sandbox's in ./sandbox.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="TILLWIRE_CONFIG",
        help="The configuration of `tillwire serve`, which names the journal.",
        show_default=False,
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="The folder of a sandbox, as `tillwire sandbox --data` was told.",
        show_default=False,
    ),
]


def locate(journal: Path | None, configuration: Path | None, data: Path | None) -> Path:
    """The journal that the options mean. Raises `ConfigurationError`."""
    # First, because the others may come from the environment.
    if data is not None:
        return _of_sandbox(data)
    if journal is not None:
        return journal
    if configuration is not None:
        return _of_configuration(configuration)
    if _of_sandbox(SANDBOX).exists():
        return _of_sandbox(SANDBOX)
    raise ConfigurationError(
        "Say which journal is meant: --journal PATH, --config FILE (the one of `tillwire serve`) "
        "or --data DIR (the one of `tillwire sandbox`), or start `tillwire sandbox` in this folder."
    )


def key_file(path: Path, configuration: Path | None) -> Path:
    """Where the key of the journal at `path` is: where the configuration says, if that is its
    journal. Raises `ConfigurationError`."""
    if configuration is not None:
        settings = _configured(configuration).journal
        if Path(settings.path) == path:
            return Path(settings.key_file)
    return key_path(path)


def _of_sandbox(folder: Path) -> Path:
    return folder / "journal.db"


def _of_configuration(path: Path) -> Path:
    return Path(_configured(path).journal.path)


def _configured(path: Path) -> config.Configuration:
    from tillwire.server.faces import FACES

    return config.load(path, FACES)


@contextmanager
def opened(path: Path, *, create: bool = False) -> Iterator[SqliteJournal]:
    """The journal at `path`, which must exist unless it may be created. Raises
    `ConfigurationError`, `JournalError`."""
    if not create and not path.exists():
        raise ConfigurationError(f"There is no journal at {path}.")
    if not path.parent.is_dir():
        raise ConfigurationError(f"There is no folder {path.parent} for the journal {path}.")
    journal = SqliteJournal(path)
    try:
        yield journal
    finally:
        journal.close()


def estate_at(path: Path) -> Estate:
    """The estate as the journal at `path` has it. Raises as `opened`."""
    with opened(path) as books:
        return books.read_now(lambda reader: reader.estate())


def commit(journal: SqliteJournal, work: Callable[[Unit], T]) -> T:
    """Run `work(unit)` and commit it, from a program without an event loop."""
    return journal.commit_now(work)
