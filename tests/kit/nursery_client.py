"""Asks a nursery for a process.

On the standard library alone, and quick to load, since it is also what stands for `tillwire` in a
shell that types many commands:

    python -I -S nursery_client.py SOCKET [ARGUMENT ...]
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

ENCODING = "utf-8"


def ask(
    address: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    files: tuple[int, int, int],
) -> socket.socket:
    """Have a process forked, in this one's folder and with these standard files: the name of a
    module with a `main`, what it is called, and its arguments. A line of JSON tells its `pid`,
    and a second one its `status` when it has ended, as `subprocess` says it."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(address)
        order = {
            "command": list(command),
            "directory": os.getcwd(),  # noqa: PTH109 - pathlib takes its time to load
            "environment": dict(environment),
        }
        line = json.dumps(order).encode(ENCODING) + b"\n"
        rest = line[socket.send_fds(connection, [line], files) :]
        if rest:  # without one the process may have ended by now, and nobody listens any more
            connection.sendall(rest)
    except BaseException:
        connection.close()
        raise
    return connection


def main() -> None:
    """Run a `tillwire` command: wait for it, pass on what is meant to stop it, end as it does."""
    address, *arguments = sys.argv[1:]
    command = ("tillwire.cli", "tillwire", *arguments)
    with ask(address, command, os.environ, (0, 1, 2)) as connection:
        answers = connection.makefile(encoding=ENCODING)
        pid = json.loads(answers.readline())["pid"]
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda caught, _frame: os.kill(pid, caught))
        status = json.loads(answers.readline())["status"]
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
