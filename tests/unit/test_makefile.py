"""`make sandbox` is the sandbox: what stops make stops it, cleanly."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SANDBOX = f"""#!{sys.executable}
import signal, sys
ends = signal.SIGTERM, signal.SIGINT
signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # one that comes before it is waited for, waits
print("up", *sys.argv[1:], flush=True)
signal.sigwait(ends)
print("stopped cleanly")
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment is ready, with a sandbox that only starts and stops."""
    for name in ("requirements-dev.lock", "pyproject.toml", "Makefile"):
        shutil.copy(ROOT / name, tmp_path / name)
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert version is not None
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "tillwire").write_text(SANDBOX)
    (binaries / "tillwire").chmod(0o755)
    (binaries.parent / f".uv-{version[1]}").touch()
    (binaries.parent / ".ready").touch()
    return tmp_path


def _without_make() -> dict[str, str]:
    """The environment as a person has it: these tests may themselves be run by make."""
    of_make = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
    return {name: value for name, value in os.environ.items() if name not in of_make}


@pytest.mark.parametrize("whole_group", [False, True], ids=["SIGTERM to make", "Ctrl-C"])
def test_a_signal_to_make_stops_the_sandbox(checkout: Path, whole_group: bool) -> None:
    with subprocess.Popen(
        ["make", "sandbox"],
        cwd=checkout,
        env=_without_make(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as make:
        assert make.stdout is not None
        assert make.stdout.readline() == "up sandbox --data ./sandbox\n"
        if whole_group:
            os.killpg(make.pid, signal.SIGINT)
        else:
            make.terminate()
        output, _ = make.communicate(timeout=60)
    assert "stopped cleanly" in output


def test_a_changed_lock_makes_the_environment_anew(checkout: Path) -> None:
    asked = ["make", "--question", ".venv/.ready"]
    assert subprocess.run(asked, cwd=checkout, check=False).returncode == 0
    os.utime(checkout / "requirements-dev.lock", (2**32, 2**32))
    assert subprocess.run(asked, cwd=checkout, check=False).returncode == 1
