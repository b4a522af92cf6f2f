"""Installs the vendor's Python SDK, once for a checkout, in an environment of its own in `build/`.

The SDK needs a PyJWT that is years old, so it never comes near the environment of the tests. What
is installed is pinned by version and hash in `sdk/requirements.lock`; from where is the
configuration of whoever runs this.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

SDK: Final = Path(__file__).parent / "sdk"
LOCK: Final = SDK / "requirements.lock"
_ROOT: Final = Path(__file__).parents[3]
_UV: Final = Path(sys.executable).with_name("uv")
_INSTALLS_WITHIN: Final = 300.0


class NotInstalledError(Exception):
    """The packages could not be installed; says what uv wrote."""


def python() -> Path:
    """The interpreter of the SDK's environment. Raises `NotInstalledError`."""
    pinned = LOCK.read_bytes() + sys.version.encode()
    folder = _ROOT / "build" / f"paymentbridge-sdk-{hashlib.sha256(pinned).hexdigest()[:16]}"
    interpreter = folder / "bin" / "python"
    ready = folder / ".ready"
    if not ready.exists():
        folder.parent.mkdir(exist_ok=True)
        with (folder.parent / "paymentbridge-sdk.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side
            if not ready.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of one that was cut off
                _uv("venv", "--python", sys.executable, str(folder))
                _uv("pip", "sync", "--python", str(interpreter), "--require-hashes", str(LOCK))
                ready.touch()
    return interpreter


def _uv(*arguments: str) -> None:
    program = _UV if _UV.exists() else shutil.which("uv")
    if program is None:
        raise NotInstalledError("there is no uv, which `make` installs")
    done = subprocess.run(
        [program, "--quiet", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
        text=True,
        timeout=_INSTALLS_WITHIN,
        check=False,
    )
    if done.returncode != 0:
        raise NotInstalledError(done.stdout)
