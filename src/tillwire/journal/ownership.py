"""Who runs a journal's transactions: one gateway, which holds a lock on a file beside it.

Two gateways on one file would drive the same terminals. The lock is the operating system's, so a
gateway that was killed holds it no longer.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from time import sleep
from typing import IO, Final

from tillwire.errors import ConfigurationError, JournalError

TRIES: Final = 10
PAUSE: Final = 0.02
"""Seconds between tries: a command may own the journal for a moment, or look who does."""


def is_owned(path: Path) -> bool:
    """Whether some process owns the journal at `path`."""
    try:
        lock = _lock_of(path).open("rb")
    except OSError:
        return False
    with lock:
        return not _locked(lock, fcntl.LOCK_SH)


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".owner")


def _locked(lock: IO[bytes] | IO[str], kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def take(path: Path) -> IO[str]:
    """Become the owner of the journal at `path` until the returned handle is closed.

    Raises `ConfigurationError` when another process is, `JournalError` when nobody can be.
    """
    try:
        # Private, since whoever can open it can hold the lock.
        lock = os.open(_lock_of(path), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except FileNotFoundError:
        raise JournalError(f"{path} cannot be opened: check that the folder exists.") from None
    except OSError as error:
        raise JournalError(f"{path} cannot be owned: {error.strerror}.") from None
    handle = os.fdopen(lock, "a+")
    for _ in range(TRIES):
        if _locked(handle, fcntl.LOCK_EX):
            break
        sleep(PAUSE)
    else:
        handle.seek(0)
        holder = handle.read(20).strip() or "unknown"
        handle.close()
        raise ConfigurationError(
            f"The journal {path} is already run by the gateway with process id {holder}; "
            "stop that one first, or choose another journal."
        )
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle
