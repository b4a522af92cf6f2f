"""Who runs a journal's transactions: one gateway, which holds a lock on a file beside it.

Two gateways on one file would drive the same terminals. The lock is the operating system's, so a
gateway that was killed holds it no longer.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from tillwire.errors import ConfigurationError, JournalError


def take(path: Path) -> IO[str]:
    """Become the owner of the journal at `path` until the returned handle is closed.

    Raises `ConfigurationError` when another process is, `JournalError` when nobody can be.
    """
    try:
        # Private, since whoever can open it can hold the lock.
        lock = os.open(
            path.with_name(path.name + ".owner"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600
        )
    except FileNotFoundError:
        raise JournalError(f"{path} cannot be opened: check that the folder exists.") from None
    except OSError as error:
        raise JournalError(f"{path} cannot be owned: {error.strerror}.") from None
    handle = os.fdopen(lock, "a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        holder = handle.read(20).strip() or "unknown"
        handle.close()
        raise ConfigurationError(
            f"The journal {path} is already run by the gateway with process id {holder}; "
            "stop that one first, or choose another journal."
        ) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle
